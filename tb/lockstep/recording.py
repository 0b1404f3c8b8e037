"""The follower that writes down what it is fed: the trace of a live run is exactly what the live run was judged by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from model.device.divergence import Divergence
from model.device.follower import Follower
from model.device.golden import GoldenDevice
from model.device.memory import ErrorWindow
from model.device.records import Entry, Journal
from model.layout.generated import Csr
from tb.lockstep.trace import Header, Image, TraceWriter


class RecordingFollower(Follower):
    """A follower whose every input is a line of ``trace`` first, then followed."""

    def __init__(self, header: Header, trace: TraceWriter) -> None:
        contents = header.initial()
        super().__init__(contents, config=header.device, bounds=header.bounds(), memory_base=header.memory_base)
        self._trace = trace
        self._image = Image(contents, header.memory_base)

    def host_write(self, addr: int, data: bytes) -> None:
        """The host stores ``data`` at ``addr``."""
        self._trace.put("host_write", addr=addr, data=bytes(data))
        self._image.host_wrote(addr, data)
        super().host_write(addr, data)

    def mmio_write(self, offset: int, value: int) -> None:
        """The driver writes a register."""
        self._trace.put("register_write", offset=int(offset), value=value)
        super().mmio_write(offset, value)

    def inject_errors(self, windows: list[ErrorWindow]) -> None:
        """Device accesses in these windows fail from now on."""
        shown = [{"base": w.base, "size": w.size, "reads": w.reads, "writes": w.writes} for w in windows]
        self._trace.put("error_windows", windows=shown)
        super().inject_errors(windows)

    def on_frame_in(self, frame: bytes, cycle: int) -> None:
        """The last beat of a frame entered the device."""
        self._trace.put("frame_in", cycle=cycle, data=bytes(frame))
        super().on_frame_in(frame, cycle)

    def on_frame_out(self, frame: bytes, cycle: int) -> None:
        """A frame left the device."""
        self._trace.put("frame_out", cycle=cycle, data=bytes(frame))
        super().on_frame_out(frame, cycle)

    def on_tick(self, tick: int, cycle: int) -> None:
        """The tick counter moved to ``tick``."""
        self._trace.put("tick", cycle=cycle, tick=tick)
        super().on_tick(tick, cycle)

    def on_write(
        self, client: int, addr: int, strobe: int, data: int, lanes: int, cycle: int, response: int = 0
    ) -> None:
        """A beat of a write to host memory; without holes in the strobe only its bytes are written down."""
        whole = data.to_bytes(lanes, "little")
        first, last = max((strobe & -strobe).bit_length() - 1, 0), strobe.bit_length()
        if strobe >> first == (1 << (last - first)) - 1:
            told: dict[str, object] = {"addr": addr + first, "data": whole[first:last]}
        else:
            told = {"addr": addr, "data": whole, "strobe": f"{strobe:x}"}
        self._trace.put("write", cycle=cycle, client=int(client), **told, response=response)
        if response == 0:
            self._image.device_wrote(addr, strobe, data, lanes)
        super().on_write(client, addr, strobe, data, lanes, cycle, response)

    def on_rec_tcp(self, value: int, cycle: int) -> None:
        """A commit of tcp_engine."""
        self._record("tcp", value, cycle)
        super().on_rec_tcp(value, cycle)

    def on_rec_dlv(self, value: int, cycle: int) -> None:
        """A commit of delivery_engine."""
        self._record("delivery", value, cycle)
        super().on_rec_dlv(value, cycle)

    def on_rec_rx(self, value: int, cycle: int) -> None:
        """A verdict of rx_parser."""
        self._record("rx", value, cycle)
        super().on_rec_rx(value, cycle)

    def on_rec_tx(self, value: int, cycle: int) -> None:
        """A frame of segment_builder left or was discarded."""
        self._record("tx", value, cycle)
        super().on_rec_tx(value, cycle)

    def on_rec_cq(self, value: int, cycle: int) -> None:
        """An entry of the completion ring was written."""
        self._record("completion", value, cycle)
        super().on_rec_cq(value, cycle)

    def reset_under_traffic(self, memory: bytes | bytearray) -> Divergence | None:
        """A soft reset ended; ``memory`` by back door."""
        self._snapshot("soft_reset", memory)
        return super().reset_under_traffic(memory)

    def begin_anew(self, memory: bytes | bytearray) -> None:
        """A soft reset ended a run that something was wrong with."""
        self._snapshot("begin_anew", memory)
        super().begin_anew(memory)

    def finish(self, cycle: int | None = None) -> Divergence | None:
        """End of test: nothing may be pending."""
        self._trace.put("finish", cycle=self._cycle if cycle is None else cycle)
        return super().finish(cycle)

    def compare_registers(self, values: Mapping[Csr, int]) -> Divergence | None:
        """Registers read at the end."""
        self._trace.put("registers", values={register.name: value for register, value in values.items()})
        return super().compare_registers(values)

    def final_compare(self, memory: bytes | bytearray) -> Divergence | None:
        """Every byte of host memory against the golden image."""
        self._snapshot("memory", memory)
        return super().final_compare(memory)

    def _record(self, kind: str, value: int, cycle: int) -> None:
        self._trace.put(kind, cycle=cycle, record=f"{value:x}")

    def _snapshot(self, kind: str, memory: bytes | bytearray) -> None:
        self._trace.put(kind, pieces=[[addr, data.hex()] for addr, data in self._image.unlike(memory)])


class GoldenTrace(Journal):
    """The journal of a golden device as a trace: each entry is written down and followed at once, none is kept."""

    def __init__(self, path: Path, header: Header) -> None:
        super().__init__()
        self._writer = TraceWriter(path, header)
        self.follower = RecordingFollower(header, self._writer)

    def add(self, tag: str, cycle: int, *values: int, data: bytes = b"") -> None:
        """Write down and follow an entry."""
        self.follower.feed(Entry(tag, cycle, values, data))

    def finish(self, device: GoldenDevice) -> None:
        """The run is over: queues, registers, all of memory."""
        self.follower.finish()
        values = {register: device.mmio_read(register) for register in Follower.compared_registers()}
        self.follower.compare_registers(values)
        self.follower.final_compare(bytes(device.memory.contents))

    def close(self) -> None:
        """The end line, also of a run that broke off."""
        self._writer.close()
