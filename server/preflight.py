"""What is checked about this machine before a member starts.

Rule: everything that can be known to fail is found here, before a socket or a data directory is
touched; all faults are told at once, each a sentence that says what to do. Nothing is created.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import attrs

from net.tls import TlsOptions
from server.config import QUOTA_DEFAULT_BYTES, Config, ConfigError
from server.memory import (
    IDLE_BYTES,
    MemoryLimit,
    memory_limit,
    needed_bytes,
    quota_most_bytes,
    size_text,
)
from server.settings import Notice

# Below this a quota is not worth a start: the first kube-apiserver would fill it.
QUOTA_LEAST_BYTES: Final = 16 << 20
_FOREIGN: Final = (
    (os.path.join("member", "snap"), "etcd"),
    (os.path.join("member", "wal"), "etcd"),
    ("metadata1", "k8s-dqlite"),
    (os.path.join("db", "state.db"), "kine"),
)


def preflight(config: Config) -> Config:
    """Return the configuration with the quota that counts. Raises ConfigError."""
    faults = [*_files(config), *_directories(config)]
    if not is_begun(config.data_dir):
        faults += config.founding_faults
    limit = memory_limit()
    checked, quota_faults = settle_quota(config, limit)
    faults += quota_faults
    if faults:
        raise ConfigError(faults)
    return checked


def is_begun(data_dir: str) -> bool:
    """Say whether a member has lived in a data directory: then its cluster is known."""
    return os.path.exists(os.path.join(data_dir, "format"))


def settle_quota(config: Config, limit: MemoryLimit | None) -> tuple[Config, list[str]]:
    """Return the configuration with its effective quota, and what is wrong with it.

    0 means etcd's 2 GiB or what memory can hold; below 0, etcd's word for "no quota", means what
    memory can hold. A quota that was asked for and does not fit is a fault, told with the sum.
    """
    asked = config.quota_bytes
    if limit is None:
        quota = asked if asked > 0 else QUOTA_DEFAULT_BYTES
        return attrs.evolve(config, quota_bytes=quota), []
    most = quota_most_bytes(limit.bytes)
    if most < QUOTA_LEAST_BYTES:
        need = size_text(needed_bytes(QUOTA_LEAST_BYTES))
        return config, [
            f"{limit.source} allows {size_text(limit.bytes)} of memory and a member needs at "
            f"least {need}: give it more."
        ]
    if asked > most:
        return config, [_too_large(asked, most, limit)]
    if asked > 0:
        return config, []
    quota = min(QUOTA_DEFAULT_BYTES, most) if asked == 0 else most
    if quota == QUOTA_DEFAULT_BYTES:
        return attrs.evolve(config, quota_bytes=quota), []
    notice = Notice(
        "the quota is what memory can hold",
        {
            "quota": size_text(quota),
            "quota_backend_bytes": str(quota),
            "memory": size_text(limit.bytes),
            "limit": limit.source,
        },
    )
    return attrs.evolve(config, quota_bytes=quota, notices=(*config.notices, notice)), []


def _too_large(asked: int, most: int, limit: MemoryLimit) -> str:
    need = needed_bytes(asked)
    slack = need - asked - IDLE_BYTES
    return (
        f"--quota-backend-bytes={asked}: {size_text(asked)} of data + {size_text(slack)} for gaps "
        f"and answers + {size_text(IDLE_BYTES)} for the member itself = {size_text(need)}, but "
        f"{limit.source} allows {size_text(limit.bytes)}. Give it more memory, or set "
        f"--quota-backend-bytes to {most} ({size_text(most)}) or less."
    )


def _files(config: Config) -> Iterator[str]:
    for prefix, tls in (("", config.client_tls), ("peer-", config.peer_tls)):
        if tls is not None:
            yield from _tls_files(prefix, tls)


def _tls_files(prefix: str, tls: TlsOptions) -> Iterator[str]:
    crl_flag = "client-crl-file" if not prefix else "peer-crl-file"
    named = (
        (f"{prefix}cert-file", tls.cert_file),
        (f"{prefix}key-file", tls.key_file),
        (f"{prefix}trusted-ca-file", tls.trusted_ca_file),
        (crl_flag, tls.crl_file),
    )
    for flag, path in named:
        if path is None:
            continue
        try:
            with open(path, "rb"):
                pass
        except OSError as fault:
            yield f"--{flag}={path}: cannot read it: {fault.strerror}."


def _directories(config: Config) -> Iterator[str]:
    for trace, owner in _FOREIGN:
        if os.path.exists(os.path.join(config.data_dir, trace)):
            yield (
                f"--data-dir={config.data_dir}: there is data of {owner} in it, which Trine does "
                "not read: name another directory."
            )
            break
    if os.path.exists(os.path.join(config.data_dir, "recovering", "ready")):
        yield (
            f"--data-dir={config.data_dir}: a recovery of it was interrupted: finish it with: "
            f"trine recover {config.data_dir} --yes."
        )
    for flag, path in (("data-dir", config.data_dir), ("wal-dir", config.journal_dir)):
        existing = _nearest_existing(path)
        if not os.path.isdir(existing):
            yield f"--{flag}={path}: {existing} is a file: name another directory."
        elif not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
            yield f"--{flag}={path}: this user may not write in {existing}: change its owner."


def _nearest_existing(path: str) -> str:
    current = os.path.abspath(path)
    while not os.path.lexists(current):
        current = os.path.dirname(current)
    return current
