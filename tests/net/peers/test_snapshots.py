"""Snapshots between whole members: over links that break, for one or several who lag."""

import itertools
import json
from pathlib import Path

import pytest

from core.operations import Put
from net.disk import DiskFull
from net.peers.limits import BACKUP_KEPT_MS, PACE_MS
from net.peers.staging import Part
from net.peers.stream import Chunk, Outgoing
from net.store import snapshot
from tests.peer_world import PeerWorld, Whole

VALUE = bytes(200_000)


def keys(whole: Whole) -> list[bytes]:
    """The keys that a member has."""
    state = whole.driver.node.state
    return [each for number in range(100) if (each := b"%d" % number) in state.index.live]


def write(leader: Whole, world: PeerWorld, count: int, *, first: int = 0) -> None:
    """Put so many keys, one pack each."""
    for number in range(first, first + count):
        leader.offer(Put(b"%d" % number, VALUE))
        world.run(10)
    world.run(100)


def backups(whole: Whole) -> list[str]:
    """The copies of its store that a member has made and still keeps."""
    directory = whole.world.directory / f"m{whole.id}"
    return sorted(path.name for path in directory.glob("snapshot-sent-*"))


@pytest.fixture
def world(tmp_path: Path) -> PeerWorld:
    return PeerWorld(tmp_path, 3, kept_entries=0)


def lagging(world: PeerWorld) -> tuple[Whole, int]:
    """Have one member miss so much that the leader's log is cut; return leader and that member."""
    leader = world.leader()
    away = next(each for each in world.wholes if each != leader.id)
    world.kill(away)
    leader = world.leader()
    write(leader, world, 30)
    leader.cut_log()
    world.run(100)
    assert leader.driver.journal.first_index > 20
    return leader, away


def test_a_member_far_behind_gets_a_snapshot_and_what_came_after(world: PeerWorld) -> None:
    leader, away = lagging(world)
    world.begin(away, range(1, 4))
    world.run(3_000)
    back = world.wholes[away]
    write(world.leader(), world, 3, first=30)
    assert keys(back) == [b"%d" % number for number in range(33)]
    assert back.driver.node.state.state_hash() == leader.driver.node.state.state_hash()
    assert back.jobs_done["stage"] == 1
    assert not back.busy.is_receiving
    world.close()


def test_a_stream_that_breaks_goes_on_where_it_was(world: PeerWorld) -> None:
    leader, away = lagging(world)
    world.breaks_after = 2_500_000
    world.begin(away, range(1, 4))
    back = world.wholes[away]
    for _ in range(4):
        world.run(400, step_ms=5)
    world.breaks_after = None
    world.run(3_000)
    assert keys(back) == [b"%d" % number for number in range(30)]
    assert back.jobs_done["stage"] == 1
    assert backups(leader) == ["snapshot-sent-1.tmp"]
    told = [json.loads(line) for line in world.nodes[away].lines]
    begun = [line["from-byte"] for line in told if line["msg"] == "receiving a snapshot"]
    assert len(begun) > 2
    assert begun == sorted(set(begun))
    world.close()


def test_who_is_served_meanwhile_has_room_between_two_pieces(world: PeerWorld) -> None:
    leader, away = lagging(world)
    world.begin(away, range(1, 4))
    read_at: list[int] = []
    while away not in world.wholes or not keys(world.wholes[away]):
        leader.driver.metrics.put_total += 1
        world.run(1, step_ms=1)
        read_at += [world.now_ms] * (leader.jobs_done.get("read", 0) - len(read_at))
        assert len(read_at) < 100
    pauses = [after - before for before, after in itertools.pairwise(read_at)]
    assert len(pauses) > 10
    assert min(pauses) == PACE_MS
    world.close()


def test_two_members_far_behind_share_one_backup(tmp_path: Path) -> None:
    world = PeerWorld(tmp_path, 5, kept_entries=0)
    leader = world.leader()
    away = [each for each in world.wholes if each != leader.id][:2]
    for each in away:
        world.kill(each)
    leader = world.leader()
    write(leader, world, 10)
    leader.cut_log()
    world.run(100)
    for each in away:
        world.begin(each, range(1, 6))
    world.run(3_000)
    assert [len(keys(world.wholes[each])) for each in away] == [10, 10]
    assert backups(leader) == ["snapshot-sent-1.tmp"]
    world.run(BACKUP_KEPT_MS + 1_000, step_ms=100)
    assert not list((tmp_path / f"m{leader.id}").glob("snapshot-*"))
    world.close()


def test_a_snapshot_that_is_damaged_under_way_is_refused_and_sent_again(
    world: PeerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, away = lagging(world)
    read = Outgoing.read
    damage = [b"\xff"]

    def bent(outgoing: Outgoing, data: bytes) -> list[Chunk]:
        return read(outgoing, damage.pop() + data[1:] if damage else data)

    monkeypatch.setattr(Outgoing, "read", bent)
    world.begin(away, range(1, 4))
    world.run(8_000)
    back = world.wholes[away]
    assert keys(back) == [b"%d" % number for number in range(30)]
    assert back.jobs_done["stage"] == 2
    assert "a received snapshot is of no use" in "".join(world.nodes[away].lines)
    world.close()


def test_a_member_that_copies_its_store_takes_no_snapshot_meanwhile(world: PeerWorld) -> None:
    _, away = lagging(world)
    world.begin(away, range(1, 4))
    back = world.wholes[away]
    back.busy.is_defragmenting = True
    world.run(3_000)
    assert "stage" not in back.jobs_done
    back.busy.is_defragmenting = False
    world.run(8_000)
    assert len(keys(back)) == 30
    world.close()


@pytest.mark.parametrize("what", ["write", "finish", "install"])
def test_a_disk_without_room_keeps_nothing_of_a_snapshot_and_gets_it_later(
    world: PeerWorld, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    _, away = lagging(world)
    owner = snapshot if what == "install" else Part
    done = getattr(owner, what)
    full = [DiskFull("m")]

    def refuse(*given: object, **named: object) -> object:
        if full:
            raise full.pop()
        return done(*given, **named)

    monkeypatch.setattr(owner, what, refuse)
    world.begin(away, range(1, 4))
    world.run(8_000)
    back = world.wholes[away]
    assert keys(back) == [b"%d" % number for number in range(30)]
    generations = {path.name for path in (world.directory / f"m{away}").glob("state-*.db")}
    assert generations == {f"state-{back.driver.store.generation}.db"}
    assert not full
    world.close()
