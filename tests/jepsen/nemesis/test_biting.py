"""Each nemesis bites a real cluster of three, and what it did is gone when it has healed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.jepsen.nemesis.biting import ABSENT, SCENES

CHECKOUT = Path(__file__).parents[3]
PATIENCE_S = 600.0
QUICK = {"pause", "partition"}
"""Shown in every run of the suite; the others with --slow."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
        for name in SCENES
    ],
)  # fmt: skip
def test_a_nemesis_bites_and_heals(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.jepsen.nemesis.biting", name, str(tmp_path)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    if done.returncode == ABSENT:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stderr[-3000:]
