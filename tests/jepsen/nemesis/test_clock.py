"""Bent clocks: what a process sees of time when its file says so, with libfaketime itself."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attrs import define

from jepsen.nemesis import clock
from jepsen.nemesis.clock import ENVIRONMENT, RIGHT, bend, leap, library, read, write
from tests.jepsen.nemesis.fake_cluster import FakeCluster

LIBRARY = library()
LOOKS_S = 0.5
PROGRAM = """
import sys, time
for line in sys.stdin:
    print(time.monotonic(), time.time(), flush=True)
"""


@define(eq=False)
class Watch:
    """A process that tells its clocks when asked."""

    process: "subprocess.Popen[str]"

    def told(self) -> tuple[float, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        monotonic, wall = self.process.stdout.readline().split()
        return float(monotonic), float(wall)


class OneProcess(FakeCluster):
    """A cluster with a process to it."""

    known_pid: int = 0

    def pid(self, number: int) -> int | None:
        return self.known_pid


def test_what_a_clock_file_says_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    write(path, -1.25, 1.5)
    assert read(path.read_text()) == (-1.25, 1.5)
    assert read(RIGHT) == (0.0, 1.0)


def test_a_bend_has_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, path = OneProcess(tmp_path), tmp_path / "clock-0"
    cluster.known_pid = os.getpid()
    path.write_text(RIGHT)
    age_s = 0.0
    monkeypatch.setattr(clock, "age_s", lambda pid: age_s)  # pyright: ignore
    seen: list[float] = []
    for age_s, rate in ((10.0, 1.5), (14.0, 0.67), (20.0, 1.0)):
        offset_s, old = read(path.read_text())
        before = offset_s + age_s * old
        bend(cluster, 0, rate)
        offset_s, new = read(path.read_text())
        assert new == rate
        seen.append(offset_s + age_s * new - before)
    assert all(0 <= gap <= clock.SLACK_S for gap in seen), "never back, hardly ahead"


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
def test_a_process_runs_at_its_files_rate_and_never_goes_back(tmp_path: Path) -> None:
    cluster = OneProcess(tmp_path)
    path = cluster.clock_file(0)
    path.write_text(RIGHT)
    bent = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(path), **ENVIRONMENT}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **bent},
    ) as process:  # fmt: skip
        watch, cluster.known_pid = Watch(process), process.pid
        watch.told()
        seen: list[float] = []
        for rate in (1.5, 0.67, 1.0):
            seen.append(watch.told()[0])
            bend(cluster, 0, rate)
            seen.append(watch.told()[0])
        assert seen == sorted(seen)
        before, wall = watch.told()
        leap(cluster, 0, 20.0)
        after, wall_after = watch.told()
        assert 20 <= after - before < 25
        assert 20 <= wall_after - wall < 25
        bend(cluster, 0, 50.0)
        # Whoever is kept from the processor meanwhile is that for a small part of the time.
        ours, theirs = time.monotonic(), watch.told()[0]
        while time.monotonic() < ours + LOOKS_S:
            watch.told()
        rate = (watch.told()[0] - theirs) / (time.monotonic() - ours)
        assert 25 < rate < 75
        assert process.stdin is not None
        process.stdin.close()
