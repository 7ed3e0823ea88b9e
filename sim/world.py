"""The world: one heap of calls by time, streams of chance by name, clocks, and a record.

Rule of this file: nothing else moves time, and nothing else draws. Events of one moment happen in
the order in which they were asked for. A stream's draws depend on the seed and its own name alone,
so taking one fault out of a plan leaves every other draw as it was: that is what lets plans shrink.

    digest    over everything noted and where each stream ended: two runs of one plan are equal,
              whatever the process and its hash seed
    lines     the same notes as text, made only for who wants to read them
"""

import marshal
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from attrs import define, field

MILLION = 1_000_000
_GATHERED_MAX = 2048
_PLAIN = 2
"""The marshal format without references: equal notes are equal bytes, whoever else holds them."""

Call = Callable[[], None]


class Kind(NamedTuple):
    """A kind of note: its number in the digest, its name and its fields' names in a line."""

    number: int
    name: str
    fields: tuple[str, ...]


TURN = Kind(1, "turn", ("term", "commit", "applied", "rev", "lead"))
SEND = Kind(2, "send", ("link", "id", "bytes", "what"))
RECV = Kind(3, "recv", ("link", "id"))
DROP = Kind(4, "drop", ("link", "id", "why"))
ROLE = Kind(5, "role", ("term", "lead"))
CRASH = Kind(6, "crash", ("how",))
START = Kind(7, "start", ("life", "applied"))
SNAPSHOT = Kind(8, "snapshot", ("to", "index"))
INSTALL = Kind(9, "install", ("index", "rev"))
FAULT = Kind(10, "fault", ("what", "state", "members", "detail"))
APPLY = Kind(11, "apply", ("index", "term", "hash"))
CLIENT = Kind(12, "client", ("ask", "what"))
ANSWER = Kind(13, "answer", ("ask", "what", "rev"))
DEATH = Kind(14, "death", ("why",))

NET = -1
"""Who a note is about when it is no member: links."""
WORLD = -2
LINK = 1000
"""A link is noted as its source times this, and its target."""


class World:
    """One run's time, chance and record."""

    def __init__(self, seed: int | str, *, trace: bool = False) -> None:
        self.seed = seed
        self.now_us = 0
        self.events = 0
        self.marks: Counter[str] = Counter()
        """How often each thing happened that a batch of runs must have met sometimes."""
        self.lines: list[str] = []
        self.is_traced = trace
        """Whether lines are kept."""
        self._heap: list[tuple[int, int, Call]] = []
        self._sequence = 0
        self._streams: dict[str, Random] = {}
        self._hash = blake2b(digest_size=16)
        self._gathered: list[tuple[int, int, int, tuple[int | str, ...]]] = []

    # Time.

    def at(self, time_us: int, call: Call) -> None:
        """Have something happen at a time, or now if that is over."""
        self._sequence = sequence = self._sequence + 1
        now_us = self.now_us
        heappush(self._heap, (time_us if time_us > now_us else now_us, sequence, call))

    def after(self, delay_ms: float, call: Call) -> None:
        """Have something happen so many milliseconds from now."""
        self.after_us(int(delay_ms * 1000), call)

    def after_us(self, delay_us: int, call: Call) -> None:
        """Have something happen so many microseconds from now."""
        self._sequence = sequence = self._sequence + 1
        due_us = self.now_us + delay_us if delay_us > 0 else self.now_us
        heappush(self._heap, (due_us, sequence, call))

    def run_until(self, end_us: int) -> None:
        """Let everything happen that is due up to a time, and make it that time."""
        heap = self._heap
        count = 0
        while heap and heap[0][0] <= end_us:
            self.now_us, _, call = heappop(heap)
            count += 1
            call()
        self.now_us = end_us
        self.events += count

    def next_us(self) -> int | None:
        """Return when the next thing happens; None if nothing is to come."""
        return self._heap[0][0] if self._heap else None

    def forget(self) -> None:
        """Drop what is still to come: a run that is over holds on to nothing."""
        self._heap.clear()

    # Chance.

    def chance(self, name: str) -> Random:
        """Return the stream of this name: the same one each time."""
        found = self._streams.get(name)
        if found is None:
            found = self._streams[name] = Random(f"{self.seed}/{name}")
        return found

    # The record.

    def note(self, kind: Kind, member: int, *values: int | str) -> None:
        """Write down that something happened: in the digest, and as a line if lines are kept."""
        gathered = self._gathered
        gathered.append((self.now_us, kind.number, member, values))
        if len(gathered) > _GATHERED_MAX:
            self._settle()
        if self.is_traced:
            self.tell(kind, member, *values)

    def tell(self, kind: Kind, member: int, *values: int | str) -> None:
        """Have a line, if lines are kept, of what the digest shows by what follows from it."""
        if self.is_traced:
            facts = " ".join(map(_fact, kind.fields, values))
            self.lines.append(f"{self.now_us} {_name_of(member)} {kind.name} {facts}".rstrip())

    def mark(self, name: str) -> None:
        """Count one of the things that should happen sometimes."""
        self.marks[name] += 1

    def digest(self) -> str:
        """Return the digest of all that was noted so far, and of where chance stands."""
        self._settle()
        end = self._hash.copy()
        for name in sorted(self._streams):
            end.update(name.encode())
            end.update(marshal.dumps(self._streams[name].getstate(), _PLAIN))
        return end.hexdigest()

    def _settle(self) -> None:
        self._hash.update(marshal.dumps(self._gathered, _PLAIN))
        self._gathered.clear()


