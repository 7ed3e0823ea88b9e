"""One member does the same deeds again and again, losing power each time somewhere else.

The rule of this file: the power goes at each operation of the disk in turn; chance only says what
of the unsynced writes survives. After each loss the member starts on what is left, and is held
against what its client was told: nothing told is lost, nothing is there twice, and the state is
what the log makes of an empty one.
"""

from collections.abc import Iterator, Sequence
from random import Random

import apsw
from attrs import define, field

from core.answers import Answer
from core.errors import Failure
from core.invariants import check as check_invariants
from core.loading import load
from core.operations import Command, Compact, DeleteRange, Operation, Put, Txn
from net.flush import Pace
from net.journal import JournalDamaged, JournalFailed
from net.store.errors import StoreError
from net.telemetry import Logger, Sink
from server.recover import RefusedToStartError, facts_of
from sim.disk import DiskFaults, PowerLost, SimDisk
from sim.member import Log, Plant, Shape, SimMember
from sim.platter import Survival
from sim.vfs import deterministic_sqlite
from tests.crash.states import differences, replayed

# The store says nothing of its pages to anybody else.
# pyright: reportPrivateUsage=false

Deed = Command | str
"""A command, awaited; or "Defragment" or "Snapshot", begun and awaited; or "flush"."""

SHAPE = Shape(
    pace=Pace(flush_rows=1, flush_delay_ms=0, checkpoint_bytes=0, truncate_bytes=0),
    segment_bytes=4 << 10,
    reserve_bytes=4 << 10,
    sync_delay=0.0,
    job_delay=0.0,
)
SURVIVALS: tuple[Survival, ...] = ("none", "subset", "all")


class Broken(AssertionError):
    """A promise that was not kept."""


@define
class Life:
    """The deeds, the power lost at one operation of the disk, and the start afterwards."""

    deeds: Sequence[Deed]
    cut: int
    survival: Survival
    plant: Plant | None = None
    lying_sync: bool = False
    told: list[Deed] = field(factory=list[Deed])
    """What was answered, and not by an error."""
    revision: int = 1
    """The highest that the client was told."""
    log: Log = field(factory=Log)
    durable_index: int = 0
    """The log index on which the newest answer rested."""
    operations: int = 0

    def run(self) -> None:
        """Live, lose power, start again; raises Broken."""
        deterministic_sqlite(Random(self.cut))
        faults = DiskFaults(power_loss_at=self.cut, lying_sync=self.lying_sync)
        disk = SimDisk(Random(self.cut), faults=faults, directories="strict")
        member = self._member(disk)
        try:
            member.start(self.plant)
            self._rest(member)
            for deed in self.deeds:
                self._do(member, deed)
            self._rest(member)
        except (PowerLost, OSError, apsw.Error, StoreError, JournalFailed) as error:
            if not disk.is_dead:
                raise Broken(f"the member ended by itself: {error!r}") from error
        self.operations = disk.operations
        faults.power_loss_at = None
        again = self._member(member.crash(self.survival))
        try:
            again.start(None)
            self._check(again)
        except (RefusedToStartError, JournalDamaged, StoreError) as error:
            raise Broken(f"does not start: {error}") from error
        finally:
            again.crash("all")

    def _member(self, disk: SimDisk) -> SimMember:
        logger = Logger(Sink(lambda _: None, lambda: 0))
        return SimMember(disk, Random(self.cut), logger, shape=SHAPE, log=self.log)

    def _do(self, member: SimMember, deed: Deed) -> None:
        if isinstance(deed, str):
            errand = member.maintain(deed)
            while not errand.over:
                self._turn(member)
            return
        member.offer(deed, deed)
        while True:
            for token, answer in self._turn(member):
                assert token is deed, "one request is under way at a time"
                if not isinstance(answer, Failure):
                    self.durable_index = member.driver.node.state.applied_index
                    self.revision = max(self.revision, answer.revision)
                    self.told.append(deed)
                return

    def _rest(self, member: SimMember) -> None:
        while not member.is_idle:
            self._turn(member)

    def _turn(self, member: SimMember) -> list[tuple[object, Answer]]:
        replies = [(reply.token, reply.answer) for reply in member.turn(40).replies]
        if member.disk.is_dead:
            raise PowerLost
        return replies

    def _check(self, member: SimMember) -> None:
        state, last = member.driver.node.state, member.driver.journal.last_index
        check_invariants(state)
        if last < self.durable_index:
            raise Broken(f"lost: the log ends at {last}, answers rested on {self.durable_index}")
        entries = [self.log.entries[index] for index in range(1, last + 1)]
        wanted, _ = replayed(entries)
        if told := differences(state, wanted):
            raise Broken(f"the state is not what the log makes: {told}")
        if state.revision < self.revision:
            raise Broken(f"the revision fell from {self.revision} to {state.revision}")
        self._rest(member)
        if not member.driver.flush_now(member.now_ms):
            raise Broken("the store cannot be written")
        loaded, _ = load(facts_of(member.driver.store), member.driver.store.rows())
        if told := differences(loaded, member.driver.node.state):
            raise Broken(f"the store is not the state: {told}")
        for (problem,) in member.driver.store._all("PRAGMA integrity_check"):
            if problem != "ok":
                raise Broken(f"the store is damaged: {problem}")


def lives(
    deeds: Sequence[Deed],
    *,
    plant: Plant | None = None,
    stride: int = 1,
    lying_sync: bool = False,
    survivals: Sequence[Survival] = SURVIVALS,
) -> Iterator[Life]:
    """Yield a life for every so many operations of the disk that the deeds take."""
    whole = Life(deeds, 1 << 60, "all", plant)
    yield whole
    assert len(whole.told) == sum(not isinstance(deed, str) for deed in deeds)
    for cut in range(1, whole.operations, stride):
        survival = survivals[cut // stride % len(survivals)]
        yield Life(deeds, cut, survival, plant, lying_sync)


def broken(
    deeds: Sequence[Deed],
    *,
    plant: Plant | None = None,
    lying_sync: bool = False,
    survivals: Sequence[Survival] = SURVIVALS,
) -> str:
    """Return what the first life that is broken says; "" if none is."""
    for life in lives(deeds, plant=plant, lying_sync=lying_sync, survivals=survivals):
        try:
            life.run()
        except AssertionError as error:
            return f"operation {life.cut}, {life.survival}: {error}"
    return ""


def put(key: str, value: str = "v") -> Put:
    """A put."""
    return Put(key.encode(), value.encode())


def delete(key: str, end: str = "") -> DeleteRange:
    """A deletion."""
    return DeleteRange(key.encode(), end.encode())


def both(*operations: Operation) -> Txn:
    """A transaction without a condition."""
    return Txn((), operations, ())


def compact(revision: int) -> Compact:
    """A compaction."""
    return Compact(revision)
