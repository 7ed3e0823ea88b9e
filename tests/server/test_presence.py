"""A running member as control sees it: who it is, who leads, who the others are."""

from pathlib import Path
from typing import cast

import attrs

from core.members import Member, MemberRole
from core.node import NodeConfig
from net.disk import RealDisk
from net.etcd.calls import Call
from net.etcd.port import ClientPort
from net.metrics import Metrics
from net.store.batch import Identity
from net.telemetry import SILENT
from server.clustering import KnownMember
from server.control import Question
from server.presence import Presence
from server.recover import Directory, Opened, open_member

ONE = Member(0xA1, "a", ("http://a:1",), ("http://a:2",))
TWO = Member(0xB2, "", ("http://b:1",), (), MemberRole.JOINING)
THREE = Member(0xC3, "c", ("http://c:1",), (), MemberRole.SPARE)


@attrs.define
class Asked:
    """What stands in for a port: it notes what it is asked."""

    calls: list[tuple[str, Call, bytes]] = attrs.field(factory=list[tuple[str, Call, bytes]])

    def ask(self, method: str, call: Call, message: bytes) -> None:
        self.calls.append((method, call, message))


def opened(path: Path) -> Opened:
    config = NodeConfig(
        member_id=0,
        origin=1,
        quota_bytes=1 << 30,
        request_bytes_max=1 << 20,
        fragment_bytes=1 << 20,
        progress_interval_ms=600_000,
    )
    where = Directory(RealDisk(), str(path), str(path / "journal"), segment_bytes=1 << 20)
    identity = Identity(0xCC, ONE.id)
    return open_member(
        where, config, Metrics(), SILENT, identity=identity, founders=[ONE, TWO, THREE]
    )


def test_who_is_to_vote_stands_by_for_those_who_know_three_roles(tmp_path: Path) -> None:
    member = opened(tmp_path)
    port = Asked()
    # Of a port only `ask` is used.
    seen = Presence(member, cast("ClientPort", port))
    assert (seen.member_id, seen.cluster_id, seen.revision) == (0xA1, 0xCC, 1)
    assert (seen.leader, seen.term) == tuple(member.driver.engine.role)[1::-1]
    assert seen.members() == (
        KnownMember(0xA1, "a", ("http://a:1",), ("http://a:2",)),
        KnownMember(0xB2, "", ("http://b:1",), role=1),
        KnownMember(0xC3, "c", ("http://c:1",), is_learner=True, role=2),
    )
    question = Question(lambda _: None)
    seen.begin("MemberList", question, b"")
    assert port.calls == [("MemberList", question, b"")]
    member.close()
