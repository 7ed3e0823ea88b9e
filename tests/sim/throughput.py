"""How fast the simulator is: `python -m tests.sim.throughput [--tier 1|2] [--seeds N]`.

Rule of this file: one process, its own processor time, and one shape: 500 operations, 60 simulated
seconds (50 of them with faults, then what a run takes to heal and to come to rest), 3 members on
the perfect log; faults and all else as each seed draws them. A run is made of plan, run and
judgement, as in a batch; a core does so many runs a second when it has no other work. Each run is
made three times and the fastest counts: what slows the others is what else the machine does. The
witness is measured on histories of its own, made before the clock starts.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Mapping
from typing import Final

from sim.check import timeline_of
from sim.check.guarantees import Found
from sim.ops import Json
from sim.trial import attempt, plan_of
from tests.long_histories import long_history

SHAPE: Final[Mapping[str, Json]] = {
    "members": 3,
    "engine": "perfect",
    "operations": 500,
    "duration_ms": 50_000,
}
TARGET: Final = {1: 6.0, 2: 1.5}
"""Runs of a processor's second."""
SEEDS: Final = 20
TIMES: Final = 3
WITNESS_CALLS: Final = 100_000


def spent_by_seed(tier: int, first: int, count: int) -> list[float]:
    """Return the processor's seconds that each seed's run takes, from the plan to its verdicts."""
    spent: list[float] = []
    attempt(plan_of(first, SHAPE, tier=tier), tier=tier)  # Imports, caches: paid once a process.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for seed in range(first, first + count):
            took: list[float] = []
            for _ in range(TIMES):
                began = time.process_time()
                trial = attempt(plan_of(seed, SHAPE, tier=tier), tier=tier)
                del trial
                gc.collect()
                took.append(time.process_time() - began)
            spent.append(min(took))
    finally:
        gc.enable()
        gc.unfreeze()
    return spent


def witness_rate() -> float:
    """Return how many operations a second the log's witness judges, at best."""
    history = long_history(1, WITNESS_CALLS)
    rates: list[float] = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(TIMES):
            found = Found()
            began = time.process_time()
            timeline_of(history, found)
            rates.append(len(history.calls) / (time.process_time() - began))
    finally:
        gc.enable()
    return max(rates)


def main() -> None:
    """Measure what is asked for, and print it."""
    words = argparse.ArgumentParser(description="Measure how fast the simulator is.")
    words.add_argument("--tier", type=int, choices=(1, 2), help="only this one")
    words.add_argument("--first", type=int, default=1, help="the first seed")
    words.add_argument("--seeds", type=int, default=SEEDS)
    asked = words.parse_args()
    for tier in (asked.tier,) if asked.tier else (1, 2):
        spent = spent_by_seed(tier, asked.first, asked.seeds)
        print(
            f"tier {tier}: {len(spent) / sum(spent):.2f} runs per CPU-second (target"
            f" {TARGET[tier]:g}), {len(spent)} seeds, a run {statistics.median(spent):.3f} s in"
            f" the middle and {max(spent):.3f} s at most",
            flush=True,
        )
    print(f"witness: {witness_rate():,.0f} operations per CPU-second (target 300,000)")


if __name__ == "__main__":
    main()
