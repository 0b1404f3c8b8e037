"""The nightly list: what is read from result files, and how entries run one after the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tb.command_line import program, texts
from tb.commands import COMMANDS
from tb.config import ROOT, ConfigError, RunConfig
from tb.json_output import results_file
from tb.nightly.entries import VECTORS, Entry, chosen, load
from tb.nightly.figures import Figure, FigureError
from tb.nightly.run import Nightly
from tb.testing.results import SKIP_REASONS
from tb.tests.model.test_config_errors import PATIENCE, alive, descendants

#: Stands for `chimney`: its commands are lines of Python.
PROGRAM = (sys.executable, "-I", "-S", "-c", "import sys; exec(sys.argv[1])")
DOCUMENT: dict[str, Any] = {
    "cuts": [{"state": 1, "exact": True}, {"state": 2, "exact": False}], "exact": True, "name": "x", "none": None,
    "empty": [], "by": {"slow start": 3, "wrap": 20},
}  # fmt: skip
CONFIG = RunConfig(command="nightly")


def writing(name: str, value: object, status: int = 0) -> str:
    """A command that writes a result file and ends with a status."""
    return f"\"open('{name}', 'w').write('''{json.dumps(value)}'''.replace('~', chr(34))); sys.exit({status})\""


def entry(name: str, command: str, *figures: str, bound: float = PATIENCE, result: str = "") -> Entry:
    """An entry of a stand-in list."""
    return Entry(name, command, bound, result, tuple(Figure.parse(text) for text in figures))


def play(folder: Path, *entries: Entry, config: RunConfig = CONFIG) -> tuple[int, dict[str, Any]]:
    """Run a stand-in list in a folder: exit status and summary."""
    status = Nightly(entries, config, program=PROGRAM, root=folder, out=folder / "nightly").run()
    return status, json.loads((folder / "nightly" / "summary.json").read_text())


# ---- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["cuts.# == 2", "cuts.*.state >= 1", 'name in ["x", "y"]', "exact == true", "by.* >= 3", "empty == []",
     "none == null", "empty.# == 0", "by.wrap > 19", "by.wrap < 21", 'name != "y"'],
)  # fmt: skip
def test_a_figure_that_holds_has_no_problem(text: str) -> None:
    assert Figure.parse(text).problems(DOCUMENT) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cuts.# >= 300", "cuts.#: wanted >= 300, got 2"),
        ("cuts.*.exact == true", "cuts.1.exact: wanted == true, got false"),
        ("by.* >= 20", "by.slow start: wanted >= 20, got 3"),
        ('name in ["y"]', 'name: wanted in ["y"], got "x"'),
        ("exact == 1", "exact: wanted == 1, got true"),
        ("none >= 0", "none: wanted >= 0, got null"),
        ("name <= 3", 'name: wanted <= 3, got "x"'),
        ("cuts.*.seed >= 0", "cuts.0.seed: there is no such key"),
        ("byte_exact == true", "byte_exact: there is no such key"),
        ("exact.* == true", "exact.*: there is no such key"),
        ("empty.* == 1", "empty.*: nothing is there"),
    ],
)
def test_a_figure_that_does_not_hold_names_place_wanted_and_got(text: str, problem: str) -> None:
    assert Figure.parse(text).problems(DOCUMENT) == [problem]


def test_many_wrong_places_of_a_figure_are_counted_not_listed() -> None:
    problems = Figure.parse("*.a == 1").problems([{"a": 0}] * 9)
    assert len(problems) == 6
    assert problems[-1] == "and 4 more of *.a"


@pytest.mark.parametrize("text", ["cuts >= many", "cuts", "cuts ~ 3", "cuts in 3", ""])
def test_a_figure_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(FigureError):
        Figure.parse(text)


# ---- the list --------------------------------------------------------------------------------------------------------


def configuration(words: list[str]) -> RunConfig:
    """What the command line makes of a command."""
    command = program().commands[words[0]]
    context = command.make_context(words[0], words[1:])
    return RunConfig.from_environment(words[0], texts(COMMANDS[words[0]], context.params))


@pytest.mark.parametrize("one", load(), ids=lambda one: one.name)
def test_each_entry_is_a_command_that_is_understood_and_its_result_file_is_the_one_that_this_writes(one: Entry) -> None:
    words = one.words(RunConfig(vectors=ROOT / "LICENSE"))
    assert words is not None
    assert words[0] != "nightly"
    file = results_file(configuration(words))
    assert one.result == ("" if file is None else str(file.relative_to(ROOT)))
    assert bool(one.figures) is (file is not None)


def test_the_list_has_every_command_that_holds_a_number() -> None:
    listed = {one.command.split()[0] for one in load()}
    assert listed >= {
        "test", "test-all", "regress", "soak", "interop", "goodput", "hostile", "bench", "bench-farm", "farm-test",
        "plan", "coverage", "coverage-null", "seam", "vectors", "packetdrill", "sabotage", "synth", "formal",
        "docs-test",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, 0), ({"overhead_seconds_per_job": 0.3}, 1), ({"job_seconds_min": 4.9}, 1), ({"job_seconds_max": 20.1}, 1),
        ({"jobs": 7}, 1), ({"ratio": 1.79}, 1),
    ],
)  # fmt: skip
def test_the_night_holds_the_farm_to_under_0_3_s_a_job_with_jobs_of_5_to_20_s(
    changed: dict[str, float], wrong: int
) -> None:
    good = {
        "jobs": 16,
        "ratio": 1.8,
        "overhead_seconds_per_job": 0.299,
        "job_seconds_min": 5.0,
        "job_seconds_max": 20.0,
    }
    (one,) = [one for one in load() if one.name == "bench-farm"]
    assert len([problem for figure in one.figures for problem in figure.problems({**good, **changed})]) == wrong


@pytest.mark.parametrize("command", ["test", "test-all"])
def test_the_night_requires_all_that_a_test_may_be_skipped_for(command: str) -> None:
    reasons = {reason.removeprefix("no-") for reason in SKIP_REASONS if reason.startswith("no-")}
    found = [words for one in load() if (words := one.words(CONFIG)) is not None and words[0] == command]
    assert found
    for words in found:
        assert set(configuration(words).require) == reasons


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no entry"),
        ('[[entry]]\nname = "a"\ncommand = "seam"\n', "bound"),
        ('[[entry]]\nname = "a"\ncommand = "seam"\nbound = 1\nfigure = []\n', "no such key: figure"),
        ('[[entry]]\nname = "a"\ncommand = "seam"\nbound = 0\n', "above 0 s"),
        ('[[entry]]\nname = "a"\ncommand = "seam"\nbound = 1\nfigures = ["a == 1"]\n', "result file"),
        ('[[entry]]\nname = "a"\ncommand = "seam"\nbound = 1\nresult = "x"\nfigures = ["a"]\n', "KEYS OPERATOR"),
        ('[[entry]]\nname = "a"\ncommand = "seam"\nbound = 1\n' * 2, "twice"),
    ],
)
def test_a_wrong_list_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        load(tmp_path / "list.toml")


def test_names_and_patterns_select_entries_in_the_order_of_the_list() -> None:
    entries = [entry(name, "pass") for name in ("seam", "soak", "soak-icarus", "bench")]
    assert [one.name for one in chosen(entries, "bench soak*")] == ["soak", "soak-icarus", "bench"]
    assert chosen(entries, None) == entries
    with pytest.raises(ConfigError, match="no such entry") as caught:
        chosen(entries, "soak seem")
    assert caught.value.where == "ID=seem"


# ---- running ---------------------------------------------------------------------------------------------------------


def test_entries_run_in_order_and_a_failing_one_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "\"open('order', 'a').write('{}'); sys.exit({})\""
    status, summary = play(
        tmp_path, entry("a", line.format("a", 0)), entry("b", line.format("b", 3)), entry("c", line.format("c", 0))
    )
    assert status == 1
    assert (tmp_path / "order").read_text() == "abc"
    assert (summary["schema"], summary["complete"]) == (1, True)
    assert [(one["name"], one["status"], one["problems"]) for one in summary["entries"]] == [
        ("a", "passed", []), ("b", "failed", ["ended with status 3"]), ("c", "passed", []),
    ]  # fmt: skip
    assert set(summary["entries"][0]) == {"name", "command", "status", "seconds", "problems"}
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed"


def test_a_figure_that_is_missed_fails_the_entry_although_its_command_ended_well(tmp_path: Path) -> None:
    status, summary = play(
        tmp_path,
        entry("good", writing("r.json", [1, 2]), "# == 2", result="r.json"),
        entry("low", writing("r.json", [1]), "# == 2", result="r.json"),
        entry("lost", writing("r.json", []), "*.jobs == 2", result="r.json"),
        entry("text", "\"open('r.json', 'w').write('not JSON')\"", "# == 2", result="r.json"),
    )
    assert status == 1
    found = {one["name"]: one["problems"] for one in summary["entries"]}
    assert found["good"] == []
    assert found["low"] == ["r.json: #: wanted == 2, got 1"]
    assert found["lost"] == ["r.json: *.jobs: nothing is there"]
    assert found["text"][0].startswith("r.json is not JSON")
    assert json.loads((tmp_path / "nightly" / "good" / "result.json").read_text()) == [1, 2]


def test_a_result_file_of_an_earlier_call_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("[1, 2]")
    status, summary = play(tmp_path, entry("stale", "pass", "# == 2", result="r.json"))
    assert status == 1
    assert summary["entries"][0]["problems"] == ["r.json: the command did not write it"]


def test_an_entry_is_ended_after_its_bound_and_the_next_one_runs(tmp_path: Path) -> None:
    sleep = f'"import time; time.sleep({PATIENCE})"'
    started = time.monotonic()
    status, summary = play(tmp_path, entry("long", sleep, bound=0.5), entry("next", "pass"))
    assert status == 1
    assert time.monotonic() - started < PATIENCE
    assert [one["status"] for one in summary["entries"]] == ["failed", "passed"]
    assert summary["entries"][0]["problems"] == ["was ended after its bound of 0.5 s"]


def test_an_entry_that_needs_vectors_is_named_as_not_run_without_them_and_alone_it_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f'"sys.exit(sys.argv[2] != chr(47) + chr(120))" {VECTORS}'
    status, summary = play(tmp_path, entry("vectors", line))
    assert status == 1
    assert summary["entries"][0]["status"] == "not_run"
    assert "not run: vectors: VECTORS= is not given" in capsys.readouterr().out
    assert play(tmp_path, entry("vectors", line), entry("other", "pass"))[0] == 0
    status, summary = play(tmp_path, entry("vectors", line), config=RunConfig(vectors=Path("/x")))
    assert (status, summary["entries"][0]["status"]) == (0, "passed")


INTERRUPTED = """
import sys
from pathlib import Path
from tb.cli import heed_interrupts
from tb.config import RunConfig
from tb.nightly.entries import Entry
from tb.nightly.run import Nightly
heed_interrupts()
entries = [Entry("first", "pass", 60), Entry("second", "\\"import time; open('mark', 'w'); time.sleep(300)\\"", 300),
           Entry("third", "pass", 60)]
program = (sys.executable, "-I", "-S", "-c", "import sys; exec(sys.argv[1])")
folder = Path(sys.argv[1])
Nightly(entries, RunConfig(command="nightly"), program=program, root=folder, out=folder / "nightly").run()
"""


def test_an_interruption_keeps_what_ended_and_leaves_no_process(tmp_path: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE,
        # a job in the background of a shell ignores it, and so would this program
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "mark").exists():
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.05)
    below = descendants(started.pid) | {started.pid}
    assert len(below) == 2
    os.kill(started.pid, signal.SIGINT)
    _, said = started.communicate(timeout=PATIENCE)
    assert b"KeyboardInterrupt" in said
    assert not alive(below)
    summary = json.loads((tmp_path / "nightly" / "summary.json").read_text())
    assert summary["complete"] is False
    assert [one["name"] for one in summary["entries"]] == ["first"]
