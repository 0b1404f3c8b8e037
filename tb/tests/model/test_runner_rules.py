"""The test runner's own rules: what a skip is worth, what runs where, what the list of tests may leave out."""

from __future__ import annotations

import fcntl
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.device.bounds import BOUNDS
from tb.config import ROOT, ConfigError, RunConfig
from tb.farm import regress
from tb.folders import LOCK_NAME
from tb.sim.process import StoppedError
from tb.sim.tools import Tool
from tb.testing import runner
from tb.testing.names import in_python, may_be_python, where_to_look
from tb.testing.results import Report, Verdict
from tb.testing.runner import chosen_tier, floors, python_jobs, python_paths, run_tests, seeded, tiers_without
from tb.testing.tiers import TIERS, Tiers, load, wanted

ICARUS = Tool("icarus", "11.0", "system", Path("iverilog"))


@pytest.mark.parametrize(
    ("reason", "required", "status"),
    [
        ("no-tun: no device", (), "skipped"),
        ("no-tun: no device", ("x",), "skipped"),
        ("no-tun: no device", ("icarus", "tun"), "failed"),
        ("I did not feel like it", (), "failed"),
    ],
)
def test_a_skip_needs_a_reason_of_the_closed_list_and_fails_when_it_is_required(
    reason: str, required: tuple[str, ...], status: str
) -> None:
    report = Report(required=required)
    report.add(Verdict("some test", "skipped", message=reason))
    report.add(Verdict("another", "passed"))
    assert report.verdicts[0].status == status
    assert report.passed is (status == "skipped")
    assert report.verdict_lines()[-1] == ("PASS (1 not run)" if status == "skipped" else "FAIL")


@pytest.mark.parametrize(
    ("command", "given", "tier"),
    [
        ("regress", {}, "test"),
        ("regress", {"TEST": "matrix_whole"}, "regress"),
        ("regress", {"TEST": "matrix_whole", "TIER": "all"}, "all"),
        ("test", {"TEST": "matrix_whole"}, "test"),
    ],
)
def test_a_regression_of_tests_that_are_named_finds_them_in_every_tier(
    command: str, given: dict[str, str], tier: str
) -> None:
    assert chosen_tier(RunConfig.from_environment(command, given)) == tier


def test_require_takes_what_tests_may_need_and_nothing_else() -> None:
    assert RunConfig.from_environment("test", {"REQUIRE": "icarus,tun"}).require == ("icarus", "tun")
    with pytest.raises(ConfigError, match="REQUIRE is not in the allowed set"):
        RunConfig.from_environment("test", {"REQUIRE": "luck"})


def test_every_rtl_job_of_the_tier_runs_on_icarus_where_verilator_is_missing() -> None:
    tiers = load()
    here = {(job.name, job.data_w) for job in tiers.jobs if job.simulator == "verilator" and job.tier == "test"}
    jobs = list(tiers_without({"verilator": None, "icarus": ICARUS}, tiers))
    there = {(job.name, job.data_w) for job in jobs if job.simulator == "icarus" and wanted(job.tier, "test")}
    assert here <= there
    assert list(tiers_without({"verilator": ICARUS, "icarus": ICARUS}, tiers)) == list(tiers.jobs)


def test_both_simulators_have_the_same_jobs_and_an_absent_one_is_found() -> None:
    tiers = load()

    def verdict(of: Tiers) -> Verdict:
        return next(v for v in floors(of, {}, Report()) if v.test == "floor::exemptions")

    assert verdict(tiers).status == "passed"
    cut = next(job for job in tiers.jobs if job.simulator == "icarus")
    less = replace(tiers, jobs=tuple(job for job in tiers.jobs if job is not cut))
    assert verdict(less).status == "failed"
    assert cut.name in verdict(less).message
    exempt = tuple(replace(job, exempt="slow") if job.simulator == "icarus" else job for job in tiers.jobs)
    assert verdict(replace(tiers, jobs=exempt)).status == "failed"


