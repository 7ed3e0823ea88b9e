"""No flag of etcd, kubeadm or k8s-dqlite is unknown."""

from pathlib import Path

import pytest

from server.inert import INERT_SECTIONS, REFUSED, REFUSED_SECTION
from server.settings import ALL_FLAGS

# Every flag that the help of etcd 3.5.1, 3.6.16 or 3.7.3 lists.
ETCD = (Path(__file__).parent / "etcd_flags.txt").read_text().split()
K8S_DQLITE = (
    "storage-dir", "listen", "enable-tls", "min-tls-version", "tls-client-session-cache-size",
    "log-level", "debug", "profiling", "profiling-listen", "profiling-dir", "disk-mode",
    "metrics", "metrics-listen", "otel", "otel-listen", "otel-dir", "otel-span-name-filter",
    "otel-span-min-duration-filter", "datastore-max-idle-connections",
    "datastore-max-open-connections", "datastore-connection-max-lifetime",
    "datastore-connection-max-idle-time", "watch-storage-available-size-interval",
    "watch-storage-available-size-min-bytes", "low-available-storage-action",
    "watch-query-timeout", "watch-progress-notify-interval",
)  # fmt: skip


@pytest.mark.parametrize("name", [*ETCD, *K8S_DQLITE])
def test_a_flag_of_the_worlds_trine_comes_from_is_known(name: str) -> None:
    assert name in ALL_FLAGS


def test_every_flag_without_effect_says_why() -> None:
    reasons = [flag.inert for section in INERT_SECTIONS for flag in section.flags]
    assert [why for why in reasons if not why or why.endswith(".")] == []


def test_every_refused_flag_is_in_the_help() -> None:
    assert [flag.name for flag in REFUSED_SECTION.flags] == list(REFUSED)
