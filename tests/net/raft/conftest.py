"""Each of these tests runs with what decides by itself, and with what has pysyncobj decide."""

import pytest

from net.raft.makers import maker
from tests.raft_world import RaftWorld


@pytest.fixture(autouse=True, params=["own", "pysyncobj"])
def decides(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the worlds of a test run one of both; return its name."""
    name: str = request.param
    make = maker(has_library_decide=name == "pysyncobj")
    monkeypatch.setattr(RaftWorld, "make", staticmethod(make))
    return name
