"""Verbs for tests of the store: make one, fill it, read it back whole."""

from collections.abc import Sequence

from net.disk import Disk, RealDisk
from net.store.batch import Batch, ChangeRow, Identity
from net.store.store import Store

IDENTITY = Identity(cluster_id=0xCDF818194E3A8C32, member_id=0x8E9E05C52164694D)


class History:
    """Makes batches as the core would: contiguous revisions, versions, change numbers."""

    def __init__(self) -> None:
        self.index = 0
        self.revision = 1
        self.compact_revision = 0
        self.number = 0
        self.live: dict[bytes, tuple[int, int, int]] = {}  # key -> number, create, version

    def put(self, *keys: bytes, value: bytes = b"value", lease: int = 0) -> list[ChangeRow]:
        """Return the rows of one transaction that puts the keys."""
        self.revision += 1
        rows: list[ChangeRow] = []
        for sub, key in enumerate(keys):
            prev, create, version = self.live.get(key, (0, self.revision, 0))
            if version == 0:
                create = self.revision
            self.number += 1
            row = (self.number, self.revision, sub, key, create, version + 1, prev, lease, 0, value)
            rows.append(row)
            self.live[key] = (self.number, create, version + 1)
        return rows

    def delete(self, *keys: bytes) -> list[ChangeRow]:
        """Return the rows of one transaction that deletes the keys."""
        self.revision += 1
        rows: list[ChangeRow] = []
        for sub, key in enumerate(keys):
            self.number += 1
            prev = self.live[key][0]
            rows.append((self.number, self.revision, sub, key, 0, 0, prev, 0, 1, None))
            self.live[key] = (self.number, 0, 0)
        return rows

    def batch(self, *rows: list[ChangeRow], dead: Sequence[int] = ()) -> Batch:
        """Return the batch that holds these transactions' rows, at the next index."""
        self.index += 1
        return Batch(
            index=self.index,
            term=3,
            revision=self.revision,
            compact_revision=self.compact_revision,
            changes=[row for transaction in rows for row in transaction],
            dead=dead,
        )


def new_store(directory: str, disk: Disk | None = None, vfs: str | None = None) -> Store:
    """Create a store at generation 1."""
    disk = RealDisk() if disk is None else disk
    return Store.create(disk, directory, identity=IDENTITY, vfs=vfs)


def open_store(directory: str, generation: int = 1) -> Store:
    """Open a generation on real files."""
    return Store.open(RealDisk(), directory, generation=generation)


def rows_of(store: Store) -> list[ChangeRow]:
    """Return all change rows."""
    return [row for chunk in store.rows() for row in chunk]


def filled(directory: str, puts: int = 20) -> Store:
    """Create a store with puts over ten keys, one batch each."""
    store = new_store(directory)
    history = History()
    for number in range(puts):
        store.write(history.batch(history.put(b"/k/%d" % (number % 10), value=b"v%d" % number)))
    return store
