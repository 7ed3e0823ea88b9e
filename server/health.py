"""What `/health`, `/livez`, `/readyz` and `/version` answer, byte for byte what etcd answers.

Rule: pure. The caller finds out what `Facts` asks for (after `needs` told it which reads to try, so
that no probe costs a quorum round it does not report), then writes the `Reply`. Checks of one
request stand in one fixed order; etcd's order is random.

| path     | checks                                                                  |
|----------|-------------------------------------------------------------------------|
| /health  | no alarm (`?exclude=NOSPACE`), a leader, a read (`?serializable=true`)   |
| /livez   | serializable_read                                                       |
| /readyz  | data_corruption, serializable_read, linearizable_read, non_learner      |

Source: etcd v3.7 server/etcdserver/api/etcdhttp/{health,version}.go (behaviour, not code).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from server.version import ETCD_VERSION, TRINE_VERSION

Check = Literal["data_corruption", "serializable_read", "linearizable_read", "non_learner"]
Read = Literal["serializable", "linearizable"]

LIVEZ: Final[tuple[Check, ...]] = ("serializable_read",)
READYZ: Final[tuple[Check, ...]] = (
    "data_corruption",
    "serializable_read",
    "linearizable_read",
    "non_learner",
)
_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"
_NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")


@attrs.frozen
class Facts:
    """What a member knows of itself at the moment of the probe.

    `alarms` are names ("NOSPACE", "CORRUPT") in the order they were raised; a read's error is the
    text a client would have got, None if the read succeeded or was not asked for.
    """

    alarms: tuple[str, ...] = ()
    has_leader: bool = True
    is_learner: bool = False
    serializable_error: str | None = None
    linearizable_error: str | None = None


@attrs.frozen
class Reply:
    """An HTTP answer, but for the headers every answer has (Date, Content-Length)."""

    status: int
    body: bytes
    content_type: str = _TEXT
    headers: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class CheckResult:
    """One check that ran, for the metrics etcd_server_healthcheck(s_total)."""

    type: Literal["livez", "readyz"]
    name: Check
    is_ok: bool


@attrs.frozen
class Probe:
    """One health request, understood: what it needs and how it is answered.

    `checks` is empty for /health, which has rules of its own. `refusal` is there if the method is
    wrong; then no read is needed.
    """

    path: str
    checks: tuple[Check, ...] = ()
    excluded: frozenset[str] = frozenset()
    is_verbose: bool = False
    is_serializable: bool = False
    refusal: Reply | None = None

    @property
    def needs(self) -> frozenset[Read]:
        """Return the reads to try before `answer` is called."""
        if self.refusal is not None:
            return frozenset()
        if self.path == "/health":
            return frozenset({"serializable" if self.is_serializable else "linearizable"})
        reads: set[Read] = set()
        if "serializable_read" in self.checks:
            reads.add("serializable")
        if "linearizable_read" in self.checks:
            reads.add("linearizable")
        return frozenset(reads)


def probe(method: str, target: str) -> Probe | None:
    """Return what a request asks for; None if its path is none of ours.

    `target` is the request target with its query, as it stands in the request line.
    """
    parts = urlsplit(target)
    path = unquote(parts.path)
    known = _CHECKS.get(path)
    if known is None and path != "/health":
        return None
    query = parse_qs(parts.query, keep_blank_values=True)
    excluded = frozenset(value for value in query.get("exclude", ()) if value)
    checks: tuple[Check, ...] = known or ()
    if path in ("/livez", "/readyz"):
        checks = tuple(check for check in checks if check not in excluded)
    return Probe(
        path=path,
        checks=checks,
        excluded=excluded,
        is_verbose="verbose" in query,
        is_serializable=query.get("serializable", [""])[0] == "true",
        refusal=None if method == "GET" else _wrong_method(),
    )


def answer(asked: Probe, facts: Facts) -> tuple[Reply, tuple[CheckResult, ...]]:
    """Return the answer to a probe, and the checks that were made for it."""
    if asked.refusal is not None:
        return asked.refusal, ()
    if asked.path == "/health":
        return _health(asked, facts), ()
    kind: Literal["livez", "readyz"] = "livez" if asked.path.startswith("/livez") else "readyz"
    lines: list[str] = []
    results: list[CheckResult] = []
    for check in asked.checks:
        error = _error(check, facts)
        lines.append(f"[+]{check} ok\n" if error is None else f"[-]{check} failed: {error}\n")
        results.append(CheckResult(kind, check, is_ok=error is None))
    report = "".join(lines)
    if not all(result.is_ok for result in results):
        # Go's http.Error ends the text with a newline of its own.
        return _error_reply(503, report), tuple(results)
    body = f"{report if asked.is_verbose else ''}ok\n"
    return Reply(200, body.encode(), headers=(_NOSNIFF,)), tuple(results)


def version_reply(method: str, *, cluster_version: str | None) -> Reply:
    """Return the answer to /version; `cluster_version` is None before the cluster has one."""
    if method != "GET":
        return _wrong_method()
    versions = {
        "etcdserver": ETCD_VERSION,
        "etcdcluster": cluster_version or "not_decided",
        "storage": ETCD_VERSION,
        "trine": TRINE_VERSION,
    }
    return Reply(200, _compact(versions), content_type=_JSON)


def not_found() -> Reply:
    """Return the answer to a path that nobody knows."""
    return _error_reply(404, "404 page not found")


def _health(asked: Probe, facts: Facts) -> Reply:
    reason = _health_reason(asked, facts)
    if reason is None:
        return Reply(200, _compact({"health": "true", "reason": ""}))
    return _error_reply(503, _compact({"health": "false", "reason": reason}).decode())


def _health_reason(asked: Probe, facts: Facts) -> str | None:
    for alarm in facts.alarms:
        if alarm not in asked.excluded:
            return f"ALARM {alarm}" if alarm in ("NOSPACE", "CORRUPT") else "ALARM UNKNOWN"
    if not asked.is_serializable and not facts.has_leader:
        return "RAFT NO LEADER"
    error = facts.serializable_error if asked.is_serializable else facts.linearizable_error
    return None if error is None else f"RANGE ERROR:{error}"


def _error(check: Check, facts: Facts) -> str | None:
    match check:
        case "data_corruption":
            return "alarm activated: CORRUPT" if "CORRUPT" in facts.alarms else None
        case "serializable_read":
            return facts.serializable_error
        case "linearizable_read":
            return facts.linearizable_error
        case "non_learner":
            return "not supported for learner" if facts.is_learner else None


_CHECKS: Final[Mapping[str, tuple[Check, ...]]] = {
    "/livez": LIVEZ,
    "/readyz": READYZ,
    **{f"/livez/{check}": (check,) for check in LIVEZ},
    **{f"/readyz/{check}": (check,) for check in READYZ},
}


def _wrong_method() -> Reply:
    reply = _error_reply(405, "Method Not Allowed")
    return attrs.evolve(reply, headers=(("Allow", "GET"), *reply.headers))


def _error_reply(status: int, text: str) -> Reply:
    return Reply(status, f"{text}\n".encode(), headers=(_NOSNIFF,))


def _compact(value: Mapping[str, str]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
