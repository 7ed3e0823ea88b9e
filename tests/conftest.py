"""Options of the whole suite: what is slow runs when asked for, no test fails by the clock."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write golden scripts as observed")
    parser.addoption("--slow", action="store_true", help="run the minutes-long tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="minutes long: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)