def _fact(name: str, value: int | str) -> str:
    if name == "link" and isinstance(value, int):
        return f"link={value // LINK}>{value % LINK}"
    return f"{name}={value}"


def _name_of(member: int) -> str:
    if member >= 0:
        return f"m{member}"
    return "net" if member == NET else "world"


@define
class MemberClock:
    """One machine's clocks: monotonic, which never goes back, and wall, which anybody may set.

    Both run at the machine's own rate. A stall is a machine that stood still without knowing.
    """

    world: World
    rate_ppm: int = 0
    _mono_us: int = 0
    _since_us: int = 0
    """`_mono_us` was read at this moment of the world; it may lie ahead, at a stall's end."""
    _wall_offset_us: int = field(default=0)

    def monotonic_us(self) -> int:
        """Return the monotonic clock."""
        gone = self.world.now_us - self._since_us
        if gone <= 0:
            return self._mono_us
        rate_ppm = self.rate_ppm
        return self._mono_us + gone + (gone * rate_ppm // MILLION if rate_ppm else 0)

    def wall_us(self) -> int:
        """Return the wall clock: what logs and nothing else may show."""
        return self.monotonic_us() + self._wall_offset_us

    def world_us(self, monotonic_us: int) -> int:
        """Return when the monotonic clock will have reached a value, if nothing touches it."""
        return self.world_after_us(monotonic_us - self.monotonic_us())

    def world_after_us(self, left: int) -> int:
        """Return when the monotonic clock will have gone on so far, if nothing touches it."""
        now_us = self.world.now_us
        if left <= 0:
            return now_us
        rate_ppm = self.rate_ppm
        if rate_ppm:
            left = -(-left * MILLION // (MILLION + rate_ppm))
        return (now_us if now_us > self._since_us else self._since_us) + left

    def set_rate(self, ppm: int) -> None:
        """Let the clocks run fast or slow from now on."""
        self._rebase()
        self.rate_ppm = ppm

    def stall(self, for_us: int) -> None:
        """Stop both clocks for a while, from now on; stalls that overlap do not add up."""
        self._rebase()
        self._since_us = max(self._since_us, self.world.now_us + for_us)

    def step_wall(self, by_us: int) -> None:
        """Set the wall clock forward or back."""
        self._wall_offset_us += by_us

    def boot(self, mono_us: int) -> None:
        """Begin anew, as a machine that was switched on: monotonic starts where it likes."""
        self._mono_us = mono_us
        self._since_us = self.world.now_us

    def _rebase(self) -> None:
        mono_us = self.monotonic_us()
        if self._since_us <= self.world.now_us:
            self._since_us = self.world.now_us
        self._mono_us = mono_us
