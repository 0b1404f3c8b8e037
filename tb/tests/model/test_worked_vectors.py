"""The worked vectors A.1 to A.9 on the golden device, through driver and host: one run, a test for each."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tb.config import RunConfig
from tb.tests.vector_cases import VECTORS, Vector
from tb.tests.vector_run import PlayedVectors, run_vectors


@cache
def played() -> PlayedVectors:
    """All scenes on the golden device, played once."""
    with TemporaryDirectory() as out:
        return run_vectors(RunConfig(device="model", out=Path(out)))


def _cases() -> list[object]:
    return [pytest.param(v, id=f"{v.name}-{v.test.__name__}", marks=pytest.mark.rule(*v.rules)) for v in VECTORS]


@pytest.mark.parametrize("vector", _cases())
def test_vector(vector: Vector) -> None:
    vector.test(played().stage.stories, 0)


def test_the_judges_of_every_run_find_nothing() -> None:
    assert played().problems == ()
    assert played().tap.verdict() == []


def test_there_is_a_test_for_each_of_the_nine_vectors() -> None:
    assert sorted(vector.name for vector in VECTORS) == [f"A.{number}" for number in range(1, 10)]
