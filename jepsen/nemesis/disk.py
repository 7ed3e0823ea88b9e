"""Disks that are full, that answer EIO, and that lose what was never synced.

The rule of this file: each member has a file system of its own, and it is the kernel that fails.
A member may end by itself; it is started again once its disk is whole. An alarm that a full disk
raised is cleared as an operator would, when there is room again.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import ClassVar

from jepsen import disk
from jepsen.cluster import Cluster, ClusterError, Need
from jepsen.nemesis.blow import Arguments, Blow, Held, Options
from jepsen.nemesis.choice import chosen
from jepsen.nemesis.operator import disarm, statuses, wait

CLEAR_S = 15.0


class Disk:
    """full: no space is left; eio: every call fails; power: it goes, and the member with it."""

    name: ClassVar[str] = "disk"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROCESSES, Need.DISKS})
    is_alone: ClassVar[bool] = False

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """Power goes for many at once now and then: what was acknowledged must be on disk."""
        do = chance.choices(("full", "eio", "power"), (3, 3, 4))[0]
        words = ("leader", "one", "majority", "all") if do == "power" else ("leader", "one")
        left = chance.choice((0, 65_536, 1_000_000))
        return do, {"who": chance.choice(words), "left_bytes": left}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Break the disks; mend them at the end, and start who ended."""
        struck = chosen(blow.word("who"), cluster, blow.chance)
        detail = f"{blow.do} {blow.word('who')}"
        if blow.do == "full":
            for number in struck:
                disk.fill(cluster.disk_mount(number), blow.number("left_bytes"))
            return Held(struck, detail, partial(_relieve, cluster, struck))
        for number in struck:
            disk.lose(cluster.disk_mount(number))
        if blow.do == "power":
            for number in struck:
                cluster.kill(number)
        return Held(struck, detail, partial(_mend, cluster, struck))

    def heal(self, cluster: Cluster) -> None:
        """Mend every disk, start who ended, clear the alarms."""
        numbers = range(cluster.slots)
        _mend(cluster, [n for n in numbers if disk.is_lost(cluster.disk_mount(n))])
        _relieve(cluster, numbers)


def _relieve(cluster: Cluster, struck: Sequence[int]) -> str:
    ended = [n for n in struck if not cluster.is_up(n) and n < cluster.size]
    for number in struck:
        disk.relieve(cluster.disk_mount(number))
    for number in ended:
        cluster.start(number)
    count = 0

    def is_clear() -> bool:
        nonlocal count
        told = statuses(cluster)
        alarms = [number for number, each in told.items() if each.errors]
        if not told:
            return False
        try:
            cleared = disarm(cluster.client_endpoint(min(told)))
        except ClusterError:
            return False
        count += cleared
        return not alarms and not cleared

    clear = wait(is_clear, CLEAR_S)
    words = [f"{ended} had ended" if ended else "", f"{count} alarms cleared" if count else ""]
    return ", ".join([*filter(None, words), *([] if clear else ["the alarms stay"])])


def _mend(cluster: Cluster, struck: Sequence[int]) -> str:
    ended = [number for number in struck if not cluster.is_up(number)]
    for number in struck:
        # A member that has not ended by itself still has files open there.
        cluster.kill(number)
        cluster.disk_remount(number)
        disk.relieve(cluster.disk_mount(number))
        if number < cluster.size:
            cluster.start(number)
    return f"{ended} had ended" if ended else ""
