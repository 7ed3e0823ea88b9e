"""Client processes and watchers put into lanes, and where each operation took effect.

Rule of this file: layout over time only; nothing is drawn and nothing is judged. A lane holds one
after the other what never overlaps, so a client keeps its lane when its process is retired.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from sim.history import NEVER_US, Call, Logged, Watcher
from sim.ops import Failed, Range, RangeDone, Unknown


def pack(spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return a lane for each span (from, to), in the order given; the first free lane is taken."""
    free_at: list[int] = []
    chosen = [0] * len(spans)
    for place in sorted(range(len(spans)), key=lambda each: (spans[each], each)):
        begin, end = spans[place]
        lane = next((n for n, at in enumerate(free_at) if at <= begin), len(free_at))
        free_at[lane:] = [end] if lane == len(free_at) else [end, *free_at[lane + 1 :]]
        chosen[place] = lane
    return chosen


def client_lanes(calls: Sequence[Call], ended_us: int) -> dict[int, int]:
    """Return a lane for each client process.

    A process lives from its first invocation to its last answer; one whose last outcome is unknown
    lives on until its successor begins, which is why unknown answers do not count as its end.
    """
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    for call in calls:
        begins[call.process] = min(call.invoked_us, begins.get(call.process, NEVER_US))
        over = call.returned_us if call.returned_us < NEVER_US else call.invoked_us + 1
        ends[call.process] = max(min(over, ended_us), ends.get(call.process, 0), call.invoked_us)
    processes = sorted(begins)
    lanes = pack([(begins[each], ends[each]) for each in processes])
    return dict(zip(processes, lanes, strict=True))


def watcher_lanes(watchers: Sequence[Watcher], ended_us: int) -> list[int]:
    """Return a lane for each watcher, in the order given."""
    return pack([(each.opened_us, watcher_end(each, ended_us)) for each in watchers])


def watcher_end(watcher: Watcher, ended_us: int) -> int:
    """Return when a watcher's stream ended."""
    last = watcher.seen[-1] if watcher.seen else None
    over = last.time_us if last is not None and last.kind in ("canceled", "lost") else ended_us
    return max(min(over, watcher.closed_us, ended_us), watcher.opened_us)


def points(
    calls: Iterable[Call], log: Iterable[Logged] | None, commits: Mapping[int, int]
) -> dict[int, int]:
    """Return when each operation took effect: within its time, in the order of the log.

    The log says when it was first applied, else `commits` when it was first known to be committed.
    A read takes effect at its revision. Where the order and the times cannot both hold - the
    history is then not linear - the point lies after the answer, or there is none: a read of what
    was over before it was asked. Unknown outcomes have a point only if the log holds them.
    """
    known = {call.number: call for call in calls}
    placed: dict[int, int] = {}
    reached: list[tuple[int, int]] = [(0, 0)]
    least = 0
    for entry in log or ():
        call = known.get(entry.call) if entry.call is not None else None
        if call is not None:
            known_us = commits.get(entry.log_index, call.invoked_us)
            wish = entry.time_us if entry.time_us >= 0 else known_us
            least = max(least, call.invoked_us, min(wish, call.returned_us))
            placed.setdefault(call.number, least)
        if entry.rev > reached[-1][0]:
            reached.append((entry.rev, least))
    times = dict(reached)
    until = {rev: end for (rev, _), (_, end) in pairwise(reached)}
    for call in known.values():
        if call.number in placed or isinstance(call.result, Failed | Unknown):
            continue
        fresh = isinstance(call.op, Range) and not call.op.serializable
        if not fresh or not isinstance(call.result, RangeDone) or call.result.rev not in times:
            continue
        if call.invoked_us <= until.get(call.result.rev, NEVER_US):
            placed[call.number] = max(call.invoked_us, times[call.result.rev])
    return placed
