"""The progress of a batch: one live line on a terminal, a plain line now and then elsewhere.

Rule of this file: progress goes to standard error, results to standard output, so that the results
are the same whether or not anybody looks.
"""

import sys
import time
from collections.abc import Callable

import click
from attrs import define, field
from rich.console import Console
from rich.live import Live
from rich.text import Text

PLAIN_EVERY_S = 10.0


@define
class Totals:
    """What a batch has done so far."""

    wanted: int = 0
    """Seeds to do; 0 where only time ends it."""
    done: int = 0
    calls: int = 0
    oks: int = 0
    infos: int = 0
    faults: int = 0
    simulated_ms: int = 0
    marks_hit: int = 0
    marks_all: int = 0
    worst: str = "none"
    failed: int = 0


def count(number: int) -> str:
    """Return a number as people say it: 831, 91k, 2.1M."""
    if number < 10_000:
        return str(number)
    if number < 1_000_000:
        return f"{number // 1000}k"
    return f"{number / 1e6:.1f}M"


def span(seconds: float) -> str:
    """Return a span of time: 14s, 7m51, 72h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}"
    return f"{whole // 3600}h" if whole >= 36_000 else f"{whole // 3600}h{whole % 3600 // 60:02}"


def progress_line(totals: Totals, *, elapsed_s: float, limit_s: float = 0.0) -> str:
    """Return the one line that says how a batch goes."""
    rate = totals.done / elapsed_s if elapsed_s > 0 else 0.0
    part = totals.done / totals.wanted if totals.wanted else 0.0
    if limit_s:
        part = max(part, min(1.0, elapsed_s / limit_s))
    left = f"{span(elapsed_s / part - elapsed_s)}" if part and totals.done else "?"
    seeds = f"{totals.done}/{totals.wanted}" if totals.wanted else f"{totals.done}"
    calls = max(1, totals.calls)
    return (
        f"seeds {seeds}  {part:.0%}  {rate:.1f}/s  sim {span(totals.simulated_ms / 1000)}  "
        f"ops {count(totals.calls)} ({100 * totals.oks // calls}% ok "
        f"{100 * totals.infos // calls}% info)  faults {count(totals.faults)}  "
        f"marks {totals.marks_hit}/{totals.marks_all}  worst: {totals.worst}   ETA {left}"
    )


@define
class Progress:
    """Shows a line and says results. Use as a context."""

    line: Callable[[], str]
    say: Callable[[str], None] = click.echo
    """Prints a result, at once and whole."""
    now: Callable[[], float] = time.monotonic
    every_s: float = PLAIN_EVERY_S
    _live: Live | None = None
    _told_at: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._told_at = self.now()

    def __enter__(self) -> "Progress":
        console = Console(stderr=True)
        if console.is_terminal:
            # Results that go to a file must not be caught by the line's redirection.
            self._live = Live(
                Text(self.line()),
                console=console,
                transient=True,
                auto_refresh=False,
                redirect_stdout=sys.stdout.isatty(),
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self) -> None:
        """Draw the line anew, or tell it if it is time."""
        if self._live is not None:
            self._live.update(Text(self.line(), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif self.now() - self._told_at >= self.every_s:
            self._told_at = self.now()
            click.echo(self.line(), err=True)
