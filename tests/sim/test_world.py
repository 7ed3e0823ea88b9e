"""The world: order, streams of chance, clocks, and a record that is the same in every process."""

import pytest

from sim.world import FAULT, TURN, WORLD, MemberClock, World


def test_things_happen_by_time_and_then_in_the_order_they_were_asked_for() -> None:
    world = World(1)
    done: list[str] = []
    world.after(2, lambda: done.append("late"))
    world.after(1, lambda: done.append("first"))
    world.at(1000, lambda: done.append("second"))
    world.run_until(1500)
    assert (done, world.now_us) == (["first", "second"], 1500)
    world.run_until(2000)
    assert done == ["first", "second", "late"]


def test_what_an_event_asks_for_at_once_happens_at_that_time() -> None:
    world = World(1)
    times: list[int] = []
    world.after(1, lambda: world.after(0, lambda: times.append(world.now_us)))
    world.run_until(5000)
    assert times == [1000]


def test_a_stream_of_chance_does_not_depend_on_the_others() -> None:
    alone, beside = World(7), World(7)
    beside.chance("net/0>1").random()
    assert alone.chance("fault").random() == beside.chance("fault").random()
    assert World(8).chance("fault").random() != World(7).chance("fault").random()


def test_the_digest_covers_what_is_noted_and_what_is_drawn_but_not_lines() -> None:
    def digest(*, trace: bool, rev: int, draws: int) -> str:
        world = World(1, trace=trace)
        world.note(TURN, 0, 1, 2, 3, rev, 0)
        world.note(FAULT, WORLD, "crash", "on", "0", "")
        for _ in range(draws):
            world.chance("x").random()
        return world.digest()

    plain = digest(trace=False, rev=4, draws=1)
    assert plain == digest(trace=True, rev=4, draws=1)
    assert plain != digest(trace=False, rev=5, draws=1)
    assert plain != digest(trace=False, rev=4, draws=2)


def test_a_line_says_when_who_and_what() -> None:
    world = World(1, trace=True)
    world.run_until(26_924_000)
    world.note(TURN, 1, 3, 812, 812, 640, 1)
    assert world.lines == ["26924000 m1 turn term=3 commit=812 applied=812 rev=640 lead=1"]


@pytest.mark.parametrize("ppm", [-50_000, -7, 0, 7, 50_000])
def test_a_clock_runs_at_its_rate_and_can_be_waited_for(ppm: int) -> None:
    world = World(1)
    clock = MemberClock(world)
    clock.boot(5_000_000)
    clock.set_rate(ppm)
    due_us = clock.world_us(6_000_000)
    world.run_until(due_us)
    assert clock.monotonic_us() >= 6_000_000
    assert clock.monotonic_us() - 6_000_000 <= 2
    assert abs(due_us - 1_000_000 * 1_000_000 / (1_000_000 + ppm)) <= 2


def test_a_stall_stops_the_clocks_and_nothing_turns_them_back() -> None:
    world = World(1)
    clock = MemberClock(world)
    world.run_until(1000)
    clock.stall(500)
    world.run_until(1400)
    assert clock.monotonic_us() == 1000
    clock.set_rate(0)
    world.run_until(2000)
    assert clock.monotonic_us() == 1500


def test_the_wall_clock_jumps_and_the_monotonic_one_does_not() -> None:
    world = World(1)
    clock = MemberClock(world)
    world.run_until(1000)
    clock.step_wall(-3_600_000_000)
    assert (clock.monotonic_us(), clock.wall_us()) == (1000, 1000 - 3_600_000_000)
