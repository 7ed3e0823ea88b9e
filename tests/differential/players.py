"""The two that play a sequence: the oracle in this process, and an endpoint over grpcio.

The rule of this file: an endpoint is asked one thing at a time, so that there is one right answer.
etcd works off watches that start in the past every 100 ms, and sends events when it can; before
whatever depends on that (compaction, cancellation, progress, the end) the player lets it settle:
it waits until each stream has received as much as the oracle says it is owed, and until a probe,
a watch from the current revision on a stream of its own, has been served by the same slow loop.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from google.protobuf.message import Message

from net.etcd.pb import rpc_pb2
from sim.oracle import CHOSEN_LEASE_ID_MIN, Oracle
from sim.oracle_errors import OracleError
from sim.oracle_members import PEER_URL, SELF
from sim.oracle_watch import WatchStream
from tests.differential.endpoint import Receiver
from tests.differential.normal import normal
from tests.differential.operations import Call, Close, Operation, Send
from tests.differential.trace import Outcome, Refused, Seen, Trace

STALL_S = 60.0
PROBE_S = 30.0


class OraclePlayer:
    """Plays on an oracle. `oracle` may be looked at between steps."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.trace = Trace()
        self.catch_up_owed = False
        self._open: dict[int, WatchStream] = {}
        self._sorted_out: dict[int, int] = {}

    def step(self, operation: Operation) -> Outcome:
        """Play one operation."""
        outcome: Outcome = None
        match operation:
            case Call(method, request):
                try:
                    outcome = normal(self.oracle.call(method, request))
                except OracleError as error:
                    outcome = Refused(int(error.code), error.text)
            case Send(number, request):
                if number not in self._open:
                    self._open[number] = self.oracle.open_watch_stream()
                    self._sorted_out[number] = 0
                    self.trace.streams.setdefault(number, Seen())
                stream = self._open[number]
                self.catch_up_owed = self.catch_up_owed or stream.owes_catch_up(request)
                stream.request(request)
            case Close(number):
                stream_ended = self._open.pop(number, None)
                if stream_ended is not None:
                    self.oracle.close_watch_stream(stream_ended)
        self._sort_out()
        self.trace.outcomes.append(outcome)
        return outcome

    def tick(self, now_ms: int) -> None:
        """Let time pass; leases may end, and watches see it."""
        self.oracle.tick(now_ms)
        self._sort_out()

    def _sort_out(self) -> None:
        for number, stream in self._open.items():
            new = stream.responses[self._sorted_out[number] :]
            for response in new:
                self.trace.streams[number].add(response, len(self.trace.outcomes))
            self._sorted_out[number] += len(new)

    def play(self, operations: Iterable[Operation]) -> Trace:
        """Play a sequence."""
        for operation in operations:
            self.step(operation)
        return self.trace


class Played(Protocol):
    """What a sequence is played on: see `Endpoint`."""

    def call(self, method: str, request: Message) -> Message | Refused: ...

    def send(self, number: int, request: rpc_pb2.WatchRequest, receiver: Receiver) -> None: ...

    def close_stream(self, number: int) -> None: ...

    def open_streams(self) -> list[int]: ...

    def wait(self, is_there: Callable[[], bool], deadline: float) -> bool: ...

    def probe(self, revision: int, patience_s: float) -> None: ...


