"""The members of a cluster as replicated state: values, their bytes, their share of the hash.

Rule of this file: a member that votes has the role of a voter and no other does. Who is to be a
voter joins without a vote, and gets it once it has caught up: a newcomer never costs a quorum.
Bytes are hand-laid and total: a table row decodes to
exactly what was encoded, or raises BrokenMemberError.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import NamedTuple
from zlib import crc32


class MemberRole(IntEnum):
    """What a member is kept for; numbers are dqlite's.

    A voter counts for quorums. A stand-by receives the log and takes a lost voter's place. A
    spare is kept in reserve: it becomes a stand-by or a voter when none of them is left. Who
    joins will be a voter: clients are told that it is one.
    """

    VOTER = 0
    STAND_BY = 1
    SPARE = 2
    JOINING = 3


class Member(NamedTuple):
    """One member. A name of "" means that it has not told the others of itself yet."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...] = ()
    role: int = MemberRole.VOTER
    failure_domain: int = 0
    """What fails together has one number: a rack, a zone."""

    @property
    def votes(self) -> bool:
        """Whether quorums count it."""
        return self.role == MemberRole.VOTER

    @property
    def is_learner(self) -> bool:
        """Whether it is kept without a vote: what etcd calls a learner."""
        return self.role in (MemberRole.STAND_BY, MemberRole.SPARE)

    @property
    def is_started(self) -> bool:
        """Whether it has told the others of itself, as etcd takes it."""
        return bool(self.name)


class ChangeKind(IntEnum):
    """What a change of membership does to one member, as Raft sees it."""

    ADD_LEARNER = 1
    ADD_VOTER = 2
    PROMOTE = 3
    DEMOTE = 4
    REMOVE = 5


class Change(NamedTuple):
    """One step from a configuration to the next: a single member changes."""

    kind: ChangeKind
    member: int


class BrokenMemberError(Exception):
    """Bytes that are no member of a table."""


Table = Sequence[tuple[int, bytes]]
"""Members and removed ids as rows, by id: how a table is stored."""

_HEAD = Struct(">BBQ")
_SIZE = Struct(">I")
_COUNT = Struct(">H")
_REMOVED = b"\x00"
_MEMBER = 1
_HASH_FACTOR = 0x9E3779B97F4A7C15


def configuration(members: Mapping[int, Member]) -> dict[int, bool]:
    """Return who the cluster is as Raft sees it: member id -> whether it votes."""
    return {member.id: member.votes for _, member in sorted(members.items())}


def fits(members: Mapping[int, Member], change: Change) -> bool:
    """Whether a table says what a change that was just applied says."""
    member = members.get(change.member)
    match change.kind:
        case ChangeKind.ADD_VOTER | ChangeKind.PROMOTE:
            return member is not None and member.votes
        case ChangeKind.ADD_LEARNER | ChangeKind.DEMOTE:
            return member is not None and not member.votes
        case ChangeKind.REMOVE:
            return member is None


def rows(members: Mapping[int, Member], removed: Iterable[int]) -> Table:
    """Return a table as rows, ascending by id."""
    found = [(each, _REMOVED) for each in removed]
    found += ((member.id, body(member)) for member in members.values())
    return tuple(sorted(found))


def from_rows(table: Iterable[tuple[int, bytes]]) -> tuple[dict[int, Member], set[int]]:
    """Return members and removed ids. Raises BrokenMemberError."""
    members: dict[int, Member] = {}
    removed: set[int] = set()
    for member_id, data in sorted(table):
        if data == _REMOVED:
            removed.add(member_id)
        else:
            members[member_id] = member_of(member_id, data)
    return members, removed


def body(member: Member) -> bytes:
    """Return the bytes of a member beside its id."""
    head = _HEAD.pack(_MEMBER, member.role, member.failure_domain)
    return b"".join((head, text(member.name), texts(member.peer_urls), texts(member.client_urls)))


def member_of(member_id: int, data: bytes) -> Member:
    """Return the member that `body` was given. Raises BrokenMemberError."""
    try:
        kind, role, domain = _HEAD.unpack_from(data)
        role = int(MemberRole(role))
        name, position = take_text(data, _HEAD.size)
        peer_urls, position = take_texts(data, position)
        client_urls, position = take_texts(data, position)
    except (ValueError, StructError) as error:
        raise BrokenMemberError(f"member {member_id:x}: {error}") from error
    if kind != _MEMBER or position != len(data):
        raise BrokenMemberError(f"member {member_id:x} is of no kind that this build knows")
    return Member(member_id, name, peer_urls, client_urls, role, domain)


def member_hash(member: Member) -> int:
    """Return a member's share of the live hash: 64 bits, of which two checksums make the most."""
    data = body(member)
    mixed = (crc32(data, member.id & 0xFFFFFFFF) << 32) | crc32(data[::-1])
    return (mixed ^ member.id * _HASH_FACTOR) & 0xFFFFFFFFFFFFFFFF


def removed_hash(member_id: int) -> int:
    """Return the share of an id that will never be a member again."""
    return ((member_id ^ 0xFFFFFFFFFFFFFFFF) * _HASH_FACTOR) & 0xFFFFFFFFFFFFFFFF


def text(value: str) -> bytes:
    """Return a text behind its size."""
    encoded = value.encode()
    return _SIZE.pack(len(encoded)) + encoded


def texts(values: Sequence[str]) -> bytes:
    """Return several texts behind their count."""
    return _COUNT.pack(len(values)) + b"".join(map(text, values))


def take_text(data: bytes, position: int) -> tuple[str, int]:
    """Return the text at a position, and where it ends. Raises ValueError and struct's error."""
    (size,) = _SIZE.unpack_from(data, position)
    begin = position + _SIZE.size
    end = begin + size
    if end > len(data):
        raise ValueError("ends inside a text")
    return data[begin:end].decode(), end


def take_texts(data: bytes, position: int) -> tuple[tuple[str, ...], int]:
    """Return the texts at a position, and where the last ends. Raises as `take_text`."""
    (count,) = _COUNT.unpack_from(data, position)
    position += _COUNT.size
    found: list[str] = []
    for _ in range(count):
        each, position = take_text(data, position)
        found.append(each)
    return tuple(found), position
