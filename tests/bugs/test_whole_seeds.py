"""Plans on whole members that were red once, by what was wrong."""

from sim.generate import make_plan
from sim.run import run


def test_a_store_that_lost_its_tail_is_not_taken_for_whole() -> None:
    """A page cut in half reads as zeros, and no checksum is asked for half a page."""
    options = {"members": 3, "engine": "perfect", "operations": 500, "value_bytes": 10}
    plan = make_plan(27, {**options, "duration_ms": 60_000}, tier=2)
    assert run(plan, tier=2).broken is None
