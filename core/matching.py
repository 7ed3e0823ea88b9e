"""Which watcher groups a changed key belongs to.

Groups are found by exact key, by prefix (one look-up per distinct prefix length) and, for
ranges that are no prefix, by an interval tree. Cost O(groups found + log groups + distinct
prefix lengths); the answer for a key is remembered until the groups change.
"""

from collections.abc import Iterator
from hashlib import sha1
from typing import Generic, TypeVar

from core.keys import EVERYTHING_ABOVE, prefix_end

GroupT = TypeVar("GroupT")

_MEMO_KEYS_MAX = 20_000


class RangeMap(Generic[GroupT]):
    """One value per (key, range_end), found by a key inside."""

    def __init__(self) -> None:
        self._points: dict[bytes, GroupT] = {}
        self._prefixes: dict[bytes, GroupT] = {}
        self._lengths: dict[int, int] = {}
        self._spans: _Node[GroupT] | None = None
        self._memo: dict[bytes, tuple[GroupT, ...]] = {}

    def add(self, key: bytes, range_end: bytes, group: GroupT) -> None:
        """Enter a group; there is none yet for this range."""
        self._memo.clear()
        if not range_end:
            self._points[key] = group
        elif range_end == prefix_end(key) and range_end != EVERYTHING_ABOVE:
            self._prefixes[key] = group
            self._lengths[len(key)] = self._lengths.get(len(key), 0) + 1
        else:
            end = None if range_end == EVERYTHING_ABOVE else range_end
            self._spans = _insert(self._spans, _Node(key, end, group))

    def remove(self, key: bytes, range_end: bytes) -> None:
        """Take out the group of a range that was added."""
        self._memo.clear()
        if not range_end:
            del self._points[key]
        elif range_end == prefix_end(key) and range_end != EVERYTHING_ABOVE:
            del self._prefixes[key]
            left = self._lengths[len(key)] - 1
            if left:
                self._lengths[len(key)] = left
            else:
                del self._lengths[len(key)]
        else:
            end = None if range_end == EVERYTHING_ABOVE else range_end
            self._spans = _remove(self._spans, key, end)

    def matching(self, key: bytes) -> tuple[GroupT, ...]:
        """Return the groups whose range holds `key`."""
        found = self._memo.get(key)
        if found is None:
            found = tuple(self._find(key))
            if len(self._memo) >= _MEMO_KEYS_MAX:
                self._memo.clear()
            self._memo[key] = found
        return found

    def _find(self, key: bytes) -> Iterator[GroupT]:
        if (point := self._points.get(key)) is not None:
            yield point
        prefixes = self._prefixes
        for length in self._lengths:
            if length <= len(key) and (group := prefixes.get(key[:length])) is not None:
                yield group
        if self._spans is not None:
            yield from _stab(self._spans, key)


class _Node(Generic[GroupT]):
    """A treap of intervals by (begin, end), each node knowing the farthest end below it.

    An end of None lies beyond every key. Priorities come from a hash of the interval, so the
    shape depends on the set alone.
    """

    __slots__ = ("begin", "end", "farthest", "group", "left", "priority", "right")

    def __init__(self, begin: bytes, end: bytes | None, group: GroupT) -> None:
        self.begin = begin
        self.end = end
        self.group = group
        self.priority = sha1(begin + b"\x00\xff" + (end or b"\xff"), usedforsecurity=False).digest()
        self.left: _Node[GroupT] | None = None
        self.right: _Node[GroupT] | None = None
        self.farthest = end

    def update(self) -> "_Node[GroupT]":
        farthest = self.end
        for child in (self.left, self.right):
            if child is not None and _reaches_further(child.farthest, farthest):
                farthest = child.farthest
        self.farthest = farthest
        return self


def _reaches_further(end: bytes | None, than: bytes | None) -> bool:
    return than is not None and (end is None or end > than)


def _order(begin: bytes, end: bytes | None) -> tuple[bytes, bool, bytes]:
    return begin, end is None, end or b""


def _insert(root: _Node[GroupT] | None, node: _Node[GroupT]) -> _Node[GroupT]:
    if root is None:
        return node
    if node.priority > root.priority:
        node.left, node.right = _split(root, _order(node.begin, node.end))
        return node.update()
    if _order(node.begin, node.end) < _order(root.begin, root.end):
        root.left = _insert(root.left, node)
    else:
        root.right = _insert(root.right, node)
    return root.update()


def _split(
    root: _Node[GroupT] | None, at: tuple[bytes, bool, bytes]
) -> tuple[_Node[GroupT] | None, _Node[GroupT] | None]:
    if root is None:
        return None, None
    if _order(root.begin, root.end) < at:
        root.right, right = _split(root.right, at)
        return root.update(), right
    left, root.left = _split(root.left, at)
    return left, root.update()


def _remove(root: _Node[GroupT] | None, begin: bytes, end: bytes | None) -> _Node[GroupT] | None:
    assert root is not None, "INV-WATCH-FILTER"
    if (root.begin, root.end) == (begin, end):
        return _merge(root.left, root.right)
    if _order(begin, end) < _order(root.begin, root.end):
        root.left = _remove(root.left, begin, end)
    else:
        root.right = _remove(root.right, begin, end)
    return root.update()


def _merge(left: _Node[GroupT] | None, right: _Node[GroupT] | None) -> _Node[GroupT] | None:
    if left is None or right is None:
        return left or right
    if left.priority > right.priority:
        left.right = _merge(left.right, right)
        return left.update()
    right.left = _merge(left, right.left)
    return right.update()


def _stab(root: _Node[GroupT], key: bytes) -> Iterator[GroupT]:
    stack = [root]
    while stack:
        node = stack.pop()
        if node.farthest is not None and node.farthest <= key:
            continue
        if node.left is not None:
            stack.append(node.left)
        if node.begin <= key:
            if node.end is None or key < node.end:
                yield node.group
            if node.right is not None:
                stack.append(node.right)
