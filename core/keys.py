"""The four shapes of etcd's key and range_end, and what they hold.

range_end b""        the one key
range_end b"\\0"      every key >= key
range_end <= key     nothing
otherwise            [key, range_end)
"""

EVERYTHING_ABOVE = b"\x00"


def span_end(key: bytes, range_end: bytes) -> bytes | None:
    """Return the exclusive end of a range; None if it has no end."""
    if not range_end:
        return key + b"\x00"
    return None if range_end == EVERYTHING_ABOVE else range_end


def prefix_end(prefix: bytes) -> bytes:
    """Return the range_end that makes a range of all keys with a prefix."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return EVERYTHING_ABOVE
    return stripped[:-1] + bytes((stripped[-1] + 1,))
