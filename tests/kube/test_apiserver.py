"""A stock kube-apiserver with default feature gates runs on Trine, driven by kubectl."""

import json
import urllib.error
from collections import Counter
from pathlib import Path

import pytest

from tests.kube.conftest import Start, World
from tests.kube.store import Stored, contents
from tests.kube.world import objects, wait_for

HERE = Path(__file__).parent


def test_it_becomes_ready_with_default_feature_gates(world: World) -> None:
    assert world.ready_s < 30
    assert "etcd ok" in world.server.get("/readyz?verbose")


def test_kubectl_creates_updates_patches_and_deletes(world: World) -> None:
    k = world.kubectl
    k("create", "namespace", "crud")
    k("create", "configmap", "c", "-n", "crud", "--from-literal=a=1")
    k("patch", "configmap", "c", "-n", "crud", "--patch", '{"data":{"b":"2"}}')
    changed = json.loads(k("get", "configmap", "c", "-n", "crud", "-o", "json"))
    assert changed["data"] == {"a": "1", "b": "2"}
    changed["data"] = {"c": "3"}
    k("replace", "-f", "-", stdin=json.dumps(changed))
    assert k.field(".data", "configmap", "c", "-n", "crud") == '{"c":"3"}'
    refused = k("replace", "-f", "-", stdin=json.dumps(changed), succeeds=False)
    assert "the object has been modified" in refused
    k("delete", "configmap", "c", "-n", "crud")
    assert "NotFound" in k("get", "configmap", "c", "-n", "crud", succeeds=False)


def test_a_deleted_namespace_goes_once_it_is_finalized(world: World) -> None:
    k = world.kubectl
    k("create", "namespace", "gone")
    k("delete", "namespace", "gone", "--wait=false")
    assert k.field(".status.phase", "namespace", "gone") == "Terminating"
    body = json.loads(k("get", "namespace", "gone", "-o", "json"))
    body["spec"]["finalizers"] = []
    world.server.call("PUT", "/api/v1/namespaces/gone/finalize", body)
    assert "NotFound" in k("get", "namespace", "gone", succeeds=False)


def test_a_list_comes_in_pages(world: World) -> None:
    k = world.kubectl
    k("create", "namespace", "pages")
    k("create", "-f", "-", stdin=objects("pages", "ConfigMap", 53))
    paged = k("get", "configmaps", "-n", "pages", "--chunk-size=10", "-o", "name").split()
    assert paged == [f"configmap/n{number:03}" for number in range(53)]
    path, continued = "/api/v1/namespaces/pages/configmaps?limit=20", ""
    names: list[str] = []
    revisions: set[str] = set()
    left: list[int | None] = []
    while True:
        page = json.loads(world.server.get(path + continued))
        names += [item["metadata"]["name"] for item in page["items"]]
        revisions.add(page["metadata"]["resourceVersion"])
        left.append(page["metadata"].get("remainingItemCount"))
        if not page["metadata"].get("continue"):
            break
        continued = f"&continue={page['metadata']['continue']}"
        k("delete", "configmap", "n052", "-n", "pages", "--ignore-not-found")
    assert (names[0], names[-1], len(names)) == ("n000", "n052", 53)
    assert len(revisions) == 1
    assert left == [33, 13, None]


def test_a_watch_tells_every_change_in_order(world: World) -> None:
    k = world.kubectl
    k("create", "namespace", "watched")
    output = world.directory / "watch.txt"
    template = '{.type} {.object.metadata.name} {.object.data.v}{"\\n"}'
    watching = k.start(
        "get", "configmaps", "-n", "watched", "--watch", "--output-watch-events",
        "-o", f"jsonpath={template}", output=output,
    )  # fmt: skip
    try:
        k("create", "configmap", "c", "-n", "watched", "--from-literal=v=0")
        assert wait_for(lambda: "ADDED c 0" in output.read_text())
        for number in range(1, 6):
            patch = json.dumps({"data": {"v": str(number)}})
            k("patch", "configmap", "c", "-n", "watched", "--patch", patch)
        k("delete", "configmap", "c", "-n", "watched")
        assert wait_for(lambda: "DELETED" in output.read_text())
    finally:
        watching.kill()
        watching.wait()
    told = [line for line in output.read_text().splitlines() if " c " in line]
    assert told == ["ADDED c 0", *[f"MODIFIED c {n}" for n in range(1, 6)], "DELETED c 5"]


