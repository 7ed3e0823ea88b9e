"""Who is looked at, and when."""

from net.sweeps import SWEEP_CONNECTIONS, SWEEP_MS, Sweeps


def test_all_are_looked_at_a_few_at_a_time_the_newest_first() -> None:
    sweeps = Sweeps[int]()
    everything = list(range(2 * SWEEP_CONNECTIONS + 1))
    seen: list[int] = []
    while not seen or sweeps.has_more:
        few = sweeps.few(everything, 7)
        assert 0 < len(few) <= SWEEP_CONNECTIONS
        seen += few
    assert (seen, sweeps.due_ms) == (everything[::-1], 7 + SWEEP_MS)


def test_nobody_is_looked_at_before_it_is_time() -> None:
    sweeps = Sweeps[int]()
    assert sweeps.few([1], 0) == [1]
    assert sweeps.few([1], SWEEP_MS - 1) == []
    assert sweeps.few([1], SWEEP_MS) == [1]
