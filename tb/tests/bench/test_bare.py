"""`make bench` in small: what Python played is played again by HDL alone, to the same end (tb/hdl/bench_top.v)."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tb import bench
from tb.session.bench import Play
from tb.sim.tools import choose

#: Full-size frames: enough for several windows.
FRAMES = 60


@pytest.mark.rule("issue 1: make bench")
@pytest.mark.parametrize("play", Play)
def test_hdl_alone_plays_the_recorded_traffic_to_its_end(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "OUT", tmp_path)
    monkeypatch.setattr(bench, "TIMEOUT", 300.0)
    tool, _ = choose("verilator", fall_back=True)
    played = bench.play_once(Console(), tool, play, 64, 32, 1, FRAMES)
    assert len([frame for frame in played.measured if frame.length >= bench.FULL]) >= FRAMES // 2
    if tool.kind == "verilator":  # Icarus has no simulator without Python to compare with
        assert bench.bare(Console(), tool, played) > 0
