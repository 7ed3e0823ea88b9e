"""The lives of one member on a disk that forgets: what clients were told, and whether it holds.

The rule of this file: everything is drawn from the seed. `Broken` means that a promise was not
kept; what a promise is stands in `check`.
"""

import gc
import json
import re
from hashlib import sha256
from random import Random
from typing import Literal

import apsw
from attrs import asdict, define, field

from core.answers import Answer
from core.errors import Failure
from core.inputs import WatchAsked, WatchOpened
from core.invariants import check as check_invariants
from core.loading import load
from core.watching import Created, Events, WatchCreate, WatchStream
from net.driver import Io
from net.etcd.pb import kv_pb2
from net.etcd.pb import rpc_pb2 as pb
from net.flush import Pace
from net.journal import JournalDamaged, JournalFailed
from net.store.errors import StoreError
from net.telemetry import Logger, Sink
from server.recover import RefusedToStartError, facts_of
from sim.disk import DiskFaults, PowerLost, SimDisk
from sim.member import DATA, Errand, Log, Plant, Shape, SimMember
from sim.platter import Survival
from sim.vfs import deterministic_sqlite
from tests.crash.states import differences, replayed, strays
from tests.crash.workload import Claim, Wish, Workload, claims

Mode = Literal["none", "prefix", "subset", "all"]
MODES: tuple[Survival, ...] = ("none", "prefix", "subset", "subset", "all")
DISK_ERRORS = (PowerLost, OSError, apsw.Error, StoreError, JournalFailed)


class Broken(AssertionError):
    """A promise that was not kept."""


@define
class Counts:
    """What a run did; sums over runs tell whether the harness reaches what it should."""

    lives: int = 0
    power_losses: int = 0
    in_recovery: int = 0
    kills: int = 0
    clean_stops: int = 0
    acknowledged: int = 0
    checked: int = 0
    """Acknowledged facts found again after a restart."""
    lost_unacknowledged: int = 0
    replayed: int = 0
    defragments: int = 0
    snapshots: int = 0
    compactions: int = 0
    refusals: int = 0
    ended: int = 0

    def add(self, other: "Counts") -> None:
        """Add another run's counts."""
        for name, number in asdict(other).items():
            setattr(self, name, getattr(self, name) + number)


