"""A call or a watcher as a party of a conflict.

Rule of this file: text only, in the words of `sim.wording`. Long lists and values are cut; the
history has them whole.
"""

from sim.check.verdict import Side, seconds
from sim.history import NEVER_US, Call, Seen, Watcher
from sim.wording import asked, happened, listed, told, wanted


def side(call: Call) -> Side:
    """Return a call as a party of a conflict."""
    number, process, member, op, invoked_us, returned_us, result = call
    end = "never" if returned_us == NEVER_US else seconds(returned_us)
    who = f"call {number}, process {process}, member {member}, {seconds(invoked_us)} to {end} s"
    return Side(f"{who}: {asked(op)}", told(result), number, None, member, invoked_us, returned_us)


def watcher_side(watcher: Watcher, seen: Seen | None) -> Side:
    """Return a watcher as a party of a conflict, with the message that it broke on."""
    who = f"watcher {watcher.number}, process {watcher.process}, member {watcher.member}"
    who = f"{who}, opened at {seconds(watcher.opened_us)} s: {wanted(watcher.spec)}"
    begun = watcher.opened_us if seen is None else seen.time_us
    saw = "nothing more" if seen is None else f"at {seconds(seen.time_us)} s: {heard(seen)}"
    return Side(who, saw, None, watcher.number, watcher.member, begun, watcher.closed_us)


def heard(seen: Seen) -> str:
    """Return one watch message in a few words."""
    text = f"{seen.kind} at revision {seen.rev}"
    if seen.events:
        text = f"{text}: {listed(map(happened, seen.events))}"
    if seen.compact_rev:
        text = f"{text}, compacted at {seen.compact_rev}"
    return f"{text} ({seen.reason})" if seen.reason else text
