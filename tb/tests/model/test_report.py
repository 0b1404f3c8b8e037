"""The report: what it reads, buckets, traces, and that no text of a job becomes HTML."""

from __future__ import annotations

import gzip
import html
import html.parser
import json
import os
import re
import shutil
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.layout.generated import RecCq, RecDlv, RecTcp
from tb import bench, command_line
from tb.config import ConfigError, RunConfig
from tb.farm.job import Outcome
from tb.farm.results import HISTORY_NAME, FigureRow, JobRow, ResultsWriter
from tb.lockstep.trace import TRACE_NAME
from tb.replay import REPLAY_NAME
from tb.report import command as report_command
from tb.report import timeline
from tb.report.artifacts import Artifacts, gather, shares, trends
from tb.report.buckets import buckets, shown_seeds, table
from tb.report.command import write_report
from tb.report.markup import json_block, tag
from tb.report.record_fields import Table
from tb.report.results import NO_RESULTS, Job, read
from tb.report.sections import coverage, plan, ranges, sabotages
from tb.report.timeline import FRAME_BYTES
from tb.report.traces import choose, trace_of
from tb.sabotage.manifest import load
from tb.session.summary import empty
from tb.sim.run import gather as end_of_run
from tb.tests.model.report_bench import (
    FAILED,
    HOSTILE,
    LOST,
    NOT_RUN,
    TRACED,
    Regression,
    lines_of,
    middle,
    plan_tests,
    regression,
    session,
)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with its trace."""
    return session(str(tmp_path_factory.mktemp("traced")))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, traced: Path) -> Regression:
    """A regression of 200 jobs."""
    return regression(tmp_path_factory.mktemp("many"), traced, jobs=200)


def a_run(folder: Path, **changed: object) -> Path:
    """The folder of a run that passed, but for what is changed in its summary.json."""
    config = RunConfig(device="model", sim="icarus")
    found = empty(config) | {"complete": True, "sim_seconds": 1.5} | changed
    (folder / "summary.json").write_text(json.dumps(found))
    return folder


# ---- results and buckets --------------------------------------------------------------------------


def test_jobs_of_one_failure_key_are_one_bucket_with_count_seeds_and_replay_command(many: Regression) -> None:
    results = read(many.folder)
    found = buckets(results.jobs)
    assert [len(bucket.jobs) for bucket in found] == list(FAILED)
    assert found[0].seeds == tuple(range(FAILED[0]))
    assert found[0].replay == "chimney replay 'job 0'"
    assert found[0].title.startswith("cwnd is wrong 0 ")
    assert {job.failure_key for job in found[0].jobs} == {found[0].key}


def test_only_the_newest_run_is_reported_and_figures_are_of_all_runs(many: Regression) -> None:
    results = read(many.folder)
    assert (results.run.id, len(results.jobs), len(results.runs)) == (30, 200, 30)
    assert Counter(job.status for job in results.jobs)["lost"] == LOST
    assert Counter(job.status for job in results.jobs)["not_run"] == NOT_RUN
    assert sum(figure.name == "functional bins" for figure in results.figures) == 30


def test_a_failed_job_without_a_record_is_in_the_bucket_of_its_divergence_whatever_the_numbers(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "results.sqlite")
    database.executescript(
        "CREATE TABLE run(id, suite, commit_hash, started, seconds, complete); CREATE TABLE figure(run, name, value);"
        "CREATE TABLE job(run, id, status, folder, seed);"
    )
    database.execute("INSERT INTO run VALUES (1, 's', NULL, NULL, NULL, 0)")
    for seed, cycle in ((3, 100), (9, 24_000)):
        place = tmp_path / f"job{seed}"
        place.mkdir()
        (place / "divergence.txt").write_text(
            f"first divergence: check 1, state and actions at a commit\n  cycle      {cycle}\n  event      segment "
            f"{seed}\n  field      tcb.cwnd\n  expected   {seed} (0x{seed:x})\n  rule       F-2\n"
        )
        database.execute("INSERT INTO job VALUES (1, ?, 'failed', ?, ?)", (f"j{seed}", str(place), seed))
    database.commit()
    database.close()
    results = read(tmp_path)
    (bucket,) = buckets(results.jobs)
    assert bucket.seeds == (3, 9)
    assert "tcb.cwnd" in bucket.title
    assert not results.run.complete


def test_the_files_of_make_test_are_read_with_simulator_width_seed_and_reason(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"complete": true, "seconds": 4.5}')
    (tmp_path / "junit.xml").write_text(
        '<testsuite><testcase classname="transfer-s7[icarus-64]" name="a" time="2.5"><failure message="make replay X">'
        'first\n  boom 12\n</failure></testcase><testcase classname="unit[verilator]" name="b" time="1"/>'
        '<testcase classname="tb.x" name="c"><skipped message="no-x: none"/></testcase></testsuite>'
    )
    failed, passed, skipped = read(tmp_path).jobs
    assert (failed.test, failed.simulator, failed.width, failed.seed) == ("transfer", "icarus", 64, 7)
    assert (failed.status, failed.title, failed.replay) == ("failed", "boom 12", "make replay X")
    assert (passed.status, passed.simulator) == ("passed", "verilator")
    assert (skipped.status, skipped.cause) == ("not_run", "no-x: none")


def job_folder(folder: Path) -> Path:
    """The folder of a simulation that has begun."""
    for name, text in (("config.json", "{}"), ("again.json", '{"top": "tb_top"}'), ("sim.log", "")):
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome("exit", -11, 1.0), "ended by signal 11"),
        (Outcome("time-out", None, 60.0), "ended after its bound of 60 s"),
        (Outcome("exit", 1, 1.0), "ended with status 1"),
    ],
    ids=["signal", "time-out", "memory"],
)
@pytest.mark.parametrize("left", [None, "<testsuites><testsuite"], ids=["no-results", "cut-off"])
def test_a_simulation_that_ended_without_results_is_reported_as_failed_with_the_words_of_its_failure(
    left: str | None, outcome: Outcome, says: str, tmp_path: Path
) -> None:
    if left is not None:
        (job_folder(tmp_path) / "results.xml").write_text(left)
    end_of_run(job_folder(tmp_path), 1.0, f"the simulator {outcome.problem(60.0)}", log=tmp_path / "sim.log")
    results = read(tmp_path)
    (job,) = results.jobs
    record = json.loads((tmp_path / "failure.json").read_text())
    assert (job.status, job.failure_key) == ("failed", record["key"])
    assert job.title == record["title"]
    assert says in job.title
    (bucket,) = write_report(tmp_path).buckets
    assert bucket.replay == f"chimney replay {tmp_path}"
    assert "PASS" not in re.sub(r"<(script|style).*?</\1>", "", (tmp_path / "report.html").read_text(), flags=re.DOTALL)


def test_a_folder_in_which_a_run_only_began_has_not_passed(tmp_path: Path) -> None:
    results = read(job_folder(tmp_path))
    assert [(job.status, job.title) for job in results.jobs] == [("failed", NO_RESULTS)]
    assert not results.run.complete
    (tmp_path / "results.xml").write_text(
        '<testsuites><testsuite><testcase classname="a" name="b"/></testsuite></testsuites>'
    )
    assert [job.status for job in read(tmp_path).jobs] == ["passed"]


@pytest.mark.parametrize("content", [None, "not a database", "empty"])
def test_a_folder_without_results_is_refused_with_what_to_do(tmp_path: Path, content: str | None) -> None:
    if content == "empty":
        sqlite3.connect(tmp_path / "results.sqlite").executescript("CREATE TABLE run(id); CREATE TABLE job(run, id);")
    elif content is not None:
        (tmp_path / "results.sqlite").write_text(content * 200)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    assert caught.value.todo


def test_results_without_a_test_are_refused_and_no_report_is_written(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"tests": 0, "complete": false}')
    (tmp_path / "junit.xml").write_text('<testsuite name="chimney" tests="0" />')
    with pytest.raises(ConfigError, match="the results in this folder have no test"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


#: Deeper than a JSON reader follows.
DEEP = "[" * 100_000
#: What other commands write, or nobody.
OTHER_SUMMARIES = {
    "soak": '{"jobs": 3, "failed": 2, "passed": 1}',
    "nothing": "{}",
    "foreign": '{"a": 1}',
    "seam": '{"seed": 1, "byte_exact": false}',
    "docs-test": '{"schema": 1, "complete": true, "commit": "0", "passed": 1, "failed": 0, "commands": []}',
    "formal": '[{"block": "fifo", "proved": false}]',
    "list": "[]",
    "number": "7",
    "types": '{"complete": "yes", "problems": 5}',
}
#: As a test leaves it that passed.
PASSED_XML = '<testsuites><testsuite><testcase classname="a" name="b"/></testsuite></testsuites>'


def refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> ConfigError:
    """How the folder is refused: with status 2 and no report."""
    with pytest.raises(ConfigError) as caught:
        write_report(folder)
    assert command_line.run_command("report", FOLDER=str(folder)) == 2
    assert "Traceback" not in "".join(capfd.readouterr())
    assert not (folder / "report.html").exists()
    return caught.value


@pytest.mark.parametrize("beside", [{}, {"results.xml": "garbage"}, {"results.xml": PASSED_XML, "config.json": "{}"}])
@pytest.mark.parametrize("text", OTHER_SUMMARIES.values(), ids=OTHER_SUMMARIES)
def test_the_summary_of_another_command_is_refused_and_never_a_passed_run(
    text: str, beside: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, content in {"summary.json": text, **beside}.items():
        (tmp_path / name).write_text(content)
    error = refused(tmp_path, capfd)
    assert error.what == "this is no result of a run, a test run or a regression"
    assert error.where == str(tmp_path / "summary.json")
    assert all(name in error.todo for name in ("sim_build/run", "sim_build/test", "sim_build/regress/latest"))


def test_the_summary_of_another_command_beside_a_junit_file_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junit.xml").write_text('<testsuite><testcase classname="a" name="b"/></testsuite>')
    (tmp_path / "summary.json").write_text(OTHER_SUMMARIES["soak"])
    assert refused(tmp_path, capfd).what == "this is no result of a run, a test run or a regression"


@pytest.mark.parametrize(
    ("changed", "status", "title"),
    [
        ({}, "passed", ""),
        ({"problems": ["boom"]}, "failed", "boom"),
        ({"complete": False}, "failed", "the run did not come to its end"),
        ({"complete": False, "problems": ["interrupted"], "sim_seconds": 0}, "failed", "interrupted"),
    ],
    ids=["passed", "failed", "killed", "interrupted"],
)
def test_what_a_run_leaves_at_any_moment_is_reported(
    changed: dict[str, Any], status: str, title: str, tmp_path: Path
) -> None:
    results = read(a_run(tmp_path, **changed))
    assert [(job.status, job.title, job.seed) for job in results.jobs] == [(status, title, 1)]
    assert (results.good, results.run.complete) == (status == "passed", changed.get("complete", True))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"sim_seconds": "abc"}, "sim_seconds is 'abc'"), ({"sim_seconds": float("inf")}, "sim_seconds is inf"),
        ({"sim_seconds": 10**400}, "sim_seconds is 1000"), ({"complete": "yes"}, "complete is 'yes'"),
        ({"problems": 5}, "problems is 5"), ({"seed": "x"}, "seed is 'x'"), ({"seed": True}, "seed is True"),
        ({"data_w": [64]}, r"data_w is \[64\]"), ({"device": {}}, "device is {}"), ({"commit": None}, "commit is None"),
        ({"cycles": "many"}, "cycles is 'many'"), ({"simulator": 3}, "simulator is 3"),
    ],
)  # fmt: skip
def test_a_run_whose_summary_has_a_value_of_another_kind_is_refused_with_its_name(
    changed: dict[str, Any], why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    error = refused(a_run(tmp_path, **changed), capfd)
    assert re.match(rf"this result is damaged \({why}", error.what)
    assert error.where == str(tmp_path / "summary.json")


@pytest.mark.parametrize("junit", [False, True], ids=["run", "tests"])
@pytest.mark.parametrize("text", [DEEP, f'{{"a": {DEEP}', "{", "\udcff"], ids=["deep", "inner", "cut-off", "no-text"])
def test_a_summary_that_cannot_be_read_is_refused(
    text: str, junit: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "summary.json").write_text(text, errors="surrogateescape")
    (tmp_path / "results.xml").write_text(PASSED_XML)
    if junit:
        (tmp_path / "junit.xml").write_text('<testsuite><testcase classname="a" name="b"/></testsuite>')
    error = refused(tmp_path, capfd)
    assert error.what.startswith("this result is damaged (")
    assert error.where == str(tmp_path / "summary.json")


@pytest.mark.parametrize("text", [DEEP, "{", "[]", '{"seed": "x"}', '{"data_w": null}', '{"sim": 1}'])
def test_a_damaged_configuration_is_refused(text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (job_folder(tmp_path) / "config.json").write_text(text)
    error = refused(tmp_path, capfd)
    assert error.what.startswith("this result is damaged (")
    assert error.where == str(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("results.xml", "garbage"), ("results.xml", "<testsuites><testsuite"), ("results.xml", ""),
        ("results.xml", PASSED_XML.replace("name=", 'time="abc" name=')), ("rtl.json", '{"problems": 5}'),
        ("results.xml", f'<?xml version="1.0" encoding="unheard-of"?>{PASSED_XML}'), ("rtl.json", DEEP),
        ("rtl.json", "[]"), ("failure.json", DEEP), ("failure.json", "["),
    ],
)  # fmt: skip
def test_a_run_with_a_file_that_cannot_be_read_has_failed_and_says_which(file: str, text: str, tmp_path: Path) -> None:
    (a_run(tmp_path) / file).write_text(text)
    ((job,), complete) = (read(tmp_path).jobs, read(tmp_path).run.complete)
    assert (job.status, complete) == ("failed", True)
    assert job.title.startswith((f"{file} cannot be read (", f"{file} is damaged"))
    (bucket,) = write_report(tmp_path).buckets
    assert bucket.title == job.title


@pytest.mark.parametrize(
    "case",
    [
        '<testcase classname="a" name="b" time="abc"/>', '<testcase classname="a" name="b" time="nan"/>',
        f'<testcase classname="a-s{"7" * 5000}[icarus-64]" name="b"/>', "<testcase",
    ],
    ids=["word", "nan", "seed", "cut-off"],
)  # fmt: skip
def test_a_damaged_junit_file_is_refused(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "summary.json").write_text('{"complete": true, "seconds": 1}')
    (tmp_path / "junit.xml").write_text(f"<testsuite>{case}</testsuite>")
    error = refused(tmp_path, capfd)
    assert (error.what.partition(" (")[0], error.where) == ("junit.xml cannot be read", str(tmp_path))


@pytest.mark.parametrize("summary", ['{"complete": 1}', '{"complete": true, "seconds": "abc"}', '{"complete": null}'])
def test_a_test_run_whose_summary_has_a_value_of_another_kind_is_refused(
    summary: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "summary.json").write_text(summary)
    (tmp_path / "junit.xml").write_text('<testsuite><testcase classname="a" name="b"/></testsuite>')
    assert refused(tmp_path, capfd).where == str(tmp_path / "summary.json")


def test_a_job_whose_folder_has_no_possible_name_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ResultsWriter(tmp_path / "results.sqlite") as writer:
        run = writer.begin("tests", "0", "2026-01-01T00:00:00")
        writer.add(run, JobRow("a", "tests", "a", "icarus", 64, 1, "passed", folder="x" * 5000))
    error = refused(tmp_path, capfd)
    assert (error.what, error.where[:6]) == ("the folder of a job cannot be looked at (File name too long)", "a: xxx")


def test_what_no_terminal_can_show_of_a_failure_is_replaced(tmp_path: Path) -> None:
    found = buckets(read(a_run(tmp_path, problems=["half \ud800 of a pair \x1b[31m"])).jobs)
    assert "half ? of a pair ?[31m" in table(found)[1]


def test_an_error_in_a_junit_file_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text('<testsuite><testcase classname="a" name="b"><error/></testcase></testsuite>')
    assert [job.status for job in read(tmp_path).jobs] == ["failed"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("job SET seconds = 'abc'", "row of job is damaged: its seconds is 'abc'"),
        ("job SET seconds = 9e999", "row of job is damaged: its seconds is inf"),
        ("run SET seconds = 'abc'", "row of run is damaged: its seconds is 'abc'"),
        ("run SET complete = 'yes'", "row of run is damaged: its complete is 'yes'"),
        ("run SET commit_hash = x'00ff'", "row of run is damaged: its commit_hash is b'"),
        ("figure SET value = 'abc'", "row of figure is damaged: its value is 'abc'"),
        ("figure SET name = NULL", "row of figure is damaged: it has no name"),
        ("job SET id = NULL", "row of job is damaged: it has no id"),
        ("job SET folder = x'00ff'", "row of job is damaged: its folder is b'"),
        ("job SET seed = 'x'", "row of job is damaged: its seed is 'x'"),
        ("job SET status = 'weird'", "row of job is damaged: there is no status 'weird'"),
        ("job SET status = NULL", "row of job is damaged: it has no status"),
    ],
)
def test_a_database_with_a_damaged_row_is_refused_with_what_is_wrong_in_it(
    change: str, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.sqlite"
    with ResultsWriter(path) as writer:
        run = writer.begin("tests", "0", "2026-01-01T00:00:00")
        writer.add(run, JobRow("a", "tests", "a", "icarus", 64, 1, "passed", seconds=2))
        writer.figure(run, FigureRow("commits", 7, "commits"))
        writer.finish(run, seconds=3, complete=True)
    assert read(tmp_path).good
    database = sqlite3.connect(path)
    database.execute(f"UPDATE {change}")
    database.commit()
    database.close()
    error = refused(tmp_path, capfd)
    assert error.what.startswith(f"the results cannot be read (a {why}")
    assert error.where == str(path)


@pytest.mark.parametrize(
    ("seeds", "text"), [((), ""), ((4,), "4"), ((1, 2, 3, 9), "1-3,9"), ((1, 3, 5), "1,3 and 1 more")]
)
def test_seeds_are_shown_as_seeds_takes_them(seeds: tuple[int, ...], text: str) -> None:
    assert shown_seeds(seeds, most=2) == text


# ---- traces ---------------------------------------------------------------------------------------


def test_the_changes_of_the_commits_add_up_to_every_record_of_the_trace(traced: Path) -> None:
    content = timeline.read(traced / TRACE_NAME, "trace", most=1 << 30).content()
    tables = (Table(RecTcp), Table(RecDlv))
    lines = [line for line in lines_of(traced) if line.get("is") in ("tcp", "delivery")]
    assert len(content["commits"]) == len(lines) > 150
    state: dict[tuple[int, int], dict[int, Any]] = {}
    for commit, line in zip(content["commits"], lines, strict=True):
        row = state.setdefault((commit["n"], commit["e"]), {})
        row.update(zip(commit["d"][::2], commit["d"][1::2], strict=True))
        assert commit["e"] == (line["is"] == "delivery")
        assert {at: value for at, value in row.items() if value} == tables[commit["e"]].row(int(line["record"], 16))


def test_every_frame_and_completion_of_the_trace_is_an_event_with_its_bytes(traced: Path) -> None:
    content = timeline.read(traced / TRACE_NAME, "trace").content()
    for kind, is_ in (("tx", "frame_out"), ("rx", "frame_in")):
        frames = [bytes.fromhex(line["data"]) for line in lines_of(traced) if line.get("is") == is_]
        events = [event for event in content["events"] if event["k"] == kind]
        assert [content["frames"][e["f"]] for e in events] == [[len(f), f[:FRAME_BYTES].hex()] for f in frames]
    told = [RecCq.unpack(int(line["record"], 16)) for line in lines_of(traced) if line.get("is") == "completion"]
    assert sum(event["k"] == "completion" for event in content["events"]) == len(told)


def test_segments_calls_and_indications_name_the_commit_behind_them(traced: Path) -> None:
    content = timeline.read(traced / TRACE_NAME, "trace").content()
    names = [table["names"] for table in content["tables"]]

    def fields(event: dict[str, Any]) -> dict[str, Any]:
        commit = content["commits"][event["r"]]
        assert commit["n"] == event["n"]
        row: dict[int, Any] = {}
        for one in content["commits"][: event["r"] + 1]:
            if (one["n"], one["e"]) == (commit["n"], commit["e"]):
                row.update(zip(one["d"][::2], one["d"][1::2], strict=True))
        return {names[commit["e"]][at]: value for at, value in row.items()}

    own = [event for event in content["events"] if event["n"] >= 0]
    sent = [event for event in own if event["k"] == "tx"]
    assert len(sent) > 20
    for event in sent[::7]:
        record = fields(event)
        assert event["a0"] in (record.get("tx0.segment.seq"), record.get("tx1.segment.seq"))
    received = [event for event in own if event["k"] == "rx" and event["o"] == "SEGMENT"]
    for event in received[::7]:
        assert fields(event)["rx.seq"] == event["a0"]
    sends = [event for event in own if event["k"] == "call" and event["o"] in ("SEND", "RECEIVE")]
    assert {event["o"] for event in sends} == {"SEND", "RECEIVE"}
    assert all(fields(event)["cause"] == event["q"] for event in sends)
    assert all("r" in event for event in own if event["k"] == "completion" and event["o"] == "INDICATION")


def test_of_a_failed_job_the_last_events_before_the_divergence_are_kept(traced: Path) -> None:
    at = middle(traced)
    whole = timeline.read(traced / TRACE_NAME, "trace", most=1 << 30)
    cut = timeline.read(traced / TRACE_NAME, "trace", divergence=at - timeline.AFTER, most=50)
    cycles = [item.cycle for item in whole.items if item.cycle <= at]
    assert [item.cycle for item in cut.items] == cycles[-50:]
    assert (cut.total, len(cut.items)) == (len(cycles), 50)
    first = timeline.read(traced / TRACE_NAME, "trace", most=50)
    assert [item.cycle for item in first.items] == [item.cycle for item in whole.items[:50]]
    assert cut.content()["commits"]  # links to what was cut are gone
    assert all(event.get("r", 0) < len(cut.content()["commits"]) for event in cut.content()["events"])


def test_every_bucket_has_a_trace_first_and_one_job_that_passed_is_a_sample(many: Regression) -> None:
    results = read(many.folder)
    chosen = choose(buckets(results.jobs), results.jobs)
    assert len({one.job.failure_key for one in chosen.shown if one.job.status == "failed"}) == TRACED
    assert [one.job.status for one in chosen.shown].count("passed") == 1
    assert any(f"{sum(FAILED) - TRACED} failed job(s) left no trace" in note for note in chosen.notes)


def test_the_trace_of_an_identical_replay_stands_for_that_of_a_failed_job_and_no_other_does(
    tmp_path: Path, traced: Path
) -> None:
    replay = tmp_path / "replay"
    replay.mkdir()
    for name, text in (("config.json", "{}"), ("again.json", '{"top": "tb_top"}'), ("failure.json", "{}")):
        (tmp_path / name).write_text(text)
    shutil.copy(traced / TRACE_NAME, replay / TRACE_NAME)
    failed = Job("job", status="failed", folder=str(tmp_path))
    (note,) = choose(buckets([failed]), [failed]).notes
    assert f"chimney replay {tmp_path}" in note
    (replay / REPLAY_NAME).write_text('{"identical": false}')
    assert trace_of(failed) is None
    (replay / REPLAY_NAME).write_text('{"identical": true}')
    assert trace_of(failed) == replay / TRACE_NAME
    chosen = choose(buckets([failed]), [failed])
    assert ([one.job.id for one in chosen.shown], chosen.notes) == (["job"], ())
    assert trace_of(replace(failed, status="passed")) is None
    os.utime(tmp_path / "failure.json", (2**33, 2**33))  # it failed anew since
    assert trace_of(failed) is None
    shutil.copy(traced / TRACE_NAME, tmp_path)
    assert trace_of(failed) == tmp_path / TRACE_NAME


def test_a_trace_that_is_cut_off_is_said_and_the_report_is_written(tmp_path: Path, traced: Path) -> None:
    packed = (traced / TRACE_NAME).read_bytes()
    (tmp_path / TRACE_NAME).write_bytes(packed[: len(packed) // 2])
    a_run(tmp_path, complete=False, problems=["boom"])
    written = write_report(tmp_path)
    assert not written.traces.shown
    assert any("cut off" in note for note in written.traces.notes)
    assert "cut off" in written.path.read_text()


def test_one_command_opens_the_waves_of_an_event_and_the_golden_device_has_none(tmp_path: Path, traced: Path) -> None:
    from tb.report.traces import commands

    assert commands(traced, "x") == {"waves": None}
    (tmp_path / "config.json").write_text('{"device": "rtl"}')
    assert commands(tmp_path, "a b") == {"waves": "chimney waves 'a b' --at "}


def test_that_command_puts_the_marker_of_the_waves_at_the_cycle_and_not_at_the_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "waves.vcd").write_text(
        "$timescale 1ps $end $scope module tb_top $end $var wire 1 ! clk $end $enddefinitions $end\n"
    )
    (tmp_path / "divergence.txt").write_text("field snd_nxt in cycle 12\n")
    monkeypatch.setenv("PATH", str(tmp_path))  # without a viewer
    assert command_line.run_command("waves", FAILURE=str(tmp_path), AT="77") == 2
    assert "marker at cycle 77 (775 ns)" in capfd.readouterr().out
    assert "775000" in (tmp_path / "replay.gtkw").read_text()


# ---- the page -------------------------------------------------------------------------------------


class Elements(html.parser.HTMLParser):
    """Elements and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in ("href", "src", "action")}


