"""A state tree as large as the golden device, played and judged."""

from __future__ import annotations

from pathlib import Path

from tb.config import RunConfig
from tb.session import summary
from tb.tests.stage import DELAY, Stage
from tb.tests.stage.golden import StageRun
from tb.tests.tree_cases import big_tree, judge_big_tree


def fill(conns: int, out: Path) -> None:
    """Play the tree for a device of so many connections; AssertionError if a node has another answer than its own."""
    stage = Stage([big_tree(conns)])
    run = StageRun(RunConfig(device="model", size=4096, delay=DELAY, out=out), stage, conns)
    assert run.run() == [], stage.where()
    assert stage.over, stage.where()
    judge_big_tree(stage.stories, conns)
    assert summary.verdict(run.transfer) == []
