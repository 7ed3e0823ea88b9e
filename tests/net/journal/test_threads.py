"""On the real disk: one thread syncs and one prepares while the owner appends and drops."""

from pathlib import Path
from threading import Event, Thread

from core.ids import Index
from net.disk import RealDisk
from net.journal import Journal, Position, inspect
from tests.journals import content, pack

PACKS = 3000
SEGMENT_BYTES = 1 << 16


def test_the_owner_appends_while_threads_sync_and_prepare(tmp_path: Path) -> None:
    directory = f"{tmp_path}/journal"
    journal, _ = Journal.open(RealDisk(), directory, segment_bytes=SEGMENT_BYTES)
    done = Event()
    synced: list[Position] = []
    failures: list[BaseException] = []

    def repeat(work: object) -> None:
        assert callable(work)
        try:
            while not done.is_set():
                work()
        except BaseException as error:  # A thread's failure belongs to the test.
            failures.append(error)

    threads = [
        Thread(target=repeat, args=(lambda: synced.append(journal.sync()),)),
        Thread(target=repeat, args=(journal.prepare_next,)),
    ]
    for thread in threads:
        thread.start()
    for index in range(1, PACKS + 1):
        journal.append([pack(index, b"%d" % index * 40)])
        if index % 100 == 0:
            journal.drop_to(Index(index - 500))
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert synced == sorted(synced)
    journal.sync()
    journal.drop_to(Index(PACKS - 500))
    assert journal.first_index > 2000
    journal.close()
    assert not any(finding.is_damage for finding in inspect(RealDisk(), directory))
    again, recovered = Journal.open(RealDisk(), directory, segment_bytes=SEGMENT_BYTES)
    first = recovered.first_index
    assert (recovered.last_index, recovered.torn_bytes) == (PACKS, 0)
    expected = [(index, 1, b"%d" % index * 40) for index in range(first, PACKS + 1)]
    assert content(again) == expected
    again.close()
