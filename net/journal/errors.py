"""The journal's two refusals; every other error is an `OSError` of the disk.

Rule of this file: an error says which file, where, and what the operator can do.
"""


class JournalDamaged(Exception):
    """Bytes that were durable are gone or wrong: starting would lose acknowledged writes."""

    def __init__(self, path: str, offset: int, found: str) -> None:
        super().__init__(
            f"{path}, offset {offset}: {found}. This is damage, not a torn write: the member must "
            "not start from it. Restore the file, or remove the member, empty its data directory "
            "and add it again; a single member is restored from a snapshot"
        )
        self.path = path
        self.offset = offset


class JournalUnreadable(Exception):
    """A segment of a format or cipher that this program does not know."""


class JournalFailed(Exception):
    """The disk failed under an earlier call. What is durable is unknown, so nothing is tried again:
    the member ends and recovers by opening the journal anew."""
