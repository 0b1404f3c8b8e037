"""The assertions inside hdl/ are part of every simulation of the design, and one that fires is what a failure says."""

from __future__ import annotations

from pathlib import Path

from tb.sim.run import ASSERTION, broken_assertion
from tb.sim.spec import HDL, chimney_spec, unit_spec
from tb.sim.tools import Tool, find


def _tool() -> Tool:
    tool = find("verilator") or find("icarus")
    assert tool is not None
    return tool


def test_assertions_are_compiled_into_device_and_blocks_but_not_into_a_changed_copy(
    tmp_path: Path,
) -> None:
    tool = _tool()
    assert "CHIMNEY_ASSERT" in chimney_spec(tool).defines
    assert "CHIMNEY_ASSERT" in unit_spec(tool, "dma").defines
    assert "CHIMNEY_ASSERT" not in chimney_spec(tool, hdl=tmp_path).defines


def test_every_assertion_prints_a_line_that_is_looked_for() -> None:
    texts = [path.read_text() for path in HDL.rglob("*.v")]
    guarded = [part.split("`endif")[0] for text in texts for part in text.split("`ifdef CHIMNEY_ASSERT")[1:]]
    assert len(guarded) >= 7
    for part in guarded:
        assert part.count("$finish;") == part.count(f'$display("{ASSERTION}%m: ') > 0, part


def test_the_first_assertion_of_a_log_is_told(tmp_path: Path) -> None:
    log = tmp_path / "sim.log"
    assert broken_assertion(log) == ""
    log.write_text("0.00ns  ASSERT is a word\nASSERT dma.write: response without a burst\nASSERT b: no\n")
    assert broken_assertion(log) == "an assertion of the design: ASSERT dma.write: response without a burst"
    log.write_text("0.00ns INFO  nothing\n")
    assert broken_assertion(log) == ""
