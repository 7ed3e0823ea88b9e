"""What a member says about itself, and the copies that it makes of its store."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from net.disk import DiskFull, RealDisk
from net.etcd.maintenance import DIGEST_BYTES, SNAPSHOT_PIECE_BYTES
from net.etcd.pb import health_pb2
from net.etcd.pb import rpc_pb2 as pb
from net.store.batch import Identity
from net.store.errors import StoreClosed
from net.store.snapshot import restore
from net.store.store import Store
from tests.grpc_world import KV, MAINTENANCE, GrpcWorld, put
from tests.stores import open_store, rows_of

FAILED, UNAVAILABLE, INVALID, EXHAUSTED = 9, 14, 3, 8


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GrpcWorld]:
    made = GrpcWorld(tmp_path)
    yield made
    made.close()


def header(revision: int) -> pb.ResponseHeader:
    return pb.ResponseHeader(cluster_id=77, member_id=1, revision=revision, raft_term=1)


def status(world: GrpcWorld) -> pb.StatusResponse:
    answer = world.connect().call(MAINTENANCE + "Status", pb.StatusRequest())
    assert isinstance(answer, pb.StatusResponse)
    return answer


def test_the_status_says_who_leads_and_how_much_there_is(world: GrpcWorld) -> None:
    world.connect().call(KV + "Put", put(b"a"))
    state = world.inner.node.state
    told = status(world)
    size = told.dbSize
    assert size == world.inner.driver.store.size_bytes()
    assert told == pb.StatusResponse(
        header=header(2),
        version="3.7.0",
        dbSize=size,
        leader=1,
        raftIndex=2,
        raftTerm=1,
        raftAppliedIndex=2,
        dbSizeInUse=state.resident_bytes,
        storageVersion="3.7.0",
        dbSizeQuota=1 << 40,
        downgradeInfo=pb.DowngradeInfo(),
    )


def test_the_status_names_alarms_in_etcds_words(world: GrpcWorld) -> None:
    client = world.connect()
    for member, kind in ((5, pb.NOSPACE), (4, pb.CORRUPT)):
        raised = pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, memberID=member, alarm=kind)
        client.call(MAINTENANCE + "Alarm", raised)
    assert status(world).errors == ["memberID:4 alarm:CORRUPT ", "memberID:5 alarm:NOSPACE "]


def test_a_hash_is_of_the_state(world: GrpcWorld) -> None:
    client = world.connect()
    one = client.call(MAINTENANCE + "Hash", pb.HashRequest())
    assert client.call(MAINTENANCE + "Hash", pb.HashRequest()) == one
    client.call(KV + "Put", put(b"a"))
    assert client.call(MAINTENANCE + "Hash", pb.HashRequest()) != one


# Defragment.


def test_a_defragment_goes_on_under_writes_and_loses_nothing(
    world: GrpcWorld, tmp_path: Path
) -> None:
    client, writer = world.connect(), world.connect()
    for number in range(30):
        writer.call(KV + "Put", put(b"k%d" % (number % 5)))
    asked = [client.begin(MAINTENANCE + "Defragment") for _ in range(2)]
    for stream in asked:
        client.send(stream, pb.DefragmentRequest(), ended=True)
    for _ in range(5):
        writer.call(KV + "Put", put(b"late"))
    world.settle(30)
    assert [client.streams[stream].status for stream in asked] == [(0, ""), (0, "")]
    driver = world.inner.driver
    assert driver.store.generation == 2
    world.turn(after_ms=100)
    assert driver.store.applied[0] == world.inner.node.state.applied_index
    assert len(rows_of(driver.store)) == 35
    assert sorted(p.name for p in tmp_path.glob("state-*.db")) == ["state-2.db"]


def test_a_defragment_without_room_leaves_the_store_as_it_was(
    world: GrpcWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = world.connect()
    client.call(KV + "Put", put(b"a"))

    def full(store: Store, generation: int) -> object:
        raise DiskFull("state-2.db")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "vacuum_into", full)
        told = client.refused(MAINTENANCE + "Defragment", pb.DefragmentRequest())
    assert told == (EXHAUSTED, "etcdserver: mvcc: database space exceeded")
    assert world.inner.driver.store.generation == 1
    client.call(KV + "Put", put(b"b"))
    world.turn(after_ms=100)
    assert world.inner.driver.store.applied[0] == world.inner.node.state.applied_index
    client.call(MAINTENANCE + "Defragment", pb.DefragmentRequest())
    assert world.inner.driver.store.generation == 2


def test_who_leaves_does_not_stop_a_defragment(world: GrpcWorld) -> None:
    client = world.connect()
    client.send(client.begin(MAINTENANCE + "Defragment"), pb.DefragmentRequest(), ended=True)
    world.turn()
    client.leave()
    world.settle(20)
    assert world.inner.driver.store.generation == 2
    assert not world.maintenance.is_defragmenting


# Snapshot.


def test_a_snapshot_is_a_store_and_its_digest(world: GrpcWorld, tmp_path: Path) -> None:
    client = world.connect()
    for number in range(30):
        client.call(KV + "Put", put(b"k%d" % number))
    heard = client.ask(MAINTENANCE + "Snapshot", pb.SnapshotRequest())
    world.settle(20)
    assert heard.status == (0, "")
    pieces = [pb.SnapshotResponse.FromString(m) for m in heard.messages()]
    body = b"".join(piece.blob for piece in pieces[:-1])
    assert pieces[-1].blob == hashlib.sha256(body).digest()
    assert len(pieces[-1].blob) == DIGEST_BYTES
    assert {len(piece.blob) for piece in pieces[:-2]} <= {SNAPSHOT_PIECE_BYTES}
    left = [piece.remaining_bytes for piece in pieces]
    sent = 0
    for piece, remaining in zip(pieces[:-1], left, strict=False):
        sent += len(piece.blob)
        assert remaining == len(body) - sent
    assert {piece.version for piece in pieces} == {"3.7.0"}
    saved = tmp_path / "saved"
    saved.write_bytes(body + pieces[-1].blob)
    restore(str(saved), str(tmp_path / "new"), identity=Identity(1, 2))
    store = open_store(str(tmp_path / "new"))
    assert len(rows_of(store)) == 30
    store.close()


def test_a_snapshot_that_nobody_takes_leaves_no_file(world: GrpcWorld, tmp_path: Path) -> None:
    client = world.connect(1000)
    for turns in (0, 1, 4):
        stream = client.begin(MAINTENANCE + "Snapshot")
        client.send(stream, pb.SnapshotRequest(), ended=True)
        world.settle(turns)
        client.reset(stream)
        world.settle(6)
        assert list(tmp_path.glob("*.tmp")) == []
    assert not world.maintenance.is_sending


def test_a_snapshot_is_refused_while_the_store_is_rewritten(world: GrpcWorld) -> None:
    client = world.connect()
    world.maintenance.is_defragmenting = True
    told = client.refused(MAINTENANCE + "Snapshot", pb.SnapshotRequest())
    assert told == (UNAVAILABLE, "etcdserver: defragmenting; try the snapshot again")
    world.maintenance.is_defragmenting = False


def test_a_snapshot_without_room_is_refused(
    world: GrpcWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: Store, path: str) -> object:
        raise DiskFull(path)

    monkeypatch.setattr(Store, "backup", full)
    told = world.connect().refused(MAINTENANCE + "Snapshot", pb.SnapshotRequest())
    assert told == (EXHAUSTED, "etcdserver: mvcc: database space exceeded")


def test_a_snapshot_of_a_store_that_was_replaced_meanwhile_is_made_of_the_new_one(
    world: GrpcWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = Store.backup

    def closed(store: Store, path: str) -> object:
        monkeypatch.setattr(Store, "backup", backup)
        raise StoreClosed(path)

    monkeypatch.setattr(Store, "backup", closed)
    heard = world.connect().ask(MAINTENANCE + "Snapshot", pb.SnapshotRequest())
    world.settle(20)
    assert heard.status == (0, "")
    pieces = [pb.SnapshotResponse.FromString(m).blob for m in heard.messages()]
    assert pieces[-1] == hashlib.sha256(b"".join(pieces[:-1])).digest()


# Leadership, downgrade, health.


def test_leadership_has_nowhere_to_go(world: GrpcWorld) -> None:
    client = world.connect()
    path = MAINTENANCE + "MoveLeader"
    assert client.call(path, pb.MoveLeaderRequest(targetID=1)) == pb.MoveLeaderResponse()
    told = client.refused(path, pb.MoveLeaderRequest(targetID=9))
    assert told == (FAILED, "etcdserver: bad leader transferee")


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("", "wrong downgrade target version format"),
        ("3.x", "wrong downgrade target version format"),
        ("3.6", "invalid downgrade target version"),
        ("3.5.0", "invalid downgrade target version"),
    ],
)
def test_there_is_nothing_to_go_back_to(world: GrpcWorld, version: str, text: str) -> None:
    client = world.connect()
    for action in (pb.DowngradeRequest.VALIDATE, pb.DowngradeRequest.ENABLE):
        request = pb.DowngradeRequest(action=action, version=version)
        told = client.refused(MAINTENANCE + "Downgrade", request)
        assert told == (INVALID, f"etcdserver: {text}")


def test_the_end_of_no_downgrade_is_answered(world: GrpcWorld) -> None:
    request = pb.DowngradeRequest(action=pb.DowngradeRequest.CANCEL)
    answer = world.connect().call(MAINTENANCE + "Downgrade", request)
    assert answer == pb.DowngradeResponse(header=header(1), version="3.7")


def test_health_is_serving_for_the_whole_and_unknown_for_parts(world: GrpcWorld) -> None:
    client = world.connect()
    serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
    heard = client.ask("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest())
    assert heard.status == (0, "")
    assert heard.messages() == [serving.SerializeToString()]
    part = health_pb2.HealthCheckRequest(service="etcdserverpb.KV")
    assert client.refused("/grpc.health.v1.Health/Check", part) == (5, "unknown service")
    stream = client.begin("/grpc.health.v1.Health/Watch")
    client.send(stream, health_pb2.HealthCheckRequest(), ended=True)
    world.settle()
    assert client.streams[stream].messages() == [serving.SerializeToString()]
    assert not client.streams[stream].is_over, "a watch of health goes on"


def test_the_disk_is_the_one_given(tmp_path: Path) -> None:
    # A snapshot left over from an earlier life is in nobody's way.
    left_over = tmp_path / "snapshot-1.tmp"
    world = GrpcWorld(tmp_path)
    left_over.write_bytes(b"old")
    heard = world.connect().ask(MAINTENANCE + "Snapshot", pb.SnapshotRequest())
    assert heard.status == (0, "")
    assert not RealDisk().exists(str(left_over))
    world.close()
