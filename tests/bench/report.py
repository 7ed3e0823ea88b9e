"""Tables and plots of a bench run: text for the terminal, one HTML page with its own SVG."""

import math
from collections.abc import Sequence
from html import escape

from tests.bench.results import Comparison, Results, Standing, compare

TARGET = 2.0  # times the peer's throughput
OURS, PEER = "#2a6f97", "#adb5bd"
GOOD, BAD, NEUTRAL = "#2d6a4f", "#c1121f", "#adb5bd"


def rate(n: float) -> str:
    """`28.5k` for 28,512 a second."""
    if n >= 999_500:
        return f"{n / 1e6:.2f}M"
    if n >= 99_950:
        return f"{n / 1e3:.0f}k"
    return f"{n / 1e3:.1f}k" if n >= 1000 else f"{n:.0f}" if n >= 100 else f"{n:.1f}"


def latency(us: float) -> str:
    """Milliseconds with three figures."""
    return f"{us / 1e3:.3g}"


def figure(n: float) -> str:
    """Four figures, thousands grouped: `812,700`, `2,568`, `95.74`."""
    return f"{n:,.0f}" if abs(n) >= 1000 else f"{n:.4g}"


def ratio(n: float | None) -> str:
    return "-" if n is None else f"{n:.2f}x" if n < 10 else f"{n:.0f}x"


def _columns(name: str) -> list[str]:
    return [f"{name} /s", "p50 ms", "p99 ms", "max ms", "CPU us"]


def _figures(one: Standing | None) -> list[str]:
    if one is None:
        return ["-"] * 5
    marks = f" ({one.errors} ERRORS)" if one.errors else ""
    return [
        rate(one.per_second) + marks,
        latency(one.p50_us),
        latency(one.p99_us),
        latency(one.max_us),
        figure(one.server_cpu_us),
    ]


def table(results: Results) -> list[list[str]]:
    """Header first. With two servers or more, the last is compared with the first."""
    servers = results.servers()
    both = len(servers) > 1
    header = ["cell", *(part for name in servers for part in _columns(name)), "client us"]
    header += ["throughput", "p99"] if both else []
    rows = [[*header, "x fdatasync", "others' cores"]]
    for one in compare(results):
        last = one.by_server.get(servers[-1])
        cells = [one.cell]
        for name in servers:
            cells += _figures(one.by_server.get(name))
        cells.append(f"{last.client_cpu_us:.2f}" if last else "-")
        if both:
            cells.append(ratio(one.throughput_ratio(servers[-1], servers[0])))
            cells.append(ratio(one.p99_ratio(servers[-1], servers[0])))
        syncs = [f"{s.syncs:.2f}" for s in one.by_server.values() if s.syncs]
        foreign = [f"{s.foreign_cores:.1f}" for s in one.by_server.values()]
        rows.append([*cells, " / ".join(syncs), " / ".join(foreign)])
    return rows


def singles_table(results: Results) -> list[list[str]]:
    """Memory, cold start, fdatasync: one row a measurement."""
    servers = list(dict.fromkeys(name for each in results.singles.values() for name in each))
    rows = [["measurement", *servers]]
    for measurement, values in results.singles.items():
        rows.append([measurement, *(figure(values[n]) if n in values else "-" for n in servers)])
    return rows


def text(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns: the first to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def whole_text(results: Results) -> str:
    """What the terminal shows at the end and results.txt keeps."""
    facts = "\n".join(f"{name}: {value}" for name, value in results.facts.items())
    wrong = [
        f"ERRORS {row.server} {row.cell}: {row.errors}, first: {row.first_error}"
        for row in results.rows
        if row.errors
    ]
    parts = [facts, text(table(results)), text(singles_table(results)), "\n".join(wrong)]
    return "\n\n".join(part for part in parts if part) + "\n"


# --- the page ---


def _label(x: float, y: float, what: str, anchor: str = "start", fill: str = "#212529") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}"'
    place += ' paint-order="stroke" stroke="#fff" stroke-width="3"'
    return f"<text {place}>{escape(what)}</text>"


def _bar(x: float, y: float, width: float, height: float, fill: str) -> str:
    size = f'width="{max(width, 1):.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}"/>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
    head += f' width="{width}" height="{height}" font-family="sans-serif" font-size="12">'
    return head + "".join(parts) + "</svg>"


