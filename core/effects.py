"""All that `Node` asks the shell to do, in order."""

from typing import NamedTuple

from core.answers import Answer
from core.errors import Failure
from core.machine import Applied
from core.members import Change
from core.operations import Command, MembersChange, Query
from core.watching import Message, WatchStream


class Propose(NamedTuple):
    """Put this encoded command into the next pack; its fate is unknown until committed."""

    sequence: int
    payload: bytes
    command: Command


class ProposeChange(NamedTuple):
    """Put this encoded command into a pack of its own, which makes a change that Raft sees."""

    sequence: int
    payload: bytes
    command: Command
    change: Change


class ReadIndex(NamedTuple):
    """Confirm leadership, then report the commit index for this round of reads."""

    round: int


class Reply(NamedTuple):
    """Answer a client. A range stream gets several, the last with `last` set."""

    token: object
    answer: Answer


class Notify(NamedTuple):
    """Send a watch message on its stream."""

    stream: WatchStream
    message: Message


class Erase(NamedTuple):
    """Delete these change rows: a compaction made them invisible. `done`: none are left."""

    numbers: list[int]
    scrubbed_revision: int
    done: bool


class AskLeader(NamedTuple):
    """Pass a question on to the member that leads; its answer comes back under the number."""

    number: int
    leader: int
    query: Query | MembersChange


class EndStream(NamedTuple):
    """End a Watch RPC with a status."""

    stream: WatchStream
    failure: Failure


Effect = (
    Propose | ProposeChange | ReadIndex | Reply | Notify | Applied | Erase | AskLeader | EndStream
)
"""`Applied` itself asks that what a command did is written to the store, with the next batch."""