def test_no_name_of_a_job_a_rule_or_a_bin_becomes_html(many: Regression) -> None:
    text = write_report(many.folder, build=many.build).path.read_text()
    page = Elements()
    page.feed(text)
    assert not page.found["img"]
    assert page.found["script"] == 3 + TRACED + 1 + 1  # jobs, index of traces, bins; traces; the program
    assert not [name for name in page.attributes if name.startswith("on")]
    assert all(link.startswith("#") for link in page.links)
    for evil in HOSTILE:
        assert evil not in text
    assert "&lt;/script&gt;&lt;script&gt;window.owned=1" in text


def test_the_plan_of_the_fixture_is_as_large_as_ours_and_the_page_names_each_test_once(many: Regression) -> None:
    rules = json.loads((many.build / "plan" / "plan.json").read_text())["rules"]
    assert (many.build / "plan" / "plan.json").stat().st_size > 7_500_000
    assert sum(len(rule["tests"]) for rule in rules) > 300 * len(rules)
    shown = plan(gather(many.build))
    assert len(shown) < 1_000_000
    text = html.unescape(shown)
    listed = re.findall("<li>(.*?)</li>", text.partition('id="plan-tests"')[2])
    assert listed == sorted(plan_tests())
    assert all(text.count(name) == 1 for name in listed[::50])
    for rule, numbers in zip(rules, re.findall('class="tests">.*?<span>([0-9, -]+)</span>', text), strict=True):
        named = [part.split("-") for part in numbers.split(", ")]
        assert [listed[at] for one in named for at in range(int(one[0]) - 1, int(one[-1]))] == rule["tests"]


