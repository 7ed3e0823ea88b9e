"""What is checked about the interpreter before anything of Trine runs.

Rule: this file imports nothing but the standard library, so that it can speak before another
distribution's `core` or `net` is imported in place of ours. Both refusals are for good: without
asserts the invariants are not checked, and with another's package the behaviour is nobody's.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from typing import Final

PACKAGES: Final = ("core", "net", "server", "sim", "jepsen")


def refusal() -> str | None:
    """Return the sentence that says why this interpreter cannot run Trine, None if it can."""
    if sys.flags.optimize:
        return (
            "trine does not run under python -O (or PYTHONOPTIMIZE): its invariants are asserts. "
            "Start it without."
        )
    return shadowed({package: _directory(package) for package in PACKAGES})


def shadowed(directories: Mapping[str, str | None]) -> str | None:
    """Return a sentence if the packages do not lie side by side, with `server` as the measure."""
    own = directories["server"]
    for package, directory in directories.items():
        if directory is None:
            return (
                f"trine's package {package} cannot be found beside {own}: the installation is "
                "incomplete; install trine again."
            )
        if directory != own:
            return (
                f"trine's package {package} is hidden by one of the same name in {directory}: "
                "install trine in an environment of its own."
            )
    return None


def _directory(package: str) -> str | None:
    """Return the directory a package lies in, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return os.path.dirname(os.path.dirname(os.path.realpath(spec.origin)))
