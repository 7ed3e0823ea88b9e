"""The oracle against a real etcd: it is not believed before this is green."""

import pytest

from tests.differential.play import Recording, Start, report, shrunk_report

NAMES = ("oracle", "etcd")


def test_the_oracle_answers_as_etcd_does(
    recording: Recording, start_etcd: Start, shrink: bool
) -> None:
    difference = report(recording.operations, recording.expected, recording.answered, NAMES)
    if difference and shrink:
        difference = shrunk_report(start_etcd, recording, NAMES)
    assert not difference, difference


def test_every_refusal_and_every_kind_of_compare_is_met_often(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{recording.statistics.table()}")
    waived = recording.dialect.generator(0).waived
    assert set(recording.statistics.lacking()) <= set(waived)


def test_a_third_of_all_reads_is_of_the_past(recording: Recording) -> None:
    assert recording.statistics.historical_share >= 0.3
