"""The driver's upload policy: every optional reason of the NDIS sheet, 2.12, has a cause of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.layout.generated import TcpImage
from model.ndis.enums import UploadReason
from model.ndis.miniport import DriverConfig
from model.ndis.upload_policy import Activity, UploadPolicy, fragment_of
from tb.config import RunConfig
from tb.session import summary
from tb.tests.policy_cases import POLICY, judge_reasons, reasons_come_by_themselves
from tb.tests.stage import DELAY, Stage
from tb.tests.stage.golden import StageRun


@pytest.mark.rule("CH-208", "CH-209")
def test_every_optional_reason_comes_by_itself_when_its_threshold_is_met(tmp_path: Path) -> None:
    stage = Stage([reasons_come_by_themselves])
    settings = DriverConfig(conns=4, upload=POLICY)
    run = StageRun(RunConfig(device="model", size=4096, delay=DELAY, out=tmp_path), stage, driver_config=settings)
    assert run.run() == [], stage.where()
    assert stage.over, stage.where()
    judge_reasons(stage.stories)
    assert summary.verdict(run.transfer) == []


@pytest.mark.rule("CH-208")
def test_without_a_policy_no_optional_reason_comes(tmp_path: Path) -> None:
    stage = Stage([reasons_come_by_themselves])
    settings = DriverConfig(conns=4)
    run = StageRun(RunConfig(device="model", size=4096, delay=DELAY, out=tmp_path), stage, driver_config=settings)
    assert run.run() == [], stage.where()
    assert stage.over, stage.where()
    judge_reasons(stage.stories, asked=False)


@pytest.mark.parametrize(
    ("field", "image", "reason"),
    [
        ("low_activity_bytes", {}, UploadReason.LOW_ACTIVITY),
        ("dropped_segments", {"old_segs": 4}, UploadReason.HIGH_DROP_RATE),
        ("out_of_order_segments", {"ooo_segs": 4}, UploadReason.HIGH_OUT_OF_ORDER_PACKETS),
    ],
)
def test_a_threshold_is_met_in_one_period_or_not_at_all(
    field: str, image: dict[str, int], reason: UploadReason
) -> None:
    policy = replace(UploadPolicy(), **{field: 4})
    activity = Activity()
    now = TcpImage(snd_una=100, rcv_nxt=100)
    assert activity.look(now, policy) is None
    now = replace(now, **image)
    assert activity.look(now, policy) is reason
    now = replace(now, **{name: value + 3 for name, value in image.items()}, snd_una=102, rcv_nxt=102)
    assert activity.look(now, policy) is None, "less than the threshold since the last look"


def test_requests_and_indications_count_for_one_period() -> None:
    policy = UploadPolicy(small_io_bytes=50, small_io_requests=2, unposted_indications=3)
    activity, image = Activity(), TcpImage()
    for length in (49, 0, 10):
        activity.posted(length)
    assert activity.look(image, policy) is UploadReason.SMALL_IO
    activity.indications = 3
    assert activity.look(image, policy) is UploadReason.NO_BUFFER_PREPOSTING
    for length in (49, 50):
        activity.posted(length)
    activity.indications = 3
    assert activity.look(image, policy) is None, "one is large enough, and something is posted"
    assert activity.look(image, policy) is None


def test_a_fragment_is_known_by_its_flag_or_its_offset() -> None:
    head = bytes(12) + b"\x08\x00" + bytes((0x45, 0)) + (40).to_bytes(2, "big") + bytes(2)
    tail = bytes((64, 6, 0, 0)) + bytes((10, 0, 0, 1)) + bytes((10, 0, 0, 2)) + bytes(20)
    ends = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    assert fragment_of(head + b"\x20\x00" + tail) == ends
    assert fragment_of(head + b"\x00\x08" + tail) == ends
    assert fragment_of(head + b"\x40\x00" + tail) is None
    assert fragment_of(head[:20]) is None
