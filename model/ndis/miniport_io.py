"""Sends and receives of one offloaded connection in the miniport driver.

A NET_BUFFER_LIST becomes one or more SEND entries of at most 16 elements, or one RECEIVE entry; what
is beyond the device's limits waits here in order. Byte counts of completions are turned back into
one completion per list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from model.layout.generated import SG_ELEM_BYTES, SG_MAX, Cqe, Opcode, SgElem, Sqe, Status
from model.ndis.images import io_status
from model.ndis.memory import HostMemory
from model.ndis.netbuffer import NetBufferList, Owner
from model.ndis.rings import DmaArena, DriverError
from model.ndis.status import CompletionKind, NdisStatus

#: Flags of entries (docs/layout.md, sqe.flags).
SEND_LAST = 1
RECEIVE_NOPUSH = 1
DISCONNECT_GRACEFUL = 1

Element = tuple[int, int]


def merge_adjacent(elements: Iterator[Element]) -> list[Element]:
    """Scatter-gather elements with neighbours on the bus joined."""
    out: list[Element] = []
    for addr, n in elements:
        if out and out[-1][0] + out[-1][1] == addr:
            out[-1] = (out[-1][0], out[-1][1] + n)
        else:
            out.append((addr, n))
    return out


@dataclass(frozen=True)
class DeviceLimits:
    """What the device holds per connection, and the driver's share of the completion ring."""

    sends: int = 16
    receives: int = 16


class Device(Protocol):
    """What a connection needs of the driver."""

    memory: HostMemory
    #: Scatter-gather lists and images; and, apart so that neither starves the other, bounce buffers.
    lists: DmaArena
    bounce: DmaArena
    limits: DeviceLimits

    def submit(self, entry: Sqe) -> None:
        """Queue an entry."""
        ...

    def new_cookie(self) -> int:
        """A number never used before."""
        ...

    def reserve(self, kind: CompletionKind) -> bool:
        """Take a place in the completion ring for a SEND or RECEIVE."""
        ...

    def release(self, kind: CompletionKind) -> None:
        """Give it back."""
        ...

    def up(self, kind: CompletionKind, nbl: NetBufferList) -> None:
        """Hand a completed list to the host, in order."""
        ...


@dataclass(eq=False)
class SendJob:
    """A send or disconnect list on its way. Bytes are acknowledged bytes."""

    nbl: NetBufferList
    kind: CompletionKind
    cuts: deque[list[Element]]
    #: Entries at the device.
    posted: int = 0
    acknowledged: int = 0
    status: NdisStatus = NdisStatus.SUCCESS

    @property
    def done(self) -> bool:
        """Everything is back, or will never be posted."""
        failed = self.status is not NdisStatus.SUCCESS
        return self.posted == 0 and (failed or not self.cuts)


@dataclass(frozen=True)
class SendEntry:
    """A SEND or DISCONNECT entry at the device."""

    job: SendJob
    cookie: int
    length: int
    list_addr: int | None
    last: bool


@dataclass(eq=False)
class ReceiveJob:
    """A posted receive. ``filled`` bytes were placed by the driver before the device got it."""

    nbl: NetBufferList
    length: int
    filled: int = 0
    cookie: int = 0
    bounce: int | None = None


def cut(elements: list[Element]) -> deque[list[Element]]:
    """Groups of at most SG_MAX elements."""
    return deque(elements[i : i + SG_MAX] for i in range(0, len(elements), SG_MAX))


