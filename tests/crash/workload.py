"""What clients ask of a member in the crash tests, drawn by chance; few keys, so that they collide.

The rule of this file: values are unique, so that a lost or mixed write shows by itself.
"""

from random import Random

from attrs import define, field, frozen

from core.answers import Answer, DeleteAnswer, PutAnswer, RangeAnswer, TxnAnswer
from core.checks import check_txn
from core.operations import (
    Command,
    Compact,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    Operation,
    Put,
    Query,
    Range,
    Txn,
)

KEYS = tuple(b"/k/%02d" % number for number in range(12))
LEASES = (1, 2, 3)
ALL = Range(b"/", b"0")

Claim = tuple[int, bytes, bytes | None]
"""(revision, key, its value from then on; None for deleted): something a client was told."""


@frozen(eq=False)
class Wish:
    """A request on its way: the token that comes back with the answer."""

    what: Command | Query


@define
class Workload:
    """Draws requests; remembers what it needs for sensible ones."""

    chance: Random
    weights: dict[str, int] = field(factory=dict[str, int])
    revision: int = 1
    """The newest one that any client heard of."""
    _values: int = 0

    def __attrs_post_init__(self) -> None:
        kinds = ("put", "leased", "delete", "range", "txn", "grant", "revoke", "renew", "compact")
        chances = (20, 4, 4, 4, 10, 2, 1, 1, 2)
        for kind, usual in zip(kinds, chances, strict=True):
            self.weights[kind] = usual * self.chance.choice((0, 1, 1, 1, 3))
        self.weights["put"] = max(self.weights["put"], 5)

    def draw(self) -> Wish:
        """Return the next request."""
        chance = self.chance
        kind = chance.choices(list(self.weights), list(self.weights.values()))[0]
        return Wish(self._draw(kind))

    def _draw(self, kind: str) -> Command | Query:
        chance = self.chance
        match kind:
            case "put":
                return Put(chance.choice(KEYS), self._value())
            case "leased":
                return Put(chance.choice(KEYS), self._value(), chance.choice(LEASES))
            case "delete":
                key = chance.choice(KEYS)
                return DeleteRange(key, chance.choice((b"", b"", KEYS[-1])))
            case "range":
                return ALL if chance.random() < 0.5 else Range(chance.choice(KEYS))
            case "txn":
                return self._txn()
            case "grant":
                return LeaseGrant(chance.choice(LEASES), chance.choice((2, 3, 60)))
            case "revoke":
                return LeaseRevoke(chance.choice(LEASES))
            case "renew":
                return LeaseKeepAlive(chance.choice(LEASES))
            case _:
                revision = max(1, self.revision - chance.choice((0, 0, 1, 5, 20)))
                return Compact(revision, chance.random() < 0.5)

    def _txn(self) -> Command | Query:
        chance = self.chance
        keys = chance.sample(KEYS, chance.choice((1, 1, 2, 4)))
        target = chance.choice((CompareTarget.MOD, CompareTarget.VERSION, CompareTarget.CREATE))
        operand = chance.choice((0, 0, 1, 2, self.revision))
        compare = Compare(CompareResult.EQUAL, target, keys[0], b"", operand)
        branches: list[tuple[Operation, ...]] = []
        for _ in range(2):
            branch: list[Operation] = [
                Put(key, self._value()) if chance.random() < 0.7 else DeleteRange(key)
                for key in keys
            ]
            branches.append(tuple(branch))
        txn = Txn((compare,), branches[0], branches[1])
        assert check_txn(txn, 128) is None, "the workload draws only what is admitted"
        return txn

    def _value(self) -> bytes:
        self._values += 1
        size = self.chance.choice((0, 10, 100, 400, 3000))
        return b"%d-%d:" % (self._values, size) + self.chance.randbytes(size)


def claims(wish: Wish, answer: Answer) -> list[Claim]:
    """Return what an answer tells its client of the keys."""
    match wish.what, answer:
        case Put(), PutAnswer():
            return [(answer.revision, wish.what.key, wish.what.value)]
        case DeleteRange(key, b""), DeleteAnswer(deleted=1):
            return [(answer.revision, key, None)]
        case Txn(), TxnAnswer():
            branch = wish.what.success if answer.succeeded else wish.what.failure
            told: list[Claim] = []
            for op, its in zip(branch, answer.answers, strict=True):
                if isinstance(op, Put):
                    told.append((answer.revision, op.key, op.value))
                elif isinstance(its, DeleteAnswer) and its.deleted and isinstance(op, DeleteRange):
                    told.append((answer.revision, op.key, None))
            return told
        case Range(), RangeAnswer():
            return [(version.mod, version.key, version.value) for version in answer.versions]
        case _:
            return []
