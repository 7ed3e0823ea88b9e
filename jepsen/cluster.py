"""A cluster as the nemeses hold it: processes, links, clocks and disks by a member's number.

The rule of this file: names only, no way of doing it. Members are numbered from 0, as in histories;
the first `size` found the cluster, the slots after them are spare: prepared, and not started.
Every verb blocks until it is done, raises `ClusterError` where it could not be, and may be called
from one thread at a time that is not the clients'. What needs something that is not there is told
before a run begins, by `Cluster.lacks`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import Protocol


class ClusterError(Exception):
    """A member, link, clock or disk did not do what it was told; says what, and what came back."""


class Need(Enum):
    """What a nemesis needs of a cluster; the value says it to who runs it."""

    PROCESSES = "members that this run starts (not --server endpoints:...)"
    NAMESPACES = "network namespaces (root)"
    IPTABLES = "iptables inside the namespaces (root, and the program installed)"
    TBF = "tc with the tbf discipline inside the namespaces (root)"
    LINKS = "links between members that pass a proxy (--links proxied, or no namespaces)"
    FAKETIME = "libfaketime, and members that are not linked statically (not etcd)"
    DISKS = "a file system for each member (root, loop devices, mkfs.ext4)"
    SPARE = "a spare member"
    SECOND_BUILD = "a second build of the server (--upgrade-to)"


class Links(Protocol):
    """The links between members, each direction by itself, whoever of the two dialled."""

    def block(self, source: int, target: int, how: str) -> None:
        """Bytes from `source` to `target` are held until lifted (drop); nothing, if "".

        reset: connections between the two are cut, and new ones as soon as they are made.
        """
        ...

    def delay(self, source: int, target: int, *, delay_ms: int, jitter_ms: int) -> None:
        """Each piece is so late, and up to the jitter more; order is kept, as TCP does."""
        ...

    def heal(self) -> None:
        """Lift everything."""
        ...


class Cluster(Protocol):
    """Everything that can be done to members. Implemented by the harness, and by fakes in tests."""

    @property
    def size(self) -> int:
        """How many members found it."""
        ...

    @property
    def slots(self) -> int:
        """How many there may be: `size` and the spare ones."""
        ...

    @property
    def directory(self) -> Path:
        """Where nemeses may lay down files of their own (snapshots); gone with the run's output."""
        ...

    def lacks(self, need: Need) -> str:
        """Why this need is not met, in a sentence; "" if it is. Known before members start."""
        ...

    # ---- processes

    def is_up(self, number: int) -> bool:
        """Whether its process is there, paused or not."""
        ...

    def start(self, number: int, joining: Sequence[tuple[str, str]] = ()) -> None:
        """Start it and return at once; nothing, if it is up.

        `joining`: the whole list of names and peer URLs, its own among them, of the running
        cluster that has just been told of it (`--initial-cluster-state existing`).
        """
        ...

    def wait_ready(self, number: int, patience_s: float) -> bool:
        """Whether it answers as a member within this time; False at once if its process ends."""
        ...

    def stop(self, number: int) -> int:
        """SIGTERM, waited for; SIGKILL after 20 s. Its exit code; 0 if it was not up."""
        ...

    def kill(self, number: int) -> None:
        """SIGKILL, waited for. Nothing, if it is not up."""
        ...

    def pid(self, number: int) -> int | None:
        """The id of its process; None if it is not up."""
        ...

    def pause(self, number: int) -> None:
        """SIGSTOP. Nothing, if it is not up."""
        ...

    def resume(self, number: int) -> None:
        """SIGCONT. Nothing, if it is not up or not paused."""
        ...

    def exit_code(self, number: int) -> int | None:
        """How its process ended by itself; None while it is up or if we ended it."""
        ...

    def log_text(self, number: int) -> str:
        """What it has logged so far, over all its starts."""
        ...

    def data_directory(self, number: int) -> Path:
        """Where its data are, and nothing else."""
        ...

    def wipe(self, number: int) -> None:
        """Delete everything in its data directory; it is not up. The directory stays."""
        ...

    def use_second_build(self, number: int, *, second: bool) -> None:
        """From its next start on, run the build that was given by --upgrade-to, or the first."""
        ...

    # ---- how it is asked

    def name(self, number: int) -> str:
        """Its member's name: m0, m1, ..."""
        ...

    def client_endpoint(self, number: int) -> str:
        """Host and port that this process reaches it at, plain gRPC."""
        ...

    def peer_url(self, number: int) -> str:
        """The peer URL that it advertises."""
        ...

    def restored(self, snapshot: Path) -> AbstractContextManager[str]:
        """Restore a snapshot as a fresh cluster of one beside this one; its client endpoint.

        It answers when the block begins; it is ended and its data deleted when the block ends.
        Raises ClusterError, with the tool's words, where the snapshot is refused.
        """
        ...

    def witnessed(self) -> int:
        """Up to which revision all witnesses have seen everything: what may be compacted."""
        ...

    # ---- links, where `Need.NAMESPACES` is met

    def address(self, number: int) -> str:
        """Its IPv4 address, the same to everybody."""
        ...

    def device(self, number: int) -> str:
        """The name of its network device, inside its namespace."""
        ...

    def run_in(self, number: int, command: Sequence[str]) -> str:
        """Run a command in its network namespace, and in ours otherwise; its output.

        Enter by `nsenter --net=...`: `ip netns exec` makes a mount namespace in which a later
        mount is not seen. Raises ClusterError with the command's words if it fails.
        """
        ...

    # ---- links, where `Need.LINKS` is met

    @property
    def links(self) -> Links:
        """The proxy of all links between members."""
        ...

    # ---- clocks, where `Need.FAKETIME` is met

    def clock_file(self, number: int) -> Path:
        """The file that FAKETIME_TIMESTAMP_FILE names in its environment; "+0" at its start.

        Its environment has LD_PRELOAD, FAKETIME_TIMESTAMP_FILE, and those of `clock.ENVIRONMENT`.
        """
        ...

    # ---- disks, where `Need.DISKS` is met: see `jepsen.disk`

    def disk_mount(self, number: int) -> Path:
        """Where its own file system is mounted: above its data directory."""
        ...

    def disk_remount(self, number: int) -> None:
        """Unmount and mount again; it is not up. What was never synced before a loss is gone."""
        ...
