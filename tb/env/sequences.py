"""Sequences: streams of calls and frames that other code feeds, and single register accesses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cocotb.triggers import Event
from pyuvm import uvm_sequence

from model.ndis.calls import NdisCall
from tb.env.items import FrameItem, NdisItem, RegisterItem


class NdisStream(uvm_sequence):  # type: ignore[misc]  # pyuvm is untyped
    """Sends NDIS calls to the host sequencer in the order in which ``put`` got them, for ever."""

    def __init__(self, name: str = "ndis_stream") -> None:
        super().__init__(name)
        self._calls: deque[NdisCall] = deque()
        self._wake = Event()
        self.after_each: Callable[[], None] = lambda: None

    def put(self, call: NdisCall) -> None:
        """Queue a call."""
        self._calls.append(call)
        self._wake.set()

    def clear(self) -> None:
        """Forget the calls that wait."""
        self._calls.clear()

    @property
    def empty(self) -> bool:
        """Nothing waits."""
        return not self._calls

    async def pause(self) -> None:
        """What passes in front of a call: nothing."""

    async def body(self) -> None:
        while True:
            while not self._calls:
                self._wake.clear()
                await self._wake.wait()
            await self.pause()
            item = NdisItem.create("call")
            await self.start_item(item)
            item.call = self._calls.popleft()
            await self.finish_item(item)
            self.after_each()


#: Frames under SMALL_FRAME bytes start at least FRAME_SPACING cycles after the one before. The engine takes up to 8
#: cycles an event, a small segment makes two or three, and each is a write of its own to a memory that stalls: back to
#: back they would be an overload. A frame without payload (up to BARE_FRAME bytes) makes one or two events, no write.
#: Full-size frames come as fast as the port takes them.
SMALL_FRAME, FRAME_SPACING = 512, 64
BARE_FRAME, BARE_SPACING = 80, 32


def spacing(length: int) -> int:
    """Cycles from the start of a frame of ``length`` bytes to the next, if it does not take longer itself."""
    return BARE_SPACING if length <= BARE_FRAME else FRAME_SPACING if length < SMALL_FRAME else 0


class FrameStream(uvm_sequence):  # type: ignore[misc]  # pyuvm is untyped
    """Sends frames to the wire sequencer in order, for ever."""

    def __init__(self, name: str = "frame_stream") -> None:
        super().__init__(name)
        self._frames: deque[bytes] = deque()
        self.lanes = 8
        #: Small frames keep their distance (`spacing`); without it they overload the device.
        self.spaced = True
        self._wake = Event()
        self.busy = False
        self.when_idle: Callable[[], None] = lambda: None

    def put(self, frame: bytes) -> None:
        """Queue a frame."""
        self._frames.append(frame)
        self._wake.set()

    def clear(self) -> int:
        """Forget the frames that wait; how many they were."""
        count = len(self._frames)
        self._frames.clear()
        return count

    @property
    def empty(self) -> bool:
        """Nothing waits and nothing is being handed over."""
        return not self._frames and not self.busy

    def gap(self, data: bytes) -> int:
        """Idle cycles in front of a frame."""
        return max(0, spacing(len(data)) - len(data) // self.lanes) if self.spaced else 0

    async def body(self) -> None:
        while True:
            if not self._frames and self.busy:
                self.busy = False
                self.when_idle()
            while not self._frames:
                self._wake.clear()
                await self._wake.wait()
            self.busy = True
            item = FrameItem.create("frame")
            await self.start_item(item)
            item.data = self._frames.popleft()
            item.gap = self.gap(item.data)
            await self.finish_item(item)


class RegisterAccess(uvm_sequence):  # type: ignore[misc]  # pyuvm is untyped
    """One register access; after ``start`` a read's result is in ``value``."""

    def __init__(self, offset: int, value: int = 0, write: bool = True) -> None:
        super().__init__("register_access")
        self.offset, self.value, self.write = offset, value, write

    async def body(self) -> None:
        item = RegisterItem.create("access")
        await self.start_item(item)
        item.offset, item.value, item.write = self.offset, self.value, self.write
        await self.finish_item(item)
        self.value = item.value
