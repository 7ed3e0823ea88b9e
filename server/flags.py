"""Every setting of `trine serve`: its name, how it is written, its default and what it does.

Rule: this table is the only list of settings. The command line, the environment, the configuration
file, `--help` and the tests read it; `server/config.py` gives the texts their meaning. Names and
defaults are etcd's where etcd has the setting. Flags that are accepted and do nothing have a table
of their own (`server/inert.py`), so that this one shows what Trine does.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import attrs

# text: anything; bool: a bare `--flag` means true; number: a whole number; duration: Go's spelling;
# list: comma separated; urls: comma separated URLs; level: a bare `--metrics` is k8s-dqlite's.
Kind = Literal["text", "bool", "number", "duration", "list", "urls", "level"]


@attrs.frozen
class Flag:
    """One setting as a person sees it; `default` is spelled as it would be on the command line.

    `other_names` set the same value; `inert` says why the flag has no effect, None if it has one.
    `is_native` marks a name that etcd does not have: its environment variable begins with TRINE_.
    """

    name: str
    kind: Kind
    default: str
    help: str
    choices: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    is_native: bool = False
    inert: str | None = None


@attrs.frozen
class Section:
    """Flags under one heading of the help text."""

    title: str
    flags: tuple[Flag, ...]


def variable(flag: Flag, name: str | None = None) -> str:
    """Return the environment variable of a flag, or of one of its other names."""
    spelled = name or flag.name
    prefix = "TRINE_" if flag.is_native or spelled in _NATIVE_NAMES else "ETCD_"
    return prefix + spelled.upper().replace("-", "_").replace(".", "_")


def by_name(flags: Iterable[Flag]) -> Mapping[str, Flag]:
    """Return the flags by every name they answer to; two flags of one name are a bug."""
    table: dict[str, Flag] = {}
    for flag in flags:
        for name in (flag.name, *flag.other_names):
            assert name not in table, f"flag {name} is in the tables twice"
            table[name] = flag
    return table


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the known name that `name` was probably meant to be, None if none is near."""
    wanted = name.lower().replace("_", "-")
    candidates = sorted(names)
    if wanted in candidates:
        return wanted
    close = difflib.get_close_matches(wanted, candidates, n=1, cutoff=0.6)
    return close[0] if close else None


# Names of ours and of k8s-dqlite: etcd has no variable for them.
_NATIVE_NAMES: Final = frozenset({"storage-dir", "listen", "debug"})

_MEMBER: Final = Section(
    "Member",
    (
        Flag("name", "text", "default", "Name of this member, unique in its cluster."),
        Flag(
            "data-dir",
            "text",
            "${name}.trine",
            "Directory of the journal and the store. k8s-dqlite spells it --storage-dir "
            "(its default: /var/tmp/k8s-dqlite/).",
            other_names=("storage-dir",),
        ),
        Flag(
            "wal-dir",
            "text",
            "",
            "Directory of the journal, if it has a disk of its own; else in the data directory.",
        ),
        Flag(
            "listen-client-urls",
            "urls",
            "http://localhost:2379",
            "Where clients connect: http, https, unix or unixs URLs; gRPC and HTTP share a port. "
            "k8s-dqlite spells it --listen (its default: tcp://127.0.0.1:12379).",
            other_names=("listen",),
        ),
        Flag(
            "listen-client-http-urls",
            "urls",
            "",
            "Where HTTP clients alone connect; if set, --listen-client-urls answers gRPC only.",
        ),
        Flag(
            "advertise-client-urls",
            "urls",
            "http://localhost:2379",
            "URLs that clients are told to use. If only --listen-client-urls is given: the same.",
        ),
        Flag(
            "config-file",
            "text",
            "",
            "YAML or JSON file with these settings by name. As in etcd, flags and environment "
            "variables are then not read.",
        ),
    ),
)

