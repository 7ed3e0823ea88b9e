"""From settings to a configuration, and every sentence that refuses one."""

import ssl

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from net import telemetry
from net.listen import ListenUrl
from net.tls import TlsOptions
from server.clustering import PeerMember
from server.config import Config, KeepRevisions, Periodic
from server.inert import INERT_SECTIONS, REFUSED
from server.logs import LogSettings, Rotation
from server.settings import ALL_FLAGS, Notice
from tests.configured import configured, faults

LOCAL = ListenUrl("http", host="localhost", port=2379)

DEFAULT = Config(
    name="default",
    data_dir="default.trine",
    journal_dir="default.trine/journal",
    listen_client=(LOCAL,),
    listen_http=(),
    listen_metrics=(),
    advertise_client=("http://localhost:2379",),
    client_tls=None,
    listen_peer=(ListenUrl("http", host="localhost", port=2380),),
    advertise_peer=("http://localhost:2380",),
    listen_peer_given=False,
    peer_tls=None,
    peer_dial_pair=None,
    peer_plaintext=False,
    peer_pinned=False,
    initial_cluster=(PeerMember("default", ("http://localhost:2380",)),),
    initial_cluster_token="etcd-cluster",
    initial_cluster_existing=False,
    founding_faults=(),
    joining=None,
    joined=None,
    failure_domain=0,
    strict_reconfig=True,
    heartbeat_ms=100,
    election_ms=1000,
    learners_max=1,
    catchup_entries=5_000,
    has_library_decide=False,
    quota_bytes=0,
    txn_ops_max=128,
    request_bytes_max=1_572_864,
    streams_max=4_294_967_295,
    keepalive_min_ms=5_000,
    keepalive_interval_ms=7_200_000,
    keepalive_timeout_ms=20_000,
    compaction=None,
    watch_progress_ms=600_000,
    slow_request_ms=300,
    slow_apply_ms=100,
    metrics_extensive=False,
    socket_reuse_port=False,
    logging=LogSettings(telemetry.INFO, "json", ("default",), None),
    notices=(),
)

KUBEADM = (
    "--advertise-client-urls=https://10.0.0.5:2379",
    "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
    "--client-cert-auth=true",
    "--data-dir=/var/lib/etcd",
    "--feature-gates=InitialCorruptCheck=true",
    "--initial-advertise-peer-urls=https://10.0.0.5:2380",
    "--initial-cluster=cp-1=https://10.0.0.5:2380",
    "--key-file=/etc/kubernetes/pki/etcd/server.key",
    "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379",
    "--listen-metrics-urls=http://127.0.0.1:2381",
    "--listen-peer-urls=https://10.0.0.5:2380",
    "--name=cp-1",
    "--peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt",
    "--peer-client-cert-auth=true",
    "--peer-key-file=/etc/kubernetes/pki/etcd/peer.key",
    "--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
    "--snapshot-count=10000",
    "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
    "--watch-progress-notify-interval=5s",
)


def test_nothing_given_is_etcds_defaults() -> None:
    assert configured() == DEFAULT


def test_the_manifest_of_kubeadm_is_understood() -> None:
    pki = "/etc/kubernetes/pki/etcd"
    config = configured(*KUBEADM)
    assert attrs.evolve(config, notices=()) == attrs.evolve(
        DEFAULT,
        name="cp-1",
        data_dir="/var/lib/etcd",
        journal_dir="/var/lib/etcd/journal",
        listen_client=(
            ListenUrl("https", host="127.0.0.1", port=2379),
            ListenUrl("https", host="10.0.0.5", port=2379),
        ),
        listen_metrics=(ListenUrl("http", host="127.0.0.1", port=2381),),
        advertise_client=("https://10.0.0.5:2379",),
        client_tls=TlsOptions(
            f"{pki}/server.crt", f"{pki}/server.key", f"{pki}/ca.crt", client_cert_required=True
        ),
        listen_peer=(ListenUrl("https", host="10.0.0.5", port=2380),),
        listen_peer_given=True,
        advertise_peer=("https://10.0.0.5:2380",),
        peer_tls=TlsOptions(
            f"{pki}/peer.crt", f"{pki}/peer.key", f"{pki}/ca.crt", client_cert_required=True
        ),
        initial_cluster=(PeerMember("cp-1", ("https://10.0.0.5:2380",)),),
        watch_progress_ms=5_000,
    )
    assert [notice.fields["setting"] for notice in config.notices] == [
        "--feature-gates=InitialCorruptCheck=true",
        "--snapshot-count=10000",
    ]


