"""The two faces of NDIS for the chimney, and its downward calls as objects.

Downward calls are frozen dataclasses, so that an environment can carry them through a sequencer
before they reach the miniport. Names follow the NDIS sheet, section 2 and appendix B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from model.ndis.enums import DisconnectFlags, TcpEventType
from model.ndis.netbuffer import NetBufferList
from model.ndis.offload_state import OffloadBlock
from model.ndis.status import NdisStatus


class MiniportFace(Protocol):
    """What a miniport driver exports (face A). State calls complete later through ProtocolFace."""

    def initiate_offload(self, block_list: OffloadBlock) -> None:
        """MiniportInitiateOffload."""
        ...

    def terminate_offload(self, block_list: OffloadBlock) -> None:
        """MiniportTerminateOffload."""
        ...

    def update_offload(self, block_list: OffloadBlock) -> NdisStatus:
        """MiniportUpdateOffload; NOT_SUPPORTED until it is built."""
        ...

    def query_offload(self, block_list: OffloadBlock) -> NdisStatus:
        """MiniportQueryOffload; NOT_SUPPORTED until it is built."""
        ...

    def invalidate_offload(self, block_list: OffloadBlock) -> NdisStatus:
        """MiniportInvalidateOffload; NOT_SUPPORTED until it is built."""
        ...

    def tcp_offload_send(self, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadSend: a list or chain; PENDING."""
        ...

    def tcp_offload_receive(self, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceive: a list or chain; PENDING."""
        ...

    def tcp_offload_receive_return(self, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceiveReturn: a chain of any connections; SUCCESS."""
        ...

    def tcp_offload_disconnect(self, context: int, nbl: NetBufferList, flags: DisconnectFlags) -> NdisStatus:
        """MiniportTcpOffloadDisconnect; PENDING."""
        ...

    def tcp_offload_forward(self, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadForward; NOT_SUPPORTED until it is built."""
        ...

    def send_raw(self, frame: bytes) -> None:
        """The ordinary send path, one frame without FCS."""
        ...


class ProtocolFace(Protocol):
    """What the miniport calls back (faces B and D)."""

    def initiate_offload_complete(self, block_list: OffloadBlock) -> None:
        """NdisMInitiateOffloadComplete."""
        ...

    def terminate_offload_complete(self, block_list: OffloadBlock) -> None:
        """NdisMTerminateOffloadComplete."""
        ...

    def tcp_offload_send_complete(self, nbl: NetBufferList) -> None:
        """NdisTcpOffloadSendComplete."""
        ...

    def tcp_offload_receive_complete(self, nbl: NetBufferList) -> None:
        """NdisTcpOffloadReceiveComplete."""
        ...

    def tcp_offload_disconnect_complete(self, nbl: NetBufferList) -> None:
        """NdisTcpOffloadDisconnectComplete."""
        ...

    def tcp_offload_event(self, handle: object, event: TcpEventType, info: int) -> None:
        """NdisTcpOffloadEventHandler; ``handle`` is the NdisOffloadHandle of the connection."""
        ...

    def tcp_offload_receive_indicate(
        self, handle: object, nbl: NetBufferList, status: NdisStatus
    ) -> tuple[NdisStatus, int]:
        """NdisTcpOffloadReceiveHandler; returns (status, BytesConsumed)."""
        ...

    def offload_event_indicate(self, block_list: OffloadBlock | None, code: int) -> None:
        """NdisMOffloadEventIndicate; a neighbor query is answered in the block (2.13)."""
        ...

    def indicate_raw(self, frame: bytes) -> None:
        """NdisMIndicateReceiveNetBufferLists: the non-offload path, one frame without FCS."""
        ...


@dataclass(frozen=True)
class NdisCall:
    """A downward call on its way. ``connection`` is the host's number of it, None where several."""

    name: ClassVar[str] = ""
    connection: int | None

    def execute(self, face: MiniportFace) -> NdisStatus | None:
        """Make the call; the status for I/O calls, None for void ones."""
        raise NotImplementedError(f"{type(self).__name__} must define execute")


@dataclass(frozen=True)
class InitiateOffload(NdisCall):
    """NdisInitiateOffload of a tree."""

    name: ClassVar[str] = "NdisInitiateOffload"
    root: OffloadBlock

    def execute(self, face: MiniportFace) -> None:
        """Make the call."""
        face.initiate_offload(self.root)


@dataclass(frozen=True)
class TerminateOffload(NdisCall):
    """NdisTerminateOffload of a tree."""

    name: ClassVar[str] = "NdisTerminateOffload"
    root: OffloadBlock

    def execute(self, face: MiniportFace) -> None:
        """Make the call."""
        face.terminate_offload(self.root)


@dataclass(frozen=True)
class OffloadTcpSend(NdisCall):
    """NdisOffloadTcpSend of a list or chain; ``data`` is the host's copy of the bytes."""

    name: ClassVar[str] = "NdisOffloadTcpSend"
    context: int
    nbl: NetBufferList
    data: bytes = b""

    def execute(self, face: MiniportFace) -> NdisStatus:
        """Make the call."""
        return face.tcp_offload_send(self.context, self.nbl)


@dataclass(frozen=True)
class OffloadTcpReceive(NdisCall):
    """NdisOffloadTcpReceive of a list or chain."""

    name: ClassVar[str] = "NdisOffloadTcpReceive"
    context: int
    nbl: NetBufferList

    def execute(self, face: MiniportFace) -> NdisStatus:
        """Make the call."""
        return face.tcp_offload_receive(self.context, self.nbl)


@dataclass(frozen=True)
class OffloadTcpReceiveReturn(NdisCall):
    """NdisOffloadTcpReceiveReturn of a chain."""

    name: ClassVar[str] = "NdisOffloadTcpReceiveReturn"
    nbl: NetBufferList

    def execute(self, face: MiniportFace) -> NdisStatus:
        """Make the call."""
        return face.tcp_offload_receive_return(self.nbl)


@dataclass(frozen=True)
class OffloadTcpDisconnect(NdisCall):
    """NdisOffloadTcpDisconnect."""

    name: ClassVar[str] = "NdisOffloadTcpDisconnect"
    context: int
    nbl: NetBufferList
    flags: DisconnectFlags
    data: bytes = b""

    def execute(self, face: MiniportFace) -> NdisStatus:
        """Make the call."""
        return face.tcp_offload_disconnect(self.context, self.nbl, self.flags)


@dataclass(frozen=True)
class SendRaw(NdisCall):
    """A frame of the host stack on the ordinary send path."""

    name: ClassVar[str] = "NdisSendNetBufferLists"
    frame: bytes

    def execute(self, face: MiniportFace) -> None:
        """Make the call."""
        face.send_raw(self.frame)


@dataclass(frozen=True)
class TraceEntry:
    """One call, completion or indication at the NDIS face."""

    tick: int
    name: str
    connection: int | None
    detail: str = ""
