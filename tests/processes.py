"""One program, run in processes that differ in what a result must not depend on.

The rule of this file: an interpreter of its own each time, as this one is, with the checkout to
import from; they differ in how strings are hashed, and so in the order of sets.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from tests.sources import CHECKOUT

HASH_SEEDS = ("1", "4711")


def told_everywhere(program: str, hash_seeds: Sequence[str] = HASH_SEEDS) -> list[str]:
    """Return what a program prints in a process of each hash seed. It must end well."""
    return [
        subprocess.run(
            (sys.executable, "-c", program),
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(CHECKOUT)},
            cwd=CHECKOUT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for hash_seed in hash_seeds
    ]
