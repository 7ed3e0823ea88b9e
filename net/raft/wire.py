"""What members say to each other, as bytes. Never a pickle.

Rule of this file: `decode` accepts exactly what `encode` makes, with every number in its bounds, or
raises `WireError`; it knows shapes and no state. All numbers are big-endian. Equal messages are
equal bytes.

    kind         from -> to
    APPEND       leader -> member     entries behind (index, term), the commit index, a stamp
    ACK          member -> leader     how far it matches, or where it might; the stamp's echo
    NEWCOMER     member -> leader     I know no configuration to begin with: send a snapshot
    CANVASS      member -> voter      would you vote for me in this term?  (pre-vote)
    SUPPORT      voter -> member      I would
    ASK_VOTE     candidate -> voter   vote for me; `handed` if the leader told it to ask
    VOTE         voter -> candidate   I do
    STEP_UP      leader -> member     take over
    NEWER        anybody              your term is over
    PING, PONG   leader <-> voter     a read round
    ASK, TOLD    member <-> leader    a read index, please; 0 where it cannot be had
    OFFER        member -> leader     a proposal
    TAKEN        leader -> member     it is in the log, at this index; 0: it never will be
"""

from collections.abc import Sequence
from struct import Struct, error
from typing import NamedTuple

from core.limits import PACK_BYTES_MAX
from net.changes import MARK, change_of
from net.replicator import Entry

NUMBER_MAX = 1 << 62
ENTRY_BYTES_MAX = PACK_BYTES_MAX + (1 << 16)
ENTRIES_MAX = 1 << 16
"""How many entries one message may hold."""


class WireError(Exception):
    """Bytes that no member sends."""


class Append(NamedTuple):
    """Entries behind `previous`."""

    term: int
    previous: int
    previous_term: int
    commit: int
    stamp: int
    """Ascends on each message of one leader to one member."""
    entries: Sequence[Entry]


class Ack(NamedTuple):
    """The answer to an Append: where both logs match, or (`differs`) might."""

    term: int
    upto: int
    differs: bool
    stamp: int
    upto_term: int = 0
    """Where logs differ: the term of the sender's entry at `upto`."""


class Newcomer(NamedTuple):
    """The answer to an Append of a member that knows nothing yet."""

    term: int
    stamp: int


class Canvass(NamedTuple):
    """Ask whether a campaign for `term` has a chance."""

    term: int
    last_index: int
    last_term: int


class Support(NamedTuple):
    """It has: the sender would vote in this term."""

    term: int


class AskVote(NamedTuple):
    """Ask for a vote."""

    term: int
    last_index: int
    last_term: int
    handed: bool


class Vote(NamedTuple):
    """Give it."""

    term: int


class StepUp(NamedTuple):
    """The leader of this term asks the receiver to campaign."""

    term: int


class Newer(NamedTuple):
    """The sender is in this term; what it got is of an older one."""

    term: int


class Ping(NamedTuple):
    """The leader of this term asks whether it still is."""

    term: int
    round: int


class Pong(NamedTuple):
    """The sender knows of no later term."""

    term: int
    round: int


class Ask(NamedTuple):
    """Ask the leader for a read index."""

    term: int
    token: int


class Told(NamedTuple):
    """This is it; 0: nobody can tell."""

    term: int
    token: int
    at: int


class Offer(NamedTuple):
    """Ask the leader to order a pack."""

    term: int
    token: int
    payload: bytes


class Taken(NamedTuple):
    """The pack of this token is the entry there, of `term`; 0: it was not taken."""

    term: int
    token: int
    at: int


Message = (
    Append | Ack | Canvass | Support | AskVote | Vote | StepUp | Newer | Ping | Pong | Ask | Told
    | Offer | Taken | Newcomer
)  # fmt: skip

_APPEND, _OFFER = 1, 2
_FIXED: dict[type, tuple[int, Struct]] = {
    Ack: (3, Struct(">BQQ?QQ")),
    Canvass: (4, Struct(">BQQQ")),
    Support: (5, Struct(">BQ")),
    AskVote: (6, Struct(">BQQQ?")),
    Vote: (7, Struct(">BQ")),
    StepUp: (8, Struct(">BQ")),
    Newer: (9, Struct(">BQ")),
    Ping: (10, Struct(">BQQ")),
    Pong: (11, Struct(">BQQ")),
    Ask: (12, Struct(">BQQ")),
    Told: (13, Struct(">BQQQ")),
    Taken: (14, Struct(">BQQQ")),
    Newcomer: (15, Struct(">BQQ")),
}
_KINDS = {kind: (each, struct) for each, (kind, struct) in _FIXED.items()}
_NAMES = {kind: each.__name__ for kind, (each, _) in _KINDS.items()} | {1: "Append", 2: "Offer"}
_APPEND_HEAD = Struct(">BQQQQQI")
_OFFER_HEAD = Struct(">BQQ")
_ENTRY_HEAD = Struct(">QI")


