"""`trine status` shows what members say."""

import json
from pathlib import Path

from net.etcd.pb import rpc_pb2
from tests.command import member, trine

ANSWER = rpc_pb2.StatusResponse(
    header=rpc_pb2.ResponseHeader(cluster_id=1, member_id=0xAB, revision=9, raft_term=2),
    version="3.7.0",
    dbSize=1 << 20,
    dbSizeInUse=1 << 19,
    dbSizeQuota=2 << 30,
    leader=0xAB,
    raftIndex=7,
    raftAppliedIndex=6,
    raftTerm=2,
    errors=["memberID:171 alarm:NOSPACE"],
)
ROW = [
    "ab", "3.7.0", "1.0 MiB", "512.0 KiB", "2.0 GiB", "true", "false", "2", "7", "6", "9",
    "memberID:171 alarm:NOSPACE",
]  # fmt: skip


def test_a_member_is_a_row(tmp_path: Path) -> None:
    with member(tmp_path, status=ANSWER) as url:
        told = trine("status", f"--endpoints={url}")
    row = [cell.strip() for cell in told.out.splitlines()[3].strip("|").split("|")]
    assert (told.code, told.err, row) == (0, "", [url, *ROW])


def test_simple_output_is_a_line_with_commas(tmp_path: Path) -> None:
    with member(tmp_path, status=ANSWER) as url:
        told = trine("status", f"--endpoints={url}", "-w", "simple")
    assert told.out == ", ".join([url, *ROW]) + "\n"


def test_json_output_has_etcdctls_shape(tmp_path: Path) -> None:
    with member(tmp_path, status=ANSWER) as url:
        told = trine("status", f"--endpoints={url}", "-w", "json")
    assert json.loads(told.out) == [
        {
            "Endpoint": url,
            "Status": {
                "header": {"cluster_id": 1, "member_id": 0xAB, "revision": 9, "raft_term": 2},
                "version": "3.7.0",
                "dbSize": 1 << 20,
                "leader": 0xAB,
                "raftIndex": 7,
                "raftTerm": 2,
                "raftAppliedIndex": 6,
                "errors": ["memberID:171 alarm:NOSPACE"],
                "dbSizeInUse": 1 << 19,
                "dbSizeQuota": 2 << 30,
            },
        }
    ]


def test_a_member_that_does_not_answer_is_told_and_the_others_shown(tmp_path: Path) -> None:
    with member(tmp_path, status=ANSWER) as url:
        told = trine("status", f"--endpoints={url},unix://{tmp_path}/none", "-w", "simple")
    assert (told.code, told.out.count("\n")) == (1, 1)
    assert told.err.startswith(f"trine status: unix://{tmp_path}/none: UNAVAILABLE: ")


def test_no_answer_at_all_is_no_table(tmp_path: Path) -> None:
    told = trine("status", f"--endpoints=unix://{tmp_path}/none")
    assert (told.code, told.out) == (1, "")


def test_a_member_that_talks_otherwise_is_told_with_advice(tmp_path: Path) -> None:
    with member(tmp_path, status=ANSWER) as url:
        told = trine("status", f"--endpoints={url.replace('unix:', 'unixs:')}")
    assert told.code == 1
    assert told.err.endswith("; if it asks for a certificate, give --cert and --key\n")


def test_a_timeout_is_a_go_duration() -> None:
    told = trine("status", "--command-timeout=5")
    assert told.code == 2
    assert '"5" is no duration: write 5s, 500ms or 1m30s.' in told.err
