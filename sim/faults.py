"""The fault items of a plan, done to a cluster: each begins at its time and ends by itself.

Rule of this file: what `sim.menu` says in words, in the verbs of `sim.cluster`, the same for both
tiers. An item in force keeps what undoes it; at the run's end everything is undone that still is.
Faults that clients do themselves are not here.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from sim.cluster import Cluster
from sim.history import Fault
from sim.menu import LEADER, MENU
from sim.network import Noise
from sim.plan import Item
from sim.platter import Survival
from sim.world import FAULT, WORLD

Undo = Callable[[], object]

START_MS = 100
"""How long after its disk failed a member that ended itself is started again, at least."""


class Faults:
    """The world's doings in one run."""

    def __init__(self, cluster: Cluster, record: list[Fault]) -> None:
        self.counts: dict[str, int] = {}
        """Items that did something, by name."""
        self.idle: dict[str, int] = {}
        """Items that had nothing to do: the tier has no such thing, or the member was down."""
        self._cluster = cluster
        self._record = record
        self._force: dict[int, Undo] = {}
        self._number = 0
        self._is_over = False
        self._end_us = 0

    def start(self, items: Sequence[Item], end_ms: int) -> None:
        """Take the items that the world does; at that time all will be healed."""
        self._end_us = end_ms * 1000
        for item in items:
            if item.who == "fault" and MENU[item.do].by == "world":
                self._cluster.world.at(item.time_ms * 1000, partial(self._begin, item))

    def end(self) -> None:
        """Undo all that is in force, and begin nothing more."""
        self._is_over = True
        for undo in list(self._force.values()):
            undo()
        cluster = self._cluster
        for member in range(cluster.size):
            cluster.crash_at(member, "", 0, _nothing)
            cluster.clock_rate(member, 0)
            cluster.disk_slow(member, 0)
            cluster.disk_full(member, full=False)
            cluster.disk_fail(member, "")
            if not cluster.is_up(member):
                self._start(member)

    def _begin(self, item: Item) -> None:
        if self._is_over:
            return
        act = _Act(self, self._cluster, item)
        done = act.perform()
        counts = self.counts if done else self.idle
        counts[item.do] = counts.get(item.do, 0) + 1
        if done:
            self._cluster.world.mark(f"fault {item.do}")

    def note(self, what: str, members: Sequence[int], on: bool, detail: str = "") -> None:
        """Write down that a fault begins or ends."""
        world = self._cluster.world
        self._record.append(Fault(world.now_us, what, tuple(members), on, detail))
        named = ",".join(map(str, members))
        world.note(FAULT, WORLD, what, "on" if on else "off", named, detail)

    def hold(self, what: str, members: Sequence[int], ms: int, undo: Undo) -> None:
        """Keep a fault in force for so long."""
        self._number += 1
        number = self._number
        self.note(what, members, True)

        def end() -> None:
            if self._force.pop(number, None) is not None:
                undo()
                self.note(what, members, False)

        self._force[number] = end
        self._cluster.world.after(ms, end)

    def down(self, what: str, member: int, ms: int, survival: Survival) -> bool:
        """End a member, and start it again after so long."""
        if not self._cluster.is_up(member):
            return False
        self._cluster.crash(member, survival)
        self.hold(what, [member], ms, partial(self._start, member))
        return True

    def stop(self, what: str, member: int, ms: int) -> None:
        """Have a member end in order; start it again so long after it was asked, if it has."""
        if self._cluster.is_up(member):
            self._cluster.stop(member)
            self.hold(what, [member], ms, partial(self._cluster.start, member))

    def _start(self, member: int) -> None:
        if not self._cluster.is_up(member):
            self._cluster.start(member)

    @property
    def is_over(self) -> bool:
        """Whether the world is healing."""
        return self._is_over

    @property
    def left_ms(self) -> int:
        """How long faults may last from now on: what stops a clock cannot be undone."""
        return max(0, self._end_us - self._cluster.world.now_us) // 1000


