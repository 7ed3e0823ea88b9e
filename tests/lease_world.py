"""Random lives of leases on one node, with a log between proposal and commit, judged by promises.

The rule of this file: what a client was promised is all that counts. A lease granted or kept alive
may not end before its TTL has passed since, on a clock that stands still while the machine is
paused; and under a leader it must be proposed for its end once it has.
"""

from random import Random

from attrs import define

from core.answers import LeaseGrantAnswer, LeaseKeepAliveAnswer
from core.codec import Proposed, decode_pack, encode_pack
from core.effects import Effect, Propose, ReadIndex, Reply
from core.errors import NO_LEADER, Failure
from core.inputs import (
    Asked,
    Committed,
    Deposed,
    Elected,
    Input,
    Offered,
    ReadReady,
    Refused,
    Ticked,
)
from core.invariants import check
from core.machine import Applied, LeaseGone
from core.node import Node
from core.operations import (
    LeaseExpire,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    LeaseTimeToLive,
    Put,
)
from core.state import State
from tests.driver_world import CONFIG

IDS = (1, 2, 3)
PAUSE_MS = 1000
"""A step of time longer than this is a pause: lease time stands still in it."""


@define
class Entry:
    """One pack of the log, not committed yet."""

    term: int
    sequence: int
    payload: bytes


