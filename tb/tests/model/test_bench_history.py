"""The file that bench and bench-farm keep figures in: one that cannot be used is told before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tb import bench
from tb.config import ConfigError, RunConfig
from tb.farm import bench as bench_farm
from tb.farm.history import keep_figures, writing
from tb.farm.results import HISTORY_NAME, ResultsReader


@pytest.fixture(params=[bench, bench_farm], ids=["bench", "bench-farm"])
def command(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A command that may not come as far as to measure anything."""
    module: ModuleType = request.param

    def measures(*_: object) -> int:
        raise AssertionError("it measures")

    monkeypatch.setattr(module, "OUT", tmp_path)
    monkeypatch.setattr(module, "measure_and_keep", measures)
    return lambda: module.main(RunConfig.from_environment("bench", {}))


@pytest.mark.rule("C-32")
@pytest.mark.parametrize("damaged", [b"no database at all" * 300, b"SQLite format 3\0cut off"])
def test_a_damaged_history_is_refused_before_anything_is_measured(
    command: Callable[[], int], tmp_path: Path, damaged: bytes
) -> None:
    (tmp_path / HISTORY_NAME).write_bytes(damaged)
    with pytest.raises(ConfigError, match=r"results\.sqlite cannot be used") as refusal:
        command()
    assert refusal.value.todo.startswith("move results.sqlite away (earlier runs are in it)")
    assert (tmp_path / HISTORY_NAME).read_bytes() == damaged


@pytest.mark.rule("C-32")
def test_two_benches_at_a_time_are_refused(command: Callable[[], int], tmp_path: Path) -> None:
    refused = pytest.raises(ConfigError, match=r"another command writes .*results\.sqlite")
    with writing(tmp_path / HISTORY_NAME, "make bench"), refused:
        command()


def test_figures_of_every_measurement_stay(command: Callable[[], int], tmp_path: Path) -> None:
    for share in (0.5, 0.25):
        with writing(tmp_path / HISTORY_NAME, "make bench") as history:
            keep_figures(history, "bench", "0" * 40, 1.5, {"share": share, "text": "no number", "flag": True})
    with pytest.raises(AssertionError, match="it measures"):
        command()
    rows = ResultsReader(tmp_path / HISTORY_NAME).rows("SELECT run, name, value FROM figure ORDER BY run")
    assert [tuple(row.values()) for row in rows] == [(1, "share", 0.5), (2, "share", 0.25)]
