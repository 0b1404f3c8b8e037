"""The stage: connections driven call by call at the NDIS face, with a far end that does only what a scene says.

A scene is a generator, as in the lab: it yields conditions and goes on when they hold. It runs beside an ordinary
session, through the session's host and driver. What crosses the NDIS face and the wire is kept as a list of moments for
each connection; the rows of docs/founding-pages.md are judged on these afterwards, by functions that see nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from model.device.core import Core
from model.device.memory import ErrorWindow
from model.ndis.binding import Adapter
from model.ndis.bookkeeping import Outstanding
from model.ndis.calls import MiniportFace, ProtocolFace
from model.ndis.enums import DisconnectFlags, Layer, NblInfo, OffloadStateType, TcpConnectionState, TcpEventType
from model.ndis.file_transfer import AppPhase
from model.ndis.framing import MASK32, Endpoint, Segment, decode, encode
from model.ndis.host import NdisHost, OffloadedConnection
from model.ndis.hoststack import StackConnection
from model.ndis.memory import HostMemory, PageAllocator
from model.ndis.miniport import MiniportDriver
from model.ndis.netbuffer import (
    BufferShape,
    Mdl,
    NetBuffer,
    NetBufferList,
    Owner,
    allocate_net_buffer,
    free_net_buffer_list,
    iterate,
    slice_elements,
)
from model.ndis.offload_state import NeighborCached, NeighborDelegated, OffloadBlock, TcpDelegated, traverse
from model.ndis.registration import OidRequest, TcpConnectionOffload
from model.ndis.soft_tcp import SoftTcpConfig, signed
from model.ndis.status import CompletionKind, NdisStatus
from model.wire.frame import TcpFlag
from tb.session.contract_tap import ContractTap
from tb.session.network import NIC_IP, NIC_MAC, Network
from tb.session.transfer import Transfer
from tb.tests.lab import place_of

Scene = Generator[Callable[[], bool], None, None]

FAR_MAC = bytes.fromhex("0200000000fa")
FAR_IP = bytes([10, 0, 0, 88])
FAR_PORT, LOCAL_PORT = 7001, 51_000
#: First sequence numbers: both directions wrap within the first bytes.
OUR_ISS, FAR_ISS = 0xFFFF_FF80, 0xFFFF_FFE0
MSS = 1000
WINDOW = 30_000
#: Ticks after which everything the device had to do for a frame is done, and no timer of TCP has fired.
QUIET = 30
#: The session beside the scenes: bytes, and ticks a frame travels.
SIZE, DELAY = 24_576, 20
#: IPv4 identifications from here on are the target's (CH-116).
TARGET_ID = 0x8000
TCP = SoftTcpConfig(
    timestamps=False, window_scaling=False, initial_seq=OUR_ISS, initial_rcv_wnd=20_000, initial_cwnd=30_000,
    time_wait=5,
)  # fmt: skip

NO_FLAGS = TcpFlag(0)

SEND_COMPLETE = "NdisTcpOffloadSendComplete"
RECEIVE_COMPLETE = "NdisTcpOffloadReceiveComplete"
DISCONNECT_COMPLETE = "NdisTcpOffloadDisconnectComplete"
TERMINATE_COMPLETE = "NdisMTerminateOffloadComplete"
INITIATE_COMPLETE = "NdisMInitiateOffloadComplete"
EVENT, INDICATE = "NdisTcpOffloadEventHandler", "NdisTcpOffloadReceiveHandler"
RAW_INDICATE = "NdisMIndicateReceiveNetBufferLists"
SEND, RECEIVE, DISCONNECT = "MiniportTcpOffloadSend", "MiniportTcpOffloadReceive", "MiniportTcpOffloadDisconnect"
TERMINATE, RETURN = "MiniportTerminateOffload", "MiniportTcpOffloadReceiveReturn"
NEIGHBOR_EVENT = "NdisMOffloadEventIndicate"
WIRE, MARK = "on the wire", "mark"


# ---- what is kept ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """A list as the host gave it to the target."""

    name: str
    nbl: NetBufferList
    data: bytes
    lengths: tuple[int, ...]
    offsets: tuple[int, ...]
    chains: tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class ListSeen:
    """A list at the moment it crossed the face. ``transferred`` is None if the slot was never written."""

    name: str
    nbl: NetBufferList
    status: NdisStatus | None
    transferred: int | None
    #: Of each NET_BUFFER: how far its data start moved, how much shorter it became; whether its MDLs are all there.
    moved: tuple[int, ...]
    shorter: tuple[int, ...]
    whole: bool
    #: The data that is left.
    rest: bytes


@dataclass(frozen=True)
class NodeSeen:
    """A node of a terminate tree at its completion."""

    layer: Layer
    status: NdisStatus | None
    delegated: object
    chain: tuple[ListSeen, ...]
    has_chain: bool
    buffered: bytes
    buffered_lists: tuple[NetBufferList, ...]
    #: The host's object, and the target's context at that moment.
    owner: object = None
    context: int | None = None


@dataclass(frozen=True)
class Moment:
    """Something that happened; ``inside`` are the calls in progress around it, outermost first."""

    name: str
    tick: int
    inside: tuple[str, ...] = ()
    lists: tuple[ListSeen, ...] = ()
    #: Lists in the whole call, those of other connections included.
    count: int = 0
    event: tuple[TcpEventType, int] | None = None
    segment: Segment | None = None
    root: OffloadBlock | None = None
    nodes: tuple[NodeSeen, ...] = ()
    text: str = ""
    #: Of a neighbor query: HostReachabilityDelta and NicReachabilityDelta.
    ages: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Resources:
    """What is in use, or free, in host, driver and device; all of it must come back."""

    host_pages: int
    driver: tuple[int, ...]
    device_connections: int
    device_lookup: int
    pool_free: int
    pool_credits: int
    other_pool: int


# ---- the far end -------------------------------------------------------------------------------------


class Far:
    """The other end of the wire of one connection: answers the handshake, then does what it is told."""

    def __init__(self, stage: Stage, story: Story, number: int) -> None:
        self._stage, self._story = stage, story
        self.mac, self.ip, self.mss = FAR_MAC, FAR_IP, MSS
        self.local_port, self.port = LOCAL_PORT + number, FAR_PORT
        self.first = (OUR_ISS + 1) & MASK32
        self.snd = (FAR_ISS + 1) & MASK32
        self.window = WINDOW
        self.stream = bytearray()
        self.fin_seen = False
        self.fin_sent = False
        #: Acknowledge everything at once and close when the other side does.
        self.auto = False
        self.acked = self.first
        #: Value and echo of the timestamps option; None: no segment has one.
        self.stamps: tuple[int, int] | None = None

    @property
    def received(self) -> int:
        """Sequence number behind everything that came in order."""
        return (self.first + len(self.stream) + self.fin_seen) & MASK32

    def take(self, segment: Segment) -> None:
        """A segment of the other side arrived."""
        if TcpFlag.SYN in segment.flags:
            self._send(FAR_ISS, TcpFlag.SYN | TcpFlag.ACK, mss=self.mss)
            return
        skip = signed(self.received - segment.seq)
        span = len(segment.payload) + (TcpFlag.FIN in segment.flags)
        if not self.fin_seen and 0 <= skip <= len(segment.payload):
            self.stream += segment.payload[skip:]
            self.fin_seen = TcpFlag.FIN in segment.flags
        if self.auto and span:
            self.ack()

    def ack(self, count: int | None = None) -> None:
        """Acknowledge ``count`` positions of the stream, or all that came; closes in turn when ``auto``."""
        self.acked = self.received if count is None else (self.first + count) & MASK32
        closes = self.auto and self.fin_seen and not self.fin_sent
        self.say(flags=TcpFlag.FIN if closes else NO_FLAGS)

    def say(self, data: bytes = b"", flags: TcpFlag = NO_FLAGS) -> None:
        """Send a segment."""
        self._send(self.snd, flags | TcpFlag.ACK, data)
        self.fin_sent |= TcpFlag.FIN in flags
        self.snd = (self.snd + len(data) + (TcpFlag.FIN in flags)) & MASK32

    def _send(self, seq: int, flags: TcpFlag, data: bytes = b"", mss: int | None = None) -> None:
        ours, theirs = Endpoint(self.mac, self.ip, self.port), Endpoint(NIC_MAC, NIC_IP, self.local_port)
        segment = Segment(ours, theirs, seq, self.acked, flags, self.window, data, ts=self.stamps, mss=mss)
        self._stage.arrive(encode(segment))


# ---- one connection ----------------------------------------------------------------------------------


class Story:
    """One connection from handshake to end: the application above the host, its far end, and what happened."""

    def __init__(self, stage: Stage, name: str, number: int) -> None:
        self.name = name
        self.stage = stage
        self.far = Far(stage, self, number)
        self.moments: list[Moment] = []
        self.given: dict[int, Given] = {}
        #: Downward I/O calls and what they returned.
        self.answers: list[tuple[str, NdisStatus]] = []
        self.facts: dict[str, Any] = {}
        self.sink = bytearray()
        #: Bytes of an indication that are accepted; None: all.
        self.accept: int | None = None
        self.offload_status: NdisStatus | None = None
        self.upload: tuple[NdisStatus, TcpDelegated | None, bytes] | None = None
        self.over = False
        self.stack: StackConnection
        self.connection: OffloadedConnection
        self._chained: list[NetBufferList] = []
        self._closing = False
        self._rng = random.Random(f"founding/{name}")

    # ---- what scenes do ----

    def open(self, window: int = WINDOW) -> Scene:
        """Handshake in software, then offload."""
        yield from self.shake_hands(window)
        self.begin_offload()
        yield from self.offloaded()

    def shake_hands(self, window: int = WINDOW, tcp: SoftTcpConfig = TCP) -> Scene:
        """A connection of the software stack."""
        self.connect(window, tcp)
        yield lambda: self.stack.tcp.state is TcpConnectionState.ESTABLISHED

    def connect(self, window: int = WINDOW, tcp: SoftTcpConfig = TCP) -> None:
        """Begin the handshake."""
        host = self.stage.host
        self.far.window = window
        host.clients.append(self)
        remote = Endpoint(self.far.mac, self.far.ip, self.far.port)
        self.stack = host.stack.connect(remote, self.far.local_port, tcp, host.now)

    def begin_offload(self) -> None:
        """Into the next initiate; ``connection`` names its path and neighbor from here on."""
        make = self.make
        self.connection = self.stage.host.offload(self, self.stack, lambda data: make("inherited", data))

    @property
    def is_offloaded(self) -> bool:
        """The initiate succeeded and no terminate has ended."""
        return self.offload_status is NdisStatus.SUCCESS and self.upload is None

    def offloaded(self) -> Scene:
        """The initiate has succeeded."""
        yield lambda: self.offload_status is not None
        assert self.offload_status is NdisStatus.SUCCESS, self.offload_status

    def make_of_mdls(self, name: str, data: bytes, sizes: Sequence[int]) -> NetBufferList:
        """A list with data, in one NET_BUFFER of MDLs of the given sizes."""
        regions = [self.stage.allocator.allocate(size, self._rng.randrange(4096)) for size in sizes]
        nbl = NetBufferList([NetBuffer(tuple(Mdl(region) for region in regions if region), 0, len(data))])
        nbl.write(Owner.HOST, self.stage.host.memory, data)
        self._give(name, nbl, data)
        return nbl

    def make(self, name: str, data: bytes, cuts: Sequence[int] = ()) -> NetBufferList:
        """A list with data, in NET_BUFFERs of the given sizes (one if none are given)."""
        allocator, memory = self.stage.allocator, self.stage.host.memory
        buffers: list[NetBuffer] = []
        for size in cuts or (len(data),):
            buffer = allocate_net_buffer(allocator, size, BufferShape(1, 3, 32), self._rng) if size else NetBuffer(())
            assert buffer is not None
            buffers.append(buffer)
        nbl = NetBufferList(buffers)
        nbl.write(Owner.HOST, memory, data)
        self._give(name, nbl, data)
        return nbl

    def _give(self, name: str, nbl: NetBufferList, data: bytes) -> None:
        lengths = tuple(b.data_length for b in nbl.net_buffers)
        offsets = tuple(b.data_offset for b in nbl.net_buffers)
        chains = tuple(tuple(b.mdl_chain) for b in nbl.net_buffers)
        self.given[id(nbl)] = Given(name, nbl, data, lengths, offsets, chains)

    def _free(self) -> bool:
        return self.connection.calls_in_progress == 0

    def send(self, *lists: NetBufferList) -> Scene:
        """NdisOffloadTcpSend of a chain."""
        yield self._free
        self.stage.host.issue_send(self.connection, list(lists))
        yield self._free

    def post(self, *requests: tuple[str, int, bool]) -> Scene:
        """NdisOffloadTcpReceive of requests (name, bytes, nonpush)."""
        lists = []
        for name, size, no_push in requests:
            nbl = self.make(name, bytes(size))
            nbl.info[NblInfo.TCP_RECEIVE_NO_PUSH] = int(no_push)
            lists.append(nbl)
        yield self._free
        self.stage.host.issue_receive(self.connection, lists)
        yield self._free

    def disconnect(self, nbl: NetBufferList) -> Scene:
        """NdisOffloadTcpDisconnect, graceful."""
        yield self._free
        self._closing = True
        self.stage.host.issue_disconnect(self.connection, nbl)
        yield self._free

    def terminate(self, *, chained: bool = False, with_objects: bool = False) -> Scene:
        """NdisTerminateOffload until it completed; ``chained``: unfinished sends come back in the chain."""
        host, driver = self.stage.host, self.stage.driver
        kept = host.config, driver.config
        host.config = replace(host.config, joint_terminate=float(with_objects))
        driver.config = replace(driver.config, chain_unfinished=chained)
        host.terminate(self.connection)
        yield lambda: self.upload is not None
        host.config, driver.config = kept

    def mark(self, text: str) -> None:
        """Remember this moment by name."""
        self._note(Moment(MARK, self.stage.host.now, text=text))

    def query(self) -> Generator[Callable[[], bool], None, TcpDelegated]:
        """NdisQueryOffloadState of the connection's whole state."""
        request = self.stage.host.state.query(self.connection.node(OffloadStateType.TCP))
        yield lambda: request.completed
        assert isinstance(request.root.delegated, TcpDelegated)
        return request.root.delegated

    def close_in_software(self) -> Scene:
        """A connection that the host has: both sides close."""
        self.far.auto = True
        self.stack.tcp.close(self.stage.host.now)
        yield lambda: self.stack.tcp.ended
        self.end()

    def finish(self) -> Scene:
        """The software stack goes on from the uploaded state and chain alone, and closes the connection."""
        assert self.upload is not None
        _, delegated, buffered = self.upload
        assert delegated is not None
        self.sink += buffered
        rest = b"".join(g.nbl.read(Owner.HOST, self.stage.host.memory) for g in self._unfinished())
        host, far = self.stage.host, self.far
        far.auto = True
        far.window = WINDOW
        host.stack.uploaded(self.stack, delegated, rest, self._closing, host.now)
        if not far.fin_sent or far.received != far.acked:
            far.ack()
        tcp = self.stack.tcp
        if not tcp.ended:
            tcp.close(host.now)
        yield lambda: tcp.ended
        self.sink += tcp.take_received()
        assert not tcp.failure, tcp.failure
        self.end()

    def _unfinished(self) -> Iterator[Given]:
        """Send and disconnect lists that came back with data, in order."""
        for given in self.given.values():
            seen = self.returned(given.name)
            if seen.status is not NdisStatus.SUCCESS and given.name[0] in "SD":
                yield given

    def end(self) -> None:
        """The connection is over; its lists are freed."""
        for given in self.given.values():
            free_net_buffer_list(self.stage.allocator, given.nbl)
        self.over = True

    # ---- what rows ask ----

    def of(self, name: str) -> list[Moment]:
        """All moments of this name."""
        return [m for m in self.moments if m.name == name]

    def at(self, text: str) -> int:
        """Where a mark stands."""
        return next(i for i, m in enumerate(self.moments) if m.name == MARK and m.text == text)

    def place(self, name: str) -> int:
        """Where a list came back."""
        return next(i for i, m in enumerate(self.moments) if self._back(m, name) is not None)

    def returned(self, name: str) -> ListSeen:
        """A list as it came back."""
        found = self._back(self.moments[self.place(name)], name)
        assert found is not None
        return found

    @staticmethod
    def _back(moment: Moment, name: str) -> ListSeen | None:
        if moment.name not in (SEND_COMPLETE, RECEIVE_COMPLETE, DISCONNECT_COMPLETE, TERMINATE_COMPLETE):
            return None
        lists = [*moment.lists, *(s for node in moment.nodes for s in node.chain)]
        return next((seen for seen in lists if seen.name == name), None)

    @property
    def node(self) -> NodeSeen:
        """The connection's node when the terminate completed."""
        (moment,) = self.of(TERMINATE_COMPLETE)
        return next(node for node in moment.nodes if node.layer is Layer.TCP)

    @property
    def state(self) -> TcpDelegated:
        """The delegated state it brought."""
        assert isinstance(self.node.delegated, TcpDelegated)
        return self.node.delegated

    def position(self, seq: int) -> int:
        """Bytes of the stream before a sequence number of ours."""
        return (seq - self.far.first) & MASK32

    @property
    def wire(self) -> list[Segment]:
        """What the target sent, in order."""
        segments = [m.segment for m in self.of(WIRE)]
        return [s for s in segments if s is not None and s.ip_id >= TARGET_ID]

    # ---- OffloadClient ----

    @property
    def done(self) -> bool:
        return self.over

    def step(self) -> bool:
        return False

    def initiated(self, status: NdisStatus) -> None:
        self.offload_status = status

    def send_returned(self, done: Outstanding) -> None:
        """Kept until the end of the story."""

    def disconnect_returned(self, done: Outstanding) -> None:
        """Kept until the end of the story."""

    def receive_returned(self, done: Outstanding) -> None:
        memory = self.stage.host.memory
        self.sink += b"".join(memory.read(addr, n) for addr, n in done.placed())

    def indicated(self, nbl: NetBufferList) -> tuple[NdisStatus, int]:
        total = nbl.data_length
        count = total if self.accept is None else min(self.accept, total)
        memory = self.stage.host.memory
        self.sink += b"".join(memory.read(a, n) for a, n in slice_elements(nbl.elements(), 0, count))
        if count == total:
            return NdisStatus.SUCCESS, total
        self.accept = 0
        refused = NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED if count else NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED
        return refused, count

    def event(self, event: TcpEventType, info: int) -> None:
        """Seen by the tap."""

    def uploaded(
        self, status: NdisStatus, delegated: TcpDelegated | None, chained: list[Outstanding], buffered: bytes
    ) -> None:
        self.upload = status, delegated, buffered

    # ---- for the taps ----

    def _note(self, moment: Moment) -> None:
        self.moments.append(moment)

    def note(self, moment: Moment) -> None:
        """Something crossed the face or the wire."""
        self._note(moment)

    def seen(self, nbl: NetBufferList) -> ListSeen:
        """A list as it is now."""
        given = self.given.get(id(nbl))
        assert given is not None, f"{self.name}: a list came up that nobody gave"
        buffers = nbl.net_buffers
        memory = self.stage.host.memory
        return ListSeen(
            given.name,
            nbl,
            nbl.status,
            nbl.info.get(NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED),
            tuple(b.data_offset - at for b, at in zip(buffers, given.offsets, strict=True)),
            tuple(n - b.data_length for b, n in zip(buffers, given.lengths, strict=True)),
            tuple(tuple(b.mdl_chain) for b in buffers) == given.chains,
            b"".join(memory.read(addr, n) for addr, n in nbl.elements()),
        )


