"""docs/errors.md on the RTL: each row on one connection while another transfers a file, all of it in lockstep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.device.follower import Follower
from model.device.memory import ErrorWindow
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.device.host_port import RtlHostPort
from tb.env.base_test import top
from tb.env.bench import Bench
from tb.session.transfer import Transfer
from tb.tests.command_cases import COMMAND_CASES
from tb.tests.error_cases import CASES as ERROR_CASES
from tb.tests.lab import DELAY, SIZE, Lab, LabDriver, LabTransfer, documented
from tb.tests.rtl.transfer_test import TransferTest, built
from tb.tests.state_cases import STATE_CASES

#: Windows that the memory transactor has.
WINDOWS = 4

#: Everything that the lab plays.
CASES = (*ERROR_CASES, *STATE_CASES, *COMMAND_CASES)


class RtlPort:
    """The lab's end of the RTL."""

    def __init__(self, bench: Bench, port: RtlHostPort, follower: Follower) -> None:
        self._bench, self._port, self._follower = bench, port, follower

    def inject(self, windows: Sequence[ErrorWindow]) -> None:
        """Both sides; nothing may be using the windows at this moment, for they see it at different times."""
        self._follower.inject_errors(list(windows))
        self._port.post_action(lambda: set_windows(windows))

    def arrive(self, frame: bytes) -> None:
        """Into the receive port, behind all frames before."""
        self._bench.env.scoreboard.frame_played(frame)
        self._bench.frames.put(frame)

    def ask(self, offset: int) -> Callable[[], int | None]:
        """Posted like every read of the driver."""
        self._port.shadow.pop(offset, None)
        self._port.mmio_read(offset)
        return lambda: self._port.shadow.get(offset)


def set_windows(windows: Sequence[ErrorWindow]) -> None:
    """The transactor's side of fault injection."""
    assert len(windows) <= WINDOWS
    dut = top()
    dut.err_base.value = sum(w.base << 64 * i for i, w in enumerate(windows))
    dut.err_size.value = sum(w.size << 32 * i for i, w in enumerate(windows))
    dut.err_rd.value = sum(w.reads << i for i, w in enumerate(windows))
    dut.err_wr.value = sum(w.writes << i for i, w in enumerate(windows))


class ErrorsTest(TransferTest):
    """The transfer with a lab beside it."""

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """The session and its lab."""
        self.lab = Lab(CASES)
        self.config = replace(self.config, size=SIZE, conns=1, delay=max(DELAY, self.config.delay))
        transfer = LabTransfer(
            self.config, self.port.mem, allocator, capture=self.config.out / "wire.pcapng", issue=self.bench.issue
        )
        driver = LabDriver(self.port, transfer.host, allocator, DriverConfig(conns=built("conns"), cq_log2=12))
        driver.lab = self.lab
        self.lab.attach(driver, RtlPort(self.bench, self.port, self.follower), allocator)
        transfer.join(self.lab)
        return transfer, driver

    def extra_problems(self) -> list[str]:
        """Every documented row was asserted, each while the file was on its way."""
        found = super().extra_problems()
        if not self.lab.over:
            found.append(f"the lab waits at {self.lab.where()}")
        missing = sorted(set(documented("HIMF")) ^ set(self.lab.rows))
        if missing:
            found.append(f"rows of docs/errors.md and asserted rows differ: {', '.join(missing)}")
        if self.lab.beside != len(CASES):
            found.append(f"{len(CASES) - self.lab.beside} cases began when the transfer was over")
        return found


@cocotb.test()
async def every_row_of_the_errors_page_is_exact_while_another_connection_transfers(_: Any) -> None:
    """S03, S12; Issue, "Bad input"; mechanisms M7."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(ErrorsTest, keep_set={uvm_factory})
