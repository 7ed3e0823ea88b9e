"""The table of settings."""

import pytest

from server.flags import SECTIONS, Flag, by_name, nearest, variable

FLAGS = [flag for section in SECTIONS for flag in section.flags]


def test_a_flag_answers_to_all_its_names() -> None:
    flag = Flag("a", "text", "", "", other_names=("b", "c"))
    assert by_name([flag]) == {"a": flag, "b": flag, "c": flag}


def test_two_flags_of_one_name_are_a_bug() -> None:
    with pytest.raises(AssertionError, match="flag a is in the tables twice"):
        by_name([Flag("a", "text", "", ""), Flag("b", "text", "", "", other_names=("a",))])


@pytest.mark.parametrize(
    ("name", "found"),
    [("nmae", "name"), ("DATA_DIR", "data-dir"), ("data-dir", "data-dir"), ("x", None)],
)
def test_the_nearest_name_is_found(name: str, found: str | None) -> None:
    assert nearest(name, {"name", "data-dir"}) == found


def test_a_variable_is_named_after_its_flag() -> None:
    assert variable(Flag("max-txn-ops", "number", "1", "")) == "ETCD_MAX_TXN_OPS"
    assert variable(Flag("metrics-listen", "text", "", "", is_native=True)) == (
        "TRINE_METRICS_LISTEN"
    )


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: str(flag.name))
def test_a_setting_that_counts_is_described_by_a_sentence(flag: Flag) -> None:
    assert flag.inert is None
    assert flag.help[0].isupper()
    assert flag.help.endswith(".")


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: str(flag.name))
def test_a_default_is_one_of_the_choices(flag: Flag) -> None:
    assert not flag.choices or flag.default in flag.choices
