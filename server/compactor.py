"""Runs automatic compaction: samples the clock, proposes what `core.autocompaction` decides."""

from collections.abc import Callable
from typing import Protocol

import trio

from core.autocompaction import KeepNewest, KeepPeriod
from core.node import Node
from core.operations import Command, Compact
from net.telemetry import Logger
from server.config import KeepRevisions, Periodic

LOOK_S = 1.0


class Proposer(Protocol):
    """Who proposes a command of the member's own: the client port."""

    def offer(self, command: Command, then: Callable[[bool], None]) -> None:
        """Propose; `then` learns whether it was applied."""
        ...


class Compactor:
    """Proposes compactions while this member leads, one at a time."""

    def __init__(
        self,
        setting: Periodic | KeepRevisions,
        port: Proposer,
        node: Node,
        log: Logger,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._policy: KeepNewest | KeepPeriod = (
            KeepNewest(setting.revisions)
            if isinstance(setting, KeepRevisions)
            else KeepPeriod(setting.retention_ms)
        )
        self._port = port
        self._node = node
        self._log = log
        self._now_ms = now_ms
        self._is_waiting = False

    async def run(self) -> None:
        """Look once a second, for ever."""
        while True:
            if self._node.leading_term and not self._is_waiting:
                self._look()
            await trio.sleep(LOOK_S)

    def _look(self) -> None:
        target = self._policy.step(self._now_ms(), self._node.state.revision)
        if target is None:
            return

        def then(done: bool) -> None:
            self._is_waiting = False
            # Somebody else may have compacted further meanwhile: that is as good.
            if done or self._node.state.compact_revision >= target:
                self._policy.compacted(target)
                self._log.info("finished auto compaction", revision=target)
            else:
                self._log.warn(
                    "auto compaction did not succeed: it is tried again", revision=target
                )

        self._is_waiting = True
        self._log.info("starting auto compaction", revision=target)
        self._port.offer(Compact(target), then)
