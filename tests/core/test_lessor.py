"""A lease is never ended early and is ended in time, whatever happens to clock, log and leader."""

from collections.abc import Callable

import pytest

from core import lessor as lessor_module
from core import machine
from core.answers import Done, LeaseKeepAliveAnswer
from core.effects import Propose, Reply
from core.errors import NO_LEADER
from core.inputs import Asked, Committed, Deposed, Elected, ReadReady, Ticked
from core.lessor import Lessor
from core.limits import LEASE_EXPIRIES_PER_TICK_MAX
from core.machine import Applied
from core.node import Node
from core.operations import LeaseExpire, LeaseKeepAlive
from core.state import Lease, State, add_lease
from tests.driver_world import CONFIG
from tests.lease_world import LeaseLife

STEPS = 120
Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("part", range(5))
def test_a_promise_to_a_client_is_kept(part: int) -> None:
    ended = kept = 0
    for seed in range(part * 60, part * 60 + 60):
        life = LeaseLife(seed)
        life.run(STEPS)
        ended += life.ended
        kept += life.kept
    assert ended > 20, "hardly a lease ended"
    assert kept > 50, "hardly a lease was kept alive"


def a_pause_counts(monkeypatch: Patch) -> None:
    monkeypatch.setattr(lessor_module, "LEASE_CLOCK_STEP_MS_MAX", 1 << 40)


def the_clock_is_early(monkeypatch: Patch) -> None:
    tick = Lessor.tick

    def early(lessor: Lessor, now_ms: int, leases: dict[int, Lease]) -> list[Lease]:
        lessor._clock_ms += 1
        return tick(lessor, now_ms, leases)

    monkeypatch.setattr(Lessor, "tick", early)


def a_renewal_is_forgotten(monkeypatch: Patch) -> None:
    renew = Lessor.renew

    def forgetful(lessor: Lessor, lease: Lease) -> None:
        if lease.id not in lessor._deadlines:
            renew(lessor, lease)

    monkeypatch.setattr(Lessor, "renew", forgetful)


def a_new_leader_goes_on_where_the_old_one_was(monkeypatch: Patch) -> None:
    def keeping(lessor: Lessor, leases: dict[int, Lease]) -> None:
        lessor.expiring.clear()
        for lease in leases.values():
            if lease.id not in lessor._deadlines:
                lessor.renew(lease)

    monkeypatch.setattr(Lessor, "promote", keeping)
    monkeypatch.setattr(Lessor, "demote", lambda lessor: None)


def a_lost_expiry_is_not_tried_again(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Lessor, "decided", lambda lessor, lease_id: None)


def a_keepalive_does_not_wait_for_the_expiry_in_flight(monkeypatch: Patch) -> None:
    keep_alive = Node._keep_alive

    def hasty(node: Node, asked: Asked, lease_id: int) -> None:
        expiring, node.lessor.expiring = node.lessor.expiring, {}
        keep_alive(node, asked, lease_id)
        node.lessor.expiring = expiring

    monkeypatch.setattr(Node, "_keep_alive", hasty)


def an_expiry_ends_whatever_lease_has_its_id(monkeypatch: Patch) -> None:
    def blind(state: State, command: LeaseExpire, term: int) -> Applied:
        lease = state.leases.get(command.id)
        if lease is None:
            return Applied(Done(state.revision))
        return machine._revoke(state, command.id)

    monkeypatch.setattr(machine, "_expire", blind)


def a_parked_keepalive_is_forgotten(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Node, "_wake_parked", lambda node, lease_id: None)


MUTANTS: tuple[Callable[[Patch], None], ...] = (
    a_pause_counts,
    the_clock_is_early,
    a_renewal_is_forgotten,
    a_new_leader_goes_on_where_the_old_one_was,
    a_lost_expiry_is_not_tried_again,
    a_keepalive_does_not_wait_for_the_expiry_in_flight,
    an_expiry_ends_whatever_lease_has_its_id,
    a_parked_keepalive_is_forgotten,
)


