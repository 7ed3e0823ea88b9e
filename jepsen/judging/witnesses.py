"""What members' witnesses were told, held against each other and against what was acknowledged.

Rule of this file: without the checkers' model. A witness is a watch of everything; it covers the
revisions from its start to the last one that it was told of. What an acknowledged write promised
must be told by a witness that covers its revision, and the store must not be older in the end; what
two members tell of a revision must be the same. Cost: linear in the events.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from jepsen.judging.finding import Finding
from jepsen.judging.owners import CLUSTER, Owners
from sim.check.guarantees import WORDS
from sim.check.verdict import Side, Verdict
from sim.check.wording import side
from sim.history import NEVER_US, Call, History, Watcher
from sim.ops import Delete, DeleteDone, Put, PutDone, Range, RangeDone, Txn, TxnDone, TxnOp

Fact = tuple[str, str, str]
"""Kind, key and value of one change."""


class Story(NamedTuple):
    """What one member told its witnesses."""

    covered: Sequence[tuple[int, int]]
    """From which revision to which, both included, in order and apart."""
    facts: Mapping[int, frozenset[Fact]]
    times: Mapping[int, int]
    """When each revision was first told of."""

    def covers(self, rev: int) -> bool:
        """Whether a witness would have been told of a revision."""
        return any(first <= rev <= last for first, last in self.covered)


def judge_witnesses(history: History, owners: Owners) -> tuple[list[Finding], dict[str, int]]:
    """Judge a run; return what was found, and what was counted: `writes`, `revisions`, `members`.

    Of each workload and class only the first finding is told.
    """
    stories = stories_of(history)
    writes = [call for call in history.calls if wrote(call)]
    found = [*_lost(history, writes, stories, owners), *_differing(stories)]
    first: dict[tuple[str, str], Finding] = {}
    for each in sorted(found, key=lambda each: each.time_us):
        first.setdefault((each.workload, each.klass), each)
    revisions = {rev for story in stories.values() for rev in story.facts}
    counts = {"writes": len(writes), "revisions": len(revisions), "members": len(stories)}
    return list(first.values()), counts


def stories_of(history: History) -> dict[int, Story]:
    """Return what each member told those that watched everything."""
    facts: dict[int, dict[int, set[Fact]]] = {}
    times: dict[int, dict[int, int]] = {}
    spans: dict[int, list[tuple[int, int]]] = {}
    for watcher in history.watchers:
        if not is_witness(watcher):
            continue
        known = facts.setdefault(watcher.member, {})
        first_us = times.setdefault(watcher.member, {})
        first, last = watcher.spec.rev, 0
        for seen in watcher.seen:
            if seen.kind == "created" and not first:
                first = seen.rev + 1
            for event in seen.events:
                kv = event.kv
                value = kv.value if event.kind == "put" else ""
                known.setdefault(kv.mod, set()).add((event.kind, kv.key, value))
                first_us[kv.mod] = min(seen.time_us, first_us.get(kv.mod, seen.time_us))
            # The last revision of a message that is a fragment may lack its rest.
            if seen.events:
                last = max(last, seen.events[-1].kv.mod - seen.fragment)
            elif seen.kind == "progress":
                last = max(last, seen.rev)
        if first and last >= first:
            spans.setdefault(watcher.member, []).append((first, last))
    return {
        member: Story(
            _joined(spans.get(member, [])),
            {rev: frozenset(each) for rev, each in known.items()},
            times[member],
        )
        for member, known in facts.items()
    }


def is_witness(watcher: Watcher) -> bool:
    """Whether a watcher watches everything."""
    spec = watcher.spec
    return spec.key in ("", "\0") and spec.end == "\0" and not spec.filters


def wrote(call: Call) -> bool:
    """Whether a call was told that it changed something."""
    match call.op, call.result:
        case Put(), PutDone():
            return True
        case Delete(), DeleteDone(_, deleted):
            return deleted > 0
        case Txn(), TxnDone():
            return bool(made(call))
        case _:
            return False


def made(call: Call) -> frozenset[Fact]:
    """Return the changes that an acknowledged write must have made, as far as its answer says.

    Deletions of a range are left out: their keys are not told.
    """
    if isinstance(call.op, Txn) and isinstance(call.result, TxnDone):
        return frozenset(_made_by_txn(call.op, call.result))
    return frozenset(_made(call.op, call.result)) if isinstance(call.op, Put | Delete) else _NONE


_NONE: frozenset[Fact] = frozenset()


def _made(op: TxnOp, result: object) -> Iterator[Fact]:
    match op, result:
        case Put(key, value), PutDone():
            yield "put", key, value
        case Delete(key, ""), DeleteDone(_, 1):
            yield "delete", key, ""
        case Txn(), TxnDone():
            yield from _made_by_txn(op, result)
        case _:
            pass


def _made_by_txn(op: Txn, result: TxnDone) -> Iterator[Fact]:
    """Yield the changes of the branch that was taken; a key deleted and put again is only put."""
    branch = op.then if result.succeeded else op.orelse
    facts = [
        fact
        for each, told in zip(branch, result.results, strict=False)
        for fact in _made(each, told)
    ]
    written = {key for kind, key, _ in facts if kind == "put"}
    for kind, key, value in facts:
        if kind == "put" or key not in written:
            yield kind, key, value


def _lost(
    history: History, writes: Sequence[Call], stories: Mapping[int, Story], owners: Owners
) -> Iterator[Finding]:
    """Find acknowledged writes that no member tells of, or that the store is without in the end.

    A member that alone does not tell of one has lost an event, not the write: members differ.
    """
    last = _last_picture(history)
    newest: dict[int, Call] = {}
    for call in sorted(writes, key=lambda call: call.returned_us):
        rev, facts = call.result[0], made(call)
        assert isinstance(rev, int), "a write that was acknowledged has a revision"
        earlier = newest.setdefault(rev, call)
        if earlier is not call:
            yield _of_lost(owners, earlier, "its revision was given away again", side(call))
        covering = [(member, story) for member, story in stories.items() if story.covers(rev)]
        if covering and not any(facts <= story.facts.get(rev, _NONE) for _, story in covering):
            member, story = covering[0]
            told = sorted(story.facts.get(rev, _NONE))[:3]
            there = Side(f"member {member}, of revision {rev}", f"{told or 'nothing'}")
            yield _of_lost(owners, call, "no member tells of it", there)
        elif last is not None and call.returned_us < last.call.invoked_us:
            why = last.lacks(rev, facts)
            if why:
                yield _of_lost(owners, call, why, side(last.call))


class Picture(NamedTuple):
    """The store as the last linearizable read of everything found it."""

    call: Call
    rev: int
    mods: Mapping[str, int]
    """Keys with their mod revisions."""

    def lacks(self, rev: int, facts: frozenset[Fact]) -> str:
        """Say why it cannot follow from a write of this revision; "" if it can."""
        if rev > self.rev:
            return f"after healing the store is at revision {self.rev} only"
        for kind, key, _ in sorted(facts):
            if kind == "put" and self.mods.get(key, rev) < rev:
                return f"after healing {key} is as of revision {self.mods[key]}"
        return ""


def _last_picture(history: History) -> Picture | None:
    """Return what the last linearizable read of everything found, after healing."""
    if history.healed_us == NEVER_US:
        return None
    last: Picture | None = None
    for call in history.calls:
        match call.op, call.result:
            case Range("\0", "\0", 0, 0, False), RangeDone(rev, kvs) if (
                call.invoked_us >= history.healed_us
                and (last is None or call.invoked_us > last.call.invoked_us)
            ):
                last = Picture(call, rev, {kv.key: kv.mod for kv in kvs})
            case _:
                pass
    return last


def _of_lost(owners: Owners, call: Call, why: str, there: Side) -> Finding:
    klass = "durability/lost-write"
    verdict = Verdict("durability", klass, WORDS[klass], why, (side(call), there), call.returned_us)
    return Finding.of(owners.of_call(call.op), verdict)


def _differing(stories: Mapping[int, Story]) -> Iterator[Finding]:
    """Find revisions of which two members tell different things, or of which only one tells."""
    for rev in sorted({rev for story in stories.values() for rev in story.facts}):
        told = {
            member: story.facts.get(rev, _NONE)
            for member, story in stories.items()
            if story.covers(rev)
        }
        if len(set(told.values())) < 2:
            continue
        sides = tuple(
            Side(f"member {member}, of revision {rev}", f"{sorted(facts)[:3] or 'nothing'}")
            for member, facts in sorted(told.items())
        )
        why = f"members tell different things of revision {rev}"
        time_us = min(story.times[rev] for story in stories.values() if rev in story.times)
        yield Finding.own(CLUSTER, "convergence/witnesses", why, sides, time_us)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that touch or overlap joined."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined
