"""`trine check`: is a data directory, a store or a snapshot whole?

Rule: it reads and never writes, and tells everything it finds rather than the first. A directory
whose member runs is refused: what the member is writing would look like damage.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import click

from core.members import BrokenMemberError, from_rows
from net import journal
from net.disk import RealDisk
from net.store import check as store_check
from net.store import snapshot
from net.store.errors import StoreError
from server.output import Advance, json_text, progress, tell

JOURNAL_DIRECTORY: Final = "journal"
LOCK_FILE: Final = "LOCK"


@attrs.frozen
class Found:
    """One thing found: in which part, and whether it is damage or only told."""

    part: str
    what: str
    is_damage: bool


@click.command()
@click.argument("path", type=click.Path(exists=True))
@click.option(
    "--wal-dir",
    type=click.Path(exists=True, file_okay=False),
    default=None,
    help="Directory of the journal, if the member runs with --wal-dir. [default: PATH/journal]",
)
@click.option(
    "-w", "--write-out", type=click.Choice(["simple", "json"]), default="simple", show_default=True
)
def check(path: str, wal_dir: str | None, write_out: str) -> None:
    """Check PATH, a data directory, a store or a snapshot, for damage.

    The member must be stopped. Exit code 1 if there is damage, 2 if a member runs on PATH.
    """
    if os.path.isdir(path) and _is_in_use(path):
        tell("check", f"a member runs on {path}: stop it, or save a snapshot and check that.")
        sys.exit(2)
    with progress() as advance:
        found = list(examine(path, wal_dir, advance))
    damage = [one for one in found if one.is_damage]
    if write_out == "json":
        rows = [{"part": one.part, "what": one.what, "isDamage": one.is_damage} for one in found]
        click.echo(json_text({"path": path, "isWhole": not damage, "found": rows}))
    else:
        for one in found:
            click.echo(f"{'DAMAGE' if one.is_damage else 'ok':<7} {one.part}: {one.what}")
        click.echo(f"{path} is {'damaged' if damage else 'whole'}.")
    sys.exit(1 if damage else 0)


def member_faults(rows: Sequence[tuple[int, bytes]]) -> Iterator[str]:
    """Say what is wrong with a store's members: each can be read, and one of them votes."""
    try:
        members, _ = from_rows(rows)
    except BrokenMemberError as error:
        yield str(error)
        return
    if members and not any(member.votes for member in members.values()):
        yield f"none of {len(members)} members votes"


def _is_in_use(directory: str) -> bool:
    """Say whether a member holds the directory's lock; asking leaves no trace."""
    try:
        descriptor = os.open(os.path.join(directory, LOCK_FILE), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def examine(path: str, wal_dir: str | None, advance: Advance) -> Iterator[Found]:
    """Yield what is found in a data directory or in one file."""
    if os.path.isdir(path):
        yield from _store(path, advance)
        yield from _journal(wal_dir or os.path.join(path, JOURNAL_DIRECTORY))
        return
    if path.endswith(".db") and os.path.getsize(path) % 512 == 0:
        yield from _store(path, advance)
        return
    try:
        digest = snapshot.verify(path)
    except StoreError as fault:
        yield Found("snapshot", str(fault), is_damage=True)
        return
    yield Found("snapshot", f"its SHA-256 is right: {digest.hex()}", is_damage=False)
    yield from _store(path, advance)


def _store(path: str, advance: Advance) -> Iterator[Found]:
    findings = store_check.check(path, progress=advance, members=member_faults)
    for finding in findings:
        yield Found(f"store {finding.check}", finding.what, is_damage=True)
    if not findings:
        yield Found("store", "pages, structure and history follow each other", is_damage=False)


def _journal(directory: str) -> Iterator[Found]:
    if not os.path.isdir(directory):
        what = f"{directory} is missing: right after a restore; else the newest changes are lost"
        yield Found("journal", what, is_damage=False)
        return
    for finding in journal.inspect(RealDisk(), directory):
        what = f"{os.path.basename(finding.path)} at {finding.offset}: {finding.text}"
        yield Found("journal", what, is_damage=finding.is_damage)
