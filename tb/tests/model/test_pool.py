"""Several programs at once: whatever ends the loop ends them and what they started, in whichever process group."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tb.config import ROOT
from tb.pool import Job, run_jobs
from tb.tests.model.test_config_errors import PATIENCE, alive, descendants

RUN_BOUNDED = (
    "from pathlib import Path; from tb.sim.process import run_bounded; "
    "run_bounded(['sh', '-c', 'touch {mark}; sleep 300'], cwd=Path('.'), env={{'PATH': '/usr/bin:/bin'}}, "
    "log=None, timeout=300)"
)
RUN_JOBS = (
    "from pathlib import Path; from tb.pool import Job, run_jobs; "
    "list(run_jobs([Job('inner', ['sh', '-c', 'touch {mark}; sleep 300'], Path('.'), "
    "{{'PATH': '/usr/bin:/bin'}}, Path('{mark}.log'), 300)]))"
)


@pytest.mark.parametrize("program", [RUN_BOUNDED, RUN_JOBS], ids=["run_bounded", "run_jobs"])
def test_a_loop_that_is_left_ends_the_programs_of_its_programs(program: str, tmp_path: Path) -> None:
    mark = tmp_path / "started"

    def job(name: str, text: str) -> Job:
        return Job(name, [sys.executable, "-c", text], ROOT, dict(os.environ), tmp_path / f"{name}.log", PATIENCE)

    before = descendants(os.getpid())
    running = run_jobs([job("short", "pass"), job("long", program.format(mark=mark))])
    assert next(running).job.name == "short"
    deadline = time.monotonic() + PATIENCE
    while not mark.exists():
        assert time.monotonic() < deadline, (tmp_path / "long.log").read_text()
        time.sleep(0.02)
    below = descendants(os.getpid()) - before
    assert len(below) >= 2
    running.close()
    assert not alive(below)
