"""Clocks that run fast or slow, and clocks that jump ahead, by libfaketime.

The rule of this file: what no machine does is not done. A monotonic clock never goes back, so a new
rate begins where the old one stood: libfaketime reckons `start + offset + passed * rate` from the
process's start, and the offset is chosen so that the line has a bend and no gap. The jump moves all
clocks of a process at once, as for a guest that was moved to another machine. Dishonest monotonic
clocks are all that matters to a member that asks the time of day for its log alone.

FAKETIME_DONT_FAKE_MONOTONIC=1 is not used: CPython's `time.sleep` then fails with EINVAL.
Go programs that are linked statically (etcd) ignore LD_PRELOAD: nothing here reaches them.
"""

import os
import time
from functools import partial
from pathlib import Path
from random import Random
from typing import ClassVar

from jepsen.cluster import Cluster, ClusterError, Need
from jepsen.nemesis.blow import Arguments, Blow, Held, IdleError, Options
from jepsen.nemesis.choice import chosen

LIBRARIES = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib64/faketime/libfaketime.so.1"),
    Path("/usr/lib/faketime/libfaketime.so.1"),
)
RIGHT = "+0"
"""What a member's clock file says before the first blow, and after a start."""
ENVIRONMENT = {
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "0",
    "DONT_FAKE_MONOTONIC": "0",
}
"""Beside LD_PRELOAD and FAKETIME_TIMESTAMP_FILE. The file is read at each look at a clock: 4 us."""
PERCENTS = (67, 80, 95, 105, 120, 150)
DRIFT_PPM = 500_000
"""What the judge must allow for: `History.facts["bounds"]["drift_ppm"]`."""
JUMPS_MS = (100, 700, 2000, 20_000)
SLACK_S = 0.1
"""So much later than the process itself its library may have begun to reckon."""


def library() -> Path | None:
    """Where libfaketime is; None where it is not installed."""
    return next((path for path in LIBRARIES if path.exists()), None)


class Clock:
    """A member's clocks run fast, run slow, or jump ahead."""

    name: ClassVar[str] = "clock"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROCESSES, Need.FAKETIME})
    is_alone: ClassVar[bool] = False

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """A rate or a jump."""
        who = chance.choice(("leader", "leader", "one", "minority", "all"))
        if chance.random() < 0.65:
            return "rate", {"who": who, "percent": chance.choice(PERCENTS)}
        return "jump", {"who": who, "ms": chance.choice(JUMPS_MS)}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Bend their clocks; straighten them at the end. A jump is not taken back."""
        struck = chosen(blow.word("who"), cluster, blow.chance)
        for number in struck:
            if blow.do == "rate":
                bend(cluster, number, blow.number("percent") / 100)
            else:
                leap(cluster, number, blow.number("ms") / 1000)
        amount = (
            f"{blow.number('percent')} %" if blow.do == "rate" else f"ahead {blow.number('ms')} ms"
        )
        detail = f"{blow.do} {amount} for {blow.word('who')}"
        return Held(struck, detail, partial(_straighten, cluster, struck))

    def heal(self, cluster: Cluster) -> None:
        """Let every clock run at its rate; none goes back."""
        _straighten(cluster, tuple(range(cluster.slots)))


def bend(cluster: Cluster, number: int, rate: float) -> None:
    """From now on its clocks run at this rate. Raises IdleError if it is not up."""
    pid, path = cluster.pid(number), cluster.clock_file(number)
    if pid is None:
        raise IdleError(f"{number} is not up")
    offset_s, old = read(path.read_text())
    if rate == old:
        return
    passed_s = age_s(pid)
    slack_s = SLACK_S * abs(rate - old)
    write(path, offset_s + passed_s * (old - rate) + slack_s, rate)


def leap(cluster: Cluster, number: int, ahead_s: float) -> None:
    """Its clocks jump ahead, and go on at their rate."""
    path = cluster.clock_file(number)
    offset_s, rate = read(path.read_text())
    write(path, offset_s + ahead_s, rate)


def read(words: str) -> tuple[float, float]:
    """The offset in seconds and the rate that a clock file says."""
    offset, _, rate = words.strip().partition(" x")
    return float(offset), float(rate or "1")


def write(path: Path, offset_s: float, rate: float) -> None:
    """Say it, all at once: a reader never sees half of it."""
    new = path.with_suffix(".new")
    new.write_text(f"{offset_s:+.3f} x{rate:.4f}")
    new.replace(path)


def age_s(pid: int) -> float:
    """How long a process has lived, to a hundredth of a second. Raises ClusterError if it ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise ClusterError(f"process {pid}: {error}") from error
    born_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - born_s


def _straighten(cluster: Cluster, struck: tuple[int, ...]) -> str:
    for number in struck:
        if cluster.is_up(number):
            bend(cluster, number, 1.0)
        else:
            cluster.clock_file(number).write_text(RIGHT)
    return ""
