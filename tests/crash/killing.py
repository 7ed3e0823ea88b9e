"""A real member under a real load, killed again and again; what clients were told is kept here.

The rule of this file: nothing is taken from the member under test but its answers. A write is
*sent* before its request leaves and *acknowledged* when its answer came; between the two a kill
makes it unknown: there as a whole, or not at all.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import grpc
from attrs import define, field, frozen

from net.etcd.pb import kv_pb2
from net.etcd.pb import rpc_pb2 as pb
from net.etcd.pb.rpc_pb2_grpc import KVStub, MaintenanceStub, WatchStub
from tests.members import Member

CLIENTS = 6
KEYS_PER_CLIENT = 8
DEADLINE_S = 60.0
AFTER_A_KILL = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class Lost(AssertionError):
    """A promise that was not kept."""


@frozen
class Write:
    """One request: what it makes of which keys (None: deleted). Values are unique."""

    changes: dict[bytes, bytes | None]


@define
class Promises:
    """Everything that was sent, and what was answered, in one data directory."""

    sent: list[Write] = field(factory=list[Write])
    acknowledged: dict[int, Write] = field(factory=dict[int, Write])
    """By the revision that the answer named."""
    verified: int = 1
    """Up to here the history was read back and found right."""
    checked: int = 0
    unknown_kept: int = 0
    unknown_lost: int = 0
    live: dict[bytes, tuple[int, bytes]] = field(factory=dict[bytes, tuple[int, bytes]])

    def verify(self, history: dict[int, dict[bytes, bytes | None]], head: int) -> None:
        """Hold a restarted member's history after `verified` against what was promised."""
        newest = max((*self.acknowledged, self.verified))
        if head < newest:
            raise Lost(f"the head is revision {head}, {newest} was acknowledged")
        known = {id(write): write for write in self.sent}
        for revision in range(self.verified + 1, head + 1):
            found = history.get(revision)
            if found is None:
                raise Lost(f"revision {revision} is a gap")
            told = self.acknowledged.pop(revision, None)
            if told is None:
                told = next((w for w in known.values() if w.changes == found), None)
                if told is None:
                    raise Lost(f"nobody wrote what revision {revision} holds: {found!r}")
                self.unknown_kept += 1
            elif told.changes != found:
                raise Lost(f"revision {revision} holds {found!r}, not {told.changes!r}")
            else:
                self.checked += 1
            known.pop(id(told), None)
            for key, value in found.items():
                if value is None:
                    self.live.pop(key, None)
                else:
                    self.live[key] = (revision, value)
        if self.acknowledged:
            raise Lost(f"acknowledged and not found: {sorted(self.acknowledged)}")
        self.unknown_lost += len(known)
        self.sent.clear()
        self.verified = head


