"""wave_window alone, on both simulators: the file begins with the cycle asked for, the row tells the commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.config import RunConfig
from tb.display.screen import Screen, missing
from tb.sim.build import build
from tb.sim.run import run
from tb.sim.spec import HDL, TRANSACTORS, SimSpec, header_folders
from tb.sim.tools import find
from tb.wave_viewer import SAVE_NAME, describe
from tb.waves import read

HERE = Path(__file__).parent
FROM, COMMIT = 200, 240


@pytest.mark.parametrize("kind", ["icarus", "verilator"])
def test_the_waves_begin_with_the_cycle_asked_for_and_the_row_tells_the_commit(kind: str, tmp_path: Path) -> None:
    tool = find(kind)
    if tool is None:
        pytest.skip("no-icarus: Icarus Verilog is not installed")
    window = (HERE / "window_top.v", TRANSACTORS / "clk_rst.v", TRANSACTORS / "wave_window.v")
    top = tmp_path / "tb_top.v"
    top.write_text(window[0].read_text())
    spec = SimSpec(
        tool, (top, *window[1:]), (*header_folders(HDL), TRANSACTORS), defines={"WAVES": "1"}, waves=True,
        build_root=tmp_path,
    )  # fmt: skip
    out = tmp_path / "run"
    config = RunConfig(sim=kind, out=out)
    result = run(build(spec), "tb.tests.replay.window_run", out, config=config, waves=True, wave_from=FROM)
    assert result.passed, result.problem
    assert result.waves is not None
    waves = read(result.waves)
    assert (waves.start, waves.timescale) == (10_000 * FROM, -12)
    describe(result.waves, COMMIT)
    if (lack := missing()) is not None:
        pytest.skip(lack)
    with Screen() as screen:
        shown = screen.gtkwave(result.waves, result.waves.with_name(SAVE_NAME))
    assert shown.marker == 5_000 + 10_000 * COMMIT
    assert shown.values["commit_row"] == "c3 RX_SEGMENT 7: ESTABLISHED una 4711 nxt 0 rcv 0 cwnd 0"
    assert (shown.values["commit_cycle"], shown.values["tcp_state"]) == (str(COMMIT), "ESTABLISHED")