_LIMITS: Final = Section(
    "Limits",
    (
        Flag(
            "quota-backend-bytes",
            "number",
            "0",
            "Bytes of keys, values and leases the member holds before it takes no more (alarm "
            "NOSPACE). 0: 2 GiB, or what memory can hold if that is less. All of it is held in "
            "memory: a quota that memory cannot hold is refused at start.",
        ),
        Flag("max-txn-ops", "number", "128", "Operations one transaction may have."),
        Flag("max-request-bytes", "number", "1572864", "Bytes one request may have."),
        Flag(
            "max-concurrent-streams",
            "number",
            "4294967295",
            "Streams one connection may have open.",
        ),
        Flag(
            "grpc-keepalive-min-time",
            "duration",
            "5s",
            "Shortest time between two pings of a client; one that pings faster is disconnected.",
        ),
        Flag(
            "grpc-keepalive-interval",
            "duration",
            "2h0m0s",
            "A connection this long silent is pinged; 0 never pings.",
        ),
        Flag(
            "grpc-keepalive-timeout",
            "duration",
            "20s",
            "A pinged connection that stays silent this long is closed; 0 never closes.",
        ),
        Flag("socket-reuse-port", "bool", "false", "Set SO_REUSEPORT on listening sockets."),
    ),
)

_HISTORY: Final = Section(
    "Compaction and watches",
    (
        Flag(
            "auto-compaction-mode",
            "text",
            "periodic",
            "What --auto-compaction-retention counts.",
            choices=("periodic", "revision"),
        ),
        Flag(
            "auto-compaction-retention",
            "text",
            "0",
            "History to keep: in periodic mode a duration (a plain number: hours), in revision "
            "mode a number of revisions. 0: off; kube-apiserver compacts by itself.",
        ),
        Flag(
            "watch-progress-notify-interval",
            "duration",
            "10m0s",
            "Time between progress notifications to watchers that asked for them.",
            other_names=("experimental-watch-progress-notify-interval",),
        ),
    ),
)

_SECURITY: Final = Section(
    "Security",
    (
        Flag("cert-file", "text", "", "Certificate shown to clients (PEM)."),
        Flag("key-file", "text", "", "Private key of --cert-file (PEM)."),
        Flag(
            "client-cert-auth",
            "bool",
            "false",
            "Refuse clients without a certificate of --trusted-ca-file.",
        ),
        Flag(
            "trusted-ca-file",
            "text",
            "",
            "Authorities whose client certificates are accepted (PEM). If set, clients must "
            "show one, as in etcd.",
        ),
        Flag("client-crl-file", "text", "", "Revoked client certificates."),
        Flag(
            "client-cert-allowed-hostname",
            "list",
            "",
            "Host names of which a client certificate must have one.",
        ),
        Flag(
            "tls-min-version",
            "text",
            "TLS1.2",
            "Oldest TLS version accepted.",
            choices=("TLS1.2", "TLS1.3"),
        ),
        Flag(
            "tls-max-version",
            "text",
            "",
            "Newest TLS version accepted; empty: the newest there is.",
            choices=("", "TLS1.2", "TLS1.3"),
        ),
        Flag(
            "cipher-suites",
            "list",
            "",
            "TLS 1.2 cipher suites by IANA name; empty: those OpenSSL holds to be secure.",
        ),
    ),
)

