"""What members load from stores and decode from logs, made once: all of them do, again and again.

Rule of this file: a row that was loaded before gives the version that it gave, and a pack that was
decoded before its commands, by whichever member and in whichever life; any other is the core's own
to make them of. Versions and commands are never changed.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

from core import loading
from core.codec import Proposed
from core.loading import Row
from core.records import Version
from net import packs

_MAKES: Final = "_versions_of"
"""The function by which `core.loading` makes versions of rows."""
_DECODES: Final = "decode_pack"
"""The function by which `net.packs` makes commands of bytes."""


@contextmanager
def loads_recalled() -> Generator[None]:
    """Remember, for as long as this lasts, what rows and packs gave."""
    makes, decodes = vars(loading)[_MAKES], vars(packs)[_DECODES]
    versions: dict[Row, Version] = {}
    commands: dict[bytes, tuple[Proposed, ...]] = {}

    def recalled(rows: Sequence[Row]) -> list[Version]:
        fresh = [row for row in rows if row not in versions]
        if fresh:
            versions.update(zip(fresh, makes(fresh), strict=True))
        return [versions[row] for row in rows]

    def decoded(pack: bytes) -> list[Proposed]:
        found = commands.get(pack)
        if found is None:
            found = commands[pack] = tuple(decodes(pack))
        return list(found)

    setattr(loading, _MAKES, recalled)
    setattr(packs, _DECODES, decoded)
    try:
        yield
    finally:
        setattr(loading, _MAKES, makes)
        setattr(packs, _DECODES, decodes)
