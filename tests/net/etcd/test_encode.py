"""Every answer's bytes parse to exactly the message that etcd would send, and to no byte more.

The rule of this file: the expected message is built field by field from the same numbers, by
protobuf itself, and shares nothing with the encoder. Equal size shows that no field is written
that proto3 leaves out.
"""

from collections.abc import Sequence

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from core.answers import (
    AlarmAnswer,
    Answer,
    CompactAnswer,
    DeleteAnswer,
    Done,
    HashKvAnswer,
    LeaseGrantAnswer,
    LeaseKeepAliveAnswer,
    LeaseLeasesAnswer,
    LeaseRevokeAnswer,
    LeaseTimeToLiveAnswer,
    OperationAnswer,
    PutAnswer,
    RangeAnswer,
    RangeChunk,
    TxnAnswer,
)
from core.errors import COMPACTED
from core.records import Version, put_version, tombstone
from core.watching import (
    Canceled,
    Change,
    Compacted,
    Created,
    Events,
    NotCreated,
    Progress,
    event_bytes,
)
from net.etcd.encode import Encoder
from net.etcd.pb import kv_pb2
from net.etcd.pb import rpc_pb2 as pb

CLUSTER_ID, MEMBER_ID, TERM = (1 << 64) - 3, 0x8E9E05C52164694D, 300

INT64 = st.one_of(
    st.integers(0, 300),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from([(1 << 63) - 1, -(1 << 63), -1, 127, 128, 16383, 16384, 2097151, 2097152]),
)
REVISION = st.one_of(st.integers(1, 200_000), st.integers(1, (1 << 63) - 1))
SIZES = st.sampled_from([0, 1, 5, 100, 127, 128, 16_383, 16_384, 70_000])
BLOB = st.one_of(st.binary(max_size=8), st.builds(lambda size: b"\xff" * size, SIZES))
KEY = st.one_of(st.binary(min_size=1, max_size=8), SIZES.map(lambda size: b"k" * (size + 1)))

Pair = tuple[Version, kv_pb2.KeyValue]


@st.composite
def puts(draw: st.DrawFn) -> Pair:
    key, value, lease = draw(KEY), draw(BLOB), draw(INT64)
    mod, create = draw(REVISION), draw(REVISION)
    create = min(create, mod)
    count = draw(st.integers(1, 1 << 40))
    kv = kv_pb2.KeyValue(
        key=key, value=value, mod_revision=mod, create_revision=create, version=count, lease=lease
    )
    return put_version(key, value, mod, create, count, lease, 1), kv


@st.composite
def tombstones(draw: st.DrawFn) -> Pair:
    key, mod = draw(KEY), draw(REVISION)
    return tombstone(key, mod=mod, number=1), kv_pb2.KeyValue(key=key, mod_revision=mod)


PUTS = st.lists(puts(), max_size=4)
Header = tuple[int, int, int]
ENTIRE: Header = (CLUSTER_ID, MEMBER_ID, TERM)


def header(revision: int, entire: Header = ENTIRE) -> pb.ResponseHeader:
    cluster_id, member_id, term = entire
    return pb.ResponseHeader(
        cluster_id=cluster_id, member_id=member_id, revision=revision, raft_term=term
    )


def encoder() -> Encoder:
    made = Encoder(cluster_id=CLUSTER_ID, member_id=MEMBER_ID)
    made.set_term(TERM)
    return made


def assert_says(data: bytes, expected: Message) -> None:
    assert type(expected).FromString(data) == expected
    assert len(data) == expected.ByteSize()


def assert_answers(answer: Answer, expected: Message) -> None:
    assert_says(encoder().answer(answer), expected)


def kvs(pairs: Sequence[Pair], *, keys_only: bool = False) -> list[kv_pb2.KeyValue]:
    found: list[kv_pb2.KeyValue] = []
    for _, kv in pairs:
        shown = kv_pb2.KeyValue()
        shown.CopyFrom(kv)
        if keys_only:
            shown.ClearField("value")
        found.append(shown)
    return found


def versions(pairs: Sequence[Pair]) -> list[Version]:
    return [version for version, _ in pairs]


# Keys.


@given(REVISION, PUTS, st.integers(0, 1 << 40), st.booleans(), st.booleans())
def test_a_range(revision: int, pairs: list[Pair], total: int, more: bool, keys_only: bool) -> None:
    expected = pb.RangeResponse(
        header=header(revision), kvs=kvs(pairs, keys_only=keys_only), more=more, count=total
    )
    assert_answers(RangeAnswer(revision, versions(pairs), total, more, keys_only), expected)


@given(REVISION, PUTS, st.integers(0, 1 << 40), st.booleans(), st.booleans())
def test_the_last_chunk_of_a_range(
    revision: int, pairs: list[Pair], total: int, more: bool, keys_only: bool
) -> None:
    inner = pb.RangeResponse(
        header=header(revision), kvs=kvs(pairs, keys_only=keys_only), more=more, count=total
    )
    chunk = RangeChunk(versions(pairs), keys_only, True, revision, total, more)
    assert_answers(chunk, pb.RangeStreamResponse(range_response=inner))


