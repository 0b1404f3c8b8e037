"""The base test judged: it must fail for each of its three reasons, and factory overrides must reach the environment.

Every test here is a job of its own (`testcase` in tiers.toml): a simulation has one life.
"""

from __future__ import annotations

import random
from typing import Any, ClassVar

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from pyuvm import uvm_factory, uvm_root

from model.device.follow_state import Expected
from model.layout.generated import CqSource
from model.ndis.calls import NdisCall
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.device.addresses import host_pages
from tb.env.agents import NdisDriver
from tb.env.base_test import TestFailure, configuration, top
from tb.env.bench import Bench
from tb.env.items import NdisItem
from tb.session.transfer import Transfer
from tb.sim.run import SAMPLES_NAME
from tb.tests.rtl.transfer_test import TransferTest, built

DELIBERATE = "deliberate error of the test of the base test"
#: Cycles by which the overriding driver may hold a call back.
MOST_DELAY = 200


class StartUpTest(TransferTest):
    """The driver's start-up registers and its first commands: enough to compare something."""

    #: The session that is not carried.
    idle: Transfer

    async def stimulus(self) -> None:
        bench = Bench(top(), self.config, self.env, self.port)
        await bench.start()
        await bench.reset_device()
        allocator = host_pages(self.port.mem, len(self.contents), self.config.seed)
        session = self.idle = Transfer(self.config, self.port.mem, allocator, capture=None, issue=bench.issue)
        driver = MiniportDriver(self.port, session.host, allocator, DriverConfig(conns=built("conns"), cq_log2=12))
        session.attach(driver)
        bench.use(driver)
        await bench.settle()
        self.before_the_end()
        self.env.scoreboard.finish(await bench.dump())
        bench.stop()

    def before_the_end(self) -> None:
        """What a test does with the golden side before the comparisons of the end."""

    def leave_coverage(self) -> None:
        self.store_samples(self.idle)


class ErrorTest(StartUpTest):
    """Ends well, but for one message."""

    async def stimulus(self) -> None:
        await super().stimulus()
        self.env.wire.driver.logger.error(DELIBERATE)


class LeftOverTest(StartUpTest):
    """Ends well, but the golden side expects one completion more."""

    def before_the_end(self) -> None:
        self.follower._expected[CqSource.TCP].append(Expected(cqe=0, conn=0, gen=0, need=0, number=0, cycle=0))


class UnplayedTest(StartUpTest):
    """Ends well, but a frame is still on its way to the device."""

    async def stimulus(self) -> None:
        await super().stimulus()
        self.env.scoreboard.frame_played(bytes(60))


class IdleTest(TransferTest):
    """Does nothing."""

    async def stimulus(self) -> None:
        await Timer(1000, "ns")


async def verdict_of(test: type[TransferTest]) -> list[str]:
    """The reasons for which a test fails; what it has exercised does not count."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    with pytest.raises(TestFailure) as failure:
        await uvm_root().run_test(test, keep_set={uvm_factory})
    assert not (configuration().out / SAMPLES_NAME).exists()
    return str(failure.value).splitlines()


@cocotb.test()
async def a_test_that_logs_a_uvm_error_fails_for_that_reason_alone(_: Any) -> None:
    assert await verdict_of(ErrorTest) == [f"UVM_ERROR: {DELIBERATE}"]


@cocotb.test()
async def a_test_whose_expected_completion_never_came_fails_for_that_reason_alone(_: Any) -> None:
    assert await verdict_of(LeftOverTest) == [
        "divergence: check 6, end end of test, completions: nothing left / 1 completions"
    ]


@cocotb.test()
async def a_test_with_a_frame_that_never_entered_the_device_fails_for_that_reason_alone(_: Any) -> None:
    assert await verdict_of(UnplayedTest) == ["1 frames given to the device never entered it"]


@cocotb.test()
async def a_test_whose_scoreboard_compared_nothing_fails_for_that_reason_alone(_: Any) -> None:
    assert await verdict_of(IdleTest) == ["the scoreboard compared no commit"]


class SlowDriver(NdisDriver):
    """Holds every call back for a seeded number of cycles."""

    async def run_phase(self) -> None:
        rng = random.Random(f"slow driver/{self.config_seed}")
        self.held = 0
        while True:
            item = await self.seq_item_port.get_next_item()
            cycles = rng.randrange(1, MOST_DELAY)
            await ClockCycles(top().clk, cycles)
            self.held += cycles
            self.drive(item)
            self.seq_item_port.item_done()

    @property
    def config_seed(self) -> int:
        """The seed of the run."""
        return int(top().seed.value)


class CountedItem(NdisItem):
    """Counts the calls that travelled in it, by their name."""

    travelled: ClassVar[dict[str, int]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "call" and isinstance(value, NdisCall):
            self.travelled[value.name] = self.travelled.get(value.name, 0) + 1


class OverrideTest(TransferTest):
    """The main job with another host driver and another item of the host sequence."""

    def build_phase(self) -> None:
        uvm_factory().set_type_override_by_type(NdisDriver, SlowDriver)
        uvm_factory().set_type_override_by_type(NdisItem, CountedItem)
        CountedItem.travelled.clear()
        super().build_phase()

    def extra_problems(self) -> list[str]:
        driver = self.env.host.driver
        found = super().extra_problems()
        if not isinstance(driver, SlowDriver) or driver.held < driver.calls or driver.calls == 0:
            found.append("the overriding driver did not hold the calls back")
        if sum(CountedItem.travelled.values()) != driver.calls:
            found.append(f"{driver.calls} calls, but the overriding items carried {CountedItem.travelled}")
        return found


@cocotb.test()
async def a_transfer_runs_with_the_host_driver_and_an_item_overridden_by_the_factory(_: Any) -> None:
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(OverrideTest, keep_set={uvm_factory})


@cocotb.test()
async def registers_and_memories_start_unknown_or_random_and_no_port_is_unknown_after_reset(_: Any) -> None:
    """X on Icarus, random on Verilator; the checker of unknown values runs in every test, here it is seen at work."""
    await Timer(1, "ns")
    dut = top()
    words = [dut.dut.u_engine.engine.tcbs.ram.mem[conn].value for conn in range(4)]
    if "icarus" in cocotb.SIM_NAME.lower():
        assert not any(word.is_resolvable for word in words)
        assert not dut.check_known.always_known.value.is_resolvable, "the ports are known before the reset already"
    else:
        # this simulator draws one value for all words of a memory
        ones = [int(word).bit_count() / len(word) for word in words]
        assert all(0.4 < share < 0.6 for share in ones), f"a memory does not start random: share of ones {ones}"
    while int(dut.rst.value):
        await RisingEdge(dut.clk)
    await ClockCycles(dut.clk, 200)
    assert int(dut.violations.value) == 0
