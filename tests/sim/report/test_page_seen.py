"""A run's page as a person has it: in a browser, by pointer and keys, in light and in dark.

The rule of this file: what is asserted is what one needs in order to find an error: that it is in
sight, marked, named, with what was asked, told and traced around it.
"""

from pathlib import Path

import pytest

from sim.report.page import page
from tests.browser import Document, Shot, after_scripts, screenshot
from tests.made_runs import MadeRun, made_run, picture

OK, INFO, FAIL, ERROR = (0, 114, 178), (230, 159, 0), (176, 88, 139), (213, 0, 79)
INK, PAPER, PARTITION, TERM_3, TERM_4 = (
    *((27, 31, 36), (255, 255, 255), (213, 94, 0)),
    *((246, 231, 241), (236, 236, 246)),
)
DARK_PAPER, DARK_OK, DARK_ERROR = (20, 23, 27), (74, 168, 224), (255, 92, 147)
PRESS = """<script>
for (const name of %r) {
  document.getElementById("scroll").dispatchEvent(new KeyboardEvent("keydown", {key: name}));
  draw();
  const said = document.createElement("samp");
  said.textContent = document.getElementById("window").textContent;
  document.body.append(said);
}
</script></body>"""


def test_a_failing_run_opens_at_its_first_error(tmp_path: Path) -> None:
    run = made_run(wrong="stale-read")
    seen = after_scripts(written(run, tmp_path), tmp_path)
    assert seen.one("html").attributes["data-ready"] == "yes"
    read = run.verdicts[0].calls[-1]
    detail = seen.one("div", id="detail").text
    assert f"operation {read}: get /registry/k2" in detail
    assert "ok: /registry/k2 = v" in detail
    assert "revision 121" in detail
    assert "trace of members around it" in detail
    assert "m1 turn term=4" in detail
    begin, end = window(seen)
    assert begin < run.verdicts[0].time_us / 1e6 < end
    assert end - begin < 2


def test_the_error_and_both_operations_in_conflict_are_marked(tmp_path: Path) -> None:
    shot = screenshot(written(made_run(wrong="stale-read"), tmp_path), tmp_path, "theme=light")
    lanes = board(shot)
    assert shot.colours(lanes)[ERROR] > 1_000
    marked = runs(shot.rows_with(ERROR, lanes), gap=30)
    assert len(marked) == 2
    assert shot.colours(lanes)[OK] > 1_500


def test_a_whole_run_shows_outcomes_terms_leader_faults_and_the_end(tmp_path: Path) -> None:
    run = made_run()
    path = written(run, tmp_path)
    shot = screenshot(path, tmp_path, "theme=light&show=all")
    seen = shot.colours(board(shot))
    missing = [
        colour for colour in (OK, INFO, FAIL, INK, PARTITION, TERM_3, TERM_4) if seen[colour] < 60
    ]
    assert not missing
    assert seen[ERROR] < 60
    begin, end = window(after_scripts(path, tmp_path, "show=all"))
    assert begin == 0
    assert end == pytest.approx(run.history.ended_us / 1e6, rel=0.1)


def test_dark_is_dark(tmp_path: Path) -> None:
    shot = screenshot(written(made_run(wrong="stale-read"), tmp_path), tmp_path, "theme=dark")
    seen = shot.colours()
    assert seen.most_common(1)[0][0] == DARK_PAPER
    assert seen[DARK_OK] > 3_000
    assert seen[DARK_ERROR] > 1_000
    assert seen[PAPER] < 2_000


def test_e_leads_back_to_the_error_from_anywhere(tmp_path: Path) -> None:
    run = made_run(wrong="stale-read")
    lost = after_scripts(written(run, tmp_path), tmp_path, "from=2&to=3")
    assert window(lost)[1] < 4
    found = after_scripts(written(run, tmp_path, press=["e"]), tmp_path, "from=2&to=3")
    begin, end = window(found)
    assert begin < run.verdicts[0].time_us / 1e6 < end


def test_n_walks_to_the_clients_next_operation(tmp_path: Path) -> None:
    run = made_run(wrong="stale-read")
    read = run.history.calls[run.verdicts[0].calls[-1]]
    after = next(
        each
        for each in run.history.calls
        if each.process == read.process and each.invoked_us > read.invoked_us
    )
    seen = after_scripts(written(run, tmp_path, press=["n"]), tmp_path)
    assert seen.one("div", id="detail").text.startswith(f"operation {after.number}: ")


def test_keys_zoom_from_the_whole_run_to_ten_milliseconds(tmp_path: Path) -> None:
    run = made_run(wrong="stale-read")
    seen = after_scripts(written(run, tmp_path, press=list("12345")), tmp_path)
    windows = [each.text.split() for each in seen.all("samp")]
    widths = [float(words[2]) - float(words[0]) for words in windows]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 60
    assert widths[-1] < 0.05


def test_a_lost_watch_event_is_marked_at_its_watcher(tmp_path: Path) -> None:
    run = made_run(wrong="lost-event")
    path = written(run, tmp_path)
    seen = after_scripts(path, tmp_path)
    assert seen.one("div", id="detail").text.startswith("watcher 1: watch /registry/*")
    shot = screenshot(path, tmp_path, "theme=light")
    assert shot.colours(board(shot))[ERROR] > 1_000


def test_a_large_run_draws_no_more_arrows_than_can_be_told_apart(tmp_path: Path) -> None:
    run = made_run(operations=3000, wrong="stale-read")
    seen = after_scripts(written(run, tmp_path), tmp_path, "show=all")
    assert "zoom in to see them" in seen.one("output", id="window").text
    near = after_scripts(written(run, tmp_path), tmp_path)
    assert "zoom in to see them" not in near.one("output", id="window").text


def written(run: MadeRun, place: Path, press: list[str] | None = None) -> Path:
    """Write a run's page; on wish with a script that presses keys when it is ready."""
    text = page(picture(run))
    if press is not None:
        text = text.replace("</body>", PRESS % press)
    path = place / "run.html"
    path.write_text(text, encoding="utf-8")
    return path


def window(seen: Document) -> tuple[float, float]:
    """Return from when to when the picture shows the run, in seconds."""
    words = seen.one("output", id="window").text.split()
    return float(words[0]), float(words[2])


def board(shot: Shot) -> tuple[int, int, int, int]:
    """Return the box of the lanes: below the verdict, left of the overview."""
    return 100, shot.height * 45 // 100, shot.width - 200, shot.height * 50 // 100


def runs(rows: list[int], gap: int) -> list[list[int]]:
    """Return rows in groups that lie further apart than a gap."""
    groups: list[list[int]] = []
    for row in rows:
        if groups and row - groups[-1][-1] <= gap:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups
