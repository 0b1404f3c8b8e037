"""The worked vectors A.1 to A.9 on the golden device, through driver and host: one run, a test for each."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tb.config import RunConfig
from tb.session import summary
from tb.tests.founding_stage import DELAY, SIZE, Stage, Story
from tb.tests.stage_run import StageRun
from tb.tests.vector_cases import VECTORS, Vector, scenes

CONNS = 8
STALE_TICKS = 30_000


@cache
def played() -> tuple[dict[str, Story], list[str]]:
    """All scenes on the golden device: what they left behind, and what judges of every run hold against it."""
    stage = Stage(scenes(STALE_TICKS))
    with TemporaryDirectory() as out:
        run = StageRun(RunConfig(device="model", size=SIZE, delay=DELAY, out=Path(out)), stage, CONNS)
        problems = run.run()
        assert stage.over, stage.where()
        return stage.stories, problems + summary.verdict(run.transfer)


def _cases() -> list[object]:
    return [pytest.param(v, id=f"{v.name}-{v.test.__name__}", marks=pytest.mark.rule(*v.rules)) for v in VECTORS]


@pytest.mark.parametrize("vector", _cases())
def test_vector(vector: Vector) -> None:
    vector.test(played()[0], 0)


def test_the_judges_of_every_run_find_nothing() -> None:
    assert played()[1] == []


def test_there_is_a_test_for_each_of_the_nine_vectors() -> None:
    assert sorted(vector.name for vector in VECTORS) == [f"A.{number}" for number in range(1, 10)]
