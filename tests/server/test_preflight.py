"""What is refused before a start, and what the quota becomes."""

import os
from pathlib import Path

import attrs
import pytest

from server.config import QUOTA_DEFAULT_BYTES, Config, ConfigError
from server.memory import MemoryLimit, quota_most_bytes
from server.preflight import preflight, settle_quota
from tests.configured import configured

GIB = 1 << 30
LIMIT = MemoryLimit(8 * GIB, "this machine")
SMALL = MemoryLimit(GIB, "the control group (/memory.max)")


def settled(quota: int, limit: MemoryLimit | None) -> tuple[Config, list[str]]:
    return settle_quota(configured(f"--quota-backend-bytes={quota}"), limit)


def sentences(config: Config) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        preflight(config)
    return caught.value.sentences


def in_directory(tmp_path: Path, *args: str) -> Config:
    return configured(f"--data-dir={tmp_path}/d", *args)


def test_no_quota_is_etcds_where_memory_can_hold_it() -> None:
    config, found = settled(0, LIMIT)
    assert (config.quota_bytes, config.notices, found) == (QUOTA_DEFAULT_BYTES, (), [])


def test_no_quota_is_what_memory_can_hold_where_that_is_less() -> None:
    config, found = settled(0, SMALL)
    assert (config.quota_bytes, found) == (quota_most_bytes(GIB), [])
    assert [notice.fields["quota"] for notice in config.notices] == ["773.3 MiB"]


def test_etcds_word_for_no_limit_is_what_memory_can_hold() -> None:
    assert settled(-1, LIMIT)[0].quota_bytes == quota_most_bytes(8 * GIB)


def test_a_quota_that_fits_stays() -> None:
    assert settled(GIB, LIMIT) == (configured(f"--quota-backend-bytes={GIB}"), [])


def test_a_quota_that_does_not_fit_is_refused_with_the_sum() -> None:
    most = quota_most_bytes(8 * GIB)
    assert settled(8 * GIB, LIMIT)[1] == [
        "--quota-backend-bytes=8589934592: 8.0 GiB of data + 1.6 GiB for gaps and answers + "
        "96.0 MiB for the member itself = 9.7 GiB, but this machine allows 8.0 GiB. Give it more "
        f"memory, or set --quota-backend-bytes to {most} (6.6 GiB) or less."
    ]


def test_memory_too_small_for_any_member_is_refused() -> None:
    assert settled(0, MemoryLimit(100 << 20, "this machine"))[1] == [
        "this machine allows 100.0 MiB of memory and a member needs at least 115.2 MiB: give it "
        "more."
    ]


def test_an_unknown_memory_trusts_the_quota() -> None:
    assert settled(0, None)[0].quota_bytes == QUOTA_DEFAULT_BYTES
    assert settled(1 << 50, None)[0].quota_bytes == 1 << 50


def test_a_good_machine_passes_and_nothing_is_created(tmp_path: Path) -> None:
    config = preflight(in_directory(tmp_path, "--quota-backend-bytes=16777216"))
    assert config == in_directory(tmp_path, "--quota-backend-bytes=16777216")
    assert os.listdir(tmp_path) == []


def test_files_that_cannot_be_read_are_all_told(tmp_path: Path) -> None:
    config = in_directory(
        tmp_path, "--listen-client-urls=https://:1", "--cert-file=/no/c", "--key-file=/no/k",
        "--trusted-ca-file=/no/a", "--client-crl-file=/no/r",
    )  # fmt: skip
    assert sentences(config) == tuple(
        f"--{flag}={path}: cannot read it: No such file or directory."
        for flag, path in (
            ("cert-file", "/no/c"),
            ("key-file", "/no/k"),
            ("trusted-ca-file", "/no/a"),
            ("client-crl-file", "/no/r"),
        )
    )


@pytest.mark.parametrize(
    ("trace", "owner"),
    [("member/snap/db", "etcd"), ("metadata1", "k8s-dqlite"), ("db/state.db", "kine")],
)
def test_the_data_of_another_program_is_left_alone(tmp_path: Path, trace: str, owner: str) -> None:
    file = tmp_path / "d" / trace
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    assert sentences(in_directory(tmp_path)) == (
        f"--data-dir={tmp_path}/d: there is data of {owner} in it, which Trine does not read: "
        "name another directory.",
    )


def test_a_file_in_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("")
    config = attrs.evolve(in_directory(tmp_path), journal_dir=str(tmp_path / "j"))
    assert sentences(config) == (
        f"--data-dir={tmp_path}/d: {tmp_path}/d is a file: name another directory.",
    )
