"""What `etcdctl snapshot save` writes is read, judged and restored by `trine snapshot`."""

import json
import subprocess
import sys
from pathlib import Path

from tests.etcdctl.conftest import Tools
from tests.etcdctl.run import Ctl
from tests.members import CHECKOUT, Member, running, trine

COMMAND = [sys.executable, "-m", "server.main", "snapshot"]


def saved(tools: Tools, member: Member, directory: Path) -> Path:
    """Put a few keys, delete one, compact, and save a snapshot."""
    ctl = Ctl(tools.etcdctl, member.endpoint, directory, tools.version, is_trine=True)
    lease = ctl.run("lease", "grant", "600").split()[1]
    for number in range(5):
        ctl.run("put", f"key/{number}", str(number), f"--lease={lease}")
    ctl.run("del", "key/0")
    ctl.run("compaction", "4")
    ctl.run("snapshot", "save", "saved.db")
    assert [step.code for step in ctl.steps] == [0] * len(ctl.steps)
    return directory / "saved.db"


def told(*args: str) -> "subprocess.CompletedProcess[str]":
    """Run `trine snapshot` to its end."""
    return subprocess.run(
        [*COMMAND, *args], capture_output=True, text=True, cwd=CHECKOUT, check=False, timeout=60
    )


def test_a_saved_snapshot_is_what_the_store_was(tools: Tools, tmp_path: Path) -> None:
    with running(trine(tmp_path / "data")) as member:
        path = saved(tools, member, tmp_path)
        ctl = Ctl(tools.etcdctl, member.endpoint, tmp_path, tools.version, is_trine=True)
        before = ctl.run("get", "key/", "--prefix", "-w", "json")
        revision = json.loads(before)["header"]["revision"]
    status = json.loads(told("status", str(path), "-w", "json").stdout)
    assert status["revision"] == revision
    restored = tmp_path / "restored"
    done = told("restore", str(path), f"--data-dir={restored}")
    assert done.returncode == 0, done.stderr
    with running(trine(restored)) as member:
        ctl = Ctl(tools.etcdctl, member.endpoint, tmp_path, tools.version, is_trine=True)
        after = ctl.run("get", "key/", "--prefix", "-w", "json")
        assert json.loads(after)["kvs"] == json.loads(before)["kvs"]
        assert len(ctl.run("lease", "list").split()) == len(["found", "1", "leases", "id"])


def test_a_snapshot_with_a_flipped_bit_is_refused(tools: Tools, tmp_path: Path) -> None:
    with running(trine(tmp_path / "data")) as member:
        path = saved(tools, member, tmp_path)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    restored = tmp_path / "restored"
    done = told("restore", str(path), f"--data-dir={restored}")
    assert (done.returncode, list(restored.iterdir())) == (1, [])
    assert "is damaged: it states SHA-256" in done.stderr