# ---- taps at the face --------------------------------------------------------------------------------


class Taps:
    """Both taps write here: which calls are in progress, and to which story a list or a handle belongs."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.inside: list[str] = []

    @staticmethod
    def story(owner: object) -> Story | None:
        """The story of a connection; None for those of the session."""
        client = owner.client if isinstance(owner, OffloadedConnection) else None
        return client if isinstance(client, Story) else None

    def lists(self, name: str, head: NetBufferList, calls: Callable[[], None]) -> None:
        """A call with a chain of lists."""
        lists = list(iterate(head))
        stories = {id(s): s for one in lists if (s := self.story(one.protocol_reserved)) is not None}
        for story in stories.values():
            own = tuple(story.seen(one) for one in lists if self.story(one.protocol_reserved) is story)
            story.note(self.moment(name, lists=own, count=len(lists)))
        self.call(name, calls)

    def moment(self, name: str, **facts: Any) -> Moment:
        """A moment now."""
        return Moment(name, self.stage.host.now, tuple(self.inside), **facts)

    def call(self, name: str, calls: Callable[[], None]) -> None:
        """Make a call; it must return nothing."""
        self.inside.append(name)
        try:
            result: object = calls()  # type: ignore[func-returns-value]  # that is what is checked
            assert result is None, f"{name} returned {result!r}"
        finally:
            self.inside.pop()

    def tree(self, name: str, root: OffloadBlock, calls: Callable[[], None]) -> None:
        """A call with a state tree."""
        nodes = list(traverse(root))
        for node in nodes:
            if (story := self.story(node.ndis_offload_handle)) is not None:
                seen = tuple(self._node(story, one) for one in nodes)
                story.note(self.moment(name, root=root, nodes=seen))
        self.call(name, calls)

    def neighbor(self, block: OffloadBlock | None) -> None:
        """The target asks for a neighbor."""
        if block is None:
            return
        cached, delegated = block.cached, block.delegated
        assert isinstance(cached, NeighborCached)
        assert isinstance(delegated, NeighborDelegated)
        ages = cached.host_reachability_delta, delegated.nic_reachability_delta
        for story in self.stage.stories.values():
            if story.is_offloaded and story.connection.path.below is block.ndis_offload_handle:
                story.note(self.moment(NEIGHBOR_EVENT, ages=ages))

    def _node(self, story: Story, node: OffloadBlock) -> NodeSeen:
        state = node.delegated
        head = state.buffered_data if isinstance(state, TcpDelegated) else None
        buffered = tuple(iterate(head))
        memory = self.stage.host.memory
        data = b"".join(memory.read(addr, n) for one in buffered for addr, n in one.elements())
        own = self.story(node.ndis_offload_handle) is story
        chain = tuple(story.seen(one) for one in iterate(node.net_buffer_list_chain)) if own else ()
        has_chain = node.net_buffer_list_chain is not None
        return NodeSeen(
            node.type.layer,
            node.status,
            state,
            chain,
            has_chain,
            data,
            buffered,
            node.ndis_offload_handle,
            node.context,
        )


class UpTap(ProtocolFace):
    """Between driver and host."""

    def __init__(self, taps: Taps, host: NdisHost) -> None:
        self._taps, self._host = taps, host

    def initiate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(
            INITIATE_COMPLETE, block_list, lambda: self._host.initiate_offload_complete(binding_context, block_list)
        )

    def terminate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(
            TERMINATE_COMPLETE, block_list, lambda: self._host.terminate_offload_complete(binding_context, block_list)
        )

    def tcp_offload_send_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        self._taps.lists(SEND_COMPLETE, nbl, lambda: self._host.tcp_offload_send_complete(binding_context, nbl))

    def tcp_offload_receive_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        self._taps.lists(RECEIVE_COMPLETE, nbl, lambda: self._host.tcp_offload_receive_complete(binding_context, nbl))

    def tcp_offload_disconnect_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        self._taps.lists(
            DISCONNECT_COMPLETE, nbl, lambda: self._host.tcp_offload_disconnect_complete(binding_context, nbl)
        )

    def tcp_offload_event(self, handle: object, event: TcpEventType, info: int) -> None:
        if (story := self._taps.story(handle)) is not None:
            story.note(self._taps.moment(EVENT, event=(event, info)))
        self._taps.call(EVENT, lambda: self._host.tcp_offload_event(handle, event, info))

    def tcp_offload_receive_indicate(
        self, handle: object, nbl: NetBufferList, status: NdisStatus
    ) -> tuple[NdisStatus, int]:
        if (story := self._taps.story(handle)) is not None:
            story.note(self._taps.moment(INDICATE, count=nbl.data_length))
        self._taps.inside.append(INDICATE)
        try:
            return self._host.tcp_offload_receive_indicate(handle, nbl, status)
        finally:
            self._taps.inside.pop()

    def update_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        self._host.update_offload_complete(binding_context, block_list)

    def query_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        self._host.query_offload_complete(binding_context, block_list)

    def invalidate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        self._host.invalidate_offload_complete(binding_context, block_list)

    def tcp_offload_forward_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        self._host.tcp_offload_forward_complete(binding_context, nbl)

    def offload_event_indicate(self, binding_context: object, block_list: OffloadBlock | None, code: int) -> None:
        self._taps.neighbor(block_list)
        self._host.offload_event_indicate(binding_context, block_list, code)

    def status_indicate(self, binding_context: object, code: NdisStatus, buffer: TcpConnectionOffload | None) -> None:
        self._host.status_indicate(binding_context, code, buffer)

    def oid_request_complete(self, binding_context: object, request: OidRequest, status: NdisStatus) -> None:
        self._host.oid_request_complete(binding_context, request, status)

    def indicate_raw(self, binding_context: object, frame: bytes) -> None:
        segment = decode(frame)
        story = None if segment is None else self._taps.stage.by_port(segment.destination.port)
        if story is not None:
            story.note(self._taps.moment(RAW_INDICATE, segment=segment))
        self._host.indicate_raw(binding_context, frame)


class DownTap(MiniportFace):
    """Between host and driver."""

    def __init__(self, taps: Taps, driver: MiniportFace) -> None:
        self._taps, self._driver = taps, driver

    @property
    def adapter(self) -> Adapter:
        return self._driver.adapter

    def initiate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        self._taps.call("MiniportInitiateOffload", lambda: self._driver.initiate_offload(adapter_context, block_list))

    def terminate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(TERMINATE, block_list, lambda: self._driver.terminate_offload(adapter_context, block_list))

    def update_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        self._driver.update_offload(adapter_context, block_list)

    def query_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        self._driver.query_offload(adapter_context, block_list)

    def invalidate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        self._driver.invalidate_offload(adapter_context, block_list)

    def _io(self, name: str, nbl: NetBufferList, calls: Callable[[], NdisStatus]) -> NdisStatus:
        story = self._taps.story(nbl.protocol_reserved)
        answer: list[NdisStatus] = []
        self._taps.lists(name, nbl, lambda: answer.append(calls()))
        if story is not None:
            story.answers.append((name, answer[0]))
        return answer[0]

    def tcp_offload_send(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        return self._io(SEND, nbl, lambda: self._driver.tcp_offload_send(adapter_context, context, nbl))

    def tcp_offload_receive(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        return self._io(RECEIVE, nbl, lambda: self._driver.tcp_offload_receive(adapter_context, context, nbl))

    def tcp_offload_receive_return(self, adapter_context: object, nbl: NetBufferList) -> NdisStatus:
        for one in iterate(nbl):
            if (story := self._taps.story(one.context)) is not None:
                story.note(self._taps.moment(RETURN))
        return self._driver.tcp_offload_receive_return(adapter_context, nbl)

    def tcp_offload_disconnect(
        self, adapter_context: object, context: int, nbl: NetBufferList, flags: DisconnectFlags
    ) -> NdisStatus:
        driver = self._driver
        return self._io(DISCONNECT, nbl, lambda: driver.tcp_offload_disconnect(adapter_context, context, nbl, flags))

    def tcp_offload_forward(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        return self._driver.tcp_offload_forward(adapter_context, context, nbl)

    def oid_request(self, adapter_context: object, request: OidRequest) -> NdisStatus:
        return self._driver.oid_request(adapter_context, request)

    def send_raw(self, adapter_context: object, frame: bytes) -> None:
        self._driver.send_raw(adapter_context, frame)


# ---- driver, network and session with a stage ---------------------------------------------------------


class StageDriver(MiniportDriver):
    """The session's driver, with its counters in sight. While ``asleep`` it looks at no completion."""

    asleep = False

    @property
    def taken(self) -> int:
        """Place in the completion ring of the next entry that the driver looks at."""
        return self._cq.index

    def nothing(self, count: int) -> None:
        """So many commands that do nothing but complete."""
        for _ in range(count):
            self.later(lambda: None)
        self._kick()

    def on_interrupt(self) -> None:
        """A host that sleeps leaves even the interrupt alone."""
        if not self.asleep:
            super().on_interrupt()

    def poll(self) -> bool:
        """Nothing is taken from the ring by a host that sleeps."""
        return not self.asleep and super().poll()

    def next_image(self) -> int:
        """Where the next terminate will have its image written, if nothing else is terminated meanwhile."""
        place = self._uploads.allocate(self._upload_bytes)
        assert place is not None
        self._uploads.free(place)
        return place

    @property
    def counts(self) -> tuple[int, ...]:
        """Everything that is handed out and taken back."""
        return (
            self.lists.used,
            self.bounce.used,
            self._uploads.used,
            len(self._commands),
            len(self._raw_frames),
            len(self._contexts),
            len(self._by_id),
            *(len(ids) for ids in self._free_ids.values()),
            *(self._places_left[kind] for kind in (CompletionKind.SEND, CompletionKind.RECEIVE)),
        )

    @property
    def loaded(self) -> int:
        """Connections that hold a number of the device."""
        return len(self._by_id)

    @property
    def posts_waiting(self) -> int:
        """Pool buffers that are not with the device yet."""
        return len(self._pool_posts)


