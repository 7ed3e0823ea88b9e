"""What an apiserver's store holds, read behind its back with gRPC's own client."""

import grpc
from attrs import frozen

from net.etcd.pb import rpc_pb2 as pb
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
        ask = channel.unary_unary(
            "/etcdserverpb.KV/Range",
            request_serializer=pb.RangeRequest.SerializeToString,
            response_deserializer=pb.RangeResponse.FromString,
        )
        answer = ask(pb.RangeRequest(key=start, range_end=end), timeout=30)
    return {kv.key.decode(): Stored(kv.value, kv.mod_revision, kv.lease) for kv in answer.kvs}
