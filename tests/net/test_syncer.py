"""The sync thread and the job threads: what the owner sees of them, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import outcome
import pytest

from net.syncer import HERE_S_MAX, Jobs, Syncer

WAIT_S = 60.0


class Gate:
    """A sync that reports its begin and ends when it is let through."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.through = threading.Semaphore(0)
        self.calls = 0
        self.error: OSError | None = None

    def __call__(self) -> None:
        self.calls += 1
        self.begun.release()
        assert self.through.acquire(timeout=WAIT_S)
        if self.error is not None:
            raise self.error


class Bell:
    """A wake that can be waited for."""

    def __init__(self) -> None:
        self._rung = threading.Semaphore(0)

    def __call__(self) -> None:
        self._rung.release()

    def wait(self) -> None:
        assert self._rung.acquire(timeout=WAIT_S)


@contextmanager
def syncing(gate: Gate, bell: Bell) -> Iterator[Syncer]:
    syncer = Syncer(gate, bell)
    syncer.start()
    try:
        yield syncer
    finally:
        for _ in range(10):
            gate.through.release()
        syncer.close()


def test_a_position_is_reached_after_its_sync_and_told_once() -> None:
    gate, bell = Gate(), Bell()
    with syncing(gate, bell) as syncer:
        syncer.request(7)
        assert gate.begun.acquire(timeout=WAIT_S)
        assert (syncer.reached(), syncer.is_idle) == (None, False)
        gate.through.release()
        bell.wait()
        assert (syncer.reached(), syncer.reached(), syncer.is_idle) == (7, None, True)


def test_requests_during_a_sync_share_the_next_one() -> None:
    gate, bell = Gate(), Bell()
    with syncing(gate, bell) as syncer:
        syncer.request(1)
        assert gate.begun.acquire(timeout=WAIT_S)
        for position in (2, 3, 4):
            syncer.request(position)
        gate.through.release()
        bell.wait()
        assert syncer.reached() == 1, "a position written during a sync is not covered by it"
        assert gate.begun.acquire(timeout=WAIT_S)
        gate.through.release()
        bell.wait()
        assert (syncer.reached(), gate.calls) == (4, 2)


def test_the_error_of_a_sync_is_raised_in_the_owner_at_every_look() -> None:
    gate, bell = Gate(), Bell()
    gate.error = OSError(5, "Input/output error")
    with syncing(gate, bell) as syncer:
        syncer.request(1)
        gate.through.release()
        bell.wait()
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output error"):
                syncer.reached()
        assert not syncer.is_idle


def test_a_short_sync_is_done_by_its_owner() -> None:
    gate, bell = Gate(), Bell()
    with syncing(gate, bell) as syncer:
        gate.through.release()
        assert syncer.here(7)
        assert (syncer.reached(), syncer.is_idle, gate.calls) == (7, True, 1)


def test_while_the_thread_syncs_its_owner_does_not() -> None:
    gate, bell = Gate(), Bell()
    with syncing(gate, bell) as syncer:
        syncer.request(1)
        assert gate.begun.acquire(timeout=WAIT_S)
        assert not syncer.here(2)
        assert gate.calls == 1


def test_a_disk_that_was_slow_of_late_is_left_to_the_thread() -> None:
    gate, bell = Gate(), Bell()
    with syncing(gate, bell) as syncer:
        syncer._usual_s = 2 * HERE_S_MAX
        assert not syncer.here(1)
        assert gate.calls == 0


def test_the_error_of_a_sync_in_place_is_raised_there() -> None:
    gate, bell = Gate(), Bell()
    gate.error = OSError(5, "Input/output error")
    with syncing(gate, bell) as syncer:
        gate.through.release()
        with pytest.raises(OSError, match="Input/output error"):
            syncer.here(1)
        assert syncer.reached() is None


def test_closing_syncs_what_was_requested() -> None:
    gate, bell = Gate(), Bell()
    syncer = Syncer(gate, bell)
    syncer.start()
    gate.through.release()
    syncer.request(3)
    syncer.close()
    assert syncer.reached() == 3


def test_a_job_is_done_in_the_owners_thread_when_it_delivers() -> None:
    bell = Bell()
    jobs = Jobs("test", bell)
    seen: list[tuple[str, int]] = []

    def done(result: outcome.Maybe[str]) -> None:
        seen.append((result.unwrap(), threading.get_ident()))

    jobs.submit(lambda: threading.current_thread().name, done)
    bell.wait()
    assert (seen, jobs.outstanding) == ([], 1)
    assert jobs.deliver() == 1
    assert (seen, jobs.outstanding) == ([("trine-test-0", threading.get_ident())], 0)
    jobs.close()


def test_a_failed_job_raises_where_its_result_is_unwrapped() -> None:
    bell = Bell()
    jobs = Jobs("test", bell)

    def job() -> int:
        raise OSError(28, "No space left on device")

    jobs.submit(job, lambda result: print(result.unwrap()))
    jobs.close()
    with pytest.raises(OSError, match="No space left"):
        jobs.deliver()


def test_jobs_of_one_thread_run_in_order() -> None:
    jobs = Jobs("test", lambda: None)
    order: list[int] = []
    for number in range(20):
        jobs.submit(partial(int, number), lambda result: order.append(result.unwrap()))
    jobs.close()
    jobs.deliver()
    assert order == list(range(20))
