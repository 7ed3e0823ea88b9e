"""Keys and transactions: put, get, del, txn, compaction, watch."""

from tests.etcdctl.run import Ctl
from tests.etcdctl.verbs import verb

FORMATS = ("simple", "json", "fields")
LAST = {"simple": "DELETE\nwatch/a\n\n", "json": '"type":1', "fields": '"Lease" : 0\n'}
"""What a watch of a key that is deleted prints last, by format; the last of these by its count."""


@verb("put", "new, again, --prev-kv, --lease, --ignore-value, --ignore-lease, -w json and fields")
def put(ctl: Ctl) -> None:
    ctl.run("put", "put/a", "1")
    ctl.run("put", "put/a", "2", "--prev-kv")
    ctl.run("put", "put/stdin", stdin="from stdin")
    ctl.run("put", "put/empty", "")
    lease = ctl.run("lease", "grant", "600").split()[1]
    ctl.run("put", "put/leased", "1", f"--lease={lease}")
    ctl.run("put", "put/leased", "2", "--ignore-lease")
    ctl.run("put", "put/leased", "--ignore-value", f"--lease={lease}", "-w", "json")
    ctl.run("put", "put/absent", "--ignore-value")
    ctl.run("put", "put/absent", "1", "--ignore-lease")
    ctl.run("put", "put/a", "1", "--lease=1234")
    ctl.run("put", "", "1")
    for form in FORMATS:
        ctl.run("put", "put/a", form, "--prev-kv", "-w", form)
    ctl.run("put", "put/large", stdin="x" * 1_600_000)
    ctl.run("lease", "revoke", lease)


def _fill(ctl: Ctl) -> None:
    for key, text in (("b", "2"), ("a", "9"), ("c", "5"), ("c", "4"), ("d", "1"), ("a", "3")):
        ctl.run("put", f"get/{key}", text)


@verb(
    "get",
    "one key, range, --prefix, --from-key, --limit, --order, --sort-by, --count-only, --keys-only, "
    "--print-value-only, --consistency, --hex, each format",
)
def get(ctl: Ctl) -> None:
    _fill(ctl)
    ctl.run("get", "get/a")
    ctl.run("get", "get/absent")
    ctl.run("get", "")
    ctl.run("get", "get/a", "get/c")
    ctl.run("get", "get/", "--prefix", "--keys-only")
    ctl.run("get", "get/c", "--from-key", "--limit=2")
    ctl.run("get", "", "--from-key", "--count-only", "-w", "fields")
    ctl.run("get", "get/", "--prefix", "--count-only", "-w", "json")
    ctl.run("get", "get/", "--prefix", "--limit=2", "-w", "json")
    ctl.run("get", "get/", "--prefix", "--print-value-only")
    for target in ("CREATE", "KEY", "MODIFY", "VALUE", "VERSION"):
        ctl.run("get", "get/", "--prefix", f"--sort-by={target}")
        ctl.run("get", "get/", "--prefix", f"--sort-by={target}", "--order=DESCEND", "--limit=2")
    ctl.run("get", "get/a", "--consistency=s", "-w", "fields")
    ctl.run("get", "get/a", "--consistency=l", "-w", "json")
    ctl.run("get", "get/a", "--hex")
    ctl.run("get", "get/a", "--sort-by=NOTHING")


@verb("get --rev", "every revision of a history, the future, an error in each format")
def get_at_revision(ctl: Ctl) -> None:
    revision = ctl.revision()
    _fill(ctl)
    ctl.run("del", "get/b")
    for back in (0, 2, 4, 6):
        ctl.run("get", "get/", "--prefix", f"--rev={revision + back}", "-w", "fields")
    ctl.run("get", "get/", "--prefix", "--count-only", f"--rev={revision + 3}", "-w", "fields")
    ctl.run("get", "get/", "--prefix", "--limit=1", f"--rev={revision + 3}", "-w", "json")
    ctl.run("get", "get/a", "--rev=1000000")
    ctl.run("get", "get/a", "--rev=1000000", "-w", "json")
    ctl.run("get", "get/a", "--rev=-1")


