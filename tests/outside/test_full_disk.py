"""A member on a disk that fills up: refused in etcd's words, nothing lost, brought back by hand.

Needs a small file system: TRINE_SMALL_DISK names a directory on one of 300 to 600 MiB; without
that, a tmpfs is mounted where this is allowed, and the tests are skipped where it is not.
"""

import os
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import grpc
import pytest

from net.etcd.pb import rpc_pb2 as pb
from net.etcd.pb import rpc_pb2_grpc
from net.journal.reserve import RESERVE_BYTES
from tests.members import Member, running, trine

VALUE_BYTES = 500_000
PUTS_MAX = 2000
EVERYTHING = {"key": b"\x00", "range_end": b"\x00"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    if given := os.environ.get("TRINE_SMALL_DISK"):
        yield Path(given)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs a small file system: TRINE_SMALL_DISK=DIRECTORY")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


class Client:
    """The calls of these tests; a refusal is returned as its text."""

    def __init__(self, member: Member) -> None:
        self._channel = grpc.insecure_channel(member.endpoint)
        self._kv = rpc_pb2_grpc.KVStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._maintenance = rpc_pb2_grpc.MaintenanceStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def put(self, key: bytes, value: bytes) -> str | None:
        """Put a key; None if that was acknowledged."""
        try:
            self._kv.Put(pb.PutRequest(key=key, value=value), timeout=60)
        except grpc.RpcError as error:
            return str(error.details())
        return None

    def keys(self) -> set[bytes]:
        """All keys."""
        answer = self._kv.Range(pb.RangeRequest(keys_only=True, **EVERYTHING), timeout=60)
        return {kv.key for kv in answer.kvs}

    def alarms(self) -> list[pb.AlarmMember]:
        """The alarms that are raised."""
        request = pb.AlarmRequest(action=pb.AlarmRequest.GET)
        return list(self._maintenance.Alarm(request, timeout=60).alarms)

    def make_room(self) -> None:
        """What an operator does: delete, compact, defragment, disarm."""
        answer = self._kv.DeleteRange(pb.DeleteRangeRequest(**EVERYTHING), timeout=60)
        self._kv.Compact(
            pb.CompactionRequest(revision=answer.header.revision, physical=True), timeout=60
        )
        self._maintenance.Defragment(pb.DefragmentRequest(), timeout=60)
        for raised in self.alarms():
            request = pb.AlarmRequest(
                action=pb.AlarmRequest.DEACTIVATE, memberID=raised.memberID, alarm=raised.alarm
            )
            self._maintenance.Alarm(request, timeout=60)


def fill(client: Client) -> tuple[set[bytes], str | None]:
    """Put until that is refused: the acknowledged keys, and the refusal."""
    acknowledged: set[bytes] = set()
    for number in range(PUTS_MAX):
        key = b"%d" % number
        if refusal := client.put(key, os.urandom(VALUE_BYTES)):
            return acknowledged, refusal
        acknowledged.add(key)
    return acknowledged, None


def size_bytes(path: Path) -> int:
    """The size of a file, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def test_a_full_disk_refuses_writes_loses_nothing_and_is_brought_back(
    small_disk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = tmp_path_factory.mktemp("log") / "trine.log"
    with running(trine(small_disk / "data", log=log)) as member:
        # The reserve is filled beside the first seconds of service.
        until = time.monotonic() + 60
        reserve = small_disk / "data" / "reserve"
        while size_bytes(reserve) < RESERVE_BYTES and time.monotonic() < until:
            time.sleep(0.1)
        client = Client(member)
        acknowledged, refusal = fill(client)
        assert refusal == "etcdserver: mvcc: database space exceeded"
        assert client.put(b"small", b"too") == refusal
        assert [each.alarm for each in client.alarms()] == [pb.AlarmType.NOSPACE]
        assert client.keys() == acknowledged
        client.close()
        member.kill()
        member.start()
        client = Client(member)
        assert client.keys() == acknowledged
        assert [each.alarm for each in client.alarms()] == [pb.AlarmType.NOSPACE]
        client.make_room()
        assert client.alarms() == []
        assert client.put(b"after", os.urandom(VALUE_BYTES)) is None
        assert client.keys() == {b"after"}
        client.close()
        assert member.log_lines("finished defragment")
