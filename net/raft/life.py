"""One life of the library's object, with types: what goes in, what comes out, what it knows.

Rule of this file: it translates calls and decides nothing. Indexes are the library's own here
(`net.raft.library`); `net.raft.wrapped` says what it is told.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pysyncobj import SyncObj, SyncObjConf  # type: ignore[import-untyped]
from pysyncobj.transport import Transport  # type: ignore[import-untyped]

from net.raft.library import AGAIN_MS, CLOCK, NEVER_MS, Command, EngineNode, LogView, Message
from net.raft.replica import Timing

_LEADER = 2
_NOBODY = EngineNode(0)
"""Stands for the others where this member does not vote: the library elects nobody alone then."""


class _Transport(Transport):  # type: ignore[misc]  # the library has no types
    """The library's links: what it sends goes to a function."""

    def __init__(self, on_send: Callable[[int, Message], None]) -> None:
        super().__init__(None, None, None)
        self._on_send = on_send

    def send(self, node: EngineNode, message: Message) -> bool:
        """See Transport."""
        self._on_send(node.number, message)
        return True


class Life:
    """The library's object. Any exception out of it ends the member."""

    def __init__(
        self,
        me: int,
        voters: Iterable[int],
        view: LogView,
        timing: Timing,
        on_send: Callable[[int, Message], None],
        on_leading: Callable[[], None],
    ) -> None:
        self.view = view
        self.origin = view.origin
        self._on_leading = on_leading
        self._nodes: dict[int, EngineNode] = {}
        self._transport: Any = _Transport(on_send)  # any: the library has no types
        voting = sorted(voters)
        others = [self._node(each) for each in voting if each != me]
        conf = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=True,
            appendEntriesPeriod=AGAIN_MS,
            appendEntriesBatchSizeBytes=Command.size_max + 1,
            commandsWaitLeader=False,
            commandsQueueSize=0,
            connectionTimeout=NEVER_MS,
            dynamicMembershipChange=True,
            journalFile=view,
            leaderFallbackTimeout=2 * timing.election_ms,
            logCompactionMinEntries=NEVER_MS,
            logCompactionMinTime=NEVER_MS,
            onStateChanged=self._state_changed,
            raftMaxTimeout=5 * AGAIN_MS,
            raftMinTimeout=4 * AGAIN_MS,
            useFork=False,
        )
        self._object: Any = SyncObj(
            self._node(me),
            others if me in voting else [_NOBODY],
            conf,
            nodeClass=self._node,  # pyright: ignore  # it is only ever called
            transport=self._transport,
        )

    def _node(self, number: int) -> EngineNode:
        if number not in self._nodes:
            self._nodes[number] = EngineNode(number)
        return self._nodes[number]

    def _state_changed(self, _old: int, new: int) -> None:
        if new == _LEADER:
            self._on_leading()

    # What it knows.

    @property
    def commit(self) -> int:
        """The commit index, in the log's numbers."""
        commit: int = self._object.raftCommitIndex
        return commit + self.origin

    @property
    def is_leader(self) -> bool:
        """Whether it leads."""
        leads: bool = self._object._isLeader()
        return leads

    def retire(self) -> None:
        """End this life, without leaving a cycle to the garbage collector."""
        self._transport.__dict__.clear()
        self._object.__dict__.clear()

    # What it is told.

    def deliver(self, peer: int, message: Message) -> None:
        """Take a message."""
        self._transport._onMessageReceived(self._node(peer), message)

    def connect(self, peer: int) -> None:
        """Let it send to a peer; one that does not lead can only campaign with somebody there."""
        self._transport._onNodeConnected(self._node(peer))

    def disconnect(self, peer: int) -> None:
        """Let it send nothing more to a peer."""
        self._transport._onNodeDisconnected(self._node(peer))

    def teach(self, learner: int) -> None:
        """Have it replicate to a learner, which counts for nothing."""
        self._transport._onReadonlyNodeConnected(self._node(learner))

    def unteach(self, learner: int) -> None:
        """Undo `teach`."""
        self._transport._onReadonlyNodeDisconnected(self._node(learner))

    def propose(self, command: Command) -> None:
        """Append an entry, if it leads."""
        self._object._applyCommand(command, None)
        self._object._checkCommandsToApply()

    def campaign(self) -> None:
        """Campaign at once, if it is connected to anybody or votes alone.

        Its own timeouts are next to nothing: when is decided by `net.raft.elections`.
        """
        CLOCK.now_ms += 5 * AGAIN_MS
        self.tick()

    def tick(self) -> None:
        """Elect, commit, send to whoever is connected."""
        CLOCK.now_ms += 2 * AGAIN_MS
        self._object.doTick(0.0)
