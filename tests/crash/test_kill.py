"""kill -9 at any moment under load: every acknowledged write is there afterwards, at its revision.

`--slow` makes it 500 kills; `-rP` shows the sums.
"""

import sys
from pathlib import Path
from random import Random

import pytest

from jepsen.ports import free_ports
from tests.crash.killing import Load, Lost, Promises, life, verify
from tests.members import Member, NotReadyError, running, trine

KILLS_PER_DIRECTORY = 25
LIVES_MAX = 200


def killed(member: Member, seed: int, kills: int, *, checks: int = 0) -> Promises:
    """Kill a member so often, and look at everything once more in the end.

    A machine that is busy lets a life acknowledge little: there are more of them then, until so
    many writes were looked for.
    """
    promises = Promises()
    chance = Random(seed)
    lives = 0
    try:
        while lives < kills or promises.checked + len(promises.acknowledged) < checks:
            life(member, promises, seed * 1000 + lives * 10, chance.uniform(0.02, 0.3))
            lives += 1
            assert lives <= LIVES_MAX, "next to nothing is acknowledged"
        with running(member):
            verify(member.endpoint, promises)
    finally:
        member.kill()
    print(
        f"seed {seed}: {lives} kills, {promises.checked} acknowledged writes found, of unknown "
        f"ones {promises.unknown_kept} kept and {promises.unknown_lost} lost"
    )
    return promises


def test_kills_lose_nothing(tmp_path: Path) -> None:
    assert killed(trine(tmp_path / "data"), 1, 10, checks=500).checked >= 500


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_many_kills_lose_nothing(block: int, tmp_path: Path) -> None:
    killed(trine(tmp_path / "data"), 100 + block, KILLS_PER_DIRECTORY)


def planted(wrong: str, directory: Path) -> Member:
    """A member with something wrong in it."""
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    command = [sys.executable, "-m", "tests.crash.planted_member", wrong, "serve"]
    command += [f"--data-dir={directory}", f"--listen-client-urls={url}"]
    command += [f"--advertise-client-urls={url}"]
    return Member("planted", command, directory, url)


def test_an_answer_before_the_write_turns_it_red(tmp_path: Path) -> None:
    # Its store may be ahead of its journal, too: then it does not start.
    with pytest.raises((Lost, NotReadyError)):
        killed(planted("hasty", tmp_path / "data"), 2, KILLS_PER_DIRECTORY)


def test_a_failed_sync_ends_the_member_with_a_sentence_and_loses_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    member = planted("failing", directory)
    promises = Promises()
    member.start()
    load = Load(member.endpoint, promises, 3)
    load.start()
    assert member.wait_ended() == 1
    load.stop()
    # The journal's sync and the filling of the reserve may both be under way.
    lines = member.log_lines("an I/O error ends this member; nothing unwritten was acknowledged")
    assert lines
    assert all("the disk is gone" in str(line["error"]) for line in lines)
    assert promises.acknowledged
    with running(trine(directory)) as again:
        verify(again.endpoint, promises)
