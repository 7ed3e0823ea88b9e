"""The connections of a cluster: they come, they break, they come again; strangers stay outside."""

import json

import attrs
import pytest

from net.listen import PeerInfo, Role
from net.peers.frames import framed
from net.peers.hello import HELLO, REFUSE, Hello, Refusal, decode_refusal, encode_hello
from net.peers.limits import FIRST_MS, GREETING_MS_MAX, HALF_OPEN_MAX, RETRY_MS_MAX, SILENCE_MS
from net.turns import RAFT
from tests.mesh_world import CLUSTER, MeshWorld, contact, shown


def refused(answer: bytes) -> Refusal | None:
    """Read the refusal that an answer is."""
    assert answer[4] == REFUSE
    return decode_refusal(answer[9:])[0]


def greeting(sender: int, target: int = 1, *, cluster: int = CLUSTER, **more: int) -> bytes:
    return framed(HELLO, encode_hello(Hello(cluster, sender, target, 99, **more)))


@pytest.mark.parametrize("seed", range(20))
def test_members_that_all_dial_at_once_end_with_one_link_each(seed: int) -> None:
    world = MeshWorld(5, seed=seed)
    world.run(3_000)
    assert {each: node.linked for each, node in world.nodes.items()} == {
        each: {1, 2, 3, 4, 5} - {each} for each in world.nodes
    }
    assert len(world.wires) == 10


def test_what_is_sent_arrives_once_and_in_order() -> None:
    world = MeshWorld(2)
    world.run(500)
    for number in range(50):
        world.nodes[1].mesh.send(2, RAFT, bytes((number,)))
        world.nodes[2].mesh.send(1, number % 3, bytes((number,)))
    world.run(100)
    assert world.nodes[2].heard == [(1, RAFT, bytes((number,))) for number in range(50)]
    assert world.nodes[1].heard == [(2, number % 3, bytes((number,))) for number in range(50)]


def test_what_is_sent_without_a_link_is_lost() -> None:
    world = MeshWorld(2)
    assert not world.nodes[1].mesh.send(2, RAFT, b"x")
    assert not world.nodes[1].mesh.send(77, RAFT, b"x")


@pytest.mark.parametrize("member", [1, 3])
def test_a_member_that_comes_back_is_linked_within_its_own_first_attempt(member: int) -> None:
    world = MeshWorld(3)
    world.run(500)
    world.kill(member)
    world.run(20_000)
    assert all(member not in node.linked for node in world.nodes.values())
    world.begin(member, range(1, 4))
    world.run(FIRST_MS + 60)
    assert world.nodes[member].linked == {1, 2, 3} - {member}


def test_a_member_that_is_away_is_not_dialled_too_often() -> None:
    world = MeshWorld(2)
    world.run(500)
    world.kill(1)
    before = world.nodes[2].phone.dialled
    world.run(60_000)
    assert 60_000 / RETRY_MS_MAX <= world.nodes[2].phone.dialled - before <= 80


def test_a_failure_is_logged_once_until_it_changes() -> None:
    world = MeshWorld(2)
    world.nodes[1].listens = False
    world.run(30_000)
    told = [json.loads(line) for line in world.nodes[2].lines]
    assert [each["msg"] for each in told] == ["cannot connect to a member; trying again"]
    assert told[0]["name"] == "m1"
    assert told[0]["error"] == "connection refused"


def test_a_silent_connection_is_given_up_and_made_anew() -> None:
    world = MeshWorld(2)
    world.run(500)
    for wire in world.wires:
        wire.is_cut = True
    world.run(SILENCE_MS + 1_500)
    assert [what for what, *_ in world.nodes[1].told] == ["up", "down", "up"]
    assert [what for what, *_ in world.nodes[2].told] == ["up", "down", "up"]


def test_an_idle_connection_stands() -> None:
    world = MeshWorld(2)
    world.run(500)
    told = list(world.nodes[1].told)
    world.run(60_000)
    assert world.nodes[1].told == told
    assert 55 <= len(world.nodes[1].round_trips_us) <= 61


