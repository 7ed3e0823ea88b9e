"""This member's own packs, from the commands that wait for one to their fate in the log.

Rule of this file: what was proposed is remembered until it is applied, refused or lost, and no
longer. A pack's token is the sequence of its first command, so that one that comes back as other
bytes, as from another leader, is known by what it holds.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from core.codec import CodecError, ProposalId, Proposed, decode_pack, encode, encode_pack
from core.effects import Propose, ProposeChange
from core.limits import PACK_BYTES_MAX, PACK_COMMANDS_MAX
from core.operations import (
    AlarmSet,
    Compact,
    DeleteRange,
    LeaseExpire,
    LeaseGrant,
    LeaseRevoke,
    MemberPublish,
    Put,
    Txn,
)
from core.tuples import new
from net import replicator as raft
from net.changes import framed, pack_of
from net.faultpoint import faultpoint

AGAIN_MS = 50
_MAY_WAIT = frozenset(
    (Put, DeleteRange, Txn, Compact, LeaseGrant, LeaseRevoke, AlarmSet, MemberPublish, LeaseExpire)
)
"""What means the same whenever it is applied; changes of members are judged by one leader."""


class _Own(NamedTuple):
    """A pack that this member made, and the commands it was made from."""

    pack: bytes
    commands: list[Proposed]
    token: int


class Packs:
    """Commands that wait for a pack, and the packs whose fate is open."""

    __slots__ = (
        "_again_ms",
        "_origin",
        "_own",
        "_since_ms",
        "_tokens",
        "changes",
        "held",
        "patience_ms",
        "verify",
        "waiting",
    )

    def __init__(self, origin: int, patience_ms: int = 0) -> None:
        self.patience_ms = patience_ms
        """So long a command waits for a leader; 0: not at all."""
        self.waiting: list[Propose] = []
        """Commands for the next pack."""
        self.changes: list[ProposeChange] = []
        """Commands that go in packs of their own: Raft sees what they change."""
        self.verify = False
        """Decode even own packs, and compare."""
        self.held: list[Propose] = []
        """What waits for a leader."""
        self._since_ms: dict[int, int] = {}
        """Since when what has waited for one did so first, by sequence."""
        self._again_ms = 0
        """When what was refused is offered again."""
        self._origin = origin
        self._own: dict[int, _Own] = {}
        """Packs this member made, by identity: applying them needs no decoding."""
        self._tokens: dict[int, int] = {}
        """Which of them each token of a proposal names."""

    def hold(self, now_ms: int) -> None:
        """Keep what waits for a leader."""
        for effect in self.waiting:
            self._since_ms.setdefault(effect.sequence, now_ms)
        self.held += self.waiting
        self.waiting = []

    def late(self, now_ms: int) -> list[int]:
        """Give up what has waited for a leader for too long; return the sequences."""
        since_ms = self._since_ms
        late = [
            each.sequence
            for each in self.held
            if now_ms - since_ms[each.sequence] >= self.patience_ms
        ]
        if late:
            self.held = [each for each in self.held if each.sequence not in late]
            self._forget(late)
        return late

    def outdated(self) -> list[int]:
        """Give up the changes that wait: the leader was another when they were judged."""
        changes, self.changes = self.changes, []
        return [each.sequence for each in changes]

    def take_back(self, token: int, now_ms: int) -> bool:
        """Keep a pack that was refused for a leader that takes it; whether all of it may wait."""
        own = self._own.get(self._tokens.get(token, 0)) if self.patience_ms else None
        if own is None or not _MAY_WAIT.issuperset(type(each.command) for each in own.commands):
            return False
        del self._own[self._tokens.pop(token)]
        for (origin, sequence), command in own.commands:
            self._since_ms.setdefault(sequence, now_ms)
            payload = encode((origin, sequence), command)
            self.held.append(Propose(sequence, payload, command))
        self._again_ms = now_ms + AGAIN_MS
        return True

    def release(self, now_ms: int) -> None:
        """There is a leader: what was held waits for a pack again, in order."""
        if self.held and now_ms >= self._again_ms:
            self.waiting = self.held + self.waiting
            self.held = []

    def make(self) -> Iterator[raft.Propose]:
        """Make packs of all that waits."""
        batch, self.waiting = self.waiting, []
        while batch:
            size = 0
            count = 0
            for effect in batch[:PACK_COMMANDS_MAX]:
                size += len(effect.payload)
                if size > PACK_BYTES_MAX and count:
                    break
                count += 1
            chosen = batch[:count]
            batch = batch[count:]
            token = chosen[0].sequence
            pack = encode_pack([effect.payload for effect in chosen])
            origin = self._origin
            commands = [
                new(Proposed, (new(ProposalId, (origin, sequence)), command))
                for sequence, _, command in chosen
            ]
            self._remember(token, pack, commands)
            yield raft.Propose(token, pack)

    def make_changes(self) -> Iterator[raft.ChangeMember]:
        """Make a pack of each change that waits, behind the mark that tells the engine."""
        batch, self.changes = self.changes, []
        for sequence, payload, command, change in batch:
            pack = framed(change, encode_pack([payload]))
            self._remember(sequence, pack, [Proposed(ProposalId(self._origin, sequence), command)])
            yield raft.ChangeMember(sequence, pack, change)

    def _forget(self, sequences: Iterable[int]) -> None:
        for sequence in sequences:
            self._since_ms.pop(sequence, None)

    def _remember(self, token: int, pack: bytes, commands: list[Proposed]) -> None:
        self._own[id(pack)] = _Own(pack, commands, token)
        self._tokens[token] = id(pack)

    def give_up(self, token: int) -> list[int]:
        """Forget a pack that was refused or lost; return the sequences of its commands."""
        own = self._own.pop(self._tokens.pop(token, 0), None)
        sequences = [] if own is None else [proposed.id.sequence for proposed in own.commands]
        self._forget(sequences)
        return sequences

    def commands(self, entry: raft.Entry) -> Sequence[Proposed]:
        """Return the commands of an entry to apply; an own pack is forgotten by that."""
        faultpoint("apply.before")
        own = self._own.pop(id(entry.payload), None)
        if own is not None and own.pack is entry.payload:
            del self._tokens[own.token]
            if self._since_ms:
                self._forget([proposed.id.sequence for proposed in own.commands])
            if self.verify:
                assert decode_entry(entry) == own.commands, "INV-CODEC-EXACT"
            return own.commands
        commands = decode_entry(entry)
        if self._tokens and commands and commands[0].id.origin == self._origin:
            self.give_up(commands[0].id.sequence)
        return commands


def decode_entry(entry: raft.Entry) -> Sequence[Proposed]:
    """Return an entry's commands. Bytes that the codec refuses end the member."""
    try:
        return decode_pack(pack_of(entry.payload))
    except CodecError as error:
        raise CodecError(f"log index {entry.index}: {error}") from error
