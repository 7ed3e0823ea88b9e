"""Messages between members, out of the trace, and which of them a bounded picture keeps.

Rule of this file: pairs sends with their ends; thins by distance from the time that matters, and
evenly where no time matters more than another.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from sim.report.trace import TraceLine

T = TypeVar("T")
LOST_US = -1
"""When a message arrived that never did."""


class Message(NamedTuple):
    """One message. `got_us` is LOST_US if it never arrived; `ended` says how: recv, drop, open."""

    sent_us: int
    got_us: int
    sender: int
    receiver: int
    what: str
    size_bytes: int
    number: int
    ended: str
    why: str = ""


def messages(lines: Sequence[TraceLine]) -> list[Message]:
    """Return every message in the order of sending. An arrival without a send is left out."""
    sent: dict[int, int] = {}
    found: list[Message] = []
    for line in lines:
        if not line.is_message:
            continue
        number = line.number("id")
        assert number is not None, "the parser refuses such a line"
        if line.kind == "send":
            sender, receiver = line.link()
            what, size = line.facts.get("what", "message"), line.number("bytes") or 0
            sent[number] = len(found)
            found.append(
                Message(line.time_us, LOST_US, sender, receiver, what, size, number, "open")
            )
            continue
        place = sent.get(number)
        if place is None:
            continue
        if line.kind == "drop":
            why = line.facts.get("why", line.facts.get("detail", ""))
            found[place] = found[place]._replace(ended="drop", why=why)
        elif found[place].ended == "open":
            found[place] = found[place]._replace(got_us=line.time_us, ended="recv")
    return found


def nearest(items: Sequence[T], times: Sequence[int], focus_us: int | None, count: int) -> list[T]:
    """Return at most `count` items in their order: those nearest to the focus, or evenly spread."""
    if len(items) <= count:
        return list(items)
    if count <= 0:
        return []
    if focus_us is None:
        return [items[len(items) * place // count] for place in range(count)]
    order = sorted(range(len(items)), key=lambda place: (abs(times[place] - focus_us), place))
    return [items[place] for place in sorted(order[:count])]
