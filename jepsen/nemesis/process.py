"""Kill and pause: what a machine's power, the kernel's memory killer and a hypervisor do.

The rule of this file: whoever was killed is started again when the blow ends, whoever was stopped
goes on; a crash loop kills its member again each time that it has come up.
"""

import time
from functools import partial
from random import Random
from typing import ClassVar

from jepsen.cluster import Cluster, Need
from jepsen.nemesis.blow import Arguments, Blow, Held, Options
from jepsen.nemesis.choice import chosen

LOOPS = 3
LOOP_S = 2.0
READY_S = 20.0


class Kill:
    """SIGKILL, to one or many, once or in a loop."""

    name: ClassVar[str] = "kill"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROCESSES})
    is_alone: ClassVar[bool] = False

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """Mostly one: a majority or all costs every client its answers."""
        words = ("leader", "follower", "one", "minority", "majority", "all")
        who = chance.choices(words, (5, 3, 2, 2, 1, 1))[0]
        if who in ("leader", "one") and chance.random() < 0.15:
            return "loop", {"who": who}
        return "kill", {"who": who}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Kill them; start them again at the end."""
        struck = chosen(blow.word("who"), cluster, blow.chance)
        for number in struck:
            cluster.kill(number)
        if blow.do == "loop":
            for _ in range(LOOPS):
                cluster.start(struck[0])
                # It is killed while it recovers, or a moment after it has come back.
                time.sleep(blow.chance.random() * LOOP_S)
                cluster.kill(struck[0])
        return Held(struck, f"{blow.do} {blow.word('who')}", partial(_start, cluster, struck))

    def heal(self, cluster: Cluster) -> None:
        """Start all founding members."""
        start_all(cluster)


class Pause:
    """SIGSTOP and SIGCONT: the process misses time, and finds old news in its sockets."""

    name: ClassVar[str] = "pause"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROCESSES})
    is_alone: ClassVar[bool] = False

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """Mostly the leader: the old one, when it goes on, must not answer from the past."""
        words = ("leader", "follower", "one", "minority", "majority", "all")
        return "pause", {"who": chance.choices(words, (6, 2, 2, 2, 1, 1))[0]}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Stop them; let them go on at the end."""
        struck = chosen(blow.word("who"), cluster, blow.chance)
        for number in struck:
            cluster.pause(number)
        return Held(struck, f"pause {blow.word('who')}", partial(_resume, cluster, struck))

    def heal(self, cluster: Cluster) -> None:
        """Let everybody go on."""
        for number in range(cluster.slots):
            cluster.resume(number)


def start_all(cluster: Cluster) -> None:
    """Start every founding member that is not up."""
    for number in range(cluster.size):
        cluster.start(number)


def _start(cluster: Cluster, struck: tuple[int, ...]) -> str:
    for number in struck:
        cluster.start(number)
    return ""


def _resume(cluster: Cluster, struck: tuple[int, ...]) -> str:
    for number in struck:
        cluster.resume(number)
    return ""
