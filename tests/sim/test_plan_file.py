"""Plans as files: read back as written; a wrong line is named."""

from pathlib import Path

import pytest

from sim.generate import make_plan
from sim.plan import Item, Options, Plan
from sim.plan_file import lines_of, plan_of, read_plan, write_plan

HEAD = '{"plan": 1, "seed": 1, "options": {}}'


def test_a_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    for seed in range(20):
        plan = make_plan(seed)
        write_plan(tmp_path / "plan.jsonl", plan)
        assert read_plan(tmp_path / "plan.jsonl") == plan


def test_options_that_a_file_does_not_name_have_their_defaults() -> None:
    assert plan_of(['{"plan": 1, "seed": 9, "options": {"members": 5}}']) == Plan(
        9, Options(members=5)
    )


def test_a_hand_written_plan_is_a_plan() -> None:
    lines = [HEAD, "", '[5, "client", 0, "register.get", {"key": "r/0", "serializable": false}]']
    item = Item(5, "client", 0, "register.get", {"key": "r/0", "serializable": False})
    assert plan_of(lines) == Plan(1, items=(item,))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("[1, 2", "plan:2: .*delimiter"),
        ('{"a": 1}', "plan:2: no item"),
        ('[5, "client", 0, "register.get"]', "plan:2: no item"),
        ('["5", "client", 0, "register.get", {}]', "plan:2: no item: '5' is no int"),
        ('[5, "client", 0, "register.fetch", {}]', "plan:2: no client does 'register.fetch'"),
        ('[5, "client", 0, "register.get", {}]', "plan:2: register.get: missing: key, serial"),
        ('[5, "watcher", 0, "register.get", {}]', "plan:2: no watcher does 'register.get'"),
        ('[5, "nobody", 0, "register.get", {}]', "plan:2: nobody is called 'nobody'"),
        ('[5, "fault", 0, "flood", {}]', "plan:2: no fault is called 'flood'"),
        ('[5, "fault", 0, "isolate", {"member": 1}]', "plan:2: isolate: missing or unknown: ms"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        plan_of([HEAD, line])


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        ("", "plan:1: no plan"),
        ("[]", "plan:1: no first line"),
        ('{"plan": 2, "seed": 1, "options": {}}', "plan:1: no first line"),
        ('{"plan": 1, "seed": 1, "options": {"member": 1}}', "plan:1: no option"),
    ],
)
def test_a_wrong_first_line_is_named(head: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        plan_of([head])


def test_an_empty_plan_is_one_line() -> None:
    assert len(list(lines_of(Plan(1)))) == 1
