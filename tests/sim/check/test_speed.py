"""How fast the witness judges. It is measured in the processor's time, best of three."""

import gc
import time

import pytest

from sim.check import timeline_of
from sim.check.guarantees import Found
from tests.long_histories import long_history


@pytest.mark.slow
def test_a_log_judges_300_000_operations_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    history = long_history(1, 100_000)
    rates: list[float] = []
    gc.collect()
    gc.disable()  # As `check` has it.
    try:
        for _ in range(3):
            found = Found()
            began = time.process_time()
            timeline_of(history, found)
            rates.append(len(history.calls) / (time.process_time() - began))
            assert found.verdicts() == []
    finally:
        gc.enable()
    with capsys.disabled():
        print(f"\n{max(rates):,.0f} operations a second by the log")
    assert max(rates) > 300_000
