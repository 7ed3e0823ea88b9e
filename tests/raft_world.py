"""Raft engines of several members in a virtual time, with disks and links that fail.

The rule of this file: it does what a driver does for an engine and nothing more, from one seed.
Persists take a moment and are lost in a loss of power; messages wait for what they promise; links
keep order within an epoch; snapshots travel whole. Every step is judged: one leader a term, equal
entries at equal indexes, nothing committed is lost, no read is stale.
"""

import heapq
import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar, cast

from attrs import define, field

from net import replicator as raft
from net.changes import change_of
from net.raft.engine import Make, RaftEngine
from net.raft.membership import changed
from net.raft.own import Own
from net.raft.replica import RaftConfig
from net.replicator import Change, Configuration, Entry, LogBounds
from tests.raft_disk import Disk

SYNC_US = 500


@define
class Member:
    """One member: engine, disk, what it applied and was told."""

    world: "RaftWorld"
    id: int
    disk: Disk
    engine: RaftEngine | None = None
    life: int = 0
    applied_index: int = 0
    applied: list[bytes] = field(factory=list[bytes])
    members: Configuration = field(factory=dict[int, bool])
    sync_us: int = SYNC_US
    full: bool = False
    silent: bool = False
    """Its process does not get to run."""
    _inbox: list[raft.RaftInput] = field(factory=list[raft.RaftInput])
    _syncing: bool = False
    _persisted: int = 0
    _gated: list[tuple[int, int, bytes]] = field(factory=list[tuple[int, int, bytes]])
    _due_us: int = 0
    _stepping: bool = False

    @property
    def up(self) -> bool:
        """Whether it lives."""
        return self.engine is not None

    @property
    def is_leader(self) -> bool:
        """Whether it thinks that it leads."""
        return self.engine is not None and self.engine.role.is_leader

    def start(self) -> "Member":
        """Begin a life on what the disk holds."""
        if self.up:
            return self
        world, disk = self.world, self.disk
        self.life += 1
        self._persisted, self._gated, self._inbox = 0, [], []
        self._syncing = self._stepping = False
        self.applied_index, self.applied = disk.applied_index, list(disk.applied)
        self.members = disk.members
        last = disk.entries[-1] if disk.entries else Entry(*disk.base, b"")
        bounds = LogBounds(disk.hard, last.index, last.term, disk.applied_index, disk.members)
        self.engine = RaftEngine(
            world.config(self.id),
            bounds,
            base=disk.base,
            entries=list(disk.entries),
            chance=random.Random(f"{world.seed}/{self.id}/{self.life}"),
            make=RaftWorld.make,
        )
        self._due_us = 0
        self.step(raft.Tick())
        for peer in world.members:
            world.connect(self.id, peer)
        return self

    def crash(self) -> None:
        """Lose power: what was not persisted is gone, or a part of it."""
        if not self.up:
            return
        self.engine = None
        self.life += 1
        waiting, self.disk.waiting = self.disk.waiting, []
        if self.world.torn and waiting:
            for persist in waiting[: self.world.chance.randrange(len(waiting) + 1)]:
                self.disk.write(persist)
        for peer in self.world.members:
            self.world.disconnect(self.id, peer)

    def step(self, *inputs: raft.RaftInput) -> None:
        """Step the engine and do what it asks for."""
        if self.engine is None:
            return
        self._inbox += inputs
        if self._stepping or self.silent:
            return
        self._stepping = True
        while self._inbox:
            inputs, self._inbox = tuple(self._inbox), []
            self._perform(self.engine.step(self.world.now_us // 1000, inputs))
        self._stepping = False

    def _perform(self, out: raft.RaftOutput) -> None:
        world = self.world
        refused = 0
        for persist in out.persist:
            if persist.drop_to is not None:
                self.disk.drop_to(persist.drop_to)
            elif self.full or refused:
                refused = refused or persist.sequence
                self._inbox.append(raft.PersistRefused(persist.sequence, self.disk.applied_index))
            else:
                self.disk.waiting.append(persist)
        if self.disk.waiting and not self._syncing:
            self._syncing = True
            world.after(self.sync_us, partial(self._synced, self.life, len(self.disk.waiting)))
        for peer, data, after in out.send:
            if refused and after >= refused:
                continue
            if after <= self._persisted:
                world.send(self.id, peer, data)
            else:
                self._gated.append((after, peer, data))
        if out.role is not None:
            world.judge_role(self, out.role)
        for entry in out.apply:
            assert entry.index == self.applied_index + 1, "INV-APPLY-ONCE"
            self.applied_index = entry.index
            self.applied.append(entry.payload)
            change = change_of(entry.payload)
            if change is not None:
                self.members = changed(self.members, change)
            world.judge_applied(self, entry)
        if out.install is not None:
            self._install(*out.install)
        for outcome in out.resolved:
            world.judge_resolved(self, outcome)
        for token, index in out.read_ready:
            world.judge_read(self, token, index)
        for token in out.read_lost:
            world.reads.pop((self.id, token), None)
        world.transferred += out.transferred
        for peer, _ in out.send_snapshot:
            state = (self.applied_index, self._term_of(self.applied_index), self.members)
            world.send(self.id, peer, (*state, list(self.applied)))
        if out.next_deadline_ms is not None:
            due_us = max(out.next_deadline_ms * 1000, world.now_us + 1)
            if self._due_us <= world.now_us or due_us < self._due_us:
                self._due_us = due_us
                world.at(due_us, partial(self._deadline, self.life, due_us))

    def _term_of(self, index: int) -> int:
        return self.world.committed[index].term if index else 0

    def _deadline(self, life: int, due_us: int) -> None:
        if life == self.life and due_us == self._due_us:
            if self.silent:
                self._due_us = self.world.now_us + 10_000
                self.world.after(10_000, partial(self._deadline, life, self._due_us))
                return
            self.step(raft.Tick())

    def _synced(self, life: int, count: int) -> None:
        if life != self.life:
            return
        disk = self.disk
        done, disk.waiting = disk.waiting[:count], disk.waiting[count:]
        for persist in done:
            disk.write(persist)
            self._persisted = persist.sequence
        self._syncing = bool(disk.waiting)
        if disk.waiting:
            self.world.after(self.sync_us, partial(self._synced, life, len(disk.waiting)))
        ready = [each for each in self._gated if each[0] <= self._persisted]
        self._gated = [each for each in self._gated if each[0] > self._persisted]
        for _, peer, data in ready:
            self.world.send(self.id, peer, data)
        self.step(*(raft.Persisted(persist.sequence) for persist in done))

    def flush(self) -> None:
        """Have the store durable up to what is applied, and say so."""
        if self.engine is None:
            return
        disk = self.disk
        disk.applied_index, disk.applied = self.applied_index, list(self.applied)
        disk.members = self.members
        self.step(raft.SnapshotTaken(disk.applied_index, 0))

    def _install(self, index: int, term: int) -> None:
        world = self.world
        world.installs += 1
        staged = world.staged[self.id]
        assert staged[:2] == (index, term)
        world.after(2000, partial(self._installed, self.life, staged))

    def _installed(self, life: int, staged: tuple[int, int, Configuration, list[bytes]]) -> None:
        if life != self.life or self.engine is None:
            return
        index, term, members, applied = staged
        disk = self.disk
        for persist in disk.waiting:
            assert not persist.append, "entries are appended while a snapshot is installed"
        disk.base, disk.entries = (index, term), []
        disk.applied_index, disk.applied, disk.members = index, list(applied), members
        self.applied_index, self.applied, self.members = index, list(applied), members
        self.step(raft.SnapshotInstalled(index, members))

    def heard(self, peer: int, data: object) -> None:
        """Something came from a peer."""
        if isinstance(data, bytes):
            self.step(raft.Receive(peer, data))
            return
        staged = cast(tuple[int, int, Configuration, list[bytes]], data)
        self.world.staged[self.id] = staged
        self.step(raft.SnapshotReceived(peer, staged[0], staged[1]))
        sender = self.world.members[peer]
        sender.step(raft.SnapshotSent(self.id, True))


@define
class Link:
    """One direction between two members."""

    up: bool = False
    epoch: int = 0
    last_us: int = 0
    held: list[tuple[int, object]] | None = None
    """Where a test keeps what is sent."""


class RaftWorld:
    """So many members, started; every random choice comes from the seed."""

    make: ClassVar[Make] = Own
    """What decides in all engines."""

    def __init__(
        self,
        size: int = 3,
        *,
        seed: int = 1,
        learners: Iterable[int] = (),
        spare: int = 0,
        kept_entries: int = 5_000,
        datagrams: bool = False,
        torn: bool = True,
    ) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.now_us = 1_000_000
        self.datagrams = datagrams
        self.torn = torn
        self.kept_entries = kept_entries
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        ids = range(1, size + 1)
        configuration = {each: each not in tuple(learners) for each in ids}
        self.members = {
            each: Member(self, each, Disk(members=configuration if each <= size else {}))
            for each in range(1, size + spare + 1)
        }
        self.links: dict[tuple[int, int], Link] = {
            (a, b): Link() for a in self.members for b in self.members if a != b
        }
        self.blocked: set[tuple[int, int]] = set()
        self.leaders: dict[int, int] = {}
        self.committed: dict[int, Entry] = {}
        self.reads: dict[tuple[int, int], int] = {}
        self.reads_done = 0
        self.acknowledged = 0
        """The highest index that some client was told of."""
        self.proposed: dict[tuple[int, int], bytes] = {}
        self.refused: set[bytes] = set()
        self.found: dict[bytes, int] = {}
        """Where each payload is in the log; all that are proposed differ."""
        self.unknown: set[bytes] = set()
        self.transferred: list[tuple[int, bool]] = []
        self.staged: dict[int, tuple[int, int, Configuration, list[bytes]]] = {}
        self.installs = 0
        self.sent = 0
        self.trace: list[object] = []
        self._token = 0
        for each in ids:
            self.members[each].start()

    def config(self, member: int) -> RaftConfig:
        """Return how a member's engine is run."""
        return RaftConfig(member, kept_entries=self.kept_entries)

    # Time.

    def at(self, at_us: int, do: Callable[[], None]) -> None:
        """Do something then."""
        self._number += 1
        heapq.heappush(self._heap, (at_us, self._number, do))

    def after(self, delay_us: int, do: Callable[[], None]) -> None:
        """Do something later."""
        self.at(self.now_us + delay_us, do)

    def run(self, ms: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass, at most until something holds; whether it does."""
        end_us = self.now_us + int(ms * 1000)
        while self._heap and self._heap[0][0] <= end_us:
            at_us, _, do = heapq.heappop(self._heap)
            self.now_us = max(self.now_us, at_us)
            do()
            if until is not None and until():
                return True
        self.now_us = end_us
        return until is not None and until()

    # Links.

    def connect(self, a: int, b: int) -> None:
        """Let two members that can talk have a link."""
        if a == b or not (self.members[a].up and self.members[b].up):
            return
        if (a, b) in self.blocked or (b, a) in self.blocked or self.links[a, b].up:
            return
        for one, other in ((a, b), (b, a)):
            link = self.links[one, other]
            link.up, link.epoch = True, link.epoch + 1
        for one, other in ((a, b), (b, a)):
            self.members[one].step(raft.LinkUp(other))

    def disconnect(self, a: int, b: int) -> None:
        """Reset the link between two members: what is under way is lost."""
        if a == b or not self.links[a, b].up:
            return
        for one, other in ((a, b), (b, a)):
            link = self.links[one, other]
            link.up, link.epoch = False, link.epoch + 1
        for one, other in ((a, b), (b, a)):
            self.members[one].step(raft.LinkDown(other))

    def split(self, *groups: Iterable[int]) -> None:
        """Let members talk only within their group."""
        group = {each: number for number, these in enumerate(groups) for each in these}
        self.blocked = {(a, b) for a, b in self.links if group.get(a, -a) != group.get(b, -b)}
        for a, b in sorted(self.links):
            if (a, b) in self.blocked:
                self.disconnect(a, b)
            else:
                self.connect(a, b)

    def heal(self) -> None:
        """Let everybody talk."""
        self.blocked = set()
        for a, b in sorted(self.links):
            self.connect(a, b)

    def send(self, sender: int, peer: int, data: object) -> None:
        """Put something on a link."""
        link = self.links.get((sender, peer))
        if link is None or not link.up:
            return
        self.sent += 1
        if link.held is not None:
            link.held.append((link.epoch, data))
            return
        copies = 1
        if self.datagrams and isinstance(data, bytes):
            copies = self.chance.choice((0, *[1] * 24, 2))
        for _ in range(copies):
            at_us = self.now_us + self.chance.randrange(200, 2000)
            if not self.datagrams:
                at_us = link.last_us = max(at_us, link.last_us)
            self.at(at_us, partial(self.arrive, sender, peer, link.epoch, data))

    def arrive(self, sender: int, peer: int, epoch: int, data: object) -> None:
        """Something arrives, if its link still stands."""
        link = self.links[sender, peer]
        if link.up and link.epoch == epoch and self.members[peer].up:
            self.members[peer].heard(sender, data)

    # What clients do.

    def propose(self, member: Member, payload: bytes) -> int:
        """Propose on a member; return the token."""
        self._token += 1
        self.proposed[member.id, self._token] = payload
        member.step(raft.Propose(self._token, payload))
        return self._token

    def read(self, member: Member) -> int:
        """Ask for a read index on a member."""
        self._token += 1
        self.reads[member.id, self._token] = self.acknowledged
        member.step(raft.ReadIndex(self._token))
        return self._token

    def change(self, member: Member, kind: raft.ChangeKind, target: int) -> int:
        """Propose a change of membership; return the token."""
        self._token += 1
        payload = b"change %d" % self._token
        self.proposed[member.id, self._token] = payload
        member.step(raft.ChangeMember(self._token, payload, Change(kind, target)))
        return self._token

    def transfer(self, member: Member, target: int) -> int:
        """Have leadership handed over; return the token."""
        self._token += 1
        member.step(raft.Transfer(self._token, target))
        return self._token

    @property
    def leader(self) -> Member | None:
        """Who leads the newest term."""
        leading = [each for each in self.members.values() if each.is_leader]
        return max(leading, key=_term, default=None)

    def elect(self, member: Member) -> Member:
        """Have a member win the next election: its patience ends first, which is legal."""
        for each in self.members.values():
            if each.engine is not None:
                elections = each.engine._elections  # pyright: ignore[reportPrivateUsage]  # patience
                elections.heard_ms = -1_000_000
                elections.due_ms = self.now_us // 1000 + (1 if each is member else 9_000)
            each.step(raft.Tick())
        assert self.run(3_000, until=lambda: member.is_leader), "it is not elected"
        self.run(20)
        return member

    def settle(self) -> Member:
        """Let somebody be elected, and commit."""
        assert self.run(20_000, until=lambda: self._is_settled()), "nobody leads"
        leader = self.leader
        assert leader is not None
        return leader

    def _is_settled(self) -> bool:
        leader = self.leader
        if leader is None or leader.engine is None:
            return False
        newest = self.committed.get(leader.engine.commit_index)
        return newest is not None and newest.term == leader.engine.role.term

    def converged(self) -> bool:
        """Whether everybody who lives has applied the same, and something of this term."""
        indexes = {each.applied_index for each in self.members.values() if each.up}
        return len(indexes) == 1 and self._is_settled()

    # Judges.

    def judge_role(self, member: Member, role: raft.Role) -> None:
        """A term has one leader."""
        self.trace.append((self.now_us, member.id, role))
        if role.is_leader:
            known = self.leaders.setdefault(role.term, member.id)
            assert known == member.id, f"term {role.term} has leaders {known} and {member.id}"

    def judge_applied(self, member: Member, entry: Entry) -> None:
        """An index holds one entry, on all members, for ever."""
        self.trace.append((self.now_us, member.id, entry.index, entry.term))
        known = self.committed.setdefault(entry.index, entry)
        assert known == entry, f"index {entry.index} is {known} and {entry} on {member.id}"
        assert entry.payload not in self.refused or not entry.payload, "refused, and applied"
        if entry.payload:
            known_at = self.found.setdefault(entry.payload, entry.index)
            assert known_at == entry.index, "ordered twice"
        if member.is_leader:
            self.acknowledged = max(self.acknowledged, entry.index)

    def judge_resolved(self, member: Member, outcome: raft.Outcome) -> None:
        """What is refused is never applied."""
        payload = self.proposed.pop((member.id, outcome.token), None)
        if payload is None:
            return
        (self.refused if outcome.refused else self.unknown).add(payload)
        if outcome.refused:
            there = any(payload in entry.payload for entry in self.committed.values())
            assert not there, "refused, and applied"

    def judge_read(self, member: Member, token: int, index: int) -> None:
        """A read sees all that any client was told of before it."""
        floor = self.reads.pop((member.id, token))
        assert index >= floor, f"a stale read: {index}, and {floor} was known"
        self.reads_done += 1


def _term(member: Member) -> int:
    return member.engine.role.term if member.engine is not None else 0
