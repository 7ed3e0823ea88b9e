"""Planted bugs of writing: what transactions, puts, deletions and replies can get wrong.

Rule of this file: each patches one function of the core; its docstring says what is wrong.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator

from core import inputs, machine, node, ranges, txn, writes
from core.answers import DeleteAnswer, PutAnswer, RangeAnswer
from core.codec import ProposalId, encode
from core.effects import Propose, Reply
from core.errors import Failure
from core.inputs import Offered
from core.machine import Applied
from core.operations import Command, Compare, CompareResult, CompareTarget, DeleteRange, Put, Txn
from core.operations import Range as CoreRange
from core.ranges import PageCounts, read
from core.records import Version, put_version
from core.state import State
from core.txn import run as run_txn
from sim.ops import Compare as AskCompare
from sim.ops import Delete, Range
from sim.ops import Put as AskPut
from sim.ops import Txn as AskTxn
from sim.planted.bug import Catalogue, ask, fault, script
from sim.swapping import swapped

WRITING = Catalogue()


@WRITING.bug(
    "linear",
    row=12,
    workload="register",
    directed=script(
        ask(900, AskPut("k", "0")),
        ask(1_200, AskTxn((AskCompare("k", "mod", "=", 2),), (AskPut("k", "a"),)), client=1),
        ask(1_200, AskTxn((AskCompare("k", "mod", "=", 2),), (AskPut("k", "b"),)), client=2),
        ask(1_200, AskTxn((AskCompare("k", "mod", "=", 2),), (AskPut("k", "c"),)), client=3),
        members=1,
    ),
)
def compare_at_propose() -> Generator[None]:
    """A transaction is decided when it is proposed, not when it is applied."""
    offer = node.Node._offer

    def hasty(self: node.Node, given: Offered) -> None:
        command = given.command
        if type(command) is Txn:
            held = all(_holds(self.state, compare) for compare in command.compares)
            never = Compare(CompareResult.LESS, CompareTarget.VERSION, b"\x00", b"", 0)
            command = command._replace(compares=() if held else (never,))
        offer(self, given._replace(command=command))

    with swapped(node.Node, "_offer", hasty):
        yield


def _holds(state: State, compare: Compare) -> bool:
    """Whether one comparison holds now, found out with a transaction that does nothing."""
    answer = run_txn(state, Txn((compare,), (), ()), writes.Writer(state), PageCounts())
    return bool(getattr(answer, "succeeded", False))


@WRITING.bug(
    "linear",
    row=18,
    workload="register",
    directed=script(
        ask(900, AskPut("k", "1")),
        ask(1_000, Delete("k")),
        ask(1_100, AskPut("k", "2")),
        ask(1_200, Range("k")),
    ),
)
def version_not_reset() -> Generator[None]:
    """A key that is put again after a deletion goes on counting its versions."""
    place = writes._place

    def counting_on(
        state: State, main: int, key: bytes, value: bytes, lease: int, previous: Version | None
    ) -> Version:
        count = 0 if previous is not None else len(state.index.history.get(key, ()))

        def counted(
            key: bytes, value: bytes, mod: int, create: int, version: int, lease: int, number: int
        ) -> Version:
            return put_version(key, value, mod, create, version + count, lease, number)

        with swapped(writes, "put_version", counted):
            return place(state, main, key, value, lease, previous)

    with swapped(writes, "_place", counting_on):
        yield


@WRITING.bug(
    "linear",
    row=19,
    workload="register",
    directed=script(ask(900, AskPut("k", "1")), ask(1_000, Delete("x")), ask(1_100, Range("k"))),
)
def empty_deletion_is_a_revision() -> Generator[None]:
    """A deletion that finds nothing still makes a revision."""
    delete_range = machine._delete_range

    def bumping(state: State, command: DeleteRange) -> Applied:
        applied = delete_range(state, command)
        if applied.changes:
            return applied
        state.changes.append((), 0, 0)
        state.revision += 1
        return applied._replace(answer=DeleteAnswer(state.revision, 0, ()))

    with swapped(machine, "_delete_range", bumping):
        yield


@WRITING.bug(
    "linear",
    directed=script(
        ask(900, AskPut("k", "1")),
        ask(1_000, AskTxn((), (AskPut("k", "2"), Range("k")))),
    ),
    workload="txn",
)
def txn_reads_before_its_writes() -> Generator[None]:
    """A range inside a transaction does not see what the transaction wrote before it."""

    def blind(
        state: State, query: CoreRange, counts: PageCounts, header_revision: int | None = None
    ) -> RangeAnswer | Failure:
        answer = read(state, query, counts, header_revision)
        written = state.change_count != state.logged_count
        if not written or query.revision or not isinstance(answer, RangeAnswer):
            return answer
        before = query._replace(revision=state.revision)
        return ranges._read_past(state, before, counts, answer.revision)

    with swapped(txn, "read", blind):
        yield


@WRITING.bug(
    "linear",
    workload="register",
    directed=script(
        ask(900, AskPut("k", "1")), ask(1_000, AskPut("k", "2")), ask(1_100, Range("k"))
    ),
)
def create_revision_moves() -> Generator[None]:
    """Every put of a key is told as its creation."""

    def moving(
        key: bytes, value: bytes, mod: int, create: int, version: int, lease: int, number: int
    ) -> Version:
        return put_version(key, value, mod, mod, version, lease, number)

    with swapped(writes, "put_version", moving):
        yield


@WRITING.bug(
    "linear",
    workload="register",
    directed=script(
        ask(900, AskPut("k", "1")),
        ask(1_000, AskPut("k", "2", prev_kv=True)),
        ask(1_100, Range("k")),
    ),
)
def prev_kv_is_the_new_one() -> Generator[None]:
    """A put that was asked for the previous record answers with the one it wrote."""
    put = machine._put

    def forward(state: State, command: Put) -> Applied:
        applied = put(state, command)
        if not command.prev_kv or not applied.changes:
            return applied
        return applied._replace(answer=PutAnswer(state.revision, applied.changes[0]))

    with swapped(machine, "_put", forward):
        yield


@WRITING.bug(
    "durability",
    row=3,
    workload="register",
    directed=script(
        ask(900, AskPut("k", "first")),
        *(
            ask(2_000 + member, AskPut("k", f"lost by {member}"), client=member, member=member)
            for member in range(3)
        ),
        fault(1_900, "isolate_leader", ms=3_000),
        ask(7_000, Range("k"), client=3),
        end_ms=8_000,
    ),
    faults=["partition", "process"],
)
def answers_before_commit() -> Generator[None]:
    """A put is answered when it is proposed; the log may yet lose it."""
    offer = node.Node._offer

    def hasty(self: node.Node, given: Offered) -> None:
        before = self._sequence
        offer(self, given)
        proposed = self._sequence > before and self._sequence in self._waiting
        if proposed and type(given.command) is Put and not given.command.prev_kv:
            token = self._waiting.pop(self._sequence)
            self._effects.append(Reply(token, PutAnswer(self.state.revision + 1, None)))

    with swapped(node.Node, "_offer", hasty):
        yield


@WRITING.bug(
    "durability",
    row=13,
    budget=8,
    workload="register",
    members=3,
    faults=["partition", "operations"],
    directed=script(
        *(ask(900 + 10 * n, AskPut("k", str(n)), client=n % 6, member=n % 3) for n in range(600)),
        *(fault(at, "depose", ms=50) for at in range(1_200, 6_900, 400)),
        clients=6,
        link_ms=20,
        end_ms=8_000,
    ),
    link_ms=20,
    nemesis_ms=300,
    clients=12,
    think_ms=10,
    operations=500,
)
def unknown_proposals_are_tried_again() -> Generator[None]:
    """What may have been committed is proposed a second time."""
    propose = node.Node._propose

    def noting(self: node.Node, command: Command) -> int:
        sequence = propose(self, command)
        vars(self).setdefault("offered", {})[sequence] = command
        return sequence

    def again(self: node.Node, given: inputs.Lost) -> None:
        for sequence in given.sequences:
            command: Command = vars(self)["offered"][sequence]
            payload = encode(ProposalId(self.config.origin, sequence), command)
            self._effects.append(Propose(sequence, payload, command))

    with swapped(node.Node, "_propose", noting), swapped(node.Node, "_lose", again):
        yield
