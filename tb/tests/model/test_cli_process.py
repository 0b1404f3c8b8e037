"""The command line as a process: output, exit statuses, completion, and what an interrupt leaves behind."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tb import bootstrap
from tb.clean import KEPT
from tb.config import ROOT
from tb.sim.tools import find
from tb.tests.model.test_config_errors import (
    PATIENCE,
    SLOW_COMPILER,
    alive,
    descendants,
    environment,
    interrupted,
    refused,
)

COPIED = ("hdl", "model", "tb", "docs", "pyproject.toml", "requirements.txt", "Makefile", "LICENSE")
ESCAPE = "\x1b"
#: Select Graphic Rendition with a colour: 30 to 37, 40 to 47, 90 to 97, 100 to 107, 38, 48.
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with a .venv that has the packages of ours: its sim_build is nobody else's."""
    root = tmp_path_factory.mktemp("moved") / "tree"
    root.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root)
    (root / "sim_build").mkdir()
    folder = root / ".venv"
    (folder / "bin").mkdir(parents=True)
    for name in ("pyvenv.cfg", "lib"):
        (folder / name).symlink_to(Path(sys.prefix) / name)
    (folder / "bin" / "python").symlink_to(Path(sys.prefix) / "bin" / "python")
    bootstrap.write_launcher(str(folder / "bin" / "chimney"))
    (folder / "requirements.sha256").write_text(bootstrap.wanted_stamp() + "\n")
    return root


