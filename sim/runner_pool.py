"""Worker processes and who minds them: each has one task at a time, a deadline, and a successor.

Rule of this file: no worker can hang or end a batch. One that dies or overstays is killed, its
task is told as died, and a fresh process takes its place. Real time is used here and nowhere
else of the simulator but in the command that shows progress. After some tasks a worker is
replaced, so that what one run leaves behind cannot gather.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from statistics import median
from tempfile import TemporaryFile
from typing import IO, Final

from attrs import define, field, frozen

from sim.runner_task import Outcome, Task, outcome_of

WORKER: Final = (sys.executable, "-m", "sim.runner_worker")
TICK_S: Final = 0.25
_LAST_WORDS_BYTES: Final = 4_000


@frozen
class Patience:
    """How long a run may take, in seconds: `times` the median, at least `floor_s`."""

    times: float = 10.0
    floor_s: float = 30.0
    first_s: float = 120.0
    """Before there is a median."""
    tasks_each: int = 50
    """A worker is replaced after so many."""


@define(eq=False)
class _Worker:
    """One process, and what it is at."""

    process: "subprocess.Popen[bytes]"
    words: IO[bytes]
    hash_seed: int
    task: Task | None = None
    began: float = 0.0
    done: int = 0
    buffer: bytearray = field(factory=bytearray)


class Pool:
    """A number of workers for one batch. Use as a context: what is left is killed at the end."""

    def __init__(
        self,
        size: int,
        *,
        command: Sequence[str] = WORKER,
        patience: Patience | None = None,
    ) -> None:
        self._size = size
        self._command = tuple(command)
        self._patience = patience or Patience()
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []
        self._took: list[float] = []
        self._limit_s = self._patience.first_s

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._bury(worker)
        self._selector.close()

    def outcomes(self, next_task: Callable[[], Task | None]) -> Iterator[Outcome | None]:
        """Yield outcomes as they come, and None now and then; ends when nothing is left to do.

        `next_task` is asked whenever a worker is free; None says that there is nothing now: it
        is asked again after the next outcome.
        """
        while True:
            self._hand_out(next_task)
            if not any(worker.task for worker in self._workers):
                return
            yielded = False
            for outcome in self._wait():
                yielded = True
                yield outcome
            if not yielded:
                yield None

    def _hand_out(self, next_task: Callable[[], Task | None]) -> None:
        idle = [worker for worker in self._workers if worker.task is None]
        for _ in range(self._size - len(self._workers) + len(idle)):
            task = next_task()
            if task is None:
                return
            worker = next((each for each in idle if each.hash_seed == task.hash_seed), None)
            if worker is None:
                if len(self._workers) >= self._size:
                    self._bury(idle.pop())
                worker = self._start(task.hash_seed)
            else:
                idle.remove(worker)
            self._give(worker, task)

    def _give(self, worker: _Worker, task: Task) -> None:
        assert worker.process.stdin is not None
        worker.task = task
        worker.began = time.monotonic()
        try:
            worker.process.stdin.write(task.line().encode() + b"\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            # It is dead: the end of its output tells so, and why.
            return

    def _start(self, hash_seed: int) -> _Worker:
        words = TemporaryFile()  # noqa: SIM115  # closed with its worker
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        path = [entry for entry in sys.path if entry and os.path.isdir(entry)]
        environment["PYTHONPATH"] = os.pathsep.join(path)
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env=environment,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        worker = _Worker(process, words, hash_seed)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        self._workers.append(worker)
        return worker

    def _wait(self) -> Iterator[Outcome]:
        for key, _ in self._selector.select(TICK_S):
            worker: _Worker = key.data
            assert worker.process.stdout is not None
            data = worker.process.stdout.read(1 << 20)
            if not data:
                outcome = self._died(worker)
                if outcome is not None:
                    yield outcome
                continue
            worker.buffer += data
            while (end := worker.buffer.find(b"\n")) >= 0:
                line = bytes(worker.buffer[:end])
                del worker.buffer[: end + 1]
                yield self._told(worker, line)
            if worker.task is None and worker.done >= self._patience.tasks_each:
                self._bury(worker)
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.task is not None and now - worker.began > self._limit_s:
                task = worker.task
                self._bury(worker)
                yield Outcome(
                    task.number,
                    task.seed,
                    died=f"no end after {now - worker.began:.0f} s: the worker was killed",
                )

    def _told(self, worker: _Worker, line: bytes) -> Outcome:
        outcome = outcome_of(line)
        worker.task = None
        worker.done += 1
        self._took.append(time.monotonic() - worker.began)
        if len(self._took) % 5 == 0:
            patience = self._patience
            self._limit_s = max(patience.floor_s, patience.times * median(self._took[-500:]))
        return outcome

    def _died(self, worker: _Worker) -> Outcome | None:
        code = worker.process.wait()
        task = worker.task
        words = _last_words(worker.words)
        self._bury(worker)
        if task is None:
            return None
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return Outcome(task.number, task.seed, died=f"the worker ended with {how}\n{words}".strip())

    def _bury(self, worker: _Worker) -> None:
        process = worker.process
        assert process.stdin is not None
        assert process.stdout is not None
        self._selector.unregister(process.stdout)
        if worker.task is None:
            process.terminate()
        else:
            process.kill()
        process.wait()
        process.stdout.close()
        with suppress(BrokenPipeError):
            # What was not read by a dead process is not missed.
            process.stdin.close()
        worker.words.close()
        self._workers.remove(worker)


def _last_words(words: IO[bytes]) -> str:
    size = words.seek(0, os.SEEK_END)
    words.seek(max(0, size - _LAST_WORDS_BYTES))
    return words.read().decode("utf-8", "replace").strip()
