"""Torture: one whole member, many clients, and an end at any moment, over and over.

Rule of this file: everything is drawn from the seed; what clients were told is all that is judged.
After each end the member starts on what its disk kept and is read back through a watch from the
last verified revision on: each revision holds what was acknowledged for it, or a write whose
outcome was unknown, and none is missing.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from attrs import define, field

from sim.check.verdict import Side, Verdict
from sim.history import Seen, WatchSpec
from sim.ops import (
    NO_CONNECTION,
    Admin,
    Compact,
    Delete,
    DeleteDone,
    Failed,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Txn,
    TxnDone,
    Unknown,
)
from sim.plan import Options
from sim.platter import Survival
from sim.tier2 import Tier2Cluster, live
from sim.world import World

LIVES: Final = 6
KEYS: Final = tuple(f"/k/{number:02}" for number in range(12))
FIRST, END = "/", "0"
CLIENTS: Final = 5
START_MS_MAX: Final = 20_000
DEADLINE_MS: Final = 1_000
SURVIVALS: Final[tuple[Survival, ...]] = ("none", "prefix", "subset", "subset")
POINTS: Final = (
    "persist.before", "persist.after", "sync.before", "sync.after", "apply.before", "apply.after",
    "answer.before", "answer.after", "store.before", "store.after", "checkpoint.before",
    "checkpoint.after", "defragment.before", "defragment.after", "switch.before", "switch.after",
    "snapshot.before", "snapshot.after",
)  # fmt: skip
WORDS: Final = "an acknowledged write is there after any allowed crash; a refused one never is"

Changes = dict[str, str | None]
"""What a write makes of each key; None: gone."""


@define
class Tally:
    """What a torture went through: it proves something only if it met what it should."""

    crashes: int = 0
    power_losses: int = 0
    in_recovery: int = 0
    at_points: int = 0
    kills: int = 0
    stops: int = 0
    ended_itself: int = 0
    acknowledged: int = 0
    checked: int = 0
    unknown_kept: int = 0
    unknown_lost: int = 0
    refused: int = 0

    def add(self, other: "Tally") -> None:
        """Add another torture's numbers."""
        for name in Tally.__annotations__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@define
