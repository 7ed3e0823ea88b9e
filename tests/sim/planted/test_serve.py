"""Real members with planted bugs: a kill takes what was not synced, from who answers too early."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from net.etcd.pb import rpc_pb2 as pb
from sim.planted.serve import NO_BUG, data_directory, main
from tests.members import Member, trine

PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
WRITES = 5


def planted(bug: str, directory: Path) -> Member:
    """Return a member of one with a planted bug; not started."""
    plain = trine(directory, "--quota-backend-bytes=200000000")
    flags = plain._command[3:]  # pyright: ignore[reportPrivateUsage]  # the same flags, as planted
    command = [sys.executable, "-m", "sim.planted.serve", bug, "--", *flags]
    return Member("trine", command, directory, plain.url)


def written_and_killed(member: Member) -> int:
    """Write a key five times, each acknowledged, kill the member; return what it has afterwards."""
    member.start()
    try:
        with asking(member) as ask:
            for number in range(WRITES):
                ask(PUT, pb.PutRequest(key=b"k", value=b"%d" % number).SerializeToString())
    finally:
        member.kill()
    member.start()
    try:
        with asking(member) as ask:
            answer = ask(RANGE, pb.RangeRequest(key=b"k").SerializeToString())
        return pb.RangeResponse.FromString(answer).header.revision
    finally:
        member.kill()


@contextmanager
def asking(member: Member) -> Generator[Callable[[str, bytes], bytes]]:
    """Ask a member, for a while."""
    with grpc.insecure_channel(member.endpoint) as channel:

        def ask(path: str, data: bytes) -> bytes:
            answer: bytes = channel.unary_unary(path)(data, timeout=60)
            return answer

        yield ask


def test_who_answers_before_the_sync_loses_what_it_acknowledged(tmp_path: Path) -> None:
    assert written_and_killed(planted("answers_before_sync", tmp_path / "m")) < WRITES + 1


def test_who_answers_after_the_sync_loses_nothing(tmp_path: Path) -> None:
    assert written_and_killed(planted(NO_BUG, tmp_path / "m")) == WRITES + 1


def test_the_data_directory_is_read_from_the_command_line() -> None:
    assert data_directory(["serve", "--data-dir=/a"]) == Path("/a")
    assert data_directory(["serve", "--name=x", "--data-dir", "/b"]) == Path("/b")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "usage:"),
        (["answers_before_sync", "serve"], "usage:"),
        (["no_such_bug", "--", "serve"], "no planted bug is called no_such_bug"),
        ([NO_BUG, "--", "serve"], "this bug needs --data-dir"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err
