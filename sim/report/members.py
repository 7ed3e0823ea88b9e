"""Members over time, out of the trace: who was up, in which term and role, and how far.

Rule of this file: it reads trace lines and repeats what they say; it computes no fact of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sim.history import NEVER_US, Fault
from sim.report.trace import TraceLine

ROLES = ("follower", "leader", "down")
EVENTS = ("crash", "death", "start", "snapshot", "install")
"""Kinds of line that have a mark of their own in a member's lane."""


class Span(NamedTuple):
    """A time in which a member's role and term stayed the same. `role` is one of `ROLES`."""

    begin_us: int
    end_us: int
    role: str
    term: int


class Sample(NamedTuple):
    """How far a member said it was."""

    time_us: int
    commit: int
    applied: int
    rev: int


class Band(NamedTuple):
    """A fault from its beginning to its end. No members: everybody."""

    begin_us: int
    end_us: int
    what: str
    members: tuple[int, ...]
    detail: str


def spans(lines: Sequence[TraceLine], member: int, ended_us: int) -> list[Span]:
    """Return the spans of one member, in order, without gaps."""
    found: list[Span] = []
    since, role, term = 0, "follower", 0
    for line in lines:
        if line.member != member:
            continue
        now_role, now_term = _role(line, role), line.number("term")
        now_term = term if now_term is None else now_term
        if (now_role, now_term) != (role, term):
            if line.time_us > since:
                found.append(Span(since, line.time_us, role, term))
            since, role, term = line.time_us, now_role, now_term
    if ended_us > since or not found:
        found.append(Span(since, max(since, ended_us), role, term))
    return found


def samples(lines: Sequence[TraceLine], member: int) -> list[Sample]:
    """Return each new state of a member's commit index, applied index and revision."""
    found: list[Sample] = []
    last = (0, 0, 0)
    for line in lines:
        if line.member != member or line.kind not in ("turn", "apply", "install", "start"):
            continue
        told = (line.number("commit"), line.number("applied"), line.number("rev"))
        now = (
            last[0] if told[0] is None else told[0],
            last[1] if told[1] is None else told[1],
            last[2] if told[2] is None else told[2],
        )
        if now != last:
            found.append(Sample(line.time_us, *now))
            last = now
    return found


def commits(lines: Sequence[TraceLine]) -> dict[int, int]:
    """Return when each log index was first known by any member to be committed."""
    known: dict[int, int] = {}
    reached = 0
    for line in lines:
        if line.member is None:
            continue
        commit = line.number("commit")
        if commit is not None and commit > reached:
            for index in range(reached + 1, commit + 1):
                known[index] = line.time_us
            reached = commit
    return known


def bands(faults: Sequence[Fault], ended_us: int) -> list[Band]:
    """Return each fault with its end; one that never ended lasts to the end of the run."""
    open_at: dict[tuple[str, tuple[int, ...]], list[Fault]] = {}
    found: list[Band] = []
    for fault in sorted(faults, key=lambda each: each.time_us):
        begun = open_at.setdefault((fault.what, fault.members), [])
        if fault.on:
            begun.append(fault)
        elif begun:
            first = begun.pop(0)
            found.append(_band(first, fault.time_us))
    for begun in open_at.values():
        found += [_band(each, min(ended_us, NEVER_US)) for each in begun]
    return sorted(found)


def _band(fault: Fault, end_us: int) -> Band:
    end_us = max(end_us, fault.time_us)
    return Band(fault.time_us, end_us, fault.what, fault.members, fault.detail)


def _role(line: TraceLine, before: str) -> str:
    """Return a member's role after a line."""
    match line.kind:
        case "crash" | "death":
            return "down"
        case "start":
            return "follower"
        case "turn" | "role":
            leads = line.facts.get("lead")
            if before == "down" or leads is None:
                return before
            return "leader" if leads == "1" else "follower"
        case _:
            return before
