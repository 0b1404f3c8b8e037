"""The example of docs/your-own-dut.md, played: what its page shows is what comes out, and its sabotage is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tb.config import ROOT
from tb.owndut.run import FAILED, OUT
from tb.sim.tools import find
from tb.story.find import STORY_NAME
from tb.tests.model.test_own_dut import EXAMPLE, shown_table

pytestmark = pytest.mark.skipif(find("icarus") is None, reason="no-icarus: Icarus Verilog is not installed")


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`chimney test --dut docs/examples/tiny_dut` with more behind it."""
    command = [sys.executable, "-m", "tb", "test", *arguments, "--dut", str(EXAMPLE), "--sim", "icarus", "--seed", "1"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3000, check=False)


def test_the_page_shows_what_the_sessions_on_the_example_come_to() -> None:
    done = play()
    assert shown_table() in done.stdout
    assert done.returncode == 0
    assert "checks it has not:\n  lockstep" in done.stdout


def test_the_sabotage_of_the_example_is_noticed_without_a_commit_port() -> None:
    done = play("plain", "--patch", str(EXAMPLE / "sabotage.patch"))
    assert done.returncode == 1
    summary: dict[str, Any] = json.loads((OUT / "tiny_dut-patched" / "summary.json").read_text())
    (session,) = summary["sessions"]
    assert session["outcome"] == FAILED
    found: dict[str, Any] = json.loads((OUT / "tiny_dut-patched" / "plain" / "own.json").read_text())
    assert any("the three sums differ" in line for line in found["problems"])
    assert any(line.startswith(("contract:", "wire:", "peer:")) for line in found["problems"])
    folder = OUT / "tiny_dut-patched" / "plain"
    assert "CH-100: a send of several buffers goes out buffer by buffer" in (folder / STORY_NAME).read_text()
    again = subprocess.run(
        [sys.executable, "-m", "tb", "waves", str(folder), "--no-view"], cwd=ROOT, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr  # it is this device that is run again
    assert "identical: the first divergence is the recorded one" in again.stdout
    assert (folder / "replay" / "waves.fst").exists()
