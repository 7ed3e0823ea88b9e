"""What is owed besides order: answers after healing, right refusals, true caches, equal hashes.

Rule of this file: one short judge for each promise; each looks at the history once.
"""

from sim.check import shape
from sim.check.guarantees import Found
from sim.check.settings import Bounds
from sim.check.timeline import Timeline
from sim.check.verdict import Side, seconds
from sim.check.wording import side
from sim.history import NEVER_US, Call, History
from sim.ops import Admin, AdminDone, Delete, Failed, Put, Range, Txn, Unknown

SAYS_SOMETHING = shape.OF_THE_DATA | shape.OF_THE_SHAPE | {shape.NO_SPACE}
"""Refusals that are answers: the cluster is at work."""


def judge_answers(history: History, bounds: Bounds, found: Found) -> None:
    """Once all is healed and a leader had time to be found, every operation is answered in time."""
    if history.healed_us == NEVER_US:
        return
    moved_us = [
        call.invoked_us
        for call in history.calls
        if isinstance(call.op, Admin) and call.op.what == "move_leader"
    ]
    quiet_us = max([history.healed_us, *moved_us]) + bounds.elect_us
    for call in [each for each in history.calls if each[4] >= quiet_us]:
        if isinstance(call.op, Admin):
            continue
        result = call.result
        healed = Side(f"all faults healed at {seconds(history.healed_us)} s", "nothing wrong since")
        if isinstance(result, Unknown):
            # What the cluster itself gave up, or what was waited for long enough.
            given_up = result.text.startswith("etcdserver:")
            if given_up or call.invoked_us + bounds.answer_us <= history.ended_us:
                why = "it was not answered, though nothing was wrong any more"
                found.add("liveness/unanswered", why, (healed, side(call)), call.invoked_us)
        elif isinstance(result, Failed) and result.text not in SAYS_SOMETHING:
            why = f"it was refused, though nothing was wrong any more: {result.text}"
            found.add("liveness/refused", why, (healed, side(call)), call.returned_us)
        elif call.returned_us - call.invoked_us > bounds.answer_us:
            why = f"its answer took {seconds(call.returned_us - call.invoked_us)} s"
            found.add("liveness/slow", why, (healed, side(call)), call.returned_us)


def judge_shapes(history: History, found: Found) -> None:
    """A misshapen request is refused with its text, and no other is."""
    # Keys that are there are all that most requests need.
    doubtful = [
        call
        for call in history.calls
        if type(call[3]) is Txn or type(call[6]) is Failed or call[3][:1] == ("",)
    ]
    for call in doubtful:
        op, result = call.op, call.result
        if isinstance(result, Unknown):
            continue
        if isinstance(result, Failed):
            if result.text in shape.OF_THE_SHAPE and shape.refused(op) != result.text:
                why = f"it deserves {shape.refused(op) or 'no refusal'}"
                found.add("linear/wrong-refusal", why, (side(call),), call.returned_us)
        elif isinstance(op, Txn | Put | Delete | Range) and shape.refused(op):
            why = f"it deserves {shape.refused(op)}"
            found.add("linear/misshapen-accepted", why, (side(call),), call.returned_us)


def judge_caches(history: History, timeline: Timeline, bounds: Bounds, found: Found) -> None:
    """An informer's cache is the store at its revision, and in the end at the newest one."""
    for cache in history.caches:
        name = f"informer of process {cache.process}, at revision {cache.rev}"
        if cache.rev > timeline.head:
            why = f"revision {cache.rev} never came about; the newest is {timeline.head}"
            sides = (Side(name, f"{len(cache.objects)} objects"),)
            found.add("watch/informer-cache", why, sides, cache.time_us)
            continue
        rev = cache.rev
        if history.healed_us != NEVER_US and cache.time_us >= history.healed_us + bounds.watch_us:
            rev = max(rev, timeline.surely(cache.time_us - bounds.watch_us))
        held = dict(((key, (mod, value)) for key, mod, value in cache.objects))
        due = {kv.key: (kv.mod, kv.value) for kv in timeline.model.at(cache.key, cache.end, rev)}
        for key in sorted(held.keys() | due.keys()):
            if held.get(key) != due.get(key):
                saw = f"{key}: {_object(held.get(key))}"
                why = f"{key} is {_object(due.get(key))} at revision {rev}"
                mod = (due.get(key) or held[key])[0]
                writer = timeline.writers[mod] if mod <= timeline.head else None
                maker = Side(f"revision {mod}", "") if writer is None else side(writer)
                found.add("watch/informer-cache", why, (maker, Side(name, saw)), cache.time_us)
                break


def judge_hashes(history: History, found: Found) -> None:
    """Members that tell a hash of the same revision, compacted alike, tell the same one."""
    first: dict[tuple[int, ...], tuple[int, Call]] = {}
    for call in [each for each in history.calls if type(each[3]) is Admin]:
        if not isinstance(call.op, Admin) or not isinstance(call.result, AdminDone):
            continue
        facts = dict(call.result.facts)
        if call.op.what != "hash" or "hash" not in facts:
            continue
        # An etcd before 3.6 does not tell of which revision its hash is: it is the header's.
        key = (facts.get("hash_revision") or call.result.rev, facts.get("compacted", 0))
        hashed, other = first.setdefault(key, (facts["hash"], call))
        if hashed != facts["hash"]:
            why = f"at revision {key[0]}, compacted at {key[1]}: {hashed} and {facts['hash']}"
            sides = (_hashed(other), _hashed(call))
            found.add("convergence/hash", why, sides, call.returned_us)


def _hashed(call: Call) -> Side:
    result = call.result
    assert isinstance(result, AdminDone)
    told = ", ".join(f"{name} {value}" for name, value in result.facts)
    return side(call)._replace(saw=told)


def _object(held: tuple[int, str] | None) -> str:
    return "absent" if held is None else f"{held[1]!r:.40} @{held[0]}"
