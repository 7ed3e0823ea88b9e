"""Tier 2: whole shipped members, from bytes to SQLite, in one simulated world under trio.

Rule of this file: nothing of a member is copied here. Members run `server.member.run_member` as
tasks; what they do takes no time; between two moments everything that may go on does. The world's
heap moves time, and trio's clock shows it.

    heap event -> wakes members -> all tasks run until they wait -> next heap event or deadline

trio shuffles tasks that may run; that is seeded by a private switch of it (`sim/tier2_clock.py`).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Final

import trio

from core.ids import Index
from net import faultpoint
from net.flush import Pace
from net.journal import Journal
from net.replicator import Entry, LogBounds, Replicator
from net.store.batch import Identity
from server.ground import GRACE_MS, Running
from sim.disk import PowerLost, SimDisk
from sim.engines import domain_of, engine_of, founders, kind_of
from sim.history import Logged, Seen, WatchSpec
from sim.ledger import Ledger
from sim.network import Network
from sim.ops import Admin, Op, Result
from sim.plan import Options
from sim.platter import Survival
from sim.provision import Provision
from sim.streams import End, StreamSockets, Way, pair
from sim.tier2_buggify import Buggify
from sim.tier2_clock import WorldClock, seed_scheduler
from sim.tier2_disks import Disks
from sim.tier2_ground import Traits, collecting_nothing, configured, members_by_number
from sim.tier2_log import CommonLog, contradiction
from sim.tier2_machine import Machine
from sim.tier2_moments import Moments
from sim.tier2_peers import SimPeers
from sim.truth import Truth
from sim.vfs import deterministic_sqlite
from sim.wire import WatchStream, WireEndpoint
from sim.world import Kind, MemberClock, World

CLUSTER_ID: Final = 0xC1
MEMBER_ID: Final = 1
"""The first member's id; the others follow."""
PLATTER: Final = Kind(21, "platter", ("hash",))
SPLITS: Final = 0.02


