"""Leases: never gone early, gone in time, keys and lease in one revision, no false word of them.

Rule of this file: a lease's life and every answer stand between times; only what is certain is
judged. A keepalive that was acknowledged renewed the lease at or after its invocation.
"""

from collections import defaultdict
from functools import cached_property
from typing import Final

from sim.check import shape
from sim.check.guarantees import Found
from sim.check.settings import Bounds
from sim.check.timeline import Life, Timeline
from sim.check.verdict import Side, seconds
from sim.check.wording import side
from sim.history import NEVER_US, Call, History
from sim.ops import (
    Delete,
    Failed,
    Grant,
    GrantDone,
    KeepAlive,
    KeepAliveDone,
    LeasesDone,
    Put,
    Range,
    Revoke,
    RevokeDone,
    TimeToLive,
    TimeToLiveDone,
    Txn,
    Unknown,
)

SECOND_US: Final = 1_000_000
OF_KEYS: Final = frozenset((Range, Put, Delete, Txn))
WINDOW_MAX: Final = 200
"""Revisions tried to explain a lease's keys; beyond that too much is possible to judge."""


def lives_of(history: History) -> dict[int, list[Life]]:
    """Return the leases that clients asked for, where no log tells of them.

    An id that was granted twice is left out: nobody can tell its lives apart.
    """
    lives: dict[int, list[Life]] = {}
    for call in [each for each in history.calls if type(each[3]) is Grant]:
        if isinstance(call.op, Grant) and isinstance(call.result, GrantDone | Unknown):
            lease, ttl_s = call.op.lease, call.op.ttl_s
            if isinstance(call.result, GrantDone):
                lease, ttl_s = call.result.lease, call.result.ttl_s
            life = Life(
                lease, ttl_s, call.invoked_us, call.returned_us, call, "", NEVER_US, NEVER_US
            )
            lives.setdefault(lease, []).append(life)
    for call in [each for each in history.calls if type(each[3]) is Revoke]:
        if isinstance(call.op, Revoke) and isinstance(call.result, RevokeDone | Unknown):
            known = lives.get(call.op.lease, [])
            if known and call.invoked_us < known[-1].ended_low_us:
                known[-1] = known[-1]._replace(
                    how="revoked",
                    ended_low_us=call.invoked_us,
                    ended_high_us=call.returned_us,
                    ended_by=call,
                )
    return {lease: known for lease, known in lives.items() if lease and len(known) == 1}


def judge_leases(history: History, timeline: Timeline, bounds: Bounds, found: Found) -> None:
    """Judge every lease of a run, and every answer about one."""
    about: defaultdict[int, list[Call]] = defaultdict(list)
    for call in history.calls:
        op = call[3]
        if type(op) in OF_KEYS and type(call[6]) is not Failed:
            continue
        if isinstance(op, KeepAlive | TimeToLive) or (
            isinstance(op, Put) and isinstance(call.result, Failed)
        ):
            about[op.lease].append(call)
        elif isinstance(call.result, LeasesDone):
            _listed(call, call.result, timeline, found)
    for lease in sorted(set(about) | set(timeline.lives)):
        judge = _Judge(lease, about[lease], timeline, bounds, found)
        judge.answers()
        for life in timeline.lives.get(lease, ()):
            judge.early(life)
            judge.immortal(life, history)


def _listed(call: Call, result: LeasesDone, timeline: Timeline, found: Found) -> None:
    for lease in result.leases:
        lives = timeline.lives.get(lease)
        if timeline.is_logged and not lives:
            why = f"lease {lease} was never granted"
            found.add("lease/wrong-answer", why, (side(call),), call.returned_us)
        elif lives and lives[0].granted_low_us > call.returned_us:
            why = f"lease {lease} was asked for only later"
            sides = (_granted(lives[0]), side(call))
            found.add("lease/wrong-answer", why, sides, call.returned_us)


