"""The perfect log's messages as bytes, and what one of its steps asks for, as that gathers.

Rule of this file: shapes. A message is a tuple of numbers and bytes, first its kind and the
sender's term; equal messages are equal bytes.

    APPEND    leader -> follower   entries behind (index, term), the commit index, a read round
    ACK       follower -> leader   how far it matches durably; or where it does not; a read round
    OFFER     follower -> leader   a proposal
    REFUSAL   leader -> follower   a proposal that was not taken
    ASK       follower -> leader   a read round, please
    TOLD      leader -> follower   its index; or (0) that it cannot be had
"""

import marshal
from typing import Any

from core.tuples import new
from net.replicator import Entry, Outcome, Persist, RaftOutput, Role

APPEND, ACK, OFFER, REFUSAL, ASK, TOLD = range(6)
PROBE = -1
"""In place of a read round: acknowledge even if there was nothing to append."""
_NAMES = ("append", "ack", "offer", "refusal", "ask", "told")
_PLAIN = 2
"""The marshal format without references: those depend on who else holds a value."""
_KIND_AT = 6
"""Where that format puts the first number of a tuple."""


def pack(message: tuple[Any, ...]) -> bytes:  # any: marshal's type knows no tuple of objects
    """Return a message's bytes."""
    return marshal.dumps(message, _PLAIN)


def unpack(data: bytes) -> tuple[Any, ...]:
    """Return the message that a peer's engine packed, in the shapes of this file's table."""
    message: tuple[Any, ...] = marshal.loads(data)  # any: as packed
    return message


def kind_of(data: bytes) -> str:
    """Name a message, for traces."""
    return _NAMES[data[_KIND_AT]] if len(data) > _KIND_AT else "nudge"


class Gathered:
    """What a step asks for, as it gathers. One serves all steps of a life.

    Most steps ask for a thing or two: nine new lists for each cost as much as a message.
    """

    __slots__ = (
        "apply", "install", "persist", "read_lost", "read_ready", "resolved", "role", "send",
        "send_snapshot",
    )  # fmt: skip

    def __init__(self) -> None:
        self.persist: list[Persist] = []
        self.send: list[tuple[int, bytes, int]] = []
        self.apply: list[Entry] = []
        self._begin_rare()

    def _begin_rare(self) -> None:
        self.read_ready: list[tuple[int, int]] = []
        self.read_lost: list[int] = []
        self.resolved: list[Outcome] = []
        self.send_snapshot: list[tuple[int, int]] = []
        self.install: tuple[int, int] | None = None
        self.role: Role | None = None

    def whole(self, next_deadline_ms: int | None) -> RaftOutput:
        """Return it as the port wants it, and begin anew: what is given away is not touched."""
        persist, send, apply, ready = self.persist, self.send, self.apply, self.read_ready
        resolved, role, lost = self.resolved, self.role, self.read_lost
        snapshots, install = self.send_snapshot, self.install
        if persist:
            self.persist = []
        if send:
            self.send = []
        if apply:
            self.apply = []
        if ready or resolved or role or lost or snapshots or install:
            self._begin_rare()
        values = (
            persist or (),
            send or (),
            apply or (),
            ready or (),
            resolved or (),
            role,
            next_deadline_ms,
            lost or (),
            snapshots or (),
            install,
            (),
            None,
        )
        return new(RaftOutput, values)
