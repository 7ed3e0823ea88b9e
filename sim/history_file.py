"""Histories as files: one JSON line for each thing that happened, in order of time.

Rule of this file: what is read back is what was written, or ValueError says which line is wrong and
why. The lines are described in `sim/history`. Times of unknown outcomes are null.

    write_history(path, history)    an older file of that name is replaced
    read_history(path) -> History
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, cast

from sim.history import (
    NEVER_US,
    Cache,
    Call,
    Event,
    Expire,
    Fault,
    History,
    Logged,
    Seen,
    Watcher,
    WatchSpec,
)
from sim.ops import Done, Failed, Json, Kv, Op, Result, Unknown, from_json, to_json
from sim.well_typed import is_well_typed

Line = dict[str, Any]  # What json.loads gives; every part is checked before it is used.

Shape = TypeVar("Shape", bound=tuple[object, ...])

MESSAGES: Final = ("created", "events", "progress", "canceled", "lost")


def write_history(path: Path | str, history: History) -> None:
    """Write a history. Raises OSError."""
    with Path(path).open("w", encoding="utf-8") as file:
        for line in lines_of(history):
            file.write(line)
            file.write("\n")


def read_history(path: Path | str) -> History:
    """Read a history. Raises OSError, and ValueError with the number of the line that is wrong."""
    with Path(path).open(encoding="utf-8") as file:
        return history_of(file)


def lines_of(history: History) -> Iterator[str]:
    """Yield a history's lines, without their ends."""
    first: Line = {
        "type": "run",
        "facts": history.facts,
        "healed": _time(history.healed_us),
        "logged": history.log is not None,
    }
    timed = [*_calls(history), *_watchers(history), *_others(history)]
    timed.sort(key=lambda each: each[0])
    for line in (first, *[line for _, line in timed], *_logged(history.log or [])):
        yield json.dumps(line, separators=(",", ":"))
    yield json.dumps({"type": "end", "t": history.ended_us}, separators=(",", ":"))


def history_of(lines: Iterable[str]) -> History:
    """Return the history that lines hold. Raises ValueError with the number of the wrong line."""
    reader = _Reader()
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line: object = json.loads(text)
            if not isinstance(line, dict):
                _refuse("a line is an object")
            reader.take(cast(Line, line))
        except KeyError as error:
            raise ValueError(f"line {number}: {error.args[0]!r} is missing") from error
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {number}: {error}") from error
    return reader.finish()


# ---- writing


def _time(time_us: int) -> int | None:
    return None if time_us == NEVER_US else time_us


def _calls(history: History) -> Iterator[tuple[int, Line]]:
    for number, process, member, op, invoked_us, returned_us, result in history.calls:
        asked = {"type": "invoke", "i": number, "t": invoked_us, "p": process, "member": member}
        yield invoked_us, {**asked, "v": to_json(op)}
        kind = "info" if isinstance(result, Unknown) else "ok"
        kind = "fail" if isinstance(result, Failed) else kind
        told = {"type": kind, "i": number, "t": _time(returned_us), "p": process}
        yield returned_us, {**told, "v": to_json(result)}


def _watchers(history: History) -> Iterator[tuple[int, Line]]:
    for watcher in history.watchers:
        line = {"type": "watch", "t": watcher.opened_us, "w": watcher.number}
        spec = [_listed(each) for each in watcher.spec]
        opened = {"p": watcher.process, "member": watcher.member, "spec": spec}
        yield watcher.opened_us, {
            **line, "ev": "open", **opened, "after": watcher.opened_after_rev
        }  # fmt: skip
        for seen in watcher.seen:
            yield seen.time_us, {**line, "t": seen.time_us, "ev": seen.kind, **_seen(seen)}
        if watcher.closed_us != NEVER_US:
            yield watcher.closed_us, {**line, "t": watcher.closed_us, "ev": "closed"}


