"""`sim.check.model`: it answers as the protobuf-level oracle does, and takes back what it did."""

from random import Random

import pytest

from net.etcd.pb import rpc_pb2 as pb
from sim import wire_words
from sim.check import shape
from sim.check.model import Model, stamped, writes
from sim.ops import (
    Compact,
    Compare,
    Delete,
    Failed,
    Grant,
    GrantDone,
    Kv,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Revoke,
    Txn,
    TxnDone,
    TxnOp,
)
from sim.oracle import Oracle
from sim.oracle_errors import OracleError

REQUESTS = {
    "Range": pb.RangeRequest,
    "Put": pb.PutRequest,
    "DeleteRange": pb.DeleteRangeRequest,
    "Txn": pb.TxnRequest,
    "Compact": pb.CompactionRequest,
    "LeaseGrant": pb.LeaseGrantRequest,
    "LeaseRevoke": pb.LeaseRevokeRequest,
}
KEYS = ("a", "b", "b\0", "c", "\xff")
ENDS = ("", "", "b", "c", "\0", "\xff")


def draw(chance: Random, number: int) -> Op:
    """Draw any operation."""
    match chance.randint(0, 12):
        case 0:
            return Compact(chance.randint(0, 12))
        case 1:
            return Grant(chance.randint(1, 3), 60)
        case 2:
            return Revoke(chance.randint(1, 3))
        case 3 | 4 | 5:
            return _txn(chance, number, depth=0)
        case _:
            return _part(chance, number)


def _part(chance: Random, number: int) -> Range | Put | Delete:
    key, end = chance.choice((*KEYS, "")), chance.choice(ENDS)
    match chance.randint(0, 5):
        case 0 | 1:
            return Put(key, str(number), chance.choice((0, 0, 1, 2)), chance.random() < 0.5)
        case 2:
            return Delete(key, end, chance.random() < 0.5)
        case _:
            return Range(
                key,
                end,
                rev=chance.choice((0, 0, chance.randint(1, 14))),
                limit=chance.choice((0, 0, 1, 2)),
                keys_only=chance.random() < 0.2,
                count_only=chance.random() < 0.2,
            )


def _txn(chance: Random, number: int, depth: int) -> Txn:
    def branch() -> tuple[TxnOp, ...]:
        return tuple(
            _txn(chance, number, depth + 1)
            if chance.random() < 0.2 and depth < 2
            else _part(chance, number)
            for _ in range(chance.randint(0, 3))
        )

    compare = tuple(_compare(chance) for _ in range(chance.randint(0, 2)))
    return Txn(compare, branch(), branch())


def _compare(chance: Random) -> Compare:
    target = chance.choice(("version", "create", "mod", "lease", "value"))
    operand: int | str = chance.randint(0, 4)
    if target == "value":
        operand = str(operand)
    sign = chance.choice(("=", "!=", "<", ">"))
    return Compare(chance.choice(KEYS), target, sign, operand, chance.choice(ENDS))


def by_oracle(oracle: Oracle, op: Op) -> Result:
    """Ask the oracle."""
    path, data = wire_words.request(op)
    name = path.rpartition("/")[2]
    try:
        answer = oracle.call(name, REQUESTS[name].FromString(data))
    except OracleError as error:
        return Failed(error.text)
    result = wire_words.result(op, [answer.SerializeToString()])
    return stamped(result, result.rev) if isinstance(result, TxnDone) else result


def by_model(model: Model, op: Op) -> Result:
    """Ask the model."""
    text = shape.refused(op)
    return Failed(text) if text else model.apply(op)


@pytest.mark.parametrize("seed", range(60))
def test_the_model_answers_as_the_oracle(seed: int) -> None:
    chance = Random(seed)
    model, oracle = Model(), Oracle()
    for number in range(60):
        op = draw(chance, number)
        assert by_model(model, op) == by_oracle(oracle, op), op


def test_an_operation_that_wrote_says_so() -> None:
    chance = Random(1)
    model = Model()
    for number in range(600):
        op, before = draw(chance, number), model.rev
        result = by_model(model, op)
        if not isinstance(op, Revoke):
            assert writes(op, result) == (model.rev > before)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_undone_never_was(seed: int) -> None:
    chance = Random(seed)
    model, shadow = Model(knows_leases=False), Model(knows_leases=False)
    for number in range(60):
        op, before = draw(chance, number), model.rev
        if isinstance(op, Compact | Grant):
            continue
        by_model(model, op)
        if model.rev > before and chance.random() < 0.5:
            model.undo()
        else:
            by_model(shadow, op)
        assert (model.rev, model.live, model.names) == (shadow.rev, shadow.live, shadow.names)
        assert model.changes == shadow.changes
        for rev in range(1, model.rev + 1):
            assert list(model.at("\0", "\0", rev)) == list(shadow.at("\0", "\0", rev))


@pytest.mark.parametrize("seed", range(20))
def test_imposed_changes_leave_the_same_state(seed: int) -> None:
    chance = Random(seed)
    model, shadow = Model(knows_leases=False), Model(knows_leases=False)
    for number in range(60):
        by_model(model, draw(chance, number))
        for rev in range(shadow.rev + 1, model.rev + 1):
            shadow.impose(model.changes[rev])
    assert (model.rev, model.live, model.names) == (shadow.rev, shadow.live, shadow.names)
    assert model.versions == shadow.versions


def test_a_compaction_forgets_nothing_that_the_checkers_need() -> None:
    model = Model()
    model.apply(Put("a", "1"))
    model.apply(Put("a", "2"))
    model.apply(Compact(3))
    assert model.apply(Range("a", rev=2)) == Failed(shape.COMPACTED)
    assert model.read_any(Range("a", rev=2)) == RangeDone(3, (Kv("a", "1", 2, 2, 1),), 1)


def test_a_lease_unknown_is_no_obstacle_where_leases_are_not_known() -> None:
    assert Model(knows_leases=False).apply(Put("a", "1", 7)) == PutDone(2)
    assert Model().apply(Put("a", "1", 7)) == Failed(shape.LEASE_NOT_FOUND)


def test_a_lease_is_granted_once() -> None:
    model = Model()
    assert model.apply(Grant(7, 5)) == GrantDone(1, 7, 5)
    assert model.apply(Grant(7, 5)) == Failed(shape.LEASE_EXISTS)
