"""What a bystander feels of each attack, as a table: `python -m tests.attack.measure [KIND ...]`.

On a quiet machine, in about three minutes. For each kind one bystander reads one key, in windows
that take turns: nobody does harm (`quiet`), a decoy is attacked (`decoy`: as busy a machine), the
member is attacked. A cell is the 99th percentile of the median window. The exit code is 1 where
the member's is above twice what it is in quiet. The attacker has a processor to itself, as if it
sat on another machine; member and bystander share the rest.
"""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from statistics import median

from tests.attack.bystander import Bystander, attacking, percentile_ms, side_by_side
from tests.attack.flood import KINDS
from tests.members import Member, running, trine

WINDOWS = 5
GETS = 1_200
WARMING_GETS = 50
ROW = "{:14} {:>10} {:>10} {:>12} {:>10} {:>10} {:>12}"


def main(kinds: Sequence[str]) -> int:
    """Measure these kinds of attack, each on a member of its own."""
    heading = ("attack", "quiet p99", "decoy p99", "attacked p99", "to decoy", "to quiet", "p50")
    print(ROW.format(*heading), flush=True)
    missed = 0
    for kind in kinds:
        with (
            tempfile.TemporaryDirectory() as place,
            running(trine(Path(place) / "data")) as member,
            side_by_side(member.pid),
        ):
            missed += not measured(member, kind)
    return 1 if missed else 0


def measured(member: Member, kind: str) -> bool:
    """Print one row; whether the member holds its bound."""
    port = int(member.endpoint.rpartition(":")[2])
    bystander = Bystander(port)
    took: dict[str, list[list[float]]] = {"quiet": [], "decoy": [], "attacked": []}
    try:
        bystander.took_s(10 * WARMING_GETS)
        for _ in range(WINDOWS):
            for name, scene in (
                ("quiet", nullcontext()),
                ("decoy", attacking(kind)),
                ("attacked", attacking(kind, port)),
            ):
                with scene:
                    bystander.took_s(WARMING_GETS)
                    took[name].append(bystander.took_s(GETS))
    finally:
        bystander.close()
    quiet, decoy, attacked = (
        median(percentile_ms(window, 99) for window in windows) for windows in took.values()
    )
    cells = (f"{quiet:.2f} ms", f"{decoy:.2f} ms", f"{attacked:.2f} ms")
    ratios = (f"{attacked / decoy:.2f} x", f"{attacked / quiet:.2f} x")
    middle = f"{percentile_ms(list(chain(*took['attacked'])), 50):.2f} ms"
    print(ROW.format(kind, *cells, *ratios, middle), flush=True)
    return attacked <= 2 * quiet


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(KINDS)))
