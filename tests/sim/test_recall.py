"""Versions of rows that were loaded before."""

from core import loading
from core.loading import Row
from core.records import put_version, tombstone
from sim.recall import rows_recalled

ROWS: list[Row] = [
    (1, 2, 0, b"a", 2, 1, 0, 0, 0, b"x"),
    (2, 3, 0, b"a", 0, 0, 1, 0, 1, None),
    (3, 4, 0, b"b", 4, 1, 0, 7, 0, b""),
]
VERSIONS = [
    put_version(b"a", b"x", 2, 2, 1, 0, 1),
    tombstone(b"a", mod=3, number=2),
    put_version(b"b", b"", 4, 4, 1, 7, 3),
]


def test_rows_give_what_the_core_makes_of_them_however_often() -> None:
    made = vars(loading)["_versions_of"]
    with rows_recalled():
        recalled = vars(loading)["_versions_of"]
        assert recalled(ROWS[:2]) == VERSIONS[:2]
        assert recalled(ROWS) == VERSIONS
        assert all(map(lambda a, b: a is b, recalled(ROWS), recalled(ROWS)))
    assert vars(loading)["_versions_of"] is made
