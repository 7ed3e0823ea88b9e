"""One worker process: takes tasks on standard input, runs and judges them, tells outcomes.

Rule of this file: nothing survives a task but imported code. A broken invariant of the product is
a verdict; any other error is the harness's own, ends the process, and its traceback is told by
whoever minds it. What is printed by mistake goes to standard error, never between the outcomes.
"""

import gc
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from sim.runner_task import Found, Outcome, Task, task_of

TAIL_LINES = 20
INVARIANT = re.compile(r"INV-[A-Z]+(?:-[A-Z]+)*")
_ONE_LOG = "One log: an index once committed holds the same pack everywhere and for ever."
_BUG = "A broken invariant is a bug of Trine, never of a client (docs/INVARIANTS.md)."
_CHECKS = {
    "INV-ONE-LEADER-PER-TERM": ("raft-safety", "A term has one leader."),
    "INV-LOG-MATCHES": ("raft-safety", _ONE_LOG),
    "INV-COMMIT-ON-MAJORITY": (
        "raft-safety", "What is committed is durable on more than half of the voters."
    ),
    "INV-LEADER-COMPLETE": ("raft-safety", "Who is elected has all that was committed."),
    "synced-and-gone": ("durability", "Durability: any completed operation is durable."),
    "INV-REPLY-AFTER-PERSIST": ("durability", "Durability: any completed operation is durable."),
    "INV-LOG-COVERS-STATE": ("durability", "Durability: any completed operation is durable."),
    "INV-SAME-INDEX-SAME-HASH": (
        "convergence", "Members that have applied the same log have the same state."
    ),
}  # fmt: skip
"""Which check an invariant is part of, and the guarantee in words."""


def serve(perform: Callable[[Task], Outcome], lines: IO[bytes], out: IO[bytes]) -> None:
    """Perform one task a line until there are no more."""
    for line in lines:
        outcome = perform(task_of(line))
        out.write(outcome.line().encode() + b"\n")
        out.flush()
        # Nothing is collected while a run lasts: a fifth of its time.
        gc.collect()


def serve_standard(perform: Callable[[Task], Outcome]) -> None:
    """Serve on this process's own standard input and output."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with out:
        serve(perform, sys.stdin.buffer, out)


def main() -> None:
    """Be a worker until standard input ends."""
    from sim import trial

    gc.collect()
    gc.freeze()
    gc.disable()
    serve_standard(trial.perform)


def milliseconds_of(clock: Callable[[], float] = time.process_time) -> int:
    """Return this process's own time, in milliseconds."""
    return int(clock() * 1000)


def tail_before(lines: Sequence[str], time_us: int) -> tuple[str, ...]:
    """Return the last trace lines that are not later than a time."""
    end = len(lines)
    if time_us > 0:
        while end and _time_of(lines[end - 1]) > time_us:
            end -= 1
    return tuple(lines[max(0, end - TAIL_LINES) : end])


def _time_of(line: str) -> int:
    first = line.split(" ", 1)[0]
    return int(first) if first.isdigit() else 0


def broken(error: AssertionError, time_us: int = 0) -> Found:
    """Return a broken invariant as a verdict: what it says, and where it was asserted."""
    words = str(error) or "an assertion without a name"
    frame = error.__traceback__
    places: list[str] = []
    while frame is not None:
        code = frame.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{frame.tb_lineno} {code.co_name}")
        frame = frame.tb_next
    named = INVARIANT.search(words)
    name = named.group() if named else "assertion"
    if "had been synced" in words:
        # A member's own journal refuses: what it was told is durable is not there.
        name = "synced-and-gone"
    check, guarantee = _CHECKS.get(name, ("invariant", _BUG))
    return Found(
        check,
        f"{check}/{name}",
        guarantee,
        words,
        tuple(places[-4:]),
        time_us,
    )


if __name__ == "__main__":
    main()
