"""dqlite's shell: its arguments, its commands, its output."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from server.clustering import KnownMember
from server.documents import listed
from tests.command import Told, trine
from tests.doors import Answer, Door, door

A = KnownMember(0xA1, "a", ("https://10.0.0.1:29001",))
B = KnownMember(0x2DC171858C3155BE, "b", ("https://10.0.0.2:29001",), is_learner=True, role=2)
VIEW = {"clusterID": "cc", "memberID": "a1", "leader": "a1", "members": [listed(A), listed(B)]}
CLUSTER = "/control/cluster?linearizable=true"


def answering(answers: Mapping[str, tuple[int, object]]) -> Answer:
    """Return what answers these paths, and the cluster as one member knows it."""

    def answer(method: str, path: str, fields: object) -> tuple[int, object, dict[str, str]]:
        status, document = {"/control/cluster": (200, VIEW), CLUSTER: (200, VIEW), **answers}[path]
        return status, document, {}

    return answer


def told(
    tmp_path: Path, *args: str, answers: Mapping[str, tuple[int, object]] | None = None
) -> tuple[Told, Door]:
    """Call the shell against a member in a directory; return what it told, and was asked."""
    with door(answering(answers or {}), path=tmp_path / "control.sock") as at:
        return trine("shell", f"--data-dir={tmp_path}", *args), at


def test_the_cluster_as_the_readme_asks_for_it(tmp_path: Path) -> None:
    got, at = told(tmp_path, "-f", "json", "k8s", ".cluster", answers={CLUSTER: (200, VIEW)})
    assert got == Told(
        0,
        '[\n\t{\n\t\t"ID": 161,\n\t\t"Address": "10.0.0.1:29001",\n\t\t"Role": 0\n\t},\n'
        '\t{\n\t\t"ID": 3297041220608546238,\n\t\t"Address": "10.0.0.2:29001",\n\t\t"Role": 2\n'
        "\t}\n]\n",
        "",
    )
    assert at.asked == [("GET", CLUSTER, None)]


def test_the_cluster_in_columns(tmp_path: Path) -> None:
    got, _ = told(tmp_path, "k8s", ".cluster", answers={CLUSTER: (200, VIEW)})
    assert got.out == "a1|10.0.0.1:29001|voter\n2dc171858c3155be|10.0.0.2:29001|spare\n"


def test_a_cluster_without_a_quorum_is_shown_as_one_member_knows_it(tmp_path: Path) -> None:
    refusal = (503, {"error": "etcdserver: no leader"})
    got, _ = told(tmp_path, "k8s", ".cluster", answers={CLUSTER: refusal})
    assert got.code == 0
    assert got.out.startswith("a1|10.0.0.1:29001|voter\n")
    assert got.err == (
        "trine shell: no quorum answers (etcdserver: no leader); this is what member a1 knows\n"
    )


def test_the_leader_is_an_address(tmp_path: Path) -> None:
    got, _ = told(tmp_path, "k8s", ".leader")
    assert got == Told(0, "10.0.0.1:29001\n", "")


def test_nobody_leads(tmp_path: Path) -> None:
    for lost in ((200, {**VIEW, "leader": "0"}), (503, {"error": "etcdserver: no leader"})):
        with door(answering({CLUSTER: lost}), path=tmp_path / "control.sock"):
            got = trine("shell", f"--data-dir={tmp_path}", "-t", "500", ".leader")
        (tmp_path / "control.sock").unlink()
        assert got == Told(1, "", "trine shell: no available leader server found\n")


def test_a_member_is_removed_by_its_address(tmp_path: Path) -> None:
    done: dict[str, tuple[int, object]] = {"/control/remove": (200, {})}
    got, at = told(tmp_path, "k8s", ".remove 10.0.0.2:29001", answers=done)
    assert got == Told(0, "", "")
    assert at.asked[-1] == ("POST", "/control/remove", {"id": "2dc171858c3155be"})


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (".remove h:1", 'no node has address "h:1"'),
        (".remove", "bad command format, should be: .remove <address>"),
        (".describe", "bad command format, should be: .describe <address>"),
        (".describe h:1", 'no node has address "h:1"'),
        (".describe 10.0.0.2:29001",
         "10.0.0.2:29001 is another member: ask it with -s 10.0.0.2:29001, -c and -k"),
        (".weight h:1 2",
         ".weight is not here: members have no weights: voters are chosen by failure domain"),
        (".dump h:1",
         ".dump is not here: the whole store is saved with: trine snapshot save FILE"),
        (".reconfigure a b",
         ".reconfigure is not here: a cluster that lost its quorum is begun anew with: trine "
         "recover"),
        (".what", ".what is not a command here: see .help"),
        (".remove 10.0.0.2:29001", 'remove node "10.0.0.2:29001": etcdserver: unhealthy cluster'),
    ],
)  # fmt: skip
def test_what_cannot_be_obeyed_is_told(tmp_path: Path, line: str, sentence: str) -> None:
    refused = {"/control/remove": (503, {"error": "etcdserver: unhealthy cluster"})}
    got, _ = told(tmp_path, "k8s", line, answers=refused)
    assert got == Told(1, "", f"trine shell: {sentence}\n")


def test_this_member_is_described(tmp_path: Path) -> None:
    domain = {"/control/describe": (200, {"FailureDomain": 3, "Weight": 0})}
    got, _ = told(tmp_path, "k8s", ".describe 10.0.0.1:29001", answers=domain)
    assert got.out == "10.0.0.1:29001|3|0\n"


def test_leadership_is_given_away(tmp_path: Path) -> None:
    done: dict[str, tuple[int, object]] = {"/control/transfer": (200, {})}
    got, at = told(tmp_path, ".transfer 10.0.0.2:29001", answers=done)
    assert (got.code, at.asked[-1][2]) == (0, {"id": "2dc171858c3155be"})


def test_rows_have_a_head_and_tab_stops(tmp_path: Path) -> None:
    rows = {"/control/sql": (200, {"columns": ["id", "name"], "rows": [[1, "/a"]]})}
    query = "select id,name from kine limit 1"
    got, at = told(tmp_path, "k8s", query, answers=rows)
    assert got.out == "id\tname\t\n1\t/a\t\n"
    assert at.asked == [("POST", "/control/sql", {"statement": query})]


def test_rows_as_json_have_names(tmp_path: Path) -> None:
    rows = {"/control/sql": (200, {"columns": ["id", "name"], "rows": [[1, "/a"]]})}
    got, _ = told(tmp_path, "-f", "json", "k8s", "select id,name from kine", answers=rows)
    assert got.out == '[\n\t{\n\t\t"id": 1,\n\t\t"name": "/a"\n\t}\n]\n'


def test_help_lists_the_commands() -> None:
    assert ".remove <address>" in trine("shell", "k8s", ".help").out


def test_lines_are_parted_by_semicolons_that_are_not_quoted(tmp_path: Path) -> None:
    rows = {"/control/sql": (200, {"columns": ["a"], "rows": []})}
    got, at = told(tmp_path, "k8s", "select ';';.leader", answers=rows)
    assert got.out == "a\t\n10.0.0.1:29001\n"
    assert at.asked[0][2] == {"statement": "select ';'"}


def test_the_first_fault_ends_a_command(tmp_path: Path) -> None:
    got, at = told(tmp_path, "k8s", ".what;.leader")
    assert (got.code, at.asked) == (1, [])


def test_lines_come_from_standard_input(tmp_path: Path) -> None:
    with door(answering({}), path=tmp_path / "control.sock"):
        got = trine("shell", f"--data-dir={tmp_path}", stdin=".leader\n\n.what\n")
    assert got == Told(
        1, "10.0.0.1:29001\n", "trine shell: .what is not a command here: see .help\n"
    )


def test_the_store_of_servers_is_a_list_of_members(tmp_path: Path) -> None:
    with door(answering({CLUSTER: (200, VIEW)})) as at:
        store = tmp_path / "cluster.yaml"
        store.write_text(
            f"- ID: 1\n  Address: 127.0.0.1:1\n  Role: 0\n- ID: 2\n  Address: {at.address}\n"
        )
        got = trine("shell", "-s", f"file://{store}", "k8s", ".cluster")
        assert got.out.startswith("a1|")
        assert trine("shell", "-s", f"127.0.0.1:1,{at.address}", "k8s", ".leader").code == 0


def test_nobody_answers(tmp_path: Path) -> None:
    got = trine("shell", "-s", "127.0.0.1:1", ".leader")
    assert got == Told(1, "", "trine shell: http://127.0.0.1:1: Connection refused.\n")
    got = trine("shell", f"--data-dir={tmp_path}", ".leader")
    assert got.err == f"trine shell: unix://{tmp_path}/control.sock: No such file or directory.\n"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("demo", ".leader"), 'no such database: "demo"; there is one: k8s.'),
        (("-s", "", "k8s"), "no servers provided"),
        (("-s", "file:///nowhere", "k8s"), "open servers store: /nowhere: No such file"),
    ],
)
def test_arguments_that_cannot_be_meant_end_with_2(args: tuple[str, ...], sentence: str) -> None:
    got = trine("shell", *args)
    assert got.code == 2
    assert sentence in got.err


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    (tmp_path / "c").touch()
    assert (
        "both TLS certificate and key must be given"
        in trine("shell", "-c", str(tmp_path / "c"), "k8s").err
    )
