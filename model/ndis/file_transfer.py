"""An application that sends a file over an offloaded connection and collects what comes back.

handshake in software -> initiate -> sends, posted receives, indications -> graceful disconnect ->
terminate -> the software stack takes the connection to its end. Nothing here waits or assumes a
time: ``step`` issues what is possible now, everything else is a reaction to a completion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from model.ndis.bookkeeping import REFUSED_ABOVE, Outstanding
from model.ndis.enums import (
    OFFLOADABLE_STATES,
    DisconnectFlags,
    NblInfo,
    TcpConnectionState,
    TcpEventType,
    UploadReason,
)
from model.ndis.framing import Endpoint
from model.ndis.host import HostError, NdisHost, OffloadedConnection
from model.ndis.hoststack import StackConnection
from model.ndis.memory import PAGE_SIZE
from model.ndis.netbuffer import (
    BufferShape,
    Mdl,
    NetBuffer,
    NetBufferList,
    Owner,
    allocate_net_buffer,
    free_net_buffer_list,
    slice_elements,
)
from model.ndis.offload_state import TcpDelegated
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import NdisStatus
from model.streams import Streams

#: (smallest, largest, weight) of a size in bytes.
SizeMix = tuple[tuple[int, int, int], ...]
#: Receive requests in a row that may come back without success before the application gives the device up. A sound
#: device says beside the first of them why (an event, a mandatory upload): then no more are posted.
MOST_REFUSALS = 64


class AppPhase(Enum):
    """Life of a transfer."""

    START = "start"
    CONNECTING = "connecting"
    INITIATING = "initiating"
    RUNNING = "running"
    DISCONNECTING = "disconnecting"
    TERMINATING = "terminating"
    SOFTWARE = "software"
    DONE = "done"
    FAILED = "failed"


class TerminateWhen(Enum):
    """When a finished transfer is uploaded."""

    AT_ONCE = "right behind the disconnect call"
    AFTER_DISCONNECT = "when the disconnect completed"
    AFTER_PEER_FIN = "when the peer closed too"


@dataclass(frozen=True)
class FileTransferConfig:
    """How a transfer behaves. Sizes in bytes; probabilities 0..1."""

    seed: int = 1
    tcp: SoftTcpConfig = field(default_factory=SoftTcpConfig)
    send_sizes: SizeMix = ((1, 300, 2), (301, 9_000, 4), (9_001, 65_536, 3))
    send_shape: BufferShape = field(default_factory=BufferShape)
    max_outstanding_send: int = 256 * 1024
    max_chain: int = 4
    receive_sizes: SizeMix = ((1, 500, 1), (501, 8_192, 4), (8_193, 65_536, 2))
    receive_shape: BufferShape = field(default_factory=lambda: BufferShape(1, 3, 32))
    #: Chance that a receive buffer is one physically contiguous piece.
    contiguous_receive: float = 0.5
    #: Requests outstanding: drawn anew from these for each epoch of received bytes.
    receive_windows: tuple[int, ...] = (0, 1, 2, 4, 8)
    receive_epoch: int = 64 * 1024
    nonpush: float = 0.3
    zero_byte_receive: float = 0.1
    #: Of an indication: refuse, accept in part; else accept.
    refuse: float = 0.15
    accept_part: float = 0.2
    #: Chance that a receive is posted from inside a receive completion.
    reentrant_post: float = 0.3
    terminate_when: TerminateWhen = TerminateWhen.AFTER_DISCONNECT
    #: Upload in the middle of the transfer once this many bytes came back; None: not.
    upload_after: int | None = None
    #: Disconnect abortively once this many bytes came back; the transfer ends FAILED then. None: not.
    abort_after: int | None = None
    #: Bytes sent in software before the offload, still unacknowledged at the hand-over.
    software_first: int = 0
    #: Offload only once the echo of these bytes began to arrive, and leave it to the target to deliver.
    hand_over_received: bool = False
    #: State in which the connection is offloaded; behind ESTABLISHED all of the file and the FIN are sent in software.
    offload_in: TcpConnectionState = TcpConnectionState.ESTABLISHED
    #: The last bytes of the file travel in the disconnect request.
    disconnect_bytes: int = 0


class FileTransferApp:
    """One transfer over one connection; an OffloadClient of NdisHost."""

    def __init__(
        self, host: NdisHost, config: FileTransferConfig, data: bytes, remote: Endpoint, local_port: int
    ) -> None:
        self.host = host
        self.config = config
        self.data = data
        self.remote = remote
        self.local_port = local_port
        self.phase = AppPhase.START
        self.failure = ""
        #: Only bytes handed to the host in receive completions, indications and uploaded state,
        #: or received in software outside an offload.
        self.sink = bytearray()
        self.software_bytes = 0
        self.offload_status: NdisStatus | None = None
        self.uploaded_state: TcpDelegated | None = None
        self.connection: OffloadedConnection | None = None
        self._stack: StackConnection | None = None
        self._streams = Streams(config.seed)
        self._next = 0
        #: Bytes in lists at the target.
        self._outstanding = 0
        self._window = 0
        self._epoch_end = 0
        self._must_post = False
        #: Receive data went down with the last hand-over.
        self._handed_received = False
        self._disconnect_done = False
        self._disconnect_issued = False
        self._want_upload = False
        #: Receive requests that came back without success since the last one that had it.
        self._refusals = 0
        #: Why the application gave the device up; it fails with this once the connection is back.
        self._given_up = ""
        #: Send and disconnect lists that came back unfinished.
        self._unfinished: list[Outstanding] = []
        host.clients.append(self)

    # ---- progress --------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """The connection is over, in whatever way."""
        return self.phase in (AppPhase.DONE, AppPhase.FAILED)

    @property
    def tcp_state(self) -> TcpConnectionState | None:
        """State of the software TCP's view of the connection."""
        return None if self._stack is None else self._stack.tcp.state

    @property
    def deadline(self) -> int | None:
        """Tick at which the application wants ``step``, beside every event; None: it waits for events alone."""
        return None

    @property
    def progress(self) -> float:
        """Share of the file that came back, 0..1."""
        return len(self.sink) / len(self.data) if self.data else float(self.done)

    def step(self) -> bool:
        """Do what is possible now."""
        match self.phase:
            case AppPhase.START:
                return self._connect()
            case AppPhase.CONNECTING:
                return self._offload()
            case AppPhase.RUNNING:
                progress = self._post_receives()
                progress |= self._send()
                progress |= self._abort() or self._disconnect()
                return self._terminate() or progress
            case AppPhase.DISCONNECTING:
                progress = self._post_receives()
                return self._terminate() or progress
            case AppPhase.SOFTWARE:
                return self._software()
            case _:
                return False

    def _fail(self, why: str) -> None:
        self.phase = AppPhase.FAILED
        self.failure = why

    def _connect(self) -> bool:
        self._stack = self.host.stack.connect(self.remote, self.local_port, self.config.tcp, self.host.now)
        self.phase = AppPhase.CONNECTING
        return True

    def _offload(self) -> bool:
        stack = self._require_stack()
        if stack.tcp.ended:
            self._fail(f"no connection: {stack.tcp.failure}")
            return True
        if self.config.offload_in is not TcpConnectionState.ESTABLISHED:
            return self._offload_closed(stack)
        if stack.tcp.state is not TcpConnectionState.ESTABLISHED:
            return False
        self._send_in_software(stack, self.config.software_first)
        if not self.config.hand_over_received:
            self._take_software(stack)
        elif not stack.tcp.received:
            return False
        self._hand_over(stack)
        return True

    def _send_in_software(self, stack: StackConnection, upto: int) -> None:
        if self._next < upto:
            first = self.data[:upto]
            self._next = len(first)
            stack.tcp.send(first, self.host.now)

    def _offload_closed(self, stack: StackConnection) -> bool:
        """Send and close in software, offload what is left: the echo and the peer's FIN."""
        if stack.tcp.state is TcpConnectionState.ESTABLISHED and not stack.tcp.fin_queued:
            self._send_in_software(stack, len(self.data))
            stack.tcp.close(self.host.now)
        if stack.tcp.state is not self.config.offload_in:
            if stack.tcp.state in OFFLOADABLE_STATES or not stack.tcp.fin_queued:
                return False
            self.phase = AppPhase.SOFTWARE  # it went past that state
            return True
        self._take_software(stack)
        self._disconnect_issued = self._disconnect_done = True
        self._hand_over(stack)
        return True

    def _hand_over(self, stack: StackConnection) -> None:
        """Offload the connection with what is unacknowledged and what was not consumed."""
        self.phase = AppPhase.INITIATING
        self._handed_received = bool(stack.tcp.received)
        self.connection = self.host.offload(self, stack, self._inherit)

    def _inherit(self, data: bytes) -> NetBufferList:
        nbl = self.host.build(data, self.config.send_shape, self._streams.stream("inherited"))
        if nbl is None:
            raise HostError("no pages for the data to hand over: enlarge the host memory")
        return nbl

    def _require_stack(self) -> StackConnection:
        if self._stack is None:
            raise HostError("the transfer has not connected yet")
        return self._stack

    def _offloaded(self) -> OffloadedConnection:
        if self.connection is None:
            raise HostError("the transfer is not offloaded")
        return self.connection

    def _pick(self, mix: SizeMix, name: str) -> int:
        rng = self._streams.stream(name)
        low, high, _ = rng.choices(mix, [w for _, _, w in mix])[0]
        return rng.randint(low, high)

    def _chance(self, name: str, share: float) -> bool:
        return self._streams.stream(name).random() < share

    # ---- sends -----------------------------------------------------------------------------

    @property
    def _to_send(self) -> int:
        return len(self.data) - self.config.disconnect_bytes

    def _send(self) -> bool:
        connection = self._offloaded()
        if self._want_upload or connection.calls_in_progress or self._next >= self._to_send:
            return False
        room = self.config.max_outstanding_send - self._outstanding
        lists: list[NetBufferList] = []
        for _ in range(self._streams.stream("chain").randint(1, self.config.max_chain)):
            size = min(self._pick(self.config.send_sizes, "send size"), self._to_send - self._next)
            if size <= 0 or size > room:
                break
            piece = self.data[self._next : self._next + size]
            nbl = self.host.build(piece, self.config.send_shape, self._streams.stream("send buffer"))
            if nbl is None:
                break
            lists.append(nbl)
            self._next += size
            self._outstanding += size
            room -= size
        if lists:
            self.host.issue_send(connection, lists)
        return bool(lists)

    def send_returned(self, done: Outstanding) -> None:
        """OffloadClient: free what was acknowledged, keep the rest for the software stack."""
        self._outstanding -= done.length
        if done.nbl.status is NdisStatus.SUCCESS:
            free_net_buffer_list(self.host.allocator, done.nbl)
        else:
            self._keep(done)

    def _keep(self, done: Outstanding) -> None:
        """What came back unfinished; a driver between that refuses lists wants the connection uploaded (CH-256)."""
        self._unfinished.append(done)
        self._want_upload = self._want_upload or done.nbl.status in REFUSED_ABOVE

    def _disconnect(self) -> bool:
        connection = self._offloaded()
        echoed = len(self.sink) >= self._to_send and self._next >= self._to_send
        if not echoed or self._want_upload or self._disconnect_issued or connection.calls_in_progress:
            return False
        last = self.data[self._next :]
        if last:
            nbl = self.host.build(last, BufferShape(1, 3), self._streams.stream("last buffer"))
            if nbl is None:
                return False
        else:
            nbl = NetBufferList([NetBuffer(())])
        self._next = len(self.data)
        self._disconnect_issued = True
        self.phase = AppPhase.DISCONNECTING
        self.host.issue_disconnect(connection, nbl)
        return True

    def _abort(self) -> bool:
        """The abortive disconnect of ``abort_after``."""
        connection, after = self._offloaded(), self.config.abort_after
        wanted = after is not None and len(self.sink) >= after
        if not wanted or self._want_upload or connection.calls_in_progress:
            return False
        self._disconnect_issued = True
        self.phase = AppPhase.DISCONNECTING
        self.host.issue_disconnect(connection, NetBufferList([NetBuffer(())]), DisconnectFlags.ABORTIVE)
        return True

    def disconnect_returned(self, done: Outstanding) -> None:
        """OffloadClient."""
        self._disconnect_done = True
        self._want_upload = self._want_upload or done.abortive
        if done.nbl.status is NdisStatus.SUCCESS:
            free_net_buffer_list(self.host.allocator, done.nbl)
        else:
            self._keep(done)

    # ---- receives --------------------------------------------------------------------------

    def _post_receives(self) -> bool:
        connection = self._offloaded()
        ledger = connection.ledger
        if self._want_upload or connection.calls_in_progress or ledger.disconnect_seen:
            return False
        if len(self.sink) >= self._epoch_end:
            self._window = self._streams.stream("window").choice(self.config.receive_windows)
            self._epoch_end = len(self.sink) + self.config.receive_epoch
        want = self._window - len(ledger.receives)
        if self._must_post:
            want = max(1, want)
        if want <= 0:
            return False
        left = self._still_to_come - sum(o.length for o in ledger.receives)
        lists: list[NetBufferList] = []
        for _ in range(want):
            nbl = self._receive_request(left)
            if nbl is None:
                break
            left -= nbl.data_length
            lists.append(nbl)
        if not lists:
            return False
        self._must_post = False
        self.host.issue_receive(connection, lists)
        return True

    @property
    def _still_to_come(self) -> int:
        """Bytes that surely come: what the disconnect carries comes only after every earlier byte did."""
        expected = len(self.data) if self._disconnect_issued else self._to_send
        return expected - len(self.sink)

    def _takes_from_nonpush(self, total: int) -> bool:
        """True if consuming an indication would leave too few bytes to fill a posted nonpush request."""
        pledged = needed = 0
        for request in self._offloaded().ledger.receives:
            pledged += request.length
            if request.no_push:
                needed = pledged
        return needed > 0 and self._still_to_come - total < needed

    def _receive_request(self, left: int) -> NetBufferList | None:
        """A request; nonpush only if ``left`` bytes, all that surely come, will fill it."""
        if self._chance("zero byte", self.config.zero_byte_receive):
            return NetBufferList([NetBuffer(())])
        size = self._pick(self.config.receive_sizes, "receive size")
        if self._chance("contiguous", self.config.contiguous_receive):
            offset = self._streams.stream("offset").randrange(PAGE_SIZE)
            region = self.host.allocator.try_contiguous(size, offset)
            nb = None if region is None else NetBuffer((Mdl(region),), 0, size)
        else:
            rng = self._streams.stream("receive buffer")
            nb = allocate_net_buffer(self.host.allocator, size, self.config.receive_shape, rng)
        if nb is None:
            return None
        no_push = self._chance("no push", self.config.nonpush) and size <= left
        return NetBufferList([nb], info={NblInfo.TCP_RECEIVE_NO_PUSH: int(no_push)})

    def receive_returned(self, done: Outstanding) -> None:
        """OffloadClient: take the placed bytes; sometimes post again from in here (CH-140)."""
        memory = self.host.memory
        self._want_upload = self._want_upload or done.nbl.status in REFUSED_ABOVE
        self.sink += b"".join(memory.read(addr, n) for addr, n in done.placed())
        self._count_refusal(done.nbl.status)
        free_net_buffer_list(self.host.allocator, done.nbl)
        active = self.phase in (AppPhase.RUNNING, AppPhase.DISCONNECTING)
        if self._chance("post again", self.config.reentrant_post) and active:
            self._post_receives()

    def _count_refusal(self, status: NdisStatus | None) -> None:
        """Posting again is right until the device has said no too often without a reason: then the offload ends."""
        self._refusals = 0 if status is NdisStatus.SUCCESS else self._refusals + 1
        if self._refusals < MOST_REFUSALS or self._want_upload or status is None:
            return
        self._given_up = (
            f"{self._refusals} receive requests in a row came back {status.name}, the connection (port "
            f"{self.local_port}) neither aborted nor asked back: look why the device answers RECEIVE with an error "
            "(its RECEIVE completions, docs/layout.md)"
        )
        self._want_upload = True

    def indicated(self, nbl: NetBufferList) -> tuple[NdisStatus, int]:
        """OffloadClient: accept all, a part, or nothing."""
        total = nbl.data_length
        chance = self._streams.stream("answer").random()
        consumed = total
        status = NdisStatus.SUCCESS
        refuse = chance < self.config.refuse or self._takes_from_nonpush(total)
        if refuse and not self._want_upload:
            status, consumed = NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, 0
        elif chance < self.config.refuse + self.config.accept_part and total > 1:
            status = NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED
            consumed = self._streams.stream("part").randint(1, total - 1)
        pieces = slice_elements(nbl.elements(), 0, consumed)
        self.sink += b"".join(self.host.memory.read(addr, n) for addr, n in pieces)
        if status is not NdisStatus.SUCCESS:
            self._must_post = True
        return status, consumed

    # ---- events, upload, software ----------------------------------------------------------

    def initiated(self, status: NdisStatus) -> None:
        """OffloadClient: the initiate ended."""
        self.offload_status = status
        self.phase = AppPhase.RUNNING if status.offloaded else AppPhase.SOFTWARE
        self._must_post = self._must_post or self._handed_received  # it waits for a receive (CH-054)

    def event(self, event: TcpEventType, info: int) -> None:
        """OffloadClient: mandatory upload requests and aborts lead to a terminate."""
        retrieve = event is TcpEventType.RETRIEVE and UploadReason(info).mandatory
        if event is TcpEventType.ABORT or retrieve:
            self._want_upload = True

    def _terminate(self) -> bool:
        connection = self._offloaded()
        config = self.config
        if config.upload_after is not None and len(self.sink) >= config.upload_after:
            self._want_upload = True
        over = self._disconnect_issued and (
            config.terminate_when is TerminateWhen.AT_ONCE
            or (
                self._disconnect_done
                and (
                    config.terminate_when is TerminateWhen.AFTER_DISCONNECT
                    or connection.ledger.disconnect_seen
                    or connection.ledger.abort_asked
                )
            )
        )
        if not over and not self._want_upload:
            return False
        self._want_upload = True
        self.phase = AppPhase.TERMINATING
        self.host.terminate(connection)
        return True

    def uploaded(
        self, status: NdisStatus, delegated: TcpDelegated | None, chained: list[Outstanding], buffered: bytes
    ) -> None:
        """OffloadClient: go on in software from the uploaded state alone."""
        self.uploaded_state = delegated
        self.sink += buffered
        lists = [out.nbl for out in sorted([*self._unfinished, *chained], key=lambda out: out.number)]
        aborted = any(nbl.status is NdisStatus.REQUEST_ABORTED for nbl in lists)
        rest = b"".join(nbl.read(Owner.HOST, self.host.memory) for nbl in lists)
        for nbl in lists:
            free_net_buffer_list(self.host.allocator, nbl)
        self._unfinished.clear()
        self._handed_back(status, delegated, rest, buffered)
        ledger = self._offloaded().ledger
        if self._given_up:
            self._fail(self._given_up)
            return
        if delegated is None or status is not NdisStatus.SUCCESS or aborted or ledger.aborted or ledger.abort_asked:
            self._fail(f"aborted (terminate {status.name})")
            return
        stack = self._require_stack()
        self.host.stack.uploaded(stack, delegated, rest, self._disconnect_issued, self.host.now)
        self.phase = AppPhase.SOFTWARE

    def _handed_back(
        self, status: NdisStatus, delegated: TcpDelegated | None, unacknowledged: bytes, buffered: bytes
    ) -> None:
        """What the terminate brought, before anything is made of it."""

    def _take_software(self, stack: StackConnection) -> bool:
        data = stack.tcp.take_received()
        self.sink += data
        self.software_bytes += len(data)
        return bool(data)

    def _software(self) -> bool:
        stack = self._require_stack()
        tcp, now = stack.tcp, self.host.now
        progress = self._take_software(stack)
        if tcp.ended:
            if tcp.failure:
                self._fail(tcp.failure)
            else:
                self.phase = AppPhase.DONE
            return True
        if self._next < len(self.data) and not tcp.fin_queued:
            if len(tcp.send_buffer) < self.config.max_outstanding_send:
                piece = self.data[self._next : self._next + 16_384]
                self._next += len(piece)
                tcp.send(piece, now)
                progress = True
        elif len(self.sink) >= len(self.data) and not tcp.fin_queued:
            tcp.close(now)
            progress = True
        return progress
