"""Arguments are read as Go's flag package reads them."""

import pytest

from server.arguments import ArgumentError, read_arguments
from server.settings import ALL_FLAGS


def read(*args: str) -> dict[str, str]:
    return {name: one.text for name, one in read_arguments(args, ALL_FLAGS).items()}


def refusal(*args: str) -> str:
    with pytest.raises(ArgumentError) as caught:
        read(*args)
    return str(caught.value)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--name=a",), {"name": "a"}),
        (("--name", "a"), {"name": "a"}),
        (("-name", "a"), {"name": "a"}),
        (("-name=a",), {"name": "a"}),
        (("--name=",), {"name": ""}),
        (("--name=a=b",), {"name": "a=b"}),
        (("--name", "-x"), {"name": "-x"}),
        (("--name=a", "--name=b"), {"name": "b"}),
        (("--client-cert-auth",), {"client-cert-auth": "true"}),
        (("-client-cert-auth",), {"client-cert-auth": "true"}),
        (("--client-cert-auth=false",), {"client-cert-auth": "false"}),
        (("--client-cert-auth", "--name=a"), {"client-cert-auth": "true", "name": "a"}),
        (("--metrics", "extensive"), {"metrics": "extensive"}),
        (("--metrics", "--name=a"), {"metrics": "true", "name": "a"}),
        (("--metrics",), {"metrics": "true"}),
        (("--metrics=basic",), {"metrics": "basic"}),
        (("--name=a", "--"), {"name": "a"}),
        ((), {}),
    ],
)
def test_a_flag_is_read_in_every_spelling_of_go(
    args: tuple[str, ...], expected: dict[str, str]
) -> None:
    assert read(*args) == expected


def test_a_boolean_does_not_take_the_next_argument() -> None:
    assert refusal("--client-cert-auth", "false") == (
        'unexpected argument "false": trine serve takes flags only, as --name=value.'
    )


@pytest.mark.parametrize(
    ("arg", "near"),
    [
        ("--log-levl=debug", "log-level"),
        ("--listen-client-url=http://localhost:1", "listen-client-urls"),
        ("--data_dir=x", "data-dir"),
        ("--Name=x", "name"),
        ("--advertise-client-uls", "advertise-client-urls"),
        ("--storagedir", "storage-dir"),
        ("--quota-backend-byte", "quota-backend-bytes"),
    ],
)
def test_a_wrong_flag_is_told_the_nearest(arg: str, near: str) -> None:
    name = arg.removeprefix("--").partition("=")[0]
    assert refusal(arg) == (
        f'no such flag: "--{name}". Did you mean "--{near}"? See: trine serve --help.'
    )


def test_a_flag_like_no_other_is_told_the_help() -> None:
    assert refusal("--zzz") == 'no such flag: "--zzz". See: trine serve --help.'


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--name",), "--name needs a value: write it as --name=VALUE."),
        (("---name=a",), '"---name=a" is not a flag: write it as --name=value.'),
        (("--=a",), '"--=a" is not a flag: write it as --name=value.'),
        (
            ("extra",),
            'unexpected argument "extra": trine serve takes flags only, as --name=value.',
        ),
        (
            ("--", "extra"),
            'unexpected argument "extra": trine serve takes flags only, as --name=value.',
        ),
    ],
)
def test_what_is_no_flag_is_refused_with_what_to_write(
    args: tuple[str, ...], sentence: str
) -> None:
    assert refusal(*args) == sentence


def test_a_setting_remembers_how_it_was_written() -> None:
    assert read_arguments(["-name", "a"], ALL_FLAGS)["name"].origin == "--name=a"
