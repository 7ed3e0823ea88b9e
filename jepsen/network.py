"""Where members and clients live: a network namespace each, or all on this machine's loopback.

The rule of this file: nothing shows outside of what it makes. The bridge lies in a namespace of its
own, so the addresses of two runs may be the same and neither sees the other or the machine.

    trj-RUN-net     bridge br0 with one port a machine
    trj-RUN-m0 ...  eth0 10.99.0.11 ...       a member each
    trj-RUN-c       eth0 10.99.0.2            this process, from `enter` on

Without root there are no namespaces: members take free ports of 127.0.0.1.
"""

import ctypes
import os
import subprocess
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final, Protocol

from jepsen.cluster import ClusterError
from jepsen.ports import free_ports
from jepsen.registry import Registry

CLIENT_PORT: Final = 2379
PEER_PORT: Final = 2380
NETNS: Final = Path("/run/netns")
NEW_NET: Final = 0x40000000
"""CLONE_NEWNET: what kind of namespace is entered."""
_SUBNET: Final = "10.99.0"
_LINKS: Final = "10.99.1"
_CLIENT: Final = 2
_FIRST: Final = 11


class Network(Protocol):
    """Addresses of machines by number, and how a process gets there."""

    has_namespaces: bool

    def address(self, number: int) -> str:
        """A machine's IPv4 address."""
        ...

    def client_port(self, number: int) -> int: ...

    def peer_port(self, number: int) -> int: ...

    def entering(self, number: int) -> list[str]:
        """What a command line begins with so that it runs on that machine."""
        ...

    def device(self, number: int) -> str:
        """The machine's network device."""
        ...

    def link(self, number: int) -> tuple[str, int]:
        """Where a link proxy listens for connections to a machine."""
        ...

    def within(self, number: int) -> AbstractContextManager[None]:
        """Let this thread make sockets on a machine."""
        ...

    def enter(self) -> None:
        """Let this thread, and those it will start, live where clients do."""
        ...

    def leave(self) -> None:
        """Let this thread live where it did before."""
        ...


def why_no_namespaces() -> str:
    """Return why there can be no network namespaces here, in a sentence; "" if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nsenter"):
        if not has_program(tool):
            return f"network namespaces need the program {tool}"
    try:
        made = subprocess.run(
            ["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, check=False
        )
    except OSError as error:
        return f"no network namespace can be made here: {error}"
    if made.returncode:
        return f"no network namespace can be made here: {made.stderr.decode().strip()}"
    return ""


def has_program(name: str) -> bool:
    """Whether a program is installed, in the folders of administrators too."""
    folders = [*os.get_exec_path(), "/usr/sbin", "/sbin"]
    return any(os.access(Path(each, name), os.X_OK) for each in folders)


class Namespaces:
    """A machine each, joined by a bridge. Made at once; taken away by the registry."""

    has_namespaces = True

    def __init__(self, registry: Registry, machines: int) -> None:
        self._prefix = f"trj-{registry.run}"
        self._home = -1
        self._bridge = f"{self._prefix}-net"
        self._make(registry, self._bridge)
        self._in(self._bridge, "link", "add", "br0", "type", "bridge")
        self._in(self._bridge, "link", "set", "br0", "up")
        names = [(f"{self._prefix}-c", _CLIENT)]
        names += [(self._name(number), _FIRST + number) for number in range(machines)]
        for name, host in names:
            self._make(registry, name)
            port = f"p{host}"
            add = ("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            self._in(self._bridge, *add)
            self._in(self._bridge, "link", "set", port, "master", "br0", "up")
            self._in(name, "addr", "add", f"{_SUBNET}.{host}/24", "dev", "eth0")
            for number in range(machines):
                # Where a link proxy may listen, for this machine alone.
                self._in(name, "addr", "add", f"{_LINKS}.{_FIRST + number}/32", "dev", "lo")
            self._in(name, "link", "set", "eth0", "up")

    def address(self, number: int) -> str:
        """See Network."""
        return f"{_SUBNET}.{_FIRST + number}"

    def client_port(self, number: int) -> int:
        """See Network."""
        return CLIENT_PORT

    def peer_port(self, number: int) -> int:
        """See Network."""
        return PEER_PORT

    def entering(self, number: int) -> list[str]:
        """See Network. The process that comes of it is the command itself."""
        return ["nsenter", f"--net={NETNS / self._name(number)}", "--"]

    def device(self, number: int) -> str:
        """See Network."""
        return "eth0"

    def link(self, number: int) -> tuple[str, int]:
        """See Network."""
        return f"{_LINKS}.{_FIRST + number}", PEER_PORT

    @contextmanager
    def within(self, number: int) -> Generator[None]:
        """See Network."""
        with _in_namespace(self._name(number)):
            yield

    def enter(self) -> None:
        """See Network."""
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _enter(f"{self._prefix}-c")

    def leave(self) -> None:
        """See Network."""
        if self._home >= 0:
            _set_namespace(self._home)
            os.close(self._home)
            self._home = -1

    def _name(self, number: int) -> str:
        return f"{self._prefix}-m{number}"

    def _make(self, registry: Registry, name: str) -> None:
        registry.note("namespace", name)
        _run("ip", "netns", "add", name)
        self._in(name, "link", "set", "lo", "up")

    def _in(self, name: str, *words: str) -> None:
        _run("ip", "-n", name, *words)


class Loopback:
    """All on one host: a free port each. Ports are taken when the members bind them."""

    has_namespaces = False

    def __init__(self, machines: int) -> None:
        ports = free_ports(3 * machines)
        self._client_ports, self._peer_ports = ports[:machines], ports[machines : 2 * machines]
        self._link_ports = ports[2 * machines :]

    def address(self, number: int) -> str:
        """See Network."""
        return "127.0.0.1"

    def client_port(self, number: int) -> int:
        """See Network."""
        return self._client_ports[number]

    def peer_port(self, number: int) -> int:
        """See Network."""
        return self._peer_ports[number]

    def entering(self, number: int) -> list[str]:
        """See Network."""
        return []

    def device(self, number: int) -> str:
        """See Network."""
        return "lo"

    def link(self, number: int) -> tuple[str, int]:
        """See Network."""
        return "127.0.0.1", self._link_ports[number]

    def within(self, number: int) -> AbstractContextManager[None]:
        """See Network."""
        return nullcontext()

    def enter(self) -> None:
        """See Network."""

    def leave(self) -> None:
        """See Network."""


@contextmanager
def _in_namespace(name: str) -> Generator[None]:
    """Let this thread live in a namespace for a while."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(name)
        yield
    finally:
        _set_namespace(home)
        os.close(home)


def _enter(name: str) -> None:
    handle = os.open(NETNS / name, os.O_RDONLY)
    try:
        _set_namespace(handle)
    finally:
        os.close(handle)


def _set_namespace(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, NEW_NET):
        number = ctypes.get_errno()
        raise ClusterError(f"the clients' namespace cannot be entered: {os.strerror(number)}")


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise ClusterError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.decode().strip()}")
