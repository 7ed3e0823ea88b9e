"""Mistakes of meaning, planted in the oracle: the recorded answers of etcd tell each of them."""

import pytest

from sim.oracle import Oracle
from tests.differential.planted import PLANTED
from tests.differential.play import Recording, is_told_apart, played_on_oracle
from tests.differential.trace import Trace


@pytest.fixture(scope="module")
def truth(recording: Recording) -> Trace:
    """What etcd answered; of 3.5, whose differences are others, what the oracle of 3.6 would."""
    if not recording.dialect.is_etcd_3_5:
        return recording.answered
    return played_on_oracle(Oracle(), recording.operations)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_a_planted_mistake_differs_from_etcd(
    planted: type[Oracle], recording: Recording, truth: Trace
) -> None:
    release = recording.dialect.oracle().release
    assert is_told_apart(planted(release), recording.operations, truth)