class LeaseLife:
    """One node that is elected and deposed, its log, and what clients were promised."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.node = Node(State(), CONFIG)
        self.now_ms = 0
        self.clock_ms = 0
        self.term = 0
        self.leads = False
        self.elected_ms = 0
        self.index = 0
        self.log: list[Entry] = []
        self.rounds: list[int] = []
        self.promised: dict[int, int] = {}
        """Lease id -> lease time of the newest grant or answered keepalive."""
        self.asked = 0
        self.unconfirmed = 0
        self.answered = 0
        self.ended = 0
        self.kept = 0
        self._step(Ticked(0))

    def run(self, steps: int) -> None:
        """Do that many things; then commit all, and nobody may wait any more."""
        deeds = (
            (self.tick, 14), (self.grant, 4), (self.keep, 6), (self.revoke, 1), (self.commit, 8),
            (self.elect, 1), (self.depose, 0.5), (self.lose, 1), (self.pause, 1),
            (self.attach, 1), (self.look, 1),
        )  # fmt: skip
        self.elect()
        for deed in self.chance.choices([d for d, _ in deeds], [w for _, w in deeds], k=steps):
            deed()
            check(self.node.state)
        if not self.leads:
            self.elect()
        while self.log:
            self.commit()
        assert self.asked == self.answered, "a keepalive waits for ever"

    # What may happen.

    def tick(self) -> None:
        """Let time pass as on a running machine; what fell due must be on its way out."""
        step = self.chance.choice((1, 50, 50, 50, 400, 999, PAUSE_MS))
        self.now_ms += step
        self.clock_ms += step
        self._step(Ticked(self.now_ms))
        if not self.leads:
            return
        leaving = {
            (proposed.command.id, proposed.command.generation)
            for entry in self.log
            for proposed in decode_pack(entry.payload)
            if isinstance(proposed.command, LeaseExpire)
        }
        for lease in self.node.state.leases.values():
            if self.clock_ms - self._since(lease.id) >= lease.ttl_s * 1000:
                assert (lease.id, lease.generation) in leaving, "a lease stays too long"

    def pause(self) -> None:
        """The machine stood still for a while."""
        self.now_ms += self.chance.choice((PAUSE_MS + 1, 60_000))
        self._step(Ticked(self.now_ms))

    def grant(self) -> None:
        """Ask for a lease, whether there is one of this id or not."""
        ttl_s = self.chance.choice((2, 3, 5, 30))
        self._offer(LeaseGrant(self.chance.choice(IDS), ttl_s))

    def revoke(self) -> None:
        """End a lease by hand."""
        self._offer(LeaseRevoke(self.chance.choice(IDS)))

    def attach(self) -> None:
        """Put a key on a lease."""
        self._offer(Put(self.chance.choice((b"a", b"b")), b"", self.chance.choice((0, *IDS))))

    def keep(self) -> None:
        """Ask to keep a lease; a round of reads confirms who leads."""
        if self.leads:
            self.asked += 1
            self.unconfirmed += 1
            self._step(Asked("keeper", LeaseKeepAlive(self.chance.choice(IDS))))
            self._take(self.node.begin_reads())

    def look(self) -> None:
        """Ask for a lease's time: it may not be more than what was granted."""
        if self.leads:
            self._step(Asked("looker", LeaseTimeToLive(self.chance.choice(IDS))))
            self._take(self.node.begin_reads())

    def commit(self) -> None:
        """Commit the oldest entry."""
        if self.log and self.leads:
            entry = self.log.pop(0)
            self.index += 1
            pack = decode_pack(entry.payload)
            for proposed in pack:
                self._before(proposed)
            effects = self.node.step(Committed(self.index, entry.term, pack))
            self._after(pack, effects)
            self._take(effects)
            self._confirm()

    def elect(self) -> None:
        """Lead a new term; of what was not committed a part survives."""
        if self.leads:
            self.depose()
        kept = self.chance.randint(0, len(self.log))
        lost, self.log = self.log[kept:], self.log[:kept]
        if lost:
            self._step(Refused([entry.sequence for entry in lost], False))
        self.term += 1
        self.leads = True
        self.elected_ms = self.clock_ms
        self.log.append(Entry(self.term, 0, encode_pack([])))
        self._step(Elected(self.term))

    def lose(self) -> None:
        """The newest entry never enters the log, though the leader stays."""
        if self.leads and self.log and self.log[-1].sequence:
            self._step(Refused([self.log.pop().sequence], False))

    def depose(self) -> None:
        """Lead no more; rounds that were not confirmed never will be."""
        if self.leads:
            self.leads = False
            # Their askers hear of it from the engine, which is not here.
            self.asked -= self.unconfirmed
            self.unconfirmed = 0
            self.rounds.clear()
            self._step(Deposed(self.term))

    # How it is driven, and judged.

    def _since(self, lease_id: int) -> int:
        return max(self.promised.get(lease_id, 0), self.elected_ms)

    def _before(self, proposed: Proposed) -> None:
        command = proposed.command
        lease = self.node.state.leases.get(getattr(command, "id", 0))
        self._lease_before = lease
        self._due_before = lease is not None and (
            self.clock_ms - self.promised[lease.id] >= lease.ttl_s * 1000
        )

    def _after(self, pack: object, effects: object) -> None:
        assert isinstance(pack, list | tuple)
        assert isinstance(effects, list | tuple)
        for effect in effects:
            if not isinstance(effect, Applied):
                continue
            (proposed,) = pack
            for fact in effect.facts:
                if isinstance(fact, LeaseGone) and isinstance(proposed.command, LeaseExpire):
                    assert self._due_before, "INV-LEASE-NOT-EARLY"
                    self.ended += 1
            if isinstance(effect.answer, LeaseGrantAnswer):
                self.promised[effect.answer.id] = self.clock_ms

    def _confirm(self) -> None:
        """Reads are confirmed once an entry of the leader's own term is committed."""
        if self.leads and not any(entry.sequence == 0 for entry in self.log):
            rounds, self.rounds = self.rounds, []
            self.unconfirmed = 0
            for each in rounds:
                self._step(ReadReady(each, self.index))

    def _offer(self, command: LeaseGrant | LeaseRevoke | Put) -> None:
        if self.leads:
            self._step(Offered("client", command, 10))

    def _step(self, given: Input) -> None:
        self._take(self.node.step(given))

    def _take(self, effects: object) -> None:
        assert isinstance(effects, list | tuple)
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Propose(sequence, payload, command):
                assert self.leads, "a member that does not lead proposes"
                if isinstance(command, LeaseExpire):
                    lease = self.node.state.leases[command.id]
                    elapsed_ms = self.clock_ms - self._since(command.id)
                    assert elapsed_ms >= lease.ttl_s * 1000, "INV-LEASE-NOT-EARLY: proposed early"
                self.log.append(Entry(self.term, sequence, encode_pack([payload])))
            case ReadIndex(number):
                self.rounds.append(number)
                self._confirm()
            case Reply("keeper", answer):
                self.answered += 1
                self._promise(answer)
            case Reply("looker", answer):
                left_s, granted_s = getattr(answer, "ttl_s", 0), getattr(answer, "granted_ttl_s", 0)
                assert left_s <= granted_s or granted_s == 0
            case _:
                pass

    def _promise(self, answer: object) -> None:
        if isinstance(answer, Failure):
            assert answer == NO_LEADER
            assert not self.leads
            return
        assert isinstance(answer, LeaseKeepAliveAnswer)
        assert self.leads, "a member that does not lead renews"
        lease = self.node.state.leases.get(answer.id)
        assert answer.ttl_s == (lease.ttl_s if lease else 0)
        if lease:
            self.kept += 1
            self.promised[answer.id] = self.clock_ms
