"""The words of the golden scripts: operations read from them, answers and messages shown in them.

See `tests.scripting` for the language and the world that it drives.
"""

import re
from collections.abc import Iterator

from core.answers import (
    AlarmAnswer,
    Answer,
    CompactAnswer,
    DeleteAnswer,
    Done,
    HashKvAnswer,
    LeaseGrantAnswer,
    LeaseKeepAliveAnswer,
    LeaseLeasesAnswer,
    LeaseRevokeAnswer,
    LeaseTimeToLiveAnswer,
    PutAnswer,
    RangeAnswer,
    RangeChunk,
    TxnAnswer,
)
from core.effects import Notify
from core.errors import Failure
from core.operations import (
    AlarmKind,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Operation,
    Put,
    Range,
    SortOrder,
    SortTarget,
    Txn,
)
from core.records import Version
from core.watching import Canceled, Compacted, Created, Events, NotCreated, Progress
from net.etcd.pb import rpc_pb2 as pb

OPERATORS = {
    "!=": CompareResult.NOT_EQUAL,
    "=": CompareResult.EQUAL,
    "<": CompareResult.LESS,
    ">": CompareResult.GREATER,
}


def word(text: str) -> bytes:
    """Return the bytes a word of a script stands for."""
    if text == "-":
        return b""
    found = re.fullmatch(r"(.+)\*(\d+)", text)
    if found:
        return found[1].encode() * int(found[2])
    return text.replace("\\0", "\0").encode()


def shown(data: bytes) -> str:
    """Return how a script shows bytes."""
    if not data:
        return "-"
    if len(data) > 40:
        return f"{data[:1].decode()}*{len(data)}"
    return data.decode("ascii", "backslashreplace").replace("\0", "\\0")


def show_version(version: Version) -> str:
    """Return one line of a key's version."""
    key = shown(version.key)
    if version.is_tombstone:
        return f"{key} mod={version.mod} tombstone"
    text = f"{key} = {shown(version.value)} mod={version.mod} create={version.create}"
    lease = f" lease={version.lease}" if version.lease else ""
    return f"{text} version={version.version}{lease}"


def show_answer(answer: Answer) -> Iterator[str]:
    """Yield an answer's lines."""
    match answer:
        case Failure(code, text):
            yield f"error {code} {text}"
        case PutAnswer(revision, previous):
            yield f"rev={revision}"
            if previous is not None:
                yield f"  was {show_version(previous)}"
        case RangeAnswer(revision, versions, total, more, keys_only):
            yield f"rev={revision} count={total}{' more' if more else ''}"
            for version in versions:
                yield f"  {shown(version.key) if keys_only else show_version(version)}"
        case RangeChunk():
            end = f" rev={answer.revision} count={answer.total}" if answer.last else ""
            yield f"chunk of {len(answer.versions)}{end}{' more' if answer.more else ''}"
        case DeleteAnswer(revision, deleted, previous_versions):
            yield f"rev={revision} deleted={deleted}"
            for version in previous_versions:
                yield f"  was {show_version(version)}"
        case TxnAnswer(revision, succeeded, answers):
            yield f"rev={revision} {'then' if succeeded else 'else'}"
            for each in answers:
                for line in show_answer(each):
                    yield f"  {line}"
        case LeaseGrantAnswer(revision, lease_id, ttl_s):
            yield f"rev={revision} id={lease_id} ttl={ttl_s}"
        case LeaseKeepAliveAnswer(revision, lease_id, ttl_s):
            yield f"rev={revision} id={lease_id} ttl={ttl_s}"
        case LeaseTimeToLiveAnswer(revision, lease_id, ttl_s, granted, keys):
            names = " ".join(map(shown, keys))
            yield f"rev={revision} id={lease_id} ttl={ttl_s} granted={granted} keys=[{names}]"
        case LeaseLeasesAnswer(revision, ids):
            yield f"rev={revision} ids={list(ids)}"
        case AlarmAnswer(revision, alarms):
            kinds = " ".join(f"{member}:{AlarmKind(kind).name}" for member, kind in alarms)
            yield f"rev={revision} alarms=[{kinds}]"
        case HashKvAnswer(revision, _, compact_revision, hash_revision):
            yield f"rev={revision} compact={compact_revision} hashed={hash_revision}"
        case CompactAnswer(revision) | LeaseRevokeAnswer(revision) | Done(revision):
            yield f"rev={revision}"


