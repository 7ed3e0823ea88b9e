"""Pictures of runs: one file a run, one file a batch, one line an event.

Rule of this package: it reads what a run left behind, and runs and judges nothing itself.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.trial import Trial


def write_page(
    path: Path, trial: "Trial", *, tier: int = 1, replay: str = "", size_bytes_max: int = 0
) -> None:
    """Write the picture of a trial that was run with its trace on.

    `replay` is the command it names, that of the seed by default; `size_bytes_max` 0: as large as
    a page may be.
    """
    from sim.check import check
    from sim.marks import marks_of
    from sim.report.page import page
    from sim.report.scene import SIZE_BYTES_MAX, Picture, Side, Wrong

    run = trial.run
    assert run is not None, "a trial that left no history has no picture"
    judged = {(verdict.klass, verdict.time_us): verdict for verdict in check(run.history)}
    wrongs: list[Wrong] = []
    for found in trial.found:
        verdict = judged.get((found.klass, found.time_us))
        if verdict is not None:
            wrongs.append(Wrong.of(verdict))
            continue
        sides = tuple(Side("", line.strip()) for line in found.lines)
        wrongs.append(Wrong(found.klass, found.words, found.why, sides, found.time_us))
    picture = Picture(
        plan=trial.plan,
        history=run.history,
        trace=tuple(run.trace_lines),
        wrongs=tuple(wrongs),
        marks=marks_of(run),
        digest=run.digest,
        replay=replay or _replay(trial, tier),
    )
    path.write_text(page(picture, size_bytes_max or SIZE_BYTES_MAX), encoding="utf-8")


def _replay(trial: "Trial", tier: int) -> str:
    bug = trial.plan.options.bug
    parts = [f"trine sim replay {trial.plan.seed}"]
    parts += [f"--bug {bug}"] if bug else []
    parts += [f"--tier {tier}"] if tier != 1 else []
    return " ".join([*parts, "--trace"])
