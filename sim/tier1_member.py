"""One machine of tier 1: what stays of it, and the lives of the shipped driver and core on it.

Rule of this file: it stands where reactor, threads and sockets stand in production, and adds
nothing that they would not do. Requests enter through the shipped services, as etcd's messages; a
sync and a job take their time and are done whole. Dead means dead: the ports are closed first, and
nothing that a life still had under way reaches the next.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from core.codec import ProposalId
from core.effects import Effect, Propose, Reply
from core.inputs import (
    Asked,
    ChangeOffered,
    Committed,
    Input,
    Offered,
    WatchAsked,
    WatchClosed,
    WatchOpened,
)
from core.node import Node
from core.operations import LeaseKeepAlive
from core.tuples import new
from core.watching import WatchCreate, WatchStream
from net import replicator as raft
from net.disk import DiskFull
from net.driver import Driver
from net.etcd.calls import Call
from net.etcd.services import Services
from net.faultpoint import faultpoint
from net.flush import Pace
from net.journal import Journal
from net.local import LocalEngine
from net.metrics import Metrics
from net.packs import decode_entry
from net.store.store import Store
from net.turns import (
    DriverInput,
    Io,
    JobDone,
    LeadershipTo,
    PeerDown,
    PeerMessage,
    PeerUp,
    SnapshotArrived,
    SnapshotGone,
    Synced,
)
from sim import cluster
from sim.alarm import NEVER_US, Alarm
from sim.engines import change_asked, engine_of, kind_of, node_config
from sim.history import WatchSpec
from sim.ledger import Ledger
from sim.models import DiskError, EndedError, Rows
from sim.network import Network
from sim.ops import Admin, KeepAlive, Unknown
from sim.plan import Options
from sim.platter import Survival
from sim.tier1_clients import Asking, Watching
from sim.tier1_disk import MachineDisk, StagedRows
from sim.tier1_ports import NoAdministration, Surroundings
from sim.tier1_words import told
from sim.truth import Truth
from sim.wire_words import raw, request
from sim.world import CRASH, INSTALL, ROLE, SNAPSHOT, START, TURN, MemberClock, World

TURN_US = 1_000
"""So long after something came a turn takes it, with all that came meanwhile.

