"""Every answer that is an error: etcd's gRPC code and exact text, as values.

A `Failure` is returned, never raised: it is an answer (replicated, equal on all members) or a
refusal (nothing was proposed). Broken invariants and disk faults are exceptions and end the
member. Source: etcd api/v3rpc/rpctypes/error.go.
"""

from typing import NamedTuple

CANCELED = 1
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
DATA_LOSS = 15


class Failure(NamedTuple):
    """A gRPC status other than OK: numeric code and the text the client matches on."""

    code: int
    text: str


def _etcd(code: int, text: str) -> Failure:
    return Failure(code, f"etcdserver: {text}")


EMPTY_KEY = _etcd(INVALID_ARGUMENT, "key is not provided")
KEY_NOT_FOUND = _etcd(INVALID_ARGUMENT, "key not found")
VALUE_PROVIDED = _etcd(INVALID_ARGUMENT, "value is provided")
LEASE_PROVIDED = _etcd(INVALID_ARGUMENT, "lease is provided")
TOO_MANY_OPS = _etcd(INVALID_ARGUMENT, "too many operations in txn request")
DUPLICATE_KEY = _etcd(INVALID_ARGUMENT, "duplicate key given in txn request")
INVALID_SORT_OPTION = _etcd(INVALID_ARGUMENT, "invalid sort option")
REQUEST_TOO_LARGE = _etcd(INVALID_ARGUMENT, "request is too large")
COMPACTED = _etcd(OUT_OF_RANGE, "mvcc: required revision has been compacted")
FUTURE_REVISION = _etcd(OUT_OF_RANGE, "mvcc: required revision is a future revision")
LEASE_TTL_TOO_LARGE = _etcd(OUT_OF_RANGE, "too large lease TTL")
NO_SPACE = _etcd(RESOURCE_EXHAUSTED, "mvcc: database space exceeded")
TOO_MANY_REQUESTS = _etcd(RESOURCE_EXHAUSTED, "too many requests")
LEASE_NOT_FOUND = _etcd(NOT_FOUND, "requested lease not found")
LEASE_EXISTS = _etcd(FAILED_PRECONDITION, "lease already exists")
MEMBER_NOT_FOUND = _etcd(NOT_FOUND, "member not found")
MEMBER_EXISTS = _etcd(FAILED_PRECONDITION, "member ID already exist")
PEER_URL_EXISTS = _etcd(FAILED_PRECONDITION, "Peer URLs already exists")
MEMBER_BAD_URLS = _etcd(INVALID_ARGUMENT, "given member URLs are invalid")
MEMBER_NOT_LEARNER = _etcd(FAILED_PRECONDITION, "can only promote a learner member")
LEARNER_NOT_READY = _etcd(
    FAILED_PRECONDITION, "can only promote a learner member which is in sync with leader"
)
TOO_MANY_LEARNERS = _etcd(FAILED_PRECONDITION, "too many learner members in cluster")
NOT_FOR_LEARNERS = _etcd(FAILED_PRECONDITION, "rpc not supported for learner")
# etcd answers this one with a plain error, which gRPC sends as UNKNOWN.
NOT_ENOUGH_STARTED = _etcd(UNKNOWN, "re-configuration failed due to not enough started members")
UNHEALTHY = _etcd(UNAVAILABLE, "unhealthy cluster")
NOT_LEADER = _etcd(FAILED_PRECONDITION, "not leader")
NO_LEADER = _etcd(UNAVAILABLE, "no leader")
LEADER_CHANGED = _etcd(UNAVAILABLE, "leader changed")
STOPPED = _etcd(UNAVAILABLE, "server stopped")
TIMED_OUT = _etcd(UNAVAILABLE, "request timed out")
# Not in etcd's table of errors: its server hands the text on as UNKNOWN.
TIMED_OUT_TRANSFER = _etcd(UNKNOWN, "request timed out, leader transfer took too long")
TIMED_OUT_LEADER = _etcd(UNAVAILABLE, "request timed out, possibly due to previous leader failure")
BAD_TRANSFEREE = _etcd(FAILED_PRECONDITION, "bad leader transferee")
CORRUPT = _etcd(DATA_LOSS, "corrupt cluster")
AUTH_NOT_ENABLED = _etcd(FAILED_PRECONDITION, "authentication is not enabled")
DOWNGRADE_BAD_FORMAT = _etcd(INVALID_ARGUMENT, "wrong downgrade target version format")
DOWNGRADE_BAD_TARGET = _etcd(INVALID_ARGUMENT, "invalid downgrade target version")
DOWNGRADE_NOT_RUNNING = _etcd(FAILED_PRECONDITION, "no inflight downgrade job")

MEMBERS_FIXED = _etcd(
    UNIMPLEMENTED, "this member serves alone: start it with --listen-peer-urls to add others"
)

STREAM_NO_SORT = Failure(UNIMPLEMENTED, "RangeStream does not support custom sort orders")
STREAM_NO_FILTERS = Failure(UNIMPLEMENTED, "RangeStream does not support revision filters")

WATCH_COMPACTED = COMPACTED.text
WATCH_EMPTY_RANGE = "mvcc: watcher range is empty"
WATCH_DUPLICATE_ID = "mvcc: duplicate watch ID provided on the WatchStream"
