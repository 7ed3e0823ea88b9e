"""The files of a storage directory in k8s-dqlite's form, as text and as values.

    init.yaml        Address, Cluster     written by people; read once, then deleted
    update.yaml      Address              written by people; read once, then deleted
    failure-domain   a number             written by people
    cluster.crt/.key one pair for all     written by people
    info.yaml        ID, Address, Role    this member
    cluster.yaml     a list of those      every member

Rule: pure and strict. What is read is checked here, each fault a sentence that names the file; what
is written has the keys, and their order, of k8s-dqlite. Unknown keys are faults: a misspelt
`Cluster` would make a second cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

import attrs

from server.clustering import KnownMember

INIT, UPDATE, INFO, CLUSTER = "init.yaml", "update.yaml", "info.yaml", "cluster.yaml"
FAILURE_DOMAIN, TUNING, JOIN = "failure-domain", "tuning.yaml", "join"
CERTIFICATE, KEY = "cluster.crt", "cluster.key"
EXPECTED_AT_INIT: Final = frozenset({CERTIFICATE, KEY, INIT, FAILURE_DOMAIN, TUNING, JOIN})
"""What may be beside init.yaml; anything else is data that an init would damage."""

ROLES: Final = ("voter", "stand-by", "spare")
_NODE_FIELDS: Final = ("ID", "Address", "Role")
_UINT64_MOST: Final = (1 << 64) - 1
_PORT_MOST: Final = 65_535


class DqliteFileError(Exception):
    """A file that cannot be used; the text is a sentence that names it."""


@attrs.frozen
class Init:
    """What init.yaml says; an empty `cluster` begins a new one."""

    address: str
    cluster: tuple[str, ...] = ()


@attrs.frozen
class NodeInfo:
    """One member as k8s-dqlite writes it; the role is an index of `ROLES`."""

    id: int
    address: str
    role: int = 0


def read_init(text: str) -> Init:
    """Return what init.yaml says. Raises DqliteFileError."""
    fields = _mapping(INIT, text, ("Address", "Cluster"))
    listed = _list(fields.get("Cluster", ""))
    if listed is None:
        raise DqliteFileError(f"{INIT}: Cluster is a list of addresses: one a line, after a dash.")
    cluster = tuple(_address(INIT, item) for item in listed)
    address = _own_address(INIT, fields)
    if address in cluster:
        raise DqliteFileError(
            f"{INIT}: {address} is this member's Address and in Cluster: list other members there."
        )
    return Init(address, cluster)


def read_update(text: str) -> str:
    """Return the address that update.yaml gives. Raises DqliteFileError."""
    return _own_address(UPDATE, _mapping(UPDATE, text, ("Address",)))


def read_info(text: str) -> NodeInfo:
    """Return who info.yaml says this member is. Raises DqliteFileError."""
    return _node(INFO, _mapping(INFO, text, _NODE_FIELDS))


def read_cluster(text: str, name: str = CLUSTER) -> tuple[NodeInfo, ...]:
    """Return the members that a cluster.yaml lists. Raises DqliteFileError."""
    nodes = _list(_loaded(name, text))
    if nodes is None:
        raise DqliteFileError(f"{name} is a list of members with ID, Address and Role.")
    return tuple(_node(name, _checked(name, node, _NODE_FIELDS)) for node in nodes)


def read_failure_domain(text: str) -> int:
    """Return the number of a failure domain. Raises DqliteFileError."""
    number = _whole(_loaded(FAILURE_DOMAIN, text) or "0")
    if number is None:
        raise DqliteFileError(f"{FAILURE_DOMAIN} holds one whole number and nothing else.")
    return number


def info_text(node: NodeInfo) -> str:
    """Return info.yaml."""
    return f"ID: {node.id}\nAddress: {_scalar(node.address)}\nRole: {node.role}\n"


def cluster_text(nodes: Sequence[NodeInfo]) -> str:
    """Return cluster.yaml."""
    items = [info_text(node).replace("\n", "\n  ").rstrip(" ") for node in nodes]
    return "".join(f"- {item}" for item in items) or "[]\n"


def address_of(peer_urls: Sequence[str]) -> str:
    """Return where a member is reached as host:port, the first of its URLs; "" without one."""
    return peer_urls[0].partition("://")[2] if peer_urls else ""


def node_of(member: KnownMember) -> NodeInfo:
    """Return a member as k8s-dqlite writes it."""
    return NodeInfo(member.id, address_of(member.peer_urls), member.role)


def host_port(address: str) -> tuple[str, int]:
    """Return the two parts of a checked address; IPv6 hosts without their brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _scalar(address: str) -> str:
    return f"'{address}'" if address.startswith("[") else address


def _own_address(name: str, fields: Mapping[str, object]) -> str:
    if not fields.get("Address"):
        raise DqliteFileError(f"empty address in {name}: write Address: host:port.")
    return _address(name, fields["Address"])


def _address(name: str, value: object) -> str:
    if isinstance(value, str):
        host, _, port = value.strip().rpartition(":")
        is_port = port.isascii() and port.isdecimal() and 0 < int(port) <= _PORT_MOST
        is_host = host and not set(host) & set("/@ ") and (":" not in host or host[0] == "[")
        if is_port and is_host:
            return value.strip()
    raise DqliteFileError(f'{name}: "{value}" is no address: write host:port.')


def _node(name: str, fields: Mapping[str, object]) -> NodeInfo:
    number, role = _whole(fields.get("ID", "0")), _whole(fields.get("Role", "0"))
    if number is None:
        raise DqliteFileError(f'{name}: "{fields["ID"]}" is no ID: it is a whole number.')
    if role is None or role >= len(ROLES):
        raise DqliteFileError(
            f'{name}: "{fields["Role"]}" is no Role: 0 votes, 1 stands by, 2 is spare.'
        )
    return NodeInfo(number, _own_address(name, fields), role)


def _mapping(name: str, text: str, known: Sequence[str]) -> Mapping[str, object]:
    return _checked(name, _loaded(name, text), known)


def _checked(name: str, value: object, known: Sequence[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise DqliteFileError(f"{name} has lines of the form {known[0]}: value.")
    # The loader makes nothing but text, lists and mappings.
    fields = {str(key): field for key, field in cast("dict[object, object]", value).items()}
    for key in fields:
        if key not in known:
            raise DqliteFileError(f'{name}: no such field: "{key}"; it has {", ".join(known)}.')
    return fields


def _list(value: object) -> list[object] | None:
    """Return a list, empty for nothing at all; None for anything else."""
    if value in ("", None):
        return []
    # As above: a list is the loader's.
    return cast("list[object]", value) if isinstance(value, list) else None


def _whole(value: object) -> int | None:
    is_whole = isinstance(value, str) and value.isascii() and value.isdecimal()
    number = int(str(value)) if is_whole else -1
    return number if 0 <= number <= _UINT64_MOST else None


def _loaded(name: str, text: str) -> object:
    """Return what YAML says, every plain value as the text that stands there."""
    # Loaded for those who write it: a start without a file need not wait for it.
    import yaml

    try:
        value: object = yaml.load(text, Loader=yaml.BaseLoader)  # it makes text only
    except yaml.YAMLError as fault:
        raise DqliteFileError(f"{name} is not YAML: {' '.join(str(fault).split())}.") from fault
    return value
