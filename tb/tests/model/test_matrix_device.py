"""Cells of the matrix and reordered segments on the whole golden device: as the RTL plays them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tb.config import RunConfig
from tb.matrix.cells import Cell, sample
from tb.matrix.table import possible
from tb.session import summary
from tb.tests.matrix_cases import ManyLab, play
from tb.tests.model.test_device_errors import LabRun
from tb.tests.reorder_cases import ORDERS, PAIRS, Pieces, play_orders

SIZE, DELAY, CONNS = 2_048, 20, 64
SHARE = 0.05


def run_of(lab: ManyLab, tmp_path: Path, seed: int = 1) -> LabRun:
    return LabRun(RunConfig(device="model", size=SIZE, delay=DELAY, seed=seed, out=tmp_path), lab, CONNS)


def check_cells(cells: Sequence[Cell], tmp_path: Path) -> None:
    """Play ``cells`` on the golden device and hold each to the table."""
    lab = ManyLab([play(cells)])
    run = run_of(lab, tmp_path)
    assert run.run() == [], lab.where()
    assert summary.verdict(run.transfer) == []
    assert lab.played == len(cells)
    assert lab.problems == [], "\n".join(lab.problems[:20])


@pytest.mark.rule("RFC 9293 3.10.7.4", "RFC 5961", "RFC 7323 5", "RFC 5681 4.2", "S53")
def test_a_sample_of_the_matrix_ends_as_the_table_says_on_the_whole_device(tmp_path: Path) -> None:
    check_cells(sample(possible(), SHARE, 1), tmp_path)


@pytest.mark.rule("S05", "S54", "M-2", "M-3", "RFC 2018 4", "RFC 5681 4.2")
@pytest.mark.parametrize("orders", [ORDERS, PAIRS], ids=["120 orders of five", "100 pairs of pieces"])
def test_every_order_and_every_overlap_gives_the_stream_and_its_answers(
    orders: tuple[Pieces, ...], tmp_path: Path
) -> None:
    lab = ManyLab([play_orders(orders)])
    run = run_of(lab, tmp_path)
    assert run.run() == [], lab.where()
    assert lab.played == len(orders) == {5: 120, 3: 100}[len(orders[0])]
    assert lab.problems == [], "\n".join(lab.problems[:20])
