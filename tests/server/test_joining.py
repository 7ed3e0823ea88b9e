"""How a member finds itself in a cluster that runs, by both ways."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from net.telemetry import Logger, Sink
from server.clustering import Joined, Joining, KnownMember, PeerMember
from server.config import Config
from server.documents import listed
from server.joining import JoinError, added, join, remember, remembered
from server.joining import listed as find
from server.reach import ReachError
from tests.configured import configured
from tests.doors import Answer, door

OLD = KnownMember(0xA1, "a", ("http://10.0.0.1:1",), ("http://c:1",))
NEW = KnownMember(0xC3, "", ("http://127.0.0.1:9",), is_learner=True)


def rows(*members: KnownMember) -> list[dict[str, object]]:
    return [
        {"id": one.id, "name": one.name, "peerURLs": one.peer_urls, "clientURLs": one.client_urls,
         "isLearner": one.is_learner}
        for one in members
    ]  # fmt: skip


def telling(*members: KnownMember) -> Answer:
    return lambda method, path, fields: (200, rows(*members), {"X-Etcd-Cluster-ID": "cc"})


def existing(*urls: str) -> Config:
    """Return what a member is told that joins a cluster of OLD, which answers at `urls`."""
    listed_ = ",".join(f"a={url}" for url in (*urls, *OLD.peer_urls))
    own = NEW.peer_urls[0]
    return configured(
        "--name=new", f"--initial-advertise-peer-urls={own}", "--initial-cluster-state=existing",
        f"--initial-cluster=new={own},{listed_}", "--listen-peer-urls=http://127.0.0.1:9",
    )  # fmt: skip


def test_a_member_that_was_added_finds_itself_by_its_urls() -> None:
    with door(telling(OLD, NEW)) as at:
        assert find(existing(at.url)) == Joined(0xCC, 0xC3, (OLD, NEW))
    assert at.asked == [("GET", "/members", None)]


def test_one_that_answers_is_enough() -> None:
    with door(telling(OLD, NEW)) as at:
        assert find(existing("http://127.0.0.1:1", at.url)).member_id == 0xC3


def test_nobody_answers() -> None:
    members = existing("http://127.0.0.1:1").initial_cluster
    one = attrs.evolve(members[1], peer_urls=("http://127.0.0.1:1",))
    with pytest.raises(JoinError) as told:
        find(attrs.evolve(existing(), initial_cluster=(members[0], one)))
    assert str(told.value) == (
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from "
        "the given URLs: http://127.0.0.1:1: Connection refused."
    )


def test_a_member_that_nobody_added_is_told_how() -> None:
    with door(telling(OLD)) as at, pytest.raises(JoinError) as told:
        find(existing(at.url))
    assert str(told.value) == (
        "the cluster does not know http://127.0.0.1:9 (it knows http://10.0.0.1:1): first tell "
        "it: etcdctl member add new --peer-urls=http://127.0.0.1:9"
    )


def test_a_list_that_does_not_fit_the_cluster_is_refused_as_etcd_does() -> None:
    with door(telling(OLD, NEW)) as at:
        right = existing(at.url)
        more = (*right.initial_cluster, PeerMember("z", ("http://127.0.0.1:8",)))
        with pytest.raises(JoinError, match="member count is unequal: --initial-cluster names 3"):
            find(attrs.evolve(right, initial_cluster=more))
        other = (right.initial_cluster[0], PeerMember("z", (at.url,)))
        with pytest.raises(JoinError, match=r"no match found for existing member \(a1, "):
            find(attrs.evolve(right, initial_cluster=other))


def test_a_member_that_lost_its_data_does_not_come_back_empty() -> None:
    lived = attrs.evolve(NEW, name="new")
    with door(telling(OLD, lived)) as at, pytest.raises(JoinError) as told:
        find(existing(at.url))
    assert str(told.value) == (
        "member c3 has already been bootstrapped: its data is not in new.trine; remove it from "
        "the cluster and add it anew"
    )


def dqlites(*addresses: str) -> Config:
    config = configured("--initial-advertise-peer-urls=http://127.0.0.1:9")
    return attrs.evolve(config, joining=Joining(addresses, "127.0.0.1:9"))


def adding(*members: KnownMember, joined: str = "c3") -> Answer:
    view = {"clusterID": "cc", "memberID": "a1", "leader": "a1", "joined": joined}
    return lambda method, path, fields: (
        200, {**view, "members": [listed(each) for each in members]}, {})  # fmt: skip


def test_a_member_of_k8s_dqlites_kind_asks_to_be_added() -> None:
    with door(adding(OLD, NEW)) as at:
        config = dqlites("127.0.0.1:1", at.address)
        assert config.joining is not None
        assert added(config, config.joining) == Joined(0xCC, 0xC3, (OLD, NEW))
    assert at.asked == [("POST", "/control/join", {"peerURLs": ["http://127.0.0.1:9"]})]


def test_who_cannot_be_added_is_told_by_everyone() -> None:
    config = dqlites("127.0.0.1:1", "127.0.0.1:2")
    assert config.joining is not None
    with pytest.raises(ReachError) as told:
        added(config, config.joining)
    assert str(told.value) == (
        "http://127.0.0.1:1: Connection refused. http://127.0.0.1:2: Connection refused."
    )


def test_a_member_keeps_asking_until_somebody_answers() -> None:
    lines: list[str] = []
    calls: list[int] = []

    async def in_thread(call: Callable[[], Joined]) -> Joined:
        calls.append(1)
        await trio.lowlevel.checkpoint()
        if len(calls) < 4:
            raise ReachError("h:1: Connection refused.")
        return Joined(1, 2, ())

    typed: Callable[[Callable[[], Joined]], Awaitable[Joined]] = in_thread
    log = Logger(Sink(write=lines.append, now_ns=lambda: 0))

    async def main() -> Joined:
        return await join(dqlites("h:1"), log, in_thread=typed)

    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == Joined(1, 2, ())
    assert (len(calls), len(lines)) == (4, 1)
    assert "cannot join yet; trying on" in lines[0]


def test_what_a_cluster_said_is_remembered(tmp_path: Path) -> None:
    where = str(tmp_path / "d")
    assert remembered(where) is None
    joined = Joined(0xCC, 0xC3, (OLD, NEW))
    remember(where, joined)
    assert remembered(where) == joined
    assert (tmp_path / "d" / "join").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"clusterID": "x"}'])
def test_a_file_of_that_name_that_says_nothing_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "join").write_text(text)
    with pytest.raises(JoinError, match="is none of Trine's"):
        remembered(str(tmp_path))
