"""Byte streams between clients and members, and the reactor's sockets made of them.

Rule of this file: what TCP does to bytes and nothing of what they say. A direction is first in,
first out; what is sent may be taken in part, arrive in pieces and late, be read in part. Ends
meet by name of a member: who listens there at the moment that the connection arrives.

    hold       nothing passes one way; what was sent arrives afterwards, in order
    close      the other end reads what was sent, then the end; a reset if something was left unread
    reset      both ends lose the connection and all that is under way
    die        the machine lost its power: nobody is told, until the next machine is asked
"""

import errno
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from zlib import crc32

import outcome
import trio
from attrs import define, field
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from net.listen import PeerInfo
from net.reactor import Reactor
from net.sockets import READ, WRITE
from sim.ops import NO_CONNECTION
from sim.world import NET, Kind, MemberClock, World

WINDOW_BYTES = 64 << 10
"""Sent and not yet read by the other end, one way."""
BYTES = Kind(20, "bytes", ("size", "crc"))
WAKE = -1
"""The handle that stands for a wake and for new connections."""
POLLS_MAX = 200_000
"""Turns that one moment may have: more is a reactor that never rests."""

Call = Callable[[], None]


def _nothing() -> None:
    return None


def _never() -> bool:
    return False


class RestlessError(AssertionError):
    """A reactor goes on turning although no time passes."""


@define(eq=False)
class Way:
    """One direction between two machines."""

    world: World
    chance: Random
    delay_us: int
    splits: float = 0.0
    """How probable it is that something is taken, carried or read in pieces."""
    holds: int = 0
    _free_us: int = 0
    _held: list[Call] = field(factory=list[Call])

    def carry(self, arrive: Call) -> None:
        """Let something arrive at the other machine, after all that was sent before."""
        if self.holds:
            self._held.append(arrive)
            return
        delay_us = 1 + int(self.chance.expovariate(1 / self.delay_us)) if self.delay_us else 1
        self._free_us = max(self._free_us, self.world.now_us + delay_us)
        self.world.at(self._free_us, arrive)

    def hold(self) -> None:
        """Let nothing pass from now on; holds add up."""
        self.holds += 1

    def release(self) -> None:
        """Take one hold back; with the last one everything goes on."""
        self.holds -= 1
        if not self.holds:
            held, self._held = self._held, []
            for arrive in held:
                self.carry(arrive)


class End:
    """One end of a connection. `changed` is called when there may be something to do."""

    __slots__ = (
        "_farewell", "_is_off", "_way", "changed", "error", "inbox", "is_ended", "is_gone",
        "other", "sent_ended", "unread_bytes",
    )  # fmt: skip

    def __init__(self, way: Way) -> None:
        self._way = way
        self.other: End
        self.changed: Call = _nothing
        self.inbox = bytearray()
        self.is_ended = False
        self.error: str | None = None
        self.is_gone = False
        self._is_off: Callable[[], bool] = _never
        self._farewell = "connection reset by peer"
        self.sent_ended = False
        self.unread_bytes = 0
        """Sent from here and not read by the other end."""

    def room(self) -> int:
        """How much `send` would take."""
        return WINDOW_BYTES - self.unread_bytes

    def send(self, data: bytes | memoryview) -> int:
        """Send what fits; return its size. Raises ConnectionResetError."""
        self._check()
        size = min(len(data), WINDOW_BYTES - self.unread_bytes)
        if size <= 0:
            return 0
        way = self._way
        if way.splits and size > 1 and way.chance.random() < way.splits:
            size = way.chance.randint(1, size)
        self.unread_bytes += size
        piece = bytes(data[:size])
        if way.splits and size > 1 and way.chance.random() < way.splits:
            cut = way.chance.randint(1, size - 1)
            way.carry(partial(self.other.arrive, piece[:cut]))
            piece = piece[cut:]
        way.carry(partial(self.other.arrive, piece))
        return size

    def recv(self, size: int) -> bytes | None:
        """Read what is there; b"" at the end, None for nothing now. Raises ConnectionResetError."""
        self._check()
        inbox = self.inbox
        if not inbox:
            return b"" if self.is_ended else None
        way = self._way
        size = min(size, len(inbox))
        if way.splits and size > 1 and way.chance.random() < way.splits:
            size = way.chance.randint(1, size)
        data = bytes(inbox[:size])
        del inbox[:size]
        other = self.other
        was_full = other.unread_bytes >= WINDOW_BYTES
        other.unread_bytes -= size
        if was_full:
            other.changed()
        return data

    def is_readable(self) -> bool:
        """Whether `recv` has something to say."""
        return bool(self.inbox) or self.is_ended or self.error is not None

    def shutdown(self) -> None:
        """Send nothing more, and say so."""
        if not self.sent_ended and not self.is_gone:
            self.sent_ended = True
            self._way.carry(self.other.end)

    def close(self) -> None:
        """Forget the connection in good order."""
        if self.is_gone:
            return
        if self.inbox:
            self.abort()
            return
        self.shutdown()
        self.is_gone = True

    def abort(self) -> None:
        """Forget the connection, and have the other end told so."""
        if not self.is_gone:
            self.is_gone = True
            self._way.carry(partial(self.other.reset, self._farewell))

    def refuse(self, is_off: Callable[[], bool]) -> None:
        """Nobody listens here: the other end is told, by a machine that is off once it is on."""
        self._farewell = NO_CONNECTION
        self.die(is_off) if is_off() else self.abort()

    def die(self, is_off: Callable[[], bool]) -> None:
        """The machine is off: nothing is said from here before it is on again."""
        self.is_gone = True
        self._is_off = is_off

    # What arrives.

    def arrive(self, piece: bytes) -> None:
        """Take bytes from the other end; who is gone answers with a reset, if it still can."""
        if self.is_gone:
            if not self._is_off():
                self._way.carry(partial(self.other.reset, self._farewell))
        elif self.error is None:
            self._way.world.note(BYTES, NET, len(piece), crc32(piece))
            self.inbox += piece
            self.changed()

    def end(self) -> None:
        """The other end sends nothing more."""
        if not self.is_gone:
            self.is_ended = True
            self.changed()

    def reset(self, reason: str) -> None:
        """The connection is lost."""
        if not self.is_gone and self.error is None:
            self.error = reason
            self.inbox.clear()
            self.changed()

    def _check(self) -> None:
        if self.error is not None or self.is_gone:
            raise ConnectionResetError(errno.ECONNRESET, self.error or "the connection is closed")


