"""How long operations took over the run, with fault bands, as a drawing that needs no program.

Rule of this file: SVG text out of a history; one path for each outcome, however many points.
"""

from collections.abc import Callable
from math import log10
from typing import Final

from sim import wording
from sim.history import NEVER_US, History
from sim.menu import GROUPS, MENU
from sim.report import members

Scale = Callable[[int], float]

WIDTH, HEIGHT = 1160, 300
LEFT, RIGHT, TOP, BOTTOM = 76, 12, 26, 84
_FLOOR_US = 100
"""What is faster is drawn as that: the scale is logarithmic."""


def plot(history: History, end_us: int, focus_us: int | None) -> str:
    """Return the drawing: a dot an operation at its invocation, unknown outcomes on top."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    took = [call.returned_us - call.invoked_us for call in history.calls]
    most = max([each for each in took if each < NEVER_US // 2], default=_FLOOR_US)
    decades = max(1, _decades(most))

    def x(time_us: int) -> float:
        return round(LEFT + wide * min(time_us, end_us) / max(end_us, 1), 1)

    def y(took_us: int) -> float:
        part = log10(max(took_us, _FLOOR_US) / _FLOOR_US) / decades
        return round(TOP + high * (1 - part), 1)

    parts = [
        f'<svg id="latency" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" data-left="{LEFT}" '
        f'data-wide="{wide}" role="img" aria-label="time that operations took, over the run">'
    ]
    parts += _bands(history, end_us, x)
    for decade in range(decades + 1):
        took_us = _FLOOR_US * 10**decade
        at = y(took_us)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" stroke="var(--line)"/>'
            f'<text x="{LEFT - 8}" y="{at + 4}" text-anchor="end">{_duration(took_us)}</text>'
        )
    for place in range(11):
        time_us = end_us * place // 10
        parts.append(
            f'<text x="{x(time_us)}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">'
            f"{time_us / 1e6:.{1 if end_us < 20_000_000 else 0}f} s</text>"
        )
    parts += _dots(history, x, y)
    if focus_us is not None:
        parts.append(
            f'<line x1="{x(focus_us)}" x2="{x(focus_us)}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" '
            'stroke="var(--error)" stroke-width="2" stroke-dasharray="6 4"/>'
            f'<text x="{x(focus_us) + 4}" y="{TOP + 11}" style="fill:var(--error)">error</text>'
        )
    return "".join([*parts, "</svg>"])


def _dots(history: History, x: Scale, y: Scale) -> list[str]:
    """Return one path an outcome; unknown ones have no time and stand in a row on top."""
    paths: dict[str, list[str]] = {"ok": [], "fail": [], "info": []}
    for call in history.calls:
        outcome = wording.outcome(call.result)
        took = call.returned_us - call.invoked_us
        at = y(took) if call.returned_us < NEVER_US else TOP - 12
        paths[outcome].append(f"M{x(call.invoked_us):g} {at:g}h0")
    return [
        f'<path d="{"".join(path)}" stroke="var(--{outcome})" stroke-width="4" '
        f'stroke-linecap="round" opacity=".75" class="dots-{outcome}"/>'
        + (
            f'<text x="{LEFT - 8}" y="{TOP - 8}" text-anchor="end">unknown</text>'
            * (outcome == "info")
        )
        for outcome, path in paths.items()
        if path
    ]


def _bands(history: History, end_us: int, x: Scale) -> list[str]:
    """Return the faults below the plot: a row for each group that there was."""
    bands = [(band, group_of(band.what)) for band in members.bands(history.faults, end_us)]
    rows = [group for group in (*GROUPS, "other") if any(each == group for _, each in bands)]
    parts: list[str] = []
    for n, group in enumerate(rows):
        y = HEIGHT - BOTTOM + 22 + n * 8
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 7}" text-anchor="end" class="small">{group}</text>'
        )
        for band, of in bands:
            if of == group:
                width = max(x(band.end_us) - x(band.begin_us), 1.5)
                parts.append(
                    f'<rect x="{x(band.begin_us)}" y="{y}" width="{width:.1f}" height="6" '
                    f'fill="var(--f-{group})"><title>{_escaped(band.what)}</title></rect>'
                )
    return parts


OF_REAL: Final = {
    "kill": "process",
    "pause": "process",
    "stop": "process",
    "partition": "partition",
    "loss": "message",
    "rate": "message",
    "delay": "message",
    "clock": "clock",
    "disk": "disk",
    "corrupt": "disk",
    "member": "operations",
    "admin": "operations",
    "upgrade": "operations",
}
"""Groups of what is done to real processes."""


def group_of(what: str) -> str:
    """Return the group of a fault by its name."""
    return MENU[what].group if what in MENU else OF_REAL.get(what, "other")


def _decades(most_us: int) -> int:
    """Return how many powers of ten the scale has above its floor."""
    count = 0
    while _FLOOR_US * 10**count < most_us:
        count += 1
    return count


def _duration(time_us: int) -> str:
    if time_us >= 1_000_000:
        return f"{time_us // 1_000_000} s"
    return f"{time_us / 1000:g} ms"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
