"""Planted bugs: what somebody could get wrong, put in from outside, to see the checks see it.

Rule of this package: nothing here is ever in production code; `planted` is the one way in and out.
A checker that no bug of this catalogue exercises proves nothing.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from sim.planted.again import AGAIN
from sim.planted.bug import Bug
from sim.planted.compacting import COMPACTING
from sim.planted.converging import CONVERGING
from sim.planted.electing import ELECTING
from sim.planted.enduring import ENDURING
from sim.planted.leasing import LEASING
from sim.planted.living import LIVING
from sim.planted.ordering import ORDERING
from sim.planted.reading import READING
from sim.planted.replicating import REPLICATING
from sim.planted.telling import TELLING
from sim.planted.watching import WATCHING
from sim.planted.writing import WRITING

_GROUPS: Final = (
    READING, WRITING, COMPACTING, WATCHING, LEASING, CONVERGING, ORDERING, ENDURING, LIVING,
    ELECTING, REPLICATING, TELLING, AGAIN,
)  # fmt: skip

BUGS: Final[Mapping[str, Bug]] = {
    name: bug for group in _GROUPS for name, bug in group.bugs.items()
}


@contextmanager
def planted(name: str) -> Generator[None]:
    """Have a bug in place for a while; none for an empty name. Raises KeyError for no bug's."""
    if not name:
        yield
        return
    with BUGS[name].plant():
        yield
