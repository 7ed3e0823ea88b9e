"""Keeps info.yaml and cluster.yaml as the cluster is, and tells the cluster where this member is.

    every second   where members or roles differ from what was written: write both
    then           init.yaml, update.yaml and join have been obeyed: delete them
    meanwhile      while the cluster knows another address of this member: ask it to learn the new

Rule: files are replaced by a rename, whole and durable, cluster.yaml before info.yaml before any
deletion; so a start never finds a directory that says less than the one before. Only a directory in
k8s-dqlite's form has such files; of others, `join` alone is deleted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from net.telemetry import Logger
from server import dqlite
from server.clustering import KnownMember
from server.config import Config
from server.dqlite import NodeInfo, node_of
from server.writing import remove_file, replace_file

LOOK_S: Final = 1.0
"""go-dqlite is as far behind with its own."""


class Known(Protocol):
    """What is asked of the member that runs."""

    @property
    def member_id(self) -> int:
        """This member."""
        ...

    def members(self) -> tuple[KnownMember, ...]:
        """The members as of what it has applied."""
        ...


Tell = Callable[[tuple[str, ...], Callable[[str], None]], None]
"""Asks the cluster to learn this member's peer URLs; the second gets "" or the fault."""
InThread = Callable[[Callable[[], None]], Awaitable[None]]


class Bulletin:
    """The files of one member. `run` is a task of the member's nursery."""

    def __init__(
        self, known: Known, config: Config, log: Logger, *, tell: Tell, in_thread: InThread
    ) -> None:
        self._known = known
        self._config = config
        self._log = log
        self._tell = tell
        self._in_thread = in_thread
        self._has_joined = config.joined is not None
        self._written: tuple[tuple[NodeInfo, ...], NodeInfo] | None = None
        self._is_telling = False
        self._told = ""

    async def run(self) -> None:
        """Look, write and tell, for ever; a directory of another form needs it once it joined."""
        while self._config.is_dqlites or self._has_joined:
            await self.look()
            await trio.sleep(LOOK_S)

    async def look(self) -> None:
        """Write what has changed, and tell what the cluster should know."""
        members = self._known.members()
        mine = next((each for each in members if each.id == self._known.member_id), None)
        if mine is None:
            # It has not been told of itself yet, or is removed: what stands there stays.
            return
        if not self._config.is_dqlites:
            await self._forget()
            return
        nodes = tuple(node_of(each) for each in members)
        address = dqlite.address_of(self._config.advertise_peer)
        info = NodeInfo(mine.id, address, mine.role)
        if self._written != (nodes, info):
            await self._write(nodes, info)
        if mine.peer_urls != self._config.advertise_peer and not self._is_telling:
            self._is_telling = True
            self._tell(self._config.advertise_peer, self._was_told)

    async def _forget(self) -> None:
        """Forget how it joined: from now on the log says who the cluster is."""
        try:
            await self._in_thread(lambda: remove_file(self._config.data_dir, dqlite.JOIN))
        except OSError as error:
            self._note("cannot delete the file join yet", str(error))
        else:
            self._has_joined = False

    async def _write(self, nodes: tuple[NodeInfo, ...], info: NodeInfo) -> None:
        """Write the files; a disk that takes nothing is tried again, and ends no member."""
        try:
            await self._in_thread(lambda: write(self._config.data_dir, nodes, info))
        except OSError as error:
            self._note("cannot write cluster.yaml and info.yaml yet", str(error))
        else:
            self._written = (nodes, info)

    def _note(self, message: str, fault: str) -> None:
        if fault != self._told:
            self._log.warn(message, reason=fault)
        self._told = fault

    def _was_told(self, fault: str) -> None:
        self._is_telling = False
        if not fault:
            self._log.info("the cluster knows the new address of this member",
                           urls=self._config.advertise_peer)  # fmt: skip
        else:
            self._note("cannot tell the cluster this member's address yet", fault)


def write(data_dir: str, nodes: tuple[NodeInfo, ...], info: NodeInfo) -> None:
    """Write cluster.yaml and info.yaml, then delete what asked for them. Raises OSError."""
    replace_file(data_dir, dqlite.CLUSTER, dqlite.cluster_text(nodes))
    replace_file(data_dir, dqlite.INFO, dqlite.info_text(info))
    for name in (dqlite.INIT, dqlite.UPDATE, dqlite.JOIN):
        remove_file(data_dir, name)