class EndpointPlayer:
    """Plays on an endpoint; waits for what is owed, and gives up after `STALL_S`."""

    def __init__(self, endpoint: Played, shadow: Oracle) -> None:
        self._endpoint = endpoint
        self._shadow = OraclePlayer(shadow)
        self._trace = Trace()
        self._lease_ids: dict[int, int] = {}
        self._self_id = 0
        self._peer_url = ""
        self._reading: set[int] = set()

    def play(self, operations: Iterable[Operation]) -> Trace:
        """Play a sequence until its end, or until an answer does not come."""
        members = self._endpoint.call("MemberList", rpc_pb2.MemberListRequest())
        if isinstance(members, rpc_pb2.MemberListResponse) and members.members:
            self._self_id = members.members[0].ID
            self._peer_url = members.members[0].peerURLs[0]
        for operation in operations:
            if self._depends_on_settling(operation):
                self._settle()
            self._shadow.step(operation)
            self._trace.outcomes.append(self._step(operation))
            if self._trace.stalled:
                break
        else:
            self._settle()
        return self._trace

    def _step(self, operation: Operation) -> Outcome:
        match operation:
            case Call(method, request):
                return self._call(method, request)
            case Send(number, request):
                self._endpoint.send(number, request, self._receiver(number))
                if request.HasField("create_request"):
                    self._wait(lambda: self._has(number, kinds=1))
                else:
                    self._await_reading(number)
                    self._wait(lambda: self._has(number, kinds=4))
            case Close(number):
                self._endpoint.close_stream(number)
        return None

    def _receiver(self, number: int) -> Receiver:
        seen = self._trace.streams.setdefault(number, Seen())

        def receive(response: rpc_pb2.WatchResponse) -> None:
            is_refusal = response.created and response.canceled
            if is_refusal and number in self._reading:
                self._reading.remove(number)
            else:
                seen.add(response)

        return receive

    def _await_reading(self, number: int) -> None:
        """Wait until all requests on a stream were read, by one more that is always refused.

        A request that is owed nothing, such as for progress that is not known, leaves no trace.
        """
        self._reading.add(number)
        refused = rpc_pb2.WatchCreateRequest(key=b"b", range_end=b"a")
        request = rpc_pb2.WatchRequest(create_request=refused)
        self._endpoint.send(number, request, self._receiver(number))
        self._wait(lambda: number not in self._reading)

    def _call(self, method: str, request: Message) -> Outcome:
        answer = self._endpoint.call(method, self._translated(request))
        if isinstance(answer, rpc_pb2.LeaseGrantResponse):
            assert isinstance(request, rpc_pb2.LeaseGrantRequest)
            if request.ID == 0:
                self._lease_ids[CHOSEN_LEASE_ID_MIN + len(self._lease_ids)] = answer.ID
        if isinstance(answer, Refused) or answer is None:
            return answer
        self._translate_back(answer)
        return normal(answer)

    def _translated(self, request: Message) -> Message:
        """Put the endpoint's own ids in the place of the oracle's."""
        match request:
            case (
                rpc_pb2.LeaseRevokeRequest()
                | rpc_pb2.LeaseTimeToLiveRequest()
                | rpc_pb2.LeaseKeepAliveRequest()
            ) if request.ID in self._lease_ids:
                copy = type(request).FromString(request.SerializeToString())
                copy.ID = self._lease_ids[request.ID]
                return copy
            case rpc_pb2.MemberRemoveRequest() | rpc_pb2.MemberPromoteRequest() if (
                request.ID == SELF
            ):
                return type(request)(ID=self._self_id)
            case rpc_pb2.MemberAddRequest():
                urls = [self._peer_url if url == PEER_URL else url for url in request.peerURLs]
                return rpc_pb2.MemberAddRequest(peerURLs=urls, isLearner=request.isLearner)
            case _:
                return request

    def _translate_back(self, answer: Message) -> None:
        names = {theirs: ours for ours, theirs in self._lease_ids.items()}
        match answer:
            case (
                rpc_pb2.LeaseGrantResponse()
                | rpc_pb2.LeaseTimeToLiveResponse()
                | rpc_pb2.LeaseKeepAliveResponse()
            ):
                answer.ID = names.get(answer.ID, answer.ID)
            case rpc_pb2.LeaseLeasesResponse():
                for lease in answer.leases:
                    lease.ID = names.get(lease.ID, lease.ID)
            case _:
                pass

    # -- settling

    def _depends_on_settling(self, operation: Operation) -> bool:
        match operation:
            case Call(method):
                return method == "Compact"
            case Send(_, request):
                return not request.HasField("create_request")
            case Close():
                return True

    def _settle(self) -> None:
        if self._shadow.catch_up_owed:
            self._shadow.catch_up_owed = False
            self._endpoint.probe(self._shadow.oracle.history.revision, PROBE_S)
        for number in self._endpoint.open_streams():
            self._wait(partial(self._has, number, kinds=4))

    def _has(self, number: int, *, kinds: int) -> bool:
        """Whether a stream has received as much as is owed, of the first kinds of its tally."""
        owed = self._shadow.trace.streams[number].tally[:kinds]
        received = self._trace.streams[number].tally[:kinds]
        return all(have >= want for have, want in zip(received, owed, strict=True))

    def _wait(self, is_there: Callable[[], bool]) -> None:
        if self._endpoint.wait(is_there, time.monotonic() + STALL_S):
            return
        owed = {n: seen.tally for n, seen in self._shadow.trace.streams.items()}
        have = {n: seen.tally for n, seen in self._trace.streams.items()}
        self._trace.stalled = f"after {STALL_S} s streams have {have} of {owed}"
