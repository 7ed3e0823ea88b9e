"""A cluster that only notes what is done to it: the second implementation of `jepsen.cluster`."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from jepsen.cluster import ClusterError, Links, Need


@define
class FakeLinks:
    """Notes rules by direction."""

    blocked: dict[tuple[int, int], str] = field(factory=dict[tuple[int, int], str])
    late_ms: dict[tuple[int, int], tuple[int, int]] = field(
        factory=dict[tuple[int, int], tuple[int, int]]
    )

    def block(self, source: int, target: int, how: str) -> None:
        if how:
            self.blocked[source, target] = how
        else:
            self.blocked.pop((source, target), None)

    def delay(self, source: int, target: int, *, delay_ms: int, jitter_ms: int) -> None:
        if delay_ms or jitter_ms:
            self.late_ms[source, target] = (delay_ms, jitter_ms)
        else:
            self.late_ms.pop((source, target), None)

    def heal(self) -> None:
        self.blocked.clear()
        self.late_ms.clear()


@define(eq=False)
class FakeCluster:
    """Members that are up, down or paused; nobody answers questions."""

    directory: Path
    size: int = 3
    slots: int = 3
    missing: frozenset[Need] = frozenset()
    down: set[int] = field(factory=set[int])
    paused: set[int] = field(factory=set[int])
    rules: dict[int, list[tuple[str, ...]]] = field(factory=dict[int, list[tuple[str, ...]]])
    refused: frozenset[str] = frozenset()
    """Verbs that raise."""
    fake_links: FakeLinks = field(factory=FakeLinks)

    def lacks(self, need: Need) -> str:
        return "it is missing" if need in self.missing else ""

    def is_up(self, number: int) -> bool:
        return number not in self.down

    def start(self, number: int, joining: Sequence[tuple[str, str]] = ()) -> None:
        self._verb("start")
        self.down.discard(number)

    def wait_ready(self, number: int, patience_s: float) -> bool:
        return self.is_up(number)

    def stop(self, number: int) -> int:
        self.down.add(number)
        return 0

    def kill(self, number: int) -> None:
        self._verb("kill")
        self.down.add(number)

    def pid(self, number: int) -> int | None:
        return None

    def pause(self, number: int) -> None:
        self.paused.add(number)

    def resume(self, number: int) -> None:
        self.paused.discard(number)

    def exit_code(self, number: int) -> int | None:
        return None

    def log_text(self, number: int) -> str:
        return ""

    def data_directory(self, number: int) -> Path:
        return self.directory / self.name(number)

    def wipe(self, number: int) -> None:
        self._verb("wipe")

    def use_second_build(self, number: int, *, second: bool) -> None:
        self._verb("use_second_build")

    def name(self, number: int) -> str:
        return f"m{number}"

    def client_endpoint(self, number: int) -> str:
        # Nobody listens there: port 1 is of no use to anybody.
        return "127.0.0.1:1"

    def peer_url(self, number: int) -> str:
        return f"http://10.0.0.{number + 1}:2380"

    @contextmanager
    def restored(self, snapshot: Path) -> Generator[str]:
        self._verb("restored")
        yield "127.0.0.1:1"

    def witnessed(self) -> int:
        return 1

    def address(self, number: int) -> str:
        return f"10.0.0.{number + 1}"

    def device(self, number: int) -> str:
        return "eth0"

    def run_in(self, number: int, command: Sequence[str]) -> str:
        """Keep what iptables would: rules by member."""
        match tuple(command):
            case ("iptables", "-w", _, "-A", "INPUT", *rule):
                self.rules.setdefault(number, []).append(tuple(rule))
            case ("iptables", "-w", _, "-D", "INPUT", *rule):
                self.rules[number].remove(tuple(rule))
            case ("iptables", "-w", _, "-F", "INPUT"):
                self.rules.pop(number, None)
            case other:
                raise ClusterError(f"nobody knows {other}")
        return ""

    @property
    def links(self) -> Links:
        return self.fake_links

    def clock_file(self, number: int) -> Path:
        return self.directory / f"clock-{number}"

    def disk_mount(self, number: int) -> Path:
        return self.directory / f"disk-{number}"

    def disk_remount(self, number: int) -> None:
        self._verb("disk_remount")

    def _verb(self, name: str) -> None:
        if name in self.refused:
            raise ClusterError(f"{name} is refused")
