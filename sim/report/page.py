"""A run as one HTML file: nothing is fetched, and nothing in it can leave its text.

Rule of this file: structure and words. What is wrong, the options, the marks and the command stand
in the page itself, for whoever runs no script; the picture is drawn by the script from the scene.
Every text goes through `escape` or `scene.packed`; a policy in the page forbids any fetch.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from attrs import asdict, evolve

from sim import wording
from sim.report.latency import plot
from sim.report.scene import (
    SIZE_BYTES_MAX,
    Picture,
    Wrong,
    duration_of,
    focus_of,
    left_out,
    packed,
    scene,
)
from sim.report.trace import parse_all

FOLDER = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_KEYS = (
    ("e", "first error"),
    ("1", "whole run"),
    ("2", "10 s"),
    ("3", "1 s"),
    ("4", "100 ms"),
    ("5", "10 ms"),
    ("+", "zoom in"),
    ("-", "zoom out"),
    ("n", "next operation of the client"),
    ("p", "the one before"),
)
_LEGEND = (
    ("var(--ok)", "operation ok; the circle is where it took effect"),
    ("linear-gradient(90deg, var(--info), var(--paper))", "outcome unknown"),
    (
        "repeating-linear-gradient(135deg, var(--fail) 0 4px, var(--fail-ink) 4px 5px)",
        "refused: proved not applied",
    ),
    (
        "linear-gradient(90deg,var(--term1) 33%,var(--term2) 33% 66%,var(--term3) 66%)",
        "a term; a thick line leads",
    ),
    ("repeating-linear-gradient(45deg, var(--down) 0 1px, var(--panel) 1px 5px)", "member is down"),
    ("var(--f-partition)", "partition"),
    ("var(--f-process)", "crash, pause"),
    ("var(--f-disk)", "disk"),
    ("var(--f-clock)", "clock"),
    ("var(--f-message)", "message fault"),
    ("var(--f-operations)", "operator's doing"),
    ("var(--f-client)", "client's doing"),
)


def page(picture: Picture, size_bytes_max: int = SIZE_BYTES_MAX) -> str:
    """Return the file. Raises TraceError for a trace that cannot be read."""
    wrongs = tuple(sorted(picture.wrongs, key=lambda each: (not each.is_violation, each.time_us)))
    picture = evolve(picture, wrongs=wrongs)
    seed = picture.plan.seed
    styles, scripts = (
        asset("run.css"),
        "".join(asset(name) for name in ("view.js", "draw.js", "touch.js")),
    )
    around = len(styles) + len(scripts) + 20 * len(picture.history.calls) + 30_000
    drawn = scene(picture, size_bytes_max - around)
    end = duration_of(picture.history, parse_all(picture.trace[-1:]))
    bug = picture.plan.options.bug
    title = f"seed {seed}" + (f" with planted bug {bug}" if bug else "")
    body = "".join(
        (
            f"<header><h1>{escape(title)}: {_sum(picture)}</h1>",
            _facts(picture, end),
            "".join(_wrong(place, each) for place, each in enumerate(picture.wrongs)),
            "" if picture.wrongs else _clean(picture),
            "</header><main>",
            board(left_out(drawn), bool(picture.wrongs)),
            "<h2>Run it again</h2>",
            f'<pre class="replay" id="replay">{escape(_replay(picture))}</pre>',
            "<h2>How long operations took</h2>",
            '<p class="facts">One dot an operation; bands are faults. Click to go there.</p>',
            plot(picture.history, end, focus_of(picture)),
            '<div class="columns"><section>',
            _table("Options", asdict(picture.plan.options), "options"),
            "</section><section>",
            _table("Marks: what happened sometimes", picture.marks, "marks"),
            "</section></div></main>",
        )
    )
    return frame(title, styles, body, packed(drawn), scripts)


def frame(title: str, styles: str, body: str, data: str, scripts: str) -> str:
    """Return a whole file around its parts."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{styles}</style></head>\n<body>{body}\n"
        f'<script type="application/json" id="scene">{data}</script>\n'
        f"<script>\n{scripts}</script>\n</body></html>\n"
    )


def asset(name: str) -> str:
    """Return the text of a file that pages hold: styles or scripts."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _sum(picture: Picture) -> str:
    """Return a run's result in a few words."""
    broken = [each for each in picture.wrongs if each.is_violation]
    if not broken:
        return "clean" if not picture.wrongs else "undecided"
    first = min(broken, key=lambda each: each.time_us)
    return f"{escape(first.klass)} at {first.time_us / 1e6:.3f} s"


