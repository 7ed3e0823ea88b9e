"""Probes are answered byte for byte as etcd 3.6 answered them (seen on the wire)."""

import json

import pytest

from server.health import CheckResult, Facts, Reply, answer, not_found, probe, version_reply
from server.version import TRINE_VERSION

NOSNIFF = ("X-Content-Type-Options", "nosniff")
HEALTHY = Facts()


def ask(target: str, facts: Facts = HEALTHY, *, method: str = "GET") -> Reply:
    asked = probe(method, target)
    assert asked is not None
    return answer(asked, facts)[0]


def ok(body: str) -> Reply:
    return Reply(200, body.encode(), headers=(NOSNIFF,))


def failed(body: str) -> Reply:
    return Reply(503, body.encode(), headers=(NOSNIFF,))


def test_health_of_a_healthy_member() -> None:
    assert ask("/health") == Reply(200, b'{"health":"true","reason":""}')


@pytest.mark.parametrize(
    ("target", "facts", "reason"),
    [
        ("/health", Facts(alarms=("NOSPACE",)), "ALARM NOSPACE"),
        ("/health", Facts(alarms=("CORRUPT", "NOSPACE")), "ALARM CORRUPT"),
        ("/health", Facts(alarms=("NONE",)), "ALARM UNKNOWN"),
        ("/health?exclude=CORRUPT", Facts(alarms=("CORRUPT", "NOSPACE")), "ALARM NOSPACE"),
        ("/health", Facts(has_leader=False), "RAFT NO LEADER"),
        ("/health", Facts(linearizable_error="etcdserver: request timed out"),
         "RANGE ERROR:etcdserver: request timed out"),
        ("/health?serializable=true", Facts(serializable_error="x"), "RANGE ERROR:x"),
    ],
)  # fmt: skip
def test_health_names_what_is_wrong_first(target: str, facts: Facts, reason: str) -> None:
    body = json.dumps({"health": "false", "reason": reason}, separators=(",", ":"))
    assert ask(target, facts) == failed(f"{body}\n")


@pytest.mark.parametrize(
    ("target", "facts"),
    [
        ("/health?exclude=NOSPACE", Facts(alarms=("NOSPACE",))),
        ("/health?exclude=NOSPACE&exclude=CORRUPT", Facts(alarms=("NOSPACE", "CORRUPT"))),
        ("/health?serializable=true", Facts(has_leader=False, linearizable_error="x")),
        ("/health", Facts(serializable_error="not asked for")),
        ("/health", Facts(is_learner=True)),
    ],
)
def test_health_does_not_mind_what_it_was_not_asked(target: str, facts: Facts) -> None:
    assert ask(target, facts).status == 200


def test_livez_and_readyz_say_ok() -> None:
    assert (ask("/livez"), ask("/readyz")) == (ok("ok\n"), ok("ok\n"))


def test_verbose_lists_every_check() -> None:
    assert ask("/livez?verbose") == ok("[+]serializable_read ok\nok\n")
    assert ask("/readyz?verbose") == ok(
        "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n"
        "[+]non_learner ok\nok\n"
    )


def test_a_failed_check_is_told_without_being_asked() -> None:
    facts = Facts(alarms=("CORRUPT",), is_learner=True, linearizable_error="etcdserver: no leader")
    assert ask("/readyz", facts) == failed(
        "[-]data_corruption failed: alarm activated: CORRUPT\n"
        "[+]serializable_read ok\n"
        "[-]linearizable_read failed: etcdserver: no leader\n"
        "[-]non_learner failed: not supported for learner\n\n"
    )


def test_a_full_store_is_ready_and_live() -> None:
    facts = Facts(alarms=("NOSPACE",))
    assert (ask("/livez", facts).status, ask("/readyz", facts).status) == (200, 200)


def test_checks_can_be_left_out() -> None:
    facts = Facts(is_learner=True)
    assert ask("/readyz?verbose&exclude=non_learner&exclude=no_such_check", facts) == ok(
        "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n"
    )


def test_one_check_can_be_asked_by_its_path() -> None:
    assert ask("/readyz/non_learner") == ok("ok\n")
    assert ask("/livez/serializable_read?verbose") == ok("[+]serializable_read ok\nok\n")
    assert ask("/readyz/non_learner?exclude=non_learner", Facts(is_learner=True)).status == 503


@pytest.mark.parametrize(
    ("target", "needs"),
    [
        ("/health", {"linearizable"}),
        ("/health?serializable=true", {"serializable"}),
        ("/health?serializable=1", {"linearizable"}),
        ("/livez", {"serializable"}),
        ("/livez?exclude=serializable_read", set[str]()),
        ("/readyz", {"serializable", "linearizable"}),
        ("/readyz?exclude=linearizable_read", {"serializable"}),
        ("/readyz/data_corruption", set[str]()),
        ("/readyz/linearizable_read", {"linearizable"}),
    ],
)
def test_a_probe_needs_only_the_reads_it_reports(target: str, needs: set[str]) -> None:
    asked = probe("GET", target)
    assert asked is not None
    assert asked.needs == needs


def test_checks_that_ran_are_counted() -> None:
    asked = probe("GET", "/readyz?exclude=linearizable_read&exclude=data_corruption")
    assert asked is not None
    assert answer(asked, Facts(is_learner=True))[1] == (
        CheckResult("readyz", "serializable_read", is_ok=True),
        CheckResult("readyz", "non_learner", is_ok=False),
    )


@pytest.mark.parametrize("target", ["/health", "/livez", "/readyz", "/readyz/non_learner"])
def test_only_get_is_answered(target: str) -> None:
    asked = probe("POST", target)
    assert asked is not None
    assert asked.needs == frozenset()
    assert answer(asked, HEALTHY) == (
        Reply(405, b"Method Not Allowed\n", headers=(("Allow", "GET"), NOSNIFF)),
        (),
    )


@pytest.mark.parametrize(
    "target", ["/", "/healthz", "/readyz/", "/readyz/foo", "/livez/non_learner"]
)
def test_another_path_is_nobodys(target: str) -> None:
    assert probe("GET", target) is None


def test_what_nobody_answers_is_not_found_in_gos_words() -> None:
    assert not_found() == Reply(404, b"404 page not found\n", headers=(NOSNIFF,))


def test_version_is_etcds_and_ours() -> None:
    body = (
        '{"etcdserver":"3.7.0","etcdcluster":"3.7.0","storage":"3.7.0",'
        f'"trine":"{TRINE_VERSION}"}}'
    )
    assert version_reply("GET", cluster_version="3.7.0") == Reply(
        200, body.encode(), content_type="application/json"
    )


def test_a_cluster_without_a_version_says_so() -> None:
    assert b'"etcdcluster":"not_decided"' in version_reply("GET", cluster_version=None).body


def test_version_answers_get_only() -> None:
    assert version_reply("PUT", cluster_version=None).status == 405
