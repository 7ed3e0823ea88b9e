"""The ends of members' logs.

Rule of this file: text of files, cut by lines from the front.
"""

from pathlib import Path
from typing import Final

TAIL_BYTES: Final = 24_000
LINE_MAX: Final = 600


def tails(directory: Path) -> dict[str, str]:
    """Return the end of every log in a directory, by its name without its suffix."""
    if not directory.is_dir():
        return {}
    return {path.stem: tail(path) for path in sorted(directory.glob("*.log"))}


def tail(path: Path) -> str:
    """Return the last lines of a file, each of them cut where it is long."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL_BYTES))
        data = file.read()
    lines = data.decode("utf-8", "replace").splitlines()
    if size > TAIL_BYTES:
        lines = [f"… {size - TAIL_BYTES:,} bytes before", *lines[1:]]
    return "\n".join(line if len(line) <= LINE_MAX else f"{line[:LINE_MAX]}…" for line in lines)
