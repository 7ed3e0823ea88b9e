"""Asks every member a few times a second how it is: who leads, in which term, how far it has come.

Rule of this file: for pictures only; nothing is judged by it, and clients know nothing of it. A
member that does not answer is passed over. The lines are those of `sim.report.trace`.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final

from jepsen.endpoint import Member

EVERY_S: Final = 0.5
PATIENCE_S: Final = 0.4


class Pulse:
    """Runs from `begin` to `end`, a thread for each member; `lines` is what they said."""

    def __init__(self, endpoints: Sequence[str], now_us: Callable[[], int]) -> None:
        self.lines: list[str] = []
        self._now_us = now_us
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._feel, args=(number, endpoint), name=f"pulse {number}")
            for number, endpoint in enumerate(endpoints)
        ]

    def begin(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Ask no more, and wait until nobody does."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _feel(self, number: int, endpoint: str) -> None:
        member = Member(endpoint)
        last = ""
        try:
            while not self._over.wait(EVERY_S):
                told = member.status(PATIENCE_S)
                if told is None:
                    continue
                leads = int(told.leader != 0 and told.leader == told.header.member_id)
                words = (
                    f"term={told.raftTerm} lead={leads} commit={told.raftIndex} "
                    f"applied={told.raftAppliedIndex} rev={told.header.revision}"
                )
                if words != last:
                    # Lists take lines of several threads; each line's time is its own.
                    self.lines.append(f"{self._now_us()} m{number} turn {words}")
                    last = words
        finally:
            member.close()
