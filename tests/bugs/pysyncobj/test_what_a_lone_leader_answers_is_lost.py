"""V6: the stock library believes a commit index that outlived the log it speaks of."""

from pathlib import Path

import pytest

from net.raft.engine import Make
from tests.bugs.pysyncobj import schedules
from tests.bugs.pysyncobj.engine import engine_world
from tests.bugs.pysyncobj.stock import stock_world

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def test_stock_answers_alone_after_a_power_loss_kept_its_commit_index(tmp_path: Path) -> None:
    with stock_world(tmp_path) as world:
        left = schedules.power_fails_everywhere(world)
        judge = world.judge
        lost = judge.lost(left)
        # Nothing is ever synced: so what was acknowledged and not written back is gone, too.
        assert lost[:22] == [f"b{number}" for number in range(22)]
        assert lost[22:] == [f"alone{number}" for number in range(5)]
        assert judge.contradictions


def test_the_engine_answers_nothing_alone_and_lost_nothing_to_the_power(make: Make) -> None:
    with engine_world(make=make) as world:
        left = schedules.power_fails_everywhere(world)
        written = [f"a{number}" for number in range(18)] + [f"b{number}" for number in range(22)]
        assert left == [*written, "new"]
        assert world.judge.broken(left) == []
