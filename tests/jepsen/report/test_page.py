"""The page of a run of real processes: what it says, that it fetches nothing, and how it looks."""

from pathlib import Path

from attrs import evolve

from jepsen.judge import judge
from jepsen.report.page import SHOWN, Report, page, write_page
from jepsen.report.rate import plot, silence
from jepsen.schedule import make_plan
from jepsen.workloads.catalogue import named
from sim.history import History
from tests.browser import Document, after_scripts, screenshot
from tests.little_etcd import Load, little_run, struck

ERROR, OK, PARTITION, PROCESS, LEAD = (
    (213, 0, 79), (0, 114, 178), (213, 94, 0), (57, 65, 74), (27, 31, 36),
)  # fmt: skip
LOAD = Load("register,watch", duration_ms=6_000, rate=80)


def report(load: Load = LOAD, history: History | None = None, **faults: int | bool) -> Report:
    """Return a report of a little run."""
    history = history or little_run(load, **faults)
    judgement = judge(history, [each.name for each in named(load.workload)])
    pulse = [
        f"{at_us} m{member} turn term=3 lead={int(member == 1)} commit=9 applied=9 rev={at_us}"
        for at_us in range(500_000, history.ended_us, 500_000)
        for member in range(load.members)
    ]
    return Report(
        make_plan(1, load), history, judgement, pulse, {"m0": "one line\n<b>an error</b>"},
        "trine jepsen run --seed 1",
    )  # fmt: skip


def written(shown: Report, place: Path) -> Path:
    """Write a page."""
    path = place / "index.html"
    path.write_text(page(shown), encoding="utf-8")
    return path


def read(shown: Report, place: Path) -> Document:
    """Return the page as a browser has it when its scripts have run."""
    return after_scripts(written(shown, place), place)


def test_a_clean_run_says_so_in_a_cell_for_each_check(tmp_path: Path) -> None:
    seen = read(report(), tmp_path)
    assert seen.one("h1").text == "a little etcd: passed"
    table = seen.one("table", id="verdicts").text
    assert "register" in table
    assert "whole cluster" in table
    assert "✖" not in table
    assert seen.one("html").attributes["data-ready"] == "yes"


def test_a_failed_run_names_the_first_failure_and_opens_there(tmp_path: Path) -> None:
    seen = read(report(lag_us=50_000), tmp_path)
    assert seen.one("h1").text.startswith("a little etcd: linear/stale-read at ")
    assert "stale-read" in seen.one("table", id="verdicts").text
    detail = seen.one("div", id="detail").text
    assert detail.startswith("operation ")
    assert "fits nowhere" not in detail


def test_a_flood_of_findings_stands_behind_a_line() -> None:
    shown = report(evolve(LOAD, workload="all", rate=150), forgets_us=3_000_000)
    assert len(shown.judgement.findings) > SHOWN
    more = len(shown.judgement.findings) - SHOWN
    assert f"{more} more, later than these" in page(shown)


def test_nothing_is_fetched_and_no_text_escapes(tmp_path: Path) -> None:
    text = page(report())
    assert "default-src 'none'" in text
    assert "http://" not in text.replace("http://10.", "")
    assert "&lt;b&gt;an error&lt;/b&gt;" in text
    assert "<b>an error" not in text


def test_the_command_the_logs_and_every_fault_are_there(tmp_path: Path) -> None:
    history = struck(little_run(LOAD))
    seen = read(report(history=history), tmp_path)
    assert seen.one("pre", id="replay").text == "trine jepsen run --seed 1"
    assert "partition" in seen.one("table", id="faults").text
    assert "All 4 faults" in page(report(history=history))


def test_five_members_with_faults_are_drawn_with_bands_and_a_leader(tmp_path: Path) -> None:
    load = evolve(LOAD, members=5)
    path = written(report(load, struck(little_run(load))), tmp_path)
    shot = screenshot(path, tmp_path, "theme=light&show=all", size="1500,1400")
    seen = shot.colours()
    few = {colour: seen[colour] for colour in (OK, PARTITION, PROCESS, LEAD) if seen[colour] < 60}
    assert not few
    assert seen[ERROR] < 60


def test_a_failure_is_marked_in_the_picture(tmp_path: Path) -> None:
    path = written(report(lag_us=50_000), tmp_path)
    shot = screenshot(path, tmp_path, "theme=light", size="1500,1400")
    assert shot.colours()[ERROR] > 1_000


def test_the_rate_has_a_column_a_second_and_the_faults_behind() -> None:
    history = struck(little_run(LOAD))
    drawing = plot(history, history.ended_us)
    assert 'class="rate-ok"' in drawing
    assert "<title>partition m0, m2 drawn</title>" in drawing


def test_the_longest_silence_is_that_of_busy_clients() -> None:
    history = little_run(LOAD)
    begin, end = silence(history)
    assert 0 <= begin < end <= history.healed_us
    assert end - begin < 1_000_000


def test_a_page_is_written_of_what_a_run_left(tmp_path: Path) -> None:
    shown = report()
    (tmp_path / "members").mkdir()
    (tmp_path / "members" / "m0.log").write_text("x" * 50_000 + "\nthe last line\n")
    (tmp_path / "rerun").write_text("trine jepsen run --seed 9\n")
    path = write_page(tmp_path, shown.plan, shown.history, shown.judgement, notes=["no iptables"])
    text = path.read_text(encoding="utf-8")
    for words in ("trine jepsen run --seed 9", "the last line", "no iptables", "bytes before"):
        assert words in text
