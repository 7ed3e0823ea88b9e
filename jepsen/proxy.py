"""The proxy of all links between members: bytes are late or held, connections are cut.

The rule of this file: bytes are passed on whole and in order, or their connection is reset; nothing
is looked into. One thread with one event loop passes everything on; verbs may come from any other.

With namespaces the proxy of member d's own connections listens inside d's namespace, at an address
for each other member, and dials from there: members see each other's real addresses, so packet
filters work as without it. On loopback it listens once for each member, and finds out by the
kernel's table of sockets who dialled.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar

from attrs import define, field

from jepsen.cluster import ClusterError
from jepsen.network import Network

VERB_S: Final = 30.0
PIECE_BYTES: Final = 1 << 16
PIECES: Final = 256
"""So many pieces are under way at most; then the sender has to wait, as for a full window."""
DIAL_S: Final = 5.0
STRANGER: Final = -1
"""Who dialled and is no member: bytes are passed on as they come."""

T = TypeVar("T")


@define
class Rule:
    """What happens to bytes of one direction between two members."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    is_reset: bool = False
    open: asyncio.Event = field(factory=asyncio.Event)
    """Whether bytes go on; else they are held."""

    def __attrs_post_init__(self) -> None:
        self.open.set()

    def block(self, how: str) -> None:
        """Hold what comes (drop), or let nobody connect (reset), or neither ("")."""
        self.is_reset = how == "reset"
        if how == "drop":
            self.open.clear()
        else:
            self.open.set()


@define(eq=False)
class Connection:
    """One connection, from its dialer to us to the member that it meant."""

    dialer: int
    listener: int
    writers: list[asyncio.StreamWriter] = field(factory=list[asyncio.StreamWriter])

    def cut(self) -> None:
        """Reset both halves."""
        for writer in self.writers:
            _reset(writer)


