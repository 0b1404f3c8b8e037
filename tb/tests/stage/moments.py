"""What is kept of a scene: lists, trees and calls as they were at the moment they crossed a face, and frames."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from model.ndis.enums import Layer, NblInfo, TcpEventType
from model.ndis.framing import Segment
from model.ndis.memory import HostMemory
from model.ndis.miniport_io import merge_adjacent
from model.ndis.netbuffer import NetBufferList
from model.ndis.offload_state import OffloadBlock
from model.ndis.status import NdisStatus

Scene = Generator[Callable[[], bool], None, None]

SEND_COMPLETE = "NdisTcpOffloadSendComplete"
RECEIVE_COMPLETE = "NdisTcpOffloadReceiveComplete"
DISCONNECT_COMPLETE = "NdisTcpOffloadDisconnectComplete"
TERMINATE_COMPLETE = "NdisMTerminateOffloadComplete"
INITIATE, INITIATE_COMPLETE = "MiniportInitiateOffload", "NdisMInitiateOffloadComplete"
EVENT, INDICATE = "NdisTcpOffloadEventHandler", "NdisTcpOffloadReceiveHandler"
RAW_INDICATE = "NdisMIndicateReceiveNetBufferLists"
SEND, RECEIVE, DISCONNECT = "MiniportTcpOffloadSend", "MiniportTcpOffloadReceive", "MiniportTcpOffloadDisconnect"
TERMINATE, RETURN = "MiniportTerminateOffload", "MiniportTcpOffloadReceiveReturn"
FORWARD, FORWARD_COMPLETE = "MiniportTcpOffloadForward", "NdisTcpOffloadForwardComplete"
QUERY, QUERY_COMPLETE = "MiniportQueryOffload", "NdisMQueryOffloadStateComplete"
UPDATE, UPDATE_COMPLETE = "MiniportUpdateOffload", "NdisMUpdateOffloadComplete"
NEIGHBOR_EVENT = "NdisMOffloadEventIndicate"
INVALIDATE, INVALIDATE_COMPLETE = "MiniportInvalidateOffload", "NdisMInvalidateOffloadComplete"
WIRE, ARRIVAL, MARK = "on the wire", "arrived", "mark"


@dataclass(frozen=True)
class Given:
    """A list as the host gave it to the target: names begin with S, R, D, A (abortive disconnect) or F (forward)."""

    name: str
    nbl: NetBufferList
    data: bytes
    lengths: tuple[int, ...]
    offsets: tuple[int, ...]
    chains: tuple[tuple[object, ...], ...]
    #: Where its bytes lie: (bus address, bytes), neighbours joined.
    places: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, name: str, nbl: NetBufferList, data: bytes) -> Given:
        """A list as it is before the call that gives it."""
        buffers = nbl.net_buffers
        return cls(
            name,
            nbl,
            data,
            tuple(b.data_length for b in buffers),
            tuple(b.data_offset for b in buffers),
            tuple(tuple(b.mdl_chain) for b in buffers),
            tuple(merge_adjacent(nbl.elements())),
        )


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
    #: The data that is left, and where it lies.
    rest: bytes
    places: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, given: Given, memory: HostMemory) -> ListSeen:
        """A list that was given, as it is now."""
        nbl = given.nbl
        buffers = nbl.net_buffers
        return cls(
            given.name,
            nbl,
            nbl.status,
            nbl.info.get(NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED),
            tuple(b.data_offset - at for b, at in zip(buffers, given.offsets, strict=True)),
            tuple(n - b.data_length for b, n in zip(buffers, given.lengths, strict=True)),
            tuple(tuple(b.mdl_chain) for b in buffers) == given.chains,
            b"".join(memory.read(addr, n) for addr, n in nbl.elements()),
            tuple(merge_adjacent(nbl.elements())),
        )


@dataclass(frozen=True)
class NodeSeen:
    """A node of a tree when it crossed the face."""

    layer: Layer
    status: NdisStatus | None
    delegated: object
    chain: tuple[ListSeen, ...]
    has_chain: bool
    buffered: bytes
    buffered_lists: tuple[NetBufferList, ...]
    #: The host's object, and the target's context at that moment.
    owner: object
    context: int | None


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
    #: Of a neighbor query: HostReachabilityDelta and NicReachabilityDelta, in ticks.
    ages: tuple[int, int] = (0, 0)
    #: A frame that the host gave to the ordinary send path.
    raw: bool = False


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


@dataclass(frozen=True)
class Crossing:
    """A call as it passes one face of one layer, with the lists or the tree of one connection.

    Faces: A into a miniport, B a miniport into NDIS, C a protocol into NDIS, D into a protocol. Layer n is the binding
    on top of miniport n; miniport 0 is the offload target, those above are intermediate drivers.
    """

    layer: int
    face: str
    name: str
    #: What the call names adapter, binding or connection by: its first parameter.
    handle: object
    #: MiniportOffloadContext: what face A is given, what the handle of face C holds.
    context: int | None
    lists: tuple[NetBufferList, ...] = ()
    statuses: tuple[NdisStatus | None, ...] = ()
    root: OffloadBlock | None = None
    #: Calls in progress around it, outermost first: (layer, face, name).
    inside: tuple[tuple[int, str, str], ...] = ()

    @property
    def step(self) -> str:
        """Face and layer, as "B0"."""
        return f"{self.face}{self.layer}"
