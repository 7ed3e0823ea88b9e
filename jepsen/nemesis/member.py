"""Members that go and come: removed, replaced by one with an empty disk, added, promoted.

The rule of this file: the cluster is told first, then processes are ended and started, as the
manual says. A member that comes back has a new id and an empty directory under its old address.
"""

from functools import partial
from random import Random
from typing import ClassVar

from jepsen.cluster import Cluster, ClusterError, Need
from jepsen.nemesis.blow import Arguments, Blow, Held, IdleError, Options
from jepsen.nemesis.choice import chosen
from jepsen.nemesis.operator import (
    insist,
    is_settled,
    leader,
    member_add,
    member_id,
    member_promote,
    member_remove,
    members,
    statuses,
    wait,
)
from jepsen.nemesis.process import READY_S

CHANGE_S = 20.0
"""etcd refuses a change until it has seen all members well for some seconds."""
JOINED_S = 40.0
GONE_S = 5.0


class Member:
    """replace: one goes, and comes back empty when the blow ends; grow: a spare one comes."""

    name: ClassVar[str] = "member"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROCESSES, Need.SPARE})
    is_alone: ClassVar[bool] = True

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """Who, and whether who comes is a learner first."""
        kind = chance.choice(("voter", "learner"))
        if options.has_spare and chance.random() < 0.4:
            return "grow", {"as": kind}
        return "replace", {"who": chance.choice(("leader", "follower", "one")), "as": kind}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Take one out, or add one; the other way round at the end."""
        learner = blow.word("as") == "learner"
        if blow.do == "grow":
            if cluster.slots == cluster.size:
                raise IdleError("there is no spare member")
            number = cluster.size
            join(cluster, number, learner=learner)
            return Held((number,), f"grow, {blow.word('as')}", partial(_shrink, cluster, number))
        (number,) = chosen(blow.word("who"), cluster, blow.chance)
        take_out(cluster, number)
        detail = f"replace {blow.word('who')}, {blow.word('as')}"
        return Held((number,), detail, partial(_come_back, cluster, number, learner))

    def heal(self, cluster: Cluster) -> None:
        """Let every founding member be one, and no other."""
        urls = {url for _, _, url in members(cluster.client_endpoint(_other(cluster, -1)))}
        for number in range(cluster.slots):
            is_member = cluster.peer_url(number) in urls
            if number < cluster.size and not is_member:
                join(cluster, number, learner=False)
            if number >= cluster.size and is_member:
                take_out(cluster, number)


def take_out(cluster: Cluster, number: int) -> None:
    """Remove a member; its process is ended and its data are gone."""
    asked = cluster.client_endpoint(_other(cluster, number))
    identity = insist(partial(member_id, asked, cluster.peer_url(number)), CHANGE_S)
    if identity is not None:
        insist(partial(_remove, asked, identity), CHANGE_S)
    # Who was removed should end by itself; a process that hangs on is ended in any case.
    wait(lambda: not cluster.is_up(number), GONE_S)
    cluster.kill(number)
    cluster.wipe(number)


def join(cluster: Cluster, number: int, *, learner: bool) -> None:
    """Add a member whose directory is empty, start it, and wait until it votes."""
    asked, url = cluster.client_endpoint(_other(cluster, number)), cluster.peer_url(number)
    identity = insist(partial(_add, asked, url, learner), CHANGE_S)
    names = {cluster.peer_url(each): cluster.name(each) for each in range(cluster.slots)}
    cluster.start(number, [(names[each], each) for _, _, each in members(asked)])
    if not cluster.wait_ready(number, READY_S):
        raise ClusterError(f"{number} was added and does not answer")
    if learner:
        insist(partial(member_promote, asked, identity), JOINED_S)
    if not wait(partial(_votes, cluster, number), JOINED_S):
        raise ClusterError(f"{number} was added and does not catch up")


def replace(cluster: Cluster, number: int) -> None:
    """Remove a member, and let it come back with an empty directory."""
    take_out(cluster, number)
    join(cluster, number, learner=False)


def _other(cluster: Cluster, number: int) -> int:
    """The leader, or anybody else who answers and is not `number`. Raises ClusterError."""
    leads = leader(cluster)
    if leads is not None and leads != number:
        return leads
    others = [each for each in statuses(cluster) if each != number]
    if not others:
        raise ClusterError("nobody answers")
    return others[0]


def _remove(asked: str, identity: int) -> None:
    try:
        member_remove(asked, identity)
    except ClusterError:
        # It may have been done though its answer was lost: nobody is removed twice.
        if any(each == identity for each, _, _ in members(asked)):
            raise


def _add(asked: str, url: str, learner: bool) -> int:
    there = member_id(asked, url)
    return member_add(asked, url, learner=learner) if there is None else there


def _votes(cluster: Cluster, number: int) -> bool:
    told = statuses(cluster)
    if number not in told or not told[number].leader or told[number].isLearner:
        return False
    return number >= cluster.size or is_settled(cluster)


def _come_back(cluster: Cluster, number: int, learner: bool) -> str:
    join(cluster, number, learner=learner)
    return "it is back"


def _shrink(cluster: Cluster, number: int) -> str:
    take_out(cluster, number)
    return "it is gone"
