"""What a sequence has asked for, counted: so that a run can be held to what it claims to cover.

The rule of this file: counted is what the oracle has met, not what the generator has meant. A read
is a Range, at the top or in a transaction, or the creation of a watch, that was answered or refused
for its revision; it is historical if that is one of the past, compacted or not.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import attrs

from net.etcd.pb import rpc_pb2
from sim import oracle_errors as errors
from sim import oracle_watch
from sim.oracle import Oracle
from sim.oracle_errors import Code
from tests.differential.operations import Call, Operation, Send
from tests.differential.trace import Outcome, Refused, Seen

WATCH_OF_THE_COMPACTED = "watch cancelled: its start is compacted"
WATCH_REFUSED = "watch refused: "
WATCH_REFUSALS = (
    WATCH_REFUSED + oracle_watch.COMPACTED_REASON,
    WATCH_REFUSED + oracle_watch.EMPTY_RANGE_REASON,
    WATCH_REFUSED + oracle_watch.DUPLICATE_REASON,
)
TOO_LARGE_FOR_GRPC = "grpc: too large"
ROWS = (
    *(
        error().text
        for error in (
            errors.empty_key,
            errors.key_not_found,
            errors.value_provided,
            errors.lease_provided,
            errors.too_many_operations,
            errors.duplicate_key,
            errors.invalid_sort_option,
            errors.request_too_large,
            errors.compacted,
            errors.future_revision,
            errors.no_space,
            errors.corrupt,
            errors.lease_not_found,
            errors.lease_exists,
            errors.lease_ttl_too_large,
            errors.member_not_found,
            errors.member_urls_invalid,
            errors.peer_url_exists,
            errors.not_enough_started,
            errors.not_a_learner,
            errors.bad_leader_transferee,
            errors.downgrade_version_format,
            errors.downgrade_version_invalid,
        )
    ),
    TOO_LARGE_FOR_GRPC,
    WATCH_OF_THE_COMPACTED,
    *WATCH_REFUSALS,
)
"""Every refusal that one member without auth can be brought to, by a client of grpcio.

"invalid client api version" is not: grpcio does not send metadata that is not ASCII. Nor are those
that need other members, an overload, or a broken disk.
"""
EACH_MIN = 20
TARGETS = tuple(rpc_pb2.Compare.CompareTarget.DESCRIPTOR.values_by_name)
RESULTS = tuple(rpc_pb2.Compare.CompareResult.DESCRIPTOR.values_by_name)


@attrs.define
class Statistics:
    """Counts of one sequence."""

    methods: Counter[str] = attrs.field(factory=Counter)
    errors: Counter[str] = attrs.field(factory=Counter)
    compares: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    reads: int = 0
    historical: int = 0
    _asked: tuple[int, int] = (0, 0)

    def before(self, operation: Operation, oracle: Oracle) -> None:
        """Count what is asked, and keep the reads in it, against the state it is asked in."""
        revisions: list[int] = []
        match operation:
            case Call(method, request):
                self.methods[method] += 1
                if isinstance(request, rpc_pb2.RangeRequest):
                    revisions = [request.revision]
                elif isinstance(request, rpc_pb2.TxnRequest):
                    revisions = [each.revision for each in ranges_of(request)]
            case Send(_, request):
                kind = request.WhichOneof("request_union") or "nothing"
                self.methods[f"Watch {kind}"] += 1
                if kind == "create_request":
                    revisions = [request.create_request.start_revision]
            case _:
                self.methods["Watch closed"] += 1
        newest = oracle.history.revision
        self._asked = (len(revisions), sum(0 < revision < newest for revision in revisions))

    def after(self, outcome: Outcome, oracle: Oracle) -> None:
        """Count what was answered, and the compares that were evaluated for it."""
        if isinstance(outcome, Refused):
            self.errors[told(outcome)] += 1
        if not isinstance(outcome, Refused) or outcome.code == Code.OUT_OF_RANGE:
            self.reads += self._asked[0]
            self.historical += self._asked[1]
        for compare in oracle.compared:
            target = rpc_pb2.Compare.CompareTarget.Name(compare.target)
            self.compares[target, rpc_pb2.Compare.CompareResult.Name(compare.result)] += 1
        oracle.compared.clear()

    def streams(self, streams: Iterable[Seen]) -> None:
        """Count the cancellations on all streams anew."""
        for text in (WATCH_OF_THE_COMPACTED, *WATCH_REFUSALS):
            del self.errors[text]
        for seen in streams:
            for items in seen.by_watch.values():
                for _, item in items:
                    if isinstance(item, rpc_pb2.WatchResponse) and item.cancel_reason:
                        self.errors[WATCH_REFUSED + item.cancel_reason] += 1
                    if isinstance(item, rpc_pb2.WatchResponse) and item.compact_revision:
                        self.errors[WATCH_OF_THE_COMPACTED] += 1

    def lacking(self) -> list[str]:
        """Return the refusals and kinds of compare that were met less often than a run must."""
        kinds = [(target, result) for target in TARGETS for result in RESULTS]
        return [text for text in ROWS if self.errors[text] < EACH_MIN] + [
            f"{target} {result}"
            for target, result in kinds
            if self.compares[target, result] < EACH_MIN
        ]

    @property
    def historical_share(self) -> float:
        """The share of reads that are of the past."""
        return self.historical / max(self.reads, 1)

    def table(self) -> str:
        """Return all counts for people."""
        lines = [f"{sum(self.methods.values())} operations"]
        lines += [f"  {count:6} {name}" for name, count in sorted(self.methods.items())]
        lines += [f"{sum(self.errors.values())} refusals"]
        lines += [f"  {count:6} {text}" for text, count in sorted(self.errors.items())]
        lines += [f"{sum(self.compares.values())} compares evaluated"]
        lines += [" " * 10 + "".join(f"{result:>10}" for result in RESULTS)]
        lines += [
            f"  {target:8}" + "".join(f"{self.compares[target, result]:10}" for result in RESULTS)
            for target in TARGETS
        ]
        lines += [f"{self.reads} reads, {self.historical_share:.0%} of the past"]
        return "\n".join(lines)


def told(refused: Refused) -> str:
    """Return the text of a refusal, without the sizes in it."""
    return TOO_LARGE_FOR_GRPC if "grpc:" in refused.text else refused.text


def ranges_of(request: rpc_pb2.TxnRequest) -> Iterator[rpc_pb2.RangeRequest]:
    """Yield the ranges of a transaction, all branches and levels."""
    for op in (*request.success, *request.failure):
        if op.HasField("request_range"):
            yield op.request_range
        elif op.HasField("request_txn"):
            yield from ranges_of(op.request_txn)
