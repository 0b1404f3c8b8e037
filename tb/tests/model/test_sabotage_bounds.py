"""A sabotage that a bound in seconds ended is not judged: it neither survived nor was it caught."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tb.config import ROOT
from tb.pool import Finished, Job
from tb.report.sections import status_of as status_of_row
from tb.sabotage import contract_verdict, trial, witness
from tb.sabotage import run as sabotages
from tb.sabotage.judge import Detection, judge
from tb.sabotage.manifest import BOUND, CONTRACT, CONTROL, Edit, Sabotage
from tb.sabotage.run import NOT_JUDGED, SURVIVED, Outcome, outcome_of, status_of, try_all
from tb.sabotage.stimuli import GOLDEN, RTL, contract
from tb.sim.process import ProcessTimeoutError
from tb.sim.run import RunResult, TestOutcome
from tb.story.record import tell

LATE = str(ProcessTimeoutError(["/usr/bin/vvp"], 120))
ENTRY = Sabotage("x", (Edit("hdl/x.v", "a", "b"),), "M1: a rule", 1, "tcb.cwnd")
TASK = {
    "first": "calm", "images": False, "only": ["calm"], "id": "x", "contract": False, "everything": False,
    "on_rtl": True, "witnesses": [], "sides": [RTL],
}  # fmt: skip


def ended(folder: Path, *messages: str, problem: str = "") -> RunResult:
    """A run whose tests failed with these messages."""
    outcomes = tuple(TestOutcome("t", "failed", 1.0, message) for message in messages)
    return RunResult(outcomes, folder, folder / "sim.log", folder / "records.txt", None, 1.0, problem)


def tried(folder: Path, entry: Sabotage, found: Detection | None, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """What becomes of an entry whose one run shows this."""
    monkeypatch.setattr(trial, "simulate", lambda *_: found)
    (folder / "task.json").write_text(json.dumps(TASK))
    assert trial.main(folder) == 0
    return outcome_of(entry, Finished(Job(entry.id, (), folder, {}, folder / "trial.log", 1.0), 0, 131.2))


def test_a_run_that_is_ended_for_its_seconds_is_told_from_a_device_that_stands_still(tmp_path: Path) -> None:
    late = judge(tmp_path, ended(tmp_path, problem=LATE))
    assert late is not None
    assert (late.by, late.field) == (BOUND, LATE)
    still = judge(tmp_path, ended(tmp_path, "StandstillError: no byte came back for 2000 ticks"))
    assert still is not None
    assert still.by == "timeout"
    both = judge(tmp_path, ended(tmp_path, "StandstillError: no byte came back for 2000 ticks", problem=LATE))
    assert both is not None
    assert both.by == "timeout"
    (tmp_path / "divergence.txt").write_text("first divergence: check 6, grant\n  cycle 9\n  field grant\n")
    seen = judge(tmp_path, ended(tmp_path, problem=LATE))
    assert seen is not None
    assert seen.by == 6


@pytest.mark.parametrize("entry", [ENTRY, replace(ENTRY, timeout_counts=True), replace(ENTRY, check=CONTROL)])
def test_what_only_a_bound_in_seconds_ended_is_not_judged_and_the_line_says_how_to_try_it_alone(
    entry: Sabotage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outcome = tried(tmp_path, entry, Detection(BOUND, LATE, None), monkeypatch)
    assert not outcome.caught
    assert outcome.line() == (
        "TIMEOUT  x: not judged: calm: vvp was ended after its bound of 120 s; the trial took 131 s; "
        "alone: make sabotage ID=x"
    )
    row = outcome.as_json()
    assert (row["caught"], row["by_check"], row["seconds"]) == (False, BOUND, 131.2)
    assert row["not_judged"] == f"calm: {LATE}"
    assert row["again"] == "make sabotage ID=x"
    assert status_of([outcome]) == NOT_JUDGED == 4


def test_a_device_that_hangs_in_its_own_time_is_judged_as_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    still = Detection("timeout", "StandstillError: no byte came back for 2000 ticks", None)
    caught = tried(tmp_path, replace(ENTRY, timeout_counts=True), still, monkeypatch)
    assert caught.caught
    survived = tried(tmp_path, ENTRY, still, monkeypatch)
    assert (survived.caught, survived.not_judged) == (False, "")
    assert survived.line().startswith("SURVIVED x")
    assert tried(tmp_path, replace(ENTRY, check=6), Detection(6, "grant", 9), monkeypatch).caught
    assert "not_judged" not in survived.as_json()


def test_a_survivor_weighs_more_than_what_is_not_judged_and_nothing_unjudged_passes() -> None:
    late = Outcome(ENTRY, False, BOUND, LATE, None, "calm", 1.0, not_judged=LATE, again="make sabotage ID=x")
    caught = Outcome(ENTRY, True, 1, "tcb.cwnd", 7, "calm", 1.0)
    assert status_of([caught, late]) == NOT_JUDGED
    assert status_of([replace(late, sabotage=replace(ENTRY, blind=True))]) == NOT_JUDGED
    assert status_of([late, replace(caught, caught=False)]) == SURVIVED
    assert status_of([late, replace(caught, error="old text not found")]) == 2


def test_a_trial_that_is_ended_as_a_whole_is_not_judged_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sabotages, "OUT", tmp_path)
    monkeypatch.setattr(sabotages, "sources_of", lambda _: [])
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    job = Job("x", sleep, tmp_path, {}, tmp_path / "x" / "trial.log", 0.3)
    monkeypatch.setattr(sabotages, "prepare", lambda *_: job)
    outcomes = try_all([ENTRY], Path("my own.diff"))
    printed = capsys.readouterr().out
    assert "TIMEOUT  x: not judged: the trial was ended after its bound of 0 s" in printed
    assert "alone: make sabotage PATCH='my own.diff'" in printed
    assert "0 of 1 as they should be, 1 not judged (a bound in time;" in printed
    (row,) = json.loads((tmp_path / "summary.json").read_text())
    assert row["not_judged"].startswith("the trial was ended after its bound")
    assert "error" not in row
    assert status_of(outcomes) == NOT_JUDGED


@pytest.mark.parametrize("found", [None, Detection("crash", "the run left no verdict", None)])
def test_a_scene_that_could_not_end_leaves_the_rule_unjudged_unless_another_scene_shows_it(
    found: Detection | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = Sabotage("x", (Edit("model/x.py", "a", "b"),), "rule", CONTRACT, "CH-101")
    task = TASK | {"first": "sends", "only": [], "contract": True, "on_rtl": False}
    job = Job("x", (), tmp_path, {}, tmp_path / "trial.log", 1.0)
    for last, late in ((found, True), (Detection(CONTRACT, "CH-101", None), False)):
        runs = iter([Detection(BOUND, LATE, None)] + [last] * len(contract(GOLDEN)))
        monkeypatch.setattr(trial, "simulate", lambda *_, runs=runs: next(runs))
        (tmp_path / "task.json").write_text(json.dumps(task))
        trial.main(tmp_path)
        outcome = outcome_of(entry, Finished(job, 0, 1.0))
        assert (outcome.caught, bool(outcome.not_judged)) == (not late, late)


def test_scenes_on_the_golden_device_that_take_too_long_are_bounded(tmp_path: Path) -> None:
    (stimulus, *_) = contract(GOLDEN)
    found = trial.simulate(tmp_path, replace(stimulus, timeout=0.01))
    assert found is not None
    assert found.by == BOUND
    assert "was ended after its bound" in found.field


def test_scenes_on_the_rtl_that_take_too_long_are_bounded_and_a_verdict_they_left_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (stimulus, *_) = contract(RTL)
    left: list[dict[str, object]] = []

    def late(_build: object, _module: str, out: Path, **_: object) -> RunResult:
        for verdict in left:
            (out / contract_verdict.FILE).write_text(json.dumps(verdict))
        return ended(out, problem=LATE)

    monkeypatch.setattr(trial, "find", lambda _: object())
    monkeypatch.setattr(trial, "chimney_spec", lambda *_, **__: None)
    monkeypatch.setattr(trial, "build", lambda _: None)
    monkeypatch.setattr(trial, "run", late)
    found = trial.simulate(tmp_path, stimulus)
    assert found is not None
    assert (found.by, found.field) == (BOUND, LATE)
    breach = {"rule": "CH-101", "order": 1, "tick": 1, "text": "broken"}
    left.append({"breaches": [breach], "lockstep": "", "ended": "", "triggers": {}})
    found = trial.simulate(tmp_path, stimulus)
    assert found is not None
    assert found.by == CONTRACT


@pytest.mark.parametrize("name", ["close/active_close", "test_tcp_step_ooo::test_nothing"])
def test_a_witness_on_the_golden_side_that_takes_too_long_has_said_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(witness, "PATIENCE", 0.01)
    found = witness.hear(name, GOLDEN, tmp_path)
    assert found is not None
    assert found.by == BOUND
    assert name in found.field


def test_a_bug_whose_witness_was_ended_for_its_seconds_is_not_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    says = {GOLDEN: Detection("script", "ack/x:7", None), RTL: Detection(BOUND, f"ack/x: {LATE}", None)}
    monkeypatch.setattr(witness, "hear", lambda _name, side, _folder: says[side])
    (tmp_path / "task.json").write_text(json.dumps(TASK | {"witnesses": ["ack/x"], "sides": [GOLDEN, RTL]}))
    trial.main(tmp_path)
    entry = replace(ENTRY, check="script", twin=True, witnesses=("ack/x",))
    outcome = outcome_of(entry, Finished(Job("x", (), tmp_path, {}, tmp_path / "trial.log", 1.0), 0, 1.0))
    assert outcome.not_judged == f"rtl ack/x: {LATE}"


def test_the_page_of_exit_statuses_has_this_one() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    assert f"| {NOT_JUDGED} | `sabotage`: nothing survived, but a bound in time" in page


def test_the_report_and_the_story_of_a_run_say_that_time_was_over(tmp_path: Path) -> None:
    assert "not judged: out of time" in status_of_row({"id": "x", "caught": False, "not_judged": LATE})
    assert "survived" in status_of_row({"id": "x", "caught": False})
    record = tell(ended(tmp_path, problem=LATE))
    assert record.check == "timeout"
    assert record.key == "timeout: the simulation: vvp was ended after its bound of # s"
    assert record.must_hold == "what is begun comes to its end"