class LinkProxy:
    """See `jepsen.cluster.Links`. `pid_of` tells a member's process, on loopback."""

    def __init__(self, network: Network, slots: int) -> None:
        self.pid_of: Callable[[int], int | None] = lambda number: None
        self._network = network
        self._slots = slots
        self._chance = Random(0)
        self._rules: dict[tuple[int, int], Rule] = {}
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()
        self._do(self._listen())

    def peer_url(self, number: int) -> str:
        """The URL at which others reach a member's peer port."""
        host, port = self._network.link(number)
        return f"http://{host}:{port}"

    def block(self, source: int, target: int, how: str) -> None:
        """See Links."""
        self._do(self._block(source, target, how))

    def delay(self, source: int, target: int, *, delay_ms: int, jitter_ms: int) -> None:
        """See Links."""
        self._do(self._delay(source, target, delay_ms / 1000, jitter_ms / 1000))

    def heal(self) -> None:
        """See Links."""
        self._do(self._heal())

    def close(self) -> None:
        """Pass nothing on any more. Once more does nothing."""
        if self._loop.is_closed():
            return
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:  # What asyncio sends in is its own affair.
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(VERB_S)
        except OSError as error:
            raise ClusterError(f"the link proxy: {error}") from error

    # ---- verbs, in the loop's thread

    async def _block(self, source: int, target: int, how: str) -> None:
        self._rule(source, target).block(how)
        if how == "reset":
            for each in list(self._connections):
                if {each.dialer, each.listener} == {source, target}:
                    each.cut()

    async def _delay(self, source: int, target: int, delay_s: float, jitter_s: float) -> None:
        rule = self._rule(source, target)
        rule.delay_s, rule.jitter_s = delay_s, jitter_s

    async def _heal(self) -> None:
        for rule in self._rules.values():
            rule.block("")
            rule.delay_s = rule.jitter_s = 0.0

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in list(self._connections):
            each.cut()
        # What was reset is told so on the loop's next turn.
        await asyncio.sleep(0)

    def _rule(self, source: int, target: int) -> Rule:
        return self._rules.setdefault((source, target), Rule())

    # ---- connections

    async def _listen(self) -> None:
        """Listen in every namespace for every other member, or once for each on loopback."""
        for listener in range(self._slots):
            dialers = range(self._slots) if self._network.has_namespaces else [STRANGER]
            for dialer in dialers:
                with self._network.within(dialer):
                    listening = socket.create_server(self._network.link(listener))
                meet = partial(self._met, dialer, listener)
                self._servers.append(await asyncio.start_server(meet, sock=listening))

    async def _met(
        self, dialer: int, listener: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass one connection on, both ways, until one side ends it."""
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._tasks.add(task)
        who = dialer if dialer != STRANGER else self._dialled(writer)
        connection = Connection(who, listener, [writer])
        self._connections.add(connection)
        try:
            await self._passed(connection, reader, writer)
        except asyncio.CancelledError:
            # All is over. Streams of asyncio complain about tasks that end by it.
            connection.cut()
        finally:
            for each in connection.writers:
                each.close()
            self._connections.discard(connection)
            self._tasks.discard(task)

    async def _passed(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass it on; where one side is lost, let the other know."""
        try:
            await self._pass(connection, reader, writer)
        except* OSError:
            connection.cut()

    async def _pass(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, back = self._rules_of(connection)
        if there.is_reset or back.is_reset:
            connection.cut()
            return
        # No connection is made while either direction is dead.
        await there.open.wait()
        await back.open.wait()
        far_reader, far_writer = await asyncio.wait_for(self._dial(connection), DIAL_S)
        connection.writers.append(far_writer)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(reader, far_writer, there))
            group.create_task(self._pump(far_reader, writer, back))

    async def _dial(
        self, connection: Connection
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        network, listener = self._network, connection.listener
        with network.within(connection.dialer):
            dialling = socket.socket()
        dialling.setblocking(False)
        address = network.address(listener), network.peer_port(listener)
        try:
            await self._loop.sock_connect(dialling, address)
            return await asyncio.open_connection(sock=dialling)
        except BaseException:
            dialling.close()
            raise

    def _rules_of(self, connection: Connection) -> tuple[Rule, Rule]:
        """Return the rule on the way there and that on the way back."""
        if connection.dialer == STRANGER:
            return Rule(), Rule()
        there = self._rule(connection.dialer, connection.listener)
        return there, self._rule(connection.listener, connection.dialer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rule: Rule
    ) -> None:
        """Pass one direction on, each piece at its time."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES)

        async def read() -> None:
            due_s = 0.0
            while True:
                piece = await reader.read(PIECE_BYTES)
                late_s = rule.delay_s + rule.jitter_s * self._chance.random()
                due_s = max(due_s, self._loop.time() + late_s)
                await pieces.put((due_s, piece))
                if not piece:
                    return

        async def write() -> None:
            while True:
                due_s, piece = await pieces.get()
                wait_s = due_s - self._loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                await rule.open.wait()
                if not piece:
                    writer.write_eof()
                    return
                writer.write(piece)
                await writer.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            group.create_task(write())

    def _dialled(self, writer: asyncio.StreamWriter) -> int:
        """Return which member's process holds the other end of a connection."""
        port = writer.get_extra_info("peername")[1]
        node = _inode(port)
        for number in range(self._slots):
            if node and _holds(self.pid_of(number), node):
                return number
        return STRANGER


def _inode(port: int) -> str:
    """Return the inode of the socket of this machine that is bound to a port and connected."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port and fields[2] != "00000000:0000":
            return fields[9]
    return ""


def _holds(pid: int | None, inode: str) -> bool:
    """Whether a process has a socket open."""
    if pid is None:
        return False
    with suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(each.readlink()) == f"socket:[{inode}]":
                    return True
    return False


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that the other side is told of a reset."""
    with suppress(OSError):
        plain = writer.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
