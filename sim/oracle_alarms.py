"""The oracle's alarms: a set of (member, kind), and what each kind forbids.

The rule of this file: alarms are looked at where a request is applied, after its own shape
and before what is stored, so a put with a bad lease under NOSPACE is out of space.
Source: etcd v3.6 etcdserver/apply/{uber_applier,apply,corrupt}.go, api/v3alarm (behaviour).
"""

from collections.abc import Iterable

from net.etcd.pb import rpc_pb2
from sim import oracle_errors as errors


class Alarms:
    """The alarms that are up."""

    def __init__(self) -> None:
        self.raised: set[tuple[int, rpc_pb2.AlarmType]] = set()

    def check(self, *, writes: bool) -> None:
        """CORRUPT refuses whatever is replicated; NOSPACE refuses puts and grants."""
        if rpc_pb2.CORRUPT in self.kinds():
            raise errors.corrupt()
        if writes and rpc_pb2.NOSPACE in self.kinds():
            raise errors.no_space()

    def kinds(self) -> set[rpc_pb2.AlarmType]:
        """Return the kinds of alarm that are up for any member."""
        return {kind for _, kind in self.raised}

    def call(
        self, request: rpc_pb2.AlarmRequest, header: rpc_pb2.ResponseHeader
    ) -> rpc_pb2.AlarmResponse:
        """List, raise or drop. Raising and dropping answer with the alarm, if there is one."""
        alarm = (request.memberID, request.alarm)
        shown: Iterable[tuple[int, rpc_pb2.AlarmType]] = ()
        match request.action:
            case rpc_pb2.AlarmRequest.GET:
                shown = [a for a in self.raised if request.alarm in (rpc_pb2.NONE, a[1])]
            case rpc_pb2.AlarmRequest.ACTIVATE:
                if request.alarm != rpc_pb2.NONE:
                    self.raised.add(alarm)
                    shown = [alarm]
            case rpc_pb2.AlarmRequest.DEACTIVATE:
                shown = [alarm] if alarm in self.raised else []
                self.raised.discard(alarm)
            case _:
                # NOTE: etcd 3.6 dies of an action that it does not know.
                raise errors.outside_the_oracle("unknown alarm actions")
        alarms = [rpc_pb2.AlarmMember(memberID=i, alarm=kind) for i, kind in sorted(shown)]
        return rpc_pb2.AlarmResponse(header=header, alarms=alarms)

    def described(self) -> list[str]:
        """Return the alarms as Status lists them among its errors; member 0 has no name there."""
        names = rpc_pb2.AlarmType.DESCRIPTOR.values_by_number
        return [
            f"memberID:{i} alarm:{names[kind].name}" if i else f"alarm:{names[kind].name}"
            for i, kind in sorted(self.raised)
        ]