@define
class World:
    """One seed."""

    seed: int
    plant: Plant | None = None
    faults: DiskFaults = field(factory=DiskFaults)
    counts: Counts = field(factory=Counts)
    modes: tuple[Survival, ...] = MODES
    lines: list[str] = field(factory=list[str])
    disk: SimDisk = field(init=False)
    chance: Random = field(init=False)
    shape: Shape = field(init=False)
    workload: Workload = field(init=False)
    log: Log = field(factory=Log)
    durable_index: int = 0
    """The log index up to which clients were told something."""
    claims: list[Claim] = field(factory=list[Claim])
    member: SimMember | None = None
    watch: WatchStream = field(factory=WatchStream)
    errands: list[tuple[str, Errand]] = field(factory=list[tuple[str, Errand]])
    hurry: float = 0.0

    def __attrs_post_init__(self) -> None:
        chance = self.chance = Random(self.seed)
        deterministic_sqlite(Random(self.seed))
        self.disk = SimDisk(
            Random(chance.random()),
            faults=self.faults,
            directories=chance.choice(("strict", "ordered")),
        )
        segment_bytes = chance.choice((4 << 10, 16 << 10, 64 << 10))
        self.shape = Shape(
            pace=Pace(
                flush_rows=chance.choice((1, 4, 32, 256)),
                flush_delay_ms=chance.choice((0, 50, 500, 5000)),
                checkpoint_bytes=chance.choice((0, 16 << 10, 128 << 10)),
                truncate_bytes=chance.choice((0, 64 << 10, 512 << 10)),
            ),
            segment_bytes=segment_bytes,
            reserve_bytes=segment_bytes,
            sync_delay=chance.choice((0.0, 0.3, 0.8)),
            job_delay=chance.choice((0.0, 0.5, 0.9)),
        )
        self.workload = Workload(chance)
        self.hurry = chance.choice((0.3, 1.0, 3.0))

    def run(self, lives: int) -> None:
        """Live and die so often, then look at everything in peace."""
        for _ in range(lives):
            self.live()
        self.faults.power_loss_at = None
        member = self.start()
        self.settle(member)
        member.stop()
        self.member = None
        self.settle(self.start())
        self.look_around()
        self.end()

    def look_around(self) -> None:
        """A directory at rest holds what its member needs, and no remains of what was cut short."""
        generation = self.running.driver.store.generation
        store = f"{DATA}/state-{generation}.db"
        expected = {f"{DATA}/format", f"{DATA}/reserve", store, f"{store}-wal"}
        segment = rf"{DATA}/journal/\d{{16}}\.seg"
        found = [path for path in self.disk.paths() if not re.fullmatch(segment, path)]
        if left := set(found) - expected:
            raise Broken(f"remains: {sorted(left)}")

    def live(self) -> None:
        """One life: start, serve, and lose power, be killed, or stop."""
        chance = self.chance
        self.counts.lives += 1
        if chance.random() < 0.9:
            self.faults.power_loss_at = self.disk.operations + chance.randint(
                1, chance.choice((40, 150, 400, 1000, 2000))
            )
        try:
            self.serve(self.start(), chance.choice((10, 60, 250)))
            if chance.random() < 0.2:
                self.running.stop()
                self.member = None
                self.counts.clean_stops += 1
                return
        except DISK_ERRORS as error:
            self.excuse(error)
        self.crash()

    def excuse(self, error: BaseException) -> None:
        """Take an end for granted if the disk gave reason; a member never ends by itself."""
        if self.disk.is_dead:
            return
        failed = sum(self.disk.injected.values())
        if isinstance(error, OSError | StoreError | JournalFailed) and failed:
            self.counts.ended += 1
            return
        raise Broken(f"the member ended by itself: {error!r}") from error

    def crash(self) -> None:
        """End this life in one of the modes."""
        self.faults.power_loss_at = None
        mode = self.chance.choice(self.modes)
        if mode == "all":
            self.counts.kills += 1
        else:
            self.counts.power_losses += 1
        member = self.member
        if member is None or member.opened is None:
            self.counts.in_recovery += 1
        self.disk = self.disk.restart(mode) if member is None else member.crash(mode)
        self.member = None

    @property
    def running(self) -> SimMember:
        """The member, which runs."""
        assert self.member is not None
        return self.member

    def start(self) -> SimMember:
        """Begin a life on what the disk holds, and hold it against what clients were told."""
        logger = Logger(Sink(self.lines.append, lambda: 0))
        member = SimMember(self.disk, self.chance, logger, shape=self.shape, log=self.log)
        self.member = member
        self.errands = []
        try:
            member.start(self.plant)
        except (RefusedToStartError, JournalDamaged) as error:
            raise Broken(f"does not start: {error}") from error
        except StoreError as error:
            if self.disk.is_dead or self.disk.injected:
                raise
            raise Broken(f"does not start: {error}") from error
        told = next(line for line in reversed(self.lines) if '"msg":"recovered"' in line)
        self.counts.replayed += int(json.loads(told)["replayed-packs"])
        self.check(member)
        self.watch = WatchStream()
        member.give(WatchOpened(self.watch, 0))
        member.give(WatchAsked(self.watch, WatchCreate(b"/", b"0")))
        return member

    def check(self, member: SimMember) -> None:
        """Hold a recovered member against all that is known.

        Nothing a client was told of is lost; the log is what was written, cut at its end at most;
        the state is what the log makes of an empty one, said by the core and by the ledger.
        """
        state = member.driver.node.state
        last = member.driver.journal.last_index
        entries = self.log.entries
        if last < self.durable_index:
            raise Broken(f"lost: the log ends at {last}, answers rested on {self.durable_index}")
        if last > max(entries, default=0):
            raise Broken(f"the log ends at {last}, which was never written")
        self.counts.lost_unacknowledged += max(entries, default=0) - last
        self.log.entries = {index: entry for index, entry in entries.items() if index <= last}
        wanted, ledger = replayed(self.log.entries[index] for index in range(1, last + 1))
        if told := differences(state, wanted) or strays(state, ledger):
            raise Broken(f"the state is not what the log makes: {told}")
        if state.revision < self.workload.revision:
            raise Broken(f"revision went back to {state.revision} from {self.workload.revision}")
        for revision, key, value in self.claims:
            fact = ledger.said(revision, key)
            if fact is None or fact.value != value:
                raise Broken(f"lost: {key!r} at revision {revision}")
        self.counts.checked += len(self.claims)
        check_invariants(state)

    def serve(self, member: SimMember, turns: int) -> None:
        """Let clients ask for so many turns."""
        chance = self.chance
        for _ in range(turns):
            while chance.random() < self.hurry / (1 + self.hurry):
                wish = self.workload.draw()
                self.send(member, wish)
            if chance.random() < 0.02 and not any(not errand.over for _, errand in self.errands):
                method = chance.choice(("Defragment", "Snapshot"))
                self.errands.append((method, member.maintain(method)))
            if chance.random() < 0.01:
                member.tend_reserve()
            self.turn(member)

    def send(self, member: SimMember, wish: Wish) -> None:
        """Let a request arrive."""
        if is_query(wish):
            member.ask(wish, wish.what)  # type: ignore[arg-type]  # by kind
        else:
            member.offer(wish, wish.what)  # type: ignore[arg-type]  # by kind

    def turn(self, member: SimMember) -> Io:
        """Take a turn and note what clients hear, unless nobody can hear any more."""
        io = member.turn(self.chance.choice((0, 1, 5, 40, 900)))
        if self.disk.is_dead:
            raise PowerLost
        self.hear(member, io)
        for method, errand in self.errands:
            if errand.over:
                self.heed(method, errand)
        self.errands = [each for each in self.errands if not each[1].over]
        return io

    def hear(self, member: SimMember, io: Io) -> None:
        """Note what a turn told clients and watchers."""
        applied = member.driver.node.state.applied_index
        for token, answer in io.replies:
            assert isinstance(token, Wish)
            if isinstance(answer, Failure):
                self.counts.refusals += 1
                continue
            self.counts.acknowledged += 1
            self.counts.compactions += type(token.what).__name__ == "Compact"
            self.durable_index = applied
            self.workload.revision = max(self.workload.revision, answer.revision)
            self.claims += claims(token, answer)
        for _, message in io.notices:
            if isinstance(message, Events):
                self.durable_index = applied
                self.workload.revision = max(self.workload.revision, message.revision)
                self.claims += events(message.events)
            elif not isinstance(message, Created):
                raise Broken(f"a synced watcher was told {message!r}")

    def heed(self, method: str, errand: Errand) -> None:
        """Note how a defragmentation or a snapshot ended."""
        if errand.failure is not None:
            self.counts.refusals += 1
        elif method == "Defragment":
            self.counts.defragments += 1
        else:
            self.counts.snapshots += 1
            blobs = [pb.SnapshotResponse.FromString(message).blob for message in errand.received]
            image = b"".join(blobs)
            if sha256(image[:-32]).digest() != image[-32:]:
                raise Broken("a snapshot that does not carry its own hash")

    def settle(self, member: SimMember) -> None:
        """Let all that is under way end; then the store's rows are the core's state."""
        for _ in range(10_000):
            self.turn(member)
            if member.is_idle:
                break
        else:
            raise Broken("the member never comes to rest")
        driver = member.driver
        if not driver.flush_now(member.now_ms):
            raise Broken("the store cannot be written")
        loaded, dead = load(facts_of(driver.store), driver.store.rows())
        told = differences(loaded, driver.node.state)
        if dead or told:
            raise Broken(f"the store is not the state: {dead or told}")

    def answered(self, member: SimMember, wish: Wish) -> Answer:
        """Let a request arrive, and return its answer."""
        self.send(member, wish)
        for _ in range(1000):
            for token, answer in self.turn(member).replies:
                if token is wish:
                    return answer
        raise Broken(f"no answer to {wish.what!r}")

    def end(self) -> None:
        """Leave nothing registered."""
        if self.member is not None:
            self.member.crash("all")
            self.member = None
        # Each start put what there was out of the collector's sight, dead worlds too.
        gc.unfreeze()
        if self.seed % 16 == 0:
            gc.collect()


def is_query(wish: Wish) -> bool:
    """Whether a request only reads."""
    return type(wish.what).__name__ in ("Range", "LeaseKeepAlive")


def events(framed: bytes) -> list[Claim]:
    """Return what serialised watch events say of the keys."""
    response = pb.WatchResponse.FromString(framed)
    return [
        (event.kv.mod_revision, event.kv.key,
         event.kv.value if event.type == kv_pb2.Event.PUT else None)
        for event in response.events
    ]  # fmt: skip