@dataclass
class Device:
    """What a stage needs of the device beyond its driver."""

    #: Accesses of the device in these windows fail from now on.
    inject: Callable[[Sequence[ErrorWindow]], None]
    #: The state of all blocks: the golden device's own, or the one that lockstep holds beside the RTL.
    core: Callable[[], Core]
    #: Read a register; the result calls back None until it is there.
    ask: Callable[[int], Callable[[], int | None]]


class Stage:
    """Plays scenes one after the other. ``stories`` holds what came of them."""

    def __init__(self, scenes: Sequence[Callable[[Stage], Scene]]) -> None:
        self.stories: dict[str, Story] = {}
        self.frames: list[bytes] = []
        self.session_over: Callable[[], bool] = lambda: True
        self.skew: Callable[[int], None]
        self.tap: ContractTap
        #: Ticks by which the host's clock is ahead of the device's.
        self.ahead = 0
        self.host: NdisHost
        self.driver: StageDriver
        self.allocator: PageAllocator
        self.device: Device
        self._scenes = list(scenes)
        self._running: Scene | None = None
        self._waiting: Callable[[], bool] = lambda: True
        self._alarm: int | None = None

    @property
    def memory(self) -> HostMemory:
        """Host memory."""
        return self.host.memory

    @property
    def over(self) -> bool:
        """All scenes were played."""
        return not self._scenes and self._running is None

    def where(self) -> str:
        """What the running scene waits for, for messages."""
        return place_of(self._running) or f"{len(self._scenes)} scenes left"

    def step(self) -> bool:
        """Take the scenes as far as they go now; True if anything moved."""
        moved = False
        while True:
            if self._running is None:
                if not self._scenes:
                    return moved
                self._running = self._scenes.pop(0)(self)
            elif not self._waiting():
                return moved
            moved = True
            try:
                self._waiting = next(self._running)
            except StopIteration:
                self._running, self._waiting = None, lambda: True

    def story(self, name: str) -> Story:
        """A new connection."""
        assert name not in self.stories
        self.stories[name] = Story(self, name, len(self.stories))
        return self.stories[name]

    def by_port(self, port: int) -> Story | None:
        """The story of a local port."""
        return next((s for s in self.stories.values() if s.far.local_port == port), None)

    def quiet(self, ticks: int = QUIET) -> Scene:
        """Let the device do everything that it has to do."""
        yield from self.until(self.now + ticks)

    @property
    def now(self) -> int:
        """The device's clock."""
        return self.host.now - self.ahead

    def register(self, offset: int) -> Generator[Callable[[], bool], None, int]:
        """A register of the device."""
        get = self.device.ask(offset)
        yield lambda: get() is not None
        value = get()
        assert value is not None
        return value

    def until(self, tick: int) -> Scene:
        """Let the device's clock come to ``tick``."""
        self._alarm = tick
        yield lambda: self.now >= tick
        self._alarm = None

    def wake_at(self, tick: int | None) -> None:
        """The running scene looks again at ``tick`` of the device's clock at the latest."""
        self._alarm = tick

    @property
    def alarm(self) -> int | None:
        """The tick of the device's clock that the running scene waits for."""
        return self._alarm

    def is_for_far_end(self, frame: bytes) -> bool:
        """Whether a frame is for a far end of the stage."""
        return any(frame[0:6] == story.far.mac for story in self.stories.values())

    def arrive(self, frame: bytes) -> None:
        """A frame of a far end goes to the NIC."""
        self.frames.append(frame)

    def sent(self, frame: bytes, tick: int) -> None:
        """The NIC sent a frame to a far end."""
        segment = decode(frame)
        assert segment is not None
        story = self.by_port(segment.source.port)
        assert story is not None
        story.note(Moment(WIRE, tick, segment=segment))
        story.far.take(segment)

    def resources(self) -> Resources:
        """What is in use now."""
        core = self.device.core()
        return Resources(
            self.allocator.used_pages,
            self.driver.counts,
            len(core.in_use),
            len(core.lookup),
            len(core.free),
            core.credits + core.credit_pending,
            self.driver.posts_waiting,
        )


