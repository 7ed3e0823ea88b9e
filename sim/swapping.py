"""One name of a module or class put in another's place, and back again.

Rule of this file: what was there comes back, however the block ends.
"""

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def swapped(owner: object, name: str, value: object) -> Generator[None]:
    """Let a module's or class's name mean something else for a while."""
    assert name in vars(owner), f"{owner!r} has no {name} of its own"
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
