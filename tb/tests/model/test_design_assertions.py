"""The assertions inside hdl/ are part of every simulation of the design, and one that fires is what a failure says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tb.replay import report_of
from tb.sabotage import contract_verdict
from tb.sabotage.judge import asserted, judge, judge_contract
from tb.sabotage.manifest import ASSERTED, NO_JUDGES
from tb.sim.run import ASSERTION, RunResult, broken_assertion, gather, said_of
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


FULL, EMPTY = "tb_top.dut.u_rx.resolve: the frame queue is full", "tb_top.dut.u_dma.write: response without a burst"
LATE = "the simulator was ended after its bound of 60 s"
SIM_FAILURE = "cocotb.regression.SimFailure: cocotb expected it would shut down the simulation"
UNFINISHED = ["2 frames given to the device never entered it", "the session did not come to its end"]


def ended(folder: Path, said: str, problem: str = "", *, results: bool = True) -> RunResult:
    """A run of the device that an assertion ended in cycle 2435, with what the other judges make of that."""
    folder.mkdir(exist_ok=True)
    (folder / "again.json").write_text('{"top": "tb_top"}')
    (folder / "sim.log").write_text(f"0.00ns INFO  cocotb\nASSERT {said}\n24355.00ns ERROR  {SIM_FAILURE}\n")
    if results:
        (folder / "rtl.json").write_text(json.dumps({"problems": UNFINISHED}))
        (folder / "results.xml").write_text(
            f'<testsuites><testsuite><testcase classname="m" name="t"><failure message="{SIM_FAILURE}"/><properties>'
            '<property name="sim_time_stop" value="24355.0"/></properties></testcase></testsuite></testsuites>'
        )
    return gather(folder, 1.0, problem, log=folder / "sim.log")


@pytest.mark.parametrize("problem", ["", LATE])
def test_an_assertion_is_the_first_divergence_of_its_run_with_its_words_its_cycle_and_a_bucket_of_its_own(
    problem: str, tmp_path: Path
) -> None:
    keys = set()
    for number, said in enumerate((FULL, EMPTY)):
        folder = tmp_path / str(number)
        ended(folder, said, problem)
        record = json.loads((folder / "failure.json").read_text())
        assert (record["check"], record["got"], record["cycle"]) == (ASSERTED, said, 2435)
        assert record["key"] == f"assertion: {said}"
        assert record["rule"] == ASSERTED
        assert (
            f"first divergence: cycle 2435 (24355 ns); assertion\n  got      {said}\n"
            in (folder / "story.txt").read_text()
        )
        assert report_of(folder) == [f"an assertion of the design: ASSERT {said}"]
        keys.add(record["key"])
    assert len(keys) == 2


@pytest.mark.parametrize("results", [True, False])
def test_an_assertion_is_a_judge_of_sabotages_whatever_else_came_of_it(results: bool, tmp_path: Path) -> None:
    result = ended(tmp_path, FULL, "" if results else LATE, results=results)
    found = judge(tmp_path, result)
    assert found is not None
    assert (found.by, found.field) == (ASSERTED, FULL)
    assert found.by not in NO_JUDGES
    assert found == judge_contract(tmp_path, LATE, asserted(tmp_path, result))
    verdict = {"breaches": [], "lockstep": "", "ended": "SimFailure", "triggers": {}}
    (tmp_path / contract_verdict.FILE).write_text(json.dumps(verdict))
    assert found == judge_contract(tmp_path, "", asserted(tmp_path, result))


def test_a_divergence_before_the_assertion_stays_the_first_one(tmp_path: Path) -> None:
    (tmp_path / "divergence.txt").write_text("first divergence: check 6, grant\n  cycle 9\n  field grant\n")
    found = judge(tmp_path, RunResult((), tmp_path, tmp_path / "sim.log", tmp_path / "r", None, 1.0, f"{ASSERTION}x"))
    assert found is not None
    assert found.by == 6


@pytest.mark.parametrize("asserted", [True, False])
def test_what_failed_before_the_end_of_a_simulation_keeps_its_words_and_what_came_behind_it_did_not_run(
    asserted: bool, tmp_path: Path
) -> None:
    (tmp_path / "again.json").write_text('{"top": "fifo"}')
    (tmp_path / "sim.log").write_text("ASSERT fifo: full\n" if asserted else "x\n")
    failures = {"good": "", "other": "AssertionError: 1 == 2", "ends": SIM_FAILURE, "next": SIM_FAILURE}
    cases = "".join(
        f'<testcase classname="m" name="{name}">' + (f'<failure message="{words}"/>' if words else "") + "</testcase>"
        for name, words in failures.items()
    )
    (tmp_path / "results.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    told = [case.message for case in gather(tmp_path, 1.0, log=tmp_path / "sim.log").outcomes]
    assert told[:2] == ["", "AssertionError: 1 == 2"]
    assert said_of(told[2]) == ("an assertion of the design: ASSERT fifo: full" if asserted else SIM_FAILURE)
    assert told[3] == "not run: the simulation had ended in m.ends"
    assert (tmp_path / "story.txt").read_text().startswith("FAILED other: AssertionError: 1 == 2\n")
