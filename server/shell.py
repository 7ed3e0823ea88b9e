"""`trine shell`: dqlite's shell, against a member that runs.

Rule: arguments, commands and output are dqlite's (`dqlite -s SERVERS -c CRT -k KEY DATABASE
[COMMAND]`), so that what operators of k8s-dqlite have in their scripts goes on working. Without
`-s` the member of this machine is asked, over the socket file in its data directory. What dqlite
does and Trine does another way is answered with the other way.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

import attrs
import click

from net.store.connection import SqlRow
from net.tls import TlsOptions
from server.clustering import KnownMember
from server.documents import Fields
from server.dqlite import ROLES, DqliteFileError, address_of, node_of, read_cluster
from server.output import tell
from server.reach import Place, ReachError, RefusedError, View, ask, shared_pair, view_of
from server.tabular import indented, tabular

Format = Literal["tabular", "json"]
_COMMAND = TypeVar("_COMMAND", bound=Callable[..., object])
DATABASE: Final = "k8s"
QUORUM: Final = "/control/cluster?linearizable=true"
RETRY_S: Final = 0.1
NO_LEADER: Final = "no available leader server found"
_OTHER_WAYS: Final = {
    ".weight": "members have no weights: voters are chosen by failure domain",
    ".dump": "the whole store is saved with: trine snapshot save FILE",
    ".reconfigure": "a cluster that lost its quorum is begun anew with: trine recover",
}
HELP: Final = """\
Enter a SQL statement to execute it, or one of the following built-in commands:

  .cluster                          Show the cluster membership
  .leader                           Show the current leader
  .remove <address>                 Remove a node from the cluster
  .describe <address>               Show the details of a node
  .transfer <address>               Make a node the leader
  .help                             Show this text