def show_message(effect: Notify) -> Iterator[str]:
    """Yield a watch message's lines."""
    match effect.message:
        case Created(revision, watch_id):
            yield f"created {watch_id} rev={revision}"
        case NotCreated(revision, reason):
            yield f"refused rev={revision} {reason}"
        case Canceled(revision, watch_id):
            yield f"canceled {watch_id} rev={revision}"
        case Compacted(watch_id, compact_revision):
            yield f"compacted {watch_id} compact={compact_revision}"
        case Progress(revision, watch_id):
            yield f"progress {watch_id} rev={revision}"
        case Events(revision, watch_id, events, _, fragment):
            yield f"events {watch_id} rev={revision}{' fragment' if fragment else ''}"
            for event in pb.WatchResponse.FromString(events).events:
                kv = event.kv
                text = (
                    f"  {'DELETE' if event.type else 'PUT'} {shown(kv.key)} mod={kv.mod_revision}"
                )
                if not event.type:
                    text += f" = {shown(kv.value)} create={kv.create_revision}"
                if event.HasField("prev_kv"):
                    text += f" was {shown(event.prev_kv.value)}@{event.prev_kv.mod_revision}"
                yield text


def split_words(words: list[str]) -> tuple[list[bytes], dict[str, int], set[str]]:
    """Sort words into keys and values, options with numbers, and flags."""
    plain: list[bytes] = []
    options: dict[str, int] = {}
    flags: set[str] = set()
    for text in words:
        name, equals, value = text.partition("=")
        if equals and re.fullmatch(r"-?\d+", value):
            options[name] = int(value)
        elif equals or text in _FLAGS:
            flags.add(text)
        else:
            plain.append(word(text))
    return plain, options, flags


_FLAGS = {
    "prev", "ignore_value", "ignore_lease", "keys", "count", "serializable", "progress",
    "noput", "nodelete", "fragment",
}  # fmt: skip


def parse_operation(text: str) -> Operation:
    """Return the operation a line stands for."""
    name, *words = text.split()
    if name == "txn":
        return parse_txn(" ".join(words))
    plain, options, flags = split_words(words)
    end = plain[1] if len(plain) > 1 else b""
    if name == "put":
        return Put(
            plain[0],
            end,
            options.get("lease", 0),
            "prev" in flags,
            "ignore_value" in flags,
            "ignore_lease" in flags,
        )
    if name == "delete":
        return DeleteRange(plain[0], end, "prev" in flags)
    if name != "get":
        raise ValueError(f"no such operation: {text}")
    sort = next((flag[5:] for flag in flags if flag.startswith("sort=")), "")
    by = next((flag[3:] for flag in flags if flag.startswith("by=")), "key")
    orders = {"": SortOrder.NONE, "asc": SortOrder.ASCEND, "desc": SortOrder.DESCEND}
    return Range(
        plain[0],
        end,
        options.get("limit", 0),
        options.get("rev", 0),
        orders[sort],
        SortTarget[by.upper()],
        "serializable" in flags,
        "keys" in flags,
        "count" in flags,
        options.get("min_mod", 0),
        options.get("max_mod", 0),
        options.get("min_create", 0),
        options.get("max_create", 0),
    )


def parse_txn(text: str) -> Txn:
    """Return the transaction of `if ... then ... else ...`; nested ones stand in brackets."""
    nested: list[Txn] = []
    while found := re.search(r"txn\[([^\[\]]*)\]", text):
        nested.append(parse_txn(found[1]))
        text = text[: found.start()] + f"txn#{len(nested) - 1}" + text[found.end() :]
    body, _, otherwise = text.partition("else")
    condition, _, then = body.partition("then")
    compares = tuple(map(_parse_compare, condition.replace("if", "", 1).split()))

    def branch(part: str) -> tuple[Operation, ...]:
        ops = [op.strip() for op in part.split(";") if op.strip()]
        return tuple(
            nested[int(op[4:])] if op.startswith("txn#") else parse_operation(op) for op in ops
        )

    return Txn(compares, branch(then), branch(otherwise))


def _parse_compare(text: str) -> Compare:
    found = re.fullmatch(r"(\w+)\(([^,)]*)(?:,([^)]*))?\)(!=|=|<|>)(.*)", text)
    assert found, text
    target = CompareTarget[found[1].upper()]
    operand = word(found[5]) if target is CompareTarget.VALUE else int(found[5])
    return Compare(OPERATORS[found[4]], target, word(found[2]), word(found[3] or "-"), operand)
