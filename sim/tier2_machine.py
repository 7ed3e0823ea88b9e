"""One machine of tier 2: a disk that stays, clocks, and the lives of the member on it.

Rule of this file: a life is `server.member.run_member` in a task of its own, from its first line to
its last. It ends by itself, or is ended: ports first, then the task; whatever its last wishes then
try is refused and swallowed. The next life begins on what the disk kept, by the same path.
"""

import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol, cast

import apsw
import trio
from attrs import define, field

from core.ids import Index, Term
from core.members import Member
from net.journal import PACK, Frame, Journal
from net.journal.layout import decode_frame, frame_bytes
from net.journal.scan import segment_path
from net.replicator import Entry, Replicator
from net.telemetry import INFO, Logger, Sink
from server.config import Config
from server.ground import Running
from server.member import EXIT_OK, run_member
from server.recover import Engine
from sim.disk import PowerLost, SimDisk
from sim.network import Network
from sim.perfect_messages import kind_of
from sim.platter import Survival
from sim.streams import StreamSockets
from sim.tier2_ground import DATA, SimGround, Traits
from sim.vfs import SimVfs
from sim.world import CRASH, START, TURN, MemberClock, World

LINES_KEPT = 50
SUFFIXES = {"journal": ".seg", "store": ".db"}


class Surroundings(Protocol):
    """What a machine asks of the cluster that it belongs to."""

    def spawn(self, life: Callable[[], Awaitable[None]]) -> None:
        """Run a life in a task of its own."""
        ...

    def woken(self) -> None:
        """A task may go on: let it, before time does."""
        ...

    def roused(self, sockets: StreamSockets) -> bool:
        """A member that waits may go on; whether this is taken care of."""
        ...

    def entered(self, machine: "Machine") -> None:
        """What is done from now on is done by this machine's member."""
        ...

    def began(self, machine: "Machine", running: Running) -> None:
        """A member stands and serves from the next turn on."""
        ...

    def rested(self, machine: "Machine") -> None:
        """A member did something, and is at rest again."""
        ...

    def fell(self, machine: "Machine") -> None:
        """A member is no more; its last wishes are not heard."""
        ...

    def ended(self, machine: "Machine", disk: SimDisk) -> None:
        """A member ended by its own word; `disk` is the one it had."""
        ...


