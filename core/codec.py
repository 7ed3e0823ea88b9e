"""Commands as bytes: the journal's and the log's only payload. Versioned, hand-laid, total.

A pack is a version byte and its commands, each behind a u32 length. A command is a kind byte
and the proposal id (origin u64, sequence u64), then its fields: u32 lengths before bytes,
i64 for numbers, all big-endian. Kinds up to 9 are given, 16 to 21 are `core.member_codec`'s;
32 to 63 are kept for users and roles, 64 to 79 for named databases. Decoding either gives
exactly what was encoded or raises `CodecError`: a member that cannot read its log must not guess.
"""

from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from core.member_codec import encode_members, read_members
from core.operations import (
    AlarmSet,
    Command,
    Compact,
    Compare,
    DeleteRange,
    LeaseExpire,
    LeaseGrant,
    LeaseRevoke,
    MemberAdd,
    MemberPromote,
    MemberPublish,
    MemberRemove,
    MemberUpdate,
    Noop,
    Operation,
    Put,
    Range,
    RoleAssign,
    Txn,
)
from core.tuples import new

PACK_VERSION = 1
NESTING_MAX = 128


class CodecError(Exception):
    """Bytes that no version of this codec wrote, or a newer one did."""


class ProposalId(NamedTuple):
    """Which proposer offered a command, and its how-manieth: unique for ever."""

    origin: int
    sequence: int


class Proposed(NamedTuple):
    """One command of a pack with its proposal id."""

    id: ProposalId
    command: Command


_U32 = Struct(">I")
_HEAD = Struct(">BQQ")
_PUT_COMMAND = Struct(">BQQqBII")
_PUT = Struct(">qBII")
_DELETE = Struct(">BII")
_RANGE = Struct(">IIqqBBBqqqq")
_COMPARE = Struct(">BBBII")
_I64 = Struct(">q")
_TWO_I64 = Struct(">qq")
_COMPACT = Struct(">qB")
_EXPIRE = Struct(">qQQ")
_ALARM = Struct(">QBB")
_COUNTS = Struct(">III")
_TXN_TO_KEY = Struct(">BQQIIIBBBII")
"""Head, counts and compare of a transaction with one compare."""
_OPERAND_TO_KEY = Struct(">qBqBII")
"""A number to compare with, then kind and fields of the put that follows."""

_PUT_KIND, _DELETE_KIND, _TXN_KIND, _COMPACT_KIND = 1, 2, 3, 4
_GRANT_KIND, _REVOKE_KIND, _EXPIRE_KIND, _ALARM_KIND, _NOOP_KIND = 5, 6, 7, 8, 9
_RANGE_KIND = 10
"""Only inside a transaction."""

_PLAIN_RANGE = Range(b"")[1:]
_PLAIN_RANGE_FIELDS = _RANGE.pack(0, *(0,) * 10)[4:]
"""The fields behind the key's size of a range that reads one key and says nothing else."""

_FLAGS: dict[int, tuple[bool, bool, bool]] = {
    flags: (bool(flags & 1), bool(flags & 2), bool(flags & 4)) for flags in range(8)
}
"""The three flags of a put, by their number."""


def encode_pack(commands: list[bytes]) -> bytes:
    """Join encoded commands into one pack."""
    parts = [bytes((PACK_VERSION,))]
    for command in commands:
        parts += (_U32.pack(len(command)), command)
    return b"".join(parts)


def decode_pack(pack: bytes) -> list[Proposed]:
    """Return a pack's commands in order; an empty pack is a leader's first."""
    if not pack:
        return []
    if pack[0] != PACK_VERSION:
        raise CodecError(f"pack of version {pack[0]}; this build reads version {PACK_VERSION}")
    position = 1
    commands: list[Proposed] = []
    while position < len(pack):
        if position + 4 > len(pack):
            raise CodecError("pack ends inside a length")
        (size,) = _U32.unpack_from(pack, position)
        position += 4
        end = position + size
        if end > len(pack):
            raise CodecError("pack ends inside a command")
        usual = _USUAL.get(pack[position]) if size >= _PUT_COMMAND.size else None
        proposed = None if usual is None else usual(pack, position, end)
        commands.append(decode(pack[position:end]) if proposed is None else proposed)
        position = end
    return commands


