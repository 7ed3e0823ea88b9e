"""JSON between members and those who ask them: operators, and members that join.

Rule: total. What another end sends is taken apart here, and whatever is missing or of the wrong
kind is a WrongRequestError; ids are hexadecimal text, since JSON's readers round large numbers.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final, cast

from net.http1 import Http1Request, Http1Response
from server.clustering import KnownMember

JSON: Final = "application/json"
Fields = dict[str, Any]  # JSON, as it comes


class WrongRequestError(Exception):
    """A body that does not say what it must."""


def document(value: object, status: int = 200) -> Http1Response:
    """Return a JSON answer."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Http1Response(status, text.encode(), JSON)


def fault(sentence: str, status: int) -> Http1Response:
    """Return an answer that says what went wrong."""
    return document({"error": sentence}, status)


def listed(member: KnownMember) -> Fields:
    """Return a member as JSON has it."""
    return {
        "id": f"{member.id:x}",
        "name": member.name,
        "peerURLs": list(member.peer_urls),
        "clientURLs": list(member.client_urls),
        "isLearner": member.is_learner,
        "role": member.role,
    }


def unlisted(fields: Fields) -> KnownMember:
    """Return the member that `listed` was given. Raises KeyError, TypeError, ValueError."""
    return KnownMember(
        int(fields["id"], 16),
        str(fields["name"]),
        tuple(map(str, fields["peerURLs"])),
        tuple(map(str, fields["clientURLs"])),
        bool(fields["isLearner"]),
        int(fields["role"]),
    )


def error_of(response: Http1Response) -> str:
    """Return the sentence of a fault; "" for an answer that is none."""
    return "" if response.status == HTTPStatus.OK else str(json.loads(response.body)["error"])


def body_of(request: Http1Request) -> Fields:
    """Return the object that a request carries. Raises WrongRequestError."""
    try:
        fields: object = json.loads(request.body)
    except ValueError as error:
        raise WrongRequestError("the body is no JSON") from error
    if not isinstance(fields, dict):
        raise WrongRequestError("the body is no JSON object")
    return cast("Fields", fields)  # JSON has no other keys than text


def text_in(fields: Fields, name: str) -> str:
    """Return a text. Raises WrongRequestError."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise WrongRequestError(f"{name} is missing or no text")
    return value


def id_of(fields: Fields) -> int:
    """Return the member that is meant. Raises WrongRequestError."""
    try:
        number = int(text_in(fields, "id"), 16)
    except ValueError as error:
        raise WrongRequestError("id is no hexadecimal number") from error
    if not 0 <= number < 1 << 64:
        raise WrongRequestError("id has more than 64 bits")
    return number


def urls_of(fields: Fields) -> tuple[str, ...]:
    """Return the peer URLs, at least one. Raises WrongRequestError."""
    value = fields.get("peerURLs")
    if not isinstance(value, list) or not value:
        raise WrongRequestError("peerURLs is missing or no list")
    urls = cast("list[object]", value)  # of JSON, as above
    if not all(isinstance(url, str) for url in urls):
        raise WrongRequestError("peerURLs is no list of texts")
    return tuple(map(str, urls))
