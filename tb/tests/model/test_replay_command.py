"""A replay is identical only if it ends as the recorded run did: a divergence, a signal, a bound, or nothing wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tb import replay
from tb.config import RunConfig
from tb.farm.job import Outcome
from tb.lockstep.trace import TRACE_NAME
from tb.report.results import Job
from tb.report.traces import trace_of
from tb.sim import run as sim_run
from tb.sim.build import BuildResult, ChimneyIcarus
from tb.sim.process import ProcessTimeoutError
from tb.sim.run import Arranged, RunResult, gather
from tb.sim.spec import unit_spec
from tb.sim.tools import Tool

AGAIN: dict[str, Any] = {
    "top": "fifo",
    "modules": "m",
    "testcase": None,
    "plusargs": {},
    "parameters": {},
    "timeout": 1.0,
}
PASSED = '<testsuites><testsuite><testcase classname="m" name="t"/></testsuite></testsuites>'
SEGFAULT, ABORT = Outcome("exit", -11, 1.0), Outcome("exit", -6, 1.0)
LATE = Outcome("time-out", None, 60.0)
GOOD = Outcome("exit", 0, 1.0)

End = Callable[[Path], RunResult]


def ending(outcome: Outcome, timeout: float = 60.0) -> End:
    """A simulation that ends so, seen by the farm or by a replay; the results are written by one that ends well."""

    def end(folder: Path) -> RunResult:
        folder.mkdir(exist_ok=True)
        if outcome.passed:
            (folder / "results.xml").write_text(PASSED)
        problem = outcome.problem(timeout)
        return gather(folder, 1.0, f"the simulator {problem}" if problem else "", log=folder / "sim.log")

    return end


@pytest.fixture
def replays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[End, End], dict[str, Any]]:
    """Record one end, replay it with another: replay.json, with the exit status."""

    def both(first: End, then: End) -> dict[str, Any]:
        folder = tmp_path / "job"
        folder.mkdir()
        (folder / "config.json").write_text(RunConfig(command="test").to_json())
        (folder / "again.json").write_text(json.dumps(AGAIN))
        first(folder)
        monkeypatch.setattr(
            replay, "choose", lambda *_, **__: (Tool("icarus", "11.0", "system", Path("vvp")), "icarus")
        )
        monkeypatch.setattr(replay, "build_shown", lambda *_, **__: None)
        monkeypatch.setattr(replay, "run", lambda _build, _modules, out, **_: then(out))
        status = replay.main(RunConfig(command="replay", failure=folder))
        return {"status": status, **json.loads((folder / "replay" / "replay.json").read_text())}

    return both


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (ending(SEGFAULT), ending(SEGFAULT)),
        (ending(LATE), ending(LATE, 3000.0)),
        (ending(Outcome("exit", 1, 1.0)), ending(Outcome("exit", 1, 1.0))),
    ],
    ids=["signal", "time-out", "status"],
)
def test_a_failure_without_results_that_comes_again_is_identical(
    first: End, then: End, replays: Callable[[End, End], dict[str, Any]]
) -> None:
    found = replays(first, then)
    assert (found["status"], found["identical"]) == (0, True)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (ending(SEGFAULT), ending(GOOD)),
        (ending(LATE), ending(GOOD)),
        (ending(SEGFAULT), ending(LATE)),
        (ending(SEGFAULT), ending(ABORT)),
        (ending(GOOD), ending(SEGFAULT)),
    ],
    ids=["signal-gone", "time-out-gone", "time-out-for-signal", "another-signal", "new-failure"],
)
def test_a_replay_that_ends_otherwise_than_the_recorded_failure_is_not_identical_and_its_trace_does_not_stand_for_it(
    first: End, then: End, replays: Callable[[End, End], dict[str, Any]], tmp_path: Path
) -> None:
    found = replays(first, then)
    assert (found["status"], found["identical"]) == (1, False)
    (tmp_path / "job" / "replay" / TRACE_NAME).write_bytes(b"")
    assert trace_of(Job("job", status="failed", folder=str(tmp_path / "job"))) is None


def test_a_run_in_which_nothing_was_wrong_is_replayed_as_one(
    replays: Callable[[End, End], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = replays(ending(GOOD), ending(GOOD))
    assert (found["status"], found["identical"]) == (0, True)
    assert "the folder holds no recorded failure to compare with" in capsys.readouterr().out


@pytest.mark.parametrize("end", [SEGFAULT, LATE], ids=["signal", "time-out"])
def test_a_simulation_that_is_replayed_ends_in_the_words_of_the_farm(
    end: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = ChimneyIcarus()
    runner.base_environment, runner.log_file = {"PATH": ""}, tmp_path / "sim.log"
    runner.want_waves, runner.timeout = False, 60.0

    def ends(command: list[str], **_: Any) -> int:
        if end.status is None:
            raise ProcessTimeoutError(command, 60.0)
        return end.status

    monkeypatch.setattr("tb.sim.build.run_bounded", ends)
    monkeypatch.setattr(runner, "test", lambda: runner._run_commands([["vvp"]], tmp_path))
    laid_out = Arranged(runner, {}, tmp_path, tmp_path / "sim.log", (), ())
    monkeypatch.setattr(sim_run, "arrange", lambda *_, **__: laid_out)
    monkeypatch.setattr(sim_run, "wave_name", lambda _: "waves.fst")
    built = BuildResult(unit_spec(Tool("icarus", "11.0", "system", Path("vvp")), "fifo"), tmp_path, 0.0, True, None)
    assert sim_run.run(built, "m", tmp_path, config=RunConfig()).problem == f"the simulator {end.problem(60.0)}"
