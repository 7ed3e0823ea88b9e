"""Each of these tests runs with what decides by itself, and with what has pysyncobj decide."""

import pytest

from net.raft.engine import Make
from net.raft.own import Own
from net.raft.wrapped import Wrapped
from tests.raft_world import RaftWorld

MAKERS: dict[str, Make] = {"own": Own, "pysyncobj": Wrapped}


@pytest.fixture(autouse=True, params=MAKERS)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the worlds of a test run one of both; return its name."""
    name: str = request.param
    monkeypatch.setattr(RaftWorld, "make", MAKERS[name])
    return name
