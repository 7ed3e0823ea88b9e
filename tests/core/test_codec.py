"""Commands as bytes: exact both ways, total on garbage, and stable for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.codec import (
    CodecError,
    ProposalId,
    Proposed,
    decode,
    decode_pack,
    encode,
    encode_pack,
)
from core.members import MemberRole
from core.operations import (
    AlarmSet,
    Command,
    Compact,
    Compare,
    DeleteRange,
    LeaseExpire,
    LeaseGrant,
    LeaseRevoke,
    MemberAdd,
    MemberPromote,
    MemberPublish,
    MemberRemove,
    MemberUpdate,
    Noop,
    Put,
    Range,
    RoleAssign,
    Txn,
)

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
UINT64 = st.integers(0, (1 << 64) - 1)
BYTE = st.integers(0, 255)
KEYS = st.binary(max_size=12)

puts = st.builds(
    Put, KEYS, st.binary(max_size=40), INT64, st.booleans(), st.booleans(), st.booleans()
)
deletes = st.builds(DeleteRange, KEYS, KEYS, st.booleans())
URLS = st.lists(st.text(max_size=4), max_size=3).map(tuple)
ROLES = st.sampled_from(MemberRole)
ranges = st.builds(
    Range, KEYS, KEYS, INT64, INT64, st.integers(0, 2), st.integers(0, 4),
    st.booleans(), st.booleans(), st.booleans(), INT64, INT64, INT64, INT64,
)  # fmt: skip
compares = st.builds(Compare, BYTE, BYTE, KEYS, KEYS, INT64 | st.binary(max_size=12))
operations = st.recursive(
    puts | deletes | ranges,
    lambda inner: st.builds(
        Txn,
        st.lists(compares, max_size=2).map(tuple),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=6,
)
commands: st.SearchStrategy[Command] = st.one_of(
    operations.filter(lambda op: type(op) is not Range),
    st.builds(Compact, INT64, st.booleans()),
    st.builds(LeaseGrant, INT64, INT64),
    st.builds(LeaseRevoke, INT64),
    st.builds(LeaseExpire, INT64, UINT64, UINT64),
    st.builds(AlarmSet, UINT64, BYTE, st.booleans()),
    st.just(Noop()),
    st.builds(
        MemberAdd, UINT64, URLS, ROLES, st.integers(0, (1 << 32) - 1), st.text(max_size=4), URLS
    ),
    st.builds(MemberRemove, UINT64),
    st.builds(MemberUpdate, UINT64, URLS),
    st.builds(MemberPromote, UINT64),
    st.builds(MemberPublish, UINT64, st.text(max_size=4), URLS, UINT64),
    st.builds(RoleAssign, UINT64, ROLES, st.integers(-1, 3)),
)
proposals = st.builds(ProposalId, UINT64, UINT64)


@given(st.lists(st.tuples(proposals, commands), max_size=4))
def test_a_pack_gives_back_exactly_its_commands(
    given_commands: list[tuple[ProposalId, Command]],
) -> None:
    pack = encode_pack([encode(*each) for each in given_commands])
    decoded = decode_pack(pack)
    assert decoded == [Proposed(*each) for each in given_commands]
    assert [type(each.command) for each in decoded] == [type(each[1]) for each in given_commands]


@given(proposals, commands, st.data())
def test_a_cut_command_is_refused(
    proposal: ProposalId, command: Command, data: st.DataObject
) -> None:
    encoded = encode(proposal, command)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(CodecError):
        decode(encoded[:cut])


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_understood_but_never_worse(garbage: bytes) -> None:
    try:
        decode_pack(b"\x01" + garbage)
    except CodecError:
        return


usual = st.builds(
    Txn,
    st.builds(Compare, BYTE, BYTE, KEYS, KEYS, INT64).map(lambda each: (each,)),
    puts.map(lambda each: (each,)),
    st.just(()) | KEYS.map(lambda key: (Range(key),)) | ranges.map(lambda each: (each,)),
)


@given(usual | puts, st.binary(max_size=40), st.integers(-40, 40))
def test_what_is_usual_is_read_from_a_pack_as_it_is_alone(
    command: Command, noise: bytes, cut: int
) -> None:
    whole = encode(ProposalId(1, 2), command)
    at = max(0, len(whole) - cut)
    bent = whole[:at] + noise + whole[at + len(noise) :] if cut >= 0 else whole[:cut]
    for data in (whole, bent, whole + noise):
        try:
            alone = [decode(data)]
        except CodecError:
            with pytest.raises(CodecError):
                decode_pack(encode_pack([data]))
        else:
            assert decode_pack(encode_pack([data])) == alone


def test_a_pack_of_a_newer_version_is_refused_by_name() -> None:
    with pytest.raises(CodecError, match="pack of version 9; this build reads version 1"):
        decode_pack(b"\x09rest")


def test_an_empty_pack_is_a_leaders_first() -> None:
    assert decode_pack(b"") == []


def test_the_bytes_of_version_1_stay_as_they_are() -> None:
    put = encode(ProposalId(1, 2), Put(b"/a", b"v", 7, prev_kv=True))
    assert put.hex() == (
        "010000000000000001000000000000000200000000000000070100000002000000012f6176"
    )
    txn = Txn((Compare(0, 2, b"k", b"", 5),), (Put(b"k", b"v"),), (Range(b"k"),))
    assert decode(encode(ProposalId(3, 4), txn)).command == txn
    assert len(encode(ProposalId(3, 4), txn)) == 130


@given(
    compares.map(lambda compare: compare._replace(range_end=b"")) | compares,
    puts | deletes,
    st.lists(KEYS.map(Range) | ranges, max_size=2),
)
def test_the_usual_transaction_is_laid_out_like_any_other(
    compare: Compare, write: Put | DeleteRange, reads: list[Range]
) -> None:
    usual = Txn((compare,), (write,), tuple(reads))
    inside = encode(ProposalId(1, 2), Txn((), (usual,), ()))
    assert encode(ProposalId(1, 2), usual)[17:] == inside[17 + 12 + 1 :]
    assert decode(encode(ProposalId(1, 2), usual)).command == usual
