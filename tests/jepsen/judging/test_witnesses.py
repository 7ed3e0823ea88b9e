"""Witnesses: what they cover, what they agree on, which write none of them tells of."""

from jepsen.judging.owners import Owners
from jepsen.judging.witnesses import judge_witnesses, made, stories_of
from sim.history import Call, Event, History, Seen, Watcher, WatchSpec
from sim.ops import Delete, DeleteDone, Kv, Put, PutDone, Range, RangeDone, Txn, TxnDone

ALL = WatchSpec("\0", "\0", 1)


def put(rev: int, value: str = "") -> Event:
    """Return the event of a put of r/0."""
    return Event("put", Kv("r/0", value or str(rev), 2, rev, rev - 1))


def told(member: int, *events: Event, spec: WatchSpec = ALL) -> Watcher:
    """Return a watcher that was told these events, a message each."""
    watcher = Watcher(member, 9, member, spec, 0)
    watcher.seen = [Seen(5, "created", 1), *(Seen(9, "events", 9, (each,)) for each in events)]
    return watcher


def wrote(rev: int, at_us: int = 0) -> Call:
    """Return an acknowledged put of r/0."""
    return Call(rev, rev, 0, Put("r/0", str(rev)), at_us, at_us + 1, PutDone(rev))


def classes(history: History) -> list[str]:
    """Return what is found."""
    return [each.klass for each in judge_witnesses(history, Owners.of(history))[0]]


def test_a_story_covers_what_its_watches_were_told_in_sequence() -> None:
    resumed = told(0, put(6), spec=ALL._replace(rev=5))
    story = stories_of(History(watchers=[told(0, put(2), put(3)), resumed]))[0]
    assert story.covered == [(1, 3), (5, 6)]
    assert [story.covers(rev) for rev in (1, 3, 4, 5, 7)] == [True, True, False, True, False]


def test_a_fragment_may_lack_the_rest_of_its_revision() -> None:
    watcher = told(0)
    watcher.seen.append(Seen(9, "events", 9, (put(2), put(3)), fragment=True))
    assert stories_of(History(watchers=[watcher]))[0].covered == [(1, 2)]


def test_a_write_that_no_witness_tells_of_is_lost() -> None:
    watchers = [told(0, put(2), put(4)), told(1, put(2), put(4))]
    history = History(calls=[wrote(2), wrote(3), wrote(4)], watchers=watchers)
    assert classes(history) == ["durability/lost-write"]


def test_a_write_that_one_witness_lacks_is_a_difference_of_members() -> None:
    watchers = [told(0, put(2), put(3), put(4)), told(1, put(2), put(4))]
    history = History(calls=[wrote(2), wrote(3), wrote(4)], watchers=watchers)
    assert classes(history) == ["convergence/witnesses"]


def test_a_write_beyond_what_a_witness_was_told_is_not_missed() -> None:
    history = History(calls=[wrote(2), wrote(3)], watchers=[told(0, put(2))])
    assert classes(history) == []


def test_a_revision_that_is_acknowledged_twice_has_lost_the_first_write() -> None:
    other = wrote(2, 5)._replace(number=7, op=Put("r/1", "x"))
    history = History(calls=[wrote(2), other])
    (finding,) = judge_witnesses(history, Owners.of(history))[0]
    assert finding.klass == "durability/lost-write"
    assert [side.call for side in finding.conflict] == [2, 7]


def test_a_key_that_is_older_in_the_end_than_its_write_is_lost() -> None:
    old = Kv("r/0", "2", 2, 2, 1)
    last = Call(9, 9, 0, Range("\0", "\0"), 100, 101, RangeDone(9, (old,), 1))
    history = History(calls=[wrote(2), wrote(3), last], healed_us=50)
    assert classes(history) == ["durability/lost-write"]
    behind = last._replace(result=RangeDone(2, (old,), 1))
    history = History(calls=[wrote(2), wrote(3), behind], healed_us=50)
    assert classes(history) == ["durability/lost-write"]


def test_what_a_transaction_made_is_the_branch_it_took() -> None:
    op = Txn((), (Put("r/0", "a"), Delete("r/1")), (Put("r/2", "b"),))
    then = TxnDone(5, True, (PutDone(5), DeleteDone(5, 1)))
    call = Call(0, 0, 0, op, 0, 1, then)
    assert made(call) == {("put", "r/0", "a"), ("delete", "r/1", "")}
    orelse = call._replace(result=TxnDone(5, False, (PutDone(5),)))
    assert made(orelse) == {("put", "r/2", "b")}
