"""A worker without a simulator: what it does depends on the seed alone.

The rule of this file: run as a process by the pool's tests. Seeds whose last digit is 7 fail, 9
dies; seed 26 hangs, and seed 20 is told differently by every PYTHONHASHSEED.
"""

import os
import signal
import time
from pathlib import Path

from sim.runner_task import Found, Outcome, Task
from sim.runner_worker import serve_standard


def perform(task: Task) -> Outcome:
    """Answer as the seed says."""
    seed = task.seed
    if seed == 26:
        time.sleep(3600)
    if seed % 10 == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 8:
        raise LookupError("a fault of the harness")
    print("said by mistake")
    hashed = os.environ["PYTHONHASHSEED"] if seed == 20 else "same"
    if task.trace_file:
        Path(task.trace_file).write_text(f"0 m0 start life=1\n1 m0 turn term={hashed}\n")
    found = ()
    if seed % 10 == 7:
        found = (Found("linear", "linear/stale-read", "reads are linearizable", "get k1 was old"),)
    return Outcome(
        task.number, seed, digest=f"{seed}-{hashed}", found=found, marks={"a mark": 1},
        calls=10, oks=9, infos=1, simulated_ms=60_000,
    )  # fmt: skip


if __name__ == "__main__":
    serve_standard(perform)
