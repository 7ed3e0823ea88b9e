"""The pages of a running member that probes and operators ask for."""

import json
from collections.abc import Generator

import pytest

from tests.members import Member, running, trine


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Generator[Member]:
    with running(trine(tmp_path_factory.mktemp("member") / "data")) as member:
        yield member


@pytest.mark.parametrize("page", ["/livez", "/readyz", "/readyz/linearizable_read"])
def test_a_probe_is_answered_again_and_again(member: Member, page: str) -> None:
    assert [member.get(page) for _ in range(3)] == [b"ok\n"] * 3


def test_health_is_told_as_etcd_tells_it(member: Member) -> None:
    assert json.loads(member.get("/health")) == {"health": "true", "reason": ""}


def test_the_version_page_names_etcds_version_and_trines(member: Member) -> None:
    told = json.loads(member.get("/version"))
    assert told["etcdserver"] == told["etcdcluster"] == "3.7.0"
