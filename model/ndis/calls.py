"""The faces of NDIS for the chimney, and its downward calls as objects.

Face A (MiniportFace) is what a miniport exports and face D (ProtocolFace) what a protocol exports; the first
parameter is the context that this driver gave NDIS for the adapter or the binding (NDIS sheet, appendix B). Faces B
and C are NDIS itself: model/ndis/binding.py. Downward calls are frozen dataclasses, so that an environment can carry
them through a sequencer before they reach the binding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from model.ndis.enums import DisconnectFlags, TcpEventType
from model.ndis.netbuffer import NetBufferList
from model.ndis.offload_state import OffloadBlock, OffloadHandle
from model.ndis.registration import OidRequest, TcpConnectionOffload
from model.ndis.status import NdisStatus

if TYPE_CHECKING:
    from model.ndis.binding import Adapter, Binding


class MiniportFace(Protocol):
    """What a miniport driver exports (face A). ``adapter_context`` is its MiniportAdapterContext."""

    @property
    def adapter(self) -> Adapter:
        """NDIS's record of the adapter; what NdisOpenAdapterEx opens."""
        ...

    def initiate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportInitiateOffload."""
        ...

    def terminate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportTerminateOffload."""
        ...

    def update_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportUpdateOffload."""
        ...

    def query_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportQueryOffload."""
        ...

    def invalidate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportInvalidateOffload."""
        ...

    def tcp_offload_send(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadSend: a list or chain; PENDING."""
        ...

    def tcp_offload_receive(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceive: a list or chain; PENDING."""
        ...

    def tcp_offload_receive_return(self, adapter_context: object, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceiveReturn: a chain of any connections; SUCCESS."""
        ...

    def tcp_offload_disconnect(
        self, adapter_context: object, context: int, nbl: NetBufferList, flags: DisconnectFlags
    ) -> NdisStatus:
        """MiniportTcpOffloadDisconnect; PENDING."""
        ...

    def tcp_offload_forward(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadForward: a list or chain, one TCP segment each; PENDING."""
        ...

    def oid_request(self, adapter_context: object, request: OidRequest) -> NdisStatus:
        """MiniportOidRequest; PENDING if NdisMOidRequestComplete follows."""
        ...

    def send_raw(self, adapter_context: object, frame: bytes) -> None:
        """The ordinary send path, one frame without FCS."""
        ...


class ProtocolFace(Protocol):
    """What a protocol driver exports (face D). ``binding_context`` is its ProtocolBindingContext."""

    def initiate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolInitiateOffloadComplete."""
        ...

    def terminate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolTerminateOffloadComplete."""
        ...

    def update_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolUpdateOffloadComplete."""
        ...

    def query_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolQueryOffloadComplete."""
        ...

    def invalidate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolInvalidateOffloadComplete."""
        ...

    def tcp_offload_send_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadSendComplete."""
        ...

    def tcp_offload_receive_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadReceiveComplete."""
        ...

    def tcp_offload_disconnect_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadDisconnectComplete."""
        ...

    def tcp_offload_forward_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadForwardComplete."""
        ...

    def tcp_offload_event(self, handle: object, event: TcpEventType, info: int) -> None:
        """ProtocolTcpOffloadEvent; ``handle`` is the NdisOffloadHandle of the connection."""
        ...

    def tcp_offload_receive_indicate(
        self, handle: object, nbl: NetBufferList, status: NdisStatus
    ) -> tuple[NdisStatus, int]:
        """ProtocolTcpOffloadReceiveIndicate; returns (status, BytesConsumed)."""
        ...

    def offload_event_indicate(self, binding_context: object, block_list: OffloadBlock | None, code: int) -> None:
        """ProtocolIndicateOffloadEvent; a neighbor query is answered in the block (2.13)."""
        ...

    def status_indicate(self, binding_context: object, code: NdisStatus, buffer: TcpConnectionOffload | None) -> None:
        """ProtocolStatusEx: PAUSE, RESUME (with the capabilities) and UPLOAD_ALL (2.14)."""
        ...

    def oid_request_complete(self, binding_context: object, request: OidRequest, status: NdisStatus) -> None:
        """ProtocolOidRequestComplete."""
        ...

    def indicate_raw(self, binding_context: object, frame: bytes) -> None:
        """ProtocolReceiveNetBufferLists: the non-offload path, one frame without FCS."""
        ...


@dataclass(frozen=True)
class NdisCall:
    """A downward call on its way. ``connection`` is the host's number of it, None where several."""

    name: ClassVar[str] = ""
    connection: int | None

    def execute(self, binding: Binding) -> NdisStatus | None:
        """Make the call; the status for I/O calls, None for void ones."""
        raise NotImplementedError(f"{type(self).__name__} must define execute")


@dataclass(frozen=True)
class StateCall(NdisCall):
    """A state-manipulation call with its tree; completed later with the same root."""

    root: OffloadBlock


@dataclass(frozen=True)
class InitiateOffload(StateCall):
    """NdisInitiateOffload of a tree."""

    name: ClassVar[str] = "NdisInitiateOffload"

    def execute(self, binding: Binding) -> None:
        """Make the call."""
        binding.initiate_offload(self.root)


@dataclass(frozen=True)
class TerminateOffload(StateCall):
    """NdisTerminateOffload of a tree."""

    name: ClassVar[str] = "NdisTerminateOffload"

    def execute(self, binding: Binding) -> None:
        """Make the call."""
        binding.terminate_offload(self.root)


@dataclass(frozen=True)
class UpdateOffload(StateCall):
    """NdisUpdateOffload of a tree."""

    name: ClassVar[str] = "NdisUpdateOffload"

    def execute(self, binding: Binding) -> None:
        """Make the call."""
        binding.update_offload(self.root)


@dataclass(frozen=True)
class QueryOffload(StateCall):
    """NdisQueryOffloadState of a tree."""

    name: ClassVar[str] = "NdisQueryOffloadState"

    def execute(self, binding: Binding) -> None:
        """Make the call."""
        binding.query_offload_state(self.root)


@dataclass(frozen=True)
class InvalidateOffload(StateCall):
    """NdisInvalidateOffload of a tree."""

    name: ClassVar[str] = "NdisInvalidateOffload"

    def execute(self, binding: Binding) -> None:
        """Make the call."""
        binding.invalidate_offload(self.root)


@dataclass(frozen=True)
class OffloadTcpSend(NdisCall):
    """NdisOffloadTcpSend of a list or chain; ``data`` is the host's copy of the bytes."""

    name: ClassVar[str] = "NdisOffloadTcpSend"
    handle: OffloadHandle
    nbl: NetBufferList
    data: bytes = b""

    def execute(self, binding: Binding) -> NdisStatus:
        """Make the call."""
        return binding.offload_tcp_send(self.handle, self.nbl)


@dataclass(frozen=True)
class OffloadTcpReceive(NdisCall):
    """NdisOffloadTcpReceive of a list or chain."""

    name: ClassVar[str] = "NdisOffloadTcpReceive"
    handle: OffloadHandle
    nbl: NetBufferList

    def execute(self, binding: Binding) -> NdisStatus:
        """Make the call."""
        return binding.offload_tcp_receive(self.handle, self.nbl)


@dataclass(frozen=True)
class OffloadTcpReceiveReturn(NdisCall):
    """NdisOffloadTcpReceiveReturn of a chain."""

    name: ClassVar[str] = "NdisOffloadTcpReceiveReturn"
    nbl: NetBufferList

    def execute(self, binding: Binding) -> NdisStatus:
        """Make the call."""
        return binding.offload_tcp_receive_return(self.nbl)


@dataclass(frozen=True)
class OffloadTcpDisconnect(NdisCall):
    """NdisOffloadTcpDisconnect."""

    name: ClassVar[str] = "NdisOffloadTcpDisconnect"
    handle: OffloadHandle
    nbl: NetBufferList
    flags: DisconnectFlags
    data: bytes = b""

    def execute(self, binding: Binding) -> NdisStatus:
        """Make the call."""
        return binding.offload_tcp_disconnect(self.handle, self.nbl, self.flags)


@dataclass(frozen=True)
class OffloadTcpForward(NdisCall):
    """NdisOffloadTcpForward of a list or chain, one TCP segment each."""

    name: ClassVar[str] = "NdisOffloadTcpForward"
    handle: OffloadHandle
    nbl: NetBufferList

    def execute(self, binding: Binding) -> NdisStatus:
        """Make the call."""
        return binding.offload_tcp_forward(self.handle, self.nbl)


@dataclass(frozen=True)
class SendRaw(NdisCall):
    """A frame of the host stack on the ordinary send path."""

    name: ClassVar[str] = "NdisSendNetBufferLists"
    frame: bytes

    def execute(self, binding: Binding) -> None:
        """Make the call."""
        binding.send_raw(self.frame)


@dataclass(frozen=True)
class TraceEntry:
    """One call, completion or indication at the NDIS face."""

    tick: int
    name: str
    connection: int | None
    detail: str = ""
