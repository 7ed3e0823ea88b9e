"""Power loss at any disk operation: whole batches go off the end, and nothing else ever.

Real SQLite runs on the simulated disk, through many lives of one store: writes, deletions,
checkpoints, defragmentations, restarts. What the journal would hold (the generation that was
switched to, and the batches themselves) is kept by the test, which is what makes the store
derived state.
"""

import copy
from contextlib import closing, suppress
from random import Random
from typing import Literal

import apsw
import attrs
import pytest

from net.disk import DiskFull
from net.store import connection, snapshot
from net.store.batch import ChangeRow, Identity, Meta
from net.store.store import Store
from sim.disk import PowerLost, SimDisk
from sim.vfs import SimVfs
from tests.stores import IDENTITY, History, new_store, rows_of

Directories = Literal["strict", "ordered"]
Survival = Literal["none", "prefix", "subset", "all"]
DIRECTORY = "/data"


@attrs.define
class _State:
    """What the store must hold after a batch, and how history goes on from there."""

    rows: dict[int, ChangeRow]
    meta: Meta
    history: History


class _World:
    """A disk through its lives, one store on it, and what that store must hold."""

    def __init__(self, seed: int, directories: Directories) -> None:
        self.chance = Random(seed)
        self.disk = SimDisk(Random(seed + 1), directories=directories)
        self.disk.make_directory(DIRECTORY)
        self.name = f"power-{seed}-{directories}"
        self.vfs = SimVfs(self.name, self.disk, Random(seed + 2))
        self.states: dict[int, _State] = {}
        self.created = False
        self.generation = 1
        self.durable = 0
        self.store: Store | None = None
        self.lost = 0
        self.crashes = 0

    def start(self) -> Store:
        """Open what is there, or make it, and check that it is a state that was written."""
        if not self.created:
            self.store = new_store(DIRECTORY, self.disk, self.name)
            self.created = True
            self.states = {0: _State({}, self.store.meta, History())}
        else:
            self.store = Store.open(self.disk, DIRECTORY, generation=self.generation, vfs=self.name)
        self.check()
        return self.store

    def check(self) -> None:
        store = self.store
        assert store is not None
        index, _term = store.applied
        last = max(self.states)
        assert self.durable <= index <= last, (self.durable, index, last)
        state = self.states[index]
        assert {row[0]: row for row in rows_of(store)} == state.rows
        assert store.meta == state.meta
        self.lost += last - index
        # The journal would replay; here history simply goes on from what is left.
        self.states = {at: kept for at, kept in self.states.items() if at <= index}

    def live(self, steps: int) -> None:
        """Do random things to the store."""
        store = self.start()
        for _ in range(steps):
            match self.chance.choices(
                ("write", "checkpoint", "truncate", "sync", "defragment", "backup", "restart"),
                (30, 4, 2, 3, 1, 1, 1),
            )[0]:
                case "write":
                    self.write(store)
                case "checkpoint":
                    self.durable = store.checkpoint()
                case "truncate":
                    self.durable = store.checkpoint(truncate=True)
                case "sync":
                    self.durable = store.durable_applied()
                case "backup":
                    made = store.backup(f"{DIRECTORY}/snap.db")
                    assert made.index == store.meta.index
                case "defragment":
                    store = self.defragment(store)
                case _:
                    store.close()
                    store = self.start()

    def write(self, store: Store) -> None:
        state = self.states[store.meta.index]
        history = copy.deepcopy(state.history)
        rows: dict[int, ChangeRow] = dict(state.rows)
        transactions: list[list[ChangeRow]] = []
        for _ in range(self.chance.choice((1, 1, 3, 8))):
            keys = [b"/k/%d" % self.chance.randrange(20)]
            value = self.chance.randbytes(self.chance.choice((0, 20, 900, 5000)))
            transactions.append(history.put(*keys, value=value))
        dead = sorted(self.chance.sample(sorted(rows), min(len(rows), self.chance.choice((0, 2)))))
        batch = history.batch(*transactions, dead=dead)
        rows.update((row[0], row) for row in batch.changes)
        for number in dead:
            del rows[number]
        meta = attrs.evolve(
            state.meta,
            index=batch.index,
            term=batch.term,
            revision=batch.revision,
            last_number=batch.changes[-1][0],
        )
        # Noted before the call: a batch that was cut short may be there or not.
        self.states[batch.index] = _State(rows, meta, history)
        store.write(batch)

    def defragment(self, store: Store) -> Store:
        made = store.vacuum_into(self.generation + 1)
        assert made.index == store.meta.index
        # Here the journal's switch frame becomes durable: the copy must be by itself.
        self.generation = made.generation
        self.durable = made.index
        store.close()
        return self.start()

    def lose_power(self, survival: Survival) -> None:
        self.crashes += 1
        self.disk.power_off()
        if self.store is not None:
            with suppress(PowerLost, OSError, apsw.Error):
                self.store.close()
        self.vfs.unregister()
        if survival == "all" and self.store is not None:
            # A kill: what was committed is in the page cache.
            self.durable = self.store.meta.index
        self.disk = self.disk.restart(survival)
        self.vfs = SimVfs(self.name, self.disk, Random(self.crashes))
        self.store = None

    def end(self) -> None:
        store = self.start()
        assert self.disk.image(store.path)
        store.close()
        with closing(connection.writer(store.path, vfs=self.name)) as database:
            assert database.run("PRAGMA integrity_check") == [("ok",)]
        self.vfs.unregister()


