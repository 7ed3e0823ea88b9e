"""The writes that nearly all writes are, read by hand in one pass; all others are protobuf's.

Rule of this file: what is not exactly one of the forms below gives None, and is then parsed by
protobuf. A form is one sequence of fields, each once and in order, numbers in as few bytes as they
need, keys not empty. So what is accepted means the same to any parser, and `core.checks` would
pass it: a branch holds one operation at most.

    put    key value? lease?
    txn    if MOD of key = revision, then put or delete of key, else nothing or range of key

An update takes 2.3 us so, and 8.4 through protobuf, whose attributes are the dear part.
"""

from typing import Final

from core.operations import Compare, CompareResult, CompareTarget, DeleteRange, Put, Range, Txn
from core.tuples import new

_KEY_BYTES_MAX: Final = 117
"""The size of a compare of a longer key takes two bytes."""
_SHIFT_MAX: Final = 56
"""Nine bytes hold any number that is not negative."""

_COMPARE: Final = 0x0A
_SUCCESS: Final = 0x12
_PUT: Final = 0x12
_KEY: Final = 0x0A
_VALUE: Final = 0x12
_LEASE: Final = 0x18
_MOD_REVISION: Final = 0x30
_TARGET_MOD_THEN_KEY: Final = b"\x10\x02\x1a"


def _beginnings(branch: int, operation: int) -> tuple[bytes, ...]:
    """Return, by its size, what stands before the sized key of an operation with no other field."""
    sizes = range(_KEY_BYTES_MAX + 1)
    return tuple(bytes((branch, size + 4, operation, size + 2, _KEY)) for size in sizes)


_RANGES: Final = _beginnings(0x1A, 0x0A)
_DELETES: Final = _beginnings(_SUCCESS, 0x1A)
_EQUAL: Final = int(CompareResult.EQUAL)
_MOD: Final = int(CompareTarget.MOD)


def usual_put(message: bytes) -> Put | None:
    """Return a put of the usual form."""
    try:
        return _put(message, 0, len(message))
    except IndexError:
        return None


def usual_txn(message: bytes) -> Txn | None:
    """Return a transaction of the usual form."""
    try:
        return _txn(message)
    except IndexError:
        return None


def _txn(message: bytes) -> Txn | None:
    size = message[5]
    at = 6 + size
    if (
        message[2:5] != _TARGET_MOD_THEN_KEY
        or message[at] != _MOD_REVISION
        or message[0] != _COMPARE
        or not 0 < size <= _KEY_BYTES_MAX
    ):
        return None
    sized_key = message[5:at]
    key = sized_key[1:]
    revision, at = _number(message, at + 1)
    if message[1] != at - 2 or at > 129:
        return None
    operation: Put | DeleteRange | None
    length, after = _number(message, at + 1)
    end = after + length
    if message[after] == _PUT:
        if message[at] != _SUCCESS:
            return None
        length, after = _number(message, after + 1)
        if after + length != end:
            return None
        operation = _put(message, after, end)
        if operation is None:
            return None
    elif message[at:end] == _DELETES[size] + sized_key:
        operation = DeleteRange(key)
    else:
        return None
    failure: tuple[Range, ...] = ()
    if end != len(message):
        if message[end:] != _RANGES[size] + sized_key:
            return None
        failure = (new(Range, (key, b"", 0, 0, 0, 0, False, False, False, 0, 0, 0, 0)),)
    compare = new(Compare, (_EQUAL, _MOD, key, b"", revision))
    return new(Txn, ((compare,), (operation,), failure))


def _put(message: bytes, at: int, end: int) -> Put | None:
    """Return the put that lies in [at, end)."""
    size = message[at + 1]
    after = at + 2 + size
    if message[at] != _KEY or not 0 < size < 128:
        return None
    key = message[at + 2 : after]
    value = b""
    lease = 0
    if after < end and message[after] == _VALUE:
        length, at = _number(message, after + 1)
        after = at + length
        value = message[at:after]
    if after < end and message[after] == _LEASE:
        lease, after = _number(message, after + 1)
    if after != end:
        return None
    return new(Put, (key, value, lease, False, False, False))


def _number(message: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at`, and where it ends. Raises IndexError for one of another form."""
    number = message[at]
    if number < 128:
        return number, at + 1
    byte = message[at + 1]
    if 0 < byte < 128:
        return number + (byte << 7) - 128, at + 2
    third = message[at + 2]
    if 0 < third < 128 <= byte:
        return number + (byte << 7) + (third << 14) - 16512, at + 3
    number &= 127
    shift = 7
    at += 1
    while byte > 127:
        number |= (byte & 127) << shift
        shift += 7
        at += 1
        byte = message[at]
    if not byte or shift > _SHIFT_MAX:
        raise IndexError("not the shortest form of a number that is not negative")
    return number | byte << shift, at + 1
