"""What may wait and is done in slices, one of each kind at a time: streams, long ranges, hashes.

Rule of this file: whose turn it is, and nothing of how a slice is made. A read that is too long for
one turn never keeps a write waiting.
"""

from collections import deque
from collections.abc import Iterator

from core.answers import Answer
from core.effects import Reply
from core.errors import Failure
from core.hashing import HashJob, hash_step, open_hash
from core.inputs import Abandoned
from core.listing import Listing, next_slice, open_listing
from core.operations import HashKv, Range
from core.ranges import PageCounts, read
from core.state import State
from core.streaming import RangeCursor, next_chunk, open_cursor


class Slices:
    """The reads under way that take more than one turn."""

    __slots__ = ("_cursors", "_hashes", "_listings")

    def __init__(self) -> None:
        self._cursors: dict[object, RangeCursor] = {}
        self._listings: deque[Listing] = deque()
        self._hashes: list[HashJob] = []

    def has_work(self) -> bool:
        """Whether `step` has anything to do."""
        return (
            bool(self._hashes)
            or bool(self._listings)
            or (bool(self._cursors) and any(not each.blocked for each in self._cursors.values()))
        )

    def open_listing(self, state: State, token: object, query: Range) -> None:
        """Begin to read a long range."""
        self._listings.append(open_listing(state, token, query))

    def open_stream(
        self, state: State, token: object, query: Range, counts: PageCounts
    ) -> Failure | None:
        """Begin a stream of chunks, or say why not."""
        cursor = open_cursor(state, token, query)
        probe = read(state, query._replace(limit=1, count_only=True), counts)
        if isinstance(probe, Failure):
            return probe
        self._cursors[token] = cursor
        return None

    def open_hash(self, state: State, token: object, query: HashKv) -> Answer | None:
        """Begin to hash, or answer at once."""
        job = open_hash(state, token, query.revision)
        if isinstance(job, HashJob):
            self._hashes.append(job)
            return None
        return job

    def block(self, token: object, blocked: bool) -> None:
        """The connection of a stream has room for more, or has no more."""
        cursor = self._cursors.get(token)
        if cursor is not None:
            cursor.blocked = blocked

    def abandoned(self, given: Abandoned) -> None:
        """Nobody waits for this answer any more."""
        token = given.token
        self._cursors.pop(token, None)
        self._hashes = [job for job in self._hashes if job.token is not token]

    def step(self, state: State, counts: PageCounts) -> Iterator[Reply]:
        """Do one slice: a chunk of each stream that has room, one long range, one hash."""
        for token, cursor in list(self._cursors.items()):
            if cursor.blocked:
                continue
            chunk = next_chunk(state, cursor, counts)
            yield Reply(token, chunk)
            if isinstance(chunk, Failure) or chunk.last:
                del self._cursors[token]
        if self._listings:
            listing = self._listings.popleft()
            found = next_slice(state, listing, counts)
            if found is None:
                self._listings.append(listing)
            else:
                yield Reply(listing.token, found)
        if self._hashes:
            job = self._hashes[0]
            answer = hash_step(state, job)
            if answer is not None:
                self._hashes.pop(0)
                yield Reply(job.token, answer)
