"""What the contract monitors see: plain records of calls at the NDIS faces, of ring entries and of frames.

A record holds values as they were at that moment, never references: NET_BUFFER_LISTs, NET_BUFFERs, block lists,
handles and memory locations appear as identity numbers (equal number = same object). Status values, event types, state
types and flags are the numbers of the published headers. Names of state variables are those of the structures in
snake case (``snd_una``, ``ka_timeout``, ``dl_destination_address``); times are ticks.

A call is two records, `Enter` and `Leave`, with what happened inside it between them. A call down is named as the
miniport exports it (``MiniportTcpOffloadSend``), a call up as the target makes it (``NdisTcpOffloadSendComplete``),
at every layer. Layer 0 is the face of the offload target, layer n the upper face of the n-th intermediate driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = int | bytes | None
"""A state variable."""
State = Mapping[str, Value]
"""The variables of one state structure."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """A NET_BUFFER: bytes of used data, offset of the data in the MDL chain, the chain as (identity, ByteCount)."""

    ident: int
    data_length: int
    data_offset: int = 0
    mdls: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class List:
    """A NET_BUFFER_LIST.

    ``transferred`` is None where TcpOffloadBytesTransferred was not written since the list was submitted.
    ``data`` is what lies in its buffers, where the host keeps it or the target hands it over: the bytes of a send,
    of a disconnect, of a forwarded segment, of an indication; b"" for a posted receive.
    """

    ident: int
    buffers: tuple[Buffer, ...] = ()
    status: int | None = None
    transferred: int | None = None
    no_push: bool = False
    received_before: int = 0
    source_handle: int | None = None
    data: bytes = b""

    @property
    def data_length(self) -> int:
        """Bytes over all NET_BUFFERs."""
        return sum(buffer.data_length for buffer in self.buffers)


@dataclass(frozen=True, slots=True)
class Node:
    """A block list (MOBL).

    ``location`` is MiniportOffloadContext, ``context`` what that location holds now (None = NULL). ``handle`` is
    NdisOffloadHandle. ``reserved`` is NdisReserved[0..1], ProtocolReserved[0..1], ImReserved[0..1], SourceHandle as
    identity numbers. ``chain`` is NetBufferListChain, ``buffered`` BufferedData of the delegated TCP structure,
    ``chain_ends`` the identities of SendDataHead and SendDataTail.
    """

    ident: int
    type: int
    location: int | None = None
    context: int | None = None
    handle: int | None = None
    next: int | None = None
    dependents: int | None = None
    status: int | None = None
    port_number: int = 0
    reserved: tuple[int | None, ...] = (None,) * 7
    const: State | None = None
    cached: State | None = None
    delegated: State | None = None
    chain: tuple[List, ...] = ()
    chain_ends: tuple[int | None, int | None] = (None, None)
    buffered: tuple[List, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """A block-list tree; ``nodes`` by identity, in whatever order; ``root`` the pointer that was passed."""

    root: int
    nodes: Mapping[int, Node]


@dataclass(frozen=True, slots=True)
class Record:
    """Something that happened: running number, tick, name of the adapter, layer."""

    order: int
    tick: int
    adapter: str = "nic0"
    layer: int = 0


@dataclass(frozen=True, slots=True)
class Enter(Record):
    """A call begins. ``call`` pairs it with its `Leave`.

    ``target`` is the MiniportOffloadContext of an I/O call down, the NdisOffloadHandle of an indication or event up,
    the NdisMiniportHandle of a completion. ``status`` is the Status parameter of NdisTcpOffloadReceiveHandler or the
    status code of NdisMIndicateStatusEx; ``event`` and ``info`` are EventType and EventSpecificInformation, or the
    IndicationCode of NdisMOffloadEventIndicate; ``buffer`` the StatusBuffer or OID payload by field name.
    """

    call: int = 0
    function: str = ""
    target: int | None = None
    lists: tuple[List, ...] = ()
    tree: Tree | None = None
    flags: int = 0
    status: int | None = None
    event: int = 0
    info: int = 0
    oid: int = 0
    buffer: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leave(Record):
    """A call returns: its NDIS_STATUS (None for void), BytesConsumed, and lists and tree as they are now."""

    call: int = 0
    function: str = ""
    result: int | None = None
    consumed: int | None = None
    lists: tuple[List, ...] = ()
    tree: Tree | None = None
    buffer: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame(Record):
    """A frame of the target's port, without FCS: sent by it (before the network) or received (after the network).

    ``raw`` is True for a sent frame that the host gave to the ordinary send path, ``given`` the tick at which it did:
    it may wait in the driver and in the device while others are sent.
    """

    sent: bool = False
    data: bytes = b""
    raw: bool = False
    given: int | None = None


@dataclass(frozen=True, slots=True)
class PassedUp(Record):
    """A received frame that the target indicated on the ordinary path (NdisMIndicateReceiveNetBufferLists)."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class PortEntry(Record):
    """An entry of the device's rings as the device read (submission) or wrote it, by field name.

    ``owner`` is the NdisOffloadHandle of the connection that has the number in ``conn``, if there is one.
    """

    submission: bool = False
    entry: Mapping[str, int] = field(default_factory=dict)
    owner: int | None = None


@dataclass(frozen=True, slots=True)
class RegisterValue(Record):
    """A register of the device, read by its driver: offset and value, 32 bits."""

    offset: int = 0
    value: int = 0


@dataclass(frozen=True, slots=True)
class Counters(Record):
    """What is in use in the target at this moment, by name: connections, paths, neighbors, posted receives, ...

    ``of_device``: read from the device's own tables, not from the books of its driver.
    """

    used: Mapping[str, int] = field(default_factory=dict)
    of_device: bool = False


@dataclass(frozen=True, slots=True)
class Setting(Record):
    """What the run was configured with or the target reports of itself, by name (``interface_mac``, ``capacity``)."""

    name: str = ""
    value: Value = None
