"""Trine against etcd, and against the oracle that etcd has confirmed.

TRINE_ENDPOINT names a running member with an empty store and no other clients; without it one is
started from this checkout.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.differential import peers, trine
from tests.differential.operations import described
from tests.differential.play import (
    Recording,
    Start,
    played_on_oracle,
    played_on_peer,
    recorded,
    report,
    shrunk_report,
)
from tests.differential.trace import Trace, shown


@contextmanager
def given_member(_: Path) -> Iterator[str]:
    """Yield the address of the member that the environment names."""
    yield os.environ["TRINE_ENDPOINT"]


@pytest.fixture(scope="module")
def start_trine() -> Start:
    return given_member if "TRINE_ENDPOINT" in os.environ else peers.trine


@pytest.fixture(scope="module")
def recording_of_trine(start_trine: Start, sequence_seed: int, sequence_size: int) -> Recording:
    """A sequence with all that Trine serves, played on Trine."""
    return recorded(start_trine, trine.DIALECT, seed=sequence_seed, size=sequence_size)


def test_trine_answers_as_the_oracle_does(
    recording_of_trine: Recording, start_trine: Start, shrink: bool
) -> None:
    told = report(
        recording_of_trine.operations,
        recording_of_trine.expected,
        recording_of_trine.answered,
        ("oracle", "trine"),
    )
    if told and shrink:
        told = shrunk_report(start_trine, recording_of_trine, ("oracle", "trine"))
    assert not told, told


def test_the_sequence_for_trine_meets_everything_often(recording_of_trine: Recording) -> None:
    assert not recording_of_trine.statistics.lacking()
    assert recording_of_trine.statistics.historical_share >= 0.3


@pytest.mark.skipif("TRINE_ENDPOINT" in os.environ, reason="needs a second empty store")
def test_trine_answers_as_etcd_does(recording: Recording, start_trine: Start) -> None:
    """The same sequence that etcd was played; a difference is excused if the oracles name it."""
    operations = recording.operations
    answered = played_on_peer(start_trine, operations, trine.TrineOracle())
    ours = played_on_oracle(trine.TrineOracle(), operations)
    told = report(operations, ours, answered, ("oracle", "trine"))
    assert not told, told
    assert not unexcused(recording, ours, answered)


def unexcused(recording: Recording, ours: Trace, trine_said: Trace) -> str:
    """Return where Trine and etcd answered otherwise though their oracles agree; else nothing."""
    outcomes = zip(
        ours.outcomes,
        recording.expected.outcomes,
        trine_said.outcomes,
        recording.answered.outcomes,
        strict=True,
    )
    for i, (our, their, trine_outcome, etcd_outcome) in enumerate(outcomes):
        if our == their and trine_outcome != etcd_outcome:
            return (
                f"operation {i}: {described(recording.operations[i])}\n"
                f"  trine: {shown(trine_outcome)}\n  etcd: {shown(etcd_outcome)}"
            )
    return ""
