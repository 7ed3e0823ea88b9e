"""Opening a data directory: the first start and the start after a crash are the same path.

    LOCK             taken, or another member is running here
    format           the version of this layout; a newer one is refused
    journal/         opened: cut where torn, refused where damaged
    state-<n>.db     the generation the journal names; created if there is nothing at all
    rows             loaded, packs after the applied index replayed
    reserve          space to give up when the disk is full

INV-LOG-COVERS-STATE: the journal holds every pack after the store's applied index.
"""

import gc
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from attrs import evolve, frozen

from core.ids import Index, Term
from core.inputs import Committed
from core.loading import BrokenStateError, Facts, load, loading
from core.members import Member, configuration
from core.node import Node, NodeConfig
from core.piecemeal import Piecemeal
from core.state import NOT_COMPACTED, State
from net import replicator as raft
from net.disk import Disk, DiskFull, Lock
from net.driver import DEFAULT_PACE, Driver
from net.flush import Pace
from net.founding import found
from net.journal import SEGMENT_BYTES, Journal, Recovered, Reserve, SnapshotMark
from net.journal.reserve import RESERVE_BYTES
from net.local import LocalEngine
from net.metrics import Metrics
from net.packs import decode_entry
from net.store.batch import Batch, Identity
from net.store.errors import StoreError
from net.store.meta import JOURNAL_BEGINS, JOURNAL_NOTE, STATE_NOTE
from net.store.store import Store
from net.telemetry import Logger
from server.identity import cluster_id

Engine = Callable[[int, raft.LogBounds, Journal], raft.Replicator]
"""Makes a member's engine out of its id and what its journal holds."""

FORMAT = 1
FORMAT_TEXT = f"trine data directory, format {FORMAT}\n"


class RefusedToStartError(Exception):
    """The data directory cannot be served; the text says why and what to do."""


@frozen
class Directory:
    """Where a member's files are, and on what."""

    disk: Disk
    data: str
    journal: str
    vfs: str | None = None
    segment_bytes: int = SEGMENT_BYTES
    reserve_bytes: int = RESERVE_BYTES
    pace: Pace = DEFAULT_PACE


@frozen
class Opened:
    """A recovered member, ready for its first turn."""

    driver: Driver
    identity: Identity
    lock: Lock
    reserve: Reserve

    def close(self) -> None:
        """Write what is gathered, mark the journal's clean end, release the lock."""
        driver = self.driver
        driver.flush_now(driver.node.now_ms)
        driver.store.close()
        driver.journal.seal()
        driver.journal.close()
        self.lock.release()


def open_member(
    where: Directory,
    config: NodeConfig,
    metrics: Metrics,
    log: Logger,
    *,
    identity: Identity,
    founders: Sequence[Member] = (),
    engine: Engine | None = None,
) -> Opened:
    """Open, verify, replay. Raises RefusedToStartError, and what disk, journal and store raise.

    `identity` is what a first start writes down; later ones read it. So are `founders`, who begin
    the cluster's log; none of them for a member that joins. Without an `engine`, or with the
    local one, the member is alone: what its journal holds is committed. The collector stays
    away meanwhile: what is loaded holds no cycles, and looking at all of it once takes 0.6 s at 1M
    keys. At the end everything is put out of its sight. Where the disk is full the reserve is
    given up and all is tried once more.
    """

    def open_once() -> Opened:
        return _open_member(
            where, config, metrics, log, identity=identity, founders=founders, engine=engine
        )

    gc.disable()
    try:
        try:
            return open_once()
        except DiskFull:
            freed = _reserve(where).release()
            if not freed:
                raise
            log.error("the disk is full: gave up the reserve to start", freed_bytes=freed)
        opened = open_once()
        opened.driver.disk_full = True
        return opened
    finally:
        gc.freeze()
        gc.enable()


