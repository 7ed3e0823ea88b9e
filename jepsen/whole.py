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
import shlex
import shutil
import sys
import time
from pathlib import Path
from secrets import token_hex
from typing import Final

from attrs import define, field, frozen

from jepsen.cluster import ClusterError
from jepsen.endpoint import Member
from jepsen.judge import Judgement, judge
from jepsen.machines import Builds, Machines
from jepsen.network import Loopback, Namespaces, Network, why_no_namespaces
from jepsen.registry import Registry, sweep
from jepsen.run import BOUNDS, Say, Trial
from jepsen.schedule import Load, make_plan
from jepsen.servers import Endpoints, Server, ServerError, server_of
from jepsen.workloads.catalogue import named
from sim.history import History
from sim.history_file import write_history
from sim.ops import Json

OURS: Final = frozenset({"history.jsonl", "results.json", "index.html", "members", "rerun", "data",
                         "files", "disks"})  # fmt: skip
"""What a run lays down; a directory with anything else in it is not written to."""


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


def whole_run(asked: Asked, say: Say) -> Judgement:
    """Run, judge and write down. Raises NotStartedError, and what the harness fails by."""
    try:
        server = server_of(asked.server)
        named(asked.load.workload)
    except (ServerError, ValueError) as error:
        raise NotStartedError(str(error)) from error
    _prepare(asked.out)
    for sentence in sweep():
        say(sentence)
    if isinstance(server, Endpoints):
        return _Whole(asked, say, "").on_endpoints(server)
    return _Whole(asked, say, server.version()).on_machines(server)


@define(eq=False)
class _Whole:
    asked: Asked
    say: Say
    version: str
    network: Network | None = None
    began_s: float = field(factory=time.monotonic)

    def on_machines(self, server: Server) -> Judgement:
        """Run against members of our own."""
        asked, why_not = self.asked, why_no_namespaces()
        registry = Registry(token_hex(2))
        try:
            if why_not:
                self.say(f"{why_not}: all on this machine's loopback, fewer nemeses")
                network: Network = Loopback(asked.load.members)
            else:
                network = Namespaces(registry, asked.load.members)
            network.enter()
            size = asked.load.members
            machines = Machines(size, size, asked.out.absolute(), Builds(server), network, registry)
            try:
                self.say(f"{size} members of {server.label}, {self.version}; run {registry.run}")
                machines.form()
                endpoints = [machines.client_endpoint(number) for number in range(size)]
                judgement = self._judged(self._trial(endpoints, server.label))
            finally:
                machines.close()
                network.leave()
        finally:
            for sentence in registry.close():
                self.say(sentence)
        if judgement.passed:
            shutil.rmtree(asked.out / "data", ignore_errors=True)
            shutil.rmtree(asked.out / "files", ignore_errors=True)
        return judgement

    def on_endpoints(self, server: Endpoints) -> Judgement:
        """Run against somebody else's members, which must be empty."""
        for endpoint in server.endpoints:
            member = Member(endpoint)
            told = member.status(3.0)
            member.close()
            if told is None:
                raise NotStartedError(f"nobody answers at {endpoint}")
            if told.header.revision != 1:
                raise NotStartedError(
                    f"{endpoint} is at revision {told.header.revision}: a cluster is judged from "
                    "its first revision on; give an empty one"
                )
        return self._judged(self._trial(server.endpoints, "endpoints"))

    def _trial(self, endpoints: "list[str] | tuple[str, ...]", label: str) -> Trial:
        load = self.asked.load
        facts: dict[str, Json] = {
            "seed": self.asked.seed,
            "server": self.asked.server,
            "label": label,
            "version": self.version,
            "members": load.members,
            "workload": load.workload,
            "nemesis": self.asked.nemesis,
            "time_s": load.duration_ms // 1000,
            "rate": load.rate,
            "bounds": dict(BOUNDS),
        }
        return Trial(make_plan(self.asked.seed, load), endpoints, facts, self.say)

    def _judged(self, trial: Trial) -> Judgement:
        out = self.asked.out
        try:
            history = trial.perform()
        finally:
            write_history(out / "history.jsonl", trial.history)
        workloads = [each.name for each in named(self.asked.load.workload)]
        began_s = time.monotonic()
        judgement = judge(history, workloads)
        self.say(f"judged {len(history.calls)} calls in {time.monotonic() - began_s:.1f} s")
        self._write(history, judgement)
        return judgement

    def _write(self, history: History, judgement: Judgement) -> None:
        out = self.asked.out
        results = {"facts": history.facts, **judgement.as_json()}
        (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        command = shlex.join(["trine", *sys.argv[1:]])
        (out / "rerun").write_text(f"{command}\n", encoding="utf-8")


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


def failed(error: Exception) -> str:
    """Return the sentence for a harness that failed."""
    assert isinstance(error, ClusterError | OSError)
    return str(error)