def test_the_arguments_of_k8s_dqlite_are_understood() -> None:
    config = configured(
        "--storage-dir=/var/snap/x",
        "--listen=unix:///var/snap/x/kine.sock:12379",
        "--datastore-max-idle-connections",
        "5",
        "--metrics",
        "--debug",
        "--low-available-storage-action=handover",
    )
    assert attrs.evolve(config, notices=()) == attrs.evolve(
        DEFAULT,
        data_dir="/var/snap/x",
        journal_dir="/var/snap/x/journal",
        listen_client=(ListenUrl("unix", path="/var/snap/x/kine.sock:12379"),),
        advertise_client=("unix:///var/snap/x/kine.sock:12379",),
        listen_metrics=(ListenUrl("http", host="127.0.0.1", port=9042),),
        logging=LogSettings(telemetry.DEBUG, "json", ("default",), None),
    )


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--name=a",), {"name": "a", "data_dir": "a.trine", "journal_dir": "a.trine/journal",
         "initial_cluster": (PeerMember("a", ("http://localhost:2380",)),)}),
        (("--wal-dir=/w",), {"journal_dir": "/w"}),
        (("--auto-compaction-retention=3",), {"compaction": Periodic(3 * 3_600_000)}),
        (("--auto-compaction-retention=90s",), {"compaction": Periodic(90_000)}),
        (("--auto-compaction-mode=revision", "--auto-compaction-retention=1000"),
         {"compaction": KeepRevisions(1000)}),
        (("--auto-compaction-mode=revision",), {"compaction": None}),
        (("--metrics=extensive",), {"metrics_extensive": True}),
        (("--metrics=true", "--metrics-listen=0.0.0.0:1"),
         {"listen_metrics": (ListenUrl("http", host="0.0.0.0", port=1),)}),
        (("--experimental-watch-progress-notify-interval=1s",), {"watch_progress_ms": 1_000}),
        (("--warning-apply-duration=1ns",), {"slow_apply_ms": 1}),
        (("--quota-backend-bytes=-1",), {"quota_bytes": -1}),
        (("--heartbeat-interval=200", "--election-timeout=2000"),
         {"heartbeat_ms": 200, "election_ms": 2000}),
        (("--socket-reuse-port",), {"socket_reuse_port": True}),
        (("--experimental-snapshot-catchup-entries=7",), {"catchup_entries": 7}),
        (("--raft-engine=pysyncobj",), {"has_library_decide": True}),
        (("--initial-cluster-state=existing",), {"initial_cluster_existing": True}),
        (("--log-outputs=stdout,/var/log/t.log", "--log-format=console", "--log-level=error"),
         {"logging": LogSettings(telemetry.ERROR, "console", ("stdout", "/var/log/t.log"), None)}),
        (("--log-outputs=/l", "--enable-log-rotation",
          '--log-rotation-config-json={"maxsize": 1, "maxage": 2, "maxbackups": 3}'),
         {"logging": LogSettings(telemetry.INFO, "json", ("/l",), Rotation(1 << 20, 2, 3, False))}),
        (("--listen-client-http-urls=http://127.0.0.1:1",),
         {"listen_http": (ListenUrl("http", host="127.0.0.1", port=1),)}),
    ],
)  # fmt: skip
def test_a_setting_changes_its_field_alone(
    args: tuple[str, ...], expected: dict[str, object]
) -> None:
    config = attrs.evolve(configured(*args), notices=())
    assert config == attrs.evolve(DEFAULT, **expected)  # type: ignore[arg-type]


def test_who_listens_everywhere_advertises_this_machines_name() -> None:
    assert configured("--listen=tcp://0.0.0.0:1,http://[::]:2").advertise_client == (
        "http://node-1:1",
        "http://node-1:2",
    )