@verb("get --min/max-*-rev", "each of the four bounds, and pairs", since=(3, 6))
def get_bounds(ctl: Ctl) -> None:
    revision = ctl.revision()
    _fill(ctl)
    for bound in ("min-mod-rev", "max-mod-rev", "min-create-rev", "max-create-rev"):
        for at in (revision + 2, revision + 4):
            ctl.run("get", "get/", "--prefix", f"--{bound}={at}", "--keys-only")
            ctl.run("get", "get/", "--prefix", f"--{bound}={at}", "--limit=1", "-w", "fields")
    ctl.run("get", "get/", "--prefix", f"--min-mod-rev={revision + 2}",
            f"--max-mod-rev={revision + 3}", "--keys-only")  # fmt: skip


@verb("get --stream", "the RangeStream call: a prefix, a limit", since=(3, 7))
def get_stream(ctl: Ctl) -> None:
    _fill(ctl)
    ctl.run("get", "get/", "--prefix", "--stream")
    ctl.run("get", "get/", "--prefix", "--stream", "--limit=2", "-w", "json")
    ctl.run("get", "get/absent", "--stream")
    ctl.run("get", "get/a", "--stream", "--rev=1000000")


@verb("del", "one key, absent, range, --prefix, --from-key, --prev-kv, each format")
def delete(ctl: Ctl) -> None:
    _fill(ctl)
    ctl.run("del", "get/a")
    ctl.run("del", "get/a")
    ctl.run("del", "")
    for form in FORMATS:
        ctl.run("put", "get/a", "1")
        ctl.run("del", "get/a", "get/b", "--prev-kv", "-w", form)
    ctl.run("del", "get/", "--prefix", "--prev-kv")
    _fill(ctl)
    ctl.run("put", "zz/1", "1")
    ctl.run("del", "zz", "--from-key", "--prev-kv", "-w", "json")
    ctl.run("get", "get/", "--prefix", "--count-only", "-w", "fields")
    ctl.run("del", "get/", "--prefix")


TXNS = (
    'value("txn/a") = "1"',
    'value("txn/a") > "0"',
    'value("txn/a") != "1"',
    'value("txn/absent") = "1"',
    'version("txn/a") = "1"',
    'version("txn/absent") = "0"',
    'create("txn/a") > "0"',
    'create("txn/absent") = "0"',
    'c("txn/a") < "1000000"',
    'mod("txn/a") > "0"',
    'm("txn/a") = "1"',
    'lease("txn/a") = "0"',
    'lease("txn/a") != "0"',
)


@verb("txn -i", "every compare target and operator, both branches, nested results, errors")
def txn(ctl: Ctl) -> None:
    ctl.run("put", "txn/a", "1")
    for compare in TXNS:
        ctl.run("txn", "-i", stdin=f"{compare}\n\nget txn/a\n\nget txn/absent\n\n")
    ctl.run("txn", "-i", stdin="\nput txn/b 1\nput txn/c 2\nget txn/ --prefix\n\n\n")
    ctl.run("txn", "-i", "-w", "json", stdin="\ndel txn/b\nget txn/b\nget txn/c\n\n\n")
    ctl.run("txn", "-i", "-w", "fields", stdin="\nput txn/a 2 --prev-kv\ndel txn/c --prev-kv\n\n\n")
    ctl.run("txn", "-i", stdin="\nput txn/a 1\nput txn/a 2\n\n\n")
    ctl.run("txn", "-i", stdin="\nput txn/d 1\ndel txn/ --prefix\n\n\n")
    ctl.run("txn", "-i", stdin="\nget txn/a --rev=1000000\n\n\n")
    ctl.run("txn", "-i", stdin="\nput txn/e 1 --lease=1234\n\n\n")
    ctl.run("txn", "-i", stdin="\n" + "".join(f"put txn/{n} 1\n" for n in range(129)) + "\n\n")
    ctl.run("txn", "-i", stdin='mod("txn/a") = "1"\n\nput txn/x 1\n\nput txn/y 1\n\n')
    ctl.run("txn", "-i", stdin='nonsense("txn/a") = "1"\n\n\n\n')
    ctl.run("del", "txn/", "--prefix")


