"""Joining a cluster that runs: asking its members who is there, and who this member is to be.

    etcd's way          the cluster was told by `member add`; the joining member finds itself in the
                        list of any member by its peer URLs
    k8s-dqlite's way    the joining member asks to be added, as a learner, and may ask again

Rule: nothing of this member exists yet but its files of configuration: whatever happens here, it
can be started again. k8s-dqlite's members keep asking until one answers; etcd's are told at once
that nobody does, since a manifest starts them again.

What was answered is in the file `join` before anything else of the member is, and stays there until
the member has heard of itself from its cluster: one that joins must never take an empty log for
that of a cluster it is to found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, cast

import trio

from net.telemetry import Logger
from server.clustering import Joined, Joining, KnownMember
from server.config import Config
from server.control import CLUSTER_ID_HEADER
from server.documents import listed as as_listed
from server.documents import unlisted
from server.dqlite import JOIN
from server.reach import Place, ReachError, ask, ask_whole, view_of
from server.writing import replace_file

ASK_S_MAX: Final = 12.0
"""A change of membership takes up to ten seconds where a leader is being elected."""
RETRY_S: Final = 1.0
_Ask = Callable[[Callable[[], Joined]], Awaitable[Joined]]


class JoinError(Exception):
    """This member cannot join; the text says why and what to do."""


async def join(config: Config, log: Logger, *, in_thread: _Ask | None = None) -> Joined:
    """Return who this member is in its cluster, and who the others are. Raises JoinError.

    `in_thread` runs a blocking call elsewhere.
    """
    call: _Ask = in_thread or trio.to_thread.run_sync
    if config.joining is None:
        return await call(partial(listed, config))
    told = ""
    while True:
        try:
            return await call(partial(added, config, config.joining))
        except ReachError as fault:
            if str(fault) != told:
                told = str(fault)
                log.warn(
                    "cannot join yet; trying on", reason=told, cluster=config.joining.addresses
                )
        await trio.sleep(RETRY_S)


def remember(data_dir: str, joined: Joined) -> None:
    """Write down what a cluster said, durably. Raises OSError."""
    os.makedirs(data_dir, exist_ok=True)
    fields = {
        "clusterID": f"{joined.cluster_id:x}",
        "memberID": f"{joined.member_id:x}",
        "members": [as_listed(each) for each in joined.members],
    }
    replace_file(data_dir, JOIN, json.dumps(fields))


def remembered(data_dir: str) -> Joined | None:
    """Return what was written down; None if there is nothing. Raises JoinError, OSError."""
    path = os.path.join(data_dir, JOIN)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            # JSON, as it comes; what is missing raises.
            fields = cast("dict[str, Any]", json.load(file))
        return Joined(
            int(fields["clusterID"], 16),
            int(fields["memberID"], 16),
            tuple(map(unlisted, fields["members"])),
        )
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as fault:
        raise JoinError(f"{path} is none of Trine's: delete it, and the directory") from fault


def listed(config: Config) -> Joined:
    """Find this member in the list of another, as etcd does. Raises JoinError."""
    own = set(config.advertise_peer)
    others = [
        url for one in config.initial_cluster if one.name != config.name for url in one.peer_urls
    ]
    faults: list[str] = []
    for url in others:
        place = _place(config, url)
        try:
            reply = ask_whole(place, "GET", "/members", timeout_s=ASK_S_MAX)
            members = _members(reply.document)
            cluster_id = int(reply.headers[CLUSTER_ID_HEADER], 16)
        except (ReachError, KeyError, TypeError, ValueError) as fault:
            faults.append(str(fault))
            continue
        mine = [each for each in members if own & set(each.peer_urls)]
        if not mine:
            raise JoinError(_unknown(config, members))
        _check_counts(config, members)
        if mine[0].name:
            raise JoinError(
                f"member {mine[0].id:x} has already been bootstrapped: its data is not in "
                f"{config.data_dir}; remove it from the cluster and add it anew"
            )
        return Joined(cluster_id, mine[0].id, members)
    told = "; ".join(faults) or "--initial-cluster names no other member"
    raise JoinError(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from "
        f"the given URLs: {told}"
    )


def added(config: Config, joining: Joining) -> Joined:
    """Have this member added by the first member that answers. Raises ReachError."""
    faults: list[str] = []
    scheme = config.advertise_peer[0].partition("://")[0]
    for address in joining.addresses:
        place = _place(config, f"{scheme}://{address}")
        fields = {"peerURLs": list(config.advertise_peer)}
        try:
            answer = ask(place, "POST", "/control/join", fields, timeout_s=ASK_S_MAX)
            view = view_of(answer, place)
        except ReachError as fault:
            faults.append(str(fault))
            continue
        if view.joined is None:
            faults.append(f"{place.url}: the answer is none of a member's.")
            continue
        return Joined(view.cluster_id, view.joined, view.members)
    raise ReachError(" ".join(faults))


def _place(config: Config, url: str) -> Place:
    tls = config.peer_tls if url.startswith("https://") else None
    return Place(url, tls, config.peer_dial_pair, config.peer_pinned)


def _members(document: object) -> tuple[KnownMember, ...]:
    """Return the members that etcd's peer port lists. Raises KeyError, TypeError, ValueError."""
    if not isinstance(document, list):
        raise TypeError(f"no list of members: {json.dumps(document)[:80]}")
    # JSON, as it comes; what is missing raises.
    rows = cast("list[dict[str, Any]]", document)
    return tuple(
        KnownMember(
            int(row["id"]),
            str(row.get("name", "")),
            tuple(map(str, row["peerURLs"])),
            tuple(map(str, row.get("clientURLs") or ())),
            bool(row.get("isLearner", False)),
        )
        for row in rows
    )


def _check_counts(config: Config, members: Sequence[KnownMember]) -> None:
    """Refuse a list of another cluster than the one that answered, in etcd's words."""
    if len(members) != len(config.initial_cluster):
        there = ",".join(f"{each.name or '(new)'}={'+'.join(each.peer_urls)}" for each in members)
        raise JoinError(
            "error validating peerURLs: member count is unequal: --initial-cluster names "
            f"{len(config.initial_cluster)}, the cluster has {len(members)}: {there}"
        )
    wanted = {url for one in config.initial_cluster for url in one.peer_urls}
    for each in members:
        if not wanted & set(each.peer_urls):
            raise JoinError(
                "error validating peerURLs: PeerURLs: no match found for existing member "
                f"({each.id:x}, {', '.join(each.peer_urls)}): add it to --initial-cluster"
            )


def _unknown(config: Config, members: Sequence[KnownMember]) -> str:
    there = ", ".join(url for each in members for url in each.peer_urls)
    own = ",".join(config.advertise_peer)
    return (
        f"the cluster does not know {own} (it knows {there}): first tell it: "
        f"etcdctl member add {config.name} --peer-urls={own}"
    )
