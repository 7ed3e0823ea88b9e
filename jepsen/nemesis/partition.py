"""Partitions and loss, by iptables in each member's namespace, or by the link proxy without them.

The rule of this file: a cut is a set of directed pairs (source, target); each is one rule on the
target's side, so a direction is cut by itself. A blow lifts its own
rules alone; healing lifts all: no others are there.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import ClassVar

from jepsen.cluster import Cluster, Need
from jepsen.nemesis.blow import Arguments, Blow, Held, Options
from jepsen.nemesis.choice import chosen

Rule = tuple[str, ...]
Pairs = frozenset[tuple[int, int]]
SHAPES = ("isolate-leader", "isolate", "halves", "one-way", "bridge", "ring")
IPTABLES = ("iptables", "-w", "5")


def cut(shape: str, size: int, first: int, chance: Random) -> Pairs:
    """Which directed pairs a shape cuts, around the member `first`.

    isolate: it and everybody else, both ways; one-way: only what it sends, or only what it is
    sent; halves: a minority with it and the rest; bridge: two halves that share one member;
    ring: each hears only its neighbours.
    """
    others = [number for number in range(size) if number != first]
    chance.shuffle(others)
    match shape:
        case "isolate" | "isolate-leader":
            return _between([first], others)
        case "one-way":
            ways = [(first, other) for other in others]
            return frozenset(ways if chance.random() < 0.5 else [(b, a) for a, b in ways])
        case "halves":
            rest = (size - 1) // 2 or 1
            return _between([first, *others[: rest - 1]], others[rest - 1 :])
        case "bridge":
            half = len(others) // 2
            return _between(others[:half], others[half:])
        case "ring":
            order = [first, *others]
            near = {(order[n], order[(n + 1) % size]) for n in range(size)}
            pairs = {(a, b) for a in range(size) for b in range(size) if a != b}
            return frozenset(pairs - near - {(b, a) for a, b in near})
        case _:
            raise AssertionError(f"no partition is a {shape}")


def _between(one: Sequence[int], other: Sequence[int]) -> Pairs:
    return frozenset(pair for a in one for b in other for pair in ((a, b), (b, a)))


class Partition:
    """Members do not hear each other; clients reach all of them."""

    name: ClassVar[str] = "partition"
    needs: ClassVar[frozenset[Need]] = frozenset()
    """Namespaces with iptables, or proxied links; `catalogue.lacks` asks for either."""
    is_alone: ClassVar[bool] = False

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """A shape; packets are dropped, or connections reset. A ring of three cuts nothing."""
        shapes = SHAPES if options.size > 3 else SHAPES[:-1]
        shape = chance.choices(shapes, (4, 2, 2, 3, 2, 1)[: len(shapes)])[0]
        return shape, {"how": chance.choice(("drop", "drop", "reset"))}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Cut; heal all links at the end."""
        chance, how = blow.chance, blow.word("how")
        who = "leader" if blow.do == "isolate-leader" else "one"
        (first,) = chosen(who, cluster, chance)
        pairs = cut(blow.do, cluster.size, first, chance)
        for source, target in sorted(pairs):
            block(cluster, source, target, how)
        undo = partial(_unblock, cluster, pairs, how)
        struck = tuple(sorted({number for pair in pairs for number in pair}))
        words = " ".join(f"{a}>{b}" for a, b in sorted(pairs))
        return Held(struck, f"{blow.do} of {first} {how}: {words}", undo)

    def heal(self, cluster: Cluster) -> None:
        """Lift everything."""
        flush(cluster)


class Loss:
    """Some of the packets that a member is sent are lost."""

    name: ClassVar[str] = "loss"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.NAMESPACES, Need.IPTABLES})
    is_alone: ClassVar[bool] = False

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """From what TCP hides to what it cannot."""
        who = chance.choice(("leader", "one", "minority", "all"))
        return "loss", {"who": who, "percent": chance.choice((5, 20, 50))}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Lose; lose nothing at the end."""
        struck = chosen(blow.word("who"), cluster, blow.chance)
        share = str(blow.number("percent") / 100)
        statistic = ("-m", "statistic", "--mode", "random", "--probability", share)
        rules = [
            (number, ("-s", cluster.address(other), *statistic, "-j", "DROP"))
            for number in struck
            for other in range(cluster.slots)
            if other != number
        ]
        for number, rule in rules:
            cluster.run_in(number, (*IPTABLES, "-A", "INPUT", *rule))
        detail = f"{blow.number('percent')} % of what {blow.word('who')} is sent"
        return Held(struck, detail, partial(_delete, cluster, rules))

    def heal(self, cluster: Cluster) -> None:
        """Lift everything."""
        flush(cluster)


def block(cluster: Cluster, source: int, target: int, how: str) -> None:
    """Let nothing through from one member to another. `how`: drop or reset."""
    if not has_iptables(cluster):
        cluster.links.block(source, target, how)
        return
    for rule in _rules(cluster, source, how):
        cluster.run_in(target, (*IPTABLES, "-A", "INPUT", *rule))


def flush(cluster: Cluster) -> None:
    """Lift every rule on every link."""
    if has_iptables(cluster):
        for number in range(cluster.slots):
            cluster.run_in(number, (*IPTABLES, "-F", "INPUT"))
    if not cluster.lacks(Need.LINKS):
        cluster.links.heal()


def has_iptables(cluster: Cluster) -> bool:
    """Whether links are cut by packets; if not, the proxy cuts them."""
    return not (cluster.lacks(Need.IPTABLES) or cluster.lacks(Need.NAMESPACES))


def _unblock(cluster: Cluster, pairs: Pairs, how: str) -> str:
    if not has_iptables(cluster):
        for source, target in sorted(pairs):
            cluster.links.block(source, target, "")
        return ""
    found = [(b, rule) for a, b in sorted(pairs) for rule in _rules(cluster, a, how)]
    return _delete(cluster, found)


def _rules(cluster: Cluster, source: int, how: str) -> list[Rule]:
    address = ("-s", cluster.address(source))
    refuse = (*address, "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
    drop = (*address, "-j", "DROP")
    return [refuse, drop] if how == "reset" else [drop]


def _delete(cluster: Cluster, rules: Sequence[tuple[int, Rule]]) -> str:
    for number, rule in rules:
        cluster.run_in(number, (*IPTABLES, "-D", "INPUT", *rule))
    return ""
