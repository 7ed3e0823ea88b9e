"""What a run made is unmade, by itself or by a later run; nothing else is touched."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from jepsen.registry import Registry, end, started, sweep

FOREVER = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def process() -> Generator[subprocess.Popen[bytes]]:
    """A process that lives until it is ended."""
    child = subprocess.Popen(FOREVER, stdin=subprocess.PIPE)
    yield child
    child.kill()
    child.wait()
    assert child.stdin is not None
    child.stdin.close()


def abandoned(folder: Path, run: str) -> Path:
    """Let the file of a run say that the run itself is over."""
    path = folder / f"{run}.jsonl"
    head, *rest = path.read_text().splitlines()
    over = json.dumps({**json.loads(head), "started": "0"})
    path.write_text("\n".join([over, *rest]) + "\n")
    return path


def test_a_run_that_closes_ends_its_processes(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    registry = Registry("a", tmp_path)
    registry.note("process", str(process.pid))
    assert registry.close() == []
    assert process.wait(10) == -9
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_is_taken_away(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    registry = Registry("a", tmp_path)
    registry.note("process", str(process.pid))
    abandoned(tmp_path, "a")
    assert list(sweep(tmp_path)) == ["run a: cleaned up"]
    assert process.wait(10) == -9
    assert list(sweep(tmp_path)) == []
    registry.close()


def test_a_run_that_is_under_way_is_left_alone(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    registry = Registry("a", tmp_path)
    registry.note("process", str(process.pid))
    assert list(sweep(tmp_path)) == []
    assert process.poll() is None
    registry.close()


def test_a_process_that_took_over_an_id_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    assert end(process.pid, "1") == ""
    assert process.poll() is None


def test_who_has_ended_started_never(process: subprocess.Popen[bytes]) -> None:
    assert started(process.pid).isdigit()
    process.kill()
    process.wait()
    assert started(process.pid) == ""


def test_a_line_that_was_cut_is_passed_over(tmp_path: Path) -> None:
    Registry("a", tmp_path).close()
    Registry("b", tmp_path)._file.close()  # pyright: ignore[reportPrivateUsage]
    path = abandoned(tmp_path, "b")
    with path.open("a") as file:
        file.write('{"kind": "proc')
    assert list(sweep(tmp_path)) == ["run b: cleaned up"]


def test_the_file_names_its_run(tmp_path: Path) -> None:
    registry = Registry("a", tmp_path)
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    assert json.loads(line) == {"run": "a", "pid": os.getpid(), "started": started(os.getpid())}
    registry.close()