class _Act:
    """One item, being done."""

    def __init__(self, faults: Faults, cluster: Cluster, item: Item) -> None:
        self._faults = faults
        self._cluster = cluster
        self._what = item.do
        self._args = item.args
        self._size = cluster.size

    def perform(self) -> bool:
        """Do it; whether there was anything to do."""
        what = self._what
        match what:
            case "clog" | "half_open" | "delay" | "slow_link" | "noise" | "one_way" | "reset":
                return self._link()
            case "isolate" | "isolate_leader" | "halves" | "bridge" | "ring":
                return self._partition()
            case "client_side":
                return self._client_side()
            case "swizzle":
                return self._swizzle()
            case "clock_rate" | "clock_step" | "clock_stall":
                return self._clock()
            case (
                "crash"
                | "outage"
                | "crash_at"
                | "pause"
                | "crash_loop"
                | "crash_all"
                | "power_loss"
            ):
                return self._process()
            case "eio_at_start" | "power_loss_naming":
                return self._whole_disk()
            case "eio" | "enospc" | "slow_disk" | "lying_sync" | "bit_rot" | "truncate":
                return self._disk()
            case "transfer" | "depose" | "snapshot" | "restart":
                return self._operation()
            case "rolling_restart":
                return self._rolling_restart()
            case other:
                raise AssertionError(f"nobody does {other}")

    # Arguments.

    def _number(self, name: str) -> int:
        return cast(int, self._args[name])

    def _word(self, name: str) -> str:
        return cast(str, self._args[name])

    def _member(self, name: str = "member") -> int:
        given = self._number(name)
        if given == LEADER:
            return self._cluster.leader() or 0
        return given % self._size

    def _members(self, name: str) -> list[int]:
        return list(dict.fromkeys(each % self._size for each in cast(list[int], self._args[name])))

    @property
    def _survival(self) -> Survival:
        return cast(Survival, self._word("survival"))

    # Links.

    def _link(self) -> bool:
        source, target = self._member("from"), self._member("to")
        network, what = self._cluster.network, self._what
        if source == target:
            return False
        if what == "reset":
            self._faults.note(what, [source, target], True)
            network.reset(source, target)
            self._faults.note(what, [source, target], False)
            return True
        grip: Callable[[bool], None]
        match what:
            case "clog" | "one_way":
                grip = lambda on: network.hold(source, target, on=on)  # noqa: E731
            case "half_open":
                grip = lambda on: network.lose(source, target, on=on)  # noqa: E731
            case "delay":
                mean_us = self._number("mean_ms") * 1000
                grip = lambda on: network.delay(source, target, mean_us, on=on)  # noqa: E731
            case "slow_link":
                rate = self._number("bytes_per_s")
                grip = lambda on: network.rate(source, target, rate, on=on)  # noqa: E731
            case _:
                if not network.datagrams:
                    return False
                noise = Noise(*(self._number(f"{each}_percent") for each in Noise._fields))
                grip = lambda on: network.noise(source, target, noise, on=on)  # noqa: E731
        grip(True)
        self._faults.hold(what, [source, target], self._number("ms"), partial(grip, False))
        return True

    # Partitions.

    def _partition(self) -> bool:
        size = self._size
        everybody = range(size)
        cut: list[tuple[int, int]] = []
        named: list[int] = []
        match self._what:
            case "isolate" | "isolate_leader":
                one = self._member() if self._what == "isolate" else self._cluster.leader() or 0
                named = [one]
                cut = [(one, other) for other in everybody if other != one]
            case "halves":
                named = self._members("side")
                cut = [(a, b) for a in named for b in everybody if b not in named]
            case "bridge":
                bridge = self._member()
                named = [each for each in self._members("side") if each != bridge]
                cut = [(a, b) for a in named for b in everybody if b not in (*named, bridge)]
            case _:
                cut = [
                    (a, b)
                    for a in everybody
                    for b in everybody
                    if a < b and (b - a) % size not in (1, size - 1)
                ]
        if not cut:
            return False
        self._cut(cut, on=True)
        ms = self._number("ms")
        self._faults.hold(self._what, named, ms, partial(self._cut, cut, on=False))
        return True

    def _cut(self, pairs: Sequence[tuple[int, int]], *, on: bool) -> None:
        for a, b in pairs:
            self._cluster.network.hold(a, b, on=on)
            self._cluster.network.hold(b, a, on=on)

    def _client_side(self) -> bool:
        member = self._member()
        self._cluster.clients_blocked(member, on=True)
        undo = partial(self._cluster.clients_blocked, member, on=False)
        self._faults.hold(self._what, [member], self._number("ms"), undo)
        return True

    def _swizzle(self) -> bool:
        """Cut members off one by one, then heal them in another order."""
        order, heal = self._members("clog"), self._members("heal")
        step_ms = self._number("step_ms")
        heal += [member for member in order if member not in heal]
        heal = [member for member in heal if member in order]
        begun = len(order) * step_ms
        for place, member in enumerate(order):
            cut = [(member, other) for other in range(self._size) if other != member]
            ms = begun - place * step_ms + (heal.index(member) + 1) * step_ms
            self._cluster.world.after(place * step_ms, partial(self._swizzle_one, member, cut, ms))
        return bool(order) and self._size > 1

    def _swizzle_one(self, member: int, cut: list[tuple[int, int]], ms: int) -> None:
        if not self._faults.is_over:
            self._cut(cut, on=True)
            self._faults.hold(self._what, [member], ms, partial(self._cut, cut, on=False))

    # Clocks.

    def _clock(self) -> bool:
        member, cluster = self._member(), self._cluster
        match self._what:
            case "clock_rate":
                cluster.clock_rate(member, self._number("ppm"))
                undo = partial(cluster.clock_rate, member, 0)
                self._faults.hold(self._what, [member], self._number("ms"), undo)
            case "clock_step":
                self._faults.note(self._what, [member], True)
                cluster.clock_step(member, self._number("step_ms"))
            case _:
                ms = min(self._number("ms"), self._faults.left_ms)
                cluster.clock_stall(member, ms)
                self._faults.hold(self._what, [member], ms, _nothing)
        return True

    # Processes.

    def _process(self) -> bool:
        what, cluster, faults = self._what, self._cluster, self._faults
        if what == "crash_all":
            return self._crash_all()
        member = self._member()
        if not cluster.is_up(member):
            return False
        match what:
            case "pause":
                cluster.pause(member, on=True)
                undo = partial(cluster.pause, member, on=False)
                faults.hold(what, [member], self._number("ms"), undo)
                return True
            case "crash" | "outage":
                return faults.down(what, member, self._number("down_ms"), self._survival)
            case "crash_loop":
                self._crash_again(member, self._number("times"))
                return True
            case "crash_at":
                hits, point = self._number("hits"), self._word("point")
                cluster.crash_at(member, point, hits, partial(self._fall, member))
                faults.hold("armed", [member], self._number("ms"), partial(self._disarm, member))
                return True
            case _:
                fall = partial(self._fall, member)
                return cluster.power_loss(member, self._number("operations"), fall)

    def _disarm(self, member: int) -> None:
        self._cluster.crash_at(member, "", 0, _nothing)

    def _fall(self, member: int) -> None:
        self._faults.down(self._what, member, self._number("down_ms"), self._survival)

    def _crash_again(self, member: int, times: int) -> None:
        if times <= 0 or self._faults.is_over:
            return
        down_ms = self._number("down_ms")
        self._faults.down(self._what, member, down_ms, self._survival)
        again = partial(self._crash_again, member, times - 1)
        self._cluster.world.after(down_ms + self._number("up_ms"), again)

    def _crash_all(self) -> bool:
        down_ms, apart_ms = self._number("down_ms"), self._number("apart_ms")
        return any(
            [
                self._faults.down(self._what, member, down_ms + member * apart_ms, self._survival)
                for member in range(self._size)
            ]
        )

    def _rolling_restart(self) -> bool:
        """Stop and start one member after the other, as an operator does for a new release."""
        down_ms, apart_ms = self._number("down_ms"), self._number("apart_ms")
        for place in range(self._size):
            again = partial(self._restart, place, down_ms)
            self._cluster.world.after(place * (down_ms + apart_ms), again)
        return True

    def _restart(self, member: int, down_ms: int) -> None:
        if not self._faults.is_over:
            self._faults.stop(self._what, member, down_ms)

    # Disks.

    def _disk(self) -> bool:
        what, cluster, faults = self._what, self._cluster, self._faults
        member = self._member()
        match what:
            case "slow_disk":
                done = cluster.disk_slow(member, self._number("operation_ms"))
                undo: Undo = partial(cluster.disk_slow, member, 0)
            case "enospc":
                done = cluster.disk_full(member, full=True)
                undo = partial(cluster.disk_full, member, full=False)
            case "lying_sync":
                done = cluster.disk_lie(member, lying=True)
                undo = partial(cluster.disk_lie, member, lying=False)
            case "eio":
                return self._eio(member)
            case _:
                return self._damage(member)
        if done:
            faults.hold(what, [member], self._number("ms"), undo)
        return done

    def _eio(self, member: int) -> bool:
        """The member ends itself at the next such operation; somebody starts it again."""
        cluster, faults = self._cluster, self._faults
        if not cluster.is_up(member) or not cluster.disk_fail(member, self._word("what")):
            return False

        def again() -> None:
            cluster.disk_fail(member, "")
            if not cluster.is_up(member):
                cluster.start(member)

        faults.hold(self._what, [member], self._number("down_ms") + START_MS, again)
        return True

    def _whole_disk(self) -> bool:
        """What needs files: a start that meets an error, a loss of power amid a change of names."""
        what, cluster, faults, member = self._what, self._cluster, self._faults, self._member()
        if not cluster.is_up(member):
            return False
        if what == "power_loss_naming":
            fall = partial(self._fall, member)
            done = cluster.power_loss_naming(member, self._word("operation"), fall)
            undo = partial(cluster.power_loss_naming, member, "", _nothing)
            faults.hold("armed", [member], self._number("ms"), undo)
            return done
        cluster.crash(member, "all")
        done = cluster.disk_fail_at_start(member, self._number("operation"))
        cluster.start(member)

        def again() -> None:
            cluster.disk_fail(member, "")
            self._start(member)

        faults.hold(what, [member], self._number("down_ms") + START_MS, again)
        return done

    def _damage(self, member: int) -> bool:
        cluster, faults = self._cluster, self._faults
        if not cluster.is_up(member):
            return False
        cluster.crash(member, "all")
        bit = self._number("bit") if self._what == "bit_rot" else 0
        at_permille = self._number("at_permille")
        done = cluster.damage(
            member, self._what, self._word("file"), at_permille=at_permille, bit=bit
        )
        down_ms = self._number("down_ms")
        faults.hold(self._what, [member], down_ms, partial(self._start, member))
        return done

    def _start(self, member: int) -> None:
        if not self._cluster.is_up(member):
            self._cluster.start(member)

    # Operations.

    def _operation(self) -> bool:
        what, cluster, faults = self._what, self._cluster, self._faults
        if what == "depose":
            leader = cluster.leader()
            if leader is None:
                return False
            ms = self._number("ms")
            cluster.depose(ms)
            faults.hold(what, [leader], ms, _nothing)
            return True
        member = self._member()
        if what == "restart":
            return faults.down(what, member, self._number("down_ms"), "all")
        if not cluster.is_up(member):
            return False
        faults.note(what, [member], True)
        if what == "transfer":
            cluster.transfer(member)
        else:
            cluster.snapshot(member)
        return True


def _nothing() -> None:
    """Some faults end by themselves."""
