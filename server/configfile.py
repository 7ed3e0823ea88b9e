"""The file that `--config-file` names: settings by name in YAML (JSON is YAML too), as etcd has it.

Rule: this file finds out which text was given to which setting, and where; it gives no text a
meaning. Every scalar is taken as the text that stands there (no `no` becomes false unasked, no
`1e3` a number). A key that is no setting or stands twice is an error with its line.

As in etcd, the two blocks `client-transport-security` and `peer-transport-security` hold the TLS
settings without prefix and with it, and `socket-options` and `discovery-config` hold what its flags
say with theirs. Durations are whole nanoseconds or Go's text; etcd knows the former only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import yaml

from server.arguments import ConfigFileError, Setting
from server.flags import Flag, nearest

_BLOCKS: Final[Mapping[str, Mapping[str, str]]] = {
    "client-transport-security": {
        "cert-file": "cert-file",
        "key-file": "key-file",
        "client-cert-file": "client-cert-file",
        "client-key-file": "client-key-file",
        "client-cert-auth": "client-cert-auth",
        "trusted-ca-file": "trusted-ca-file",
        "auto-tls": "auto-tls",
        "crl-file": "client-crl-file",
        "allowed-hostname": "client-cert-allowed-hostname",
        "allowed-hostnames": "client-cert-allowed-hostname",
    },
    "peer-transport-security": {
        "cert-file": "peer-cert-file",
        "key-file": "peer-key-file",
        "client-cert-file": "peer-client-cert-file",
        "client-key-file": "peer-client-key-file",
        "client-cert-auth": "peer-client-cert-auth",
        "trusted-ca-file": "peer-trusted-ca-file",
        "auto-tls": "peer-auto-tls",
        "crl-file": "peer-crl-file",
        "allowed-cn": "peer-cert-allowed-cn",
        "allowed-hostname": "peer-cert-allowed-hostname",
        "skip-client-san-verification": "peer-skip-client-san-verification",
    },
    "socket-options": {
        "reuse-port": "socket-reuse-port",
        "reuse-address": "socket-reuse-address",
    },
    "discovery-config": {"token": "discovery-token", "endpoints": "discovery-endpoints"},
}
_UNSET: Final = ("", "~", "null")


def read_config_file(text: str, path: str, flags: Mapping[str, Flag]) -> dict[str, Setting]:
    """Return the settings a configuration file gives, by name. Raises ConfigFileError."""
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as fault:
        raise ConfigFileError(f"{path} is not YAML: {_one_line(fault)}.") from fault
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigFileError(f"{path} has no settings: write them as name: value, one a line.")
    settings: dict[str, Setting] = {}
    for name, node in _entries(root, path):
        names = _BLOCKS.get(name)
        if names is None:
            _add(settings, name, node, path, known=flags)
            continue
        if not isinstance(node, yaml.MappingNode):
            raise ConfigFileError(f"{_place(path, node)}: {name} needs settings below it.")
        for inner, inner_node in _entries(node, path):
            if inner not in names:
                raise ConfigFileError(_unknown(inner, names, path, inner_node))
            _add(settings, names[inner], inner_node, path, known=flags)
    return settings


def _entries(mapping: yaml.MappingNode, path: str) -> Iterator[tuple[str, yaml.Node]]:
    seen: set[str] = set()
    for key, value in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigFileError(f"{_place(path, key)}: the name of a setting must be text.")
        if key.value in seen:
            raise ConfigFileError(f"{_place(path, key)}: {key.value} is given twice.")
        seen.add(key.value)
        yield key.value, value


def _add(
    settings: dict[str, Setting],
    name: str,
    node: yaml.Node,
    path: str,
    *,
    known: Mapping[str, Flag],
) -> None:
    flag = known.get(name)
    if flag is None or name == "config-file":
        raise ConfigFileError(_unknown(name, known, path, node))
    if isinstance(node, yaml.SequenceNode):
        items = [item for item in node.value if isinstance(item, yaml.ScalarNode)]
        if len(items) != len(node.value):
            raise ConfigFileError(f"{_place(path, node)}: {name} is a list of plain values.")
        text = ",".join(item.value for item in items)
    elif isinstance(node, yaml.ScalarNode):
        is_plain = node.style is None
        if is_plain and node.value.lower() in _UNSET:
            return
        text = _as_flag_text(node.value, flag)
    else:
        raise ConfigFileError(f"{_place(path, node)}: {name} takes one value, not settings.")
    settings[name] = Setting(text, f"{name}: {text} ({_place(path, node)})")


def _as_flag_text(text: str, flag: Flag) -> str:
    if flag.kind == "duration" and text.isdecimal():
        return f"{text}ns"
    if flag.kind == "bool":
        return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower(), text)
    return text


def _unknown(name: str, known: Mapping[str, object], path: str, node: yaml.Node) -> str:
    near = nearest(name, known)
    hint = f' Did you mean "{near}"?' if near is not None and near != name else ""
    return f'{_place(path, node)}: no such setting: "{name}".{hint}'


def _place(path: str, node: yaml.Node) -> str:
    return f"{path} line {node.start_mark.line + 1}"


def _one_line(fault: yaml.YAMLError) -> str:
    return " ".join(str(fault).split())
