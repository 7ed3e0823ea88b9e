"""The perfect log's judge: it sees every member, decides who leads, and notes what is committed.

Rule of this file: it knows what no real member can, and uses that for two things alone. It elects:
some member that a majority can reach, none of whom has a newer log. And it holds engines to raft's
guarantees; one that breaks them ends the run:

    INV-ONE-LEADER-PER-TERM   a term has one leader
    INV-LOG-MATCHES           committed once, an index holds that pack on every member, for ever
    INV-LEADER-COMPLETE       who is elected has everything that was committed
"""

from collections.abc import Callable
from random import Random
from typing import Protocol

from attrs import define, field

from net.replicator import Entry
from sim.world import World

LOOK_MS = 250
"""How often the ledger looks whether the leader can still lead."""


class RaftBrokenError(AssertionError):
    """An engine broke one of raft's guarantees. The first word names it."""


class Candidate(Protocol):
    """What the ledger sees of a running engine."""

    term: int
    is_leader: bool
    leader: int

    @property
    def last(self) -> tuple[int, int]:
        """(term, index) of the newest entry, durable or not."""
        ...

    def entry_at(self, index: int) -> Entry | None:
        """Return an entry; None if the log is cut past it, or does not reach it."""
        ...

    @property
    def can_lead(self) -> bool:
        """Whether its log and state are one: not while it takes a snapshot over."""
        ...

    @property
    def base_index(self) -> int:
        """Everything up to here is in the member's state."""
        ...

    def step_down(self) -> None:
        """Stop leading, or forget who leads: nobody was heard of for too long."""
        ...

    def greet(self, peer: int) -> None:
        """Tell a peer who leads."""
        ...


