"""The golden scripts are the specification of the core's behaviour: tests/scripts/*.txt.

`pytest tests/core/test_scripts.py --rewrite` writes what is observed now; read the diff.
"""

from pathlib import Path

import pytest

from tests.scripting import play

SCRIPTS = sorted((Path(__file__).parent.parent / "scripts").glob("**/*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_observes_what_it_says(path: Path, request: pytest.FixtureRequest) -> None:
    observed = play(path)
    if request.config.getoption("--rewrite"):
        path.write_text(observed)
    assert observed == path.read_text()
