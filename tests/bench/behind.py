"""A follower that is behind: how long until it has everything, what it costs those who serve.

It is killed, misses writes, and is started again; it has caught up when it has applied what the
leader had applied at its start. By log or by snapshot is the servers' own choice, and is told.
Meanwhile it is asked for its status: who answers that within an election timeout answers its leader
as well, since both take the same turn.
"""

import statistics
import threading
import time

import grpc
from attrs import define, field

from net.etcd.pb import rpc_pb2 as pb
from tests.bench.generator import Sample
from tests.bench.run import Bench, say
from tests.bench.servers import Server

RECEIVED = "etcd_network_snapshot_receive_success"
LOOK_S = 0.02
CAUGHT_UP_S = 600.0
BIG_VALUE = 4096
LOAD = {"connections": 4, "streams": 4, "value": 512, "keys": 1000, "warmup": 0.0}
LOADED_PREFIX = "/registry/loaded/"
WINDOW_S = 2.0
QUIET_WINDOWS = 3
AGAIN = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 50)]


@define
class Probe:
    """Asks one member for its own revision; a page of metrics took 2 % of its time in each look."""

    server: Server
    worst_s: float = 0.0
    """The longest that it took to answer, once it had answered at all."""
    _has_answered: bool = field(default=False, init=False)
    _channel: grpc.Channel = field(init=False)

    def __attrs_post_init__(self) -> None:
        address = f"127.0.0.1:{self.server.place.client_port}"
        self._channel = grpc.insecure_channel(address, options=AGAIN)

    def revision(self) -> int:
        """Return its revision; 0 if it does not answer."""
        ask = self._channel.unary_unary(
            "/etcdserverpb.Maintenance/Status",
            request_serializer=pb.StatusRequest.SerializeToString,
            response_deserializer=pb.StatusResponse.FromString,
        )
        began = time.monotonic()
        try:
            found = ask(pb.StatusRequest(), timeout=10).header.revision
        except grpc.RpcError:
            found = 0
        if self._has_answered:
            self.worst_s = max(self.worst_s, time.monotonic() - began)
        self._has_answered |= found > 0
        return found

    def close(self) -> None:
        """Ask no more."""
        self._channel.close()


def wait_caught_up(bench: Bench, leader: Server, behind: Server, told: str = "") -> float:
    """Start a member; return the seconds until it has what the leader had at that moment."""
    asked = Probe(leader)
    wanted = asked.revision()
    asked.close()
    probe = Probe(behind)
    behind.start()
    began = time.monotonic()
    while probe.revision() < wanted:
        assert time.monotonic() - began < CAUGHT_UP_S, f"{behind.name} does not catch up"
        time.sleep(LOOK_S)
    taken = time.monotonic() - began
    probe.close()
    what = f"ms that it took to answer at most{told}"
    bench.note(what, behind.name, probe.worst_s * 1e3)
    return taken


def catch_up(bench: Bench, leader: Server, behind: Server, *, writes: int) -> None:
    """A follower misses puts; nothing else happens while it catches up."""
    behind.kill()
    population = {"prefix": "/registry/missed/", "keys": writes, "value": 512}
    bench.generator.run("preload", **leader.target, **population)
    leader.settle()
    taken = wait_caught_up(bench, leader, behind)
    bench.note(f"s to catch up, {writes} writes behind", leader.name, taken)
    bench.note("CPU s of the one that caught up", leader.name, behind.cpu_s())
    bench.note("snapshots it received", leader.name, behind.gauge(RECEIVED))
    bench.note("MiB it had resident at most", leader.name, behind.memory().peak / 2**20)


def install(bench: Bench, leader: Server, behind: Server, *, mib: int) -> None:
    """A follower misses a large store, and gets it while two members serve puts."""
    behind.kill()
    keys = mib * 2**20 // BIG_VALUE
    say(f"{leader.name}: writes {keys} x {BIG_VALUE} B")
    population = {"prefix": "/registry/large/", "keys": keys, "value": BIG_VALUE}
    bench.generator.run("preload", **leader.target, **population)
    loaded = {"prefix": LOADED_PREFIX, "keys": LOAD["keys"], "value": LOAD["value"]}
    bench.generator.run("preload", **leader.target, **loaded)
    leader.settle()
    quiet = [_window(bench, leader) for _ in range(QUIET_WINDOWS)]
    busy: list[Sample] = []
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            busy.append(_window(bench, leader))

    server = threading.Thread(target=serve)
    server.start()
    try:
        taken = wait_caught_up(bench, leader, behind, ", under puts")
    finally:
        over.set()
        server.join()
    name = leader.name
    bench.note(f"s until a store of {mib} MiB is with a follower, under puts", name, taken)
    bench.note("snapshots it received, under puts", name, behind.gauge(RECEIVED))
    bench.note("MiB it had resident at most, under puts", name, behind.memory().peak / 2**20)
    bench.note("MiB the leader had resident at most", name, leader.memory().peak / 2**20)
    for what, samples in (("before", quiet), ("meanwhile", busy)):
        p99_ms = [each["p99_us"] / 1e3 for each in samples]
        bench.note(f"puts/s {what}, worst window", name, min(each["rps"] for each in samples))
        bench.note(f"put p99 ms {what}, middle window", name, statistics.median(p99_ms))
        bench.note(f"put p99 ms {what}, worst window", name, max(p99_ms))
        bench.note(f"put max ms {what}", name, max(each["max_us"] for each in samples) / 1e3)
        bench.note(f"puts failed {what}", name, sum(each.errors for each in samples))


def _window(bench: Bench, leader: Server) -> Sample:
    options = {**leader.target, **LOAD, "prefix": LOADED_PREFIX, "seconds": WINDOW_S}
    return bench.generator.run("put", **options)
