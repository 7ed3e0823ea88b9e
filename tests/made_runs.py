"""Made-up runs that look like real ones: for what draws runs, before and beside the simulator.

The rule of this file: one seed, one run. Three members, a leader crash, a partition and a pause,
clients with unknown and refused outcomes, watchers that break and resume, a log, and a trace; on
wish with a stale read or a lost event planted into what clients saw.
"""

from random import Random

from attrs import define, field

from sim.check.verdict import Side, Verdict
from sim.history import (
    NEVER_US,
    Call,
    Event,
    Fault,
    History,
    Logged,
    Seen,
    Watcher,
    WatchSpec,
)
from sim.ops import (
    Compare,
    Failed,
    Kv,
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
from sim.plan import Options, Plan
from sim.report.scene import Picture, Wrong

SECOND = 1_000_000


@define
class MadeRun:
    """What a run leaves behind, as the simulator has it."""

    plan: Plan
    history: History
    trace: list[str]
    verdicts: list[Verdict] = field(factory=list[Verdict])
    marks: dict[str, int] = field(factory=dict[str, int])


def picture(run: MadeRun) -> Picture:
    """Return what a page is made of."""
    return Picture(
        run.plan,
        run.history,
        tuple(run.trace),
        tuple(Wrong.of(each) for each in run.verdicts),
        run.marks,
    )


@define
class _Maker:
    chance: Random
    operations: int
    members: int
    clients: int
    end_us: int
    history: History
    trace: list[tuple[int, str]] = field(factory=list[tuple[int, str]])
    kvs: dict[str, Kv] = field(factory=dict[str, Kv])
    rev: int = 1
    message: int = 0
    changes: list[tuple[int, Kv]] = field(factory=list[tuple[int, Kv]])
    """When each revision was made, and what of."""

    def leader(self, time_us: int) -> int:
        """The first member leads until its crash, the second afterwards."""
        return 0 if time_us < self.end_us // 3 else 1

    def term(self, time_us: int) -> int:
        return 3 if time_us < self.end_us // 3 else 4

    def line(self, time_us: int, text: str) -> None:
        self.trace.append((time_us, text))

    def send(self, time_us: int, source: int, target: int, what: str, size: int) -> None:
        """A message that takes about a millisecond, or is dropped by the partition."""
        self.message += 1
        self.line(
            time_us, f"net send link={source}>{target} id={self.message} bytes={size} what={what}"
        )
        arrives = time_us + self.chance.randrange(300, 2500)
        cut = 2 in (source, target) and self.end_us // 2 < time_us < self.end_us // 2 + 4 * SECOND
        if cut or (0 in (source, target) and self.is_down(time_us)):
            self.line(
                arrives, f"net drop link={source}>{target} id={self.message} why=no connection"
            )
        else:
            self.line(arrives, f"net recv link={source}>{target} id={self.message}")

    def is_down(self, time_us: int) -> bool:
        """Whether member 0 is down."""
        return self.end_us // 3 <= time_us < self.end_us // 3 + 3 * SECOND

    def turn(self, time_us: int, member: int, index: int) -> None:
        lead = int(member == self.leader(time_us))
        self.line(
            time_us,
            f"m{member} turn term={self.term(time_us)} commit={index} applied={index} "
            f"rev={self.rev} lead={lead}",
        )


def made_run(
    seed: int = 7, *, operations: int = 500, seconds: int = 60, wrong: str = "", watchers: int = 4
) -> MadeRun:
    """Make a run. `wrong`: "", "stale-read" or "lost-event"."""
    options = Options(clients=6, watchers=watchers, duration_ms=seconds * 1000, bug=wrong)
    end = seconds * SECOND
    history = History(ended_us=end, healed_us=end - 5 * SECOND, log=[])
    maker = _Maker(Random(seed), operations, 3, 6, end, history)
    _faults(maker)
    _calls(maker)
    _watch(maker, watchers)
    run = MadeRun(Plan(seed, options), history, [])
    if wrong == "stale-read":
        run.verdicts.append(_stale(maker))
    if wrong == "lost-event":
        run.verdicts.append(_lost(maker))
    run.trace = [f"{at} {text}" for at, text in sorted(maker.trace, key=lambda each: each[0])]
    run.marks = {
        "leader change with a write in flight": 3,
        "snapshot installed": 0,
        "info, later seen": 5,
    }
    return run


def _faults(maker: _Maker) -> None:
    third, half = maker.end_us // 3, maker.end_us // 2
    for what, members, begin, took, detail in (
        ("crash", (0,), third, 3 * SECOND, "survival subset"),
        ("isolate", (2,), half, 4 * SECOND, ""),
        ("slow_disk", (1,), half + SECOND, 6 * SECOND, "every sync 80 ms"),
        ("clock_rate", (1,), half - SECOND, 9 * SECOND, "30000 ppm"),
        ("pause", (2,), maker.end_us * 2 // 3, 2 * SECOND, ""),
    ):
        maker.history.faults.append(Fault(begin, what, members, True, detail))
        maker.history.faults.append(Fault(begin + took, what, members, False))
        who = ",".join(map(str, members))
        maker.line(begin, f"world fault what={what} state=on members={who} detail={detail}")
        maker.line(begin + took, f"world fault what={what} state=off members={who} detail=")
    maker.line(third, "m0 crash how=subset")
    maker.line(third + 3 * SECOND, "m0 start life=2 applied=40")
    maker.line(third + 4 * SECOND, "m0 install index=60 rev=61")
    for member in range(3):
        maker.line(0, f"m{member} start life=1 applied=0")
    for time_us in range(0, maker.end_us, 100_000):
        leader = maker.leader(time_us)
        for target in range(3):
            if target != leader and not (leader == 0 and maker.is_down(time_us)):
                maker.send(time_us, leader, target, "heartbeat", 40)


def _calls(maker: _Maker) -> None:
    chance = maker.chance
    free = [chance.randrange(200_000) for _ in range(maker.clients)]
    process = list(range(maker.clients))
    gap = maker.end_us * maker.clients // max(maker.operations, 1)
    for number in range(maker.operations):
        client = min(range(maker.clients), key=lambda each: free[each])
        invoked = free[client]
        leader, member = maker.leader(invoked), chance.randrange(3)
        took = chance.randrange(2_000, 30_000)
        if maker.is_down(invoked) and member == 0:
            result: Result = Failed("etcdserver: no leader")
            op: Op = Range("k1")
        else:
            op, result = _operation(maker, number, invoked + took // 2, leader)
        returned = invoked + took
        if not isinstance(result, Failed) and chance.random() < 0.03:
            result, returned = Unknown("deadline exceeded"), NEVER_US
        maker.history.calls.append(
            Call(number, process[client], member, op, invoked, returned, result)
        )
        if returned == NEVER_US:
            process[client] += maker.clients
            took = 2 * SECOND
        free[client] = invoked + took + chance.randrange(2 * max(gap - 16_000, 4_000))


def _operation(maker: _Maker, number: int, at: int, leader: int) -> tuple[Op, Result]:
    chance = maker.chance
    key = f"/registry/k{chance.randrange(6)}"
    kind = chance.random()
    if kind < 0.4:
        kv = maker.kvs.get(key)
        return Range(key), RangeDone(maker.rev, (kv,) if kv else (), int(kv is not None))
    kv = _write(maker, key, f"v{number}", at)
    index = len(maker.history.log or ()) + 1
    for target in range(3):
        if target != leader:
            maker.send(at - 900, leader, target, "append", 180)
            maker.send(at - 100, target, leader, "ack", 30)
    for member in range(3):
        if not (member == 0 and maker.is_down(at)):
            maker.turn(at + 300 * member, member, index)
    if kind < 0.8:
        op: Op = Put(key, kv.value)
        result: Result = PutDone(maker.rev)
    else:
        op = Txn((Compare(key, "mod", "=", kv.mod - 1),), (Put(key, kv.value),), (Range(key),))
        result = TxnDone(maker.rev, True, (PutDone(maker.rev),))
    assert maker.history.log is not None
    maker.history.log.append(Logged(index, 0, maker.term(at), number, op, maker.rev))
    return op, result


def _write(maker: _Maker, key: str, value: str, at: int) -> Kv:
    maker.rev += 1
    before = maker.kvs.get(key)
    create, version = (before.create, before.version + 1) if before else (maker.rev, 1)
    kv = maker.kvs[key] = Kv(key, value, create, maker.rev, version)
    maker.changes.append((at, kv))
    return kv


def _watch(maker: _Maker, count: int) -> None:
    number = 0
    for each in range(count):
        opened, next_rev = 500_000 + each * 10_000, 1
        for part in range(2):
            closes = maker.end_us // 2 + each * SECOND if part == 0 else maker.end_us
            spec = WatchSpec(
                "/registry/", "/registry0", rev=next_rev, prev_kv=each == 1, progress=True
            )
            watcher = Watcher(number, 100 + number, each % 3, spec, opened)
            watcher.seen.append(Seen(opened + 2000, "created", next_rev))
            for at, kv in maker.changes:
                if opened < at < closes and kv.mod >= next_rev:
                    watcher.seen.append(Seen(at + 4000, "events", kv.mod, (Event("put", kv),)))
                    next_rev = kv.mod + 1
            if part == 0:
                watcher.seen.append(Seen(closes, "lost", next_rev, reason="connection reset"))
            maker.history.watchers.append(watcher)
            number, opened = number + 1, closes + 400_000


def _stale(maker: _Maker) -> Verdict:
    """Let a read after an acknowledged write see the value before it."""
    calls = maker.history.calls
    place = next(
        n
        for n, call in enumerate(calls)
        if call.invoked_us > maker.end_us * 0.45 and isinstance(call.result, PutDone)
    )
    write = calls[place]
    assert isinstance(write.op, Put)
    assert isinstance(write.result, PutDone)
    key, rev = write.op.key, write.result.rev
    old = [kv for _, kv in maker.changes if kv.key == key and kv.mod < rev][-1]
    read = next(
        n
        for n, call in enumerate(calls)
        if call.invoked_us > write.returned_us and isinstance(call.result, RangeDone)
    )
    begun = calls[read].invoked_us
    calls[read] = calls[read]._replace(op=Range(key), result=RangeDone(rev - 1, (old,), 1))
    return Verdict(
        "linear",
        "linear/stale-read",
        "Linearizable reads: a read that begins after a write was acknowledged sees it.",
        f"operation {calls[read].number} read revision {rev - 1} after {rev} was acknowledged",
        (
            Side(f"put {key} by process {write.process}", f"revision {rev}", write.number),
            Side(
                f"get {key} by process {calls[read].process}",
                f"revision {rev - 1}",
                calls[read].number,
            ),
        ),
        begun,
    )


def _lost(maker: _Maker) -> Verdict:
    """Take one event from what a watcher saw."""
    watcher = maker.history.watchers[1]
    place = len(watcher.seen) // 2
    gone = watcher.seen.pop(place)
    return Verdict(
        "watch",
        "watch/lost-event",
        "Reliable: a sequence of events will never drop any subsequence of events.",
        f"watcher {watcher.number} went past revision {gone.rev} without its event",
        (
            Side(f"revision {gone.rev}", f"{gone.events[0].kv.key} was put"),
            Side(
                f"watcher {watcher.number}",
                f"nothing of revision {gone.rev}",
                watcher=watcher.number,
            ),
        ),
        watcher.seen[place].time_us,
    )
