"""A directory in k8s-dqlite's form: what its files say, and which of them are refused."""

import ssl
from pathlib import Path

import attrs
import pytest

from net.listen import ListenUrl
from net.tls import TlsOptions
from server.clustering import Joining, PeerMember
from server.config import Config, ConfigError, configure
from server.settings import Notice
from server.storagedir import adopt, is_of_dqlites_form
from tests.configured import HOST, settings

FIRST = "Address: 127.0.0.1:29001\n"
SECOND = "Cluster:\n- 127.0.0.1:29001\nAddress: 127.0.0.2:29001\n"
INFO = "ID: 7\nAddress: 127.0.0.1:29001\nRole: 0\n"


def directory(tmp_path: Path, **files: str) -> str:
    """Write files (init_yaml="..." is init.yaml) beside the pair; return the directory."""
    for name in ("cluster.crt", "cluster.key"):
        (tmp_path / name).write_text("")
    for name, text in files.items():
        path = tmp_path / name.replace("_yaml", ".yaml").replace("_", "-")
        path.write_text(text)
    return str(tmp_path)


def adopted(where: str, *args: str) -> Config:
    given = settings(f"--storage-dir={where}", *args)
    return adopt(configure(given, host=HOST), given, resolve=lambda host: host)


def refused(where: str, *args: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as told:
        adopted(where, *args)
    return told.value.sentences


def test_a_directory_without_such_files_changes_nothing(tmp_path: Path) -> None:
    where = directory(tmp_path)
    given = settings(f"--storage-dir={where}")
    config = configure(given, host=HOST)
    assert not is_of_dqlites_form(where)
    assert adopt(config, given) is config


def test_the_readmes_first_member(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml=FIRST)
    given = settings(f"--storage-dir={where}")
    before = configure(given, host=HOST)
    config = adopt(before, given, resolve=lambda host: host)
    url = "https://127.0.0.1:29001"
    assert config == attrs.evolve(
        before,
        name="127.0.0.1:29001",
        is_dqlites=True,
        listen_client=(ListenUrl("http", host="127.0.0.1", port=12379),),
        advertise_client=("http://127.0.0.1:12379",),
        listen_peer=(ListenUrl("https", host="127.0.0.1", port=29001),),
        listen_peer_given=True,
        advertise_peer=(url,),
        peer_tls=TlsOptions(
            f"{where}/cluster.crt", f"{where}/cluster.key", f"{where}/cluster.crt",
            client_cert_required=True,
        ),
        peer_pinned=True,
        learners_max=100,
        initial_cluster=(PeerMember("127.0.0.1:29001", (url,)),),
        initial_cluster_token=config.initial_cluster_token,
    )  # fmt: skip
    again = adopted(where)
    assert again.initial_cluster_token != config.initial_cluster_token


def test_the_readmes_second_member_joins(tmp_path: Path) -> None:
    config = adopted(directory(tmp_path, init_yaml=SECOND, failure_domain="4\n"), "--name=two")
    assert config.joining == Joining(("127.0.0.1:29001",), "127.0.0.2:29001")
    assert (config.name, config.initial_cluster_existing, config.failure_domain) == ("two", True, 4)


def test_what_flags_say_of_clients_stays(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml=FIRST)
    config = adopted(where, "--listen=unix:///run/k.sock:12379", "--min-tls-version=tls13")
    assert config.listen_client == (ListenUrl("unix", path="/run/k.sock:12379"),)
    assert config.peer_tls is not None
    assert config.peer_tls.min_version is ssl.TLSVersion.TLSv1_3


def test_a_later_start_reads_info(tmp_path: Path) -> None:
    where = directory(tmp_path, info_yaml=INFO, cluster_yaml=f"- {INFO}".replace("\n", "\n  "))
    (tmp_path / "format").touch()
    config = adopted(where)
    assert config.advertise_peer == ("https://127.0.0.1:29001",)
    assert (config.joining, config.initial_cluster_existing) == (None, False)


def test_an_update_moves_the_member(tmp_path: Path) -> None:
    where = directory(tmp_path, info_yaml=INFO, update_yaml="Address: 127.0.0.9:1\n")
    (tmp_path / "format").touch()
    assert adopted(where).advertise_peer == ("https://127.0.0.9:1",)


def test_an_init_that_a_crash_interrupted_goes_on(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml=FIRST)
    (tmp_path / "format").touch()
    assert adopted(where).advertise_peer == ("https://127.0.0.1:29001",)
    (tmp_path / "info.yaml").write_text(INFO)
    assert adopted(where).joining is None


def test_a_member_that_had_joined_without_data_asks_those_it_knew(tmp_path: Path) -> None:
    listed = "- ID: 7\n  Address: 127.0.0.1:29001\n- ID: 8\n  Address: h:1\n"
    where = directory(tmp_path, info_yaml=INFO, cluster_yaml=listed)
    assert adopted(where).joining == Joining(("h:1",), "127.0.0.1:29001")


def test_an_init_among_other_data_is_refused_as_k8s_dqlite_does(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml=FIRST, zzz="")
    sentence = (
        "data directory seems to have existing state 'zzz'. please remove the file and restart"
    )
    assert refused(where) == (f"{where}: {sentence}",)
    where = directory(tmp_path, init_yaml=SECOND, info_yaml=INFO)
    sentence = sentence.replace("zzz", "info.yaml")
    assert refused(where) == (f"{where}: {sentence}",)


def test_a_missing_pair_is_told(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml=FIRST)
    (tmp_path / "cluster.key").unlink()
    assert refused(where) == (
        f"failed to load keypair from cluster.crt and cluster.key: {where}/cluster.key is "
        "missing; copy both from another member, or make them for the first.",
    )


def test_etcds_way_beside_k8s_dqlites_is_refused(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml=FIRST)
    flag = "--initial-cluster-state=new"
    assert refused(where, flag) == (
        f"{flag}: {where} has files in k8s-dqlite's form, which say that.",
    )


def test_a_file_that_cannot_be_meant_is_named(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml="Address: ''")
    assert refused(where) == (f"{where}: empty address in init.yaml: write Address: host:port.",)


def test_a_host_that_nobody_knows_is_told(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml="Address: nowhere.invalid:1")
    given = settings(f"--storage-dir={where}")

    def resolve(host: str) -> str:
        raise OSError(2, "no such host")

    with pytest.raises(ConfigError) as told:
        adopt(configure(given, host=HOST), given, resolve=resolve)
    sentence = "nowhere.invalid:1: cannot find nowhere.invalid: no such host."
    assert told.value.sentences == (sentence,)


def test_plain_links_are_for_one_machine(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml=FIRST)
    config = adopted(where, "--enable-tls=false")
    assert (config.peer_tls, config.peer_pinned) == (None, False)
    assert config.advertise_peer == ("http://127.0.0.1:29001",)
    (tmp_path / "init.yaml").write_text("Address: 10.0.0.1:1")
    assert refused(where, "--enable-tls=false") == (
        "--enable-tls=false: 10.0.0.1:1 is not on this machine alone: leave TLS on.",
    )


def test_tuning_has_no_effect_and_is_told(tmp_path: Path) -> None:
    where = directory(tmp_path, init_yaml=FIRST, tuning_yaml="x: 1", failure_domain="")
    assert (
        Notice(
            "a file has no effect here",
            {
                "file": "tuning.yaml",
                "why": "snapshots and intervals are chosen by the member itself",
            },
        )
        in adopted(where).notices
    )
