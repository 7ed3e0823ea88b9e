"""The disks of tier 2's machines, as faults see them.

Rule of this file: the disk's part of `sim.cluster.Cluster`, and the budget of damage: at most a
minority of those who vote has a damaged disk, whatever member is asked who votes.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Final, Literal

from sim.plan import Options
from sim.provision import Provision
from sim.tier2_machine import Machine

Failing = Literal["", "read", "write", "sync"]
Naming = Literal["", "create", "rename", "unlink", "sync"]
_FAILING: Final[dict[str, Failing]] = {
    "": "", "read": "read", "write": "write", "sync": "sync",
}  # fmt: skip
_NAMING: Final[dict[str, Naming]] = {
    "": "", "create": "create", "rename": "rename", "unlink": "unlink", "sync": "sync",
}  # fmt: skip


class Disks:
    """The disks of machines that some cluster has."""

    machines: list[Machine]
    options: Options
    provision: Provision

    def disk_slow(self, member: int, operation_ms: int) -> bool:
        """See Cluster."""
        self.machines[member].traits.slow_us = operation_ms * 1000
        return True

    def disk_fail(self, member: int, what: str) -> bool:
        """See Cluster."""
        faults = self.machines[member].disk.faults
        faults.next_error = _FAILING[what]
        if not what:
            faults.error_from = None
        return True

    def disk_fail_at_start(self, member: int, operation: int) -> bool:
        """See Cluster."""
        self.machines[member].disk.faults.error_from = max(1, operation)
        return True

    def disk_full(self, member: int, *, full: bool) -> bool:
        """See Cluster."""
        disk = self.machines[member].disk
        disk.faults.capacity_bytes = disk.used_bytes if full else None
        return True

    def disk_lie(self, member: int, *, lying: bool) -> bool:
        """See Cluster."""
        self.machines[member].disk.faults.lying_sync = lying
        return True

    def damage(self, member: int, what: str, file: str, *, at_permille: int, bit: int) -> bool:
        """See Cluster."""
        for voters in self._electorates():
            damaged = {each for each in voters if self.machines[each].is_damaged} | {member}
            if len(damaged) > (min(self.options.members, len(voters)) - 1) // 2:
                return False
        return self.machines[member].damage(what, file, at_permille=at_permille, bit=bit)

    def _electorates(self) -> Iterator[Collection[int]]:
        """Yield who votes, as the log goes and as the newest of each member's log has it.

        A change counts for whoever has it, committed or not: a demotion that is under way can make
        one of two out of one of three.
        """
        yield self.provision.voters()
        for each in self.provision.members():
            running = self.machines[each].running
            if running is not None:
                known = running.opened.driver.engine.members
                yield [member - 1 for member, votes in known.items() if votes]

    def power_loss(self, member: int, operations: int, then: Callable[[], None]) -> bool:
        """See Cluster."""
        machine = self.machines[member]
        machine.disk.faults.power_loss_at = machine.disk.operations + max(1, operations)
        machine.when_power_goes = then
        return True

    def power_loss_naming(self, member: int, operation: str, then: Callable[[], None]) -> bool:
        """See Cluster."""
        machine = self.machines[member]
        machine.disk.faults.power_loss_naming = _NAMING[operation]
        if operation:
            machine.when_power_goes = then
        return True

    def disarm(self, member: int) -> None:
        """Let the power stay."""
        faults = self.machines[member].disk.faults
        faults.power_loss_at = None
        faults.power_loss_naming = ""
