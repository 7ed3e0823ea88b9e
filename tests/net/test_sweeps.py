"""Who is looked at, and when."""

from attrs import define

from net.sweeps import SWEEP_CONNECTIONS, SWEEP_MS, SWEEP_MS_MAX, Sweeps


@define(eq=False)
class Patient:
    """Whose deadline is when a test says."""

    due_ms: int = 0


def test_all_are_looked_at_a_few_at_a_time_the_newest_first() -> None:
    sweeps = Sweeps[Patient]()
    everyone = [Patient(7) for _ in range(2 * SWEEP_CONNECTIONS + 1)]
    over: list[Patient] = []
    while not over or sweeps.has_more:
        few = sweeps.over(everyone, 7)
        assert 0 < len(few) <= SWEEP_CONNECTIONS
        over += few
    assert (over, sweeps.due_ms) == (everyone[::-1], 7 + SWEEP_MS_MAX)


def test_the_next_look_is_due_with_the_first_deadline_but_not_at_once() -> None:
    sweeps = Sweeps[Patient]()
    assert sweeps.over([Patient(700), Patient(), Patient(500)], 200) == []
    assert sweeps.due_ms == 500
    late = Patient(501)
    assert sweeps.over([late, Patient(502)], 501) == [late]
    assert sweeps.due_ms == 501 + SWEEP_MS


def test_nobody_is_looked_at_before_it_is_time() -> None:
    sweeps = Sweeps[Patient]()
    patient = Patient()
    sweeps.over([patient], 0)
    patient.due_ms = 1
    assert sweeps.over([patient], SWEEP_MS_MAX - 1) == []
    assert sweeps.over([patient], SWEEP_MS_MAX) == [patient]


def test_a_new_deadline_is_looked_at_soon() -> None:
    sweeps = Sweeps[Patient]()
    sweeps.over([Patient()], 0)
    sweeps.expect(40)
    sweeps.expect(50)
    assert sweeps.due_ms == 40 + SWEEP_MS
