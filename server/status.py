"""`trine status`: what members say of themselves, with etcdctl's columns and JSON."""

from __future__ import annotations

import sys
from typing import Final

import click

from net.etcd.pb import rpc_pb2
from server.client import Access, CallError, access_of, access_options
from server.client import status as ask
from server.memory import size_text
from server.output import fields, json_text, table, tell

COLUMNS: Final = (
    "ENDPOINT",
    "ID",
    "VERSION",
    "DB SIZE",
    "IN USE",
    "QUOTA",
    "IS LEADER",
    "IS LEARNER",
    "RAFT TERM",
    "RAFT INDEX",
    "RAFT APPLIED INDEX",
    "REVISION",
    "ERRORS",
)


@click.command()
@access_options
@click.option(
    "-w",
    "--write-out",
    type=click.Choice(["table", "simple", "json"]),
    default="table",
    show_default=True,
    envvar="ETCDCTL_WRITE_OUT",
    show_envvar=True,
    help="Table, comma separated lines, or JSON.",
)
def status(
    endpoints: str,
    cacert: str | None,
    cert: str | None,
    key: str | None,
    command_timeout: float,
    write_out: str,
) -> None:
    """Show the state of members. Exit code 1 if one of them does not answer."""
    access = access_of(
        endpoints=endpoints, cacert=cacert, cert=cert, key=key, command_timeout=command_timeout
    )
    answers, faults = ask_all(access)
    if answers or write_out == "json":
        click.echo(rendered(answers, write_out))
    for fault in faults:
        tell("status", fault)
    sys.exit(1 if faults else 0)


def ask_all(access: Access) -> tuple[list[tuple[str, rpc_pb2.StatusResponse]], list[str]]:
    """Return every member's answer by endpoint, and a sentence for each that gave none."""
    answers: list[tuple[str, rpc_pb2.StatusResponse]] = []
    faults: list[str] = []
    for endpoint in access.endpoints:
        try:
            answers.append((endpoint, ask(access, endpoint)))
        except CallError as fault:
            faults.append(str(fault))
    return answers, faults


def rendered(answers: list[tuple[str, rpc_pb2.StatusResponse]], write_out: str) -> str:
    """Return the answers as a table, as lines or as JSON."""
    if write_out == "json":
        return json_text([{"Endpoint": at, "Status": fields(answer)} for at, answer in answers])
    rows = [_row(at, answer) for at, answer in answers]
    if write_out == "simple":
        return "\n".join(", ".join(row) for row in rows)
    return table(COLUMNS, rows)


def _row(endpoint: str, answer: rpc_pb2.StatusResponse) -> tuple[str, ...]:
    header = answer.header
    return (
        endpoint,
        f"{header.member_id:x}",
        answer.version,
        size_text(answer.dbSize),
        size_text(answer.dbSizeInUse),
        size_text(answer.dbSizeQuota),
        "true" if answer.leader == header.member_id else "false",
        "true" if answer.isLearner else "false",
        str(answer.raftTerm),
        str(answer.raftIndex),
        str(answer.raftAppliedIndex),
        str(header.revision),
        "; ".join(answer.errors),
    )
