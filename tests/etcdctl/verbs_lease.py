"""Leases, and what etcdctl builds on them itself: lock and elect."""

from tests.etcdctl.run import Ctl
from tests.etcdctl.verbs import verb

FORMATS = ("simple", "json", "fields")


@verb("lease grant", "a lease, a TTL of 0, one too long, each format")
def grant(ctl: Ctl) -> None:
    for form in FORMATS:
        out = ctl.run("lease", "grant", "600", "-w", form)
        if form == "simple":
            ctl.run("lease", "revoke", out.split()[1])
    ctl.run("lease", "grant", "0")
    ctl.run("lease", "grant", "-1")
    ctl.run("lease", "grant", "9000000001")
    ctl.run("lease", "grant", "soon")
    ids = ctl.quietly("lease", "list").split("\n")[1:]
    for lease in filter(None, ids):
        ctl.quietly("lease", "revoke", lease)


@verb("lease timetolive, list", "with and without --keys, after revoking, each format")
def time_to_live(ctl: Ctl) -> None:
    ctl.run("lease", "list")
    lease = ctl.run("lease", "grant", "600").split()[1]
    ctl.run("put", "lease/a", "1", f"--lease={lease}")
    for form in FORMATS:
        ctl.run("lease", "timetolive", lease, "-w", form)
        ctl.run("lease", "timetolive", lease, "--keys", "-w", form)
        ctl.run("lease", "list", "-w", form)
    ctl.run("lease", "revoke", lease, "-w", "json")
    ctl.run("lease", "timetolive", lease)
    ctl.run("lease", "timetolive", lease, "-w", "fields")
    ctl.run("get", "lease/", "--prefix", "--count-only", "-w", "fields")
    ctl.run("lease", "list")


@verb("lease revoke", "keys go with it, a watch sees them go, an unknown lease")
def revoke(ctl: Ctl) -> None:
    lease = ctl.run("lease", "grant", "600").split()[1]
    ctl.run("put", "lease/a", "1", f"--lease={lease}")
    ctl.run("put", "lease/b", "1", f"--lease={lease}")
    with ctl.staying("watch", "lease/", "--prefix", "--prev-kv") as watching:
        ctl.await_watchers(1)
        ctl.run("lease", "revoke", lease)
        watching.until("DELETE\nlease/b\n1\nlease/b\n\n")
    ctl.await_watchers(0)
    ctl.run("lease", "revoke", lease)
    ctl.run("lease", "revoke", "1234")
    ctl.run("lease", "revoke", "0")


@verb("lease keep-alive", "--once, until revoked, an unknown lease")
def keep_alive(ctl: Ctl) -> None:
    lease = ctl.run("lease", "grant", "600").split()[1]
    for form in FORMATS:
        ctl.run("lease", "keep-alive", "--once", lease, "-w", form)
    ctl.run("lease", "keep-alive", "--once", "1234")
    ctl.run("lease", "keep-alive", "1234")
    with ctl.staying("lease", "keep-alive", lease) as renewing:
        renewing.until("keepalived")
    ctl.run("lease", "revoke", lease)


@verb("lease expiry", "a key whose lease runs out is deleted, and a watch sees it")
def expiry(ctl: Ctl) -> None:
    with ctl.staying("watch", "lease/short", "--prev-kv") as watching:
        ctl.await_watchers(1)
        # Long enough that it is still there when the key is put.
        lease = ctl.run("lease", "grant", "4").split()[1]
        ctl.run("put", "lease/short", "1", f"--lease={lease}")
        watching.until("DELETE\nlease/short\n1\nlease/short\n\n")
    ctl.run("lease", "timetolive", lease)
    ctl.run("get", "lease/short")


@verb("lock", "a lock with a command, a second one waits for the first")
def lock(ctl: Ctl) -> None:
    ctl.run("lock", "lock/a", "true")
    ctl.run("lock", "lock/a", "false")
    with ctl.staying("lock", "lock/b", ends=True) as first:
        first.until("lock/b")
        with ctl.staying("lock", "lock/b", "echo", "mine", ends=True) as second:
            ctl.await_watchers(1)
            holding = second.text()
            first.interrupt()
            second.until("mine")
            assert holding == "", "two holders of one lock"
    ctl.run("get", "lock/", "--prefix", "--count-only", "-w", "fields")


@verb("elect", "a leader is elected, a listener hears of it, another takes over")
def elect(ctl: Ctl) -> None:
    with ctl.staying("elect", "elect/a", "one", ends=True) as first:
        first.until("one")
        with ctl.staying("elect", "-l", "elect/a") as listener:
            listener.until("one")
        with ctl.staying("elect", "elect/a", "two", ends=True) as second:
            ctl.await_watchers(1)
            first.interrupt()
            second.until("two")
            second.interrupt()
    ctl.run("get", "elect/", "--prefix", "--count-only", "-w", "fields")
