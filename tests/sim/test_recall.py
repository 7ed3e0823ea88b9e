"""Versions of rows that were loaded before."""

from core import loading
from core.codec import ProposalId, Proposed, encode, encode_pack
from core.loading import Row
from core.operations import Compact
from core.records import put_version, tombstone
from net import packs
from sim.recall import loads_recalled

ROWS: list[Row] = [
    (1, 2, 0, b"a", 2, 1, 0, 0, 0, b"x"),
    (2, 3, 0, b"a", 0, 0, 1, 0, 1, None),
    (3, 4, 0, b"b", 4, 1, 0, 7, 0, b""),
]
VERSIONS = [
    put_version(b"a", b"x", 2, 2, 1, 0, 1),
    tombstone(b"a", mod=3, number=2),
    put_version(b"b", b"", 4, 4, 1, 7, 3),
]


def test_rows_give_what_the_core_makes_of_them_however_often() -> None:
    made = vars(loading)["_versions_of"]
    with loads_recalled():
        recalled = vars(loading)["_versions_of"]
        assert recalled(ROWS[:2]) == VERSIONS[:2]
        assert recalled(ROWS) == VERSIONS
        assert all(map(lambda a, b: a is b, recalled(ROWS), recalled(ROWS)))
    assert vars(loading)["_versions_of"] is made


def test_a_pack_gives_what_the_core_decodes_however_often() -> None:
    proposed = [Proposed(ProposalId(7, 1), Compact(3)), Proposed(ProposalId(7, 2), Compact(4))]
    pack = encode_pack([encode(each.id, each.command) for each in proposed])
    with loads_recalled():
        decode = vars(packs)["decode_pack"]
        assert decode(pack) == proposed
        decode(pack).clear()
        assert decode(bytes(bytearray(pack))) == proposed
