"""Questions to a running member: over a socket file, plain or with certificates."""

from pathlib import Path

import pytest

from server.clustering import KnownMember
from server.documents import Fields, listed
from server.reach import Place, ReachError, RefusedError, View, ask, shared_pair, view_of
from tests.certificates import Authority
from tests.doors import Answer, door

MEMBER = KnownMember(0xB2, "b", ("https://10.0.0.2:1",), ("http://c:1",), is_learner=True, role=2)
VIEW: Fields = {"clusterID": "cc", "memberID": "a1", "leader": "b2", "members": [listed(MEMBER)]}


def say(document: object, status: int = 200) -> Answer:
    return lambda method, path, fields: (status, document, {})


def test_a_socket_file_is_asked(tmp_path: Path) -> None:
    with door(say({"a": 1}), path=tmp_path / "s") as at:
        answer = ask(Place(at.url), "POST", "/x", {"id": "1"}, timeout_s=60)
    assert answer == {"a": 1}
    assert at.asked == [("POST", "/x", {"id": "1"})]


def test_what_a_member_refuses_is_its_own_sentence() -> None:
    refusing = say({"error": "no leader"}, 503)
    with door(refusing) as at, pytest.raises(RefusedError, match=r"^no leader$"):
        ask(Place(at.url), "GET", "/x", timeout_s=60)


@pytest.mark.parametrize(
    ("document", "status", "sentence"),
    [
        (b"404 page not found", 404, "HTTP status 404: is it a member's peer port?"),
        (b"hello", 200, "HTTP status 200: is it a member's peer port?"),
        ([1], 200, "the answer is none of a member's."),
    ],
)
def test_an_answer_of_somebody_else_is_told(document: object, status: int, sentence: str) -> None:
    with door(say(document, status)) as at, pytest.raises(ReachError) as told:
        ask(Place(at.url), "GET", "/x", timeout_s=60)
    assert str(told.value) == f"{at.url}: {sentence}"


def test_nobody_there_is_told(tmp_path: Path) -> None:
    place = Place(f"unix://{tmp_path}/none")
    with pytest.raises(ReachError) as told:
        ask(place, "GET", "/x", timeout_s=60)
    assert str(told.value) == f"{place.url}: No such file or directory."


def test_all_members_share_one_pair(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("cluster", "k8s")
    tls = shared_pair(pair.cert_file, pair.key_file)
    with door(say({}), pair=pair, ca=pair.cert_file) as at:
        assert ask(Place(at.url, tls, is_pinned=True), "GET", "/x", timeout_s=60) == {}


def test_another_certificate_of_the_same_authority_is_not_the_clusters(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, theirs = authority.issue("cluster", "k8s"), authority.issue("other", "k8s")
    tls = shared_pair(ours.cert_file, ours.key_file)
    # Its chain is not in question here, so the authority is trusted for once.
    tls = type(tls)(ours.cert_file, ours.key_file, authority.ca_file, client_cert_required=True)
    with door(say({}), pair=theirs, ca=authority.ca_file) as at:
        with pytest.raises(ReachError, match="another certificate than the cluster's"):
            ask(Place(at.url, tls, is_pinned=True), "GET", "/x", timeout_s=60)
        assert ask(Place(at.url, tls), "GET", "/x", timeout_s=60) == {}


def test_a_stranger_is_told_that_tls_failed(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "a").issue("cluster", "k8s")
    theirs = Authority(tmp_path, "b").issue("other", "k8s")
    tls = shared_pair(ours.cert_file, ours.key_file)
    failed = pytest.raises(ReachError, match="TLS failed: certificate verify failed")
    with door(say({}), pair=theirs, ca=theirs.cert_file) as at, failed:
        ask(Place(at.url, tls), "GET", "/x", timeout_s=60)


def test_a_place_with_tls_needs_a_certificate() -> None:
    with door(say({})) as at:
        url = at.url.replace("http://", "https://")
        with pytest.raises(ReachError, match="it wants TLS: give a certificate and its key"):
            ask(Place(url), "GET", "/x", timeout_s=60)


def test_a_view_is_read_back() -> None:
    view = view_of(VIEW, Place("http://h:1"))
    assert view == View(0xCC, 0xA1, 0xB2, (MEMBER,))
    assert view.leading() == view.at("10.0.0.2:1") == MEMBER
    assert view.at("10.0.0.3:1") is None


@pytest.mark.parametrize("wrong", ["clusterID", "members", "leader"])
def test_a_view_that_lacks_something_is_no_members(wrong: str) -> None:
    fields = {name: value for name, value in VIEW.items() if name != wrong}
    with pytest.raises(ReachError, match="none of a member's"):
        view_of(fields, Place("http://h:1"))
