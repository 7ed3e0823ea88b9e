"""Trine is killed under a kube-apiserver: nothing acknowledged is lost, nothing is listed again.

Attributable to the restart is every list but those of the apiserver's own address, which it reads
every ten seconds (resource apiServerIPInfo), whatever happens.
"""

import json
import time

import pytest

from tests.kube.conftest import Start, World
from tests.kube.store import contents
from tests.kube.world import Writer, objects, wait_for

WATCHERS = "etcd_debugging_mvcc_watcher_total"
LISTS = ("apiserver_storage_list_total", "apiserver_watch_cache_initializations_total",
         "apiserver_terminated_watchers_total")  # fmt: skip
HANDLED = "grpc_server_handled_total"
RESTARTS = 3


def lists(world: World) -> dict[str, float]:
    """Each counter of lists, cache fills and ended watches, by resource."""
    return {
        name: value
        for name, value in world.server.metrics().items()
        if name.startswith(LISTS) and "apiServerIPInfo" not in name
    }


def watchers(world: World) -> float:
    """How many watches the store serves."""
    return world.store.metrics()[WATCHERS]


def uids(world: World) -> set[str]:
    """The identity of every object that kubectl shows."""
    kinds = "all,configmaps,roles,clusterroles,leases"
    told = json.loads(world.kubectl("get", kinds, "-A", "-o", "json"))
    return {item["metadata"]["uid"] for item in told["items"]}


def wait_for_writes(writers: list[Writer], number: int) -> None:
    """Wait until so many were acknowledged."""
    assert wait_for(lambda: sum(len(each.acknowledged) for each in writers) >= number)


@pytest.fixture(scope="module")
def world(start_world: Start) -> World:
    return start_world()


def test_a_killed_store_comes_back_with_everything_and_without_a_list(world: World) -> None:
    k = world.kubectl
    k("create", "namespace", "kept")
    k("create", "-f", "-", stdin=objects("kept", "ConfigMap", 100))
    output = world.directory / "watch.txt"
    watching = k.start("get", "configmaps", "-n", "kept", "--watch-only", "-o", "name",
                       output=output)  # fmt: skip
    assert wait_for(lambda: watchers(world) == watchers(world) > 50)
    seen = uids(world)
    before, counted, watched = contents(world.store), lists(world), watchers(world)
    try:
        world.store.kill()
        began = time.monotonic()
        world.store.start()
        up_s = time.monotonic() - began
        after = contents(world.store)
        assert wait_for(lambda: watchers(world) == watched)
        back_s = time.monotonic() - began
        k("create", "configmap", "later", "-n", "kept")
        assert wait_for(lambda: "later" in output.read_text())
    finally:
        watching.kill()
        watching.wait()
    print(f"\nserves after {up_s:.1f} s, all {watched:.0f} watches after {back_s:.1f} s")
    assert {key: stored for key, stored in after.items() if "masterleases" not in key} == {
        key: stored for key, stored in before.items() if "masterleases" not in key
    }
    assert lists(world) == counted
    assert seen <= uids(world)
    handled = world.store.metrics().items()
    refused = [value for name, value in handled if name.startswith(HANDLED) and "OutOf" in name]
    assert sum(refused) == 0, "a watch or a list of the past was refused"


def test_nothing_acknowledged_is_lost_when_the_store_is_killed_under_load(world: World) -> None:
    world.kubectl("create", "namespace", "writes")
    counted, watched = lists(world), watchers(world)
    writers = [Writer(world.server, f"w{number}") for number in range(4)]
    try:
        for restart in range(RESTARTS):
            wait_for_writes(writers, (restart + 1) * 100)
            world.store.kill()
            world.store.start()
        assert wait_for(lambda: watchers(world) == watched)
    finally:
        for each in writers:
            each.stop()
    acknowledged = {key: at for each in writers for key, at in each.acknowledged.items()}
    stored = contents(world.store, "/registry/configmaps/writes/")
    assert {key: stored[key].revision for key in acknowledged if key in stored} == acknowledged
    print(f"\n{len(acknowledged)} objects acknowledged over {RESTARTS} kills, all there")
    assert lists(world) == counted
    listed = json.loads(world.server.get("/api/v1/namespaces/writes/configmaps"))
    assert len(listed["items"]) == len(stored)
