"""Questions that only the leader can answer, as bytes between members. Hand-laid, total.

A question is its number, its kind, a lease id and a flag; an answer is the number and a failure
(code and text) or the numbers and keys of the answer. All big-endian. Decoding gives what was
encoded or raises CodecError: the peer is of another version, or hostile.
"""

from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from core.answers import Answer, LeaseKeepAliveAnswer, LeaseTimeToLiveAnswer
from core.codec import CodecError
from core.errors import Failure
from core.operations import LeaseKeepAlive, LeaseTimeToLive, Query

_QUESTION = Struct(">QBqB")
_HEAD = Struct(">QB")
_FAILURE = Struct(">HI")
_RENEWED = Struct(">qqq")
_LEFT = Struct(">qqqqI")
_SIZE = Struct(">I")

_KEEP_ALIVE, _TIME_TO_LIVE = 1, 2
_FAILED = 0


class Remote(NamedTuple):
    """Who waits for an answer on another member: the token of a question that came from there."""

    peer: int
    number: int


def encode_question(number: int, query: Query) -> bytes:
    """Return the bytes of a question of this number."""
    if isinstance(query, LeaseKeepAlive):
        return _QUESTION.pack(number, _KEEP_ALIVE, query.id, 0)
    assert isinstance(query, LeaseTimeToLive), "INV-LEADER-QUESTION"
    return _QUESTION.pack(number, _TIME_TO_LIVE, query.id, query.keys)


def decode_question(data: bytes) -> tuple[int, LeaseKeepAlive | LeaseTimeToLive]:
    """Return number and question."""
    try:
        number, kind, lease_id, keys = _QUESTION.unpack(data)
    except StructError as error:
        raise CodecError(f"a question of {len(data)} bytes") from error
    if kind == _KEEP_ALIVE and not keys:
        return number, LeaseKeepAlive(lease_id)
    if kind == _TIME_TO_LIVE and keys <= 1:
        return number, LeaseTimeToLive(lease_id, bool(keys))
    raise CodecError(f"a question of unknown kind {kind}")


def encode_answer(number: int, answer: Answer) -> bytes:
    """Return the bytes of the answer to the question of this number."""
    match answer:
        case Failure(code, text):
            words = text.encode()
            return _HEAD.pack(number, _FAILED) + _FAILURE.pack(code, len(words)) + words
        case LeaseKeepAliveAnswer():
            return _HEAD.pack(number, _KEEP_ALIVE) + _RENEWED.pack(*answer)
        case LeaseTimeToLiveAnswer(revision, lease_id, ttl_s, granted_s, keys):
            parts = [_HEAD.pack(number, _TIME_TO_LIVE)]
            parts.append(_LEFT.pack(revision, lease_id, ttl_s, granted_s, len(keys)))
            for key in keys:
                parts += (_SIZE.pack(len(key)), key)
            return b"".join(parts)
        case _:
            raise AssertionError("INV-LEADER-QUESTION: an answer to no question")


def decode_answer(data: bytes) -> tuple[int, Answer]:
    """Return number and answer."""
    try:
        number, kind = _HEAD.unpack_from(data)
        body = data[_HEAD.size :]
        return number, _answer(kind, body)
    except (StructError, UnicodeDecodeError) as error:
        raise CodecError(f"an answer of {len(data)} bytes: {error}") from error


def _answer(kind: int, body: bytes) -> Answer:
    if kind == _FAILED:
        code, size = _FAILURE.unpack_from(body)
        if len(body) != _FAILURE.size + size:
            raise CodecError("a failure of the wrong size")
        return Failure(code, body[_FAILURE.size :].decode())
    if kind == _KEEP_ALIVE:
        return LeaseKeepAliveAnswer(*_RENEWED.unpack(body))
    if kind != _TIME_TO_LIVE:
        raise CodecError(f"an answer of unknown kind {kind}")
    revision, lease_id, ttl_s, granted_s, count = _LEFT.unpack_from(body)
    keys: list[bytes] = []
    position = _LEFT.size
    for _ in range(count):
        (size,) = _SIZE.unpack_from(body, position)
        position += _SIZE.size
        if position + size > len(body):
            raise CodecError("a key beyond the answer's end")
        keys.append(body[position : position + size])
        position += size
    if position != len(body):
        raise CodecError("bytes behind an answer")
    return LeaseTimeToLiveAnswer(revision, lease_id, ttl_s, granted_s, keys)
