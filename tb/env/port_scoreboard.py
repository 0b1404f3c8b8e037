"""The scoreboard of a device without a commit port: it follows the ports, and compares no state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from pyuvm import ConfigDB, uvm_scoreboard

from model.layout.generated import Csr
from tb.device.host_port import MirrorMemory, Operation
from tb.env.scoreboard import CHECKERS, LINE
from tb.sim.records import Record, RecordReader


class PortScoreboard(uvm_scoreboard):  # type: ignore[misc]  # pyuvm is untyped
    """Stands in the place of `LockstepScoreboard`: same calls, without golden side. ``problems`` must be empty.

    The protocol checkers and the number of frames are judged here; everything else by what stands at the two ports.
    """

    def build_phase(self) -> None:
        self.mirror: MirrorMemory = ConfigDB().get(self, "", "mirror")
        self.reader: RecordReader = ConfigDB().get(self, "", "records")
        self.violations: list[str] = []
        self.in_flight: deque[bytes] = deque()
        self.last_cycle = 0
        self.tick = 0
        self.frames = {"rx": 0, "tx": 0}
        self.bytes_written = 0
        #: Told of every frame that has entered the device, and of the tick.
        self.entered: Callable[[bytes, int], None] = lambda _frame, _tick: None
        #: There is no golden model to differ from.
        self.diverged = False

    def on_operation(self, operation: Operation) -> None:
        """Nobody follows what the host writes."""

    def frame_played(self, frame: bytes) -> None:
        """A frame is on its way to the receive port; the record of its last beat makes it count."""
        self.in_flight.append(frame)

    def frame_left(self, frame: bytes) -> None:
        """A frame left the device."""
        self.frames["tx"] += 1

    def catch_up(self) -> None:
        """Take every record written since the last call."""
        for record in self.reader.read():
            self._take(record)

    def _take(self, record: Record) -> None:
        self.last_cycle = record.cycle
        if record.tag == "W":
            _, addr, strobe, data, response = record.fields
            if response == 0:
                self.mirror.device_wrote(addr, strobe, data, LINE)
                self.bytes_written += strobe.bit_count()
        elif record.tag == "F":
            self.frames["rx"] += 1
            self.entered(self.in_flight.popleft(), self.tick)
        elif record.tag == "S":
            self.tick = record.value
        elif record.tag == "E":
            checker, code = record.fields
            self.violations.append(f"{CHECKERS[checker]}: rule {code} broken in cycle {record.cycle}")

    def problems(self) -> list[str]:
        """What is wrong, one line each."""
        found = list(self.violations)
        if not self.frames["rx"] or not self.frames["tx"]:
            found.append("no frame went in, or none came out")
        if self.in_flight:
            found.append(f"{len(self.in_flight)} frames given to the device never entered it")
        return found

    def finish(self, memory: bytes | None = None, registers: Mapping[Csr, int] | None = None) -> None:
        """End of test: host memory by back door must be what the bus showed."""
        self.catch_up()
        if memory is not None and memory != bytes(self.mirror.contents):
            self.violations.append("host memory by back door is not what was written over the bus")

    def summary(self) -> dict[str, Any]:
        """Counters for the result file."""
        return {"frames_in": self.frames["rx"], "frames_out": self.frames["tx"], "host_bytes": self.bytes_written}
