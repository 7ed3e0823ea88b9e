"""The operators' queries of the k8s-dqlite world stay calm while a store is written for long.

A datastore that does not keep up with its own history shows it in four numbers: how many rows
there are, how far compaction lags, how many gap rows filled holes, and which keys pile up. Here
they are asked as those operators ask them, of the files of a running member.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from net.etcd.pb import rpc_pb2 as pb
from tests.bench.generator import Generator
from tests.command import trine as command
from tests.members import Member, running, trine

KEYS = 10_000
RETENTION = 10_000
"""Revisions that each compaction leaves, as `--auto-compaction-retention 10000` does."""
HOT = b"/registry/leases/hot"
COLD = b"/registry/leases/cold"

COUNT = "SELECT COUNT(*) FROM kine"
LAG = (
    "SELECT (SELECT max(id) FROM kine) - (SELECT prev_revision FROM kine "
    "WHERE name='compact_rev_key' ORDER BY id DESC LIMIT 1)"
)
GAPS = "SELECT COUNT(*) FROM kine WHERE name LIKE 'gap-%'"
HISTOGRAM = "SELECT name, COUNT(*) AS n FROM kine GROUP BY name HAVING n >= 100 ORDER BY n DESC"

STORED_S = 60.0
LOOK_S = 0.02

pytestmark = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    with running(trine(tmp_path / "data")) as one:
        yield one


def ask(member: Member, statement: str) -> list[str]:
    """The lines that `trine sql` prints for a statement, in CSV without the names."""
    told = command("sql", "--data-dir", str(member.directory), "-w", "csv", statement)
    assert told.code == 0, told.err
    return told.out.splitlines()[1:]


def ask_number(member: Member, statement: str) -> int:
    (line,) = ask(member, statement)
    return int(line)


def until_stored(member: Member, revision: int) -> None:
    """Wait until the store, which is written in batches behind the answers, has a revision."""
    until = time.monotonic() + STORED_S
    while ask_number(member, "SELECT max(id) FROM kine") < revision:
        assert time.monotonic() < until, f"revision {revision} is not in the store"
        time.sleep(LOOK_S)


class Writer:
    """Updates all keys of one member, in rounds, and compacts behind them."""

    def __init__(self, member: Member, channel: grpc.Channel) -> None:
        self._port = int(member.endpoint.rpartition(":")[2])
        self._generator = Generator()
        self._status = channel.unary_unary(
            "/etcdserverpb.Maintenance/Status",
            pb.StatusRequest.SerializeToString,
            pb.StatusResponse.FromString,
        )
        self._put = channel.unary_unary(
            "/etcdserverpb.KV/Put", pb.PutRequest.SerializeToString, pb.PutResponse.FromString
        )
        self._compact = channel.unary_unary(
            "/etcdserverpb.KV/Compact",
            pb.CompactionRequest.SerializeToString,
            pb.CompactionResponse.FromString,
        )

    def update(self, count: int) -> None:
        """Put every key, again and again, until there were `count` puts."""
        for _ in range(count // KEYS):
            done = self._generator.run("preload", port=self._port, keys=KEYS, value=512)
            assert not done.errors, done.first_error

    def compact(self) -> int:
        """Compact all but the newest revisions; return the file's size once they are gone."""
        self._compact(pb.CompactionRequest(revision=self.head() - RETENTION, physical=True))
        return self._status(pb.StatusRequest()).dbSize

    def head(self) -> int:
        """The newest revision."""
        return self._status(pb.StatusRequest()).header.revision

    def put(self, key: bytes, times: int = 1) -> None:
        """Put one key, many times."""
        for _ in range(times):
            self._put(pb.PutRequest(key=key, value=b"holder"))


def overgrow(member: Member, *, updates: int, compact_every: int, look_every: int) -> list[int]:
    """Write under compaction and look on; return the sizes of the file at each look."""
    sizes: list[int] = []
    with grpc.insecure_channel(member.endpoint) as channel:
        writer = Writer(member, channel)
        for done in range(compact_every, updates + 1, compact_every):
            writer.update(compact_every)
            size = writer.compact()
            if done % look_every:
                continue
            sizes.append(size)
            # One more revision: what is written in order behind it is there as well.
            writer.put(COLD)
            until_stored(member, writer.head())
            lag = ask_number(member, LAG)
            rows = ask_number(member, COUNT)
            print(f"{done} updates: {size / 2**20:.1f} MiB, {rows} rows, lag {lag}")
            assert lag == RETENTION + 1
            assert KEYS <= rows <= KEYS + RETENTION + 3, "one row a key, a change, and kine's own"
            assert ask_number(member, GAPS) == 0
            assert ask(member, HISTOGRAM) == []
        writer.put(HOT, times=150)
        until_stored(member, writer.head())
    assert ask(member, HISTOGRAM) == [f"{HOT.decode()},150"]
    return sizes


def test_operators_queries_stay_calm_while_a_store_is_written(member: Member) -> None:
    sizes = overgrow(member, updates=20_000, compact_every=10_000, look_every=10_000)
    assert max(sizes) < 64 << 20


@pytest.mark.slow
def test_a_million_updates_leave_no_gap_no_lag_and_no_growth(member: Member) -> None:
    sizes = overgrow(member, updates=1_000_000, compact_every=50_000, look_every=100_000)
    assert max(sizes[2:]) <= 1.5 * sizes[1]
