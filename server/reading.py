"""Turns the texts of settings into values, and collects every fault instead of the first.

Rule: a reader never raises for what a person wrote: it notes a sentence and goes on with the
default, so that one start tells all that is wrong. The values it returned mean nothing once
`faults` has an entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from net import duration
from net.listen import ListenUrl
from server.arguments import Setting
from server.settings import ALL_FLAGS, Settings
from server.urls import UrlError, advertised, listening

_T = TypeVar("_T")

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@attrs.define
class Reader:
    """Reads settings by their first name; `faults` are sentences in the order of reading."""

    settings: Settings
    faults: list[str] = attrs.field(factory=list[str])

    def given(self, name: str) -> Setting | None:
        """Return what was given under any name of a setting; two names at once are a fault."""
        flag = ALL_FLAGS[name]
        names = (flag.name, *flag.other_names)
        found = [self.settings.given[n] for n in names if n in self.settings.given]
        if len(found) > 1:
            self.fault(
                f"{found[0].origin} and {found[1].origin} are two names of one setting: "
                "give one of them."
            )
        return found[0] if found else None

    def fault(self, sentence: str) -> None:
        """Note a fault, once."""
        if sentence not in self.faults:
            self.faults.append(sentence)

    def wrong(self, name: str, advice: str) -> None:
        """Note that what stands for a setting is wrong; `advice` says what to write."""
        setting = self.given(name)
        origin = setting.origin if setting else f"--{name}={ALL_FLAGS[name].default} (the default)"
        self.fault(f"{origin}: {advice}.")

    def text(self, name: str) -> str:
        """Return a text; where the setting has choices, one of them."""
        flag = ALL_FLAGS[name]
        setting = self.given(name)
        if setting is None:
            return flag.default
        if flag.choices and setting.text not in flag.choices:
            self.wrong(name, f"give one of {_listed(flag.choices)}")
            return flag.default
        return setting.text

    def truth(self, name: str) -> bool:
        """Return a boolean as Go reads it."""
        setting = self.given(name)
        text = ALL_FLAGS[name].default if setting is None else setting.text
        if text in _TRUE:
            return True
        if text not in _FALSE:
            self.wrong(name, "give true or false")
        return False

    def number(self, name: str, *, least: int, most: int) -> int:
        """Return a whole number between bounds."""
        setting = self.given(name)
        default = int(ALL_FLAGS[name].default)
        if setting is None:
            return default
        text = setting.text.strip()
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdecimal() and least <= int(text) <= most:
            return int(text)
        self.wrong(name, f"give a whole number from {least} to {most}")
        return default

    def milliseconds(self, name: str, *, least: int, most: int) -> int:
        """Return a duration in whole milliseconds, rounded up so that none becomes zero."""
        setting = self.given(name)
        default_ns = duration.parse(ALL_FLAGS[name].default)
        assert default_ns is not None, f"the default of --{name} is no duration"
        ns = default_ns if setting is None else duration.parse(setting.text.strip())
        if ns is not None:
            ms = -(-ns // duration.MILLISECOND_NS)
            if least <= ms <= most:
                return ms
        lowest = duration.text_of(least * duration.MILLISECOND_NS)
        highest = duration.text_of(most * duration.MILLISECOND_NS)
        self.wrong(name, f"give a duration from {lowest} to {highest}, such as 500ms, 5s or 1m30s")
        return -(-default_ns // duration.MILLISECOND_NS)

    def items(self, name: str) -> tuple[str, ...]:
        """Return the entries of a comma separated list, each once, in their order."""
        setting = self.given(name)
        text = ALL_FLAGS[name].default if setting is None else setting.text
        entries = (entry.strip() for entry in text.split(","))
        return tuple(dict.fromkeys(entry for entry in entries if entry))

    def listen_urls(self, name: str, *, is_tcp_tls: bool) -> tuple[ListenUrl, ...]:
        """Return the URLs to listen at."""
        return self._each(name, lambda url: listening(url, is_tcp_tls=is_tcp_tls))

    def urls(self, name: str) -> tuple[str, ...]:
        """Return the URLs that others are told to use."""
        return self._each(name, advertised)

    def _each(self, name: str, parse: Callable[[str], _T]) -> tuple[_T, ...]:
        values: list[_T] = []
        for item in self.items(name):
            try:
                values.append(parse(item))
            except UrlError as fault:
                self.wrong(name, str(fault))
        return tuple(dict.fromkeys(values))


def _listed(choices: tuple[str, ...]) -> str:
    spelled = [choice or '""' for choice in choices]
    return f"{', '.join(spelled[:-1])} or {spelled[-1]}"
