"""A state tree as large as the largest device."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.tests.big_trees import fill

#: Of the largest device (docs/contract/blocks.md).
CONNS = 1024


@pytest.mark.rule("CH-033", "CH-034", "CH-038", "CH-042", "CH-043", "CH-044", "CH-045", "CH-046", "CH-048")
def test_one_initiate_call_fills_the_largest_device_and_names_every_failure_of_its_tree(tmp_path: Path) -> None:
    fill(CONNS, tmp_path)