def _read_usual_put(pack: bytes, position: int, end: int) -> Proposed | None:
    """Return what `decode` makes of a put; None for one that it refuses (a follower's hot path)."""
    _, origin, sequence, lease, flags, key_size, value_size = _PUT_COMMAND.unpack_from(
        pack, position
    )
    begin = position + _PUT_COMMAND.size
    middle = begin + key_size
    if flags > 7 or middle + value_size != end:
        return None
    prev_kv, ignore_value, ignore_lease = _FLAGS[flags]
    put = new(
        Put, (pack[begin:middle], pack[middle:end], lease, prev_kv, ignore_value, ignore_lease)
    )
    return new(Proposed, (new(ProposalId, (origin, sequence)), put))


def _read_usual_txn(pack: bytes, position: int, end: int) -> Proposed | None:
    """Return what `decode` makes of what `_usual_txn` wrote; None for other transactions."""
    at = position + _TXN_TO_KEY.size
    if at > end:
        return None
    (
        _, origin, sequence, compares, successes, failures, result, target, is_bytes, key_size,
        range_end_size,
    ) = _TXN_TO_KEY.unpack_from(pack, position)  # fmt: skip
    middle = at + key_size
    operand_at = middle + range_end_size
    put_at = operand_at + _OPERAND_TO_KEY.size
    if compares != 1 or successes != 1 or failures > 1 or is_bytes or put_at > end:
        return None
    operand, kind, lease, flags, new_size, value_size = _OPERAND_TO_KEY.unpack_from(
        pack, operand_at
    )
    value_at = put_at + new_size
    read_at = value_at + value_size
    if kind != _PUT_KIND or flags > 7 or read_at > end:
        return None
    reads = _usual_reads(pack, read_at, end) if failures else ()
    if len(reads) != failures or (not failures and read_at != end):
        return None
    compare = Compare(result, target, pack[at:middle], pack[middle:operand_at], operand)
    put = Put(pack[put_at:value_at], pack[value_at:read_at], lease, *_FLAGS[flags])
    txn = Txn((compare,), (put,), reads)
    return new(Proposed, (new(ProposalId, (origin, sequence)), txn))


def _usual_reads(pack: bytes, at: int, end: int) -> tuple[Range, ...]:
    """Return the plain read of one key that is exactly there; nothing if there is another thing."""
    size = end - at - 1 - _RANGE.size
    if size < 0 or pack[at] != _RANGE_KIND or _U32.unpack_from(pack, at + 1) != (size,):
        return ()
    key_at = end - size
    return (Range(pack[key_at:end]),) if pack[at + 5 : key_at] == _PLAIN_RANGE_FIELDS else ()


def encode(proposal_id: tuple[int, int], command: Command) -> bytes:
    """Return the bytes of one command."""
    origin, sequence = proposal_id
    if type(command) is Put:
        key, value, lease, prev_kv, ignore_value, ignore_lease = command
        flags = prev_kv | ignore_value << 1 | ignore_lease << 2
        head = _PUT_COMMAND.pack(
            _PUT_KIND, origin, sequence, lease, flags, len(key), len(value)
        )  # fmt: skip
        return b"".join((head, key, value))
    if type(command) is Txn:
        if (parts := _usual_txn(origin, sequence, command)) is None:
            parts = [_HEAD.pack(_TXN_KIND, origin, sequence)]
            _append_txn(parts, command)
        return b"".join(parts)
    kind, body = _body(command)
    return _HEAD.pack(kind, origin, sequence) + body


def decode(data: bytes) -> Proposed:
    """Return the command that these bytes hold, or raise CodecError."""
    try:
        kind, origin, sequence = _HEAD.unpack_from(data)
        reader = _Reader(data, _HEAD.size)
        command = _read_command(kind, reader)
    except (StructError, ValueError, RecursionError) as error:
        raise CodecError(f"command of {len(data)} bytes is cut or malformed: {error}") from error
    if reader.position != len(data):
        raise CodecError(f"command of kind {kind} has {len(data) - reader.position} bytes over")
    return Proposed(ProposalId(origin, sequence), command)


def _put_fields(put: Put) -> bytes:
    flags = put.prev_kv | put.ignore_value << 1 | put.ignore_lease << 2
    return _PUT.pack(put.lease, flags, len(put.key), len(put.value))


