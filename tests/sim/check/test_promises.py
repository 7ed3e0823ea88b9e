"""Leases, compaction, liveness and hashes: each class of verdict, made by hand."""

from sim.check import shape
from sim.history import Expire
from sim.ops import (
    Admin,
    AdminDone,
    Compact,
    CompactDone,
    Failed,
    Grant,
    GrantDone,
    KeepAlive,
    KeepAliveDone,
    Leases,
    LeasesDone,
    Put,
    Range,
    RangeDone,
    Result,
    Revoke,
    RevokeDone,
    TimeToLive,
    TimeToLiveDone,
    Unknown,
)
from tests.stories import Story, kv

TTL_S = 10


def a_leased_story() -> Story:
    """Lease 7 is granted at 1 s for 10 s; a and b are put under it."""
    story = Story()
    story.commit(1, Grant(7, TTL_S), GrantDone(1, 7, TTL_S))
    story.put(2, "a", "1", lease=7)
    story.put(3, "b", "1", lease=7)
    return story


# ---- leases


def test_a_sound_lease_has_no_verdict() -> None:
    story = a_leased_story()
    story.call(4, KeepAlive(7), KeepAliveDone(3, 7, TTL_S))
    story.call(5, TimeToLive(7), TimeToLiveDone(3, 7, 9, TTL_S, ("a", "b")))
    story.call(6, Leases(), LeasesDone(3, (7,)))
    story.log(Expire(7), 4, at_s=14.5)
    story.get(15, "a", None, rev=4)
    story.call(16, KeepAlive(7), KeepAliveDone(4, 7, 0))
    story.call(16, TimeToLive(7), TimeToLiveDone(4, 7, -1, 0))
    story.heal(20)
    assert story.verdicts() == []


def test_a_lease_that_ends_too_early_names_the_renewal() -> None:
    story = a_leased_story()
    renewal = story.call(4, KeepAlive(7), KeepAliveDone(3, 7, TTL_S))
    story.log(Expire(7), 4)
    story.get(12, "a", None, rev=4)
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("lease/early", (renewal,))


def test_a_renewal_that_nobody_was_told_of_proves_nothing() -> None:
    story = a_leased_story()
    story.call(4, KeepAlive(7), Unknown("deadline"))
    story.log(Expire(7), 4)
    story.get(12, "a", None, rev=4)
    assert story.verdicts() == []


def test_a_revoked_lease_is_not_early() -> None:
    story = a_leased_story()
    story.commit(4, Revoke(7), RevokeDone(4), rev=4)
    story.get(5, "a", None, rev=4)
    assert story.verdicts() == []


def test_a_lease_ends_in_time_after_healing() -> None:
    story = a_leased_story()
    story.heal(20)
    assert story.classes() == ["lease/immortal"]
    story.log(Expire(7), 4, at_s=38)
    assert story.verdicts() == []


def test_keys_go_with_their_lease() -> None:
    story = a_leased_story()
    story.commit(4, Revoke(7), RevokeDone(3))
    assert "lease/keys-stay" in story.classes()


def test_keys_go_in_one_revision() -> None:
    story = a_leased_story()
    story.log(Expire(7), 5)
    assert story.classes() == ["lease/one-revision"]


def test_a_lease_that_is_there_is_not_denied() -> None:
    denials: tuple[tuple[KeepAlive | TimeToLive | Put, Result], ...] = (
        (KeepAlive(7), KeepAliveDone(3, 7, 0)),
        (TimeToLive(7), TimeToLiveDone(3, 7, -1, 0)),
        (Put("c", "1", 7), Failed(shape.LEASE_NOT_FOUND)),
    )
    for op, result in denials:
        story = a_leased_story()
        number = story.call(4, op, result)
        [verdict] = story.verdicts()
        assert (verdict.klass, verdict.calls) == ("lease/denied", (0, number))


def test_a_lease_that_is_gone_is_not_answered_for() -> None:
    story = a_leased_story()
    end = story.commit(4, Revoke(7), RevokeDone(4), rev=4)
    renewal = story.call(5, KeepAlive(7), KeepAliveDone(4, 7, TTL_S))
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("lease/undead", (end, renewal))


def test_what_is_said_of_a_lease_is_true() -> None:
    lies: tuple[tuple[KeepAlive | TimeToLive | Leases, Result], ...] = (
        (KeepAlive(7), KeepAliveDone(3, 7, 99)),
        (TimeToLive(7), TimeToLiveDone(3, 7, 5, 99, ("a", "b"))),
        (TimeToLive(7), TimeToLiveDone(3, 7, 5, TTL_S, ("a",))),
        (Leases(), LeasesDone(3, (7, 8))),
    )
    for op, result in lies:
        story = a_leased_story()
        story.call(4, op, result)
        assert story.classes() == ["lease/wrong-answer"]


def test_without_a_log_a_lease_is_not_denied_early() -> None:
    story = Story(logged=False)
    story.call(1, Grant(7, TTL_S), GrantDone(1, 7, TTL_S))
    story.call(12, KeepAlive(7), KeepAliveDone(1, 7, 0))
    assert story.verdicts() == []
    story.call(5, KeepAlive(7), KeepAliveDone(1, 7, 0))
    assert story.classes() == ["lease/early"]


