"""A member that cannot start says why in one line, and ends with a code that says so."""

from pathlib import Path

import pytest

from jepsen.ports import free_ports
from tests.members import Member, running, trine


def refusal(member: Member, *flags: str) -> tuple[int, str]:
    """Start what cannot start: its exit code and what it told."""
    member.start(*flags, wait=False)
    code = member.wait_ended()
    assert "Traceback" not in member.log_text()
    fatal = member.log_lines("cannot start")
    return code, str(fatal[-1]["reason"]) if fatal else member.log_text()


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--data-dri=x", 'no such flag: "--data-dri". Did you mean "--data-dir"?'),
        ("--quota-backend-bytes=much", "give a whole number"),
        ("--quota-backend-bytes=99999999999999", "this machine allows"),
        ("--listen-client-urls=nonsense", "URL scheme must be http"),
        ("--cert-file=/no/such/file", "belong together"),
        ("--log-level=loud", "give one of debug, info, warn"),
        ("--initial-cluster=a=http://10.0.0.1:1,b=http://10.0.0.2:1", "couldn't find local name"),
    ],
)
def test_what_cannot_be_meant_is_told_before_anything_is_done(
    tmp_path: Path, flag: str, told: str
) -> None:
    member = trine(tmp_path / "data")
    code, text = refusal(member, flag)
    assert (code, told in text) == (2, True), text
    assert not member.directory.exists()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    code, reason = refusal(trine(Path("/proc/no-directory-here"), log=tmp_path / "log"))
    assert code == 1
    assert "/proc/no-directory-here" in reason


def test_a_second_member_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with running(trine(tmp_path / "data")) as first:
        code, reason = refusal(trine(tmp_path / "data", log=tmp_path / "second.log"))
        assert code == 1
        assert f"locked by process {first.pid}" in reason


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with running(trine(tmp_path / "first", port=port)):
        code, reason = refusal(trine(tmp_path / "second", port=port))
    assert code == 1
    assert "address already in use; is another member running there?" in reason


def test_a_member_stopped_by_signal_ends_well_and_starts_again(tmp_path: Path) -> None:
    member = trine(tmp_path / "data")
    for _ in range(2):
        member.start()
        assert member.stop() == 0