def test_a_regression_runs_every_device_test_once_for_each_seed_in_its_own_folder() -> None:
    tiers = load()
    config = replace(RunConfig(), command="regress", seeds=(3, 4))
    jobs = list(seeded(iter(tiers.jobs), config))
    of_device = [job for job in tiers.jobs if job.top == "tb_top"]
    assert len(jobs) == 2 * len(of_device)
    assert len({job.label for job in jobs}) == len(jobs)
    assert {job.settings["seed"] for job in jobs} == {3, 4}
    assert list(seeded(iter(tiers.jobs), RunConfig(command="test"))) == list(tiers.jobs)


def test_a_floor_that_is_missed_fails_the_run() -> None:
    tools = {"verilator": None, "icarus": ICARUS}
    tiers = replace(load(), floors={"verilator": 100, "icarus": 100})
    for commits, status in ((99, "failed"), (100, "passed")):
        report = Report(commits={"icarus": commits})
        found = {verdict.test: verdict.status for verdict in floors(tiers, tools, report)}
        assert found["floor::icarus"] == status
        assert "floor::verilator" not in found


def test_bounds_of_waiting_are_judged_where_jobs_are_of_full_size_alone() -> None:
    tiers, tools = load(), dict[str, Tool | None]({"verilator": ICARUS, "icarus": ICARUS})
    seen = {kind: {"bound": bound, "max_seen": 1} for kind, bound in BOUNDS.items()}
    for simulators, cover, judged in (
        (("verilator", "icarus"), False, True),
        (("verilator", "icarus"), True, False),
        (("icarus",), False, False),
    ):
        report = Report(commits=dict.fromkeys(simulators, 1), liveness=[seen])
        found = {verdict.test: verdict.status for verdict in floors(tiers, tools, report, cover=cover)}
        assert ("floor::liveness" in found) is judged
        assert found.get("floor::liveness", "failed") == "failed"


@pytest.mark.parametrize(
    ("words", "may"),
    [
        ("transfer_of_words", True),  # a function
        ("test_sample.py::test", True),  # a file
        ("slow", True),  # a mark
        ("SYN-17", True),  # letters of an id, and a number that is computed
        ("17", True),
        ("state[é]", True),
        ("transfer_of_wurds", False),
        ("elsewhere", False),  # only used, not named
        ("wurds transfer_of", True),  # one of several
        ("wurds zzyzx", False),
    ],
)
def test_a_word_is_in_no_name_of_a_python_test_only_if_its_letters_stand_nowhere(
    words: str, may: bool, tmp_path: Path
) -> None:
    (tmp_path / "tb").mkdir()
    (tmp_path / "tb" / "test_sample.py").write_text(
        "import far\n@far.mark.slow\ndef test_transfer_of_words(flag) -> None:\n    far.Elsewhere()\n# é\n"
    )
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "states.toml").write_text('syn = "state"\n')
    assert may_be_python(words, tmp_path) is may


def test_every_python_test_of_this_file_may_be_asked_for() -> None:
    names = [name for name in globals() if name.startswith("test_")]
    assert len(names) > 5
    assert all(may_be_python(name) for name in names)


def test_words_in_no_name_are_answered_with_those_that_are_near_in_any_tier() -> None:
    assert where_to_look("matrix_hole", load()).startswith("perhaps matrix_whole ")
    assert "perhaps" not in where_to_look("qqqq", load())


@pytest.mark.parametrize(
    ("names", "todo"),
    [
        ("coverage_closure", "`make test-all TEST='coverage_closure'`"),
        ("matrix_whole", "`make regress TIER=regress TEST='matrix_whole'`"),
        ("unit_skid[verilator]", "`make test TEST='unit_skid[verilator]'`"),
        ("coverage_closure matrix_whole", "`make regress TIER=regress TEST='coverage_closure matrix_whole'`"),
    ],
)
def test_a_name_of_another_tier_or_simulator_is_answered_with_the_call_that_runs_it(
    names: str, todo: str, last: Path
) -> None:
    problem = refusal(RunConfig(command="test", test=names, sim="icarus", sim_given=True))
    assert problem.what == "no test of this call has this in its name"
    assert problem.where == f"TEST={names}"
    assert todo in problem.todo
    assert last.read_text() == "of the last run"


