"""Links as TCP has them: order, epochs, what is held, lost, slowed and given up."""

from attrs import define, field

from sim.network import CONNECT_US, SILENCE_US, Network, Noise
from sim.world import World


@define
class Ear:
    """A member's port that notes what it is told."""

    heard: list[object] = field(factory=list[object])
    links: list[tuple[int, str]] = field(factory=list[tuple[int, str]])

    def link_up(self, peer: int) -> None:
        self.links.append((peer, "up"))

    def link_down(self, peer: int) -> None:
        self.links.append((peer, "down"))

    def arrived(self, peer: int, data: object) -> None:
        self.heard.append(data)


def pair(*, datagrams: bool = False) -> tuple[World, Network, Ear, Ear]:
    """Two members, connected."""
    world = World(3)
    network = Network(world, 2, datagrams=datagrams)
    ears = Ear(), Ear()
    for member, ear in enumerate(ears):
        network.attach(member, ear)
    world.run_until(CONNECT_US)
    assert ears[0].links == [(1, "up")]
    return world, network, *ears


def send(network: Network, *values: object, size: int = 10) -> None:
    for value in values:
        network.send(0, 1, value, size=size, what="test")


def later(world: World, us: int = 100_000) -> None:
    world.run_until(world.now_us + us)


def test_messages_arrive_once_and_in_order() -> None:
    world, network, _, ear = pair()
    send(network, *range(50))
    later(world)
    assert ear.heard == list(range(50))


def test_a_message_of_an_ended_connection_is_never_delivered() -> None:
    world, network, _, ear = pair()
    send(network, "old")
    network.reset(0, 1)
    later(world)
    send(network, "new")
    later(world)
    assert ear.heard == ["new"]
    assert ear.links == [(0, "up"), (0, "down"), (0, "up")]


def test_what_is_held_arrives_in_order_once_nobody_holds_it() -> None:
    world, network, _, ear = pair()
    network.hold(0, 1, on=True)
    network.hold(0, 1, on=True)
    send(network, 1, 2)
    network.hold(0, 1, on=False)
    later(world)
    assert ear.heard == []
    network.hold(0, 1, on=False)
    send(network, 3)
    later(world)
    assert ear.heard == [1, 2, 3]


def test_one_way_may_be_held_and_the_other_free() -> None:
    world, network, first, second = pair()
    network.hold(0, 1, on=True)
    send(network, "there")
    network.send(1, 0, "back", size=1, what="test")
    later(world)
    assert (first.heard, second.heard) == (["back"], [])
    assert not network.is_free(1, 0)


def test_a_connection_that_is_held_too_long_is_given_up_by_both() -> None:
    world, network, first, second = pair()
    network.hold(1, 0, on=True)
    later(world, SILENCE_US + 10_000)
    assert (first.links[-1], second.links[-1]) == ((1, "down"), (0, "down"))
    network.hold(1, 0, on=False)
    later(world)
    assert (first.links[-1], second.links[-1]) == ((1, "up"), (0, "up"))


def test_a_half_open_connection_loses_untold_and_breaks_at_the_end() -> None:
    world, network, first, second = pair()
    network.lose(0, 1, on=True)
    send(network, "lost")
    later(world)
    assert (first.links, second.heard) == ([(1, "up")], [])
    network.lose(0, 1, on=False)
    later(world)
    send(network, "found")
    later(world)
    assert (first.links, second.heard) == ([(1, "up"), (1, "down"), (1, "up")], ["found"])


def test_a_slow_link_takes_its_time_and_its_backlog_leaves_once_it_is_fast() -> None:
    world, network, _, ear = pair()
    network.rate(0, 1, 100, on=True)
    send(network, 1, 2, 3, size=100)
    later(world, 1_100_000)
    assert ear.heard == [1]
    network.rate(0, 1, 100, on=False)
    later(world)
    assert ear.heard == [1, 2, 3]


def test_a_delayed_link_keeps_the_order() -> None:
    world, network, _, ear = pair()
    network.delay(0, 1, 50_000, on=True)
    send(network, *range(30))
    later(world, 3_000_000)
    assert ear.heard == list(range(30))


def test_who_ended_hears_nothing_and_its_peer_is_told() -> None:
    world, network, first, second = pair()
    send(network, "never")
    network.detach(1)
    later(world)
    assert (first.links[-1], second.heard) == ((1, "down"), [])
    send(network, "nobody")
    network.attach(1, second)
    later(world)
    assert (first.links[-1], second.heard) == ((1, "up"), [])


def test_datagrams_are_dropped_doubled_and_overtaken() -> None:
    world, network, _, ear = pair(datagrams=True)
    network.noise(0, 1, Noise(drop=20, twice=20, swap=30), on=True)
    send(network, *range(200))
    later(world, 1_000_000)
    heard = [value for value in ear.heard if isinstance(value, int)]
    assert len(set(heard)) < 200
    assert len(heard) > len(set(heard))
    assert heard != sorted(heard)


def test_noise_spares_connections() -> None:
    world, network, _, ear = pair()
    network.noise(0, 1, Noise(drop=100), on=True)
    send(network, "kept")
    later(world)
    assert ear.heard == ["kept"]
