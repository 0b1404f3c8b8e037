"""How long a tick is goes with a simulation: a frame that waits for the wire waits more of the shorter ticks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.config import TICK_CYCLES, RunConfig
from tb.contract.wire import FarApp
from tb.peers.tcp_peer import PeerConfig
from tb.session.network import QUEUED_FRAMES, Network, wire_cycles
from tb.sim.build import BuildResult
from tb.sim.run import CUT_PRESCALE, arrange
from tb.sim.spec import SimSpec
from tb.sim.tools import Tool

#: Nothing is built or run here.
TOOL = Tool("icarus", "11.0", "system", Path("vvp"))


@pytest.mark.parametrize(
    ("plusargs", "cuts", "cycles"),
    [({}, 0, TICK_CYCLES), ({"prescale": 300}, 0, 300), ({}, 3, CUT_PRESCALE), ({"prescale": 300}, 3, 300)],
)
def test_a_simulation_is_told_of_the_tick_that_it_is_started_with(
    plusargs: dict[str, int], cuts: int, cycles: int, tmp_path: Path
) -> None:
    built = BuildResult(SimSpec(TOOL, (), ()), tmp_path, 0.0, True, None)
    arranged = arrange(built, "m", tmp_path, config=RunConfig(command="run", cuts=cuts), plusargs=plusargs)
    assert RunConfig.from_json((tmp_path / "config.json").read_text()).tick_cycles == cycles
    given = [word for word in arranged.words if word.startswith("+prescale=")]
    assert given == ([] if cycles == TICK_CYCLES else [f"+prescale={cycles}"])


def test_a_tick_of_the_simulation_is_as_long_as_it_is_taken_for_where_nothing_is_given() -> None:
    text = (Path(__file__).resolve().parents[2] / "hdl" / "tb_top.v").read_text()
    assert f"prescale   = 32'd{TICK_CYCLES};" in text


@pytest.mark.parametrize("data_w", [64, 512])
@pytest.mark.parametrize("cycles", [250, TICK_CYCLES, CUT_PRESCALE])
def test_all_frames_that_may_be_queued_leave_within_the_ticks_that_the_wire_monitor_gives_them(
    data_w: int, cycles: int
) -> None:
    config = RunConfig(command="run", data_w=data_w, tick_cycles=cycles)
    ticks = Network(config, lambda _: FarApp(), PeerConfig(), None).monitor.config.race_ticks
    assert (ticks - 2) * cycles < QUEUED_FRAMES * wire_cycles(config) <= ticks * cycles