def _open_member(
    where: Directory,
    config: NodeConfig,
    metrics: Metrics,
    log: Logger,
    *,
    identity: Identity,
    founders: Sequence[Member],
    engine: Engine | None,
) -> Opened:
    disk = where.disk
    with ExitStack() as undo:
        disk.make_directory(where.data)
        lock = disk.lock(f"{where.data}/LOCK")
        undo.callback(lock.release)
        _check_format(where)
        _sweep_snapshots(disk, where.data)
        disk.make_directory(where.journal)
        journal, found = Journal.open(disk, where.journal, segment_bytes=where.segment_bytes)
        undo.callback(journal.abandon)
        if found.torn_bytes:
            log.warn("cut a torn tail that was never acknowledged", torn_bytes=found.torn_bytes)
        store = _open_store(where, found, identity)
        undo.callback(store.close)
        _join(journal, store)
        _found(journal, store, founders)
        driver = _driver(where, config, metrics, journal, found, store, engine)
        reserve = _reserve(where)
        driver.on_disk_full = lambda: _tell_full(reserve, log)
        replayed = _replay(driver, journal) if isinstance(driver.engine, LocalEngine) else 0
        undo.pop_all()
    state = driver.node.state
    log.info(
        "recovered",
        revision=state.revision,
        compact_revision=state.compact_revision,
        keys=state.index.key_count,
        applied_index=state.applied_index,
        replayed_packs=replayed,
    )
    identity = Identity(store.meta.cluster_id, store.meta.member_id)
    return Opened(driver, identity, lock, reserve)


def _driver(
    where: Directory,
    config: NodeConfig,
    metrics: Metrics,
    journal: Journal,
    found: Recovered,
    store: Store,
    make_engine: Engine | None,
) -> Driver:
    """Load the store, and put the parts together."""
    state, dead = _load(store)
    if store.meta.notes.get(JOURNAL_NOTE) == JOURNAL_BEGINS:
        _forget_restore(store)
    if store.meta.member_id in state.removed:
        raise RefusedToStartError(
            "the member has been permanently removed from the cluster; "
            f"data-dir used by this member must be removed: {where.data}"
        )
    node = Node(state, _with_member(config, store.meta.member_id))
    bounds = _bounds(journal, found, state)
    member_id = store.meta.member_id
    engine: raft.Replicator = LocalEngine(member_id, bounds)
    if make_engine is not None:
        engine = make_engine(member_id, bounds, journal)
    driver = Driver(node, engine, journal, store, metrics, where.pace)
    if dead:
        driver.buffer.erase(dead, scrubbed=state.compact_revision, done=True, now_ms=0)
    return driver


def _reserve(where: Directory) -> Reserve:
    return Reserve(where.disk, f"{where.data}/reserve", size_bytes=where.reserve_bytes)


def _tell_full(reserve: Reserve, log: Logger) -> None:
    log.error(
        "the disk is full: writes are refused until there is space; gave up the reserve so "
        "that deletes, compaction and defragment still work",
        freed_bytes=reserve.release(),
    )


def _check_format(where: Directory) -> None:
    disk = where.disk
    path = f"{where.data}/format"
    if disk.exists(path):
        file = disk.open(path, writable=False)
        text = file.read(0, 256).decode("utf-8", "replace")
        file.close()
        if text == FORMAT_TEXT:
            return
        if text:
            raise RefusedToStartError(
                f"{path} says {text.strip()!r}; this build reads format {FORMAT}: "
                "use the build that wrote it, or restore a snapshot into a new directory"
            )
    file = disk.open(path) if disk.exists(path) else disk.create(path)
    file.write(0, FORMAT_TEXT.encode())
    file.datasync()
    file.close()
    disk.sync_directory(where.data)


def _sweep_snapshots(disk: Disk, data: str) -> None:
    """Delete the copies that were made for clients who did not get them in an earlier life."""
    for name in disk.list_directory(data):
        if name.startswith("snapshot-") and ".tmp" in name:
            disk.unlink(f"{data}/{name}")


def _open_store(where: Directory, found: Recovered, identity: Identity) -> Store:
    generation = found.store_switch.generation if found.store_switch is not None else 1
    untouched = found.store_switch is None and found.last_index == 0
    if untouched and not Store.is_created(where.disk, where.data, vfs=where.vfs):
        return Store.create(where.disk, where.data, identity=identity, vfs=where.vfs)
    return Store.open(where.disk, where.data, generation=generation, vfs=where.vfs)


