"""Planted bugs once more, in clusters that elect themselves: what snapshots, deposed leaders and
members that left make of them on the real engine.

Rule of this file: most are those of the other groups, with the perfect log taken away; budgets are
of their own. What only such a cluster has (members that leave) is planted here.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator
from typing import Final

from attrs import evolve

from core import inputs, node
from core.inputs import Asked
from core.operations import Range as CoreRange
from sim.ops import Admin, Put, Range
from sim.plan import Plan
from sim.planted.bug import Bug, Catalogue, ask, script
from sim.planted.converging import CONVERGING
from sim.planted.leasing import LEASING
from sim.planted.reading import READING
from sim.planted.watching import WATCHING
from sim.planted.writing import WRITING
from sim.swapping import swapped

AGAIN = Catalogue()

_BUDGETS: Final = {
    "leader_reads_alone": 8,
    "any_member_answers_reads": 3,
    "answers_before_commit": 3,
    "pack_applied_twice_after_a_snapshot": 8,
    "install_skips_what_is_compacted": 20,
    "watchers_stay_behind_after_install": 10,
    "deposed_leader_confirms_keepalive": 10,
    "leader_trusts_its_last_round": 8,
}


def _by_raft(bug: Bug, budget: int) -> Bug:
    """Return the same bug in a cluster that elects itself."""

    def directed() -> Plan:
        assert bug.directed is not None, f"{bug.name} has a directed plan"
        plan = bug.directed()
        return evolve(plan, options=evolve(plan.options, engine="raft"))

    return evolve(
        bug,
        name=f"{bug.name}_by_raft",
        words=f"On the engine: {bug.words[0].lower()}{bug.words[1:]}",
        budget=budget,
        options={**bug.options, "engine": "raft", "spares": 0},
        directed=directed,
    )


for _group in (READING, WRITING, CONVERGING, WATCHING, LEASING):
    for _name, _bug in _group.bugs.items():
        if _name in _BUDGETS:
            _again = _by_raft(_bug, _BUDGETS[_name])
            AGAIN.bugs[_again.name] = _again


@AGAIN.bug(
    "convergence",
    row=15,
    budget=8,
    engine="raft",
    workload="register",
    members=3,
    spares=0,
    snapshot_entries=20,
    faults=["partition", "process"],
    operations=500,
    directed=_by_raft(WATCHING.bugs["watchers_stay_behind_after_install"], 1).directed,
)
def revision_reused_after_an_install() -> Generator[None]:
    """A member that took a snapshot gives the next change a revision that was given before."""
    install = node.Node._install

    def behind(self: node.Node, given: inputs.Installed) -> None:
        install(self, given)
        given.state.revision -= 1

    with swapped(node.Node, "_install", behind):
        yield


@AGAIN.bug(
    "linear",
    row=40,
    budget=4,
    engine="raft",
    workload="register",
    members=5,
    spares=3,
    keys=1,
    clients=12,
    think_ms=40,
    operations=500,
    faults=["membership"],
    directed=script(
        ask(500, Put("k", "before")),
        # A cluster counts as healthy once its members have been connected for five seconds.
        ask(7_000, Admin("member_remove", 2)),
        *(ask(7_000 + 20 * n, Put("k", str(n)), client=n % 2, member=n % 2) for n in range(300)),
        *(ask(7_010 + 20 * n, Range("k"), client=2, member=2) for n in range(300)),
        engine="raft",
        end_ms=14_000,
    ),
)
def removed_member_answers_reads() -> Generator[None]:
    """Who was removed knows nobody to ask any more, and answers reads by itself."""
    ask_node = node.Node._ask

    def alone(self: node.Node, given: Asked) -> None:
        if isinstance(given.query, CoreRange) and self.config.member_id in self.state.removed:
            self._answer(given)
        else:
            ask_node(self, given)

    with swapped(node.Node, "_ask", alone):
        yield
