"""One member as its clients reach it: the harness's own connection, asked and waited for.

The rule of this file: it asks and tells what came back, in the simulator's words. It never asks
twice.
"""

import threading
from collections.abc import Iterator

import grpc

from jepsen.endpoint import Bytes, Member, lean
from net.etcd.pb import rpc_pb2 as pb
from sim.history import Seen, WatchSpec
from sim.ops import Op, Result
from sim.wire_words import seen, watch_request


class LostError(Exception):
    """A stream ended; says why."""


class Door:
    """Calls and watches on one member, each kind on a connection of its own."""

    def __init__(self, endpoint: str) -> None:
        self._member = Member(endpoint)

    def close(self) -> None:
        """Lose the connections."""
        self._member.close()

    def ask(self, op: Op, deadline_s: float) -> Result:
        """Ask once. What is not answered in time, or not proved refused, is Unknown."""
        return self._member.ask(op, deadline_s)

    def status(self) -> pb.StatusResponse | None:
        """What it says of itself; None if it says nothing within a second."""
        return self._member.status()

    def watch(self, spec: WatchSpec) -> "Stream":
        """Open a watch on a stream of its own."""
        return Stream(self._member, spec)


class Stream:
    """One watch: iterate over what it is told, in one thread; cancel it in any."""

    def __init__(self, member: Member, spec: WatchSpec) -> None:
        self._over = threading.Event()
        self._call: Bytes = member.watches()(self._asked(spec), wait_for_ready=False)

    def __iter__(self) -> Iterator[Seen]:
        """Yield until it ends. Raises LostError then, whatever the reason."""
        try:
            for data in self._call:
                yield lean(seen(data, 0))
            raise LostError("it ended")
        except grpc.RpcError as error:
            raise LostError(str(error.details())) from error
        finally:
            self.cancel()

    def cancel(self) -> None:
        """End it."""
        self._over.set()
        self._call.cancel()

    def _asked(self, spec: WatchSpec) -> Iterator[bytes]:
        yield watch_request(spec)
        self._over.wait()
