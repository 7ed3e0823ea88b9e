"""A run as data for one picture: everything that is drawn or shown on hover, within a size.

Rule of this file: numbers and short texts only; what the picture leaves out is counted and said.
Operations, watchers, faults and members' states are always kept; messages, members' numbers, trace
lines and long texts are kept nearest to the first error, or evenly where there was none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from attrs import field, frozen

from sim import wording
from sim.check.verdict import Side as Party
from sim.check.verdict import Verdict
from sim.history import NEVER_US, Call, History, Seen, Watcher
from sim.ops import Failed, Json, Unknown
from sim.plan import Plan
from sim.report import lanes, members, messages
from sim.report.latency import group_of
from sim.report.trace import TraceLine, parse_all


class Detail(NamedTuple):
    """How many operations and watch responses are told in full, how many responses are kept at
    all, and how long the texts of other operations may be."""

    calls: int
    seen: int
    kept: int
    short: int


SIZE_BYTES_MAX = 3_000_000
"""How large a page may be, unless it is asked for smaller."""

_DETAILS = (
    Detail(1_000, 1_500, 60_000, 90),
    Detail(300, 400, 20_000, 50),
    Detail(100, 100, 4_000, 24),
)
"""The first of these that leaves enough room for messages is taken."""
_EVENTS_SHOWN = 6
_TEXT_MAX = 500
_MESSAGE_BYTES = 36
_SAMPLE_BYTES = 30
_OUTCOMES = ("ok", "info", "fail")


class Side(NamedTuple):
    """One party of a conflict, what it saw, and what of the picture it is ("call 7")."""

    who: str
    saw: str
    what: str = ""


@frozen
class Wrong:
    """What is wrong with a run, as the page shows it."""

    klass: str
    words: str
    why: str
    sides: tuple[Side, ...] = ()
    time_us: int = 0
    is_violation: bool = True

    @classmethod
    def of(cls, verdict: Verdict) -> "Wrong":
        """Return a verdict as the page shows it."""
        sides = tuple(shown_side(side) for side in verdict.conflict)
        return cls(
            verdict.klass, verdict.words, verdict.why, sides, verdict.time_us, verdict.is_violation
        )

    def numbers(self, kind: str) -> list[int]:
        """Return the numbers of the calls or watchers in conflict."""
        parts = [side.what.split() for side in self.sides]
        return [int(part[1]) for part in parts if part and part[0] == kind]


@frozen
class Picture:
    """A run to be shown."""

    plan: Plan
    history: History
    trace: tuple[str, ...] = ()
    wrongs: tuple[Wrong, ...] = ()
    marks: Mapping[str, int] = field(factory=dict[str, int])
    digest: str = ""
    replay: str = ""
    """The command that runs it again; "" makes one of the seed."""


def packed(value: Json) -> str:
    """Return JSON that may stand inside a script element, whatever its texts hold."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def focus_of(picture: Picture) -> int | None:
    """Return when the first violation showed, or None for a run without one."""
    times = [each.time_us for each in picture.wrongs if each.is_violation]
    return min(times) if times else None


def duration_of(history: History, lines: Sequence[TraceLine]) -> int:
    """Return when a run ended; one that was cut short ends with the last thing known of it."""
    known = [history.ended_us, 1]
    known += [call.invoked_us for call in history.calls[-1:]]
    known += [lines[-1].time_us] if lines else []
    return max(known)