def _body(command: Command) -> tuple[int, bytes]:
    """Return kind and fields of what is seldom proposed; `encode` lays out the rest by itself."""
    match command:
        case Put() | Txn():
            raise AssertionError("INV-CODEC-EXACT: puts and txns have one form, that of `encode`")
        case DeleteRange():
            return _DELETE_KIND, b"".join(_delete_fields(command))
        case LeaseGrant():
            return _GRANT_KIND, _TWO_I64.pack(command.id, command.ttl_s)
        case LeaseRevoke():
            return _REVOKE_KIND, _I64.pack(command.id)
        case LeaseExpire():
            return _EXPIRE_KIND, _EXPIRE.pack(command.id, command.term, command.generation)
        case Compact():
            return _COMPACT_KIND, _COMPACT.pack(command.revision, command.physical)
        case AlarmSet():
            return _ALARM_KIND, _ALARM.pack(command.member, command.kind, command.raised)
        case Noop():
            return _NOOP_KIND, b""
        case (
            MemberAdd()
            | MemberRemove()
            | MemberUpdate()
            | MemberPromote()
            | MemberPublish()
            | RoleAssign()
        ):
            return encode_members(command)


def _usual_txn(origin: int, sequence: int, txn: Txn) -> list[bytes] | None:
    """Return what `_append_txn` makes of one compare, one put and at most a read of one key.

    Most transactions are this (hot path): fields that lie side by side are packed together.
    """
    compares, success, failure = txn
    if len(compares) != 1 or len(success) != 1 or len(failure) > 1:
        return None
    result, target, key, range_end, operand = compares[0]
    put = success[0]
    if type(put) is not Put or type(operand) is not int:
        return None
    new_key, value, lease, prev_kv, ignore_value, ignore_lease = put
    flags = prev_kv | ignore_value << 1 | ignore_lease << 2
    parts = [
        _TXN_TO_KEY.pack(
            _TXN_KIND, origin, sequence, 1, 1, len(failure),
            result & 0xFF, target & 0xFF, 0, len(key), len(range_end),
        ),
        key,
        range_end,
        _OPERAND_TO_KEY.pack(operand, _PUT_KIND, lease, flags, len(new_key), len(value)),
        new_key,
        value,
    ]  # fmt: skip
    for read in failure:
        if type(read) is not Range or read[1:] != _PLAIN_RANGE:
            return None
        parts += (b"\x0a", _U32.pack(len(read.key)), _PLAIN_RANGE_FIELDS, read.key)
    return parts


def _append_txn(parts: list[bytes], txn: Txn) -> None:
    """Add a transaction's fields; type tests in the order of how often they hold (hot path)."""
    compares, success, failure = txn
    parts.append(_COUNTS.pack(len(compares), len(success), len(failure)))
    for compare in compares:
        _append_compare(parts, compare)
    for op in (*success, *failure):
        kind = type(op)
        if kind is Put:
            parts += (b"\x01", _put_fields(op), op.key, op.value)  # type: ignore[union-attr,arg-type]  # by kind
        elif kind is Range:
            parts += (b"\x0a", *_range_fields(op))  # type: ignore[arg-type]  # by kind
        elif kind is DeleteRange:
            parts += (b"\x02", *_delete_fields(op))  # type: ignore[arg-type]  # by kind
        else:
            parts.append(b"\x03")
            _append_txn(parts, op)  # type: ignore[arg-type]  # by kind


def _delete_fields(op: DeleteRange) -> tuple[bytes, bytes, bytes]:
    return _DELETE.pack(op.prev_kv, len(op.key), len(op.range_end)), op.key, op.range_end


def _range_fields(op: Range) -> tuple[bytes, bytes, bytes]:
    (
        key, range_end, limit, revision, order, target, serializable, keys_only, count_only,
        min_mod, max_mod, min_create, max_create,
    ) = op  # fmt: skip
    flags = serializable | keys_only << 1 | count_only << 2
    head = _RANGE.pack(
        len(key), len(range_end), limit, revision, order, target, flags,
        min_mod, max_mod, min_create, max_create,
    )  # fmt: skip
    return head, key, range_end


