"""tb/folders.py: who writes in a folder; commands and paths are printed as they work where the user stands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tb.config import ROOT, ConfigError
from tb.folders import claimed, here, standing, typed
from tb.sim import process
from tb.tests.model.test_config_errors import PATIENCE, alive

TEXT = (
    "again, with waves, in the report:\n"
    "  replay   .venv/bin/chimney replay sim_build/run\n"
    "  waves    chimney waves 'sim_build/two words' --at 7\n"
    "  report   chimney report /far/away\n"
    "again: make replay FAILURE=sim_build/run WAVES=1; `make check COMMITS=` it; to make runs\n"
)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (ROOT, TEXT),
        (
            ROOT / "docs",
            "again, with waves, in the report:\n"
            "  replay   ../.venv/bin/chimney replay ../sim_build/run\n"
            "  waves    chimney waves '../sim_build/two words' --at 7\n"
            "  report   chimney report /far/away\n"
            "again: make -C .. replay FAILURE=sim_build/run WAVES=1; `make -C .. check COMMITS=` it; to make runs\n",
        ),
        (
            Path("/"),
            "again, with waves, in the report:\n"
            f"  replay   {ROOT}/.venv/bin/chimney replay {ROOT}/sim_build/run\n"
            f"  waves    chimney waves '{ROOT}/sim_build/two words' --at 7\n"
            "  report   chimney report /far/away\n"
            f"again: make -C {ROOT} replay FAILURE=sim_build/run WAVES=1; `make -C {ROOT} check COMMITS=` it; "
            "to make runs\n",
        ),
    ],
    ids=["root", "below", "elsewhere"],
)
def test_a_command_for_the_root_is_printed_as_it_works_where_the_user_stands(folder: Path, expected: str) -> None:
    with standing(folder):
        assert here(TEXT) == expected
    assert here(TEXT) == TEXT


def test_a_path_is_relative_within_the_tree_and_absolute_beyond_it() -> None:
    for folder, path, expected in (
        (ROOT, ROOT / "sim_build" / "run", "sim_build/run"),
        (ROOT / "docs", ROOT / "sim_build" / "run", "../sim_build/run"),
        (ROOT / "sim_build" / "run", ROOT / "sim_build" / "run", "."),
        (Path("/"), ROOT / "sim_build" / "run", str(ROOT / "sim_build" / "run")),
        (ROOT / "docs", Path("/far/away"), "/far/away"),
    ):
        with standing(folder):
            assert typed(path) == expected


# ---- who writes in a folder ----------------------------------------------------------------------

#: A command that simulates, in place of a simulator, until it is ended; `tethered`: as on Linux, else as elsewhere.
SIMULATES = """
import sys
from pathlib import Path
from tb.folders import claimed
from tb.sim import process
folder, tethered = Path(sys.argv[1]), sys.argv[2] == "tethered"
if not tethered:
    process.TETHER = None
with claimed(folder, "OUT=", "wait for it, or end it"):
    process.run_bounded(["sh", "-c", "echo $$ >pid.tmp; mv pid.tmp pid; exec sleep 300"], cwd=folder,
                        env={"PATH": "/usr/bin:/bin"}, log=None, timeout=300)
"""


def killed(folder: Path, how: str) -> tuple[int, int]:
    """The command that was killed in the middle of its simulation, and its simulator."""
    command = subprocess.Popen([sys.executable, "-c", SIMULATES, str(folder), how], cwd=ROOT)
    try:
        until((folder / "pid").exists)
    finally:
        command.kill()
        command.wait()
    return command.pid, int((folder / "pid").read_text())


def until(what: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_that_is_killed_takes_its_simulator_along_and_leaves_the_folder_free(tmp_path: Path) -> None:
    if process.TETHER is None:  # of Linux alone; the next test has what holds elsewhere
        return
    _, simulator = killed(tmp_path, "tethered")
    try:
        until(lambda: not alive({simulator}))
    finally:
        for pid in alive({simulator}):
            os.kill(pid, signal.SIGKILL)
    with claimed(tmp_path, "OUT=", ""):
        pass


@pytest.mark.rule("C-20")
def test_a_folder_is_not_free_as_long_as_a_simulator_of_a_killed_command_writes_there(tmp_path: Path) -> None:
    command, simulator = killed(tmp_path, "not tethered")
    try:
        with pytest.raises(ConfigError) as refused, claimed(tmp_path, "OUT=", "wait for it, or end it"):
            pass
        left = f"another run is writing in this folder (a program that process {command} left running)"
        assert (refused.value.what, alive({simulator})) == (left, {simulator})
    finally:
        os.kill(simulator, signal.SIGKILL)
    until(lambda: not alive({simulator}))
    with claimed(tmp_path, "OUT=", ""):
        pass


def test_a_folder_is_free_once_its_command_is_over_whatever_a_program_left_behind(tmp_path: Path) -> None:
    script = "sleep 300 >/dev/null 2>&1 & echo $! >pid"
    with claimed(tmp_path, "OUT=", ""):
        process.run_bounded(["sh", "-c", script], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, log=None, timeout=60)
    try:
        with claimed(tmp_path, "OUT=", ""):
            pass
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_program_lives_as_long_as_the_thread_that_waits_for_it_and_gets_its_status(tmp_path: Path) -> None:
    found: list[int] = []

    def runs() -> None:
        command = ["sh", "-c", "until test -e go; do sleep 0.01; done; exit 7"]
        found.append(process.run_bounded(command, cwd=tmp_path, env=os.environ, log=None, timeout=60))

    threads = [threading.Thread(target=runs), threading.Thread(target=lambda: (tmp_path / "go").touch())]
    for thread in threads:  # the second ends while the program of the first runs
        thread.start()
    for thread in reversed(threads):
        thread.join(PATIENCE)
    assert found == [7]


def test_a_program_that_is_not_there_is_said_in_its_log_or_raised(tmp_path: Path) -> None:
    log = tmp_path / "log"
    try:
        assert process.run_bounded(["no-such-program"], cwd=tmp_path, env=os.environ, log=log, timeout=60) == 127
    except FileNotFoundError:
        assert process.TETHER is None
    else:
        assert log.read_text() == "no-such-program: No such file or directory\n"
