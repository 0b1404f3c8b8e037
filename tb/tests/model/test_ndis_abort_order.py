"""Behind an abort: sends, then receives, then the disconnects, whatever the order of the device's answers (G-06)."""

from __future__ import annotations

import random
from itertools import permutations
from types import SimpleNamespace

import pytest

from model.layout.generated import Cqe, Opcode, Sqe, Status
from model.ndis.memory import FlatMemory, HostMemory, PageAllocator
from model.ndis.miniport_io import ConnectionIo, DeviceLimits
from model.ndis.netbuffer import BufferShape, NetBuffer, NetBufferList, Owner, allocate_net_buffer
from model.ndis.rings import DmaArena
from model.ndis.status import CompletionKind, NdisStatus

PAGE = 4096
SIZE = 100
#: The device answers the abort behind the sends, and the receives whenever it likes.
ORDERS = [order for order in permutations(("send", "receive", "abort")) if order.index("send") < order.index("abort")]


class Recorder(SimpleNamespace):
    """A driver that keeps what is submitted and what goes up."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: HostMemory = FlatMemory(1 << 20)
        self.allocator = PageAllocator(self.memory, PAGE, 1 << 20, seed=1)
        self.lists = DmaArena(self.memory, self.allocator.allocate_contiguous(8 * PAGE).pages[0], 8 * PAGE)
        self.bounce = DmaArena(self.memory, self.allocator.allocate_contiguous(8 * PAGE).pages[0], 8 * PAGE)
        self.limits = DeviceLimits()
        self.entries: list[Sqe] = []
        self.went_up: list[tuple[CompletionKind, NdisStatus | None]] = []
        self._cookie = 0

    def submit(self, entry: Sqe) -> None:
        self.entries.append(entry)

    def new_cookie(self) -> int:
        self._cookie += 1
        return self._cookie

    def reserve(self, kind: CompletionKind) -> bool:
        return True

    def release(self, kind: CompletionKind) -> None:
        """Not counted."""

    def up(self, kind: CompletionKind, nbl: NetBufferList) -> None:
        self.went_up.append((kind, nbl.status))

    def list_of(self, size: int) -> NetBufferList:
        buffer = (
            allocate_net_buffer(self.allocator, size, BufferShape(1, 1, 0), random.Random(1)) if size else NetBuffer(())
        )
        assert buffer is not None
        nbl = NetBufferList([buffer])
        nbl.hand_over(Owner.HOST, Owner.TARGET)
        return nbl


@pytest.mark.rule("G-06")
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_receives_come_back_behind_the_sends_and_before_the_disconnect(order: tuple[str, ...]) -> None:
    driver = Recorder()
    io = ConnectionIo(driver, conn=1, gen=1, send_open=True, receive_open=True)
    io.receive(driver.list_of(SIZE))
    io.send(driver.list_of(SIZE))
    io.pump()
    io.disconnect_abortive(driver.list_of(0))
    io.pump()
    cookies = {e.opcode: e.cookie for e in driver.entries}
    answers = {
        "send": lambda: io.on_send(Cqe(cookie=cookies[Opcode.SEND], status=Status.ABORTED, nbytes=40)),
        "receive": lambda: io.on_receive(Cqe(cookie=cookies[Opcode.RECEIVE], status=Status.ABORTED, nbytes=7)),
        "abort": lambda: io.on_send(Cqe(cookie=cookies[Opcode.DISCONNECT], status=Status.OK)),
    }
    for name in order:
        answers[name]()
    assert driver.went_up == [
        (CompletionKind.SEND, NdisStatus.REQUEST_ABORTED),
        (CompletionKind.RECEIVE, NdisStatus.REQUEST_ABORTED),
        (CompletionKind.DISCONNECT, NdisStatus.SUCCESS),
    ]
    assert [len(left) for left in (io.jobs, io.entries, io.receives, io.at_device)] == [0, 0, 0, 0]
