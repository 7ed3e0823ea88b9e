"""Which nemeses strike in a run, and how the run holds them.

Rule of this file: a nemesis that was asked for by its name and cannot be is an error; one that
"all" means is left out with a sentence. What a nemesis itself fails at is the harness's fault, and
is told; what it saw of the cluster is judged with the rest.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, frozen

from jepsen.cluster import Cluster, Need
from jepsen.judging.finding import Finding
from jepsen.nemesis import catalogue
from jepsen.nemesis.blow import Options
from jepsen.nemesis.clock import DRIFT_PPM
from jepsen.nemesis.storm import Storm
from jepsen.run import Tell
from sim.ops import Json

CALM_MS: Final = 2_000
"""So long before the healing the last blow has ended."""


class UnmetError(ValueError):
    """A nemesis that was asked for by name can do nothing here; says why."""


@frozen
class Chosen:
    """The nemeses of a run."""

    names: tuple[str, ...]
    is_all: bool = False

    @property
    def needs(self) -> frozenset[Need]:
        """What is to be laid out for them."""
        return catalogue.wanted(self.names)

    def usable(self, cluster: Cluster) -> "tuple[Chosen, list[str]]":
        """Return those that can strike, and a sentence about each other. Raises UnmetError."""
        why = {name: catalogue.lacks(name, cluster) for name in self.names}
        missing = [sentence for sentence in why.values() if sentence]
        if missing and not self.is_all:
            raise UnmetError("; ".join(missing))
        names = tuple(name for name in self.names if not why[name])
        return Chosen(names, self.is_all), [f"left out: {sentence}" for sentence in missing]

    def bounds(self) -> dict[str, Json]:
        """What checks must allow for under them."""
        return {"drift_ppm": DRIFT_PPM} if Need.FAKETIME in self.needs else {}


def chosen(words: str) -> Chosen:
    """Return what an option names: nemeses with commas, all or none. Raises ValueError."""
    return Chosen(tuple(catalogue.named(words)), words.strip() == catalogue.ALL)


@define(eq=False)
class Harm:
    """`jepsen.run.Disturbance`: the storm of one run."""

    storm: Storm
    _stopping: threading.Thread | None = None

    @classmethod
    def of(cls, nemeses: Chosen, cluster: Cluster, seed: int, time_ms: int,
           now_ms: Callable[[], int], tell: Tell) -> "Harm":  # fmt: skip
        """Draw what will be done to a cluster until then."""
        options = Options(
            size=cluster.size,
            time_ms=max(0, time_ms - CALM_MS),
            has_spare=cluster.slots > cluster.size,
        )
        blows = catalogue.schedule(nemeses.names, seed, options)
        return cls(Storm(cluster, blows, now_ms, tell))

    @property
    def is_over(self) -> bool:
        """See Disturbance."""
        return self.storm.is_over

    def begin(self) -> None:
        """See Disturbance."""
        self.storm.begin()

    def stop(self) -> None:
        """See Disturbance. It heals in its own time."""
        if self._stopping is None:
            self._stopping = threading.Thread(target=self.storm.end, name="healing", daemon=True)
            self._stopping.start()

    def findings(self) -> list[Finding]:
        """What it saw of the cluster that must never be."""
        return [
            Finding.under_fault(each.what, each.text, each.time_ms * 1000)
            for each in self.storm.findings
        ]

    def notes(self) -> list[str]:
        """What it did, what it left out, and what it failed at: a sentence each."""
        return [
            *_listed("done", self.storm.counts),
            *_listed("left out, for there was nothing to do it to", self.storm.idle),
            *(f"the harness failed: {each}" for each in self.storm.failures),
        ]


def _listed(what: str, counts: "dict[str, int]") -> Sequence[str]:
    words = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return [f"{what}: {words}"] if words else []
