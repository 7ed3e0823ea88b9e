"""The perfect log: an engine of n members behind the replication port, elected by the ledger.

Rule of this file: a real engine's work but for elections. It appends, acknowledges what is durable,
commits by majority, truncates what another leader did not have, forwards proposals and read rounds
to the leader, cuts its log and takes snapshots. Everything between members goes through messages,
so partitions matter; what a message promises waits for its persist.
"""

from collections.abc import Sequence
from typing import Any

from net import replicator as raft
from net.raft.reads import Asker, ReadRounds
from net.replicator import Entry, Outcome, Persist, RaftInput, RaftOutput, Role
from sim import perfect_messages as say
from sim.ledger import Ledger
from sim.perfect_candidate import LedgerCandidate
from sim.perfect_followers import NEVER_MS, RETRY_MS, FixedMembership, Follower
from sim.perfect_log import KEPT_ENTRIES, PerfectLog
from sim.perfect_messages import Gathered, pack, unpack


class PerfectEngine(FixedMembership, LedgerCandidate):
    """One member's engine, for one life. `entries` are what its journal holds."""

    def __init__(
        self,
        member_id: int,
        ledger: Ledger,
        bounds: raft.LogBounds,
        *,
        base: tuple[int, int],
        entries: Sequence[Entry],
        message_bytes: int,
        lossy: bool = False,
    ) -> None:
        self.term = ledger.term_of(member_id, bounds.hard_state.term)
        self.is_leader = False
        self.leader = 0
        self._me = member_id
        self._ledger = ledger
        self._log = PerfectLog(base, entries)
        self.commit_index = max(bounds.applied_index, self._log.base_index)
        self._applied = bounds.applied_index
        self._hint = bounds.hard_state.commit
        self._message_bytes = message_bytes
        self._lossy = lossy
        self._matched = 0
        """This term's leader has the same log, as far as it is known here."""
        self._sequence = 0
        self._term_sequence = 0  # the persist that makes the term durable
        self._peers = {each: Follower() for each in ledger.ids if each != member_id}
        self._taken: dict[bytes, None] = {}
        """Packs that came from others: one may come twice where links are no connections."""
        self._rounds = ReadRounds()
        self._reads: dict[int, None] = {}
        """Own tokens that are with the leader."""
        self._tokens: dict[int, int] = {}
        """Own proposals in this log: index -> token."""
        self._offered: dict[int, None] = {}  # own proposals that are with the leader
        self._lost_leader = False
        self._greetings: list[int] = []
        self._now_ms = self._installing = 0
        self._owed_ms = NEVER_MS  # when to write the term again that a full disk refused
        self._out = Gathered()
        self._packed: tuple[tuple[object, ...], bytes] = ((), b"")
        """The newest append and its bytes: others mostly get the same."""
        self.role = self._role = Role(self.term, 0, False)  # made anew where its parts change

    # What the port shows.

    def step(self, now_ms: int, inputs: Sequence[RaftInput]) -> RaftOutput:
        """See Replicator."""
        self._now_ms = now_ms
        out = self._out
        if self._lost_leader or self._ledger.promised.get(self._me, 0) > self.term:
            self._obey_ledger()
        for given in inputs:
            # The first two are nine of ten.
            if type(given) is raft.Receive:
                if given.data:
                    self._receive(given.peer, unpack(given.data))
            elif type(given) is raft.Persisted:
                self._persisted(given.sequence)
            else:
                self._take(given, now_ms)
        if now_ms >= self._owed_ms:
            self._owed_ms = NEVER_MS
            self._persist([])
        if self._greetings:
            self._greet()
        due_ms = self._owed_ms
        if self.is_leader:
            if self._rounds.held:
                self._begin_rounds()
            if (other_ms := self._replicate()) < due_ms:
                due_ms = other_ms
        if self._applied != self.commit_index and not self._installing:
            self._hand_out()
        if self.role is not self._role and self.role != self._role:
            self._role = out.role = self.role
        return out.whole(None if due_ms == NEVER_MS else due_ms)

    # Inputs.

    def _take(self, given: RaftInput, now_ms: int) -> None:
        match given:
            case raft.Tick() | raft.Transfer() | raft.ChangeMember():
                pass
            case raft.Propose(token, payload):
                self._propose(token, payload)
            case raft.ReadIndex(token):
                self._read(token)
            case raft.LinkUp(peer):
                self._peers[peer].is_linked = True
                self._renew_link(peer)
            case raft.LinkDown(peer):
                self._peers[peer].is_linked = False
                if peer == self.leader:
                    self._lose_offered()
            case raft.PersistRefused(sequence, durable):
                self._withdraw(sequence)
                self._cut(min(durable, self._applied))
            case raft.SnapshotTaken():
                self._cut(min(given.index, self._applied) - KEPT_ENTRIES)
            case raft.SnapshotSent(peer, well):
                self._peers[peer].got_snapshot(now_ms, well=well)
            case raft.SnapshotReceived():
                self._snapshot(given)
            case raft.SnapshotInstalled():
                self._installed(given.index)
            case raft.Receive() | raft.Persisted():
                raise AssertionError("taken before")

    def _obey_ledger(self) -> None:
        if (term := self._ledger.term_of(self._me, self.term)) > self.term:
            self._follow(term, 0)
            self._persist([])
            if self._ledger.leads(self._me, term):
                self._lead()
        elif self._lost_leader:
            self._follow(self.term, 0)
        self._lost_leader = False

    def _follow(self, term: int, leader: int) -> None:
        """Be a follower of this term's leader; whatever was asked of another is lost."""
        if term == self.term and leader == self.leader and not self.is_leader:
            return
        self.term = term
        self.is_leader = False
        self.leader = leader
        self._matched = 0
        self.role = Role(term, leader, False)
        self._out.resolved += [Outcome(token, refused=False) for token in self._tokens.values()]
        self._tokens.clear()
        self._lose_offered()
        self._out.read_lost += self._reads
        self._reads.clear()
        for asker in self._rounds.lose():
            if asker.member == self._me:
                self._out.read_lost.append(asker.token)
            else:
                self._send(asker.member, (say.TOLD, self.term, asker.token, 0))

    def _lose_offered(self) -> None:
        self._out.resolved += [Outcome(token, refused=False) for token in self._offered]
        self._offered.clear()

    # Leading.

    def _lead(self) -> None:
        self.is_leader = True
        self.leader = self._me
        self.role = Role(self.term, self._me, True)
        for follower in self._peers.values():
            follower.begin(self._now_ms, self._log)
        self._append(b"")

    def _propose(self, token: int, payload: bytes) -> None:
        if self.is_leader:
            self._tokens[self._log.last_index + 1] = token
            self._append(payload)
        elif self.leader and self._peers[self.leader].is_linked:
            self._offered[token] = None
            self._send(self.leader, (say.OFFER, self.term, token, payload))
        else:
            self._out.resolved.append(Outcome(token, refused=True))

    def _append(self, payload: bytes) -> None:
        entries = [Entry(self._log.last_index + 1, self.term, payload)]
        self._log.append(entries)
        self._persist(entries)

    def _begin_rounds(self) -> None:
        """Begin rounds for all reads that wait, once this term has committed something.

        Whoever asks confirms its own. A lone round asks as few others as must confirm it.
        """
        rounds = self._rounds
        if self._log.term_at(self.commit_index) != self.term:
            return
        is_lone = not rounds.under_way
        number = rounds.begin_each(self.commit_index, self._me)
        self._tell_confirmed()
        if not rounds.under_way:
            return
        asked = [peer for peer, follower in self._peers.items() if follower.is_linked]
        if is_lone:
            asked.sort(key=lambda peer: -self._peers[peer].confirmed)
            del asked[self._ledger.majority - 1 :]
        for peer in asked:
            self._send_append(peer, [], number)

    def _tell_confirmed(self) -> None:
        for asker, index in self._rounds.confirmed(self._ledger.ids, self._ledger.majority):
            if asker.member == self._me:
                self._out.read_ready.append((asker.token, index))
            else:
                self._send(asker.member, (say.TOLD, self.term, asker.token, index))
                self._peers[asker.member].was_told(index)

    def _replicate(self) -> int:
        """Send what there is; return when time alone has something to do here."""
        log, now_ms, commit = self._log, self._now_ms, self.commit_index
        last_index = log.last_index
        is_asking = bool(self._rounds.under_way)
        due_ms, must_know = NEVER_MS, commit if self._lossy else 0
        for peer, follower in self._peers.items():
            if not follower.is_linked:
                continue
            waits = is_asking or follower.match < last_index or follower.knows < must_know
            if not waits and not follower.owes and follower.told >= commit:
                continue  # It has everything.
            if (waits or follower.owes) and follower.is_overdue(now_ms, waits=waits):
                self._try_again(peer)
            while follower.next <= last_index and follower.lacks in (0, follower.next):
                if follower.next <= log.base_index:
                    if follower.wants_snapshot(now_ms, lossy=self._lossy):
                        self._out.send_snapshot.append((peer, log.base_index))
                    break
                entries = log.chunk(follower.next, self._message_bytes)
                self._send_append(peer, entries, 0)
                follower.next = entries[-1].index + 1
            is_told = follower.told >= commit or follower.next <= log.base_index
            if not is_told and follower.must_hear(now_ms, commit):
                self._send_append(peer, [], 0)
            if not is_told or waits:
                due_ms = min(due_ms, follower.due_ms)
        return due_ms

    def _try_again(self, peer: int) -> None:
        """Send what is not acknowledged once more; where nothing is, ask how far the peer is."""
        self._peers[peer].again(self._log)
        self._send_append(peer, [], say.PROBE)
        if self._rounds.under_way:
            self._send_append(peer, [], self._rounds.under_way)

    def _send_append(self, peer: int, entries: list[Entry], number: int) -> None:
        follower = self._peers[peer]
        if not follower.is_linked:
            return
        # A peer that lacks what is cut learns of leader and round; the rest comes as a snapshot.
        previous = max(min(follower.next - 1, self._log.last_index), self._log.base_index)
        packed = [(entry.index, entry.term, entry.payload) for entry in entries]
        term = self._log.term_at(previous)
        message = (say.APPEND, self.term, previous, term, packed, self.commit_index, number)
        if message != self._packed[0]:
            self._packed = message, pack(message)
        self._out.send.append((peer, self._packed[1], 0))
        follower.was_told(self.commit_index)

    def _renew_link(self, peer: int) -> None:
        if self.is_leader:
            self._peers[peer].told = -1
            self._peers[peer].snapshot_ms = 0
            self._try_again(peer)
        elif peer == self.leader:
            for token in self._reads:
                self._send(peer, (say.ASK, self.term, token))

    def _greet(self) -> None:
        for peer in self._greetings if self.is_leader else ():
            self._send_append(peer, [], say.PROBE)
        self._greetings = []

    # Messages.

    def _receive(self, peer: int, message: tuple[Any, ...]) -> None:  # any: see `unpack`
        kind, term = message[0], message[1]
        if term > self.term:
            self._ledger.adopt(self._me, term)
            self._follow(term, peer if kind == say.APPEND else 0)
            self._persist([])
        if kind == say.APPEND:
            if term < self.term:
                self._ack(peer, -1)
            else:
                self._appended(peer, *message[2:])
        elif kind == say.ACK:
            if self.is_leader and term == self.term:
                self._acknowledged(peer, *message[2:])
        elif kind == say.OFFER:
            self._offer(peer, term, *message[2:])
        elif kind == say.REFUSAL:
            if self._offered.pop(message[2], 1) is None:
                self._out.resolved.append(Outcome(message[2], refused=True))
        elif kind == say.ASK:
            if self.is_leader and term == self.term:
                self._rounds.held.append(Asker(peer, message[2]))
            else:
                self._send(peer, (say.TOLD, self.term, message[2], 0))
        elif kind == say.TOLD and self._reads.pop(message[2], 1) is None:
            token, index = message[2], message[3]
            if index and term == self.term:
                self._commit_to(min(index, self._matched))
                self._out.read_ready.append((token, index))
            else:
                self._out.read_lost.append(token)

    def _offer(self, peer: int, term: int, token: int, payload: bytes) -> None:
        if payload in self._taken:
            return
        if self.is_leader and term == self.term:
            self._taken[payload] = None
            self._append(payload)
            self._peers[peer].offered.append(self._log.last_index)
        else:
            self._send(peer, (say.REFUSAL, self.term, token))

    def _appended(
        self,
        peer: int,
        previous: int,
        previous_term: int,
        packed: list[tuple[int, int, bytes]],
        commit: int,
        number: int,
    ) -> None:
        assert not self.is_leader, "INV-ONE-LEADER-PER-TERM"
        if peer != self.leader:
            self._follow(self.term, peer)
        if self._installing:
            return
        if not self._log.matches(previous, previous_term):
            # Where the leader should try: what is committed here cannot differ.
            hint = min(self.commit_index, previous - 1)
            self._ack(peer, hint, 1, number, self._term_sequence)
            return
        fresh = self._log.fresh([Entry(*each) for each in packed]) if packed else []
        if fresh:
            self._write(fresh)
        match = packed[-1][0] if packed else previous
        if match > self._matched:
            self._matched = match
        self._commit_to(commit if commit < match else match)
        if number > 0:
            # The round alone promises nothing but the term.
            settled = min(match, self._log.durable)
            self._ack(peer, settled, 0, number, self._term_sequence)
        if packed or number == say.PROBE:
            self._tell_match(peer, match)

    def _write(self, fresh: list[Entry]) -> None:
        """Take a leader's entries, in place of those of an earlier one."""
        first = fresh[0].index
        truncate = first if first <= self._log.last_index else None
        if truncate is not None:
            assert truncate > self.commit_index, "INV-LOG-MATCHES: truncates what is committed"
            self._ledger.world.mark("conflict truncated")
            self._log.truncate_from(truncate)
        self._log.append(fresh)
        self._persist(fresh, truncate)

    def _acknowledged(self, peer: int, match: int, hint: int, number: int, commit: int) -> None:
        follower = self._peers[peer]
        follower.heard_ms = self._now_ms
        if commit > follower.knows:
            follower.knows = commit
        if number > 0:
            follower.confirmed = number
            self._rounds.confirm(peer, number)
            self._tell_confirmed()
        if hint:
            follower.differs(match)
        elif follower.matches(match):
            self._advance()

    def _advance(self) -> None:
        """Commit what a majority holds durably, if it is of this term."""
        if self.commit_index == self._log.last_index:
            return
        matches = [each.match for each in self._peers.values()]
        index = sorted([self._log.durable, *matches])[-self._ledger.majority]
        if index > self.commit_index and self._log.term_at(index) == self.term:
            self._commit_to(index)

    def _commit_to(self, index: int) -> None:
        if index <= self.commit_index:
            return
        for each in range(self.commit_index + 1, index + 1):
            entry = self._log.entry_at(each)
            assert entry is not None, "INV-LOG-MATCHES: commits what is not there"
            self._ledger.commit(entry)
            self.commit_index = each

    # Reads.

    def _read(self, token: int) -> None:
        if self.is_leader:
            self._rounds.held.append(Asker(self._me, token))
        elif self.leader:
            self._reads[token] = None
            self._send(self.leader, (say.ASK, self.term, token))
        else:
            self._out.read_lost.append(token)

    # The disk.

    def _persist(self, entries: list[Entry], truncate_from: int | None = None) -> None:
        self._sequence += 1
        hard = None
        if not entries or self.commit_index > self._hint + 20:
            leader = self._ledger.leaders.get(self.term, 0)
            hard = raft.HardState(self.term, leader, self.commit_index)
            self._hint = self.commit_index
            self._term_sequence = self._sequence
        self._log.persist(self._sequence)
        self._out.persist.append(Persist(self._sequence, hard, truncate_from, entries))

    def _persisted(self, sequence: int) -> None:
        self._log.persisted(sequence)
        if self.is_leader:
            self._advance()

    def _withdraw(self, sequence: int) -> None:
        """The disk has no room from here on; others may hold what it refused: its fate is open."""
        if sequence <= self._term_sequence:
            self._owed_ms = self._now_ms + RETRY_MS
        keep = self._log.withdraw(sequence)
        self.commit_index = min(self.commit_index, keep)
        self._matched = min(self._matched, keep)
        for index in [index for index in self._tokens if index > keep]:
            self._out.resolved.append(Outcome(self._tokens.pop(index), refused=False))
        self._follow(self.term, 0)

    def _cut(self, keep_from: int) -> None:
        """Let go of the log behind what the store holds durably."""
        if self._log.cut(keep_from):
            self._out.persist.append(Persist(0, drop_to=keep_from))
            self._ledger.world.mark("log cut")

    # Snapshots.

    def _snapshot(self, given: raft.SnapshotReceived) -> None:
        index, term = given.index, given.term
        if index <= self.commit_index or self.is_leader or self._installing:
            return
        if self._log.base_index <= index and self._log.matches(index, term):
            if self.leader:  # All of it is here, though a restart forgot that it is committed.
                self._tell_match(self.leader, index)
            return
        self._installing = index
        self._log.restart(index, term)
        self._matched = 0
        self._out.install = (index, term)

    def _installed(self, index: int) -> None:
        self._installing = 0
        self.commit_index = self._applied = index
        self._ledger.world.mark("snapshot installed")
        if self.leader:
            self._ack(self.leader, index)

    # Outputs.

    def _hand_out(self) -> None:
        """Hand out what is committed and durable here."""
        upto = min(self.commit_index, self._log.durable)
        while self._applied < upto:
            self._applied += 1
            entry = self._log.entry_at(self._applied)
            assert entry is not None, "INV-APPLY-ONCE: applies what is not there"
            self._out.apply.append(entry)
            self._tokens.pop(self._applied, None)

    def _send(self, peer: int, message: tuple[object, ...], after: int = 0) -> None:
        self._out.send.append((peer, pack(message), after))

    def _ack(self, peer: int, match: int, hint: int = 0, number: int = 0, after: int = 0) -> None:
        self._send(peer, (say.ACK, self.term, match, hint, number, self.commit_index), after)

    def _tell_match(self, peer: int, match: int) -> None:
        self._ack(peer, match, after=self._sequence if self._log.has_unsynced else 0)
