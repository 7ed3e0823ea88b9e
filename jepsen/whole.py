"""One run from the command to its report: cluster made, run, judged, written down, taken away.

Rule of this file: whatever happens, what was made on this machine is unmade. Out of it come

    OUT/history.jsonl    what clients saw
    OUT/results.json     the verdict table, findings, facts
    OUT/index.html       the page
    OUT/members/*.log    what members logged
    OUT/rerun            the command again
    OUT/data/            the data directories, of a run that did not pass
"""

import json
import resource
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import Final

from attrs import define, evolve, field, frozen

from jepsen.cluster import Need
from jepsen.endpoint import Member
from jepsen.harm import Chosen, Harm, UnmetError, chosen
from jepsen.judge import Judgement, judge
from jepsen.known import SPARED
from jepsen.machines import Builds, Machines, Proxies
from jepsen.network import Loopback, Namespaces, Network, why_no_namespaces
from jepsen.proxy import LinkProxy
from jepsen.pulse import Pulse
from jepsen.registry import Registry, sweep
from jepsen.report.page import write_page
from jepsen.run import BOUNDS, Say, Trial
from jepsen.schedule import Load, make_plan
from jepsen.servers import Endpoints, ServerError, server_of
from jepsen.workloads.catalogue import named
from sim.history_file import write_history
from sim.ops import Json

OURS: Final = frozenset(
    ("history.jsonl", "results.json", "index.html", "members", "rerun", "data", "files", "disks")
)
"""What a run lays down; a directory with anything else in it is not written to."""
AUTO, DIRECT, PROXIED = LINKS = ("auto", "direct", "proxied")


class NotStartedError(Exception):
    """What was asked cannot be run; says why, and what could."""


@frozen
class Asked:
    """What the command line asked for."""

    server: str
    load: Load
    nemesis: str
    seed: int
    out: Path
    command: str
    """The command line, to be run again."""
    planted: str = ""
    upgrade_to: str = ""
    links: str = AUTO
    is_loopback: bool = False
    """Leave namespaces alone even if there can be some."""
    keeps_data: bool = False
    as_linear: bool = False
    spares_known: bool = False


def whole_run(asked: Asked, say: Say) -> Judgement:
    """Run, judge and write down. Raises NotStartedError, and what the harness fails by."""
    try:
        server = server_of(asked.server, planted=asked.planted)
        second = server_of(asked.upgrade_to) if asked.upgrade_to else None
        named(asked.load.workload)
        nemeses = chosen(asked.nemesis)
    except ValueError as error:
        raise NotStartedError(str(error)) from error
    _prepare(asked.out)
    (asked.out / "rerun").write_text(f"{asked.command}\n", encoding="utf-8")
    for sentence in sweep():
        say(sentence)
    if isinstance(server, Endpoints):
        if nemeses.names:
            raise NotStartedError("members of somebody else are left alone: give --nemesis none")
        load = evolve(asked.load, members=len(server.endpoints))
        return _Whole(evolve(asked, load=load), say).on_endpoints(server)
    if isinstance(second, Endpoints):
        raise NotStartedError("--upgrade-to names a build: trine:CHECKOUT or etcd:PATH")
    try:
        return _Whole(asked, say, server.version()).on_machines(Builds(server, second), nemeses)
    except (ServerError, UnmetError) as error:
        raise NotStartedError(str(error)) from error


