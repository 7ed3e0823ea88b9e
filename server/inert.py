"""Flags of etcd and k8s-dqlite that Trine accepts and that do nothing, each with the reason.

Rule: a manifest or start script written for etcd, kubeadm or k8s-dqlite runs unchanged, and no
setting is ignored in silence: one that was given is logged once with its reason. A flag whose loss
would be dangerous (it would start another cluster, or let strangers in) is in `REFUSED`: any value
but the default ends the start with a sentence.
"""

from __future__ import annotations

from typing import Final

from server.flags import Flag, Kind, Section

_NO_BBOLT: Final = "the store is SQLite, not bbolt"
_OWN_PACE: Final = "the journal and the store choose their own batches"
_NO_DISCOVERY: Final = "there is no discovery; the first start is given a list of members"
_LINKS_CHECK_THEMSELVES: Final = "links between members are probed and given up by themselves"
_NO_SAN_CHECK: Final = "a member's certificate is not compared with the address it comes from"
_CHECKED_AT_START: Final = (
    "each start compares rows and state hash; members compare with: etcdctl endpoint hashkv"
)
_COMPACTS_ALONE: Final = "compaction goes in slices that yield to requests by themselves"
_NO_TRACING: Final = "there is no tracing; see /metrics and the slow-request warnings"
_NO_PROFILING: Final = "there is no profiling port"
_NO_SQL_POOL: Final = "SQLite is not on the path of a request, so there is no pool to size"
_NO_AUTH_YET: Final = "users and roles are not in this build"
_GONE_IN_ETCD: Final = "etcd itself ignores it"
_NO_V2: Final = "there is no v2 API to proxy or migrate"
_MANAGED: Final = "journal segments go once the store holds them; no snapshot files are kept"

# (name, kind, default, reason)
_Row = tuple[str, Kind, str, str]

