"""The contract monitors in a process of their own find what they find in the session's."""

from __future__ import annotations

import os
import pickle
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


def test_one_that_is_not_done_in_time_is_an_error_and_no_orphan() -> None:
    apart = MonitorsApart(patience=0.5)
    apart._process.send_signal(signal.SIGSTOP)
    with pytest.raises(MonitorsError, match=r"were not done 0\.5 s after the last record .* is ended\): run it again"):
        apart.finish()
    assert apart._process.poll() == -signal.SIGKILL


def test_one_that_hangs_while_records_come_is_an_error_within_the_bound_and_no_orphan() -> None:
    apart = MonitorsApart(patience=0.5)
    apart._process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(MonitorsError, match=r"took no record for 0\.5 s \(process \d+, tb\.session\.contract_apart"):
        deque(map(apart.feed, map(no_call, range(2 * contract_apart.PIPE_BYTES))), maxlen=0)
    assert 0.5 <= time.monotonic() - began < 20
    assert apart._process.poll() == -signal.SIGKILL


def test_more_than_the_pipe_holds_does_not_wait_for_one_that_hangs() -> None:
    apart = MonitorsApart(patience=0.5)
    apart._process.send_signal(signal.SIGSTOP)
    with pytest.raises(MonitorsError, match="took no record"):
        apart._write(memoryview(bytes(2 * contract_apart.PIPE_BYTES)))


def test_one_that_is_slow_is_waited_for_as_long_as_it_takes_something() -> None:
    apart = MonitorsApart(patience=1.0)
    began = time.monotonic()
    apart._write(memoryview(pickle.dumps(SlowBatch()) * 30))
    assert time.monotonic() - began > 2  # the pipe was full for longer than the patience
    apart.finish()
    assert apart.breaches == []


class Pause:
    """Takes a process that reads it a tenth of a second; it has None for it."""

    def __reduce__(self) -> tuple[object, ...]:
        return time.sleep, (0.1,)


class SlowBatch:
    """No records, in a third of the pipe, which take the process a tenth of a second."""

    def __reduce__(self) -> tuple[object, ...]:
        return bytes.strip, (b" " * (contract_apart.PIPE_BYTES // 3), Pause())


@pytest.mark.parametrize("hung", [False, True], ids=["waiting", "hung"])
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "over"])
def test_it_ends_with_its_session(hung: bool, killed: bool) -> None:
    session = subprocess.Popen(
        [sys.executable, "-c", SESSION, str(int(hung))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=ROOT,
    )  # fmt: skip
    assert session.stdin is not None
    assert session.stdout is not None
    child = int(session.stdout.readline())
    assert os.getpgid(child) == child  # Ctrl-C is for the session
    if killed:
        session.kill()
    session.stdin.close()  # over
    session.wait(timeout=60)
    session.stdout.close()
    for _ in range(200 if killed else 1):  # one that is over has seen to it itself
        if not _alive(child):
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the process of the monitors outlived its session")


SESSION = """
import sys, time
from tb.session.contract_apart import MonitorsApart

class Hang:
    def __reduce__(self):
        return time.sleep, (600,)

apart = MonitorsApart()
if int(sys.argv[1]):
    apart._batch = [Hang()]
    apart._send()
    time.sleep(1)  # it reads that
print(apart._process.pid, flush=True)
sys.stdin.read()
"""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
