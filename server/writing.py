"""Small files that tell something: replaced whole, or not at all.

Rule: a file is written beside, synced, renamed and its directory synced, so that whoever reads it
after a crash finds what stood there before or what was to stand there.
"""

from __future__ import annotations

import os
from typing import Final

_MODE: Final = 0o600


def replace_file(directory: str, name: str, text: str) -> None:
    """Write a file of a directory anew, for its owner alone. Raises OSError."""
    path = os.path.join(directory, name)
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{path}.new", path)
    sync_directory(directory)


def remove_file(directory: str, name: str) -> None:
    """Delete a file, if it is there, durably. Raises OSError."""
    path = os.path.join(directory, name)
    if os.path.lexists(path):
        os.unlink(path)
        sync_directory(directory)


def sync_directory(directory: str) -> None:
    """Make names of a directory durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
