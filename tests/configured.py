"""Verbs for tests of settings: from what a person wrote to a configuration, or to the faults."""

from collections.abc import Mapping

from server.arguments import read_arguments
from server.config import Config, ConfigError, configure
from server.settings import ALL_FLAGS, Settings, gather

HOST = "node-1"


def settings(
    *args: str,
    environment: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Settings:
    """Return what counts among arguments, environment and files (text by path)."""

    def read(path: str) -> str:
        text = (files or {}).get(path)
        if text is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return text

    return gather(read_arguments(args, ALL_FLAGS), environment or {}, read)


def configured(
    *args: str,
    environment: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Config:
    """Return the configuration on a machine called node-1. Raises ConfigError."""
    return configure(settings(*args, environment=environment, files=files), host=HOST)


def faults(
    *args: str,
    environment: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Return the sentences that these settings are refused with, none if they are accepted."""
    try:
        configured(*args, environment=environment, files=files)
    except ConfigError as fault:
        return fault.sentences
    return ()
