"""A failure to look at: a sabotage in a copy of the tree, and the folder of the run that it made fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tb.config import ConfigError
from tb.pool import Job, run_jobs
from tb.sabotage import run as sabotage
from tb.sabotage.manifest import load
from tb.sabotage.stimuli import folder_name
from tb.story.find import FAILURE_NAME

#: Slow start that opens the window by half of what was acknowledged: seen by lockstep, at the first ACK.
FAULT, STIMULUS = "congestion-slow-start", "calm"


def plant(fault: str = FAULT, stimulus: str = STIMULUS) -> Path:
    """Build the broken design for Icarus at the small configuration and run one stimulus: the folder of the failure.

    The tree beside it is kept. Raises ConfigError if nothing failed.
    """
    entry = {entry.id: entry for entry in load()}[fault]
    job: Job = sabotage.prepare(entry, None, (stimulus,))
    for _ in run_jobs([job], 1):
        pass
    folder = job.log.parent / folder_name(stimulus)
    if not (folder / FAILURE_NAME).exists():
        raise ConfigError("the planted fault made nothing fail", fault, f"its log is {job.log}")
    return folder


def in_planted_tree(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`chimney` of the tree beside a planted failure, with what it printed."""
    tree = folder.parent / "tree"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-m", "tb", *words],
        cwd=tree, env=environment, capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
