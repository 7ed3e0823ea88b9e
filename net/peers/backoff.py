"""When to dial again: soon, then ever later, never all at once.

Rule: pure; chance comes in as a function. The n-th delay is drawn from the upper half of
`RETRY_MS_MIN` times two to the n, and never above `RETRY_MS_MAX`.
"""

from collections.abc import Callable

from net.peers.limits import RETRY_MS_MAX, RETRY_MS_MIN


class Backoff:
    """The delays of one peer's attempts."""

    __slots__ = ("_bits", "failures")

    def __init__(self, bits: Callable[[int], int]) -> None:
        self._bits = bits
        self.failures = 0

    def failed(self) -> int:
        """Note a failure; return the milliseconds to wait before the next attempt."""
        most = min(RETRY_MS_MAX, RETRY_MS_MIN << min(self.failures, 16))
        self.failures += 1
        return most - self._bits(16) % (most // 2 + 1)

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0
