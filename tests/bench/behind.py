"""A follower that is behind: how long until it has everything, what it costs those who serve.

It is killed, misses writes, and is started again; it has caught up when it has applied what the
leader had applied at its start. By log or by snapshot is the servers' own choice, and is told.
"""

import threading
import time

from tests.bench.generator import Sample
from tests.bench.run import Bench, say
from tests.bench.servers import Server

REVISION = "etcd_debugging_mvcc_current_revision"
RECEIVED = "etcd_network_snapshot_receive_success"
LOOK_S = 0.02
CAUGHT_UP_S = 600.0
BIG_VALUE = 4096
LOAD = {"connections": 4, "streams": 4, "value": 512, "keys": 1000, "warmup": 0.0}
LOADED_PREFIX = "/registry/loaded/"
WINDOW_S = 2.0


def wait_caught_up(leader: Server, behind: Server) -> float:
    """Start a member; return the seconds until it has what the leader had at that moment."""
    wanted = leader.gauge(REVISION)
    behind.start()
    began = time.monotonic()
    while behind.gauge(REVISION) < wanted:
        assert time.monotonic() - began < CAUGHT_UP_S, f"{behind.name} does not catch up"
        time.sleep(LOOK_S)
    return time.monotonic() - began


def catch_up(bench: Bench, leader: Server, behind: Server, *, writes: int) -> None:
    """A follower misses puts; nothing else happens while it catches up."""
    behind.kill()
    population = {"prefix": "/registry/missed/", "keys": writes, "value": 512}
    bench.generator.run("preload", **leader.target, **population)
    leader.settle()
    taken = wait_caught_up(leader, behind)
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
    quiet = [_window(bench, leader)]
    busy: list[Sample] = []
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            busy.append(_window(bench, leader))

    server = threading.Thread(target=serve)
    server.start()
    try:
        taken = wait_caught_up(leader, behind)
    finally:
        over.set()
        server.join()
    name = leader.name
    bench.note(f"s until a store of {mib} MiB is with a follower, under puts", name, taken)
    bench.note("snapshots it received, under puts", name, behind.gauge(RECEIVED))
    bench.note("MiB it had resident at most, under puts", name, behind.memory().peak / 2**20)
    bench.note("MiB the leader had resident at most", name, leader.memory().peak / 2**20)
    for what, samples in (("before", quiet), ("meanwhile", busy)):
        worst = max(samples, key=lambda sample: sample["p99_us"])
        bench.note(f"puts/s {what}, worst window", name, min(each["rps"] for each in samples))
        bench.note(f"put p99 ms {what}, worst window", name, worst["p99_us"] / 1e3)
        bench.note(f"put max ms {what}", name, max(each["max_us"] for each in samples) / 1e3)
        bench.note(f"puts failed {what}", name, sum(each.errors for each in samples))


def _window(bench: Bench, leader: Server) -> Sample:
    options = {**leader.target, **LOAD, "prefix": LOADED_PREFIX, "seconds": WINDOW_S}
    return bench.generator.run("put", **options)