@pytest.fixture
def planted(tree: Path) -> Iterator[Path]:
    """The tree as a repository with two pages more; the clone has .venv as well, so that nothing is installed."""
    page, other, makefile = tree / "docs" / "planted.md", tree / "docs" / "other.md", tree / "Makefile"
    other.write_text("```sh\nmake endless\n```\n")
    page.write_text(
        '```sh\nexport PATH="$PWD/.venv/bin:$PATH"\nchimney help planted_no_such\nchimney help layout # planted\n```\n'
        "<!-- docs-test: skip: planted reason -->\n```sh\nmake planted_too\n```\n"
    )
    before = makefile.read_text()
    makefile.write_text(f"{before}\nendless: ; @touch sim_build/mark; sleep 300\n")
    (tree / "sim_build" / ".gitignore").write_text("*\n!.gitignore\n")
    for words in (["init", "-q"], ["add", "-f", ".venv"], ["add", "."], ["commit", "-q", "-m", "all"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false"]
        subprocess.run(["git", *author, *words], cwd=tree, capture_output=True, check=True)
    yield tree
    shutil.rmtree(tree / ".git")
    page.unlink()
    other.unlink()
    makefile.write_text(before)


def chimney(
    tree: Path, *words: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The program of a tree, from any folder."""
    return subprocess.run(
        [str(tree / ".venv" / "bin" / "chimney"), *words], cwd=cwd or tree, env=environment(variables or {}),
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def json_of(done: subprocess.CompletedProcess[str], command: str, status: int = 0) -> dict[str, Any]:
    """The document of a call that ended with this status."""
    assert done.returncode == status, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert (document["command"], document["status"]) == (command, status)
    return document


def start(tree: Path, words: Sequence[str], log: Path, path: Path | None = None) -> subprocess.Popen[bytes]:
    """The program as from a terminal, with Ctrl-C as it is by default; what it prints goes to `log`."""
    variables = {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"} if path else {}
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(tree / ".venv" / "bin" / "chimney"), *words],
            cwd=tree, env=environment(variables), stdout=output, stderr=output, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip


def on_a_terminal(command: Sequence[str], variables: Mapping[str, str]) -> str:
    """What a program prints when its output is a terminal."""
    main, side = pty.openpty()
    with subprocess.Popen(command, stdout=side, stderr=side, env=environment({"TERM": "xterm-256color", **variables})):
        os.close(side)
        text = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # the other side is closed
                part = b""
            if not part:
                break
            text += part
    os.close(main)
    return text.decode()


# ---- what is printed, and the exit status --------------------------------------------------------


def test_json_is_one_document_on_stdout_and_prose_is_on_stderr_from_any_folder(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes(bytes(range(256)) * 8)
    done = chimney(tree, "run", "--device", "model", "--file", "mine.bin", "--out", "here", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["command"], document["status"], document["error"]) == ("run", 0, None)
    assert document["result"] == json.loads((tmp_path / "here" / "summary.json").read_text())
    assert document["result"]["bytes_sent"] == 2048
    assert document["results"] == str(tmp_path / "here" / "summary.json")
    assert "PASS" in done.stderr


def test_json_of_a_wrong_call_has_the_error_and_no_result_of_an_earlier_call(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text('{"schema": "of an earlier call"}')
    done = chimney(tree, "run", "--loss", "0.6", "--out", str(out), "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "command": "run",
        "status": 2,
        "error": {"what": "LOSS is out of range", "where": "LOSS=0.6 (--loss)", "do": "give a rate from 0 to 0.5"},
        "results": None,
        "result": None,
    }
    (tree / "sim_build").mkdir(exist_ok=True)
    (tree / "sim_build" / "goodput.json").write_text('{"schema": "of an earlier call"}')
    done = chimney(tree, "goodput", "--device", "rtl", "--json")  # refused when the options are known to be good
    assert (done.returncode, json.loads(done.stdout)["result"]) == (2, None)


def test_layout_says_in_json_what_it_wrote(tree: Path) -> None:
    generated = tree / "docs" / "layout.md"
    whole = generated.read_text()
    generated.write_text(f"{whole}stale\n")
    document = json_of(chimney(tree, "layout", "--json"), "layout")
    assert document["result"]["written"] == ["docs/layout.md"]
    assert set(document["result"]["files"]) > {"docs/layout.md", "model/layout/generated.py"}
    assert generated.read_text() == whole
    assert json_of(chimney(tree, "layout", "--json"), "layout")["result"]["written"] == []


def test_docs_test_says_in_json_what_came_of_each_command(planted: Path) -> None:
    document = json_of(chimney(planted, "docs-test", "planted", "--json"), "docs-test", status=1)
    assert document["results"] == "sim_build/docs-test/summary.json"
    found = document["result"]
    assert (found["complete"], found["passed"], found["failed"], found["skipped"]) == (True, 1, 1, 1)
    first, good, last = found["commands"]
    assert (first["where"], first["status"]) == ("docs/planted.md:3", "failed")
    assert first["problem"] == "ended with status 2, not 0"
    assert "planted_no_such" in (planted / first["log"]).read_text()
    assert (good["where"], good["status"], good["problem"]) == ("docs/planted.md:4", "passed", "")
    assert (last["where"], last["status"], last["problem"]) == ("docs/planted.md:8", "skipped", "planted reason")
    assert (found["uncommitted"], found["untracked"]) == ([], [])
    assert (planted / found["clone"] / "docs" / "planted.md").exists()


def test_docs_test_refuses_a_tree_without_git(tree: Path) -> None:
    what = "this tree is no git repository, so that there is nothing to clone"
    refused(chimney(tree, "docs-test", "planted"), what, str(tree))


def test_a_replay_and_its_waves_say_in_json_where_they_are_and_clean_what_it_deleted(tree: Path) -> None:
    if find("icarus") is None:
        pytest.skip("no-icarus: Icarus Verilog is not installed")
    assert json_of(chimney(tree, "replay", "--json"), "replay", status=2)["result"] is None
    ran = json_of(chimney(tree, "test", "unit_rr_arb", "--sim", "icarus", "--json"), "test")
    assert ran["result"]["failed"] == 0
    (folder, *_) = (path.parent for path in (tree / "sim_build").rglob("again.json"))
    document = json_of(chimney(tree, "replay", str(folder), "--waves", "--json"), "replay")
    assert document["results"] == str(folder.relative_to(tree) / "replay" / "replay.json")
    assert document["result"] == json.loads((folder / "replay" / "replay.json").read_text())
    assert document["result"]["identical"] is True
    found = json_of(chimney(tree, "waves", str(folder), "--no-view", "--json"), "waves")["result"]
    assert found["failure"] == str(folder.relative_to(tree))
    assert (tree / found["waves"]).exists()
    assert found["replayed"] is False

    there = sorted(path.name for path in (tree / "sim_build").iterdir() if path.name not in KEPT)
    assert json_of(chimney(tree, "clean", "--json"), "clean")["result"] == {"deleted": there}
    assert "test" in there
    assert sorted(path.name for path in (tree / "sim_build").iterdir() if path.name not in KEPT) == []


@pytest.mark.parametrize(
    ("words", "what", "where"),
    [
        (["run", "--lsos", "0.1"], "no such option '--lsos'", "chimney run"),
        (["rnu"], "no such command 'rnu'", "chimney"),
        (["run", "--seed"], "option '--seed' requires an argument", "chimney run"),
        (["completion", "tcsh"], "invalid value for '{bash|zsh|fish}'", "chimney completion"),
        (["run", "--size", "4", "--conns", "8"], "fewer bytes than connections", "CONNS=8 (--conns)"),
    ],
)
def test_a_wrong_call_ends_with_status_2_and_three_lines(tree: Path, words: list[str], what: str, where: str) -> None:
    refused(chimney(tree, *words), what, where)


def test_what_a_replay_prints_below_the_root_can_be_typed_there(tree: Path) -> None:
    folder = tree / "sim_build" / "failed"
    folder.mkdir(parents=True)
    (folder / "failure.json").write_text('{"cycle": 7}')
    (folder / "story.txt").write_text("FAILED\n  replay   chimney replay sim_build/failed\n")
    (folder / "waves.vcd").write_text("$timescale 1ps $end $enddefinitions $end\n")
    try:
        done = chimney(tree, "waves", "../sim_build/failed", "--no-view", cwd=tree / "docs")
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "failure: ../sim_build/failed\nFAILED\n  replay   chimney replay ../sim_build/failed\n"
    )


def test_a_sabotage_that_is_misspelt_is_answered_with_those_that_are_near_and_not_with_all(tree: Path) -> None:
    done = chimney(tree, "sabotage", "congestion-slow-strt")
    assert done.returncode == 2
    assert "congestion-slow-start" in done.stderr
    assert len(done.stderr) < 300


def test_a_test_that_cannot_be_is_refused_at_once_with_those_that_are_near(tree: Path) -> None:
    done = chimney(tree, "test", f"unit_{'fifq' * 2}")
    assert done.returncode == 2
    assert "pytest looks" not in done.stdout
    assert "error: no test has this in its name" in done.stderr
    assert "unit_fifo" in chimney(tree, "test", f"unit_{'fi'}qo").stderr


def test_the_version_is_that_of_the_tree(tree: Path) -> None:
    project = tree / "pyproject.toml"
    before = project.read_text()
    version = tomllib.loads(before)["project"]["version"]
    project.write_text(before.replace(f'"{version}"', '"7.8.9"'))
    try:
        done = chimney(tree, "--version")
    finally:
        project.write_text(before)
    assert (done.returncode, done.stdout) == (0, "chimney 7.8.9\n")


def test_the_same_program_runs_from_a_link_and_as_a_module(tree: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tree / ".venv" / "bin" / "chimney")
    by_link = subprocess.run([str(link), "help", "run"], cwd=tmp_path, capture_output=True, text=True, check=False)
    module = [sys.executable, "-m", "tb", "help", "run"]
    as_module = subprocess.run(module, cwd=tree, capture_output=True, text=True, check=False)
    assert by_link.returncode == as_module.returncode == 0, by_link.stderr + as_module.stderr
    assert by_link.stdout == as_module.stdout
    assert "--mem-latency" in by_link.stdout


def test_a_python_without_the_packages_goes_on_in_the_environment_of_the_tree(tree: Path) -> None:
    command = [sys.executable, "-S", "-m", "tb", "list"]  # no site-packages
    done = subprocess.run(command, cwd=tree, env=environment({}), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "unit_fifo" in done.stdout


def test_nothing_is_coloured_without_a_terminal_or_with_no_color(tree: Path) -> None:
    program = str(tree / ".venv" / "bin" / "chimney")
    run = [program, "run", "--device", "model", "--size", "2K"]
    for command in ([program, "--help"], run):
        done = chimney(tree, *command[1:])
        assert done.returncode == 0
        assert done.stdout
        assert ESCAPE not in done.stdout + done.stderr
    assert ESCAPE in on_a_terminal([program, "--help"], {})
    assert ESCAPE not in on_a_terminal([program, "--help"], {"NO_COLOR": "1"})
    assert not COLOUR.search(on_a_terminal(run, {"NO_COLOR": "1"}))


@pytest.mark.parametrize(
    ("typed", "wanted", "unwanted"),
    [
        ("chimney re", "regress", "run"),
        ("chimney run --sim v", "verilator", "icarus"),
        ("chimney run --mem", "--mem-latency", "--mss"),
        ("chimney test unit_fi", "unit_fifo", "unit_skid"),
        ("chimney sabotage b0", "b01", "delivery-split-offset"),
    ],
)
def test_the_shell_gets_commands_options_and_names_to_complete(
    tree: Path, typed: str, wanted: str, unwanted: str
) -> None:
    words = typed.split()
    variables = {"_CHIMNEY_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    done = chimney(tree, variables=variables)
    assert done.returncode == 0, done.stderr
    offered = [line.partition(",")[2] for line in done.stdout.splitlines()]
    assert any(one.lower().startswith(wanted) for one in offered), offered
    assert unwanted not in offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_program_for_each_shell_that_it_can_read(tree: Path, shell: str) -> None:
    done = chimney(tree, "completion", shell)
    assert done.returncode == 0, done.stderr
    assert f"_CHIMNEY_COMPLETE={shell}_complete" in done.stdout
    program = shutil.which(shell)
    if program is not None:
        read = subprocess.run([program, "-n"], input=done.stdout, text=True, capture_output=True, check=False)
        assert read.returncode == 0, read.stderr


# ---- interrupts ----------------------------------------------------------------------------------


def test_an_interrupted_test_run_keeps_what_ended_and_leaves_nothing_running(tree: Path, tmp_path: Path) -> None:
    tool = find("icarus")
    if tool is None:
        pytest.skip("no-icarus: Icarus Verilog is not installed")
    tools, mark, log = tmp_path / "bin", tmp_path / "building", tmp_path / "log"
    tools.mkdir()
    compiler = tools / "iverilog"
    others = f'case " $* " in *fifo*) ;; *) exec {tool.executable} "$@" ;; esac\n'
    first, _, rest = SLOW_COMPILER.format(real=tool.executable, mark=mark).partition("\n")
    compiler.write_text(f"{first}\n{others}{rest}")
    compiler.chmod(0o755)
    words = ["test", "unit_fifo", "unit_skid", "--sim", "icarus", "--jobs", "2"]

    def under_way() -> bool:  # the first is being built for ever, the second is over: a plain line says so
        return mark.exists() and "tests: 1 of 2 done" in log.read_text()

    interrupted(start(tree, words, log, tools), signal.SIGINT, under_way, log)
    found = json.loads((tree / "sim_build" / "test" / "summary.json").read_text())
    assert found["complete"] is False
    assert found["passed"] > 0
    assert found["failed"] == 0
    assert all(name.startswith("unit_skid[icarus]") for name in found["simulators"]["icarus"]["ids"])
    assert (tree / "sim_build" / "test" / "junit.xml").exists()
    said = log.read_text()
    assert "; running: unit_fifo[icarus]" in said
    assert "interrupted: chimney test; results so far: sim_build/test/summary.json" in said
    assert "Traceback" not in said


def test_an_interrupted_docs_test_leaves_neither_a_clone_nor_anything_running(planted: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "log", planted / "sim_build" / "docs-test"
    shutil.rmtree(out, ignore_errors=True)
    words = ["docs-test", "endless"]
    interrupted(start(planted, words, log), signal.SIGINT, lambda: bool(list(out.glob("*/sim_build/mark"))), log)
    assert list(out.glob("clone-*")) == []
    assert "interrupted: chimney docs-test" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_regression_that_is_ended_politely_keeps_the_seeds_that_ended(tree: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "log", tree / "sim_build" / "regress" / "contract-model"
    shutil.rmtree(out, ignore_errors=True)
    words = ["regress", "--suite", "contract", "--device", "model", "--seeds", "1-400", "--ops", "40", "--jobs", "1"]

    def under_way() -> bool:
        return (out / "seeds.json").exists() and len(json.loads((out / "seeds.json").read_text())) > 0

    interrupted(start(tree, words, log), signal.SIGTERM, under_way, log)
    kept = json.loads((out / "summary.json").read_text())["seeds"]
    assert 0 < len(kept) < 400
    assert "interrupted: chimney regress; results so far: sim_build/regress/contract-model/" in log.read_text()


def test_pytest_takes_the_programs_of_its_tests_with_it_when_it_is_ended(tree: Path, tmp_path: Path) -> None:
    mark = tmp_path / "started"
    test = tree / "tb" / "tests" / "model" / "test_sleeper.py"
    test.write_text(
        "from pathlib import Path\nfrom tb.sim.process import run_bounded\n\n\ndef test_sleep() -> None:\n"
        f"    run_bounded(['sh', '-c', 'touch {mark}; sleep 300'], cwd=Path('.'), env={{'PATH': '/usr/bin:/bin'}}, "
        "log=None, timeout=300)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", str(test)], cwd=tree, env=environment({}),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while not mark.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        below = descendants(process.pid)
        assert below
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 2  # pytest: interrupted
        assert not alive(below)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
