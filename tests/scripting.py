"""The language of the golden scripts in tests/scripts: commands in, the observed world out.

A script is made of cases: commands, a line `---`, what is then observed, an empty line.
`World` drives one `Node` the way the driver does, one pack per command, with the codec in
between. Keys and values are words; `-` stands for an empty one, `\\0` for a zero byte.

    put KEY VALUE [lease=N] [prev] [ignore_value] [ignore_lease]
    get KEY [END] [rev=N] [limit=N] [sort=asc|desc] [by=mod|...] [keys] [count] [min_mod=N] ...
    stream KEY [END] [rev=N] [limit=N]
    delete KEY [END] [prev]
    txn if FIELD(KEY[,END])OPVALUE ... then OP ; OP else OP ; OP      (nested: txn[ ... ])
    compact REV [physical]      grant ID TTL     revoke ID    keepalive ID    ttl ID    leases
    tick MS                     elect TERM       depose       alarm raise|clear KIND    alarms
    open S    watch S KEY [END] [rev=N] [prev] [progress] [noput] [nodelete] [id=N] [fragment]
    cancel S ID    progress S   block S   room S   close S    work    hash [REV]    state
"""

import re
from collections.abc import Iterator
from pathlib import Path

from core import checks
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
from core.codec import decode_pack, encode_pack
from core.effects import Effect, Notify, Propose, ReadIndex, Reply
from core.errors import Failure
from core.inputs import (
    Asked,
    Committed,
    Deposed,
    Elected,
    Offered,
    ReadReady,
    RoomChanged,
    Ticked,
    WatchAsked,
    WatchCanceled,
    WatchClosed,
    WatchOpened,
    WatchProgressAsked,
)
from core.invariants import check
from core.node import Node, NodeConfig
from core.operations import (
    AlarmKind,
    AlarmList,
    AlarmSet,
    Command,
    Compact,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    HashKv,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseLeases,
    LeaseRevoke,
    LeaseTimeToLive,
    Operation,
    Put,
    Query,
    Range,
    RangeStream,
    SortOrder,
    SortTarget,
    Txn,
    is_readonly,
)
from core.records import Version
from core.state import State
from core.watching import (
    Canceled,
    Compacted,
    Created,
    Events,
    NotCreated,
    Progress,
    WatchCreate,
    WatchStream,
)
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


