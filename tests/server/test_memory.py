"""The sum between a quota and the memory it needs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.memory import (
    IDLE_BYTES,
    MemoryLimit,
    memory_limit,
    needed_bytes,
    quota_most_bytes,
    size_text,
)

GIB = 1 << 30


@given(st.integers(IDLE_BYTES, 1 << 50))
def test_the_largest_quota_fits_and_the_next_does_not(limit: int) -> None:
    most = quota_most_bytes(limit)
    assert needed_bytes(most) <= limit
    assert needed_bytes(most + 2) > limit


def test_less_than_an_idle_member_needs_holds_no_quota() -> None:
    assert quota_most_bytes(IDLE_BYTES - 1) == 0


def system(tmp_path: Path, cgroup: str, **limits: str) -> MemoryLimit | None:
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:        8388608 kB\nMemFree: 1 kB\n")
    (proc / "self" / "cgroup").write_text(cgroup)
    for path, text in limits.items():
        file = root / path.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        name = "memory.limit_in_bytes" if path.startswith("memory__") else "memory.max"
        (file / name if file.is_dir() else file.parent / name).write_text(text)
    return memory_limit(str(proc), str(root))


def test_a_machine_without_limits_gives_all_its_memory(tmp_path: Path) -> None:
    assert system(tmp_path, "0::/\n") == MemoryLimit(8 * GIB, "this machine")


def test_the_smallest_limit_around_a_control_group_counts(tmp_path: Path) -> None:
    found = system(tmp_path, "0::/pods/a\n", pods__a__x="max\n", pods__x=f"{GIB}\n")
    assert found == MemoryLimit(GIB, f"the control group ({tmp_path}/cgroup/pods/memory.max)")


def test_the_first_version_of_control_groups_is_read(tmp_path: Path) -> None:
    found = system(tmp_path, "5:cpu:/a\n4:memory:/a\n", memory__a__x=f"{2 * GIB}\n")
    assert found is not None
    assert found.bytes == 2 * GIB


def test_no_limit_written_as_a_number_is_none(tmp_path: Path) -> None:
    found = system(tmp_path, "4:memory:/a\n", memory__a__x="9223372036854771712\n")
    assert found == MemoryLimit(8 * GIB, "this machine")


def test_a_system_that_does_not_tell_has_no_limit(tmp_path: Path) -> None:
    assert memory_limit(str(tmp_path), str(tmp_path)) is None


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (5 << 29, "2.5 GiB")],
)
def test_a_size_is_written_for_people(size: int, text: str) -> None:
    assert size_text(size) == text
