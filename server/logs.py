"""Where log lines go: standard error, standard output, files, with rotation.

Rule: this file owns the outputs of `net/telemetry.py`. A line that cannot be written (a full disk,
a closed pipe) is dropped and counted; logging never ends a member. Writes are whole lines by one
`write` call each, so lines of several processes do not mix.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Final

import attrs

from net import telemetry
from net.telemetry import Format, Logger, Sink
from server.reading import Reader

_LEVELS: Final = {
    "debug": telemetry.DEBUG,
    "info": telemetry.INFO,
    "warn": telemetry.WARN,
    "error": telemetry.ERROR,
    "panic": telemetry.FATAL,
    "fatal": telemetry.FATAL,
}
_STREAMS: Final = {"default": 2, "stderr": 2, "stdout": 1, "systemd/journal": 2}
_ROTATION_KEYS: Final = ("maxsize", "maxage", "maxbackups", "localtime", "compress")
_MEGABYTE: Final = 1 << 20
_DAY_S: Final = 86_400


@attrs.frozen
class Rotation:
    """When a log file gives way to a new one, and which old ones stay; 0 keeps all."""

    size_bytes: int
    age_days_max: int
    backups_max: int
    is_local_time: bool


@attrs.frozen
class LogSettings:
    """What is logged, how and where; `outputs` are stream names or paths."""

    level: int
    format: Format
    outputs: tuple[str, ...]
    rotation: Rotation | None


def read_log_settings(read: Reader) -> LogSettings:
    """Read the settings of the log."""
    outputs = read.items("log-outputs") or ("default",)
    if "default" in outputs and len(outputs) > 1:
        read.wrong("log-outputs", '"default" stands alone; give stderr beside other outputs')
    files = [output for output in outputs if output not in _STREAMS]
    rotation = None
    if read.truth("enable-log-rotation"):
        if len(outputs) != 1 or not files:
            read.wrong("log-outputs", "--enable-log-rotation rotates one file: give one path")
        rotation = _read_rotation(read)
    level = telemetry.DEBUG if read.truth("debug") else _LEVELS[read.text("log-level")]
    format_: Format = "console" if read.text("log-format") == "console" else "json"
    return LogSettings(level=level, format=format_, outputs=outputs, rotation=rotation)


def _read_rotation(read: Reader) -> Rotation | None:
    text = read.text("log-rotation-config-json")
    advice = 'give JSON such as {"maxsize": 100, "maxage": 7, "maxbackups": 5}'
    try:
        given: object = json.loads(text)
    except json.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        read.wrong("log-rotation-config-json", advice)
        return None
    fields: dict[str, object] = {str(key): value for key, value in given.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    strange = sorted(set(fields) - set(_ROTATION_KEYS))
    if strange:
        read.wrong("log-rotation-config-json", f'"{strange[0]}" is no part of it; {advice}')
    numbers = [fields.get(key, 0) for key in ("maxsize", "maxage", "maxbackups")]
    size_mb, age_days_max, backups_max = (n if type(n) is int and n >= 0 else -1 for n in numbers)
    if -1 in (size_mb, age_days_max, backups_max):
        read.wrong("log-rotation-config-json", f"sizes and ages are whole numbers; {advice}")
    if fields.get("compress", False):
        read.wrong("log-rotation-config-json", "old files are not compressed: drop compress")
    return Rotation(
        size_bytes=(size_mb or 100) * _MEGABYTE,
        age_days_max=age_days_max,
        backups_max=backups_max,
        is_local_time=bool(fields.get("localtime", False)),
    )


@attrs.define(eq=False)
class Outputs:
    """The open outputs of a log; `lines_lost` counts lines that some output did not take."""

    streams: list[int] = attrs.field(factory=list[int])
    files: list[LogFile] = attrs.field(factory=list["LogFile"])
    lines_lost: int = 0

    def write(self, line: str) -> None:
        """Write a line to every output; never raises."""
        data = line.encode("utf-8", "backslashreplace")
        for descriptor in self.streams:
            self._lost_unless(_write_all(descriptor, data))
        for file in self.files:
            self._lost_unless(file.write(data))

    def close(self) -> None:
        """Close the files; the standard streams stay open."""
        for file in self.files:
            file.close()
        self.files.clear()

    def _lost_unless(self, is_written: bool) -> None:
        if not is_written:
            self.lines_lost += 1


@attrs.define(eq=False)
class LogFile:
    """One log file, opened to append, rotated by size if asked for."""

    path: str
    rotation: Rotation | None
    clock_s: Callable[[], float]
    _descriptor: int = attrs.field(init=False)
    _size_bytes: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._open()

    def write(self, data: bytes) -> bool:
        """Append a line; say whether it is in the file."""
        if self.rotation is not None and self._size_bytes + len(data) > self.rotation.size_bytes:
            try:
                self._rotate(self.rotation)
            except OSError:
                # The old file still takes lines; a log that grows beats a log that stops.
                self._size_bytes = 0
        self._size_bytes += len(data)
        return _write_all(self._descriptor, data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size_bytes = os.fstat(self._descriptor).st_size

    def _rotate(self, rotation: Rotation) -> None:
        now_s = self.clock_s()
        moment = time.localtime(now_s) if rotation.is_local_time else time.gmtime(now_s)
        millisecond = int(now_s * 1_000) % 1_000
        stem, suffix = os.path.splitext(self.path)
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", moment)
        os.rename(self.path, f"{stem}-{stamp}.{millisecond:03d}{suffix}")
        old = self._descriptor
        self._open()
        os.close(old)
        self._prune(rotation, now_s)

    def _prune(self, rotation: Rotation, now_s: float) -> None:
        directory, base = os.path.split(self.path)
        stem, suffix = os.path.splitext(base)
        old = sorted(
            (entry.stat().st_mtime, entry.path)
            for entry in os.scandir(directory or ".")
            if entry.name.startswith(f"{stem}-") and entry.name.endswith(suffix)
        )
        surplus = len(old) - rotation.backups_max if rotation.backups_max else 0
        for position, (changed_s, path) in enumerate(old):
            is_aged = rotation.age_days_max and changed_s < now_s - rotation.age_days_max * _DAY_S
            if position < surplus or is_aged:
                os.unlink(path)


def open_outputs(settings: LogSettings) -> Outputs:
    """Open what the settings name. Raises OSError if a file cannot be opened."""
    outputs = Outputs()
    for name in settings.outputs:
        stream = _STREAMS.get(name)
        if stream is None:
            outputs.files.append(LogFile(name, settings.rotation, time.time))
        elif stream not in outputs.streams:
            outputs.streams.append(stream)
    return outputs


def open_log(settings: LogSettings, outputs: Outputs) -> Logger:
    """Return the logger of a member that writes to `outputs`."""
    sink = Sink(
        write=outputs.write, now_ns=time.time_ns, level=settings.level, format=settings.format
    )
    return Logger(sink)


def early_log() -> Logger:
    """Return a logger on standard error, for what goes wrong before the settings are known."""

    def write(line: str) -> None:
        sys.stderr.write(line)

    return Logger(Sink(write=write, now_ns=time.time_ns))


def _write_all(descriptor: int, data: bytes) -> bool:
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        return False
    return True