@define(eq=False)
class Machine:
    """A machine. `surroundings` is who it belongs to."""

    number: int
    world: World
    traits: Traits
    config: Config
    disk: SimDisk
    clock: MemberClock
    surroundings: Surroundings
    engine_maker: Engine | None = None
    network: Network | None = None
    founders: Sequence[Member] = ()
    kind_of: Callable[[bytes], str] = kind_of
    lives: int = 0
    rests: int = 0
    ground: SimGround | None = None
    running: Running | None = None
    has_power: bool = True
    holds: int = 0
    """How many grips keep the process stopped."""
    lines: deque[str] = field(factory=lambda: deque[str](maxlen=LINES_KEPT))
    fatal: str = ""
    """Why the last life ended by itself, in its own words; "" if it did not."""
    journal: Journal | None = None
    """That of the life that runs, or ran last."""
    when_power_goes: Callable[[], None] | None = None
    """Ends the member, in the middle of the operation that the power goes in."""
    is_damaged: bool = False
    """Whether somebody changed durable bytes behind the member's back: it may refuse to serve."""
    is_refused: bool = False
    """Whether the last life ended by its own word before it served, or because of the damage."""
    _last_index: int = 0
    """The end of the journal when the last life that served was ended."""
    _held_index: int = 0
    """The same, when it was damaged: until it has shown that it still has all that."""
    _survival: Survival | None = None
    _scope: trio.CancelScope | None = None
    _starts: bool = False
    _is_leaving: bool = False
    """Whether it was asked to stop, and has not."""
    _when_over: Callable[[], None] | None = None
    _told: tuple[int, ...] = ()

    @property
    def is_up(self) -> bool:
        """Whether a life is under way, be it only recovering."""
        return self._scope is not None and self._survival is None

    def is_off(self) -> bool:
        """Whether not even the machine's kernel answers."""
        return not self.has_power

    @property
    def is_lost(self) -> bool:
        """Whether damage was done to it, and seen: it refuses to serve."""
        return self.is_damaged and self.is_refused

    @property
    def serves(self) -> bool:
        """Whether the member has come as far as its first turn."""
        return self.running is not None and self.is_up

    @property
    def engine(self) -> Replicator | None:
        """The running member's engine."""
        return None if self.running is None else self.running.opened.driver.engine

    def start(self) -> None:
        """Begin a life, as soon as the last one is over; nothing if one is under way."""
        if self._survival is not None or self._is_leaving:
            self._starts = True
        elif self._scope is None:
            self._begin()

    def end(self, survival: Survival, *, is_last: bool = False) -> None:
        """End the life that is under way, at once; `survival` says what the disk keeps."""
        if is_last:
            self._starts = False
        if not self.is_up:
            return
        assert self.ground is not None, "no life is under way"
        assert self._scope is not None, "no life is under way"
        self.world.note(CRASH, self.number, survival)
        if self.running is not None:
            self._last_index = self.running.opened.driver.journal.last_index
        self._survival = survival
        self.ground.is_dead = True
        self.disk.power_off()
        self.has_power = survival == "all"
        if self.ground.reached is not None:
            self.ground.reached.close()
        self.surroundings.fell(self)
        self.ground.sockets.power_off(self.is_off)
        self._scope.cancel()
        self.surroundings.woken()

    def has_durably(self, entry: Entry) -> bool:
        """Whether its disk holds an entry for good: in its journal, or in the store before it.

        One whose disk was damaged had what it had.
        """
        index, journal = Index(entry.index), self.journal
        if self.is_damaged or journal is None or index > journal.last_index:
            return self.is_damaged
        if index < journal.first_index:
            return True
        segment, offset, seed = journal.locate(index)
        path = segment_path(f"{DATA}/journal", segment)
        image = self.disk.platter(path, offset, frame_bytes(len(entry.payload)))
        found = decode_frame(image, 0, seed)
        frame = Frame(PACK, Term(entry.term), index, entry.payload)
        return found is not None and found[0] == frame

    def stop(self, grace_ms: int) -> None:
        """Ask the member to stop, as SIGTERM does."""
        if self.running is not None and self.is_up and not self._is_leaving:
            self._is_leaving = True
            self.enter()
            self.running.stop(grace_ms)

    def pause(self, *, on: bool) -> None:
        """Stop the process, or let it go on; grips add up."""
        self.holds += 1 if on else -1
        assert self.holds >= 0, "a grip was let go twice"
        if self.ground is not None:
            self.ground.pause(on=self.holds > 0)

    def damage(self, what: str, file: str, *, at_permille: int, bit: int) -> bool:
        """Flip a bit of a durable file, or cut its tail off; the member must be down."""
        paths = [path for path in self.disk.paths() if path.endswith(SUFFIXES[file])]
        if not any(self.disk.image(path) for path in paths):
            return False
        self._held_index = max(self._held_index, self._last_index)
        if self._scope is not None:
            # It was ended a moment ago, and its last life is still being folded up.
            self.is_damaged = True
            self._when_over = partial(self._damage, what, file, at_permille, bit)
            return True
        self._damage(what, file, at_permille, bit)
        return True

    def _damage(self, what: str, file: str, at_permille: int, bit: int) -> None:
        paths = [path for path in self.disk.paths() if path.endswith(SUFFIXES[file])]
        paths = [path for path in paths if self.disk.image(path)]
        if not paths:
            return
        path = paths[at_permille * len(paths) // 1001]
        offset = at_permille * len(self.disk.image(path)) // 1001
        self.is_damaged = True
        if what == "bit_rot":
            self.disk.flip_bit(path, offset, bit % 8)
        else:
            self.disk.cut_silently(path, offset)

    # For the ground.

    def enter(self) -> None:
        """What is done from now on is done by this member."""
        self.surroundings.entered(self)

    def began(self, running: Running) -> None:
        """The parts stand; the first turn comes next."""
        running.opened.driver.packs.verify = True
        self.running = running
        self.journal = running.opened.driver.journal
        if self.ground is not None:
            self.ground.sockets.reactor = running.reactor
        self.is_refused = False
        applied = running.opened.driver.node.state.applied_index
        self.world.note(START, self.number, self.lives, applied)
        self.surroundings.began(self, running)
        if running.opened.driver.journal.last_index >= self._held_index:
            self._held_index = 0
        else:
            # Damage to the last records looks like a torn write. Who lost what it acknowledged and
            # does not know is no member: its operator, who knows, keeps it away.
            self.world.mark("damage taken for a torn write")
            self.end("all")
            self.is_refused = True

    def rested(self) -> None:
        """The member has nothing more to do now: write down where it is, if that is news."""
        running = self.running
        self.rests += 1
        if running is None:
            return
        driver = running.opened.driver
        state, role = driver.node.state, driver.engine.role
        commit = driver.engine.commit_index
        told = (role.term, commit, state.applied_index, state.revision, int(role.is_leader))
        if told != self._told:
            self._told = told
            self.world.note(TURN, self.number, *told)
            self.surroundings.rested(self)

    # A life.

    def _begin(self) -> None:
        self.lives += 1
        self.has_power = True
        self.fatal = ""
        self._told = ()
        chance = self.world.chance(f"member/{self.number}/{self.lives}")
        vfs = SimVfs(f"sim-{self.number}-{self.lives}", self.disk, chance)
        sockets = StreamSockets(
            self.world,
            self.clock,
            woken=self.surroundings.woken,
            enters=self.enter,
            rests=self.rested,
            roused=self.surroundings.roused,
        )
        self.ground = SimGround(
            self.number, self.world, self, self.traits, self.disk, vfs, self.clock, sockets, chance,
            self.surroundings.woken, self.engine_maker, self.network,
            self.founders, self.kind_of,
        )  # fmt: skip
        self.ground.pause(on=self.holds > 0)
        self.disk.on_power_loss = self._lost_power
        self._scope = trio.CancelScope()
        self.surroundings.spawn(self._live)

    def _lost_power(self) -> None:
        then, self.when_power_goes = self.when_power_goes, None
        if then is not None:
            then()
        self.end("subset")

    async def _live(self) -> None:
        assert self._scope is not None, "no life is under way"
        assert self.ground is not None, "no life is under way"
        ground = self.ground
        log = Logger(Sink(self._line, self._wall_ns, INFO))
        code = EXIT_OK
        with self._scope:
            try:
                code = await run_member(self.config, log, ground)
            except* PowerLost:
                assert self.disk.is_dead, "a disk with power says that it has none"
        self._over(ground, code)

    def _over(self, ground: SimGround, code: int) -> None:
        """Let go of what the life held; the disk is what the next one finds."""
        is_dead = self._survival is not None
        running, self.running = self.running, None
        if not is_dead:
            self.surroundings.fell(self)
            # The end of a process closes what it had open and loses nothing of the page cache.
            ground.is_dead = True
            ground.sockets.power_off(self.is_off)
            self.disk.power_off()
        if running is not None:
            # The connection would else be closed at any time, by the collector.
            with suppress(PowerLost, OSError, apsw.Error):
                running.opened.driver.store.close()
        ground.vfs.unregister()
        disk = self.disk
        self.disk = disk.restart(self._survival or "all")
        for met in sorted(disk.met):
            self.world.mark(f"disk met {met}")
        self._survival = None
        self._scope = None
        self._is_leaving = False
        self.ground = None
        if not is_dead and code != EXIT_OK:
            self.is_refused = running is None or self.is_damaged
            self.surroundings.ended(self, disk)
        when_over, self._when_over = self._when_over, None
        if when_over is not None:
            when_over()
        if self._starts:
            self._starts = False
            self._begin()

    def _line(self, line: str) -> None:
        self.lines.append(line)
        if '"level":"fatal"' in line:
            told = cast(dict[str, str], json.loads(line))
            reason = told.get("reason") or told.get("error") or told["msg"]
            self.fatal = f"{reason} {told.get('cause', '')}".strip()

    def _wall_ns(self) -> int:
        return self.clock.wall_us() * 1000
