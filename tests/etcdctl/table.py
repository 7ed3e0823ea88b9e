"""The table of docs/COMPATIBILITY.md, out of the register of verbs.

`python -m tests.etcdctl.table` prints it, for the page; a test holds the page to it.
"""

from collections.abc import Sequence

from tests.etcdctl import verbs_kv, verbs_lease, verbs_member
from tests.etcdctl.verbs import VERBS, Verb

SCRIPTS = (verbs_kv, verbs_lease, verbs_member)
"""Importing them enters their verbs."""


def table(verbs: Sequence[Verb]) -> str:
    """Return one row for each verb: its name, what of it is tried, and what comes of it."""
    rows = ["| etcdctl | tried | on Trine |", "|---|---|---|"]
    for each in verbs:
        since = "" if each.since == (3, 5) else f" (etcdctl {each.since[0]}.{each.since[1]})"
        result = f"differs: {each.differs}" if each.differs else "as on etcd"
        tried = each.tried.replace("|", "\\|")
        rows.append(f"| `{each.name}`{since} | {tried} | {result} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(VERBS), end="")
