"""The core, with the shipped services around it, against the oracle: in one process.

Two ways: long random sequences, the same that real endpoints are played; and a state machine of
Hypothesis, whose failures are small. Time passes only here, so here leases end.
"""

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from net.etcd.pb import rpc_pb2
from tests.differential.generator import Generator
from tests.differential.normal import normal
from tests.differential.operations import Call, Close, Operation, Send, described
from tests.differential.play import played_on_oracle, report
from tests.differential.players import EndpointPlayer, OraclePlayer
from tests.differential.refusals import REFUSALS, Refusal, too_large, ttl_too_large
from tests.differential.requests import LEASE_IDS, Requests
from tests.differential.trace import Outcome, Refused, Seen, Trace, first_difference, shown
from tests.differential.trine import TrineOracle
from tests.wire_world import WireWorld

CHANCE = st.randoms(use_true_random=False)
LEASE_ID = st.sampled_from(LEASE_IDS)
STREAM = st.integers(0, 1)
SMALL_REFUSALS = [r for r in dict.fromkeys(REFUSALS) if r not in (too_large, ttl_too_large)]

OUTSIDE_THE_CORE = frozenset(
    {
        "Defragment",
        "Downgrade",
        "MemberAdd",
        "MemberList",
        "MemberPromote",
        "MemberRemove",
        "MemberUpdate",
        "MoveLeader",
        "Status",
    }
)
"""What the member answers by itself: a wire world has no member."""


def is_of_the_core(operation: Operation) -> bool:
    return not (isinstance(operation, Call) and operation.method in OUTSIDE_THE_CORE)


@pytest.mark.parametrize("seed", range(3))
def test_the_core_answers_a_long_sequence_as_the_oracle_does(seed: int) -> None:
    generator = Generator(seed, oracle=TrineOracle(), range_stream=True, rewrites=seed % 2 == 0)
    operations = [op for op in generator.sequence(4_000) if is_of_the_core(op)]
    answered = EndpointPlayer(WireWorld(), TrineOracle()).play(operations)
    expected = played_on_oracle(TrineOracle(), operations)
    told = report(operations, expected, answered, ("oracle", "core"))
    assert not told, told


class CoreAndOracle(RuleBasedStateMachine):
    """Both are asked the same; every answer and every watch event is compared.

    Transactions may rewrite keys that they have deleted: etcd dies of that, the core may not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = WireWorld()
        self.player = OraclePlayer(TrineOracle())
        self.oracle = self.player.oracle
        self.requests = Requests(random.Random(0), self.oracle, rewrites=True)
        self.streams: dict[int, Seen] = {}

    def both(self, operation: Operation) -> None:
        """Ask both, and compare."""
        expected = self.player.step(operation)
        match operation:
            case Call(method, request):
                answered = self.world.call(method, request)
                if not isinstance(answered, Refused):
                    answered = normal(answered)
                assert answered == expected, report_of(operation, expected, answered)
            case Send(number, request):
                seen = self.streams.setdefault(number, Seen())
                self.world.send(number, request, seen.add)
                self.requests.learn(number, self.player.trace.streams[number])
            case Close(number):
                self.world.close_stream(number)

    @rule(chance=CHANCE, kind=st.sampled_from(("Range", "RangeStream", "Put", "DeleteRange")))
    def key_value(self, chance: random.Random, kind: str) -> None:
        self.requests.chance = chance
        draw = {"Put": self.requests.put, "DeleteRange": self.requests.delete}
        self.both(Call(kind, draw.get(kind, self.requests.range)()))

    @rule(chance=CHANCE)
    def transaction(self, chance: random.Random) -> None:
        self.requests.chance = chance
        self.both(Call("Txn", self.requests.txn()))

    @rule(back=st.integers(-1, 20), physical=st.booleans())
    def compaction(self, back: int, physical: bool) -> None:
        revision = self.oracle.history.revision - back
        request = rpc_pb2.CompactionRequest(revision=revision, physical=physical)
        self.both(Call("Compact", request))

    @rule(chance=CHANCE, refusal=st.sampled_from(SMALL_REFUSALS))
    def refusal(self, chance: random.Random, refusal: Refusal) -> None:
        self.requests.chance = chance
        for operation in refusal(self.requests, 0):
            if is_of_the_core(operation):
                self.both(operation)

    @rule(lease_id=LEASE_ID, ttl=st.integers(0, 20))
    def grant(self, lease_id: int, ttl: int) -> None:
        self.both(Call("LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=lease_id, TTL=ttl)))

    @rule(lease_id=LEASE_ID)
    def revocation(self, lease_id: int) -> None:
        self.both(Call("LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease_id)))

    @rule(lease_id=LEASE_ID)
    def renewal(self, lease_id: int) -> None:
        self.both(Call("LeaseKeepAlive", rpc_pb2.LeaseKeepAliveRequest(ID=lease_id)))

    @rule(lease_id=LEASE_ID)
    def time_to_live(self, lease_id: int) -> None:
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=True)
        expected = self.oracle.lease_time_to_live(request)
        answered = self.world.call("LeaseTimeToLive", request)
        assert isinstance(answered, rpc_pb2.LeaseTimeToLiveResponse)
        assert answered.TTL == expected.TTL
        assert normal(answered) == normal(expected)

    @rule(seconds=st.integers(1, 8))
    def time(self, seconds: int) -> None:
        now_ms = self.world.now_ms + seconds * 1000
        self.world.pass_time(now_ms)
        self.player.tick(now_ms)

    @rule(chance=CHANCE, stream=STREAM)
    def watch(self, chance: random.Random, stream: int) -> None:
        self.requests.chance = chance
        self.both(Send(stream, self.requests.watch_create(stream)))

    @rule(chance=CHANCE, stream=STREAM)
    def watch_canceled(self, chance: random.Random, stream: int) -> None:
        self.requests.chance = chance
        watch_id = self.requests.cancelled_watch_id(stream)
        cancel = rpc_pb2.WatchCancelRequest(watch_id=watch_id)
        self.both(Send(stream, rpc_pb2.WatchRequest(cancel_request=cancel)))

    @rule(stream=STREAM)
    def progress(self, stream: int) -> None:
        progress = rpc_pb2.WatchProgressRequest()
        self.both(Send(stream, rpc_pb2.WatchRequest(progress_request=progress)))

    @rule(up=st.booleans())
    def no_space(self, up: bool) -> None:
        action = rpc_pb2.AlarmRequest.ACTIVATE if up else rpc_pb2.AlarmRequest.DEACTIVATE
        request = rpc_pb2.AlarmRequest(action=action, alarm=rpc_pb2.NOSPACE, memberID=3)
        self.both(Call("Alarm", request))

    @rule()
    def hash_of_now(self) -> None:
        self.both(Call("HashKV", rpc_pb2.HashKVRequest()))

    @invariant()
    def watches_have_seen_the_same(self) -> None:
        told = first_difference(
            [], Trace(streams=self.player.trace.streams), Trace(streams=self.streams)
        )
        assert told is None, told


def report_of(operation: Operation, expected: Outcome, answered: Outcome) -> str:
    return f"{described(operation)}\n  oracle: {shown(expected)}\n  core: {shown(answered)}"


CoreAndOracle.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


TestCoreAndOracle = CoreAndOracle.TestCase