@pytest.mark.parametrize("plant", MUTANTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_seen(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        all_live()


def all_live() -> None:
    for seed in range(300):
        LeaseLife(seed).run(STEPS)


# By hand.


def test_leases_fall_due_oldest_deadline_first_and_so_many_a_tick() -> None:
    lessor = Lessor()
    count = LEASE_EXPIRIES_PER_TICK_MAX + 10
    leases = {n: Lease(n, 2 + n % 2, n) for n in range(1, count + 1)}
    lessor.promote(leases)
    for now_ms in range(0, 2_000, 500):
        assert lessor.tick(now_ms, leases) == []
    assert [lease.ttl_s for lease in lessor.tick(2_000, leases)] == [2] * (count // 2)
    assert lessor.tick(2_500, leases) == []
    assert [lease.ttl_s for lease in lessor.tick(3_000, leases)] == [3] * (count - count // 2)
    lessor.promote(leases)
    for now_ms in range(3_500, 6_500, 500):
        lessor.tick(now_ms, {n: lease for n, lease in leases.items() if n not in lessor.expiring})
    assert len(lessor.expiring) == count


def test_more_due_leases_than_a_tick_takes_wait_for_the_next() -> None:
    lessor = Lessor()
    leases = {n: Lease(n, 2, n) for n in range(1, LEASE_EXPIRIES_PER_TICK_MAX + 3)}
    lessor.promote(leases)
    for now_ms in (0, 1_000):
        lessor.tick(now_ms, leases)
    assert len(lessor.tick(2_000, leases)) == LEASE_EXPIRIES_PER_TICK_MAX
    assert len(lessor.tick(2_001, leases)) == 2


def test_a_clock_that_goes_back_is_no_time() -> None:
    lessor, leases = Lessor(), {1: Lease(1, 2, 1)}
    lessor.promote(leases)
    for now_ms in (10_000, 0, 900, 500, 1_400):
        assert lessor.tick(now_ms, leases) == []
    assert lessor.remaining_ms(leases[1]) == 2_000 - 900 - 900


def test_leases_that_come_and_go_leave_nothing_behind() -> None:
    lessor = Lessor()
    for number in range(10_000):
        lease = Lease(number % 7 + 1, 9_000_000_000, number)
        lessor.renew(lease)
        lessor.forget(lease.id)
    assert len(lessor._heap) < 200


def test_who_follows_renews_nothing_and_says_so() -> None:
    state = State()
    add_lease(state, Lease(1, 60, 1))
    node = Node(state, CONFIG)
    node.step(Ticked(0))
    node.step(Asked("client", LeaseKeepAlive(1)))
    (asked,) = node.begin_reads()
    (reply,) = node.step(ReadReady(asked.round, 0))
    assert isinstance(reply, Reply)
    assert reply.answer == NO_LEADER
    assert node.lessor.next_due_ms() is None


def test_a_keepalive_that_waits_for_an_expiry_is_told_when_the_leader_steps_down() -> None:
    state = State()
    add_lease(state, Lease(1, 2, 1))
    node = Node(state, CONFIG)
    node.step(Elected(3))
    for now_ms in range(0, 2_000, 500):
        node.step(Ticked(now_ms))
    (proposal,) = node.step(Ticked(2_000))
    node.step(Asked("client", LeaseKeepAlive(1)))
    (asked,) = node.begin_reads()
    assert list(node.step(ReadReady(asked.round, 0))) == []
    (reply,) = node.step(Deposed(3))
    assert isinstance(reply, Reply)
    assert reply.answer == NO_LEADER
    # Its proposal may still be committed by the next leader: then the lease is gone.
    assert isinstance(proposal, Propose)
    assert proposal.command == LeaseExpire(1, 3, 1)
    node.step(Committed(1, 4, ()))
    assert 1 in node.state.leases


def test_a_keepalive_of_no_lease_is_answered_with_no_time() -> None:
    node = Node(State(), CONFIG)
    node.step(Elected(1))
    node.step(Asked("client", LeaseKeepAlive(8)))
    (asked,) = node.begin_reads()
    (reply,) = node.step(ReadReady(asked.round, 0))
    assert isinstance(reply, Reply)
    assert reply.answer == LeaseKeepAliveAnswer(1, 8, 0)
