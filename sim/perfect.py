"""The perfect log: an engine of n members behind the replication port, elected by the ledger.

Rule of this file: a real engine's work but for elections. It appends, acknowledges what is durable,
commits by majority, truncates what another leader did not have, forwards proposals and read rounds
to the leader, cuts its log and takes snapshots. Everything between members goes through messages,
so partitions matter; what a message promises waits for its persist. No clock but the one it is
given, and no chance.

    APPEND    leader -> follower   entries behind (index, term), the commit index, a read round
    ACK       follower -> leader   how far it matches durably; or where it does not; a read round
    OFFER     follower -> leader   a proposal
    REFUSAL   leader -> follower   a proposal that was not taken
    ASK       follower -> leader   a read round, please
    TOLD      leader -> follower   its index; or (0) that it cannot be had
"""

import marshal
from collections import deque
from collections.abc import Sequence
from typing import Any

from net.replicator import (
    Entry,
    HardState,
    LinkDown,
    LinkUp,
    LogBounds,
    Outcome,
    Persist,
    Persisted,
    PersistRefused,
    Propose,
    RaftInput,
    RaftOutput,
    ReadIndex,
    Receive,
    Role,
    SnapshotInstalled,
    SnapshotReceived,
    SnapshotSent,
    SnapshotTaken,
)
from sim.ledger import Ledger

APPEND, ACK, OFFER, REFUSAL, ASK, TOLD = range(6)
_NAMES = ("append", "ack", "offer", "refusal", "ask", "told")
_PLAIN = 2
"""The marshal format without references: equal values are equal bytes."""
RETRY_MS = 500
SNAPSHOT_MS = 1000
PROBE = -1
"""In place of a read round: acknowledge even if there was nothing to append."""
KEPT_ENTRIES = 5
"""How many entries stay behind a cut, for followers a little behind."""


def kind_of(data: bytes) -> str:
    """Name a message, for traces."""
    return _NAMES[data[6]] if len(data) > 6 else "nudge"


