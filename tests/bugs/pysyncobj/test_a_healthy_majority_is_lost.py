"""V7: the stock library goes back over a conflict and forgets how far it went, for ever."""

from pathlib import Path

import pytest

from net.raft.engine import Make
from tests.bugs.pysyncobj import schedules
from tests.bugs.pysyncobj.engine import engine_world
from tests.bugs.pysyncobj.stock import stock_world

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def test_stock_never_catches_a_follower_up_whose_tail_differs(tmp_path: Path) -> None:
    with stock_world(tmp_path) as world:
        left = schedules.follower_with_another_tail(world)
        assert world.machines[1].last_index < 10
        assert world.machines[2].leads
        # A majority is up and connected, and answers nothing for half a minute.
        assert world.judge.acknowledged[-1] == "b399"
        assert "after" not in left


def test_the_engine_catches_a_follower_up_whose_tail_differs(make: Make) -> None:
    with engine_world(make=make) as world:
        left = schedules.follower_with_another_tail(world)
        assert left[-1] == "after"
        assert list(world.machines[1].names) == left
        assert world.judge.broken(left) == []
