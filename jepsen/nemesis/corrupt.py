"""Damage to a member's files while it is down: a flipped bit, a cut file.

The rule of this file: one member at a time, and only while all others are well and have all that it
had, so that a damaged journal costs no acknowledged write. It must refuse to start with a line that
says why, or come back and hold what the others hold. One that refused is replaced by an empty one.
"""

import json
from functools import partial
from pathlib import Path
from random import Random
from typing import ClassVar, cast

from jepsen.cluster import Cluster, Need
from jepsen.nemesis.blow import Arguments, Blow, FindingError, Held, IdleError, Options
from jepsen.nemesis.choice import chosen
from jepsen.nemesis.member import Member, replace
from jepsen.nemesis.operator import contents, is_settled, status, wait
from jepsen.nemesis.process import start_all

PARTS = {
    "journal": ("journal/*.seg", "member/wal/*.wal"),
    "store": ("state-*.db", "member/snap/db"),
    "store log": ("state-*.db-wal",),
    "snapshot": ("snapshot-*", "member/snap/*.snap"),
}
"""Files of Trine and of etcd."""
BACK_S = 30.0
PIECE = 1 << 20
WORDS = 300


class Corrupt:
    """Damage one file of one member, and see what the member makes of it."""

    name: ClassVar[str] = "corrupt"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROCESSES})
    is_alone: ClassVar[bool] = True

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """Which file, and how."""
        part = chance.choices(list(PARTS), (4, 3, 2, 1))[0]
        return chance.choice(("flip", "cut")), {"part": part, "who": "one"}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Kill and damage; start it at the end, and judge."""
        (number,) = chosen(blow.word("who"), cluster, blow.chance)
        cluster.kill(number)
        path = _file(cluster.data_directory(number), blow.word("part"), blow.chance)
        if path is None:
            cluster.start(number)
            raise IdleError(f"it has no {blow.word('part')}")
        damage = flip if blow.do == "flip" else cut
        where = damage(path, blow.chance)
        what = f"{blow.do} {path.name} at {where} of {path.stat().st_size}"
        return Held((number,), what, partial(_judge, cluster, number, what))

    def heal(self, cluster: Cluster) -> None:
        """Start all; who was removed comes back."""
        start_all(cluster)
        Member().heal(cluster)


def flip(path: Path, chance: Random) -> int:
    """Flip one bit in what is used of a file; the byte's offset."""
    offset = chance.randrange(max(1, used(path)))
    with path.open("r+b") as file:
        file.seek(offset)
        old = file.read(1)
        file.seek(offset)
        file.write(bytes([(old[0] if old else 0) ^ 1 << chance.randrange(8)]))
    return offset


def cut(path: Path, chance: Random) -> int:
    """Cut a file somewhere in the second half of what is used of it; its new size."""
    end = used(path)
    size_bytes = chance.randint(end // 2, max(0, end - 1))
    with path.open("r+b") as file:
        file.truncate(size_bytes)
    return size_bytes


def used(path: Path) -> int:
    """Where the last byte that is not 0 ends: journals have room made ready behind it."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end:
            begin = max(0, end - PIECE)
            file.seek(begin)
            piece = file.read(end - begin).rstrip(b"\0")
            if piece:
                return begin + len(piece)
            end = begin
    return 0


def _file(directory: Path, part: str, chance: Random) -> Path | None:
    found = [path for pattern in PARTS[part] for path in sorted(directory.glob(pattern))]
    full = [path for path in found if path.is_file() and used(path)]
    return chance.choice(full) if full else None


def _judge(cluster: Cluster, number: int, what: str) -> str:
    """Start it. What it did, if that is allowed; FindingError if not; all is well in the end."""
    before = len(cluster.log_text(number))
    cluster.start(number)
    if not cluster.wait_ready(number, BACK_S):
        code, said = cluster.exit_code(number), cluster.log_text(number)[before:].strip()
        cluster.kill(number)
        replace(cluster, number)
        if code is None:
            raise FindingError(f"{what}: {number} neither answers nor ends")
        if code <= 0 or not said:
            raise FindingError(f"{what}: {number} ended with {code} and said {said[-200:]!r}")
        return f"it refused, with exit code {code}: {_reason(said)}"
    if not wait(lambda: is_settled(cluster), BACK_S):
        raise FindingError(f"{what}: {number} answers, and does not catch up")
    differs = _differing(cluster, number)
    if differs:
        replace(cluster, number)
        raise FindingError(f"{what}: {number} serves what others do not hold: {differs}")
    return "it came back with what the others hold"


def _reason(said: str) -> str:
    """Why it says that it does not start: its panic, or its last line, of which what matters."""
    lines = said.splitlines()
    line = next((each for each in lines if each.startswith("panic: ")), lines[-1])
    try:
        entry = cast(object, json.loads(line))
    except ValueError:
        return line[-WORDS:]
    if isinstance(entry, dict):
        words = cast(dict[str, object], entry)
        line = ": ".join(str(words[name]) for name in ("msg", "reason", "error") if name in words)
    return line[:WORDS]


def _differing(cluster: Cluster, number: int) -> str:
    """The first few keys that differ between this member and another, at one revision."""
    other = (number + 1) % cluster.size
    mine, theirs = cluster.client_endpoint(number), cluster.client_endpoint(other)
    told = status(mine)
    if told is None:
        return "it went silent"
    revision = told.header.revision
    one, two = contents(mine, revision), contents(theirs, revision)
    keys = sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))
    return ", ".join(f"{key!r}: {one.get(key)} and {two.get(key)}" for key in keys[:3])
