"""The worked vectors A.1 to A.9 on the golden device, through driver and host, in one run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tb.config import RunConfig
from tb.session import summary
from tb.session.contract_tap import ContractTap
from tb.tests.stage import DELAY, SIZE, Stage
from tb.tests.stage.golden import StageRun
from tb.tests.vector_cases import scenes

CONNS: Final = 8
STALE_TICKS: Final = 30_000


@dataclass(frozen=True)
class PlayedVectors:
    """What the scenes left behind; ``problems`` without what the contract monitors say."""

    stage: Stage
    tap: ContractTap
    problems: tuple[str, ...]


def run_vectors(config: RunConfig) -> PlayedVectors:
    """All scenes of the vectors."""
    stage = Stage(scenes(STALE_TICKS))
    run = StageRun(replace(config, device="model", size=SIZE, delay=DELAY), stage, CONNS)
    problems = run.run()
    if not stage.over:
        problems.append(f"the stage waits at {stage.where()}")
    problems += [line for line in summary.verdict(run.transfer) if not line.startswith("contract: ")]
    return PlayedVectors(stage, run.transfer.tap, tuple(problems))
