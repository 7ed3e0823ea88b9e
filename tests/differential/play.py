"""A sequence played on a peer and held against the oracle: the verbs of the tests in this folder.

The rule of this file: which oracle belongs to which release is decided here, and nowhere else.
"""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import attrs

from sim.oracle import Oracle
from sim.oracle_range import ETCD_3_6, ETCD_3_7
from tests.differential import etcd_3_5
from tests.differential.endpoint import Endpoint
from tests.differential.generator import Generator
from tests.differential.operations import Operation
from tests.differential.players import EndpointPlayer, OraclePlayer
from tests.differential.shrink import shrunk
from tests.differential.statistics import Statistics
from tests.differential.trace import Trace, first_difference

Start = Callable[[Path], AbstractContextManager[str]]
"""Starts a peer on an empty store in a directory; the context's value is its address."""


@attrs.frozen
class Dialect:
    """What a release is held against, and what of it is never asked."""

    oracle: Callable[[], Oracle]
    range_stream: bool = False
    is_etcd_3_5: bool = False

    def generator(self, seed: int) -> Generator:
        """Return the source of sequences for a release."""
        if self.is_etcd_3_5:
            return Generator(
                seed,
                oracle=self.oracle(),
                without=etcd_3_5.WITHOUT,
                negative_watch_starts=False,
                waived=etcd_3_5.WAIVED,
            )
        return Generator(seed, oracle=self.oracle(), range_stream=self.range_stream)


def dialect_of(version: tuple[int, int, int]) -> Dialect:
    """Return the dialect of an etcd version."""
    if version < (3, 6, 0):
        return Dialect(etcd_3_5.Etcd35, is_etcd_3_5=True)
    if version < (3, 7, 0):
        return Dialect(lambda: Oracle(ETCD_3_6))
    return Dialect(lambda: Oracle(ETCD_3_7), range_stream=True)


@attrs.frozen
class Recording:
    """A sequence, what the oracle answers to it, and what a peer has answered."""

    dialect: Dialect
    operations: list[Operation]
    expected: Trace
    answered: Trace
    statistics: Statistics


def recorded(start: Start, dialect: Dialect, *, seed: int, size: int) -> Recording:
    """Draw a sequence and play it on a fresh peer."""
    generator = dialect.generator(seed)
    operations = generator.sequence(size)
    answered = played_on_peer(start, operations, dialect.oracle())
    return Recording(dialect, operations, generator.player.trace, answered, generator.statistics)


def played_on_peer(start: Start, operations: list[Operation], shadow: Oracle) -> Trace:
    """Play a sequence on a fresh peer; `shadow` tells what to wait for."""
    with tempfile.TemporaryDirectory() as directory, start(Path(directory)) as address:
        return played_at(address, operations, shadow)


def played_at(address: str, operations: list[Operation], shadow: Oracle) -> Trace:
    """Play a sequence on an endpoint with an empty store."""
    endpoint = Endpoint(address)
    try:
        return EndpointPlayer(endpoint, shadow).play(operations)
    finally:
        endpoint.close()


def played_on_oracle(oracle: Oracle, operations: list[Operation]) -> Trace:
    """Play a sequence on an oracle."""
    return OraclePlayer(oracle).play(operations)


def is_told_apart(oracle: Oracle, operations: list[Operation], truth: Trace) -> bool:
    """Whether an oracle answers anything otherwise than `truth`; stops at the first outcome."""
    player = OraclePlayer(oracle)
    for operation, true in zip(operations, truth.outcomes, strict=True):
        if player.step(operation) != true:
            return True
    return first_difference(operations, player.trace, truth) is not None


def report(operations: list[Operation], left: Trace, right: Trace, names: tuple[str, str]) -> str:
    """Return the first difference for people, or nothing."""
    difference = first_difference(operations, left, right)
    return "" if difference is None else difference.report(operations, names)


def shrunk_report(start: Start, recording: Recording, names: tuple[str, str]) -> str:
    """Return a short sequence that the oracle and the peer differ on, and how. Takes minutes."""
    difference = first_difference(recording.operations, recording.expected, recording.answered)
    assert difference is not None

    def told(operations: list[Operation]) -> str:
        answered = played_on_peer(start, operations, recording.dialect.oracle())
        expected = played_on_oracle(recording.dialect.oracle(), operations)
        return report(operations, expected, answered, names)

    prefix = recording.operations[: difference.operation + 1]
    if not told(prefix):
        prefix = recording.operations
    short = shrunk(prefix, lambda operations: bool(told(operations)))
    return told(short) or "the difference did not come again: it is one of timing"
