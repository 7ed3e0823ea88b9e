"""The compactor moves on only once a compaction has been applied."""

from collections.abc import Callable

import trio
from trio.testing import MockClock

from core.autocompaction import REVISION_INTERVAL_MS
from core.node import Node
from core.operations import Command, Compact
from core.state import State
from net.telemetry import SILENT
from server.compactor import Compactor
from server.config import KeepRevisions
from tests.driver_world import CONFIG


class Asked:
    """A port that keeps what it is offered."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.verdicts: list[Callable[[bool], None]] = []

    def offer(self, command: Command, then: Callable[[bool], None]) -> None:
        self.commands.append(command)
        self.verdicts.append(then)


class Stage:
    """A leading node at revision 500, and a compactor that keeps 100 of them."""

    def __init__(self) -> None:
        self.port = Asked()
        self.node = Node(State(revision=500), CONFIG)
        self.node.leading_term = 1
        self.looks = 0

    def play(self, act: Callable[["Stage", int], None], looks: int) -> None:
        """Call `act` at the middle of each of so many intervals between two looks."""

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    Compactor(
                        KeepRevisions(100),
                        self.port,
                        self.node,
                        SILENT,
                        now_ms=lambda: round(trio.current_time() * 1000),
                    ).run
                )
                await trio.sleep(REVISION_INTERVAL_MS / 2000)
                for look in range(looks):
                    await trio.sleep(REVISION_INTERVAL_MS / 1000 + 2)
                    act(self, look)
                nursery.cancel_scope.cancel()

        trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_compaction_that_was_refused_is_proposed_again() -> None:
    def act(stage: Stage, look: int) -> None:
        stage.port.verdicts.pop()(look == 2)
        if look == 2:
            stage.port.offer(Compact(0), lambda _: None)

    stage = Stage()
    stage.play(act, looks=3)
    assert stage.port.commands == [Compact(400), Compact(400), Compact(400), Compact(0)]


def test_a_compaction_that_was_applied_is_not_proposed_again() -> None:
    def act(stage: Stage, look: int) -> None:
        if look == 0:
            stage.port.verdicts.pop()(True)

    stage = Stage()
    stage.play(act, looks=4)
    assert stage.port.commands == [Compact(400)]


def test_a_compaction_is_not_proposed_while_another_is_on_its_way() -> None:
    def act(stage: Stage, look: int) -> None:
        stage.node.state.revision += 10

    stage = Stage()
    stage.play(act, looks=4)
    assert stage.port.commands == [Compact(400)]


def test_a_compaction_that_somebody_else_did_counts() -> None:
    def act(stage: Stage, look: int) -> None:
        if look == 0:
            stage.node.state.compact_revision = 450
            stage.port.verdicts.pop()(False)

    stage = Stage()
    stage.play(act, looks=4)
    assert stage.port.commands == [Compact(400)]


def test_who_does_not_lead_proposes_nothing() -> None:
    stage = Stage()
    stage.node.leading_term = 0
    stage.play(lambda stage, look: None, looks=2)
    assert stage.port.commands == []
