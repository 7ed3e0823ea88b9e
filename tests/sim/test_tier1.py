"""Tier 1 as a whole: plans run clean, the same in every process, and what is wrong is seen."""

from collections.abc import Sequence
from random import Random

import pytest

from core.node import Node
from sim.check import check
from sim.generate import make_plan
from sim.ops import PutDone, Unknown
from sim.plan import Item, Options, Plan
from sim.platter import Survival
from sim.run import Run, run
from sim.tier1_disk import MachineDisk
from tests.processes import told_everywhere

ALL = ("message", "partition", "clock", "process", "disk", "operations", "client")


def swarm(seed: int, **options: object) -> Plan:
    """A short plan with all faults on."""
    given = {"duration_ms": 10_000, "operations": 80, "faults": ALL, "nemesis_ms": 500, **options}
    return make_plan(seed, given)


def classes(done: Run) -> list[str]:
    """What is wrong with a run."""
    if done.broken is not None:
        return [str(done.broken).split(":")[0]]
    return [verdict.klass for verdict in check(done.history)]


@pytest.mark.parametrize("seed", range(12))
def test_a_run_with_all_faults_is_clean(seed: int) -> None:
    assert classes(run(swarm(seed))) == []


@pytest.mark.parametrize("members", [1, 5])
def test_so_is_one_of_fewer_or_more_members(members: int) -> None:
    assert classes(run(swarm(40, members=members, engine="perfect"))) == []


def test_a_run_is_the_same_in_every_process_and_whether_it_is_traced() -> None:
    script = (
        "from sim.generate import make_plan; from sim.run import run\n"
        "given = {'duration_ms': 10_000, 'operations': 80, 'members': 3}\n"
        "print(*(run(make_plan(seed, given)).digest for seed in range(3)))"
    )
    told = [printed.split() for printed in told_everywhere(script)]
    given = {"duration_ms": 10_000, "operations": 80, "members": 3}
    here = [run(make_plan(seed, given), trace=True).digest for seed in range(3)]
    assert told == [here, here]


def directed(items: Sequence[Item]) -> Plan:
    """A quiet plan of three members with just these items."""
    base = make_plan(1, {"duration_ms": 12_000, "operations": 0, "faults": (), "watchers": 0})
    whole = Options(members=3, duration_ms=12_000, clients=3, watchers=0, workload="register")
    finals = [item for item in base.items if item.do.startswith("final.")]
    return Plan(5, whole, (*sorted(items, key=lambda item: item.time_ms), *finals))


def put(time_ms: int, client: int, number: int, member: int) -> Item:
    return Item(
        time_ms, "client", client, "register.put", {"key": "r/1", "n": number, "member": member}
    )


def fault(time_ms: int, what: str, **args: object) -> Item:
    return Item(time_ms, "fault", 0, what, args)  # type: ignore[arg-type]  # plain values


def test_an_isolated_leader_answers_nothing_and_the_others_go_on() -> None:
    items = [fault(4000, "isolate_leader", ms=6000)]
    items += [put(5000 + 800 * n + 10 * member, member, 10 * n + member, member)
              for n in range(8) for member in range(3)]  # fmt: skip
    done = run(directed(items))
    assert classes(done) == []
    during = [call for call in done.history.calls if 5000_000 < call.invoked_us < 9000_000]
    assert any(isinstance(call.result, PutDone) for call in during)
    assert any(isinstance(call.result, Unknown) for call in during)


def test_a_member_that_was_down_while_logs_were_cut_gets_a_snapshot() -> None:
    items = [fault(2500, "crash", member=1, down_ms=7000, survival="none")]
    items += [put(3000 + 60 * n, 0, n, 0) for n in range(60)]
    items += [fault(8000, "snapshot", member=0), fault(8000, "snapshot", member=2)]
    done = run(directed(items))
    assert classes(done) == []
    assert done.marks["snapshot installed"] >= 1


def test_sending_before_the_disk_has_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that lies, as a bug of the driver that lets messages leave too soon would look."""
    crash = MachineDisk.crash
    opened = MachineDisk.open

    def lying(disk: MachineDisk) -> object:
        disk.is_lying = True
        return opened(disk)

    def losing(disk: MachineDisk, survival: Survival, chance: Random) -> None:
        crash(disk, "none", chance)

    monkeypatch.setattr(MachineDisk, "open", lying)
    monkeypatch.setattr(MachineDisk, "crash", losing)
    items = [put(3000 + 50 * n, n % 3, n, n % 3) for n in range(20)]
    items += [fault(6000, "crash_all", down_ms=500, apart_ms=0, survival="none")]
    assert classes(run(directed(items))) != []


def test_a_read_that_asks_nobody_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def local(node: Node, given: object) -> None:
        node._answer(given)  # type: ignore[arg-type]  # the bug

    monkeypatch.setattr(Node, "_ask", local)
    given = {"members": 3, "workload": "register", "mix": (), "operations": 200, "think_ms": 10}
    found = {klass for seed in range(3) for klass in classes(run(swarm(seed, **given)))}
    assert "linear/stale-read" in found


def test_a_state_that_differs_on_one_member_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Node._commit

    def odd(node: Node, given: object) -> None:
        commit(node, given)  # type: ignore[arg-type]  # passed on
        if node.config.member_id == 2 and node.state.applied_index == 20:
            node.state.live_hash += 1

    monkeypatch.setattr(Node, "_commit", odd)
    found = classes(run(swarm(3, members=3)))
    assert found == ["INV-SAME-INDEX-SAME-HASH"]
