"""Known faults of etcd that every long run meets, and how a run keeps out of their way.

Rule of this file: what is spared is named, with the issue that describes it, and only where the
command line asks for it: a run that spares nothing finds them, and that is right.

    etcd #18667   A transaction that writes and also reads at a past revision is checked in full by
                  the member that the client asked, and by the others without its reads. Where that
                  revision was compacted, the one refuses what the others do: members differ for
                  ever. All of 3.4 to 3.6; mended for 3.7.
"""

from typing import Final

from sim.clients import Ask, Performance, Reply
from sim.ops import Range, Txn, TxnOp

SPARED: Final = "etcd #18667 is kept out of the way of: transactions read at no past revision"


def spared(performance: Performance) -> Performance:
    """Perform something, but nothing that meets a known fault."""
    reply: Reply = None
    while True:
        try:
            step = performance.send(reply)
        except StopIteration:
            return
        if isinstance(step, Ask) and isinstance(step.op, Txn):
            step = step._replace(op=_of_now(step.op))
        reply = yield step


def _of_now(op: TxnOp) -> TxnOp:
    """Return the same operation, its reads of the past turned into reads of now."""
    match op:
        case Range(rev=rev) if rev:
            return op._replace(rev=0)
        case Txn(_, then, orelse):
            branches = [tuple(map(_of_now, branch)) for branch in (then, orelse)]
            return op._replace(then=branches[0], orelse=branches[1])
        case _:
            return op
