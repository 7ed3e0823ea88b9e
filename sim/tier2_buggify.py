"""Trouble at the faultpoints themselves: some sites of a run end or stop whoever passes, seldom.

Rule of this file: which sites are active is drawn once a run, each on a stream of its own, so that
a site's name and the seed alone decide. Nothing begins once the world is healing.
"""

from functools import partial
from typing import Final

from attrs import define, field

from sim.plan import Options
from sim.platter import Survival
from sim.tier2_machine import Machine
from sim.world import FAULT, WORLD, World

ACTIVE: Final = 0.25
"""How many of the sites are active in a run."""
FIRES_PER_PASS: Final = 0.01
"""At full strength: sites are passed thousands of times."""
SURVIVALS: Final[tuple[Survival, ...]] = ("none", "prefix", "subset", "all")


@define
class Buggify:
    """One run's active sites."""

    world: World
    options: Options
    _rates: dict[str, float] = field(factory=dict[str, float])

    def fires(self, point: str, machine: Machine) -> bool:
        """Do something to a member that passes a site, if this is the moment."""
        rate = self._rates.get(point)
        if rate is None:
            chance = self.world.chance(f"buggify/{point}")
            strength = self.options.buggify * FIRES_PER_PASS * chance.choice((0.1, 0.5, 1.0))
            rate = self._rates[point] = strength if chance.random() < ACTIVE else 0.0
        if not rate or self.world.now_us >= self.options.duration_ms * 1000:
            return False
        chance = self.world.chance(f"buggify/{point}")
        if chance.random() >= rate or not machine.serves:
            return False
        what = chance.choice(("ends", "stops"))
        self.world.note(FAULT, WORLD, f"buggify {what}", "on", str(machine.number), point)
        if what == "stops":
            machine.pause(on=True)
            self.world.after(chance.randint(1, 300), partial(machine.pause, on=False))
        else:
            machine.end(chance.choice(SURVIVALS))
            self.world.after(chance.randint(20, 2_000), machine.start)
        return True