@pytest.fixture
def last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """summary.json of the last test run, in a folder of its own; Icarus alone is there, and no simulation starts."""
    monkeypatch.setattr(runner, "OUT", tmp_path)
    for module in (runner, regress):
        monkeypatch.setattr(module, "chosen_tools", lambda _: {"icarus": ICARUS})
    monkeypatch.setattr(runner, "run_tests", lambda *_, python: None)
    summary = tmp_path / "summary.json"
    summary.write_text("of the last run")
    return summary


def refusal(config: RunConfig) -> ConfigError:
    """What `chimney test` refuses."""
    with pytest.raises(ConfigError) as caught:
        runner.main(config)
    return caught.value


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        ("unit_skid unit_fifoq", "unit_fifoq"),
        ("qqq unit_skid zzz", "qqq zzz"),
        ("unit_skidd", "unit_skidd"),
        ("unit_skid transfer_verilator", "transfer_verilator"),
    ],
)
def test_every_name_that_no_test_has_is_refused_and_the_last_results_stay(names: str, absent: str, last: Path) -> None:
    problem = refusal(RunConfig(command="test", test=names, sim="icarus", sim_given=True))
    assert (problem.what, problem.where) == ("no test has this in its name", f"TEST={absent}")
    assert last.read_text() == "of the last run"
    if absent.startswith("unit"):
        assert problem.todo.startswith("perhaps unit_")


def test_a_name_that_only_pytest_may_know_is_refused_when_it_does_not_and_the_last_results_stay(
    last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "may_be_python", lambda word: word != "qqq")
    asked: list[list[str]] = []

    def known(words: list[str], _paths: list[str]) -> list[str]:
        asked.append(words)
        return [word for word in words if word == "streams"]

    monkeypatch.setattr(runner, "in_python", known)
    for names, absent in (("unit_skid transfur", "transfur"), ("streams transfur", "transfur"), ("streams qqq", "qqq")):
        assert refusal(RunConfig(command="test", test=names)).where == f"TEST={absent}"
    assert asked == [["transfur"], ["streams", "transfur"]]
    assert refusal(RunConfig(command="test", test="transfur")).where == "TEST=transfur"  # pytest ran, and had none
    assert last.read_text() == "of the last run"
    assert runner.main(RunConfig(command="test", test="unit_skid streams")) == 1  # nothing ran, nothing passed
    assert last.read_text() != "of the last run"


