"""Small verbs of these tests: objects to create, and waiting with a bound."""

import json
import time
from collections.abc import Callable

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
