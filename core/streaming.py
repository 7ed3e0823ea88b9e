"""A range as a stream of chunks, all of one revision.

The first chunk holds ten keys; the size then doubles or halves towards 1.5 MiB. Only the last
chunk says revision, count and more. Source: etcd 3.7 v3_server.go rangeStream (behaviour).
"""

from itertools import islice

from attrs import define

from core.answers import RangeChunk
from core.checks import KeySpan
from core.errors import COMPACTED, Failure
from core.keys import span_end
from core.limits import STREAM_CHUNK_BYTES, STREAM_FIRST_CHUNK_KEYS
from core.operations import Range
from core.ranges import PageCounts, count_at, read
from core.records import Version
from core.state import State


@define(eq=False)
class RangeCursor:
    """Where a range stream stands."""

    token: object
    query: Range
    revision: int
    """The revision read, pinned when the stream began."""
    head: int
    """The head when the stream began: what the last chunk's header says."""
    key: bytes
    limit: int = STREAM_FIRST_CHUNK_KEYS
    sent: int = 0
    blocked: bool = False


def open_cursor(state: State, token: object, query: Range) -> RangeCursor:
    """Begin a stream at the head, or at the query's revision."""
    revision = query.revision if query.revision > 0 else state.revision
    return RangeCursor(token, query, revision, state.revision, query.key)


def next_chunk(state: State, cursor: RangeCursor, counts: PageCounts) -> RangeChunk | Failure:
    """Return the next chunk and move the cursor; a failure or a last chunk ends the stream."""
    query = cursor.query
    if query.count_only:
        answer = read(state, query, counts)
        if isinstance(answer, Failure):
            return answer
        return RangeChunk((), False, True, answer.revision, answer.total)
    if cursor.revision < state.compact_revision:
        return COMPACTED
    left = query.limit - cursor.sent if query.limit > 0 else cursor.limit
    limit = min(cursor.limit, left)
    end = span_end(query.key, query.range_end)
    found = _fetch(state, (cursor.key, end or b""), cursor.revision, limit + 1)
    more = len(found) > limit
    versions = found[:limit]
    cursor.sent += len(versions)
    if not more or cursor.sent == query.limit:
        total = cursor.sent
        if more:
            rest = _rest_of(query, versions[-1].key)
            total += count_at(state, rest.key, rest.range_end, cursor.revision)
        return RangeChunk(versions, query.keys_only, True, cursor.head, total, more)
    cursor.key = versions[-1].key + b"\x00"
    cursor.limit = _next_limit(limit, versions)
    return RangeChunk(versions, query.keys_only, False)


def _fetch(state: State, span: KeySpan, revision: int, count: int) -> list[Version]:
    key, end = span[0], span[1] or None
    if revision == state.revision:
        low, high = state.index.positions(key, end)
        return state.index.versions_between(low, min(high, low + count))
    return list(islice(state.index.scan_at(key, end, revision), count))


def _rest_of(query: Range, last_key: bytes) -> Range:
    return query._replace(key=last_key + b"\x00")


def _next_limit(limit: int, versions: list[Version]) -> int:
    size = sum(len(version.framed) for version in versions)
    if size < STREAM_CHUNK_BYTES // 2:
        return limit * 2
    if size > STREAM_CHUNK_BYTES * 2:
        return max(1, limit // 2)
    return limit
