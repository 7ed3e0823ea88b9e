"""What a client asks and what it is told, as histories and plans write it.

Rule of this file: values only, and nothing of the product: simulator, checkers and the harness
over real processes share it. Keys and values are text of which each character stands for one
byte (latin-1), so any bytes can be written as JSON. A range ends before `end`; "" means the one
key, "\\0" everything from `key` on.

    Op      what is asked: one of the classes of `Op`
    Result  what was told: a `*Done` (ok), `Failed` (proved not applied) or `Unknown`
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, cast

NO_CONNECTION: Final = "the connection was refused"
"""What a client is told whose connection never stood: nobody was asked."""


class Kv(NamedTuple):
    """One key as a client sees it."""

    key: str
    value: str
    create: int
    mod: int
    version: int
    lease: int = 0


class Range(NamedTuple):
    """Read keys, at `rev` or (0) now. Sorted by key, ascending."""

    key: str
    end: str = ""
    rev: int = 0
    limit: int = 0
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False


class Put(NamedTuple):
    """Write one key."""

    key: str
    value: str
    lease: int = 0
    prev_kv: bool = False


class Delete(NamedTuple):
    """Delete a key or a range."""

    key: str
    end: str = ""
    prev_kv: bool = False


class Compare(NamedTuple):
    """`target` is version, create, mod, value or lease; `sign` is =, !=, < or >."""

    key: str
    target: str
    sign: str
    operand: int | str
    end: str = ""


class Txn(NamedTuple):
    """Do `then` if every comparison holds, else `orelse`; may nest."""

    compare: tuple[Compare, ...]
    then: "tuple[TxnOp, ...]"
    orelse: "tuple[TxnOp, ...]" = ()


class Compact(NamedTuple):
    """Forget what was superseded up to `rev`."""

    rev: int
    physical: bool = False


class Grant(NamedTuple):
    """Make a lease."""

    lease: int
    ttl_s: int


class Revoke(NamedTuple):
    """End a lease and delete its keys."""

    lease: int


class KeepAlive(NamedTuple):
    """Renew a lease."""

    lease: int


class TimeToLive(NamedTuple):
    """Ask how long a lease has left, and for its keys."""

    lease: int
    keys: bool = True


class Leases(NamedTuple):
    """List all leases."""


class Admin(NamedTuple):
    """`what`: status, hash, defragment, snapshot, members, alarms, and those with a target.

    A target is a member: move_leader, disarm (its alarm of no space), member_add, member_learn (it
    joins as a voter, or as a learner), member_promote, member_remove.
    """

    what: str
    target: int = 0


TxnOp = Range | Put | Delete | Txn
Op = Range | Put | Delete | Txn | Compact | Grant | Revoke | KeepAlive | TimeToLive | Leases | Admin


class RangeDone(NamedTuple):
    """The keys found; `total` ignores the limit. Inside a Txn `rev` is the Txn's."""

    rev: int
    kvs: tuple[Kv, ...]
    total: int
    more: bool = False


class PutDone(NamedTuple):
    """`prev` only where it was asked for and existed."""

    rev: int
    prev: Kv | None = None


class DeleteDone(NamedTuple):
    """How many keys went; `prevs` only where asked for."""

    rev: int
    deleted: int
    prevs: tuple[Kv, ...] = ()


class TxnDone(NamedTuple):
    """Which branch ran, and its results in order."""

    rev: int
    succeeded: bool
    results: "tuple[TxnResult, ...]"


class CompactDone(NamedTuple):
    """The compaction is in force."""

    rev: int


class GrantDone(NamedTuple):
    """The lease stands."""

    rev: int
    lease: int
    ttl_s: int


class RevokeDone(NamedTuple):
    """The lease and its keys are gone."""

    rev: int


class KeepAliveDone(NamedTuple):
    """`ttl_s` 0: there is no such lease."""

    rev: int
    lease: int
    ttl_s: int


class TimeToLiveDone(NamedTuple):
    """`ttl_s` -1: there is no such lease; 0 or less otherwise: about to end."""

    rev: int
    lease: int
    ttl_s: int
    granted_s: int
    keys: tuple[str, ...] = ()


class LeasesDone(NamedTuple):
    """The ids of all leases, ascending."""

    rev: int
    leases: tuple[int, ...]


class AdminDone(NamedTuple):
    """Whatever the operation told, by name: leader, hash, compacted, size_bytes, ..."""

    rev: int
    facts: tuple[tuple[str, int], ...] = ()


class Failed(NamedTuple):
    """An error that proves that nothing was applied; `text` is the server's own."""

    text: str
    rev: int = 0


class Unknown(NamedTuple):
    """Nobody knows whether it was, or will be, applied."""

    text: str


TxnResult = RangeDone | PutDone | DeleteDone | TxnDone
Done = (
    RangeDone
    | PutDone
    | DeleteDone
    | TxnDone
    | CompactDone
    | GrantDone
    | RevokeDone
    | KeepAliveDone
    | TimeToLiveDone
    | LeasesDone
    | AdminDone
)
Result = Done | Failed | Unknown

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]

_CLASSES: Mapping[str, type] = {
    each.__name__: each
    for each in (
        Kv, Range, Put, Delete, Compare, Txn, Compact, Grant, Revoke, KeepAlive, TimeToLive,
        Leases, Admin, RangeDone, PutDone, DeleteDone, TxnDone, CompactDone, GrantDone,
        RevokeDone, KeepAliveDone, TimeToLiveDone, LeasesDone, AdminDone, Failed, Unknown,
    )
}  # fmt: skip


def to_json(value: object) -> Json:
    """Return a value of this file as JSON: `{"Put": [key, value, ...]}`; other tuples are lists."""
    if isinstance(value, tuple):
        items: list[Json] = [to_json(each) for each in cast(tuple[object, ...], value)]
        name = type(cast(object, value)).__name__
        return {name: items} if name in _CLASSES else items
    assert value is None or isinstance(value, bool | int | str), "no operation and no result"
    return value


def from_json(value: Json) -> object:
    """Invert `to_json`. Raises ValueError for a name or shape that it never makes."""
    if isinstance(value, list):
        return tuple(from_json(each) for each in value)
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [(name, list(items))] if name in _CLASSES:
            try:
                return cast(object, _CLASSES[name](*(from_json(each) for each in items)))
            except TypeError as error:
                raise ValueError(f"{name}: {error}") from error
        case _:
            raise ValueError(f"neither an operation nor a result: {value!r:.200}")
