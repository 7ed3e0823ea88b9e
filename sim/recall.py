"""What members load from their stores, made once: members end and start again all the time.

Rule of this file: a row that was loaded before gives the version that it gave, by whichever member
and in whichever life; any other row is the core's own to make one of. Versions are never changed.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

from core import loading
from core.loading import Row
from core.records import Version

_MAKES: Final = "_versions_of"
"""The function by which `core.loading` makes versions of rows."""


@contextmanager
def rows_recalled() -> Generator[None]:
    """Remember, for as long as this lasts, what rows gave."""
    makes = vars(loading)[_MAKES]
    known: dict[Row, Version] = {}

    def recalled(rows: Sequence[Row]) -> list[Version]:
        fresh = [row for row in rows if row not in known]
        if fresh:
            known.update(zip(fresh, makes(fresh), strict=True))
        return [known[row] for row in rows]

    setattr(loading, _MAKES, recalled)
    try:
        yield
    finally:
        setattr(loading, _MAKES, makes)
