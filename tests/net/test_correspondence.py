"""When messages to other members leave, as a follower's driver has them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from core.codec import encode, encode_pack
from core.operations import Put
from net.replicator import (
    Configuration,
    Entry,
    Persist,
    RaftInput,
    RaftOutput,
    Receive,
    Role,
)
from net.turns import RAFT, PeerMessage, Synced
from tests.driver_world import DriverWorld

ACK = PeerMessage(2, RAFT, b"ack")


class Follower:
    """An engine that appends one put for each message, and commits the one before."""

    role = Role(1, 2, False)
    commit_index = 0

    def __init__(self) -> None:
        self.members: Configuration = {1: True, 2: True, 3: True}
        self._last: list[Entry] = []

    def match_of(self, member: int) -> int:
        return 0

    def step(self, now_ms: int, inputs: Sequence[RaftInput]) -> RaftOutput:
        if not any(isinstance(given, Receive) for given in inputs):
            return RaftOutput()
        index = 1 + (self._last[0].index if self._last else 0)
        put = encode((9, index), Put(b"k", b"%d" % index))
        committed, self._last = self._last, [Entry(index, 1, encode_pack([put]))]
        persist = Persist(index, append=self._last)
        return RaftOutput([persist], [(2, ACK.data, index)], committed)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DriverWorld]:
    made = DriverWorld(tmp_path)
    made.driver.engine = Follower()
    yield made
    made.close()


def test_an_acknowledgement_leaves_before_what_came_with_its_entry_is_applied(
    world: DriverWorld,
) -> None:
    world.turn(PeerMessage(2, RAFT, b"first"))
    world.synced()
    io = world.turn(PeerMessage(2, RAFT, b"second"))
    assert (io.sends, io.is_lone, io.is_awaited) == ([], True, True)
    assert world.node.state.revision == 1
    world.noted.sync()
    assert world.driver.release(io.sync) == [ACK]
    assert world.node.state.revision == 1
    io = world.turn(Synced(io.sync))
    assert (io.sends, world.node.state.revision) == ([], 2)


def test_what_is_committed_does_not_wait_for_a_slow_disk(world: DriverWorld) -> None:
    world.turn(PeerMessage(2, RAFT, b"first"))
    world.synced()
    assert world.turn(PeerMessage(2, RAFT, b"second")).busy
    assert not world.turn().sends
    assert world.node.state.revision == 2


def test_nothing_leaves_that_is_not_durable(world: DriverWorld) -> None:
    io = world.turn(PeerMessage(2, RAFT, b"first"))
    later = world.turn(PeerMessage(2, RAFT, b"second"))
    assert not later.sync
    assert world.driver.release(io.sync) == [ACK]
    assert world.driver.release(io.sync) == []