class StageNetwork(Network):
    """The network of the session; frames for the far ends go to the stage, past the impairments."""

    stage: Stage | None = None

    def from_nic(self, frame: bytes, tick: int) -> None:
        """The NIC transmitted ``frame``."""
        if self.stage is None or not self.stage.is_for_far_end(frame):
            super().from_nic(frame, tick)
            return
        if not self.watched_apart:
            self.watched(frame, tick)
        self.stage.sent(frame, tick)

    def due(self, tick: int) -> list[bytes]:
        """Those of the session, then those of the far ends."""
        found = super().due(tick)
        if self.stage is not None:
            found += self.stage.frames
            self.stage.frames.clear()
        return found

    def next_deadline(self) -> int | None:
        """Frames of far ends are due at once."""
        due = [super().next_deadline()]
        if self.stage is not None:
            due += [1 if self.stage.frames else None, self.stage.alarm]
        return min((tick for tick in due if tick is not None), default=None)


class StageTransfer(Transfer):
    """The session with a stage beside it: it is over when both are."""

    network_type = StageNetwork
    stage: Stage | None = None
    taps: Taps

    def join(self, stage: Stage, device: Device, allocator: PageAllocator) -> UpTap:
        """Play ``stage`` beside the session; the driver is to be made on top of the face that is returned."""
        assert isinstance(self.network, StageNetwork)
        self.stage = self.network.stage = stage
        stage.host, stage.device, stage.allocator = self.host, device, allocator
        stage.session_over = self._session_over
        stage.skew, stage.tap = self._skew, self.tap
        self.taps = Taps(stage)
        return UpTap(self.taps, self.host)

    def _skew(self, ticks: int) -> None:
        """From now on the host's clock is so much further ahead of the device's."""
        assert self.stage is not None
        self._skipped += ticks
        self.stage.ahead = self._skipped
        self.host.on_tick(self.host.now + ticks)

    def _session_over(self) -> bool:
        """The session's connections are over, or wait in software for their last ticks."""
        last = TcpConnectionState.TIME_WAIT
        return all(app.done or (app.phase is AppPhase.SOFTWARE and app.tcp_state is last) for app in self.apps)

    def _skip_time_wait(self) -> bool:
        """Not while scenes are played: host and device must agree on the time."""
        return (self.stage is None or self.stage.over) and super()._skip_time_wait()

    def attach(self, driver: MiniportFace) -> None:
        """Bind the miniport driver below the host, with the tap between."""
        if self.stage is not None and isinstance(driver, StageDriver):
            self.stage.driver = driver
            self._driver_clock = driver.on_tick
            self.tap.watch_rings(driver)
            driver = DownTap(self.taps, driver)
        super().attach(driver)

    def pump(self) -> bool:
        """Host, then stage."""
        moved = super().pump()
        if self.stage is not None and self.stage.step():
            moved = True
            super().pump()
        return moved

    @property
    def done(self) -> bool:
        """Session and scenes are over."""
        return super().done and (self.stage is None or self.stage.over)
