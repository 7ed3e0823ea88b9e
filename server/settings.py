"""Which text counts for each setting: command line before environment before default, or one file.

Rule: this file decides between sources and nothing else. A flag wins over its environment variable,
as in etcd. If a configuration file is named (by flag or ETCD_CONFIG_FILE), it alone counts, as in
etcd; what was given beside it is named in a notice instead of being dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from server.arguments import ConfigFileError, Setting
from server.flags import SECTIONS, Flag, by_name, nearest, variable
from server.inert import INERT_SECTIONS, REFUSED_SECTION

ALL_SECTIONS: Final = (*SECTIONS, *INERT_SECTIONS, REFUSED_SECTION)
ALL_FLAGS: Final = by_name(flag for section in ALL_SECTIONS for flag in section.flags)


@attrs.frozen
class Notice:
    """A line for the log that was found out before there was a log."""

    message: str
    fields: Mapping[str, str]


@attrs.frozen
class Settings:
    """The text of every setting that somebody gave, by the name it was given under."""

    given: Mapping[str, Setting]
    notices: tuple[Notice, ...] = ()


def gather(
    arguments: Mapping[str, Setting],
    environment: Mapping[str, str],
    read_file: Callable[[str], str],
) -> Settings:
    """Return what counts. `read_file` returns a file's text or raises OSError.

    Raises ConfigFileError.
    """
    from_environment = _read_environment(environment)
    file = arguments.get("config-file", from_environment.get("config-file"))
    if file is None or not file.text:
        return _merged(arguments, from_environment, environment)
    try:
        text = read_file(file.text)
    except OSError as fault:
        raise ConfigFileError(f"{file.origin}: cannot read it: {fault.strerror}.") from fault
    # YAML is loaded for those who write it: a start without a file need not wait for it.
    from server.configfile import read_config_file

    settings = read_config_file(text, file.text, ALL_FLAGS)
    ignored = sorted({**from_environment, **arguments}.items())
    notices = tuple(
        Notice(
            "a configuration file was given, so this setting does not count",
            {"setting": setting.origin, "config_file": file.text},
        )
        for name, setting in ignored
        if name != "config-file"
    )
    return Settings(settings, notices)


def _merged(
    arguments: Mapping[str, Setting],
    from_environment: Mapping[str, Setting],
    environment: Mapping[str, str],
) -> Settings:
    on_command_line = {ALL_FLAGS[name] for name in arguments}
    kept = {
        name: setting
        for name, setting in from_environment.items()
        if ALL_FLAGS[name] not in on_command_line
    }
    shadowed = tuple(
        Notice(
            "the command line wins over the environment",
            {"setting": setting.origin, "flag": f"--{name}"},
        )
        for name, setting in sorted(from_environment.items())
        if name not in kept
    )
    given = {**kept, **arguments}
    return Settings(given, (*shadowed, *_unknown_variables(environment)))


def _read_environment(environment: Mapping[str, str]) -> dict[str, Setting]:
    """Return what the environment sets; a variable that is empty sets nothing, as in etcd."""
    settings: dict[str, Setting] = {}
    for name, flag in ALL_FLAGS.items():
        key = variable(flag, name)
        value = environment.get(key, "")
        if value:
            settings[name] = Setting(value, f"{key}={value}")
    return settings


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[Notice]:
    known = {variable(flag, name) for name, flag in ALL_FLAGS.items()}
    for key in sorted(environment):
        if key.startswith(("ETCD_", "TRINE_")) and key not in known:
            near = nearest(key.partition("_")[2], ALL_FLAGS)
            hint = {"nearest": f"--{near}"} if near is not None else {}
            yield Notice("no setting has this environment variable", {"variable": key, **hint})


def flag_of(name: str) -> Flag:
    """Return the flag that answers to `name`."""
    return ALL_FLAGS[name]
