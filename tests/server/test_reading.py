"""Readers note faults and go on."""

import pytest

from server.arguments import Setting
from server.reading import Reader
from server.settings import Settings


def reader(**given: str) -> Reader:
    named = {name.replace("_", "-"): text for name, text in given.items()}
    return Reader(
        Settings({name: Setting(text, f"--{name}={text}") for name, text in named.items()})
    )


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_go_knows_six_words_for_true(text: str) -> None:
    assert reader(pre_vote=text).truth("pre-vote") is True


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE", "False"])
def test_go_knows_six_words_for_false(text: str) -> None:
    assert reader(pre_vote=text).truth("pre-vote") is False


def test_a_list_has_each_entry_once_in_its_order() -> None:
    assert reader(log_outputs=" b, a,,b ").items("log-outputs") == ("b", "a")


def test_a_duration_is_rounded_up_to_a_millisecond() -> None:
    read = reader(warning_apply_duration="1500us")
    assert read.milliseconds("warning-apply-duration", least=0, most=10) == 2


@pytest.mark.parametrize("text", ["+1", "1_000", "0x10", "1.0", "", "٣", "11", "-1"])
def test_a_number_is_plain_digits_within_bounds(text: str) -> None:
    read = reader(max_txn_ops=text)
    assert read.number("max-txn-ops", least=1, most=10) == 128
    assert read.faults == [f"--max-txn-ops={text}: give a whole number from 1 to 10."]


def test_a_fault_is_noted_once() -> None:
    read = reader(pre_vote="x")
    read.truth("pre-vote")
    read.truth("pre-vote")
    assert read.faults == ["--pre-vote=x: give true or false."]
