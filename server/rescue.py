"""`trine recover`: a new cluster of one member, out of what one member of a lost cluster holds.

Rule: it tells first what would happen and what is lost, and does nothing without `--yes`. It
refuses while a member runs on the directory. What was there is kept beside.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from secrets import randbits
from typing import NoReturn

import click

from core.members import Member, MemberRole
from net.disk import DiskLocked, RealDisk
from net.journal import JournalDamaged, JournalUnreadable
from net.store.errors import StoreError
from server.memory import size_text
from server.output import tell
from server.rebuilding import (
    BACKUP,
    LOCK,
    Holding,
    Places,
    RebuildError,
    finish,
    holding,
    is_interrupted,
    rebuild,
)
from server.recover import RefusedToStartError
from server.snapshots import anew_options
from server.urls import UrlError, advertised


@click.command()
@click.argument("data_dir", type=click.Path(exists=True, file_okay=False), required=False)
@click.option(
    "--data-dir",
    "--storage-dir",
    "named",
    type=click.Path(exists=True, file_okay=False),
    help="The directory, as a flag.",
)
@click.option(
    "--wal-dir",
    type=click.Path(exists=True, file_okay=False),
    help="Directory of the journal, if the member runs with --wal-dir.",
)
@click.option("--peer-urls", help="Where others will reach the member. [default: as it was]")
@anew_options
@click.option("--yes", is_flag=True, help="Do it. Without this, only tell what would be done.")
def recover(
    data_dir: str | None,
    named: str | None,
    wal_dir: str | None,
    peer_urls: str | None,
    *,
    bump_revision: int,
    mark_compacted: bool,
    yes: bool,
) -> None:
    """Begin a new cluster of one member out of DATA_DIR, after the quorum is lost for good.

    Stop every member first, and compare the survivors: the one with the highest term, then the
    highest index, has the most. The others are wiped and join anew.
    """
    directory = data_dir or named
    if directory is None:
        raise click.UsageError("name the data directory.")
    places = Places(directory, wal_dir or os.path.join(directory, "journal"))
    try:
        lock = RealDisk().lock(os.path.join(directory, LOCK))
    except DiskLocked as fault:
        _fail(f"a member runs on {directory} ({fault.strerror}): stop it first.", 2)
    try:
        _recover(places, peer_urls, bump_revision=bump_revision, mark_compacted=mark_compacted,
                 is_meant=yes)  # fmt: skip
    except (RebuildError, StoreError, RefusedToStartError, JournalDamaged,
            JournalUnreadable) as fault:  # fmt: skip
        _fail(f"{fault}.")
    except OSError as fault:
        _fail(f"{fault.filename or directory}: {fault.strerror}; nothing is lost: try again.")
    finally:
        lock.release()


def _recover(
    places: Places, peer_urls: str | None, *, bump_revision: int, mark_compacted: bool,
    is_meant: bool,
) -> None:  # fmt: skip
    if is_interrupted(places.data):
        if not is_meant:
            _fail("a recovery of this directory was interrupted: give --yes to finish it.")
        click.echo(f"Finished; what was there is in {finish(places)}")
        return
    held = holding(places)
    own = _member(held, peer_urls)
    for line in told(places, held, own, bump_revision):
        click.echo(line)
    if not is_meant:
        click.echo(f"\nNothing was changed. To do it: trine recover {places.data} --yes")
        return
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    facts = rebuild(
        places,
        own,
        cluster_id=randbits(64),
        bump_revision=bump_revision,
        mark_compacted=mark_compacted,
        stamp=stamp,
    )
    click.echo(
        f"\nDone: a cluster of one member at revision {facts.revision}. What was there is in "
        f"{os.path.join(places.data, BACKUP + stamp)}: delete it once you trust the new one.\n"
        "Start the member as before, then have wiped members join it."
    )


def told(places: Places, held: Holding, own: Member, bump_revision: int) -> Iterator[str]:
    """Yield what would be done, and what would be lost, as lines."""
    yield f"{places.data}: member {held.member_id:x} of cluster {held.cluster_id:x}"
    known = [
        f"{each.id:x} {each.name or '(never started)'} at {','.join(each.peer_urls)}"
        for each in held.members
    ] or ["(none: the table is in its journal)"]
    yield f"  members it knows   {known[0]}"
    for each in known[1:]:
        yield f"                     {each}"
    yield f"  store              index {held.applied_index}, revision {held.revision}"
    yield f"  journal            up to term {held.last_term}, index {held.last_index}"
    yield ""
    yield "A new cluster, with an id of its own and this one member, takes its place:"
    yield f"  member             {own.id:x} {own.name} at {','.join(own.peer_urls)}"
    yield f"  data               all of the journal is applied, up to index {held.last_index}"
    if bump_revision:
        yield f"  revision           raised by {bump_revision}: clients list and watch anew"
    yield f"  needs for a while  {size_text(3 * held.size_bytes)} in {places.data}"
    yield ""
    yield "What is lost for good:"
    yield "  whatever other members committed and this one never received; it cannot be told from"
    yield "  here. Run this, without --yes, on every survivor: the highest term, then the highest"
    yield "  index, has the most."
    yield "  every other member: none can come back with its data. If a majority still lives, do"
    yield "  not do this; remove the dead members instead."


def _member(held: Holding, peer_urls: str | None) -> Member:
    """Return who the member of the new cluster is."""
    own = held.own or Member(held.member_id, "", ())
    urls = own.peer_urls
    if peer_urls is not None:
        try:
            urls = tuple(advertised(url) for url in peer_urls.split(",") if url.strip())
        except UrlError as fault:
            raise click.UsageError(f"--peer-urls: {fault}.") from fault
    if not urls:
        raise RebuildError(
            "this member's own URLs are not in its store: give --peer-urls with what its "
            "--initial-advertise-peer-urls says"
        )
    # Its name and client URLs it tells by itself once it runs.
    return Member(own.id, own.name, urls, (), MemberRole.VOTER, own.failure_domain)


def _fail(sentence: str, code: int = 1) -> NoReturn:
    tell("recover", sentence)
    sys.exit(code)
