"""The scenes on the golden device, and the rows of docs/founding-pages.md as cases for pytest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tb.config import RunConfig
from tb.session import summary
from tb.session.contract_tap import ContractTap
from tb.tests.founding.page import Judgement
from tb.tests.founding.rows import JUDGEMENTS
from tb.tests.founding.scenes import scenes
from tb.tests.stage import DELAY, SIZE, Stage, Story
from tb.tests.stage.golden import StageRun


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

    stage: Stage
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
    return Played(stage, run.transfer.tap, tuple(problems))


@cache
def _played(playing: Playing) -> Played:
    with TemporaryDirectory() as out:
        return run_stage(RunConfig(seed=playing.seed, out=Path(out)), playing.intermediates)


def clean(playing: Playing) -> Played:
    """All scenes on the golden device, played once; the run itself must be clean, by the contract monitors, too."""
    left = _played(playing)
    assert left.problems == ()
    assert left.tap.verdict() == []
    return left


def played(playing: Playing) -> dict[str, Story]:
    """What the scenes of `clean` left to be judged."""
    return clean(playing).stage.stories


def cases(letters: str) -> list[Any]:
    """The rows of one page, each with its rules."""
    return [
        pytest.param(one, id=one.title, marks=pytest.mark.rule(*one.rules))
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