@given(PUTS, st.booleans())
def test_a_chunk_before_the_last_has_neither_header_nor_count(
    pairs: list[Pair], keys_only: bool
) -> None:
    inner = pb.RangeResponse(kvs=kvs(pairs, keys_only=keys_only))
    chunk = RangeChunk(versions(pairs), keys_only, False)
    assert_answers(chunk, pb.RangeStreamResponse(range_response=inner))


@given(REVISION, st.one_of(st.none(), puts()))
def test_a_put(revision: int, previous: Pair | None) -> None:
    expected = pb.PutResponse(header=header(revision))
    if previous is not None:
        expected.prev_kv.CopyFrom(previous[1])
    assert_answers(PutAnswer(revision, previous and previous[0]), expected)


@given(REVISION, PUTS, st.booleans())
def test_a_delete(revision: int, pairs: list[Pair], prev_kv: bool) -> None:
    shown = pairs if prev_kv else []
    expected = pb.DeleteRangeResponse(
        header=header(revision), deleted=len(pairs), prev_kvs=kvs(shown)
    )
    assert_answers(DeleteAnswer(revision, len(pairs), versions(shown)), expected)


Both = tuple[OperationAnswer, pb.ResponseOp]


def _range_op(revision: int, pairs: list[Pair], more: bool, keys_only: bool) -> Both:
    response = pb.RangeResponse(
        header=pb.ResponseHeader(revision=revision),
        kvs=kvs(pairs, keys_only=keys_only),
        more=more,
        count=len(pairs),
    )
    answer = RangeAnswer(revision, versions(pairs), len(pairs), more, keys_only)
    return answer, pb.ResponseOp(response_range=response)


def _put_op(revision: int, previous: Pair | None) -> Both:
    response = pb.PutResponse(header=pb.ResponseHeader(revision=revision))
    if previous is not None:
        response.prev_kv.CopyFrom(previous[1])
    answer = PutAnswer(revision, previous and previous[0])
    return answer, pb.ResponseOp(response_put=response)


def _delete_op(revision: int, pairs: list[Pair]) -> Both:
    response = pb.DeleteRangeResponse(
        header=pb.ResponseHeader(revision=revision), deleted=len(pairs), prev_kvs=kvs(pairs)
    )
    answer = DeleteAnswer(revision, len(pairs), versions(pairs))
    return answer, pb.ResponseOp(response_delete_range=response)


def _txn_op(succeeded: bool, ops: list[Both]) -> Both:
    # A nested transaction's header is there and empty.
    response = pb.TxnResponse(
        header=pb.ResponseHeader(), succeeded=succeeded, responses=[op for _, op in ops]
    )
    answer = TxnAnswer(0, succeeded, tuple(each for each, _ in ops))
    return answer, pb.ResponseOp(response_txn=response)


OPERATIONS: st.SearchStrategy[Both] = st.recursive(
    st.one_of(
        st.builds(_range_op, REVISION, PUTS, st.booleans(), st.booleans()),
        st.builds(_put_op, REVISION, st.one_of(st.none(), puts())),
        st.builds(_delete_op, REVISION, PUTS),
    ),
    lambda inner: st.builds(_txn_op, st.booleans(), st.lists(inner, max_size=3)),
    max_leaves=6,
)


@given(REVISION, st.booleans(), st.lists(OPERATIONS, max_size=4))
def test_a_transaction(revision: int, succeeded: bool, ops: list[Both]) -> None:
    expected = pb.TxnResponse(
        header=header(revision), succeeded=succeeded, responses=[op for _, op in ops]
    )
    assert_answers(TxnAnswer(revision, succeeded, tuple(each for each, _ in ops)), expected)


@given(REVISION, st.booleans(), st.one_of(st.none(), puts()))
def test_a_transaction_of_one_put(revision: int, succeeded: bool, previous: Pair | None) -> None:
    put, op = _put_op(revision, previous)
    expected = pb.TxnResponse(header=header(revision), succeeded=succeeded, responses=[op])
    assert_answers(TxnAnswer(revision, succeeded, (put,)), expected)


# Everything else that has numbers.


@given(REVISION, INT64, INT64)
def test_leases_granted_and_kept(revision: int, lease_id: int, ttl_s: int) -> None:
    granted = pb.LeaseGrantResponse(header=header(revision), ID=lease_id, TTL=ttl_s)
    assert_answers(LeaseGrantAnswer(revision, lease_id, ttl_s), granted)
    kept = pb.LeaseKeepAliveResponse(header=header(revision), ID=lease_id, TTL=ttl_s)
    assert_answers(LeaseKeepAliveAnswer(revision, lease_id, ttl_s), kept)


