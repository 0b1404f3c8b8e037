"""Small pools and refused indications on the golden device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.device.config import DeviceConfig
from model.device.golden import GoldenDevice
from model.ndis.miniport import DriverConfig, MiniportDriver
from model.ndis.netbuffer import NetBufferList
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.config import RunConfig
from tb.device.addresses import host_pages
from tb.device.model_loop import MEMORY_BASE, MEMORY_BYTES, ModelRun
from tb.session import summary
from tb.session.transfer import Transfer
from tb.tests.pool_cases import (
    FAMILY,
    hoarding_host,
    judge_hoarding_host,
    judge_stubborn_host,
    slow_host,
    stubborn_host,
)
from tb.tests.stage import DELAY, Scene, Stage, pattern
from tb.tests.stage.golden import StageRun
from tb.tests.vector_cases import far_end

#: (refuse, accept in part): how likely each answer is.
ANSWERS = {"refuse": (0.8, 0.0), "in parts": (0.0, 0.9), "both": (0.45, 0.45), "accept": (0.0, 0.0)}
CONNS = 4


class SmallPoolRun(ModelRun):
    """A session on a device with few pool buffers, under hosts that answer as they like."""

    def __init__(self, config: RunConfig, pool: int, answers: str, return_delay: int) -> None:
        device = DeviceConfig(conns=CONNS, pool_bufs=pool)
        self.device = GoldenDevice(CONNS, MEMORY_BYTES, config.seed, config=device, memory_base=MEMORY_BASE)
        allocator = host_pages(self.device.mem, MEMORY_BYTES, config.seed)
        transfer = Transfer(config, self.device.mem, allocator)
        refuse, part = ANSWERS[answers]
        for app in transfer.apps:
            app.config = replace(app.config, refuse=refuse, accept_part=part, receive_windows=(0, 1, 2))
        transfer.host.config = replace(transfer.host.config, return_delay=return_delay)
        settings = DriverConfig(conns=CONNS, cq_log2=12, pool_bufs=pool)
        self.begin(transfer, MiniportDriver(self.device, transfer.host, allocator, settings))


@pytest.mark.rule("CH-151", "CH-154", "CH-155", "B05")
@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("pool", [CONNS, CONNS + 1, 2 * CONNS, 8 * CONNS])
@pytest.mark.parametrize("return_delay", [0, 40])
def test_no_byte_is_lost_or_reordered_whatever_the_answers_and_the_pool(
    tmp_path: Path, pool: int, answers: str, return_delay: int
) -> None:
    config = RunConfig(device="model", size=24_000, conns=CONNS, seed=pool, delay=2, out=tmp_path)
    run = SmallPoolRun(config, pool, answers, return_delay)
    assert run.run() == []
    assert run.transfer.sums().agree
    assert summary.verdict(run.transfer) == []


def played(tmp_path: Path, stage: Stage, pool: int) -> None:
    """One scene on a device of so many pool buffers."""
    run = StageRun(
        RunConfig(device="model", size=4096, delay=DELAY, out=tmp_path),
        stage,
        driver_config=DriverConfig(conns=CONNS, cq_log2=12, pool_bufs=pool),
        device_config=DeviceConfig(conns=CONNS, pool_bufs=pool),
    )
    assert run.run() == [], stage.where()
    assert stage.over, stage.where()
    assert summary.verdict(run.transfer) == []


@pytest.mark.rule("CH-151", "CH-155")
@pytest.mark.parametrize("pool", [CONNS, CONNS + 1, 2 * CONNS])
def test_a_connection_that_is_refused_for_good_holds_up_no_other(tmp_path: Path, pool: int) -> None:
    stage = Stage([stubborn_host])
    played(tmp_path, stage, pool)
    judge_stubborn_host(stage.stories)


@pytest.mark.rule("CH-149", "CH-155", "CH-156")
@pytest.mark.parametrize("pool", [CONNS, CONNS + 1, 2 * CONNS, 8 * CONNS])
def test_a_host_that_returns_no_indicated_list_holds_up_no_other_connection(tmp_path: Path, pool: int) -> None:
    stage = Stage([hoarding_host])
    played(tmp_path, stage, pool)
    judge_hoarding_host(stage.stories, pool)


@pytest.mark.rule("CH-126", "CH-184", "CH-191", "7.3")
@pytest.mark.parametrize("pool", [CONNS, CONNS + 1, 8 * CONNS])
def test_receives_aborts_and_events_do_not_wait_for_lists_that_the_host_keeps(tmp_path: Path, pool: int) -> None:
    played(tmp_path, Stage([slow_host]), pool)


def misused_returns(stage: Stage) -> Scene:
    """A foreign list, a list that was refused, one that was returned before: nothing of it is anybody's buffer."""
    yield stage.session_over
    story, other = (far_end(stage, name, FAMILY, FAMILY) for name in ("misused", "other"))
    for one in (story, other):
        yield from one.open()
    shown: list[NetBufferList] = []
    answer = story.indicated

    def noted(nbl: NetBufferList) -> tuple[NdisStatus, int]:
        shown.append(nbl)
        return answer(nbl)

    story.indicated = noted  # type: ignore[method-assign]
    story.accept = 0
    story.far.say(pattern(400), TcpFlag.PSH)
    yield lambda: len(shown) == 1
    binding = stage.host.binding
    binding.offload_tcp_receive_return(shown[0])
    binding.offload_tcp_receive_return(NetBufferList([]))
    story.accept = None
    yield from story.post(("R", 400, False))
    story.far.say(pattern(300, 1), TcpFlag.PSH)
    yield lambda: len(story.sink) == 700
    yield from stage.quiet(20)
    binding.offload_tcp_receive_return(shown[-1])
    for part in range(6):
        other.far.say(pattern(300, part), TcpFlag.PSH)
        yield from stage.quiet(5)
    assert bytes(story.sink) == pattern(400) + pattern(300, 1)
    assert bytes(other.sink) == b"".join(pattern(300, part) for part in range(6))
    for one in (story, other):
        yield from one.terminate()
        yield from one.finish()


@pytest.mark.rule("CH-149", "CH-150", "CH-156", "CH-158")
def test_returns_of_lists_that_the_host_does_not_have_are_noted_and_change_nothing(tmp_path: Path) -> None:
    stage = Stage([misused_returns])
    run = StageRun(
        RunConfig(device="model", size=4096, delay=DELAY, out=tmp_path),
        stage,
        driver_config=DriverConfig(conns=CONNS, cq_log2=12, pool_bufs=2 * CONNS),
        device_config=DeviceConfig(conns=CONNS, pool_bufs=2 * CONNS),
    )
    assert run.run() == [], stage.where()
    assert stage.over, stage.where()
    assert stage.driver.misuses == ["ReceiveReturn of a list that the host does not have"] * 3
    assert run.transfer.sums().agree
