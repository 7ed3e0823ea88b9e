"""What a compaction made invisible is freed to the last version, however the slices fall."""

from random import Random

import pytest

from core.compaction import compact, is_scrubbed, scrub_step
from core.invariants import check
from core.state import State
from core.writes import Writer, put_one


def written(seed: int, revisions: int) -> State:
    """A state in which few keys were put and deleted many times."""
    random = Random(seed)
    state = State()
    for _ in range(revisions):
        key = random.choice((b"/a", b"/b", b"/c"))
        if key in state.index.live and random.random() < 0.3:
            writer = Writer(state)
            writer.delete(key)
            writer.commit()
        else:
            put_one(state, key, b"x", 0)
    return state


@pytest.mark.parametrize("revisions", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(20))
def test_the_dead_rows_do_not_depend_on_the_slices(seed: int, revisions: int) -> None:
    at_once, in_slices = written(seed, 40), written(seed, 40)
    for target in (12, 13, 30):
        assert compact(at_once, target) is None
        assert compact(in_slices, target) is None
        whole = scrub_step(at_once, revisions=1000)
        parts: list[int] = []
        while not is_scrubbed(in_slices):
            parts += scrub_step(in_slices, revisions=revisions)
        assert sorted(parts) == sorted(whole)
        check(at_once)
        check(in_slices)
    assert in_slices.index.history == at_once.index.history
    assert in_slices.resident_bytes == at_once.resident_bytes
