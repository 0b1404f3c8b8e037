"""Contract scenes on the golden device: one run a scene, so that each has a device of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.ndis.miniport import DriverConfig
from tb.config import RunConfig
from tb.contract.scenes.stage import CONNS, DELAY, SIZE, Case, SceneDriver, SceneStage, SceneTransfer
from tb.session import summary
from tb.tests.stage.golden import StageRun


class SceneRun(StageRun):
    """A session on the golden device with the stage beside it."""

    transfer: SceneTransfer
    transfer_type = SceneTransfer
    driver_type = SceneDriver


@dataclass(frozen=True)
class Played:
    """What came of scenes: what is wrong with the run, claims that did not come true, what the monitors say."""

    problems: tuple[str, ...]
    unmet: tuple[str, ...]
    contract: dict[str, Any]
    #: The rules that count in each scene.
    seen: dict[str, frozenset[str]]


def play(cases: Sequence[Case], out: Path, seed: int = 1) -> Played:
    """Scenes with the same set-up, one after the other."""
    first = cases[0]
    config = replace(RunConfig(device="model", size=SIZE, delay=DELAY, seed=seed, out=out), **first.session)
    stage = SceneStage(cases)
    run = SceneRun(config, stage, CONNS, driver_config=DriverConfig(conns=CONNS, cq_log2=12))
    problems = run.run()
    if not stage.over:
        problems.append(f"the stage waits at {stage.where()}")
    problems += summary.verdict(run.transfer)
    found = run.transfer.tap.result()
    return Played(tuple(problems), tuple(run.transfer.claims()), found, stage.seen(found))
