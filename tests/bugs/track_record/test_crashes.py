"""Bugs of etcd that a crash brought out: the power goes at each operation of the disk in turn.

The rule of this file: each test names whose bug it was, runs the deeds that brought it out, and
shows with a bug of that kind planted that the same lives would see it.
"""

from collections.abc import Generator
from contextlib import contextmanager

from core.loading import load as shipped_load
from core.state import State
from net.store import store as stores
from net.store.batch import Batch
from net.store.store import Store
from server import recover
from sim.swapping import swapped
from tests.bugs.track_record.lives import Deed, both, broken, compact, delete, lives, put
from tests.crash.planted import answers_before_sync, switches_early

LOAD: tuple[Deed, ...] = (
    put("/a", "1"),
    both(put("/b", "1"), put("/c", "1")),
    delete("/b"),
    put("/a", "x" * 3000),
    put("/d", "x" * 3000),
    both(put("/a", "2"), delete("/c")),
)
DEFRAGMENTED: tuple[Deed, ...] = (*LOAD, compact(6), "Defragment", put("/e", "3"), put("/a", "3"))
COMPACTED: tuple[Deed, ...] = (
    put("/a", "1"),
    put("/b", "1"),
    delete("/", "0"),
    compact(4),
    put("/c", "1"),
    delete("/c"),
    compact(6),
)


def test_a_write_that_was_answered_outlives_the_power() -> None:
    """etcd #14370: a single member answered before its log was synced, and lost the write."""
    for life in lives(LOAD):
        life.run()


def test_an_answer_before_the_sync_would_be_seen() -> None:
    assert "lost: the log ends" in broken(LOAD, plant=answers_before_sync)


def test_rows_and_applied_index_are_one() -> None:
    """etcd #13766: a crash under load left the applied index ahead of the data."""
    for life in lives((*LOAD, *LOAD), stride=3):
        life.run()


def test_an_applied_index_ahead_of_its_rows_would_be_seen() -> None:
    with rows_follow_their_index():
        assert "its rows are not those that were written" in broken((*LOAD, *LOAD))


def test_a_defragmentation_may_be_cut_short_anywhere() -> None:
    """etcd #14685: a crash during a defragmentation brought an old revision back."""
    for life in lives(DEFRAGMENTED, stride=2):
        life.run()


def test_a_store_that_is_switched_too_early_would_be_seen() -> None:
    assert broken(DEFRAGMENTED, plant=switches_early, survivals=("subset",))


def test_a_revision_never_falls_through_a_compaction() -> None:
    """etcd #17780: the newest rows went in a compaction, and the revision with them."""
    for life in lives(COMPACTED):
        life.run()


def test_a_revision_that_is_counted_from_rows_would_be_seen() -> None:
    with revision_is_that_of_the_rows():
        assert "its rows are not those that were written" in broken(COMPACTED)


def test_pages_that_are_freed_and_used_again_stay_whole() -> None:
    """etcd #20271: a crash left the store's list of free pages wrong, and the member panicked."""
    deeds: tuple[Deed, ...] = (
        *LOAD,
        compact(5),
        *(put(f"/p/{n}", "y" * 2500) for n in range(4)),
        delete("/p/", "/p0"),
        compact(11),
        *(put(f"/q/{n}", "z" * 2500) for n in range(3)),
    )
    for life in lives(deeds, stride=5):
        life.run()


def test_a_disk_that_lies_would_be_seen() -> None:
    assert broken(LOAD, lying_sync=True)


@contextmanager
def rows_follow_their_index() -> Generator[None]:
    """The applied index is committed first, its rows in a transaction of their own."""
    write, write_rows = Store.write, stores._write_rows

    def torn(self: Store, batch: Batch) -> None:
        with swapped(stores, "_write_rows", lambda *_: None):
            write(self, batch)
        database = self._database
        database.run("BEGIN IMMEDIATE")
        write_rows(database, batch)
        database.run("COMMIT")

    with swapped(Store, "write", torn):
        yield


@contextmanager
def revision_is_that_of_the_rows() -> Generator[None]:
    """Recovery takes the newest live row's revision for the store's."""

    def forgetful(*given: object) -> tuple[State, list[int]]:
        state, dead = shipped_load(*given)  # type: ignore[arg-type]  # passed on as given
        state.revision = max((version.mod for version in state.index.live.values()), default=1)
        return state, dead

    with swapped(recover, "load", forgetful):
        yield
