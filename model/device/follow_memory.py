"""The follower and host memory: check 4, and raw frames on their way to their buffers."""

from __future__ import annotations

from model.device.config import RAW_WAITING
from model.device.core import RxFrame
from model.device.divergence import first_difference
from model.device.follow_state import FollowState
from model.device.follow_writes import CLIENTS, Beat, WriteError, WriteLane, beat_bytes
from model.layout.generated import (
    CQE_BYTES,
    Cqe,
    CqSource,
    Csr,
    WrClient,
)

FULL_SOON = 64
"""Completions that may be issued and written between a raw frame's fate and the device coming to it."""


class FollowMemory(FollowState):
    """Writes of the device against what actions allow."""

    def _write(self, client: int, bus_addr: int, strobe: int, data: int, lanes: int, response: int) -> None:
        addr, written = beat_bytes(bus_addr, strobe, data, lanes)
        if not written:
            return
        if client == WrClient.COMPLETION:
            self._ring_write(addr, written, response)
            return  # its bytes are compared entry by entry
        if client == WrClient.STATE:
            self._lane_write((self._state,), client, addr, written, response)
        elif client == WrClient.PLACER:
            beats = (Beat(addr, written, response),)
            for beat in self._late_raw(*beats) if self._raw_wait else beats:
                self._lane_write((self._placed, self._raw_placed), client, *beat)
        else:
            raise WriteError("client", "rx_placer, completion_ring or state_writer", str(client))
        self.host_bytes_compared += len(written)

    def _placed_well(self, addr: int, strobe: int, data: int, lanes: int) -> bool:
        """The frequent case at little cost: the next bytes of the oldest placement, not its last, and right."""
        if not self._placed.open or self.divergence is not None or not strobe:
            return False
        a = self._placed.open[0]
        done = a.done
        first = (strobe & -strobe).bit_length() - 1
        last = strobe.bit_length()
        end = done + last - first
        if addr + first != a.addr + done or end >= len(a.data) or strobe >> first != (1 << (last - first)) - 1:
            return False
        if a.data[done:end] != data.to_bytes(lanes, "little")[first:last]:
            return False
        a.done = end
        self.host_bytes_compared += last - first
        return True

    def _lane_write(self, lanes: tuple[WriteLane, ...], client: int, addr: int, data: bytes, response: int) -> None:
        for lane in lanes:
            if lane.fits(addr, len(data)):
                number = lane.finished + 1
                if lane.take(addr, data, compare=response == 0):
                    self.live.end("write", (id(lane), number), self._cycle)
                return
        allowed = [f"{a.action} at {a.addr + a.done:#x}" for lane in lanes for a in list(lane.open)[:1]]
        raise WriteError(
            f"address of {CLIENTS[WrClient(client)]}",
            " or ".join(allowed) or "no write",
            f"{len(data)} bytes at {addr:#x}",
        )

    def _late_raw(self, beat: Beat) -> tuple[Beat, ...]:
        """Raw frames that may have been dropped for want of a buffer: which one a write is of; the beats to judge now.

        Frames begin alike (their headers), so beats are kept until one frame is left that fits them, or those that are
        left are the same. The frames before it were dropped; how many is compared with the register at the end.
        """
        if not self.core.raw_free:
            return (beat,)
        begun = b"".join(early.data for early in self._raw_begun)
        if beat.addr != self.core.regs.wide(Csr.RAW_BASE_LO) + self.core.raw_free[0] * 2048 + len(begun):
            return (beat,)
        begun += beat.data
        fitting = [at for at, frame in enumerate(self._raw_wait) if frame.data.startswith(begun)]
        if len({self._raw_wait[at].data for at in fitting}) > 1 and len(begun) < len(self._raw_wait[fitting[0]].data):
            self._raw_begun.append(beat)
            return ()
        beats = (*self._raw_begun, beat)
        self._raw_begun.clear()
        if fitting:
            for _ in range(fitting[0]):
                self._raw_wait.popleft()
            self.core.regs.count(Csr.CNT_RX_RAW_NO_BUF, fitting[0])
            self._raw_up(self._raw_wait.popleft())
        return beats

    def _ring_write(self, addr: int, data: bytes, response: int) -> None:
        regs = self.core.regs
        base = regs.wide(Csr.CQ_BASE_LO)
        size = regs.entries(Csr.CQ_SIZE_LOG2)
        if not base <= addr or addr + len(data) > base + size * CQE_BYTES:
            raise WriteError(
                "address of completion_ring", f"{base:#x} to {base + size * CQE_BYTES:#x}", f"{len(data)} at {addr:#x}"
            )
        if response:
            return
        for index, entry in self._ring.take(addr - base, data):
            recorded = self._ring_recorded.pop(index, None)
            if recorded is None:
                self._written_ahead(index, entry)
            else:
                self._compare_entry(index, recorded[0], entry)

    def _written_ahead(self, index: int, entry: bytes) -> None:
        """An entry whose record is still to come: written once, in the order of the ring."""
        due = (self._cq_written + len(self._ring_written)) % self.core.regs.entries(Csr.CQ_SIZE_LOG2)
        if index != due:
            raise WriteError("completion entry", f"entry {due}, the next of the ring", f"entry {index}")
        self._ring_written[index] = entry

    def _compare_entry(self, index: int, expected: bytes, got: bytes) -> None:
        if expected != got:
            e, g = int.from_bytes(expected, "little"), int.from_bytes(got, "little")
            name, x, y = first_difference(Cqe, e, g)
            raise WriteError(f"completion entry {index}, {name}", f"{x:#x}", f"{y:#x}")
        self.memory.write(self.core.regs.wide(Csr.CQ_BASE_LO) + index * CQE_BYTES, got)
        self.host_bytes_compared += len(got)

    def _retire(self) -> None:
        """Raw frames at the head: where a buffer surely is there it must be used, otherwise its write will tell."""
        for frame in self.core.retire_frames():
            if not self._raw_wait and self._raw_posts.surely(self._cycle) and not self._raw_jam():
                self._raw_up(frame)
            else:
                self._raw_wait.append(frame)

    def _raw_jam(self) -> bool:
        """So many raw entries wait that the frame is dropped if the ring is full when the device comes to it."""
        waiting = sum(len(queue) for queue in self._expected.values())
        full_soon = self._free_entries() <= waiting + FULL_SOON
        return full_soon and len(self._expected[CqSource.RAW_RX]) >= RAW_WAITING

    def _raw_up(self, frame: RxFrame) -> None:
        write = self.core.place_raw(frame, self.core.raw_free.popleft())
        self._raw_posts.taken()
        self._allow(self._raw_placed, write, f"raw frame {frame.arrival}")
        self._space.raw_up(frame.arrival, self._raw_placed.issued)
        self._collect(CqSource.RAW_RX, need=self._raw_placed.issued)
