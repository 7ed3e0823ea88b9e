"""How many operations a second came to what end, over the run, with the faults behind them.

Rule of this file: SVG text out of a history; one path for each outcome, however long the run.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from sim import wording
from sim.history import NEVER_US, History
from sim.report import members
from sim.report.latency import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Scale, group_of

HEIGHT: Final = 210
_OUTCOMES: Final = ("ok", "fail", "info")
_WORDS: Final = {"ok": "answered", "fail": "refused", "info": "unknown"}


def plot(history: History, end_us: int) -> str:
    """Return the drawing: a column a second, stacked; bands behind them are faults."""
    seconds = max(1, -(-end_us // 1_000_000))
    counts = _counts(history, seconds)
    most = max([sum(column) for column in zip(*counts.values(), strict=True)], default=0) or 1
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM // 2
    step = wide / (end_us / 1e6)

    def x(time_us: int) -> float:
        return round(LEFT + wide * min(time_us, end_us) / max(end_us, 1), 1)

    parts = [
        f'<svg id="rate" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        'aria-label="operations a second, over the run">'
    ]
    for band in members.bands(history.faults, end_us):
        begin, until = x(band.begin_us), x(band.end_us)
        parts.append(
            f'<rect x="{begin}" y="{TOP}" width="{max(until - begin, 1.5):.1f}" height="{high}" '
            f'fill="var(--f-{group_of(band.what)})" opacity=".22">'
            f"<title>{escape(_said(band))}</title></rect>"
        )
    for part in (0.0, 0.5, 1.0):
        at = round(TOP + high * (1 - part), 1)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" stroke="var(--line)"/>'
            f'<text x="{LEFT - 8}" y="{at + 4}" text-anchor="end">{most * part:.0f}/s</text>'
        )
    below = [0] * seconds
    for outcome in _OUTCOMES:
        path = "".join(
            f"M{LEFT + step * (n + 0.5):.1f} {TOP + high * (1 - below[n] / most):.1f}"
            f"v{-high * count / most:.1f}"
            for n, count in enumerate(counts[outcome])
            if count
        )
        below = [low + count for low, count in zip(below, counts[outcome], strict=True)]
        if path:
            parts.append(
                f'<path d="{path}" stroke="var(--{outcome})" stroke-width="{step * 0.8:.1f}" '
                f'class="rate-{outcome}"/>'
            )
    parts += _axis(end_us, TOP + high + 15, x)
    parts += _legend(counts)
    return "".join([*parts, "</svg>"])


def _counts(history: History, seconds: int) -> dict[str, list[int]]:
    """Return, by outcome, how many operations ended in each second; unknown ones when asked."""
    found: dict[str, Counter[int]] = {outcome: Counter() for outcome in _OUTCOMES}
    for call in history.calls:
        at_us = call.returned_us if call.returned_us < NEVER_US else call.invoked_us
        found[wording.outcome(call.result)][min(at_us // 1_000_000, seconds - 1)] += 1
    return {outcome: [found[outcome][n] for n in range(seconds)] for outcome in _OUTCOMES}


def silence(history: History) -> tuple[int, int]:
    """Return the longest time without an answer while clients were busy: from, to."""
    ends = sorted(
        call.returned_us
        for call in history.calls
        if wording.outcome(call.result) == "ok" and call.returned_us <= history.healed_us
    )
    times = [0, *ends]
    gaps = [(after - before, before) for before, after in zip(times, ends, strict=False)]
    length, begin = max(gaps, default=(0, 0))
    return begin, begin + length


def _said(band: members.Band) -> str:
    whom = ", ".join(f"m{number}" for number in band.members)
    return f"{band.what} {whom} {band.detail}".strip()


def _axis(end_us: int, y: float, x: Scale) -> list[str]:
    digits = 1 if end_us < 20_000_000 else 0
    return [
        f'<text x="{x(end_us * place // 10)}" y="{y}" text-anchor="middle">'
        f"{end_us * place / 1e7:.{digits}f} s</text>"
        for place in range(11)
    ]


def _legend(counts: Mapping[str, Sequence[int]]) -> list[str]:
    parts: list[str] = []
    at = LEFT
    for outcome in _OUTCOMES:
        if any(counts[outcome]):
            words = f"{_WORDS[outcome]} {sum(counts[outcome]):,}"
            parts.append(
                f'<rect x="{at}" y="6" width="12" height="10" fill="var(--{outcome})"/>'
                f'<text x="{at + 17}" y="15">{words}</text>'
            )
            at += 40 + 7 * len(words)
    return parts
