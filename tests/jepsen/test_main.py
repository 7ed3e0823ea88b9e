"""The command `trine jepsen`: what cannot be meant is refused in a sentence, before it is run."""

from pathlib import Path

import pytest

from jepsen.clock import RealTime
from sim.history import History
from sim.history_file import write_history
from sim.ops import Put, PutDone
from sim.recorder import Recorder
from tests.command import Told, trine
from tests.members import running
from tests.members import trine as trine_member


def history(path: Path, workload: str = "register") -> Path:
    """A history of one write."""
    real = RealTime()
    made = History(facts={"workload": workload})
    recorder = Recorder(made, lambda: real.now_us)
    recorder.finish(recorder.invoke(1, 0, Put("r/1", "1")), PutDone(2))
    recorder.end()
    write_history(path, made)
    return path


@pytest.mark.parametrize("name", ["run", "matrix", "check", "export", "cleanup"])
def test_every_command_has_help(name: str) -> None:
    told = trine("jepsen", name, "--help")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"Usage: trine jepsen {name}")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--server=consul",), "no server is called 'consul'"),
        (("--server=etcd:/no/such",), "there is no file /no/such"),
        (("--workload=regster",), "no workload is called 'regster': there are kube, register"),
        (("--nemesis=kil",), "no nemesis is kil; there are: kill, pause"),
        (("--upgrade-to=/no/such",), "no server is called '/no/such'"),
        (("--server=endpoints:127.0.0.1:1", "--nemesis=kill"), "give --nemesis none"),
        (("--server=endpoints:127.0.0.1:1",), "nobody answers at 127.0.0.1:1"),
        (("--loopback", "--nemesis=loss"), "loss needs iptables inside the namespaces"),
        (("--loopback", "--links=direct", "--nemesis=delay"), "delay needs links between members"),
        (("--nemesis=upgrade",), "upgrade needs a second build of the server (--upgrade-to)"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    told = trine("jepsen", "run", f"--out={tmp_path / 'out'}", *words)
    assert told.code == 2
    assert why in told.err


@pytest.mark.parametrize("word", ["--members=0", "--members=8", "--time=1", "--rate=0", "--tim=5"])
def test_a_wrong_flag_is_refused(word: str) -> None:
    assert trine("jepsen", "run", word).code == 2


def test_a_directory_with_other_things_in_it_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    told = trine("jepsen", "run", f"--out={tmp_path}")
    assert told.code == 2
    assert "is not empty and no run's: it has 'precious' in it" in told.err


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = trine("jepsen", "run", f"--out={tmp_path / 'file' / 'out'}")
    assert told.code == 2
    assert "cannot be written to" in told.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--members=3,nine",), "invalid literal"),
        (("--members=9",), "a cluster has 1 to 7 members"),
        (("--nemesis=kill,kil",), "no nemesis is kil"),
        (("--server=endpoints:a:1",), "members of somebody else are left alone"),
    ],
)
def test_a_matrix_that_cannot_be_run_is_refused(
    tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    told = trine("jepsen", "matrix", f"--out={tmp_path / 'out'}", *words)
    assert told.code == 2
    assert why in told.err


def test_a_history_is_judged_again(tmp_path: Path) -> None:
    told = trine("jepsen", "check", str(history(tmp_path / "history.jsonl")))
    assert told.code == 0
    assert "register  linear" in told.out


def test_a_history_of_nothing_known_is_refused(tmp_path: Path) -> None:
    told = trine("jepsen", "check", str(history(tmp_path / "history.jsonl", "regster")))
    assert told.code == 2
    assert "no workload is called 'regster'" in told.err


def test_a_file_that_is_no_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}\n")
    told = trine("jepsen", "check", str(tmp_path / "file"))
    assert told.code == 2
    assert "line 1" in told.err


@pytest.mark.parametrize("shape", ["edn", "elle", "robustness"])
def test_a_history_is_written_for_other_checkers(tmp_path: Path, shape: str) -> None:
    path, out = history(tmp_path / "history.jsonl"), tmp_path / "out"
    told = trine("jepsen", "export", str(path), f"--to={shape}", f"--out={out}")
    assert (told.code, told.err) == (0, "")
    assert out.exists()


def test_nothing_is_left_to_clean_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert trine("jepsen", "cleanup") == Told(0, "nothing was left behind\n", "")


def test_a_cluster_of_somebody_else_is_judged_once_while_it_is_empty(tmp_path: Path) -> None:
    with running(trine_member(tmp_path / "m")) as other:
        words = (f"--server=endpoints:{other.endpoint}", "--time=5", f"--out={tmp_path / 'out'}")
        told = trine("jepsen", "run", *words)
        assert told.code == 0, told
        assert "passed: " in told.out
        again = trine("jepsen", "run", *words)
        assert again.code == 2
        assert "a cluster is judged from its first revision on; give an empty one" in again.err
