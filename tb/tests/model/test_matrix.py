"""The matrix of section 4 of the conformance sheet on the golden device, all of it, and the tables behind it."""

from __future__ import annotations

from collections import Counter

import pytest

from tb.matrix.cells import Cell, cells, part, sample
from tb.matrix.table import (
    Outcome,
    decide,
    differences,
    expected,
    impossible_rows,
    known_open,
    open_rows,
    possible,
    stages,
    why_impossible,
)
from tb.tests.model.matrix_bench import play

#: Cells of open.toml. The number may only fall.
OPEN_CELLS = 0
#: Cells that a failing test names.
SHOWN = 20


@pytest.mark.rule(
    "RFC 9293 3.10.7.4", "RFC 5961 3 4 5", "RFC 7323 4.3 5", "RFC 5681 2 4.2", "S43", "S44", "S45", "S46", "B12"
)
@pytest.mark.rule("S53", "S54", "S58", "CH-193", "CH-195", "CH-196", "CH-197", "CH-198", "CH-199", "CH-200", "CH-202")
def test_every_cell_of_the_matrix_ends_as_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = {cell: difference for cell in possible() if (difference := differences(expected(cell), play(cell)))}
    unknown = [f"{cell}: {difference}" for cell, difference in found.items() if not known_open(cell)]
    mended = [str(cell) for cell in possible() if known_open(cell) and cell not in found]
    total, exist = sum(1 for _ in cells()), len(possible())
    with capsys.disabled():
        print(f"\nmatrix: {total} cells, {total - exist} impossible, {exist} played, {len(found)} open")
        for row in open_rows():
            print(f"matrix: open: {row.source}")
    assert not unknown, "\n".join([f"{len(unknown)} cells differ", *unknown[:SHOWN]])
    assert not mended, "\n".join([f"{len(mended)} cells of open.toml agree: take them out", *mended[:SHOWN]])
    assert len(found) <= OPEN_CELLS


def test_every_row_of_the_tables_decides_a_cell() -> None:
    used = Counter((rule.name, rule.source) for cell in possible() for rule in decide(cell))
    rows = {(rule.name, rule.source) for rules in stages().values() for rule in rules}
    assert rows == set(used)
    assert len({name for name, _ in rows}) == len(rows), "two rows have one id"


def test_every_impossible_cell_has_one_reason_that_names_it_and_every_reason_a_cell() -> None:
    reasons = Counter(why_impossible(cell) for cell in cells())
    assert set(reasons) - {""} == {row.source for row in impossible_rows()}


def test_the_table_knows_every_class_of_outcome() -> None:
    """Delivered, held, dropped, acknowledged and dropped, a change of state, an event, an upload, passed up."""
    classes = Counter(name for cell in possible() for name in classify(cell, expected(cell)))
    assert set(classes) == {"answered", "delivered", "held", "event", "state", "passed up", "silent", "upload"}


def classify(cell: Cell, outcome: Outcome) -> set[str]:
    found: set[str] = set()
    if outcome.answers:
        found.add("answered")
        blocks = outcome.answers[0].blocks
        found |= {"held"} if blocks and blocks[0][0] != outcome.rcv_nxt and decide(cell)[-1].name == "held" else set()
    found |= {"delivered"} if outcome.delivered else set()
    found |= {"event"} if outcome.events else set()
    found |= {"upload"} if any(event.startswith("RETRIEVE") for event in outcome.events) else set()
    found |= {"passed up"} if outcome.passed_up else set()
    found |= {"state"} if cell.state not in ("FROZEN", outcome.state) else set()
    return found or {"silent"}


def test_the_parts_of_the_matrix_are_the_matrix_and_a_sample_is_its_seeds() -> None:
    whole = possible()
    assert sorted(map(str, (cell for n in range(7) for cell in part(whole, n, 7)))) == sorted(map(str, whole))
    assert sample(whole, 0.05, 3) == sample(whole, 0.05, 3) != sample(whole, 0.05, 4)
    assert len(sample(whole, 0.05, 3)) == round(0.05 * len(whole))
