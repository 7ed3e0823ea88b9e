"""A run of real processes as one HTML file: verdicts, what happened, how fast, what members logged.

Rule of this file: structure and words. Nothing is fetched; every text goes through `escape` or
`scene.packed`. The picture of clients, watchers and members is the simulator's own.

    write_page(out, plan, history, judgement)    OUT/index.html of what lies in OUT
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from attrs import field, frozen

from jepsen.judge import Judgement
from jepsen.judging.finding import Finding
from jepsen.report import rate
from jepsen.report.logs import tails
from jepsen.report.table import STYLES, verdict_table
from jepsen.report.trace import trace_of
from sim.history import History
from sim.ops import Json
from sim.plan import Plan
from sim.report import latency
from sim.report.page import asset, board, frame, side_item
from sim.report.scene import Picture, Wrong, focus_of, left_out, packed, scene, shown_side

SIZE_BYTES_MAX: Final = 8_000_000
SHOWN: Final = 6
"""So many findings stand open."""


@frozen
class Report:
    """All that a page shows."""

    plan: Plan
    history: History
    judgement: Judgement
    pulse: Sequence[str] = ()
    """What members said of themselves: trace lines, in any order."""
    logs: Mapping[str, str] = field(factory=dict[str, str])
    """The ends of members' logs, by their names."""
    command: str = ""
    """What runs it again."""
    notes: Sequence[str] = ()
    """Sentences: what could not be done, and why."""