def _append_compare(parts: list[bytes], compare: Compare) -> None:
    result, target, key, range_end, operand = compare
    is_bytes = isinstance(operand, bytes)
    head = _COMPARE.pack(result & 0xFF, target & 0xFF, is_bytes, len(key), len(range_end))
    if isinstance(operand, bytes):
        parts += (head, key, range_end, _U32.pack(len(operand)), operand)
    else:
        parts += (head, key, range_end, _I64.pack(operand))


class _Reader:
    __slots__ = ("data", "depth", "position")

    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position
        self.depth = 0

    def fields(self, layout: Struct) -> tuple[int, ...]:
        found = layout.unpack_from(self.data, self.position)
        self.position += layout.size
        return found

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise ValueError("ends inside a field")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def flag(self, value: int) -> bool:
        if value > 1:
            raise ValueError("flag out of bounds")
        return value == 1


def _read_command(kind: int, reader: _Reader) -> Command:
    match kind:
        case 1 | 2 | 3:
            op = _read_operation(kind, reader)
            if isinstance(op, Range):
                raise ValueError("a range is not a command")
            return op
        case 4:
            revision, physical = reader.fields(_COMPACT)
            return Compact(revision, reader.flag(physical))
        case 5:
            return LeaseGrant(*reader.fields(_TWO_I64))
        case 6:
            return LeaseRevoke(*reader.fields(_I64))
        case 7:
            return LeaseExpire(*reader.fields(_EXPIRE))
        case 8:
            member, alarm, raised = reader.fields(_ALARM)
            return AlarmSet(member, alarm, reader.flag(raised))
        case 9:
            return Noop()
        case 16 | 17 | 18 | 19 | 20 | 21:
            return read_members(kind, reader.take(len(reader.data) - reader.position))
        case _:
            raise ValueError(f"unknown kind {kind}")


def _read_operation(kind: int, reader: _Reader) -> Operation:
    match kind:
        case 1:
            lease, flags, key_size, value_size = reader.fields(_PUT)
            if flags > 7:
                raise ValueError("unknown put flags")
            key = reader.take(key_size)
            value = reader.take(value_size)
            return Put(key, value, lease, bool(flags & 1), bool(flags & 2), bool(flags & 4))
        case 2:
            prev_kv, key_size, end_size = reader.fields(_DELETE)
            key = reader.take(key_size)
            return DeleteRange(key, reader.take(end_size), reader.flag(prev_kv))
        case 3:
            return _read_txn(reader)
        case 10:
            return _read_range(reader)
        case _:
            raise ValueError(f"unknown operation {kind}")


def _read_range(reader: _Reader) -> Range:
    key_size, end_size, limit, revision, order, target, flags, *bounds = reader.fields(_RANGE)
    if flags > 7:
        raise ValueError("unknown range flags")
    key = reader.take(key_size)
    return Range(
        key, reader.take(end_size), limit, revision, order, target,
        bool(flags & 1), bool(flags & 2), bool(flags & 4), *bounds,
    )  # fmt: skip


def _read_txn(reader: _Reader) -> Txn:
    reader.depth += 1
    if reader.depth > NESTING_MAX:
        raise ValueError("nested too deeply")
    compares, successes, failures = reader.fields(_COUNTS)
    left = len(reader.data) - reader.position
    if compares + successes + failures > left:
        raise ValueError("counts beyond the command's end")
    txn = Txn(
        tuple(_read_compare(reader) for _ in range(compares)),
        tuple(_read_operation(reader.take(1)[0], reader) for _ in range(successes)),
        tuple(_read_operation(reader.take(1)[0], reader) for _ in range(failures)),
    )
    reader.depth -= 1
    return txn


def _read_compare(reader: _Reader) -> Compare:
    result, target, is_bytes, key_size, end_size = reader.fields(_COMPARE)
    key = reader.take(key_size)
    range_end = reader.take(end_size)
    operand: int | bytes
    if reader.flag(is_bytes):
        (size,) = reader.fields(_U32)
        operand = reader.take(size)
    else:
        (operand,) = reader.fields(_I64)
    return Compare(result, target, key, range_end, operand)


_USUAL = {_PUT_KIND: _read_usual_put, _TXN_KIND: _read_usual_txn}
"""How what is most proposed is read where it lies, by kind."""
