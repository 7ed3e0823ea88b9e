"""Every verb of etcdctl prints against Trine what it prints against etcd."""

from pathlib import Path

import pytest

from tests.etcdctl.conftest import Transcripts
from tests.etcdctl.table import table
from tests.etcdctl.verbs import VERBS

NAMES = [each.name for each in VERBS]
PAGE = Path(__file__).parents[2] / "docs" / "COMPATIBILITY.md"


@pytest.mark.parametrize("name", NAMES)
def test_etcdctl_prints_the_same_on_trine_and_on_etcd(name: str, transcripts: Transcripts) -> None:
    if name not in transcripts:
        pytest.skip("not tried: this etcdctl does not have it, or it is slow")
    of_etcd, of_trine = transcripts[name]
    same = [step for step in of_etcd if not step.differs]
    assert [step for step in of_trine if not step.differs] == same


@pytest.mark.parametrize("name", NAMES)
def test_a_difference_that_is_told_is_there(name: str, transcripts: Transcripts) -> None:
    if name not in transcripts:
        pytest.skip("not tried: this etcdctl does not have it, or it is slow")
    pairs = zip(*transcripts[name], strict=True)
    told = [(theirs, ours) for theirs, ours in pairs if theirs.differs]
    assert [theirs.title for theirs, ours in told if theirs == ours] == []


def test_the_page_tells_each_verb_and_each_difference() -> None:
    assert table(VERBS) in PAGE.read_text()


def test_a_difference_has_a_reason_and_a_reason_a_difference(transcripts: Transcripts) -> None:
    marked = {name for name, (steps, _) in transcripts.items() if any(s.differs for s in steps)}
    assert marked == {each.name for each in VERBS if each.differs and each.name in transcripts}