class _Judge:
    """Judges one lease id."""

    def __init__(
        self, lease: int, about: list[Call], timeline: Timeline, bounds: Bounds, found: Found
    ) -> None:
        self.lease = lease
        self.about = about
        self.timeline = timeline
        self.lives = timeline.lives.get(lease, [])
        self.bounds = bounds
        self.found = found

    # Answers.

    def answers(self) -> None:
        """Judge what was said of it."""
        for call in self.about:
            match call.result:
                case KeepAliveDone(_, _, ttl_s):
                    self._said(call, is_there=ttl_s > 0, ttl_s=ttl_s)
                case TimeToLiveDone(_, _, ttl_s, granted_s):
                    # An etcd counts on below 0 while a lease that is due is not revoked yet.
                    self._said(call, is_there=ttl_s != -1 or granted_s > 0, ttl_s=granted_s)
                    self._keys(call)
                case Failed(shape.LEASE_NOT_FOUND):
                    self._said(call, is_there=False, ttl_s=0)
                case _:
                    pass

    def _said(self, call: Call, *, is_there: bool, ttl_s: int) -> None:
        begin_us, end_us = call.invoked_us, call.returned_us
        possible = [life for life in self.lives if life.may_be_alive(begin_us, end_us)]
        if is_there:
            if not possible and (self.timeline.is_logged or self.lives):
                last = self.lives[-1] if self.lives else None
                why = "the lease was answered for and did not exist"
                self._broken("lease/undead", why, (_ended(self.lease, last), side(call)), end_us)
            elif len(possible) == 1 and not _fits(ttl_s, possible[0]):
                why = f"its TTL is {possible[0].ttl_s} s, not {ttl_s} s"
                sides = (_granted(possible[0]), side(call))
                self._broken("lease/wrong-answer", why, sides, end_us)
            return
        for life in self.lives:
            if life.is_alive(begin_us, end_us) and (self.timeline.is_logged or life.how == ""):
                if self.timeline.is_logged:
                    why = "the lease was denied and existed all the time"
                    self._broken("lease/denied", why, (_granted(life), side(call)), end_us)
                else:
                    self._judge_end(life, end_us, side(call))

    def _keys(self, call: Call) -> None:
        """Hold the keys told against those at some revision of its time."""
        result = call.result
        if not isinstance(result, TimeToLiveDone) or not isinstance(call.op, TimeToLive):
            return
        first, last = self.timeline.surely(call.invoked_us), self.timeline.maybe(call.returned_us)
        if result.ttl_s == -1 or not call.op.keys or last - first > WINDOW_MAX:
            return
        model = self.timeline.model
        given = tuple(sorted(result.keys))
        for rev in range(first, last + 1):
            held = tuple(kv.key for kv in model.at("\0", "\0", rev) if kv.lease == self.lease)
            if held == given:
                return
        why = "it never had these keys while the question was under way"
        self._broken("lease/wrong-answer", why, (side(call),), call.returned_us)

    # The end.

    def early(self, life: Life) -> None:
        """It may not end by time before its TTL has passed since a renewal that was told."""
        if life.how == "expired" and life.ended_high_us != NEVER_US:
            self._judge_end(life, life.ended_high_us, _ended(self.lease, life))

    def _judge_end(self, life: Life, ended_us: int, ended: Side) -> None:
        """`ended_us`: by then it was gone."""
        if not self.timeline.is_logged and life.ended_low_us < ended_us:
            return
        for call in self._renewals(life):
            ttl_us = life.ttl_s * SECOND_US
            ttl_us -= ttl_us * self.bounds.drift_ppm // SECOND_US + self.bounds.early_us
            if call.invoked_us <= ended_us < call.invoked_us + ttl_us:
                lived_us = ended_us - call.invoked_us
                why = f"it was gone {seconds(lived_us)} s after a renewal for {life.ttl_s} s"
                self._broken("lease/early", why, (side(call), ended), ended_us)
                return

    def _renewals(self, life: Life) -> list[Call]:
        """Return who was told that the lease stands, in this life of it."""
        renewals = [
            call
            for call in self.about
            if isinstance(call.result, KeepAliveDone)
            and call.result.ttl_s > 0
            and [
                each for each in self.lives if each.may_be_alive(call.invoked_us, call.returned_us)
            ]
            == [life]
        ]
        if life.granted_by is not None and isinstance(life.granted_by.result, GrantDone):
            renewals.append(life.granted_by)
        return sorted(renewals, key=lambda call: -call.invoked_us)

    def immortal(self, life: Life, history: History) -> None:
        """Once all is healed it ends in time, unless it is renewed."""
        if history.healed_us == NEVER_US or life.granted_low_us == NEVER_US:
            return
        last_us = max(history.healed_us, self._late(life.granted_by))
        ttl_s = life.ttl_s
        renewer = life.granted_by
        latest, told_ttl_s = self._last_renewal
        ttl_s = max(ttl_s, told_ttl_s)
        if self._late(latest) > last_us:
            last_us, renewer = self._late(latest), latest
        ttl_us = ttl_s * SECOND_US
        due_us = last_us + ttl_us + ttl_us * self.bounds.drift_ppm // SECOND_US
        due_us += self.bounds.lease_us
        alive_us = self._seen_alive(life, history)
        if alive_us > due_us:
            by = _granted(life) if renewer is None else side(renewer)
            why = f"it was still there at {seconds(alive_us)} s, due to end by {seconds(due_us)} s"
            self._broken("lease/immortal", why, (by, _ended(self.lease, life)), due_us)

    @cached_property
    def _last_renewal(self) -> tuple[Call | None, int]:
        """The keepalive that may have had its effect last, and the longest time that one told."""
        renewals = [call for call in self.about if type(call[3]) is KeepAlive]
        told_s = [each.result.ttl_s for each in renewals if isinstance(each.result, KeepAliveDone)]
        return max(renewals, key=self._late, default=None), max(told_s, default=0)

    def _late(self, call: Call | None) -> int:
        """Return until when a call may have had its effect."""
        if call is None:
            return 0
        if call.returned_us == NEVER_US:
            return call.invoked_us + self.bounds.answer_us
        return call.returned_us

    def _seen_alive(self, life: Life, history: History) -> int:
        """Return the latest time at which it surely existed."""
        if self.timeline.is_logged:
            return min(life.ended_low_us, history.ended_us)
        return max(
            (
                call.invoked_us
                for call in self.about
                if isinstance(call.result, TimeToLiveDone) and call.result.ttl_s != -1
            ),
            default=0,
        )

    def _broken(self, klass: str, why: str, sides: tuple[Side, ...], time_us: int) -> None:
        self.found.add(klass, f"lease {self.lease}: {why}", sides, time_us)


def _fits(ttl_s: int, life: Life) -> bool:
    is_told = life.granted_by is not None and isinstance(life.granted_by.result, GrantDone)
    return ttl_s == life.ttl_s if is_told else ttl_s >= life.ttl_s


def _granted(life: Life) -> Side:
    if life.granted_by is not None:
        return side(life.granted_by)
    return Side(f"lease {life.lease}", f"granted for {life.ttl_s} s")


def _ended(lease: int, life: Life | None) -> Side:
    if life is None:
        return Side(f"lease {lease}", "never granted")
    if life.ended_by is not None:
        return side(life.ended_by)
    if not life.how:
        return Side(f"lease {lease}", "no end")
    when = "" if life.ended_high_us == NEVER_US else f" by {seconds(life.ended_high_us)} s"
    return Side(f"lease {lease}", f"{life.how}{when}, at revision {life.ended_rev}")
