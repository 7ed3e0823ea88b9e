"""The ids of members and clusters, hashed from names and URLs as etcd hashes them.

Rule: pure, and equal to etcd's to the bit, so that a member of a static cluster gets the id that
etcd gives it: tools that remember a member by its id go on working.

Source: etcd v3.7 server/etcdserver/api/membership/{member,cluster}.go (behaviour, not code).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence


def member_id(peer_urls: Iterable[str], token: str) -> int:
    """Return a founding member's id: a hash of its peer URLs and the cluster's token."""
    return _first_64_bits("".join((*sorted(peer_urls), token)).encode())


def cluster_id(member_ids: Sequence[int]) -> int:
    """Return a new cluster's id: a hash of its founding members' ids."""
    return _first_64_bits(b"".join(i.to_bytes(8, "big") for i in sorted(member_ids)))


def _first_64_bits(data: bytes) -> int:
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big")
