"""The scenes on the golden device, and the rows of docs/founding-pages.md as cases for pytest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from model.device.golden import GoldenDevice
from model.device.memory import ErrorWindow
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig
from tb.config import RunConfig
from tb.device.model_loop import MEMORY_BASE, MEMORY_BYTES, ModelRun
from tb.session import summary
from tb.session.contract_tap import ContractTap
from tb.tests.founding.driver import StageDriver
from tb.tests.founding.page import Judgement
from tb.tests.founding.rows import JUDGEMENTS
from tb.tests.founding.scenes import scenes
from tb.tests.founding.stage import DELAY, SIZE, Device, Stage, StageTransfer
from tb.tests.founding.story import Story


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
        self.watch_frames()
        driver.reset()
        driver.start()

    def _inject(self, windows: Sequence[ErrorWindow]) -> None:
        self.device.inject_errors(list(windows))


@dataclass(frozen=True)
class Playing:
    """A run of all scenes."""

    seed: int
    intermediates: int


#: Without, below one and below three intermediate drivers.
PLAYINGS = (Playing(1, 0), Playing(2, 0), Playing(1, 1), Playing(2, 3))


@dataclass(frozen=True)
class Played:
    """What a run of all scenes left behind; ``problems`` without what the contract monitors say."""

    stories: dict[str, Story]
    tap: ContractTap
    problems: tuple[str, ...]


def run_stage(config: RunConfig, intermediates: int = 0) -> Played:
    """Play all scenes on the golden device."""
    stage = Stage(scenes(intermediates))
    run = StageRun(replace(config, device="model", size=SIZE, conns=1, delay=DELAY, intermediates=intermediates), stage)
    problems = run.run()
    if not stage.over:
        problems.append(f"the stage waits at {stage.where()}")
    problems += [line for line in summary.verdict(run.transfer) if not line.startswith("contract: ")]
    return Played(stage.stories, run.transfer.tap, tuple(problems))


@cache
def _played(playing: Playing) -> Played:
    with TemporaryDirectory() as out:
        return run_stage(RunConfig(seed=playing.seed, out=Path(out)), playing.intermediates)


def played(playing: Playing) -> dict[str, Story]:
    """All scenes on the golden device, played once; the run itself must be clean, by the contract monitors, too."""
    left = _played(playing)
    assert left.problems == ()
    assert left.tap.verdict() == []
    return left.stories


def cases(letters: str) -> list[Any]:
    """The rows of one page, each with its rules."""
    return [
        pytest.param(one, id=f"{one.name}-{one.test.__name__}", marks=pytest.mark.rule(*one.rules))
        for one in JUDGEMENTS
        if one.name.startswith(letters)
    ]


def assert_holds(judgement: Judgement) -> None:
    """The row holds in every run that has the intermediate drivers it speaks of."""
    for playing in PLAYINGS:
        if playing.intermediates < judgement.intermediates:
            continue
        try:
            judgement.test(played(playing))
        except Exception as error:
            error.add_note(f"{judgement.name} with {playing}")
            raise
