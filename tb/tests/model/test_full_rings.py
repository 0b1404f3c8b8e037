"""A completion ring that the host does not empty, on the golden device."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.ndis.miniport import DriverConfig
from tb.config import RunConfig
from tb.session import summary
from tb.tests.ring_cases import (
    CQ_LOG2,
    MANY,
    RAW_BUFS,
    judge_many_requests,
    judge_sleeping_host,
    sleeping_host,
    sleeping_host_with_many_requests,
)
from tb.tests.stage import DELAY, Stage
from tb.tests.stage.golden import StageRun

#: Ticks after which an answer is overdue: fewer than the host sleeps.
PATIENCE = 40


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_full_completion_ring_stops_new_descriptors_and_nothing_else(tmp_path: Path, seed: int) -> None:
    stage = Stage([sleeping_host])
    settings = DriverConfig(conns=4, cq_log2=CQ_LOG2, raw_bufs=RAW_BUFS, answer_ticks=PATIENCE)
    config = RunConfig(device="model", size=4096, delay=DELAY, seed=seed, out=tmp_path)
    run = StageRun(config, stage, driver_config=settings)
    assert run.run() == [], stage.where()
    assert stage.over, stage.where()
    judge_sleeping_host(stage.stories)
    assert stage.driver.reports == []
    assert summary.verdict(run.transfer) == []


def test_requests_that_end_behind_a_full_completion_ring_hold_up_no_segment(tmp_path: Path) -> None:
    stage = Stage([sleeping_host_with_many_requests])
    settings = DriverConfig(conns=4, cq_log2=CQ_LOG2, raw_bufs=MANY, answer_ticks=PATIENCE)
    config = RunConfig(device="model", size=4096, delay=DELAY, seed=1, out=tmp_path)
    run = StageRun(config, stage, driver_config=settings)
    assert run.run() == [], stage.where()
    assert stage.over, stage.where()
    judge_many_requests(stage.stories)
    assert stage.driver.reports == []
    assert summary.verdict(run.transfer) == []
