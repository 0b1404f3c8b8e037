"""What a target owes when it must not send any more is the host's to say: the seam monitor knows when that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.config import RunConfig
from tb.monitors.contract.trace import Enter, Record
from tb.monitors.seam_monitor import SeamMonitor
from tb.tests.founding import scenes_forward
from tb.tests.founding.scenes import Play
from tb.tests.stage import DELAY, SIZE, Stage
from tb.tests.stage.golden import StageRun


@pytest.mark.parametrize(
    ("scene", "stops"),
    [
        (scenes_forward.forward_into_upload, "NdisTcpOffloadEventHandler"),
        (scenes_forward.state_calls, "MiniportInvalidateOffload"),
    ],
)
def test_an_acknowledgment_may_be_owed_only_behind_what_stopped_the_target(
    scene: Play, stops: str, tmp_path: Path
) -> None:
    records: list[Record] = []
    run = StageRun(RunConfig(device="model", size=SIZE, delay=DELAY, out=tmp_path), Stage((scene,)))
    run.transfer.tap.listeners.append(records.append)
    assert run.run() == []
    with_it, without_it = SeamMonitor(), SeamMonitor()
    for record in records:
        with_it.feed(record)
        if not (isinstance(record, Enter) and record.function == stops):
            without_it.feed(record)
    assert with_it.findings == []
    assert with_it.checked["SEAM-ACK"]
    assert [finding.split()[0] for finding in without_it.findings] == ["SEAM-ACK"]
