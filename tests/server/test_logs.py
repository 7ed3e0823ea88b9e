"""Where lines go."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from net import telemetry
from server.logs import LogFile, LogSettings, Outputs, Rotation, open_log, open_outputs


@attrs.define
class Hand:
    """A clock that a test moves."""

    now_s: float = 1_795_262_400.0

    def __call__(self) -> float:
        return self.now_s


def rotation(*, size: int = 100, age_days: int = 0, backups: int = 0) -> Rotation:
    return Rotation(size, age_days, backups, is_local_time=False)


def written(path: Path, clock: Callable[[], float], policy: Rotation, *lines: str) -> None:
    file = LogFile(str(path), policy, clock)
    for line in lines:
        assert file.write(line.encode())
    file.close()


def test_a_log_goes_to_its_file(tmp_path: Path) -> None:
    path = tmp_path / "t.log"
    settings = LogSettings(telemetry.WARN, "json", (str(path),), None)
    outputs = open_outputs(settings)
    log = open_log(settings, outputs)
    log.info("not this")
    log.warn("this \udc80")
    outputs.close()
    assert [line.partition('"msg":')[2] for line in path.read_text().splitlines()] == [
        '"this \\udc80"}'
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_streams_are_written_once_each(capfd: pytest.CaptureFixture[str]) -> None:
    outputs = open_outputs(
        LogSettings(telemetry.INFO, "json", ("stderr", "systemd/journal", "stdout"), None)
    )
    outputs.write("x\n")
    assert capfd.readouterr() == ("x\n", "x\n")


def test_a_line_that_cannot_be_written_is_counted() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    outputs = Outputs(streams=[writing])
    outputs.write("x\n")
    os.close(writing)
    assert outputs.lines_lost == 1


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_outputs(LogSettings(telemetry.INFO, "json", (str(tmp_path / "no" / "t"),), None))


def test_a_file_that_is_full_gives_way_to_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "t.log"
    written(path, Hand(), rotation(size=10), "12345\n", "6789\n", "next\n")
    old = sorted(name for name in os.listdir(tmp_path) if name != "t.log")
    assert old == ["t-2026-11-21T12-00-00.000.log"]
    assert (tmp_path / old[0]).read_text() == "12345\n"
    assert path.read_text() == "6789\nnext\n"


def test_a_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "t.log"
    path.write_text("123456\n")
    written(path, Hand(), rotation(size=10), "next\n")
    assert path.read_text() == "next\n"


def test_only_so_many_old_files_stay(tmp_path: Path) -> None:
    path, clock = tmp_path / "t.log", Hand()
    for number in range(5):
        clock.now_s += 1
        written(path, clock, rotation(size=5, backups=2), f"{number}aaa\n")
        os.utime(path, (clock.now_s, clock.now_s))
    old = sorted(name for name in os.listdir(tmp_path) if name != "t.log")
    assert [re.sub(r".*T12-00-0", "", name) for name in old] == ["4.000.log", "5.000.log"]


def test_old_files_go_when_they_are_too_old(tmp_path: Path) -> None:
    path, clock = tmp_path / "t.log", Hand()
    aged = tmp_path / "t-2020-01-01T00-00-00.000.log"
    aged.write_text("")
    os.utime(aged, (clock.now_s - 8 * 86_400, clock.now_s - 8 * 86_400))
    written(path, clock, rotation(size=5, age_days=7), "aaaa\n", "bbbb\n")
    assert not aged.exists()


def test_a_rotation_that_fails_loses_no_line(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    path = directory / "t.log"
    file = LogFile(str(path), rotation(size=5), Hand())
    assert file.write(b"aaaa\n")
    path.unlink()
    directory.rmdir()
    assert file.write(b"bbbb\n")
    file.close()
