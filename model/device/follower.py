"""`Follower`: the golden device driven by the records of another one (the RTL), comparing everything.

A record says only which event came next; the follower works out arguments, new state and actions itself and compares
(architecture, section 3). Call the ``on_*`` methods in the order of cycles; within a cycle records of engines come
before frames, writes and ticks. The first divergence stops the comparison and stays in ``divergence``.
"""

from __future__ import annotations

from collections.abc import Mapping

from model.device.config import CQ_RESERVE
from model.device.decode import Decoded
from model.device.divergence import Divergence
from model.device.follow_commands import Posted
from model.device.follow_end import FollowEnd
from model.device.memory import ErrorWindow
from model.device.records import Entry
from model.device.registers import ERROR_SQ_READ, SOFT_RESET
from model.device.report import render
from model.layout.generated import (
    SQE_BYTES,
    Csr,
    Opcode,
    RecRx,
    RecTx,
    WrClient,
)
from model.tcp.seq import MASK, due


class Follower(FollowEnd):
    """Follows one device. Compare ``divergence`` with None at any time; call ``finish`` and ``final_compare`` last."""

    def host_write(self, addr: int, data: bytes) -> None:
        """The host stores ``data`` at ``addr``."""
        if self.divergence is None:
            self.memory.write(addr, data)

    def mmio_write(self, offset: int, value: int) -> None:
        """The driver writes a register."""
        self._guard(lambda: self._register(offset, value))

    def inject_errors(self, windows: list[ErrorWindow]) -> None:
        """Device accesses in these windows fail from now on."""
        self.memory.windows = list(windows)

    def on_frame_in(self, frame: bytes, cycle: int) -> None:
        """The last beat of a frame entered the device."""
        self._at(cycle)
        if self.divergence is None:
            self._entered.append((self._arrivals, frame, cycle))
            self.live.begin("frame", self._arrivals, cycle)
            self._arrivals = (self._arrivals + 1) & MASK

    def on_frame_out(self, frame: bytes, cycle: int) -> None:
        """A frame left the device."""
        self._at(cycle)
        self._guard(lambda: self._frame_out(frame))

    def on_tick(self, tick: int, cycle: int) -> None:
        """The tick counter moved to ``tick``."""
        self._at(cycle)
        self._guard(lambda: self._tick(tick))

    def on_write(
        self, client: int, addr: int, strobe: int, data: int, lanes: int, cycle: int, response: int = 0
    ) -> None:
        """A beat of a write to host memory at bus address ``addr``; ``response`` not 0: it was refused."""
        if client == WrClient.PLACER and response == 0 and self._placed_well(addr, strobe, data, lanes):
            return
        self._at(cycle)
        self._guard(lambda: self._write(client, addr, strobe, data, lanes, response))

    def on_rec_tcp(self, value: int, cycle: int) -> None:
        """A commit of tcp_engine."""
        self._at(cycle)
        self._guard(lambda: self._tcp(value))

    def on_rec_dlv(self, value: int, cycle: int) -> None:
        """A commit of delivery_engine."""
        self._at(cycle)
        self._guard(lambda: self._delivery(value))

    def on_rec_rx(self, value: int, cycle: int) -> None:
        """A verdict of rx_parser."""
        self._at(cycle)
        self._guard(lambda: self._rx(RecRx.unpack(value)))

    def on_rec_tx(self, value: int, cycle: int) -> None:
        """A frame of segment_builder left or was discarded."""
        self._at(cycle)
        self._guard(lambda: self._tx(RecTx.unpack(value)))

    def on_rec_cq(self, value: int, cycle: int) -> None:
        """An entry of the completion ring was written."""
        self._at(cycle)
        self._guard(lambda: self._cq(value))

    def feed(self, entry: Entry) -> None:
        """One entry of a journal (`model.device.records`)."""
        v, cycle = entry.values, entry.cycle
        if entry.tag == "M":
            self.mmio_write(v[0], v[1])
        elif entry.tag == "H":
            self.host_write(v[0], entry.data)
        elif entry.tag == "F":
            self.on_frame_in(entry.data, cycle)
        elif entry.tag == "O":
            self.on_frame_out(entry.data, cycle)
        elif entry.tag == "W":
            self.on_write(v[0], v[1], v[2], v[3], v[4], cycle, v[5])
        else:
            handlers = {
                "T": self.on_rec_tcp,
                "D": self.on_rec_dlv,
                "R": self.on_rec_rx,
                "X": self.on_rec_tx,
                "C": self.on_rec_cq,
                "S": self.on_tick,
            }
            handlers[entry.tag](v[0], cycle)

    def liveness(self) -> dict[str, dict[str, int]]:
        """{kind: {bound, max_seen}} in cycles."""
        return self.live.table()

    def report(self, replay: str) -> str:
        """The divergence in words, under 30 lines; ``replay`` is the command that shows it again."""
        if self.divergence is None:
            return "no divergence\n"
        return render(self.divergence, replay)

    def finish(self, cycle: int | None = None) -> Divergence | None:
        """End of test: nothing may be pending."""
        if cycle is not None:
            self._at(cycle)
        self._guard(self._nothing_left)
        return self.divergence

    def reset_under_traffic(self, memory: bytes | bytearray) -> Divergence | None:
        """A soft reset ended; ``memory`` by back door. What no write under way explains must be as the golden image."""
        self._guard(lambda: self._compare_at_reset(memory))
        self._reset()
        return self.divergence

    def begin_anew(self, memory: bytes | bytearray) -> None:
        """A soft reset ended; ``memory`` by back door. A divergence before it is forgotten, nothing is compared."""
        self.divergence = None
        self.memory.windows = []
        self.memory.contents[:] = memory
        self._reset()

    def compare_registers(self, values: Mapping[Csr, int]) -> Divergence | None:
        """Registers read at the end, by offset. Give every one of ``compared_registers``."""
        self._guard(lambda: self._compare_registers(values))
        return self.divergence

    def final_compare(self, memory: bytes | bytearray) -> Divergence | None:
        """Every byte of host memory against the golden image."""
        self._guard(lambda: self._compare_memory(memory))
        return self.divergence

    def _register(self, offset: int, value: int) -> None:
        if offset == Csr.CONTROL and value & SOFT_RESET:
            self._reset()
            return
        regs = self.core.regs
        head = regs[Csr.CQ_HEAD]
        if not regs.host_write(offset, value):
            return
        if offset == Csr.CQ_HEAD:
            if self._free_entries() <= CQ_RESERVE:
                self._tight = self._cycle
            self._cq_read += (value - head) % regs.entries(Csr.CQ_SIZE_LOG2)
        elif offset in (Csr.SQ_TAIL, Csr.CONTROL) and regs.enabled:
            self._fetch()

    def _fetch(self) -> None:
        """Everything between what was fetched and the tail; the driver may not change it any more."""
        regs = self.core.regs
        size = regs.entries(Csr.SQ_SIZE_LOG2)
        while self._fetched % size != regs[Csr.SQ_TAIL]:
            addr = regs.wide(Csr.SQ_BASE_LO) + self._fetched % size * SQE_BYTES
            raw = self.memory.device_read(addr, SQE_BYTES)
            if raw is None:
                regs.device_error(ERROR_SQ_READ)
                return
            self._post(self.core.decoder.decode(raw, self._fetched & 0xFFFF))
            self._fetched += 1

    def _post(self, decoded: Decoded) -> None:
        sqe, index = decoded.sqe, decoded.sq_index
        posted = Posted(decoded, self._cycle, self._fetched)
        if decoded.error is None and sqe.opcode == Opcode.RAW_POST:
            self.core.raw_free.extend(decoded.indices)
            self._raw_posts.posted(self._fetched, len(decoded.indices))
            return
        if decoded.error is None and sqe.opcode == Opcode.RAW_SEND:
            self._raw_send(decoded)
            return
        self._commands.post(posted)
        self.live.begin("command", index, self._cycle)
        if decoded.key is not None:
            self._lookup.announced(decoded.key, sqe.conn, sqe.gen, index, self._cycle)

    def _tick(self, tick: int) -> None:
        if self._now is not None and tick != (self._now + 1) & MASK:
            raise self._not_due("tick", "strobe", None, str((self._now + 1) & MASK), str(tick), "tick")
        self._now = tick
        self._check_liveness()
        alone = self._recorded == self._strobed + 1  # the strobe itself
        self.live.strobe(self._cycle, quiet=alone and not self._ring_is_full())
        self._strobed = self._recorded
        for conn in self.core.due_timers(tick):
            self.live.begin("timer", conn, self._cycle)
        for conn, deadline in self.core.push.items():
            if due(deadline, tick):
                self.live.begin("push", conn, self._cycle)