@verb("watch", "from now, --rev, --prefix, range, --prev-kv, filters of events, each format")
def watch(ctl: Ctl) -> None:
    revision = ctl.revision()
    for number in range(3):
        ctl.run("put", "watch/a", str(number))
    ctl.run("put", "watch/b", "x")
    ctl.run("del", "watch/a")
    for form, times in (("simple", 1), ("json", 1), ("fields", 4)):
        with ctl.staying("watch", "watch/a", f"--rev={revision + 1}", "-w", form) as watching:
            watching.until(LAST[form], times=times)
    with ctl.staying("watch", "watch/", "--prefix", "--prev-kv", f"--rev={revision + 2}") as all_:
        all_.until("DELETE\nwatch/a\n2\nwatch/a\n\n")
    with ctl.staying("watch", "watch/a", "watch/b", f"--rev={revision + 2}") as ranged:
        ranged.until(LAST["simple"])
    with ctl.staying("watch", "watch/", "--prefix", "--prev-kv") as live:
        ctl.await_watchers(1)
        ctl.run("put", "watch/c", "1")
        ctl.run("put", "watch/c", "2")
        ctl.run("put", "other/c", "2")
        ctl.run("del", "watch/", "--prefix")
        live.until("DELETE\nwatch/c\n2\nwatch/c\n\n")
    ctl.await_watchers(0)


@verb("watch --progress-notify", "an idle watch that asks to be told of progress")
def watch_progress(ctl: Ctl) -> None:
    with ctl.staying("watch", "watch/p", "--progress-notify", "-w", "json") as watching:
        ctl.await_watchers(1)
        ctl.run("put", "watch/p", "1")
        watching.until("Events")


@verb("watch -i", "several watches on one stream, progress, cancel by the end of input")
def watch_interactive(ctl: Ctl) -> None:
    with ctl.staying("watch", "-i") as watching:
        watching.say("watch watch/i")
        ctl.await_watchers(1)
        watching.say("watch watch/j --prev-kv")
        ctl.await_watchers(2)
        ctl.run("put", "watch/i", "1")
        watching.until("PUT\nwatch/i\n1\n")
        ctl.run("put", "watch/j", "1")
        ctl.run("put", "watch/j", "2")
        watching.until("PUT\nwatch/j\n1\nwatch/j\n2\n")
        watching.say("progress")
        watching.until("progress notify", times=2)
        watching.say("nonsense")
        watching.until("nonsense", where="err")


@verb("watch -- command", "a command for each event, with its environment")
def watch_command(ctl: Ctl) -> None:
    shell = 'echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"'
    with ctl.staying("watch", "watch/x", "--", "sh", "-c", shell) as watching:
        ctl.await_watchers(1)
        ctl.run("put", "watch/x", "1")
        watching.until('"1"')


@verb("compaction", "--physical, again, in the future; reads and watches of the past")
def compaction(ctl: Ctl) -> None:
    for number in range(4):
        ctl.run("put", "compact/a", str(number))
    revision = ctl.revision()
    ctl.run("compaction", str(revision - 2))
    ctl.run("compaction", str(revision - 2))
    ctl.run("get", "compact/a", f"--rev={revision - 3}")
    ctl.run("get", "compact/a", f"--rev={revision - 2}", "-w", "fields")
    ctl.run("compaction", "--physical", str(revision - 1))
    ctl.run("compaction", str(revision + 1_000_000))
    ctl.run("compaction", "none")
    with ctl.staying("watch", "compact/a", f"--rev={revision - 3}", ends=True) as watching:
        watching.until("Error: watch is canceled by the server", where="err")
    with ctl.staying("watch", "compact/a", f"--rev={revision - 1}") as watching:
        watching.until("PUT\ncompact/a\n3\n")
    ctl.run("del", "compact/a")