def test_tcp_means_tls_once_there_is_a_certificate() -> None:
    config = configured("--listen=tcp://:1", "--cert-file=c", "--key-file=k")
    assert config.listen_client == (ListenUrl("https", host="", port=1),)


def test_every_word_of_tls_reaches_its_options() -> None:
    config = configured(
        "--listen-client-urls=https://:1", "--cert-file=c", "--key-file=k", "--trusted-ca-file=a",
        "--client-crl-file=r", "--client-cert-allowed-hostname=x.y,z", "--tls-min-version=TLS1.2",
        "--tls-max-version=TLS1.2", "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,"
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305,TLS_AES_128_GCM_SHA256",
    )  # fmt: skip
    assert config.client_tls == TlsOptions(
        cert_file="c",
        key_file="k",
        trusted_ca_file="a",
        client_cert_required=True,
        crl_file="r",
        allowed_hostnames=("x.y", "z"),
        min_version=ssl.TLSVersion.TLSv1_2,
        max_version=ssl.TLSVersion.TLSv1_2,
        ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305",
    )


def test_a_certificate_beside_a_plain_url_is_told() -> None:
    config = configured("--cert-file=c", "--key-file=k", "--client-cert-auth")
    assert config.notices == (
        Notice(
            "a certificate was given, but this URL is plain: clients connect without TLS",
            {"url": "http://localhost:2379", "instead": "https://localhost:2379"},
        ),
        Notice(
            "clients may show a certificate of any authority that this machine trusts",
            {"instead": "--trusted-ca-file"},
        ),
    )


INERT = [flag for section in INERT_SECTIONS for flag in section.flags]


@pytest.mark.parametrize("flag", INERT, ids=lambda flag: str(flag.name))
def test_a_flag_without_effect_is_accepted_and_told_once(flag: object) -> None:
    name, default, why = flag.name, flag.default, flag.inert  # type: ignore[attr-defined]
    assert configured(f"--{name}={default}") == attrs.evolve(
        DEFAULT,
        notices=(
            Notice("a setting has no effect here", {"setting": f"--{name}={default}", "why": why}),
        ),
    )


