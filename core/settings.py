"""What one member decides by itself: bounds of admission, patience, what it tells of itself."""

from attrs import frozen


@frozen
class NodeConfig:
    """What a member decides about admission. Sizes in bytes, times in milliseconds."""

    member_id: int
    origin: int
    """Drawn at each start: with the sequence it makes proposal ids unique for ever."""
    quota_bytes: int
    request_bytes_max: int
    fragment_bytes: int
    progress_interval_ms: int
    request_timeout_ms: int = 0
    """Who asked this long ago is told that nobody knows; 0: they wait, as in a cluster of one."""
    election_timeout_ms: int = 0
    """0: a cluster of one, which misses no leader."""
    name: str = ""
    """What it tells the others of itself; "" tells nothing."""
    client_urls: tuple[str, ...] = ()
    failure_domain: int = 0
    are_members_fixed: bool = True
    """Whether the engine below can order no change of who votes."""
    is_strict: bool = True
    """Whether a change of members is refused that would cost the quorum."""
    learners_max: int = 1
    voters_wanted: int = 0
    """How many voters the leader keeps by itself; 0: roles are assigned by hand, as in etcd."""
    stand_bys_wanted: int = 0