@dataclass(eq=False)
class ConnectionIo:
    """Queues of one connection; ``conn`` and ``gen`` name it at the device."""

    device: Device
    conn: int
    gen: int
    #: True while sends may be posted (from LOADED on) and while receives may be.
    send_open: bool = False
    receive_open: bool = False
    jobs: deque[SendJob] = field(default_factory=deque)
    entries: deque[SendEntry] = field(default_factory=deque)
    receives: deque[ReceiveJob] = field(default_factory=deque)
    at_device: deque[ReceiveJob] = field(default_factory=deque)
    #: Asked for each finished job: True keeps it for the terminate chain.
    keep: Callable[[SendJob], bool] | None = None
    _unmarked: int = 0

    # ---- sends -----------------------------------------------------------------------------

    def send(self, nbl: NetBufferList, kind: CompletionKind = CompletionKind.SEND) -> None:
        """Queue a list."""
        elements = merge_adjacent(nbl.elements())
        cuts = cut(elements)
        if kind is CompletionKind.DISCONNECT and not cuts:
            cuts.append([])
        self.jobs.append(SendJob(nbl, kind, cuts))

    def pump(self) -> None:
        """Post what the device has room for."""
        while self.send_open and len(self.entries) < self.device.limits.sends:
            job = next((j for j in self.jobs if j.cuts and j.status is NdisStatus.SUCCESS), None)
            if job is None or not self._post_send(job):
                break
        while self.receive_open and self.receives:
            if len(self.at_device) >= self.device.limits.receives or not self._post_receive():
                break

    def _post_send(self, job: SendJob) -> bool:
        """One entry; False if set-up memory or the completion ring is short."""
        elements = job.cuts[0]
        list_addr = None
        if elements:
            list_addr = self.device.lists.allocate(SG_MAX * SG_ELEM_BYTES)
            if list_addr is None:
                return False
        if not self.device.reserve(CompletionKind.SEND):
            if list_addr is not None:
                self.device.lists.free(list_addr)
            return False
        job.cuts.popleft()
        length = sum(n for _, n in elements)
        final = not job.cuts
        disconnect = job.kind is CompletionKind.DISCONNECT and final
        # An entry without LAST completes with a later one; never let them fill the send table.
        self._unmarked = 0 if final or self._unmarked >= self.device.limits.sends // 2 else self._unmarked + 1
        last = self._unmarked == 0
        cookie = self.device.new_cookie()
        if list_addr is not None:
            raw = b"".join(SgElem(addr=addr, length=n).to_bytes() for addr, n in elements)
            self.device.memory.write(list_addr, raw)
        flags = DISCONNECT_GRACEFUL if disconnect else SEND_LAST if last else 0
        self.device.submit(
            Sqe(
                opcode=Opcode.DISCONNECT if disconnect else Opcode.SEND,
                flags=flags,
                conn=self.conn,
                gen=self.gen,
                count=len(elements),
                cookie=cookie,
                addr=list_addr or 0,
                length=length,
            )
        )
        self.entries.append(SendEntry(job, cookie, length, list_addr, last))
        job.posted += 1
        return True

    def on_send(self, cqe: Cqe) -> None:
        """A SEND completion: entries before it without one of their own are acknowledged in full."""
        if self._refused_alone(cqe):
            return
        while self.entries:
            entry = self.entries.popleft()
            self._entry_back(entry)
            if entry.cookie == cqe.cookie:
                job = entry.job
                if cqe.nbytes > entry.length or (cqe.status == Status.OK and cqe.nbytes != entry.length):
                    raise DriverError(
                        f"SEND completion with {cqe.nbytes} bytes, status {cqe.status}, for an entry of {entry.length}"
                    )
                job.acknowledged += cqe.nbytes
                if cqe.status != Status.OK and job.status is NdisStatus.SUCCESS:
                    job.status = io_status(job.kind, cqe.status)
                break
            entry.job.acknowledged += entry.length
        else:
            raise DriverError(f"SEND completion with cookie {cqe.cookie}, which is not outstanding")
        self._finish_jobs()

    def _refused_alone(self, cqe: Cqe) -> bool:
        """True for an entry refused at once while earlier ones still wait for their own completion: it fails alone."""
        at = next((i for i, entry in enumerate(self.entries) if entry.cookie == cqe.cookie), 0)
        if cqe.status == Status.OK or not any(entry.last for entry in islice(self.entries, at)):
            return False
        entry = self.entries[at]
        del self.entries[at]
        self._entry_back(entry)
        entry.job.status = io_status(entry.job.kind, cqe.status)
        self._finish_jobs()
        return True

    def _entry_back(self, entry: SendEntry) -> None:
        entry.job.posted -= 1
        if entry.list_addr is not None:
            self.device.lists.free(entry.list_addr)
        self.device.release(CompletionKind.SEND)

    def _finish_jobs(self) -> None:
        while self.jobs and self.jobs[0].done:
            job = self.jobs.popleft()
            self._finish(job)

    def _finish(self, job: SendJob) -> None:
        if job.status is not NdisStatus.SUCCESS:
            for later in self.jobs:  # CH-105: nothing behind a failed list is sent any more
                if later.status is NdisStatus.SUCCESS:
                    later.status = job.status
        if self.keep is not None and self.keep(job):
            return
        job.nbl.complete(Owner.TARGET, job.status, job.acknowledged)
        self.device.up(job.kind, job.nbl)

    # ---- receives --------------------------------------------------------------------------

    def receive(self, nbl: NetBufferList) -> None:
        """Queue a request."""
        self.receives.append(ReceiveJob(nbl, nbl.data_length))

    def _post_receive(self) -> bool:
        job = self.receives[0]
        left = job.length - job.filled
        elements = merge_adjacent(job.nbl.elements())
        addr = elements[0][0] + job.filled if len(elements) == 1 else 0
        if len(elements) > 1:
            block = self.device.bounce.allocate(job.length)
            if block is None:
                return False
            job.bounce, addr = block, block + job.filled
        if not self.device.reserve(CompletionKind.RECEIVE):
            if job.bounce is not None:
                self.device.bounce.free(job.bounce)
                job.bounce = None
            return False
        job.cookie = self.device.new_cookie()
        self.device.submit(
            Sqe(
                opcode=Opcode.RECEIVE,
                flags=RECEIVE_NOPUSH if job.nbl.no_push else 0,
                conn=self.conn,
                gen=self.gen,
                cookie=job.cookie,
                addr=addr,
                length=left,
            )
        )
        self.at_device.append(self.receives.popleft())
        return True

    def on_receive(self, cqe: Cqe) -> None:
        """A RECEIVE completion: first in, first out."""
        if not self.at_device or self.at_device[0].cookie != cqe.cookie:
            raise DriverError(f"RECEIVE completion with cookie {cqe.cookie} out of order or unknown")
        job = self.at_device.popleft()
        self.device.release(CompletionKind.RECEIVE)
        if cqe.nbytes > job.length - job.filled:
            raise DriverError(f"RECEIVE completion with {cqe.nbytes} bytes for {job.length}")
        if job.bounce is not None:
            placed = self.device.memory.read(job.bounce + job.filled, cqe.nbytes)
            job.nbl.write(Owner.TARGET, self.device.memory, placed, job.filled)
            self.device.bounce.free(job.bounce)
        self._receive_done(job, io_status(CompletionKind.RECEIVE, cqe.status), job.filled + cqe.nbytes)

    def _receive_done(self, job: ReceiveJob, status: NdisStatus, got: int) -> None:
        job.nbl.complete(Owner.TARGET, status, got)
        self.device.up(CompletionKind.RECEIVE, job.nbl)

    def fill_from(self, data: bytearray) -> None:
        """Place inherited bytes in waiting requests; push-mode requests go back with what they got."""
        while self.receives:
            job = self.receives[0]
            piece = bytes(data[: job.length - job.filled])
            if not piece and job.length:
                return
            job.nbl.write(Owner.TARGET, self.device.memory, piece, job.filled)
            job.filled += len(piece)
            del data[: len(piece)]
            if job.filled < job.length and job.nbl.no_push:
                return
            self.receives.popleft()
            self._receive_done(job, NdisStatus.SUCCESS, job.filled)

    # ---- end -------------------------------------------------------------------------------

    def close(self) -> None:
        """No more entries go to the device."""
        self.send_open = self.receive_open = False

    def flush(self, status: NdisStatus) -> None:
        """The device is done with the connection: complete what it never got."""
        while self.entries and not self.entries[0].last:  # acknowledged, or it had come back with an error
            entry = self.entries.popleft()
            entry.job.acknowledged += entry.length
            self._entry_back(entry)
        if self.entries or self.at_device:
            raise DriverError(
                f"TERMINATE completed with {len(self.entries)} sends and {len(self.at_device)} receives "
                f"of connection {self.conn} outstanding (CH-233)"
            )
        for job in self.jobs:
            if job.status is NdisStatus.SUCCESS:
                job.status = status
        self._finish_jobs()
        while self.receives:
            request = self.receives.popleft()
            self._receive_done(request, status, request.filled)