class Tier2Cluster(Disks):
    """Members 0 to size - 1, and what clients reach them by."""

    def __init__(self, world: World, options: Options) -> None:
        self.world = world
        self.options = options
        self.moments = Moments(world)
        self.faults: list[str] = []
        """Ends of members for which nobody gave them reason."""
        self.points: dict[int, tuple[str, int, Callable[[], None]]] = {}
        """For each member the faultpoint it ends at, the passes left, and what ends it."""
        count = options.members + options.spares
        self.provision = Provision(
            world,
            options.members,
            options.spares,
            start=self.start,
            stop=partial(self.crash, survival="all"),
        )
        self.provision.rest_us = options.duration_ms * 1000
        self.truth = Truth(world, self._holds, self.provision.changed)
        self.network = Network(
            world, count, delay_us=options.link_ms * 1000, datagrams=options.datagrams
        )
        self.ledger = Ledger(
            world,
            tuple(range(MEMBER_ID, MEMBER_ID + count)),
            can_talk=self._can_talk,
            wake=lambda member: self._nudge(member - MEMBER_ID),
        )
        self.machines = [self._machine(number) for number in range(count)]
        self.endpoint = WireEndpoint(world, self._dial, lambda number: MEMBER_ID + number)
        self.log = CommonLog(world, self.endpoint.numbers)
        self.buggify = Buggify(world, options)
        self.current: Machine | None = None
        """Whose code runs."""
        self._nursery: trio.Nursery | None = None
        self._unborn: list[Callable[[], Awaitable[None]]] = []
        self._out: dict[int, Way] = {}
        self._back: dict[int, Way] = {}
        for number in range(count):
            self._out[number] = self._way(f"client>{number}")
            self._back[number] = self._way(f"{number}>client")

    @property
    def size(self) -> int:
        """How many members there are, up or down."""
        return len(self.machines)

    # Clients.

    def ask(self, member: int, op: Op, deadline_ms: int, then: Callable[[Result], None]) -> None:
        """See Endpoint. Who removes a member begins with one whose disk was damaged."""
        if isinstance(op, Admin) and op.what == "member_remove":
            members = self.provision.members()
            damaged = (number for number in members if self.machines[number].is_damaged)
            op = op._replace(target=next(damaged, op.target))
        self.endpoint.ask(self._stand_in(member), op, deadline_ms, then)

    def watch(self, member: int, spec: WatchSpec, sink: Callable[[Seen], None]) -> WatchStream:
        """See Endpoint."""
        return self.endpoint.watch(self._stand_in(member), spec, sink)

    def _stand_in(self, member: int) -> int:
        """A member whose disk was damaged stays away for good: its clients go to the next one."""
        wanted = self.provision.turn_to(member)
        others = sorted(self.provision.voters(), key=lambda number: (number - wanted) % self.size)
        return next((each for each in (wanted, *others) if not self.machines[each].is_lost), wanted)

    # Members.

    def is_up(self, member: int) -> bool:
        """See Cluster."""
        return self.machines[member].is_up

    def leader(self) -> int | None:
        """See Cluster."""
        found: tuple[int, int] | None = None
        for machine in self.machines:
            engine = machine.engine
            if machine.serves and engine is not None and engine.role.is_leader:
                found = max(found or (0, 0), (engine.role.term, machine.number))
        return None if found is None else found[1]

    def start(self, member: int) -> None:
        """See Cluster."""
        if self.provision.may_run(member):
            self.machines[member].start()

    def crash(self, member: int, survival: Survival) -> None:
        """See Cluster."""
        self.machines[member].end(survival)

    def stop(self, member: int) -> None:
        """See Cluster."""
        self.world.mark("stop")
        self.machines[member].stop(GRACE_MS)

    def crash_at(self, member: int, point: str, hits: int, then: Callable[[], None]) -> None:
        """See Cluster."""
        self.points.pop(member, None)
        if not point:
            self.disarm(member)
        if point == "disk":
            self.power_loss(member, hits, then)
        elif point:
            self.points[member] = (point, hits, then)

    def pause(self, member: int, *, on: bool) -> None:
        """See Cluster."""
        machine = self.machines[member]
        machine.pause(on=on)
        if machine.holds:
            self.ledger.stopped.add(member + MEMBER_ID)
        else:
            self.ledger.stopped.discard(member + MEMBER_ID)

    def clock_rate(self, member: int, ppm: int) -> None:
        """See Cluster."""
        self.machines[member].clock.set_rate(ppm)

    def clock_step(self, member: int, step_ms: int) -> None:
        """See Cluster."""
        self.machines[member].clock.step_wall(step_ms * 1000)

    def clock_stall(self, member: int, ms: int) -> None:
        """See Cluster."""
        self.machines[member].clock.stall(ms * 1000)
        self.pause(member, on=True)
        self.world.after(ms, partial(self.pause, member, on=False))

    def clients_blocked(self, member: int, *, on: bool) -> None:
        """See Cluster."""
        for way in (self._out[member], self._back[member]):
            if on:
                way.hold()
            else:
                way.release()
        ground = self.machines[member].ground
        if on and ground is not None:
            ground.sockets.lose_all("the network is cut")

    def depose(self, ms: int) -> None:
        """See Cluster: a real leader is deposed by losing its links."""
        leader = self.leader()
        if self.options.engine == "perfect":
            self.ledger.depose(ms)
        elif leader is not None:
            self.network.cut_off(leader, ms)

    def transfer(self, member: int) -> None:
        """See Cluster."""
        leader = self.leader()
        if self.options.engine == "perfect":
            self.ledger.transfer(member + MEMBER_ID)
        elif leader is not None and (reached := self._reached(leader)) is not None:
            reached.transfer(member + MEMBER_ID)

    def snapshot(self, member: int) -> None:
        """See Cluster."""
        reached = self._reached(member)
        if reached is not None:
            reached.cut_log()

    # For machines.

    def spawn(self, life: Callable[[], Awaitable[None]]) -> None:
        """Run a life in a task of its own."""
        self.moments.woken()
        if self._nursery is None:
            self._unborn.append(life)
        else:
            self._nursery.start_soon(life)

    def woken(self) -> None:
        """A task may go on: let it, before time does."""
        self.moments.woken()

    def roused(self, sockets: StreamSockets) -> bool:
        """A waiting reactor may go on; whether that is taken care of."""
        return self.moments.roused(sockets)

    def entered(self, machine: Machine) -> None:
        """What is done from now on is done by this machine's member."""
        self.current = machine

    def running(self) -> int:
        """Return whose code runs."""
        assert self.current is not None, "a core outside of a member"
        return self.current.number

    def passed(self, point: str) -> None:
        """Some member passes a faultpoint."""
        machine = self.current
        assert machine is not None, "a faultpoint outside of a member"
        asked = self.points.get(machine.number)
        if asked is not None and asked[0] == point:
            _, hits, then = asked
            if hits > 1:
                self.points[machine.number] = (point, hits - 1, then)
            else:
                del self.points[machine.number]
                self.world.mark(f"ended at {point}")
                then()
        if self.options.buggify and self.buggify.fires(point, machine):
            self.world.mark(f"buggify {point}")
        if machine.disk.is_dead:
            raise PowerLost

    def began(self, machine: Machine, running: Running) -> None:
        """A member stands and serves from the next turn on."""
        self.world.mark("start")
        if self.options.engine == "local":
            self.log.comes_back(machine.number, running.opened.driver.journal.last_index)

    def rested(self, machine: Machine) -> None:
        """A member did something, and is at rest again."""

    def ended(self, machine: Machine, disk: SimDisk) -> None:
        """A member ended by its own word: its disk must have given it reason."""
        self.world.mark("member ended itself")
        is_member = machine.number in self.provision.members()
        if is_member and not disk.injected and not machine.is_damaged:
            self.faults.append(f"member {machine.number} ended by itself: {machine.fatal}")

    def fell(self, machine: Machine) -> None:
        """A member is no more; its last wishes are not heard."""
        self.ledger.engines.pop(machine.number + MEMBER_ID, None)

    # The end.

    def broken(self) -> AssertionError | None:
        """The first invariant that broke, or end of a member that nobody gave reason for."""
        if self.log.broken is None and self.faults:
            self.log.broken = AssertionError(self.faults[0])
        return self.truth.broken or self.log.broken

    def contradiction(self) -> AssertionError | None:
        """The first state of a serving member that contradicts itself."""
        lives = (machine.running for machine in self.machines if machine.serves)
        return contradiction(life.opened.driver.node.state for life in lives if life is not None)

    @property
    def turns(self) -> int:
        """How often members came to rest."""
        return sum(machine.rests for machine in self.machines)

    def logged(self) -> list[Logged]:
        """See Cluster."""
        return self.log.log

    def settled(self) -> str:
        """See Cluster."""
        applied: set[int] = set()
        for member in self.provision.members():
            machine = self.machines[member]
            if machine.is_lost:
                continue
            if machine.running is None or not machine.serves:
                return f"member {machine.number} does not serve"
            node = machine.running.opened.driver.node
            if node.proposals_waiting:
                return f"member {machine.number} waits for {node.proposals_waiting} proposals"
            applied.add(node.state.applied_index)
        if len(applied) > 1:
            return f"members are at indexes {sorted(applied)}"
        if self.endpoint.open_asks:
            return f"{self.endpoint.open_asks} clients wait for answers"
        return "" if self.leader() is not None else "nobody leads"

    def close(self) -> None:
        """See Cluster: its task ends it."""
        self.endpoint.close()

    # Time.

    async def run(self, script: Callable[[], Awaitable[None]]) -> None:
        """Run a script beside the members; when it returns, everything ends at once."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if self.options.engine == "perfect":
                self.ledger.begin()
            for life in self._unborn:
                nursery.start_soon(life)
            self._unborn.clear()
            await script()
            for machine in self.machines:
                machine.end("all", is_last=True)
            await self.moments.settle()
            for machine in self.machines:
                self.world.note(PLATTER, machine.number, machine.disk.digest())
            self.endpoint.close()
            self._nursery = None

    async def advance(self, end_us: int) -> None:
        """Let everything happen that is due up to a time, and make it that time."""
        await self.moments.advance(end_us)

    # Between members.

    def _can_talk(self, a: int, b: int) -> bool:
        if a == b or a in self.ledger.stopped or b in self.ledger.stopped:
            return False
        return self.network.is_free(a - MEMBER_ID, b - MEMBER_ID)

    def _nudge(self, member: int) -> None:
        reached = self._reached(member)
        if reached is not None:
            reached.nudge()

    def _reached(self, member: int) -> SimPeers | None:
        machine = self.machines[member]
        return machine.ground.reached if machine.ground is not None and machine.serves else None

    def _holds(self, member_id: int, entry: Entry) -> bool:
        return self.machines[member_id - MEMBER_ID].has_durably(entry)

    # Making.

    def _machine(self, number: int) -> Machine:
        world, options = self.world, self.options
        chance = world.chance(f"member/{number}")
        pace = Pace(
            apply_commands=options.apply_commands,
            flush_rows=chance.choice((1, 16, 256)),
            flush_delay_ms=chance.choice((0, 50, 500)),
            checkpoint_bytes=chance.choice((0, 16 << 10, 128 << 10)),
            truncate_bytes=chance.choice((0, 64 << 10, 512 << 10)),
            idle_ms=chance.choice((50, 500, 500, 500, 500, 500, 500, 500)),
        )
        traits = Traits(
            Identity(cluster_id=CLUSTER_ID, member_id=MEMBER_ID + number),
            pace,
            segment_bytes=options.segment_bytes,
            reserve_bytes=options.segment_bytes,
            voters_wanted=options.voters,
            stand_bys_wanted=options.stand_bys,
            failure_domain=domain_of(options, MEMBER_ID + number),
        )
        disk = SimDisk(
            Random(f"{world.seed}/disk/{number}"),
            directories="strict" if options.strict_directories else "ordered",
        )
        clock = MemberClock(world)
        clock.boot(chance.randrange(1_000_000_000))
        clock.set_rate(chance.randint(-options.drift_ppm, options.drift_ppm))
        alone = options.engine == "local"
        return Machine(
            number,
            world,
            traits,
            configured(options),
            disk,
            clock,
            self,
            None if alone else self._engine,
            None if alone else self.network,
            founders(options.members) if options.is_raft else (),
            kind_of(options),
        )

    def _engine(self, member_id: int, bounds: LogBounds, journal: Journal) -> Replicator:
        first, last = journal.first_index, journal.last_index
        before = Index(first - 1)
        return engine_of(
            self.options,
            member_id,
            bounds,
            base=(before, journal.term_at(before)),
            entries=[Entry(*each) for each in journal.read(first, last)],
            ledger=self.ledger,
            truth=self.truth,
            chance=partial(self.world.chance, f"engine/{member_id - MEMBER_ID}"),
        )

    def _way(self, name: str) -> Way:
        delay_us = self.options.link_ms * 500
        return Way(self.world, self.world.chance(f"net/{name}"), delay_us, SPLITS)

    def _dial(self, member: int, address: str) -> End:
        near, far = pair(self._out[member], self._back[member])
        self._out[member].carry(partial(self._arrive, member, far, address))
        return near

    def _arrive(self, member: int, end: End, address: str) -> None:
        machine = self.machines[member]
        ground = machine.ground
        if ground is None or machine.is_off() or not ground.sockets.connect(end, address):
            end.refuse(machine.is_off)


def live(world: World, options: Options, script: Callable[[Tier2Cluster], Awaitable[None]]) -> None:
    """Run a cluster under trio until its script returns."""
    deterministic_sqlite(world.chance("sqlite"))
    seed_scheduler(f"{world.seed}/trio")
    cluster = Tier2Cluster(world, options)
    faultpoint.install(cluster.passed)
    try:
        with (
            members_by_number(),
            collecting_nothing(),
            cluster.log.observed(cluster.running),
        ):
            trio.run(cluster.run, partial(script, cluster), clock=WorldClock(world))
    finally:
        faultpoint.install(None)
        world.forget()
