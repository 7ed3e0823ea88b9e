"""A rolling upgrade: every member is restarted with the second build, one after the other.

The rule of this file: there is no way back: from the first upgrade on, a blow is a rolling restart.
"""

from functools import partial
from random import Random
from typing import ClassVar

from jepsen.cluster import Cluster, Need
from jepsen.nemesis.admin import roll
from jepsen.nemesis.blow import Arguments, Blow, Held, Options
from jepsen.nemesis.process import start_all


class Upgrade:
    """Restart each with the second build."""

    name: ClassVar[str] = "upgrade"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROCESSES, Need.SECOND_BUILD})
    is_alone: ClassVar[bool] = True

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """There is one way."""
        return "roll", {}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """It begins; all of it is done when the blow ends."""
        deed = partial(roll, cluster, second=True)
        return Held(tuple(range(cluster.size)), "to the second build", deed)

    def heal(self, cluster: Cluster) -> None:
        """Start who was stopped."""
        start_all(cluster)
