"""One connection under random contract operations, from handshake to end: an OffloadClient that decides nothing.

It keeps both streams, knows the state that the host can know, and makes each call when the operator asks for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from model.ndis.bookkeeping import Outstanding
from model.ndis.enums import DisconnectFlags, NblInfo, TcpConnectionState, TcpEventType, UploadReason
from model.ndis.framing import Endpoint, Segment
from model.ndis.host import OffloadedConnection
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
from tb.contract.host import ContractHost
from tb.contract.table import Kind, State
from tb.contract.wire import PEER_PORT, ROUTERS, ContractNetwork, Far, peer_ip, peer_ip6
from tb.peers.connection import State as PeerState
from tb.session.transfer import SessionError

#: Shapes of send and receive buffers: up to 16 MDLs each.
SEND_SHAPE = BufferShape(max_net_buffers=4, max_mdls=16, max_slack=32)
ONE_BUFFER = BufferShape(max_net_buffers=1, max_mdls=16, max_slack=32)

_TCP = TcpConnectionState
_OWN_FIN = {_TCP.FIN_WAIT_1, _TCP.FIN_WAIT_2, _TCP.CLOSING, _TCP.LAST_ACK, _TCP.TIME_WAIT}
_PEER_FIN = {_TCP.CLOSE_WAIT, _TCP.CLOSING, _TCP.LAST_ACK, _TCP.TIME_WAIT}


class Phase(Enum):
    """Who has the connection."""

    CONNECTING = "connecting"
    SOFTWARE = "software"
    INITIATING = "initiating"
    LIVE = "live"
    TERMINATING = "terminating"
    OVER = "over"


@dataclass(frozen=True)
class Draw:
    """Where the answers to indications come from, and who counts them."""

    answer: Callable[[Life, int], tuple[Kind, int]]
    #: An answer against the rules, now and then.
    wrong: Callable[[Life, int], tuple[NdisStatus, int] | None]
    count: Callable[[Kind, State], None]
    #: Told when a terminate completed.
    gone: Callable[[Life], None]
    #: Told of the lists of every call for I/O.
    issued: Callable[[Sequence[NetBufferList]], None]


class Life:
    """A connection of the host and its applications at both ends."""

    def __init__(
        self, host: ContractHost, network: ContractNetwork, draw: Draw, local_port: int,
        draws: Callable[[str], random.Random],
    ) -> None:  # fmt: skip
        #: Its own random streams by name, apart from what the operator draws for it.
        self.draws = draws
        self.host, self.network, self.draw = host, network, draw
        self.local_port = local_port
        #: The wire monitor knows that frames may have been kept back by an INVALIDATE.
        self.gap_excused = False
        self.phase = Phase.CONNECTING
        self.connection: OffloadedConnection | None = None
        #: What both applications gave and got.
        self.sent = bytearray()
        self.got = bytearray()
        self.offloads = 0
        #: The context that names it at the target, or named it.
        self.context: int | None = None
        self.closing = False
        self.lost = False
        self.problem = ""
        #: The tick from which on the host wants it back.
        self.doomed: int | None = None
        self.own_fin = self._own_fin_acked = self._peer_fin = self._own_first = False
        self._retrieved = self._reset = False
        self._unfinished: list[Outstanding] = []
        number = draws("peer").randrange(3)
        ipv6 = network.over_ipv6(local_port)
        remote = Endpoint(ROUTERS[number & 1], peer_ip6(number) if ipv6 else peer_ip(number), PEER_PORT)
        config = SoftTcpConfig(
            initial_seq=0xFFFF_FF00 - draws("initial sequence").randrange(1 << 14),
            initial_ts=0xFFFF_FF00,
            initial_rcv_wnd=draws("window").choice((20_000, 40_000, 65_535)),
            timestamps=draws("timestamps").random() < 0.7,
            window_scaling=draws("window scaling").random() < 0.7,
            flow_label=random.Random(f"flow/{local_port}").getrandbits(20),
            cubic=network.with_cubic(local_port),
        )
        self.stack = host.stack.connect(remote, local_port, config, host.now)
        host.clients.append(self)

    # ---- where it stands --------------------------------------------------------------------

    @property
    def far(self) -> Far | None:
        """The other end, once its SYN arrived."""
        return self.network.far(self.local_port)

    @property
    def done(self) -> bool:
        """Nothing will happen any more."""
        return self.phase is Phase.OVER

    @property
    def busy(self) -> bool:
        """A call is on its way down: the next one waits (CH-110, CH-141)."""
        connection = self.connection
        return connection is not None and (connection.calls_in_progress > 0 or self.host.holds(connection))

    @property
    def invalid(self) -> bool:
        """The connection, its path or its neighbor was invalidated."""
        connection = self.connection
        if connection is None:
            return False
        below = connection.path.below
        return connection.invalid or connection.path.invalid or (below is not None and below.invalid)

    @property
    def state(self) -> State:
        """The state as the host can know it."""
        match self.phase:
            case Phase.CONNECTING:
                return State.SYN_SENT
            case Phase.SOFTWARE:
                return State.UPLOADED if self.offloads else State.SOFTWARE
            case Phase.INITIATING:
                return State.INITIATING
            case Phase.TERMINATING:
                return State.TERMINATING
            case Phase.OVER:
                return State.UPLOADED
        return self._live_state()

    @property
    def peer_closes(self) -> bool:
        """The peer's application has closed, whether its FIN came or not."""
        far = self.far
        return self._peer_fin or (far is not None and far.app.closing)

    @property
    def hears(self) -> bool:
        """Text of the peer still reaches the application."""
        return not (self._peer_fin or self.aborted)

    @property
    def aborted(self) -> bool:
        """One end reset the connection, and the host knows."""
        ledger = None if self.connection is None else self.connection.ledger
        return self._reset or (ledger is not None and (ledger.aborted or ledger.abort_asked))

    def _live_state(self) -> State:
        if self.aborted:
            return State.CLOSED
        if self.invalid:
            return State.INVALID
        tcp = self._tcp_state()
        return State.RETRIEVED if self._retrieved and tcp is not State.TIME_WAIT else tcp

    def _tcp_state(self) -> State:
        if not self.own_fin:
            return State.CLOSE_WAIT if self._peer_fin else State.ESTABLISHED
        if not self._peer_fin:
            return State.FIN_WAIT_2 if self._own_fin_acked else State.FIN_WAIT_1
        if not self._own_fin_acked:
            return State.CLOSING if self._own_first else State.LAST_ACK
        return State.TIME_WAIT if self._own_first else State.CLOSED

    @property
    def software_state(self) -> State:
        """The state of the host's own TCP."""
        return State[self.stack.tcp.state.name]

    # ---- software ---------------------------------------------------------------------------

    def step(self) -> bool:
        """What happens without being asked: the handshake ends, the software takes what came, and closes."""
        if self.phase is Phase.CONNECTING:
            return self._connected()
        if self.phase is Phase.SOFTWARE:
            return self._software()
        return False

    def _connected(self) -> bool:
        if self.stack.tcp.ended:
            self._over("no connection")
            return True
        if self.stack.tcp.state is not _TCP.ESTABLISHED:
            return False
        self.phase = Phase.SOFTWARE
        return True

    def _software(self) -> bool:
        tcp, now = self.stack.tcp, self.host.now
        data = tcp.take_received()
        self.got += data
        if tcp.ended or (tcp.state is _TCP.TIME_WAIT and self._peer_is_over):
            self._over("")
            return True
        if self.closing and not tcp.fin_queued:
            tcp.close(now)
            return True
        return bool(data)

    @property
    def _peer_is_over(self) -> bool:
        """The peer heard everything, and nothing is on its way."""
        if not self.network.quiet:
            return False
        far = self.far
        return far is None or far.connection.state in (PeerState.CLOSED, PeerState.TIME_WAIT)

    def close_in_software(self) -> None:
        """Not offloaded any more: both ends close."""
        self.closing = True
        far = self.far
        if far is not None:
            far.app.limit, far.app.closing, far.silent_until, far.deaf_until = None, True, -1, -1
            self.network.poke()

    def software_sends(self, data: bytes) -> bool:
        """Bytes on their way at the time of the offload."""
        tcp = self.stack.tcp
        if self.phase is not Phase.SOFTWARE or tcp.fin_queued or tcp.ended:
            return False
        self.sent += data
        tcp.send(data, self.host.now)
        return True

    def _over(self, problem: str) -> None:
        self.phase = Phase.OVER
        self.problem = self.problem or problem or ("" if self.lost else self.stack.tcp.failure)
        far = self.far
        received, stream = (far.received, bytes(far.app.stream)) if far is not None else (b"", b"")
        whole = not self.lost and not self.problem
        if not (self.sent == received if whole else self.sent.startswith(received)):
            self.problem = f"the peer got {len(received)} bytes that are not the {len(self.sent)} sent"
        if not (self.got == stream if whole else stream.startswith(self.got)):
            self.problem = f"the host got {len(self.got)} bytes that are not the {len(stream)} that the peer sent"
        if self in self.host.clients:
            self.host.clients.remove(self)
        self.network.forget(self.local_port)

    # ---- offload and upload -----------------------------------------------------------------

    def offload(self) -> bool:
        """Queue it for the next initiate tree."""
        if self.phase is not Phase.SOFTWARE:
            return False
        tcp = self.stack.tcp
        self.own_fin, self._peer_fin = tcp.state in _OWN_FIN, tcp.state in _PEER_FIN
        self._own_fin_acked = tcp.state in (_TCP.FIN_WAIT_2, _TCP.TIME_WAIT)
        self._own_first = tcp.state not in (_TCP.CLOSE_WAIT, _TCP.LAST_ACK)
        self._retrieved = self._reset = False
        self.doomed = None
        self.phase = Phase.INITIATING
        self.offloads += 1
        self.context = None
        self.connection = self.host.offload(self, self.stack, self._inherit)
        return True

    def _inherit(self, data: bytes) -> NetBufferList:
        nbl = self.host.build(data, SEND_SHAPE, self.draws("data handed over"))
        if nbl is None:
            raise MemoryError("no pages for the data to hand over")
        return nbl

    def initiated(self, status: NdisStatus) -> None:
        """OffloadClient."""
        self.phase = Phase.LIVE if status.offloaded else Phase.SOFTWARE
        self.context = None if self.connection is None else self.connection.handle.miniport_offload_context

    def terminate(self) -> bool:
        """Ask for the upload."""
        if self.phase is not Phase.LIVE or self.connection is None or self.busy:
            return False
        self.phase = Phase.TERMINATING
        self.network.monitor.hold_back(self.local_port, self.host.now)
        self.host.terminate(self.connection)
        return True

    def uploaded(
        self, status: NdisStatus, delegated: TcpDelegated | None, chained: list[Outstanding], buffered: bytes
    ) -> None:
        """OffloadClient: go on in software from the uploaded state alone."""
        connection = self._offloaded()
        self.draw.gone(self)
        self.got += buffered
        ledger = connection.ledger
        lists = [out.nbl for out in sorted([*self._unfinished, *chained], key=lambda out: out.number)]
        self._unfinished.clear()
        aborted = any(nbl.status is NdisStatus.REQUEST_ABORTED for nbl in lists)
        rest = b"".join(nbl.read(Owner.HOST, self.host.memory) for nbl in lists)
        for nbl in lists:
            free_net_buffer_list(self.host.allocator, nbl)
        if delegated is None or status is not NdisStatus.SUCCESS:
            self.lost = True
            self._over(f"terminate {status.name}")
        elif aborted or ledger.aborted or ledger.abort_asked:
            self.lost = True
            self._over("")
        else:
            self.phase = Phase.SOFTWARE
            self.network.monitor.hand_on(self.local_port, self.host.now)
            muted = self.invalid or self.gap_excused
            if muted:
                self.network.monitor.expect_window(self.local_port)
            self.host.stack.uploaded(self.stack, delegated, rest, self.own_fin, self.host.now, muted=muted)

    def _offloaded(self) -> OffloadedConnection:
        if self.connection is None:
            raise SessionError(f"port {self.local_port}: a call on a connection that was never offloaded")
        return self.connection

    # ---- sends and disconnects --------------------------------------------------------------

    def buffer(self, data: bytes, shape: BufferShape = SEND_SHAPE) -> NetBufferList | None:
        """A list with data, or with none."""
        return self.host.build(data, shape, self.draws("send buffers")) if data else NetBufferList([NetBuffer(())])

    def send(self, pieces: list[bytes]) -> bool:
        """One call with a list for each piece."""
        connection = self._offloaded()
        lists: list[NetBufferList] = []
        for piece in pieces:
            nbl = self.buffer(piece)
            if nbl is None:
                break
            lists.append(nbl)
            self.sent += piece
        if lists:
            self.draw.issued(lists)
            self.host.issue_send(connection, lists)
        return bool(lists)

    def send_returned(self, done: Outstanding) -> None:
        """OffloadClient."""
        self._came_back(done)

    def _came_back(self, done: Outstanding) -> None:
        if done.nbl.status is NdisStatus.SUCCESS:
            free_net_buffer_list(self.host.allocator, done.nbl)
        else:
            self._unfinished.append(done)

    def disconnect(self, data: bytes, flags: DisconnectFlags) -> bool:
        """A graceful disconnect with the last bytes, or an abortive one."""
        nbl = self.buffer(data, ONE_BUFFER)
        return nbl is not None and self.disconnect_list(nbl, flags)

    def disconnect_list(self, nbl: NetBufferList, flags: DisconnectFlags) -> bool:
        """A disconnect with a list as it is."""
        connection = self._offloaded()
        if flags is DisconnectFlags.GRACEFUL and not self.aborted:
            self.sent += nbl.read(Owner.HOST, self.host.memory)
            self.own_fin, self._own_first = True, not self._peer_fin
        self.draw.issued([nbl])
        self.host.issue_disconnect(connection, nbl, flags)
        return True

    def disconnect_returned(self, done: Outstanding) -> None:
        """OffloadClient."""
        if done.nbl.status is NdisStatus.SUCCESS:
            self._own_fin_acked = self._own_fin_acked or not done.abortive
            self._reset = self._reset or done.abortive
        self._came_back(done)

    # ---- receives ---------------------------------------------------------------------------

    def receive(self, kind: Kind, sizes: list[int]) -> bool:
        """Post requests of one kind."""
        connection = self._offloaded()
        lists = [nbl for size in sizes if (nbl := self._request(kind, size)) is not None]
        if lists:
            self.draw.issued(lists)
            self.host.issue_receive(connection, lists)
        return bool(lists)

    def _request(self, kind: Kind, size: int) -> NetBufferList | None:
        if kind is Kind.RECEIVE_ZERO or size == 0:
            return NetBufferList([NetBuffer(())])
        info = {NblInfo.TCP_RECEIVE_NO_PUSH: int(kind is Kind.RECEIVE_NONPUSH)}
        before = self.draws("prefilled").randint(1, 200) if kind is Kind.RECEIVE_PREFILLED else 0
        nb = self._place(size + before)
        if nb is None:
            return None
        if before:
            nb.advance(before)
            # the host puts data in front of a nonpush request, or says so in the slot
            no_push = self.draws("prefilled nonpush").random() < 0.5
            info[NblInfo.TCP_RECEIVE_NO_PUSH] = int(no_push)
            if not no_push:
                info[NblInfo.TCP_RECEIVE_BYTES_TRANSFERRED] = before
        return NetBufferList([nb], info=info)

    def _place(self, size: int) -> NetBuffer | None:
        if self.draws("contiguous").random() < 0.3 and size <= 1 << 16:
            region = self.host.allocator.try_contiguous(size, self.draws("offset in the page").randrange(PAGE_SIZE))
            return None if region is None else NetBuffer((Mdl(region),), 0, size)
        return allocate_net_buffer(self.host.allocator, size, ONE_BUFFER, self.draws("receive buffers"))

    def receive_returned(self, done: Outstanding) -> None:
        """OffloadClient: take the placed bytes."""
        memory = self.host.memory
        self.got += b"".join(memory.read(addr, n) for addr, n in done.placed())
        free_net_buffer_list(self.host.allocator, done.nbl)

    def indicated(self, nbl: NetBufferList) -> tuple[NdisStatus, int]:
        """OffloadClient: accept all, a part, or nothing."""
        total = nbl.data_length
        state = self.state
        if (wrong := self.draw.wrong(self, total)) is not None:
            return wrong
        kind, consumed = self.draw.answer(self, total)
        self.draw.count(kind, state)
        pieces = slice_elements(nbl.elements(), 0, consumed)
        self.got += b"".join(self.host.memory.read(addr, n) for addr, n in pieces)
        if kind is Kind.ANSWER_ACCEPT:
            return NdisStatus.SUCCESS, total
        if kind is Kind.ANSWER_PART:
            return NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED, consumed
        return NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, 0

    def event(self, event: TcpEventType, info: int) -> None:
        """OffloadClient."""
        if event is TcpEventType.DISCONNECT:
            self._peer_fin = True
        if event is TcpEventType.RETRIEVE and UploadReason(info).mandatory:
            self._retrieved = True
            self.network.monitor.hold_back(self.local_port, self.host.now)

    # ---- forward ----------------------------------------------------------------------------

    def forward(self, segment: Segment) -> bool:
        """Hand a segment to the target that came another way."""
        connection = self.connection
        if self.phase is not Phase.LIVE or connection is None or self.busy or not connection.ledger.live:
            return False
        nbl = self.host.build(segment.raw, ONE_BUFFER, self.draws("forward buffers"))
        if nbl is None:
            return False
        self.draw.issued([nbl])
        self.host.issue_forward(connection, [nbl])
        return True
