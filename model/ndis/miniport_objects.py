"""What the miniport driver knows of each offloaded object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from model.layout.generated import Cqe
from model.ndis.enums import Layer
from model.ndis.miniport_forward import ForwardIo
from model.ndis.miniport_io import ConnectionIo
from model.ndis.netbuffer import NetBufferList
from model.ndis.offload_state import NeighborCached, NeighborConst, OffloadBlock, PathCached, PathConst
from model.ndis.upload_policy import Activity


@dataclass(eq=False)
class StateObject:
    """An offloaded neighbor or path: its device id, its state as the host gave it, and the path's neighbor."""

    layer: Layer
    id: int
    below: StateObject | None = None
    ndis_handle: object = None
    const: NeighborConst | PathConst | None = None
    cached: NeighborCached | PathCached | None = None
    #: Its initiate is being completed to the host, or was: from then on the host may name it (CH-059).
    known: bool = False
    #: The initiate has been completed to the host.
    live: bool = False
    #: INVALIDATE was submitted: from its place in the ring on no frame leaves (CH-092).
    invalid: bool = False
    terminating: bool = False


@dataclass(eq=False)
class OffloadedTcp:
    """An offloaded connection."""

    id: int
    io: ConnectionIo
    forwards: ForwardIo
    ndis_handle: object
    path: StateObject
    #: Inherited receive data that was not delivered yet, and whether the client refused it.
    buffered: bytearray = field(default_factory=bytearray)
    buffered_refused: bool = False
    #: Memory in which inherited data goes back to the host; taken when it came, so that a terminate cannot fail.
    reserved: int | None = None
    #: Inherited bytes are on their way up; a receive that the host posts meanwhile is filled behind them.
    feeding: bool = False
    #: A receive was posted since the initiate: what inherited data exceeds it may be indicated (CH-054, CH-055).
    receive_posted: bool = False
    #: Its initiate is being completed to the host, or was: from then on the host may name it (CH-059).
    known: bool = False
    live: bool = False
    #: START has not been answered in its time: whether the device runs the connection is not known.
    start_owed: bool = False
    #: Entries that came before the initiate was completed to the host (CH-056).
    early: list[Cqe] = field(default_factory=list)
    terminating: bool = False
    #: The ABORT event that waits until no send can end with SUCCESS any more (G-29).
    abort_held: bool = False
    abort_told: bool = False
    #: RETRIEVE(HARDWARE_FAILURE) was raised: the state at the device is not to be trusted (CH-095, G-20).
    lost: bool = False
    kept: list[NetBufferList] = field(default_factory=list)
    invalid: bool = False
    #: The host was asked to take it back for want of memory (CH-212).
    short: bool = False
    #: What the upload policy looks at.
    activity: Activity = field(default_factory=Activity)

    @property
    def incarnation(self) -> int:
        """Number and generation: no other connection has both."""
        return self.io.gen << 16 | self.id

    def owes(self, since: int) -> bool:
        """The device has had a forward, or an abort, since a tick or longer: it needs no peer to answer them."""
        return self.forwards.oldest(since) or self.io.abort_waits(since)

    @property
    def mute(self) -> bool:
        """No frame of the connection may leave (G-03)."""
        below = self.path.below
        return self.invalid or self.path.invalid or (below is not None and below.invalid)


@dataclass(frozen=True)
class PoolBuffer:
    """MiniportReserved of an indicated list: the pool buffer it lies in."""

    index: int


@dataclass(frozen=True)
class BounceBuffer:
    """MiniportReserved of an indicated list that lies in the driver's own memory."""

    addr: int


@dataclass(frozen=True)
class KeptCopy:
    """MiniportReserved of an indicated list in a copy of a pool buffer; ``owner``: OffloadedTcp.incarnation."""

    addr: int
    owner: int


ReceivedAt = PoolBuffer | KeptCopy | BounceBuffer


@dataclass(eq=False)
class TerminateOp:
    """A terminate tree in progress. ``deadline``: the tick at which a silent device counts as dead, None for never."""

    root: OffloadBlock
    #: What it ends, by its nodes: an object that is being terminated already belongs to the earlier call.
    taken: dict[int, StateObject | OffloadedTcp] = field(default_factory=dict)
    waiting: int = 0
    deadline: int | None = None
    #: Connections the device has not answered for, with their nodes.
    pending: list[tuple[OffloadBlock, OffloadedTcp]] = field(default_factory=list)
    #: Calls that name an object that this one ends already: they complete behind it.
    followers: list[TerminateOp] = field(default_factory=list)
    #: The device did not answer (G-20).
    given_up: bool = False
    completed: bool = False


Callback = Callable[[Cqe], None]
