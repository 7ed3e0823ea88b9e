"""Tier 1: the shipped driver and core of all members on one bare heap, over models of the rest.

Rule of this file: the cluster as clients, faults and runs see it; it watches what is applied and
holds members to each other. No trio, no SQLite, no sockets, no bytes of HTTP/2: volume. What only
those can break is tier 2's to find.

INV-SAME-INDEX-SAME-HASH at every entry; the named invariants of the state now and then.
"""

from collections.abc import Callable, Sequence
from functools import partial

from attrs import define

from core import invariants
from core.codec import ProposalId
from core.effects import Effect
from core.inputs import Committed
from core.state import State
from core.watching import WatchStream
from net import faultpoint
from net.founding import founding_payloads
from net.replicator import Entry
from sim.engines import founders
from sim.history import Logged, Seen, WatchSpec
from sim.ledger import Ledger
from sim.logbook import written
from sim.models import EndedError
from sim.network import Network
from sim.ops import NO_CONNECTION, Admin, AdminDone, Failed, Op, Result, Unknown
from sim.plan import Options
from sim.platter import Survival
from sim.provision import Provision
from sim.tier1_clients import Asking, Watching
from sim.tier1_member import Member
from sim.truth import Truth
from sim.world import APPLY, World

SHORT_TTL_S = 10
"""A lease of so long should end before the run does: clients have stopped renewing."""
ADMINISTERED = ("status", "members", "move_leader", "snapshot", "defragment")
"""What is answered here, where tier 2 has the service."""
CHECK_ENTRIES = 64
"""The state's invariants are checked as code after so many entries of a member."""


@define
class _Armed:
    """A point at which a member is to end."""

    point: str
    hits: int
    then: Callable[[], None]