class Torture:
    """One seed."""

    seed: int
    lying: bool = False
    """Let syncs do nothing and say yes: the torture must notice."""
    tally: Tally = field(factory=Tally)
    verdicts: list[Verdict] = field(factory=list[Verdict])
    digest: str = ""
    chance: Random = field(init=False)
    cluster: Tier2Cluster = field(init=False)
    verified: int = 1
    """The newest revision that has been read back."""
    acked: dict[int, Changes] = field(factory=dict[int, Changes])
    unknown: list[Changes] = field(factory=list[Changes])
    keys: dict[str, str] = field(factory=dict[str, str])
    """All keys as of `verified`."""
    is_loading: bool = False
    _values: int = 0

    def __attrs_post_init__(self) -> None:
        self.chance = Random(f"{self.seed}/torture")

    def run(self) -> list[Verdict]:
        """Live and die; return what was broken."""
        world = World(self.seed)
        options = Options(
            members=1,
            engine="local",
            strict_directories=self.chance.random() < 0.5,
            segment_bytes=self.chance.choice((4 << 10, 16 << 10, 64 << 10)),
        )
        live(world, options, self._script)
        self.digest = world.digest()
        return self.verdicts

    async def _script(self, cluster: Tier2Cluster) -> None:
        self.cluster = cluster
        machine = cluster.machines[0]
        machine.disk.faults.lying_sync = self.lying
        for _ in range(LIVES):
            if self.chance.random() < 0.15:
                self._lose_power_at(self.chance.randint(1, 300))
            await self._start()
            if machine.is_up:
                await self._load()
            if self.verdicts:
                return
        self._disarm()
        await self._start()

    # A life.

    async def _start(self) -> None:
        """Start, and read back; an end in the middle of that is one like any other."""
        machine = self.cluster.machines[0]
        machine.start()
        end_us = self.cluster.world.now_us + START_MS_MAX * 1000
        while not machine.serves and self.cluster.world.now_us < end_us:
            await self._pass_ms(5)
            if not machine.is_up and not self.cluster.faults:
                self.tally.in_recovery += 1
                self._disarm()
                machine.start()
        if self.cluster.faults or not machine.serves:
            self._broken("does-not-start", "; ".join(self.cluster.faults) or "it never serves")
            return
        await self._verify()

    async def _load(self) -> None:
        """Let clients write until the member's end, which is drawn beforehand."""
        chance, machine = self.chance, self.cluster.machines[0]
        kind = self._arm()
        self.is_loading = True
        for client in range(CLIENTS):
            self._go_on(client)
        for _ in range(chance.choice((20, 60, 200))):
            await self._pass_ms(chance.choice((1, 3, 10)))
            if not machine.is_up:
                break
        self.is_loading = False
        if machine.is_up:
            kind = "late"
            machine.end(chance.choice((*SURVIVALS, "all")))
            self.tally.kills += 1
        self.tally.crashes += 1
        if machine.fatal and kind != "late":
            self.tally.ended_itself += 1
        self._disarm()
        await self._pass_ms(DEADLINE_MS + 500)

    def _arm(self) -> str:
        """Draw how this life ends."""
        chance, machine, world = self.chance, self.cluster.machines[0], self.cluster.world
        kind = chance.choice(("power", "power", "point", "point", "kill", "off", "eio", "stop"))
        match kind:
            case "power":
                self.tally.power_losses += 1
                self._lose_power_at(chance.randint(1, chance.choice((40, 200, 1000))))
            case "point":
                self.tally.at_points += 1
                hits = chance.randint(1, chance.choice((1, 5, 40)))
                self.cluster.crash_at(0, chance.choice(POINTS), hits, self._end_hard)
            case "kill":
                world.after(chance.uniform(1, 300), self._kill)
            case "off":
                world.after(chance.uniform(1, 300), self._end_hard)
            case "eio":
                faults = machine.disk.faults
                world.after(chance.uniform(1, 200), self._fail_disk)
                faults.slow = 0.0
            case _:
                self.tally.stops += 1
                world.after(chance.uniform(1, 300), lambda: machine.stop(500))
        return kind

    def _lose_power_at(self, operations: int) -> None:
        self.cluster.power_loss(0, operations, self._end_hard)

    def _end_hard(self) -> None:
        self.cluster.machines[0].end(self.chance.choice(SURVIVALS))

    def _kill(self) -> None:
        self.tally.kills += 1
        self.cluster.machines[0].end("all")

    def _fail_disk(self) -> None:
        self.cluster.disk_fail(0, self.chance.choice(("sync", "write")))

    def _disarm(self) -> None:
        self.cluster.crash_at(0, "", 0, self._end_hard)
        faults = self.cluster.machines[0].disk.faults
        faults.power_loss_at = None
        faults.next_error = ""

    async def _pass_ms(self, ms: int) -> None:
        await self.cluster.advance(self.cluster.world.now_us + ms * 1000)

    # Clients.

    def _go_on(self, client: int) -> None:
        if not self.is_loading:
            return
        op, changes = self._draw()

        def then(result: Result) -> None:
            self._told(op, changes, result)
            self.cluster.world.after(self.chance.choice((0, 1, 5)), lambda: self._go_on(client))

        self.cluster.ask(0, op, DEADLINE_MS, then)

    def _draw(self) -> tuple[Op, Changes]:
        chance = self.chance
        dice = chance.random()
        key = chance.choice(KEYS)
        if dice < 0.02:
            return Compact(self.verified), {}
        if dice < 0.04:
            return Admin(chance.choice(("defragment", "snapshot"))), {}
        if dice < 0.14:
            return Delete(key), {key: None}
        if dice < 0.34:
            chosen = chance.sample(KEYS, chance.choice((2, 3)))
            values = {key: self._value() for key in chosen}
            return Txn((), tuple(Put(key, value) for key, value in values.items())), {**values}
        value = self._value()
        return Put(key, value), {key: value}

    def _value(self) -> str:
        self._values += 1
        size = self.chance.choice((0, 50, 600, 5000))
        return f"{self._values}:" + "x" * size

    def _told(self, op: Op, changes: Changes, result: Result) -> None:
        match result:
            case PutDone(rev) | TxnDone(rev) | DeleteDone(rev, 1):
                self.tally.acknowledged += 1
                self.acked[rev] = changes
            case Unknown():
                if changes:
                    self.unknown.append(changes)
            case _:
                self.tally.refused += bool(changes)

    # What is left.

    async def _verify(self) -> None:
        """Read everything since the last time back, and hold it against what was told."""
        everything = await self._read(Range(FIRST, END))
        if not isinstance(everything, RangeDone):
            if self.cluster.machines[0].is_up:
                self._broken("does-not-serve", f"a read of everything is answered {everything}")
            return
        history = await self._history(everything.rev)
        if history is None:
            return
        self._compare(history, everything)

    async def _read(self, op: Op) -> Result:
        for _ in range(20):
            answers: list[Result] = []
            self.cluster.ask(0, op, DEADLINE_MS, answers.append)
            while not answers:
                await self._pass_ms(2)
            is_told = not isinstance(answers[0], Unknown) and answers[0] != Failed(NO_CONNECTION)
            if is_told or not self.cluster.machines[0].is_up:
                return answers[0]
            await self._pass_ms(20)
        return Unknown("no answer that proves anything")

    async def _history(self, head: int) -> dict[int, Changes] | None:
        """Return what each revision changed, as a watch tells it; None where the member ended."""
        found: dict[int, Changes] = {}
        seen: list[Seen] = []
        is_lost = True
        close: Callable[[], None] = self._disarm
        while max((event.kv.mod for each in seen for event in each.events), default=0) < head:
            if head <= self.verified:
                return found
            if is_lost or (seen and seen[-1].kind == "lost"):
                # A connection of the life before may have to be found dead first.
                is_lost = False
                seen.clear()
                spec = WatchSpec(FIRST, END, self.verified + 1)
                close = self.cluster.watch(0, spec, seen.append)
                await self._pass_ms(2)
            if seen and seen[-1].kind == "canceled":
                break
            await self._pass_ms(2)
            if not self.cluster.machines[0].is_up:
                return None
        close()
        for each in seen:
            for event in each.events:
                changed = found.setdefault(event.kv.mod, {})
                changed[event.kv.key] = event.kv.value if event.kind == "put" else None
        return found

    def _compare(self, history: dict[int, Changes], everything: RangeDone) -> None:
        head = everything.rev
        for rev in range(self.verified + 1, head + 1):
            found, told = history.get(rev), self.acked.pop(rev, None)
            if found is None:
                self._broken("gap", f"revision {rev} of {head} holds nothing")
            elif told is not None:
                self.tally.checked += 1
                if found != told:
                    self._broken("changed", f"revision {rev} holds {_short(found)}", told)
            elif found in self.unknown:
                self.unknown.remove(found)
                self.tally.unknown_kept += 1
            else:
                self._broken("unasked", f"nobody wrote what revision {rev} holds: {_short(found)}")
            _apply(self.keys, found or {})
        for rev, told in sorted(self.acked.items()):
            if rev > head:
                self._broken("lost", f"revision {rev} is not there, the head is {head}", told)
        self.tally.unknown_lost += len(self.unknown)
        self.unknown.clear()
        self.acked.clear()
        self.verified = head
        if {kv.key: kv.value for kv in everything.kvs} != self.keys:
            self._broken("keys", "the keys are not what their history makes them")

    def _broken(self, what: str, why: str, told: Changes | None = None) -> None:
        sides = (
            ()
            if told is None
            else (Side("a client", f"was told that {_short(told)} is done", member=0),)
        )
        now_us = self.cluster.world.now_us
        self.verdicts.append(Verdict("durability", f"durability/{what}", WORDS, why, sides, now_us))


def torture(seed: int, *, lying: bool = False) -> Torture:
    """Torture a member by this seed; the result has verdicts, numbers and a digest."""
    tortured = Torture(seed, lying=lying)
    tortured.run()
    return tortured


def _apply(keys: dict[str, str], changes: Changes) -> None:
    for key, value in changes.items():
        if value is None:
            keys.pop(key, None)
        else:
            keys[key] = value


def _short(changes: Changes) -> str:
    return ", ".join(f"{key}={value!r:.20}" for key, value in changes.items())
