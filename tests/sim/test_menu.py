"""The fault menu: names, groups and what it says of wrong items."""

import pytest

from sim.menu import (
    DISHES,
    GROUPS,
    MEMBERSHIP,
    MEMBERSHIP_DISHES,
    MENU,
    ROLE_DISHES,
    WHOLE_DISHES,
    wrong,
)


def test_every_dish_has_a_name_of_its_own_and_a_known_group() -> None:
    assert len(MENU) == len((*DISHES, *WHOLE_DISHES, *MEMBERSHIP_DISHES, *ROLE_DISHES))
    assert {dish.group for dish in DISHES} == set(GROUPS)
    assert {dish.group for dish in WHOLE_DISHES} == {"disk"}
    assert {dish.group for dish in (*MEMBERSHIP_DISHES, *ROLE_DISHES)} == {MEMBERSHIP}


def test_only_the_lying_disk_is_never_drawn() -> None:
    assert [dish.name for dish in DISHES if not dish.drawn] == ["lying_sync"]


@pytest.mark.parametrize(
    ("name", "args", "complaint"),
    [
        ("isolate", {"member": 1, "ms": 5}, ""),
        ("isolate", {"member": -1, "ms": 5}, ""),
        ("halves", {"side": [0, 2], "ms": 5}, ""),
        ("crash", {"member": 0, "down_ms": 1, "survival": "all"}, ""),
        ("crash", {"member": 0, "down_ms": 1, "survival": "some"}, "crash: survival is no word"),
        ("crash_at", {"member": 0, "point": "x.y", "hits": 1, "ms": 9, "down_ms": 1,
                      "survival": "all"}, ""),
        ("isolate", {"member": 1}, "isolate: missing or unknown: ms"),
        ("isolate", {"member": True, "ms": 5}, "isolate: member is no member: True"),
        ("isolate", {"member": 0, "ms": -5}, "isolate: ms is no ms: -5"),
        ("halves", {"side": ["0"], "ms": 5}, "halves: side is no members"),
        ("flood", {}, "no fault is called 'flood'"),
    ],
)  # fmt: skip
def test_a_wrong_item_is_told_what_is_wrong(
    name: str, args: dict[str, object], complaint: str
) -> None:
    told = wrong(name, args)
    assert told.startswith(complaint)
    assert bool(told) == bool(complaint)
