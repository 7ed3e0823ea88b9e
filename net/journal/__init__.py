"""The segment journal: the truth, and the only thing synced on the write path.

Rule of this folder: `Journal` is the way in; `layout` alone knows bytes, `scan` alone judges them,
`spares` alone names segment files. Payloads of packs are opaque here.
"""

from net.journal.errors import JournalDamaged as JournalDamaged
from net.journal.errors import JournalFailed as JournalFailed
from net.journal.errors import JournalUnreadable as JournalUnreadable
from net.journal.inspect import Finding as Finding
from net.journal.inspect import inspect as inspect
from net.journal.journal import SEGMENT_BYTES as SEGMENT_BYTES
from net.journal.journal import Journal as Journal
from net.journal.journal import Recovered as Recovered
from net.journal.layout import HARD_STATE as HARD_STATE
from net.journal.layout import PACK as PACK
from net.journal.layout import SNAPSHOT_MARK as SNAPSHOT_MARK
from net.journal.layout import STORE_SWITCH as STORE_SWITCH
from net.journal.layout import Frame as Frame
from net.journal.layout import HardState as HardState
from net.journal.layout import Position as Position
from net.journal.layout import SnapshotMark as SnapshotMark
from net.journal.layout import StoreSwitch as StoreSwitch
from net.journal.reserve import Reserve as Reserve
