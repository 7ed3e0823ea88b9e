"""The rule of this file: two ends and the ways between them; time is the world's."""

from random import Random

import pytest

from sim.ops import NO_CONNECTION
from sim.streams import WINDOW_BYTES, End, Way, cut, pair
from sim.world import World


def connected(*, splits: float = 0.0) -> tuple[World, End, End, Way, Way]:
    """A world with one connection, 1 ms long."""
    world = World(1)
    there, back = (Way(world, Random(name), 1_000, splits) for name in "ab")
    near, far = pair(there, back)
    return world, near, far, there, back


def everything(end: End) -> bytes:
    """Read until there is nothing more."""
    found = b""
    while data := end.recv(1 << 20):
        found += data
    return found


def test_bytes_arrive_in_order_however_they_are_split() -> None:
    world, near, far, *_ = connected(splits=0.5)
    wanted = Random(7).randbytes(3_000_000)
    rest, found = wanted, b""
    while len(found) < len(wanted):
        rest = rest[near.send(rest) :]
        world.run_until(world.now_us + 100)
        found += everything(far)
    assert found == wanted


def test_a_window_that_nobody_reads_fills_and_opens_again() -> None:
    world, near, far, *_ = connected()
    room: list[int] = []
    near.changed = lambda: room.append(near.room())
    assert near.send(bytes(1 << 20)) == WINDOW_BYTES
    assert near.send(b"more") == 0
    world.run_until(100_000)
    assert far.recv(1_000) == bytes(1_000)
    assert room == [1_000]


def test_what_is_held_arrives_later_in_order() -> None:
    world, near, far, there, _ = connected()
    there.hold()
    near.send(b"one ")
    near.send(b"two")
    world.run_until(1_000_000)
    assert far.recv(100) is None
    there.release()
    world.run_until(2_000_000)
    assert everything(far) == b"one two"


def test_an_end_in_good_order_lets_what_was_sent_be_read() -> None:
    world, near, far, *_ = connected()
    near.send(b"last words")
    near.close()
    world.run_until(100_000)
    assert far.recv(100) == b"last words"
    assert far.recv(100) == b""


def test_a_close_with_something_unread_is_a_reset() -> None:
    world, near, far, *_ = connected()
    far.send(b"nobody reads this")
    world.run_until(100_000)
    near.close()
    world.run_until(200_000)
    with pytest.raises(ConnectionResetError):
        far.recv(100)


def test_a_cut_loses_what_is_under_way() -> None:
    world, near, far, *_ = connected()
    near.send(b"lost")
    cut(near, "the network is cut")
    world.run_until(100_000)
    for end in (near, far):
        with pytest.raises(ConnectionResetError, match="the network is cut"):
            end.recv(100)


def test_a_machine_that_is_off_answers_once_it_is_on_again() -> None:
    world, near, far, *_ = connected()
    is_off = True
    far.die(lambda: is_off)
    near.send(b"is anybody there?")
    world.run_until(1_000_000)
    assert near.recv(100) is None
    is_off = False
    near.send(b"and now?")
    world.run_until(2_000_000)
    with pytest.raises(ConnectionResetError):
        near.recv(100)


@pytest.mark.parametrize("is_off_at_first", [True, False])
def test_who_dials_where_nobody_listens_hears_it_once_the_machine_is_on(
    is_off_at_first: bool,
) -> None:
    world, near, far, *_ = connected()
    is_off = is_off_at_first
    far.refuse(lambda: is_off)
    world.run_until(1_000_000)
    if is_off_at_first:
        assert near.recv(100) is None
    is_off = False
    if is_off_at_first:
        near.send(b"and now?")
    world.run_until(2_000_000)
    with pytest.raises(ConnectionResetError, match=NO_CONNECTION):
        near.recv(100)
