"""Progress of a command: how many parts are over, the time left, a bar on a terminal and plain lines elsewhere."""

from __future__ import annotations

import ast
import importlib
import io
import re
import time
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from tb import pool
from tb.commands import COMMANDS
from tb.config import ROOT
from tb.pool import Job, run_shown
from tb.progress import Meter, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_a_duration_is_told_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_time_left_is_what_the_finished_parts_took_for_those_that_are_not() -> None:
    now = 100.0
    meter = Meter("tests", 4, clock=lambda: now)
    now = 110.0
    assert meter.left() is None
    assert meter.line() == "tests: 0 of 4 done after 10 s, time left not known yet"
    meter.finished()
    assert meter.left() == 30.0
    now = 140.0
    meter.finished()
    assert meter.line() == "tests: 2 of 4 done after 40 s, about 40 s left"
    assert list(meter.over("ab")) == ["a", "b"]
    assert meter.left() == 0.0


def test_a_part_under_way_is_named_and_counts_when_it_is_over_also_by_an_error() -> None:
    meter = Meter("tests", 2)
    seen: list[str] = []

    def part(text: str) -> str:
        seen.append(meter.line())
        return text

    assert meter.around("one", part)("result") == "result"
    assert seen[0].endswith("; running: one")
    with pytest.raises(ZeroDivisionError):
        meter.around("two", lambda: 1 // 0)()
    assert meter.line().startswith("tests: 2 of 2 done")
    assert "running" not in meter.line()


def test_without_a_terminal_there_is_a_plain_line_every_few_seconds_and_no_escape_code() -> None:
    text = io.StringIO()
    with Meter("tests", 3, console=Console(file=text), plain=0.05) as meter:
        meter.finished()
        time.sleep(0.4)
    lines = text.getvalue().splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("tests: 1 of 3 done after ") and line.endswith(" left") for line in lines)
    assert "\x1b" not in text.getvalue()


def test_on_a_terminal_there_is_one_bar_with_the_time_left() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120, color_system=None)
    with Meter("tests", 3, console=console) as meter:
        meter.finished()
        time.sleep(0.8)
    assert "1/3" in text.getvalue()
    assert "about 1 s left" in text.getvalue() or "about 2 s left" in text.getvalue()


def test_a_meter_within_another_counts_and_is_not_shown_and_one_behind_it_is() -> None:
    texts = [io.StringIO() for _ in range(3)]
    consoles = [Console(file=text, force_terminal=number == 1, width=120) for number, text in enumerate(texts)]
    with Meter("outer", 2, console=consoles[0], plain=0.05) as outer, outer.part("first"):
        with Meter("inner", 1, console=consoles[1], plain=0.05) as inner, inner.part("hidden"):
            time.sleep(0.3)
        assert inner.line().startswith("inner: 1 of 1 done")
    with Meter("next", 1, console=consoles[2], plain=0.05):
        time.sleep(0.3)
    assert "outer: 0 of 2 done after 0 s, time left not known yet; running: first" in texts[0].getvalue()
    assert texts[1].getvalue() == ""
    assert "next: 0 of 1 done" in texts[2].getvalue()


def test_a_meter_that_is_left_by_an_error_is_shown_no_more() -> None:
    text = io.StringIO()
    with pytest.raises(ZeroDivisionError), Meter("tests", 1, console=Console(file=text), plain=0.05):
        _ = 1 // 0
    before = text.getvalue()
    time.sleep(0.2)
    assert text.getvalue() == before


def test_a_share_that_is_asked_for_gives_percent_and_time_left() -> None:
    now, share = 0.0, 0.0
    meter = Meter("check", clock=lambda: now, share=lambda: share)
    now = 10.0
    assert meter.line() == "check: 0% done after 10 s, time left not known yet"
    share = 0.25
    assert meter.line() == "check: 25% done after 10 s, about 30 s left"


def test_a_share_that_cannot_be_told_leaves_the_last_one_and_one_beyond_the_whole_is_the_whole() -> None:
    shares: list[float | Exception] = [0.25, OSError("Illegal seek"), ZeroDivisionError(), 1.5, -1.0]

    def share() -> float:
        told = shares.pop(0)
        if isinstance(told, Exception):
            raise told
        return told

    meter = Meter("check", share=share)
    assert [meter._share_now() for _ in range(5)] == [0.25, 0.25, 0.25, 1.0, 0.0]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_goes_on_when_its_share_cannot_be_told(terminal: bool) -> None:
    text = io.StringIO()

    def share() -> float:
        raise OSError("Illegal seek")

    console = Console(file=text, force_terminal=terminal, width=120, color_system=None)
    with Meter("check", console=console, plain=0.05, share=share) as meter:
        time.sleep(0.8)
        assert meter._watcher.is_alive()
    assert text.getvalue().count("check") >= 2


def test_jobs_are_counted_as_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pool, "Meter", partial(Meter, plain=0.5))
    jobs = [Job(str(n), ["true"], tmp_path, {"PATH": "/bin:/usr/bin"}, tmp_path / f"{n}.log", 60.0) for n in range(3)]
    jobs.append(Job("slow", ["sleep", "2"], tmp_path, {"PATH": "/bin:/usr/bin"}, tmp_path / "slow.log", 60.0))
    assert [ended.job.name for ended in run_shown("soak", jobs, 2)][-1] == "slow"
    assert re.search(r"^soak: 3 of 4 done after [12] s, about \d s left$", capsys.readouterr().out, re.MULTILINE)


#: Commands of which nobody needs to know how far they are: they end at once, or are a session with a person.
AT_ONCE = {"help", "completion", "list", "doctor", "layout", "clean", "serve", "waves"}


#: What shows progress.
METERS = {"Meter()", "alone()", "build_shown()", "run_shown()", "Phases()"}


def called_from(tree: ast.Module, name: str) -> set[str]:
    """What a function of a module names, itself or through others of the module; what it calls with `()`, too."""
    bodies = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        body = bodies.get(waiting.pop())
        for node in ast.walk(body) if body is not None else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                seen.add(f"{node.func.id}()")
            if isinstance(node, ast.Name | ast.Attribute):
                word = node.id if isinstance(node, ast.Name) else node.attr
                if word not in seen:
                    seen.add(word)
                    waiting.append(word)
    return seen


def shows_progress(module: str, name: str = "main", deeper: int = 1) -> bool:
    """The function reaches a meter, in its module or in a function of another that it imports."""
    tree = ast.parse(Path(str(importlib.import_module(module).__file__)).read_text())
    used = called_from(tree, name)
    if used & METERS or not deeper:
        return bool(used & METERS)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "")[:3] == "tb."]
    return any(
        alias.name in used and shows_progress(str(node.module), alias.name, deeper - 1)
        for node in imports if node.module != module for alias in node.names
        if (ROOT / f"{str(node.module).replace('.', '/')}.py").exists()
    )  # fmt: skip


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - AT_ONCE))
def test_a_command_that_takes_a_while_comes_to_a_meter(command: str) -> None:
    assert shows_progress(COMMANDS[command].module)
