"""V3 and V4: the stock library takes a part of a snapshot for the whole."""

from pathlib import Path

import pytest

from net.raft.engine import Make
from tests.bugs.pysyncobj import schedules
from tests.bugs.pysyncobj.engine import engine_world
from tests.bugs.pysyncobj.stock import stock_world

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def test_stock_commits_by_the_first_chunk_of_a_snapshot_what_it_does_not_hold(
    tmp_path: Path,
) -> None:
    with stock_world(tmp_path, dumps=True) as world:
        left = schedules.first_chunk_of_a_snapshot(world)
        judge = world.judge
        assert judge.lost(left) == [f"tail{number}" for number in range(5)]
        assert judge.contradictions


def test_stock_acknowledges_a_snapshot_of_which_chunks_are_missing(tmp_path: Path) -> None:
    with stock_world(tmp_path, dumps=True) as world:
        left = schedules.connection_lost_within_a_snapshot(world)
        judge = world.judge
        assert set(judge.lost(left)) >= {f"alone{number}" for number in range(5)}
        assert judge.contradictions


def test_the_engine_commits_nothing_by_a_snapshot_but_what_it_covers(make: Make) -> None:
    with engine_world(make=make) as world:
        left = schedules.first_chunk_of_a_snapshot(world)
        assert len(world.judge.acknowledged) == 35
        assert list(world.machines[1].names) == left
        assert world.judge.broken(left) == []


def test_the_engine_takes_no_snapshot_of_which_chunks_are_missing(make: Make) -> None:
    with engine_world(make=make) as world:
        left = schedules.connection_lost_within_a_snapshot(world)
        assert world.judge.acknowledged == [f"new{number}" for number in range(30)]
        assert world.judge.broken(left) == []
