"""The checkers judge the product; they know nothing of it."""

import ast

from tests.sources import sources

ALLOWED = ("sim.check", "sim.ops", "sim.history", "sim.well_typed", "sim.wording")
JUDGES = (
    "sim/check/",
    "sim/history.py",
    "sim/history_file.py",
    "sim/ops.py",
    "sim/well_typed.py",
    "sim/wording.py",
)


def test_the_checkers_see_nothing_of_the_product() -> None:
    seen = {
        f"{source.path}: {name}"
        for source in sources()
        if source.path.startswith(JUDGES)
        for node in ast.walk(ast.parse(source.text))
        for name in _imported(node)
        if name.partition(".")[0] in ("core", "net", "server", "sim", "tests")
        and not name.startswith(ALLOWED)
    }
    assert seen == set()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{each.name}" for each in node.names]
    return [each.name for each in node.names] if isinstance(node, ast.Import) else []
