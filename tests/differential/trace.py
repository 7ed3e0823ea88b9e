"""What was answered to a sequence, and the first place where two records of that differ.

The rule of this file: everything that a client sees is compared, but for what etcd leaves to chance
or to the machine (see normal.py) and for the grouping of watch events into responses. Of a stream
are compared: the `created` responses in their order, what each watch saw in its order, and the
revisions of progress announcements.
"""

from collections.abc import Sequence

import attrs
from google.protobuf.message import Message

from net.etcd.pb import rpc_pb2
from tests.differential.operations import Operation, described, listed, one_line


@attrs.frozen
class Refused:
    """An error answer: status code and message."""

    code: int
    text: str


Outcome = Message | Refused | None
"""What one operation was answered; None for operations on streams."""


@attrs.define
class Seen:
    """What one watch stream has received, sorted out. Items carry the operation, if it is known."""

    created: list[Message] = attrs.field(factory=list)
    by_watch: dict[int, list[tuple[int, Message]]] = attrs.field(factory=dict)
    progress: list[int] = attrs.field(factory=list)
    violations: list[str] = attrs.field(factory=list)
    fragments: int = 0
    tally: list[int] = attrs.field(factory=lambda: [0, 0, 0, 0])
    _last: dict[int, tuple[int, bool]] = attrs.field(factory=dict)

    def add(self, response: rpc_pb2.WatchResponse, operation: int = -1) -> None:
        """Sort in one response. `tally` counts created, canceled, events and progress."""
        watch = self.by_watch.setdefault(response.watch_id, [])
        if response.created or response.canceled:
            self._add_control(response, operation)
        for event in response.events:
            watch.append((operation, event))
        self.tally[2] += len(response.events)
        if response.events:
            self._check_grouping(response)
        elif not (response.created or response.canceled) and response.watch_id == -1:
            self.tally[3] += 1
            self.progress.append(response.header.revision)

    def _add_control(self, response: rpc_pb2.WatchResponse, operation: int) -> None:
        control = bare(response)
        self.tally[0] += response.created
        self.tally[1] += response.canceled
        if response.created:
            self.created.append(control)
        self.by_watch[response.watch_id].append((operation, control))

    def _check_grouping(self, response: rpc_pb2.WatchResponse) -> None:
        self.fragments += response.fragment
        revisions = [event.kv.mod_revision for event in response.events]
        last, was_fragment = self._last.get(response.watch_id, (0, False))
        if revisions[0] == last and not was_fragment:
            self.violations.append(f"revision {last} was split between two responses")
        if response.header.revision < revisions[-1]:
            self.violations.append(
                f"a response of revision {response.header.revision} has an event of {revisions[-1]}"
            )
        self._last[response.watch_id] = (revisions[-1], response.fragment)


def bare(response: rpc_pb2.WatchResponse) -> rpc_pb2.WatchResponse:
    """Return a control response with nothing of the machine's in it."""
    return rpc_pb2.WatchResponse(
        header=rpc_pb2.ResponseHeader(revision=response.header.revision),
        watch_id=response.watch_id,
        created=response.created,
        canceled=response.canceled,
        compact_revision=response.compact_revision,
        cancel_reason=response.cancel_reason,
    )


@attrs.define
class Trace:
    """All answers to a sequence: one outcome an operation, and what each stream saw."""

    outcomes: list[Outcome] = attrs.field(factory=list)
    streams: dict[int, Seen] = attrs.field(factory=dict)
    stalled: str = ""


@attrs.frozen
class Difference:
    """The first disagreement: at which operation, and what both sides said."""

    operation: int
    what: str
    left: str
    right: str

    def report(
        self, operations: Sequence[Operation], names: tuple[str, str], tail: int = 12
    ) -> str:
        """Return a text for people: the operations that lead to it and both answers."""
        first = max(0, self.operation + 1 - tail)
        prefix = listed(operations[first : self.operation + 1], first)
        return (
            f"operation {self.operation} of {len(operations)}: {self.what}\n"
            f"{prefix}\n  {names[0]}: {self.left}\n  {names[1]}: {self.right}"
        )


def first_difference(
    operations: Sequence[Operation], left: Trace, right: Trace
) -> Difference | None:
    """Return where two traces of one sequence part. `left` is the one that knows its operations.

    A trace that stalled ends early: it is a difference even if all before agrees.
    """
    for i, (ours, theirs) in enumerate(zip(left.outcomes, right.outcomes, strict=False)):
        if ours != theirs:
            what = described(operations[i]).split(" ", 1)[0]
            return Difference(i, what, shown(ours), shown(theirs))
    found = [
        difference
        for stream in sorted(left.streams.keys() | right.streams.keys())
        for difference in _stream_differences(
            stream, left.streams.get(stream, Seen()), right.streams.get(stream, Seen())
        )
    ]
    if found:
        return min(found, key=lambda difference: difference.operation)
    if left.stalled or right.stalled:
        end = min(len(left.outcomes), len(right.outcomes)) - 1
        return Difference(end, "an answer did not come", left.stalled, right.stalled)
    return None


def _stream_differences(stream: int, left: Seen, right: Seen) -> list[Difference]:
    found: list[Difference] = []
    for watch in sorted(left.by_watch.keys() | right.by_watch.keys()):
        ours, theirs = left.by_watch.get(watch, []), right.by_watch.get(watch, [])
        for i in range(max(len(ours), len(theirs))):
            mine = ours[i][1] if i < len(ours) else None
            other = theirs[i][1] if i < len(theirs) else None
            if mine != other:
                operation = ours[i][0] if i < len(ours) else (ours[-1][0] if ours else 0)
                what = f"stream {stream}, watch {watch}, item {i}"
                found.append(Difference(max(operation, 0), what, shown(mine), shown(other)))
                break
    last = max((items[-1][0] for items in left.by_watch.values() if items), default=0)
    for what, here, there in (
        ("order of creation", left.created, right.created),
        ("progress", left.progress, right.progress),
        ("promises of the protocol", left.violations, right.violations),
    ):
        if here != there:
            place = f"stream {stream}, {what}"
            found.append(Difference(max(last, 0), place, f"{here}", f"{there}"))
    return found


def shown(outcome: Outcome) -> str:
    """Return an outcome on one line."""
    match outcome:
        case Refused(code, text):
            return f"error {code} {text!r}"
        case None:
            return "nothing"
        case _:
            return f"{type(outcome).__name__} {{ {one_line(outcome)} }}"
