"""Durations as Go writes and reads them: `5s`, `1m30s`, `100ms`, `1.5h`.

Rule: a duration is a whole number of nanoseconds; text is only for people. etcd's flags and
log lines use this notation, so reading and writing are inverse: `parse(text_of(ns)) == ns`.
"""

from __future__ import annotations

import re
from typing import Final

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DURATION_NS_MAX: Final = (1 << 63) - 1

_UNIT_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter: Go reads both
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "h": HOUR_NS,
}
_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")


def parse(text: str) -> int | None:
    """Return the nanoseconds that `text` means, or None if Go would not read it.

    A fraction finer than a nanosecond is cut, a value beyond 2^63-1 ns (292 years) is refused.
    A number without a unit is refused, but for a plain `0`, as in Go.
    """
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total = position = 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None:
            return None
        whole, fraction, unit = part.group(1), part.group(2) or "", part.group(3)
        if not whole and not fraction:
            return None
        scale = _UNIT_NS[unit]
        total += int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction)
        position = part.end()
    if position == 0 or total > DURATION_NS_MAX:
        return None
    return sign * total


def text_of(ns: int) -> str:
    """Return the shortest Go spelling: `0s`, `1.5ms`, `1m30s`, `2h0m0s`."""
    if ns == 0:
        return "0s"
    if ns < 0:
        return "-" + text_of(-ns)
    if ns < SECOND_NS:
        scale, unit = _small_unit(ns)
        return _decimal(ns, scale) + unit
    minutes, rest_ns = divmod(ns, MINUTE_NS)
    seconds = _decimal(rest_ns, SECOND_NS) + "s"
    if minutes == 0:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}"


def _small_unit(ns: int) -> tuple[int, str]:
    if ns < 1_000:
        return 1, "ns"
    return (1_000, "µs") if ns < MILLISECOND_NS else (MILLISECOND_NS, "ms")


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    if rest == 0:
        return str(whole)
    digits = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"
