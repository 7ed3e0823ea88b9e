"""Commands about members as bytes: the kinds 16 to 21 of `core.codec`, by its rules.

Rule of this file: ids are u64, texts lie behind u32 sizes, lists behind u16 counts. Reading either
gives exactly what was encoded or raises ValueError or struct's error, as `core.codec` expects.
"""

from struct import Struct

from core.members import MemberRole, take_text, take_texts, text, texts
from core.operations import (
    MemberAdd,
    MemberPromote,
    MemberPublish,
    MemberRemove,
    MembersChange,
    MemberUpdate,
    RoleAssign,
)

_ADD_KIND, _REMOVE_KIND, _UPDATE_KIND = 16, 17, 18
_PROMOTE_KIND, _PUBLISH_KIND, _ASSIGN_KIND = 19, 20, 21

_ADD = Struct(">QBI")
_ID = Struct(">Q")
_ASSIGN = Struct(">QBb")
_PUBLISH = Struct(">QQ")


def encode_members(command: MembersChange | MemberPublish) -> tuple[int, bytes]:
    """Return kind and fields."""
    match command:
        case MemberAdd(member_id, peer_urls, role, learners_max, name, client_urls):
            head = _ADD.pack(member_id, role, learners_max)
            return _ADD_KIND, head + texts(peer_urls) + text(name) + texts(client_urls)
        case MemberRemove(member_id):
            return _REMOVE_KIND, _ID.pack(member_id)
        case MemberUpdate(member_id, peer_urls):
            return _UPDATE_KIND, _ID.pack(member_id) + texts(peer_urls)
        case MemberPromote(member_id):
            return _PROMOTE_KIND, _ID.pack(member_id)
        case MemberPublish(member_id, name, client_urls, domain):
            head = _PUBLISH.pack(member_id, domain)
            return _PUBLISH_KIND, head + text(name) + texts(client_urls)
        case RoleAssign(member_id, role, was):
            return _ASSIGN_KIND, _ASSIGN.pack(member_id, role, was)


def read_members(kind: int, data: bytes) -> MembersChange | MemberPublish:
    """Return the command that these fields make."""
    command, end = _read(kind, data)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes over")
    return command


def _read(kind: int, data: bytes) -> tuple[MembersChange | MemberPublish, int]:
    if kind == _ADD_KIND:
        member_id, role, learners_max = _ADD.unpack_from(data)
        peer_urls, end = take_texts(data, _ADD.size)
        name, end = take_text(data, end)
        client_urls, end = take_texts(data, end)
        role = MemberRole(role)
        return MemberAdd(member_id, peer_urls, role, learners_max, name, client_urls), end
    if kind == _ASSIGN_KIND:
        member_id, role, was = _ASSIGN.unpack_from(data)
        return RoleAssign(member_id, MemberRole(role), was), _ASSIGN.size
    (member_id,) = _ID.unpack_from(data)
    if kind == _REMOVE_KIND:
        return MemberRemove(member_id), _ID.size
    if kind == _PROMOTE_KIND:
        return MemberPromote(member_id), _ID.size
    if kind == _UPDATE_KIND:
        peer_urls, end = take_texts(data, _ID.size)
        return MemberUpdate(member_id, peer_urls), end
    if kind != _PUBLISH_KIND:
        raise ValueError(f"unknown kind {kind}")
    member_id, domain = _PUBLISH.unpack_from(data)
    name, end = take_text(data, _PUBLISH.size)
    client_urls, end = take_texts(data, end)
    return MemberPublish(member_id, name, client_urls, domain), end
