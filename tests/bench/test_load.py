"""The generator counts what a server does wrong; it is held against its own sink."""

import shutil
from collections.abc import Iterator

import pytest

from jepsen.ports import free_ports
from tests.bench.generator import Generator, GeneratorFailed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler"),
]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator()


@pytest.fixture
def port(generator: Generator) -> Iterator[int]:
    """Where a sink listens that answers each Range with 512 bytes."""
    (port,) = free_ports(1)
    with generator.start("sink", port=port, value=512):
        until_it_listens(generator, port)
        yield port


def until_it_listens(generator: Generator, port: int) -> None:
    generator.run("first", port=port, keys=100000, seconds=10)


def ask(generator: Generator, port: int, **options: object) -> tuple[int, float]:
    """Errors and requests of a short run of 16 connections with 16 streams."""
    sample = generator.run(
        "range", port=port, connections=16, streams=16, warmup=0.05, seconds=0.2, **options
    )
    return sample.errors, sample["requests"]


def test_right_answers_are_counted_as_requests(generator: Generator, port: int) -> None:
    errors, requests = ask(generator, port)
    assert errors == 0
    assert requests > 1000


def test_an_answer_of_another_size_is_an_error_each(generator: Generator, port: int) -> None:
    with pytest.raises(GeneratorFailed, match="10000 failed requests: range: another value"):
        ask(generator, port, value=2048)


def test_a_put_answered_like_a_range_is_not_believed(generator: Generator, port: int) -> None:
    with pytest.raises(GeneratorFailed, match="put: revision did not move"):
        generator.run("put", port=port, seconds=5)


def test_nobody_there_is_fatal(generator: Generator) -> None:
    with pytest.raises(GeneratorFailed, match="connect"):
        generator.run("range", port=free_ports(1)[0], seconds=0.1)


def test_an_unknown_option_is_fatal(generator: Generator, port: int) -> None:
    with pytest.raises(GeneratorFailed, match="--colour"):
        generator.run("range", port=port, colour="red")
