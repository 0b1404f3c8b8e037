"""Scenarios on the golden device, each on one of its own."""

from __future__ import annotations

from pathlib import Path

from tb.properties.closing import Whole
from tb.properties.search import Verdict
from tb.script.events import Script
from tb.script.player import Player, Result
from tb.script.stage import play


def problems_of(player: Player, out: Path, seed: int = 1) -> list[str]:
    """What is wrong with what came of a player on a golden device: its own verdict, the device's, the monitors'."""
    found = play([player], out, seed)
    result = player.result or Result("fail", 0, "not played to its end")
    return ([] if result.status == "pass" else [result.reason]) + found


def judge(script: Script, out: Path, seed: int = 1) -> Verdict:
    """Everything that is wrong with a scenario on the golden device; nothing if all properties hold."""
    whole = Whole(script)
    problems = problems_of(whole, out, seed)
    return Verdict(problems, len(script.events))
