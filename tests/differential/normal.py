"""What of an answer is not compared, and why.

The rule of this file: the list is short, and each line of it is a fact about etcd, not about us.
    cluster_id, member_id, raft_term    names of the machine that answers
    Status                              all but revision, alarms and isLearner: sizes, raft indexes
    hash                                each implementation's own
    TTL that remains                    time passes: shortly after a grant all is equal
    order of lease ids, keys, alarms    etcd walks hash maps
    member                              one started voter with addresses
    version of a Downgrade answer       each release's own
"""

import re

from google.protobuf.message import Message

from net.etcd.pb import rpc_pb2
from sim.oracle_members import PEER_URL, SELF

TTL_S_SLACK = 1_000


def normal(response: Message) -> Message:
    """Return an answer without what is not compared; the message given is changed."""
    header = getattr(response, "header", None)
    if isinstance(header, rpc_pb2.ResponseHeader) and response.HasField("header"):
        header.ClearField("cluster_id")
        header.ClearField("member_id")
        header.ClearField("raft_term")
    match response:
        case rpc_pb2.StatusResponse():
            return rpc_pb2.StatusResponse(
                header=response.header,
                errors=sorted(re.sub(r"\s+", " ", text).strip() for text in response.errors),
                isLearner=response.isLearner,
            )
        case rpc_pb2.HashKVResponse() | rpc_pb2.HashResponse():
            response.ClearField("hash")
        case rpc_pb2.LeaseTimeToLiveResponse():
            if 0 <= response.grantedTTL - response.TTL <= TTL_S_SLACK:
                response.TTL = response.grantedTTL
            keys = sorted(response.keys)
            del response.keys[:]
            response.keys.extend(keys)
        case rpc_pb2.LeaseLeasesResponse():
            leases = sorted(response.leases, key=lambda lease: lease.ID)
            return rpc_pb2.LeaseLeasesResponse(header=response.header, leases=leases)
        case rpc_pb2.AlarmResponse():
            alarms = sorted(response.alarms, key=lambda alarm: (alarm.memberID, alarm.alarm))
            return rpc_pb2.AlarmResponse(header=response.header, alarms=alarms)
        case rpc_pb2.MemberListResponse():
            members = [normal_member(member) for member in response.members]
            return rpc_pb2.MemberListResponse(header=response.header, members=members)
        case rpc_pb2.DowngradeResponse():
            response.ClearField("version")
        case _:
            pass
    return response


def normal_member(member: rpc_pb2.Member) -> rpc_pb2.Member:
    """Return the oracle's member for any started voter with addresses."""
    if member.name and member.peerURLs and not member.isLearner:
        return rpc_pb2.Member(ID=SELF, name="oracle", peerURLs=[PEER_URL])
    return member