def _join(journal: Journal, store: Store) -> None:
    """Make sure that the journal goes on where the store ends, or refuse."""
    index, term = store.applied
    is_restored = store.meta.notes.get(JOURNAL_NOTE) == JOURNAL_BEGINS
    if is_restored and journal.last_index < index and journal.first_index > journal.last_index:
        mark = SnapshotMark(Index(index), Term(term), b"")
        journal.append([mark.frame()])
        journal.sync()
    elif journal.last_index < index or journal.first_index > index + 1:
        raise RefusedToStartError(
            f"INV-LOG-COVERS-STATE: the store is at index {index}, the journal holds "
            f"{journal.first_index} to {journal.last_index}: files of two directories were "
            "mixed, or the journal was deleted; restore a snapshot into a new directory"
        )


def _found(journal: Journal, store: Store, founders: Sequence[Member]) -> None:
    """Begin the log of a new cluster with its founders, where no member is known.

    The store says who this member is: founders without it are of another start (a crash came
    between, and k8s-dqlite's way draws ids anew), and those of another cluster than a snapshot
    was restored for are what flags happen to list: then it is alone.
    """
    if not founders or store.members():
        return
    index, own = store.applied[0], store.meta.member_id
    ids = [founder.id for founder in founders]
    is_restored = store.meta.notes.get(JOURNAL_NOTE) == JOURNAL_BEGINS
    is_theirs = own in ids and (not is_restored or cluster_id(ids) == store.meta.cluster_id)
    begins = is_theirs and (is_restored or (index == 0 and journal.first_index == 1))
    found(journal, founders, own=own, after=index, begins=begins)


def _forget_restore(store: Store) -> None:
    """From now on an empty journal is a lost one."""
    meta = store.meta
    store.write(
        Batch(
            index=meta.index,
            term=meta.term,
            revision=meta.revision,
            compact_revision=meta.compact_revision,
            notes={JOURNAL_NOTE: ""},
        )
    )


def facts_of(store: Store) -> Facts:
    """Return what the store holds beside its rows."""
    meta = store.meta
    return Facts(
        meta.index,
        meta.term,
        meta.revision,
        meta.compact_revision if meta.index else NOT_COMPACTED,
        meta.last_number,
        int.from_bytes(meta.chain_hash, "big"),
        store.leases(),
        store.alarms(),
        store.members(),
    )


def load_received(store: Store) -> Piecemeal[tuple[State, list[int]]]:
    """Read a store that another member sent. Raises StoreError if it contradicts itself."""
    try:
        state, dead = yield from loading(facts_of(store), store.rows())
        _require_written(store, state)
    except BrokenStateError as error:
        raise StoreError(f"{store.path} contradicts itself: {error}") from error
    return state, dead


def _load(store: Store) -> tuple[State, list[int]]:
    gc.disable()
    try:
        return _read(store)
    except BrokenStateError as error:
        raise RefusedToStartError(
            f"{store.path} contradicts itself: {error}; see trine check, restore a snapshot"
        ) from error


def _read(store: Store) -> tuple[State, list[int]]:
    state, dead = load(facts_of(store), store.rows())
    _require_written(store, state)
    return state, dead


def _require_written(store: Store, state: State) -> None:
    wanted = store.meta.notes.get(STATE_NOTE)
    if wanted and wanted != f"{state.state_hash():016x}":
        raise BrokenStateError("its rows are not those that were written")


def _with_member(config: NodeConfig, member_id: int) -> NodeConfig:
    return evolve(config, member_id=member_id)


def _bounds(journal: Journal, found: Recovered, state: State) -> raft.LogBounds:
    hard = found.hard_state
    last_term = journal.term_at(journal.last_index) if journal.last_index else 0
    term = max(last_term, state.applied_term)
    vote = commit = 0
    if hard is not None:
        commit = hard.commit
        if hard.term >= term:
            term, vote = hard.term, hard.vote
    return raft.LogBounds(
        raft.HardState(term, vote, commit),
        journal.last_index,
        last_term,
        state.applied_index,
        configuration(state.members),
    )


def _replay(driver: Driver, journal: Journal) -> int:
    """Apply the packs after the store's index: a quorum of one has committed all it holds."""
    first, last = driver.node.state.applied_index + 1, journal.last_index
    count = 0
    for index, term, payload in journal.read(Index(first), last):
        commands = decode_entry(raft.Entry(index, term, payload))
        driver.replay(Committed(index, term, commands))
        count += 1
    return count