_ETCD: Final[tuple[_Row, ...]] = (
    ("socket-reuse-address", "bool", "false", "it is always set"),
    ("snapshot-count", "number", "10000", _MANAGED),
    ("max-snapshots", "number", "5", _MANAGED),
    ("max-wals", "number", "5", _MANAGED),
    ("initial-election-tick-advance", "bool", "true", "elections follow their timeout alone"),
    ("pre-vote", "bool", "true", "no election is held that could not be won, as with pre-vote"),
    ("raft-read-timeout", "duration", "5s", _LINKS_CHECK_THEMSELVES),
    ("raft-write-timeout", "duration", "5s", _LINKS_CHECK_THEMSELVES),
    ("memory-mlock", "bool", "false", "the kernel decides what stays in memory; disable swap"),
    ("experimental-memory-mlock", "bool", "false", "the kernel decides what stays in memory"),
    ("backend-bbolt-freelist-type", "text", "map", _NO_BBOLT),
    ("backend-batch-interval", "duration", "0s", _OWN_PACE),
    ("backend-batch-limit", "number", "0", _OWN_PACE),
    (
        "enable-grpc-gateway",
        "bool",
        "true",
        "the JSON gateway is not in this build; /health, /metrics and /version are",
    ),
    (
        "feature-gates",
        "text",
        "",
        "these gates name parts of etcd; integrity is checked at every start, without a gate",
    ),
    ("corrupt-check-time", "duration", "0s", _CHECKED_AT_START),
    ("experimental-corrupt-check-time", "duration", "0s", _CHECKED_AT_START),
    ("compact-hash-check-time", "duration", "1m0s", _CHECKED_AT_START),
    ("experimental-compact-hash-check-time", "duration", "1m0s", _CHECKED_AT_START),
    ("experimental-compact-hash-check-enabled", "bool", "false", _CHECKED_AT_START),
    ("experimental-initial-corrupt-check", "bool", "false", "integrity is checked at every start"),
    ("compaction-batch-limit", "number", "1000", _COMPACTS_ALONE),
    ("experimental-compaction-batch-limit", "number", "1000", _COMPACTS_ALONE),
    ("compaction-sleep-interval", "duration", "10ms", _COMPACTS_ALONE),
    ("experimental-compaction-sleep-interval", "duration", "10ms", _COMPACTS_ALONE),
    (
        "bootstrap-defrag-threshold-megabytes",
        "number",
        "0",
        "the store uses freed pages again while it runs",
    ),
    (
        "experimental-bootstrap-defrag-threshold-megabytes",
        "number",
        "0",
        "the store uses freed pages again while it runs",
    ),
    ("downgrade-check-time", "duration", "5s", "there is no downgrade to check"),
    ("experimental-downgrade-check-time", "duration", "5s", "there is no downgrade to check"),
    ("experimental-enable-lease-checkpoint", "bool", "false", "a new leader renews every lease"),
    (
        "experimental-enable-lease-checkpoint-persist",
        "bool",
        "false",
        "a new leader renews every lease",
    ),
    ("experimental-txn-mode-write-with-shared-buffer", "bool", "true", _NO_BBOLT),
    (
        "experimental-stop-grpc-service-on-defrag",
        "bool",
        "false",
        "requests are served while a defragmentation runs",
    ),
    (
        "unsafe-no-fsync",
        "bool",
        "false",
        "an acknowledged write is always on disk; batches make that cheap",
    ),
    ("auto-tls", "bool", "false", "no certificate is made up; give --cert-file and --key-file"),
    ("peer-auto-tls", "bool", "false", "no certificate is made up; give --peer-cert-file"),
    ("self-signed-cert-validity", "number", "1", "no certificate is made up"),
    ("client-cert-file", "text", "", "the member opens no client connection to itself"),
    ("client-key-file", "text", "", "the member opens no client connection to itself"),
    ("peer-skip-client-san-verification", "bool", "false", _NO_SAN_CHECK),
    ("experimental-peer-skip-client-san-verification", "bool", "false", _NO_SAN_CHECK),
    ("cors", "list", "*", "what the HTTP port answers needs no other origin"),
    ("host-whitelist", "list", "*", "what the HTTP port answers is the same for every host name"),
    ("auth-token", "text", "simple", _NO_AUTH_YET),
    ("auth-token-ttl", "number", "300", _NO_AUTH_YET),
    ("bcrypt-cost", "number", "10", _NO_AUTH_YET),
    ("enable-pprof", "bool", "false", _NO_PROFILING),
    ("logger", "text", "zap", "there is one logger; see --log-format"),
    ("enable-distributed-tracing", "bool", "false", _NO_TRACING),
    ("distributed-tracing-address", "text", "localhost:4317", _NO_TRACING),
    ("distributed-tracing-service-name", "text", "etcd", _NO_TRACING),
    ("distributed-tracing-instance-id", "text", "", _NO_TRACING),
    ("distributed-tracing-sampling-rate", "number", "0", _NO_TRACING),
    ("experimental-enable-distributed-tracing", "bool", "false", _NO_TRACING),
    ("experimental-distributed-tracing-address", "text", "localhost:4317", _NO_TRACING),
    ("experimental-distributed-tracing-service-name", "text", "etcd", _NO_TRACING),
    ("experimental-distributed-tracing-instance-id", "text", "", _NO_TRACING),
    ("experimental-distributed-tracing-sampling-rate", "number", "0", _NO_TRACING),
    ("v2-deprecation", "text", "write-only", _NO_V2),
    ("enable-v2", "bool", "false", _NO_V2),
    ("experimental-enable-v2v3", "text", "", _NO_V2),
    ("proxy", "text", "off", _NO_V2),
    ("proxy-failure-wait", "number", "5000", _NO_V2),
    ("proxy-refresh-interval", "number", "30000", _NO_V2),
    ("proxy-dial-timeout", "number", "1000", _NO_V2),
    ("proxy-write-timeout", "number", "5000", _NO_V2),
    ("proxy-read-timeout", "number", "0", _NO_V2),
    ("discovery-dial-timeout", "duration", "2s", _NO_DISCOVERY),
    ("discovery-request-timeout", "duration", "5s", _NO_DISCOVERY),
    ("discovery-keepalive-time", "duration", "2s", _NO_DISCOVERY),
    ("discovery-keepalive-timeout", "duration", "6s", _NO_DISCOVERY),
    ("discovery-insecure-transport", "bool", "true", _NO_DISCOVERY),
    ("discovery-insecure-skip-tls-verify", "bool", "false", _NO_DISCOVERY),
    ("discovery-cert", "text", "", _NO_DISCOVERY),
    ("discovery-key", "text", "", _NO_DISCOVERY),
    ("discovery-cacert", "text", "", _NO_DISCOVERY),
    ("discovery-user", "text", "", _NO_DISCOVERY),
    ("discovery-password", "text", "", _NO_DISCOVERY),
    ("discovery-fallback", "text", "exit", _NO_DISCOVERY),
    ("discovery-proxy", "text", "", _NO_DISCOVERY),
    ("discovery-srv-name", "text", "", _NO_DISCOVERY),
    ("cluster-active-size", "text", "", _GONE_IN_ETCD),
    ("cluster-remove-delay", "text", "", _GONE_IN_ETCD),
    ("cluster-sync-interval", "text", "", _GONE_IN_ETCD),
    ("max-result-buffer", "text", "", _GONE_IN_ETCD),
    ("max-retry-attempts", "text", "", _GONE_IN_ETCD),
    ("peer-heartbeat-interval", "text", "", _GONE_IN_ETCD),
    ("peer-election-timeout", "text", "", _GONE_IN_ETCD),
    ("retry-interval", "text", "", _GONE_IN_ETCD),
)

