"""Disks that fail, fill up, are slow or rot, under whole members.

The rule of this file: after each fault the member serves everything it acknowledged, or it refuses
to serve and says why; it never serves anything else.
"""

import pytest
from attrs import evolve

from core.ids import Index, Term
from net.journal import PACK, Frame
from net.replicator import Entry
from sim.ops import Failed, Op, Put, PutDone, Range, RangeDone, Unknown
from tests.tier2_world import Told, play

NO_SPACE = Failed("etcdserver: mvcc: database space exceeded")


def puts(count: int, size: int = 500) -> list[Op]:
    """Writes of unique values to a few keys."""
    return [Put(f"k{number % 7}", f"{number}:" + "x" * size) for number in range(count)]


async def serving(told: Told) -> bool:
    """Start the member; say whether it serves before long."""
    told.cluster.start(0)
    await told.pass_ms(1_000)
    return told.cluster.machines[0].serves


async def everything_is_there(told: Told) -> None:
    """Read back: the head is the newest acknowledged write, or one of unknown outcome behind it."""
    found = await told.ask(Range("k", "l"))
    acknowledged = [each.rev for each in told.answers if isinstance(each, PutDone)]
    assert isinstance(found, RangeDone)
    assert max(kv.mod for kv in found.kvs) >= max(acknowledged)


@pytest.mark.parametrize("what", ["sync", "write", "read"])
def test_an_io_error_ends_the_member_and_loses_nothing(what: str) -> None:
    async def script(told: Told) -> None:
        cluster, machine = told.cluster, told.cluster.machines[0]
        assert await serving(told)
        told.keep_asking(puts(60))
        await told.pass_ms(100)
        cluster.disk_fail(0, what)
        await told.pass_ms(500)
        if what == "read":
            cluster.crash(0, "all")
            await told.pass_ms(100)
            cluster.disk_fail(0, what)
            assert not await serving(told)
            assert machine.is_refused
        assert not cluster.is_up(0)
        assert "simulated" in machine.fatal
        assert await serving(told)
        await everything_is_there(told)
        assert cluster.faults == []

    play(script)


def test_a_full_disk_refuses_writes_until_it_has_room_and_loses_none() -> None:
    async def script(told: Told) -> None:
        cluster = told.cluster
        assert await serving(told)
        told.keep_asking(puts(30))
        await told.pass_ms(200)
        cluster.disk_full(0, full=True)
        told.keep_asking(puts(60, 3_000))
        await told.pass_ms(1_000)
        assert NO_SPACE in told.answers
        assert cluster.is_up(0)
        await everything_is_there(told)
        cluster.disk_full(0, full=False)
        await told.pass_ms(15_000)
        assert cluster.machines[0].serves
        await everything_is_there(told)
        assert cluster.faults == []

    play(script)


def test_what_is_applied_is_on_the_platter_and_what_is_not_synced_is_not() -> None:
    async def script(told: Told) -> None:
        cluster = told.cluster
        assert await serving(told)
        machine = cluster.machines[0]
        assert machine.running is not None
        journal = machine.running.opened.driver.journal
        last = [Entry(*each) for each in journal.read(Index(1), journal.last_index)]
        assert last
        assert all(map(machine.has_durably, last))
        written = Entry(journal.last_index + 1, last[-1].term, b"not synced")
        journal.append([Frame(PACK, Term(written.term), Index(written.index), written.payload)])
        assert not machine.has_durably(written)
        journal.sync()
        assert machine.has_durably(written)
        assert not machine.has_durably(evolve(written, payload=b"another"))

    play(script)


def test_a_slow_disk_makes_writes_late_and_reads_not() -> None:
    async def script(told: Told) -> None:
        assert await serving(told)
        assert isinstance(await told.ask(Put("k", "1")), PutDone)
        told.cluster.disk_slow(0, 700)
        assert await told.ask(Put("k", "2"), deadline_ms=500) == Unknown("deadline")
        assert isinstance(await told.ask(Range("k"), deadline_ms=100), RangeDone)
        told.cluster.disk_slow(0, 0)
        await told.pass_ms(1_000)
        assert isinstance(await told.ask(Put("k", "3")), PutDone)

    play(script)


@pytest.mark.parametrize("file", ["journal", "store"])
@pytest.mark.parametrize("what", ["bit_rot", "truncate"])
def test_damage_is_refused_or_harmless(what: str, file: str) -> None:
    refused: list[int] = []

    async def script(told: Told) -> None:
        cluster = told.cluster
        assert await serving(told)
        told.keep_asking(puts(80))
        await told.pass_ms(1_000)
        if permille % 2:
            cluster.crash(0, "all")
        else:
            cluster.machines[0].stop(100)
        await told.pass_ms(300)
        damage = cluster.machines[0].damage
        assert damage(what, file, at_permille=permille, bit=permille)
        if await serving(told):
            await everything_is_there(told)
        else:
            assert cluster.machines[0].is_refused
            assert cluster.machines[0].fatal
            refused.append(permille)

    for permille in range(0, 1_001, 67):
        play(script, seed=permille)
    assert refused
