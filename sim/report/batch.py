"""A batch of seeds as one HTML file: what failed, how soon, what was met, what was slow.

Rule of this file: structure and words out of outcomes, in the order of their numbers; no script.
A mark that no seed hit stands first: what was never met was not tested.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from sim.report.page import POLICY, asset
from sim.runner_task import Outcome
from sim.wording import shown_line

BINS = 40
"""Columns of the heat map: each is so many seeds, in order."""
SLOWEST = 15
CLASSES_DRAWN = 30
_STRIP, _ROW, _LABEL = 900, 19, 300

_DARK = """<script>
if (matchMedia("(prefers-color-scheme: dark)").matches || location.hash === "#theme=dark")
  document.documentElement.dataset.theme = "dark";
</script>"""


def batch_page(
    outcomes: Sequence[Outcome], marks: Iterable[str] = (), *, title: str = "", elapsed_s: float = 0
) -> str:
    """Return the file. `marks`: all that a batch should hit, so that those never hit are named."""
    rows = sorted(outcomes, key=lambda each: each.number)
    failing = _by_class(rows)
    died = [each for each in rows if each.died]
    body = "".join(
        (
            f"<header><h1>{escape(title or 'Batch of seeds')}</h1>",
            _facts(rows, elapsed_s),
            _sum(rows, failing, died),
            "</header><main>",
            _failures(rows, failing),
            _first(rows, failing),
            _heat(rows, marks),
            _slowest(rows),
            _died(died),
            "</main>",
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title or 'Batch of seeds')}</title>\n<style>\n{asset('run.css')}</style>"
        f"{_DARK}</head>\n<body>{body}</body></html>\n"
    )


def _by_class(rows: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return the failing outcomes of each class, those with the most first."""
    found: dict[str, list[Outcome]] = {}
    for row in rows:
        for klass in dict.fromkeys(each.klass for each in row.found):
            found.setdefault(klass, []).append(row)
    return dict(sorted(found.items(), key=lambda each: (-len(each[1]), each[0])))


def _facts(rows: Sequence[Outcome], elapsed_s: float) -> str:
    hours = sum(each.simulated_ms for each in rows) / 3_600_000
    calls, oks = sum(each.calls for each in rows), sum(each.oks for each in rows)
    infos, faults = sum(each.infos for each in rows), sum(each.faults for each in rows)
    words = [
        f"{len(rows):,} seeds",
        f"{hours:,.1f} hours simulated",
        f"{calls:,} operations: {oks:,} ok, {infos:,} unknown, {calls - oks - infos:,} refused",
        f"{faults:,} faults",
    ]
    if elapsed_s > 0:
        words.append(f"{len(rows) / elapsed_s:.1f} runs/s over {elapsed_s:,.0f} s")
    return f'<p class="facts">{" · ".join(words)}</p>'


def _sum(
    rows: Sequence[Outcome], failing: Mapping[str, list[Outcome]], died: Sequence[Outcome]
) -> str:
    """Return the result in one box."""
    failed = sum(bool(each.found) for each in rows)
    if not failed and not died:
        return (
            '<section class="verdict clean" id="sum"><h2>Nothing is wrong</h2>'
            f"<p>All checks passed in all {len(rows):,} seeds.</p></section>"
        )
    words = [f"{failed:,} of {len(rows):,} seeds failed, in {len(failing):,} classes"]
    words += [f"{len(died):,} seeds told nothing"] if died else []
    return f'<section class="verdict" id="sum"><h2>{"; ".join(words)}</h2></section>'


def _failures(rows: Sequence[Outcome], failing: Mapping[str, list[Outcome]]) -> str:
    """Return a row for each class: how many, the first, its words, how to see it again."""
    if not failing:
        return ""
    most = max(len(each) for each in failing.values())
    lines: list[str] = []
    for klass, failed in failing.items():
        first = failed[0]
        found = next(each for each in first.found if each.klass == klass)
        runs_to = sum(each.number <= first.number for each in rows)
        words = f"{shown_line(found.words)} {shown_line(found.why)}"
        lines.append(
            f"<tr><td><b>{escape(klass)}</b><br><span class='none'>{escape(words)}</span></td>"
            f'<td class="number">{len(failed):,}</td><td>{_bar(len(failed), most, "error")}</td>'
            f'<td class="number">{first.seed}</td><td class="number">{runs_to:,}</td>'
            f"<td><code>{escape(_replay(first))}</code></td></tr>"
        )
    return (
        '<h2>Failures by class</h2><div class="scrolls"><table id="failures"><tr><th>class</th>'
        '<th class="number">seeds</th><th></th><th class="number">first</th>'
        '<th class="number">runs to it</th><th>again</th></tr>' + "".join(lines) + "</table></div>"
    )


