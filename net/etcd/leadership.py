"""Giving leadership away: because an operator asks for it, or because this member leaves.

Rule of this file: whom to, and what is refused, in etcd's words and by the table; how, is the
engine's. Whoever asked learns the end, at the latest when the time for it is over.
"""

from collections.abc import Callable

from attrs import frozen

from core.errors import BAD_TRANSFEREE, NOT_LEADER, TIMED_OUT_TRANSFER
from core.inputs import ChangeOffered
from net.driver import Driver, DriverInput
from net.etcd.calls import Call, Hidden
from net.etcd.pb import rpc_pb2 as pb
from net.turns import Io, LeadershipTo

TRANSFER_MS = 5_000


@frozen
class _Step:
    then: Callable[[bool], None]
    deadline_ms: int


class Leadership:
    """What is under way. One owner: the client port, by way of `Maintenance`."""

    def __init__(self, driver: Driver) -> None:
        self.inputs: list[DriverInput] = []
        """For the port to hand on to the driver."""
        self._driver = driver
        self._steps: dict[int, _Step] = {}
        self._token = 0

    def move(self, call: Call, target: int) -> None:
        """Answer MoveLeader."""
        role = self._driver.engine.role
        if not role.is_leader:
            call.fail(NOT_LEADER)
        elif not self._votes(target):
            call.fail(BAD_TRANSFEREE)
        elif target == role.leader:
            call.reply(pb.MoveLeaderResponse().SerializeToString())
        else:
            self._give(target, lambda well: _answer(call, well))

    def hand_over(self, then: Callable[[], None]) -> None:
        """Leave well: let another lead, and another vote where roles are kept; then go on.

        `then` is called once, in a turn, however that ends.
        """
        node = self._driver.node
        heir = node.membership.heir(node.state)
        if self._driver.engine.role.is_leader and heir:
            self._give(heir, lambda _well: self._lay_down(then))
        else:
            self._lay_down(then)

    def took_turn(self, io: Io) -> None:
        """Take note of what the engine tells; give up what has taken too long."""
        for token, well in io.transferred:
            self._ended(token, well=well)
        if not self._steps:
            return
        now_ms = self._driver.node.now_ms
        for token, step in list(self._steps.items()):
            if now_ms >= step.deadline_ms:
                self._ended(token, well=False)

    def _votes(self, target: int) -> bool:
        members = self._driver.node.state.members
        if not members:
            return self._driver.engine.members.get(target, False)
        return target in members and members[target].votes

    def _ended(self, token: int, *, well: bool) -> None:
        step = self._steps.pop(token, None)
        if step is not None:
            step.then(well)

    def _give(self, target: int, then: Callable[[bool], None]) -> None:
        self.inputs.append(LeadershipTo(self._begin(then), target))

    def _begin(self, then: Callable[[bool], None]) -> int:
        self._token += 1
        now_ms = self._driver.node.now_ms
        self._steps[self._token] = _Step(then, now_ms + TRANSFER_MS)
        return self._token

    def _lay_down(self, then: Callable[[], None]) -> None:
        node = self._driver.node
        farewell = node.membership.farewell(node.state)
        if farewell is None or self._driver.engine.role.is_leader:
            then()
        else:
            token = self._begin(lambda _well: then())
            done = Hidden(lambda well: self._ended(token, well=well))
            self.inputs.append(ChangeOffered(done, farewell))


def _answer(call: Call, well: bool) -> None:
    if call.over:
        return
    if well:
        call.reply(pb.MoveLeaderResponse().SerializeToString())
    else:
        call.fail(TIMED_OUT_TRANSFER)
