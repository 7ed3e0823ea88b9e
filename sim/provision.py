"""Who runs a machine for whom: an operator who does what the log says about members.

Rule of this file: a machine is a spare until the log has it join; then it is started, with an
empty disk. Once the log has it leave it is turned off a while later, for good: its id is never
given again, and until then it is one that may think itself a member. Clients turn to members.

    spare -> member -> leaving -> gone
"""

from collections.abc import Callable
from functools import partial

from core.members import Change, ChangeKind
from sim.world import World

START_MS = 400
"""An added member's machine is started at most so much later."""
LINGER_MS = 6_000
"""A removed one runs on for at most so long."""
_ROTATION = 16
"""A client turns to another of the members that joined after so many questions of all."""


class Provision:
    """The machines of a run, founders first. Machines are numbers here, members ids from 1."""

    def __init__(
        self,
        world: World,
        founders: int,
        spares: int,
        *,
        start: Callable[[int], None],
        stop: Callable[[int], None],
    ) -> None:
        self._world = world
        self._start = start
        self._stop = stop
        self._standing = ["member"] * founders + ["spare"] * spares
        self._founders = founders
        self._voters = set(range(founders))
        self._members = list(range(founders))
        self._asked = 0
        self.rest_us = 0
        """When faults end, and all is to come to rest."""

    def members(self) -> list[int]:
        """Return the machines that are members, as far as the log goes."""
        return self._members

    def voters(self) -> list[int]:
        """Return those of them that vote; the others refuse most of what clients ask."""
        return [each for each in self.members() if each in self._voters]

    def may_run(self, machine: int) -> bool:
        """Whether the machine has any business to run."""
        return self._standing[machine] in ("member", "leaving")

    def changed(self, change: Change) -> None:
        """The log has a change of members; those that founded it run already."""
        machine = change.member - 1
        standing = self._standing[machine]
        if change.kind in (ChangeKind.ADD_VOTER, ChangeKind.PROMOTE):
            self._voters.add(machine)
        elif change.kind in (ChangeKind.REMOVE, ChangeKind.DEMOTE):
            self._voters.discard(machine)
        if change.kind == ChangeKind.REMOVE and standing == "member":
            self._standing[machine] = "leaving"
            self._members = [each for each in self._members if each != machine]
            self._after(LINGER_MS, partial(self._turn_off, machine))
        elif change.kind in (ChangeKind.ADD_LEARNER, ChangeKind.ADD_VOTER) and standing == "spare":
            self._standing[machine] = "member"
            self._members = sorted([*self._members, machine])
            self._after(START_MS, partial(self._turn_on, machine))

    def _after(self, most_ms: int, call: Callable[[], None]) -> None:
        chance = self._world.chance("operator")
        self._world.after_us(1 + int(chance.random() * most_ms * 1000), call)

    def _turn_on(self, machine: int) -> None:
        if self._standing[machine] == "member":
            self._start(machine)

    def _turn_off(self, machine: int) -> None:
        self._standing[machine] = "gone"
        self._stop(machine)

    def turn_to(self, machine: int) -> int:
        """Return whom a client asks that wants a founder: one that is a member still.

        Where others have joined, they take their turns. A client of one that was removed stays
        with it while its machine runs on, but not when all is to come to rest: then they turn to
        who votes.
        """
        is_late = self._world.now_us >= self.rest_us
        if self._standing[machine] == "leaving" and not is_late:
            return machine
        members = self.voters() if is_late else self.members()
        if len(members) > self._founders or machine not in members:
            self._asked += 1
            return members[(machine + self._asked // _ROTATION) % len(members)]
        return machine
