"""The files that tell who the cluster is: written when it changes, whole, in the safe order."""

from collections.abc import Callable
from pathlib import Path

import attrs
import trio
import trio.testing

from net.telemetry import Logger, Sink
from server.bulletin import Bulletin
from server.clustering import Joined, KnownMember
from server.config import Config
from tests.configured import configured

ME = KnownMember(7, "m", ("https://127.0.0.1:1",))
OTHER = KnownMember(8, "o", ("https://127.0.0.2:1",), is_learner=True, role=1)


@attrs.define
class World:
    """A bulletin with its member, and what came of it."""

    data_dir: Path
    members: tuple[KnownMember, ...] = (ME,)
    is_full: bool = False
    writes: int = 0
    lines: list[str] = attrs.field(factory=list[str])
    told: list[tuple[tuple[str, ...], Callable[[str], None]]] = attrs.field(
        factory=list[tuple[tuple[str, ...], Callable[[str], None]]]
    )

    def bulletin(self, given: Config | None = None) -> Bulletin:
        return Bulletin(
            Known(self),
            given or config(self.data_dir),
            Logger(Sink(write=self.lines.append, now_ns=lambda: 0)),
            tell=lambda urls, then: self.told.append((urls, then)),
            in_thread=self.in_thread,
        )

    async def in_thread(self, call: Callable[[], None]) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.writes += 1
        call()

    def text(self, name: str) -> str:
        return (self.data_dir / name).read_text()


@attrs.frozen
class Known:
    """What a bulletin sees of the member."""

    world: World
    member_id: int = 7

    def members(self) -> tuple[KnownMember, ...]:
        return self.world.members


def config(data_dir: Path, *, is_dqlites: bool = True) -> Config:
    return attrs.evolve(
        configured(f"--data-dir={data_dir}"),
        is_dqlites=is_dqlites,
        advertise_peer=("https://127.0.0.1:1",),
    )


def test_what_the_cluster_is_stands_in_both_files(tmp_path: Path) -> None:
    here = World(tmp_path, (ME, OTHER))
    trio.run(here.bulletin().look)
    assert here.text("info.yaml") == "ID: 7\nAddress: 127.0.0.1:1\nRole: 0\n"
    assert here.text("cluster.yaml") == (
        "- ID: 7\n  Address: 127.0.0.1:1\n  Role: 0\n- ID: 8\n  Address: 127.0.0.2:1\n  Role: 1\n"
    )
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600, 0o600]


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    here = World(tmp_path)
    bulletin = here.bulletin()
    trio.run(bulletin.look)
    trio.run(bulletin.look)
    assert here.writes == 1
    here.members = (ME, OTHER)
    trio.run(bulletin.look)
    assert here.writes == 2


def test_what_asked_for_a_start_goes_once_the_answer_is_written(tmp_path: Path) -> None:
    for name in ("init.yaml", "update.yaml", "join"):
        (tmp_path / name).touch()
    here = World(tmp_path)
    trio.run(here.bulletin().look)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster.yaml", "info.yaml"]


def test_a_member_that_is_not_in_the_cluster_yet_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "init.yaml").touch()
    here = World(tmp_path, (OTHER,))
    trio.run(here.bulletin().look)
    assert [path.name for path in tmp_path.iterdir()] == ["init.yaml"]


def test_a_full_disk_is_told_once_and_tried_again(tmp_path: Path) -> None:
    here = World(tmp_path, is_full=True)
    bulletin = here.bulletin()
    trio.run(bulletin.look)
    trio.run(bulletin.look)
    assert len(here.lines) == 1
    assert "cannot write cluster.yaml and info.yaml yet" in here.lines[0]
    here.is_full = False
    trio.run(bulletin.look)
    assert here.writes == 1


def test_a_member_that_moved_tells_until_it_is_known(tmp_path: Path) -> None:
    moved = attrs.evolve(ME, peer_urls=("https://10.0.0.1:1",))
    here = World(tmp_path, (moved,))
    bulletin = here.bulletin()
    trio.run(bulletin.look)
    trio.run(bulletin.look)
    assert [urls for urls, _ in here.told] == [("https://127.0.0.1:1",)]
    here.told[0][1]("no leader")
    trio.run(bulletin.look)
    assert len(here.told) == 2
    here.told[1][1]("")
    here.members = (ME,)
    trio.run(bulletin.look)
    assert len(here.told) == 2
    assert "no leader" in here.lines[0]
    assert "the cluster knows the new address of this member" in here.lines[1]


def test_a_directory_of_another_form_has_no_such_files(tmp_path: Path) -> None:
    here = World(tmp_path)
    trio.run(here.bulletin(config(tmp_path, is_dqlites=False)).run)
    assert list(tmp_path.iterdir()) == []


def test_a_member_of_etcds_way_forgets_how_it_joined_once_it_heard_of_itself(
    tmp_path: Path,
) -> None:
    (tmp_path / "join").touch()
    here = World(tmp_path, (OTHER,))
    joined = attrs.evolve(config(tmp_path, is_dqlites=False), joined=Joined(1, 7, ()))
    bulletin = here.bulletin(joined)
    trio.run(bulletin.look)
    assert (tmp_path / "join").exists()
    here.members = (ME, OTHER)
    trio.run(bulletin.run, clock=trio.testing.MockClock(autojump_threshold=0))
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_file_of_an_earlier_life_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "info.yaml.new").write_text("x" * 1000)
    here = World(tmp_path)
    trio.run(here.bulletin().look)
    assert here.text("info.yaml") == "ID: 7\nAddress: 127.0.0.1:1\nRole: 0\n"
