"""The member and its store: endpoint, alarm, defrag, snapshot, member, move-leader, auth."""

import json

from tests.etcdctl.run import Ctl
from tests.etcdctl.verbs import verb

FORMATS = ("simple", "json", "fields", "table")


@verb("endpoint health", "alone and with --cluster, in each format")
def health(ctl: Ctl) -> None:
    for form in FORMATS:
        ctl.run("endpoint", "health", "-w", form)
    ctl.run("endpoint", "health", "--cluster")


@verb("endpoint status", "alone and with --cluster, in each format")
def status(ctl: Ctl) -> None:
    for form in FORMATS:
        ctl.run("endpoint", "status", "-w", form)
    ctl.run("endpoint", "status", "--cluster", "-w", "json")


@verb("endpoint hashkv", "alone and with --cluster, at a revision, in each format")
def hashkv(ctl: Ctl) -> None:
    for form in FORMATS:
        ctl.run("endpoint", "hashkv", "-w", form)
    ctl.run("endpoint", "hashkv", "--cluster", "-w", "json")


@verb("endpoint hashkv --rev", "a revision, one in the future", since=(3, 6))
def hashkv_at(ctl: Ctl) -> None:
    ctl.run("endpoint", "hashkv", "--rev=1000000")


@verb("alarm list, disarm", "without an alarm")
def alarm(ctl: Ctl) -> None:
    for form in ("simple", "json", "fields"):
        ctl.run("alarm", "list", "-w", form)
    ctl.run("alarm", "disarm")
    ctl.run("alarm", "disarm", "-w", "json")


@verb("defrag", "alone and with --cluster; the keys stay")
def defrag(ctl: Ctl) -> None:
    ctl.run("put", "defrag/a", "1")
    ctl.run("defrag")
    ctl.run("defrag", "--cluster")
    ctl.run("get", "defrag/a", "-w", "fields")
    ctl.run("del", "defrag/a")


@verb("snapshot save", "a file of the store; `trine snapshot status` reads it")
def snapshot_save(ctl: Ctl) -> None:
    ctl.run("snapshot", "save", "saved.db")
    ctl.run("snapshot", "save", "no/such/directory/saved.db")


@verb("member list", "in each format, linearizable and not")
def member_list(ctl: Ctl) -> None:
    for form in FORMATS:
        ctl.run("member", "list", "-w", form)
    ctl.run("member", "list", "--consistency=s" if ctl.version >= (3, 6) else "--hex")


@verb(
    "member add, update, promote, remove",
    "learners, one too many, one not in sync; bad URLs, unknown ids, what is no learner",
)
def member_change(ctl: Ctl) -> None:
    own = _member_id(ctl)
    ctl.run("member", "add", "new", "--peer-urls=http://127.0.0.1:1/with/path")
    ctl.run("member", "add", "new")
    ctl.run("member", "remove", "1234")
    ctl.run("member", "remove", own)
    ctl.run("member", "update", "1234", "--peer-urls=http://127.0.0.1:2")
    ctl.run("member", "promote", "1234")
    ctl.run("member", "promote", own)
    out = ctl.run("member", "add", "new", "--learner", "--peer-urls=http://127.0.0.1:1")
    learner = out.split()[1] if out.startswith("Member") else "1234"
    shared = "--peer-urls=http://127.0.0.1:1,http://127.0.0.1:5"
    ctl.run("member", "add", "same", "--learner", shared)
    ctl.run("member", "add", "more", "--learner", "--peer-urls=http://127.0.0.1:2")
    ctl.run("member", "promote", learner)
    ctl.run("move-leader", learner)
    ctl.run("member", "update", learner, "--peer-urls=http://127.0.0.1:3")
    ctl.run("member", "remove", learner)
    ctl.run("member", "remove", learner)
    ctl.run("member", "promote", learner)


@verb("move-leader", "to the leader itself, to a stranger, to nonsense")
def move_leader(ctl: Ctl) -> None:
    ctl.run("move-leader", _member_id(ctl))
    ctl.run("move-leader", "1234")
    ctl.run("move-leader", "nonsense")


@verb("check perf", "the small load for a minute: it passes", is_slow=True)
def check_perf(ctl: Ctl) -> None:
    with ctl.staying("check", "perf", "--load=s", ends=True) as checking:
        checking.until("Stddev", patience_s=90)


@verb("check datascale", "the small load on 10,000 keys")
def check_datascale(ctl: Ctl) -> None:
    ctl.run("check", "datascale", "--load=s", "--auto-compact", "--auto-defrag")


@verb("make-mirror", "a prefix into another prefix of the same server")
def make_mirror(ctl: Ctl) -> None:
    ctl.run("put", "mirror/a", "1")
    with ctl.staying("watch", "copied/", "--prefix") as watching:
        ctl.await_watchers(1)
        with ctl.staying("make-mirror", "--prefix=mirror/", "--dest-prefix=copied/",
                         ctl.endpoint) as _:  # fmt: skip
            ctl.await_watchers(2)
            ctl.run("put", "mirror/b", "2")
            ctl.run("del", "mirror/a")
            watching.until("DELETE\ncopied/a\n\n")
    ctl.run("get", "copied/", "--prefix")


@verb("auth status, auth disable, --user", "while authentication is not in use")
def without_auth(ctl: Ctl) -> None:
    for form in ("simple", "json"):
        ctl.run("auth", "status", "-w", form)
    ctl.run("auth", "disable")
    ctl.run("--user=someone:secret", "put", "auth/a", "1")
    ctl.run("del", "auth/a")


@verb(
    "auth enable, user, role",
    "add, grant, list, delete",
    differs="no users and roles: refused with UNIMPLEMENTED, naming client certificates instead",
)
def auth(ctl: Ctl) -> None:
    ctl.run("auth", "enable", differs=True)
    ctl.run("user", "add", "someone:secret", differs=True)
    ctl.run("user", "list", differs=True)
    ctl.run("role", "add", "reader", differs=True)
    ctl.run("role", "grant-permission", "reader", "read", "a", differs=True)
    ctl.run("user", "grant-role", "someone", "reader", differs=True)
    ctl.run("role", "list", differs=True)
    ctl.run("user", "delete", "someone", differs=True)
    ctl.run("role", "delete", "reader", differs=True)


@verb("downgrade", "validate, enable, cancel", since=(3, 6))
def downgrade(ctl: Ctl) -> None:
    ctl.run("downgrade", "cancel")
    ctl.run("downgrade", "validate", "nonsense")
    ctl.run("downgrade", "validate", "3.2.0")


def _member_id(ctl: Ctl) -> str:
    told = json.loads(ctl.quietly("endpoint", "status", "-w", "json"))
    return f"{told[0]['Status']['header']['member_id']:x}"
