"""What Trine is held to: etcd 3.6 with RangeStream, and where it differs on purpose.

The rule of this file: each deliberate difference is one override with its reason. What is not
listed here has to be equal.
"""

from net.etcd.pb import rpc_pb2
from sim.oracle import Oracle
from sim.oracle_range import Release
from tests.differential.play import Dialect

RELEASE = Release(keys_only_shows_lease=True, txn_checks_lease_before_key=True)
"""keys_only keeps the lease as in 3.6; of two faults of a put the lease comes first as in 3.7."""


class TrineOracle(Oracle):
    """etcd as Trine is meant to be."""

    def __init__(self) -> None:
        super().__init__(RELEASE)

    def range_stream(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        """Send in order of keys whenever no order is asked for.

        etcd takes a sort target without an order for ascending, sorts each chunk by itself, and
        goes on after the last key of that chunk: of more than ten keys it repeats some and loses
        others.
        """
        plain = rpc_pb2.RangeRequest.FromString(request.SerializeToString())
        if plain.sort_order == plain.NONE and plain.sort_target in plain.SortTarget.values():
            plain.sort_target = plain.KEY
        return super().range_stream(plain)


DIALECT = Dialect(TrineOracle, range_stream=True)
