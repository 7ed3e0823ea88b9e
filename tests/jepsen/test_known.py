"""Known faults of others: what a run does not ask where it keeps out of their way."""

from jepsen.known import spared
from sim.clients import Ask, Performance
from sim.ops import Op, Put, Range, Txn


def asked(op: Op) -> Op:
    """Return what is asked in an operation's place."""

    def perform() -> Performance:
        yield Ask(op, 0)

    step = next(spared(perform()))
    assert isinstance(step, Ask)
    return step.op


def test_a_transaction_reads_at_no_past_revision() -> None:
    inner = Txn((), (Range("a", rev=3),))
    op = Txn((), (Put("k", "v"), Range("b", rev=7), inner), (Range("c", rev=1),))
    now = Txn((), (Put("k", "v"), Range("b"), Txn((), (Range("a"),))), (Range("c"),))
    assert asked(op) == now


def test_other_reads_of_the_past_stay() -> None:
    assert asked(Range("a", rev=3)) == Range("a", rev=3)
