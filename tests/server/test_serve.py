"""`trine serve`: its help, and how it refuses.

The whole help text is in serve_help.txt. To take a new one over (and read its difference):
`python -c 'from tests.command import trine; print(trine("serve", "-h").out, end="")'`
"""

import os
from pathlib import Path

import pytest

from net.telemetry import Logger, Sink
from server.flags import Flag
from server.inert import REFUSED
from server.serve import GoCommand, announce, serve
from server.settings import ALL_FLAGS, ALL_SECTIONS, variable
from tests.command import Told, trine
from tests.configured import configured


def entries(text: str) -> dict[str, list[str]]:
    """Return the lines of each flag's entry by the flag's name."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("  --"):
            name = line.split()[0].removeprefix("--").rstrip(",")
            found[name] = []
        if not line:
            name = ""
        if name:
            found[name].append(line.strip())
    return found


HELP = (Path(__file__).parent / "serve_help.txt").read_text()
ENTRIES = entries(HELP)
FLAGS = [flag for section in ALL_SECTIONS for flag in section.flags]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("ETCD_", "TRINE_")):
            monkeypatch.delenv(name)


def test_the_help_text_is_the_one_that_was_read() -> None:
    assert trine("serve", "--help") == Told(0, HELP, "")


@pytest.mark.parametrize("args", [("-h",), ("-help",), ("--name=a", "--help")])
def test_help_is_shown_in_every_spelling(args: tuple[str, ...]) -> None:
    assert trine("serve", *args).out == HELP


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: str(flag.name))
def test_every_flag_is_in_the_help_with_its_default_and_variable(flag: Flag) -> None:
    entry = ENTRIES[flag.name]
    assert entry[-1] == f"[default: {flag.default or '(empty)'}; env: {variable(flag)}]"
    assert " ".join(entry[1:-1]).startswith(
        flag.help or f"{'Refused' if flag.name in REFUSED else 'No effect here'}: {flag.inert}."
    )


def test_completion_offers_the_flags_that_do_something() -> None:
    assert isinstance(serve, GoCommand)
    context = serve.make_context("serve", [])
    found = [item.value for item in serve.shell_complete(context, "--log-")]
    assert found == ["--log-format", "--log-level", "--log-outputs", "--log-rotation-config-json"]
    everything = {item.value for item in serve.shell_complete(context, "")}
    assert everything == {f"--{name}" for name, flag in ALL_FLAGS.items() if flag.inert is None}


def test_a_wrong_flag_ends_with_2_and_the_nearest() -> None:
    told = trine("serve", "--datadir=/x")
    assert told.code == 2
    assert (
        'Error: no such flag: "--datadir". Did you mean "--data-dir"? See: trine serve --help.'
        in told.err
    )


def test_wrong_settings_end_with_2_and_a_sentence_each(tmp_path: Path) -> None:
    told = trine("serve", f"--data-dir={tmp_path}/d", "--max-txn-ops=x", "--log-level=y")
    assert told == Told(
        2,
        "",
        "trine serve: --max-txn-ops=x: give a whole number from 1 to 1048576.\n"
        "trine serve: --log-level=y: give one of debug, info, warn, error, panic or fatal.\n",
    )
    assert os.listdir(tmp_path) == []


def test_a_configuration_file_that_is_not_there_ends_with_2() -> None:
    assert trine("serve", "--config-file=/no/c.yml") == Told(
        2,
        "",
        "trine serve: --config-file=/no/c.yml: cannot read it: No such file or directory.\n",
    )


def test_a_configuration_file_that_is_wrong_ends_with_2(tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    file.write_text("nam: a\n")
    assert trine("serve", f"--config-file={file}") == Told(
        2, "", f'trine serve: {file} line 1: no such setting: "nam". Did you mean "name"?\n'
    )


def test_a_log_file_that_cannot_be_written_ends_with_2(tmp_path: Path) -> None:
    told = trine("serve", f"--data-dir={tmp_path}/d", f"--log-outputs={tmp_path}/no/t.log")
    assert told == Told(
        2,
        "",
        f"trine serve: --log-outputs: cannot write {tmp_path}/no/t.log: No such file or "
        "directory.\n",
    )


def test_a_start_tells_who_starts_and_what_has_no_effect() -> None:
    lines: list[str] = []
    config = configured("--cors=*", "--name=a")
    announce(config, Logger(Sink(write=lines.append, now_ns=lambda: 0)))
    assert [line.partition('"msg":')[2].partition(",")[0] for line in lines] == [
        '"starting trine"',
        '"a setting has no effect here"',
    ]
    assert '"setting":"--cors=*"' in lines[1]
    assert "needs no other origin" in lines[1]