@define
class Ledger:
    """Members are known by their ids here, as engines know them."""

    world: World
    ids: tuple[int, ...]
    can_talk: Callable[[int, int], bool]
    """Whether two members run, are not stopped, and reach each other."""
    wake: Callable[[int], None]
    """Have a member's engine step."""
    election_ms: int = 1000
    engines: dict[int, Candidate] = field(factory=dict[int, Candidate])
    stopped: set[int] = field(factory=set[int])
    """Members whose process is stopped."""
    promised: dict[int, int] = field(factory=dict[int, int])
    """The newest term that each member takes part in: durable here, whatever its disk keeps."""
    leaders: dict[int, int] = field(factory=dict[int, int])
    """Who leads each term."""
    committed: list[Entry] = field(factory=list[Entry])
    """The log, from index 1."""
    bans_until_us: int = 0
    """Nobody is elected before."""
    wanted: int = 0
    """Who is to lead next, if it can; 0 for anybody."""
    _unwell_us: dict[int, int] = field(factory=dict[int, int])
    _patience_us: int = 0

    @property
    def majority(self) -> int:
        """How many members are more than half."""
        return len(self.ids) // 2 + 1

    @property
    def chance(self) -> Random:
        """What elections are drawn from."""
        return self.world.chance("ledger")

    def leader(self) -> int:
        """Return who leads the highest term, of those that run; 0 for nobody."""
        term = max(self.leaders, default=0)
        found = self.leaders.get(term, 0)
        engine = self.engines.get(found)
        if engine is None:
            return 0
        # Elected and not heard of it yet, or leading.
        return found if engine.term < term or (engine.term == term and engine.is_leader) else 0

    # Elections.

    def begin(self) -> None:
        """Look after the cluster from now on."""
        self._look()

    def _look(self) -> None:
        self.world.after(LOOK_MS, self._look)
        self._look_after_leaders()
        leader = self.leader()
        if leader and self._reaches_majority(leader):
            self._unwell_us.pop(0, None)
            self._greet_lost(leader)
            return
        if self._overdue(0):
            self.elect()

    def _look_after_leaders(self) -> None:
        """Members that have not heard of a majority, or their leader, for long, know that."""
        for member in self.ids:
            engine = self.engines.get(member)
            if engine is None or member in self.stopped:
                continue
            is_well = True
            if engine.is_leader:
                is_well = self._reaches_majority(member)
            elif engine.leader:
                is_well = self.can_talk(member, engine.leader)
            if is_well:
                self._unwell_us.pop(member, None)
            elif self._overdue(member):
                engine.step_down()
                self.wake(member)

    def _overdue(self, member: int) -> bool:
        """Whether something has been wrong for an election timeout and a bit."""
        now = self.world.now_us
        since = self._unwell_us.setdefault(member, now)
        if now - since < self.election_ms * 1000 * (1 + self.chance.random()):
            return False
        self._unwell_us[member] = now
        return True

    def _greet_lost(self, leader: int) -> None:
        for member in self.ids:
            engine = self.engines.get(member)
            if member == leader or engine is None or engine.leader == leader:
                continue
            if self.can_talk(leader, member):
                self.engines[leader].greet(member)
                self.wake(leader)

    def _reaches_majority(self, member: int) -> bool:
        if member in self.stopped:
            return False
        missing = len(self.ids) - self.majority
        for other in self.ids:
            if other != member and not self.can_talk(member, other):
                missing -= 1
        return missing >= 0

    def depose(self, ms: int) -> None:
        """Have the leader step down although nothing is wrong; nobody leads for so long."""
        self.bans_until_us = max(self.bans_until_us, self.world.now_us + ms * 1000)
        leader = self.leader()
        if leader:
            self.engines[leader].step_down()
            self.wake(leader)
            self.world.after(ms + 1, self.elect)

    def transfer(self, member: int) -> None:
        """Have a member elected, if it can be."""
        self.wanted = member
        self.elect()
        self.wanted = 0

    def elect(self) -> None:
        """Elect somebody, if there is a majority that can talk and agree."""
        if self.world.now_us < self.bans_until_us:
            return
        able = {member: voters for member in self.ids if (voters := self._voters(member))}
        if self.wanted:
            able = {member: voters for member, voters in able.items() if member == self.wanted}
        if not able:
            return
        member = self.chance.choice(sorted(able))
        term = max(self.promised.values(), default=0) + 1
        for voter in able[member]:
            self.promised[voter] = term
        self.leaders[term] = member
        self._check_complete(member)
        self.world.mark("election")
        for voter in able[member]:
            self.wake(voter)

    def _voters(self, member: int) -> list[int]:
        """Return a majority that elects this member; nothing if there is none."""
        engine = self.engines.get(member)
        if engine is None or member in self.stopped or not engine.can_lead:
            return []
        voters = [
            other
            for other in self.ids
            if other == member
            or (self.can_talk(member, other) and self.engines[other].last <= engine.last)
        ]
        return voters if len(voters) >= self.majority else []

    # What must hold.

    def term_of(self, member: int, term: int) -> int:
        """Return the term that a member is in, given the one it remembers."""
        promised = self.promised.get(member, 0)
        return promised if promised > term else term

    def adopt(self, member: int, term: int) -> None:
        """A member takes part in a term."""
        self.promised[member] = max(term, self.promised.get(member, 0))

    def leads(self, member: int, term: int) -> bool:
        """Whether a member was elected for a term."""
        return self.leaders.get(term) == member

    def commit(self, entry: Entry) -> None:
        """Note that an entry is committed, or hold it against what is."""
        if entry.index <= len(self.committed):
            held = self.committed[entry.index - 1]
            if held.term != entry.term or held.payload != entry.payload:
                raise RaftBrokenError(
                    f"INV-LOG-MATCHES: index {entry.index} was committed in term {held.term}, "
                    f"and now holds another pack of term {entry.term}"
                )
            return
        assert entry.index == len(self.committed) + 1, "INV-LOG-MATCHES: a gap"
        self.committed.append(entry)

    def _check_complete(self, member: int) -> None:
        engine = self.engines[member]
        for index in range(engine.base_index + 1, len(self.committed) + 1):
            entry = engine.entry_at(index)
            held = self.committed[index - 1]
            if entry is None or entry.term != held.term:
                raise RaftBrokenError(
                    f"INV-LEADER-COMPLETE: index {index} was committed in term {held.term}; "
                    f"member {member} is elected by a majority and does not hold it"
                )
