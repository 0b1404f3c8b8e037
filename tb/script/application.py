"""The application of a trace and the host below it: socket calls become chimney calls, and software behind an upload.

What the application has not read waits in the socket, as far as its buffer goes; more is refused and stays with the
target until it is read. Whatever ends the offload (a request for upload, a reset) is followed by a terminate, and the
software stack goes on from the uploaded state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from model.ndis.bookkeeping import Outstanding
from model.ndis.enums import (
    DisconnectFlags,
    TcpConnectionState,
    TcpEventType,
    UploadReason,
)
from model.ndis.framing import MASK32
from model.ndis.netbuffer import NetBufferList, Owner, slice_elements
from model.ndis.offload_state import TcpDelegated
from model.ndis.status import NdisStatus
from tb.script.established import ISS, Established
from tb.script.wire import octets
from tb.tests.stage import FAR_IP, FAR_IP6, FAR_MAC, Given, Scene

if TYPE_CHECKING:
    from tb.contract.scenes.stage import SceneStage

State = TcpConnectionState
#: The state of a connection by: our FIN was sent, it was acknowledged, the peer's came.
SYNCHRONIZED = {
    (False, False, False): State.ESTABLISHED, (True, False, False): State.FIN_WAIT_1,
    (True, True, False): State.FIN_WAIT_2, (False, False, True): State.CLOSE_WAIT,
    (True, False, True): State.LAST_ACK, (True, True, True): State.TIME_WAIT,
}  # fmt: skip


class Application(Established):
    """One connection: socket, host, and what the software stack knows of it."""

    def __init__(self, stage: SceneStage, number: int, family: int = 4) -> None:
        super().__init__(stage, f"script {number}", number, FAR_MAC, FAR_IP6 if family == 6 else FAR_IP)
        #: What a frame that reaches the far end is given to.
        self.heard: Callable[[bytes, int], None] = lambda frame, tick: None
        #: Received, not read.
        self.unread = bytearray()
        self.read_so_far = 0
        self.eof = self.reset = self.timed_out = False
        self.shut_read = self.shut_write = self.closed = False
        self.lingers_not = False
        self.refused = False
        self.reading = False
        self._lists = 0
        self._abort_wanted = self._terminating = self._resumed = False
        self._reason: UploadReason | None = None
        #: Relative acknowledgment that the peer said last.
        self.far_acked: Callable[[], int] = lambda: 1
        #: Octets that went out so far.
        self.sent: Callable[[], int] = lambda: 0

    # ---- socket calls ----

    @property
    def resumed(self) -> bool:
        """The software stack has the connection back."""
        return self._resumed

    def write(self, count: int) -> Scene:
        """Send ``count`` octets."""
        yield self.is_owned
        if not self.writable:
            return
        data = octets(self.written + 1, count)
        if self._resumed:
            self.stack.tcp.send(data, self.host.now)
        else:
            self._lists += 1
            yield from self.send(self.make(f"S{self._lists}", data))
        self.written += count

    def is_owned(self) -> bool:
        """No upload is on its way: the target has the connection, or the software stack has it, or nobody."""
        leaves = self.reset or self._reason is not None or self._terminating
        return self._resumed or self.upload is not None or not leaves

    @property
    def writable(self) -> bool:
        """A write would be taken."""
        ended = self._resumed and (self.stack.tcp.ended or self.stack.tcp.fin_queued)
        return not (self.shut_write or self.closed or self.reset or self.timed_out or ended)

    def shutdown(self) -> Scene:
        """No more is sent: FIN behind what was written."""
        yield self.is_owned
        self.shut_write = True
        if self.reset or self.timed_out:
            return
        if self._resumed:
            self.stack.tcp.close(self.host.now)
            return
        self._lists += 1
        yield from self.disconnect(self.make(f"D{self._lists}", b""))

    def close(self) -> Scene:
        """Nobody reads or writes any more. With unread data or without lingering: RST (RFC 9293 3.6.1, SHLD-3)."""
        self.closed = True
        if self.lingers_not or self.unread or self.refused:
            self._abort_wanted = True
        elif not self.shut_write:
            yield from self.shutdown()

    @property
    def first_unread(self) -> int:
        """Relative sequence number of the next octet to be read."""
        return self.first + self.read_so_far

    @property
    def acknowledged(self) -> int:
        """Octets that the peer has acknowledged, as its segments say."""
        return min(self.written, max(0, self.far_acked() - 1))

    def pull(self, count: int) -> Scene:
        """Have up to ``count`` octets unread: what the target kept is fetched by a receive request."""
        yield self.is_owned
        want = count - len(self.unread)
        if want <= 0 or not self.refused or self._resumed or self._terminating:
            return
        self.reading, self.refused = True, False
        self._lists += 1
        yield from self.post((f"R{self._lists}", want, False))
        name = f"R{self._lists}"
        yield self.came_back(name)
        self.reading = False

    def ask(self, count: int) -> Scene:
        """Post a receive request before anything is there; what comes in it waits in the socket as the rest does."""
        yield self.is_owned
        if self._resumed or self.reset or self.timed_out:
            return
        self.refused = False
        self._lists += 1
        yield from self.post((f"R{self._lists}", count, False))

    def take(self, count: int) -> bytes:
        """Read up to ``count`` octets of those that wait."""
        data = bytes(self.unread[:count])
        del self.unread[:count]
        self.read_so_far += len(data)
        return data

    # ---- OffloadClient ----

    def indicated(self, nbl: NetBufferList) -> tuple[NdisStatus, int]:
        """Into the socket's buffer, or refused if it is full."""
        total = nbl.data_length
        room = total if self.closed else max(0, self.limit - len(self.unread))
        count = min(total, room)
        memory = self.stage.memory
        data = b"".join(memory.read(a, n) for a, n in slice_elements(nbl.elements(), 0, count))
        self._received(data)
        if count == total:
            return NdisStatus.SUCCESS, total
        self.refused = True
        refused = NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED if count else NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED
        return refused, count

    def _received(self, data: bytes) -> None:
        if self.closed and data:
            self._abort_wanted = True  # RFC 9293 3.6.1, SHLD-3: nobody will read it
            return
        self.unread += data

    def receive_returned(self, done: Outstanding) -> None:
        memory = self.stage.memory
        self._received(b"".join(memory.read(addr, n) for addr, n in done.placed()))
        self._kept(done)

    def event(self, event: TcpEventType, info: int) -> None:
        """The peer closed or reset, or the target wants the connection to be uploaded."""
        super().event(event, info)
        if event is TcpEventType.DISCONNECT:
            self.eof = True
        elif event is TcpEventType.ABORT:
            self.reset = True
        elif event is TcpEventType.RETRIEVE:
            self._reason = UploadReason(info)

    def step(self) -> bool:
        """What the host does by itself, one thing at a time."""
        if self.over or self.offload_status is not NdisStatus.SUCCESS:
            return False
        if self._resumed:
            return self._software()
        if self.upload is not None:
            self._go_on()
            return True
        if self._terminating or self.connection.calls_in_progress:
            return False
        if self.reset or self._reason is not None:
            self._terminating = True
            self.host.terminate(self.connection)
            return True
        if self._abort_wanted:
            self._abort_wanted = False
            self.reset = True
            self._lists += 1
            nbl = self.make(f"A{self._lists}", b"")
            self.host.issue_disconnect(self.connection, nbl, DisconnectFlags.ABORTIVE)
            return True
        return False

    def _go_on(self) -> None:
        """The software stack goes on from the uploaded state."""
        self._resumed = True
        _, delegated, buffered = self.upload or (None, None, b"")
        if delegated is None:
            return
        self._received(buffered)
        rest = b"".join(given.nbl.read(Owner.HOST, self.host.memory) for given in self._unfinished())
        if delegated.state is State.CLOSED and self._reason is UploadReason.UPLOAD_REQUESTED and not self.reset:
            delegated = replace(delegated, state=self._before(delegated))
            challenged = True
        else:
            challenged = False
        tcp = self.stack.tcp
        if self.reset or self._reason is UploadReason.TIMEOUT_EXPIRATION:
            self.timed_out = not self.reset
            self.host.stack.uploaded(self.stack, replace(delegated, state=State.CLOSED), b"", False, self.host.now)
            tcp.give_up("reset" if self.reset else "timed out")
            return
        self.host.stack.uploaded(self.stack, delegated, rest, self._closing, self.host.now)
        if challenged:
            tcp.acknowledge(self.host.now)

    def _before(self, delegated: TcpDelegated) -> State:
        """The state that a connection was in before a SYN at RcvNxt had it uploaded as CLOSED.

        RFC 5961, 4.2: the SYN changes nothing, it is answered by a challenge ACK; the host does it, as the target only
        uploads (NDIS sheet, 5.7).
        """
        sent = self._closing and (delegated.snd_max - ISS) & MASK32 == (self.written + 2) & MASK32
        acked = sent and delegated.snd_una == delegated.snd_max
        if sent and self.eof and acked:
            return State.TIME_WAIT
        return SYNCHRONIZED[sent, acked, self.eof]

    def _unfinished(self) -> Iterator[Given]:
        """Send and disconnect lists that came back with data, in order; what the initiate brought is the first."""
        for given in self.given.values():
            if given.name[0] in "SDi" and self.returned(given.name).status is not NdisStatus.SUCCESS:
                yield given

    def _software(self) -> bool:
        """News of the connection that is worked on in software."""
        tcp = self.stack.tcp
        data = tcp.take_received()
        if self._abort_wanted and not tcp.ended:
            self._abort_wanted, self.reset = False, True
            tcp.abort(self.host.now)
            return True
        if data:
            self._received(data)
        if tcp.aborted and not self.reset:
            self.reset = True
            return True
        if tcp.peer_fin and not self.eof:
            self.eof = True
            return True
        return bool(data)

    # ---- end ----

    def drop_all(self) -> Scene:
        """The trace is over: upload and forget."""
        if self.offload_status is not NdisStatus.SUCCESS:
            self.over = True
            return
        if self.upload is None and not self._terminating:
            self._terminating = True
            yield from self.terminate()
        yield lambda: self.upload is not None
        self._resumed = True
        self.stack.tcp.give_up("the trace is over")
        self.end()