def _facts(picture: Picture, end_us: int) -> str:
    """Return what kind of run it was."""
    history, options = picture.history, picture.plan.options
    counts = {"ok": 0, "info": 0, "fail": 0}
    for call in history.calls:
        counts[wording.outcome(call.result)] += 1
    words = (
        f"{options.members} member{'s' * (options.members > 1)}",
        escape(options.workload),
        f"{end_us / 1e6:.1f} s simulated",
        f"{len(history.calls):,} operations: {counts['ok']:,} ok, {counts['info']:,} unknown, "
        f"{counts['fail']:,} refused",
        f"{len(history.watchers):,} watchers",
        f"{sum(each.on for each in history.faults):,} faults",
    )
    digest = (
        f' · digest <span class="mono">{escape(picture.digest)}</span>' if picture.digest else ""
    )
    return f'<p class="facts">{" · ".join(words)}{digest}</p>'


def _wrong(place: int, wrong: Wrong) -> str:
    """Return one broken guarantee: its words, how, and who saw what."""
    kind = "" if wrong.is_violation else " open"
    sides = "".join(side_item(side.who, side.saw, side.what) for side in wrong.sides)
    return (
        f'<section class="verdict{kind}" id="verdict-{place}">'
        f"<h2>{escape(wrong.klass)} at {wrong.time_us / 1e6:.6f} s</h2>"
        f'<p class="words">{escape(wrong.words)}</p><p class="why">{escape(wrong.why)}</p>'
        + (f'<ol class="sides">{sides}</ol>' if sides else "")
        + f'<a class="jump" href="#board" data-jump="{place}">'
        + ("Jump to the first error" if place == 0 else "Show it")
        + "</a></section>"
    )


def side_item(who: str, saw: str, what: str) -> str:
    """Return one party of a conflict; an operation links into the picture."""
    name = escape(wording.shown_line(who, 600))
    if what.startswith("call "):
        name = f'<a href="#board" data-call="{escape(what[5:])}">{name}</a>'
    saw = escape(wording.shown_line(saw, 1_200))
    return f'<li>{name}<span class="saw">saw {saw}</span></li>'


def _clean(picture: Picture) -> str:
    return (
        '<section class="verdict clean" id="verdict-0"><h2>Nothing is wrong</h2>'
        f"<p>All checks passed: {len(picture.history.calls):,} operations and "
        f"{sum(len(each.seen) for each in picture.history.watchers):,} watch responses kept "
        "every guarantee.</p></section>"
    )


def board(missing: Sequence[str], has_error: bool) -> str:
    """Return the picture's frame with its tools, keys and legend."""
    keys = _KEYS if has_error else _KEYS[1:]
    buttons = "".join(
        f'<button type="button" data-key="{key}" title="key {key}">{words}</button>'
        for key, words in keys
    )
    legend = "".join(
        f'<li><i style="background:{colour}"></i>{words}</li>' for colour, words in _LEGEND
    )
    note = "Left out of this file, to keep it small: " + "; ".join(missing) + "."
    return (
        '<h2 id="what-happened">What happened</h2>'
        "<noscript><p>The picture needs JavaScript; everything else does not.</p></noscript>"
        f'<div id="tools" role="toolbar" aria-label="Picture">{buttons}'
        '<button type="button" id="theme">light or dark</button>'
        '<output id="window" aria-live="polite"></output></div>'
        '<div id="board"><div id="scroll" tabindex="0" role="application" '
        'aria-label="Members, clients and watchers over time. Arrow keys up and down scroll, '
        "left and right change the client, n and p walk through its operations, "
        'plus and minus zoom, e shows the first error.">'
        '<div id="space"><canvas id="picture"></canvas></div></div>'
        '<canvas id="overview" title="the whole run; click to go there"></canvas></div>'
        '<div id="tip" role="tooltip"></div>'
        '<div id="detail" aria-live="polite"><p class="none">Point at anything to read what it is; '
        "click to keep it here with the trace around it. Hold Ctrl and turn the wheel to zoom."
        "</p></div>"
        f'<ul class="legend">{legend}</ul>'
        + (f'<p class="facts" id="left-out">{escape(note)}</p>' if missing else "")
    )


def _replay(picture: Picture) -> str:
    """Return the command that runs it again."""
    if picture.replay:
        return picture.replay
    bug = picture.plan.options.bug
    return f"trine sim replay {picture.plan.seed} --trace" + (f" --bug {bug}" if bug else "")


def _table(title: str, values: Mapping[str, object], name: str) -> str:
    """Return values by name as a table."""
    rows = "".join(
        f'<tr><td>{escape(key.replace("_", " "))}</td><td class="number">{_value(value)}</td></tr>'
        for key, value in values.items()
    )
    body = f'<table id="{name}">{rows}</table>' if rows else '<p class="none">none</p>'
    return f"<h2>{escape(title)}</h2>{body}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple | list):
        return escape(", ".join(str(each) for each in value)) or "none"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return escape(str(value)) or "none"
