"""The network between members: links as TCP has them, with connection epochs.

Rule of this file: a connection is FIFO in each direction and loses nothing but by ending; a message
of an ended connection is never delivered. What a partition holds waits, as in a socket's buffers,
until the way is free or both ends give the connection up. Each fault has a grip of its own: a way
is free when nobody holds it.

    hold      nothing passes in one direction; after `SILENCE_US` the connection is given up
    lose      half-open: what is sent is lost, and the sender is not told
    delay     each message waits an exponential time more, in order
    rate      messages leave one after the other, at so many bytes a second
    reset     the connection ends now; what was under way in either direction is lost

In datagram mode there are no connections: messages are dropped, doubled and overtaken. It is for
engines that say they stand it.
"""

from functools import partial
from random import Random
from typing import NamedTuple, Protocol

from attrs import define, field

from core.tuples import new
from sim.world import DROP, LINK, NET, RECV, SEND, World

SILENCE_US = 3_000_000
"""A connection that was held for so long is given up by both ends."""
CONNECT_US = 20_000
"""A connection stands at most so much later than it could."""
TOLD_US = 5_000
"""An end of a connection is known at most so much later; less than a new one takes."""


class Port(Protocol):
    """What a member shows to the network."""

    def link_up(self, peer: int) -> None:
        """A connection to a peer stands."""
        ...

    def link_down(self, peer: int) -> None:
        """The connection to a peer is gone."""
        ...

    def arrived(self, peer: int, data: object) -> None:
        """A message came."""
        ...


class Noise(NamedTuple):
    """How datagrams fare on one way: chances in percent."""

    drop: int = 0
    twice: int = 0
    swap: int = 0


class _Packet(NamedTuple):
    epoch: int
    number: int
    data: object
    size: int


@define
class _Link:
    """The connection of two members."""

    epoch: int = 0
    is_up: bool = False
    is_wanted: bool = False
    """An attempt to connect is under way."""


@define(eq=False)
class _Way:
    """One direction between two members."""

    source: int
    target: int
    name: int
    """What notes say of it: see `sim.world.LINK`."""
    link: _Link
    chance: Random
    holds: int = 0
    losses: int = 0
    delays_us: list[int] = field(factory=list[int])
    rates: list[int] = field(factory=list[int])
    noises: list[Noise] = field(factory=list[Noise])
    last_us: int = 0
    """When the last message under way arrives: none overtakes it."""
    queue: list[_Packet] = field(factory=list[_Packet])
    """What waits for its turn on a wire with a rate."""
    is_draining: bool = False
    held: list[_Packet] = field(factory=list[_Packet])


