"""Changes of membership as entries of the log."""

import pytest

from net.changes import change_of, framed, pack_of
from net.replicator import Change, ChangeKind


@pytest.mark.parametrize("kind", list(ChangeKind))
def test_a_framed_change_gives_back_its_change_and_its_pack(kind: ChangeKind) -> None:
    change = Change(kind, (1 << 64) - 1)
    payload = framed(change, b"\x01pack")
    assert change_of(payload) == change
    assert pack_of(payload) == b"\x01pack"


@pytest.mark.parametrize("payload", [b"", b"\x01pack", b"\xc1\x01", b"\xc1\x63" + bytes(8)])
def test_other_bytes_are_no_change(payload: bytes) -> None:
    assert change_of(payload) is None
