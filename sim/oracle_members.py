"""The oracle's cluster of one member: what etcd answers when asked to change it in vain.

The rule of this file: membership never changes. Requests that etcd would grant are answered with
UNIMPLEMENTED by `outside_the_oracle`; whoever compares does not send them.
"""

import re

from google.protobuf.message import Message

from net.etcd.pb import rpc_pb2
from sim import oracle_errors as errors

SELF = 1
PEER_URL = "http://oracle.invalid:2380"
VERSION = re.compile(r"v?\d+\.\d+(\.\d+)?")
PEER_URL_SHAPE = re.compile(r"https?://[^/:]+:\d+|unixs?://.+")


class Members:
    """One started voter. Its id is `SELF` and its only peer URL `PEER_URL`."""

    def call(self, request: Message, header: rpc_pb2.ResponseHeader) -> Message:
        """Answer a request of the Cluster service, or MoveLeader, or Downgrade."""
        match request:
            case rpc_pb2.MemberListRequest():
                member = rpc_pb2.Member(ID=SELF, name="oracle", peerURLs=[PEER_URL])
                return rpc_pb2.MemberListResponse(header=rpc_pb2.ResponseHeader(), members=[member])
            case rpc_pb2.MemberAddRequest():
                raise self._addition(request)
            case rpc_pb2.MemberRemoveRequest():
                raise (
                    errors.not_enough_started() if request.ID == SELF else errors.member_not_found()
                )
            case rpc_pb2.MemberPromoteRequest():
                raise errors.not_a_learner() if request.ID == SELF else errors.member_not_found()
            case rpc_pb2.MemberUpdateRequest() if request.ID != SELF:
                raise errors.member_not_found()
            case rpc_pb2.MoveLeaderRequest() if request.targetID != SELF:
                raise errors.bad_leader_transferee()
            case rpc_pb2.DowngradeRequest() if request.action == request.CANCEL:
                return self.cancel_downgrade(header)
            case rpc_pb2.DowngradeRequest():
                raise self._downgrade(request)
            case _:
                raise errors.outside_the_oracle(type(request).__name__)

    def cancel_downgrade(self, header: rpc_pb2.ResponseHeader) -> rpc_pb2.DowngradeResponse:
        """Answer as if there had been one: etcd 3.6 writes to its log that there was not."""
        return rpc_pb2.DowngradeResponse(header=header)

    def _addition(self, request: rpc_pb2.MemberAddRequest) -> errors.OracleError:
        urls = request.peerURLs
        if not urls or not all(PEER_URL_SHAPE.fullmatch(url) for url in urls):
            return errors.member_urls_invalid()
        if PEER_URL in urls:
            return errors.peer_url_exists()
        return errors.outside_the_oracle("additions of members")

    def _downgrade(self, request: rpc_pb2.DowngradeRequest) -> errors.OracleError:
        if not VERSION.fullmatch(request.version):
            return errors.downgrade_version_format()
        if re.match(r"v?3\.[5-9]", request.version):
            return errors.outside_the_oracle("downgrades")
        return errors.downgrade_version_invalid()