def pair(way: Way, back: Way) -> tuple[End, End]:
    """Make a connection: the end that sends by `way`, and the one that sends by `back`."""
    near, far = End(way), End(back)
    near.other, far.other = far, near
    return near, far


def cut(end: End, reason: str) -> None:
    """Break a connection in the middle: both ends see a reset, what is under way is lost."""
    for each in (end, end.other):
        each.reset(reason)


class StreamLink:
    """`Link` over one end."""

    __slots__ = ("_owner", "end", "handle", "interest", "peer")

    def __init__(self, owner: "StreamSockets", end: End, handle: int, peer: PeerInfo) -> None:
        self._owner = owner
        self.end = end
        self.handle = handle
        self.peer = peer
        self.interest: int = READ
        end.changed = self._changed

    def ready(self) -> int:
        """What of its interest holds now."""
        end = self.end
        what = READ if self.interest & READ and end.is_readable() else 0
        if self.interest & WRITE and (end.room() > 0 or end.error is not None):
            what |= WRITE
        return what

    def recv(self, size: int) -> bytes | None:
        return self.end.recv(size)

    def send(self, data: memoryview) -> int:
        return self.end.send(data)

    def want(self, interest: int) -> None:
        if interest != self.interest:
            self.interest = interest
            self._owner.touch(self.handle)

    def favour(self) -> None:
        """See Link: here all are read."""

    def shutdown(self) -> None:
        self.end.shutdown()

    def close(self) -> None:
        self.end.close()
        self.end.changed = _nothing
        self._owner.forget(self.handle)

    def _changed(self) -> None:
        self._owner.touch(self.handle)
        self._owner.rouse()


