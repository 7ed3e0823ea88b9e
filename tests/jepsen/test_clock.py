"""Real time for clients: order, and calls of other threads."""

import os
import signal
import threading

import pytest

from jepsen.clock import RealTime

FAR_US = 60_000_000


def test_calls_run_in_the_order_of_their_times() -> None:
    real, seen = RealTime(), list[str]()
    real.after(2, lambda: seen.append("second"))
    real.after(1, lambda: seen.append("first"))
    real.after(1, lambda: seen.append("after the first"))
    real.run_until(FAR_US, lambda: len(seen) == 3)
    assert seen == ["first", "after the first", "second"]


def test_what_other_threads_post_runs_in_the_thread_that_runs() -> None:
    real, threads = RealTime(), list[threading.Thread]()
    poster = threading.Thread(
        target=lambda: real.post(lambda: threads.append(threading.current_thread()))
    )
    poster.start()
    real.run_until(FAR_US, lambda: bool(threads))
    poster.join()
    assert threads == [threading.current_thread()]


def test_what_is_posted_is_not_kept_waiting_by_calls_that_are_overdue() -> None:
    real, seen = RealTime(), list[str]()

    def again() -> None:
        if "posted" not in seen:
            real.after(0, again)

    real.after(0, again)
    real.post(lambda: seen.append("posted"))
    real.run_until(FAR_US, lambda: bool(seen))
    assert seen == ["posted"]


def test_nothing_runs_once_its_time_is_over() -> None:
    real, seen = RealTime(), list[str]()
    real.after(FAR_US / 1000, lambda: seen.append("late"))
    real.run_until(0)
    assert seen == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_waits_until_the_call_that_runs_is_over(how: signal.Signals) -> None:
    real, seen = RealTime(), list[str]()

    def work() -> None:
        os.kill(os.getpid(), how)
        seen.append("whole")

    before = signal.getsignal(how)
    real.after(0, work)
    real.after(0, lambda: seen.append("never"))
    with pytest.raises(KeyboardInterrupt), real.interruptible():
        real.run_until(FAR_US)
    assert seen == ["whole"]
    assert signal.getsignal(how) is before


def test_a_second_interrupt_does_not_wait() -> None:
    real, seen = RealTime(), list[str]()

    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        seen.append("whole")

    real.after(0, work)
    with pytest.raises(KeyboardInterrupt), real.interruptible():
        real.run_until(FAR_US)
    assert seen == []