@given(REVISION, INT64, INT64, INT64, st.lists(BLOB, max_size=3))
def test_the_time_left_of_a_lease(
    revision: int, lease_id: int, ttl_s: int, granted: int, keys: list[bytes]
) -> None:
    expected = pb.LeaseTimeToLiveResponse(
        header=header(revision), ID=lease_id, TTL=ttl_s, grantedTTL=granted, keys=keys
    )
    assert_answers(LeaseTimeToLiveAnswer(revision, lease_id, ttl_s, granted, keys), expected)


@given(REVISION, st.lists(INT64, max_size=5))
def test_the_list_of_leases(revision: int, ids: list[int]) -> None:
    expected = pb.LeaseLeasesResponse(
        header=header(revision), leases=[pb.LeaseStatus(ID=each) for each in ids]
    )
    assert_answers(LeaseLeasesAnswer(revision, ids), expected)


@given(REVISION, st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, 255))))
def test_alarms_of_any_member_and_kind(revision: int, alarms: list[tuple[int, int]]) -> None:
    # pb takes unknown numbers of an open enum only from the wire.
    expected = pb.AlarmResponse(header=header(revision))
    for member, kind in alarms:
        raised = expected.alarms.add(memberID=member)
        raised.alarm = kind  # type: ignore[assignment]  # any number is a kind on the wire
    assert_answers(AlarmAnswer(revision, alarms), expected)


@given(REVISION, st.integers(0, (1 << 32) - 1), st.one_of(st.just(-1), REVISION), REVISION)
def test_the_hash_of_keys(revision: int, value: int, compact: int, hashed: int) -> None:
    expected = pb.HashKVResponse(
        header=header(revision), hash=value, compact_revision=compact, hash_revision=hashed
    )
    assert_answers(HashKvAnswer(revision, value, compact, hashed), expected)


@given(REVISION)
def test_answers_that_are_a_header(revision: int) -> None:
    expected = pb.CompactionResponse(header=header(revision))
    for answer in (CompactAnswer(revision), LeaseRevokeAnswer(revision), Done(revision)):
        assert_answers(answer, expected)


def test_a_failure_is_no_message() -> None:
    with pytest.raises(AssertionError, match="INV-ANSWER-KIND"):
        encoder().answer(COMPACTED)


# Watches.


@given(REVISION, INT64)
def test_the_life_of_a_watcher(revision: int, watch_id: int) -> None:
    made, plain = encoder(), pb.WatchResponse(header=header(revision), watch_id=watch_id)
    assert_says(made.watch(Progress(revision, watch_id)), plain)
    created = pb.WatchResponse(header=header(revision), watch_id=watch_id, created=True)
    assert_says(made.watch(Created(revision, watch_id)), created)
    canceled = pb.WatchResponse(header=header(revision), watch_id=watch_id, canceled=True)
    assert_says(made.watch(Canceled(revision, watch_id)), canceled)


@given(REVISION, st.text(max_size=200))
def test_a_watcher_that_was_refused(revision: int, reason: str) -> None:
    expected = pb.WatchResponse(
        header=header(revision), watch_id=-1, created=True, canceled=True, cancel_reason=reason
    )
    # A reason is never empty; one that were would still be written.
    if reason:
        assert_says(encoder().watch(NotCreated(revision, reason)), expected)


@given(INT64, REVISION)
def test_a_compacted_watcher_has_no_revision_in_its_header(watch_id: int, compact: int) -> None:
    expected = pb.WatchResponse(
        header=header(0), watch_id=watch_id, canceled=True, compact_revision=compact
    )
    assert_says(encoder().watch(Compacted(watch_id, compact)), expected)


CHANGES = st.lists(
    st.tuples(st.one_of(puts(), tombstones()), st.one_of(st.none(), puts())), min_size=1, max_size=3
)


@given(REVISION, INT64, CHANGES, st.booleans(), st.booleans())
def test_events(
    revision: int,
    watch_id: int,
    changes: list[tuple[Pair, Pair | None]],
    prev_kv: bool,
    fragment: bool,
) -> None:
    events: list[kv_pb2.Event] = []
    laid_out: list[bytes] = []
    for (version, kv), previous in changes:
        event = kv_pb2.Event(kv=kv)
        if version.is_tombstone:
            event.type = kv_pb2.Event.DELETE
        if prev_kv and previous is not None:
            event.prev_kv.CopyFrom(previous[1])
        events.append(event)
        laid_out.append(event_bytes(Change(version, previous and previous[0]), prev_kv))
    expected = pb.WatchResponse(
        header=header(revision), watch_id=watch_id, fragment=fragment, events=events
    )
    message = Events(revision, watch_id, b"".join(laid_out), len(events), fragment)
    assert_says(encoder().watch(message), expected)


# The header.


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=12))
def test_a_header_says_the_term_and_revision_of_its_moment(
    moments: list[tuple[int, int, bool]],
) -> None:
    made = Encoder(cluster_id=CLUSTER_ID, member_id=MEMBER_ID)
    term = 0
    for revision, new_term, changes_term in moments:
        if changes_term:
            term = new_term
            made.set_term(term)
        entire = (CLUSTER_ID, MEMBER_ID, term)
        assert_says(made.header(revision), pb.PutResponse(header=header(revision, entire)))
