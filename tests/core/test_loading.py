"""A state that is stored as rows and loaded again is the same state, in every field."""

from collections.abc import Iterator
from random import Random

import pytest

from core.compaction import is_scrubbed
from core.effects import Erase
from core.invariants import check
from core.loading import BrokenStateError, Facts, Row, load
from core.machine import Applied, LeaseGone, LeaseGranted
from core.state import State
from tests.scripting import World


class Rows(World):
    """A world whose changes are kept as the store would keep them."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.leases: dict[int, tuple[int, int, int]] = {}
        super().__init__()

    def _perform(self, effect: object) -> None:
        if isinstance(effect, Applied):
            for sub, change in enumerate(effect.changes):
                self.rows[change.number] = (
                    change.number, change.mod, sub, change.key, change.create, change.version,
                    0, change.lease, change.is_tombstone,
                    None if change.is_tombstone else change.value,
                )  # fmt: skip
            for fact in effect.facts:
                if isinstance(fact, LeaseGranted):
                    self.leases[fact.id] = (fact.id, fact.ttl_s, fact.generation)
                elif isinstance(fact, LeaseGone):
                    del self.leases[fact.id]
        elif isinstance(effect, Erase):
            for number in effect.numbers:
                self.rows.pop(number, None)
        super()._perform(effect)  # type: ignore[arg-type]  # the union of effects

    def reload(self, chunk: int = 4) -> tuple[State, list[int]]:
        state = self.node.state
        facts = Facts(
            state.applied_index, state.applied_term, state.revision, state.compact_revision,
            state.change_count, state.chain_hash, list(self.leases.values()),
            sorted(state.alarms),
        )  # fmt: skip
        rows = [self.rows[number] for number in sorted(self.rows)]
        return load(facts, [rows[at : at + chunk] for at in range(0, len(rows), chunk)])


def random_lines(random: Random) -> Iterator[str]:
    key = lambda: f"/{random.choice('abcdef')}"  # noqa: E731  # a verb of this test
    revision = 1
    for _ in range(random.randrange(1, 60)):
        revision += 1
        match random.randrange(10):
            case 0 | 1 | 2 | 3:
                yield f"put {key()} {random.choice(['-', 'x', 'y*50'])}"
            case 4 | 5:
                yield f"delete {key()}"
            case 6:
                yield f"txn if then put {key()} 1 ; delete {key()} ; put {key()} 2 else get /a"
            case 7:
                yield f"grant {random.randrange(1, 4)} 60"
            case 8:
                yield f"put {key()} z lease={random.randrange(1, 4)}"
            case _:
                yield f"compact {random.randrange(1, revision + 2)}"
                if random.random() < 0.5:
                    yield "work"


@pytest.mark.parametrize("seed", range(150))
def test_a_stored_state_loads_as_it_was(seed: int) -> None:
    world = Rows()
    for line in random_lines(Random(seed)):
        world.run(line)
    loaded, dead = world.reload(chunk=1 + seed % 7)
    check(loaded)
    for number in dead:
        del world.rows[number]
    world.do_work("")
    state = world.node.state
    assert is_scrubbed(state)
    for name in ("revision", "compact_revision", "change_count", "resident_bytes", "live_hash",
                 "chain_hash", "leases", "alarms"):  # fmt: skip
        assert getattr(loaded, name) == getattr(state, name), name
    assert loaded.index.live == state.index.live
    assert loaded.index.history == state.index.history
    first = max(loaded.changes.first, state.changes.first)
    for revision in range(first, state.revision + 1):
        assert loaded.changes.at(revision) == state.changes.at(revision)
    assert loaded.state_hash() == state.state_hash()


def test_a_missing_revision_is_not_loaded() -> None:
    world = Rows()
    for line in ("put /a 1", "put /a 2", "put /a 3"):
        world.run(line)
    del world.rows[2]
    with pytest.raises(BrokenStateError, match="revision 3 has no change row"):
        world.reload()


def test_a_missing_tail_is_not_loaded() -> None:
    world = Rows()
    for line in ("put /a 1", "put /a 2"):
        world.run(line)
    del world.rows[2]
    with pytest.raises(BrokenStateError, match="rows end at revision 2, the store says 3"):
        world.reload()
