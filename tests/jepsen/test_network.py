"""Networks of runs: seen by themselves alone, side by side, and gone afterwards."""

import subprocess
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex

import pytest

from jepsen.network import NETNS, Loopback, Namespaces, Network, why_no_namespaces
from jepsen.registry import Registry

WHY_NOT = why_no_namespaces()
with_namespaces = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
LISTEN = "import socket; s = socket.create_server(('', 9)); print(flush=True); s.accept()"
DIAL = "import socket, sys; socket.create_connection((sys.argv[1], 9), 5)"

Make = Callable[[], Namespaces]


@pytest.fixture
def make(tmp_path: Path) -> Generator[Make]:
    """Make networks of two machines, for runs of their own; all are taken away."""
    with ExitStack() as stack:

        def made() -> Namespaces:
            registry = Registry(token_hex(3), tmp_path)
            stack.callback(registry.close)
            return Namespaces(registry, 2)

        yield made


def run(network: Network, number: int, script: str, *words: str) -> int:
    command = [*network.entering(number), "python3", "-c", script, *words]
    return subprocess.run(command, check=False, capture_output=True).returncode


@with_namespaces
def test_machines_of_one_run_reach_each_other_and_nobody_else(make: Make) -> None:
    first, second = make(), make()
    command = [*first.entering(0), "python3", "-c", LISTEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as listening:
        assert listening.stdout is not None
        listening.stdout.readline()
        assert first.address(0) == second.address(0)
        assert run(second, 1, DIAL, first.address(0)) != 0
        assert run(first, 1, DIAL, first.address(0)) == 0
        assert listening.wait(10) == 0


@with_namespaces
def test_nothing_of_it_is_seen_on_this_machine(make: Make) -> None:
    before = subprocess.run(["ip", "-br", "link"], capture_output=True, check=True).stdout
    make()
    after = subprocess.run(["ip", "-br", "link"], capture_output=True, check=True).stdout
    assert before == after


@with_namespaces
def test_it_is_gone_with_its_run(tmp_path: Path) -> None:
    registry = Registry(token_hex(3), tmp_path)
    Namespaces(registry, 1)
    assert (NETNS / f"trj-{registry.run}-m0").exists()
    assert registry.close() == []
    assert not [path for path in NETNS.iterdir() if path.name.startswith(f"trj-{registry.run}")]


def test_loopback_gives_every_member_ports_of_its_own() -> None:
    network = Loopback(3)
    ports = {
        port
        for number in range(3)
        for port in (
            network.client_port(number),
            network.peer_port(number),
            network.link(number)[1],
        )
    }
    assert len(ports) == 9
    assert {network.address(number) for number in range(3)} == {"127.0.0.1"}


def test_without_root_there_are_no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert why_no_namespaces() == "network namespaces need root"


@pytest.mark.parametrize("tool", ["ip", "nsenter"])
def test_without_their_programs_there_are_no_namespaces(
    monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("jepsen.network.has_program", lambda name: name != tool)
    assert why_no_namespaces() == f"network namespaces need the program {tool}"
