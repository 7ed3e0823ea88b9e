"""V8: the stock library loses its log when a process ends, or is merely started again.

One member, its own journal and dump as real files. A kill is an exception that nothing of the
library catches; what the process had written into the mapped file is there afterwards. The engine
has no files: what its journal and store do when they are cut is tests/crash's to break.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pysyncobj.journal
import pytest
from pysyncobj.journal import FileJournal

from net.raft.engine import Make
from tests.bugs.pysyncobj.engine import engine_world
from tests.bugs.pysyncobj.stock import StockMachine, stock_world
from tests.bugs.pysyncobj.world import World, switched

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at_append(number: int) -> Iterator[None]:
    """Let the process be killed where it writes into the journal for the so-many-th time."""
    add = FileJournal.add
    written = 0

    def last_words(self: FileJournal, *entry: object) -> None:
        nonlocal written
        written += 1
        if written == number:
            raise Killed
        add(self, *entry)

    with switched(pysyncobj.journal.FileJournal, add=last_words):
        yield


def write(world: World, count: int) -> None:
    """Have so many writes acknowledged."""
    acknowledged = world.judge.acknowledged
    first = len(acknowledged)
    world.put(1, *(f"w{number}" for number in range(first, first + count)), size=8)
    world.run(5, lambda: len(acknowledged) == first + count)
    assert len(acknowledged) == first + count


def state_after_a_start(world: World) -> Sequence[str]:
    """Start the only member; return what it knows once it leads and has applied everything."""
    world.start(1)
    world.machines[1].campaign_in(0)
    world.run(2)
    assert world.machines[1].leads
    return world.machines[1].names


def test_stock_loses_the_log_when_it_is_killed_while_it_cuts_it(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    log = FileJournal(path)
    for index in range(1, 1001):
        log.add(b"x" * 100, index, 1)
    with killed_at_append(50), pytest.raises(Killed):
        log.deleteEntriesTo(100)
    log._destroy()
    after = FileJournal(path)
    assert (len(after), after[-1][1]) == (49, 149)
    after._destroy()


def test_stock_forgets_everything_when_it_has_a_journal_and_no_dump(tmp_path: Path) -> None:
    with stock_world(tmp_path, 1) as world:
        world.elect(1)
        write(world, 2000)
        world.machines[1].compact()
        world.run(0.1)
        world.stop(1)
        left = state_after_a_start(world)
        assert len(world.judge.lost(left)) > 1990


def test_stock_clears_a_log_that_goes_beyond_its_dump(tmp_path: Path) -> None:
    with stock_world(tmp_path, 1, dumps=True) as world:
        world.elect(1)
        write(world, 1000)
        machine = world.machines[1]
        assert isinstance(machine, StockMachine)
        # One tick writes the dump of the first thousand. In the next five hundred more are
        # committed and answered; the process is killed before that tick cuts the log.
        machine.compact()
        acknowledged = world.judge.acknowledged
        world.put(1, *(f"w{number}" for number in range(1000, 1500)), size=8)
        with switched(FileJournal, deleteEntriesTo=_killed), pytest.raises(Killed):
            world.run(1)
        assert len(acknowledged) == 1500
        world.stop(1)
        left = state_after_a_start(world)
        assert world.judge.lost(left) == [f"w{number}" for number in range(1000, 1500)]


@pytest.mark.parametrize("entries_behind", [0, 500])
def test_the_engine_starts_with_what_was_acknowledged_before_and_after_a_cut(
    make: Make,
    entries_behind: int,
) -> None:
    with engine_world(1, make=make) as world:
        world.elect(1)
        write(world, 1000)
        world.machines[1].compact()
        write(world, entries_behind)
        world.stop(1)
        left = state_after_a_start(world)
        assert len(left) == 1000 + entries_behind
        assert world.judge.broken(left) == []


def _killed(self: FileJournal, count: int) -> None:
    raise Killed
