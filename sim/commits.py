"""Two commits of the product, side by side: the same plan on both, and where the traces part.

Rule of this file: a commit is unpacked by `git archive` into a folder of its own that goes again;
the working tree and the repository are never touched. Each runs in a process of its own, with
its own code alone.
"""

import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sim.plan import Plan
from sim.plan_file import write_plan
from sim.runner import parting
from sim.runner_task import Task

ROOT: Final = Path(__file__).resolve().parent.parent


class CheckoutError(Exception):
    """A commit that cannot be unpacked or run; the text says why."""


def head() -> str:
    """Return the short name of the checkout's commit; "" where there is no checkout."""
    if not (ROOT / ".git").exists():
        return ""
    done = subprocess.run(
        ("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"), capture_output=True, check=False
    )
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def traces_of(plan: Plan, commit_a: str, commit_b: str, *, tier: int) -> str:
    """Run a plan on both commits; return where the traces part, "" if they do not."""
    with TemporaryDirectory() as folder:
        plan_file = Path(folder, "plan.jsonl")
        write_plan(plan_file, plan)
        task = Task(0, plan.seed, tier=tier, plan_file=str(plan_file))
        one, other = (
            _trace_on(commit, task, Path(folder, side))
            for commit, side in ((commit_a, "a"), (commit_b, "b"))
        )
    return "" if one == other else f"{commit_a} (-) and {commit_b} (+)\n{parting(one, other)}"


def _trace_on(commit: str, task: Task, folder: Path) -> list[str]:
    code = folder / "code"
    unpack(commit, code)
    trace = folder / "trace"
    environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONHASHSEED": "1"}
    line = Task(
        task.number,
        task.seed,
        tier=task.tier,
        plan_file=task.plan_file,
        trace_file=str(trace),
    ).line()
    done = subprocess.run(
        (sys.executable, "-m", "sim.runner_worker"),
        cwd=code,
        env=environment,
        input=line.encode() + b"\n",
        capture_output=True,
        check=False,
    )
    if not trace.exists():
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise CheckoutError(f"{commit} did not run the plan: {' / '.join(words) or 'no trace'}")
    return trace.read_text(encoding="utf-8").splitlines()


def unpack(commit: str, folder: Path, root: Path = ROOT) -> None:
    """Write a commit's files into a folder."""
    done = subprocess.run(
        ("git", "-C", str(root), "archive", "--format=tar", commit),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CheckoutError(f"{commit}: {words[0] if words else 'git archive failed'}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