class Network:
    """All links of a cluster. Attach a running member's port; detach it when the member ends."""

    def __init__(
        self, world: World, size: int, *, delay_us: int = 1000, datagrams: bool = False
    ) -> None:
        self.world = world
        self.size = size
        self.delay_us = delay_us
        self.datagrams = datagrams
        self.messages = 0
        self._ports: dict[int, Port] = {}
        self._links = {(a, b): _Link() for b in range(size) for a in range(b)}
        self._ways = {(a, b): self._way(a, b) for a in range(size) for b in range(size) if a != b}

    # Members.

    def attach(self, member: int, port: Port) -> None:
        """A member runs: connect it to all that run."""
        self._ports[member] = port
        for peer in range(self.size):
            if peer != member and peer in self._ports:
                self._want(member, peer)

    def detach(self, member: int) -> None:
        """A member ended: nothing reaches it any more, and its peers are told."""
        self._ports.pop(member, None)
        for peer in range(self.size):
            if peer != member:
                self._break(member, peer)

    def is_free(self, a: int, b: int) -> bool:
        """Whether two members run and nothing between them is held or lost, in both directions."""
        if a not in self._ports or b not in self._ports:
            return False
        there, back = self._ways[a, b], self._ways[b, a]
        return not (there.holds or back.holds or there.losses or back.losses)

    def send(self, source: int, target: int, data: object, *, size: int, what: str) -> None:
        """Send a message; without a connection it is lost."""
        way = self._ways[source, target]
        link = way.link
        self.messages = number = self.messages + 1
        self.world.note(SEND, NET, way.name, number, size, what)
        if not link.is_up:
            self.world.note(DROP, NET, way.name, number, "no connection")
            return
        packet = new(_Packet, (link.epoch, number, data, size))
        if self.datagrams and way.noises:
            self._send_noisily(way, packet, way.noises[-1])
        else:
            self._forward(way, packet)

    # Faults: each call of one of the first five takes a grip, which the same call lets go of.

    def hold(self, source: int, target: int, *, on: bool) -> None:
        """Let nothing pass in one direction, or let it pass again."""
        way = self._ways[source, target]
        way.holds += 1 if on else -1
        assert way.holds >= 0, "a grip was let go twice"
        if on:
            epoch = self._link(source, target).epoch
            self.world.after_us(SILENCE_US, lambda: self._give_up(source, target, epoch))
        elif not way.holds:
            held, way.held = way.held, []
            for packet in held:
                self._forward(way, packet)
            self._want(source, target)

    def lose(self, source: int, target: int, *, on: bool) -> None:
        """Lose what is sent in one direction, untold; at the end the connection breaks."""
        self._ways[source, target].losses += 1 if on else -1
        if not on:
            self.reset(source, target)

    def delay(self, source: int, target: int, mean_us: int, *, on: bool) -> None:
        """Let each message wait an exponential time more."""
        _grip(self._ways[source, target].delays_us, mean_us, on)

    def rate(self, source: int, target: int, bytes_per_s: int, *, on: bool) -> None:
        """Let messages leave at a rate."""
        way = self._ways[source, target]
        _grip(way.rates, bytes_per_s, on)
        if not way.rates:
            queue, way.queue = way.queue, []
            for packet in queue:
                self._forward(way, packet)

    def noise(self, source: int, target: int, noise: Noise, *, on: bool) -> None:
        """Lose, double and swap datagrams."""
        noises = self._ways[source, target].noises
        if on:
            noises.append(noise)
        else:
            noises.remove(noise)

    def cut_off(self, member: int, ms: int) -> None:
        """Let nothing pass between a member and all others for so long."""
        ways = [way for way in self._ways if member in way]
        for source, target in ways:
            self.hold(source, target, on=True)

        def free() -> None:
            for source, target in ways:
                self.hold(source, target, on=False)

        self.world.after(ms, free)

    def reset(self, a: int, b: int) -> None:
        """Break the connection of two members; a new one follows."""
        self._break(a, b)
        self._want(a, b)

    # How messages travel.

    def _way(self, source: int, target: int) -> _Way:
        chance = self.world.chance(f"net/{source}>{target}")
        name = source * LINK + target
        return _Way(source, target, name, self._link(source, target), chance)

    def _link(self, a: int, b: int) -> _Link:
        return self._links[(a, b) if a < b else (b, a)]

    def _forward(
        self, way: _Way, packet: _Packet, *, early: bool = False, has_left: bool = False
    ) -> None:
        if way.losses:
            self.world.note(DROP, NET, way.name, packet.number, "half-open")
            return
        if way.holds:
            way.held.append(packet)
            return
        if way.rates and not has_left:
            way.queue.append(packet)
            self._drain(way)
            return
        chance, delay_us = way.chance, self.delay_us
        arrival = self.world.now_us + delay_us // 2 + int(chance.random() * delay_us)
        for mean in way.delays_us:
            arrival += int(chance.expovariate(1.0) * mean)
        if not early:
            if arrival <= way.last_us:
                arrival = way.last_us + 1
            way.last_us = arrival
        self.world.at(arrival, partial(self._arrive, way, packet))

    def _drain(self, way: _Way) -> None:
        """Let the first message of the queue leave once the wire has taken it."""
        if way.is_draining or not way.queue:
            return
        way.is_draining = True
        first = way.queue[0]

        def leave() -> None:
            way.is_draining = False
            if way.queue and way.queue[0] is first:
                del way.queue[0]
                self._forward(way, first, has_left=True)
            self._drain(way)

        rate = max(1, min(way.rates, default=1_000_000))
        self.world.after_us(first.size * 1_000_000 // rate, leave)

    def _arrive(self, way: _Way, packet: _Packet) -> None:
        epoch, number, data, _ = packet
        if epoch != way.link.epoch:
            self.world.note(DROP, NET, way.name, number, "old connection")
            return
        if way.holds:
            way.held.append(packet)
            return
        if self.world.is_traced:
            self.world.tell(RECV, NET, way.name, number)
        self._ports[way.target].arrived(way.source, data)

    def _send_noisily(self, way: _Way, packet: _Packet, noise: Noise) -> None:
        chance = way.chance
        if chance.random() * 100 < noise.drop:
            self.world.note(DROP, NET, way.name, packet.number, "noise")
            return
        early = chance.random() * 100 < noise.swap
        self._forward(way, packet, early=early)
        if chance.random() * 100 < noise.twice:
            self._forward(way, packet)

    # How connections come and go.

    def _want(self, a: int, b: int) -> None:
        """Connect, as soon as it is possible."""
        link = self._link(a, b)
        if link.is_up or link.is_wanted or not self._can_connect(a, b):
            return
        link.is_wanted = True
        chance = self._ways[min(a, b), max(a, b)].chance
        delay_us = TOLD_US + int(chance.random() * (CONNECT_US - TOLD_US))
        self.world.after_us(delay_us, lambda: self._connect(a, b))

    def _can_connect(self, a: int, b: int) -> bool:
        if a not in self._ports or b not in self._ports:
            return False
        return not (self._ways[a, b].holds or self._ways[b, a].holds)

    def _connect(self, a: int, b: int) -> None:
        link = self._link(a, b)
        link.is_wanted = False
        if link.is_up or not self._can_connect(a, b):
            return
        link.is_up = True
        link.epoch += 1
        self._ports[a].link_up(b)
        self._ports[b].link_up(a)

    def _break(self, a: int, b: int) -> None:
        link = self._link(a, b)
        if not link.is_up:
            return
        link.is_up = False
        link.epoch += 1
        for way in (self._ways[a, b], self._ways[b, a]):
            way.held.clear()
            way.queue.clear()
        self._tell_down(a, b)
        self._tell_down(b, a)

    def _tell_down(self, member: int, peer: int) -> None:
        port = self._ports.get(member)
        if port is None:
            return

        def tell() -> None:
            if self._ports.get(member) is port:
                port.link_down(peer)

        self.world.after_us(int(self._ways[peer, member].chance.random() * TOLD_US), tell)

    def _give_up(self, source: int, target: int, epoch: int) -> None:
        link = self._link(source, target)
        if link.epoch == epoch and self._ways[source, target].holds:
            self._break(source, target)


def _grip(grips: list[int], value: int, on: bool) -> None:
    if on:
        grips.append(value)
    else:
        grips.remove(value)
