"""The command line inside one process: its options are the variables of make, its help and its lists are whole."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest

from tb import cli, command_line, listing, wave_viewer
from tb.commands import COMMANDS
from tb.config import ROOT, ConfigError, RunConfig
from tb.sabotage.manifest import load as load_sabotages
from tb.testing.tiers import load as load_tiers
from tb.tests.model.test_config_errors import WRONG
from tb.variables import TABLE, VARIABLES, BuildError, Variable

MAKEFILE = (ROOT / "Makefile").read_text()
#: A text of each kind that is not the default; kinds whose text must name a file get one below the folder of the test.
SAMPLES = {
    "size": "3K", "rate": "0.25", "integer": "70", "numbers": "3-5,9", "flag": "1", "words": "icarus,tun",
    "text": "abc", "pattern": "a.c", "path": "some/where", "file": "LICENSE", "existing": "LICENSE", "paths": "LICENSE",
    "duration": "90s", "cluster": "tcp://node:8786",
}  # fmt: skip


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[RunConfig]:
    """The configurations that commands were called with, instead of calling them; the working folder has some files."""
    found: list[RunConfig] = []

    def remember(config: RunConfig) -> int:
        found.append(config)
        return 0

    monkeypatch.setattr(command_line, "call", remember)
    for name in ("LICENSE", "tb"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "traces.jsonl").write_text("{}\n")
    (tmp_path / "my.diff").write_text("")
    monkeypatch.chdir(tmp_path)
    return found


def chimney(*words: str) -> int:
    """The program as `main` calls it, without its signal handlers and back in the working folder."""
    with contextlib.chdir("."):
        status = command_line.program().main(list(words), prog_name="chimney", standalone_mode=False)
    assert isinstance(status, int)
    return status


def help_of_command(name: str) -> list[str]:
    """The options of a command."""
    return [option for one in command_line.click_command(name, COMMANDS[name]).params for option in one.opts]


def sample(variable: Variable) -> str:
    """A text for a variable that is not its default."""
    if variable.kind == "flag" and variable.default == "1":
        return "0"
    if variable.name == "FAMILY":
        return "6"
    if variable.kind == "choice":
        return next(choice for choice in variable.choices if choice != variable.default)
    return "5" if variable.kind == "integer" and variable.high < 70 else SAMPLES[variable.kind]


def test_a_design_that_does_not_compile_is_told_with_the_words_of_the_compiler_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_config: RunConfig) -> int:
        raise BuildError("iverilog ended with status 2\nfifo.v:12: syntax error\nwhole log: build.log")

    for module, words in ((command_line, ["run", "--json"]), (cli, ["run"])):
        monkeypatch.setattr(module, "call", broken)
        assert (chimney(*words) if module is command_line else cli.main(words)) == 1
        said = capfd.readouterr()
        assert said.err.startswith("error: the simulator was not built: iverilog ended with status 2\n")
        assert "fifo.v:12: syntax error\nwhole log: build.log" in said.err
        assert "Traceback" not in said.err
        if module is command_line:
            assert json.loads(said.out)["error"]["what"].startswith("the simulator was not built")


def test_a_command_that_ends_with_a_traceback_leaves_a_document_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_config: RunConfig) -> int:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(command_line, "call", broken)
    with pytest.raises(ZeroDivisionError):
        chimney("run", "--json")
    said = capfd.readouterr()
    document = json.loads(said.out)
    assert (document["command"], document["status"], document["result"]) == ("run", 1, None)
    assert document["error"]["what"] == "ZeroDivisionError: by nought"
    assert re.fullmatch(r"tb/tests/model/test_cli\.py, line \d+", document["error"]["where"])
    assert document["error"]["do"]
    with pytest.raises(ZeroDivisionError):
        chimney("run")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("raised", [False, True])
def test_a_result_that_was_half_written_leaves_a_document_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], raised: bool
) -> None:
    def half(config: RunConfig) -> int:
        config.out.mkdir()
        (config.out / "summary.json").write_text("{")
        return 1 // (not raised)

    monkeypatch.setattr(command_line, "call", half)
    with pytest.raises(ZeroDivisionError if raised else ValueError):
        chimney("run", "--json", "--out", str(tmp_path / "out"))
    document = json.loads(capfd.readouterr().out)
    assert (document["status"], document["results"], document["result"]) == (1, None, None)
    assert document["error"]["what"].startswith("ZeroDivisionError: " if raised else "JSONDecodeError: ")


def test_the_traceback_of_a_command_is_on_standard_error_beside_its_document() -> None:
    program = (
        "import sys; from tb import command_line; command_line.call = lambda config: print('prose') or 1 // 0; "
        "sys.exit(command_line.main(['run', '--json']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == json.loads(done.stdout)["status"] == 1
    assert done.stderr.startswith("prose\nTraceback (most recent call last):\n")
    assert done.stderr.endswith("\nZeroDivisionError: integer division or modulo by zero\n")


def test_makefile_and_table_have_the_same_variables_and_commands() -> None:
    listed = re.search(r"VARIABLES := (.*?)\n\n", MAKEFILE, re.DOTALL)
    assert listed is not None
    assert sorted(listed.group(1).replace("\\\n", " ").split()) == sorted(VARIABLES)
    targets = re.findall(r"^([\w-]+):\s+; \$\(CHIMNEY\) ([\w-]+)$", MAKEFILE, re.MULTILINE)
    assert all(target == command for target, command in targets)
    assert {target for target, _ in targets} == {*COMMANDS, "help"}
    assert len(MAKEFILE.splitlines()) < 60


def test_a_command_takes_only_variables_of_the_table_and_its_module_is_there() -> None:
    for name, command in COMMANDS.items():
        assert set(command.names) <= set(VARIABLES), name
        assert command.argument.removesuffix("*") in ("", *command.names), name
        module = importlib.import_module(command.module)
        assert callable(module.main), name
        assert callable(getattr(module, "result", None)) is command.computed, name
        elsewhere = any(place in command.results for place in ("{out}", "{failure}"))
        if command.results and not elsewhere and module.__name__ != "tb.testing.lint":
            assert (ROOT / command.results).is_relative_to(module.OUT), name


def test_every_command_that_leaves_something_to_read_has_json() -> None:
    made = {name for name in COMMANDS if "--json" in help_of_command(name)}
    assert set(COMMANDS) == made


@pytest.mark.parametrize("variable", TABLE, ids=lambda variable: variable.name)
def test_an_option_gives_the_configuration_that_the_variable_of_make_gives(
    variable: Variable, called: list[RunConfig]
) -> None:
    text = sample(variable)
    taking = [name for name, command in COMMANDS.items() if variable.name in command.names]
    assert taking
    flags = {"1": variable.option, "0": f"--no-{variable.option.removeprefix('--')}"}
    words = [flags[text]] if variable.kind == "flag" else [variable.option, text]
    for name in taking:
        expected = RunConfig.from_environment(name, {variable.name: text})
        assert expected != RunConfig.from_environment(name, {}), "the sample is the default"
        assert chimney(name, *words) == 0
        assert called.pop() == expected


@pytest.mark.parametrize(("row", "name", "value", "what"), WRONG)
def test_a_wrong_option_is_refused_with_the_words_of_make_and_its_own_name(
    row: str, name: str, value: str, what: str, called: list[RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert row
    with pytest.raises(ConfigError) as of_make:
        RunConfig.from_environment("run", {name: value})
    assert chimney("run", f"{VARIABLES[name].option}={value}") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"error: {what}", f"  where: {name}={value} ({VARIABLES[name].option})", f"  do:    {of_make.value.todo}",
    ]  # fmt: skip
    assert called == []


def test_names_without_an_option_are_the_variable_of_the_command(called: list[RunConfig]) -> None:
    for words, field, value in (
        (["test", "unit_fifo", "transfer"], "test", "unit_fifo transfer"),
        (["replay", "some/where"], "failure", Path.cwd() / "some/where"),
        (["waves", "some/where"], "failure", Path.cwd() / "some/where"),
        (["vectors", "traces.jsonl"], "vectors", Path.cwd() / "traces.jsonl"),
        (["packetdrill", "tb/packetdrill/sack", "LICENSE"], "scripts",
         (Path.cwd() / "tb/packetdrill/sack", Path.cwd() / "LICENSE")),
        (["sabotage", "a", "b*"], "sabotage_id", "a b*"),
    ):  # fmt: skip
        assert chimney(*words) == 0
        assert getattr(called.pop(), field) == value
    with pytest.raises(click.UsageError, match="TEST is given twice"):
        chimney("test", "unit_fifo", "--test", "transfer")


def test_a_path_with_blanks_stays_one_path_without_its_option(called: list[RunConfig]) -> None:
    Path("two words.pkt").write_text("")
    assert chimney("packetdrill", "two words.pkt") == 0
    assert called.pop().scripts == (Path.cwd() / "two words.pkt",)


def test_several_names_select_the_tests_that_have_any_of_them() -> None:
    config = RunConfig(test="fifo skid")
    assert [config.selects(name) for name in ("unit_fifo[icarus]", "unit_skid", "transfer")] == [True, True, False]
    assert RunConfig().selects("anything")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_every_option_with_its_default_and_an_example_that_is_understood(
    name: str, called: list[RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    command = COMMANDS[name]
    assert chimney("help", name) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for variable in (VARIABLES[one] for one in command.names):
        assert variable.option in shown
        default = variable.otherwise or {"flag01": "no", "flag11": "yes"}.get(f"{variable.kind}{variable.default}1")
        if default or variable.default:
            assert f"(default {default or variable.default})" in shown
        assert not variable.unit or f"in {variable.unit}" in shown
    assert command.examples
    assert "Examples:" in shown
    for example in command.examples:
        assert example in shown
        words = shlex.split(example)
        assert words[:2] == ["chimney", name]
        assert chimney(*(word for word in words[1:] if word != "--json")) == 0
        assert called.pop().command == name


def test_the_help_says_that_a_filter_is_a_regular_expression(capsys: pytest.CaptureFixture[str]) -> None:
    assert chimney("help", "regress") == 0
    assert "--filter REGEX" in capsys.readouterr().out


def test_the_list_has_every_simulation_and_every_sabotage(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = listing.result(RunConfig(command="list"))
    assert status == 0
    jobs = load_tiers().jobs
    assert [(one["label"], one["tier"], one["data_w"]) for one in found["tests"]] == [
        (job.label, job.tier, job.data_w or None) for job in jobs
    ]
    assert [one["id"] for one in found["sabotages"]] == [entry.id for entry in load_sabotages()]
    assert json.loads(json.dumps(found)) == found
    assert listing.main(RunConfig(command="list")) == 0
    printed = capsys.readouterr().out
    for name in {job.name for job in jobs} | {entry.id for entry in load_sabotages()}:
        assert re.search(rf"^{re.escape(name)}\s", printed, re.MULTILINE), name


def test_waves_say_where_they_are_and_what_opens_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waves = tmp_path / "replay" / "waves.vcd"
    waves.parent.mkdir()
    waves.write_text("$timescale 1ps $end $scope module tb_top $end $var wire 1 ! clk $end $enddefinitions $end\n")
    (tmp_path / "replay" / "divergence.txt").write_text("field snd_nxt in cycle 12\n")
    config = RunConfig(command="waves", failure=tmp_path, view=False)
    expected = {
        "failure": str(tmp_path), "waves": str(waves), "save": str(waves.with_name("replay.gtkw")),
        "commands": str(waves.with_name("replay.sucl")), "cycle": 12, "marker_time": 125_000,
        "replayed": False, "identical": True,
    }  # fmt: skip
    assert wave_viewer.result(config) == (0, expected)
    (tmp_path / "again.json").write_text("{}")
    monkeypatch.setattr("tb.replay.load", lambda _: type("Failure", (), {"other_tree": tmp_path}))
    monkeypatch.setattr("tb.replay.in_tree", lambda *_: 1)
    (waves.parent / "replay.json").write_text('{"waves_from": 9}')
    status, found = wave_viewer.result(replace(config, at=7))
    assert (status, found) == (1, expected | {"cycle": 7, "marker_time": 75_000, "replayed": True})


def test_waves_names_what_is_missing_and_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = RunConfig(command="waves", failure=tmp_path)
    with pytest.raises(ConfigError, match="there are no waves in this folder"):
        wave_viewer.main(config)
    (tmp_path / "replay").mkdir()
    waves = tmp_path / "replay" / "waves.vcd"
    waves.write_text("$timescale 1ps $end $scope module tb_top $end $var wire 1 ! clk $end $enddefinitions $end\n")
    (tmp_path / "replay" / "divergence.txt").write_text("field snd_nxt in cycle 12\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(ConfigError, match="apt-get install -y gtkwave"):
        wave_viewer.main(config)
    printed = capsys.readouterr().out
    assert f"gtkwave {waves} {waves.with_name('replay.gtkw')}, marker at cycle 12 (125 ns)" in printed
    assert "125000" in waves.with_name("replay.gtkw").read_text()
    viewer = tmp_path / "gtkwave"
    viewer.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/opened\n')
    viewer.chmod(0o755)
    assert wave_viewer.main(config) == 0
    assert (tmp_path / "opened").read_text().split() == [str(waves), str(waves.with_name("replay.gtkw"))]