@pytest.mark.parametrize("name", REFUSED)
def test_a_flag_that_may_not_be_ignored_is_refused(name: str) -> None:
    value = "true" if name == "force-new-cluster" else "x"
    assert faults(f"--{name}={value}") == (f"--{name}={value}: {REFUSED[name]}.",)
    assert faults(f"--{name}=") == ()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--max-txn-ops=x",),
         "--max-txn-ops=x: give a whole number from 1 to 1048576."),
        (("--max-txn-ops=0",), "--max-txn-ops=0: give a whole number from 1 to 1048576."),
        (("--max-request-bytes=1",),
         "--max-request-bytes=1: give a whole number from 1024 to 268435456."),
        (("--watch-progress-notify-interval=5",),
         "--watch-progress-notify-interval=5: give a duration from 1ms to 720h0m0s, such as "
         "500ms, 5s or 1m30s."),
        (("--watch-progress-notify-interval=0s",),
         "--watch-progress-notify-interval=0s: give a duration from 1ms to 720h0m0s, such as "
         "500ms, 5s or 1m30s."),
        (("--client-cert-auth=yes",), "--client-cert-auth=yes: give true or false."),
        (("--log-level=trace",),
         "--log-level=trace: give one of debug, info, warn, error, panic or fatal."),
        (("--tls-max-version=TLS1.4",),
         '--tls-max-version=TLS1.4: give one of "", TLS1.2 or TLS1.3.'),
        (("--name=a b",),
         "--name=a b: a member's name has no spaces, commas or equals signs."),
        (("--name=",), "--name=: a member's name has no spaces, commas or equals signs."),
        (("--name=m\udcff",), "--name=m\udcff: a member's name is UTF-8."),
        (("--data-dir=",), "--data-dir=: name a directory."),
        (("--listen-client-urls=,",),
         "--listen-client-urls=,: give at least one URL, such as http://127.0.0.1:2379."),
        (("--listen=tcp://:1", "--listen-client-urls=http://:2"),
         "--listen-client-urls=http://:2 and --listen=tcp://:1 are two names of one setting: "
         "give one of them."),
        (("--listen-client-urls=http://:1", "--listen-metrics-urls=http://:1"),
         "http://:1 is to be listened at twice: give each port to one flag."),
        (("--listen-client-urls=https://:1",),
         "an https or unixs URL needs a certificate: give --cert-file and --key-file, or an http "
         "URL."),
        (("--cert-file=c",), "--cert-file and --key-file belong together: give --key-file."),
        (("--peer-key-file=c",),
         "--peer-cert-file and --peer-key-file belong together: give --peer-cert-file."),
        (("--cert-file=c", "--key-file=k", "--tls-min-version=TLS1.3",
          "--tls-max-version=TLS1.2"),
         "--tls-min-version=TLS1.3 is above --tls-max-version=TLS1.2: swap them."),
        (("--cert-file=c", "--key-file=k", "--cipher-suites=RC4"),
         '--cipher-suites=RC4: no such suite: "RC4".'),
        (("--cert-file=c", "--key-file=k", "--tls-min-version=TLS1.3",
          "--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA"),
         "--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA: TLS 1.3 has no choice of suites: drop it "
         "or TLS1.3."),
        (("--election-timeout=400",),
         "--election-timeout=400: --election-timeout[400ms] should be at least as 5 times as "
         "--heartbeat-interval[100ms]: give 500 or more."),
        (("--heartbeat-interval=500",),
         "--election-timeout=1000 (the default): --election-timeout[1000ms] should be at least "
         "as 5 times as --heartbeat-interval[500ms]: give 2500 or more."),
        (("--auto-compaction-retention=x",),
         "--auto-compaction-retention=x: in periodic mode, give hours or a duration such as 30m."),
        (("--auto-compaction-mode=revision", "--auto-compaction-retention=5m"),
         "--auto-compaction-retention=5m: in revision mode, give a number of revisions."),
        (("--advertise-client-urls=h:1",),
         '--advertise-client-urls=h:1: "h:1" is no URL that others can use; write '
         "http://host:port."),
        (("--metrics=true", "--metrics-listen=x"),
         '--metrics-listen=x: URL address does not have the form "host:port": http://x; write '
         "http://127.0.0.1:2379, https://10.0.0.1:2379 or unix:///run/trine.sock."),
        (("--log-outputs=default,stdout",),
         '--log-outputs=default,stdout: "default" stands alone; give stderr beside other outputs.'),
        (("--enable-log-rotation",),
         "--log-outputs=default (the default): --enable-log-rotation rotates one file: give one "
         "path."),
        (("--enable-log-rotation", "--log-outputs=/l", "--log-rotation-config-json=[]"),
         '--log-rotation-config-json=[]: give JSON such as {"maxsize": 100, "maxage": 7, '
         '"maxbackups": 5}.'),
    ],
)  # fmt: skip
def test_a_fault_is_a_sentence_that_says_what_to_write(
    args: tuple[str, ...], sentence: str
) -> None:
    assert faults(*args) == (sentence,)


def test_all_faults_are_told_at_once() -> None:
    assert faults("--max-txn-ops=x", environment={"ETCD_LOG_LEVEL": "loud"}) == (
        "--max-txn-ops=x: give a whole number from 1 to 1048576.",
        "ETCD_LOG_LEVEL=loud: give one of debug, info, warn, error, panic or fatal.",
    )


@given(
    st.dictionaries(
        st.sampled_from(sorted(ALL_FLAGS)).filter(lambda name: name != "config-file"),
        st.text(max_size=12)
        | st.text(alphabet="0123456789-.smh", max_size=6)
        | st.text(alphabet="htps:/unix[]0123456789.,=", max_size=24)
        | st.sampled_from(["true", "false", "0", "-1", "{}", '{"maxsize": "x"}', "http://:1"]),
        max_size=4,
    )
)
def test_no_text_gets_past_but_as_a_configuration_or_a_sentence(given_: dict[str, str]) -> None:
    for sentence in faults(*(f"--{name}={text}" for name, text in given_.items())):
        assert sentence.endswith(".")


def test_a_fault_in_a_file_names_its_line() -> None:
    assert faults("--config-file=/c", files={"/c": "name: a\nmax-txn-ops: many\n"}) == (
        "max-txn-ops: many (/c line 2): give a whole number from 1 to 1048576.",
    )
