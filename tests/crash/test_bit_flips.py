"""One flipped bit anywhere in what a member keeps: it does not start, or nothing is missing.

The journal has checksums of its own, so it is damaged on the simulated disk; the store's pages are
checked by cksumvfs, which needs real files.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from core.inputs import Offered
from core.node import NodeConfig
from core.operations import Compact, DeleteRange, LeaseGrant, Put
from core.state import State
from net.disk import RealDisk
from net.driver import Synced
from net.journal import JournalDamaged, JournalUnreadable
from net.journal.scan import segment_numbers, segment_path, survey
from net.metrics import Metrics
from net.store.errors import StoreError
from net.telemetry import Logger, Sink
from server.recover import Directory, Opened, RefusedToStartError, open_member
from sim.disk import SimDisk
from sim.member import DATA, IDENTITY
from tests.crash.states import differences
from tests.crash.world import Broken, World

REFUSALS = (JournalDamaged, JournalUnreadable, RefusedToStartError, StoreError)


def flipped_journal(seed: int, *, clean: bool) -> str:
    """Flip a bit of a journal at rest, and start on it: what came of that."""
    world = World(seed)
    try:
        member = world.start()
        world.serve(member, world.chance.choice((20, 60, 150)))
        world.settle(member)
        if clean:
            member.stop()
            world.member = None
        else:
            world.modes = ("none", "all")
            world.crash()
        disk, chance = world.disk, world.chance
        places = _places(disk, whole=clean)
        if not places:
            return "started"
        path, end = chance.choice(places)
        disk.flip_bit(path, chance.randrange(end), chance.randrange(8))
        try:
            world.start()
        except Broken as refusal:
            if str(refusal).startswith("does not start:"):
                return "refused"
            raise
        except JournalUnreadable:
            return "refused"
        return "started"
    except Exception as error:
        error.add_note(f"seed {seed}, clean {clean}")
        raise
    finally:
        world.end()


def _places(disk: SimDisk, *, whole: bool) -> list[tuple[str, int]]:
    """Return segments, and up to where each is to be damaged.

    Above the recorded end of what was synced, damage looks like a torn tail: the residue that
    docs/decisions/0006 names. After a clean stop the store holds all, so nothing can get lost.
    """
    journal = f"{DATA}/journal"
    synced = survey(disk, journal).synced
    places: list[tuple[str, int]] = []
    for number in segment_numbers(disk, journal):
        path = segment_path(journal, number)
        if whole or number < synced.segment:
            places.append((path, len(disk.image(path))))
        elif number == synced.segment:
            places.append((path, synced.offset))
    return places


def flipped_journals(seeds: range) -> list[str]:
    """What came of flips after a clean stop and after a crash."""
    told = [flipped_journal(seed, clean=seed % 2 == 0) for seed in seeds]
    print(f"{len(told)} flips in journals: {told.count('refused')} refused, the others harmless")
    return told


def test_a_flipped_bit_in_the_journal_loses_nothing_silently() -> None:
    told = flipped_journals(range(60))
    assert told.count("refused") > 20


@pytest.mark.slow
def test_many_flipped_bits_in_the_journal_lose_nothing_silently() -> None:
    flipped_journals(range(40_000, 41_000))


def opened(directory: Path) -> Opened:
    where = Directory(RealDisk(), str(directory), f"{directory}/journal", segment_bytes=64 << 10)
    config = NodeConfig(0, 7, 1 << 40, 1 << 20, 1 << 20, 600_000)
    logger = Logger(Sink(lambda line: None, lambda: 0))
    return open_member(where, config, Metrics(), logger, identity=IDENTITY)


def abandon(member: Opened) -> None:
    """Let a member go as its process would: nothing is written any more."""
    member.driver.store.close()
    member.driver.journal.abandon()
    member.lock.release()


def fill(member: Opened, chance: Random) -> None:
    """Give it a history: values, deletions, leases, a compaction."""
    driver = member.driver
    now_ms = 0

    def turn(*commands: object) -> None:
        nonlocal now_ms
        now_ms += 10
        pending = [Offered(None, command, 10) for command in commands]  # type: ignore[arg-type]
        io = driver.turn(now_ms, pending)
        while io.sync or io.busy:
            driver.journal.sync()
            io = driver.turn(now_ms, [Synced(io.sync)] if io.sync else [])

    turn()
    turn(LeaseGrant(5, 600))
    for number in range(60):
        key = b"/k/%d" % (number % 20)
        turn(
            Put(key, chance.randbytes(chance.choice((10, 300, 2000))), 5 if number % 7 == 0 else 0)
        )
    turn(DeleteRange(b"/k/3"))
    turn(Compact(30))
    turn()
    driver.flush_now(now_ms)


def flipped_stores(
    tmp_path: Path, chance: Random, flips: int, stop: Callable[[Opened, Path], None], name: str
) -> tuple[int, int]:
    """Flip one bit of a file at rest, so many times; count the refused starts and the good ones."""
    member = opened(tmp_path / "whole")
    fill(member, chance)
    wanted = member.driver.node.state
    stop(member, tmp_path)
    refused = started = 0
    for _ in range(flips):
        directory = tmp_path / "flipped"
        shutil.copytree(tmp_path / "whole", directory)
        with (directory / name).open("r+b") as file:
            size = file.seek(0, 2)
            at = chance.randrange(size)
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes((byte ^ 1 << chance.randrange(8),)))
        try:
            again = opened(directory)
        except REFUSALS:
            refused += 1
        else:
            started += 1
            check(again.driver.node.state, wanted)
            abandon(again)
        shutil.rmtree(directory)
    print(f"{flips} flips in {name}: {refused} refused, {started} harmless")
    return refused, started


def check(state: State, wanted: State) -> None:
    """A member that starts has everything; what it did at its start moves only the index."""
    told = [line for line in differences(state, wanted) if "applied_" not in line]
    assert not told, told


def stop_cleanly(member: Opened, _: Path) -> None:
    member.close()


def stop_abruptly(member: Opened, tmp_path: Path) -> None:
    """Leave the files as a kill does, with a WAL beside the database."""
    shutil.copytree(tmp_path / "whole", tmp_path / "copy")
    abandon(member)
    shutil.rmtree(tmp_path / "whole")
    (tmp_path / "copy").rename(tmp_path / "whole")


def test_a_flipped_bit_in_the_store_is_found(tmp_path: Path) -> None:
    refused, _ = flipped_stores(tmp_path, Random(1), 40, stop_cleanly, "state-1.db")
    assert refused > 20


def test_a_flipped_bit_in_the_stores_log_costs_nothing(tmp_path: Path) -> None:
    _, started = flipped_stores(tmp_path, Random(2), 30, stop_abruptly, "state-1.db-wal")
    assert started > 0


@pytest.mark.slow
def test_many_flipped_bits_in_the_store_are_found(tmp_path: Path) -> None:
    flipped_stores(tmp_path / "a", Random(3), 500, stop_cleanly, "state-1.db")
    flipped_stores(tmp_path / "b", Random(4), 300, stop_abruptly, "state-1.db-wal")
    flipped_stores(tmp_path / "c", Random(5), 300, stop_abruptly, "state-1.db")


def test_the_data_directory_of_the_simulation_is_where_these_tests_look() -> None:
    world = World(1)
    world.start()
    assert any(path.startswith(f"{DATA}/journal/") for path in world.disk.paths())
    world.end()
