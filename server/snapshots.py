"""`trine snapshot`: save one from a member, look into one, begin a cluster with one.

Rule: a file under the name that was asked for is whole. `save` writes beside it, checks the SHA-256
the member sent, syncs, and renames; a save that fails leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Final, NoReturn, TypeVar

import click

from net.etcd.pb import rpc_pb2
from net.store.batch import Identity
from net.store.errors import StoreError
from net.store.snapshot import BUMP_REVISION, Status
from net.store.snapshot import restore as restore_store
from net.store.snapshot import status as look
from server import identity
from server.client import CallError, access_of, access_options
from server.client import snapshot as receive
from server.memory import size_text
from server.output import Advance, json_text, progress, table, tell
from server.urls import UrlError, advertised

TRAILER_BYTES: Final = 32

Command = TypeVar("Command", bound=Callable[..., object])


def anew_options(command: Command) -> Command:
    """Add the options of whoever begins a cluster anew out of an older state."""
    compacted = click.option(
        "--mark-compacted/--no-mark-compacted",
        default=True,
        show_default=True,
        help="Mark all history as compacted, so that every watch starts anew.",
    )
    bump = click.option(
        "--bump-revision",
        type=click.IntRange(min=0),
        default=BUMP_REVISION,
        show_default=True,
        help="How far to raise the revision, so that no client has seen a higher one.",
    )
    return bump(compacted(command))


@click.group()
def snapshot() -> None:
    """Save, inspect and restore snapshots."""


@snapshot.command()
@click.argument("path", type=click.Path(dir_okay=False, writable=True))
@access_options
def save(
    path: str,
    endpoints: str,
    cacert: str | None,
    cert: str | None,
    key: str | None,
    command_timeout: float,
) -> None:
    """Save a snapshot of one member to PATH, while it serves."""
    access = access_of(
        endpoints=endpoints, cacert=cacert, cert=cert, key=key, command_timeout=command_timeout
    )
    if len(access.endpoints) != 1:
        raise click.UsageError("a snapshot is taken from one member: give one of --endpoints.")
    try:
        with progress() as advance:
            size = write_snapshot(path, receive(access, access.endpoints[0]), advance)
    except CallError as fault:
        _fail("save", str(fault))
    except SnapshotBroken as fault:
        _fail("save", f"{access.endpoints[0]}: {fault}")
    except OSError as fault:
        _fail("save", f"cannot write {path}: {fault.strerror}.")
    click.echo(f"Snapshot saved at {path} ({size_text(size)})")


class SnapshotBroken(Exception):
    """What a member sent is no whole snapshot; the text is a sentence."""


def write_snapshot(path: str, parts: Iterable[rpc_pb2.SnapshotResponse], advance: Advance) -> int:
    """Write the parts to `path`, all or nothing; return the size in bytes.

    Raises SnapshotBroken, OSError, and what `parts` raises; then nothing is left behind.
    """
    unfinished = f"{path}.part"
    try:
        with open(unfinished, "wb") as file:
            size = _receive(file.write, parts, advance)
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return size


def _receive(write: object, parts: Iterable[rpc_pb2.SnapshotResponse], advance: Advance) -> int:
    assert callable(write), "a file's write is a function"
    digest, tail, size = hashlib.sha256(), b"", 0
    for part in parts:
        write(part.blob)
        size += len(part.blob)
        # The last 32 bytes are the digest of all before them, so they are held back from it.
        data = tail + part.blob
        digest.update(data[:-TRAILER_BYTES])
        tail = data[-TRAILER_BYTES:]
        advance("saving", size, size + part.remaining_bytes)
    if size <= TRAILER_BYTES:
        raise SnapshotBroken("it sent no snapshot.")
    if tail != digest.digest():
        raise SnapshotBroken("the SHA-256 at the end is not that of what it sent; try again.")
    return size


@snapshot.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "-w", "--write-out", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def status(path: str, write_out: str) -> None:
    """Check the snapshot PATH and show what is in it."""
    try:
        found = look(path)
    except StoreError as fault:
        _fail("status", str(fault))
    click.echo(_status_text(found, write_out))


def _status_text(found: Status, write_out: str) -> str:
    if write_out == "json":
        # The first four are etcdutl's.
        return json_text(
            {
                "hash": found.hash,
                "revision": found.revision,
                "totalKey": found.total_keys,
                "totalSize": found.size_bytes,
                "schemaVersion": found.schema_version,
                "appliedIndex": found.index,
                "term": found.term,
                "sha256": found.sha256.hex(),
            }
        )
    columns = ("HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "APPLIED INDEX", "TERM")
    row = (
        f"{found.hash:08x}",
        str(found.revision),
        str(found.total_keys),
        size_text(found.size_bytes),
        str(found.index),
        str(found.term),
    )
    return table(columns, [row])


@snapshot.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.option("--data-dir", default=None, help="Directory to write, which must not have data yet. "
              "[default: ${name}.trine]")  # fmt: skip
@click.option("--name", default="default", show_default=True, help="Name of the member.")
@click.option(
    "--initial-cluster",
    default=None,
    help="Members of the new cluster, name=URL pairs, comma separated. "
    "[default: ${name}=${initial-advertise-peer-urls}]",
)
@click.option(
    "--initial-advertise-peer-urls",
    default="http://localhost:2380",
    show_default=True,
    help="URLs that other members will use.",
)
@click.option(
    "--initial-cluster-token",
    default="etcd-cluster",
    show_default=True,
    help="Text that goes into the new cluster's id.",
)
@anew_options
def restore(
    path: str,
    data_dir: str | None,
    name: str,
    initial_cluster: str | None,
    initial_advertise_peer_urls: str,
    initial_cluster_token: str,
    bump_revision: int,
    mark_compacted: bool,
) -> None:
    """Write a data directory of a new cluster from the snapshot PATH.

    For several members, do so on each of them, with the same --initial-cluster and its own --name.
    Start it with the same --name, --initial-cluster, --initial-advertise-peer-urls and
    --initial-cluster-token.
    """
    founders = _founders(name, initial_cluster, initial_advertise_peer_urls)
    directory = data_dir or f"{name}.trine"
    ids = {each: identity.member_id(urls, initial_cluster_token) for each, urls in founders.items()}
    try:
        facts = restore_store(
            path,
            directory,
            identity=Identity(identity.cluster_id(list(ids.values())), ids[name]),
            bump_revision=bump_revision,
            mark_compacted=mark_compacted,
        )
    except StoreError as fault:
        _fail("restore", str(fault))
    except OSError as fault:
        _fail("restore", f"cannot write {directory}: {fault.strerror}.")
    click.echo(f"Restored {path} to {directory}, revision {facts.revision}")


def _founders(name: str, initial_cluster: str | None, advertise: str) -> dict[str, list[str]]:
    """Return the peer URLs of every member of the new cluster, by name."""
    try:
        own = [advertised(url) for url in advertise.split(",") if url.strip()]
        if initial_cluster is None:
            return {name: own}
        founders: dict[str, list[str]] = {}
        for pair in initial_cluster.split(","):
            member, separator, url = pair.strip().partition("=")
            if not separator:
                raise click.UsageError(f'--initial-cluster: "{pair}" is no pair; write name=URL.')
            founders.setdefault(member, []).append(advertised(url))
    except UrlError as fault:
        raise click.UsageError(f"{fault}.") from fault
    if name not in founders:
        raise click.UsageError(
            f'--initial-cluster: couldn\'t find local name "{name}" in the initial cluster '
            f"configuration; add {name}=URL."
        )
    return founders


def _fail(command: str, sentence: str) -> NoReturn:
    tell(f"snapshot {command}", sentence)
    sys.exit(1)
