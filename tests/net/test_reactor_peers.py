"""What the reactor does with connections of other members, on links without a network."""

from net.listen import PeerInfo, Role
from net.reactor import UNDECIDED_PEERS_MAX
from tests.loopback import PREFACE, Echo, Stage

PEER = PeerInfo("", Role.PEER, common_name="m1")


class Member(Echo):
    """A codec that talks on while the reactor stops."""

    def drain(self, now_ms: int) -> None:
        self.reason = "not yet"


def test_who_asks_a_member_in_http_is_answered() -> None:
    link = Stage().connect(b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n", peer=PEER)
    assert link.sent.endswith(b"\r\n\r\n'm1'")


def test_a_member_is_known_by_its_first_byte() -> None:
    stage = Stage()
    assert stage.connect(b"\0", b"hello", peer=PEER).sent == b"\0HELLO"


def test_only_so_many_silent_connections_are_kept_at_a_peer_listener() -> None:
    stage = Stage()
    silent = [stage.connect(peer=PEER) for _ in range(UNDECIDED_PEERS_MAX + 3)]
    assert [link.is_closed for link in silent].count(True) == 3
    silent[0].inbox.append(b"\0hello")
    stage.settle()
    assert not stage.connect(peer=PEER).is_closed


def test_silent_clients_leave_room_for_members() -> None:
    stage = Stage()
    for _ in range(UNDECIDED_PEERS_MAX):
        stage.connect()
    assert not stage.connect(peer=PEER).is_closed


def test_a_stop_waits_for_clients_and_not_for_members() -> None:
    stage = Stage()
    member, client = stage.connect(b"\0hello", peer=PEER), stage.connect(PREFACE)
    stage.application.codecs[0].__class__ = Member
    stage.reactor.stop(5_000)
    stage.settle()
    assert not stage.reactor.is_over
    assert not member.is_closed
    client.inbox.append(b"")
    stage.settle()
    assert stage.reactor.is_over
    assert member.is_closed
