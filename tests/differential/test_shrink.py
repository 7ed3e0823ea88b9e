"""Delta debugging finds what matters."""

from tests.differential.shrink import shrunk


def test_only_the_items_that_matter_together_are_left() -> None:
    assert shrunk(range(1000), lambda items: {3, 500, 998} <= set(items)) == [3, 500, 998]


def test_order_is_kept_and_one_item_is_enough() -> None:
    assert shrunk("abcde", lambda items: "d" in items) == ["d"]


def test_questions_are_few() -> None:
    asked = 0

    def differs(items: list[int]) -> bool:
        nonlocal asked
        asked += 1
        return 777 in items

    assert shrunk(range(4096), differs) == [777]
    assert asked < 60
