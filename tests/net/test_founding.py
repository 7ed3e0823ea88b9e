"""A cluster's log begins with its founders, and the same on each of them."""

from random import Random

from core.ids import Index, Term
from core.members import Change, ChangeKind, Member
from core.operations import MemberAdd
from net import replicator as raft
from net.changes import change_of
from net.founding import found, founding_payloads
from net.journal import PACK, Frame, Journal
from net.packs import decode_entry
from sim.disk import SimDisk
from tests.journals import DIRECTORY, open_journal

A = Member(7, "a", ("http://a:1",))
B = Member(9, "b", ("http://b:1",))


def fresh() -> Journal:
    disk = SimDisk(Random(1))
    disk.make_directory(DIRECTORY)
    journal, _ = open_journal(disk)
    return journal


def log_of(journal: Journal) -> list[tuple[int, int, Change | None]]:
    entries = journal.read(journal.first_index, journal.last_index)
    return [(index, term, change_of(payload)) for index, term, payload in entries]


def test_each_founder_is_an_entry_that_says_so_to_raft_and_to_the_core() -> None:
    first, second = founding_payloads([B, A])
    assert change_of(first) == Change(ChangeKind.ADD_VOTER, 7)
    assert change_of(second) == Change(ChangeKind.ADD_VOTER, 9)
    (proposed,) = decode_entry(raft.Entry(1, 1, first))
    assert proposed.command == MemberAdd(7, A.peer_urls, name="a")
    assert founding_payloads([A, B]) == [first, second]


def test_a_fresh_log_is_founded_once() -> None:
    journal = fresh()
    for appended in (2, 0):
        assert found(journal, [A, B], own=7, after=0, begins=True) == appended
        assert log_of(journal) == [
            (1, 1, (ChangeKind.ADD_VOTER, 7)),
            (2, 1, (ChangeKind.ADD_VOTER, 9)),
        ]


def test_a_log_from_before_members_were_stored_is_a_cluster_of_one() -> None:
    journal = fresh()
    journal.append([Frame(PACK, Term(3), Index(1), b"")])
    journal.sync()
    assert found(journal, [A, B], own=9, after=0, begins=True) == 1
    assert log_of(journal)[1:] == [(2, 3, (ChangeKind.ADD_VOTER, 9))]


def test_a_directory_keeps_its_id_when_its_url_has_changed() -> None:
    journal = fresh()
    journal.append([Frame(PACK, Term(3), Index(1), b"")])
    journal.sync()
    found(journal, [A], own=5, after=0, begins=True)
    assert log_of(journal)[1:] == [(2, 3, (ChangeKind.ADD_VOTER, 5))]