_CLUSTER: Final = Section(
    "Cluster",
    (
        Flag(
            "listen-peer-urls",
            "urls",
            "http://localhost:2380",
            "Where other members connect.",
        ),
        Flag(
            "initial-advertise-peer-urls",
            "urls",
            "http://localhost:2380",
            "URLs that other members are told to use.",
        ),
        Flag(
            "initial-cluster",
            "text",
            "${name}=${initial-advertise-peer-urls}",
            "Members of a new cluster, or of the one to join: name=URL pairs, comma separated. "
            "Read at the first start alone.",
        ),
        Flag(
            "initial-cluster-state",
            "text",
            "new",
            "Whether the first start makes a cluster or joins one.",
            choices=("new", "existing"),
        ),
        Flag(
            "initial-cluster-token",
            "text",
            "etcd-cluster",
            "Text that goes into the cluster's id, so that two clusters differ.",
        ),
        Flag("heartbeat-interval", "number", "100", "Milliseconds between heartbeats."),
        Flag(
            "election-timeout",
            "number",
            "1000",
            "Milliseconds without a leader until an election; at least five heartbeats.",
        ),
        Flag(
            "strict-reconfig-check",
            "bool",
            "true",
            "Refuse changes of membership that would cost the quorum.",
        ),
        Flag(
            "snapshot-catchup-entries",
            "number",
            "5000",
            "Entries of the log kept for members that lag; who lacks more gets a snapshot.",
            other_names=("experimental-snapshot-catchup-entries",),
        ),
        Flag(
            "max-learners",
            "number",
            "1",
            "Learners a cluster may have.",
            other_names=("experimental-max-learners",),
        ),
        Flag(
            "raft-engine",
            "text",
            "own",
            "What decides votes, commits and sending: Trine, or the library pysyncobj. A member's "
            "own affair: members may differ, and each restart may choose anew.",
            is_native=True,
            choices=("own", "pysyncobj"),
        ),
        Flag("peer-cert-file", "text", "", "Certificate shown to members (PEM)."),
        Flag("peer-key-file", "text", "", "Private key of --peer-cert-file (PEM)."),
        Flag(
            "peer-client-cert-auth",
            "bool",
            "false",
            "Refuse members without a certificate of --peer-trusted-ca-file.",
        ),
        Flag(
            "peer-trusted-ca-file",
            "text",
            "",
            "Authorities whose member certificates are accepted (PEM).",
        ),
        Flag("peer-crl-file", "text", "", "Revoked member certificates."),
        Flag(
            "peer-cert-allowed-cn",
            "list",
            "",
            "Common names of which a member's certificate must have one.",
        ),
        Flag(
            "peer-cert-allowed-hostname",
            "list",
            "",
            "Host names of which a member's certificate must have one.",
        ),
        Flag(
            "peer-client-cert-file",
            "text",
            "",
            "Certificate to show on links this member opens, if not --peer-cert-file (PEM).",
        ),
        Flag("peer-client-key-file", "text", "", "Private key of --peer-client-cert-file (PEM)."),
        Flag(
            "peer-plaintext",
            "bool",
            "false",
            "Let members talk in plain text beyond this machine: whoever is on that network can "
            "then read and change everything.",
            is_native=True,
        ),
        Flag(
            "enable-tls",
            "bool",
            "true",
            "With a storage directory of k8s-dqlite's form: links are TLS with its cluster.crt "
            "and cluster.key; false is for members on one machine.",
            is_native=True,
        ),
        Flag(
            "min-tls-version",
            "text",
            "tls12",
            "With such a directory: oldest TLS version on links.",
            choices=("tls10", "tls11", "tls12", "tls13"),
            is_native=True,
        ),
    ),
)

_OBSERVATION: Final = Section(
    "Logs, metrics, health",
    (
        Flag(
            "listen-metrics-urls",
            "urls",
            "",
            "Where /metrics, /health, /livez, /readyz and /version are answered as well.",
        ),
        Flag(
            "metrics",
            "level",
            "basic",
            "How much is measured: extensive adds histograms of request durations. The word true, "
            "k8s-dqlite's, opens --metrics-listen.",
            choices=("basic", "extensive", "true", "false"),
        ),
        Flag(
            "metrics-listen",
            "text",
            "127.0.0.1:9042",
            "Address of the metrics that --metrics=true opens.",
            is_native=True,
        ),
        Flag(
            "log-level",
            "text",
            "info",
            "Least important line to log. k8s-dqlite's --debug means --log-level=debug.",
            choices=("debug", "info", "warn", "error", "panic", "fatal"),
        ),
        Flag("debug", "bool", "false", "The same as --log-level=debug.", is_native=True),
        Flag(
            "log-format",
            "text",
            "json",
            "Shape of log lines.",
            choices=("json", "console"),
        ),
        Flag(
            "log-outputs",
            "list",
            "default",
            "Where lines go: stderr (default), stdout, or paths of files.",
        ),
        Flag("enable-log-rotation", "bool", "false", "Rotate the one file of --log-outputs."),
        Flag(
            "log-rotation-config-json",
            "text",
            '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}',
            "When a log file is rotated (maxsize in MB) and how many old ones stay (maxage in "
            "days, maxbackups; 0: all).",
        ),
        Flag(
            "warning-unary-request-duration",
            "duration",
            "300ms",
            "A request slower than this, from arrival to answer, is logged.",
            other_names=("experimental-warning-unary-request-duration",),
        ),
        Flag(
            "warning-apply-duration",
            "duration",
            "100ms",
            "A change or read that takes longer than this to carry out is logged.",
            other_names=("experimental-warning-apply-duration",),
        ),
    ),
)

SECTIONS: Final = (_MEMBER, _LIMITS, _HISTORY, _SECURITY, _CLUSTER, _OBSERVATION)