def encode(message: Message) -> bytes:
    """Return a message's bytes."""
    if isinstance(message, Append):
        head = message[:5]
        return encode_append(head, len(message.entries), encode_entries(message.entries))
    if isinstance(message, Offer):
        return _OFFER_HEAD.pack(_OFFER, message.term, message.token) + message.payload
    kind, struct = _FIXED[type(message)]
    return struct.pack(kind, *message)


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Return the entries' part of an Append: equal for all members that get the same."""
    head = _ENTRY_HEAD.pack
    parts: list[bytes] = []
    for entry in entries:
        payload = entry.payload
        parts.append(head(entry.term, len(payload)))
        parts.append(payload)
    return b"".join(parts)


def encode_append(head: tuple[int, int, int, int, int], count: int, entries: bytes) -> bytes:
    """Return the bytes of an Append with these first fields, its entries encoded already."""
    return _APPEND_HEAD.pack(_APPEND, *head, count) + entries


def kind_of(data: bytes) -> str:
    """Name a message, for traces."""
    return _NAMES.get(data[0], "unknown") if data else "nothing"


def decode(data: bytes) -> Message:
    """Return the message; raises WireError for bytes that are none."""
    if not data:
        raise WireError("nothing")
    kind = data[0]
    try:
        if kind == _APPEND:
            return _decode_append(data)
        if kind == _OFFER:
            _, term, token = _OFFER_HEAD.unpack_from(data)
            payload = _payload(data[_OFFER_HEAD.size :])
            message: Message = Offer(_term(term), _number(token), payload)
            return message
        if kind not in _KINDS:
            raise WireError(f"kind {kind}")
        shape, struct = _KINDS[kind]
        _, term, *rest = struct.unpack(data)
    except error as problem:
        raise WireError(str(problem)) from problem
    if struct.pack(kind, term, *rest) != data:
        raise WireError("a flag that is neither 0 nor 1")
    for each in rest:
        _number(each)
    decoded: Message = shape(_term(term), *rest)
    return decoded


def _decode_append(data: bytes) -> Append:
    _, term, previous, previous_term, commit, stamp, count = _APPEND_HEAD.unpack_from(data)
    if count > ENTRIES_MAX:
        raise WireError(f"{count} entries")
    if _number(previous_term) > _term(term) or _number(previous) + count >= NUMBER_MAX:
        raise WireError("previous")
    position, size = _APPEND_HEAD.size, len(data)
    index, newest = previous, previous_term
    entries: list[Entry] = []
    unpack, head_size = _ENTRY_HEAD.unpack_from, _ENTRY_HEAD.size
    for _ in range(count):
        entry_term, entry_size = unpack(data, position)
        position += head_size
        if not newest <= entry_term <= term or not entry_term:
            raise WireError(f"an entry of term {entry_term} behind one of {newest}")
        if entry_size > size - position:
            raise WireError("an entry beyond the end")
        index, newest = index + 1, entry_term
        entries.append(Entry(index, entry_term, _payload(data[position : position + entry_size])))
        position += entry_size
    if position != size:
        raise WireError("bytes behind the last entry")
    return Append(term, previous, previous_term, _number(commit), _number(stamp), entries)


def _payload(payload: bytes) -> bytes:
    """A payload is empty, a pack, or a known change in front of a pack."""
    if len(payload) > ENTRY_BYTES_MAX:
        raise WireError(f"a payload of {len(payload)} bytes")
    if payload[:1] == MARK:
        change = change_of(payload)
        if change is None or change.member <= 0:
            raise WireError("no known change of membership")
    return payload


def _term(term: int) -> int:
    if not 0 < term < NUMBER_MAX:
        raise WireError(f"term {term}")
    return term


def _number(number: int) -> int:
    if number >= NUMBER_MAX:
        raise WireError(f"number {number}")
    return number
