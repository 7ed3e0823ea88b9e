"""Runs automatic compaction: samples the clock, proposes what `core.autocompaction` decides."""

from collections.abc import Callable

import trio

from core.autocompaction import KeepNewest, KeepPeriod
from core.node import Node
from core.operations import Compact
from net.etcd.port import ClientPort
from net.telemetry import Logger
from server.config import KeepRevisions, Periodic

LOOK_S = 1.0


class Compactor:
    """Proposes compactions while this member leads."""

    def __init__(
        self,
        setting: Periodic | KeepRevisions,
        port: ClientPort,
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

    async def run(self) -> None:
        """Look once a second, for ever."""
        while True:
            if self._node.leading_term:
                self._look()
            await trio.sleep(LOOK_S)

    def _look(self) -> None:
        target = self._policy.step(self._now_ms(), self._node.state.revision)
        if target is None:
            return

        def then(done: bool) -> None:
            self._log.info("finished auto compaction", revision=target, compacted=done)

        self._log.info("starting auto compaction", revision=target)
        self._port.offer(Compact(target), then)
