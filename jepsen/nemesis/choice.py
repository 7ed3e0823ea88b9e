"""Who is struck: words of a blow's arguments, turned into members when it falls.

The rule of this file: only members that are up and answer are chosen, unless all are meant; the
same chance and the same answers make the same choice.
"""

from collections.abc import Sequence
from random import Random

from jepsen.cluster import Cluster
from jepsen.nemesis.blow import IdleError
from jepsen.nemesis.operator import leader

WHO = ("leader", "follower", "one", "minority", "majority", "all")


def chosen(who: str, cluster: Cluster, chance: Random) -> tuple[int, ...]:
    """Members by one of the words of `WHO`, ascending. Raises IdleError if there are none."""
    up = [number for number in range(cluster.size) if cluster.is_up(number)]
    match who:
        case "leader":
            found = _leading(cluster)
        case "follower":
            leads = leader(cluster)
            found = _some([number for number in up if number != leads], 1, chance)
        case "one":
            found = _some(up, 1, chance)
        case "minority":
            found = _some(up, max(1, (cluster.size - 1) // 2), chance)
        case "majority":
            found = _some(up, cluster.size // 2 + 1, chance)
        case "all":
            found = up
        case _:
            raise AssertionError(f"nobody is {who}")
    if not found:
        raise IdleError(f"there is no {who}")
    return tuple(sorted(found))


def _leading(cluster: Cluster) -> list[int]:
    found = leader(cluster)
    return [] if found is None else [found]


def _some(among: Sequence[int], count: int, chance: Random) -> list[int]:
    return chance.sample(list(among), min(count, len(among)))
