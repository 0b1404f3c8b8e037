"""State trees as large as the device, on the golden device: statuses, order and contexts of every node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.config import RunConfig
from tb.session import summary
from tb.tests.stage import DELAY, Stage
from tb.tests.stage.golden import StageRun
from tb.tests.tree_cases import big_tree, judge_big_tree


@pytest.mark.rule("CH-033", "CH-034", "CH-038", "CH-042", "CH-043", "CH-044", "CH-045", "CH-046", "CH-048")
@pytest.mark.parametrize("conns", [16, 1024])
def test_one_initiate_call_fills_the_device_and_names_every_failure_of_its_tree(tmp_path: Path, conns: int) -> None:
    stage = Stage([big_tree(conns)])
    run = StageRun(RunConfig(device="model", size=4096, delay=DELAY, out=tmp_path), stage, conns)
    assert run.run() == [], stage.where()
    assert stage.over, stage.where()
    judge_big_tree(stage.stories, conns)
    assert summary.verdict(run.transfer) == []