def test_numbers_are_shown_as_ranges() -> None:
    assert ranges([7, 2, 1, 3, 9, 10, 3]) == "1-3, 7, 9-10"
    assert ranges([]) == ""


def test_the_page_names_nothing_outside_itself(many: Regression) -> None:
    text = write_report(many.folder, build=many.build).path.read_text()
    assert set(re.findall(r"\w+://[^\s\"'<>]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "default-src 'none'" in html.unescape(text)


def test_embedded_json_cannot_end_its_element() -> None:
    block = json_block("x", ["</script>", "<!--", "\u2028"])
    inner = block.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert "<" not in inner
    assert json.loads(inner) == ["</script>", "<!--", "\u2028"]


def test_attributes_and_children_are_escaped_and_control_characters_replaced() -> None:
    shown = tag("p", "<a>\x07\ud800", [1, None, tag("i", "&")], data_x='"><b>', hidden=True, lang=None)
    assert shown == '<p data-x="&quot;&gt;&lt;b&gt;" hidden>&lt;a&gt;\ufffd\ufffd1<i>&amp;</i></p>'


def test_the_same_results_give_the_same_report(many: Regression, tmp_path: Path) -> None:
    first = write_report(many.folder, build=many.build, out=tmp_path / "a.html")
    again = write_report(many.folder, build=many.build, out=tmp_path / "b.html")
    assert first.path.read_bytes() == again.path.read_bytes()


def test_what_was_not_measured_is_said_and_not_taken_as_good(tmp_path: Path) -> None:
    a_run(tmp_path)
    text = write_report(tmp_path, build=tmp_path / "nothing").path.read_text()
    for file in ("plan/plan.json", "coverage/summary.json", "sabotage/summary.json", "bench/bench.json"):
        assert f"There is no <code>sim_build/{file}</code>" in text
    assert "No job of this folder left a trace." in text


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("plan/plan.json", "chimney plan"), ("coverage/summary.json", "chimney coverage"),
        ("sabotage/summary.json", "chimney sabotage"), ("bench/bench.json", "chimney bench"),
        ("bench/farm.json", "chimney bench-farm"), ("bench/mine.json", "the command behind it"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ['{"rules": [', "3", '"'])
def test_a_damaged_file_of_another_command_is_said_on_the_console_and_in_the_page_and_the_report_is_written(
    file: str,
    command: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    a_run(tmp_path)
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(text)
    wanted = f"sim_build/{file} is damaged and left out of the report; {command} makes it anew"
    written = write_report(tmp_path, build=tmp_path)
    assert wanted in written.notes
    if file.partition("/")[2] not in ("farm.json", "mine.json"):
        assert f"<code>sim_build/{file}</code> is damaged and left out" in written.path.read_text()
        assert f"There is no <code>sim_build/{file}</code>" not in written.path.read_text()
    monkeypatch.setattr(report_command, "gather", lambda _: gather(tmp_path))
    assert report_command.main(RunConfig(command="report", folder=tmp_path)) == 0
    assert f"note: {wanted}" in " ".join(capsys.readouterr().out.split())


def test_the_trend_has_every_figure_of_the_bench_over_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run(tmp_path)
    monkeypatch.setattr(bench, "OUT", tmp_path / "build" / "bench")
    monkeypatch.setattr(bench, "report", lambda *_: [])
    for share in (0.5, 0.75, 0.6):
        numbers = {"tx_bus_share_512": share, "packets_per_second_icarus": None, "config": {"seed": 1}}
        monkeypatch.setattr(bench, "measure", lambda *_, found=numbers: (found, {}))
        assert bench.main(RunConfig(command="bench")) == 0
    (trend,) = trends(gather(tmp_path / "build").history.figures)
    assert (trend.name, trend.points) == ("tx_bus_share_512", ((1, 0.5), (2, 0.75), (3, 0.6)))
    text = write_report(tmp_path, build=tmp_path / "build").path.read_text()
    assert "Over 3 run(s) of the bench on this tree." in text
    assert "<td>0.5</td><td>0.6</td><td>+20.0 %</td>" in text
    (tmp_path / "build" / "bench" / HISTORY_NAME).write_text("this is no database")
    assert gather(tmp_path / "build").history.figures == ()


def test_the_score_of_sabotages_says_how_many_of_the_lists_were_tried(tmp_path: Path) -> None:
    (tmp_path / "sabotage").mkdir()
    (tmp_path / "sabotage" / "summary.json").write_text('[{"id": "congestion-slow-start", "caught": true}]')
    shown = sabotages(gather(tmp_path))
    assert f"1 of 1 as they should be (100.0 %); 1 of the {len(load())} of the lists" in shown


def test_holes_and_exclusions_are_listed_one_by_one(many: Regression) -> None:
    found = gather(many.build)
    shown = coverage(found)
    holes = shown[shown.index("Holes: 80") : shown.index("Excluded: 10")]
    assert holes.count("<tr><td>") == 80
    assert "bin 79 " in holes
    assert "bin 85 " not in holes
    assert found.coverage is not None
    by_name = {share.name: share for share in shares(found.coverage)}
    assert by_name["line"].percent == pytest.approx(100 * 970 / 990)
    assert by_name["toggle"].percent == 91.5
    assert (by_name["functional"].excluded, by_name["functional"].impossible) == (10, 7041)
    assert by_name["line"].impossible is None
    head, _, body = shown.partition("</thead>")
    assert "impossible" in head
    assert re.search("functional</th>.*?<td>7,041</td>", body)
    assert re.search("group 1</th>.*?<td>6,999</td>", body)
    reasons = shown[shown.index("Impossible: 7,041") : shown.index("First hit by")]
    assert f"<td>6999</td><td>{html.escape(HOSTILE[0])}</td>" in reasons
    assert "chimney coverage" in coverage(Artifacts())


def test_a_lost_job_or_an_unfinished_run_is_no_pass(tmp_path: Path) -> None:
    from tb.farm.results import RunRow
    from tb.report.results import Results
    from tb.report.sections import summary

    good = Results(RunRow(), (Job("a"),))
    assert ">PASS<" in summary(good, ())
    for bad in (
        Results(RunRow(complete=False), good.jobs), Results(RunRow(), (Job("a"), Job("b", status="lost"))),
        Results(RunRow(), (Job("a"), Job("b", status="failed"))), Results(RunRow(), ()),
    ):  # fmt: skip
        assert ">FAIL<" in summary(bad, ())


def test_the_command_writes_the_report_and_says_the_buckets(
    many: Regression, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command_line.run_command("report", FOLDER=str(many.folder)) == 0
    shown = capfd.readouterr().out
    assert re.search(rf"^ +{FAILED[0]}  0-16 +cwnd is wrong 0", shown, re.MULTILINE)
    assert (many.folder / "report.html").exists()


def test_a_packed_trace_is_gzip_of_json(traced: Path) -> None:
    import base64

    from tb.report.traces import show

    shown = show(Job("a", folder=str(traced)), "trace-0", [])
    assert shown is not None
    inner = re.fullmatch(r'<script type="application/gzip" id="trace-0">(.*)</script>', shown.block)
    assert inner is not None
    assert json.loads(gzip.decompress(base64.b64decode(inner[1])))["total"] > 100
