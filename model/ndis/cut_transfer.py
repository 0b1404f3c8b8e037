"""A file transfer whose connection goes back to the host stack at any point, lives there, and is offloaded again.

What the host stack goes on with is the uploaded state, the send data that came back, and the buffered receive data:
nothing else crosses the seam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model.ndis.enums import FIN_SENT_STATES, OFFLOADABLE_STATES, TcpConnectionState, TcpEventType
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.framing import MASK32, Endpoint
from model.ndis.host import NdisHost
from model.ndis.hoststack import StackConnection
from model.ndis.netbuffer import BufferShape, NetBufferList
from model.ndis.offload_state import TcpDelegated
from model.ndis.status import NdisStatus

#: Pages in any order: a list of any length that goes down with a hand-over fits the send table of the device.
WHOLE_PAGES = BufferShape(max_net_buffers=1, max_mdls=1, max_slack=0, alignment=1)
#: Inherited send data up to this length is scattered as the data of any other send, in bytes.
SCATTERED_BYTES = 4096
#: What the host stack adds to the send data between two offloads at most, in bytes.
SOFTWARE_BYTES = 6000

#: Ticks that a connection stays with the host stack when the target asked for the upload.
PAUSE_AFTER_RETRIEVE = 100


@dataclass(frozen=True)
class HandedBack:
    """What one terminate brought. ``unacknowledged`` begins at SndUna, ``buffered`` ends at RcvNxt - 1."""

    status: NdisStatus
    delegated: TcpDelegated | None
    unacknowledged: bytes
    buffered: bytes
    #: Bytes of the file from SndUna to the last one that was given to the target, and what the host received before.
    expected: bytes
    received: int
    #: Bytes that lie below RcvNxt, as the peer's initial sequence number tells; the FIN is not among them.
    below_rcv_nxt: int


class CutTransferApp(FileTransferApp):
    """A transfer that can be cut while it is offloaded. ``handed_back`` is told what each terminate brought."""

    def __init__(
        self, host: NdisHost, config: FileTransferConfig, data: bytes, remote: Endpoint, local_port: int
    ) -> None:
        super().__init__(host, config, data, remote, local_port)
        self.handed_back: Callable[[HandedBack], None] = lambda _: None
        #: Hand-overs to the target that succeeded, and that it refused.
        self.offloads = 0
        self.refusals = 0
        #: Bytes of the file that may be sent by now.
        self.send_limit = len(data)
        #: The connection is not closed yet, whatever was transferred.
        self.stays_open = False
        #: Ticks between the next upload and the next offload; None: the connection stays with the host stack.
        self._pause: int | None = None
        self._again_at: int | None = None
        self._stay_until: int | None = None
        self._keeps_received = False
        self._software_sends = False
        self._peer_closed = False
        self._first_received = 0

    # ---- cutting ---------------------------------------------------------------------------

    @property
    def can_be_cut(self) -> bool:
        """The connection is offloaded and no upload is on its way."""
        return self.phase in (AppPhase.RUNNING, AppPhase.DISCONNECTING) and not self._want_upload

    @property
    def disconnect_pending(self) -> bool:
        """A graceful disconnect was called for and has not completed."""
        return self._disconnect_issued and not self._disconnect_done

    def cut(self, pause: int, keep_received: bool = False) -> None:
        """Upload with the next step, offload again ``pause`` ticks after the upload.

        ``keep_received``: what arrives in between goes down as buffered receive data.
        """
        self._want_upload = True
        self._pause, self._keeps_received = pause, keep_received

    @property
    def deadline(self) -> int | None:
        """The next hand-over, in either direction."""
        if self.phase is AppPhase.SOFTWARE:
            return self._again_at
        return self._stay_until if self.can_be_cut else None

    # ---- back to the host stack ------------------------------------------------------------

    def _handed_back(
        self, status: NdisStatus, delegated: TcpDelegated | None, unacknowledged: bytes, buffered: bytes
    ) -> None:
        self._again_at = None if self._pause is None else self.host.now + self._pause
        self._software_sends = self._streams.stream("software sends").random() < 0.5
        self._pause = None
        self._outstanding = 0
        at = below = 0
        if delegated is not None:
            states = TcpConnectionState
            closed = (states.CLOSE_WAIT, states.CLOSING, states.LAST_ACK, states.TIME_WAIT)
            at = (delegated.snd_una - self.config.tcp.initial_seq - 1) & MASK32
            below = (delegated.rcv_nxt - self._first_received - (delegated.state in closed)) & MASK32
        expected = self.data[at : self._next]
        before = len(self.sink) - len(buffered)
        self.handed_back(HandedBack(status, delegated, unacknowledged, buffered, expected, before, below))

    def _take_software(self, stack: StackConnection) -> bool:
        keeps = self._keeps_received and self._again_at is not None and not stack.tcp.ended
        return False if keeps else super()._take_software(stack)

    def _software(self) -> bool:
        if self._again_at is None or self._require_stack().tcp.ended:
            self._again_at = None
            return super()._software()
        if self.host.now >= self._again_at:
            return self._offload_again()
        return self._software_between()

    def _software_between(self) -> bool:
        """Between two offloads the host stack sends a little of its own and closes if it is time to."""
        stack, now = self._require_stack(), self.host.now
        progress = self._take_software(stack)
        if stack.tcp.fin_queued:
            return progress
        left = len(self.data) - self._next
        if left and self._software_sends and self._next < self.send_limit:
            self._software_sends = False
            size = self._streams.stream("software size").randint(1, SOFTWARE_BYTES)
            piece = self.data[self._next : self._next + size]
            self._next += len(piece)
            stack.tcp.send(piece, now)
            return True
        if not left and len(self.sink) >= len(self.data) and not self.stays_open:
            stack.tcp.close(now)
            return True
        return progress

    # ---- down again ------------------------------------------------------------------------

    def _offload_again(self) -> bool:
        stack = self._require_stack()
        self._again_at = None
        tcp = stack.tcp
        if tcp.state not in OFFLOADABLE_STATES or not self.host.may_offload:
            return True
        sent = tcp.state in FIN_SENT_STATES or tcp.state is TcpConnectionState.FIN_WAIT_2
        self._disconnect_issued = self._disconnect_done = sent
        self._stay_until = self.host.now + self._streams.stream("stay").randint(1, 60) if sent else None
        self._want_upload = False
        self._peer_closed = tcp.peer_fin
        self._outstanding = len(tcp.send_buffer)
        self._hand_over(stack)
        return True

    def _hand_over(self, stack: StackConnection) -> None:
        if not self.offloads:
            before = len(self.sink) + len(stack.tcp.received)
            self._first_received = (stack.tcp.rcv_nxt - before - stack.tcp.peer_fin) & MASK32
        super()._hand_over(stack)

    def _inherit(self, data: bytes) -> NetBufferList:
        if len(data) <= SCATTERED_BYTES:
            return super()._inherit(data)
        nbl = self.host.build(data, WHOLE_PAGES, self._streams.stream("handed back"))
        return super()._inherit(data) if nbl is None else nbl

    def initiated(self, status: NdisStatus) -> None:
        """OffloadClient: with the FIN sent before the hand-over there is nothing left to call for."""
        super().initiated(status)
        self.offloads += status.offloaded
        self.refusals += not status.offloaded
        if status.offloaded and self._disconnect_issued:
            self.phase = AppPhase.DISCONNECTING

    def event(self, event: TcpEventType, info: int) -> None:
        """OffloadClient: what the target gives back goes down again later, too."""
        super().event(event, info)
        if event is TcpEventType.RETRIEVE and self._pause is None:
            self._pause = PAUSE_AFTER_RETRIEVE

    @property
    def _still_to_come(self) -> int:
        """Of what is held back nobody can say when it comes."""
        sure = self._next if self.send_limit < len(self.data) else len(self.data)
        return min(super()._still_to_come, sure - len(self.sink))

    def _send(self) -> bool:
        return self._next < self.send_limit and super()._send()

    def _disconnect(self) -> bool:
        return not self.stays_open and super()._disconnect()

    def _post_receives(self) -> bool:
        if self._peer_closed and self._still_to_come <= 0:
            return False
        return super()._post_receives()

    def _terminate(self) -> bool:
        """No event tells that a FIN of before the hand-over was acknowledged: look after a while."""
        if self._stay_until is not None and self.can_be_cut and self.host.now >= self._stay_until:
            self._want_upload = True
        return super()._terminate()
