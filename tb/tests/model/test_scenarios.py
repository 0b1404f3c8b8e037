"""docs/scenarios.md names a test for each scenario and bug of the conformance sheet, and each that it names exists."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache

import pytest

from tb.config import ROOT
from tb.sabotage.manifest import load
from tb.script.run_packetdrill import COLLECTION, files

PAGE = ROOT / "docs" / "scenarios.md"
TESTS = ROOT / "tb" / "tests"
TIERS = TESTS / "tiers.toml"
IDS = [f"S{n:02}" for n in range(1, 61)] + [f"B{n:02}" for n in range(1, 26)]
ID = re.compile(r"(?<![A-Za-z0-9])[SB]\d\d(?![A-Za-z0-9])", re.IGNORECASE)
NAMED = re.compile(r"`([^`]+)`")
#: Where NDIS decides otherwise than the RFC (issue, first paragraph).
NDIS = ("S31", "S45", "S48", "S52")


@dataclass(frozen=True)
class Row:
    """One row of the page: names as they are written, without the marks of code."""

    id: str
    text: str
    scripts: tuple[str, ...]
    golden: tuple[str, ...]
    rtl: tuple[str, ...]
    broken: tuple[str, ...]


def rows_of(page: str) -> list[Row]:
    """The rows of the tables of a page."""
    found = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or not ID.fullmatch(cells[0]):
            continue
        named = [tuple(NAMED.findall(cell)) for cell in cells[2:]] + [()]
        found.append(Row(cells[0], cells[1], *named[:4]))
    return found


@cache
def scripts() -> dict[str, frozenset[str]]:
    """Folder and name of every script, with the ids in the comment that it begins with."""
    found = {}
    for file in files([COLLECTION]):
        lines = file.read_text().splitlines()
        end = next((at for at, line in enumerate(lines) if not line.startswith("//")), len(lines))
        found[f"{file.parent.name}/{file.stem}"] = frozenset(ID.findall(" ".join(lines[:end])))
    return found


def carried(node: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """The ids that a test carries: in its mark `rule`, its docstring, its name."""
    marks = [
        str(arg.value)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.rule"
        for arg in mark.args
        if isinstance(arg, ast.Constant)
    ]
    words = [*marks, ast.get_docstring(node) or "", node.name.replace("_", " ")]
    return frozenset(name.upper() for name in ID.findall(" ".join(words)))


@cache
def functions(*folders: str) -> dict[str, frozenset[str]]:
    """File and function of every function of these folders of tb/tests, with the ids that it carries."""
    return {
        f"{file.stem}::{node.name}": carried(node)
        for folder in folders
        for file in sorted((TESTS / folder).glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def is_played(name: str) -> bool:
    """A test of the RTL is one of a job of tb/tests/tiers.toml."""
    return f'.{name.partition("::")[0]}"' in TIERS.read_text()


def faults(row: Row) -> list[str]:
    """What is wrong with a row."""
    found = []
    known = [name for pattern in row.scripts for name in scripts() if fnmatch(name, pattern)]
    found += [f"no script {name}" for name in row.scripts if not any(fnmatch(other, name) for other in scripts())]
    found += [f"script {name} does not carry the id" for name in known if row.id not in scripts()[name]]
    found += [f"script {name} is left out" for name, ids in scripts().items() if row.id in ids and name not in known]
    for names, there in ((row.golden, functions("model")), (row.rtl, functions("unit", "rtl"))):
        found += [f"no test {name}" for name in names if name not in there]
        found += [f"test {name} does not carry the id" for name in names if row.id not in there.get(name, {row.id})]
    found += [f"no job plays {name}" for name in row.rtl if not is_played(name)]
    found += [f"no sabotage {name}" for name in row.broken if name not in {entry.id for entry in load()}]
    if not (row.scripts or (row.golden and row.rtl)):
        found.append("nothing shows it on both devices")
    if row.id in NDIS and "NDIS" not in row.text:
        found.append("what NDIS decides is not said")
    return found


ROWS = {row.id: row for row in rows_of(PAGE.read_text())}


def test_every_scenario_and_bug_has_one_row_in_order() -> None:
    assert [row.id for row in rows_of(PAGE.read_text())] == IDS


@pytest.mark.parametrize("name", IDS)
def test_what_a_row_names_exists_and_carries_its_id(name: str) -> None:
    assert faults(ROWS[name]) == []


def test_no_script_names_an_id_that_does_not_exist() -> None:
    named = {name for ids in scripts().values() for name in ids}
    assert sorted(named - set(IDS)) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ("| S22 | x | `reset/no_such_script` | - | - |", "no script reset/no_such_script"),
        ("| S22 | x | `close/active_close` | - | - |", "script close/active_close does not carry the id"),
        ("| S22 | x | - | - | - |", "script reset/exact_with_closed_window is left out"),
        ("| S03 | x | - | `test_seam::no_such_test` | - |", "no test test_seam::no_such_test"),
        ("| S03 | x | - | `test_plan::_result` | - |", "test test_plan::_result does not carry the id"),
        ("| S03 | x | - | - | `test_unit_rx::started` |", "test test_unit_rx::started does not carry the id"),
        ("| S03 | x | - | `test_seam::x` | - |", "nothing shows it on both devices"),
        ("| S31 | x | `rto/user_timeout` | - | - |", "what NDIS decides is not said"),
        ("| B01 | x | - | - | - | `no-such-sabotage` |", "no sabotage no-such-sabotage"),
    ],
)
def test_a_row_that_is_wrong_is_found(changes: str, fault: str) -> None:
    (row,) = rows_of(changes)
    assert fault in faults(row)


def test_a_page_is_read_by_its_columns() -> None:
    page = "| id | what |\n|---|---|\n| B07 | holds | `a/b`, `a/c_*` | `t::g` | - | `broken` |\n"
    assert rows_of(page) == [Row("B07", "holds", ("a/b", "a/c_*"), ("t::g",), (), ("broken",))]
