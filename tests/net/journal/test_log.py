"""The index of packs agrees with a plain list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import Index, Term
from net.journal.log import Log, Place

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 4)),
        st.tuples(st.just("segment"), st.just(0)),
        st.tuples(st.just("truncate"), st.integers(0, 30)),
        st.tuples(st.just("restart"), st.integers(0, 5)),
        st.tuples(st.just("drop"), st.integers(0, 60)),
    ),
    max_size=60,
)


@given(STEPS)
def test_every_pack_is_where_the_model_says(steps: list[tuple[str, int]]) -> None:
    log = Log(Index(0), Term(0))
    log.begin_segment(1)
    model: dict[int, tuple[Term, Place]] = {}
    base, base_term, last, term, segment, offset = 0, Term(0), 0, 0, 1, 0
    for verb, number in steps:
        if verb == "add":
            term += number == 4
            for _ in range(number):
                last, offset = last + 1, offset + 32
                log.add(Index(last), Term(term), offset, last * 3)
                model[last] = (Term(term), Place(segment, offset, last * 3))
        elif verb == "segment":
            segment += 1
            log.begin_segment(segment)
        elif verb == "truncate" and last - number > base:
            log.truncate_from(Index(last - number), term_before=Term(99))
            last = last - number - 1
            model = {index: kept for index, kept in model.items() if index <= last}
        elif verb == "restart":
            term += 1
            base, base_term, last = last + number, Term(term), last + number
            log.restart(Index(base), base_term)
            model = {}
        elif verb == "drop":
            while (dropped := log.droppable(Index(number))) is not None:
                gone = [index for index, (_, place) in model.items() if place.segment == dropped]
                assert all(index <= number for index in gone)
                if gone:
                    base, base_term = gone[-1], model[gone[-1]][0]
                model = {index: kept for index, kept in model.items() if index not in gone}
                log.drop_oldest()
    assert (log.first_index, log.last_index) == (base + 1, last)
    assert log.term_at(base) == base_term
    assert {i: (log.term_at(i), log.locate(Index(i))) for i in range(base + 1, last + 1)} == model


def test_what_is_not_held_is_not_answered() -> None:
    log = Log(Index(5), Term(2))
    log.begin_segment(1)
    log.add(Index(6), Term(3), 0, 0)
    assert (log.term_at(5), log.term_at(6)) == (2, 3)
    for index in (4, 7):
        with pytest.raises(AssertionError, match="INV-JOURNAL-CONTIGUOUS"):
            log.term_at(index)
    with pytest.raises(AssertionError, match="INV-JOURNAL-CONTIGUOUS"):
        log.locate(Index(5))
    with pytest.raises(AssertionError, match="INV-JOURNAL-CONTIGUOUS"):
        log.add(Index(8), Term(3), 0, 0)


def test_a_truncation_below_the_first_pack_leaves_an_empty_log_after_it() -> None:
    log = Log(Index(10), Term(4))
    log.begin_segment(3)
    log.truncate_from(Index(5), term_before=Term(2))
    assert (log.first_index, log.last_index, log.term_at(4)) == (5, 4, 2)


def test_a_mark_restarts_the_log_beyond_its_end_or_against_its_terms() -> None:
    log = Log(Index(0), Term(0))
    log.begin_segment(1)
    for index in (1, 2, 3):
        log.add(Index(index), Term(1), 0, 0)
    assert log.restarts(Index(4), Term(1))
    assert log.restarts(Index(2), Term(2))
    assert not log.restarts(Index(3), Term(1))
