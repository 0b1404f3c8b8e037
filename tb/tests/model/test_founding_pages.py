"""docs/founding-pages.md on the golden device: one test a row, all on what one run of the scenes left behind."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from model.device.golden import GoldenDevice
from model.device.memory import ErrorWindow
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig
from model.ndis.netbuffer import NetBuffer, NetBufferList
from model.ndis.status import CompletionKind
from tb.config import RunConfig
from tb.device.model_loop import MEMORY_BASE, MEMORY_BYTES, ModelRun
from tb.session import summary
from tb.tests.founding_cases import JUDGEMENTS, SCENES, Judgement, documented
from tb.tests.founding_stage import DELAY, SIZE, Device, Stage, StageDriver, StageTransfer, Story

SEEDS = (1, 2)
LEAST_ROWS = 35


class StageRun(ModelRun):
    """A session on the golden device with a stage beside it."""

    def __init__(self, config: RunConfig, stage: Stage, conns: int = 4) -> None:
        self.device = GoldenDevice(conns=conns, memory_bytes=MEMORY_BYTES, seed=config.seed)
        allocator = PageAllocator(self.device.mem, MEMORY_BASE, MEMORY_BYTES, seed=config.seed)
        session = StageTransfer(config, self.device.mem, allocator)
        face = session.join(stage, Device(self._inject, lambda: self.device.core), allocator)
        driver = StageDriver(self.device, face, allocator, DriverConfig(conns=conns, cq_log2=12))
        self.transfer, self.driver = session, driver
        session.attach(driver)
        self.device.on_interrupt = driver.on_interrupt
        driver.reset()
        driver.start()

    def _inject(self, windows: Sequence[ErrorWindow]) -> None:
        self.device.inject_errors(list(windows))


@cache
def played(seed: int) -> dict[str, Story]:
    """All scenes on the golden device; the run itself must be clean."""
    stage = Stage(SCENES)
    with TemporaryDirectory() as out:
        run = StageRun(RunConfig(device="model", size=SIZE, delay=DELAY, seed=seed, out=Path(out)), stage)
        assert run.run() == [], stage.where()
        assert stage.over, stage.where()
        assert summary.verdict(run.transfer) == []
    return stage.stories


def _cases() -> list[object]:
    return [
        pytest.param(
            judgement, seed, id=f"{judgement.name}-{judgement.test.__name__}-{seed}",
            marks=pytest.mark.rule(*judgement.rules),
        )
        for judgement in JUDGEMENTS
        for seed in SEEDS
    ]  # fmt: skip


@pytest.mark.parametrize(("judgement", "seed"), _cases())
def test_row(judgement: Judgement, seed: int) -> None:
    judgement.test(played(seed))


@pytest.mark.rule("CH-186")
def test_two_disconnects_that_complete_together_are_two_calls(tmp_path: Path) -> None:
    run = StageRun(RunConfig(device="model", size=SIZE, out=tmp_path), Stage(()))
    calls: list[NetBufferList] = []
    run.transfer.host.tcp_offload_disconnect_complete = calls.append  # type: ignore[method-assign,assignment]
    pair = [NetBufferList([NetBuffer(())]), NetBufferList([NetBuffer(())])]
    for nbl in pair:
        run.driver.up(CompletionKind.DISCONNECT, nbl)
    assert calls == pair
    assert all(nbl.next is None for nbl in pair)


def test_the_rows_that_are_shown_are_those_that_are_asserted_with_the_same_rules_and_names() -> None:
    shown = {(row.name, row.rules, row.test) for row in documented() if row.shown}
    assert shown == {(j.name, j.rules, j.test.__name__) for j in JUDGEMENTS}


def test_every_row_stands_once_and_there_are_enough_of_them() -> None:
    names = [row.name for row in documented()]
    assert len(names) == len(set(names)) >= LEAST_ROWS
    assert len(JUDGEMENTS) == len({j.name for j in JUDGEMENTS})


def test_a_row_that_is_not_shown_yet_names_no_test() -> None:
    assert all(row.test == "-" for row in documented() if not row.shown)