def test_nothing_of_an_earlier_connection_is_heard_on_a_later_one() -> None:
    world = MeshWorld(2)
    world.run(500)
    world.nodes[1].mesh.send(2, RAFT, b"lost")
    for wire in world.wires:
        wire.is_cut = True
    world.run(SILENCE_MS + 1_500)
    world.nodes[1].mesh.send(2, RAFT, b"new")
    world.run(50)
    assert world.nodes[2].heard == [(1, RAFT, b"new")]


def test_a_later_life_of_a_member_takes_the_place_of_the_earlier_one() -> None:
    world = MeshWorld(2)
    world.run(500)
    for wire in world.wires:
        wire.is_cut = True  # Its machine lost power: nobody is told.
    world.begin(1, range(1, 3))
    world.run(200)
    assert [what for what, *_ in world.nodes[2].told] == ["up", "down", "up"]
    assert world.nodes[1].linked == {2}


STRANGERS = {
    "another cluster's": (greeting(2, cluster=7), Refusal.WRONG_CLUSTER),
    "a member unknown here": (greeting(9), Refusal.UNKNOWN_MEMBER),
    "a member that was removed": (greeting(3), Refusal.REMOVED_MEMBER),
    "for somebody else": (greeting(2, 2), Refusal.NOT_ME),
    "from this very member": (greeting(1), Refusal.NOT_ME),
    "of a later version": (greeting(2, oldest=2, newest=3), Refusal.WRONG_VERSION),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_greeting_of_no_member_is_refused_with_the_reason(name: str) -> None:
    data, why = STRANGERS[name]
    world = MeshWorld(1)
    node = world.nodes[1]
    node.roster.contacts = {1: contact(1), 2: contact(2)}
    node.roster.known = {1, 2}
    node.roster.removed = {3}
    codec, answer = world.stranger(1, shown(2), data)
    assert (refused(answer), codec.closing, node.told) == (why, True, [])
    (line,) = [json.loads(line) for line in node.lines]
    assert line["msg"] == "refused a connection on a peer port"


@pytest.mark.parametrize(
    ("info", "is_let_in"),
    [
        (shown(2), True),
        (shown(3), False),
        (attrs.evolve(shown(3), common_name="m2"), True),
        (attrs.evolve(shown(2), common_name="m3"), False),
        (attrs.evolve(shown(2), common_name="anybody"), True),
        (attrs.evolve(shown(2), names=()), False),
        (attrs.evolve(shown(2), names=(), is_secure=False), True),
    ],
)
def test_a_certificate_speaks_for_its_member_alone(info: PeerInfo, is_let_in: bool) -> None:
    world = MeshWorld(3)
    world.nodes[1].listens = False
    codec, answer = world.stranger(1, info, greeting(2))
    assert codec.closing is not is_let_in
    if not is_let_in:
        assert refused(answer) is Refusal.WRONG_CERTIFICATE


def test_a_pinned_pair_proves_the_cluster_and_no_member() -> None:
    world = MeshWorld(3)
    mesh = world.nodes[1].mesh
    mesh.me = attrs.evolve(mesh.me, is_pinned=True)
    codec, _ = world.stranger(1, attrs.evolve(shown(3), names=()), greeting(2))
    assert not codec.closing


def test_a_member_that_the_log_names_is_let_in_before_it_is_applied() -> None:
    world = MeshWorld(1)
    world.nodes[1].roster.known = {1, 8}
    codec, _ = world.stranger(1, shown(8), greeting(8))
    assert not codec.closing


def test_garbage_in_place_of_a_greeting_ends_the_connection_without_an_answer() -> None:
    world = MeshWorld(1)
    for data in (b"\0" * 64, b"\0\0\0\x05\x00junkjunky", framed(RAFT, b"x"), framed(HELLO, b"")):
        codec, answer = world.stranger(1, shown(2), data)
        assert (answer, codec.closing) == (b"", True)
    assert len(world.nodes[1].lines) == 1
    assert not world.nodes[1].told


def test_who_says_nothing_is_not_waited_for_for_long() -> None:
    world = MeshWorld(1)
    codec, _ = world.stranger(1, shown(2), b"")
    codec.tick(world.now_ms + GREETING_MS_MAX)
    assert (codec.closing, codec.reason) == (True, "it did not say who it is in time")


def test_only_so_many_strangers_are_waited_for_at_once() -> None:
    world = MeshWorld(1)
    codecs = [world.stranger(1, shown(2), b"")[0] for _ in range(HALF_OPEN_MAX + 5)]
    assert [codec.closing for codec in codecs] == [False] * HALF_OPEN_MAX + [True] * 5
    codecs[0].eof()
    assert not world.stranger(1, shown(2), b"")[0].closing


def test_a_member_that_was_removed_loses_its_link_and_is_told_why() -> None:
    world = MeshWorld(3)
    world.run(500)
    for each in (1, 2):
        world.nodes[each].roster.known = {1, 2}
        world.nodes[each].roster.removed = {3}
    world.run(5_000)
    assert world.nodes[3].linked == set()
    assert {each for what, each, *_ in world.nodes[3].told if what == "removed"} == {1, 2}


def test_one_whose_certificate_is_not_the_dialled_member_s_removes_nobody() -> None:
    world = MeshWorld(3)
    world.nodes[3].roster.contacts = {
        each: attrs.evolve(contact(each), urls=("https://198.51.100.7:1",)) for each in (1, 2, 3)
    }
    for each in (1, 2):
        world.nodes[each].roster.known = {1, 2}
        world.nodes[each].roster.removed = {3}
    world.run(5_000)
    assert not [what for what, *_ in world.nodes[3].told if what == "removed"]


def test_a_member_that_was_added_is_dialled() -> None:
    world = MeshWorld(2)
    world.run(500)
    world.begin(3, range(1, 4)).phone.world = MeshWorld(0)  # It reaches nobody itself.
    world.run(1_000)
    assert world.nodes[1].linked == {2}
    for each in (1, 2):
        world.nodes[each].roster.contacts = {one: contact(one) for one in (1, 2, 3)}
        world.nodes[each].roster.known = {1, 2, 3}
    world.run(5_000)
    assert world.nodes[3].linked == {1, 2}


def test_what_no_connection_takes_is_dropped() -> None:
    world = MeshWorld(2)
    world.run(500)
    for wire in world.wires:
        for codec in (wire.near, wire.far):
            codec.outbox_bytes_max = 1_000  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # a member's
    mesh = world.nodes[1].mesh
    assert [mesh.send(2, RAFT, bytes(400)) for _ in range(4)] == [True, True, False, False]
    world.run(50)
    assert len(world.nodes[2].heard) == 2
    assert mesh.send(2, RAFT, bytes(400))


def test_a_frame_above_the_outbox_still_goes_when_nothing_waits() -> None:
    world = MeshWorld(2)
    world.run(500)
    assert world.nodes[1].mesh.send(2, RAFT, bytes(10 << 20))
    world.run(50)
    assert [len(body) for _, _, body in world.nodes[2].heard] == [10 << 20]


def test_a_small_message_overtakes_pieces_of_a_snapshot() -> None:
    world = MeshWorld(2)
    world.run(500)
    mesh = world.nodes[1].mesh
    for _ in range(3):
        mesh.send(2, 3, bytes(1_000))
    mesh.send(2, RAFT, b"now")
    world.run(50)
    assert [channel for _, channel, _ in world.nodes[2].heard] == [RAFT, 3, 3, 3]


def test_a_member_that_stops_ends_its_links() -> None:
    world = MeshWorld(2)
    world.run(500)
    world.nodes[1].mesh.close()
    del world.nodes[1].told[:]
    world.run(500)
    assert world.nodes[2].linked == set()


def test_an_answer_of_another_member_than_was_dialled_is_refused() -> None:
    world = MeshWorld(2)
    stray = attrs.evolve(contact(2), urls=contact(1).urls)
    world.nodes[2].roster.contacts = {1: contact(1), 2: stray}
    world.begin(3, range(1, 4))
    world.nodes[3].roster.contacts = {1: contact(2), 3: contact(3)}
    world.nodes[3].roster.known = {1, 3}
    world.run(300)
    assert world.nodes[3].linked == set()


def test_the_address_is_a_stranger_s_own() -> None:
    info = PeerInfo("192.0.2.7:999", Role.PEER)
    world = MeshWorld(1)
    world.stranger(1, info, b"\0" * 64)
    assert json.loads(world.nodes[1].lines[0])["remote-addr"] == "192.0.2.7:999"
