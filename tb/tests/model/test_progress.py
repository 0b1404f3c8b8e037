"""Progress of a command: how many parts are over, the time left, a bar on a terminal and plain lines elsewhere."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

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
