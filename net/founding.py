"""The first entries of a cluster's log: one for each founding member, equal on all of them.

Rule of this file: who the cluster is stands in its log from the first entry on, so that a member
that joins later learns it by replaying, as anything else. Bytes depend on the founders alone.
"""

from collections.abc import Sequence

from core.codec import encode, encode_pack
from core.ids import Index, MemberId, Term
from core.members import Change, ChangeKind, Member, MemberRole
from core.operations import MemberAdd
from net.changes import change_of, framed
from net.journal import PACK, Frame, HardState, Journal
from net.replicator import Entry

FIRST_TERM = 1


def founding_payloads(founders: Sequence[Member]) -> list[bytes]:
    """Return the payloads of the entries that found a cluster, in the order of the log."""
    ordered = sorted(founders)
    return [_payload(sequence, member) for sequence, member in enumerate(ordered, start=1)]


def founding_entries(founders: Sequence[Member]) -> list[Entry]:
    """Return the entries that begin a fresh log."""
    payloads = founding_payloads(founders)
    return [Entry(index, FIRST_TERM, each) for index, each in enumerate(payloads, start=1)]


def found(
    journal: Journal, founders: Sequence[Member], *, own: int, after: int, begins: bool
) -> int:
    """Append, durably, what of the founding entries is not there; return how many were appended.

    `after` is the index up to which the store knows of no member, and `begins` tells that the
    cluster has committed nothing before it. A log that holds anything else is of the time
    before members were stored: a cluster of one, `own`. All in one batch: a crash leaves all
    of it or nothing.
    """
    tail = [payload for _, _, payload in journal.read(Index(after + 1), journal.last_index)]
    if any(map(change_of, tail)):
        return 0
    alone = tail or not begins
    wanted = founding_payloads([_alone(founders, own)] if alone else founders)
    _append(journal, wanted)
    return len(wanted)


def _append(journal: Journal, payloads: Sequence[bytes]) -> None:
    last = journal.last_index
    term = Term(max(FIRST_TERM, journal.term_at(last) if last else 0))
    frames: list[Frame] = []
    if not last:
        frames.append(HardState(term, MemberId(0), Index(0)).frame())
    frames += [
        Frame(PACK, term, Index(last + offset), payload)
        for offset, payload in enumerate(payloads, start=1)
    ]
    journal.append(frames)
    journal.sync()


def _alone(founders: Sequence[Member], own: int) -> Member:
    """Return the member of a cluster of one, under the id that its directory has."""
    fitting = [each for each in founders if each.id == own] or list(founders)
    return fitting[0]._replace(id=own, role=int(MemberRole.VOTER))


def _payload(sequence: int, member: Member) -> bytes:
    command = MemberAdd(
        member.id,
        member.peer_urls,
        member.role,
        name=member.name,
        client_urls=member.client_urls,
    )
    kind = ChangeKind.ADD_VOTER if member.votes else ChangeKind.ADD_LEARNER
    return framed(Change(kind, member.id), encode_pack([encode((0, sequence), command)]))
