"""A disk that is full or fails: nothing acknowledged is lost, and the member goes on or says why.

A full disk never ends a running member: writes are refused until there is room, reads are
answered. An I/O error ends it, whatever had failed, and the next start finds everything.
"""

import pytest

from core.answers import CompactAnswer, DeleteAnswer, PutAnswer
from core.errors import NO_SPACE, Failure
from core.operations import AlarmSet, Compact, DeleteRange, Put
from sim.member import SimMember
from tests.crash.workload import ALL, Wish
from tests.crash.world import DISK_ERRORS, Broken, Counts, World

FULL_LINE = "the disk is full: writes are refused"


def fill(world: World) -> None:
    """Let the disk have so much room and no more."""
    room = world.chance.choice((0, 3 << 10, 20 << 10, 100 << 10, 300 << 10))
    world.faults.capacity_bytes = world.disk.used_bytes + room


def relieve(world: World, member: SimMember) -> None:
    """Free the disk as an operator does, disarm the alarm, and find the member usable."""
    world.faults.capacity_bytes = None
    member.now_ms += 2 * world.shape.pace.retry_ms
    member.tend_reserve()
    world.settle(member)
    for alarm in sorted(member.driver.node.state.alarms):
        told = world.answered(member, Wish(AlarmSet(*alarm, raised=False)))
        if isinstance(told, Failure):
            raise Broken(f"the alarm cannot be disarmed: {told}")
    told = world.answered(member, Wish(Put(b"/k/00", b"usable again %d" % member.now_ms)))
    if not isinstance(told, PutAnswer):
        raise Broken(f"not usable again: {told}")
    assert not member.driver.disk_full


def full_life(world: World) -> None:
    """One life in which the disk fills up, and perhaps a crash in it."""
    chance = world.chance
    member = world.start()
    world.serve(member, chance.choice((5, 40)))
    fill(world)
    world.lines.clear()
    if chance.random() < 0.4:
        world.faults.power_loss_at = world.disk.operations + chance.randint(1, 300)
    world.serve(member, chance.choice((40, 150)))
    if chance.random() < 0.5:
        # A member that found no room to begin its term has no leader, and says so by waiting.
        if member.driver.engine.role.is_leader:
            told = world.answered(member, Wish(ALL))
            assert not isinstance(told, Failure), "a full disk refuses writes, not reads"
        world.faults.power_loss_at = None
        # Once each time the reserve is given up.
        assert sum(FULL_LINE in line for line in world.lines) <= 5
        relieve(world, member)
        world.serve(member, 20)
        member.stop()
        world.member = None
    else:
        world.crash()


def full_run(seed: int) -> Counts:
    """Several lives on a disk that fills up and is freed, some of them begun on a full disk."""
    world = World(seed)
    try:
        for _ in range(3):
            world.counts.lives += 1
            try:
                full_life(world)
            except DISK_ERRORS as error:
                if not world.disk.is_dead:
                    raise Broken(f"a full disk ended the member: {error!r}") from error
                world.counts.ended += not world.disk.is_dead
                world.crash()
            if world.chance.random() < 0.5:
                world.faults.capacity_bytes = None
        world.faults.capacity_bytes = None
        member = world.start()
        relieve(world, member)
        member.stop()
        world.member = None
        world.settle(world.start())
    except Exception as error:
        error.add_note(f"seed {seed}")
        raise
    finally:
        world.end()
    return world.counts


def failing_run(seed: int) -> Counts:
    """Lives on a disk that fails now and then, in a read, a write or a sync."""
    world = World(seed)
    chance = world.chance
    try:
        for _ in range(4):
            if chance.random() < 0.5:
                at = world.disk.operations + chance.randint(1, chance.choice((60, 300, 900)))
                world.faults.errors_at = frozenset(range(at, at + chance.choice((1, 1, 5))))
            else:
                world.faults.sync_error = chance.choice((0.0, 0.05, 0.3))
                world.faults.write_error = chance.choice((0.0, 0.02))
                world.faults.read_error = chance.choice((0.0, 0.02))
            world.live()
            world.faults.errors_at = frozenset()
            world.faults.sync_error = world.faults.write_error = world.faults.read_error = 0.0
        world.run(0)
    except Exception as error:
        error.add_note(f"seed {seed}")
        raise
    finally:
        world.end()
    return world.counts


def summed(runs: list[Counts]) -> Counts:
    """Add the counts of runs, and print them."""
    total = Counts()
    for counts in runs:
        total.add(counts)
    print(f"{len(runs)} runs: {total}")
    return total


def test_a_full_disk_refuses_writes_and_loses_none() -> None:
    total = summed([full_run(seed) for seed in range(60)])
    assert min(total.refusals, total.power_losses, total.kills) > 0


def test_a_failing_disk_ends_the_member_and_loses_nothing() -> None:
    total = summed([failing_run(seed) for seed in range(60)])
    assert total.ended >= 60


@pytest.mark.slow
@pytest.mark.parametrize("block", range(6))
def test_full_and_failing_disks_lose_nothing_in_many_worlds(block: int) -> None:
    seeds = range(20_000 + block * 100, 20_100 + block * 100)
    summed([full_run(seed) for seed in seeds])
    summed([failing_run(seed) for seed in seeds])


def test_a_full_disk_still_takes_deletes_and_compactions() -> None:
    for seed in range(10):
        world = World(seed)
        member = world.start()
        world.settle(member)
        world.faults.capacity_bytes = world.disk.used_bytes
        puts = (Wish(Put(b"/k/%02d" % (n % 12), bytes(900))) for n in range(200))
        assert any(world.answered(member, put) == NO_SPACE for put in puts)
        deleted = world.answered(member, Wish(DeleteRange(b"/k/", b"/k0")))
        assert isinstance(deleted, DeleteAnswer)
        assert deleted.deleted > 0
        compacted = world.answered(member, Wish(Compact(deleted.revision)))
        assert isinstance(compacted, CompactAnswer)
        relieve(world, member)
        world.end()
