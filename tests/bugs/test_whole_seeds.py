"""Plans on whole members that were red once, by what was wrong."""

from pathlib import Path

from sim.generate import make_plan
from sim.plan_file import read_plan
from sim.run import run
from sim.trial import attempt


def test_a_store_that_lost_its_tail_is_not_taken_for_whole() -> None:
    """A page cut in half reads as zeros, and no checksum is asked for half a page."""
    options = {"members": 3, "engine": "perfect", "operations": 500, "value_bytes": 10}
    plan = make_plan(27, {**options, "duration_ms": 60_000}, tier=2)
    assert run(plan, tier=2).broken is None


def test_a_hole_that_a_lost_tail_left_is_not_taken_for_data() -> None:
    """What the WAL wrote behind the cut made the file as long as before, with a hole in it."""
    plan = read_plan(Path(__file__).parent / "whole_plans" / "store_cut_under_its_wal.jsonl")
    assert not attempt(plan, tier=2).found


def test_a_member_gets_a_second_snapshot_at_once_if_the_log_was_cut_past_the_first() -> None:
    """A leader held the next one back for ten seconds, as if the first were still being loaded."""
    plan = read_plan(Path(__file__).parent / "whole_plans" / "cut_past_a_snapshot.jsonl")
    assert not attempt(plan, tier=2).found


def test_a_member_starts_though_its_disk_is_full_and_its_reserve_is_used_up() -> None:
    """Its newest segment had no room for the record of the opening itself."""
    plan = read_plan(Path(__file__).parent / "whole_plans" / "disk_full_at_start.jsonl")
    assert not attempt(plan, tier=2).found


def test_disks_of_a_majority_are_never_damaged_however_members_come_and_go() -> None:
    """Two disks of five were damaged, one sound member was removed, and nobody could lead."""
    plan = read_plan(Path(__file__).parent / "whole_plans" / "damage_after_a_removal.jsonl")
    assert not attempt(plan, tier=2).found


def test_a_checkpoint_behind_the_switch_to_a_received_snapshot_moves_nothing() -> None:
    """It waited for its thread, met a store that was closed meanwhile, and ended the member."""
    plan = read_plan(Path(__file__).parent / "whole_plans" / "checkpoint_behind_a_switch.jsonl")
    assert not attempt(plan, tier=2).found


def test_disks_of_a_majority_are_never_damaged_while_a_demotion_is_under_way() -> None:
    """One disk of three voters was damaged; one of the others knew already of two voters only."""
    plan = read_plan(Path(__file__).parent / "whole_plans" / "damage_beside_a_demotion.jsonl")
    assert not attempt(plan, tier=2).found


def test_a_follower_that_missed_one_message_is_sent_the_rest_once() -> None:
    """Each message behind it that it refused had all of them sent again: the run had no end."""
    plan = read_plan(Path(__file__).parent / "whole_plans" / "one_message_missed.jsonl")
    assert not attempt(plan, tier=2).found


def test_a_clients_snapshot_behind_the_switch_to_a_received_one_is_of_the_new_store() -> None:
    """It waited for its thread, met a store that was closed meanwhile, and ended the member."""
    plan = read_plan(Path(__file__).parent / "whole_plans" / "snapshot_behind_a_switch.jsonl")
    assert not attempt(plan, tier=2).found


def test_time_does_not_run_away_from_who_is_roused_at_the_start() -> None:
    """Something due at 0 was taken for nothing due: all members stood still until the end."""
    plan = read_plan(Path(__file__).parent / "whole_plans" / "something_due_at_the_start.jsonl")
    assert not attempt(plan, tier=2).found
