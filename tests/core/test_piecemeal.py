"""Work in slices gives its result once all is done, and closes what it has open."""

from core.piecemeal import Piecemeal, Piecework


def counting(seen: list[object]) -> Piecemeal[str]:
    try:
        for number in range(5):
            seen.append(number)
            yield
    finally:
        seen.append("closed")
    return "done"


def test_as_many_slices_are_done_as_are_asked_for() -> None:
    seen: list[object] = []
    work = Piecework(counting(seen))
    assert not work.step(2)
    assert seen == [0, 1]
    assert not work.step(3)
    assert seen == [0, 1, 2, 3, 4]
    assert work.step(9)
    assert (work.result, seen[-1]) == ("done", "closed")


def test_all_that_is_left_can_be_done_at_once() -> None:
    work = Piecework(counting([]))
    work.step()
    assert work.whole() == "done"


def test_work_that_is_given_up_closes_what_it_has_open() -> None:
    seen: list[object] = []
    work = Piecework(counting(seen))
    work.step()
    work.close()
    assert seen == [0, "closed"]
