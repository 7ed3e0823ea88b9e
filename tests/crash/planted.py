"""Bugs put into a member, to prove that the harness sees them.

The rule of this file: a plant changes when something happens and nothing else; the shipped code is
what runs around it.
"""

from collections.abc import Callable

from net import replicator as raft
from net.driver import Driver
from sim.member import Plant

__all__ = ["Plant", "answers_before_sync", "drops_early", "switches_early"]


def answers_before_sync(driver: Driver) -> None:
    """Take for durable what was only written: the answer does not wait for fdatasync."""
    write = driver._persist

    def hasty(persist: raft.Persist, refused: int) -> bool:
        is_written = write(persist, refused)
        if is_written and persist.sequence:
            driver._raft_inputs.append(raft.Persisted(persist.sequence))
        return is_written

    driver._persist = hasty  # type: ignore[method-assign]  # the bug


def drops_early(driver: Driver) -> None:
    """Let the journal go as soon as rows are written, not once they are durable."""
    after = driver._keep_house

    def hasty(now_ms: int) -> None:
        after(now_ms)
        driver._raft_inputs.append(raft.SnapshotTaken(driver.store.applied[0], 0))

    driver._keep_house = hasty  # type: ignore[method-assign]  # the bug


def switches_early(driver: Driver) -> None:
    """Use the next generation, and delete this one, before the frame that says so is durable."""
    append = driver.append_switch

    def hasty(generation: int, index: int, then: Callable[[], None]) -> bool:

        done = append(generation, index, lambda: None)
        if done:
            then()
        return done

    driver.append_switch = hasty  # type: ignore[method-assign]  # the bug
