"""The numbers that must not be mixed up, one type each."""

from typing import NewType

Index = NewType("Index", int)
"""Position of a pack in the replicated log; 0 before the first."""

Term = NewType("Term", int)
"""Raft term; 0 before the first election."""

Main = NewType("Main", int)
"""Store revision: one higher for each command that changes a key. A fresh store is at 1."""

LeaseId = NewType("LeaseId", int)
"""A lease's id, any int64 but 0."""

WatchId = NewType("WatchId", int)
"""A watcher's id on its stream; -1 speaks for all watchers of the stream."""

MemberId = NewType("MemberId", int)
"""A member's id, an unsigned 64-bit number that is never 0."""
