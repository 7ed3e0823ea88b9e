"""This member's own packs, from the commands that wait for one to their fate in the log.

Rule of this file: what was proposed is remembered until it is applied, refused or lost, and no
longer. A pack's token is the sequence of its first command, so that one that comes back as other
bytes, as from another leader, is known by what it holds.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core.codec import CodecError, ProposalId, Proposed, decode_pack, encode_pack
from core.effects import Propose, ProposeChange
from core.limits import PACK_BYTES_MAX, PACK_COMMANDS_MAX
from core.tuples import new
from net import replicator as raft
from net.changes import framed, pack_of
from net.faultpoint import faultpoint


class _Own(NamedTuple):
    """A pack that this member made, and the commands it was made from."""

    pack: bytes
    commands: list[Proposed]
    token: int


class Packs:
    """Commands that wait for a pack, and the packs whose fate is open."""

    __slots__ = ("_held", "_origin", "_own", "_tokens", "changes", "verify", "waiting")

    def __init__(self, origin: int) -> None:
        self.waiting: list[Propose] = []
        """Commands for the next pack."""
        self.changes: list[ProposeChange] = []
        """Commands that go in packs of their own: Raft sees what they change."""
        self.verify = False
        """Decode even own packs, and compare."""
        self._held: deque[tuple[int, Propose | ProposeChange]] = deque()
        """What waits for a leader, and since when."""
        self._origin = origin
        self._own: dict[int, _Own] = {}
        """Packs this member made, by identity: applying them needs no decoding."""
        self._tokens: dict[int, int] = {}
        """Which of them each token of a proposal names."""

    def hold(self, now_ms: int, patience_ms: int) -> list[int]:
        """Keep what waits for a leader; return the sequences of what has waited for too long."""
        self._held += [(now_ms, effect) for effect in self.waiting]
        self._held += [(now_ms, effect) for effect in self.changes]
        self.waiting.clear()
        self.changes.clear()
        late: list[int] = []
        while self._held and now_ms - self._held[0][0] >= patience_ms:
            late.append(self._held.popleft()[1].sequence)
        return late

    def release(self) -> None:
        """There is a leader: what was held waits for a pack again, in order."""
        if self._held:
            held = [effect for _, effect in self._held]
            self._held.clear()
            changes = [each for each in held if isinstance(each, ProposeChange)]
            self.changes = changes + self.changes
            self.waiting = [each for each in held if isinstance(each, Propose)] + self.waiting

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

    def _remember(self, token: int, pack: bytes, commands: list[Proposed]) -> None:
        self._own[id(pack)] = _Own(pack, commands, token)
        self._tokens[token] = id(pack)

    def give_up(self, token: int) -> list[int]:
        """Forget a pack that was refused or lost; return the sequences of its commands."""
        own = self._own.pop(self._tokens.pop(token, 0), None)
        return [] if own is None else [proposed.id.sequence for proposed in own.commands]

    def commands(self, entry: raft.Entry) -> Sequence[Proposed]:
        """Return the commands of an entry to apply; an own pack is forgotten by that."""
        faultpoint("apply.before")
        own = self._own.pop(id(entry.payload), None)
        if own is not None and own.pack is entry.payload:
            del self._tokens[own.token]
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
