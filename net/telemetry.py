"""Structured log lines; the only place in the product that knows what a line looks like.

Rule: a line is a message that never varies plus fields that do (`log.info("opened journal",
segments=3)`), so that lines can be counted by message. A logger is passed to whom needs one, there
is no global; the clock and the way out are given, so a simulated member logs simulated time. A line
below the level costs one comparison. A logger never raises and never waits for anything but the
write itself; a line that cannot be written is counted by the output's owner (`server/logs.py`).

JSON lines have the shape of etcd's, since the tools that read etcd's logs are to read these:

    {"level":"info","ts":"2026-11-21T11:29:45.451947Z","caller":"net/disk.py:63","msg":"...",...}

`console` has the same parts separated by tabs. A field `a_b` is printed `a-b`, as etcd spells them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import attrs

DEBUG: Final = 10
INFO: Final = 20
WARN: Final = 30
ERROR: Final = 40
FATAL: Final = 50
OFF: Final = 60

LEVEL_NAMES: Final[Mapping[int, str]] = {
    DEBUG: "debug",
    INFO: "info",
    WARN: "warn",
    ERROR: "error",
    FATAL: "fatal",
}

Format = Literal["json", "console"]

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000


@attrs.define(eq=False)
class _Held:
    """When a limited message was last printed, and how many of it were held back since."""

    printed_ns: int
    count: int = 0


@attrs.define(eq=False)
class Sink:
    """Where lines of one member go: a level, a format, a clock and a function that takes a line.

    `write` gets one whole line with its newline; it must not raise. `now_ns` is the wall clock of
    the lines' `ts`, in nanoseconds since 1970.
    """

    write: Callable[[str], None]
    now_ns: Callable[[], int]
    level: int = INFO
    format: Format = "json"
    _held: dict[str, _Held] = attrs.field(factory=dict[str, _Held], init=False)

    def emit(self, level: int, msg: str, fields: Mapping[str, object], depth: int) -> None:
        """Write one line, whatever the level; `depth` is how far up the caller's frame is."""
        frame = sys._getframe(depth + 1)  # pyright: ignore[reportPrivateUsage]  # as logging does
        caller = f"{_short(frame.f_code.co_filename)}:{frame.f_lineno}"
        stamp = timestamp(self.now_ns())
        plain = {name.replace("_", "-"): value for name, value in fields.items()}
        if self.format == "json":
            head = {"level": LEVEL_NAMES[level], "ts": stamp, "caller": caller, "msg": msg}
            self.write(_json({**plain, **head} if head.keys() & plain else head | plain) + "\n")
            return
        tail = f"\t{_json(plain, spaced=True)}" if plain else ""
        text = msg if msg.isprintable() else _json(msg)
        self.write(f"{stamp}\t{LEVEL_NAMES[level]}\t{caller}\t{text}{tail}\n")

    def admit(self, msg: str, interval_ms: int | None) -> int | None:
        """Return how many of `msg` were held back since the last one, or None to hold this one.

        `interval_ms` None means once for the life of the sink. `msg` is a constant of the program,
        so the table of messages is as small as the program.
        """
        held = self._held.get(msg)
        now_ns = self.now_ns()
        if held is None:
            self._held[msg] = _Held(now_ns)
            return 0
        # A clock that went backwards must not silence a warning for as long as it went.
        if interval_ms is None or 0 <= now_ns - held.printed_ns < interval_ms * _NS_PER_MS:
            held.count += 1
            return None
        count, held.count, held.printed_ns = held.count, 0, now_ns
        return count


@attrs.frozen(eq=False)
class Logger:
    """Writes lines to a sink with fields of its own added to each.

    Fields must be cheap to pass: text, bytes, numbers, bools, None, paths, exceptions, and lists or
    mappings of those. What costs work to compute goes behind `log.enabled(DEBUG)`.
    """

    sink: Sink
    fields: Mapping[str, object] = attrs.field(factory=dict[str, object])

    def enabled(self, level: int) -> bool:
        """Say whether a line of `level` would be written."""
        return level >= self.sink.level

    def bind(self, **fields: object) -> Logger:
        """Return a logger that adds `fields` to every line."""
        return Logger(self.sink, {**self.fields, **fields})

    def debug(self, msg: str, **fields: object) -> None:
        """Write what only someone who hunts a bug wants to read."""
        if self.sink.level <= DEBUG:
            self.sink.emit(DEBUG, msg, {**self.fields, **fields}, 1)

    def info(self, msg: str, **fields: object) -> None:
        """Write what an operator may want to know: a step of start, stop or change."""
        if self.sink.level <= INFO:
            self.sink.emit(INFO, msg, {**self.fields, **fields}, 1)

    def warn(self, msg: str, **fields: object) -> None:
        """Write what an operator should look at, although the member copes."""
        if self.sink.level <= WARN:
            self.sink.emit(WARN, msg, {**self.fields, **fields}, 1)

    def error(self, msg: str, **fields: object) -> None:
        """Write that something asked for was not done."""
        if self.sink.level <= ERROR:
            self.sink.emit(ERROR, msg, {**self.fields, **fields}, 1)

    def fatal(self, msg: str, **fields: object) -> None:
        """Write why the member ends. Writing is all this does: the caller ends it."""
        if self.sink.level <= FATAL:
            self.sink.emit(FATAL, msg, {**self.fields, **fields}, 1)

    def warn_every(self, interval_ms: int, msg: str, **fields: object) -> None:
        """Warn at most once per interval; the next line says how many were held back."""
        if self.sink.level <= WARN:
            held_back = self.sink.admit(msg, interval_ms)
            if held_back is not None:
                extra = {"held-back": held_back} if held_back else {}
                self.sink.emit(WARN, msg, {**self.fields, **fields, **extra}, 1)

    def once(self, msg: str, **fields: object) -> None:
        """Write at info, the first time only."""
        if self.sink.level <= INFO and self.sink.admit(msg, None) is not None:
            self.sink.emit(INFO, msg, {**self.fields, **fields}, 1)


def _nothing(_line: str) -> None:
    return None


# For tests and for code that runs without a member.
SILENT: Final = Logger(Sink(write=_nothing, now_ns=lambda: 0, level=OFF))


def timestamp(now_ns: int) -> str:
    """Return an RFC 3339 time in UTC with microseconds, always six digits."""
    seconds, rest_ns = divmod(now_ns, _NS_PER_S)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest_ns // 1_000:06d}Z"


def _short(filename: str) -> str:
    """Return the last two parts of a path, as zap's short caller does."""
    cut = filename.rfind("/", 0, max(filename.rfind("/"), 0))
    return filename[cut + 1 :]


def _json(value: object, *, spaced: bool = False) -> str:
    separators = (", ", ": ") if spaced else (",", ":")
    try:
        return json.dumps(value, ensure_ascii=False, separators=separators, default=_plain)
    except (TypeError, ValueError, RecursionError):
        # A key that is no text, or a cycle: the line matters more than its shape.
        return json.dumps({"msg": repr(value)}, ensure_ascii=False)


def _plain(value: object) -> object:
    """Return something JSON knows for what it does not."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        text = str(value)
        return f"{type(value).__name__}: {text}" if text else type(value).__name__
    return str(value)
