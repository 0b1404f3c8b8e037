"""Sends and receives of one offloaded connection in the miniport driver.

A NET_BUFFER_LIST becomes one or more SEND entries of at most 16 elements, or one RECEIVE entry; what
is beyond the device's limits waits here in order. Byte counts of completions are turned back into
one completion per list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Protocol

from model.layout.generated import SEND_LEN_MAX, SG_ELEM_BYTES, SG_MAX, Cqe, Opcode, SgElem, Sqe, Status
from model.ndis.images import io_status
from model.ndis.memory import HostMemory
from model.ndis.netbuffer import NetBufferList, Owner
from model.ndis.rings import DriverError
from model.ndis.shares import SharedArena, Use
from model.ndis.status import CompletionKind, NdisStatus

#: Flags of entries (docs/layout.md, sqe.flags).
SEND_LAST = 1
RECEIVE_NOPUSH, RECEIVE_PREFILL = 1, 2
DISCONNECT_GRACEFUL = 1
DISCONNECT_ABORTIVE = 2
DISCONNECT_INHERITED = 4
#: How the device refuses an entry at once.
_REFUSED = frozenset((Status.BAD_STATE, Status.UPLOAD))

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
    #: The host says in TcpReceiveBytesTransferred what a request holds already (interface 6.20, G-04).
    prefill: bool = True


class Device(Protocol):
    """What a connection needs of the driver."""

    memory: HostMemory
    #: Scatter-gather lists and images; and, apart so that neither starves the other, bounce buffers.
    lists: SharedArena
    bounce: SharedArena
    limits: DeviceLimits
    #: Tick.
    now: int

    def submit(self, entry: Sqe) -> None:
        """Queue an entry."""
        ...

    def new_cookie(self) -> int:
        """A number never used before."""
        ...

    def reserve(self, kind: CompletionKind, conn: int) -> bool:
        """Take a place in the completion ring for a SEND or RECEIVE of a connection."""
        ...

    def release(self, kind: CompletionKind, conn: int) -> None:
        """Give it back."""
        ...

    def up(self, kind: CompletionKind, nbl: NetBufferList) -> None:
        """Hand a completed list to the host, in order."""
        ...

    def cannot_allocate(self, conn: int) -> None:
        """Memory that a connection needs will never be there: the host must take it back (CH-212)."""
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
    #: An abortive disconnect, and the receive that was posted last before it.
    abortive: bool = False
    behind: ReceiveJob | None = None
    #: The host sent it while the connection was being terminated.
    late: bool = False

    @property
    def unsettled(self) -> bool:
        """It may still end with SUCCESS."""
        return self.status is NdisStatus.SUCCESS

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
    #: Tick at which it went to the device.
    since: int = 0


@dataclass(eq=False)
class ReceiveJob:
    """A posted receive. ``filled`` bytes were placed by the driver before the device got it."""

    nbl: NetBufferList
    length: int
    #: Bus address if it is in one piece; 0 for an empty one.
    addr: int | None
    filled: int = 0
    cookie: int = 0
    bounce: int | None = None
    #: Bytes of the part that is at the device: fewer than are left where the connection's share holds no more.
    part: int = 0
    #: What the device answered: status, bytes.
    answer: tuple[NdisStatus, int] | None = None

    @property
    def left(self) -> int:
        """Bytes that it still wants."""
        return self.length - self.filled

    @property
    def in_parts(self) -> bool:
        """What is at the device is not its last part."""
        return self.part < self.left


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
    #: The device holds delivery back until a request that inherited bytes have begun to fill is in front of it.
    resume_owed: bool = False
    jobs: deque[SendJob] = field(default_factory=deque)
    entries: deque[SendEntry] = field(default_factory=deque)
    receives: deque[ReceiveJob] = field(default_factory=deque)
    at_device: deque[ReceiveJob] = field(default_factory=deque)
    #: Cookies of empty RECEIVE entries that are of no request, and whether one is to be posted (`crossed`).
    reminders: set[int] = field(default_factory=set)
    reminder_owed: bool = False
    #: The connection came with a FIN of its own: queued behind the inherited data, it has no list and no completion.
    fin_inherited: bool = False
    #: The host asked for a FIN, here or before the offload.
    closed: bool = False
    #: Asked for each finished job: True keeps it for the terminate chain.
    keep: Callable[[SendJob], bool] | None = None
    #: An abort was asked for or heard of: all that is outstanding ends REQUEST_ABORTED.
    aborted: bool = False
    #: The device lost the connection or does not answer: nothing is SUCCESS any more, whatever it says (CH-096, G-20).
    lost: bool = False
    #: An abortive disconnect ended with SUCCESS.
    reset_done: bool = False
    #: While a terminate is under way: what ended unfinished waits until it is known how the terminate ends (G-20).
    holding: bool = False
    _held: list[tuple[CompletionKind, NetBufferList]] = field(default_factory=list)
    #: The host has all lists back; the device may still write entries of its own for them.
    abandoned: bool = False
    #: The connection, its path or its neighbor is invalid: no frame may leave, so an abort waits for the terminate.
    mute: Callable[[], bool] = lambda: False
    #: The end of the stream is here, and the host hears of it once what it posted is back (G-17).
    fin_held: bool = False
    #: The peer reset the connection.
    reset_in: bool = False
    #: The host has not been told of the peer's RST yet: no receive ends aborted before it has (G-29).
    abort_untold: bool = False
    #: An abortive disconnect has succeeded: nothing else does any more.
    abort_done: bool = False
    #: Cookies of entries in front of it that were outstanding then: the device has refused them.
    passed: frozenset[int] = frozenset()

    # ---- completions -----------------------------------------------------------------------

    def _complete(self, kind: CompletionKind, nbl: NetBufferList, status: NdisStatus, transferred: int) -> None:
        """Hand a list to the host, or hold it back behind others that are held."""
        if self.abandoned:
            return
        spoiled = status in (NdisStatus.SUCCESS, NdisStatus.UPLOAD_IN_PROGRESS)
        if self.lost and spoiled:
            status = NdisStatus.REQUEST_ABORTED
        nbl.complete(Owner.TARGET, status, transferred)
        # A receive that succeeded behind held sends is not held: an indication behind it would overtake it.
        receive = CompletionKind.RECEIVE
        behind = any((held is receive) == (kind is receive) for held, _ in self._held)
        if self.holding and (behind or status is NdisStatus.UPLOAD_IN_PROGRESS):
            self._held.append((kind, nbl))
        else:
            self.device.up(kind, nbl)

    def release(self) -> None:
        """How the terminate ends is known: hand over what was held."""
        self.holding = False
        held, self._held = self._held, []
        for kind, nbl in held:
            if self.lost and nbl.status is NdisStatus.UPLOAD_IN_PROGRESS:
                nbl.set_status(Owner.TARGET, NdisStatus.REQUEST_ABORTED)
            self.device.up(kind, nbl)

    # ---- sends -----------------------------------------------------------------------------

    def send(self, nbl: NetBufferList, kind: CompletionKind = CompletionKind.SEND) -> None:
        """Queue a list."""
        elements = merge_adjacent(nbl.elements())
        cuts = cut(elements)
        if kind is CompletionKind.DISCONNECT and not cuts:
            cuts.append([])
        job = SendJob(nbl, kind, cuts, late=self.holding)
        # Nothing follows a FIN (7.2); one that is inherited and not posted yet would be overtaken.
        behind_fin = self.closed and (kind is CompletionKind.SEND or self.fin_inherited)
        if self.aborted or behind_fin:
            job.cuts.clear()
            job.status = NdisStatus.REQUEST_ABORTED
        self.closed |= kind is CompletionKind.DISCONNECT
        self.jobs.append(job)

    def disconnect_abortive(self, nbl: NetBufferList) -> None:
        """Queue an abortive disconnect: it overtakes what the device has not got yet (CH-181)."""
        behind = self.receives[-1] if self.receives else self.at_device[-1] if self.at_device else None
        self.jobs.append(SendJob(nbl, CompletionKind.DISCONNECT, deque(([],)), abortive=True, behind=behind))

    def cancel(self) -> None:
        """The connection is aborted: of what is not wholly at the device nothing more is sent (CH-182, CH-193)."""
        self.aborted = True
        for job in self.jobs:
            if job.cuts and not job.abortive:
                job.cuts.clear()
                job.status = NdisStatus.REQUEST_ABORTED if job.unsettled else job.status
        self._finish_jobs()

    @property
    def unsettled(self) -> bool:
        """A send or graceful disconnect may still end with SUCCESS."""
        return any(job.unsettled and not job.abortive for job in self.jobs)

    @property
    def closing(self) -> bool:
        """The host has asked for a disconnect, or the connection was aborted."""
        return self.aborted or self.fin_inherited or any(job.kind is CompletionKind.DISCONNECT for job in self.jobs)

    @property
    def has_work(self) -> bool:
        """Whether `pump` could do anything: most connections of a large device have nothing to post."""
        owed = self.reminder_owed or self.resume_owed or self.fin_inherited
        return bool(owed or self.jobs or self.receives)

    def pump(self) -> None:
        """Post what the device has room for."""
        abort = next((j for j in self.jobs if j.abortive and j.cuts and j.unsettled), None)
        if abort is not None and self.send_open:
            if self.mute() and self._reset_asked:  # nothing is owed to a connection that was reset (G-23)
                abort.cuts.clear()
                abort.status = NdisStatus.REQUEST_ABORTED
                self._finish_jobs()
            elif self.mute():  # an RST is a frame (G-03): the host sends it, behind the terminate
                self._abort_begins()
            else:
                self._post_abort(abort)
        while self.send_open and len(self.entries) < self.device.limits.sends:
            job = next((j for j in self.jobs if j.cuts and j.unsettled and not j.abortive), None)
            if job is None or not self._post_send(job):
                break
        room = len(self.entries) < self.device.limits.sends  # without it START fails
        if self.send_open and self.fin_inherited and room and not any(job.cuts for job in self.jobs):
            self._post_inherited_fin()
        while self.receive_open and self.receives and not self.aborted and not self.fin_held:
            in_parts = bool(self.at_device) and self.at_device[-1].in_parts  # what follows waits for its last one
            if in_parts or not self._room_for_receive or not self._post_receive():
                break
        if self.reminder_owed:
            self._remind()
        begun = bool(self.receives and self.receives[0].filled) and not self.aborted and not self.fin_held
        if self.resume_owed and not begun:
            self.resume_owed = False
            self.device.submit(Sqe(opcode=Opcode.RESUME, conn=self.conn, gen=self.gen))

    @property
    def _reset_asked(self) -> bool:
        """The device was asked for an RST before."""
        return self.reset_done or any(job.abortive and job.posted for job in self.jobs)

    def _post_abort(self, job: SendJob) -> None:
        """The entry that makes the device send an RST.

        It takes no place of the send table, and none of the completion ring: it is answered without the peer's help.
        """
        job.cuts.clear()
        job.posted = 1
        cookie = self.device.new_cookie()
        flags = DISCONNECT_ABORTIVE
        self.device.submit(Sqe(opcode=Opcode.DISCONNECT, flags=flags, conn=self.conn, gen=self.gen, cookie=cookie))
        self.entries.append(SendEntry(job, cookie, 0, None, self.device.now))
        self._abort_begins()

    def abort_waits(self, since: int) -> bool:
        """An abort has been at the device since a tick or longer."""
        return any(entry.job.abortive and entry.since <= since for entry in self.entries)

    def _abort_begins(self) -> None:
        """From here on nothing is sent, and what ends is aborted."""
        if not self.aborted:
            self.cancel()

    def _post_inherited_fin(self) -> None:
        """10.1 (5): the host closed the connection before it was offloaded."""
        self.fin_inherited = False
        flags = DISCONNECT_GRACEFUL | DISCONNECT_INHERITED
        self.device.submit(Sqe(opcode=Opcode.DISCONNECT, flags=flags, conn=self.conn, gen=self.gen))

    def _post_send(self, job: SendJob) -> bool:
        """One entry; False if set-up memory or the completion ring is short."""
        elements = job.cuts[0]
        list_addr = None
        if elements:
            list_addr = self.device.lists.place((Use.ELEMENTS, self.conn), SG_MAX * SG_ELEM_BYTES)
            if list_addr is None:
                return False
        if not self.device.reserve(CompletionKind.SEND, self.conn):
            if list_addr is not None:
                self.device.lists.free(list_addr)
            return False
        job.cuts.popleft()
        length = sum(n for _, n in elements)
        final = not job.cuts
        disconnect = job.kind is CompletionKind.DISCONNECT and final
        cookie = self.device.new_cookie()
        if list_addr is not None:
            raw = b"".join(SgElem(addr=addr, length=n).to_bytes() for addr, n in elements)
            self.device.memory.write(list_addr, raw)
        # Without LAST an entry that was acknowledged leaves no trace, and nobody knows whether it was before an abort:
        # what comes back behind it with an error may have been refused, and have overtaken it.
        flags = DISCONNECT_GRACEFUL if disconnect else SEND_LAST
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
        self.entries.append(SendEntry(job, cookie, length, list_addr))
        job.posted += 1
        return True

    def on_send(self, cqe: Cqe) -> None:
        """A SEND completion, in turn.

        One with an error may overtake: tcp_engine refuses an entry at once, while earlier ones are still on their way.
        That of an abortive disconnect, the last one to succeed, may in turn overtake a refusal before it.
        """
        entry = next((e for e in self.entries if e.cookie == cqe.cookie), None)
        if entry is None:
            raise DriverError(f"SEND completion with cookie {cqe.cookie}, which is not outstanding")
        if cqe.nbytes > entry.length or (cqe.status == Status.OK and cqe.nbytes != entry.length):
            raise DriverError(
                f"SEND completion with {cqe.nbytes} bytes, status {cqe.status}, for an entry of {entry.length}"
            )
        if cqe.status == Status.OK:
            self._in_turn(entry)
        if entry.cookie in self.passed and (cqe.nbytes or cqe.status not in _REFUSED):
            raise DriverError(f"SEND completion of connection {self.conn} with status {cqe.status} behind an abort")
        self.entries.remove(entry)
        self._entry_back(entry)
        job = entry.job
        job.acknowledged += cqe.nbytes
        if cqe.status != Status.OK and job.unsettled:
            job.status = self._ended_as(io_status(job.kind, cqe.status), job.abortive)
        self._finish_jobs()
        self.drop_receives()

    def _in_turn(self, entry: SendEntry) -> None:
        """A success that is no abort: nothing posted before it is outstanding, and no abort has succeeded."""
        first = self.entries[0]
        if entry.job.abortive:
            self.abort_done = True
            self.passed = frozenset(e.cookie for e in takewhile(lambda e: e is not entry, self.entries))
        elif self.abort_done or first is not entry:
            other = "of an abortive disconnect" if self.abort_done else f"with cookie {first.cookie}"
            raise DriverError(f"SEND completion of connection {self.conn} passed the one {other}")

    def _ended_as(self, status: NdisStatus, abortive: bool = False) -> NdisStatus:
        """What an upload ends behind an abort that could not be sent is aborted."""
        waiting = self.aborted and not abortive and status is NdisStatus.UPLOAD_IN_PROGRESS
        return NdisStatus.REQUEST_ABORTED if waiting else status

    def _entry_back(self, entry: SendEntry) -> None:
        entry.job.posted -= 1
        if entry.list_addr is not None:
            self.device.lists.free(entry.list_addr)
        if not entry.job.abortive:
            self.device.release(CompletionKind.SEND, self.conn)

    @property
    def aborting(self) -> bool:
        """The device has an abortive disconnect, or gets one next, and has not said how it ended."""
        if self.lost:
            return False
        next_one = self.send_open and not self.mute() and any(j.abortive and j.cuts and j.unsettled for j in self.jobs)
        return next_one or any(entry.job.abortive for entry in self.entries)

    def finish(self) -> None:
        """Complete what is done: a list without data is as soon as it is its turn."""
        self._finish_jobs()

    def _finish_jobs(self) -> None:
        """Give back what is done and in turn."""
        while self._finish_sends() or self._finish_receives():
            pass

    def _finish_sends(self) -> bool:
        finished = False
        while self.jobs and self.jobs[0].done and not self._receives_first(self.jobs[0]):
            finished = True
            self._finish(self.jobs.popleft())
        return finished

    @property
    def _sends_first(self) -> bool:
        """G-06, G-29: behind an abort the outstanding sends, and the event, come before the receives."""
        ahead = takewhile(lambda job: not job.abortive, self.jobs)
        sends = any(job.kind is CompletionKind.SEND for job in ahead)
        return self.aborted and (self.abort_untold or sends)

    def _receives_first(self, job: SendJob) -> bool:
        """G-06: the receives posted before an abortive disconnect come back before it, however it ends."""
        return job.abortive and (job.behind in self.receives or job.behind in self.at_device)

    def _finish(self, job: SendJob) -> None:
        if job.status is not NdisStatus.SUCCESS:
            for later in self.jobs:  # CH-105: nothing behind a failed list is sent any more
                if later.unsettled and not later.abortive:
                    later.status = job.status
        if self.keep is not None and not self.abandoned and self.keep(job):
            return
        self.reset_done = self.reset_done or (job.abortive and job.unsettled)
        self._complete(job.kind, job.nbl, job.status, job.acknowledged)

    # ---- receives --------------------------------------------------------------------------

    def receive(self, nbl: NetBufferList) -> None:
        """Queue a request."""
        pieces = merge_adjacent(nbl.elements())
        addr = pieces[0][0] if len(pieces) == 1 else None if pieces else 0
        self.receives.append(ReceiveJob(nbl, nbl.data_length, addr))

    @property
    def _room_for_receive(self) -> bool:
        return len(self.at_device) + len(self.reminders) < self.device.limits.receives

    @property
    def wants_data(self) -> bool:
        """Requests come before an indication (CH-142): those that wait here, and those that met it on their way.

        An empty one wants none, and asks for the indication (CH-153).
        """
        return any(job.left for job in (*self.receives, *self.at_device) if job.answer is None)

    @property
    def unanswered(self) -> bool:
        """The device has a request, or will have when it commits what it was given."""
        return any(job.answer is None for job in self.at_device)

    def crossed(self) -> None:
        """An indication that met requests was refused: what they leave over is indicated again (CH-151, G-28).

        The device has the requests already, and would wait for one that comes behind the refusal.
        """
        self.reminder_owed = not self.receives
        self.pump()

    def _remind(self) -> None:
        """An empty RECEIVE ends the refusal."""
        over = not self.receive_open or self.aborted or self.fin_held
        if over or (self._room_for_receive and self.device.reserve(CompletionKind.RECEIVE, self.conn)):
            self.reminder_owed = False
        if over or self.reminder_owed:
            return
        cookie = self.device.new_cookie()
        self.reminders.add(cookie)
        self.device.submit(Sqe(opcode=Opcode.RECEIVE, conn=self.conn, gen=self.gen, cookie=cookie))

    def _post_receive(self) -> bool:
        job = self.receives[0]
        if job.left > SEND_LEN_MAX or (job.addr is None and job.length > self.device.bounce.size):
            self.device.cannot_allocate(self.conn)
            return False
        if not self.device.reserve(CompletionKind.RECEIVE, self.conn):
            return False
        addr, job.part = job.addr, job.left
        if addr is None:
            block = self.device.bounce.take((Use.RECEIVE, self.conn), job.left)
            if block is None:
                self.device.release(CompletionKind.RECEIVE, self.conn)
                return False
            addr = job.bounce = block.addr
            job.part = block.size
        else:
            addr += job.filled
        job.cookie = self.device.new_cookie()
        self.device.submit(
            Sqe(
                opcode=Opcode.RECEIVE,
                flags=self._request_flags(job),
                conn=self.conn,
                gen=self.gen,
                cookie=job.cookie,
                addr=addr,
                length=job.part,
            )
        )
        self.at_device.append(self.receives.popleft())
        self.reminder_owed = False
        return True

    def _request_flags(self, job: ReceiveJob) -> int:
        """A push-mode request whose buffer holds bytes is timed from when it is posted (CH-131)."""
        if job.nbl.no_push:
            return RECEIVE_NOPUSH
        prefilled = bool(job.filled) or (job.nbl.prefilled and self.device.limits.prefill)
        return RECEIVE_PREFILL if prefilled else 0

    def on_receive(self, cqe: Cqe) -> None:
        """A RECEIVE completion: first in, first out, but a request may be refused before earlier ones are aborted."""
        if cqe.cookie in self.reminders:
            self.reminders.remove(cqe.cookie)
            self.device.release(CompletionKind.RECEIVE, self.conn)
            return
        job = next((j for j in self.at_device if j.cookie == cqe.cookie and j.answer is None), None)
        first = next((j for j in self.at_device if j.answer is None), None)
        if job is None or (job is not first and cqe.status != Status.ABORTED):
            raise DriverError(f"RECEIVE completion with cookie {cqe.cookie} out of order or unknown")
        self.device.release(CompletionKind.RECEIVE, self.conn)
        if cqe.nbytes > job.part:
            raise DriverError(f"RECEIVE completion with {cqe.nbytes} bytes for {job.part}")
        if job.bounce is not None:
            placed = self.device.memory.read(job.bounce, cqe.nbytes)
            if not self.abandoned:
                job.nbl.write(Owner.TARGET, self.device.memory, placed, job.filled)
            self.device.bounce.free(job.bounce)
            job.bounce = None
        if job.in_parts and cqe.status == Status.OK and cqe.nbytes == job.part and not self.abandoned:
            self._next_part(job)
            return
        status = self._ended_as(io_status(CompletionKind.RECEIVE, cqe.status))
        if self.fin_held and status is NdisStatus.INVALID_STATE:
            status = NdisStatus.SUCCESS  # the host does not know yet (CH-137)
        job.answer = status, job.filled + cqe.nbytes
        self._finish_jobs()

    def _next_part(self, job: ReceiveJob) -> None:
        """One part of a request is full; nothing was posted behind it."""
        self.at_device.pop()
        job.filled += job.part
        self.receives.appendleft(job)
        self._finish_jobs()

    def drop_receives(self) -> None:
        """Requests of an aborted connection that wait here end behind those at the device, and never get there.

        The delivery engine may hear of the abort later than of a request that was posted behind it.
        """
        self._finish_jobs()

    def _finish_receives(self) -> bool:
        finished = False
        while self.at_device and (answer := self.at_device[0].answer) is not None:
            if answer[0] is NdisStatus.REQUEST_ABORTED and self._sends_first:
                return finished
            finished = True
            self._receive_done(self.at_device.popleft(), *answer)
        while self.aborted and not self._sends_first and self.receives and not self.at_device:
            finished = True
            request = self.receives.popleft()
            self._receive_done(request, NdisStatus.REQUEST_ABORTED, request.filled)
        return finished

    def settle_receives(self) -> bool:
        """The stream has ended: what the device never got is complete as it stands (G-17). False while it has some."""
        if self.at_device:
            return False
        while self.receives:
            request = self.receives.popleft()
            self._receive_done(request, NdisStatus.SUCCESS, request.filled)
        return True

    def _receive_done(self, job: ReceiveJob, status: NdisStatus, got: int) -> None:
        self._complete(CompletionKind.RECEIVE, job.nbl, status, got)

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
        waited = sum(job.answer is None for job in self.at_device) + len(self.reminders)
        if self.entries or waited:
            raise DriverError(
                f"TERMINATE completed with {len(self.entries)} sends and {waited} receives "
                f"of connection {self.conn} outstanding (CH-233)"
            )
        for job in self.jobs:
            if job.unsettled and not (job.abortive and job.done):
                unsent = job.abortive and bool(job.cuts) and not self.reset_in
                job.status = NdisStatus.UPLOAD_IN_PROGRESS if unsent else status
        self.abort_untold = False
        self._finish_jobs()
        while self.receives:
            request = self.receives.popleft()
            self._receive_done(request, status, request.filled)
        self._finish_jobs()

    def abandon(self) -> None:
        """The device does not answer: the host gets everything back now, aborted, with the known counts (G-20)."""
        self.close()
        self.aborted = self.lost = True
        self.release()
        for job in self.jobs:
            self._complete(job.kind, job.nbl, NdisStatus.REQUEST_ABORTED, job.acknowledged)
        for request in (*self.at_device, *self.receives):
            self._receive_done(request, *(request.answer or (NdisStatus.REQUEST_ABORTED, request.filled)))
        self.receives.clear()
        self.at_device = deque(request for request in self.at_device if request.answer is None)
        self.abandoned = True