def _first(rows: Sequence[Outcome], failing: Mapping[str, list[Outcome]]) -> str:
    """Return a strip a class: a tick a failing run, in the order of the batch."""
    if not failing:
        return ""
    shown = list(failing.items())[:CLASSES_DRAWN]
    place = {row.number: n for n, row in enumerate(rows)}
    high = _ROW * len(shown) + 24
    parts: list[str] = []
    for n, (klass, failed) in enumerate(shown):
        y = n * _ROW
        ticks = "".join(
            f"M{_LABEL + _STRIP * place[each.number] / len(rows):.1f} {y + 3}v{_ROW - 6}"
            for each in failed
        )
        first = _LABEL + _STRIP * place[failed[0].number] / len(rows)
        parts.append(
            f'<text x="{_LABEL - 10}" y="{y + 13}" text-anchor="end">{escape(klass)}</text>'
            f'<rect x="{_LABEL}" y="{y + 2}" width="{_STRIP}" height="{_ROW - 4}" '
            f'fill="var(--panel)"/><path d="{ticks}" stroke="var(--error)" stroke-width="1.6"/>'
            f'<circle cx="{first:.1f}" cy="{y + _ROW / 2}" r="4.5" fill="var(--paper)" '
            'stroke="var(--error)" stroke-width="2"/>'
        )
    more = len(failing) - len(shown)
    note = f"<p>{more} classes more, rarer than these.</p>" if more else ""
    return (
        "<h2>Seeds to the first failure</h2>"
        '<p class="facts">From the first run to the last; a circle is the first failure.</p>'
        f"{_svg('first', high, parts, _axis(len(rows), high))}{note}"
    )


def _heat(rows: Sequence[Outcome], marks: Iterable[str]) -> str:
    """Return a row a mark and a column a part of the batch; darker is met by more of its seeds."""
    hits: Counter[str] = Counter(dict.fromkeys(marks, 0))
    for row in rows:
        hits.update({name: 1 for name, count in row.marks.items() if count})
    if not hits or not rows:
        return ""
    ordered = sorted(hits.items(), key=lambda each: (each[1], each[0]))
    bins = min(BINS, len(rows))
    width = (_STRIP - 70) / bins
    sizes = Counter(n * bins // len(rows) for n in range(len(rows)))
    met: Counter[tuple[str, int]] = Counter()
    for n, row in enumerate(rows):
        met.update((name, n * bins // len(rows)) for name, count in row.marks.items() if count)
    high = _ROW * len(ordered) + 24
    parts: list[str] = []
    for n, (name, count) in enumerate(ordered):
        y = n * _ROW
        colour = ' style="fill:var(--error);font-weight:700"' if not count else ""
        parts.append(
            f'<text x="{_LABEL - 10}" y="{y + 13}" text-anchor="end"{colour}>'
            f"{escape(shown_line(name, 60))}</text>"
        )
        cells = "".join(
            f'<rect x="{_LABEL + part * width:.1f}" y="{y + 1}" width="{width - 0.6:.1f}" '
            f'height="{_ROW - 2}" opacity="{0.12 + 0.88 * met[name, part] / sizes[part]:.2f}"/>'
            for part in range(bins)
            if met[name, part]
        )
        said = f"{count:,}" if count else "never"
        parts.append(
            f'<rect x="{_LABEL}" y="{y + 1}" width="{_STRIP - 70}" height="{_ROW - 2}" '
            f'fill="var(--panel)"/><g fill="var(--ok)">{cells}</g>'
            f'<text x="{_LABEL + _STRIP}" y="{y + 13}" text-anchor="end"{colour}>{said}</text>'
        )
    never = sum(not count for count in hits.values())
    words = f"{len(hits) - never} of {len(hits)} were met." + (
        " The others stand first." if never else ""
    )
    return (
        f'<h2>Marks: what happened sometimes</h2><p class="facts">{words} A column is a part of '
        "the batch, in order; stronger is in more of its seeds; the number is of seeds.</p>"
        f"{_svg('marks', high, parts, _axis(len(rows), high, _STRIP - 70))}"
    )


def _slowest(rows: Sequence[Outcome]) -> str:
    """Return the seeds that took longest."""
    slow = sorted(rows, key=lambda each: (-each.took_ms, each.seed))[:SLOWEST]
    if not slow:
        return ""
    most = max(slow[0].took_ms, 1)
    lines = "".join(
        f'<tr><td class="number">{each.seed}</td><td class="number">{each.took_ms:,} ms</td>'
        f'<td>{_bar(each.took_ms, most, "ok")}</td><td class="number">{each.calls:,}</td>'
        f'<td class="number">{each.faults:,}</td></tr>'
        for each in slow
    )
    return (
        '<h2>Slowest seeds</h2><table id="slowest"><tr><th class="number">seed</th>'
        '<th class="number">took</th><th></th><th class="number">operations</th>'
        f'<th class="number">faults</th></tr>{lines}</table>'
    )


def _died(died: Sequence[Outcome]) -> str:
    """Return the seeds of which nothing is known but why."""
    if not died:
        return ""
    lines = "".join(
        f'<tr><td class="number">{each.seed}</td><td>{escape(shown_line(each.died))}</td></tr>'
        for each in died
    )
    return f'<h2>Seeds that told nothing</h2><table id="died">{lines}</table>'


def _bar(value: int, most: int, colour: str) -> str:
    width = max(2, 160 * value // max(most, 1))
    return (
        f'<div style="width:{width}px;height:11px;margin-top:5px;background:var(--{colour})"></div>'
    )


def _svg(name: str, high: int, parts: Iterable[str], axis: str) -> str:
    wide = _LABEL + _STRIP + 10
    return (
        f'<svg id="{name}" viewBox="0 0 {wide} {high}" width="{wide}" role="img" '
        f'aria-label="{name}">{"".join(parts)}{axis}</svg>'
    )


def _axis(count: int, high: int, strip: int = _STRIP) -> str:
    """Return the numbers of runs along the bottom."""
    return "".join(
        f'<text x="{_LABEL + strip * n / 5:.0f}" y="{high - 6}" text-anchor="middle">'
        f"{count * n // 5:,}</text>"
        for n in range(6)
    )


def _replay(outcome: Outcome) -> str:
    return f"trine sim replay {outcome.kept or outcome.seed} --html run.html"