class Tier1Cluster:
    """Members 0 to size - 1 in a world."""

    def __init__(self, world: World, options: Options) -> None:
        self.world = world
        self.options = options
        count = options.members + options.spares
        self.network = Network(
            world, count, delay_us=options.link_ms * 1000, datagrams=options.datagrams
        )
        self.ledger = Ledger(
            world,
            tuple(range(1, count + 1)),
            can_talk=self._can_talk,
            wake=lambda member: self.members[member - 1].wake(),
        )
        self.provision = Provision(
            world,
            options.members,
            options.spares,
            start=self.start,
            stop=partial(self.crash, survival="all"),
        )
        self.provision.rest_us = options.duration_ms * 1000
        self.truth = Truth(world, self._holds, self.provision.changed)
        self.members = [
            Member(number, world, self.network, self.ledger, self.truth, options, self)
            for number in range(count)
        ]
        self.log: list[Logged] = []
        self.hashes: list[int] = []
        """The state's hash after each index, from 1."""
        self._calls: dict[ProposalId, tuple[int, Op]] = {}
        self._asked = 0
        self._armed: dict[int, _Armed] = {}
        self._current = -1
        self._wants = world.chance("wants-leader")
        faultpoint.install(None)
        if options.engine == "perfect":
            self.ledger.begin()
        elif options.is_raft:
            payloads = founding_payloads(founders(options.members))
            for machine in self.members[: options.members]:
                machine.disk.found(payloads)

    # Clients.

    def ask(self, member: int, op: Op, deadline_ms: int, then: Callable[[Result], None]) -> None:
        """See Endpoint."""
        machine = self.members[self.provision.turn_to(member)]
        if isinstance(op, Admin) and op.what == "disarm":
            op = op._replace(target=self.members[op.target % self.size].id)
        asking = Asking(machine, 0, op, self._asked, then)
        self._asked += 1
        world = self.world
        world.after(deadline_ms, partial(self._late, machine, asking))
        if not machine.client_holds:
            world.after_us(machine.client_delay_us(), partial(self._arrive, machine, asking))

    def _arrive(self, machine: Member, asking: Asking) -> None:
        if machine.client_holds:
            return
        if not machine.is_up:
            asking.settle(Failed(NO_CONNECTION))
        elif isinstance(asking.op, Admin) and asking.op.what in ADMINISTERED:
            self._administer(machine, asking, asking.op)
        else:
            machine.ask(asking)

    def _late(self, machine: Member, asking: Asking) -> None:
        machine.forget(asking)
        if asking.then is not None:
            asking.end(Unknown("deadline"))

    def _administer(self, machine: Member, asking: Asking, op: Admin) -> None:
        rev = machine.driver.node.state.revision
        if op.what == "status":
            role = machine.driver.engine.role
            facts = (
                ("leader", role.leader),
                ("term", role.term),
                ("applied", machine.driver.node.state.applied_index),
                ("size_bytes", machine.disk.store.durable.size_bytes),
            )
            asking.settle(AdminDone(rev, facts))
        elif op.what == "members":
            asking.settle(AdminDone(rev, (("members", self.size),)))
        elif op.what == "move_leader":
            self.transfer(op.target % self.size)
            asking.settle(AdminDone(rev))
        elif op.what == "snapshot":
            asking.settle(AdminDone(0, (("size_bytes", machine.disk.store.durable.size_bytes),)))
        else:
            asking.settle(AdminDone(0))

    def watch(self, member: int, spec: WatchSpec, sink: Callable[[Seen], None]) -> Watching:
        """See Endpoint."""
        machine = self.members[self.provision.turn_to(member)]
        watching = Watching(machine, 0, sink, WatchStream())
        wants_leader = self._wants.random() < 0.5
        self.world.after_us(
            machine.client_delay_us(), partial(self._open, machine, watching, spec, wants_leader)
        )
        return watching

    def _open(
        self, machine: Member, watching: Watching, spec: WatchSpec, wants_leader: bool
    ) -> None:
        if watching.sink is None:
            return
        if not machine.is_up or machine.client_holds:
            watching.lose(NO_CONNECTION)
        else:
            machine.watch(watching, spec, wants_leader=wants_leader)

    # Members, as faults see them.

    @property
    def size(self) -> int:
        """See Cluster."""
        return len(self.members)

    def is_up(self, member: int) -> bool:
        """See Cluster."""
        return self.members[member].is_up

    def leader(self) -> int | None:
        """See Cluster."""
        found: tuple[int, int] | None = None
        for machine in self.members:
            if machine.is_up and machine.driver.engine.role.is_leader:
                found = max(found or (0, 0), (machine.driver.engine.role.term, machine.number))
        return None if found is None else found[1]

    def start(self, member: int) -> None:
        """See Cluster."""
        machine = self.members[member]
        if not self.provision.may_run(member):
            return
        last_index = machine.disk.log.last_index
        if self.options.engine == "local" and last_index < len(self.hashes):
            # A cluster's only member stands again: what it applied before it still has.
            raise AssertionError(
                f"INV-REPLY-AFTER-PERSIST: member {member} applied index {len(self.hashes)} and "
                f"comes back with a log up to {last_index}"
            )
        if not machine.is_up:
            _take_apart(machine)
        machine.start()

    def crash(self, member: int, survival: Survival) -> None:
        """See Cluster."""
        machine = self.members[member]
        machine.crash(survival, f"crash-{survival}")
        if self._current == member:
            self._current = -1

    def stop(self, member: int) -> None:
        """See Cluster: it has no port that clients could be sent away from."""
        self.crash(member, "all")

    def crash_at(self, member: int, point: str, hits: int, then: Callable[[], None]) -> None:
        """See Cluster."""
        self._armed.pop(member, None)
        if point:
            self._armed[member] = _Armed(point, max(1, hits), then)
        faultpoint.install(self._passed if self._armed else None)

    def _passed(self, point: str) -> None:
        armed = self._armed.get(self._current)
        if armed is None or (armed.point != point and armed.point != "disk"):
            return
        if armed.point == "disk" and not point.startswith(("persist", "store", "sync")):
            return
        armed.hits -= 1
        if armed.hits > 0:
            return
        self.crash_at(self._current, "", 0, armed.then)
        self.world.mark(f"ended at {point}")
        armed.then()
        raise EndedError

    def pause(self, member: int, *, on: bool) -> None:
        """See Cluster."""
        self.members[member].pause(on=on)

    def clock_rate(self, member: int, ppm: int) -> None:
        """See Cluster."""
        machine = self.members[member]
        machine.clock.set_rate(ppm)
        machine.wake()

    def clock_step(self, member: int, step_ms: int) -> None:
        """See Cluster."""
        self.members[member].clock.step_wall(step_ms * 1000)

    def clock_stall(self, member: int, ms: int) -> None:
        """See Cluster."""
        machine = self.members[member]
        machine.clock.stall(ms * 1000)
        machine.pause(on=True)
        self.world.after(ms, partial(machine.pause, on=False))

    def disk_slow(self, member: int, operation_ms: int) -> bool:
        """See Cluster."""
        self.members[member].disk.sync_us = operation_ms * 1000
        return True

    def disk_fail(self, member: int, what: str) -> bool:
        """See Cluster."""
        if what == "read":
            return False
        self.members[member].disk.next_error = what
        return True

    def disk_fail_at_start(self, member: int, operation: int) -> bool:
        """See Cluster: tier 1 has no files."""
        return False

    def power_loss_naming(self, member: int, operation: str, then: Callable[[], None]) -> bool:
        """See Cluster: tier 1 has no names of files."""
        return False

    def disk_full(self, member: int, *, full: bool) -> bool:
        """See Cluster."""
        machine = self.members[member]
        machine.disk.fill(full=full)
        if machine.is_up and not full:
            machine.driver.disk_full = False
        return True

    def disk_lie(self, member: int, *, lying: bool) -> bool:
        """See Cluster."""
        self.members[member].disk.is_lying = lying
        return True

    def damage(self, member: int, what: str, file: str, *, at_permille: int, bit: int) -> bool:
        """See Cluster: tier 1 has no files."""
        return False

    def power_loss(self, member: int, operations: int, then: Callable[[], None]) -> bool:
        """See Cluster."""
        self.crash_at(member, "disk", operations, then)
        return True

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
            self.ledger.transfer(member + 1)
        elif leader is not None:
            self.members[leader].transfer(member + 1)

    def snapshot(self, member: int) -> None:
        """See Cluster."""
        machine = self.members[member]
        if machine.is_up:
            machine.cut_log()

    def clients_blocked(self, member: int, *, on: bool) -> None:
        """See Cluster."""
        self.members[member].block_clients(on=on)

    # The end.

    def logged(self) -> list[Logged]:
        """See Cluster."""
        return self.log

    def settled(self) -> str:
        """See Cluster."""
        applied: set[int] = set()
        for member in self.provision.members():
            machine = self.members[member]
            if not machine.is_up:
                return f"member {machine.number} is down"
            node = machine.driver.node
            if node.proposals_waiting:
                return f"member {machine.number} waits for {node.proposals_waiting} proposals"
            applied.add(node.state.applied_index)
            if machine.is_asked:
                return f"member {machine.number} owes answers"
            if any(lease.ttl_s <= SHORT_TTL_S for lease in node.state.leases.values()):
                return f"member {machine.number} knows a lease that nobody keeps alive"
        if len(applied) > 1:
            return f"members are at indexes {sorted(applied)}"
        return "" if self.leader() is not None else "nobody leads"

    def close(self) -> None:
        """See Cluster."""
        faultpoint.install(None)
        for machine in self.members:
            if machine.is_up:
                invariants.check(machine.driver.node.state)
            machine.crash("all", "end")

    def forget(self) -> None:
        """Take all apart, once nobody asks for anything: it goes at once, not when collected."""
        for machine in self.members:
            _take_apart(machine)
            vars(machine).clear()
        vars(self).clear()

    # What members tell.

    def entered(self, number: int) -> None:
        """See Surroundings."""
        self._current = number

    def failed(self, number: int, why: str) -> None:
        """See Surroundings."""
        self.members[number].disk.next_error = ""
        self.members[number].crash("subset", why)

    def offered(self, call: int, op: Op, proposal: ProposalId) -> None:
        """See Surroundings."""
        self._calls[proposal] = (call, op)

    def applied(
        self, number: int, given: Committed, effects: Sequence[Effect], state: State
    ) -> None:
        """See Surroundings."""
        index = given.log_index
        found = state.state_hash()
        if index > len(self.hashes):
            assert index == len(self.hashes) + 1, "INV-APPLY-ONCE"
            self.hashes.append(found)
            self.world.note(APPLY, number, index, given.term, found)
            self._write_down(given, effects)
        elif self.hashes[index - 1] != found:
            raise AssertionError(
                f"INV-SAME-INDEX-SAME-HASH: member {number} differs at index {index}"
            )
        if index % CHECK_ENTRIES == 0:
            invariants.check(state)

    def _write_down(self, given: Committed, effects: Sequence[Effect]) -> None:
        rev = self.log[-1].rev if self.log else 1
        now_us = self.world.now_us
        self.log += written(given, effects, rev=rev, calls=self._calls, time_us=now_us)

    def _holds(self, member_id: int, entry: Entry) -> bool:
        """Whether a member's disk holds an entry for good."""
        return self.members[member_id - 1].disk.holds(entry.index, entry.term)

    def _can_talk(self, a: int, b: int) -> bool:
        if a in self.ledger.stopped or b in self.ledger.stopped:
            return False
        return self.network.is_free(a - 1, b - 1)


def _take_apart(machine: Member) -> None:
    """Empty the last life's parts: they hold on to each other, and to all that it had."""
    if machine.life:
        vars(machine.driver.node).clear()
        vars(machine.driver).clear()
