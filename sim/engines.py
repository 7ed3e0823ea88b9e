"""Which engine orders a run's log, and who judges it.

Rule of this file: composition. The perfect log answers to its ledger, which elects; the real engine
elects itself and is looked at by the truth; a member alone needs neither.

    engine     members    elects            judged by
    perfect    any        the ledger        the ledger
    raft       any        the engine        the truth
    pysyncobj  any        the engine        the truth
    local      one        nobody            its own journal
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from core.members import Member, MemberRole
from core.operations import MemberAdd, MemberPromote, MemberRemove, MembersChange
from core.settings import NodeConfig
from net.local import LocalEngine
from net.raft import wire
from net.raft.engine import RaftEngine
from net.raft.makers import maker
from net.raft.replica import RaftConfig, Timing
from net.replicator import Entry, LogBounds, Replicator
from sim import perfect_messages
from sim.ledger import Ledger
from sim.ops import Admin
from sim.perfect import PerfectEngine
from sim.perfect_log import KEPT_ENTRIES
from sim.plan import Options
from sim.truth import Truth, Watched
from sim.wire_words import peer_url

HEARTBEAT_MS: Final = 100
ELECTION_MS: Final = 1000
"""As etcd's defaults."""
LEARNERS_MAX: Final = 2
KEPT_BYTES: Final = 1 << 20
"""So little stays behind a cut: else no follower would ever need a snapshot."""


def engine_of(
    options: Options,
    member_id: int,
    bounds: LogBounds,
    *,
    base: tuple[int, int],
    entries: Sequence[Entry],
    ledger: Ledger,
    truth: Truth,
    chance: Callable[[], Random],
    lossy: bool = False,
) -> Replicator:
    """Return a member's engine for one life, on what its journal holds.

    Only an engine that draws asks for chance: a stream of it shows in a run's digest.
    """
    match options.engine:
        case "local":
            return LocalEngine(member_id, bounds)
        case "raft" | "pysyncobj":
            config = RaftConfig(
                member_id,
                Timing(HEARTBEAT_MS, ELECTION_MS),
                kept_entries=KEPT_ENTRIES,
                kept_bytes=KEPT_BYTES,
                message_bytes=options.pack_bytes,
            )
            make = maker(has_library_decide=options.engine == "pysyncobj")
            engine = RaftEngine(
                config, bounds, base=base, entries=entries, chance=chance(), make=make
            )
            return Watched(engine, member_id, truth)
        case _:
            perfect = PerfectEngine(
                member_id,
                ledger,
                bounds,
                base=base,
                entries=entries,
                message_bytes=options.pack_bytes,
                lossy=lossy,
            )
            ledger.engines[member_id] = perfect
            return perfect


def node_config(options: Options, member_id: int, origin: int) -> NodeConfig:
    """Return what a member of tier 1 decides by itself. It tells the others what they know."""
    alone = options.engine == "local"
    return NodeConfig(
        member_id=member_id,
        origin=origin,
        quota_bytes=options.quota_bytes,
        request_bytes_max=1 << 21,
        fragment_bytes=4096,
        progress_interval_ms=2000,
        request_timeout_ms=0 if alone else 7000,
        election_timeout_ms=0 if alone else ELECTION_MS,
        name=f"m{member_id}",
        client_urls=(client_url(member_id),),
        are_members_fixed=not options.is_raft,
        learners_max=LEARNERS_MAX,
        voters_wanted=options.voters,
        stand_bys_wanted=options.stand_bys,
        failure_domain=domain_of(options, member_id),
    )


def domain_of(options: Options, member_id: int) -> int:
    """Return the failure domain of a member's machine; 0 where there is but one."""
    return 1 + member_id % options.domains if options.domains > 1 else 0


def founders(count: int) -> list[Member]:
    """Return who founds a cluster of so many members; ids are numbers from 1."""
    return [
        Member(number, f"m{number}", (peer_url(number),), (client_url(number),))
        for number in range(1, count + 1)
    ]


def client_url(member_id: int) -> str:
    """Return where a member listens for clients, in names only."""
    return f"http://m{member_id}:2379"


def change_asked(op: Admin) -> MembersChange | None:
    """Return the change of members that an operation asks for; None if it is another."""
    member_id = op.target + 1
    match op.what:
        case "member_add" | "member_learn":
            role = MemberRole.JOINING if op.what == "member_add" else MemberRole.STAND_BY
            return MemberAdd(member_id, (peer_url(member_id),), role, LEARNERS_MAX)
        case "member_promote":
            return MemberPromote(member_id)
        case "member_remove":
            return MemberRemove(member_id)
        case _:
            return None


def kind_of(options: Options) -> Callable[[bytes], str]:
    """Return what names the engine's messages, for traces."""
    return wire.kind_of if options.is_raft else perfect_messages.kind_of
