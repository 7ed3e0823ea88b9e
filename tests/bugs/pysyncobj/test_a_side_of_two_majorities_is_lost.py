"""V5: the stock library lets two changes of membership be open at once."""

from pathlib import Path

import pytest

from net.raft.engine import Make
from tests.bugs.pysyncobj import schedules
from tests.bugs.pysyncobj.engine import engine_world
from tests.bugs.pysyncobj.stock import stock_world

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def test_stock_has_two_majorities_after_two_members_joined_at_once(tmp_path: Path) -> None:
    with stock_world(tmp_path, 5, members=(1, 2, 3)) as world:
        left = schedules.two_members_join_at_once(world)
        judge = world.judge
        assert judge.joined == ["4", "5"]
        assert judge.acknowledged == ["one side", "other side"]
        assert judge.lost(left) == ["one side"]


def test_the_engine_lets_one_member_join_after_the_other(make: Make) -> None:
    with engine_world(5, members=(1, 2, 3), make=make) as world:
        left = schedules.two_members_join_at_once(world)
        assert world.judge.joined == []
        assert world.judge.acknowledged == left == ["other side"]
        assert world.judge.broken(left) == []
