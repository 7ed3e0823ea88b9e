"""EDN as text: what Jepsen's tools read, as far as histories need it.

Rule of this file: values only. Keywords are `Keyword`; maps, vectors, strings, whole numbers,
true, false and nil are Python's. What is read back is what was written.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, TypeAlias, cast

from attrs import define

Edn: TypeAlias = "bool | int | str | Keyword | Sequence[Edn] | Mapping[Edn, Edn] | None"


class Keyword(str):
    """A keyword, without its colon."""

    __slots__ = ()


def written(value: Edn) -> str:
    """Return a value as EDN, on one line."""
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case Keyword():
            return f":{value}"
        case int():
            return str(value)
        case str():
            # JSON's escapes are EDN's: \uXXXX among them.
            return json.dumps(value, ensure_ascii=True)
        case Mapping():
            inner = ", ".join(f"{written(key)} {written(each)}" for key, each in value.items())
            return f"{{{inner}}}"
        case Sequence():
            return f"[{' '.join(written(each) for each in value)}]"


_TOKEN: Final = re.compile(r'[\s,]*("(?:\\.|[^"\\])*"|[{}\[\]]|[^\s,{}\[\]"]+)')


def read(text: str) -> Edn:
    """Return the one value that a text holds. Raises ValueError for what `written` never makes."""
    tokens = _Tokens(text)
    value = tokens.value(tokens.take())
    if tokens.rest():
        _refuse(f"more than one value: {tokens.rest():.60}")
    return value


@define
class _Tokens:
    text: str
    at: int = 0

    def take(self) -> str:
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            _refuse(f"cut short: {self.text:.60}")
        self.at = match.end()
        return match[1]

    def rest(self) -> str:
        return self.text[self.at :].strip()

    def value(self, token: str) -> Edn:
        if token == "[":
            return self._until("]")
        if token == "{":
            items = self._until("}")
            if len(items) % 2:
                _refuse("a map with a key and no value")
            return dict(zip(items[::2], items[1::2], strict=True))
        if token.startswith('"'):
            return cast(str, json.loads(token))
        if token.startswith(":"):
            return Keyword(token[1:])
        if token in ("nil", "true", "false"):
            return {"nil": None, "true": True, "false": False}[token]
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        return _refuse(f"not read here: {token:.60}")

    def _until(self, end: str) -> list[Edn]:
        items: list[Edn] = []
        while (token := self.take()) != end:
            items.append(self.value(token))
        return items


def _refuse(why: str) -> NoReturn:
    raise ValueError(f"EDN: {why}")