class Load:
    """Clients that write until they are stopped or the member is gone."""

    def __init__(self, endpoint: str, promises: Promises, seed: int) -> None:
        self._promises = promises
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.errors: list[grpc.RpcError] = []
        self._threads = [
            threading.Thread(target=self._write, args=(endpoint, client, Random(seed + client)))
            for client in range(CLIENTS)
        ]
        self._threads.append(
            threading.Thread(target=self._disturb, args=(endpoint, Random(seed - 1)))
        )

    def start(self) -> None:
        """Begin to write."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send no more, and wait until all that was sent is answered or will never be."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, endpoint: str, client: int, chance: Random) -> None:
        with channel(endpoint) as to:
            stub = KVStub(to)
            while not self._stopping.is_set():
                write = self._draw(client, chance)
                with self._lock:
                    self._promises.sent.append(write)
                try:
                    revision = _revision(stub, write)
                except grpc.RpcError as error:
                    self.errors.append(error)
                    return
                with self._lock:
                    # A deletion of nothing changes nothing: it is no promise.
                    if revision:
                        self._promises.acknowledged[revision] = write
                    else:
                        self._promises.sent.remove(write)

    def _draw(self, client: int, chance: Random) -> Write:
        keys = [
            b"/kill/%d/%d" % (client, number)
            for number in chance.sample(range(KEYS_PER_CLIENT), chance.choice((1, 1, 1, 2, 3)))
        ]
        if len(keys) == 1 and chance.random() < 0.1:
            return Write({keys[0]: None})
        size = chance.choice((0, 50, 500, 5000))
        return Write({key: chance.randbytes(12) + bytes(size) for key in keys})

    def _disturb(self, endpoint: str, chance: Random) -> None:
        """Compact what is verified, defragment, take snapshots: now and then, beside the writes."""
        with channel(endpoint) as to:
            kv, maintenance = KVStub(to), MaintenanceStub(to)
            while not self._stopping.wait(chance.uniform(0.01, 0.3)):
                try:
                    match chance.randrange(4):
                        case 0 if self._promises.verified > 1:
                            kv.Compact(pb.CompactionRequest(revision=self._promises.verified))
                        case 1:
                            maintenance.Defragment(pb.DefragmentRequest(), timeout=DEADLINE_S)
                        case 2:
                            for _ in maintenance.Snapshot(pb.SnapshotRequest()):
                                pass
                        case _:
                            pass
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.OUT_OF_RANGE:
                        self.errors.append(error)
                        return


def life(member: Member, promises: Promises, seed: int, load_s: float) -> None:
    """Start the member, hold it against what was promised, load it, kill it."""
    member.start()
    verify(member.endpoint, promises)
    load = Load(member.endpoint, promises, seed)
    load.start()
    # The moment is drawn by real time, on purpose: any instruction may be the last.
    threading.Event().wait(load_s)
    member.kill()
    load.stop()
    for error in load.errors:
        if error.code() not in AFTER_A_KILL:
            raise Lost(f"a client was told {error.code()}: {error.details()}")


def verify(endpoint: str, promises: Promises) -> None:
    """Read back a member's history since the last time, and all keys: both are as promised."""
    with channel(endpoint) as to:
        everything = KVStub(to).Range(pb.RangeRequest(key=b"/", range_end=b"0"), timeout=DEADLINE_S)
        head = everything.header.revision
        history: dict[int, dict[bytes, bytes | None]] = {}
        if head > promises.verified:
            history = _history(to, promises.verified + 1, head)
        promises.verify(history, head)
        found = {kv.key: (kv.mod_revision, kv.value) for kv in everything.kvs}
        if found != promises.live:
            raise Lost("the keys are not what their history makes them")


def _history(to: grpc.Channel, start: int, head: int) -> dict[int, dict[bytes, bytes | None]]:
    asked = threading.Event()

    def requests() -> Iterator[pb.WatchRequest]:
        create = pb.WatchCreateRequest(key=b"/", range_end=b"0", start_revision=start)
        yield pb.WatchRequest(create_request=create)
        asked.wait(DEADLINE_S)

    history: dict[int, dict[bytes, bytes | None]] = {}
    answers = WatchStub(to).Watch(requests(), timeout=DEADLINE_S)
    for answer in answers:
        if answer.canceled:
            raise Lost(f"history since {start} is gone: {answer.cancel_reason}")
        for event in answer.events:
            value = event.kv.value if event.type == kv_pb2.Event.PUT else None
            history.setdefault(event.kv.mod_revision, {})[event.kv.key] = value
        if history and max(history) >= head:
            break
    asked.set()
    answers.cancel()
    return history


def _revision(stub: KVStub, write: Write) -> int:
    """Send a write; return the revision it made, or 0 if it changed nothing."""
    if len(write.changes) == 1:
        ((key, value),) = write.changes.items()
        if value is None:
            deleted = stub.DeleteRange(pb.DeleteRangeRequest(key=key), timeout=DEADLINE_S)
            return deleted.header.revision if deleted.deleted else 0
        put = stub.Put(pb.PutRequest(key=key, value=value), timeout=DEADLINE_S)
        return put.header.revision
    txn = pb.TxnRequest(
        success=[
            pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))
            for key, value in write.changes.items()
        ]
    )
    return stub.Txn(txn, timeout=DEADLINE_S).header.revision


@contextmanager
def channel(endpoint: str) -> Iterator[grpc.Channel]:
    """A connection of its own, closed at the end."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    to = grpc.insecure_channel(endpoint, options=options)
    try:
        yield to
    finally:
        to.close()
