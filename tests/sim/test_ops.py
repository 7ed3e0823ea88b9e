"""`sim.ops`: what a history line says is what was meant."""

import json

import pytest

from sim.ops import (
    AdminDone,
    Compare,
    Kv,
    Leases,
    Put,
    Range,
    RangeDone,
    Txn,
    TxnDone,
    from_json,
    to_json,
)


@pytest.mark.parametrize(
    "value",
    [
        Txn((Compare("k", "mod", "=", 3),), (Put("k", "v\x00\xff"), Range("a", "\0"))),
        TxnDone(4, True, (RangeDone(4, (Kv("k", "v", 1, 2, 3),), 1),)),
        Leases(),
        AdminDone(3, (("leader", 2),)),
        ("Put", "x"),
    ],
)
def test_values_survive_the_way_through_json(value: object) -> None:
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize("line", ['{"Put": []}', '{"Nope": [1]}', '{"Put": 3}', "{}"])
def test_what_is_neither_operation_nor_result_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"Put|neither"):
        from_json(json.loads(line))
