"""A session on a device of somebody else, judged at its two ports alone (docs/your-own-dut.md)."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.enums import TcpEventType, UploadReason
from model.ndis.file_transfer import FileTransferApp
from model.ndis.memory import PageAllocator
from model.ndis.miniport import MiniportDriver
from model.ndis.status import NdisStatus
from model.streams import Streams
from tb.env.port_scoreboard import PortScoreboard
from tb.env.random_sequences import RandomReads, use
from tb.env.scoreboard import LockstepScoreboard
from tb.files import write_json
from tb.owndut.device import OwnDevice
from tb.owndut.suite import BY_NAME, RESULT, Session
from tb.session.transfer import Transfer
from tb.tests.rtl.transfer_test import TransferTest


class WatchedApp(FileTransferApp):
    """The application, and why the device gave its connection back."""

    given_back: str | None = None

    def event(self, event: TcpEventType, info: int) -> None:
        """OffloadClient: keep the first mandatory reason of a RETRIEVE; in TIME_WAIT it is what must come (CH-211)."""
        closed = self._disconnect_done and self.connection is not None and self.connection.ledger.disconnect_seen
        if event is TcpEventType.RETRIEVE and UploadReason(info).mandatory and not closed:
            self.given_back = self.given_back or f"RETRIEVE {UploadReason(info).name}"
        super().event(event, info)

    @property
    def refusal(self) -> str | None:
        """How the device refused the connection; None if it did not."""
        status = self.offload_status
        return self.given_back if status in (None, NdisStatus.SUCCESS) else f"INITIATE {status.name}"


class WatchedTransfer(Transfer):
    """The session with such applications."""

    @property
    def app_type(self) -> type[FileTransferApp]:
        return WatchedApp


class OwnDutTest(TransferTest):
    """The session that TEST names. There is no golden side: the scoreboard is the one of the ports."""

    def build_phase(self) -> None:
        uvm_factory().set_type_override_by_type(LockstepScoreboard, PortScoreboard)
        super().build_phase()
        self.reads: RandomReads | None = None
        if self.played.paced:
            use(Streams(self.config.seed))

    @property
    def played(self) -> Session:
        """The session of this run."""
        assert self.config.test is not None
        return BY_NAME[self.config.test]

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        config = self.config
        assert config.dut is not None
        if self.played.paced:
            self.reads = RandomReads()
            cocotb.start_soon(self.reads.start(self.env.registers.sequencer))
        transfer = WatchedTransfer(
            config,
            self.port.mem,
            allocator,
            capture=config.out / "wire.pcapng",
            issue=self.bench.issue,
            app_config=self.played.app,
        )
        return transfer, MiniportDriver(self.port, transfer.host, allocator, OwnDevice.load(config.dut).driver())

    async def compare_at_the_end(self) -> None:
        """All of memory; there is nobody to compare registers with."""
        if self.reads is not None:
            self.reads.over = True
        await self.bench.settle()
        self.env.scoreboard.finish(await self.bench.dump())

    def extra_problems(self) -> list[str]:
        unread = self.reads is not None and self.reads.count == 0
        return [*super().extra_problems(), *(["no register was read beside the session"] if unread else [])]

    def leave_coverage(self) -> None:
        """Nothing: the bins are those of our device."""

    def _write_results(self, seconds: float) -> None:
        super()._write_results(seconds)
        assert self.transfer is not None
        apps = [app for app in self.transfer.apps if isinstance(app, WatchedApp)]
        refused = [f"connection {number}: {app.refusal}" for number, app in enumerate(apps) if app.refusal]
        write_json(self.config.out / RESULT, {"refused": refused, "problems": self.verdict()})


@cocotb.test()
async def the_session_holds_at_both_ports(_: Any) -> None:
    """The session that TEST names (tb/owndut/suite.py)."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(OwnDutTest, keep_set={uvm_factory})
