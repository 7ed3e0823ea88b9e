"""The load generator as a Python call: built once per source text, one JSON line per run.

Every reply was checked by the generator; `Sample.errors` is not zero if any was wrong.
"""

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import attrs

HERE = Path(__file__).parent


class GeneratorFailed(RuntimeError):
    """The generator could not be built, or ended without a sample."""


@attrs.frozen
class Sample:
    """What one run of the generator reports; latencies in microseconds."""

    numbers: Mapping[str, float]
    first_error: str = ""

    def __getitem__(self, name: str) -> float:
        return self.numbers[name]

    @property
    def errors(self) -> int:
        """Replies that were wrong, missing or lost."""
        return int(sum(self.numbers.get(name, 0) for name in ("errors", "unanswered", "lost")))

    @staticmethod
    def from_line(line: str) -> "Sample":
        """Read one printed line. Raises GeneratorFailed if it says `fatal`, or says nothing."""
        try:
            given = json.loads(line)
        except ValueError as error:
            raise GeneratorFailed(f"not a line of JSON: {line!r}") from error
        if "fatal" in given:
            raise GeneratorFailed(given["fatal"])
        numbers = {k: float(v) for k, v in given.items() if isinstance(v, int | float)}
        return Sample(numbers=numbers, first_error=str(given.get("first_error", "")))


def sources() -> list[Path]:
    return [HERE / "load.cc", *sorted((HERE / "load").glob("*.hh"))]


def build() -> Path:
    """Compile the generator unless this very source text was compiled before; its path."""
    text = b"".join(path.read_bytes() for path in sources())
    cache = Path(tempfile.gettempdir()) / f"trine-bench-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    binary = cache / f"load-{hashlib.sha256(text).hexdigest()[:16]}"
    if binary.exists():
        return binary
    compiler = os.environ.get("CXX", "c++")
    fresh = binary.with_suffix(f".{os.getpid()}")
    command = [compiler, "-O2", "-std=c++17", str(HERE / "load.cc"), "-o", str(fresh)]
    has_tls = subprocess.run(
        [compiler, "-E", "-x", "c++", "-"], input=b"#include <openssl/ssl.h>\n", capture_output=True
    )
    if has_tls.returncode == 0:
        command += ["-lssl", "-lcrypto"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise GeneratorFailed(done.stderr)
    fresh.rename(binary)
    return binary


def arguments(options: Mapping[str, object]) -> list[str]:
    """`{"compact_ms": 5}` as `["--compact-ms", "5"]`."""
    return [part for k, v in options.items() for part in (f"--{k.replace('_', '-')}", str(v))]


@attrs.frozen
class Generator:
    """A built generator."""

    binary: Path = attrs.field(factory=build)

    def run(self, mode: str, **options: object) -> Sample:
        """Run one mode to its end."""
        command = [str(self.binary), mode, *arguments(options)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        return Sample.from_line(done.stdout)

    def start(self, mode: str, **options: object) -> "Stepping":
        """Start a mode that waits for a line between its steps."""
        command = [str(self.binary), mode, *arguments(options)]
        return Stepping(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )


@attrs.frozen
class Stepping:
    """A generator that holds still after each printed line."""

    process: subprocess.Popen[str]

    def step(self) -> Sample:
        """Wait for the next line."""
        return Sample.from_line(_pipe(self.process.stdout).readline())

    def proceed(self) -> None:
        """Let it go on to its next step."""
        pipe = _pipe(self.process.stdin)
        pipe.write("\n")
        pipe.flush()

    def __enter__(self) -> "Stepping":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        _pipe(self.process.stdin).close()
        _pipe(self.process.stdout).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None, "opened with PIPE"
    return pipe
