"""Whether a tuple that was read from a file has the types that its class declares.

Rule of this file: the annotations are the schema. It knows int, str, bool, None, unions, tuples and
named tuples, which is all that plans and histories are made of.
"""

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import cast, get_args, get_origin, get_type_hints

Question = Callable[[object], bool]


def is_well_typed(value: tuple[object, ...]) -> bool:
    """Whether every field, and every field of every field, is of the type it is declared with."""
    return _fields_of(type(value))(value)


@cache
def _fields_of(kind: type) -> Question:
    """Return the question for a class, asked anew for what it nests."""
    hints = get_type_hints(kind)
    if not hints:
        return lambda value: isinstance(value, kind)
    questions = [_question(hint) for hint in hints.values()]

    def holds(value: object) -> bool:
        if not isinstance(value, kind):
            return False
        fields = cast(tuple[object, ...], value)
        return all(ask(each) for ask, each in zip(questions, fields, strict=True))

    return holds


def _question(hint: object) -> Question:
    if isinstance(hint, UnionType) or str(get_origin(hint)) == "typing.Union":
        return _any(get_args(hint))
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint))
    if hint is int:
        return lambda value: type(value) is int
    if hint is type(None) or hint is None:
        return lambda value: value is None
    assert isinstance(hint, type), f"a type that no file holds: {hint}"
    if hint in (str, bool):
        return lambda value: type(value) is hint
    return lambda value: isinstance(value, hint) and _fields_of(hint)(value)


def _any(hints: tuple[object, ...]) -> Question:
    questions = [_question(each) for each in hints]
    return lambda value: any(ask(value) for ask in questions)


def _tuple(hints: tuple[object, ...]) -> Question:
    if len(hints) == 2 and hints[1] is Ellipsis:
        ask = _question(hints[0])
        return lambda value: (
            type(value) is tuple and all(ask(each) for each in cast(tuple[object, ...], value))
        )
    questions = [_question(each) for each in hints]
    return lambda value: (
        type(value) is tuple
        and len(cast(tuple[object, ...], value)) == len(questions)
        and all(
            each(part)
            for each, part in zip(questions, cast(tuple[object, ...], value), strict=True)
        )
    )
