"""Waiting for real processes: until something holds, within a bound."""

import time
from collections.abc import Callable

PATIENCE_S = 60.0


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; `what` is said if it never does."""
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends, what
        time.sleep(0.1)
