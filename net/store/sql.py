"""SQL for operators: queries over the newest generation, and not one write.

A statement is refused by its kind before SQLite sees it, because SQLite would answer a
`DELETE ... LIMIT` with a syntax error and a `DELETE` that matches nothing with silence; the
operator must learn what to do instead. The connection is read-only besides.

Every line opens the store anew: the member may start, stop or switch generations meanwhile.
"""

import re
from collections.abc import Iterator

import apsw

from net.disk import Disk, RealDisk
from net.store import connection, files, meta, rendering
from net.store.connection import Database, SqlRow
from net.store.errors import StoreError
from net.store.rendering import Mode
from net.store.schema import READ_ONLY

_TOKEN = re.compile(
    r"(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))"
    r"|(?P<quoted>'(?:[^']|'')*(?:'|\Z)|\"(?:[^\"]|\"\")*(?:\"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z))"
    r"|(?P<word>\w+)"
    r"|(?P<mark>.)",
    re.DOTALL,
)
_QUERIES = frozenset({"SELECT", "VALUES"})
_WRITES = frozenset(
    [
        "INSERT",
        "UPDATE",
        "DELETE",
        "REPLACE",
        "CREATE",
        "DROP",
        "ALTER",
        "VACUUM",
        "REINDEX",
        "ANALYZE",
    ]
)
_ASKING_PRAGMAS = frozenset(
    [
        "table_info",
        "table_xinfo",
        "table_list",
        "index_list",
        "index_info",
        "database_list",
        "compile_options",
        "page_count",
        "page_size",
        "freelist_count",
        "user_version",
        "application_id",
        "schema_version",
        "encoding",
        "integrity_check",
        "quick_check",
        "function_list",
        "pragma_list",
        "collation_list",
    ]
)
_ONLY_QUERIES = "only queries run here: SELECT, VALUES, WITH, EXPLAIN and asking PRAGMAs"

HELP = """\
.help             this text
.mode [MODE]      show or set how rows are printed: table, list, csv, json or line
.schema [NAME]    the statements that made the tables, or one of them
.tables           the names of tables and views
SELECT ...        any query; `kine` is the view that k8s-dqlite's operators know\
"""


class Console:
    """Answers the lines that an operator types. Its only state is the output mode."""

    def __init__(self, directory: str, *, mode: Mode = "table", disk: Disk | None = None) -> None:
        self.mode: Mode = mode
        self._directory = directory
        self._disk = RealDisk() if disk is None else disk

    def answer(self, line: str) -> Iterator[str]:
        """Yield the lines of output. Raises StoreError with a sentence for what cannot be done."""
        line = line.strip()
        if line.startswith("."):
            yield from self._command(line)
            return
        for statement in statements(line):
            if reason := refusal(statement):
                raise StoreError(reason)
            yield from self._query(statement)

    def _command(self, line: str) -> Iterator[str]:
        name, *arguments = line.split()
        match name, arguments:
            case ".help", []:
                yield HELP
            case ".mode", []:
                yield self.mode
            case ".mode", [mode]:
                self.mode = rendering.mode_of(mode)
            case ".tables", []:
                yield from self._query(
                    "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
                    " AND name NOT LIKE 'sqlite_%' ORDER BY name",
                    mode="plain",
                )
            case ".schema", [] | [_]:
                chosen = f" AND tbl_name = {_literal(arguments[0])}" if arguments else ""
                yield from self._query(
                    "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL"
                    f" AND name NOT LIKE 'sqlite_%'{chosen}",
                    mode="plain",
                )
            case _:
                raise StoreError(f"{line} is not a command here: see .help")

    def _query(self, statement: str, *, mode: Mode | None = None) -> Iterator[str]:
        database = open_newest(self._directory, disk=self._disk)
        try:
            columns, rows = database.columns(statement)
            yield from rendering.lines(columns, rows, mode or self.mode)
        except apsw.Error as error:
            raise StoreError(str(error)) from error
        finally:
            database.close()


def query(
    directory: str, statement: str, *, rows_max: int, bytes_max: int
) -> tuple[list[str], list[SqlRow]]:
    """Return names and rows of one query over the newest generation; bytes come as text.

    Raises StoreError with a sentence for what cannot be asked, or has too long an answer.
    """
    if reason := refusal(statement):
        raise StoreError(reason)
    database = open_newest(directory)
    try:
        columns, found = database.columns(statement)
        rows: list[SqlRow] = []
        size = 0
        for row in found:
            size += sum(len(value) for value in row if isinstance(value, str | bytes))
            if len(rows) >= rows_max or size > bytes_max:
                raise StoreError("the answer is too long: ask for less, with LIMIT")
            rows.append(
                tuple(
                    rendering.text_of(value) if isinstance(value, bytes) else value for value in row
                )
            )
    except apsw.Error as error:
        raise StoreError(str(error)) from error
    finally:
        database.close()
    return columns, rows


def open_newest(directory: str, *, disk: Disk | None = None) -> Database:
    """Open the newest finished generation for reading. Raises StoreError if there is none."""
    disk = RealDisk() if disk is None else disk
    reason = f"{directory} holds no store"
    for generation in reversed(files.generations(disk, directory)):
        path = files.state_path(directory, generation)
        try:
            database = _open_reader(disk, path)
        except apsw.Error as error:
            reason = f"{path} cannot be read ({error})"
            continue
        try:
            meta.read(database)
        except (apsw.Error, StoreError) as error:
            # A generation that is being written, or one that a crash left unfinished.
            reason = f"{path} cannot be read ({error})"
            database.close()
            continue
        return database
    raise StoreError(reason)


def refusal(statement: str) -> str | None:
    """Return why a statement may not run, or None for a query."""
    words = _outer_words(statement)
    while words and words[0] in ("EXPLAIN", "QUERY", "PLAN"):
        words = words[1:]
    if not words:
        return None
    kind = words[0]
    if kind == "WITH":
        kind = next((word for word in words if word in _QUERIES | _WRITES), "SELECT")
    if kind in _QUERIES:
        return None
    if kind in _WRITES:
        return READ_ONLY
    if kind == "PRAGMA":
        return None if _asks(statement, words) else READ_ONLY
    return _ONLY_QUERIES


def statements(text: str) -> list[str]:
    """Split at the semicolons that end statements, not at those in quotes and comments."""
    found: list[str] = []
    start = 0
    for token in _TOKEN.finditer(text):
        if token["mark"] == ";":
            found.append(text[start : token.start()])
            start = token.end()
    found.append(text[start:])
    return [statement.strip() for statement in found if _outer_words(statement)]


def _outer_words(statement: str) -> list[str]:
    """Return the words outside parentheses, quotes and comments, in upper case."""
    words: list[str] = []
    depth = 0
    for token in _TOKEN.finditer(statement):
        mark = token["mark"]
        if mark == "(":
            depth += 1
        elif mark == ")":
            depth -= 1
        elif depth == 0 and token["space"] is None:
            words.append((token["word"] or token[0]).upper())
    return words


def _asks(statement: str, words: list[str]) -> bool:
    return "=" not in statement and len(words) > 1 and words[-1].lower() in _ASKING_PRAGMAS


def _literal(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def _open_reader(disk: Disk, path: str) -> Database:
    """Open without leaving a file behind if no member runs and nothing is in the WAL."""
    wal = path + "-wal"
    pending = disk.exists(wal) and disk.size_bytes(wal) > 0
    database = connection.reader(path) if pending or disk.exists(path + "-shm") else None
    if database is None:
        database = connection.still(path)
    database.pragma("query_only", 1)
    return database
