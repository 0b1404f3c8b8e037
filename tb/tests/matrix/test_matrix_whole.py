"""Every cell of the matrix on the whole golden device, through rings, memory and wire (tier "all": about a minute).

`make test` plays a sample of it (`test_matrix_device.py`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.matrix.table import possible
from tb.tests.model.test_matrix_device import check_cells


@pytest.mark.rule("RFC 9293 3.10.7.4", "RFC 5961", "RFC 7323 5", "RFC 5681 4.2", "S53")
def test_every_cell_of_the_matrix_ends_as_the_table_says_on_the_whole_golden_device(tmp_path: Path) -> None:
    check_cells(list(possible()), tmp_path)
