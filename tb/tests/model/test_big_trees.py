"""State trees larger than a small device, on the golden device: statuses, order and contexts of every node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.tests.big_trees import fill


@pytest.mark.rule("CH-033", "CH-034", "CH-038", "CH-042", "CH-043", "CH-044", "CH-045", "CH-046", "CH-048")
@pytest.mark.parametrize("conns", [16, 128])
def test_one_initiate_call_fills_the_device_and_names_every_failure_of_its_tree(tmp_path: Path, conns: int) -> None:
    fill(conns, tmp_path)
