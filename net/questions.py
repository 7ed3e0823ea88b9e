"""Questions that only the leader can answer, as bytes between members. Hand-laid, total.

A question is its number, its kind, a lease id and a flag, or a whole command about members; an
answer is the number and a failure (code and text) or the numbers, keys and members of the answer.
All big-endian. Decoding gives what was
encoded or raises CodecError: the peer is of another version, or hostile.
"""

from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from core.answers import Answer, LeaseKeepAliveAnswer, LeaseTimeToLiveAnswer, MembersAnswer
from core.codec import CodecError, decode, encode
from core.errors import Failure
from core.members import BrokenMemberError, Member, member_of
from core.members import body as row_of
from core.operations import LeaseKeepAlive, LeaseTimeToLive, MembersChange, Query

_QUESTION = Struct(">QBqB")
_HEAD = Struct(">QB")
_FAILURE = Struct(">HI")
_RENEWED = Struct(">qqq")
_LEFT = Struct(">qqqqI")
_SIZE = Struct(">I")
_CHANGED = Struct(">qQH")
_MEMBER = Struct(">QI")

_KEEP_ALIVE, _TIME_TO_LIVE, _CHANGE = 1, 2, 3
_FAILED = 0


class Remote(NamedTuple):
    """Who waits for an answer on another member: the token of a question that came from there."""

    peer: int
    number: int


def encode_question(number: int, query: Query | MembersChange) -> bytes:
    """Return the bytes of a question of this number."""
    if isinstance(query, MembersChange):
        return _HEAD.pack(number, _CHANGE) + encode((0, number), query)
    if isinstance(query, LeaseKeepAlive):
        return _QUESTION.pack(number, _KEEP_ALIVE, query.id, 0)
    assert isinstance(query, LeaseTimeToLive), "INV-LEADER-QUESTION"
    return _QUESTION.pack(number, _TIME_TO_LIVE, query.id, query.keys)


def decode_question(data: bytes) -> tuple[int, LeaseKeepAlive | LeaseTimeToLive | MembersChange]:
    """Return number and question."""
    if data[_HEAD.size - 1 : _HEAD.size] == bytes((_CHANGE,)):
        number, _ = _HEAD.unpack_from(data)
        command = decode(data[_HEAD.size :]).command
        if isinstance(command, MembersChange):
            return number, command
        raise CodecError("a question that is a command about no member")
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
        case MembersAnswer(revision, log_index, members):
            parts = [_HEAD.pack(number, _CHANGE), _CHANGED.pack(revision, log_index, len(members))]
            for member in members:
                row = row_of(member)
                parts += (_MEMBER.pack(member.id, len(row)), row)
            return b"".join(parts)
        case _:
            raise AssertionError("INV-LEADER-QUESTION: an answer to no question")


def decode_answer(data: bytes) -> tuple[int, Answer]:
    """Return number and answer."""
    try:
        number, kind = _HEAD.unpack_from(data)
        body = data[_HEAD.size :]
        return number, _answer(kind, body)
    except (StructError, UnicodeDecodeError, BrokenMemberError) as error:
        raise CodecError(f"an answer of {len(data)} bytes: {error}") from error


def _answer(kind: int, body: bytes) -> Answer:
    if kind == _FAILED:
        code, size = _FAILURE.unpack_from(body)
        if len(body) != _FAILURE.size + size:
            raise CodecError("a failure of the wrong size")
        return Failure(code, body[_FAILURE.size :].decode())
    if kind == _KEEP_ALIVE:
        return LeaseKeepAliveAnswer(*_RENEWED.unpack(body))
    if kind == _CHANGE:
        return _members_answer(body)
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


def _members_answer(data: bytes) -> MembersAnswer:
    revision, log_index, count = _CHANGED.unpack_from(data)
    members: list[Member] = []
    position = _CHANGED.size
    for _ in range(count):
        member_id, size = _MEMBER.unpack_from(data, position)
        position += _MEMBER.size
        if position + size > len(data):
            raise CodecError("a member beyond the answer's end")
        members.append(member_of(member_id, data[position : position + size]))
        position += size
    if position != len(data):
        raise CodecError("bytes behind an answer")
    return MembersAnswer(revision, log_index, members)
