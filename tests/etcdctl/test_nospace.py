"""A store that reaches its quota behaves as etcd's does, and is brought back by the same steps."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from tests.etcdctl.conftest import Tools
from tests.etcdctl.normal import normal
from tests.etcdctl.run import Ctl, Step
from tests.members import Member, etcd, running, trine

QUOTA = "--quota-backend-bytes=4194304"
VALUE = "v" * 500_000
PUTS_MAX = 20
REVISION = re.compile(r'(?<="revision":)\d+|(?<="Revision" : )\d+')


def fill_and_recover(tools: Tools, member: Member, directory: Path) -> list[Step]:
    """Put until it is refused, look at it from all sides, delete, compact, defragment, disarm."""
    directory.mkdir()
    ctl = Ctl(tools.etcdctl, member.endpoint, directory, tools.version, member.name == "trine")
    for number in range(PUTS_MAX):
        ctl.quietly("put", f"full/{number}", stdin=VALUE)
        if ctl.quietly("alarm", "list"):
            break
    ctl.run("put", "one", "more")
    ctl.run("txn", "-i", stdin="\nput one more\n\n\n")
    ctl.run("lease", "grant", "600")
    ctl.run("get", "full/0", "--keys-only")
    ctl.run("alarm", "list")
    ctl.run("endpoint", "health")
    ctl.run("endpoint", "health", "-w", "json")
    ctl.run("endpoint", "status", "-w", "json")
    ctl.run("endpoint", "status", "-w", "fields")
    ctl.quietly("del", "full/", "--prefix")
    ctl.quietly("compaction", "--physical", str(ctl.revision()))
    ctl.run("defrag")
    ctl.run("put", "one", "more")
    ctl.run("alarm", "disarm")
    ctl.run("put", "one", "more")
    ctl.run("alarm", "list")
    ctl.run("endpoint", "health")
    ctl.run("get", "", "--from-key", "--keys-only")
    # How many puts fit is not the same: etcd counts pages of its file.
    return [attrs.evolve(step, out=REVISION.sub("<revision>", step.out))
            for step in normal(ctl.steps)]  # fmt: skip


def test_a_full_store_is_told_of_and_recovered_as_with_etcd(tools: Tools, tmp_path: Path) -> None:
    with (
        running(etcd(tools.etcd, tmp_path / "etcd", QUOTA)) as peer,
        running(trine(tmp_path / "trine", QUOTA)) as own,
        ThreadPoolExecutor(2) as pool,
    ):
        sides = [
            pool.submit(fill_and_recover, tools, member, tmp_path / f"in-{member.name}")
            for member in (peer, own)
        ]
        of_etcd, of_trine = (side.result() for side in sides)
    different = [pair for pair in zip(of_etcd, of_trine, strict=True) if pair[0] != pair[1]]
    assert different == []
    assert any("database space exceeded" in step.err for step in of_trine)


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_the_alarm_outlives_a_restart(tools: Tools, tmp_path: Path, way: str) -> None:
    with running(trine(tmp_path / "trine", "--quota-backend-bytes=1000000")) as member:
        ctl = Ctl(tools.etcdctl, member.endpoint, tmp_path, tools.version, is_trine=True)
        for number in range(3):
            ctl.quietly("put", f"full/{number}", stdin=VALUE)
        alarm = ctl.quietly("alarm", "list")
        assert "NOSPACE" in alarm
        member.stop() if way == "stop" else member.kill()
        member.start()
        assert ctl.quietly("alarm", "list") == alarm
        ctl.run("put", "one", "more")
        assert "database space exceeded" in ctl.steps[-1].err
