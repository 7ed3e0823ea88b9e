"""What is refused for its shape, in etcd's order of checks."""

import pytest

from core import checks
from core.errors import (
    DUPLICATE_KEY,
    EMPTY_KEY,
    INVALID_SORT_OPTION,
    KEY_NOT_FOUND,
    LEASE_PROVIDED,
    TOO_MANY_OPS,
    VALUE_PROVIDED,
    Failure,
)
from core.operations import Compare, DeleteRange, Operation, Put, Range, Txn

A, B = Put(b"a"), Put(b"b")


def txn(*ops: Operation, other: tuple[Operation, ...] = ()) -> Txn:
    return Txn((), ops, other)


NOTHING: Operation = None  # type: ignore[assignment]  # an operation with nothing set

SHAPES: list[tuple[Txn, Failure | None]] = [
    (txn(), None),
    (txn(A, B), None),
    (txn(A, A), DUPLICATE_KEY),
    (txn(A, other=(A,)), None),
    (txn(other=(A, A)), DUPLICATE_KEY),
    (txn(A, DeleteRange(b"a")), DUPLICATE_KEY),
    (txn(DeleteRange(b"a"), A), DUPLICATE_KEY),
    (txn(DeleteRange(b"a", b"b"), B), None),
    (txn(DeleteRange(b"a", b"c"), B), DUPLICATE_KEY),
    (txn(DeleteRange(b"a", b"\0"), B), None),
    (txn(DeleteRange(b"a"), DeleteRange(b"a", b"c")), None),
    (txn(txn(A, other=(A,))), None),
    (txn(txn(A), B), None),
    (txn(txn(A), A), DUPLICATE_KEY),
    (txn(A, txn(other=(A,))), DUPLICATE_KEY),
    (txn(txn(A), txn(A)), DUPLICATE_KEY),
    (txn(txn(A), txn(B)), None),
    (txn(DeleteRange(b"a"), txn(A)), DUPLICATE_KEY),
    (txn(txn(DeleteRange(b"a")), A), DUPLICATE_KEY),
    (txn(txn(txn(A)), A), DUPLICATE_KEY),
    (txn(txn(A, A)), DUPLICATE_KEY),
    (txn(NOTHING), KEY_NOT_FOUND),
    (txn(txn(NOTHING)), KEY_NOT_FOUND),
    (txn(Put(b"")), EMPTY_KEY),
    (txn(other=(DeleteRange(b""),)), EMPTY_KEY),
    (txn(txn(Range(b""))), EMPTY_KEY),
    (txn(Range(b"a", sort_order=3)), INVALID_SORT_OPTION),
    (Txn((Compare(0, 0, b"", b"", 0),), (), ()), EMPTY_KEY),
    (txn(Put(b"a", b"v", ignore_value=True)), VALUE_PROVIDED),
    (txn(Put(b"a", lease=1, ignore_lease=True)), LEASE_PROVIDED),
    (txn(A, A, Put(b"")), EMPTY_KEY),
]


@pytest.mark.parametrize(("shape", "failure"), SHAPES)
def test_the_shape_of_a_transaction(shape: Txn, failure: Failure | None) -> None:
    assert checks.check_txn(shape, 128) == failure


@pytest.mark.parametrize("where", range(3))
def test_each_part_of_a_transaction_is_counted_alone(where: int) -> None:
    part: list[tuple[object, ...]] = [(), (), ()]
    many = (Compare(0, 0, b"k", b"", 0),) if where == 0 else (Range(b"k"),)
    part[where] = many * 5
    shape = Txn(*part)  # type: ignore[arg-type]  # of the part's own kind
    assert checks.check_txn(shape, 5) is None
    assert checks.check_txn(shape, 4) == TOO_MANY_OPS


def test_a_nested_transaction_has_what_the_outer_one_left() -> None:
    inner = txn(Range(b"k"), Range(b"k"))
    assert checks.check_txn(txn(inner, Range(b"k")), 4) is None
    assert checks.check_txn(txn(inner, Range(b"k")), 3) == TOO_MANY_OPS


def test_ranges_have_known_orders() -> None:
    assert checks.check_range(Range(b"a", sort_order=2, sort_target=4)) is None
    for bad in (
        Range(b"a", sort_order=-1),
        Range(b"a", sort_target=5),
        Range(b"a", sort_target=-1),
    ):
        assert checks.check_range(bad) == INVALID_SORT_OPTION
    assert checks.check_range(Range(b"", sort_order=9)) == EMPTY_KEY
