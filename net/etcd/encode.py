"""Core answers to protobuf bytes, laid out by hand: answers are concatenations of stored bytes.

Only fields that are not at their default are written, as proto3 does. Building the same with
message objects costs eight times as much. Large ranges come back as pieces, never joined.
"""

from collections.abc import Sequence

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
from core.records import Version, framed_without_value, record_of, varint
from core.watching import (
    Canceled,
    Compacted,
    Created,
    Events,
    Message,
    NotCreated,
    Progress,
)

_MINUS_ONE = varint(-1)
_VARINT_BYTES_MAX = 10
_PUT_RESPONSES = tuple(
    bytes((0x1A, size + 5, 0x12, size + 3, 0x0A, size + 1, 0x18)) for size in range(11)
)
"""What stands before the revision in a ResponseOp of a put that returns nothing, by its size."""


class Encoder:
    """Lays out answers under one member's header."""

    __slots__ = (
        "_beginnings",
        "_digits",
        "_end",
        "_prefix",
        "_revision",
        "_revision_header",
        "_term",
    )

    def __init__(self, *, cluster_id: int, member_id: int) -> None:
        self._prefix = b"\x08" + varint(cluster_id) + b"\x10" + varint(member_id)
        self._term = -1
        self._end = b""
        self._revision = -1
        self._revision_header = b""
        self._digits = b""
        """The last header's revision."""
        self._beginnings: tuple[bytes, ...] = ()
        """What stands before the revision, by its size."""
        self._begin()

    def set_term(self, term: int) -> None:
        """Take the term that headers say from now on."""
        if term != self._term:
            self._term = term
            self._end = b"\x20" + varint(term) if term else b""
            self._revision = -1
            self._begin()

    def _begin(self) -> None:
        rest = len(self._prefix) + 1 + len(self._end)
        self._beginnings = tuple(
            b"\x0a" + varint(rest + size) + self._prefix + b"\x18"
            for size in range(_VARINT_BYTES_MAX + 1)
        )

    def header(self, revision: int) -> bytes:
        """Return a response's field 1. A revision of 0 is left out."""
        if revision == self._revision:
            return self._revision_header
        if revision:
            self._digits = digits = varint(revision)
            framed = self._beginnings[len(digits)] + digits + self._end
        else:
            body = self._prefix + self._end
            framed = b"\x0a" + varint(len(body)) + body
        self._revision = revision
        self._revision_header = framed
        return framed

    def answer(self, answer: Answer) -> bytes:
        """Return the bytes of any answer but a range, which `range_parts` lays out."""
        match answer:
            case PutAnswer(revision, previous):
                if previous is None:
                    return self.header(revision)
                return self.header(revision) + previous.framed
            case TxnAnswer():
                return self._txn(answer)
            case RangeAnswer():
                return b"".join(self.range_parts(answer))
            case RangeParts():
                self.listed(answer)
                return b"".join(answer.parts)
            case DeleteAnswer():
                return self.header(answer.revision) + _delete_body(answer)
            case CompactAnswer() | LeaseRevokeAnswer() | Done():
                return self.header(answer.revision)
            case LeaseGrantAnswer(revision, lease_id, ttl_s) | LeaseKeepAliveAnswer(
                revision, lease_id, ttl_s
            ):
                return self.header(revision) + _number(2, lease_id) + _number(3, ttl_s)
            case LeaseTimeToLiveAnswer():
                return self._time_to_live(answer)
            case LeaseLeasesAnswer(revision, ids):
                return self.header(revision) + b"".join(
                    _bytes(2, _number(1, lease_id)) for lease_id in ids
                )
            case AlarmAnswer(revision, alarms):
                return self.header(revision) + b"".join(
                    _bytes(2, _number(1, member) + _number(2, kind)) for member, kind in alarms
                )
            case HashKvAnswer():
                return (
                    self.header(answer.revision)
                    + _number(2, answer.hash)
                    + _number(3, answer.compact_revision)
                    + _number(4, answer.hash_revision)
                )
            case RangeChunk():
                return b"".join(self.chunk_parts(answer))
            case MembersAnswer():
                raise AssertionError("INV-ANSWER-KIND: net.etcd.cluster lays out members")
            case Failure():
                raise AssertionError("INV-ANSWER-KIND: a failure is a status, not a message")

    def _txn(self, answer: TxnAnswer) -> bytes:
        revision, succeeded, answers = answer
        header = self.header(revision)
        if succeeded and revision and len(answers) == 1:
            put = answers[0]
            if type(put) is PutAnswer and put.previous is None and put.revision == revision:
                # What nearly all transactions are (hot path).
                digits = self._digits
                return b"".join((header, b"\x10\x01", _PUT_RESPONSES[len(digits)], digits))
        return b"".join((header, *_txn_parts(answer)))

    def range_parts(self, answer: RangeAnswer) -> list[bytes]:
        """Return a RangeResponse in pieces."""
        parts = [self.header(answer.revision)]
        parts += _versions(answer.versions, answer.keys_only)
        if answer.more or answer.total:
            parts.append(_range_tail(answer.more, answer.total))
        return parts

    def listed(self, answer: RangeParts) -> int:
        """Make a long range's parts a RangeResponse; return its size in bytes."""
        head = self.header(answer.revision)
        tail = _range_tail(answer.more, answer.total)
        answer.parts.appendleft(head)
        if tail:
            answer.parts.append(tail)
        return len(head) + answer.size_bytes + len(tail)

    def chunk_parts(self, chunk: RangeChunk) -> list[bytes]:
        """Return a RangeStreamResponse in pieces."""
        parts = [self.header(chunk.revision)] if chunk.last else []
        parts += _versions(chunk.versions, chunk.keys_only)
        parts.append(_range_tail(chunk.more, chunk.total))
        size = sum(map(len, parts))
        return [b"\x0a" + varint(size), *parts]

    def watch(self, message: Message) -> bytes:
        """Return a WatchResponse."""
        match message:
            case Events(revision, watch_id, events, _, fragment):
                tail = b"\x38\x01" if fragment else b""
                return b"".join((self.header(revision), _number(2, watch_id), tail, events))
            case Progress(revision, watch_id):
                return self.header(revision) + _number(2, watch_id)
            case Created(revision, watch_id):
                return self.header(revision) + _number(2, watch_id) + b"\x18\x01"
            case NotCreated(revision, reason):
                text = _bytes(6, reason.encode())
                return self.header(revision) + b"\x10" + _MINUS_ONE + b"\x18\x01\x20\x01" + text
            case Canceled(revision, watch_id):
                return self.header(revision) + _number(2, watch_id) + b"\x20\x01"
            case Compacted(watch_id, compact_revision):
                return (
                    self.header(0)
                    + _number(2, watch_id)
                    + b"\x20\x01"
                    + _number(5, compact_revision)
                )

    def _time_to_live(self, answer: LeaseTimeToLiveAnswer) -> bytes:
        return (
            self.header(answer.revision)
            + _number(2, answer.id)
            + _number(3, answer.ttl_s)
            + _number(4, answer.granted_ttl_s)
            + b"".join(_bytes(5, key) for key in answer.keys)
        )


