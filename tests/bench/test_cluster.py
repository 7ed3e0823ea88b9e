"""The bench of three members names, starts and counts three members."""

from pathlib import Path

from tests.bench.cells import chosen
from tests.bench.cluster import Company, Seat, cells
from tests.bench.servers import Place, metric, trine


def test_each_member_is_told_of_all_three(tmp_path: Path) -> None:
    company = Company.of(trine(), tmp_path)
    names = [member.place.name for member in company.members]
    assert names == ["m0", "m1", "m2"]
    told = {flag for one in company.members for flag in one.place.flags if "-cluster=" in flag}
    (initial,) = told
    ports = [member.place.peer_port for member in company.members]
    assert initial == "--initial-cluster=" + ",".join(
        f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)
    )
    assert len({member.place.directory for member in company.members}) == 3


def test_a_member_alone_is_its_own_initial_cluster(tmp_path: Path) -> None:
    flags = Place(directory=tmp_path, client_port=1, peer_port=2).flags
    assert "--initial-cluster=default=http://127.0.0.1:2" in flags


def test_followers_are_asked_to_read_and_to_pass_on() -> None:
    assert [cell.name for cell in cells(10, leads=False)] == [
        f"{operation}-follower/512/{shape}"
        for operation in ("range", "put")
        for shape in ("1x1", "16x16", "64x4")
    ]


def test_leaders_are_asked_everything() -> None:
    names = {cell.name.split("/")[0] for cell in cells(10, leads=True)}
    assert names == {"range", "put", "create", "update"}
    assert not chosen(cells(10, leads=True), ["range-follower/*"])


def test_a_metric_is_summed_over_its_labels() -> None:
    page = '# TYPE m counter\nm{To="1"} 2\nm{To="2"} 3\nmm 100\n'
    assert metric(page, "m") == 5
    assert metric(page, "absent") == 0


def test_a_company_that_lost_a_member_has_ended(tmp_path: Path) -> None:
    seat = Seat(Company.of(trine(), tmp_path), leads=True)
    assert seat.has_ended()
    assert seat.pids == ""
