"""A change of membership in the log: a pack behind a mark that says which member changes how.

Rule: the mark is for the engine, which must know a configuration before it is committed; the pack
behind it is the core's, as any other. Total: bytes without the mark are no change.
"""

from struct import Struct

from net.replicator import Change, ChangeKind

MARK = b"\xc1"
"""No pack begins with this byte."""
_HEAD = Struct(">cBQ")


def framed(change: Change, pack: bytes) -> bytes:
    """Return the payload of an entry that changes the membership."""
    return _HEAD.pack(MARK, change.kind, change.member) + pack


def change_of(payload: bytes) -> Change | None:
    """Return the change that an entry makes; None for any other entry."""
    if payload[:1] != MARK or len(payload) < _HEAD.size:
        return None
    _, kind, member = _HEAD.unpack_from(payload)
    known = ChangeKind._value2member_map_
    return Change(ChangeKind(kind), member) if kind in known else None


def pack_of(payload: bytes) -> bytes:
    """Return the core's pack of an entry, whether or not it changes the membership."""
    return payload[_HEAD.size :] if payload[:1] == MARK else payload
