"""For tests of members on simulated disks: hearing of a dead disk that was asked twice.

A call of SQLite may go on after a file operation that raised, and ask again; apsw can raise one
exception a call and reports the others as unraisable. Those of a dead disk say nothing new.
"""

import sys
from collections.abc import Iterator

import pytest

from sim.disk import PowerLost


@pytest.fixture(autouse=True)
def second_words_of_a_dead_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    told = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, PowerLost):
            told(unraisable)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "unraisablehook", hook)
        yield