What a turn of a busy member takes: syncs and messages come while it is at work.
"""
PERFECT_TURN_US = (1_000, 8_000)
"""The same on the perfect log, where each machine is as fast as it is drawn."""
JOB_US = 2_000
IDLE_MS = 900
"""Less than the lease clock believes in one step."""


class Member:
    """A machine: its disk, its clock, and whatever life runs on it."""

    def __init__(
        self,
        number: int,
        world: World,
        network: Network,
        ledger: Ledger,
        truth: Truth,
        options: Options,
        surroundings: Surroundings,
    ) -> None:
        self.number = number
        self.id = number + 1
        self.world = world
        self.network = network
        self.ledger = ledger
        self.truth = truth
        self.options = options
        self.surroundings = surroundings
        self.chance = world.chance(f"member/{number}")
        self._client_chance = world.chance(f"client-net/{number}")
        self.disk = MachineDisk()
        self._kind_of = kind_of(options)
        self.clock = MemberClock(world)
        self.clock.boot(self.chance.randrange(1_000_000_000))
        self.clock.set_rate(self.chance.randint(-options.drift_ppm, options.drift_ppm))
        is_perfect = options.engine == "perfect"
        self._turn_us = self.chance.randint(*PERFECT_TURN_US) if is_perfect else TURN_US
        self.life = 0
        self.is_up = False
        self.holds = 0
        self.client_holds = 0
        self.turns = 0
        self._metrics = Metrics()
        """Of all lives: nobody reads them here, and making them is a tenth of a start."""
        self.driver: Driver
        self._services: Services
        self._inbox: list[DriverInput] = []
        self._alarm = Alarm(world, self._turn)
        self._asked: dict[Asking, None] = {}
        self._streams: dict[WatchStream, Watching] = {}
        self._shown: tuple[int, ...] = ()

    # Life and death.

    def start(self) -> None:
        """Begin a life on what the disk keeps."""
        if self.is_up:
            return
        self.life += 1
        self.is_up = True
        self.surroundings.entered(-1)
        options, disk = self.options, self.disk
        rows = disk.open()
        state, dead = rows.state()
        origin = self.chance.getrandbits(62) + 1
        node = Node(state, node_config(options, self.id, origin))
        engine = self._engine()
        self.driver = Driver(
            node,
            engine,
            cast(Journal, disk.journal),  # it has what the driver uses of one
            cast(Store, disk.store),  # it has what the driver uses of one
            self._metrics,
            Pace(
                apply_commands=options.apply_commands,
                flush_rows=64,
                flush_delay_ms=300,
                checkpoint_bytes=options.snapshot_entries or NEVER_US,
                truncate_bytes=NEVER_US,
                idle_ms=IDLE_MS,
            ),
        )
        if dead:
            self.driver.buffer.erase(dead, scrubbed=state.compact_revision, done=True, now_ms=0)
        self.driver.packs.verify = True
        self.driver.on_disk_full = disk.journal.give_up_reserve
        self._services = Services(
            self.driver.metrics, NoAdministration(), txn_ops_max=128, watch_jitter_ms_max=0
        )
        self._observe(node)
        if isinstance(engine, LocalEngine):
            self._replay()
        self._inbox = []
        self._alarm.stop()
        self.world.note(START, self.number, self.life, node.state.applied_index)
        self.network.attach(self.number, self)
        self._wake(0)

    def crash(self, survival: Survival, how: str) -> None:
        """End this life. Its ports go first."""
        if not self.is_up:
            return
        self.is_up = False
        self.network.detach(self.number)
        self.ledger.engines.pop(self.id, None)
        self.world.note(CRASH, self.number, how)
        for asking in self._asked:
            asking.settle(Unknown("the connection was lost"))
        for watching in self._streams.values():
            watching.lose("the connection was lost")
        self._asked.clear()
        self._streams.clear()
        self._inbox.clear()
        self.disk.crash(survival, self.chance)

    def _engine(self) -> raft.Replicator:
        log = self.disk.log
        return engine_of(
            self.options,
            self.id,
            self.disk.bounds(),
            base=(log.base_index, log.base_term),
            entries=log.entries,
            ledger=self.ledger,
            truth=self.truth,
            chance=partial(self.world.chance, f"engine/{self.number}"),
            lossy=self.options.datagrams,
        )

    def _replay(self) -> None:
        """A quorum of one has committed all that its journal holds."""
        for entry in list(self.disk.log.entries):
            if entry.index > self.driver.node.state.applied_index:
                self.driver.replay(Committed(entry.index, entry.term, decode_entry(entry)))

    def _observe(self, node: Node) -> None:
        """Tell the cluster of what is proposed for clients, and of what is applied."""
        step = node.step
        origin = node.config.origin

        def observed(given: Input) -> Sequence[Effect]:
            effects = step(given)
            if type(given) is Committed:
                self.surroundings.applied(self.number, given, effects, node.state)
            elif type(given) is Offered:
                for effect in effects:
                    if isinstance(effect, Propose) and effect.command is given.command:
                        asking = cast(Asking, given.token)
                        proposal = ProposalId(origin, effect.sequence)
                        self.surroundings.offered(asking.number, asking.op, proposal)
            return effects

        node.step = observed  # type: ignore[method-assign]  # it looks on, and changes nothing

    def installed(self, rows: Rows) -> None:
        """See Installer."""
        self.world.note(INSTALL, self.number, rows.index, rows.revision)

    # Turns.

    def give(self, given: DriverInput) -> None:
        """Have something taken in the next turn."""
        self._inbox.append(given)
        due_us = self.world.now_us + self._turn_us
        if due_us < self._alarm.due_us:
            self._alarm.set(due_us)

    def wake(self) -> None:
        """Have the engine step, though nothing came."""
        if self.is_up:
            self.give(PeerMessage(self.id, 0, b""))

    def _wake(self, delay_us: int) -> None:
        due_us = self.world.now_us + max(delay_us, 1)
        if due_us < self._alarm.due_us:
            self._alarm.set(due_us)

    def _turn(self) -> None:
        if not self.holds and self.is_up:
            self.turns += 1
            self._do(self._take_turn)

    def _do(self, work: Callable[[], None]) -> None:
        """Run the member's own code: it may be ended anywhere in it."""
        self.surroundings.entered(self.number)
        try:
            work()
        except EndedError:
            assert not self.is_up, "who was ended runs on"
        except DiskError as error:
            self.surroundings.failed(self.number, str(error))

    def _take_turn(self) -> None:
        inputs, self._inbox = self._inbox, []
        alarm, mono_us = self._alarm, self.clock.monotonic_us()
        io = self.driver.turn(mono_us // 1000, inputs)
        self._carry_out(io)
        left_us = io.next_deadline_ms * 1000 - mono_us
        if io.busy:
            self._wake(self._turn_us)
        elif (due_us := self.clock.world_after_us(left_us)) < alarm.due_us:
            soonest_us = self.world.now_us + self._turn_us
            alarm.set(due_us if due_us > soonest_us else soonest_us)

    def _carry_out(self, io: Io) -> None:
        if io.replies:
            self._answer(io.replies)
        for notice in io.notices:
            watching = self._streams.get(notice.stream)
            if watching is not None:
                watching.see(notice.message)
        for stream, failure in io.ended:
            watching = self._streams.pop(stream, None)
            if watching is not None:
                watching.lose(f"{failure.code}: {failure.text}")
                self.world.mark("stream ended without a leader")
        if io.sends:
            self._send(io.sends)
        for peer, index in io.snapshots:
            self._send_snapshot(peer, index)
        if io.sync:
            self._sync(io.sync)
        for job in io.jobs:
            self._start_job(job.kind, job.run)
        self._note()

    def _answer(self, replies: Sequence[Reply]) -> None:
        faultpoint("answer.before")
        asked = self._asked
        for token, answer in replies:
            assert isinstance(token, Asking), "INV-TOKEN"
            if asked.pop(token, token) is None:
                token.settle(told(answer))
        faultpoint("answer.after")

    def _send(self, messages: Sequence[PeerMessage]) -> None:
        number, me = self.number, self.id
        for peer, channel, data in messages:
            faultpoint("send.before")
            what = self._kind_of(data) if channel == 0 else "question" if channel == 1 else "answer"
            message = new(PeerMessage, (me, channel, data))
            self.network.send(number, peer - 1, message, size=len(data), what=what)
            faultpoint("send.after")

    def _note(self) -> None:
        driver = self.driver
        engine, state = driver.engine, driver.node.state
        term, _, leads = engine.role
        led = 1 if leads else 0
        shown = (term, engine.commit_index, state.applied_index, state.revision, led)
        if shown != self._shown:
            if term != (self._shown or (0,))[0]:
                self.world.note(ROLE, self.number, term, led)
            self._shown = shown
            self.world.note(TURN, self.number, *shown)

    def _sync(self, batch: int) -> None:
        life, disk = self.life, self.disk
        upto = disk.journal.sync_began()
        mean_us = cluster.SYNC_US
        delay_us = disk.sync_us + mean_us // 2 + int(self.chance.random() * mean_us)

        def done() -> None:
            if life != self.life or not self.is_up:
                return
            if disk.next_error in ("sync", "write"):
                self.surroundings.failed(self.number, f"EIO: {disk.next_error}")
                return
            if not disk.is_lying:
                disk.journal.synced(upto)
            self.give(Synced(batch))

        self.world.after_us(delay_us, done)

    def _start_job(self, kind: str, run: Callable[[], object]) -> None:
        life = self.life

        def done() -> None:
            if life != self.life or not self.is_up:
                return
            try:
                result = run()
            except DiskFull as full:
                result = full
            self.give(JobDone(kind, result))

        self.world.after_us(JOB_US + self.disk.sync_us, done)

    def cut_log(self) -> None:
        """Make the store durable now, and let the log go behind it."""
        self._do(self._cut_log)

    def _cut_log(self) -> None:
        self.driver.flush_now(self.driver.node.now_ms)
        self.give(JobDone("checkpoint", self.disk.store.checkpoint()))

    def transfer(self, target: int) -> None:
        """Have leadership given to another, if it is this member's to give."""
        if self.is_up:
            self.give(LeadershipTo(0, target))

    # Stopped, and going on.

    def pause(self, *, on: bool) -> None:
        """Stop the process, or let it go on."""
        self.holds += 1 if on else -1
        if self.holds:
            self.ledger.stopped.add(self.id)
        else:
            self.ledger.stopped.discard(self.id)
            if self.is_up:
                self._wake(0)

    # Peers: the network's port.

    def link_up(self, peer: int) -> None:
        """See Port."""
        self.give(PeerUp(peer + 1))

    def link_down(self, peer: int) -> None:
        """See Port."""
        self.give(PeerDown(peer + 1))

    def arrived(self, peer: int, data: object) -> None:
        """See Port."""
        if type(data) is PeerMessage:
            self.give(data)
        elif isinstance(data, Rows):
            self._stage(peer, data)
        else:
            assert isinstance(data, bool), "a snapshot is taken, or it is not"
            self.give(SnapshotGone(peer + 1, data))

    def _send_snapshot(self, peer: int, index: int) -> None:
        driver = self.driver
        driver.flush_now(driver.node.now_ms)
        if self.disk.store.applied[0] < index:
            self.give(SnapshotGone(peer, False))
            return
        faultpoint("snapshot.before")
        rows = self.disk.store.snapshot()
        self.world.note(SNAPSHOT, self.number, peer - 1, rows.index)
        self.network.send(self.number, peer - 1, rows, size=rows.size_bytes, what="snapshot")
        faultpoint("snapshot.after")

    def _stage(self, peer: int, rows: Rows) -> None:
        """Make a received snapshot durable, as a generation that nothing refers to yet."""
        life = self.life

        def done() -> None:
            if life != self.life or not self.is_up:
                return
            generation = self.disk.stage(rows)
            self.network.send(self.number, peer, True, size=16, what="staged")
            self.give(SnapshotArrived(peer + 1, StagedRows(self.disk, rows, generation, self)))

        self.world.after_us(JOB_US + self.disk.sync_us, done)

    # Clients.

    def client_delay_us(self) -> int:
        """Draw how long something takes between client and member."""
        mean = self.options.link_ms * 1000
        return mean // 2 + int(self._client_chance.random() * mean)

    def back(self, call: Callable[[], None]) -> None:
        """Have something reach the client, unless the way is cut."""
        if not self.client_holds:
            self.world.after_us(self.client_delay_us(), call)

    def ask(self, asking: Asking) -> None:
        """Take a client's request as it comes from the wire."""
        asking.life = self.life
        self._asked[asking] = None
        if isinstance(asking.op, KeepAlive):
            self.give(Asked(asking, LeaseKeepAlive(asking.op.lease)))
            return
        if isinstance(asking.op, Admin) and (change := change_asked(asking.op)) is not None:
            self.give(ChangeOffered(asking, change))
            return
        path, data = request(asking.op)
        services = self._services
        _, method = services.methods[path.encode()]
        method.begin(services, method, cast(Call, asking), data)
        for given in services.inputs:
            self.give(given)
        services.inputs.clear()

    def forget(self, asking: Asking) -> None:
        """The client waits no longer."""
        self._asked.pop(asking, None)

    @property
    def is_asked(self) -> bool:
        """Whether some client waits for an answer."""
        return bool(self._asked)

    def watch(self, watching: Watching, spec: WatchSpec, *, wants_leader: bool) -> None:
        """Take a client's watch as it comes from the wire."""
        watching.life = self.life
        self._streams[watching.stream] = watching
        want = WatchCreate(
            raw(spec.key),
            raw(spec.end),
            spec.rev,
            spec.progress,
            "noput" in spec.filters,
            "nodelete" in spec.filters,
            spec.prev_kv,
            fragment=spec.fragment,
        )
        self.give(WatchOpened(watching.stream, 0, wants_leader))
        self.give(WatchAsked(watching.stream, want))

    def block_clients(self, *, on: bool) -> None:
        """Keep clients away, and break their streams."""
        self.client_holds += 1 if on else -1
        if on and self.is_up:
            for watching in self._streams.values():
                watching.lose("the network is cut")
                self.give(WatchClosed(watching.stream))
            self._streams.clear()