def test_the_mysql_example_is_applied_scaled_and_deleted(world: World) -> None:
    k = world.kubectl
    manifest = str(HERE / "mysql.yaml")
    k("create", "namespace", "mysql")
    k("apply", "-n", "mysql", "-f", manifest)
    assert "unchanged" in k("apply", "-n", "mysql", "-f", manifest)
    kinds = k("get", "pvc,deployment,service", "-n", "mysql", "-o", "name").split()
    assert kinds == [
        "persistentvolumeclaim/mysql-pv-claim",
        "deployment.apps/mysql",
        "service/mysql",
    ]
    k("scale", "deployment", "mysql", "-n", "mysql", "--replicas=3")
    k("set", "image", "deployment/mysql", "-n", "mysql", "mysql=mysql:9.1")
    told = k.field(".spec.replicas}{.spec.template.spec.containers[0].image}{.metadata.generation",
                   "deployment", "mysql", "-n", "mysql")  # fmt: skip
    assert told == "3mysql:9.13"
    k("delete", "-n", "mysql", "-f", manifest, "--wait=false")
    assert k("get", "deployment,service", "-n", "mysql", "-o", "name") == ""


def test_custom_resources_have_a_status_of_their_own(world: World) -> None:
    k = world.kubectl
    k("create", "namespace", "custom")
    k("apply", "-f", str(HERE / "crontab.yaml"))
    k("wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=30s")
    resource = {
        "apiVersion": "stable.example.com/v1",
        "kind": "CronTab",
        "metadata": {"name": "c", "namespace": "custom"},
        "spec": {"cronSpec": "* * * * */5", "replicas": 1},
    }
    k("create", "-f", "-", stdin=json.dumps(resource))
    at = ("crontab", "c", "-n", "custom")
    k("patch", *at, "--type=merge", "--patch", '{"spec":{"replicas":4},"status":{"ready":9}}')
    k("patch", *at, "--type=merge", "--subresource=status", "--patch",
      '{"spec":{"replicas":7},"status":{"ready":2}}')  # fmt: skip
    assert k.field(".spec.replicas}{.status.ready}{.metadata.generation", *at) == "422"
    k("delete", *at)
    k("delete", "crd", "crontabs.stable.example.com")
    assert "NotFound" in k("get", "crd", "crontabs.stable.example.com", succeeds=False)


def test_events_vanish_when_their_lease_ends(world: World) -> None:
    k = world.kubectl
    k("create", "namespace", "events")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "events"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "events"},
    }
    k("create", "-f", "-", stdin=json.dumps(event))
    assert k("get", "events", "-n", "events", "-o", "name") == "event/e\n"
    assert wait_for(lambda: k("get", "events", "-n", "events", "-o", "name") == "")


def test_the_lease_of_the_apiserver_rotates(world: World) -> None:
    def lease() -> Stored:
        (stored,) = contents(world.store, "/registry/masterleases/").values()
        return stored

    first = lease()
    assert first.lease
    assert wait_for(lambda: lease().lease != first.lease)
    assert lease().revision > first.revision
    address = world.kubectl.field(".subsets[0].addresses[0].ip", "endpoints", "kubernetes")
    assert address == "192.0.2.1"


def test_revisions_of_the_past_are_gone_after_compaction(start_world: Start) -> None:
    world = start_world("--etcd-compaction-interval=2s")
    k = world.kubectl
    k("create", "namespace", "old")
    k("create", "-f", "-", stdin=objects("old", "ConfigMap", 5))
    path = "/api/v1/namespaces/old/configmaps"
    first = json.loads(world.server.get(f"{path}?limit=2"))["metadata"]
    exact = f"{path}?resourceVersion={first['resourceVersion']}&resourceVersionMatch=Exact"
    k("delete", "configmap", "n004", "-n", "old")

    def answers_gone(asked: str) -> bool:
        try:
            world.server.get(asked)
        except urllib.error.HTTPError as error:
            reason = json.loads(error.read())
            return (error.code, reason["reason"]) == (410, "Expired")
        return False

    assert wait_for(lambda: answers_gone(exact))
    assert answers_gone(f"{path}?limit=2&continue={first['continue']}")
    assert world.store.metrics()["etcd_debugging_mvcc_compact_revision"] > 0
    assert len(json.loads(world.server.get(path))["items"]) == 4


@pytest.mark.slow
def test_the_watch_cache_is_consistent_with_the_store(start_world: Start) -> None:
    # Each resource is compared with the store between 5 and 7.5 minutes after the start.
    world = start_world(environment={"KUBE_WATCHCACHE_CONSISTENCY_CHECKER": "true"})
    world.kubectl("create", "namespace", "checked")
    world.kubectl("create", "-f", "-", stdin=objects("checked", "ConfigMap", 50))
    world.store.kill()
    world.store.start()

    def checks() -> Counter[str]:
        done: Counter[str] = Counter()
        for name, value in world.server.metrics().items():
            if name.startswith("apiserver_storage_consistency_checks_total"):
                done[name.partition('status="')[2].rstrip('"}')] += int(value)
        return done

    assert wait_for(lambda: checks().total() >= 50, 480)
    print(f"\n{checks().total()} resources compared with their watch cache")
    assert set(checks()) == {"success"}
    assert world.server.is_running()
