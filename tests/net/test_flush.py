"""What is gathered and written: at any moment the store is the state at some index, whole."""

from pathlib import Path
from random import Random

import pytest

from core.compaction import is_scrubbed
from core.inputs import Committed, Offered
from core.invariants import check
from core.loading import load
from core.node import Node
from core.operations import (
    AlarmSet,
    Command,
    Compact,
    DeleteRange,
    LeaseGrant,
    LeaseRevoke,
    Put,
    Txn,
)
from core.state import State
from net.disk import DiskFull
from net.flush import Pace, StoreBuffer
from net.packs import decode_entry
from net.replicator import Entry
from net.store.batch import Batch
from net.store.errors import StoreHeld
from net.store.store import Store
from server.recover import facts_of
from tests.driver_world import CONFIG, DriverWorld, put
from tests.stores import rows_of

KEYS = (b"a", b"b", b"b/1", b"c")


def command(chance: Random) -> Command:
    key = chance.choice(KEYS)
    return chance.choice(
        (
            Put(key, bytes(chance.randrange(30)), chance.choice((0, 0, 1, 2))),
            Put(key, b"", 0),
            DeleteRange(key, chance.choice((b"", b"\0"))),
            Txn((), (Put(key, b"t"), DeleteRange(key, b"\0"), Put(b"z", b"t")), ()),
            LeaseGrant(chance.choice((1, 2)), 60),
            LeaseRevoke(chance.choice((1, 2))),
            Compact(chance.randrange(1, 60)),
            AlarmSet(chance.choice((1, 2)), 2, chance.random() < 0.1),
            AlarmSet(chance.choice((1, 2)), 2, raised=False),
        )
    )


def loaded(world: DriverWorld) -> State:
    """The state that the store's rows make, and what the journal adds to it."""
    store = world.driver.store
    state, _ = load(facts_of(store), store.rows())
    check(state)
    node = Node(state, CONFIG)
    journal = world.driver.journal
    for index, term, payload in journal.read(journal.first_index, journal.last_index):
        if index > state.applied_index:
            node.step(Committed(index, term, decode_entry(Entry(index, term, payload))))
    while node.has_work():
        node.work()
    return node.state


def assert_same(one: State, other: State) -> None:
    for name in ("revision", "compact_revision", "applied_index", "change_count", "live_hash",
                 "resident_bytes", "chain_hash", "leases", "alarms"):  # fmt: skip
        assert getattr(one, name) == getattr(other, name), name
    assert one.index.live == other.index.live
    assert one.index.history == other.index.history
    assert one.state_hash() == other.state_hash()


@pytest.mark.parametrize("seed", range(40))
def test_store_and_journal_make_the_state_at_any_moment(seed: int, tmp_path: Path) -> None:
    chance = Random(seed)
    pace = Pace(
        flush_rows=chance.choice((1, 3, 256)),
        flush_delay_ms=chance.choice((1, 50, 400)),
        erase_rows=chance.choice((1, 2, 512)),
        erase_delay_ms=chance.choice((1, 300)),
    )
    world = DriverWorld(tmp_path, pace=pace).lead()
    for _ in range(40):
        world.settle(*(Offered(n, command(chance), 50) for n in range(chance.choice((1, 2, 5)))))
        if chance.random() < 0.2:
            assert is_scrubbed(world.node.state)
            assert_same(loaded(world), world.node.state)
    world.driver.flush_now(world.now_ms)
    assert world.driver.store.applied[0] == world.node.state.applied_index
    state, _ = load(facts_of(world.driver.store), world.driver.store.rows())
    assert_same(state, world.node.state)
    world.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_row_names_the_row_of_its_key_before_it(seed: int, tmp_path: Path) -> None:
    chance, world = Random(seed), DriverWorld(tmp_path).lead()
    for _ in range(30):
        commands = [command(chance) for _ in range(3)]
        kept = [each for each in commands if not isinstance(each, Compact)]
        world.settle(*(Offered(n, each, 50) for n, each in enumerate(kept)))
    world.driver.flush_now(world.now_ms)
    newest: dict[bytes, int] = {}
    for number, _, _, key, _, _, previous, *_ in rows_of(world.driver.store):
        assert previous == newest.get(key, 0)
        newest[key] = number
    world.close()


def test_nothing_gathered_is_nothing_due(tmp_path: Path) -> None:
    world = DriverWorld(tmp_path).lead()
    buffer = StoreBuffer(world.node.state, Pace())
    assert not buffer.is_due(1 << 40)
    assert buffer.due_at_ms() is None
    world.close()


@pytest.mark.parametrize(("fault", "revision"), [(StoreHeld, 6), (DiskFull, 2)])
def test_what_cannot_be_written_stays_gathered(
    fault: type[Exception], revision: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = DriverWorld(tmp_path, pace=Pace(flush_rows=1)).lead()
    tries: list[int] = []

    def failing(store: Store, batch: Batch) -> None:
        tries.append(world.now_ms)
        raise fault("state.db")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write", failing)
        for number in range(5):
            world.settle(put("client", b"%d" % number))
    # Another process that holds the file stops nobody; a full disk raises the alarm.
    assert world.node.state.revision == revision
    assert world.node.state.alarms == ({(1, 1)} if fault is DiskFull else set())
    assert 1 <= len(tries) <= 3, "it is not tried in every turn"
    world.turn(after_ms=2_000)
    assert world.driver.store.applied[0] > 0, "the next attempt comes by time alone"
    assert world.driver.flush_now(world.now_ms)
    assert world.driver.store.applied[0] == world.node.state.applied_index
    assert len(rows_of(world.driver.store)) == revision - 1
    world.close()


def test_what_was_held_back_is_written_a_batch_a_turn(tmp_path: Path) -> None:
    world = DriverWorld(tmp_path, pace=Pace(flush_rows=4)).lead()
    world.driver.hold_flushes(True)
    for number in range(10):
        world.settle(*(put(token, b"%d" % number) for token in range(4)))
    assert world.node.state.revision == 41
    world.driver.hold_flushes(False)
    applied = [world.driver.store.applied[0]]
    while applied[-1] < world.node.state.applied_index:
        world.turn(after_ms=0)
        applied.append(world.driver.store.applied[0])
    assert len(applied) > 5, "not in one turn"
    assert applied == sorted(set(applied))
    assert_same(loaded(world), world.node.state)
    world.close()


def test_dead_rows_go_in_the_order_of_the_table_and_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = DriverWorld(tmp_path, pace=Pace(flush_rows=4, erase_rows=8, erase_delay_ms=1)).lead()
    keys = [b"%d" % number for number in range(30)]
    for value in (b"old", b"new"):
        Random(7).shuffle(keys)
        for key in keys:
            world.settle(put("client", value, key))
    erased: list[list[int]] = []
    freed: list[int | None] = []
    write = Store.write

    def noting(store: Store, batch: Batch) -> None:
        erased.append(list(batch.dead))
        freed.append(batch.scrubbed)
        write(store, batch)

    monkeypatch.setattr(Store, "write", noting)
    world.settle(Offered("client", Compact(world.node.state.revision), 10))
    while world.driver.store.meta.scrubbed < world.node.state.compact_revision:
        world.turn(after_ms=1)
    assert [number for some in erased for number in some] == list(range(1, 31))
    assert max(len(some) for some in erased) == 8
    assert [at for at in freed if at is not None] == [61], "told with the last of them only"
    assert freed[-1] == 61
    assert len(rows_of(world.driver.store)) == 30
    world.close()
