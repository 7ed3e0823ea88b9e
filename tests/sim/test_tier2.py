"""The rule of this file: whole members, from bytes to SQLite; nothing waits in real time."""

import pytest

from sim.ops import NO_CONNECTION, Failed, Op, Put, PutDone, Range, RangeDone, Txn, Unknown
from sim.plan import Options
from sim.platter import Survival
from sim.tier2_clock import seed_scheduler
from sim.wire import CHANNELS
from tests.processes import told_everywhere
from tests.tier2_world import Told, play

KEY = "k"


def test_trio_can_still_be_told_in_which_order_its_tasks_run() -> None:
    """If this fails after an upgrade of trio, its private switch has moved: see seed_scheduler."""
    seed_scheduler("1")


@pytest.mark.parametrize("survival", ["none", "prefix", "subset", "all"])
def test_a_member_that_ended_comes_back_with_all_it_acknowledged(survival: Survival) -> None:
    async def script(told: Told) -> None:
        cluster = told.cluster
        cluster.start(0)
        await told.pass_ms(500)
        puts: list[Op] = [Put(KEY, f"v{number}") for number in range(100)]
        told.keep_asking(puts)
        await told.pass_ms(150)
        cluster.crash(0, survival)
        await told.pass_ms(50)
        cluster.start(0)
        await told.pass_ms(1_000)
        found = await told.ask(Range(KEY))
        acknowledged = [each.rev for each in told.answers if isinstance(each, PutDone)]
        lost = [each for each in told.answers if isinstance(each, Unknown | Failed)]
        assert isinstance(found, RangeDone)
        assert acknowledged
        assert lost
        assert max(acknowledged) == found.kvs[0].mod
        assert cluster.faults == []

    play(script)


def test_a_machine_without_power_tells_nobody_a_killed_process_does() -> None:
    async def script(told: Told, survival: Survival) -> None:
        told.cluster.start(0)
        await told.pass_ms(500)
        for _ in range(CHANNELS):
            await told.ask(Range(KEY))
        told.cluster.ask(0, Put(KEY, "1"), 700, told.answers.append)
        await told.pass_ms(0)
        told.cluster.crash(0, survival)
        await told.pass_ms(100)

    async def killed(told: Told) -> None:
        await script(told, "all")
        assert told.answers == [Unknown("connection reset by peer")]

    async def dark(told: Told) -> None:
        await script(told, "none")
        assert told.answers == []
        await told.pass_ms(700)
        assert told.answers == [Unknown("deadline")]

    play(killed)
    play(dark)


def test_a_connection_that_never_stood_proves_that_nobody_was_asked() -> None:
    async def script(told: Told) -> None:
        told.cluster.ask(0, Put(KEY, "1"), 700, told.answers.append)
        await told.pass_ms(100)
        assert told.answers == [Failed(NO_CONNECTION)]

    play(script)


def test_an_error_that_proves_something_is_told_apart_from_one_that_does_not() -> None:
    async def script(told: Told) -> None:
        told.cluster.start(0)
        await told.pass_ms(500)
        told.answers.append(await told.ask(Range(KEY, rev=99)))
        told.answers.append(await told.ask(Put(KEY, "1", lease=7)))
        twice = Txn((), (Put(KEY, "1"), Put(KEY, "2")))
        told.answers.append(await told.ask(twice))
        assert told.answers == [
            Failed("etcdserver: mvcc: required revision is a future revision"),
            Failed("etcdserver: requested lease not found"),
            Failed("etcdserver: duplicate key given in txn request"),
        ]

    play(script)


def test_a_stopped_process_says_nothing_and_goes_on() -> None:
    async def script(told: Told) -> None:
        cluster = told.cluster
        cluster.start(0)
        await told.pass_ms(500)
        cluster.pause(0, on=True)
        assert await told.ask(Put(KEY, "1"), deadline_ms=300) == Unknown("deadline")
        cluster.pause(0, on=False)
        answer = await told.ask(Put(KEY, "2"))
        assert isinstance(answer, PutDone)

    play(script)


def test_a_leader_that_is_stopped_lets_another_lead_before_it_ends() -> None:
    async def script(told: Told) -> None:
        cluster = told.cluster
        for member in range(3):
            cluster.start(member)
        await told.pass_ms(3_000)
        first = cluster.leader()
        assert first is not None
        cluster.stop(first)
        while cluster.leader() in (None, first):
            assert cluster.is_up(first)
            await told.pass_ms(1)
        cluster.start(first)
        await told.pass_ms(1_000)
        assert cluster.machines[first].lives == 2
        assert cluster.settled() == ""

    play(script, options=Options(members=3, engine="raft"))


PROGRAM = """
from sim.ops import Put
from tests.tier2_world import play
async def script(told):
    told.cluster.start(0)
    await told.pass_ms(300)
    told.keep_asking([Put("k", str(n)) for n in range(50)])
    await told.pass_ms(100)
    told.cluster.crash(0, "subset")
    await told.pass_ms(100)
    told.cluster.start(0)
    await told.pass_ms(500)
print(play(script, seed=9).digest())
"""


def test_a_seed_decides_everything_whatever_the_process() -> None:
    assert len(set(told_everywhere(PROGRAM))) == 1