SQL is read only, and reads what the asked member has stored; the view kine
has the columns that operators of k8s-dqlite know."""


class ShellError(Exception):
    """A line that cannot be obeyed; the text is a sentence."""


@attrs.define
class Shell:
    """Obeys lines, asking the first of its places that answers."""

    places: Sequence[Place]
    format: Format
    timeout_s: float
    warn: Callable[[str], None]
    clock_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def process(self, line: str) -> str:
        """Return what a line answers. Raises ShellError, ReachError."""
        words = line.split()
        name = words[0].lower() if words else ""
        match name, words[1:]:
            case ".help", []:
                return HELP
            case ".cluster", []:
                return self._cluster()
            case ".leader", []:
                return self._leader()
            case ".remove", [address]:
                return self._remove(address)
            case ".describe", [address]:
                return self._describe(address)
            case ".transfer", [address]:
                return self._transfer(address)
            case ".remove" | ".describe" | ".transfer", _:
                raise ShellError(f"bad command format, should be: {name} <address>")
            case _ if name in _OTHER_WAYS:
                raise ShellError(f"{name} is not here: {_OTHER_WAYS[name]}")
            case _ if name.startswith("."):
                raise ShellError(f"{line.strip()} is not a command here: see .help")
            case _:
                return self._query(line)

    def _cluster(self) -> str:
        try:
            place, fields = self._ask("GET", QUORUM)
        except RefusedError as fault:
            place, fields = self._ask("GET", "/control/cluster")
            view = view_of(fields, place)
            self.warn(f"no quorum answers ({fault}); this is what member {view.member_id:x} knows")
        nodes = [node_of(each) for each in view_of(fields, place).members]
        if self.format == "json":
            return indented(
                [{"ID": each.id, "Address": each.address, "Role": each.role} for each in nodes]
            )
        return "\n".join(f"{each.id:x}|{each.address}|{ROLES[each.role]}" for each in nodes)

    def _leader(self) -> str:
        """Return who leads as a quorum knows it: one member alone may know a dead one."""
        ends_s = self.clock_s() + self.timeout_s
        while True:
            try:
                place, fields = self._ask("GET", QUORUM)
                leader = view_of(fields, place).leading()
            except RefusedError:
                leader = None
            if leader is not None:
                return address_of(leader.peer_urls)
            if self.clock_s() >= ends_s:
                raise ShellError(NO_LEADER)
            self.sleep(RETRY_S)

    def _remove(self, address: str) -> str:
        return self._change("remove", address)

    def _transfer(self, address: str) -> str:
        return self._change("transfer", address)

    def _change(self, verb: str, address: str) -> str:
        member = self._at(address)
        try:
            self._ask("POST", f"/control/{verb}", {"id": f"{member.id:x}"})
        except RefusedError as fault:
            raise ShellError(f'{verb} node "{address}": {fault}') from fault
        return ""

    def _describe(self, address: str) -> str:
        place, fields = self._ask("GET", "/control/cluster")
        view = view_of(fields, place)
        member = view.at(address)
        if member is None:
            raise ShellError(f'no node has address "{address}"')
        if member.id != view.member_id:
            if place.url.startswith("unix://"):
                raise ShellError(
                    f"{address} is another member: ask it with -s {address}, -c and -k"
                )
            place = attrs.evolve(place, url=member.peer_urls[0])
        described = ask(place, "GET", "/control/describe", timeout_s=self.timeout_s)
        if self.format == "json":
            return indented(described)
        return f"{address}|{described.get('FailureDomain', 0)}|{described.get('Weight', 0)}"

    def _query(self, statement: str) -> str:
        if not statement.strip():
            return ""
        columns, rows = self.rows(statement)
        if self.format == "json":
            return indented([dict(zip(columns, row, strict=True)) for row in rows])
        return tabular(columns, rows)

    def rows(self, statement: str) -> tuple[list[str], list[SqlRow]]:
        """Return names and rows of a query. Raises ShellError, ReachError."""
        _, answer = self._ask("POST", "/control/sql", {"statement": statement})
        return list(answer.get("columns", [])), [tuple(row) for row in answer.get("rows", [])]

    def _at(self, address: str) -> KnownMember:
        member = self._view().at(address)
        if member is None:
            raise ShellError(f'no node has address "{address}"')
        return member

    def _view(self) -> View:
        place, fields = self._ask("GET", "/control/cluster")
        return view_of(fields, place)

    def _ask(self, method: str, path: str, fields: Fields | None = None) -> tuple[Place, Fields]:
        """Return who answered, and what: the first of the places that does."""
        faults: list[str] = []
        for place in self.places:
            try:
                return place, ask(place, method, path, fields, timeout_s=self.timeout_s)
            except RefusedError:
                raise
            except ReachError as fault:
                faults.append(str(fault))
        raise ShellError(" ".join(faults))


def server_options(command: _COMMAND) -> _COMMAND:
    """Add the options that say which members are asked, and what is shown to them."""
    file = click.Path(exists=True, dir_okay=False)
    options = (
        click.option(
            "-s", "--servers", help="host:port of members, comma separated, or file://STORE."
        ),
        click.option("-c", "--cert", type=file, help="Public TLS certificate."),
        click.option("-k", "--key", type=file, help="Private TLS key."),
        click.option(
            "--cacert",
            type=file,
            help="Authority of the members' certificates, where they do not share one. "
            "[default: the certificate itself]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("database", required=False)
@click.argument("command", required=False)
@server_options
@click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(["tabular", "json"]),
    default="tabular",
    show_default=True,
    help="Output format.",
)
@click.option(
    "-t", "--timeout", type=int, default=2000, show_default=True, help="Of each request (msec)."
)
@click.option(
    "--data-dir",
    "--storage-dir",
    "data_dir",
    type=click.Path(file_okay=False),
    default="default.trine",
    show_default=True,
    envvar="ETCD_DATA_DIR",
    show_envvar=True,
    help="Without -s: directory of this machine's member.",
)
def shell(
    database: str | None,
    command: str | None,
    servers: str | None,
    cert: str | None,
    key: str | None,
    cacert: str | None,
    format_: Format,
    timeout: int,
    data_dir: str,
) -> None:
    """Inspect a running cluster as dqlite's shell does: run COMMAND, or a shell without one.

    DATABASE is k8s, the only one; it may be left out.
    """
    if command is None and database is not None and (database[:1] == "." or " " in database):
        database, command = None, database
    if database not in (None, DATABASE):
        raise click.UsageError(f'no such database: "{database}"; there is one: {DATABASE}.')
    places = places_of(servers, data_dir, pair_of(cert, key, cacert), is_pinned=cacert is None)
    wanted = Shell(places, format_, timeout / 1000, lambda sentence: tell("shell", sentence))
    if command is not None:
        sys.exit(0 if all(_obey(wanted, line) for line in split(command)) else 1)
    if sys.stdin.isatty():
        _converse(wanted)
        return
    sys.exit(0 if all([_obey(wanted, line) for line in sys.stdin if line.strip()]) else 1)


def pair_of(cert: str | None, key: str | None, cacert: str | None) -> TlsOptions | None:
    """Return what to show and whom to trust; None for plain links. Raises click.UsageError."""
    if (cert is None) != (key is None):
        raise click.UsageError("both TLS certificate and key must be given")
    if cert is None or key is None:
        return None
    tls = shared_pair(cert, key)
    return tls if cacert is None else attrs.evolve(tls, trusted_ca_file=cacert)


def places_of(
    servers: str | None, data_dir: str, tls: TlsOptions | None, *, is_pinned: bool
) -> list[Place]:
    """Return where to ask. Raises click.UsageError."""
    if servers is None:
        # Imported here: the name of a file is all that is wanted of it.
        path = os.path.join(os.path.abspath(data_dir), "control.sock")
        return [Place(f"unix://{path}")]
    if servers.startswith("file://"):
        path = servers.removeprefix("file://")
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                addresses = [node.address for node in read_cluster(file.read(), path)]
        except OSError as fault:
            raise click.UsageError(f"open servers store: {path}: {fault.strerror}.") from fault
        except DqliteFileError as fault:
            raise click.UsageError(f"open servers store: {fault}") from fault
    else:
        addresses = [part.strip() for part in servers.split(",") if part.strip()]
    if not addresses:
        raise click.UsageError("no servers provided")
    scheme = "http" if tls is None else "https"
    return [Place(f"{scheme}://{address}", tls, None, is_pinned) for address in addresses]


def split(command: str) -> list[str]:
    """Return the lines of a command, which semicolons part, but not those inside of quotes."""
    from net.store.sql import statements

    return statements(command)


def _obey(wanted: Shell, line: str) -> bool:
    try:
        answer = wanted.process(line.strip().removesuffix(";"))
    except (ShellError, ReachError) as fault:
        tell("shell", str(fault))
        return False
    if answer:
        click.echo(answer)
    return True


def _converse(wanted: Shell) -> None:
    """Answer lines until the end of input."""
    import readline  # It is what makes input() remember lines.

    click.echo("Enter a statement or a command; .help tells which; Ctrl-D ends.")
    readline.set_history_length(1000)
    try:
        while True:
            line = input("trine> ")
            if line.strip():
                _obey(wanted, line)
    except (EOFError, KeyboardInterrupt):
        click.echo()