def scene(picture: Picture, size_bytes_max: int) -> dict[str, Json]:
    """Return what the page draws. `left` says in words what it had to leave out."""
    lines = parse_all(picture.trace)
    history, focus = picture.history, focus_of(picture)
    end = duration_of(history, lines)
    numbers = member_numbers(picture, lines)
    left: list[Json] = []
    drawn: dict[str, Json] = {
        "end": end,
        "healed": history.healed_us if history.healed_us < NEVER_US else None,
        "focus": focus,
        "members": [_lane(lines, number, end) for number in numbers],
        "faults": _faults(history, end),
        "verdicts": [_wrong(each) for each in picture.wrongs],
        "log": _log(history),
    }
    commits = members.commits(lines)
    room = 0
    for detail in _DETAILS:
        left.clear()
        drawn["calls"] = _calls(picture, commits, end, detail, left)
        drawn["watchers"] = _watchers(history.watchers, focus, end, detail, left)
        room = size_bytes_max - len(packed(drawn))
        if room > size_bytes_max // 2:
            break
    room -= 20_000
    drawn["lines"] = _lines(lines, focus, max(room, 0) // 4, left)
    drawn["samples"] = _samples(lines, numbers, focus, max(room, 0) // 4, left)
    drawn["messages"] = _messages(
        lines, numbers, focus, max(room - _size(drawn, "lines", "samples"), 0), left
    )
    drawn["left"] = left
    return drawn


def _size(drawn: Mapping[str, Json], *names: str) -> int:
    """Return how many bytes parts of a scene take."""
    return sum(len(packed(drawn[name])) for name in names)


def left_out(drawn: Mapping[str, Json]) -> list[str]:
    """Return what a scene had to leave out, in words."""
    left = drawn["left"]
    assert isinstance(left, list), "scene makes a list of it"
    return [str(each) for each in left]


def member_numbers(picture: Picture, lines: Iterable[TraceLine]) -> list[int]:
    """Return the numbers of all members that the plan, the calls or the trace know."""
    known = set(range(picture.plan.options.members))
    known |= {call.member for call in picture.history.calls}
    known |= {line.member for line in lines if line.member is not None}
    return sorted(known)


def _lane(lines: Sequence[TraceLine], number: int, end_us: int) -> Json:
    """Return one member's states, and the marks in its lane."""
    states: list[Json] = [
        [each.begin_us, each.end_us, members.ROLES.index(each.role), each.term]
        for each in members.spans(lines, number, end_us)
    ]
    marks: list[Json] = [
        [line.time_us, line.kind, wording.shown_line(line.text)]
        for line in lines
        if line.member == number and line.kind in members.EVENTS
    ]
    return {"number": number, "states": states, "marks": marks}


def _faults(history: History, end_us: int) -> list[Json]:
    """Return each fault: from, to, its name, its group, whom it concerns, and more."""
    return [
        [
            band.begin_us,
            min(band.end_us, end_us),
            band.what,
            group_of(band.what),
            list(band.members),
            wording.shown_line(band.detail),
        ]
        for band in members.bands(history.faults, end_us)
    ]


def _calls(
    picture: Picture, commits: Mapping[int, int], end_us: int, detail: Detail, left: list[Json]
) -> list[Json]:
    """Return each operation: number, lane, process, member, times, outcome, point and texts."""
    calls, focus = picture.history.calls, focus_of(picture)
    lane_of = lanes.client_lanes(calls, end_us)
    point_of = lanes.points(calls, picture.history.log, commits)
    whole = _nearest_numbers(calls, focus, detail.calls)
    whole |= {number for wrong in picture.wrongs for number in wrong.numbers("call")}
    rows: list[Json] = []
    for call in calls:
        size = _TEXT_MAX if call.number in whole else detail.short
        rows.append(
            [
                call.number,
                lane_of[call.process],
                call.process,
                call.member,
                call.invoked_us,
                call.returned_us if call.returned_us < NEVER_US else None,
                _OUTCOMES.index(wording.outcome(call.result)),
                point_of.get(call.number),
                None if isinstance(call.result, Failed | Unknown) else call.result.rev,
                wording.brief(call.op),
                wording.shown_line(wording.asked(call.op), size),
                wording.shown_line(wording.told(call.result), size),
            ]
        )
    if len(whole) < len(calls):
        left.append(f"the long texts of {len(calls) - len(whole):,} operations")
    return rows


def _nearest_numbers(calls: Sequence[Call], focus_us: int | None, count: int) -> set[int]:
    """Return the numbers of the operations that are told in full."""
    times = [call.invoked_us for call in calls]
    return {call.number for call in messages.nearest(calls, times, focus_us, count)}


def _watchers(
    watchers: Sequence[Watcher], focus: int | None, end_us: int, detail: Detail, left: list[Json]
) -> list[Json]:
    """Return each watcher with all that it saw."""
    lane_of = lanes.watcher_lanes(watchers, end_us)
    all_seen = [(each.number, place) for each in watchers for place in range(len(each.seen))]
    times = [seen.time_us for each in watchers for seen in each.seen]
    whole = set(messages.nearest(all_seen, times, focus, detail.seen))
    kept = set(messages.nearest(all_seen, times, focus, detail.kept))
    if len(whole) < len(all_seen):
        left.append(f"the events in {len(all_seen) - len(whole):,} watch responses")
    if len(kept) < len(all_seen):
        left.append(f"{len(all_seen) - len(kept):,} of those altogether")
    rows: list[Json] = []
    for watcher, lane in zip(watchers, lane_of, strict=True):
        seen: list[Json] = [
            _seen(each, (watcher.number, place) in whole)
            for place, each in enumerate(watcher.seen)
            if (watcher.number, place) in kept or each.kind in ("created", "canceled", "lost")
        ]
        rows.append(
            [
                watcher.number,
                lane,
                watcher.process,
                watcher.member,
                watcher.opened_us,
                lanes.watcher_end(watcher, end_us),
                wording.wanted(watcher.spec),
                seen,
                len(watcher.seen),
            ]
        )
    return rows


def _seen(seen: Seen, whole: bool) -> Json:
    """Return one response: time, kind, revision, how many events, and what they were."""
    revs = [event.kv.mod for event in seen.events]
    text = ""
    if whole:
        text = "; ".join(wording.happened(each) for each in seen.events[:_EVENTS_SHOWN])
        more = len(seen.events) - _EVENTS_SHOWN
        text += f"; … {more} more" if more > 0 else ""
        text += f"compacted at {seen.compact_rev} " if seen.compact_rev else ""
        text += wording.shown_line(seen.reason)
    return [seen.time_us, seen.kind, max(revs, default=seen.rev), len(revs), text]


def _wrong(wrong: Wrong) -> Json:
    """Return what the picture marks of what is wrong; its words stand in the page itself."""
    return {
        "klass": wrong.klass,
        "time": wrong.time_us,
        "sides": [side.what for side in wrong.sides],
        "calls": list(wrong.numbers("call")),
        "watchers": list(wrong.numbers("watcher")),
    }


def shown_side(side: Party) -> Side:
    """Return a party of a conflict as the page shows it, with what of the picture it is."""
    what = f"watcher {side.watcher}" if side.watcher is not None else ""
    return Side(side.who, side.saw, what if side.call is None else f"call {side.call}")


def _log(history: History) -> list[Json]:
    """Return the log entry of each call: number, index, term, revision after it."""
    entries = [each for each in history.log or () if each.call is not None]
    return [[each.call, each.log_index, each.term, each.rev] for each in entries]


def _lines(
    lines: Sequence[TraceLine], focus: int | None, room_bytes: int, left: list[Json]
) -> list[Json]:
    """Return trace lines as they are, those of the network left out: messages have their own."""
    own = [line for line in lines if line.place != "net"]
    size = sum(len(line.text) + 16 for line in own) // max(len(own), 1)
    kept = messages.nearest(
        own, [line.time_us for line in own], focus, min(room_bytes // max(size, 1), 6_000)
    )
    if len(kept) < len(own):
        left.append(f"{len(own) - len(kept):,} of {len(own):,} trace lines of members")
    return [[line.time_us, wording.shown_line(line.text)] for line in kept]


def _samples(
    lines: Sequence[TraceLine],
    numbers: Sequence[int],
    focus: int | None,
    room_bytes: int,
    left: list[Json],
) -> list[Json]:
    """Return, for each member, columns of time, commit index, applied index and revision."""
    columns: list[Json] = []
    share = room_bytes // (_SAMPLE_BYTES * max(len(numbers), 1))
    lost = 0
    for number in numbers:
        every = members.samples(lines, number)
        kept = messages.nearest(every, [each.time_us for each in every], focus, share)
        lost += len(every) - len(kept)
        columns.append([list(column) for column in zip(*kept, strict=True)] or [[], [], [], []])
    if lost:
        left.append(f"{lost:,} changes of members' commit index, applied index and revision")
    return columns


def _messages(
    lines: Sequence[TraceLine],
    numbers: Sequence[int],
    focus: int | None,
    room_bytes: int,
    left: list[Json],
) -> dict[str, Json]:
    """Return messages as columns: times, lanes, what, sizes, and why one was dropped."""
    every = messages.messages(lines)
    kept = messages.nearest(
        every, [each.sent_us for each in every], focus, room_bytes // _MESSAGE_BYTES
    )
    if len(kept) < len(every):
        window = f"{kept[0].sent_us / 1e6:.3f} to {kept[-1].sent_us / 1e6:.3f} s" if kept else ""
        spread = "evenly thinned" if focus is None else f"kept: {window}"
        left.append(f"{len(every) - len(kept):,} of {len(every):,} messages ({spread})")
    names = sorted({each.what for each in every})
    place = {number: lane for lane, number in enumerate(numbers)}
    rest = max(numbers, default=0)
    columns: dict[str, Json] = {
        "sent": [each.sent_us for each in kept],
        "took": [each.got_us - each.sent_us if each.got_us >= 0 else None for each in kept],
        "from": [place.get(each.sender, rest) for each in kept],
        "to": [place.get(each.receiver, rest) for each in kept],
        "what": [names.index(each.what) for each in kept],
        "size": [each.size_bytes for each in kept],
        "id": [each.number for each in kept],
        "why": {str(n): each.why for n, each in enumerate(kept) if each.ended == "drop"},
        "names": list(names),
        "traffic": _traffic(every, 600),
    }
    return columns


def _traffic(every: Sequence[messages.Message], parts: int) -> list[Json]:
    """Return how many messages, all of them, were sent in each of equal parts of the run."""
    if not every:
        return []
    width = max(every[-1].sent_us // parts + 1, 1)
    counts = [0] * parts
    for message in every:
        counts[message.sent_us // width] += 1
    return [width, list(counts)]
