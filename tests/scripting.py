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
    Answer,
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
    DeleteRange,
    HashKv,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseLeases,
    LeaseRevoke,
    LeaseTimeToLive,
    Put,
    Query,
    Range,
    RangeStream,
    is_readonly,
)
from core.state import State
from core.watching import (
    WatchCreate,
    WatchStream,
)
from tests.script_words import (
    parse_operation,
    parse_txn,
    show_answer,
    show_message,
    show_version,
    split_words,
)


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
