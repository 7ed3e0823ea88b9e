"""Whatever can be decoded is answered: by the core, which must not raise, and by the oracle alike.

Requests are drawn from the descriptors, so most are nonsense: unknown enums, numbers at the edges
of their types, operands of the wrong kind, transactions in transactions.
"""

import random

import pytest
from google.protobuf.message import Message

from net.etcd.pb import rpc_pb2
from sim.oracle_errors import Code
from tests.arbitrary_messages import arbitrary
from tests.differential.normal import normal
from tests.differential.operations import Call, Send
from tests.differential.players import OraclePlayer
from tests.differential.trace import Refused, Seen, Trace, first_difference
from tests.differential.trine import TrineOracle
from tests.wire_world import WireWorld

KINDS: dict[str, tuple[type[Message], float]] = {
    "Txn": (rpc_pb2.TxnRequest, 10),
    "Put": (rpc_pb2.PutRequest, 6),
    "Range": (rpc_pb2.RangeRequest, 6),
    "RangeStream": (rpc_pb2.RangeRequest, 2),
    "DeleteRange": (rpc_pb2.DeleteRangeRequest, 1),
    "LeaseGrant": (rpc_pb2.LeaseGrantRequest, 2),
    "LeaseRevoke": (rpc_pb2.LeaseRevokeRequest, 0.3),
    "LeaseTimeToLive": (rpc_pb2.LeaseTimeToLiveRequest, 1),
    "LeaseKeepAlive": (rpc_pb2.LeaseKeepAliveRequest, 1),
    "LeaseLeases": (rpc_pb2.LeaseLeasesRequest, 1),
    "HashKV": (rpc_pb2.HashKVRequest, 1),
    "Alarm": (rpc_pb2.AlarmRequest, 0.4),
    "Compact": (rpc_pb2.CompactionRequest, 0.3),
}
WEIGHTS = [weight for _, weight in KINDS.values()]


class Both:
    """A world and an oracle that are asked the same."""

    def __init__(self) -> None:
        self.world = WireWorld()
        self.player = OraclePlayer(TrineOracle())
        self.streams = {0: Seen()}

    def ask(self, method: str, request: Message) -> None:
        expected = self.player.step(Call(method, request))
        answered = self.world.call(method, request)
        if isinstance(expected, Refused) and expected.code == Code.UNIMPLEMENTED:
            # Unknown alarm actions, of which etcd dies, and RangeStream's limits, which agree.
            assert isinstance(answered, Refused) or method == "Alarm"
            return
        assert (answered if isinstance(answered, Refused) else normal(answered)) == expected

    def quiet(self) -> None:
        """Drop all alarms, or little else would be answered."""
        for member_id, kind in sorted(self.player.oracle.alarms.raised):
            drop = rpc_pb2.AlarmRequest.DEACTIVATE
            self.ask("Alarm", rpc_pb2.AlarmRequest(action=drop, memberID=member_id, alarm=kind))


@pytest.mark.parametrize("seed", range(12))
def test_any_request_is_answered_as_the_oracle_answers(seed: int) -> None:
    chance, both = random.Random(seed), Both()
    for step in range(250):
        method = chance.choices(list(KINDS), WEIGHTS)[0]
        request = arbitrary(chance, KINDS[method][0])
        if isinstance(request, rpc_pb2.LeaseGrantRequest) and request.ID == 0:
            continue
        both.ask(method, request)
        if step % 9 == 0:
            both.quiet()


@pytest.mark.parametrize("seed", range(12))
def test_any_watch_request_is_taken_as_the_oracle_takes_it(seed: int) -> None:
    chance, both = random.Random(seed), Both()
    for _ in range(150):
        both.ask("Txn", arbitrary(chance, rpc_pb2.TxnRequest))
        request = arbitrary(chance, rpc_pb2.WatchRequest)
        assert isinstance(request, rpc_pb2.WatchRequest)
        both.world.send(0, request, both.streams[0].add)
        both.player.step(Send(0, request))
    told = first_difference(
        [], Trace(streams=both.player.trace.streams), Trace(streams=both.streams)
    )
    assert told is None, told