def test_a_lease_that_is_due_and_not_revoked_yet_is_there() -> None:
    story = Story(logged=False)
    story.call(1, Grant(7, TTL_S), GrantDone(1, 7, TTL_S))
    story.call(5, TimeToLive(7), TimeToLiveDone(1, 7, -1, TTL_S))
    assert story.verdicts() == []
    story.call(5, TimeToLive(7), TimeToLiveDone(1, 7, -1, 0))
    assert story.classes() == ["lease/early"]


def test_without_a_log_a_lease_ends_in_time() -> None:
    story = Story(logged=False)
    story.call(1, Grant(7, TTL_S), GrantDone(1, 7, TTL_S))
    story.call(90, TimeToLive(7), TimeToLiveDone(1, 7, 0, TTL_S))
    story.heal(20)
    assert story.classes() == ["lease/immortal"]


# ---- compaction


def a_compacted_story() -> Story:
    """a is put at 2, 3 and 4; then what is below 3 is forgotten."""
    story = Story()
    for number in range(3):
        story.put(1 + number, "a", str(number))
    story.commit(5, Compact(3), CompactDone(4))
    return story


A2 = kv("a", "0", 2)
A3 = kv("a", "1", 3, create=2, version=2)


def _past(rev: int, *found: object) -> tuple[Range, RangeDone]:
    kvs = tuple(each for each in found if isinstance(each, type(A2)))
    return Range("a", rev=rev), RangeDone(4, kvs, len(kvs))


def test_a_sound_compaction_has_no_verdict() -> None:
    story = a_compacted_story()
    story.call(4.5, *_past(2, A2))
    story.call(6, *_past(3, A3))
    story.call(6, Range("a", rev=2), Failed(shape.COMPACTED))
    story.commit(7, Compact(3), Failed(shape.COMPACTED))
    assert story.verdicts() == []


def test_what_was_compacted_is_served_no_more() -> None:
    story = a_compacted_story()
    read = story.call(6, *_past(2, A2))
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("compaction/still-served", (3, read))


def test_what_was_refused_once_is_refused_for_ever() -> None:
    story = Story(logged=False)
    story.put(1, "a", "0")
    story.put(2, "a", "1")
    story.call(3, Compact(3), Unknown("deadline"))
    told = story.call(5, Range("a", rev=2), Failed(shape.COMPACTED))
    read = story.call(6, Range("a", rev=2), RangeDone(3, (A2,), 1))
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("compaction/still-served", (told, read))


def test_what_was_not_compacted_is_not_refused() -> None:
    story = a_compacted_story()
    story.call(6, Range("a", rev=3), Failed(shape.COMPACTED))
    story.call(4, Range("a", rev=2), Failed(shape.COMPACTED))
    assert story.classes() == ["compaction/refused-too-much"]


def test_the_revision_never_falls_below_a_compaction() -> None:
    story = a_compacted_story()
    story.get(6, "a", A2, rev=2)
    assert "compaction/revision-fell" in story.classes()


def test_a_history_read_answers_as_before_the_compaction() -> None:
    story = a_compacted_story()
    story.call(6, *_past(3))
    assert story.classes() == ["linear/wrong-result"]


# ---- after healing


def test_every_operation_is_answered_after_healing() -> None:
    story = Story()
    story.heal(20)
    story.call(21, Put("a", "1"), Unknown("deadline"))
    assert story.verdicts() == []
    late = story.call(30, Put("a", "1"), Unknown("deadline"))
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("liveness/unanswered", (late,))


def test_no_operation_is_refused_after_healing() -> None:
    story = Story()
    story.heal(20)
    story.call(30, Put("a", "1"), Failed("etcdserver: no leader"))
    assert story.classes() == ["liveness/refused"]


def test_answers_are_swift_after_healing() -> None:
    story = Story()
    story.heal(20)
    story.call(30, Range("a"), RangeDone(1, (), 0), until_s=45)
    assert story.classes() == ["liveness/slow"]


def test_errors_of_the_data_are_answers() -> None:
    story = Story()
    story.heal(20)
    story.commit(30, Put("a", "1", 7), Failed(shape.LEASE_NOT_FOUND))
    assert story.verdicts() == []


def test_bounds_come_from_the_run() -> None:
    story = Story()
    story.heal(20)
    story.history.facts["bounds"] = {"answer_us": 20_000_000}
    story.call(30, Range("a"), RangeDone(1, (), 0), until_s=45)
    assert story.verdicts() == []


# ---- convergence


def test_members_tell_one_hash_of_one_revision() -> None:
    story = Story()
    for member, hashed in enumerate((5, 5, 6)):
        facts = (("hash", hashed), ("compacted", 0), ("hash_revision", 1))
        story.call(1, Admin("hash"), AdminDone(1, facts), member=member)
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("convergence/hash", (0, 2))


def test_a_hash_that_tells_no_revision_is_that_of_its_header() -> None:
    story = Story()
    for rev, hashed in ((1, 5), (2, 6)):
        if rev == 2:
            story.put(2, "a", "1")
        facts = (("hash", hashed), ("compacted", 0), ("hash_revision", 0))
        story.call(9, Admin("hash"), AdminDone(rev, facts), member=rev)
    assert story.verdicts() == []