@define(eq=False)
class _Whole:
    asked: Asked
    say: Say
    version: str = ""
    notes: list[str] = field(factory=list[str])
    harm: Harm | None = None

    def on_machines(self, builds: Builds, nemeses: Chosen) -> Judgement:
        """Run against members of our own."""
        size = self.asked.load.members
        slots = size + (Need.SPARE in nemeses.needs)
        registry = Registry(token_hex(3))
        try:
            network = self._network(registry, slots)
            # Before the first thread of grpc is there: threads live where their maker did.
            network.enter()
            proxies = self._proxies(network, slots, nemeses)
            out = self.asked.out.absolute()
            machines = Machines(
                size, slots, out, builds, network, registry, nemeses.needs, proxies
            )  # fmt: skip
            try:
                judgement = self._on(machines, nemeses)
            finally:
                machines.close()
                network.leave()
        finally:
            for sentence in registry.close():
                self.say(sentence)
        if judgement.passed and not self.asked.keeps_data:
            for name in ("data", "files", "disks"):
                shutil.rmtree(self.asked.out / name, ignore_errors=True)
        return judgement

    def _network(self, registry: Registry, slots: int) -> Network:
        why_not = "asked for" if self.asked.is_loopback else why_no_namespaces()
        if why_not:
            self._note(f"no namespaces ({why_not}): all on loopback, with fewer nemeses")
            return Loopback(slots)
        return Namespaces(registry, slots)

    def _proxies(self, network: Network, slots: int, nemeses: Chosen) -> Proxies | None:
        is_wanted = Need.LINKS in nemeses.needs or not network.has_namespaces
        if self.asked.links == DIRECT or (self.asked.links == AUTO and not is_wanted):
            return None
        return LinkProxy(network, slots)

    def _on(self, machines: Machines, nemeses: Chosen) -> Judgement:
        builds, load = machines.builds, self.asked.load
        usable, sentences = nemeses.usable(machines)
        for sentence in sentences:
            self._note(sentence)
        run = f"run {machines.registry.run}, seed {self.asked.seed}"
        self.say(f"{load.members} members of {builds.first.label}, {self.version}; {run}")
        machines.lay_out()
        machines.form()
        endpoints = [machines.client_endpoint(number) for number in range(machines.size)]
        trial = self._trial(endpoints, builds.first.label, usable)
        machines.seen_whole = trial.testimony.seen_whole
        if usable.names:
            self.harm = Harm.of(
                usable, machines, self.asked.seed, load.duration_ms, trial.now_ms, trial.tell
            )
            trial.disturbance = self.harm
        return self._judged(trial)

    def on_endpoints(self, server: Endpoints) -> Judgement:
        """Run against somebody else's members, which must be empty."""
        for endpoint in server.endpoints:
            member = Member(endpoint)
            told = member.status(3.0)
            member.close()
            if told is None:
                raise NotStartedError(f"nobody answers at {endpoint}")
            self.version = told.version
            if told.header.revision != 1:
                raise NotStartedError(
                    f"{endpoint} is at revision {told.header.revision}: a cluster is judged from "
                    "its first revision on; give an empty one"
                )
        return self._judged(self._trial(server.endpoints, "endpoints", Chosen(())))

    def _trial(self, endpoints: Sequence[str], label: str, nemeses: Chosen) -> Trial:
        asked, load = self.asked, self.asked.load
        facts: dict[str, Json] = {
            "seed": asked.seed,
            "server": asked.server,
            "label": label,
            "version": self.version,
            "members": len(endpoints),
            "workload": load.workload,
            "nemesis": asked.nemesis,
            "time_s": load.duration_ms // 1000,
            "rate": load.rate,
            "bounds": {**BOUNDS, **nemeses.bounds()},
        }
        if asked.spares_known:
            self._note(SPARED)
        plan = make_plan(asked.seed, load)
        return Trial(plan, endpoints, facts, self.say, spares_known=asked.spares_known)

    def _judged(self, trial: Trial) -> Judgement:
        out, harm = self.asked.out, self.harm
        pulse = Pulse(trial.endpoints, lambda: trial.real.now_us)
        used_s = _cpu_s()
        pulse.begin()
        try:
            with trial.real.interruptible():
                history = trial.perform()
        finally:
            pulse.end()
            write_history(out / "history.jsonl", trial.history)
        used_s = _cpu_s() - used_s
        began_s = time.monotonic()
        workloads = [each.name for each in named(self.asked.load.workload)]
        seen = harm.findings() if harm is not None else []
        judgement = judge(history, workloads, as_linear=self.asked.as_linear, seen=seen)
        judged_s = time.monotonic() - began_s
        for note in harm.notes() if harm is not None else []:
            self._note(note)
        ran_s = history.ended_us / 1e6
        self._note(
            f"{len(history.calls)} calls in {ran_s:.0f} s; clients took {used_s / ran_s:.2f} of a "
            f"core; judged in {judged_s:.1f} s"
        )
        results: dict[str, Json] = {"facts": history.facts, **judgement.as_json()}
        results["notes"] = list(self.notes)
        text = json.dumps(results, indent=1)
        (out / "results.json").write_text(f"{text}\n", encoding="utf-8")
        write_page(out, trial.plan, history, judgement, pulse=pulse.lines, notes=self.notes)
        return judgement

    def _note(self, sentence: str) -> None:
        self.notes.append(sentence)
        self.say(sentence)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _prepare(out: Path) -> None:
    """Make the directory, empty; refuse one that has other things in it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in out.iterdir()}
    except OSError as error:
        raise NotStartedError(f"{out} cannot be written to: {error.strerror}") from error
    if odd := sorted(names - OURS):
        raise NotStartedError(f"{out} is not empty and no run's: it has {odd[0]!r} in it")
    for name in names:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