@pytest.mark.parametrize("directories", ["strict", "ordered"])
@pytest.mark.parametrize("survival", ["none", "prefix", "subset", "all"])
def test_only_whole_batches_go_and_only_off_the_end(
    directories: Directories, survival: Survival
) -> None:
    lost = 0
    for seed in range(12):
        world = _World(seed, directories)
        for _ in range(5):
            world.disk.faults.power_loss_at = world.chance.choice((3, 30, 90, 250, 600))
            with suppress(PowerLost, OSError, apsw.Error):
                world.live(steps=60)
            world.disk.faults.power_loss_at = None
            world.lose_power(survival)
        world.end()
        lost += world.lost
    if survival == "none":
        assert lost > 0, "the harness never took anything: it proves nothing"


@pytest.mark.parametrize("directories", ["strict", "ordered"])
def test_a_store_that_was_created_is_there_whatever_happens(directories: Directories) -> None:
    """The strict rule of creation, with the power going right behind it."""
    for seed in range(20):
        world = _World(seed, directories)
        world.start()
        world.lose_power("none")
        assert world.start().applied == (0, 0)
        world.lose_power("subset")
        world.end()


@pytest.mark.parametrize("directories", ["strict", "ordered"])
def test_every_operation_of_a_creation_may_be_the_last(directories: Directories) -> None:
    finished = False
    at = 0
    while not finished:
        at += 1
        world = _World(at, directories)
        world.disk.faults.power_loss_at = world.disk.operations + at
        try:
            world.start()
            finished = True
        except (PowerLost, OSError, apsw.Error):
            assert world.disk.is_dead
        world.disk.faults.power_loss_at = None
        world.lose_power("subset")
        world.end()
    assert at > 20


@pytest.mark.parametrize("directories", ["strict", "ordered"])
def test_every_operation_of_a_defragmentation_may_be_the_last(directories: Directories) -> None:
    finished = False
    at = 0
    while not finished:
        at += 2
        world = _World(7, directories)
        store = world.start()
        for _ in range(5):
            world.write(store)
        world.durable = store.durable_applied()
        world.disk.faults.power_loss_at = world.disk.operations + at
        try:
            world.defragment(store)
            finished = True
        except (PowerLost, OSError, apsw.Error):
            assert world.disk.is_dead
        world.disk.faults.power_loss_at = None
        world.lose_power("subset")
        world.end()
        # The switched-from generation is gone, or the unfinished one is.
        assert [name for name in world.disk.list_directory(DIRECTORY) if name.endswith(".db")] == [
            f"state-{world.generation}.db"
        ]
    assert at > 20


@pytest.mark.parametrize("directories", ["strict", "ordered"])
def test_an_installed_snapshot_survives_the_power_going_behind_it(
    directories: Directories,
) -> None:
    world = _World(3, directories)
    store = world.start()
    for _ in range(5):
        world.write(store)
    store.backup(f"{DIRECTORY}/snap.db")
    made = snapshot.install(
        world.disk,
        f"{DIRECTORY}/snap.db",
        DIRECTORY,
        generation=2,
        member_id=9,
        vfs=world.name,
    )
    world.generation = 2
    world.durable = made.index
    world.states[made.index].meta = made
    world.lose_power("none")
    world.end()


def test_a_disk_that_lies_about_syncs_is_seen_by_this_harness() -> None:
    """The same lives, with syncs that do nothing: some check must go red."""
    red = 0
    for seed in range(10):
        world = _World(seed, "ordered")
        world.start().close()
        world.disk.faults.lying_sync = True
        try:
            for _ in range(3):
                world.disk.faults.power_loss_at = world.chance.choice((90, 250, 600))
                with suppress(PowerLost, OSError, apsw.Error):
                    world.live(steps=60)
                world.disk.faults.power_loss_at = None
                world.lose_power("subset")
            world.end()
        except Exception:
            red += 1
            world.disk.power_off()
            with suppress(PowerLost, OSError, apsw.Error):
                if world.store is not None:
                    world.store.close()
            world.vfs.unregister()
    assert red > 0


def test_a_full_disk_leaves_the_last_batch_out_and_the_store_whole() -> None:
    world = _World(1, "ordered")
    store = world.start()
    for _ in range(10):
        world.write(store)
    kept = store.meta.index
    world.disk.faults.capacity_bytes = world.disk.used_bytes + 300_000

    def write_on() -> None:
        for _ in range(100):
            world.write(store)

    with pytest.raises(DiskFull):
        write_on()
    assert store.meta.index > kept
    world.disk.faults.capacity_bytes = None
    world.states = {at: state for at, state in world.states.items() if at <= store.meta.index}
    world.write(store)
    world.check()
    store.close()
    world.end()


def test_restored_and_fresh_identities_are_told_apart() -> None:
    world = _World(5, "strict")
    store = world.start()
    world.write(store)
    store.backup(f"{DIRECTORY}/snap.db")
    made = snapshot.restore(
        f"{DIRECTORY}/snap.db",
        f"{DIRECTORY}/new",
        identity=Identity(1, 2),
        disk=world.disk,
        vfs=world.name,
    )
    assert (made.cluster_id, store.meta.cluster_id) == (1, IDENTITY.cluster_id)
    store.close()
    world.end()
