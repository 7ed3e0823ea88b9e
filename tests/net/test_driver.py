"""The driver's order: propose, persist, apply, answer; and its housekeeping between requests."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from core.answers import AlarmAnswer, LeaseKeepAliveAnswer, PutAnswer, RangeAnswer
from core.codec import CodecError, Proposed
from core.effects import Reply
from core.errors import NO_SPACE
from core.inputs import Asked, Offered
from core.limits import PACK_BYTES_MAX, PACK_COMMANDS_MAX
from core.operations import (
    AlarmList,
    AlarmSet,
    Compact,
    DeleteRange,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseLeases,
    Put,
    Range,
    Txn,
)
from core.state import State
from net import packs as packs_module
from net.deadlines import TICK_MS
from net.driver import DriverInput, Io, JobDone
from net.flush import Pace
from net.local import LocalEngine
from net.packs import decode_entry
from net.replicator import Entry, RaftInput, RaftOutput
from sim.disk import DiskFaults
from tests.driver_world import DriverWorld, put


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DriverWorld]:
    made = DriverWorld(tmp_path).lead()
    yield made
    made.close()


def values(replies: list[Reply]) -> list[object]:
    return [reply.token for reply in replies]


# The order of events.


def live(world: DriverWorld, chance: Random) -> None:
    """Put at any moment, sync at any later one; each answer is held against the journal."""
    waiting: set[object] = set()
    for step in range(120):
        inputs: list[DriverInput] = []
        for count in range(chance.choice((0, 1, 3))):
            value = b"<%d.%d>" % (step, count)
            waiting.add(value)
            inputs.append(put(value, value, b"k%d" % chance.randrange(3)))
        if world.sync and chance.random() < 0.4:
            io = world.synced(*inputs)
        else:
            io = world.turn(*inputs, after_ms=chance.choice((0, 1, 60)))
        for reply in io.replies:
            assert isinstance(reply.token, bytes)
            assert world.noted.is_durable(reply.token), "INV-REPLY-AFTER-PERSIST"
            waiting.remove(reply.token)
    waiting -= set(values(world.settle()))
    assert not waiting, "a put was never answered"


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_answered_before_it_is_durable(seed: int, tmp_path: Path) -> None:
    world = DriverWorld(tmp_path).lead()
    live(world, Random(seed))
    world.close()


def test_an_engine_that_does_not_wait_for_the_disk_is_seen(
    world: DriverWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = LocalEngine._append
    done: list[Entry] = []

    def hasty(engine: LocalEngine, entries: list[Entry], *rest: object) -> object:
        persist = append(engine, entries, *rest)  # type: ignore[arg-type]  # as it was called
        done.extend(engine._durable(persist.sequence))
        return persist

    step = LocalEngine.step

    def stepped(engine: LocalEngine, now_ms: int, inputs: Sequence[RaftInput]) -> RaftOutput:
        out = step(engine, now_ms, inputs)
        hurried = [*out.apply, *done]
        done.clear()
        return out._replace(apply=hurried)

    monkeypatch.setattr(LocalEngine, "_append", hasty)
    monkeypatch.setattr(LocalEngine, "step", stepped)
    with pytest.raises(AssertionError, match="INV-REPLY-AFTER-PERSIST"):
        live(world, Random(0))


def test_a_reader_sees_what_was_answered_before_it_asked(world: DriverWorld) -> None:
    world.turn(put("w", b"1"))
    # The read is answered at once, from what is durable: the put is not yet.
    io = world.turn(Asked("early", Range(b"k")))
    assert [r.answer for r in io.replies] == [RangeAnswer(1, (), 0, False, False)]
    io = world.synced(Asked("late", Range(b"k")))
    assert values(io.replies) == ["w", "late"]
    late = io.replies[1].answer
    assert isinstance(late, RangeAnswer)
    assert late.revision == 2


def test_proposals_gather_while_a_sync_is_under_way(world: DriverWorld) -> None:
    world.turn(put(0, b"v" * 50))
    for token in range(1, 9):
        assert world.turn(put(token, b"v" * 50)).sync == 0
    assert world.pack_sizes() == [1]
    io = world.synced()
    assert values(io.replies) == [0]
    assert io.sync
    assert world.pack_sizes() == [1, 8]
    assert values(world.synced().replies) == list(range(1, 9))


def test_a_pack_holds_so_many_commands_and_no_more(world: DriverWorld) -> None:
    replies = world.settle(*(put(token, b"v") for token in range(PACK_COMMANDS_MAX * 2 + 5)))
    assert world.pack_sizes() == [PACK_COMMANDS_MAX, PACK_COMMANDS_MAX, 5]
    assert values(replies) == list(range(PACK_COMMANDS_MAX * 2 + 5))


def test_a_pack_holds_so_many_bytes_and_no_more(world: DriverWorld) -> None:
    size = PACK_BYTES_MAX // 3 - 100
    replies = world.settle(*(put(token, b"v" * size, b"k%d" % token) for token in range(7)))
    assert world.pack_sizes() == [3, 3, 1]
    assert values(replies) == list(range(7))


def test_a_command_larger_than_a_pack_gets_one_of_its_own(world: DriverWorld) -> None:
    large = Txn((), tuple(Put(b"k%d" % n, b"v" * (PACK_BYTES_MAX // 4)) for n in range(5)), ())
    replies = world.settle(put(0, b"v"), Offered(1, large, 100), put(2, b"v"))
    assert world.pack_sizes() == [1, 1, 1]
    assert values(replies) == [0, 1, 2]


def test_what_is_proposed_is_forgotten_once_it_is_answered(world: DriverWorld) -> None:
    for token in range(20):
        world.settle(put(token, b"v"))
    driver = world.driver
    held = ["_unsynced"] if driver._unsynced.waiting else []
    held += ["_letters"] if driver._letters.is_holding else []
    held += [name for name in ("_own", "_tokens", "waiting") if getattr(driver.packs, name)]
    assert held == []


def test_a_pack_of_ones_own_is_applied_as_it_would_be_read(
    world: DriverWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(data: bytes) -> list[Proposed]:
        return []

    monkeypatch.setattr(packs_module, "decode_pack", lossy)
    with pytest.raises(AssertionError, match="INV-CODEC-EXACT"):
        world.settle(put("client", b"v"))


def test_bytes_that_no_codec_wrote_end_the_member() -> None:
    with pytest.raises(CodecError, match="log index 9"):
        decode_entry(Entry(9, 1, b"\xff\xff"))


@pytest.mark.parametrize("seed", range(10))
def test_the_journal_alone_makes_the_state_again(seed: int, tmp_path: Path) -> None:
    chance, world = Random(seed), DriverWorld(tmp_path).lead()
    for _ in range(60):
        offered = [Offered(n, _command(chance), 50) for n in range(chance.choice((1, 2, 5)))]
        world.settle(*offered)
    assert same(world.replayed(), world.node.state)
    world.close()


def _command(chance: Random) -> Put | DeleteRange | Compact | LeaseGrant | Txn:
    key = chance.choice((b"a", b"b", b"c"))
    return chance.choice(
        (
            Put(key, bytes(chance.randrange(30))),
            Put(key, b"x", chance.choice((0, 1, 2))),
            DeleteRange(key, chance.choice((b"", b"d"))),
            LeaseGrant(chance.choice((1, 2)), 60),
            Compact(chance.randrange(1, 40)),
            Txn((), (Put(b"a", b"1"), DeleteRange(b"b"), Put(b"c", b"2")), ()),
        )
    )


def same(one: State, other: State) -> bool:
    names = ("revision", "compact_revision", "applied_index", "applied_term", "change_count",
             "resident_bytes", "live_hash", "chain_hash", "leases", "alarms")  # fmt: skip
    return all(getattr(one, name) == getattr(other, name) for name in names) and (
        one.index.live == other.index.live
        and one.index.history == other.index.history
        and one.state_hash() == other.state_hash()
    )


# Leases.


def test_a_keepalive_of_the_same_turn_is_heard_before_the_lease_falls_due(
    world: DriverWorld,
) -> None:
    world.do(LeaseGrant(1, 2))
    for _ in range(4):
        # Each turn is long after the last one, and the lease would be over after two of them.
        for _ in range(19):
            world.settle()
        replies = world.settle(Asked("client", LeaseKeepAlive(1)))
        assert [r.answer for r in replies] == [LeaseKeepAliveAnswer(1, 1, 2)]
    answer = world.ask(LeaseLeases())
    assert getattr(answer, "ids", None) == [1]


def test_a_lease_ends_by_a_pack_like_any_other(world: DriverWorld) -> None:
    world.do(LeaseGrant(1, 2))
    world.do(Put(b"k", b"v", 1))
    packs = len(world.noted.packs())
    for _ in range(40):
        world.settle()
    assert len(world.noted.packs()) == packs + 1
    assert world.node.state.index.live == {}


# A full disk.


@pytest.fixture
def full(tmp_path: Path) -> Iterator[DriverWorld]:
    """A world whose disk has just got full; giving up the reserve makes some room."""
    faults = DiskFaults()
    made = DriverWorld(tmp_path, faults=faults, segment_bytes=64 << 10).lead()
    made.do(Put(b"k", b"before"))
    faults.capacity_bytes = made.disk.used_bytes + (70 << 10)
    yield made
    made.close()


def fill(world: DriverWorld) -> list[object]:
    """Put until something is refused; return all answers."""
    answers: list[object] = []
    for _ in range(40):
        answers.append(world.do(Put(b"k", b"v" * 9_000)))
        if not isinstance(answers[-1], PutAnswer):
            return answers
    raise AssertionError("the disk is not full")


def test_a_full_disk_is_told_in_etcds_words(full: DriverWorld) -> None:
    given_up: list[int] = []
    full.driver.on_disk_full = lambda: given_up.append(1)
    answers = fill(full)
    assert answers[-1] == NO_SPACE
    assert answers[0] == PutAnswer(3, None)
    assert given_up == [1]
    assert full.driver.disk_full
    assert full.do(Put(b"k", b"v" * 9_000)) == NO_SPACE
    assert given_up == [1], "the reserve can be given up once"


def test_what_a_full_disk_refused_has_not_happened(full: DriverWorld) -> None:
    written = len(fill(full)) - 1
    assert full.node.state.revision == 2 + written
    faults = full.disk.faults
    faults.capacity_bytes = None
    assert same(full.replayed(), full.node.state)
    assert full.driver.journal.last_index == full.node.state.applied_index


def test_the_reserve_makes_room_for_the_alarm_and_for_deletes(full: DriverWorld) -> None:
    def give_up() -> None:
        assert full.disk.faults.capacity_bytes is not None
        full.disk.faults.capacity_bytes += 256 << 10

    full.driver.on_disk_full = give_up
    fill(full)
    full.settle()
    assert full.ask(AlarmList()) == AlarmAnswer(full.node.state.revision, [(1, 1)])
    assert full.do(Put(b"k", b"small")) == NO_SPACE
    revision = full.node.state.revision
    assert getattr(full.do(DeleteRange(b"k")), "deleted", None) == 1
    assert full.do(Compact(revision)) is not None
    full.driver.disk_full = False
    full.do(AlarmSet(1, 1, raised=False))
    assert full.do(Put(b"k", b"again")) == PutAnswer(revision + 2, None)
    assert same(full.replayed(), full.node.state)


def test_without_a_reserve_the_log_that_the_store_holds_makes_room(full: DriverWorld) -> None:
    fill(full)
    assert full.driver.journal.first_index == 1
    told = [full.do(DeleteRange(b"k")) for _ in range(20)]
    assert full.driver.journal.first_index > 1
    assert told.count(NO_SPACE) == 1
    assert full.ask(AlarmList()) == AlarmAnswer(full.node.state.revision, [(1, 1)])


def test_all_that_follows_a_refused_pack_is_refused(full: DriverWorld) -> None:
    faults = full.disk.faults
    faults.capacity_bytes = full.disk.used_bytes
    large = [put(n, b"v" * 9_000) for n in range(PACK_COMMANDS_MAX)]
    replies = full.settle(*large, put("small", b"v"))
    assert {reply.answer for reply in replies} == {NO_SPACE}
    assert len(replies) == PACK_COMMANDS_MAX + 1
    assert full.node.proposals_waiting == 0


def test_a_refused_pack_is_forgotten(full: DriverWorld) -> None:
    fill(full)
    for _ in range(10):
        full.do(Put(b"k", b"v" * 9_000))
    full.settle()
    held = [name for name in ("_own", "_tokens", "waiting") if getattr(full.driver.packs, name)]
    assert held == []


def test_an_error_of_the_disk_flies_out(world: DriverWorld) -> None:
    world.disk.faults.write_error = 1.0
    with pytest.raises(OSError, match="simulated write error"):
        world.turn(put("client", b"v"))
    world.disk.faults.write_error = 0.0


# Housekeeping.


def test_rows_are_stored_when_they_are_many_or_old(tmp_path: Path) -> None:
    world = DriverWorld(tmp_path, pace=Pace(flush_rows=8, flush_delay_ms=40)).lead()
    store = world.driver.store
    world.turn(*(put(n, b"v") for n in range(7)))
    io = world.synced()
    assert store.applied[0] == 0, "seven rows wait"
    assert io.next_deadline_ms <= world.now_ms + 40
    world.turn(after_ms=39)
    assert store.applied[0] == 0
    world.turn(after_ms=1)
    assert store.applied[0] == world.node.state.applied_index
    world.turn(*(put(n, b"v") for n in range(8)))
    world.synced()
    assert store.applied[0] == world.node.state.applied_index, "eight rows do not wait"
    world.close()


def test_nothing_is_stored_while_the_store_is_copied(world: DriverWorld) -> None:
    world.driver.hold_flushes(True)
    before = world.driver.store.applied
    for _ in range(5):
        world.do(Put(b"k", b"v"))
    assert world.driver.store.applied == before
    world.driver.hold_flushes(False)
    world.settle()
    assert world.driver.store.applied[0] == world.node.state.applied_index


def test_a_switch_is_done_when_its_frame_is_durable(world: DriverWorld) -> None:
    switched: list[int] = []
    index = world.node.state.applied_index
    assert world.driver.append_switch(2, index, lambda: switched.append(1))
    world.turn()
    assert switched == []
    world.synced()
    assert switched == [1]


def test_a_checkpoint_lets_the_journal_be_cut(tmp_path: Path) -> None:
    pace = Pace(flush_rows=1, checkpoint_bytes=1)
    world = DriverWorld(tmp_path, pace=pace, segment_bytes=16 << 10).lead()
    for _ in range(20):
        world.do(Put(b"k", b"v" * 3_000))
    assert world.driver.journal.first_index > 5
    assert world.driver.journal.first_index <= world.driver.store.applied[0] + 1
    world.close()


def test_one_job_of_a_kind_runs_at_a_time(tmp_path: Path) -> None:
    pace = Pace(flush_rows=1, checkpoint_bytes=1)
    world = DriverWorld(tmp_path, pace=pace, segment_bytes=16 << 10).lead()
    kinds: list[str] = []
    for _ in range(10):
        world.turn(put("client", b"v" * 3_000))
        kinds += [job.kind for job in world.synced().jobs]
    assert sorted(kinds) == sorted(set(kinds))
    assert "checkpoint" in kinds
    io = world.turn(JobDone("checkpoint", 1), put("client", b"v" * 3_000))
    io = world.synced()
    assert "checkpoint" in [job.kind for job in io.jobs]
    world.close()


def committed_at_once(world: DriverWorld, count: int) -> Io:
    """So many packs become durable together: the turn that learns of it."""
    size = PACK_BYTES_MAX // 2
    world.turn(*(put(token, b"v" * size, b"k%d" % token) for token in range(count)))
    return world.synced()


def test_what_is_committed_is_applied_a_slice_a_turn_and_answered_in_order(tmp_path: Path) -> None:
    pace = Pace(apply_commands=2, apply_bytes=1 << 40)
    world = DriverWorld(tmp_path, pace=pace, segment_bytes=16 << 20).lead()
    slices = [io := committed_at_once(world, 5)]
    while io.busy:
        slices.append(io := world.turn(after_ms=0))
    assert [values(io.replies) for io in slices] == [[0, 1], [2, 3], [4]]
    world.close()


def test_a_pack_that_is_larger_than_a_slice_is_one(tmp_path: Path) -> None:
    world = DriverWorld(tmp_path, segment_bytes=16 << 20).lead()
    assert values(committed_at_once(world, 3).replies) == [0]
    assert values(world.turn().replies) == [1]
    world.close()


def test_a_read_waits_for_what_was_committed_before_it(tmp_path: Path) -> None:
    world = DriverWorld(tmp_path, pace=Pace(apply_commands=1), segment_bytes=16 << 20).lead()
    committed_at_once(world, 3)
    io = world.turn(Asked("reader", Range(b"k2")))
    assert values(io.replies) == [1]
    io = world.turn()
    assert values(io.replies) == [2, "reader"]
    world.close()


def test_an_idle_driver_asks_for_the_next_tick_only(world: DriverWorld) -> None:
    io = world.turn(after_ms=60)
    io = world.turn(after_ms=60)
    assert (io.sync, io.busy, io.jobs, io.replies, io.notices) == (0, False, [], [], [])
    assert io.next_deadline_ms == world.now_ms + TICK_MS
