"""A storm over a world of Raft engines: every fault that the world knows, from one seed.

The rule of this file: what happens is drawn from the world's chance alone, so that a seed is a
story. At the end all faults stop, and everybody must come to apply the same.
"""

from functools import partial

from net.replicator import ChangeKind
from tests.raft_world import Member, RaftWorld

CALM_MS = 20_000


class Storm:
    """Clients and faults over a world, for so long."""

    def __init__(
        self,
        world: RaftWorld,
        *,
        changes: bool = True,
        full_disks: bool = True,
        pauses: bool = True,
    ) -> None:
        self.world = world
        self.chance = world.chance
        self.faults = ["split", "heal", "crash", "reset", "flush", "flush", "slow", "transfer"]
        self.faults += ["change"] * 3 * changes + ["full"] * full_disks + ["pause"] * pauses
        self.done: dict[str, int] = {}
        self._number = 0
        self._over = False

    def rage(self, ms: int) -> "Storm":
        """Let it rage, then calm down; everybody converges."""
        world = self.world
        world.settle()
        self._client()
        self._fault()
        world.run(ms)
        self._over = True
        world.heal()
        for member in world.members.values():
            member.full = False
            if member.silent:
                self._wake(member)
            member.sync_us = 500
            if member.disk.members:
                member.start()
        world.heal()
        assert world.run(CALM_MS, until=self._is_calm), self._state()
        return self

    def _is_calm(self) -> bool:
        world = self.world
        leader = world.leader
        if leader is None or leader.engine is None:
            return False
        current = [each for each in world.members.values() if each.id in leader.engine.members]
        settled = all(
            each.up and each.applied_index == leader.engine.commit_index for each in current
        )
        newest = world.committed.get(leader.engine.commit_index)
        return settled and newest is not None and newest.term == leader.engine.role.term

    def _state(self) -> str:
        return "\n".join(
            f"{each.id}: up={each.up} applied={each.applied_index} "
            + (f"{each.engine.role} {dict(each.engine.members)}" if each.engine else "")
            for each in self.world.members.values()
        )

    def _client(self) -> None:
        if self._over:
            return
        world, chance = self.world, self.chance
        alive = [each for each in world.members.values() if each.up and not each.silent]
        if alive:
            for _ in range(chance.choice((1, 1, 1, 4))):
                self._number += 1
                size = chance.choice((10, 10, 100, 2000))
                world.propose(chance.choice(alive), b"%d " % self._number + bytes(size))
            world.read(chance.choice(alive))
        world.after(chance.randrange(1_000, 30_000), self._client)

    def _fault(self) -> None:
        if self._over:
            return
        world, chance = self.world, self.chance
        kind = chance.choice(self.faults)
        member = world.members[chance.choice(list(world.members))]
        self.done[kind] = self.done.get(kind, 0) + 1
        getattr(self, f"_{kind}")(member)
        world.after(chance.randrange(10_000, 1_000_000), self._fault)

    # Faults.

    def _split(self, _: Member) -> None:
        ids = list(self.world.members)
        self.chance.shuffle(ids)
        cut = self.chance.randrange(1, len(ids)) if len(ids) > 1 else 1
        self.world.split(ids[:cut], ids[cut:])

    def _heal(self, _: Member) -> None:
        self.world.heal()

    def _crash(self, member: Member) -> None:
        if member.up:
            member.crash()
            self.world.after(self.chance.randrange(50_000, 3_000_000), partial(self._start, member))

    def _start(self, member: Member) -> None:
        if not member.up:
            member.start()

    def _reset(self, member: Member) -> None:
        other = self.chance.choice(list(self.world.members))
        self.world.disconnect(member.id, other)
        delay_us = self.chance.randrange(1_000, 300_000)
        self.world.after(delay_us, partial(self.world.connect, member.id, other))

    def _flush(self, member: Member) -> None:
        member.flush()

    def _slow(self, member: Member) -> None:
        member.sync_us = self.chance.choice((200, 500, 500, 20_000, 300_000))

    def _full(self, member: Member) -> None:
        member.full = True
        self.world.after(self.chance.randrange(10_000, 2_000_000), partial(self._empty, member))

    def _empty(self, member: Member) -> None:
        member.full = False

    def _pause(self, member: Member) -> None:
        member.silent = True
        self.world.after(self.chance.randrange(10_000, 3_000_000), partial(self._wake, member))

    def _wake(self, member: Member) -> None:
        member.silent = False
        member.step()

    def _transfer(self, _: Member) -> None:
        leader = self.world.leader
        if leader is not None:
            self.world.transfer(leader, self.chance.choice(list(self.world.members)))

    def _change(self, member: Member) -> None:
        leader = self.world.leader
        if leader is None or leader.engine is None:
            return
        votes = leader.engine.members.get(member.id)
        if votes is None:
            kind = ChangeKind.ADD_LEARNER
            if not member.up:
                member.start()
        elif votes:
            kind = self.chance.choice((ChangeKind.REMOVE, ChangeKind.DEMOTE))
        elif leader.engine.match_of(member.id) and self.chance.random() < 0.8:
            # As the core has it: a voter without the ground of its log could leave nobody to lead.
            kind = ChangeKind.PROMOTE
        else:
            kind = ChangeKind.REMOVE
        self.world.change(leader, kind, member.id)
