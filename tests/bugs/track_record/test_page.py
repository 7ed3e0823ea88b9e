"""docs/TRACK_RECORD.md, held to the scenarios and to the bugs that each was shown to see."""

import re
from pathlib import Path

from sim.planted import BUGS
from tests.bugs.track_record import test_crashes, test_installs, test_late_expiry, test_scripts
from tests.bugs.track_record.mutations import MUTATIONS
from tests.crash import planted
from tests.sources import CHECKOUT

FOLDER = Path(__file__).parent
PAGE = (CHECKOUT / "docs/TRACK_RECORD.md").read_text(encoding="utf-8")
ROWS = [row.split(" | ") for row in re.findall(r"^\| (.+) \|$", PAGE, re.MULTILINE)]
PLAYED = [row for row in ROWS if len(row) == 6 and row[0] != "issue"]
MODULES = (planted, test_crashes, test_installs, test_late_expiry)
KNOWN = {*BUGS, *MUTATIONS, *(name for module in MODULES for name in vars(module))}


def test_every_scenario_is_on_the_page() -> None:
    names = [path.name for path in FOLDER.glob("*.txt")]
    names += [path.name for path in FOLDER.glob("test_*.py")]
    names = [name for name in names if name not in ("test_page.py", "test_scripts.py")]
    assert not [name for name in names if f"tests/bugs/track_record/{name}`" not in PAGE]


def test_a_bug_it_was_seen_with_is_there() -> None:
    assert PLAYED
    seen = [name for row in PLAYED for name in re.findall(r"[a-z]+(?:_[a-z]+)+", row[5])]
    assert not [name for name in seen if name not in KNOWN]


def test_a_script_is_seen_with_the_bugs_that_it_was_shown_to_see() -> None:
    said: dict[str, set[str]] = {}
    for row in PLAYED:
        for script in re.findall(r"(\w+)\.txt`", row[3]):
            said.setdefault(script, set()).update(re.findall(r"[a-z]+(?:_[a-z]+)+", row[5]))
    short = {
        script: set(bugs) - said.get(script, set())
        for script, bugs in test_scripts.BUGS_OF.items()
        if set(bugs) - said.get(script, set())
    }
    assert not short


def test_what_is_said_to_be_broken_is_an_invariant() -> None:
    known = (CHECKOUT / "docs/INVARIANTS.md").read_text(encoding="utf-8")
    named = set(re.findall(r"INV-[A-Z]+(?:-[A-Z]+)*", PAGE))
    assert named
    assert not [name for name in named if f"| {name} |" not in known]
