"""What the documents say, held to the code: names, links, commands, flags, texts, files.

The rule of this file: prose is not judged, but whatever in it names a thing of the product must
name one that is there, and what must be complete is.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from server.main import cli
from server.settings import ALL_FLAGS
from tests.sources import CHECKOUT, sources

DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
SECOND_COMMAND = ".ci/setup dev && .venv/bin/pytest"

INVARIANT = re.compile(r"INV-[A-Z]+(?:-[A-Z]+)*")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
MODULE = re.compile(r"^(?:core|net|server|sim|jepsen)/[\w/]+$")
ROW = re.compile(r"^\| (.+) \|$", re.MULTILINE)


def pages() -> list[Path]:
    """Every document of the product."""
    return [README, *sorted(DOCS.rglob("*.md"))]


def text_of(name: str) -> str:
    """Return a document's text."""
    return (CHECKOUT / name).read_text(encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of every table row."""
    for row in ROW.findall(text):
        yield [cell.strip() for cell in row.split(" | ")]


def invariants_in_code() -> set[str]:
    """Return every invariant that some module names."""
    return {name for source in sources() for name in INVARIANT.findall(source.text)}


def test_every_invariant_of_the_code_is_on_the_page_and_no_other() -> None:
    assert {row[0] for row in invariant_rows()} == invariants_in_code()


def test_an_invariant_is_where_the_page_says() -> None:
    text = {source.path: source.text for source in sources()}
    for name, _, asserted, tested in invariant_rows():
        for module in CODE.findall(asserted):
            if MODULE.match(module):
                assert name in text[f"{module}.py"], f"{name} is not in {module}"
        tests = CODE.findall(tested)
        assert tests, f"{name} is tested nowhere"
        assert not [test for test in tests if not (CHECKOUT / test).is_file()]


def test_every_module_is_on_the_map() -> None:
    text = text_of("docs/ARCHITECTURE.md")
    named = [row[0].strip("`") for row in rows(text) if MODULE.match(row[0].strip("`"))]
    modules = {
        source.path.removesuffix(".py"): source.text.splitlines()[0].strip('"')
        for source in sources()
        if not source.path.endswith("/__init__.py")
    }
    missing = [f"| `{path}` | {line} |" for path, line in modules.items() if path not in named]
    assert not missing, "modules without a row"
    assert not [name for name in named if name not in modules and not is_place(name)]


def test_what_a_document_names_in_code_letters_is_there() -> None:
    for page in pages():
        for word in CODE.findall(prose(page)):
            if re.match(r"^(core|net|server|sim|jepsen|tests|docs|\.ci)/[\w./-]*$", word):
                assert is_place(word.rstrip("/")), f"{page.name} names {word}"


def test_a_function_on_the_map_is_there() -> None:
    known = {
        f"{kind.name}.{function.name}"
        for source in sources()
        for kind in ast.walk(source.tree)
        if isinstance(kind, ast.ClassDef)
        for function in kind.body
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    named = re.findall(r"`([A-Z]\w+\.[a-z_]+)(?=[`(])", text_of("docs/ARCHITECTURE.md"))
    assert named
    assert not [name for name in named if name not in known]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links {target}"
        if heading:
            assert heading in headings(there), f"{page.name} links {target}"


def test_the_second_command_is_what_every_commit_must_pass() -> None:
    assert SECOND_COMMAND in text_of("README.md")
    steps = [line.strip() for line in text_of(".ci/run").splitlines()]
    assert [step for step in steps if step in (".ci/setup dev", "pytest")] == [
        ".ci/setup dev",
        "pytest",
    ]


def test_documents_call_commands_and_flags_that_exist() -> None:
    known = cli.list_commands(click.Context(cli))
    called = [(page.name, line.split("#")[0]) for page in pages() for line in commands(page)]
    assert called
    for place in called:
        words = place[1].partition("trine ")[2].split()
        assert words[0] in known, place
        if words[0] == "serve":
            given = [word.lstrip("-").split("=")[0] for word in words if word.startswith("-")]
            assert not [flag for flag in given if flag not in ALL_FLAGS], place


@pytest.mark.parametrize("page", ["docs/OPERATIONS.md", "docs/CLUSTERS.md"])
def test_flags_that_operators_are_told_of_exist(page: str) -> None:
    flags = [word[2:] for word in CODE.findall(text_of(page)) if word[:2] == "--"]
    assert flags
    assert not [flag for flag in flags if flag not in ALL_FLAGS]


def test_log_lines_that_operators_are_told_of_are_logged() -> None:
    code = "".join(re.sub(r'"\s+f?"', "", source.text) for source in sources())
    section = text_of("docs/OPERATIONS.md").partition("## Log lines")[2].partition("\n## ")[0]
    lines, _, reasons = section.partition("Reasons not to start")
    quoted = [row[0].strip("`") for row in rows(lines) if row[0].startswith("`")]
    parts = [part.strip() for row in rows(reasons) for part in row[0].split("...")]
    parts = [part for part in parts if part and part not in ("reason", "---")]
    assert quoted
    assert parts
    assert not [line for line in quoted + parts if line not in code]


def test_log_lines_about_clusters_are_logged() -> None:
    code = "".join(re.sub(r'"\s+f?"', "", source.text) for source in sources())
    section = text_of("docs/CLUSTERS.md").partition("## Log lines")[2].partition("\n\nWhat")[0]
    quoted = [word for row in rows(section) for word in CODE.findall(row[0])]
    parts = [part.strip() for word in quoted for part in word.split("...") if part.strip()]
    assert parts
    assert not [part for part in parts if part not in code]


def test_metrics_that_operators_are_told_of_exist() -> None:
    code = "".join(s.text for s in sources("server") if s.path.startswith("server/metric"))
    code += "process_resident_memory_bytes"
    named = re.findall(r"`((?:etcd|trine|process)_\w+)`", text_of("docs/OPERATIONS.md"))
    assert named
    assert not [name for name in named if name not in code]


def test_a_word_has_one_entry_in_the_glossary() -> None:
    words = [row[0] for row in rows(text_of("docs/GLOSSARY.md")) if row[0].startswith("**")]
    assert len(words) == len(set(words))
    assert words


def test_decisions_are_numbered_once_and_say_why() -> None:
    files = sorted((DOCS / "decisions").glob("*.md"))
    numbers = [file.name[:4] for file in files]
    assert len(numbers) == len(set(numbers))
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert text.startswith(f"# {file.name[:4]}: ")
        for part in ("Context", "Options", "Decision", "Consequences"):
            assert part in text, f"{file.name} lacks {part}"


def invariant_rows() -> list[list[str]]:
    """Return the rows of the page of invariants, headings left out."""
    return [row for row in rows(text_of("docs/INVARIANTS.md")) if row[0].startswith("INV-")]


def prose(page: Path) -> str:
    """Return a document without its blocks of code."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^(?:```.*?^```|    .*?$)", "", text, flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """Yield each line of a block of code that calls trine."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("    ") and re.search(r"(?:^|[ /])trine ", line):
            yield line.replace(".venv/bin/trine", "trine")


def headings(page: Path) -> set[str]:
    """Return the anchors of a document."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in found}


def is_place(name: str) -> bool:
    """Whether a name is a file, a folder, or a module without its ending."""
    path = CHECKOUT / name
    return path.exists() or path.with_name(f"{path.name}.py").is_file()