def _seen(seen: Seen) -> Line:
    line: Line = {"rev": seen.rev}
    if seen.events:
        line["events"] = [
            [event.kind, to_json(event.kv), event.prev and to_json(event.prev)]
            for event in seen.events
        ]
    if seen.compact_rev:
        line["compact"] = seen.compact_rev
    if seen.reason:
        line["reason"] = seen.reason
    if seen.fragment:
        line["fragment"] = True
    return line


def _others(history: History) -> Iterator[tuple[int, Line]]:
    for fault in history.faults:
        yield (
            fault.time_us,
            {
                "type": "fault",
                "t": fault.time_us,
                "what": fault.what,
                "members": list(fault.members),
                "on": fault.on,
                "detail": fault.detail,
            },
        )
    for cache in history.caches:
        yield (
            cache.time_us,
            {
                "type": "cache",
                "t": cache.time_us,
                "p": cache.process,
                "key": cache.key,
                "end": cache.end,
                "rev": cache.rev,
                "objects": [list(each) for each in cache.objects],
            },
        )


def _logged(log: list[Logged]) -> Iterator[Line]:
    for entry in log:
        what: Json = None
        if isinstance(entry.what, Expire):
            what = {"Expire": [entry.what.lease]}
        elif entry.what is not None:
            what = to_json(entry.what)
        command = [entry.position, entry.call, what, entry.rev, entry.time_us]
        yield {
            "type": "log",
            "index": entry.log_index,
            "term": entry.term,
            "commands": [command],
        }


def _listed(value: object) -> object:
    return list(cast(tuple[object, ...], value)) if isinstance(value, tuple) else value


# ---- reading


