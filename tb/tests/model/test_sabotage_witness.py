"""The bugs of the conformance sheet as sabotages: each has one, its witnesses exist, and their verdicts are judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tb.pool import Finished, Job
from tb.sabotage import trial, witness
from tb.sabotage.judge import Detection
from tb.sabotage.manifest import BUGS_MANIFEST, WITNESS_JUDGES, Edit, Sabotage, load
from tb.sabotage.run import chosen, outcome_of
from tb.sabotage.stimuli import GOLDEN, RTL
from tb.sabotage.witness_verdict import Verdict, read, write
from tb.sim.run import RunResult, TestOutcome

ENTRIES = [entry for entry in load() if entry.witnesses]
BUGS = load((BUGS_MANIFEST,))
NAMES = [f"B{n:02}" for n in range(1, 26)]


def result(*outcomes: TestOutcome, problem: str = "") -> RunResult:
    here = Path()
    return RunResult(outcomes, here, here, here, None, 1.0, problem)


@pytest.mark.parametrize("bug", NAMES)
def test_every_bug_is_put_into_model_and_rtl(bug: str) -> None:
    found = [entry for entry in BUGS if entry.id.upper().startswith(f"{bug}-")]
    assert [entry.sides for entry in found] == [(GOLDEN, RTL)] * len(found) != []
    assert all(entry.rule.startswith(f"{bug}: ") for entry in found)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_witnesses_exist_and_one_speaks_of_each_side_that_is_broken(entry: Sabotage) -> None:
    assert [name for name in entry.witnesses if not witness.exists(name)] == []
    for side in entry.sides:
        assert any(witness.speaks_of(name, side) for name in entry.witnesses), side
    tests = [name for name in entry.witnesses if not witness.is_script(name) and witness.speaks_of(name, RTL)]
    assert [name for name in tests if witness.job_of(name) is None] == []
    assert entry.check == ("script" if all(witness.is_script(name) for name in entry.witnesses) else "test")


def test_a_script_that_does_not_exist_is_no_witness() -> None:
    assert not witness.exists("ack/no_such_script")
    assert not witness.exists("test_unit_rx::no_such_test")
    assert witness.job_of("test_no_such::test") is None


@pytest.mark.parametrize(
    ("verdict", "by"),
    [
        (Verdict("pass", 0, ""), None),
        (Verdict("fail", 12, "seq 2, 1 expected", "agrees"), "script"),
        (Verdict("fail", 0, "no line of the script's"), "crash"),
        (Verdict("skip", 3, "not supported"), "crash"),
        (Verdict("", 0, "", "check 1, tcb.cwnd", "StandstillError"), "crash"),
        (None, "timeout"),
    ],
)
def test_only_a_line_of_the_script_itself_is_a_detection(verdict: Verdict | None, by: str | None) -> None:
    found = witness.of_verdict("ack/x", verdict)
    assert (found and found.by) == by


def test_a_verdict_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    verdict = Verdict("fail", 12, "why", "check 1, tcb.cwnd")
    write(tmp_path, verdict)
    assert read(tmp_path) == verdict


def test_a_test_of_a_block_that_only_waited_or_never_ran_has_seen_nothing() -> None:
    passed, failed = TestOutcome("t", "passed", 1), TestOutcome("t", "failed", 1, "assert 1 == 2")
    waited = TestOutcome("t", "failed", 1, "cocotb.triggers.SimTimeoutError")
    assert witness.of_test("x", result(passed)) is None
    judges = {
        "assert": witness.of_test("x", result(failed)),
        "waited": witness.of_test("x", result(waited)),
        "ended": witness.of_test("x", result(problem="was ended after its bound")),
        "empty": witness.of_test("x", result()),
    }
    assert {name: found and found.by for name, found in judges.items()} == {
        "assert": "test", "waited": "timeout", "ended": "bound", "empty": "crash",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("says", "by"),
    [
        ({GOLDEN: "script", RTL: "script"}, "script"),
        ({GOLDEN: "script", RTL: None}, None),
        ({GOLDEN: None, RTL: "script"}, None),
        ({GOLDEN: "script", RTL: "crash"}, None),
        ({GOLDEN: "timeout", RTL: "script"}, None),
    ],
)
def test_a_bug_is_caught_only_if_a_witness_of_each_side_fails(
    says: dict[str, str | None], by: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def hear(name: str, side: str, folder: Path) -> Detection | None:
        judge = says[side]
        return None if judge is None else Detection(judge, f"{name}:7", None)

    monkeypatch.setattr(witness, "hear", hear)
    folder = tmp_path / "b99"
    (folder / "tree").mkdir(parents=True)
    task = {"witnesses": ["ack/x", "ack/y"], "sides": [GOLDEN, RTL], "images": False}
    (folder / "task.json").write_text(json.dumps(task))
    assert trial.main(folder) == 0
    edits = (Edit("model/a.py", "a", "b"), Edit("hdl/a.v", "a", "b"))
    entry = Sabotage("b99", edits, "B99: x", "script", "ack/x", twin=True, witnesses=("ack/x", "ack/y"))
    job = Job("b99", (), folder, {}, folder / "trial.log", 1.0)
    outcome = outcome_of(entry, Finished(job, 0, 1.0))
    assert (outcome.caught, outcome.by) == (by is not None, by)


def test_a_pattern_chooses_all_that_fit_and_a_name_that_fits_nothing_stays() -> None:
    assert chosen("b03-*") == [entry.id for entry in BUGS if entry.id.startswith("b03-")]
    assert chosen("control no-such") == ["control", "no-such"]


def test_the_page_of_scenarios_says_who_sees_each_bug() -> None:
    page = (BUGS_MANIFEST.parents[2] / "docs" / "scenarios.md").read_text().splitlines()
    rows = {cells[1].strip(): cells[2:] for line in page if len(cells := line.split("|")) > 4}
    for entry in BUGS:
        named = "".join(rows.get(f"`{entry.id}`", []))
        assert [name for name in entry.witnesses if f"`{name}`" not in named] == [], entry.id


def test_judges_that_need_witnesses_are_those_of_the_list() -> None:
    assert {entry.check for entry in BUGS} == set(WITNESS_JUDGES)
