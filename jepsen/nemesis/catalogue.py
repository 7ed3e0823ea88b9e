"""All nemeses by name, and the schedule of a run: who strikes when.

The rule of this file: pure and seeded. Time is cut into windows of different length; each has one
blow, or two of different nemeses that bear company. Every nemesis comes up before one comes again.
"""

from collections.abc import Sequence
from random import Random

from jepsen.cluster import Cluster, Need
from jepsen.nemesis.admin import Admin
from jepsen.nemesis.blow import Blow, Nemesis, Options
from jepsen.nemesis.clock import Clock
from jepsen.nemesis.corrupt import Corrupt
from jepsen.nemesis.disk import Disk
from jepsen.nemesis.member import Member
from jepsen.nemesis.partition import Loss, Partition
from jepsen.nemesis.process import Kill, Pause
from jepsen.nemesis.traffic import Delay, Rate
from jepsen.nemesis.upgrade import Upgrade

NEMESES: dict[str, Nemesis] = {
    each.name: each
    for each in (
        Kill(),
        Pause(),
        Partition(),
        Loss(),
        Rate(),
        Delay(),
        Clock(),
        Disk(),
        Corrupt(),
        Member(),
        Admin(),
        Upgrade(),
    )
}
ALL, NONE = "all", "none"
COMPANY = 0.4
"""How often a window has two blows, where two may be."""


def named(words: str) -> list[str]:
    """The nemeses of an option: names with commas, `all` or `none`. Raises ValueError."""
    names = list(dict.fromkeys(word.strip() for word in words.split(",")))
    if names == [NONE]:
        return []
    if names == [ALL]:
        return list(NEMESES)
    unknown = [name for name in names if name not in NEMESES]
    if unknown:
        known = ", ".join([*NEMESES, ALL, NONE])
        raise ValueError(f"no nemesis is {', '.join(unknown)}; there are: {known}")
    return names


def wanted(names: Sequence[str]) -> frozenset[Need]:
    """All that these nemeses need: what the harness shall prepare."""
    return frozenset(need for name in names for need in NEMESES[name].needs)


def lacks(name: str, cluster: Cluster) -> str:
    """Why this nemesis can do nothing to this cluster, in a sentence; "" if it can."""
    missing = [each for each in sorted(NEMESES[name].needs, key=str) if cluster.lacks(each)]
    if missing:
        return f"{name} needs {missing[0].value}: {cluster.lacks(missing[0])}"
    if name == Partition.name and cluster.lacks(Need.LINKS):
        for need in (Need.NAMESPACES, Need.IPTABLES):
            if why := cluster.lacks(need):
                return f"{name} needs {need.value}, or {Need.LINKS.value}: {why}"
    return ""


def schedule(names: Sequence[str], seed: int, options: Options) -> list[Blow]:
    """The blows of a run, by time. The same seed, names and options give the same."""
    chance = Random(f"schedule/{seed}")
    blows: list[Blow] = []
    deck: list[str] = []
    at_ms = options.first_ms
    while names:
        until_ms = at_ms + int(options.every_ms * (0.6 + 0.8 * chance.random()))
        if until_ms > options.time_ms:
            break
        first = _deal(deck, names, chance)
        struck = [first]
        others = [name for name in names if name != first and not NEMESES[name].is_alone]
        if others and not NEMESES[first].is_alone and chance.random() < COMPANY:
            struck.append(chance.choice(others))
        blows += [_blow(name, chance, (at_ms, until_ms), options) for name in struck]
        at_ms = until_ms
    return sorted(blows, key=lambda blow: blow.at_ms)


def _deal(deck: list[str], names: Sequence[str], chance: Random) -> str:
    if not deck:
        deck += names
        chance.shuffle(deck)
    return deck.pop()


def _blow(name: str, chance: Random, window: tuple[int, int], options: Options) -> Blow:
    """One blow somewhere in a window: it takes a third to three quarters of it."""
    start_ms, end_ms = window
    long_ms = int((end_ms - start_ms) * (0.33 + 0.42 * chance.random()))
    at_ms = chance.randint(start_ms, end_ms - long_ms)
    do, arguments = NEMESES[name].draw(chance, options)
    return Blow(at_ms, at_ms + long_ms, name, do, chance.getrandbits(32), arguments)
