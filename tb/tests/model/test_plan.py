"""The plan: what counts as exercised, what fails, what is run again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tb import plan
from tb.config import ROOT, ConfigError, RunConfig
from tb.contract import scenarios
from tb.contract.duties import Duty
from tb.contract.scenarios import SCENARIOS, Found, Scenario, added
from tb.folders import claimed
from tb.plan import RunResult, compute, play
from tb.sim.tools import Tool

#: Of the device, and of the driver.
HDL, DRIVER = Duty("CH-101", "hdl", "x"), Duty("CH-020", "driver", "x")


def _result(
    device: str, rule: str, *, at_device: int = 1, passed: bool = True, breaches: Sequence[str] = ()
) -> RunResult:
    seen = {rule: at_device} if at_device else {}
    return RunResult("run", device, passed, {rule: 1}, seen, tuple(breaches), (), {"a test": (rule,)})


def _status(duty: Duty, *results: RunResult) -> tuple[str, str]:
    (state,) = compute([duty], results, {})
    return state.status, state.reason


@pytest.mark.parametrize("duty", [HDL, DRIVER])
def test_a_rule_passes_when_it_triggered_on_rtl(duty: Duty) -> None:
    (state,) = compute([duty], [_result("golden", duty.id), _result("icarus", duty.id)], {duty.id: ["s"]})
    assert (state.status, state.sabotages) == ("pass", ["s"])
    assert state.triggers == {"golden": 1, "verilator": 0, "icarus": 1}
    assert state.tests == ["run/a test[golden]", "run/a test[icarus]"]


@pytest.mark.parametrize("duty", [HDL, DRIVER])
def test_a_rule_that_triggered_on_the_golden_device_only_is_untested(duty: Duty) -> None:
    assert _status(duty, _result("golden", duty.id)) == ("untested", "triggered on the golden device only")


def test_a_rule_of_the_device_that_triggered_elsewhere_is_untested() -> None:
    elsewhere = _result("verilator", HDL.id, at_device=0)
    assert _status(HDL, elsewhere)[0] == "untested"
    assert _status(DRIVER, _result("verilator", DRIVER.id, at_device=0))[0] == "pass"


def test_what_triggered_in_a_failed_run_does_not_count() -> None:
    assert _status(HDL, _result("verilator", HDL.id, passed=False))[0] == "untested"


def test_a_breach_anywhere_fails_the_rule() -> None:
    line = f"{HDL.id} at tick 3 (record 4): broken"
    broken = _result("golden", HDL.id, passed=False, breaches=[line])
    assert _status(HDL, _result("verilator", HDL.id), broken) == ("fail", line)


def test_a_rule_without_its_object_is_not_applicable() -> None:
    duty = Duty("CH-160", "hdl", "x", missing="RSS queues")
    assert _status(duty, _result("verilator", "CH-160")) == ("not_applicable", "RSS queues")


def _scenario(found: Mapping[str, Any], claims: Mapping[str, frozenset[str]]) -> Scenario:
    return Scenario("made up", lambda config, out: dict(found), claims=lambda: claims)


def _play(found: Mapping[str, Any], claims: Mapping[str, frozenset[str]]) -> RunResult:
    scenario = _scenario(found, claims)
    assert scenario.golden is not None
    return play(scenario, "golden", scenario.golden, RunConfig(device="model"))


def _found(*rules: str) -> Found:
    """A run of one test in which these rules count."""
    triggers = dict.fromkeys(rules, 1)
    return {"triggers": triggers, "at_device": triggers, "breaches": [], "problems": [], "tests": {"one": list(rules)}}


def test_a_test_that_cites_a_rule_which_never_triggered_in_it_fails_its_run() -> None:
    found = _found(HDL.id) | {"tests": {"good": [HDL.id], "silent": [HDL.id]}}
    result = _play(found, {"good": frozenset({HDL.id}), "silent": frozenset({HDL.id, "CH-102"})})
    assert not result.passed
    assert result.problems == ("silent cites CH-102: never triggered",)
    assert result.tests == {"good": (HDL.id,), "silent": (HDL.id,)}
    assert result.failed == ("silent",)


def test_what_triggered_elsewhere_in_the_run_says_nothing_of_a_test() -> None:
    found = _found(HDL.id) | {"tests": {"one": [HDL.id], "other": []}}
    result = _play(found, {"one": frozenset({HDL.id}), "other": frozenset({HDL.id})})
    assert result.problems == (f"other cites {HDL.id}: never triggered",)
    untold = {key: value for key, value in found.items() if key != "tests"}
    assert _play(untold, {"one": frozenset({HDL.id})}).problems == (f"one cites {HDL.id}: never triggered",)


def test_the_plan_says_of_every_test_that_cites_rules_how_it_ended_on_each_device() -> None:
    good, bad, lost = (replace(_result(d, HDL.id), device=d) for d in ("golden", "verilator", "icarus"))
    bad = replace(bad, passed=False, failed=("a test",))
    lost = replace(lost, passed=False)
    found = plan.outcomes([good, bad, lost])
    assert found == {"run": {"a test": {"golden": "pass", "verilator": "fail", "icarus": "fail"}}}
    assert plan.outcomes([good]) == {"run": {"a test": {"golden": "pass"}}}
    assert list(plan.by_device(plan.outcomes([good, bad])).columns[3].cells) == ["not run"]


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_scenes_founding_rows_and_vectors_are_played_on_both_simulators(simulator: str) -> None:
    cited = {scenario.name for scenario in SCENARIOS if scenario.claims()}
    assert {"scenes", "founding", "founding-intermediate", "vectors"} <= cited
    assert {one.name for one in SCENARIOS if one.name in cited and one.on(simulator) is None} == set()


def test_runs_that_are_added_up_say_which_of_them_had_a_problem() -> None:
    bad = _found("CH-101") | {"problems": ["stuck"], "breaches": ["CH-101 at tick 1 (record 1): x"]}
    total = added({"a": _found("CH-101", "CH-102"), "b": bad})
    assert total["triggers"] == {"CH-101": 2, "CH-102": 1}
    assert total["problems"] == ["b: stuck"]
    assert total["breaches"] == bad["breaches"]


def test_a_result_is_fresh_for_the_sources_that_it_was_made_of_and_no_others(tmp_path: Path) -> None:
    place = tmp_path / "result.json"
    result = _play(_found(HDL.id), {"one": frozenset({HDL.id})})
    result.store(place, "these sources")
    assert RunResult.load(place, "these sources") == result
    assert RunResult.load(place, "other sources") is None
    assert RunResult.load(tmp_path / "none.json", "these sources") is None


def test_every_scenario_has_a_name_of_its_own_and_runs_somewhere() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert all(any(scenario.on(device) for device in plan.DEVICES) for scenario in SCENARIOS)
    assert all(scenario.on("verilator") for scenario in SCENARIOS if scenario.job)


def test_two_plans_at_a_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "OUT", ROOT / "sim_build" / "plan of a test")
    monkeypatch.setattr(plan, "planned", lambda _: 0)
    plan.OUT.mkdir(parents=True, exist_ok=True)
    try:
        with claimed(plan.OUT, "plan", "wait"), pytest.raises(ConfigError, match="another run is writing"):
            plan.main(RunConfig(command="plan"))
        assert plan.main(RunConfig(command="plan")) == 0
    finally:
        shutil.rmtree(plan.OUT)


def test_jobs_of_the_plan_leave_the_folders_of_the_tests_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[Path | None] = []

    def noted(_job: object, _tool: object, _config: object, directory: Path | None = None) -> tuple[None, str, float]:
        places.append(directory)
        return None, "not built", 0.0

    monkeypatch.setattr(scenarios, "run_job", noted)
    monkeypatch.setattr(scenarios, "find", lambda _: Tool("icarus", "11.0", "system", Path("vvp")))
    runs = [run for one in SCENARIOS if (run := one.on("icarus")) is not None]
    for number, run in enumerate(runs):
        run(RunConfig(command="plan"), tmp_path / str(number))
    assert places == [tmp_path / str(number) for number in range(len(runs))]
    assert len(places) >= 5
