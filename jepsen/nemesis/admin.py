"""What operators do on an ordinary day: compact, defragment, back up, move the leader, restart.

The rule of this file: the cluster is whole when it is done, so every refusal counts as a failure.
Compaction stays behind what every witness has seen. A snapshot is restored beside the cluster and
must hold what the cluster held at one revision between its beginning and its end.
"""

from functools import partial
from pathlib import Path
from random import Random
from typing import ClassVar

from jepsen.cluster import Cluster, ClusterError, Need
from jepsen.nemesis.blow import Arguments, Blow, FindingError, Held, IdleError, Options
from jepsen.nemesis.choice import chosen
from jepsen.nemesis.operator import (
    compact,
    contents,
    defragment,
    is_settled,
    leader,
    member_id,
    move_leader,
    save_snapshot,
    status,
    wait,
)
from jepsen.nemesis.process import READY_S

KEPT = 500
"""So many revisions behind the newest a compaction stays: clients may ask for them."""
DEEDS = ("compact", "defragment", "snapshot", "move-leader", "restart")


class Admin:
    """One ordinary deed."""

    name: ClassVar[str] = "admin"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROCESSES})
    is_alone: ClassVar[bool] = True

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """Which."""
        return chance.choices(DEEDS, (2, 2, 2, 4, 1))[0], {}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """It begins; all of it is done when the blow ends."""
        everybody = tuple(range(cluster.size))
        match blow.do:
            case "compact":
                deed = partial(_compact, cluster, blow.chance)
            case "defragment":
                deed = partial(_defragment, cluster)
            case "snapshot":
                (number,) = chosen("one", cluster, blow.chance)
                return Held((number,), "snapshot", partial(_snapshot, cluster, number))
            case "move-leader":
                deed = partial(_move_leader, cluster, blow.chance)
            case "restart":
                deed = partial(roll, cluster)
            case _:
                raise AssertionError(f"nobody does {blow.do}")
        return Held(everybody, blow.do, deed)

    def heal(self, cluster: Cluster) -> None:
        """Start who was stopped."""
        for number in range(cluster.size):
            cluster.start(number)


def roll(cluster: Cluster, *, second: bool | None = None) -> str:
    """Stop and start each member, the leader last; each is back before the next one goes.

    `second`: which build it runs from then on; None leaves it as it is.
    """
    leads = leader(cluster)
    order = sorted(range(cluster.size), key=lambda number: (number == leads, number))
    codes: list[int] = []
    for number in order:
        codes.append(cluster.stop(number))
        if second is not None:
            cluster.use_second_build(number, second=second)
        cluster.start(number)
        if not cluster.wait_ready(number, READY_S):
            raise FindingError(f"{number} does not come back from an orderly restart")
        if not wait(lambda: is_settled(cluster), READY_S):
            raise FindingError(f"{number} does not catch up after an orderly restart")
    return f"{order} restarted, exit codes {codes}"


def _compact(cluster: Cluster, chance: Random) -> str:
    asked = cluster.client_endpoint(chance.randrange(cluster.size))
    revision = cluster.witnessed() - KEPT
    if revision < 2:
        raise IdleError("there is nothing to compact yet")
    try:
        compact(asked, revision)
    except ClusterError as error:
        # The compaction workload, or an earlier blow, was there first.
        if "compacted" not in str(error):
            raise
        return f"already compacted at {revision}"
    return f"compacted at {revision}"


def _defragment(cluster: Cluster) -> str:
    for number in range(cluster.size):
        defragment(cluster.client_endpoint(number))
    return "all defragmented"


def _move_leader(cluster: Cluster, chance: Random) -> str:
    leads = leader(cluster)
    if leads is None:
        raise IdleError("nobody leads")
    target = chance.choice([number for number in range(cluster.size) if number != leads])
    endpoint = cluster.client_endpoint(leads)
    identity = member_id(endpoint, cluster.peer_url(target))
    if identity is None:
        raise ClusterError(f"{target} is no member")
    move_leader(endpoint, identity)
    return f"{leads} handed over to {target}"


def _snapshot(cluster: Cluster, number: int) -> str:
    path = cluster.directory / f"snapshot-of-{number}.db"
    endpoint = cluster.client_endpoint(number)
    first = _revision(endpoint)
    save_snapshot(endpoint, path)
    last = _revision(endpoint)
    size_bytes = path.stat().st_size
    held = _restored(cluster, path)
    forgotten = 0
    for revision in range(first, last + 1):
        try:
            if contents(endpoint, revision) == held:
                return f"{size_bytes} bytes, restored as of revision {revision}"
        except ClusterError as error:
            if "compacted" not in str(error):
                raise
            forgotten = revision
    if forgotten:
        raise IdleError(f"revision {forgotten}, which the snapshot may hold, was compacted")
    raise FindingError(
        f"a snapshot of {number} was restored to what it never held from {first} to {last}"
    )


def _restored(cluster: Cluster, path: Path) -> dict[bytes, tuple[bytes, int]]:
    try:
        with cluster.restored(path) as endpoint:
            return contents(endpoint)
    finally:
        path.unlink()


def _revision(endpoint: str) -> int:
    told = status(endpoint, 5.0)
    if told is None:
        raise ClusterError(f"{endpoint} tells no revision")
    return told.header.revision