class StreamSockets:
    """`Sockets` of one life of a member. Time is that of the member's own clock."""

    def __init__(
        self,
        world: World,
        clock: MemberClock,
        *,
        woken: Call,
        enters: Call = _nothing,
        rests: Call = _nothing,
        roused: Callable[["StreamSockets"], bool] | None = None,
    ) -> None:
        """Hear that the reactor may go on, that a turn begins, that everything rests.

        `roused` may say that it takes care of that: by `go_on`, or by `resume`.
        """
        self.reactor: Reactor | None = None
        """Whose sockets these are, once it is known: for `go_on`."""
        self.is_listening = True
        self.is_dead = False
        self.is_stopped = False
        """Whether the member does nothing, as after SIGSTOP."""
        self._world = world
        self._clock = clock
        self._woken = woken
        self._enters = enters
        self._rests = rests
        self._roused = roused
        self._until_us = 0
        """When a waiting reactor goes on by itself."""
        self._is_turning = False
        self._is_aborted = False
        self._links: dict[int, StreamLink] = {}
        self._touched: dict[int, None] = {}
        self._new: list[StreamLink] = []
        self._handle = 0
        self._wakes = False
        self._task: Task | None = None
        self._timer_us: int | None = None
        self._polls = 0
        self._polled_us = -1

    @property
    def connections(self) -> int:
        """How many links there are."""
        return len(self._links)

    def connect(self, end: End, address: str) -> bool:
        """Take a connection that arrives; False if nobody listens."""
        if not self.is_listening or self.is_dead:
            return False
        self._handle += 1
        link = StreamLink(self, end, self._handle, PeerInfo(address))
        self._links[link.handle] = link
        self._touched[link.handle] = None
        self._new.append(link)
        self.rouse()
        return True

    def lose_all(self, reason: str) -> None:
        """Break all connections, as a middlebox does."""
        for link in list(self._links.values()):
            cut(link.end, reason)

    def power_off(self, is_off: Callable[[], bool]) -> None:
        """Let the member be dead; unless the machine is off as well, its peers hear of it."""
        self.is_dead = True
        self.is_listening = False
        for link in list(self._links.values()):
            link.end.changed = _nothing
            if is_off():
                link.end.die(is_off)
            else:
                link.end.abort()
        self._links.clear()
        self._touched.clear()
        self._new.clear()

    # Sockets.

    def poll(self, timeout_s: float) -> Sequence[tuple[int, int]]:
        """Return what is ready; never waits: no time passes inside a turn."""
        self._count_polls()
        self._enters()
        ready: list[tuple[int, int]] = []
        if self._wakes or self._new:
            self._wakes = False
            ready.append((WAKE, READ))
        for handle in list(self._touched):
            what = self._links[handle].ready()
            if what:
                ready.append((handle, what))
            else:
                del self._touched[handle]
        return ready

    def accept(self) -> StreamLink | None:
        return self._new.pop(0) if self._new else None

    async def wait(self, timeout_s: float) -> None:
        if self._rest(timeout_s):
            await trio.lowlevel.checkpoint()
        while not (self._goes_on(self._until_us) or self._is_over()):
            if not self.is_stopped:
                self._arm(self._until_us)
            self._task = current_task()
            await wait_task_rescheduled(self._aborted)

    def wake(self) -> None:
        self._wakes = True
        self.rouse()

    def stop_accepting(self) -> None:
        self.is_listening = False

    def close(self) -> None:
        self.is_listening = False
        for link in list(self._links.values()):
            link.close()

    # For links.

    def touch(self, handle: int) -> None:
        """Note that a link may be ready."""
        if handle in self._links:
            self._touched[handle] = None

    def forget(self, handle: int) -> None:
        """Drop a link that closes."""
        self._links.pop(handle, None)
        self._touched.pop(handle, None)

    def rouse(self) -> None:
        """Let a waiting reactor look again."""
        if self._task is not None and (self._roused is None or not self._roused(self)):
            self.resume()

    def resume(self) -> None:
        """Let the waiting reactor's task run."""
        task = self._task
        if task is not None:
            self._task = None
            reschedule(task)
            self._woken()

    def go_on(self) -> None:
        """Take the waiting reactor's turns at once, as its task would: trio costs as much again.

        The task itself runs where there is more to it than turns, or an error to raise.
        """
        task, reactor = self._task, self.reactor
        if task is None or reactor is None:
            self.resume()
            return
        self._task = None
        self._is_turning = True
        done = outcome.capture(self._take_turns, reactor)
        self._is_turning = False
        self._task = task
        if type(done) is outcome.Error or self._is_aborted or reactor.is_over:
            self._task = None
            self._is_aborted = False
            reschedule(task, done)
            self._woken()
        elif not self.is_stopped:
            self._arm(self._until_us)

    def _take_turns(self, reactor: Reactor) -> None:
        """Turn until nothing is left to do at this moment."""
        goes_on = self._goes_on(self._until_us)
        while goes_on and not reactor.is_over:
            reactor.turn(0.0)
            goes_on = self._rest(reactor.wait_s(self._clock.monotonic_us() // 1000))

    def _rest(self, timeout_s: float) -> bool:
        """Note until when to wait; whether there is something to do already."""
        self._rests()
        self._until_us = self._clock.monotonic_us() + round(timeout_s * 1_000_000)
        return self._goes_on(self._until_us)

    def _goes_on(self, until_us: int) -> bool:
        if self.is_dead or self.is_stopped:
            return False
        if self._wakes or self._new or self._clock.monotonic_us() >= until_us:
            return True
        return any(self._links[handle].ready() for handle in self._touched)

    def _is_over(self) -> bool:
        return self.reactor is not None and self.reactor.is_over

    def _arm(self, until_us: int) -> None:
        due_us = self._clock.world_us(until_us)
        timer_us = self._timer_us
        if timer_us is None or due_us < timer_us or timer_us <= self._world.now_us:
            self._timer_us = due_us
            self._world.at(due_us, partial(self._fire, due_us))

    def _fire(self, due_us: int) -> None:
        if self._timer_us == due_us:
            self._timer_us = None
        if self.is_dead or self.is_stopped:
            return
        if self._clock.monotonic_us() < self._until_us:
            # Since it was set the reactor has found that it may wait longer.
            self._arm(self._until_us)
        else:
            self.rouse()

    def _aborted(self, _: RaiseCancelT) -> Abort:
        if self._is_turning:
            self._is_aborted = True  # It hears of it behind the turn.
            return Abort.FAILED
        self._task = None
        return Abort.SUCCEEDED

    def _count_polls(self) -> None:
        if self._polled_us != self._world.now_us:
            self._polled_us = self._world.now_us
            self._polls = 0
        self._polls += 1
        if self._polls > POLLS_MAX:
            raise RestlessError("the reactor does not come to rest")
