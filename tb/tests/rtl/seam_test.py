"""Connections of the RTL are uploaded in the middle of everything, live in the host stack, and are offloaded again."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.env.base_test import top
from tb.files import write_json
from tb.seam import session_result
from tb.session.seam_sessions import SeamTransfer
from tb.session.transfer import Transfer
from tb.tests.rtl.transfer_test import TransferTest, built


class SeamTest(TransferTest):
    """The session of a seed's story, with its cuts, in lockstep."""

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        capture = self.config.out / "wire.pcapng"
        transfer = SeamTransfer(self.config, self.port.mem, allocator, capture=capture, issue=self.bench.issue)
        settings = DriverConfig(conns=built("conns"), cq_log2=12)
        return transfer, MiniportDriver(self.port, transfer.host, allocator, settings)

    def _write_results(self, seconds: float) -> None:
        super()._write_results(seconds)
        assert self.transfer is not None
        found = session_result(self.transfer, self.config.seed, "rtl", self.verdict())
        write_json(self.config.out / "session.json", found)


@cocotb.test()
async def nothing_of_a_hand_over_shows_on_the_wire_and_the_uploaded_state_is_the_models(_: Any) -> None:
    """B25; S60; CH-066 to CH-073, CH-224, CH-236 to CH-246."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(SeamTest, keep_set={uvm_factory})


__all__ = ["top"]
