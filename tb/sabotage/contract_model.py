"""The scenes of one set on the golden device: `python -m tb.sabotage.contract_model FOLDER SET [intermediates]`."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

from tb.config import RunConfig
from tb.device import model_loop
from tb.sabotage.contract_scenes import SETS
from tb.sabotage.contract_stage import DELAY, SIZE, ContractStage, ContractTransfer
from tb.sabotage.contract_verdict import write
from tb.tests.stage.golden import StageRun


class ContractRun(StageRun):
    """A session on the golden device with contract scenes beside it."""

    transfer_type = ContractTransfer


def play(name: str, out: Path, intermediates: int = 0) -> list[str]:
    """Play a set of scenes; what the run itself complained of. The verdict of the monitors is in ``out``."""
    stage = ContractStage(SETS[name].scenes)
    config = RunConfig(device="model", size=SIZE, delay=DELAY, out=out, intermediates=intermediates)
    run = ContractRun(config, stage)
    problems: list[str] = []
    complete = True
    try:
        with mock.patch.object(model_loop, "STALL_TICKS", SETS[name].patience):
            problems = run.run()
    except Exception as error:  # noqa: BLE001 - a broken design may end in any way; the monitors saw it first
        problems, complete = [f"{type(error).__name__}: {error}"], False
    if not stage.over:
        problems.append(f"the stage waits at {stage.where()}")
    write(out, run.transfer.tap, complete=complete, ended="; ".join(problems))
    return problems


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for line in play(sys.argv[2], folder, int(sys.argv[3]) if len(sys.argv) > 3 else 0):
        print(line)
