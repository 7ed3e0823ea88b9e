"""The core's answers and watch messages as results and sightings: what tier 1 has for a wire.

Rule of this file: pure translation. Requests go the other way through `net.etcd.services`, from
etcd's messages on, so admission and decoding are the shipped ones.
"""

from functools import lru_cache

from core.answers import (
    AlarmAnswer,
    Answer,
    CompactAnswer,
    DeleteAnswer,
    Done,
    HashKvAnswer,
    LeaseGrantAnswer,
    LeaseKeepAliveAnswer,
    LeaseLeasesAnswer,
    LeaseRevokeAnswer,
    LeaseTimeToLiveAnswer,
    MembersAnswer,
    OperationAnswer,
    PutAnswer,
    RangeAnswer,
    RangeChunk,
    RangeParts,
    TxnAnswer,
)
from core.errors import Failure
from core.records import Version, framed_without_value
from core.watching import Canceled, Compacted, Created, Events, Message, NotCreated, Progress
from net.etcd.pb import kv_pb2
from net.etcd.pb import rpc_pb2 as pb
from sim.history import Event, Seen
from sim.ops import (
    AdminDone,
    CompactDone,
    DeleteDone,
    GrantDone,
    KeepAliveDone,
    Kv,
    LeasesDone,
    PutDone,
    RangeDone,
    Result,
    RevokeDone,
    TimeToLiveDone,
    TxnDone,
    TxnResult,
)
from sim.wire_words import refusal, text


def told(answer: Answer) -> Result:
    """Return what a client is told by an answer."""
    match answer:
        case Failure(code, words):
            return refusal(code, words)
        case RangeAnswer() | PutAnswer() | DeleteAnswer() | TxnAnswer():
            return _result(answer, answer.revision)
        case RangeParts(revision, parts, _, total, more):
            # The parts are given away to whoever asked: here that is nobody else.
            found = tuple(_framed_kv(bytes(part)) for part in parts)
            return RangeDone(revision, found, total, more)
        case CompactAnswer(revision):
            return CompactDone(revision)
        case LeaseGrantAnswer(revision, lease, ttl_s):
            return GrantDone(revision, lease, ttl_s)
        case LeaseRevokeAnswer(revision):
            return RevokeDone(revision)
        case LeaseKeepAliveAnswer(revision, lease, ttl_s):
            return KeepAliveDone(revision, lease, ttl_s)
        case LeaseTimeToLiveAnswer(revision, lease, ttl_s, granted_s, keys):
            names = tuple(text(key) for key in keys)
            return TimeToLiveDone(revision, lease, ttl_s, granted_s, names)
        case LeaseLeasesAnswer(revision, ids):
            return LeasesDone(revision, tuple(sorted(ids)))
        case HashKvAnswer(revision, hashed, compacted, hash_revision):
            facts = (("hash", hashed), ("compacted", compacted), ("hash_revision", hash_revision))
            return AdminDone(revision, facts)
        case MembersAnswer(revision, _, members):
            return AdminDone(revision, (("members", len(members)),))
        case AlarmAnswer(revision, alarms):
            return AdminDone(revision, (("alarms", len(alarms)),))
        case Done(revision):
            return AdminDone(revision)
        case RangeChunk():
            raise AssertionError("tier 1 opens no range streams")


def sighting(message: Message, time_us: int) -> Seen:
    """Return what a watcher's client sees of a message."""
    match message:
        case Created(revision, _):
            return Seen(time_us, "created", revision)
        case NotCreated(revision, reason):
            return Seen(time_us, "canceled", revision, reason=reason)
        case Canceled(revision, _):
            return Seen(time_us, "canceled", revision)
        case Compacted(_, compact_revision):
            return Seen(time_us, "canceled", 0, (), compact_revision)
        case Progress(revision, _):
            return Seen(time_us, "progress", revision)
        case Events(revision, _, events, _, fragment):
            return Seen(time_us, "events", revision, _events(events), fragment=fragment)


def _result(answer: OperationAnswer, revision: int) -> TxnResult:
    match answer:
        case RangeAnswer(_, versions, total, more, keys_only):
            kv = _keys_only if keys_only else _kv
            return RangeDone(revision, tuple([kv(each) for each in versions]), total, more)
        case PutAnswer(_, previous):
            return PutDone(revision, None if previous is None else _kv(previous))
        case DeleteAnswer(_, deleted, previous_versions):
            return DeleteDone(revision, deleted, tuple([_kv(each) for each in previous_versions]))
        case TxnAnswer(_, succeeded, answers):
            return TxnDone(
                revision, succeeded, tuple([_result(each, revision) for each in answers])
            )


def _kv(version: Version) -> Kv:
    return _framed_kv(version.framed)


def _keys_only(version: Version) -> Kv:
    return _framed_kv(bytes(framed_without_value(version)))


@lru_cache(maxsize=4096)
def _framed_kv(framed: bytes) -> Kv:
    """Read a record as the client does: from its wire form, behind tag and length."""
    (kv,) = pb.RangeResponse.FromString(framed).kvs
    return _as_kv(kv)


def _as_kv(kv: kv_pb2.KeyValue) -> Kv:
    return Kv(
        text(kv.key), text(kv.value), kv.create_revision, kv.mod_revision, kv.version, kv.lease
    )


@lru_cache(maxsize=4096)
def _events(data: bytes) -> tuple[Event, ...]:
    """Read a response's events from their wire form; many watchers get the same."""
    return tuple([_event(event) for event in pb.WatchResponse.FromString(data).events])


def _event(event: kv_pb2.Event) -> Event:
    prev = _as_kv(event.prev_kv) if event.HasField("prev_kv") else None
    if event.type == kv_pb2.Event.PUT:
        return Event("put", _as_kv(event.kv), prev)
    return Event("delete", Kv(text(event.kv.key), "", 0, event.kv.mod_revision, 0), prev)
