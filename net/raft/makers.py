"""What may decide in an engine, by name.

Rule of this file: pysyncobj is imported, and its globals are replaced, only where it decides.
"""

from net.raft.engine import Make
from net.raft.inner import Inner
from net.raft.leading import Leading
from net.raft.own import Own
from net.raft.replica import Replica


def maker(*, has_library_decide: bool) -> Make:
    """Return what makes that which decides: this program's own, or the library wrapped."""
    return _wrapped if has_library_decide else Own


def _wrapped(replica: Replica, leading: Leading) -> Inner:
    from net.raft.wrapped import Wrapped

    return Wrapped(replica, leading)
