"""The arguments of `trine serve` as Go's flag package reads them, so that etcd's manifests run.

Rule: this file knows how a flag is written and nothing of what it means. `-name value`,
`--name=value`, a bare boolean and `--flag=false` are read; a boolean never takes the next argument;
the last of two values counts; `--` or the first argument that is no flag ends the flags, and since
`serve` takes no other arguments that is an error. A wrong flag is told the nearest right one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from server.flags import Flag, nearest


class ArgumentError(Exception):
    """An argument that cannot be read; the text is a sentence that says what to do."""


class ConfigFileError(Exception):
    """A configuration file that cannot be used; the text is a sentence that says why."""


@attrs.frozen
class Setting:
    """The text somebody gave to a setting, and how they wrote it (for messages)."""

    text: str
    origin: str


def read_arguments(args: Sequence[str], flags: Mapping[str, Flag]) -> dict[str, Setting]:
    """Return the settings given on the command line, by the name they were given under.

    `flags` has every flag by every name. Raises ArgumentError.
    """
    settings: dict[str, Setting] = {}
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if not arg.startswith("-") or arg in ("-", "--"):
            stray = rest[0] if arg == "--" and rest else arg
            if arg == "--" and not rest:
                break
            raise ArgumentError(
                f'unexpected argument "{stray}": trine serve takes flags only, as --name=value.'
            )
        name, has_value, value = _split(arg)
        flag = flags.get(name)
        if flag is None:
            raise ArgumentError(unknown(name, flags))
        if not has_value:
            value = _next_value(flag, rest, arg)
        settings[name] = Setting(value, f"--{name}={value}")
    return settings


def unknown(name: str, flags: Mapping[str, Flag]) -> str:
    """Return the sentence about a flag that nobody knows."""
    near = nearest(name, flags)
    if near is not None:
        return f'no such flag: "--{name}". Did you mean "--{near}"? See: trine serve --help.'
    return f'no such flag: "--{name}". See: trine serve --help.'


def _split(arg: str) -> tuple[str, bool, str]:
    name, has_value, value = arg.removeprefix("-").removeprefix("-").partition("=")
    if not name or name.startswith("-"):
        raise ArgumentError(f'"{arg}" is not a flag: write it as --name=value.')
    return name, bool(has_value), value


def _next_value(flag: Flag, rest: list[str], arg: str) -> str:
    if flag.kind == "bool":
        return "true"
    if flag.kind == "level" and (not rest or rest[0] not in flag.choices):
        return "true"
    if not rest:
        raise ArgumentError(f"{arg} needs a value: write it as {arg}=VALUE.")
    return rest.pop(0)
