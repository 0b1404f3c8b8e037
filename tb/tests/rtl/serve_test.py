"""`curl` on this machine's kernel fetches a file that a server serves through the RTL, in lockstep with the model."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.session.http_server import HttpTransfer
from tb.session.transfer import Transfer
from tb.tests.rtl.transfer_test import TransferTest, built


class ServeTest(TransferTest):
    """The session of `make serve`."""

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """The HTTP server above the RTL."""
        capture = self.config.out / "wire.pcapng"
        transfer = HttpTransfer(self.config, self.port.mem, allocator, capture=capture, issue=self.bench.issue)
        settings = DriverConfig(conns=built("conns"), cq_log2=12)
        return transfer, MiniportDriver(self.port, transfer.host, allocator, settings)


@cocotb.test()
async def curl_fetches_a_file_through_the_rtl_byte_for_byte_with_no_divergence(_: Any) -> None:
    await Timer(1, "ns")
    await uvm_root().run_test(ServeTest, keep_set={uvm_factory})
