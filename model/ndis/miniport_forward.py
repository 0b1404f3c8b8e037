"""Forwarded segments of one offloaded connection in the miniport driver (NDIS sheet, 2.11, 6.9; hostport.md).

One NET_BUFFER_LIST is one TCP segment and one FORWARD entry; a scattered segment is copied to a bounce buffer first.
What there is no memory for waits here in order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from model.layout.generated import FORWARD_MAX, Cqe, Opcode, Sqe
from model.ndis.images import forward_status
from model.ndis.miniport_io import Device, merge_adjacent
from model.ndis.netbuffer import NetBufferList, Owner
from model.ndis.rings import DriverError
from model.ndis.shares import Use
from model.ndis.status import CompletionKind, NdisStatus


@dataclass(frozen=True)
class ForwardEntry:
    """A segment at the device; ``nbl`` is None when the host has it back already."""

    nbl: NetBufferList | None
    cookie: int
    bounce: int | None
    #: Tick at which it went to the device.
    since: int


@dataclass(eq=False)
class ForwardIo:
    """Queue of one connection; ``conn`` and ``gen`` name it at the device."""

    device: Device
    conn: int
    gen: int
    open: bool = True
    aborted: bool = False
    waiting: deque[NetBufferList] = field(default_factory=deque)
    entries: list[ForwardEntry] = field(default_factory=list)

    def forward(self, nbl: NetBufferList) -> None:
        """Queue a segment."""
        self.waiting.append(nbl)

    def pump(self) -> None:
        """Post what there is memory for."""
        while self.open and self.waiting and self._post(self.waiting[0]):
            self.waiting.popleft()

    def _post(self, nbl: NetBufferList) -> bool:
        elements = merge_adjacent(nbl.elements())
        length = sum(n for _, n in elements)
        addr, bounce = (elements[0][0], None) if elements else (0, None)
        if len(elements) > 1 and length <= FORWARD_MAX:  # a longer one is refused before it is read
            bounce = self.device.bounce.place((Use.FORWARD, self.conn), length)
            if bounce is None:
                return False
            addr = bounce
            self.device.memory.write(addr, nbl.read(Owner.TARGET, self.device.memory))
        cookie = self.device.new_cookie()
        self.device.submit(
            Sqe(opcode=Opcode.FORWARD, conn=self.conn, gen=self.gen, cookie=cookie, addr=addr, length=length)
        )
        self.entries.append(ForwardEntry(nbl, cookie, bounce, self.device.now))
        return True

    def on_forward(self, cqe: Cqe) -> None:
        """A FORWARD completion; refusals may overtake."""
        entry = next((e for e in self.entries if e.cookie == cqe.cookie), None)
        if entry is None:
            raise DriverError(f"FORWARD completion with cookie {cqe.cookie}, which is not outstanding")
        self.entries.remove(entry)
        if entry.bounce is not None:
            self.device.bounce.free(entry.bounce)
        if entry.nbl is not None:
            self._done(entry.nbl, forward_status(cqe.status))

    def oldest(self, since: int) -> bool:
        """One has been at the device since a tick or longer."""
        return any(entry.since <= since for entry in self.entries)

    def _done(self, nbl: NetBufferList, status: NdisStatus) -> None:
        nbl.set_status(Owner.TARGET, NdisStatus.REQUEST_ABORTED if self.aborted else status)
        self.device.up(CompletionKind.FORWARD, nbl)

    def flush(self, status: NdisStatus) -> None:
        """The device is done with the connection: complete what it never got."""
        if self.entries:
            raise DriverError(f"TERMINATE completed with {len(self.entries)} forwards outstanding (CH-233)")
        while self.waiting:
            self._done(self.waiting.popleft(), status)

    def abandon(self) -> None:
        """The device does not answer: the host gets everything back now (G-20)."""
        self.open, self.aborted = False, True
        for entry in self.entries:
            if entry.nbl is not None:
                self._done(entry.nbl, NdisStatus.REQUEST_ABORTED)
        self.entries = [replace(e, nbl=None) for e in self.entries]
        while self.waiting:
            self._done(self.waiting.popleft(), NdisStatus.REQUEST_ABORTED)
