"""The local engine as a table: what it is told, what it asks for, step by step."""

from collections.abc import Sequence

import pytest
from attrs import frozen

from net.local import LocalEngine
from net.replicator import (
    NOTHING,
    Change,
    ChangeKind,
    ChangeMember,
    Entry,
    HardState,
    LogBounds,
    Outcome,
    Persist,
    Persisted,
    PersistRefused,
    Propose,
    RaftInput,
    RaftOutput,
    ReadIndex,
    Role,
    SnapshotTaken,
    Tick,
    Transfer,
)

ME = 5


@frozen
class Step:
    """Inputs of one step, and the whole output."""

    told: Sequence[RaftInput]
    asks: RaftOutput


def out(
    *persist: Persist,
    apply: Sequence[Entry] = (),
    read_ready: Sequence[tuple[int, int]] = (),
    resolved: Sequence[Outcome] = (),
    role: Role | None = None,
    transferred: Sequence[tuple[int, bool]] = (),
) -> RaftOutput:
    asked = RaftOutput(list(persist), (), list(apply), list(read_ready), list(resolved), role)
    return asked._replace(transferred=list(transferred))


VOTE = Persist(1, HardState(1, ME, 0), append=[Entry(1, 1, b"")])
ELECTED = out(apply=[Entry(1, 1, b"")], role=Role(1, ME, True))
LEADING = [Step([Tick()], out(VOTE)), Step([Persisted(1)], ELECTED)]


def written(sequence: int, *entries: Entry) -> Persist:
    return Persist(sequence, append=list(entries))


A, B, C = Entry(2, 1, b"a"), Entry(3, 1, b"b"), Entry(4, 1, b"c")

TABLE: dict[str, list[Step]] = {
    "leads once its vote and its first pack are durable": [
        *LEADING,
        Step([Tick()], out()),
    ],
    "refuses proposals before it leads": [
        Step([Propose(7, b"a")], out(resolved=[Outcome(7, True)])),
        Step([Tick(), Propose(8, b"a")], out(VOTE, resolved=[Outcome(8, True)])),
    ],
    "keeps reads until it leads": [
        Step([ReadIndex(1), Tick()], out(VOTE)),
        Step([ReadIndex(2)], out()),
        Step(
            [Persisted(1)],
            out(apply=[Entry(1, 1, b"")], read_ready=[(1, 1), (2, 1)], role=Role(1, ME, True)),
        ),
        Step([ReadIndex(3)], out(read_ready=[(3, 1)])),
    ],
    "applies a pack when it is durable, and not before": [
        *LEADING,
        Step([Propose(1, b"a")], out(written(2, A))),
        Step([ReadIndex(4)], out(read_ready=[(4, 1)])),
        Step([Persisted(2)], out(apply=[A])),
        Step([ReadIndex(5)], out(read_ready=[(5, 2)])),
    ],
    "takes a later sync for the earlier ones too": [
        *LEADING,
        Step([Propose(1, b"a"), Propose(2, b"b")], out(written(2, A), written(3, B))),
        Step([Propose(3, b"c")], out(written(4, C))),
        Step([Persisted(3)], out(apply=[A, B])),
        Step([Persisted(2)], out()),
        Step([Persisted(4)], out(apply=[C])),
    ],
    "takes back what the disk refused, and all after it": [
        *LEADING,
        Step([Propose(1, b"a"), Propose(2, b"b")], out(written(2, A), written(3, B))),
        Step([Propose(3, b"c")], out(written(4, C))),
        Step([PersistRefused(3)], out(resolved=[Outcome(3, True), Outcome(2, True)])),
        Step([PersistRefused(4)], out()),
        Step([Persisted(2)], out(apply=[A])),
        Step([Propose(9, b"x")], out(written(5, Entry(3, 1, b"x")))),
    ],
    "lets the log be cut where nothing else makes room": [
        *LEADING,
        Step([Propose(1, b"a")], out(written(2, A))),
        Step([PersistRefused(2, 1)], out(Persist(0, drop_to=1), resolved=[Outcome(1, True)])),
    ],
    "stands for election again if the disk had no room for its vote": [
        Step([Tick()], out(VOTE)),
        Step([PersistRefused(1)], out()),
        Step([Tick()], out(Persist(2, HardState(1, ME, 0), append=[Entry(1, 1, b"")]))),
        Step([Persisted(2)], ELECTED),
    ],
    "lets the log be cut where the store has it": [
        *LEADING,
        Step([SnapshotTaken(1, 0)], out(Persist(0, drop_to=1))),
    ],
    "has nobody to lead in its place, and leads where it is asked to": [
        *LEADING,
        Step([Transfer(1, 2)], out(transferred=[(1, False)])),
        Step([Transfer(2, ME)], out(transferred=[(2, True)])),
    ],
    "orders no change of members": [
        *LEADING,
        Step(
            [ChangeMember(1, b"x", Change(ChangeKind.ADD_VOTER, 2))],
            out(resolved=[Outcome(1, True)]),
        ),
    ],
}


@pytest.mark.parametrize("name", TABLE)
def test_the_local_engine(name: str) -> None:
    engine = LocalEngine(ME, LogBounds())
    for number, step in enumerate(TABLE[name]):
        assert engine.step(number, step.told) == step.asks, f"step {number}"


def test_a_restarted_engine_goes_on_in_the_next_term_after_the_last_index() -> None:
    engine = LocalEngine(ME, LogBounds(HardState(6, ME, 3), 40, 6, 38))
    assert engine.commit_index == 40
    vote = Persist(1, HardState(7, ME, 40), append=[Entry(41, 7, b"")])
    assert engine.step(0, [Tick()]) == out(vote)
    assert engine.role == Role(7, 0, False)
    engine.step(0, [Persisted(1)])
    assert engine.role == Role(7, ME, True)
    assert engine.commit_index == 41


def test_nothing_told_is_nothing_asked() -> None:
    engine = LocalEngine(ME, LogBounds())
    silent = engine.step(0, [])
    assert not any((silent.persist, silent.send, silent.apply, silent.read_ready, silent.resolved))
    assert silent.role is NOTHING.role
