"""What a run of the bench found: plain values that go to results.json and come back.

A `Row` is one cell on one server in one round; `Comparison` joins the rounds of two servers.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import attrs

from tests.bench.generator import Sample


@attrs.frozen
class Row:
    """One measured cell. Latencies in microseconds; `syncs` is p50 over a raw fdatasync's p50.

    `foreign_cores` were busy meanwhile with neither the server nor the generator: what the row had
    to do without.
    """

    cell: str
    server: str
    unit: str
    round: int
    per_second: float
    p50_us: float
    p99_us: float
    max_us: float
    server_cpu_us: float
    server_cores: float
    client_cpu_us: float
    client_cores: float
    foreign_cores: float
    errors: int
    first_error: str = ""
    syncs: float = 0
    items_per_second: float = 0

    @staticmethod
    def of(cell: str, server: str, unit: str, turn: int, sample: Sample) -> "Row":
        """The row a generator's sample makes."""
        return Row(
            cell=cell,
            server=server,
            unit=unit,
            round=turn,
            per_second=sample["rps"],
            p50_us=sample["p50_us"],
            p99_us=sample["p99_us"],
            max_us=sample["max_us"],
            server_cpu_us=sample["server_cpu_us"],
            server_cores=sample["server_cores"],
            client_cpu_us=sample["client_cpu_us"],
            client_cores=sample["client_cores"],
            foreign_cores=sample["foreign_cores"],
            errors=sample.errors,
            first_error=sample.first_error,
            items_per_second=sample.numbers.get("items", 0) / max(sample["seconds"], 1e-9),
        )


@attrs.frozen
class Results:
    """Everything of one run: `facts` about machine and options, rows, and single measurements."""

    facts: Mapping[str, str]
    rows: Sequence[Row]
    singles: Mapping[str, Mapping[str, float]]  # measurement -> server -> value

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(attrs.asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: Path) -> "Results":
        given = json.loads(path.read_text())
        rows = [Row(**row) for row in given["rows"]]
        return Results(facts=given["facts"], rows=rows, singles=given["singles"])

    def servers(self) -> list[str]:
        """In the order they were first measured: the peer, then the server under test."""
        return list(dict.fromkeys(row.server for row in self.rows))


@attrs.frozen
class Standing:
    """One cell on one server over all rounds: medians, and the sum of errors."""

    per_second: float
    p50_us: float
    p99_us: float
    max_us: float
    server_cpu_us: float
    client_cpu_us: float
    foreign_cores: float
    syncs: float
    errors: int
    first_error: str


def standing(rows: Sequence[Row]) -> Standing:
    """Join the rounds of one cell on one server; at least one row."""
    return Standing(
        per_second=median(row.per_second for row in rows),
        p50_us=median(row.p50_us for row in rows),
        p99_us=median(row.p99_us for row in rows),
        max_us=max(row.max_us for row in rows),
        server_cpu_us=median(row.server_cpu_us for row in rows),
        client_cpu_us=median(row.client_cpu_us for row in rows),
        foreign_cores=median(row.foreign_cores for row in rows),
        syncs=median(row.syncs for row in rows),
        errors=sum(row.errors for row in rows),
        first_error=next((row.first_error for row in rows if row.first_error), ""),
    )


@attrs.frozen
class Comparison:
    """One cell on every server that ran it."""

    cell: str
    unit: str
    by_server: Mapping[str, Standing]

    def throughput_ratio(self, ours: str, peer: str) -> float | None:
        """How many times the peer's throughput; None if one of the two is missing."""
        return self._ratio(ours, peer, "per_second")

    def p99_ratio(self, ours: str, peer: str) -> float | None:
        """Our p99 as a share of the peer's: below 1 is better."""
        return self._ratio(ours, peer, "p99_us")

    def _ratio(self, ours: str, peer: str, field: str) -> float | None:
        if ours not in self.by_server or peer not in self.by_server:
            return None
        under = float(getattr(self.by_server[peer], field))
        return float(getattr(self.by_server[ours], field)) / under if under else None


def compare(results: Results) -> list[Comparison]:
    """One comparison a cell, in the order of the run."""
    grouped: dict[str, dict[str, list[Row]]] = {}
    for row in results.rows:
        grouped.setdefault(row.cell, {}).setdefault(row.server, []).append(row)
    return [
        Comparison(
            cell=cell,
            unit=next(iter(servers.values()))[0].unit,
            by_server={name: standing(rows) for name, rows in servers.items()},
        )
        for cell, servers in grouped.items()
    ]
