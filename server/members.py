"""`trine member` and `trine move-leader`: who the cluster is, with etcdctl's arguments and lines.

Rule: a change is asked once, of the first endpoint that answers; what etcdctl prints is printed, so
that scripts made for one work with the other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Final, NoReturn, TypeVar

import click

from net.etcd.pb import rpc_pb2 as pb
from server.client import Access, CallError, access_of, access_options, call, reachable
from server.client import status as ask_status
from server.output import fields, json_text, table, tell

COLUMNS: Final = ("ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER")
_ANSWER = TypeVar("_ANSWER")
_ID_MOST: Final = (1 << 64) - 1


class _MemberId(click.ParamType[int]):
    """A member's id as etcdctl has it: hexadecimal."""

    name = "MEMBER_ID"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number; fails with what to write."""
        try:
            number = int(str(value), 16)
        except ValueError:
            number = -1
        if not 0 <= number <= _ID_MOST:
            self.fail(f'bad member ID arg "{value}", expecting ID in Hex', param, ctx)
        return number


_WRITE_OUT: Final = click.option(
    "-w",
    "--write-out",
    type=click.Choice(["simple", "table", "json"]),
    default="simple",
    show_default=True,
    envvar="ETCDCTL_WRITE_OUT",
    show_envvar=True,
    help="Lines, a table, or JSON.",
)
_PEER_URLS: Final = click.option(
    "--peer-urls", required=True, help="Where other members reach it, comma separated URLs."
)


@click.group()
def member() -> None:
    """Membership related commands."""


@member.command("list")
@access_options
@_WRITE_OUT
@click.option(
    "--consistency",
    type=click.Choice(["l", "s"]),
    default="l",
    show_default=True,
    help="l asks a quorum; s what the asked member knows.",
)
def list_(write_out: str, consistency: str, **options: object) -> None:
    """List all members in the cluster."""
    access = _access(options)
    request = pb.MemberListRequest(linearizable=consistency == "l").SerializeToString()
    answer = _call(access, "MemberList", request, pb.MemberListResponse.FromString)
    lines = "\n".join(", ".join(_row(each)) for each in answer.members)
    _print(answer.members, fields(answer), write_out, lines)


@member.command()
@click.argument("name")
@_PEER_URLS
@click.option(
    "--learner/--voter", default=False, help="Whether it receives the log without a vote for good."
)
@access_options
@_WRITE_OUT
def add(name: str, peer_urls: str, write_out: str, *, learner: bool, **options: object) -> None:
    """Add a member called NAME, before it is started for the first time."""
    request = pb.MemberAddRequest(peerURLs=_urls(peer_urls), isLearner=learner).SerializeToString()
    answer = _call(_access(options), "MemberAdd", request, pb.MemberAddResponse.FromString)
    if write_out != "simple":
        _print(answer.members, fields(answer), write_out)
        return
    kind = "as learner " if answer.member.isLearner else ""
    cluster = answer.header.cluster_id
    click.echo(f"Member {answer.member.ID:16x} added {kind}to cluster {cluster:16x}\n")
    pairs = [
        f"{name if each.ID == answer.member.ID else each.name}={url}"
        for each in answer.members
        for url in each.peerURLs
    ]
    click.echo(f'ETCD_NAME="{name}"')
    click.echo(f'ETCD_INITIAL_CLUSTER="{",".join(pairs)}"')
    click.echo(f'ETCD_INITIAL_ADVERTISE_PEER_URLS="{peer_urls}"')
    click.echo('ETCD_INITIAL_CLUSTER_STATE="existing"')


@member.command()
@click.argument("member_id", type=_MemberId())
@access_options
@_WRITE_OUT
def remove(member_id: int, write_out: str, **options: object) -> None:
    """Remove a member; its data can never be started again."""
    request = pb.MemberRemoveRequest(ID=member_id).SerializeToString()
    answer = _call(_access(options), "MemberRemove", request, pb.MemberRemoveResponse.FromString)
    line = f"Member {member_id:16x} removed from cluster {answer.header.cluster_id:16x}"
    _print(answer.members, fields(answer), write_out, line)


@member.command()
@click.argument("member_id", type=_MemberId())
@_PEER_URLS
@access_options
@_WRITE_OUT
def update(member_id: int, peer_urls: str, write_out: str, **options: object) -> None:
    """Tell the cluster where a member is reached from now on."""
    urls = _urls(peer_urls)
    request = pb.MemberUpdateRequest(ID=member_id, peerURLs=urls).SerializeToString()
    answer = _call(_access(options), "MemberUpdate", request, pb.MemberUpdateResponse.FromString)
    line = f"Member {member_id:16x} updated in cluster {answer.header.cluster_id:16x}"
    _print(answer.members, fields(answer), write_out, line)


@member.command()
@click.argument("member_id", type=_MemberId())
@access_options
@_WRITE_OUT
def promote(member_id: int, write_out: str, **options: object) -> None:
    """Make a learner that has caught up a member that votes."""
    request = pb.MemberPromoteRequest(ID=member_id).SerializeToString()
    answer = _call(_access(options), "MemberPromote", request, pb.MemberPromoteResponse.FromString)
    line = f"Member {member_id:16x} promoted in cluster {answer.header.cluster_id:16x}"
    _print(answer.members, fields(answer), write_out, line)


@click.command()
@click.argument("member_id", type=_MemberId())
@access_options
def move_leader(member_id: int, **options: object) -> None:
    """Give leadership to another member; the leader must be among the endpoints."""
    access = _access(options)
    try:
        for endpoint in access.endpoints:
            status = ask_status(access, endpoint)
            if status.leader == status.header.member_id:
                request = pb.MoveLeaderRequest(targetID=member_id).SerializeToString()
                decode = pb.MoveLeaderResponse.FromString
                call(access, endpoint, "Maintenance/MoveLeader", request, decode)
                click.echo(f"Leadership transferred from {status.leader:x} to {member_id:x}")
                return
    except CallError as fault:
        _fail("move-leader", str(fault))
    _fail("move-leader", f"no leader endpoint given at {','.join(access.endpoints)}")


def _call(
    access: Access, method: str, request: bytes, decode: Callable[[bytes], _ANSWER]
) -> _ANSWER:
    try:
        endpoint, _ = reachable(access)
        return call(access, endpoint, f"Cluster/{method}", request, decode)
    except CallError as fault:
        _fail("member", str(fault))


def _access(options: dict[str, object]) -> Access:
    """Return what the options of `access_options` say."""

    def path(name: str) -> str | None:
        value = options[name]
        return None if value is None else str(value)

    return access_of(
        endpoints=str(options["endpoints"]),
        cacert=path("cacert"),
        cert=path("cert"),
        key=path("key"),
        command_timeout=float(str(options["command_timeout"])),
    )


def _urls(text: str) -> list[str]:
    return [url.strip() for url in text.split(",") if url.strip()]


def _print(
    members: Iterable[pb.Member], document: dict[str, object], write_out: str, simple: str = ""
) -> None:
    if write_out == "json":
        click.echo(json_text(document))
    elif write_out == "table":
        click.echo(table(COLUMNS, [_row(each) for each in members]))
    else:
        click.echo(simple)


def _row(each: pb.Member) -> tuple[str, ...]:
    return (
        f"{each.ID:x}",
        "started" if each.name else "unstarted",
        each.name,
        ",".join(each.peerURLs),
        ",".join(each.clientURLs),
        "true" if each.isLearner else "false",
    )


def _fail(command: str, sentence: str) -> NoReturn:
    tell(command, sentence)
    sys.exit(1)
