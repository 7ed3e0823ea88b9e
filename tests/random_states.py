"""Random commands over few keys, and the states that they make; the same seed makes the same."""

from random import Random

from core.machine import apply
from core.operations import Command, Compact, DeleteRange, LeaseGrant, LeaseRevoke, Put, Txn
from core.ranges import PageCounts
from core.state import State

KEYS = (b"a", b"a/1", b"a/2", b"b", b"b\xff", b"c")
ENDS = (b"", b"b", b"c", b"\0", b"a0", b"a")


def write(chance: Random) -> Command:
    """A command that changes keys or leases."""
    key, value = chance.choice(KEYS), bytes(chance.randrange(20))
    return chance.choice(
        (
            Put(key, value, chance.choice((0, 0, 0, 1, 2))),
            Put(key, value),
            Put(chance.choice(KEYS), b"same"),
            DeleteRange(key, chance.choice(ENDS)),
            Txn((), (Put(b"a", b"t"), DeleteRange(b"b"), Put(b"c", b"t")), ()),
            Txn((), (DeleteRange(key, b"\0"), Put(b"c", b"again")), ()),
            LeaseGrant(chance.choice((1, 2)), 60),
            LeaseRevoke(chance.choice((1, 2))),
        )
    )


def do(state: State, *commands: Command) -> None:
    """Apply commands, one index each."""
    counts = PageCounts()
    for command in commands:
        state.applied_index += 1
        apply(state, command, state.applied_index, 1, counts)


def grown(chance: Random, count: int = 40, *, compacted: bool = False) -> State:
    """A state after so many writes, perhaps compacted somewhere and not freed yet."""
    state = State()
    do(state, *(write(chance) for _ in range(count)))
    if compacted:
        do(state, Compact(chance.randint(1, state.revision)))
    return state
