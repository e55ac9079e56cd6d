"""House rules no linter knows: who asks the clock, who prints, who commits, how big, how named."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from distributor.core import states

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "distributor"
MODULES = sorted(PACKAGE.rglob("*.py"))

FUNCTION_LINES = 60
MODULE_LINES = 500
DRAWERS = {"util", "utils", "helper", "helpers", "manager", "managers", "misc", "common"}
CLOCK_CALLS = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "clock_gettime",
        "localtime",
        "gmtime",
    },
}
SQL = {"sqlalchemy", "alembic", "psycopg"}
TRANSACTION_CALLS = {"commit", "rollback"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, node: ast.expr | ast.stmt) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def calls(path: Path) -> Iterator[tuple[ast.Call, str, str]]:
    """Every call with the name it is made on ("" for a bare one) and the name called."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            named = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            yield node, named, node.func.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node, "", node.func.id


def within(*rooms: str) -> list[Path]:
    return [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in rooms]


def test_only_the_clock_asks_the_system_what_time_it_is() -> None:
    asked = [
        place(path, node)
        for path in MODULES
        if path != PACKAGE / "clock.py"
        for node, owner, name in calls(path)
        if name in CLOCK_CALLS.get(owner, ())
    ]
    taken = [
        place(path, node)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom)
        and node.module == "time"
        and {alias.name for alias in node.names} & CLOCK_CALLS["time"]
    ]
    assert asked + taken == []


def test_only_the_command_line_prints() -> None:
    allowed = {*within("cli"), PACKAGE / "mail" / "sink.py"}
    prints = [
        place(path, node)
        for path in MODULES
        if path not in allowed
        for node, owner, name in calls(path)
        if (owner, name) == ("", "print")
    ]
    assert prints == []


def test_only_the_database_module_ends_a_transaction() -> None:
    ends = [
        place(path, node)
        for path in MODULES
        if path != PACKAGE / "store" / "database.py"
        for node, _, name in calls(path)
        if name in TRANSACTION_CALLS and isinstance(node.func, ast.Attribute)
    ]
    assert ends == []


def sql_imports(path: Path) -> Iterator[str]:
    """Whatever of SQL a module imports, but for the type of an open transaction."""
    for_types = {
        id(node)
        for block in ast.walk(tree(path))
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            modules, names = {node.module or ""}, {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            modules, names = {alias.name for alias in node.names}, set[str]()
        else:
            continue
        harmless = id(node) in for_types and names == {"Connection"}
        if {module.split(".")[0] for module in modules} & SQL and not harmless:
            yield place(path, node)


def test_only_the_store_speaks_sql() -> None:
    store = set(within("store"))
    assert [found for path in MODULES if path not in store for found in sql_imports(path)] == []


def test_no_module_is_a_drawer() -> None:
    assert [path for path in MODULES if path.stem in DRAWERS or path.parent.name in DRAWERS] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_says_what_it_owns_and_stays_readable(path: Path) -> None:
    if path.stat().st_size == 0:
        return
    assert ast.get_docstring(tree(path)), "it has no docstring"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    ]
    assert long == []


def test_migrations_do_not_hide_the_library_they_are_written_with() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_every_state_stands_in_the_glossary() -> None:
    glossary = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    kinds = (states.VersionState, states.WaveState, states.BatchState, states.DeliveryState)
    missing = [
        f"{kind.__name__} {state.value}"
        for kind in kinds
        for state in kind
        if not re.search(rf"\b{re.escape(state.value)}\b", glossary)
    ]
    assert missing == []


def test_no_path_or_host_of_a_package_registry_stands_in_a_lock() -> None:
    for lock in sorted(ROOT.glob("requirements*.lock")):
        text = lock.read_text(encoding="utf-8")
        assert re.findall(r"https?://|--index-url|--find-links|file:", text) == [], lock.name
