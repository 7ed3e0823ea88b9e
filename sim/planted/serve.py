"""Run a real member with a planted bug: `python -m sim.planted.serve BUG -- serve --data-dir=...`.

Rule of this file: the bug is put in from outside, as in the simulator, and the command line is the
product's own. It is a control for harnesses that watch real processes: they must see the bug.

A bug that only a loss of power shows gets one: whenever the member is killed, what it had not
synced is gone at its next start (see `sim.planted.losing`). `no_bug` has that loss and no bug.
"""

import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NoReturn

from sim.planted import BUGS, planted
from sim.planted.losing import losing

NO_BUG: Final = "no_bug"
LOSES: Final = frozenset({"answers_before_sync", NO_BUG})
"""Bugs under which a killed member loses what it had not synced."""
_USAGE: Final = "usage: python -m sim.planted.serve BUG -- serve --data-dir=DIRECTORY ..."


def main(arguments: Sequence[str]) -> None:
    """Plant and serve until the process is ended. Exits with 2 for what cannot be meant."""
    match arguments:
        case [bug, "--", *words] if bug in BUGS or bug == NO_BUG:
            with planted_for_real(bug, words):
                serve(words)
        case [bug, "--", *_]:
            _refuse(f"no planted bug is called {bug}; there are: {NO_BUG} {' '.join(BUGS)}")
        case _:
            _refuse(_USAGE)


@contextmanager
def planted_for_real(bug: str, words: Sequence[str]) -> Generator[None]:
    """Have a bug in place, and the loss that shows it where it needs one."""
    with ExitStack() as stack:
        if bug in LOSES:
            stack.enter_context(losing(data_directory(words), _say))
        stack.enter_context(planted("" if bug == NO_BUG else bug))
        _say(f"serving with the planted bug {bug}")
        yield


def serve(words: Sequence[str]) -> None:
    """Run the product's command line."""
    from server.main import cli

    cli.main(args=list(words), prog_name="trine")


def data_directory(words: Sequence[str]) -> Path:
    """Return the data directory that a command line names; exits with 2 if it names none."""
    for place, word in enumerate(words):
        name, _, value = word.partition("=")
        if name.lstrip("-") == "data-dir":
            return Path(value or words[place + 1])
    _refuse("this bug needs --data-dir: what was not synced is noted beside it")


def _say(words: str) -> None:
    sys.stderr.write(f"planted: {words}\n")
    sys.stderr.flush()


def _refuse(why: str) -> NoReturn:
    _say(why)
    sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