class PerfectEngine:
    """One member's engine, for one life. `entries` are what its journal holds."""

    def __init__(
        self,
        member_id: int,
        ledger: Ledger,
        bounds: LogBounds,
        *,
        base: tuple[int, int],
        entries: Sequence[Entry],
        message_bytes: int,
    ) -> None:
        self.term = ledger.term_of(member_id, bounds.hard_state.term)
        self.is_leader = False
        self.leader = 0
        self._me = member_id
        self._ledger = ledger
        self._others = tuple(each for each in ledger.ids if each != member_id)
        self._base_index, self._base_term = base
        self._log = list(entries)
        self._durable = self.last_index
        self._commit = max(bounds.applied_index, self._base_index)
        self._applied = bounds.applied_index
        self._hint = bounds.hard_state.commit
        self._message_bytes = message_bytes
        self._sequence = 0
        self._term_sequence = 0
        """The persist that makes the term durable."""
        self._unsynced: deque[tuple[int, int]] = deque()
        """(sequence, last index it makes durable)."""
        self._links: dict[int, bool] = dict.fromkeys(self._others, False)
        self._match: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._told: dict[int, int] = {}
        """The commit index that each follower was told."""
        self._snapshot_ms: dict[int, int] = {}
        """Followers that a snapshot is on its way to, and when to send another."""
        self._taken: dict[bytes, None] = {}
        """Packs that came from others: one may come twice where links are no connections."""
        self._heard_ms: dict[int, int] = {}
        self._round = 0
        self._rounds: dict[int, tuple[int, list[tuple[int, int]], set[int]]] = {}
        """Read rounds under way: commit index when begun, who asked, who confirmed."""
        self._held_reads: list[tuple[int, int]] = []
        """(member, token) that wait for this term's first commit."""
        self._reads: dict[int, None] = {}
        """Own tokens that are with the leader."""
        self._tokens: dict[int, int] = {}
        """Own proposals in this log: index -> token."""
        self._offered: dict[int, None] = {}
        """Own proposals that are with the leader."""
        self._lost_leader = False
        self._greetings: list[int] = []
        self._now_ms = 0
        self._installing = 0
        self._out = _Out()
        self._role = Role(self.term, 0, False)

    # What the port shows.

    @property
    def role(self) -> Role:
        """See Replicator."""
        return Role(self.term, self.leader, self.is_leader)

    @property
    def commit_index(self) -> int:
        """See Replicator."""
        return self._commit

    def step(self, now_ms: int, inputs: Sequence[RaftInput]) -> RaftOutput:
        """See Replicator."""
        self._now_ms = now_ms
        out = self._out = _Out()
        self._obey_ledger()
        for given in inputs:
            self._take(given, now_ms)
        self._greet()
        if self.is_leader:
            self._begin_rounds()
            self._replicate()
        self._hand_out()
        role = self.role
        if role != self._role:
            self._role = role
            out.role = role
        return out.whole(self._next_deadline_ms())

    # What the ledger sees.

    @property
    def last_index(self) -> int:
        """The newest entry's index."""
        return self._base_index + len(self._log)

    @property
    def last(self) -> tuple[int, int]:
        """See Candidate."""
        return self._term_at(self.last_index), self.last_index

    @property
    def base_index(self) -> int:
        """See Candidate."""
        return self._base_index

    def entry_at(self, index: int) -> Entry | None:
        """See Candidate."""
        if self._base_index < index <= self.last_index:
            return self._log[index - self._base_index - 1]
        return None

    def step_down(self) -> None:
        """See Candidate."""
        self._lost_leader = True

    def greet(self, peer: int) -> None:
        """See Candidate."""
        self._greetings.append(peer)

    # Inputs.

    def _take(self, given: RaftInput, now_ms: int) -> None:
        match given:
            case Receive(peer, data):
                if data:
                    self._receive(peer, marshal.loads(data))
            case Propose(token, payload):
                self._propose(token, payload)
            case Persisted(sequence):
                self._persisted(sequence)
            case ReadIndex(token):
                self._read(token)
            case LinkUp(peer):
                self._links[peer] = True
                self._renew_link(peer)
            case LinkDown(peer):
                self._links[peer] = False
                if peer == self.leader:
                    self._lose_offered()
            case PersistRefused(sequence):
                self._withdraw(sequence)
            case SnapshotTaken():
                self._cut(given.index)
            case SnapshotSent(peer, well):
                self._snapshot_ms[peer] = now_ms + (SNAPSHOT_MS if well else RETRY_MS)
            case SnapshotReceived():
                self._snapshot(given)
            case SnapshotInstalled():
                self._installed(given.index)
            case _:
                pass

    def _obey_ledger(self) -> None:
        term = self._ledger.term_of(self._me, self.term)
        if term > self.term:
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
        was_term = self.term
        self.term = term
        self.is_leader = False
        if leader == self.leader and term == was_term:
            return
        self.leader = leader
        for token in self._tokens.values():
            self._out.resolved.append(Outcome(token, refused=False))
        self._tokens.clear()
        self._lose_offered()
        if self._reads:
            self._out.read_lost += self._reads
            self._reads.clear()
        own = [token for member, token in self._askers() if member == self._me]
        self._out.read_lost += own
        for member, token in self._askers():
            if member != self._me:
                self._send(member, (TOLD, self.term, token, 0))
        self._rounds.clear()
        self._held_reads.clear()

    def _askers(self) -> list[tuple[int, int]]:
        return [each for _, askers, _ in self._rounds.values() for each in askers] + [
            each for each in self._held_reads
        ]

    def _lose_offered(self) -> None:
        self._out.resolved += [Outcome(token, refused=False) for token in self._offered]
        self._offered.clear()

    # Leading.

    def _lead(self) -> None:
        self.is_leader = True
        self.leader = self._me
        self._match = dict.fromkeys(self._others, 0)
        self._next = dict.fromkeys(self._others, self.last_index + 1)
        self._told = dict.fromkeys(self._others, -1)
        self._snapshot_ms.clear()
        self._heard_ms = dict.fromkeys(self._others, self._now_ms)
        self._append([b""])

    def _propose(self, token: int, payload: bytes) -> None:
        if self.is_leader:
            self._tokens[self.last_index + 1] = token
            self._append([payload])
        elif self.leader and self._links[self.leader]:
            self._offered[token] = None
            self._send(self.leader, (OFFER, self.term, token, payload))
        else:
            self._out.resolved.append(Outcome(token, refused=True))

    def _append(self, payloads: list[bytes]) -> None:
        first = self.last_index + 1
        entries = [Entry(first + n, self.term, payload) for n, payload in enumerate(payloads)]
        self._log += entries
        self._persist(entries)

    def _begin_rounds(self) -> None:
        """Begin one round for all reads that wait, once this term has committed something."""
        if not self._held_reads or self._term_at(self._commit) != self.term:
            return
        askers, self._held_reads = self._held_reads, []
        self._round += 1
        self._rounds[self._round] = (self._commit, askers, {self._me})
        if len(self._ledger.ids) == 1:
            self._confirm(self._me, self._round)
            return
        for peer in self._others:
            self._send_append(peer, [], self._round)

    def _confirm(self, member: int, number: int) -> None:
        """A member confirms all rounds up to one."""
        for each in [each for each in self._rounds if each <= number]:
            index, askers, confirmed = self._rounds[each]
            confirmed.add(member)
            if len(confirmed) >= self._ledger.majority:
                del self._rounds[each]
                for asker, token in askers:
                    self._tell(asker, token, index)

    def _tell(self, asker: int, token: int, index: int) -> None:
        if asker == self._me:
            self._out.read_ready.append((token, index))
        else:
            self._send(asker, (TOLD, self.term, token, index))

    def _replicate(self) -> None:
        for peer in self._others:
            if not self._links[peer]:
                continue
            if self._now_ms - self._heard_ms[peer] >= RETRY_MS and self._waits_for(peer):
                self._heard_ms[peer] = self._now_ms
                self._try_again(peer)
            while self._next[peer] <= self.last_index:
                if self._next[peer] <= self._base_index:
                    self._ask_snapshot(peer)
                    break
                entries = self._chunk(self._next[peer])
                self._send_append(peer, entries, 0)
                self._next[peer] = entries[-1].index + 1
            if self._told[peer] < self._commit and self._next[peer] > self._base_index:
                self._send_append(peer, [], 0)

    def _try_again(self, peer: int) -> None:
        """Send what is not acknowledged once more; where nothing is, ask how far the peer is."""
        if self._match[peer]:
            self._next[peer] = self._match[peer] + 1
        else:
            self._next[peer] = self.last_index + 1
            self._send_append(peer, [], PROBE)
        if self._rounds:
            self._send_append(peer, [], max(self._rounds))

    def _waits_for(self, peer: int) -> bool:
        return self._match[peer] < self.last_index or bool(self._rounds)

    def _chunk(self, first: int) -> list[Entry]:
        start = first - self._base_index - 1
        size, end = 0, start
        while end < len(self._log) and (end == start or size < self._message_bytes):
            size += len(self._log[end].payload)
            end += 1
        return self._log[start:end]

    def _send_append(self, peer: int, entries: list[Entry], number: int) -> None:
        previous = min(self._next[peer] - 1, self.last_index)
        if previous < self._base_index:
            # It learns of the leader and the round; what it lacks comes as a snapshot.
            previous = self._base_index
        if not self._links[peer]:
            return
        packed = [(entry.index, entry.term, entry.payload) for entry in entries]
        term = self._term_at(previous)
        self._send(peer, (APPEND, self.term, previous, term, packed, self._commit, number))
        self._told[peer] = self._commit

    def _ask_snapshot(self, peer: int) -> None:
        if self._now_ms >= self._snapshot_ms.get(peer, 0):
            self._snapshot_ms[peer] = self._now_ms + 10 * SNAPSHOT_MS
            self._out.send_snapshot.append((peer, self._base_index))

    def _renew_link(self, peer: int) -> None:
        if self.is_leader:
            self._told[peer] = -1
            self._snapshot_ms.pop(peer, None)
            self._try_again(peer)
        elif peer == self.leader:
            for token in self._reads:
                self._send(peer, (ASK, self.term, token))

    def _greet(self) -> None:
        greetings, self._greetings = self._greetings, []
        if self.is_leader:
            for peer in greetings:
                self._send_append(peer, [], PROBE)

    # Messages.

    def _receive(self, peer: int, message: tuple[Any, ...]) -> None:
        # Any: marshal gives what the peer's engine packed, in the shapes of this file's table.
        kind, term = message[0], message[1]
        if term > self.term:
            self._ledger.adopt(self._me, term)
            self._follow(term, peer if kind == APPEND else 0)
            self._persist([])
        if kind == APPEND:
            if term < self.term:
                self._send(peer, (ACK, self.term, -1, 0, 0))
            else:
                self._appended(peer, *message[2:])
        elif kind == ACK:
            if self.is_leader and term == self.term:
                self._acknowledged(peer, *message[2:])
        elif kind == OFFER:
            self._offer(peer, term, *message[2:])
        elif kind == REFUSAL:
            if self._offered.pop(message[2], 1) is None:
                self._out.resolved.append(Outcome(message[2], refused=True))
        elif kind == ASK:
            if self.is_leader and term == self.term:
                self._held_reads.append((peer, message[2]))
            else:
                self._send(peer, (TOLD, self.term, message[2], 0))
        elif kind == TOLD and self._reads.pop(message[2], 1) is None:
            token, index = message[2], message[3]
            if index and term == self.term:
                self._out.read_ready.append((token, index))
            else:
                self._out.read_lost.append(token)

    def _offer(self, peer: int, term: int, token: int, payload: bytes) -> None:
        if payload in self._taken:
            return
        if self.is_leader and term == self.term:
            self._taken[payload] = None
            self._append([payload])
        else:
            self._send(peer, (REFUSAL, self.term, token))

    @property
    def can_lead(self) -> bool:
        """See Candidate."""
        return not self._installing

    def _appended(
        self,
        peer: int,
        previous: int,
        previous_term: int,
        packed: list[tuple[int, int, bytes]],
        commit: int,
        number: int,
    ) -> None:
        self._follow(self.term, peer)
        if self._installing:
            return
        if previous > self.last_index or (
            previous >= self._base_index and self._term_at(previous) != previous_term
        ):
            # Where the leader should try: what is committed here cannot differ.
            hint = min(self._commit, previous - 1)
            self._send(peer, (ACK, self.term, hint, 1, number), self._term_sequence)
            return
        fresh = [Entry(*each) for each in packed if each[0] > self._base_index]
        while fresh and fresh[0].index <= self.last_index:
            if self._term_at(fresh[0].index) != fresh[0].term:
                break
            del fresh[0]
        if fresh:
            self._write(fresh)
        match = packed[-1][0] if packed else previous
        self._commit_to(min(commit, match))
        if number > 0:
            # The round alone promises nothing but the term.
            settled = min(match, self._durable)
            self._send(peer, (ACK, self.term, settled, 0, number), self._term_sequence)
        if packed or number == PROBE:
            after = self._sequence if self._unsynced else 0
            self._send(peer, (ACK, self.term, match, 0, 0), after)

    def _write(self, fresh: list[Entry]) -> None:
        """Take a leader's entries, in place of those of an earlier one."""
        first = fresh[0].index
        truncate = first if first <= self.last_index else None
        if truncate is not None:
            assert truncate > self._commit, "INV-LOG-MATCHES: truncates what is committed"
            self._ledger.world.mark("conflict truncated")
            del self._log[truncate - self._base_index - 1 :]
            self._durable = min(self._durable, truncate - 1)
            self._unsynced = deque(
                (sequence, min(upto, truncate - 1)) for sequence, upto in self._unsynced
            )
        self._log += fresh
        self._persist(fresh, truncate)

    def _acknowledged(self, peer: int, match: int, is_hint: int, number: int) -> None:
        self._heard_ms[peer] = self._now_ms
        if number > 0:
            self._confirm(peer, number)
        if is_hint:
            self._next[peer] = min(self._next[peer], max(match, self._match[peer]) + 1)
            return
        if match > self._match[peer]:
            self._snapshot_ms.pop(peer, None)
            self._match[peer] = match
            self._next[peer] = max(self._next[peer], match + 1)
            self._advance()

    def _advance(self) -> None:
        """Commit what a majority holds durably, if it is of this term."""
        reached = sorted([self._durable, *self._match.values()], reverse=True)
        index = reached[self._ledger.majority - 1]
        if index > self._commit and self._term_at(index) == self.term:
            self._commit_to(index)

    def _commit_to(self, index: int) -> None:
        for each in range(self._commit + 1, index + 1):
            entry = self.entry_at(each)
            assert entry is not None, "INV-LOG-MATCHES: commits what is not there"
            self._ledger.commit(entry)
        self._commit = max(self._commit, index)

    # Reads.

    def _read(self, token: int) -> None:
        if self.is_leader:
            self._held_reads.append((self._me, token))
        elif self.leader:
            self._reads[token] = None
            self._send(self.leader, (ASK, self.term, token))
        else:
            self._out.read_lost.append(token)

    # The disk.

    def _persist(self, entries: list[Entry], truncate_from: int | None = None) -> None:
        self._sequence += 1
        hard: HardState | None = None
        if not entries or self._commit > self._hint + 20:
            hard = HardState(self.term, self._ledger.leaders.get(self.term, 0), self._commit)
            self._hint = self._commit
            self._term_sequence = self._sequence
        self._unsynced.append((self._sequence, self.last_index))
        self._out.persist.append(Persist(self._sequence, hard, truncate_from, entries))

    def _persisted(self, sequence: int) -> None:
        while self._unsynced and self._unsynced[0][0] <= sequence:
            self._durable = max(self._durable, self._unsynced.popleft()[1])
        if self.is_leader:
            self._advance()

    def _withdraw(self, sequence: int) -> None:
        """The disk has no room: what was not written from here on is not in the log.

        Nobody was told of it: messages that promise it never left. Others may hold it all the
        same, by this leader's appends, so its fate is open.
        """
        keep = self._durable
        while self._unsynced and self._unsynced[-1][0] >= sequence:
            self._unsynced.pop()
        keep = max([keep, *(upto for _, upto in self._unsynced)])
        self._commit = min(self._commit, keep)
        del self._log[keep - self._base_index :]
        for index in [index for index in self._tokens if index > keep]:
            self._out.resolved.append(Outcome(self._tokens.pop(index), refused=False))
        self._follow(self.term, 0)

    def _cut(self, index: int) -> None:
        """Let go of the log behind what the store holds durably."""
        keep_from = min(index, self._applied) - KEPT_ENTRIES
        count = keep_from - self._base_index
        if count > 0:
            self._base_term = self._term_at(keep_from)
            self._base_index = keep_from
            del self._log[:count]
            self._out.persist.append(Persist(0, drop_to=keep_from))
            self._ledger.world.mark("log cut")

    # Snapshots.

    def _snapshot(self, given: SnapshotReceived) -> None:
        index, term = given.index, given.term
        if index <= self._commit or self.is_leader or self._installing:
            return
        if self._base_index <= index <= self.last_index and self._term_at(index) == term:
            return  # All of it is here already.
        self._installing = index
        self._log.clear()
        self._unsynced.clear()
        self._base_index, self._base_term = index, term
        self._durable = self._base_index
        self._out.install = (index, term)

    def _installed(self, index: int) -> None:
        self._installing = 0
        self._commit = self._applied = index
        self._ledger.world.mark("snapshot installed")
        if self.leader:
            self._send(self.leader, (ACK, self.term, index, 0, 0))

    # Outputs.

    def _hand_out(self) -> None:
        """Hand out what is committed and durable here."""
        if self._installing:
            return
        upto = min(self._commit, self._durable)
        while self._applied < upto:
            self._applied += 1
            entry = self.entry_at(self._applied)
            assert entry is not None, "INV-APPLY-ONCE: applies what is not there"
            self._out.apply.append(entry)
            self._tokens.pop(self._applied, None)

    def _send(self, peer: int, message: tuple[object, ...], after: int = 0) -> None:
        data = marshal.dumps(message, _PLAIN)  # type: ignore[arg-type]  # numbers, bytes, tuples
        self._out.send.append((peer, data, after))

    def _term_at(self, index: int) -> int:
        if index <= self._base_index:
            return self._base_term if index == self._base_index else 0
        return self._log[index - self._base_index - 1].term

    def _next_deadline_ms(self) -> int | None:
        if not self.is_leader:
            return None
        waits = [self._heard_ms[peer] for peer in self._others if self._waits_for(peer)]
        return min(waits) + RETRY_MS if waits else None


class _Out:
    """What one step asks for, as it gathers."""

    __slots__ = (
        "apply", "install", "persist", "read_lost", "read_ready", "resolved", "role", "send",
        "send_snapshot",
    )  # fmt: skip

    def __init__(self) -> None:
        self.persist: list[Persist] = []
        self.send: list[tuple[int, bytes, int]] = []
        self.apply: list[Entry] = []
        self.read_ready: list[tuple[int, int]] = []
        self.read_lost: list[int] = []
        self.resolved: list[Outcome] = []
        self.send_snapshot: list[tuple[int, int]] = []
        self.install: tuple[int, int] | None = None
        self.role: Role | None = None

    def whole(self, next_deadline_ms: int | None) -> RaftOutput:
        return RaftOutput(
            self.persist,
            self.send,
            self.apply,
            self.read_ready,
            self.resolved,
            self.role,
            next_deadline_ms,
            self.read_lost,
            self.send_snapshot,
            self.install,
        )