def test_two_test_runs_do_not_write_the_same_results(last: Path) -> None:
    with (last.parent / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refusal(RunConfig(command="test")).what == "another run is writing in this folder"
    assert last.read_text() == "of the last run"


def test_pytest_is_asked_for_names_and_marks(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(
        "import pytest\n@pytest.mark.slow\ndef test_transfer_of_words() -> None:\n    pass\n"
    )
    words = ["Transfer_of", "of_wurds", "slow", "sample"]
    assert in_python(words, ["test_sample.py"], tmp_path) == ["Transfer_of", "slow", "sample"]
    assert in_python(["wurds"], ["test_sample.py"], tmp_path) == []


@pytest.mark.parametrize(
    ("names", "what", "where", "todo"),
    [
        ("unit_skid", "tests of blocks are not for regress", "TEST=unit_skid", "`chimney test unit_skid`"),
        ("transfer unit_fifo unit_skid", "tests of blocks", "TEST=unit_fifo unit_skid", "`chimney test unit_fifo"),
        ("transfer tranfser_ecn", "no test has this in its name", "TEST=tranfser_ecn", "perhaps transfer_ecn"),
    ],
)
def test_a_regression_refuses_tests_of_blocks_and_every_name_that_no_test_has(
    names: str, what: str, where: str, todo: str, last: Path
) -> None:
    config = RunConfig.from_environment("regress", {"TEST": names, "SEEDS": "1-2"})
    with pytest.raises(ConfigError) as caught:
        regress.main(config)
    assert caught.value.what.startswith(what)
    assert caught.value.where == where
    assert caught.value.todo.startswith(todo)
    assert last.exists()


def test_a_regression_without_a_test_shows_what_selected_none(last: Path) -> None:
    config = RunConfig.from_environment("regress", {"TEST": "transfer", "FILTER": "^qqq$"})
    with pytest.raises(ConfigError) as caught:
        regress.main(config)
    assert (caught.value.what, caught.value.where) == ("no test is selected", "FILTER=^qqq$")
    assert last.exists()


def test_no_two_files_of_python_tests_have_one_name_for_pytest_would_take_one_for_the_other() -> None:
    names = Counter(path.name for path in (ROOT / "tb" / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_every_python_test_of_a_tier_is_of_one_call_of_pytest_alone() -> None:
    for tier in TIERS:
        many, waiting = python_jobs(load(), tier)
        assert many.left_out == waiting.paths == load().apart != ()
        assert many.paths == tuple(python_paths(load(), tier))
        for path in waiting.paths:
            assert (ROOT / path).is_file(), path
            assert any((ROOT / path).is_relative_to(ROOT / whole) and path != whole for whole in many.paths), path


def result_of(command: Sequence[str], text: str = "") -> None:
    """What pytest would leave behind this command, or this text."""
    xml = Path(next(word for word in command if word.startswith("--junitxml=")).removeprefix("--junitxml="))
    case = f'<testsuite><testcase classname="{xml.stem}" name="test_it" time="1"/></testsuite>'
    xml.write_text(text or case)


def test_tests_that_wait_are_played_beside_the_others(last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    both = threading.Barrier(2, timeout=20)  # broken if one waits for the other to end

    def play(command: list[str], **_: object) -> int:
        both.wait()
        result_of(command)
        calls.append([word for word in command[3:] if not word.startswith("--junitxml=")])
        return 0

    monkeypatch.setattr(runner, "run_bounded", play)
    report = Report()
    run_tests(RunConfig(command="test", test="qqq", jobs=1), load(), "test", {}, report, python=True)
    assert [verdict.test for verdict in report.verdicts] == ["pytest::test_it", "pytest-apart::test_it"]
    apart, rest = load().apart, ["--tb=short", "-k", "qqq"]
    many = [*python_paths(load(), "test"), *(f"--ignore={path}" for path in apart), *rest]
    assert sorted(calls, key=len) == sorted(([*apart, *rest], many), key=len)
    assert {path.name for path in last.parent.glob("*.xml")} == {"pytest.xml", "pytest-apart.xml"}


def test_what_pytest_had_finished_is_kept_when_a_run_is_interrupted(
    last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = threading.Event()
    futures: list[Future[Any]] = []
    submit = ThreadPoolExecutor.submit

    def kept(pool: ThreadPoolExecutor, *call: Any) -> Future[Any]:
        futures.append(submit(pool, *call))
        return futures[-1]

    def play(command: list[str], **more: Path) -> int:
        if more["log"].stem == "pytest":
            interrupted.wait(20)
            raise StoppedError("ended")
        result_of(command)
        return 0

    def interrupt(*_: object) -> None:
        assert futures[1].result(20) == 0  # what waits is over, the rest goes on
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadPoolExecutor, "submit", kept)
    monkeypatch.setattr(runner, "run_bounded", play)
    monkeypatch.setattr(runner, "end_all", interrupted.set)
    monkeypatch.setattr(runner, "run_job", lambda *_: None)
    monkeypatch.setattr(runner, "take_job", interrupt)
    report, config = Report(), RunConfig(command="test", test="unit_skid", jobs=2)
    with pytest.raises(KeyboardInterrupt):
        run_tests(config, load(), "test", {"icarus": ICARUS}, report, python=True)
    assert [verdict.test for verdict in report.verdicts] == ["pytest-apart::test_it"]


def test_a_damaged_result_of_one_pytest_is_named_and_the_other_counts(
    last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(command: list[str], **more: Path) -> int:
        result_of(command, "<testsuite><testcase" if more["log"].stem == "pytest" else "")
        more["log"].write_text("killed")
        return -9 if more["log"].stem == "pytest" else 0

    monkeypatch.setattr(runner, "run_bounded", play)
    report = Report()
    run_tests(RunConfig(command="test", test="qqq"), load(), "test", {}, report, python=True)
    assert [(verdict.test, verdict.status) for verdict in report.verdicts] == [
        ("pytest::collection", "failed"), ("pytest::results", "failed"), ("pytest-apart::test_it", "passed"),
    ]  # fmt: skip
    assert "pytest.xml is damaged" in report.verdicts[1].message
