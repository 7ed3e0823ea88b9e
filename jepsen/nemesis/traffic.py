"""Slow links: a rate by tc's token bucket, lateness by the link proxy.

The rule of this file: bytes are late, none is lost and none overtakes another. The kernel here has
no netem, so lateness needs links that pass the proxy.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import ClassVar

from jepsen.cluster import Cluster, Need
from jepsen.nemesis.blow import Arguments, Blow, Held, Options
from jepsen.nemesis.choice import chosen

RATES_KBIT = (64, 256, 1024)
DELAYS_MS = (10, 50, 200, 1000)


class Rate:
    """Everything that a member sends, to clients too, goes through a narrow pipe."""

    name: ClassVar[str] = "rate"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.NAMESPACES, Need.TBF})
    is_alone: ClassVar[bool] = False

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """How narrow."""
        who = chance.choice(("leader", "one", "minority", "all"))
        return "rate", {"who": who, "kbit": chance.choice(RATES_KBIT)}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Make it narrow; wide at the end."""
        struck = chosen(blow.word("who"), cluster, blow.chance)
        bucket = ("rate", f"{blow.number('kbit')}kbit", "burst", "8kb", "latency", "300ms")
        for number in struck:
            device = cluster.device(number)
            command = ("tc", "qdisc", "replace", "dev", device, "root", "tbf", *bucket)
            cluster.run_in(number, command)
        detail = f"{blow.number('kbit')} kbit/s for {blow.word('who')}"
        return Held(struck, detail, partial(_widen, cluster, struck))

    def heal(self, cluster: Cluster) -> None:
        """Take away every pipe."""
        _widen(cluster, range(cluster.slots))


class Delay:
    """What some members send to others is late, more or less."""

    name: ClassVar[str] = "delay"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.LINKS})
    is_alone: ClassVar[bool] = False

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """From one room to the other side of the world, and beyond an election's patience."""
        who = chance.choice(("leader", "one", "minority", "all"))
        delay_ms = chance.choice(DELAYS_MS)
        return "delay", {
            "who": who,
            "delay_ms": delay_ms,
            "jitter_ms": chance.choice((0, delay_ms // 2, delay_ms)),
        }

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Be late; be in time at the end."""
        struck = chosen(blow.word("who"), cluster, blow.chance)
        delay_ms, jitter_ms = blow.number("delay_ms"), blow.number("jitter_ms")
        pairs = [(a, b) for a in struck for b in range(cluster.slots) if a != b]
        for source, target in pairs:
            cluster.links.delay(source, target, delay_ms=delay_ms, jitter_ms=jitter_ms)
        detail = f"what {blow.word('who')} sends is {delay_ms} to {delay_ms + jitter_ms} ms late"
        return Held(struck, detail, partial(_hurry, cluster, pairs))

    def heal(self, cluster: Cluster) -> None:
        """Lift everything on the links."""
        cluster.links.heal()


def _widen(cluster: Cluster, struck: Sequence[int]) -> str:
    for number in struck:
        device = cluster.device(number)
        # `replace` first: without a discipline of ours, `del` fails.
        bucket = ("tbf", "rate", "10gbit", "burst", "1mb", "latency", "300ms")
        cluster.run_in(number, ("tc", "qdisc", "replace", "dev", device, "root", *bucket))
        cluster.run_in(number, ("tc", "qdisc", "del", "dev", device, "root"))
    return ""


def _hurry(cluster: Cluster, pairs: Sequence[tuple[int, int]]) -> str:
    for source, target in pairs:
        cluster.links.delay(source, target, delay_ms=0, jitter_ms=0)
    return ""