def _versions(versions: Sequence[Version], keys_only: bool) -> list[bytes]:
    if keys_only:
        return [framed_without_value(version) for version in versions]
    return [version.framed for version in versions]


def _range_tail(more: bool, total: int) -> bytes:
    tail = b"\x18\x01" if more else b""
    return tail + b"\x20" + varint(total) if total else tail


def _delete_body(answer: DeleteAnswer) -> bytes:
    if not answer.deleted:
        return b""
    parts = [_number(2, answer.deleted)]
    parts += (_bytes(3, record_of(version.framed)) for version in answer.previous)
    return b"".join(parts)


def _txn_parts(answer: TxnAnswer) -> list[bytes]:
    parts = [b"\x10\x01" if answer.succeeded else b""]
    parts += (_response_op(each) for each in answer.answers)
    return parts


def _response_op(answer: OperationAnswer) -> bytes:
    """Return one ResponseOp as field 3 of a TxnResponse; its header holds a revision only."""
    head = b"\x18" + varint(answer.revision) if answer.revision else b""
    header = b"\x0a" + varint(len(head)) + head
    match answer:
        case RangeAnswer():
            kvs = _versions(answer.versions, answer.keys_only)
            body = b"".join((header, *kvs, _range_tail(answer.more, answer.total)))
            tag = b"\x0a"
        case PutAnswer(_, previous):
            body = header if previous is None else header + previous.framed
            tag = b"\x12"
        case DeleteAnswer():
            body = header + _delete_body(answer)
            tag = b"\x1a"
        case TxnAnswer():
            body = b"".join((header, *_txn_parts(answer)))
            tag = b"\x22"
    size = len(body)
    head = tag + varint(size)
    # The body, which a range may make large, is copied once.
    return b"".join((b"\x1a", varint(len(head) + size), head, body))


def _number(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number) if number else b""


def _bytes(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data
