"""What a loss of power takes from real files: all that was not synced, and nothing else."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from net.disk import RealDisk, RealFile
from sim.planted.losing import losing


@contextmanager
def life(directory: Path) -> Generator[list[str]]:
    """Let a member live in a directory; yields what is said of what it lost before."""
    said: list[str] = []
    with losing(directory, said.append, slow_s=0):
        yield said


def a_file(directory: Path, name: str = "file") -> RealFile:
    """Create a file that holds ten bytes for good."""
    directory.mkdir(exist_ok=True)
    file = RealDisk().create(str(directory / name))
    file.write(0, b"0123456789")
    file.datasync()
    return file


def test_what_was_not_synced_is_gone_at_the_next_start(tmp_path: Path) -> None:
    place = tmp_path / "member"
    with life(place) as said:
        file = a_file(place)
        file.write(2, b"ab")
        file.write(8, b"xyzzy")
        file.close()
    assert said == ["0 writes were not synced and are lost"]
    with life(place) as said:
        assert (place / "file").read_bytes() == b"0123456789"
    assert said == ["2 writes were not synced and are lost"]
    with life(place) as said:
        assert said == ["0 writes were not synced and are lost"]


def test_what_was_synced_stays(tmp_path: Path) -> None:
    place = tmp_path / "member"
    with life(place):
        file = a_file(place)
        file.write(2, b"ab")
        file.datasync()
        file.write(4, b"cd")
        file.close()
    with life(place):
        assert (place / "file").read_bytes() == b"01ab456789"


def test_a_sync_of_one_file_saves_no_other(tmp_path: Path) -> None:
    place = tmp_path / "member"
    with life(place):
        one, other = a_file(place, "one"), a_file(place, "other")
        one.write(0, b"x")
        other.write(0, b"y")
        one.datasync()
        one.close()
        other.close()
    with life(place):
        assert (place / "one").read_bytes() == b"x123456789"
        assert (place / "other").read_bytes() == b"0123456789"


def test_a_file_that_was_cut_is_whole_again(tmp_path: Path) -> None:
    place = tmp_path / "member"
    with life(place):
        file = a_file(place)
        file.truncate(3)
        file.write(3, b"abc")
        file.close()
    with life(place):
        assert (place / "file").read_bytes() == b"0123456789"


def test_what_was_renamed_or_removed_counts_as_durable(tmp_path: Path) -> None:
    place = tmp_path / "member"
    with life(place):
        file, gone = a_file(place), a_file(place, "gone")
        file.write(0, b"x")
        gone.write(0, b"x")
        RealDisk().rename(str(place / "file"), str(place / "new"))
        RealDisk().unlink(str(place / "gone"))
        file.close()
        gone.close()
    with life(place):
        assert (place / "new").read_bytes() == b"x123456789"
        assert not (place / "gone").exists()


def test_a_note_that_was_cut_by_the_kill_is_passed_over(tmp_path: Path) -> None:
    place = tmp_path / "member"
    with life(place):
        file = a_file(place)
        file.write(0, b"ab")
        file.write(5, b"cd")
        file.close()
    notes = tmp_path / "member.unsynced"
    notes.write_bytes(notes.read_bytes()[:-1])
    with life(place) as said:
        assert said == ["1 writes were not synced and are lost"]
        assert (place / "file").read_bytes() == b"01234cd789"


def test_the_stores_log_goes_with_a_loss_and_stays_without_one(tmp_path: Path) -> None:
    place = tmp_path / "member"
    with life(place):
        file = a_file(place)
        (place / "state-1.db-wal").write_bytes(b"log")
        file.close()
    with life(place):
        assert (place / "state-1.db-wal").exists()
        file = RealDisk().open(str(place / "file"))
        file.write(0, b"x")
        file.close()
    with life(place):
        assert not (place / "state-1.db-wal").exists()


def test_files_are_written_as_before_when_it_is_over(tmp_path: Path) -> None:
    before = vars(RealFile)["write"]
    with life(tmp_path / "member"):
        assert vars(RealFile)["write"] is not before
    assert vars(RealFile)["write"] is before
