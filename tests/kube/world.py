"""Small verbs of these tests: objects to create, writers under way, and waiting with a bound."""

import json
import threading
import time
import urllib.error
from collections.abc import Callable

from tests.kube.apiserver import ApiServer

PATIENCE_S = 30.0


def wait_for(what: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Whether it became true in time."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.1)
    return False


def objects(namespace: str, kind: str, count: int) -> str:
    """Many small objects as one manifest."""
    items = [
        {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": f"n{number:03}", "namespace": namespace},
            "data": {"number": str(number)},
        }
        for number in range(count)
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


class Writer:
    """Creates objects until told to stop; keeps the revision of each that was acknowledged."""

    def __init__(self, server: ApiServer, name: str, namespace: str = "writes") -> None:
        self.acknowledged: dict[str, int] = {}
        self.times: list[float] = []
        """When each was acknowledged."""
        self._server = server
        self._name = name
        self._namespace = namespace
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the object that is under way."""
        self._stopped.set()
        self._thread.join()

    def _write(self) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            name = f"{self._name}-{number}"
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
            try:
                path = f"/api/v1/namespaces/{self._namespace}/configmaps"
                created = json.loads(self._server.call("POST", path, body))
            except (urllib.error.URLError, OSError):
                # Unknown or refused while the store is away: no promise was made.
                time.sleep(0.05)
                continue
            key = f"/registry/configmaps/{self._namespace}/{name}"
            self.acknowledged[key] = int(created["metadata"]["resourceVersion"])
            self.times.append(time.monotonic())
