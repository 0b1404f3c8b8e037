"""One connection between a host and the delivery step of a device, each of the three at its own pace.

The device is docs/contract/delivery_step.md without pool, placement and timers: commands in order, work at once
behind each event (W-1, W-2, W-3), every segment with PSH. What the driver does is the driver's own code.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from model.layout.generated import Cqe, CqKind, Opcode, Sqe, Status
from model.ndis.enums import NblInfo
from model.ndis.memory import PAGE_SIZE, Region
from model.ndis.miniport import MiniportDriver
from model.ndis.miniport_io import RECEIVE_NOPUSH, ConnectionIo
from model.ndis.miniport_objects import PoolBuffer
from model.ndis.netbuffer import Mdl, NetBuffer, NetBufferList, Owner
from model.ndis.status import CompletionKind
from tb.tests.model.test_ndis_abort_order import Recorder

Answer = Callable[[int], int]
"""Bytes that the host takes of an indication of so many."""


class Delivery:
    """``commands`` are to be committed, ``done`` to be read; ``stream``: bytes of each segment not delivered yet."""

    def __init__(self) -> None:
        self.commands: deque[Sqe] = deque()
        self.done: deque[Cqe] = deque()
        self.stream: deque[int] = deque()
        self.ring: deque[Sqe] = deque()
        #: Bytes in the request at the head of the ring; bytes that left the stream.
        self.filled = self.position = 0
        self.asking = self.refused = False

    def commit(self) -> None:
        """The next command takes effect."""
        entry = self.commands.popleft()
        if entry.opcode == Opcode.RECEIVE:
            self.ring.append(entry)
            self.refused = False
        else:
            assert entry.opcode == Opcode.ANSWER
            assert self.asking
            self.asking = False
            self.refused = entry.length < self.stream[0]
            self._take(entry.length)
        self._work()

    def comes(self, size: int) -> None:
        """A segment."""
        self.stream.append(size)
        self._work()

    def _take(self, count: int) -> int:
        taken = min(count, self.stream[0])
        self.stream[0] -= taken
        self.position += taken
        if not self.stream[0]:
            self.stream.popleft()
        return taken

    def _work(self) -> None:
        while not self.asking and self.ring and (self.stream or not self.ring[0].length):
            head = self.ring[0]
            segments = len(self.stream)
            if head.length:
                self.filled += self._take(head.length - self.filled)
            pushed = len(self.stream) < segments and not head.flags & RECEIVE_NOPUSH
            if self.filled == head.length or pushed:
                self.ring.popleft()
                self.done.append(Cqe(kind=CqKind.RECEIVE, cookie=head.cookie, status=Status.OK, nbytes=self.filled))
                self.filled = 0
        if self.stream and not (self.ring or self.asking or self.refused):
            self.asking = True
            self.done.append(Cqe(kind=CqKind.INDICATION, nbytes=self.stream[0]))


class Crossing(Recorder):
    """The host, and of the driver what handles an indication."""

    def __init__(self, answer: Answer = lambda size: size, on_complete: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.device = Delivery()
        self.io = ConnectionIo(self, conn=1, gen=1, receive_open=True)
        self.answer, self.on_complete = answer, on_complete
        self.posted: deque[NetBufferList] = deque()
        self.delivered = self.asked = 0
        #: The host refused bytes, and nothing has come or gone since that lets the target ask again (CH-151).
        self.content = False
        #: Indications that passed requests of the host.
        self.overtaken: list[str] = []
        self._polling = False
        self._lists: list[NetBufferList] = []
        self._pool_base = 0
        self._kept = SimpleNamespace(
            show=lambda addr, size, buf, owner: (addr, PoolBuffer(buf)),
            answer=lambda token, entry, may_wait: self.submit(entry),
        )
        activity = SimpleNamespace(indications=0)
        self._connection = SimpleNamespace(io=self.io, id=1, incarnation=1, terminating=False, activity=activity)

    # ---- the host --------------------------------------------------------------------------

    def post(self, size: int, *, no_push: bool = False) -> None:
        """A receive request; an empty one asks for an indication (CH-153)."""
        buffer = NetBuffer((Mdl(Region((PAGE_SIZE,), 0, size)),), 0, size) if size else NetBuffer(())
        nbl = NetBufferList([buffer], info={NblInfo.TCP_RECEIVE_NO_PUSH: int(no_push)})
        nbl.hand_over(Owner.HOST, Owner.TARGET)
        self.posted.append(nbl)
        self.content = False
        self.io.receive(nbl)
        self._kick()

    def _indicate(self, _connection: object, _addr: int, size: int, _token: object) -> int:
        assert self.delivered == self.device.position
        wanted = [nbl.data_length for nbl in self.posted if nbl.data_length]
        if wanted:
            self.overtaken.append(f"{size} bytes are indicated, requests for {wanted} wait")
        self.asked += 1
        self.content = False
        before = len(self.posted)
        taken = self.answer(size)
        self.delivered += taken
        self.content = taken < size and not before and not self.posted
        return taken

    # ---- the driver ------------------------------------------------------------------------

    def submit(self, entry: Sqe) -> None:
        super().submit(entry)
        self.device.commands.append(entry)

    def up(self, kind: CompletionKind, nbl: NetBufferList) -> None:
        super().up(kind, nbl)
        self._lists.append(nbl)

    def flush_up(self) -> None:
        lists, self._lists = self._lists, []
        for nbl in lists:
            assert self.posted.popleft() is nbl
            self.delivered += nbl.bytes_transferred
        for _ in lists:
            self.on_complete()

    def _kick(self) -> None:
        if not self._polling:
            self.io.pump()

    def poll(self, entries: int = 1000) -> None:
        """Read so many completions of the device."""
        self._polling = True
        driver = cast("MiniportDriver", self)
        while entries and self.device.done:
            entries -= 1
            cqe = self.device.done.popleft()
            if cqe.kind == CqKind.INDICATION:
                MiniportDriver._on_indication(driver, cast("Any", self._connection), cqe)
            else:
                self.io.on_receive(cqe)
        self.flush_up()
        self._polling = False
        self._kick()

    def settle(self) -> None:
        """Nobody sleeps, until there is nothing left to do."""
        for _ in range(1000):
            if not (self.device.commands or self.device.done):
                return
            while self.device.commands:
                self.device.commit()
            self.poll()
        raise AssertionError("driver and device never come to rest")


def at_random(seed: int, steps: int) -> Crossing:
    """Host, driver and device in any order; then all of them until they rest."""
    rng = random.Random(seed)
    shape = rng.choice(((60, 0.0), (60, 0.3), (8, 0.3)))

    def post() -> None:
        for _ in range(rng.randint(1, 4)):
            at.post(0 if rng.random() < shape[1] else rng.randint(1, shape[0]), no_push=rng.random() < 0.5)

    def answer(size: int) -> int:
        if rng.random() < 0.2:
            post()
        return rng.choice((0, size, rng.randint(0, size)))

    def on_complete() -> None:
        if rng.random() < 0.2:
            post()

    at = Crossing(answer, on_complete)

    def commit() -> None:
        if at.device.commands:
            at.device.commit()

    actions = (post, commit, commit, lambda: at.device.comes(rng.randint(1, 60)), lambda: at.poll(rng.randint(1, 2)))
    for _ in range(steps):
        rng.choice(actions)()
    at.settle()
    return at
