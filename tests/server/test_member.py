"""How a member ends: in order, or on the spot."""

from pathlib import Path

import pytest
import trio

from net.reactor import Reactor
from net.telemetry import SILENT
from server.member import EXIT_FAILED, EXIT_OK, run_member
from server.recover import Opened
from tests.configured import configured


def ends_with(
    directory: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException | None
) -> tuple[int, bool]:
    """Run a member whose reactor ends with this fault: the exit code, and whether it closed."""
    closed: list[Opened] = []
    close = Opened.close

    async def run(reactor: Reactor) -> None:
        await trio.lowlevel.checkpoint()
        if fault is not None:
            raise fault

    def note(opened: Opened) -> None:
        closed.append(opened)
        close(opened)

    monkeypatch.setattr(Reactor, "run", run)
    monkeypatch.setattr(Opened, "close", note)
    url = f"unix://{directory}/clients"
    config = configured(
        f"--data-dir={directory}/data",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--quota-backend-bytes=100000000",
    )
    return trio.run(run_member, config, SILENT), bool(closed)


def test_a_member_that_is_stopped_writes_what_it_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ends_with(tmp_path, monkeypatch, None) == (EXIT_OK, True)


@pytest.mark.parametrize(
    "fault", [AssertionError("INV-APPLY-ONCE"), OSError(5, "Input/output error")]
)
def test_a_member_that_met_a_fault_writes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    assert ends_with(tmp_path, monkeypatch, fault) == (EXIT_FAILED, False)
