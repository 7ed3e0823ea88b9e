"""V1 and V2: the stock library commits by acknowledgements that hold no more.

Each schedule runs on the stock library, which must fail, and on the engine, which must not.
"""

from pathlib import Path

import pytest

from net.raft.engine import Make
from tests.bugs.pysyncobj import schedules
from tests.bugs.pysyncobj.engine import engine_world
from tests.bugs.pysyncobj.stock import stock_world

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
"""The library leaves its files to the garbage collector."""


def test_stock_truncates_what_it_acknowledged_when_entries_come_twice(tmp_path: Path) -> None:
    with stock_world(tmp_path) as world:
        left = schedules.entries_sent_twice(world)
        judge = world.judge
        assert len(judge.lost(left)) > 40
        assert judge.contradictions


def test_stock_counts_the_acknowledgement_of_an_earlier_term(tmp_path: Path) -> None:
    with stock_world(tmp_path, 5) as world:
        left = schedules.acknowledgement_of_an_earlier_term(world)
        judge = world.judge
        assert judge.lost(left) == ["new0", "new1", "new2"]
        assert judge.contradictions


def test_the_engine_holds_what_it_acknowledged_though_entries_come_twice(make: Make) -> None:
    with engine_world(make=make) as world:
        left = schedules.entries_sent_twice(world)
        assert left == [*(f"e{number}" for number in range(60)), "new"]
        assert world.judge.broken(left) == []


def test_the_engine_counts_no_acknowledgement_of_an_earlier_term(make: Make) -> None:
    with engine_world(5, make=make) as world:
        left = schedules.acknowledgement_of_an_earlier_term(world)
        assert left == [f"last{number}" for number in range(4)]
        assert world.judge.acknowledged == left
        assert world.judge.broken(left) == []
