"""Long histories of many clients at once, linearizable by construction, with a log.

The rule of this file: every operation happens on a model at one moment between its invocation and
its return; some never return, and of those half never happen.
"""

from heapq import heappop, heappush
from random import Random

from sim.check.model import Model
from sim.history import NEVER_US, Call, History, Logged
from sim.ops import Compare, Delete, Op, Put, Range, Result, Txn, Unknown


def long_history(
    seed: int, size: int, *, clients: int = 10, keys: int = 8, unknown: float = 0.05
) -> History:
    """Return a history of about `size` operations: puts, gets, guarded puts, deletes, lists."""
    chance = Random(seed)
    model, log = Model(), list[Logged]()
    calls: list[Call] = []
    results: dict[int, Result] = {}
    known: dict[str, int] = {}
    heap: list[tuple[int, int, str, int, Op | None]] = []
    for client in range(clients):
        heappush(heap, (chance.randrange(1000), client, "ask", client, None))
    number = -1
    asked: dict[int, tuple[int, int, bool]] = {}
    while heap and len(calls) < size:
        now_us, _, what, who, op = heappop(heap)
        if what == "ask":
            number += 1
            op = _operation(chance, number, f"k{chance.randrange(keys)}", known)
            is_lost = chance.random() < unknown
            asked[number] = (now_us, who, is_lost)
            there_us = now_us + 1 + int(chance.expovariate(1e-4))
            if is_lost:
                there_us += int(chance.expovariate(1e-5))
                calls.append(Call(number, who, 0, op, now_us, NEVER_US, Unknown("deadline")))
                heappush(heap, (now_us + 50_000, number, "ask", who, None))
            if not is_lost or chance.random() < 0.5:
                heappush(heap, (there_us, number, "do", number, op))
        elif what == "do" and op is not None:
            before = model.rev
            results[who] = model.apply(op)
            if not isinstance(op, Range):
                log.append(Logged(len(log), 0, 1, who, op, model.rev, now_us))
            if model.rev > before:
                known.update({kv.key: kv.mod for kv in model.changes[-1]})
            if not asked[who][2]:
                heappush(heap, (now_us + 1 + int(chance.expovariate(1e-4)), who, "tell", who, op))
        elif op is not None:
            begun_us, client, _ = asked[who]
            calls.append(Call(who, client, 0, op, begun_us, now_us, results[who]))
            heappush(heap, (now_us + 1 + chance.randrange(2000), who, "ask", client, None))
    told = {call.number for call in calls}
    for who, op in [(each[3], each[4]) for each in heap if each[2] == "tell"]:
        if op is not None and who not in told:
            begun_us, client, _ = asked[who]
            calls.append(Call(who, client, 0, op, begun_us, NEVER_US, Unknown("cut")))
    calls.sort()
    return History(calls=calls, log=log, ended_us=calls[-1].invoked_us)


def _operation(chance: Random, number: int, key: str, known: dict[str, int]) -> Op:
    draw = chance.random()
    if draw < 0.35:
        return Put(key, str(number))
    if draw < 0.7:
        return Range(key)
    if draw < 0.85:
        compare = Compare(key, "mod", "=", known.get(key, 0))
        return Txn((compare,), (Put(key, str(number)),), (Range(key),))
    return Delete(key) if draw < 0.9 else Range("k", "l")
