"""The plain loop around the golden device: the wire brings frames as fast as the receive buffer takes them."""

from __future__ import annotations

import pytest

from model.layout.generated import Csr
from tb.config import RunConfig
from tb.device.model_loop import ModelRun
from tb.session.summary import verdict

#: 32 connections whose peers answer in one tick: more octets than rx_buffer holds.
CROWD = RunConfig(device="model", seed=2, size=200_000, conns=32, loss=0.002, dup=0.001)


def test_a_crowd_of_frames_in_one_tick_waits_for_room_in_the_receive_buffer() -> None:
    run = ModelRun(CROWD)
    most = 0
    watched = run.transfer.network.due

    def due(tick: int) -> list[bytes]:
        nonlocal most
        frames = watched(tick)
        most = max(most, sum(map(len, frames)))
        return frames

    run.transfer.network.due = due  # type: ignore[method-assign]
    assert run.run() == []
    assert most > run.device.config.rx_beats * run.device.config.lanes
    assert run.device.core.regs[Csr.CNT_RX_NO_SPACE] == 0
    assert verdict(run.transfer) == []


def test_a_frame_comes_to_a_device_that_rests_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ModelRun(RunConfig(device="model", size=20_000))
    monkeypatch.setattr(run.device, "has_room", lambda _: False)
    assert run.run() == []
    assert run.transfer.done
