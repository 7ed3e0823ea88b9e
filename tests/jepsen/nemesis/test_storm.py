"""The storm: blows by the clock, everything undone, findings and failures told apart."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import ClassVar

from attrs import define, field

from jepsen.cluster import Cluster, ClusterError, Need
from jepsen.nemesis.blow import Arguments, Blow, FindingError, Held, IdleError, Options
from jepsen.nemesis.storm import Storm
from tests.jepsen.nemesis.fake_cluster import FakeCluster

Deed = tuple[str, int]


@define
class Wind:
    """Notes what it does; `says` is raised at the beginning, `ends` at the end."""

    deeds: list[str] = field(factory=list[str])
    says: Exception | None = None
    ends: Exception | None = None
    name: ClassVar[str] = "wind"
    needs: ClassVar[frozenset[Need]] = frozenset()
    is_alone: ClassVar[bool] = False

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        return "blow", {}

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        if self.says is not None:
            raise self.says
        self.deeds.append(f"begin {blow.seed}")
        return Held((0,), "a gust", partial(self._end, blow.seed))

    def heal(self, cluster: Cluster) -> None:
        self.deeds.append("heal")

    def _end(self, seed: int) -> str:
        self.deeds.append(f"end {seed}")
        if self.ends is not None:
            raise self.ends
        return "calm"


def storm(
    wind: Wind, spans: Sequence[tuple[int, int]], path: Path, told: list[tuple[object, ...]]
) -> Storm:
    """A storm of wind; each look at its clock takes 5 ms, and it waits for milliseconds."""
    now_ms = iter(range(0, 1_000_000, 5))
    blows = [Blow(a, b, "wind", "blow", n) for n, (a, b) in enumerate(spans)]

    def tell(what: str, members: tuple[int, ...], on: bool, detail: str) -> None:
        told.append((what, members, on, detail))

    clock: Callable[[], int] = lambda: next(now_ms)  # noqa: E731
    return Storm(FakeCluster(path), blows, clock, tell, nemeses={"wind": wind})


def passed(wind: Wind, path: Path, *spans: tuple[int, int]) -> tuple[Storm, list[object]]:
    """Let a storm pass."""
    told: list[tuple[object, ...]] = []
    whole = storm(wind, spans, path, told)
    whole.begin()
    whole.wait()
    assert whole.is_over
    return whole, [*told]


def test_blows_begin_and_end_by_their_times_and_all_is_healed(tmp_path: Path) -> None:
    wind = Wind()
    whole, told = passed(wind, tmp_path, (0, 60), (20, 40), (90, 95))
    assert wind.deeds == [
        "begin 0", "begin 1", "end 1", "end 0", "begin 2", "end 2", "heal"
    ]  # fmt: skip
    assert told[0] == ("wind", (0,), True, "a gust")
    assert told[-1] == ("wind", (0,), False, "calm")
    assert (whole.counts, whole.idle, whole.failures) == ({"wind blow": 3}, {}, [])


def test_a_storm_that_is_stopped_undoes_what_is_in_force(tmp_path: Path) -> None:
    wind, told = Wind(), list[tuple[object, ...]]()
    whole = storm(wind, [(0, 900_000_000), (800_000_000, 900_000_000)], tmp_path, told)
    whole.begin()
    while not told:
        pass
    whole.end()
    assert wind.deeds == ["begin 0", "end 0", "heal"]


def test_a_finding_is_the_clusters_and_a_failure_the_harnesss(tmp_path: Path) -> None:
    found, _ = passed(Wind(ends=FindingError("it lies")), tmp_path, (0, 10))
    assert [each.text for each in found.findings] == ["it lies"]
    assert found.failures == []
    failed, told = passed(Wind(says=ClusterError("no such link")), tmp_path, (0, 10))
    assert failed.failures == ["wind blow: no such link"]
    assert (failed.findings, told) == ([], [])


def test_a_blow_that_has_nobody_to_strike_is_left_out(tmp_path: Path) -> None:
    whole, told = passed(Wind(says=IdleError("nobody leads")), tmp_path, (0, 10))
    assert (whole.idle, whole.counts, told) == ({"wind blow": 1}, {}, [])
