"""Which source of a setting counts."""

import pytest

from server.arguments import ConfigFileError
from server.settings import ALL_FLAGS, Notice, variable
from tests.configured import settings


def texts(given: object) -> dict[str, str]:
    return {name: one.text for name, one in given.given.items()}  # type: ignore[attr-defined]


def test_a_variable_sets_what_no_flag_sets() -> None:
    found = settings("--name=a", environment={"ETCD_DATA_DIR": "/d"})
    assert texts(found) == {"name": "a", "data-dir": "/d"}


def test_a_flag_wins_over_its_variable_and_that_is_told() -> None:
    found = settings("--name=a", environment={"ETCD_NAME": "b"})
    assert texts(found) == {"name": "a"}
    assert found.notices == (
        Notice(
            "the command line wins over the environment",
            {"setting": "ETCD_NAME=b", "flag": "--name"},
        ),
    )


def test_a_flag_wins_over_a_variable_of_its_other_name() -> None:
    found = settings("--listen=tcp://:1", environment={"ETCD_LISTEN_CLIENT_URLS": "http://:2"})
    assert texts(found) == {"listen": "tcp://:1"}


def test_an_empty_variable_sets_nothing() -> None:
    assert texts(settings(environment={"ETCD_NAME": ""})) == {}


def test_names_that_etcd_does_not_have_take_variables_of_trine() -> None:
    found = settings(environment={"TRINE_STORAGE_DIR": "/d", "TRINE_METRICS_LISTEN": ":1"})
    assert texts(found) == {"storage-dir": "/d", "metrics-listen": ":1"}


def test_every_setting_has_a_variable_of_its_own() -> None:
    variables = [variable(flag, name) for name, flag in ALL_FLAGS.items()]
    assert len(set(variables)) == len(variables)


def test_a_variable_of_no_setting_is_told_with_the_nearest() -> None:
    found = settings(environment={"ETCD_DATADIR": "/d", "ETCD_ZZZ": "1", "PATH": "/bin"})
    assert found.notices == (
        Notice(
            "no setting has this environment variable",
            {"variable": "ETCD_DATADIR", "nearest": "--data-dir"},
        ),
        Notice("no setting has this environment variable", {"variable": "ETCD_ZZZ"}),
    )


def test_a_configuration_file_counts_alone_and_what_it_silences_is_told() -> None:
    found = settings(
        "--config-file=/c.yml",
        "--name=a",
        environment={"ETCD_DATA_DIR": "/d"},
        files={"/c.yml": "name: c"},
    )
    message = "a configuration file was given, so this setting does not count"
    assert texts(found) == {"name": "c"}
    assert found.notices == (
        Notice(message, {"setting": "ETCD_DATA_DIR=/d", "config_file": "/c.yml"}),
        Notice(message, {"setting": "--name=a", "config_file": "/c.yml"}),
    )


def test_a_configuration_file_can_be_named_by_a_variable() -> None:
    found = settings(environment={"ETCD_CONFIG_FILE": "/c.yml"}, files={"/c.yml": "name: c"})
    assert texts(found) == {"name": "c"}


def test_a_configuration_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigFileError) as caught:
        settings("--config-file=/none.yml")
    assert str(caught.value) == (
        "--config-file=/none.yml: cannot read it: No such file or directory."
    )