class _Reader:
    """Builds one history, a line at a time."""

    def __init__(self) -> None:
        self.history: History | None = None
        self.invoked: dict[int, Call] = {}
        self.answered: dict[int, Call] = {}
        self.watchers: dict[int, Watcher] = {}
        self.is_ended = False

    def take(self, line: Line) -> None:
        kind = line["type"]
        if kind == "run":
            self._run(line)
            return
        if self.history is None:
            _refuse("a history begins with a line of type run")
        if self.is_ended:
            _refuse("a line after the end")
        match kind:
            case "invoke":
                self._invoke(line)
            case "ok" | "fail" | "info":
                self._answer(line)
            case "watch":
                self._watch(line, self.history)
            case "fault":
                self.history.faults.append(
                    _checked(Fault(line["t"], line["what"], _tuple(line["members"]), line["on"],
                                   line["detail"]))
                )  # fmt: skip
            case "cache":
                objects = tuple(_tuple(each) for each in line["objects"])
                cache = Cache(
                    line["p"], line["t"], line["key"], line["end"], line["rev"],
                    cast(tuple[tuple[str, int, str], ...], objects),
                )  # fmt: skip
                self.history.caches.append(_checked(cache))
            case "log":
                self._log(line, self.history)
            case "end":
                self.history.ended_us = _integer(line, "t")
                self.is_ended = True
            case _:
                _refuse(f"no such type of line: {kind!r}")

    def finish(self) -> History:
        if self.history is None:
            _refuse("an empty file is no history")
        if not self.is_ended:
            _refuse("the last line, of type end, is missing: the file was cut")
        open_calls = [number for number in self.invoked if number not in self.answered]
        if open_calls:
            _refuse(f"call {open_calls[0]} has no answer")
        self.history.calls = [self.answered[number] for number in sorted(self.invoked)]
        self.history.watchers = list(self.watchers.values())
        return self.history

    def _run(self, line: Line) -> None:
        if self.history is not None:
            _refuse("a second line of type run")
        facts = line["facts"]
        if not isinstance(facts, dict):
            _refuse("facts is an object")
        healed = line["healed"]
        self.history = History(
            facts=cast(dict[str, Json], facts),
            log=[] if line["logged"] else None,
            healed_us=NEVER_US if healed is None else _integer(line, "healed"),
        )

    def _invoke(self, line: Line) -> None:
        number = _integer(line, "i")
        if number in self.invoked:
            _refuse(f"call {number} is invoked twice")
        op = _read(line["v"], Op, "operation")
        call = Call(number, line["p"], line["member"], op, line["t"], NEVER_US, Unknown(""))
        self.invoked[number] = _checked(call)

    def _answer(self, line: Line) -> None:
        number = _integer(line, "i")
        call = self.invoked.get(number)
        if call is None:
            _refuse(f"call {number} is answered and was never invoked")
        if number in self.answered:
            _refuse(f"call {number} is answered twice")
        expected = {"ok": Done, "fail": Failed, "info": Unknown}[line["type"]]
        result = cast(Result, _read(line["v"], expected, "answer of this type"))
        returned_us = NEVER_US if line["t"] is None else _integer(line, "t")
        if returned_us < call.invoked_us:
            _refuse(f"call {number} is answered before it was invoked")
        self.answered[number] = call._replace(returned_us=returned_us, result=result)

    def _watch(self, line: Line, history: History) -> None:
        number, what, time_us = _integer(line, "w"), line["ev"], _integer(line, "t")
        if what == "open":
            if number in self.watchers:
                _refuse(f"watcher {number} is opened twice")
            spec = _checked(WatchSpec(*[_tuple(each) for each in line["spec"]]))
            self.watchers[number] = Watcher(
                number, _integer(line, "p"), _integer(line, "member"), spec, time_us,
                _integer(line, "after"),
            )  # fmt: skip
            return
        watcher = self.watchers.get(number)
        if watcher is None:
            _refuse(f"watcher {number} was never opened")
        if what == "closed":
            watcher.closed_us = time_us
        elif what in MESSAGES:
            events = tuple(_event(each) for each in line.get("events", ()))
            seen = Seen(time_us, what, _integer(line, "rev"), events, line.get("compact", 0),
                        line.get("reason", ""), line.get("fragment", False))  # fmt: skip
            watcher.seen.append(_checked(seen))
        else:
            _refuse(f"a watcher sees no {what!r}")

    def _log(self, line: Line, history: History) -> None:
        if history.log is None:
            _refuse("a log line, and the first line says that there is no log")
        for command in line["commands"]:
            position, call, what, rev, time_us = command
            if isinstance(what, dict) and "Expire" in what:
                op: object = Expire(*cast(Line, what)["Expire"])
            else:
                op = None if what is None else _read(cast(Json, what), Op, "operation")
            entry = Logged(
                line["index"], position, line["term"], call, cast(Op | Expire | None, op), rev,
                time_us,
            )  # fmt: skip
            history.log.append(_checked(entry))


def _read(value: Json, kinds: Any, name: str) -> Any:  # `kinds` is a union: it has no other type.
    read = from_json(value)
    if not isinstance(read, kinds) or not is_well_typed(cast(tuple[object, ...], read)):
        _refuse(f"no {name}: {json.dumps(value)[:200]}")
    return read


def _event(value: Any) -> Event:  # Checked below, as a whole.
    kind, kv, prev = value
    if kind not in ("put", "delete"):
        _refuse(f"an event is a put or a delete, not {kind!r}")
    before = None if prev is None else cast(Kv, from_json(prev))
    return _checked(Event(kind, cast(Kv, from_json(kv)), before))


def _checked(value: Shape) -> Shape:
    if not is_well_typed(value):
        _refuse(f"a field is not of its type: {value!r:.300}")
    return value


def _tuple(value: Any) -> Any:  # Checked by whoever takes it.
    return tuple(cast(list[object], value)) if isinstance(value, list) else value


def _integer(line: Line, name: str) -> int:
    value = line[name]
    if type(value) is not int:
        _refuse(f"{name} is a whole number, not {value!r}")
    return value


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)
