"""The bench compares what it says it compares."""

from pathlib import Path

import attrs
import pytest

from tests.bench.cells import all_cells, chosen
from tests.bench.generator import GeneratorFailed, Sample, arguments
from tests.bench.report import page, rate, ratio, table, whole_text
from tests.bench.results import Results, Row, compare


def row(server: str, per_second: float, p99_us: float, *, turn: int = 0, errors: int = 0) -> Row:
    return Row(
        cell="put/512/1x1",
        server=server,
        unit="requests",
        round=turn,
        per_second=per_second,
        p50_us=100,
        p99_us=p99_us,
        max_us=2 * p99_us,
        server_cpu_us=40,
        server_cores=1,
        client_cpu_us=4,
        client_cores=0.1,
        foreign_cores=0,
        errors=errors,
        first_error="lost" if errors else "",
    )


def results(*rows: Row) -> Results:
    return Results(facts={"date": "today"}, rows=rows, singles={"memory": {"etcd": 3.0}})


def test_ratios_are_of_the_medians_over_rounds() -> None:
    peer = [row("etcd", each, 1000, turn=i) for i, each in enumerate((90, 100, 500))]
    ours = [row("trine", each, 500, turn=i) for i, each in enumerate((10, 250, 300))]
    (one,) = compare(results(*peer, *ours))
    assert one.throughput_ratio("trine", "etcd") == 2.5
    assert one.p99_ratio("trine", "etcd") == 0.5


def test_a_cell_that_one_server_failed_has_no_ratio() -> None:
    (one,) = compare(results(row("etcd", 100, 1000)))
    assert one.throughput_ratio("trine", "etcd") is None


def test_an_error_of_any_reply_shows_in_the_table_and_below_it() -> None:
    found = results(row("etcd", 100, 1000), row("trine", 300, 10, errors=2))
    assert "300 (2 ERRORS)" in table(found)[1]
    assert "ERRORS trine put/512/1x1: 2, first: lost" in whole_text(found)


def test_results_come_back_from_their_file_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    found = results(row("etcd", 100, 1000), row("trine", 300, 10))
    found.save(path)
    assert whole_text(Results.load(path)) == whole_text(found)


def test_the_page_draws_one_ratio_bar_a_panel_for_each_cell() -> None:
    found = page(results(row("etcd", 100, 1000), row("trine", 300, 10)))
    assert found.count("put/512/1x1") == 3  # two plots and the table
    assert "3.00x" in found


def test_the_page_draws_what_was_measured_once() -> None:
    singles = {"s to catch up": {"etcd": 0.5, "trine": 1.5}, "alone": {"generator": 9.0}}
    found = page(attrs.evolve(results(row("etcd", 1, 1), row("trine", 1, 1)), singles=singles))
    assert found.count("trine: 1.5") == found.count("etcd: 0.5") == 1
    assert "generator: 9" not in found


def test_heavy_cells_run_only_when_named() -> None:
    cells = all_cells(1000)
    assert not any(cell.heavy for cell in chosen(cells, []))
    assert [cell.name for cell in chosen(cells, ["list-10000/*/1x64"])] == ["list-10000/1024/1x64"]


def test_every_operation_has_every_shape_and_value_size() -> None:
    names = {cell.name for cell in all_cells(1000)}
    shapes = ("1x1", "1x64", "16x16", "64x4")
    for operation in ("range", "put", "create", "update"):
        assert {f"{operation}/{v}/{s}" for v in (512, 2048) for s in shapes} <= names
    assert {f"list-500/1024/{s}" for s in shapes} <= names


def test_a_fatal_line_of_the_generator_raises_its_text() -> None:
    with pytest.raises(GeneratorFailed, match="no SETTINGS"):
        Sample.from_line('{"fatal": "no SETTINGS from the server"}')


def test_lost_and_unanswered_count_as_errors() -> None:
    assert Sample(numbers={"errors": 1, "lost": 2, "unanswered": 3}).errors == 6


def test_options_become_flags() -> None:
    assert arguments({"compact_ms": 5, "prefix": "/a/"}) == ["--compact-ms", "5", "--prefix", "/a/"]


@pytest.mark.parametrize(
    ("n", "told"),
    [(12.34, "12.3"), (999, "999"), (28512, "28.5k"), (148_000, "148k"), (1.1e6, "1.10M")],
)
def test_rates_are_told_in_three_figures(n: float, told: str) -> None:
    assert rate(n) == told


def test_a_missing_ratio_is_a_dash() -> None:
    assert [ratio(None), ratio(2), ratio(123.4)] == ["-", "2.00x", "123x"]
