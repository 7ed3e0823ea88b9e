"""What members say to each other: which message leaves when, and questions passed on to the leader.

Rule of this file: a message leaves once all that it promises is durable, in the order in which it
was given; what a refused write promised never leaves. INV-SEND-AFTER-PERSIST.
"""

from collections import deque

from core import inputs
from core.effects import AskLeader, Reply
from core.inputs import Input
from net import replicator as raft
from net.questions import Remote, decode_answer, decode_question, encode_answer, encode_question
from net.turns import ASK, TELL, Io, PeerMessage


class Correspondence:
    """Messages on their way out, and what came in. One owner: the driver."""

    __slots__ = ("_gated", "_persisted", "asked")

    def __init__(self) -> None:
        self._persisted = 0
        """The engine's last sequence that is durable."""
        self._gated: deque[tuple[int, PeerMessage]] = deque()
        """Messages that wait for a sequence to be durable, in order."""
        self.asked = 0
        """How many questions of other members are open."""

    @property
    def is_holding(self) -> bool:
        """Whether a message waits for what it promises."""
        return bool(self._gated)

    def send(self, io: Io, message: PeerMessage, after: int) -> None:
        """Let a message leave once the engine's sequence `after` is durable."""
        if after <= self._persisted:
            io.sends.append(message)
        else:
            self._gated.append((after, message))

    def persisted(self, io: Io, sequence: int) -> None:
        """Everything up to a sequence is durable: let go what waited for it."""
        io.sends += self.released(sequence)

    def released(self, sequence: int) -> list[PeerMessage]:
        """Everything up to a sequence is durable: return what waited for it."""
        self._persisted = max(self._persisted, sequence)
        released: list[PeerMessage] = []
        while self._gated and self._gated[0][0] <= sequence:
            released.append(self._gated.popleft()[1])
        return released

    def withdraw(self, sequence: int) -> None:
        """This sequence and all after it were not written: what depended on them never leaves."""
        while self._gated and self._gated[-1][0] >= sequence:
            self._gated.pop()

    def ask(self, io: Io, effect: AskLeader) -> None:
        """Pass a question on to the leader."""
        question = encode_question(effect.number, effect.query)
        io.sends.append(PeerMessage(effect.leader, ASK, question))

    def heard(self, given: PeerMessage) -> Input | None:
        """Return what a message that is not the engine's is: a question or an answer, or None."""
        peer, channel, data = given
        if channel == ASK:
            number, query = decode_question(data)
            self.asked += 1
            return inputs.PeerAsked(Remote(peer, number), query)
        if channel == TELL:
            return inputs.LeaderTold(*decode_answer(data))
        return None

    def tell(self, io: Io) -> None:
        """Send the answers that wait on other members there."""
        here: list[Reply] = []
        for reply in io.replies:
            token = reply.token
            if isinstance(token, Remote):
                self.asked -= 1
                answer = encode_answer(token.number, reply.answer)
                io.sends.append(PeerMessage(token.peer, TELL, answer))
            else:
                here.append(reply)
        io.replies = here


def progress_of(engine: raft.Replicator, last_index: int) -> inputs.Progressed | None:
    """Return how far the others are, as the leader knows: who may vote depends on it."""
    if not engine.role.is_leader:
        return None
    others = [each for each in sorted(engine.members) if each != engine.role.leader]
    if not others:
        return None
    return inputs.Progressed({each: engine.match_of(each) for each in others}, last_index)
