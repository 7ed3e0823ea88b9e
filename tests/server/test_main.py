"""The command `trine`: its commands, its exit codes."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from server.main import cli
from server.version import TRINE_VERSION
from tests.command import Told, trine

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("library", ["grpc", "yaml"])
def test_a_member_starts_without_the_libraries_of_clients_and_files(library: str) -> None:
    """The library of clients takes longer to load than all that a member needs."""
    script = "import sys, server.main, server.serve, server.member"
    script += f"; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_help_lists_every_command() -> None:
    told = trine("--help")
    assert told.code == 0
    for name in ("serve", "status", "snapshot", "check", "sql", "version", "sim", "jepsen"):
        assert f"\n  {name} " in told.out
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage" in told.out


@pytest.mark.parametrize(
    "name", ["serve", "status", "snapshot", "check", "sql", "version", "jepsen"]
)
def test_every_command_has_help(name: str) -> None:
    told = trine(name, "--help")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"Usage: trine {name}")


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == TRINE_VERSION


@pytest.mark.parametrize("args", [("--version",), ("serve", "--version"), ("serve", "-version")])
def test_the_version_is_shown(args: tuple[str, ...]) -> None:
    assert trine(*args) == Told(0, f"trine {TRINE_VERSION} (etcd API 3.7.0)\n", "")


def test_version_shows_the_api_as_well() -> None:
    assert trine("version").out.splitlines()[:2] == [
        f"trine Version: {TRINE_VERSION}",
        "etcd API Version: 3.7.0",
    ]


def test_a_members_flag_without_serve_is_told_where_it_belongs() -> None:
    told = trine("--name", "a")
    assert told.code == 2
    assert '"--name" is a flag of a member; write: trine serve --name a' in told.err


def test_a_wrong_command_is_refused() -> None:
    told = trine("serv")
    assert told.code == 2
    assert "No such command 'serv'." in told.err


def test_no_command_is_called_twice() -> None:
    names = cli.list_commands(cli.make_context("trine", ["version"], resilient_parsing=True))
    assert len(set(names)) == len(names)
