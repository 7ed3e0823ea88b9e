"""What a command would add to the account, before it is known whether it will.

A transaction weighs as its heavier branch. Source: etcd server/storage/quota.go (behaviour).
"""

from core.limits import KEY_COST_BYTES, LEASE_COST_BYTES, VERSION_COST_BYTES
from core.operations import Command, LeaseGrant, Operation, Put, Txn


def cost_of(command: Command) -> int:
    """Return the bytes that a command may add to the account at most."""
    match command:
        case Put() | Txn():
            return _cost(command)
        case LeaseGrant():
            return LEASE_COST_BYTES
        case _:
            return 0


def _cost(op: Operation) -> int:
    match op:
        case Put():
            return KEY_COST_BYTES + VERSION_COST_BYTES + 2 * len(op.key) + len(op.value)
        case Txn():
            return max(sum(map(_cost, op.success)), sum(map(_cost, op.failure)))
        case _:
            return 0
