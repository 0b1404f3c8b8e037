"""Constrained-random sequences: when calls, frames and register reads come. What they are is the session's.

Each kind of draw has a named stream of its own (model/streams.py): a new draw here, or a sequence more, leaves all
others as they are. `use` puts the sequences in the place of the plain ones through the factory.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from cocotb.triggers import Timer
from pyuvm import ConfigDB, uvm_factory, uvm_sequence

from model.layout.generated import Csr
from model.streams import Streams
from tb.env.items import RegisterItem
from tb.env.sequences import FrameStream, NdisStream

#: Nanoseconds a clock cycle (tb/hdl/clk_rst.v).
CYCLE_NS = 10
STREAMS = "streams"


@dataclass(frozen=True)
class Pause:
    """Cycles: none with probability ``none``, else log-uniform from 1 to ``most``."""

    none: float
    most: int

    def draw(self, rng: random.Random) -> int:
        """One pause; always two draws, so that the constraint does not shift what is drawn next."""
        chance, size = rng.random(), rng.random()
        return 0 if chance < self.none else max(1, round(self.most**size))


#: In front of a call, of a frame, of a register read. A frame may wait longer than FrameStream says, never shorter.
CALL_PAUSE, FRAME_PAUSE, READ_PAUSE = Pause(0.5, 400), Pause(0.6, 200), Pause(0.0, 3000)
#: What is read beside a session: values that the driver does not wait for, and that a read does not change.
READ = (Csr.ID, Csr.VERSION, Csr.CAPS, Csr.CAPS2, Csr.STATUS, Csr.TICK, Csr.SQ_HEAD, Csr.CQ_TAIL, Csr.CNT_RX_FRAMES)


class RandomNdisStream(NdisStream):
    """Calls of the session, each behind a pause; stream calls/pause."""

    def __init__(self, name: str = "calls") -> None:
        super().__init__(name)
        self._rng = streams().child("calls").stream("pause")

    async def pause(self) -> None:
        if cycles := CALL_PAUSE.draw(self._rng):
            await Timer(cycles * CYCLE_NS, "ns")


class RandomFrameStream(FrameStream):
    """Frames of the network, each behind a gap that is at least that of its size; stream frames/gap."""

    def __init__(self, name: str = "frames") -> None:
        super().__init__(name)
        self._rng = streams().child("frames").stream("gap")

    def gap(self, data: bytes) -> int:
        return super().gap(data) + FRAME_PAUSE.draw(self._rng)


class RandomReads(uvm_sequence):  # type: ignore[misc]  # pyuvm is untyped
    """Reads of registers beside a session, until ``over``; streams reads/pause and reads/register."""

    def __init__(self, name: str = "reads") -> None:
        super().__init__(name)
        own = streams().child("reads")
        self._pause, self._register = own.stream("pause"), own.stream("register")
        self.over = False
        self.count = 0

    async def body(self) -> None:
        while not self.over:
            await Timer(READ_PAUSE.draw(self._pause) * CYCLE_NS, "ns")
            item = RegisterItem.create("read")
            await self.start_item(item)
            item.offset, item.write = int(self._register.choice(READ)), False
            await self.finish_item(item)
            self.count += 1


def use(streams_of_run: Streams) -> None:
    """From now on a bench has the random sequences; call before it is made."""
    ConfigDB().set(None, "*", STREAMS, streams_of_run)
    uvm_factory().set_type_override_by_type(NdisStream, RandomNdisStream)
    uvm_factory().set_type_override_by_type(FrameStream, RandomFrameStream)


def streams() -> Streams:
    """The streams of this run."""
    found: Streams = ConfigDB().get(None, "", STREAMS)
    return found
