"""Watcher groups are found for a key however their ranges are shaped."""

from hypothesis import given
from hypothesis import strategies as st

from core.keys import EVERYTHING_ABOVE, prefix_end, span_end
from core.matching import RangeMap

keys = st.binary(min_size=1, max_size=3).map(lambda data: bytes(byte % 4 for byte in data))
ranges = st.one_of(
    st.tuples(keys, st.just(b"")),
    keys.map(lambda key: (key, prefix_end(key))),
    st.tuples(keys, keys).filter(lambda pair: pair[0] < pair[1]),
    st.tuples(keys, st.just(EVERYTHING_ABOVE)),
)


def holds(key: bytes, range_end: bytes, found: bytes) -> bool:
    end = span_end(key, range_end)
    return key <= found and (end is None or found < end)


@given(st.lists(ranges, unique=True, max_size=30), st.data())
def test_a_key_finds_exactly_the_ranges_that_hold_it(
    added: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    ranges_by_key: RangeMap[tuple[bytes, bytes]] = RangeMap()
    for each in added:
        ranges_by_key.add(*each, each)
    removed = data.draw(st.sets(st.sampled_from(added))) if added else set()
    for each in sorted(removed):
        ranges_by_key.remove(*each)
    for key in data.draw(st.lists(keys, max_size=10)):
        expected = {each for each in added if each not in removed and holds(*each, key)}
        found = ranges_by_key.matching(key)
        assert set(found) == expected
        assert len(found) == len(expected)


def test_ten_thousand_ranges_stay_quick_to_search() -> None:
    ranges_by_key: RangeMap[int] = RangeMap()
    for number in range(10_000):
        begin = b"%06d" % number
        ranges_by_key.add(begin, begin + b"5", number)
    assert ranges_by_key.matching(b"0042421") == (4242,)