def write_page(
    out: Path,
    plan: Plan,
    history: History,
    judgement: Judgement,
    *,
    pulse: Iterable[str] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write OUT/index.html of a run whose logs and command lie in OUT; return its path."""
    rerun = out / "rerun"
    command = rerun.read_text(encoding="utf-8").strip() if rerun.exists() else ""
    logs = tails(out / "members")
    report = Report(plan, history, judgement, tuple(pulse), logs, command, notes)
    path = out / "index.html"
    path.write_text(page(report), encoding="utf-8")
    return path


def page(report: Report, size_bytes_max: int = SIZE_BYTES_MAX) -> str:
    """Return the file."""
    history, judgement = report.history, report.judgement
    picture = Picture(
        plan=report.plan,
        history=history,
        trace=tuple(trace_of(history, report.pulse)),
        wrongs=tuple(_wrong(each) for each in judgement.findings),
        replay=report.command,
    )
    scripts = "".join(asset(name) for name in ("view.js", "draw.js", "touch.js"))
    styles = asset("run.css") + STYLES
    drawn = scene(picture, size_bytes_max - len(styles) - len(scripts) - 200_000)
    end = max(history.ended_us, 1)
    title = str(history.facts.get("label", "")) or "a cluster"
    body = "".join(
        (
            f"<header><h1>{escape(title)}: {_sum(judgement)}</h1>",
            _facts(report),
            verdict_table(judgement),
            _findings(judgement.findings),
            "".join(f'<p class="facts">{escape(each)}</p>' for each in report.notes),
            "</header><main>",
            board(left_out(drawn), bool(judgement.findings)),
            "<h2>Run it again</h2>",
            f'<pre class="replay" id="replay">{escape(report.command or "unknown")}</pre>',
            "<h2>How many operations a second</h2>",
            _silence(history),
            rate.plot(history, end),
            "<h2>How long operations took</h2>",
            '<p class="facts">One dot an operation; bands are faults. Click to go there.</p>',
            latency.plot(history, end, focus_of(picture)),
            _blows(history),
            "<h2>What members logged last</h2>",
            _logs(report.logs),
            _about(history.facts),
            "</main>",
        )
    )
    return frame(title, styles, body, packed(drawn), scripts)


def _wrong(finding: Finding) -> Wrong:
    """Return a finding as the picture marks it."""
    return Wrong(
        finding.klass,
        finding.words,
        finding.why,
        tuple(shown_side(side) for side in finding.conflict),
        finding.time_us,
        finding.is_violation,
    )


def _sum(judgement: Judgement) -> str:
    violations = judgement.violations
    if violations:
        first = violations[0]
        rest = f", and {len(violations) - 1} more" if len(violations) > 1 else ""
        return f"{escape(first.klass)} at {first.time_us / 1e6:.3f} s{rest}"
    return "undecided" if judgement.findings else "passed"


def _facts(report: Report) -> str:
    """Return what kind of run it was, in one line."""
    facts, tally = report.history.facts, report.judgement.tally
    words = [
        str(facts.get("version", "")),
        f"{report.plan.options.members} members",
        f"{tally.duration_us / 1e6:.1f} s",
        f"{tally.calls:,} operations: {tally.ok:,} ok, {tally.unknown:,} unknown, "
        f"{tally.refused:,} refused",
        f"{tally.writes:,} writes acknowledged",
        f"{tally.watchers:,} watchers told {tally.messages:,} messages",
        f"{tally.faults:,} faults",
        f"seed {facts.get('seed', '?')}",
    ]
    return f'<p class="facts">{" · ".join(escape(each) for each in words if each)}</p>'


def _findings(findings: Sequence[Finding]) -> str:
    """Return the first findings, and the others behind a line: one fault may break everything."""
    parts = [_finding(place, each) for place, each in enumerate(findings)]
    text = "".join(parts[:SHOWN])
    if len(parts) > SHOWN:
        rest = "".join(parts[SHOWN:])
        words = f"{len(parts) - SHOWN} more, later than these"
        text += f'<details class="log"><summary>{words}</summary>{rest}</details>'
    return text


def _finding(place: int, finding: Finding) -> str:
    """Return one broken guarantee: its words, how, and who saw what."""
    kind = "" if finding.is_violation else " open"
    sides = "".join(
        side_item(side.who, side.saw, f"call {side.call}" if side.call is not None else "")
        for side in finding.conflict
    )
    return (
        f'<section class="verdict{kind}" id="verdict-{place}">'
        f"<h2>{escape(finding.klass)} at {finding.time_us / 1e6:.6f} s, "
        f"{escape(finding.workload)}</h2>"
        f'<p class="words">{escape(finding.words)}</p><p class="why">{escape(finding.why)}</p>'
        + (f'<ol class="sides">{sides}</ol>' if sides else "")
        + f'<a class="jump" href="#board" data-jump="{place}">Show it</a></section>'
    )


def _silence(history: History) -> str:
    begin, end = rate.silence(history)
    return (
        '<p class="facts">A column a second; bands behind are faults. The longest time without an '
        f"answer to anybody: {(end - begin) / 1e6:.2f} s, from {begin / 1e6:.2f} s on.</p>"
    )


def _blows(history: History) -> str:
    """Return every fault as a table."""
    rows = "".join(
        f'<tr><td class="number">{fault.time_us / 1e6:.2f} s</td>'
        f"<td>{escape(fault.what)}{'' if fault.on else ' ends'}</td>"
        f"<td>{escape(', '.join(f'm{number}' for number in fault.members))}</td>"
        f"<td>{escape(fault.detail)}</td></tr>"
        for fault in history.faults
    )
    if not rows:
        return ""
    return (
        '<details class="log"><summary>All '
        f"{sum(fault.on for fault in history.faults)} faults</summary>"
        f'<table id="faults">{rows}</table></details>'
    )


def _logs(logs: Mapping[str, str]) -> str:
    parts = [
        f'<details class="log"><summary>{escape(name)}</summary><pre>{_lines(text)}</pre></details>'
        for name, text in logs.items()
    ]
    return (
        "".join(parts) or '<p class="none">No logs: the members were not started by this run.</p>'
    )


def _lines(text: str) -> str:
    """Return lines of a log, those of errors marked."""
    marks = ('"error"', '"fatal"', '"panic"', "panic:", "Traceback")
    return "\n".join(
        f"<b>{escape(line)}</b>" if any(mark in line for mark in marks) else escape(line)
        for line in text.splitlines()
    )


def _about(facts: Mapping[str, Json]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>"
        for name, value in facts.items()
    )
    return f'<h2>The run</h2><table id="about">{rows}</table>'
