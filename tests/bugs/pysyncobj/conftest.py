"""The engine holds where the stock library fails, whether it decides itself or has that decide."""

import pytest

from net.raft.engine import Make
from net.raft.makers import maker


@pytest.fixture(params=[False, True], ids=["own", "pysyncobj"])
def make(request: pytest.FixtureRequest) -> Make:
    """Return what makes that which decides."""
    has_library_decide: bool = request.param
    return maker(has_library_decide=has_library_decide)
