"""How long an INVALIDATE takes, as `make bench` measures it: with everything the transmit path holds in front of it.

Connections send more than the transmit path can queue; then a connection, a path, a neighbor is invalidated, with one
and with all connections depending on it. The cycles until its completion entry, and those of the frame that was on the
wire when it was executed, go to invalidate.json. They count from its doorbell, or from the commit of the command in
front of it if that comes later: commands are executed in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.layout.generated import Cqe, Csr, Object, Opcode, RecCq, RecTcp, Sqe, TcpEvt
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.device.addresses import host_pages
from tb.env.base_test import top
from tb.env.bench import Bench
from tb.files import write_json
from tb.session.transfer import Transfer
from tb.sim.ports import SeenFrame, read_int
from tb.sim.run import RECORDS_NAME
from tb.tests.lab import IMAGE, LOCAL_PORT, NEIGHBOR_ID, PATH_ID, Case, Lab, LabDriver, LabTransfer
from tb.tests.lab import Link as LabLink
from tb.tests.rtl.errors_test import RtlPort
from tb.tests.rtl.transfer_test import TransferTest, built

#: Bytes of a SEND; what a connection may send at once.
BYTES = 16_384
WINDOW = 60_000
#: Connections that send; all others depend on the same path and neighbor and are silent.
SENDERS = 4
#: Kind of object, its number in the lab.
OBJECTS = {"connection": Object.CONNECTION, "path": Object.PATH, "neighbor": Object.NEIGHBOR}
#: Most cycles that an INVALIDATE may take, the frame already granted not counted.
LIMIT = 256
#: A frame that begins within so many cycles of the commit had been granted.
GRANTED = 8


class InvalidateBench(Bench):
    """Notes the cycle of every doorbell of the submission queue."""

    doorbells: list[int]

    async def register(self, offset: int, value: int | None = None) -> int:
        """Note the cycle from the moment the bus access begins."""
        if offset == Csr.SQ_TAIL and value is not None:
            self.doorbells.append(read_int(self.dut.cycle))
        return await super().register(offset, value)


class InvalidateTest(TransferTest):
    """The lab with one case for each kind of object and number of dependents."""

    async def stimulus(self) -> None:
        dut, config = top(), self.config
        for name in ("p_ar", "p_r", "p_aw", "p_w", "p_b", "p_gap", "p_stall"):
            getattr(dut, name).value = 0
        dut.lat_min.value = dut.lat_max.value = config.mem_latency
        bench = self.bench = self.noting = InvalidateBench(dut, config, self.env, self.port)
        bench.doorbells = []
        self.found: list[dict[str, Any]] = []
        self.frames: list[tuple[int, int]] = []  # cycles of first beat and last beat
        await bench.start()
        self.env.wire.monitor.bus.add_callback(self._seen)
        await bench.reset_device()
        allocator = host_pages(self.port.mem, len(self.contents), config.seed)
        self.transfer, driver = self.session(allocator)
        self.transfer.attach(driver)
        bench.use(driver)
        try:
            await bench.run(self.transfer, 2_000_000_000)
            await self.compare_at_the_end()
        finally:
            self.transfer.network.close()
            bench.stop()
            self._write_results(0.0)
        commits, completions = invalidates(config.out / RECORDS_NAME)
        for found, (before, committed), completed in zip(self.found, commits, completions, strict=True):
            frame = next(((a, b) for a, b in self.frames if b >= committed), None)
            granted = frame is not None and frame[0] <= committed + GRANTED
            found["cycles"] = completed - max(found["doorbell"], before)
            found["frame"] = frame[1] - frame[0] + 1 if frame is not None and granted else 0
        write_json(config.out / "invalidate.json", self.found)
        slow = [found for found in self.found if found["cycles"] - found["frame"] > LIMIT]
        assert not slow, f"more than {LIMIT} cycles and the frame already granted: {slow}"

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """The session and its lab."""
        everyone = range(1, built("conns"))
        self.lab = Lab([self._case(what, count) for what in OBJECTS for count in (1, len(everyone))])
        self.lab.conns = everyone
        self.config = replace(self.config, conns=1, size=2048, delay=0)
        transfer = LabTransfer(self.config, self.port.mem, allocator, issue=self.bench.issue)
        driver = LabDriver(self.port, transfer.host, allocator, DriverConfig(conns=built("conns"), cq_log2=12))
        driver.lab = self.lab
        self.lab.attach(driver, RtlPort(self.bench, self.port, self.follower), allocator)
        transfer.join(self.lab)
        self.lab.progress = lambda: 1.0
        return transfer, driver

    def _seen(self, seen: SeenFrame) -> None:
        self.frames.append((seen.cycle, seen.cycle + -(-len(seen.data) * 8 // self.config.data_w) - 1))

    def _case(self, what: str, dependents: int) -> Callable[[Lab], Case]:
        """Invalidate while the transmit path is full."""

        def case(lab: Lab) -> Case:
            yield from lab.prepare()
            links = []
            for conn in list(lab.conns)[:dependents]:
                links.append((yield from _opened(lab, conn)))
            senders = links[:SENDERS]
            cookies = [lab.send(link, bytes(BYTES), data_at=lab.page(5)) for link in senders]
            first = len(self.frames)
            yield lambda: len(self.frames) >= first + 2  # the transmit path is full, and a frame on the wire
            number = {"connection": links[0].conn, "path": PATH_ID, "neighbor": NEIGHBOR_ID}[what]
            rung = len(self.noting.doorbells)
            sqe = Sqe(opcode=Opcode.INVALIDATE, conn=number, gen=links[0].gen, flags=OBJECTS[what])
            yield from lab.good(sqe)
            self.found.append({"object": what, "dependents": dependents, "doorbell": self.noting.doorbells[rung]})
            yield from lab.ticks(5)
            for link in links:
                end = lab.post(Sqe(opcode=Opcode.TERMINATE, conn=link.conn, gen=link.gen))
                yield from lab.answer(end)
                lab.forget(link.conn)
            for cookie in cookies:
                yield from lab.answer(cookie)
            lab.renew()

        return case

    def extra_problems(self) -> list[str]:
        return [] if self.lab.over else [f"the lab waits at {self.lab.where()}"]


def invalidates(records: Path) -> tuple[list[tuple[int, int]], list[int]]:
    """Of every INVALIDATE the cycles of the commit of the command in front, its own commit, its completion entry."""
    commits, completions = [], []
    before = 0
    with records.open() as file:
        for line in file:
            tag, cycle, *words = line.split()
            record = RecTcp.unpack(int(words[0], 16)) if tag == "T" else RecTcp()
            if record.kind == TcpEvt.COMMAND:
                if record.opcode == Opcode.INVALIDATE:
                    commits.append((before, int(cycle)))
                before = int(cycle)
            elif tag == "C" and Cqe.unpack(RecCq.unpack(int(words[0], 16)).cqe).code == Opcode.INVALIDATE:
                completions.append(int(cycle))
    return commits, completions


def _opened(lab: Lab, conn: int) -> Any:
    """INITIATE and START of a connection with a large window."""
    link = LabLink(conn, lab.new_gen())
    image = replace(
        IMAGE, local_port=LOCAL_PORT + conn, remote_mss=1460, snd_wnd=WINDOW, max_snd_wnd=WINDOW, cwnd=WINDOW
    )
    yield from lab.good(lab.with_image(Opcode.INITIATE, image.to_bytes(), conn, link.gen))
    yield from lab.good(Sqe(opcode=Opcode.START, conn=conn, gen=link.gen))
    return link


@cocotb.test()
async def an_invalidate_waits_for_nothing_but_the_frame_already_granted_ch_092(_: Any) -> None:
    """Issue, section Numbers: invalidate_cycles_max."""
    await Timer(1, "ns")
    await uvm_root().run_test(InvalidateTest, keep_set={uvm_factory})
