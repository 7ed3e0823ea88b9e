"""Why a store cannot be used. Both kinds end a start or a command with one sentence."""


class StoreError(Exception):
    """A store file is missing, damaged, of an unknown schema, or not where it may be written."""


class StoreHeld(Exception):
    """Another process holds the write lock of the file; nothing was written.

    Trine itself has one writer and never meets its own lock, so this takes a foreign program
    that began a write. The batch is still the caller's: it writes it again at its next flush.
    """
