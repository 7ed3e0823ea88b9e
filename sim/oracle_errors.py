"""The errors that the oracle answers with: etcd's codes and etcd's texts, word for word.

The rule of this file: one constant function a text, each read from etcd's released source and from
live answers; nothing here is shared with the product, so a wrong text in either is a difference.
"""

from enum import IntEnum


class Code(IntEnum):
    """The gRPC status codes that etcd uses for answers."""

    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14
    DATA_LOSS = 15


class OracleError(Exception):
    """An error answer: the status code and the exact status message."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text


def _invalid(text: str) -> OracleError:
    return OracleError(Code.INVALID_ARGUMENT, f"etcdserver: {text}")


def _failed(text: str) -> OracleError:
    return OracleError(Code.FAILED_PRECONDITION, f"etcdserver: {text}")


def empty_key() -> OracleError:
    """A request or a compare without a key."""
    return _invalid("key is not provided")


def key_not_found() -> OracleError:
    """ignore_value or ignore_lease on an absent key; also an operation with nothing set."""
    return _invalid("key not found")


def value_provided() -> OracleError:
    """A value beside ignore_value."""
    return _invalid("value is provided")


def lease_provided() -> OracleError:
    """A lease beside ignore_lease."""
    return _invalid("lease is provided")


def too_many_operations() -> OracleError:
    """More than 128 compares or operations, nested ones counted."""
    return _invalid("too many operations in txn request")


def duplicate_key() -> OracleError:
    """A key written twice by one branch of a transaction."""
    return _invalid("duplicate key given in txn request")


def invalid_sort_option() -> OracleError:
    """A sort order or target that the protocol does not name."""
    return _invalid("invalid sort option")


def request_too_large() -> OracleError:
    """A write above 1.5 MiB."""
    return _invalid("request is too large")


def message_too_large(size: int, size_max: int) -> OracleError:
    """A message above what the transport accepts; the text is grpc-go's."""
    text = f"grpc: received message larger than max ({size} vs. {size_max})"
    return OracleError(Code.RESOURCE_EXHAUSTED, text)


def compacted() -> OracleError:
    """A revision below the compact revision."""
    return OracleError(Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")


def future_revision() -> OracleError:
    """A revision above the current one."""
    return OracleError(
        Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision"
    )


def no_space() -> OracleError:
    """A write while the NOSPACE alarm is up."""
    return OracleError(Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")


def corrupt() -> OracleError:
    """Anything replicated while the CORRUPT alarm is up."""
    return OracleError(Code.DATA_LOSS, "etcdserver: corrupt cluster")


def lease_not_found() -> OracleError:
    """A lease that was never granted, or is gone."""
    return OracleError(Code.NOT_FOUND, "etcdserver: requested lease not found")


def lease_exists() -> OracleError:
    """A grant of an id that is in use."""
    return _failed("lease already exists")


def lease_ttl_too_large() -> OracleError:
    """A TTL above 9,000,000,000 s."""
    return OracleError(Code.OUT_OF_RANGE, "etcdserver: too large lease TTL")


def member_not_found() -> OracleError:
    """A member id that is not in the cluster."""
    return OracleError(Code.NOT_FOUND, "etcdserver: member not found")


def member_urls_invalid() -> OracleError:
    """Peer URLs that do not parse."""
    return _invalid("given member URLs are invalid")


def peer_url_exists() -> OracleError:
    """Peer URLs that another member has."""
    return _failed("Peer URLs already exists")


def not_enough_started() -> OracleError:
    """The removal of a member without which there is no quorum; etcd gives it no code."""
    text = "etcdserver: re-configuration failed due to not enough started members"
    return OracleError(Code.UNKNOWN, text)


def not_a_learner() -> OracleError:
    """The promotion of a voter."""
    return _failed("can only promote a learner member")


def bad_leader_transferee() -> OracleError:
    """A transfer of leadership to a member that does not exist."""
    return _failed("bad leader transferee")


def downgrade_version_format() -> OracleError:
    """A downgrade target that is not a version."""
    return _invalid("wrong downgrade target version format")


def downgrade_version_invalid() -> OracleError:
    """A downgrade target other than one minor version below the cluster's."""
    return _invalid("invalid downgrade target version")


def no_inflight_downgrade() -> OracleError:
    """The cancellation of a downgrade that was not begun (before etcd 3.6)."""
    return _failed("no inflight downgrade job")


def unsupported_by_range_stream(what: str) -> OracleError:
    """A RangeStream with an option that needs the whole answer first."""
    return OracleError(Code.UNIMPLEMENTED, f"RangeStream does not support {what}")


def outside_the_oracle(what: str) -> OracleError:
    """A request that this oracle does not model: changes of membership and of version."""
    return OracleError(Code.UNIMPLEMENTED, f"the oracle does not model {what}")