class World:
    """One node, its log, and its watch streams by name."""

    def __init__(self, *, quota_bytes: int = 1 << 40, fragment_bytes: int = 1 << 20) -> None:
        config = NodeConfig(
            member_id=1,
            origin=7,
            quota_bytes=quota_bytes,
            request_bytes_max=1 << 20,
            fragment_bytes=fragment_bytes,
            progress_interval_ms=1000,
        )
        self.node = Node(State(), config)
        self.index = 0
        self.term = 1
        self.now_ms = 0
        self.streams: dict[str, WatchStream] = {}
        self.lines: list[str] = []
        self._commit([])
        self._take(self.node.step(Elected(1)))
        self._take(self.node.step(Ticked(0)))
        self.lines.clear()

    def run(self, line: str) -> None:
        """Do one line of a script; what is observed goes to `lines`."""
        name, _, rest = line.partition(" ")
        verb = getattr(self, f"do_{name}", None)
        if verb is None:
            raise ValueError(f"no such command: {line}")
        verb(rest)
        check(self.node.state)

    # Keys.

    def do_put(self, rest: str) -> None:
        command = parse_operation(f"put {rest}")
        assert isinstance(command, Put)
        self._offer(command, checks.check_put(command))

    def do_delete(self, rest: str) -> None:
        command = parse_operation(f"delete {rest}")
        assert isinstance(command, DeleteRange)
        self._offer(command, checks.check_delete(command))

    def do_get(self, rest: str) -> None:
        query = parse_operation(f"get {rest}")
        assert isinstance(query, Range)
        self._ask(query, checks.check_range(query))

    def do_stream(self, rest: str) -> None:
        query = parse_operation(f"get {rest}")
        assert isinstance(query, Range)
        self._ask(RangeStream(query), checks.check_range_stream(query))

    def do_txn(self, rest: str) -> None:
        command = parse_txn(rest)
        failure = checks.check_txn(command, 128)
        if is_readonly(command):
            self._ask(command, failure)
        else:
            self._offer(command, failure)

    def do_compact(self, rest: str) -> None:
        words = rest.split()
        self._offer(Compact(int(words[0]), "physical" in words), None)

    # Leases.

    def do_grant(self, rest: str) -> None:
        lease_id, ttl_s = rest.split()
        self._offer(LeaseGrant(int(lease_id), int(ttl_s)), None)

    def do_revoke(self, rest: str) -> None:
        self._offer(LeaseRevoke(int(rest)), None)

    def do_keepalive(self, rest: str) -> None:
        self._ask(LeaseKeepAlive(int(rest)), None)

    def do_ttl(self, rest: str) -> None:
        self._ask(LeaseTimeToLive(int(rest), True), None)

    def do_leases(self, _: str) -> None:
        self._ask(LeaseLeases(), None)

    def do_tick(self, rest: str) -> None:
        """Let time pass, in steps as short as a running member's."""
        end_ms = self.now_ms + int(rest)
        while self.now_ms < end_ms:
            self.now_ms = min(end_ms, self.now_ms + 500)
            self._take(self.node.step(Ticked(self.now_ms)))

    def do_pause(self, rest: str) -> None:
        """Let time pass at once, as on a machine that was stopped."""
        self.now_ms += int(rest)
        self._take(self.node.step(Ticked(self.now_ms)))

    def do_elect(self, rest: str) -> None:
        self.term = int(rest)
        self._take(self.node.step(Elected(self.term)))

    def do_depose(self, _: str) -> None:
        self._take(self.node.step(Deposed(self.term)))

    # Alarms, hashes, the state.

    def do_alarm(self, rest: str) -> None:
        what, kind = rest.split()
        self._offer(AlarmSet(1, AlarmKind[kind], what == "raise"), None)

    def do_alarms(self, _: str) -> None:
        self._ask(AlarmList(), None)

    def do_hash(self, rest: str) -> None:
        self._ask(HashKv(int(rest or 0)), None)

    def do_state(self, _: str) -> None:
        state = self.node.state
        self.lines.append(
            f"rev={state.revision} compact={state.compact_revision} keys={state.index.key_count}"
            f" log={state.changes.first}..{state.changes.last} leases={len(state.leases)}"
        )
        for key in state.index.next_keys(b"", 1000):
            for version in state.index.all_versions(key):
                self.lines.append(f"  {show_version(version)}")

    def do_work(self, _: str) -> None:
        while self.node.has_work():
            self._take(self.node.work())

    # Watches.

    def do_open(self, rest: str) -> None:
        stream = self.streams[rest] = WatchStream(token=rest)
        self._take(self.node.step(WatchOpened(stream, 0)))

    def do_watch(self, rest: str) -> None:
        name, *words = rest.split()
        keys, options, flags = split_words(words)
        self._take(
            self.node.step(
                WatchAsked(
                    self.streams[name],
                    WatchCreate(
                        keys[0],
                        keys[1] if len(keys) > 1 else b"",
                        options.get("rev", 0),
                        "progress" in flags,
                        "noput" in flags,
                        "nodelete" in flags,
                        "prev" in flags,
                        options.get("id", 0),
                        "fragment" in flags,
                    ),
                )
            )
        )

    def do_cancel(self, rest: str) -> None:
        name, watch_id = rest.split()
        self._take(self.node.step(WatchCanceled(self.streams[name], int(watch_id))))

    def do_progress(self, rest: str) -> None:
        self._take(self.node.step(WatchProgressAsked(self.streams[rest])))

    def do_block(self, rest: str) -> None:
        self._take(self.node.step(RoomChanged(self.streams[rest], True)))

    def do_room(self, rest: str) -> None:
        self._take(self.node.step(RoomChanged(self.streams[rest], False)))

    def do_close(self, rest: str) -> None:
        self._take(self.node.step(WatchClosed(self.streams.pop(rest))))

    # How the node is driven.

    def _offer(self, command: Command, failure: Failure | None) -> None:
        if failure is not None:
            self._show_answer(failure)
            return
        self._take(self.node.step(Offered("client", command, 100)))

    def _ask(self, query: Query, failure: Failure | None) -> None:
        if failure is not None:
            self._show_answer(failure)
            return
        self._take(self.node.step(Asked("client", query)))
        self._take(self.node.begin_reads())
        if isinstance(query, HashKv | RangeStream):
            self.do_work("")

    def _commit(self, payloads: list[bytes]) -> None:
        self.index += 1
        pack = decode_pack(encode_pack(payloads))
        self._take(self.node.step(Committed(self.index, self.term, pack)))

    def _take(self, effects: object) -> None:
        assert isinstance(effects, list | tuple)
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, Propose):
            self._commit([effect.payload])
        elif isinstance(effect, ReadIndex):
            self._take(self.node.step(ReadReady(effect.round, self.index)))
        elif isinstance(effect, Reply):
            self._show_answer(effect.answer)
        elif isinstance(effect, Notify):
            self.lines += (f"{effect.stream.token}: {text}" for text in show_message(effect))

    def _show_answer(self, answer: Answer) -> None:
        self.lines += show_answer(answer)


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


def cases(text: str) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Yield (comments, commands, observed) of each case of a script."""
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        comments = [line for line in lines if line.startswith("#")]
        rest = [line for line in lines if not line.startswith("#")]
        split = rest.index("---") if "---" in rest else len(rest)
        yield comments, rest[:split], rest[split + 1 :]


def play(path: Path) -> str:
    """Run a script and return it with what was really observed."""
    text = path.read_text()
    options = {name: int(value) for name, value in re.findall(r"^# (\w+_bytes)=(\d+)$", text, re.M)}
    world = World(**options)
    blocks: list[str] = []
    for comments, commands, _ in cases(text):
        world.lines.clear()
        for command in commands:
            world.run(command)
        shown_lines = [*comments, *commands]
        if commands:
            shown_lines += ["---", *world.lines]
        blocks.append("\n".join(shown_lines))
    return "\n\n".join(blocks) + "\n"
