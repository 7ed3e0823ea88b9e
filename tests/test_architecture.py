"""Source text as subject: floors, purity, sizes and names, held where no reviewer gets tired.

The rule of this file: it reads what is written and imports nothing of it. What it holds is said in
docs/ARCHITECTURE.md as "never does"; a red test here names the place where that is no longer true.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from tests.sources import CHECKOUT, FLOORS, Source, sources

MAY_IMPORT = {
    "core": {"core"},
    "net": {"core", "net"},
    "server": {"core", "net", "server"},
    "sim": {"core", "net", "server", "sim"},
    "jepsen": {"net", "sim", "jepsen"},
}
"""Which of our packages a floor may name."""

CORE_STDLIB = {
    "array",
    "bisect",
    "collections",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "operator",
    "struct",
    "typing",
    "zlib",
}
"""The core's whole choice of the standard library: nothing of it can tell time or touch the world.

hashlib and zlib are here as functions of bytes.
"""

CORE_CALLS_NEVER = {"open", "print", "input", "hash", "id", "eval", "exec", "float", "__import__"}
"""Built-ins that do I/O, or whose results differ between two runs or two machines."""

OWNERS = {
    "apsw": {"net/store", "sim"},
    "click": {"jepsen", "server", "sim"},
    "google": {"jepsen/nemesis", "net", "net/etcd", "server", "sim"},
    "grpc": {"jepsen", "jepsen/nemesis", "server"},
    "h11": {"net"},
    "hpack": {"net/http2"},
    "outcome": {"net", "net/etcd", "sim"},
    "prometheus_client": {"server"},
    "pysyncobj": {"net/raft"},
    "rich": {"server", "sim"},
    "sortedcontainers": {"core"},
    "trio": {"net", "server", "sim"},
    "yaml": {"server"},
}
"""Who touches which library. attrs is everywhere; a new library or a new owner is a decision."""

ISLANDS = {
    "net/http2": {"net.http2"},
    "net/journal": {"core.ids", "net.disk", "net.journal"},
    "net/store": {"core.piecemeal", "net.disk", "net.store"},
}
"""Folders of the shell that know nothing of ours but this."""

TRIO = {"net/reactor.py", "net/sockets.py"}
"""Where the shell waits. Everything else in net is called, and time is an argument."""

LINES_MAX = 500
FUNCTION_LINES_MAX = 60
NAMES_OF_NOTHING = {"utils", "helpers", "manager", "base", "common", "misc"}

NAMED = re.compile(r"(?<![\w./-])(?:core|net|server|sim|jepsen)(?:/[\w/]+\.py|(?:\.[a-z]\w*)+)")

N = TypeVar("N", bound=ast.stmt | ast.expr | ast.ExceptHandler)


def test_an_import_goes_down_only() -> None:
    assert not [
        f"{source.path} imports {name}"
        for source in sources()
        for name in source_roots(source) & set(FLOORS) - MAY_IMPORT[source.floor]
    ]


def test_an_import_says_the_whole_path() -> None:
    assert not [place for place, node in nodes(ast.ImportFrom) if node.level]


def test_a_library_is_touched_by_its_owners_alone() -> None:
    used = {(name, source.folder) for source in sources() for name in foreign_roots(source)}
    assert used == {(name, folder) for name, folders in OWNERS.items() for folder in folders}


def test_codec_journal_and_store_know_their_port_alone() -> None:
    assert not [
        f"{source.path} imports {name}"
        for source in sources("net")
        for name in imported(source)
        if source.folder in ISLANDS
        and name.split(".")[0] in FLOORS
        and name not in ISLANDS[source.folder]
        and not name.startswith(f"{source.folder.replace('/', '.')}.")
    ]


def test_two_files_of_the_shell_wait() -> None:
    assert {s.path for s in sources("net") if "trio" in source_roots(s)} == TRIO


def test_the_core_can_tell_no_time_roll_no_dice_and_touch_nothing() -> None:
    standard = {
        name
        for source in sources("core")
        for name in source_roots(source) & sys.stdlib_module_names
    }
    assert standard == CORE_STDLIB
    assert not called("core") & CORE_CALLS_NEVER


def test_the_core_knows_no_floats() -> None:
    floats = [place for place, node in nodes(ast.Constant, "core") if type(node.value) is float]
    divisions = [place for place, node in nodes(ast.BinOp, "core") if type(node.op) is ast.Div]
    in_place = [place for place, node in nodes(ast.AugAssign, "core") if type(node.op) is ast.Div]
    assert not floats + divisions + in_place


def test_no_module_has_a_state_of_its_own() -> None:
    """But the one hook that the simulator installs, which no member can be handed."""
    places = [place for place, _ in nodes(ast.Global)]
    assert not [place for place in places if not place.startswith("net/faultpoint.py:")]


def test_core_and_net_never_print() -> None:
    assert "print" not in called("core") | called("net")


def test_a_file_is_short_enough_to_be_read() -> None:
    assert not [s.path for s in sources() if s.text.count("\n") > LINES_MAX]


def test_a_function_is_short_enough_to_be_seen() -> None:
    plain = [(place, length(node)) for place, node in nodes(ast.FunctionDef)]
    waiting = [(place, length(node)) for place, node in nodes(ast.AsyncFunctionDef)]
    assert not [place for place, lines in plain + waiting if lines > FUNCTION_LINES_MAX]


def test_a_file_opens_with_its_rule() -> None:
    silent = [s.path for s in sources() if s.text and not ast.get_docstring(s.tree)]
    assert not silent
    assert {Path(s.path).name for s in sources() if not s.text} <= {"__init__.py"}


def test_a_module_that_a_docstring_names_is_there() -> None:
    """Both spellings: net/etcd/port.py, and net.etcd.port with or without a name in it."""
    assert not [
        f"{source.path} speaks of {found}"
        for source in sources()
        for text in docstrings(source.tree)
        for found in NAMED.findall(text)
        if not is_there(found)
    ]


def test_no_error_is_caught_blindly() -> None:
    """`except BaseException` may clean up, if it raises again what it caught."""
    for place, handler in nodes(ast.ExceptHandler):
        assert handler.type is not None, f"{place}: a bare except"
        names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        assert "Exception" not in names or place.startswith("server/member.py"), place
        if "BaseException" in names:
            last = handler.body[-1]
            assert isinstance(last, ast.Raise), f"{place}: swallows what it caught"
            assert last.exc is None, f"{place}: raises something else"


def test_nothing_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")
    assert not [s.path for s in sources() for mark in marks if f"{mark}" in s.text.split()]


def test_no_file_is_named_after_nothing() -> None:
    assert not [s.path for s in sources() if Path(s.path).stem in NAMES_OF_NOTHING]


def nodes(kind: type[N], floor: str | None = None) -> Iterator[tuple[str, N]]:
    """Yield every node of a kind with its place, in all floors or one."""
    for source in sources(floor):
        for node in ast.walk(source.tree):
            if isinstance(node, kind):
                yield f"{source.path}:{node.lineno}", node


def length(node: ast.stmt) -> int:
    """Return how many lines a statement has."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def is_there(name: str) -> bool:
    """Whether a path is a file, or the first two parts of a dotted name are a module."""
    if name.endswith(".py"):
        return (CHECKOUT / name).is_file()
    path = CHECKOUT.joinpath(*name.split(".")[:2])
    return path.is_dir() or path.with_suffix(".py").is_file()


def called(floor: str) -> set[str]:
    """Return the plain names that a floor calls."""
    return {node.func.id for _, node in nodes(ast.Call, floor) if isinstance(node.func, ast.Name)}


def imported(source: Source) -> set[str]:
    """Return the modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def source_roots(source: Source) -> set[str]:
    """Return the top-level packages that a file imports."""
    return {name.split(".")[0] for name in imported(source)}


def foreign_roots(source: Source) -> set[str]:
    """Return the libraries that a file imports, attrs left out."""
    return source_roots(source) - set(FLOORS) - sys.stdlib_module_names - {"attrs"}


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield every docstring of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
