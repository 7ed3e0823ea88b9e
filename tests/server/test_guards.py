"""Trine refuses an interpreter in which it would not be itself."""

import os
import subprocess
import sys
from pathlib import Path

from server.guards import refusal, shadowed

ROOT = Path(__file__).parents[2]


def run(*args: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    return done.returncode, done.stderr


def test_this_interpreter_is_fine() -> None:
    assert refusal() is None


def test_an_interpreter_without_asserts_is_refused() -> None:
    code, told = run("-O", "-m", "server.main", "version")
    assert (code, told) == (
        1,
        "trine: trine does not run under python -O (or PYTHONOPTIMIZE): its invariants are "
        "asserts. Start it without.\n",
    )


def test_a_package_of_another_distribution_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sim").mkdir()
    (tmp_path / "sim" / "__init__.py").write_text("")
    code, told = run(
        "-c",
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import server.main; server.main.main()",
    )
    assert (code, told) == (
        1,
        f"trine: trine's package sim is hidden by one of the same name in {tmp_path}: install "
        "trine in an environment of its own.\n",
    )


def test_packages_side_by_side_pass() -> None:
    assert shadowed({"core": "/a", "net": "/a", "server": "/a"}) is None


def test_a_package_that_is_not_there_is_refused() -> None:
    assert shadowed({"core": None, "server": "/a"}) == (
        "trine's package core cannot be found beside /a: the installation is incomplete; install "
        "trine again."
    )
