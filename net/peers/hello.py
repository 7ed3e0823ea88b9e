"""What members say before they talk: who, to whom, of which cluster; and why not.

Rule: hand-laid, total. Decoding gives what was encoded or raises FrameError. Both ends say HELLO,
the one that dialled first; whoever does not like what it hears says REFUSE with a reason and ends
the connection.
"""

from enum import IntEnum
from struct import Struct
from struct import error as StructError

from attrs import frozen

from net.peers.frames import FrameError

HELLO, REFUSE, PING, PONG = 0x10, 0x11, 0x12, 0x13
"""Channels of the connection itself, beside those of `net.turns` and of snapshots."""
SNAPSHOT = 3

VERSION_OLDEST = 1
VERSION_NEWEST = 1
_MAGIC = b"trine-peer"
_HELLO = Struct(">10sHHQQQQ")
_REFUSAL = Struct(">B")
_TEXT_MAX = 512


class Refusal(IntEnum):
    """Why a connection is refused."""

    WRONG_VERSION = 1
    WRONG_CLUSTER = 2
    NOT_ME = 3
    UNKNOWN_MEMBER = 4
    REMOVED_MEMBER = 5
    WRONG_CERTIFICATE = 6
    CONNECTED = 7
    """There is a better connection already."""
    TOO_MANY = 8


@frozen
class Hello:
    """Who speaks, and whom it means. `life` is drawn at each start of a member."""

    cluster_id: int
    sender: int
    target: int
    life: int
    oldest: int = VERSION_OLDEST
    newest: int = VERSION_NEWEST

    @property
    def version(self) -> int | None:
        """The version that both ends speak; None if there is none."""
        version = min(self.newest, VERSION_NEWEST)
        return version if version >= max(self.oldest, VERSION_OLDEST) else None


@frozen
class Contact:
    """How a member is known and reached. The name is empty until it has started once."""

    id: int
    name: str
    urls: tuple[str, ...]


def encode_hello(hello: Hello) -> bytes:
    """Return the bytes of a HELLO."""
    return _HELLO.pack(
        _MAGIC, hello.oldest, hello.newest, hello.cluster_id, hello.sender, hello.target,
        hello.life,
    )  # fmt: skip


def decode_hello(body: bytes) -> Hello:
    """Return what a HELLO says; a newer version may say more behind it."""
    try:
        magic, oldest, newest, cluster_id, sender, target, life = _HELLO.unpack_from(body)
    except StructError as error:
        raise FrameError(f"a greeting of {len(body)} bytes") from error
    if magic != _MAGIC:
        raise FrameError("a greeting of another protocol")
    return Hello(cluster_id, sender, target, life, oldest, newest)


def encode_refusal(why: Refusal, text: str) -> bytes:
    """Return the bytes of a REFUSE."""
    return _REFUSAL.pack(why) + text.encode()[:_TEXT_MAX]


def decode_refusal(body: bytes) -> tuple[Refusal | None, str]:
    """Return why, if this version knows the reason, and the other end's words."""
    if not body:
        raise FrameError("a refusal of 0 bytes")
    known = Refusal._value2member_map_
    why = Refusal(body[0]) if body[0] in known else None
    return why, body[1 : 1 + _TEXT_MAX].decode("utf-8", "replace")
