"""What an apiserver's store holds, read behind its back with gRPC's own client."""

import grpc
from attrs import frozen

from net.etcd.pb import rpc_pb2 as pb
from net.etcd.pb import rpc_pb2_grpc
from tests.members import Member


@frozen
class Stored:
    """One key: its value and when it was last written, under which lease."""

    value: bytes
    revision: int
    lease: int


def contents(store: Member, prefix: str = "/registry/") -> dict[str, Stored]:
    """Everything under a prefix."""
    start = prefix.encode()
    end = start[:-1] + bytes([start[-1] + 1])
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(store.endpoint, options=options) as channel:
        stub = rpc_pb2_grpc.KVStub(channel)  # type: ignore[no-untyped-call]  # generated
        answer: pb.RangeResponse = stub.Range(pb.RangeRequest(key=start, range_end=end), timeout=30)
    return {kv.key.decode(): Stored(kv.value, kv.mod_revision, kv.lease) for kv in answer.kvs}
