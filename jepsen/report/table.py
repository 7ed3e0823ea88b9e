"""The verdict table as HTML: a line for each workload, a column for each check.

Rule of this file: words and numbers of a `Judgement`; a cell says what was judged, and a check that
had nothing to judge is never green.
"""

from html import escape
from typing import Final

from jepsen.judge import EMPTY, FAIL, OPEN, PASS, Judgement, Row
from jepsen.judging.finding import CHECKS
from jepsen.judging.owners import CLUSTER

_GLYPHS: Final = {PASS: "✓", FAIL: "✖", OPEN: "?", EMPTY: "·"}
_WORDS: Final = {PASS: "passed", FAIL: "FAILED", OPEN: "undecided", EMPTY: "nothing to judge"}

STYLES: Final = """
table.verdicts th { font-weight: 600; white-space: nowrap; }
table.verdicts td { padding: 4px 18px 4px 0; white-space: nowrap; }
table.verdicts td.pass b { color: var(--ok); }
table.verdicts td.fail { background: var(--error); color: var(--paper); padding-left: 8px; }
table.verdicts td.fail a { color: var(--paper); }
table.verdicts td.open b { color: var(--info); }
table.verdicts td.empty, table.verdicts td small { color: var(--faint); }
table.verdicts td.fail small { color: var(--paper); }
details.log { margin: 6px 0; }
details.log summary { cursor: pointer; font-weight: 600; }
details.log pre { max-height: 420px; overflow: auto; background: var(--panel);
  border: 1px solid var(--line); border-radius: 4px; padding: 8px 12px; margin: 4px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; }
details.log pre b { color: var(--error); font-weight: 400; }
"""


def verdict_table(judgement: Judgement) -> str:
    """Return the table."""
    used = [check for check in CHECKS if any(row.check == check for row in judgement.rows)]
    places = list(dict.fromkeys(row.workload for row in judgement.rows))
    heads = "".join(f"<th>{escape(check)}</th>" for check in used)
    lines: list[str] = []
    for workload in places:
        by_check = {row.check: row for row in judgement.of(workload)}
        cells = "".join(_cell(by_check.get(check), judgement) for check in used)
        name = "whole cluster" if workload == CLUSTER else workload
        lines.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return (
        '<div class="scrolls"><table class="verdicts" id="verdicts">'
        f"<tr><th>workload</th>{heads}</tr>{''.join(lines)}</table></div>"
    )


def _cell(row: Row | None, judgement: Judgement) -> str:
    """Return one workload under one check, with a link to what was found."""
    if row is None:
        return "<td></td>"
    words, glyph = _WORDS[row.outcome], _GLYPHS[row.outcome]
    counted = f"{row.count:,} {row.unit}" if row.count else ""
    text = f'<b title="{words}">{glyph}</b> '
    if row.findings:
        first = row.findings[0]
        place = judgement.findings.index(first)
        rest = f" +{len(row.findings) - 1}" if len(row.findings) > 1 else ""
        name = first.klass.partition("/")[2]
        text += f'<a href="#verdict-{place}">{escape(name)}{rest}</a> '
    return f'<td class="{row.outcome}">{text}<small>{escape(counted)}</small></td>'
