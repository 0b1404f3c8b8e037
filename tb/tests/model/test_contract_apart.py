"""The contract monitors in a process of their own find what they find in the session's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest

from tb.config import ROOT, RunConfig
from tb.device.model_loop import ModelRun
from tb.monitors.contract.trace import Leave, Record
from tb.session import contract_apart
from tb.session.contract_apart import MonitorsApart, MonitorsError

CONFIG = RunConfig(device="model", size=40_000, conns=2, loss=0.02)


def played(out: Path, apart: bool) -> ModelRun:
    """A session to its end."""
    run = ModelRun(replace(CONFIG, out=out, apart=apart))
    assert run.run() == []
    return run


def no_call(order: int) -> Record:
    """The end of a call that nobody began: a monitor cannot make sense of it."""
    return Leave(order=order, tick=1, adapter="nic0", layer=0, call=order, function="MiniportNoSuchCall")


def test_what_they_find_does_not_hang_on_where_they_are(tmp_path: Path) -> None:
    here, apart = (played(tmp_path, apart).transfer.tap for apart in (False, True))
    assert here.result() == apart.result()
    assert len(here.result()["triggers"]) > 50
    assert here.records == apart.records


def test_a_breach_is_told_at_the_end(tmp_path: Path) -> None:
    run = played(tmp_path, apart=True)
    odd = b"\2" * 6 + b"\4" * 6 + b"\x08\x00" + bytes(46)  # no such address: the target has no business with it
    run.transfer.tap.sent(odd, run.tick)
    here = played(tmp_path, apart=False)
    here.transfer.tap.sent(odd, here.tick)
    assert [str(one) for one in run.transfer.tap.verdict()] == [str(one) for one in here.transfer.tap.verdict()] != []


def test_they_are_not_asked_before_the_end(tmp_path: Path) -> None:
    run = ModelRun(replace(CONFIG, out=tmp_path, apart=True))
    with pytest.raises(TypeError, match="process of their own"):
        _ = run.transfer.tap.monitors
    with pytest.raises(MonitorsError, match="before the run is over"):
        _ = run.transfer.tap._watchers.triggers
    assert run.run() == []
    assert run.transfer.tap.verdict() == []


def test_an_error_in_a_monitor_comes_back_as_its_text() -> None:
    apart = MonitorsApart()
    apart._batch = ["no record"]  # type: ignore[list-item]
    with pytest.raises(MonitorsError, match="AttributeError"):
        apart.finish()


def test_a_process_that_is_killed_is_an_error_that_says_so() -> None:
    apart = MonitorsApart()
    apart._process.kill()
    apart._process.wait()
    records = [no_call(order) for order in range(10 * contract_apart.BATCH)]
    with pytest.raises(MonitorsError, match="status -9"):
        deque(map(apart.feed, records), maxlen=0)


def test_one_that_is_not_done_in_time_is_an_error_and_no_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_apart, "PATIENCE", 0.5)
    apart = MonitorsApart()
    apart._process.send_signal(signal.SIGSTOP)
    with pytest.raises(MonitorsError, match="were not done"):
        apart.finish()
    assert apart._process.poll() == -signal.SIGKILL


def test_it_ends_with_a_session_that_was_killed() -> None:
    script = (
        "import os, time\n"
        "from tb.session.contract_apart import MonitorsApart\n"
        "print(MonitorsApart()._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    session = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert session.stdout is not None
    child = int(session.stdout.readline())
    assert os.getpgid(child) == child  # Ctrl-C is for the session
    session.kill()
    session.wait()
    session.stdout.close()
    for _ in range(200):
        if not _alive(child):
            return
        time.sleep(0.05)
    raise AssertionError("the process of the monitors outlived its session")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
