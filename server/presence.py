"""A running member as control and bulletin see it, and the tasks that serve those two.

Rule: a view without state of its own, over the driver and the client port; all of it is used in
the reactor's task.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from core.members import MemberRole
from net.etcd.calls import Call
from net.etcd.port import ClientPort
from net.telemetry import Logger
from server.bulletin import Bulletin
from server.clustering import KnownMember
from server.config import Config
from server.control import Control
from server.ground import Ground
from server.recover import Opened


class Presence:
    """One member, told of in control's words. See `server.control.Member`."""

    def __init__(self, opened: Opened, port: ClientPort) -> None:
        self._driver = opened.driver
        self._identity = opened.identity
        self._port = port

    @property
    def member_id(self) -> int:
        """See Member."""
        return self._identity.member_id

    @property
    def cluster_id(self) -> int:
        """See Member."""
        return self._identity.cluster_id

    @property
    def leader(self) -> int:
        """See Member."""
        return self._driver.engine.role.leader

    @property
    def term(self) -> int:
        """See Member."""
        return self._driver.engine.role.term

    @property
    def revision(self) -> int:
        """See Member."""
        return self._driver.node.state.revision

    def members(self) -> tuple[KnownMember, ...]:
        """See Member. Who is about to get its vote stands by, for those who know three roles."""
        return tuple(
            KnownMember(
                member.id,
                member.name,
                member.peer_urls,
                member.client_urls,
                member.is_learner,
                MemberRole.STAND_BY if member.role == MemberRole.JOINING else member.role,
            )
            for _, member in sorted(self._driver.node.state.members.items())
        )

    def begin(self, method: str, call: Call, message: bytes) -> None:
        """See Member."""
        self._port.ask(method, call, message)


class Attendance:
    """Control and bulletin of one member, made together."""

    def __init__(
        self,
        opened: Opened,
        port: ClientPort,
        config: Config,
        log: Logger,
        ground: Ground,
        *,
        wake: Callable[[], None],
    ) -> None:
        presence = Presence(opened, port)
        self.control = Control(
            presence, config, now_ms=ground.now_ms, wake=wake, in_thread=ground.in_thread
        )
        self._bulletin = Bulletin(
            presence, config, log, tell=self.control.update_own, in_thread=ground.in_thread
        )

    def start(self, nursery: trio.Nursery) -> None:
        """Begin their tasks."""
        nursery.start_soon(self.control.run)
        nursery.start_soon(self._bulletin.run)
