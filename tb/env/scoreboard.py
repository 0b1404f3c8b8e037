"""The lockstep scoreboard: feeds the golden follower with what the monitors saw and keeps what disagrees."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from pyuvm import ConfigDB, uvm_scoreboard

from model.device.follower import Follower
from model.layout.generated import Csr
from tb.device.host_port import MemoryWrite, MirrorMemory, Operation, RegisterWrite
from tb.env.coverage import CoverageMonitor
from tb.env.tcb_back_door import TcbBackDoor
from tb.sim.records import Record, RecordReader

#: In the order of tb_top; the rules are in the headers of tb/hdl/checkers and tb/hdl/tick_gen.v.
CHECKERS = (
    "AXI4 memory port",
    "AXI4-Lite register port",
    "AXI4-Stream receive port",
    "AXI4-Stream transmit port",
    "rings",
    "unknown values after reset",
    "tick generator",
)


#: Bytes of a write record (tb/hdl/recorder.v).
LINE = 256


class LockstepScoreboard(uvm_scoreboard):  # type: ignore[misc]  # pyuvm is untyped
    """Follows the RTL record by record. ``problems`` must be empty and ``compared`` must not be 0 at the end."""

    def build_phase(self) -> None:
        self.follower: Follower = ConfigDB().get(self, "", "follower")
        self.mirror: MirrorMemory = ConfigDB().get(self, "", "mirror")
        self.reader: RecordReader = ConfigDB().get(self, "", "records")
        self.violations: list[str] = []
        self.in_flight: deque[bytes] = deque()
        self.last_cycle = 0
        self.lanes: int = ConfigDB().get(self, "", "data_w") // 8
        self.beats = {"tx": 0, "rx": 0}
        self.frame_cycles: list[int] = []
        self.tick_base = 0
        self.tick = 0
        self.registers_compared = 0
        #: Told of every frame that has entered the device, and of the tick.
        self.entered: Callable[[bytes, int], None] = lambda _frame, _tick: None
        self.tcb_table = TcbBackDoor(ConfigDB().get(self, "", "dut"), self.follower)
        #: Told of each record that was compared and agreed.
        self.coverage = CoverageMonitor(self.lanes * 8, self.mirror.contents, self.mirror.base)

    # ---- what the host side did --------------------------------------------------------------

    def on_operation(self, operation: Operation) -> None:
        """A memory or register write of the driver, when the driver made it."""
        if isinstance(operation, MemoryWrite):
            self.follower.host_write(operation.addr, operation.data)
        elif isinstance(operation, RegisterWrite):
            self.follower.mmio_write(operation.offset, operation.value)
            self.coverage.register_write(operation.offset, operation.value)

    def frame_played(self, frame: bytes) -> None:
        """A frame is on its way to the receive port; the record of its last beat makes it count."""
        self.in_flight.append(frame)

    def frame_left(self, frame: bytes) -> None:
        """A frame left the device."""
        self._on_the_wire("tx", frame)
        self.follower.on_frame_out(frame, self.last_cycle)
        self.coverage.frame("out", len(frame))

    def frames_withdrawn(self, count: int) -> None:
        """The last frames announced do not go in after all."""
        for _ in range(count):
            self.in_flight.pop()

    def device_was_reset(self, tick: int, memory: bytes) -> None:
        """A soft reset ended at the bench's ``tick`` (the device counts from 0 again); memory is as the back door says.

        Call it when every record of the time before has been written. Bursts that the reset cut off left memory
        between two states: the bytes of writes that were under way, and no others, are taken from the device.
        """
        self.catch_up()
        self.tick_base = tick
        self.follower.reset_under_traffic(memory)
        self.coverage.reset()
        self.mirror.contents[:] = memory

    def begin_anew(self, tick: int, memory: bytes) -> None:
        """A soft reset ended a run that something was wrong with: both sides go on from ``memory``, nothing is judged.

        What was compared and the violations so far stay.
        """
        self.reader.read()
        self.in_flight.clear()
        self.tick_base = tick
        self.follower.begin_anew(memory)
        self.coverage.void = True
        self.tcb_table.forget()
        self.mirror.contents[:] = memory

    # ---- what the monitors recorded ----------------------------------------------------------

    def catch_up(self) -> None:
        """Take every record written since the last call."""
        records = self.reader.read()
        for record in records:
            self._take(record)
        if records:
            self.tcb_table.maybe_sample()

    def _take(self, record: Record) -> None:
        tag, cycle = record.tag, record.cycle
        self.last_cycle = cycle
        self.tcb_table.passed(cycle)
        follower, seen = self.follower, self.coverage
        if tag == "W":
            client, addr, strobe, data, response = record.fields
            if response == 0:
                self.mirror.device_wrote(addr, strobe, data, LINE)
            follower.on_write(client, addr, strobe, data, LINE, cycle, response)
        elif tag == "T":
            self.tcb_table.commit(record.value, cycle)
            follower.on_rec_tcp(record.value, cycle)
            self.tcb_table.committed()
            seen.tcp(record.value, follower.of_connection)
        elif tag == "D":
            follower.on_rec_dlv(record.value, cycle)
            seen.delivery(record.value)
        elif tag == "R":
            follower.on_rec_rx(record.value, cycle)
            seen.verdict(record.value)
        elif tag == "X":
            follower.on_rec_tx(record.value, cycle)
            seen.sent(record.value)
        elif tag == "C":
            follower.on_rec_cq(record.value, cycle)
            seen.completion(record.value)
        elif tag == "F":
            frame = self.in_flight.popleft()
            self._on_the_wire("rx", frame)
            follower.on_frame_in(frame, cycle)
            seen.frame("in", len(frame))
            self.entered(frame, self.tick)
        elif tag == "S":
            self.tick = record.value
            follower.on_tick(record.value - self.tick_base, cycle)
        elif tag == "E":
            checker, code = record.fields
            self.violations.append(f"{CHECKERS[checker]}: rule {code} broken in cycle {cycle}")

    def _on_the_wire(self, direction: str, frame: bytes) -> None:
        self.beats[direction] += -(-len(frame) // self.lanes)
        self.frame_cycles = [*self.frame_cycles[:1], self.last_cycle]

    def bus_share(self, direction: str) -> float:
        """Beats of frames over the cycles from the first frame of the run to the last."""
        first, last = self.frame_cycles[:1] or [0], self.frame_cycles[-1:] or [0]
        return round(self.beats[direction] / max(last[0] - first[0], 1), 4)

    # ---- verdict -----------------------------------------------------------------------------

    @property
    def diverged(self) -> bool:
        """The first divergence was found: nothing after it means anything."""
        return self.follower.divergence is not None

    @property
    def compared(self) -> int:
        """Commits compared so far."""
        return self.follower.commits_compared

    def problems(self) -> list[str]:
        """What is wrong, one line each; the whole report of a divergence is apart."""
        found = list(self.violations)
        if (d := self.follower.divergence) is not None:
            found.append(f"divergence: check {d.check}, {d.stream} {d.event}, {d.field}: {d.expected} / {d.got}")
        if self.follower.commits_compared == 0:
            found.append("the scoreboard compared no commit")
        if self.tcb_table.in_use and self.tcb_table.compared == 0:
            found.append("no entry of the TCB table was read by back door")
        if self.in_flight:
            found.append(f"{len(self.in_flight)} frames given to the device never entered it")
        return found

    def finish(self, memory: bytes | None = None, registers: Mapping[Csr, int] | None = None) -> None:
        """End of test: nothing may be pending; ``memory`` (back door) and ``registers`` must agree, if given."""
        self.catch_up()
        if self.diverged:
            return
        self.follower.finish(self.last_cycle)
        if registers is not None and not self.diverged:
            self.follower.compare_registers(registers)
            self.registers_compared = len(registers)
        if memory is not None and not self.diverged:
            self.follower.final_compare(memory)
        if not self.diverged:
            self.tcb_table.finish()

    def summary(self) -> dict[str, Any]:
        """Counters for summary.json."""
        f = self.follower
        return {
            "commits_compared": f.commits_compared,
            "frames_compared": f.frames_compared,
            "completions_compared": f.completions_compared,
            "host_bytes_compared": f.host_bytes_compared,
            "tcb_entries_compared": self.tcb_table.compared,
            "registers_compared": self.registers_compared,
            "divergences": int(self.diverged),
            "tx_bus_share": self.bus_share("tx"),
            "rx_bus_share": self.bus_share("rx"),
            "liveness": f.liveness(),
        }
