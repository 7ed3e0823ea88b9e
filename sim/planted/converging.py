"""Planted bugs of agreement: equal logs that make unequal states.

Rule of this file: each lets one member come to another state than the others, or a state come
back; its docstring says what is wrong.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator
from hashlib import sha1

from core import inputs, machine, node
from core.answers import LeaseRevokeAnswer
from core.codec import Proposed
from core.errors import LEASE_NOT_FOUND
from core.inputs import Committed
from core.machine import Applied, LeaseGone, apply
from core.operations import Command, Noop, Put, Txn
from core.ranges import PageCounts
from core.state import State, drop_lease
from core.writes import Writer
from sim.ops import Grant, Revoke
from sim.ops import Put as AskPut
from sim.ops import Txn as AskTxn
from sim.planted.bug import Catalogue, ask, fault, script
from sim.swapping import swapped

CONVERGING = Catalogue()


class _Where:
    """Which node is at work: a bug's way to know what `apply` may not."""

    def __init__(self) -> None:
        self.node: node.Node | None = None


@CONVERGING.bug(
    "convergence",
    row=16,
    workload="register",
    members=3,
    directed=script(*(ask(900 + 30 * n, AskPut("k", str(n)), member=n) for n in range(40))),
)
def apply_reads_the_clock() -> Generator[None]:
    """What a put writes depends on the time at which a member applies it."""
    where = _Where()
    commit = node.Node._commit

    def noting(self: node.Node, given: Committed) -> None:
        where.node = self
        commit(self, given)

    def timed(state: State, command: Command, index: int, term: int, counts: PageCounts) -> Applied:
        if type(command) is Put and where.node is not None and index % 7 == 0:
            late = b"!" if where.node.now_ms % 2 else b""
            command = command._replace(value=command.value + late)
        return apply(state, command, index, term, counts)

    with swapped(node.Node, "_commit", noting), swapped(node, "apply", timed):
        yield


@CONVERGING.bug(
    "convergence",
    row=17,
    workload="lease",
    members=3,
    budget=12,
    directed=script(
        ask(900, Grant(7, 60)),
        *(ask(1_000 + 20 * n, AskPut(f"k{n}", "x", lease=7)) for n in range(5)),
        ask(1_500, Revoke(7)),
    ),
)
def revoke_in_hash_order() -> Generator[None]:
    """The keys of a lease are deleted in the order of a hash that every member has its own of."""
    where = _Where()
    commit = node.Node._commit

    def noting(self: node.Node, given: Committed) -> None:
        where.node = self
        commit(self, given)

    def unordered(state: State, lease_id: int) -> Applied:
        lease = state.leases.get(lease_id)
        if lease is None:
            return Applied(LEASE_NOT_FOUND)
        salt = b"" if where.node is None else str(where.node.config.origin).encode()
        writer = Writer(state)
        for key in sorted(lease.keys, key=lambda each: sha1(salt + each).digest()):
            writer.delete(key)
        changes = writer.commit()
        drop_lease(state, lease)
        return Applied(LeaseRevokeAnswer(state.revision), changes, (LeaseGone(lease_id),))

    with swapped(node.Node, "_commit", noting), swapped(machine, "_revoke", unordered):
        yield


@CONVERGING.bug(
    "convergence",
    row=41,
    workload="txn",
    members=3,
    directed=script(
        ask(900, AskPut("k", "0")),
        *(ask(1_000 + 50 * n, AskTxn((), (AskPut("k", str(n)),)), member=n) for n in range(10)),
    ),
)
def old_release_skips_what_it_does_not_know() -> Generator[None]:
    """One member takes a transaction for a command of a later release, and does nothing."""
    commit = node.Node._commit

    def old(self: node.Node, given: Committed) -> None:
        if self.config.member_id % 3 == 1:
            skipped = [
                Proposed(each.id, Noop()) if type(each.command) is Txn else each
                for each in given.commands
            ]
            given = given._replace(commands=skipped)
        commit(self, given)

    with swapped(node.Node, "_commit", old):
        yield


@CONVERGING.bug(
    "convergence",
    row=14,
    workload="register",
    members=3,
    budget=8,
    snapshot_entries=20,
    faults=["process", "partition", "operations"],
    directed=script(
        *(ask(900 + 20 * n, AskPut("k", str(n)), member=n % 2) for n in range(250)),
        fault(1_200, "isolate", member=2, ms=3_000),
        snapshot_entries=20,
        end_ms=7_000,
    ),
)
def pack_applied_twice_after_a_snapshot() -> Generator[None]:
    """The first pack behind a snapshot is applied a second time."""
    install, commit = node.Node._install, node.Node._commit

    def installing(self: node.Node, given: inputs.Installed) -> None:
        install(self, given)
        vars(self)["doubles"] = True

    def doubling(self: node.Node, given: Committed) -> None:
        if given.commands and vars(self).pop("doubles", False):
            given = given._replace(commands=(*given.commands, *given.commands))
        commit(self, given)

    with swapped(node.Node, "_install", installing), swapped(node.Node, "_commit", doubling):
        yield