def ratio_plot(comparisons: Sequence[Comparison], ours: str, peer: str) -> str:
    """Throughput and p99 against the peer, on log axes, with the target drawn in."""
    left, panel, gap, line = 190, 330, 90, 20
    found = [
        (one, x, y)
        for one in comparisons
        if (x := one.throughput_ratio(ours, peer)) and (y := one.p99_ratio(ours, peer))
    ]
    height = 50 + line * len(found) + 10
    most = max([4.0, *(max(x, 1 / y) for _, x, y in found)])
    scale = (panel - 50) / math.log10(most * 4)  # the axis runs from 1/4 to `most`
    parts: list[str] = []
    second = left + panel + gap
    for start, title in (
        (left, f"throughput, times {peer} (target {TARGET:g})"),
        (second, f"p99, times lower than {peer} (target 1)"),
    ):
        parts.append(_label(start, 16, title))
        tick = 0.5
        while tick <= most:
            x = start + scale * math.log10(tick * 4)
            parts.append(_label(x, 36, f"{tick:g}", "middle", "#868e96"))
            parts.append(_bar(x, 42, 1, line * len(found), "#e9ecef"))
            tick *= 2 if tick < 8 else 4
        target = start + scale * math.log10((TARGET if start == left else 1) * 4)
        parts.append(_bar(target - 1, 42, 2, line * len(found), "#212529"))
    for i, (one, faster, slower) in enumerate(found):
        y = 44 + line * i
        parts.append(_label(left - 8, y + 12, one.cell, "end"))
        for start, value, good in (
            (left, faster, faster >= TARGET),
            (second, 1 / slower, slower < 1),
        ):
            width = scale * math.log10(max(value, 0.26) * 4)
            paced = start == left and "paced" in one.cell  # its rate was given, not reached
            colour = NEUTRAL if paced else GOOD if good else BAD
            parts.append(_bar(start, y + 2, width, line - 6, colour))
            parts.append(_label(start + width + 4, y + 12, ratio(value)))
    return _svg(second + panel + 40, height, parts)


def rate_plot(comparisons: Sequence[Comparison], servers: Sequence[str]) -> str:
    """Operations a second, each server a bar, each row on a scale of its own."""
    left, panel, bar = 190, 560, 12
    line = bar * len(servers) + 8
    colours = [PEER, OURS] if len(servers) == 2 else [OURS] * len(servers)
    parts: list[str] = []
    for i, name in enumerate(servers):
        parts += [
            _bar(left + 130 * i, 6, 12, 12, colours[i]),
            _label(left + 130 * i + 18, 16, name),
        ]
    for i, one in enumerate(comparisons):
        y = 30 + line * i
        most = max(each.per_second for each in one.by_server.values()) or 1
        parts.append(_label(left - 8, y + line / 2, one.cell, "end"))
        for j, name in enumerate(servers):
            if (each := one.by_server.get(name)) is None:
                continue
            width = panel * each.per_second / most
            parts.append(_bar(left, y + bar * j, width, bar - 1, colours[j]))
            told = f"{rate(each.per_second)} {one.unit}/s"
            told += f", p99 {latency(each.p99_us)} ms, {figure(each.server_cpu_us)} us CPU"
            parts.append(_label(left + width + 6, y + bar * (j + 1) - 2.5, told))
    return _svg(left + panel + 330, 40 + line * len(comparisons), parts)


def singles_plot(results: Results) -> str:
    """What was measured once of each server, each row on a scale of its own."""
    found = {what: told for what, told in results.singles.items() if "generator" not in told}
    servers = list(dict.fromkeys(name for told in found.values() for name in told))
    left, panel, bar = 330, 420, 12
    line = bar * len(servers) + 8
    colours = [PEER, OURS] if len(servers) == 2 else [OURS] * len(servers)
    parts: list[str] = []
    for i, (what, told) in enumerate(found.items()):
        y = 10 + line * i
        most = max(told.values()) or 1
        parts.append(_label(left - 8, y + line / 2, what, "end"))
        for j, name in enumerate(servers):
            if name in told:
                width = panel * told[name] / most
                parts.append(_bar(left, y + bar * j, width, bar - 1, colours[j]))
                words = f"{name}: {figure(told[name])}"
                parts.append(_label(left + width + 6, y + bar * (j + 1) - 2.5, words))
    return _svg(left + panel + 160, 20 + line * len(found), parts)


def _html_table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


STYLE = """
body { font: 14px sans-serif; margin: 2em; color: #212529 }
table { border-collapse: collapse; font-size: 12px; margin-bottom: 2em }
td, th { padding: 2px 8px; text-align: right; border-bottom: 1px solid #e9ecef }
td, th { white-space: nowrap }
td:first-child, th:first-child { text-align: left }
dt { float: left; width: 9em; color: #868e96 }
dd { margin-left: 9em }
"""


def page(results: Results) -> str:
    """One self-contained HTML page."""
    servers = results.servers()
    comparisons = compare(results)
    facts = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in results.facts.items())
    parts = [f"<dl>{facts}</dl>"]
    if len(servers) > 1:
        parts += ["<h2>Against the peer</h2>", ratio_plot(comparisons, servers[-1], servers[0])]
        parts += ["<h2>Absolute</h2>", rate_plot(comparisons, servers)]
    if results.singles:
        parts += ["<h2>Measured once</h2>", singles_plot(results)]
    parts += ["<h2>Table</h2>", _html_table(table(results)), _html_table(singles_table(results))]
    head = f'<meta charset="utf-8"><title>bench: {escape(" / ".join(servers))}</title>'
    return f"<!doctype html>{head}<style>{STYLE}</style><h1>Bench</h1>{''.join(parts)}\n"