_DQLITE: Final[tuple[_Row, ...]] = (
    ("tls-client-session-cache-size", "number", "0", "no TLS session is resumed"),
    ("disk-mode", "bool", "false", "the store is always on disk and the state always in memory"),
    ("profiling", "bool", "false", _NO_PROFILING),
    ("profiling-listen", "text", "127.0.0.1:4000", _NO_PROFILING),
    ("profiling-dir", "text", "", _NO_PROFILING),
    ("otel", "bool", "false", _NO_TRACING),
    ("otel-listen", "text", "127.0.0.1:4317", _NO_TRACING),
    ("otel-dir", "text", "", _NO_TRACING),
    ("otel-span-name-filter", "text", "", _NO_TRACING),
    ("otel-span-min-duration-filter", "duration", "0s", _NO_TRACING),
    ("datastore-max-idle-connections", "number", "5", _NO_SQL_POOL),
    ("datastore-max-open-connections", "number", "5", _NO_SQL_POOL),
    ("datastore-connection-max-lifetime", "duration", "60s", _NO_SQL_POOL),
    ("datastore-connection-max-idle-time", "duration", "0s", _NO_SQL_POOL),
    (
        "watch-storage-available-size-interval",
        "duration",
        "5s",
        "a reserve file keeps a full disk survivable",
    ),
    (
        "watch-storage-available-size-min-bytes",
        "number",
        "10485760",
        "a reserve file keeps a full disk survivable",
    ),
    (
        "low-available-storage-action",
        "text",
        "none",
        "a full disk refuses writes and is reported; a reserve file keeps it survivable",
    ),
    ("watch-query-timeout", "duration", "20s", _NO_SQL_POOL),
)

_OTHER_CLUSTER: Final = (
    "there is no discovery, and starting alone would make a second cluster; list the members "
    "in --initial-cluster instead"
)

REFUSED: Final = {
    "force-new-cluster": (
        "a member cannot leave its cluster by a flag that may stay in a manifest; use: trine "
        "recover, which makes a new cluster of one member from its directory"
    ),
    "discovery": _OTHER_CLUSTER,
    "discovery-token": _OTHER_CLUSTER,
    "discovery-endpoints": _OTHER_CLUSTER,
    "discovery-srv": _OTHER_CLUSTER,
}


def _flag(row: _Row, *, is_native: bool) -> Flag:
    name, kind, default, reason = row
    return Flag(name, kind, default, "", is_native=is_native, inert=reason)


INERT_SECTIONS: Final = (
    Section("etcd's flags without effect", tuple(_flag(row, is_native=False) for row in _ETCD)),
    Section("k8s-dqlite's flags without effect", tuple(_flag(r, is_native=True) for r in _DQLITE)),
)

REFUSED_SECTION: Final = Section(
    "etcd's flags that are refused unless they have their default",
    tuple(
        Flag(name, "bool" if name == "force-new-cluster" else "text",
             "false" if name == "force-new-cluster" else "", "", inert=reason)
        for name, reason in REFUSED.items()
    ),
)  # fmt: skip
