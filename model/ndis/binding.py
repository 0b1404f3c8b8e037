"""NDIS between two drivers: the adapter a miniport registers and the binding a protocol opens on it.

An Adapter is what a miniport calls (face B), a Binding what the driver above calls (face C). NDIS routes by its own
handles: a completion that names another adapter, or a tree whose SourceHandle was not given back, is a fault of the
driver that makes it. Parameters are those of the NDIS sheet, appendix B; the handles are opaque to drivers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from model.ndis.bookkeeping import require
from model.ndis.calls import MiniportFace, ProtocolFace
from model.ndis.enums import DisconnectFlags, TcpEventType
from model.ndis.netbuffer import NetBufferList
from model.ndis.offload_state import OffloadBlock, OffloadHandle, nodes_once
from model.ndis.registration import (
    ChimneyType,
    ClientGeneric,
    ClientTcp,
    NdisHandle,
    OffloadAttributes,
    Oid,
    OidRequest,
    ProviderGeneric,
    ProviderTcp,
    RegistrationError,
    TcpConnectionOffload,
    TcpEventHandlers,
)
from model.ndis.status import NdisStatus

Observer = Callable[[str, dict[str, Any], Callable[[], Any]], Any]
"""Sees a call of face B: its name, its arguments by parameter name, and makes it; returns what the call returned."""

_Call = TypeVar("_Call", bound=Callable[..., Any])


def _face_b(name: str) -> Callable[[_Call], _Call]:
    """A method that a miniport driver calls under this name; the observer sees it, also one that comes later."""

    def decorate(method: _Call) -> _Call:
        parameters = list(inspect.signature(method).parameters)[1:]

        @functools.wraps(method)
        def call(self: Adapter, *values: Any) -> Any:
            arguments = dict(zip(parameters, values, strict=False))
            if self.observer is not None:
                return self.observer(name, arguments, lambda: method(self, *values))
            result = method(self, *values)
            self.unobserved.append((name, arguments, result))
            return result

        return cast(_Call, call)

    return decorate


class Adapter:
    """NDIS's record of an adapter: handlers, attributes, the binding above; and the calls up (face B).

    ``protocol`` is the driver that is, or will be, bound above. Whoever is inserted between changes it.
    """

    def __init__(self, protocol: ProtocolFace) -> None:
        self.protocol = protocol
        #: NdisMiniportHandle, as MiniportInitializeEx gets it.
        self.miniport_handle = NdisHandle("NdisMiniportHandle")
        self.attributes: OffloadAttributes | None = None
        self.binding: Binding | None = None
        self.generic: ProviderGeneric | None = None
        self.tcp: ProviderTcp | None = None
        self.observer: Observer | None = None
        #: Calls that were made before there was an observer, with what they returned: registration.
        self.unobserved: list[tuple[str, dict[str, Any], Any]] = []

    def observe(self, observer: Observer) -> None:
        """From now on ``observer`` sees every call of face B, beginning with those of the registration."""
        self.observer = observer
        for name, arguments, result in self.unobserved:
            observer(name, arguments, functools.partial(_identity, result))
        self.unobserved.clear()

    def _named(self, handle: object, rule: str) -> None:
        require(handle is self.miniport_handle, rule, "a call names an adapter by a handle that NDIS did not give it")

    def _opened(self) -> Binding:
        if self.binding is None:
            raise RegistrationError("2.1: an indication of an adapter that nobody opened: call attach() first")
        return self.binding

    # ---- registration ----------------------------------------------------------------------

    @_face_b("NdisSetOptionalHandlers")
    def set_optional_handlers(self, handle: object, characteristics: ProviderGeneric | ProviderTcp) -> None:
        """NdisSetOptionalHandlers: each of the two provider structures once (CH-001)."""
        self._named(handle, "CH-001")
        again = self.generic if isinstance(characteristics, ProviderGeneric) else self.tcp
        if again is not None:
            raise RegistrationError("CH-001: one provider structure was registered twice")
        if isinstance(characteristics, ProviderGeneric):
            self.generic = characteristics
        else:
            self.tcp = characteristics

    @_face_b("NdisMSetMiniportAttributes")
    def set_miniport_attributes(self, handle: object, attributes: OffloadAttributes) -> None:
        """NdisMSetMiniportAttributes."""
        self._named(handle, "2.1")
        self.attributes = attributes

    @_face_b("NdisMGetOffloadHandlers")
    def get_offload_handlers(
        self, handle: object, chimney_type: ChimneyType
    ) -> tuple[NdisStatus, TcpEventHandlers | None]:
        """NdisMGetOffloadHandlers: the way up for TCP; no table for any other type (CH-003)."""
        self._named(handle, "CH-002")
        if chimney_type is not ChimneyType.TCP:
            return NdisStatus.NOT_SUPPORTED, None
        table = TcpEventHandlers(
            self._tcp_event,
            self._tcp_receive,
            self._tcp_send_complete,
            self._tcp_receive_complete,
            self._tcp_disconnect_complete,
            self._tcp_forward_complete,
        )
        return NdisStatus.SUCCESS, table

    @property
    def offloads(self) -> bool:
        """Both provider structures are registered: calls of the chimney can pass (CH-259)."""
        return self.generic is not None and self.tcp is not None

    # ---- state completions -----------------------------------------------------------------

    def _completes(self, handle: object, root: OffloadBlock) -> tuple[ProtocolFace, object]:
        """Whose completion it is. SourceHandle of every node is given back to what it was above."""
        self._named(handle, "CH-021")
        binding = self._opened()
        binding.returned(root)
        return self.protocol, binding.context

    @_face_b("NdisMInitiateOffloadComplete")
    def initiate_offload_complete(self, handle: object, root: OffloadBlock) -> None:
        """NdisMInitiateOffloadComplete."""
        protocol, context = self._completes(handle, root)
        self._opened().mark(root)
        protocol.initiate_offload_complete(context, root)

    @_face_b("NdisMTerminateOffloadComplete")
    def terminate_offload_complete(self, handle: object, root: OffloadBlock) -> None:
        """NdisMTerminateOffloadComplete."""
        protocol, context = self._completes(handle, root)
        protocol.terminate_offload_complete(context, root)

    @_face_b("NdisMUpdateOffloadComplete")
    def update_offload_complete(self, handle: object, root: OffloadBlock) -> None:
        """NdisMUpdateOffloadComplete."""
        protocol, context = self._completes(handle, root)
        protocol.update_offload_complete(context, root)

    @_face_b("NdisMQueryOffloadStateComplete")
    def query_offload_state_complete(self, handle: object, root: OffloadBlock) -> None:
        """NdisMQueryOffloadStateComplete."""
        protocol, context = self._completes(handle, root)
        protocol.query_offload_complete(context, root)

    @_face_b("NdisMInvalidateOffloadComplete")
    def invalidate_offload_complete(self, handle: object, root: OffloadBlock) -> None:
        """NdisMInvalidateOffloadComplete."""
        protocol, context = self._completes(handle, root)
        protocol.invalidate_offload_complete(context, root)

    # ---- TCP completions and indications, through the table --------------------------------

    @_face_b("NdisTcpOffloadSendComplete")
    def _tcp_send_complete(self, handle: object, nbl: NetBufferList) -> None:
        self._named(handle, "CH-255")
        self.protocol.tcp_offload_send_complete(self._opened().context, nbl)

    @_face_b("NdisTcpOffloadReceiveComplete")
    def _tcp_receive_complete(self, handle: object, nbl: NetBufferList) -> None:
        self._named(handle, "CH-255")
        self.protocol.tcp_offload_receive_complete(self._opened().context, nbl)

    @_face_b("NdisTcpOffloadDisconnectComplete")
    def _tcp_disconnect_complete(self, handle: object, nbl: NetBufferList) -> None:
        self._named(handle, "CH-255")
        self.protocol.tcp_offload_disconnect_complete(self._opened().context, nbl)

    @_face_b("NdisTcpOffloadForwardComplete")
    def _tcp_forward_complete(self, handle: object, nbl: NetBufferList) -> None:
        self._named(handle, "CH-255")
        self.protocol.tcp_offload_forward_complete(self._opened().context, nbl)

    @_face_b("NdisTcpOffloadEventHandler")
    def _tcp_event(self, offload_handle: object, event: TcpEventType, info: int) -> None:
        self.protocol.tcp_offload_event(offload_handle, event, info)

    @_face_b("NdisTcpOffloadReceiveHandler")
    def _tcp_receive(self, offload_handle: object, nbl: NetBufferList, status: NdisStatus) -> tuple[NdisStatus, int]:
        return self.protocol.tcp_offload_receive_indicate(offload_handle, nbl, status)

    # ---- other indications -----------------------------------------------------------------

    @_face_b("NdisMOffloadEventIndicate")
    def offload_event_indicate(self, handle: object, block: OffloadBlock | None, code: int) -> None:
        """NdisMOffloadEventIndicate."""
        self._named(handle, "CH-229")
        self.protocol.offload_event_indicate(self._opened().context, block, code)

    @_face_b("NdisMIndicateStatusEx")
    def indicate_status(self, handle: object, code: NdisStatus, buffer: TcpConnectionOffload | None = None) -> None:
        """NdisMIndicateStatusEx. RESUME changes the capabilities that NDIS answers with (CH-008)."""
        self._named(handle, "CH-008")
        if code is NdisStatus.OFFLOAD_RESUME and self.attributes is not None and buffer is not None:
            self.attributes = OffloadAttributes(self.attributes.adapter_context, buffer, buffer)
        self.protocol.status_indicate(self._opened().context, code, buffer)

    @_face_b("NdisMOidRequestComplete")
    def oid_request_complete(self, handle: object, request: OidRequest, status: NdisStatus) -> None:
        """NdisMOidRequestComplete."""
        self._named(handle, "CH-014")
        self.protocol.oid_request_complete(self._opened().context, request, status)

    @_face_b("NdisMIndicateReceiveNetBufferLists")
    def indicate_raw(self, handle: object, frame: bytes) -> None:
        """NdisMIndicateReceiveNetBufferLists."""
        self._named(handle, "2.1")
        self.protocol.indicate_raw(self._opened().context, frame)


def _identity(result: Any) -> Any:
    return result


#: Queries that NDIS answers itself from the attributes a miniport gave (2.15).
_ANSWERED_BY_NDIS = (
    Oid.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG,
    Oid.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES,
)


@dataclass(eq=False)
class Binding:
    """What NdisOpenAdapterEx gives a protocol: the calls down (face C). The object is the NdisBindingHandle.

    ``context`` is the protocol's ProtocolBindingContext. I/O calls name the connection by NDIS_OFFLOAD_HANDLE;
    NDIS finds in it the target's context, which a miniport gets as MiniportOffloadContext.
    """

    face: MiniportFace
    context: object
    #: The client structures an intermediate driver registered for its lower face.
    client_generic: ClientGeneric | None = None
    client_tcp: ClientTcp | None = None
    #: SourceHandle of each node of the trees below, as it came.
    _below: dict[int, list[tuple[OffloadBlock, object]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.face.adapter.binding = self

    def set_optional_handlers(self, characteristics: ClientGeneric | ClientTcp) -> None:
        """NdisSetOptionalHandlers of an intermediate driver's lower face, from ProtocolSetOptions."""
        if isinstance(characteristics, ClientGeneric):
            self.client_generic = characteristics
        else:
            self.client_tcp = characteristics

    @property
    def adapter_context(self) -> object:
        """MiniportAdapterContext of the miniport below."""
        attributes = self.face.adapter.attributes
        return None if attributes is None else attributes.adapter_context

    # ---- state calls -----------------------------------------------------------------------

    def _down(self, root: OffloadBlock) -> None:
        """NDIS puts its own SourceHandle on every node (1.5)."""
        require(self.face.adapter.offloads, "CH-259", "the driver below registered no chimney functions")
        saved = [(node, node.source_handle) for node in nodes_once(root)]
        require(id(root) not in self._below, "CH-021", "a tree went down that is down already")
        self._below[id(root)] = saved
        for node, _ in saved:
            node.source_handle = self

    def returned(self, root: OffloadBlock) -> None:
        """The tree completed; NDIS gives back the SourceHandle of the layer above."""
        saved = self._below.pop(id(root), None)
        require(saved is not None, "CH-021", "a tree completed that is not below, or completed twice")
        for node, handle in saved or ():
            require(node.source_handle is self, "CH-253", "SourceHandle came back changed")
            node.source_handle = handle

    def mark(self, root: OffloadBlock) -> None:
        """NDIS notes in the handle of each offloaded object by which binding it is reached."""
        for node in nodes_once(root):
            cell = node.miniport_offload_context
            if cell is not None and cell.miniport_offload_context is not None:
                cell.ndis_reserved = self

    def initiate_offload(self, root: OffloadBlock) -> None:
        """NdisInitiateOffload."""
        self._down(root)
        self.face.initiate_offload(self.adapter_context, root)

    def terminate_offload(self, root: OffloadBlock) -> None:
        """NdisTerminateOffload."""
        self._down(root)
        self.face.terminate_offload(self.adapter_context, root)

    def update_offload(self, root: OffloadBlock) -> None:
        """NdisUpdateOffload."""
        self._down(root)
        self.face.update_offload(self.adapter_context, root)

    def query_offload_state(self, root: OffloadBlock) -> None:
        """NdisQueryOffloadState."""
        self._down(root)
        self.face.query_offload(self.adapter_context, root)

    def invalidate_offload(self, root: OffloadBlock) -> None:
        """NdisInvalidateOffload."""
        self._down(root)
        self.face.invalidate_offload(self.adapter_context, root)

    # ---- I/O calls -------------------------------------------------------------------------

    def _context(self, handle: OffloadHandle) -> int:
        """The target's context in a handle (G-01)."""
        context = handle.miniport_offload_context
        require(context is not None, "G-01", "an I/O call for an object that is not offloaded")
        require(handle.ndis_reserved is self, "G-01", "an I/O call through another binding than the initiate")
        return context or 0

    def offload_tcp_send(self, handle: OffloadHandle, nbl: NetBufferList) -> NdisStatus:
        """NdisOffloadTcpSend."""
        return self.face.tcp_offload_send(self.adapter_context, self._context(handle), nbl)

    def offload_tcp_receive(self, handle: OffloadHandle, nbl: NetBufferList) -> NdisStatus:
        """NdisOffloadTcpReceive."""
        return self.face.tcp_offload_receive(self.adapter_context, self._context(handle), nbl)

    def offload_tcp_disconnect(self, handle: OffloadHandle, nbl: NetBufferList, flags: DisconnectFlags) -> NdisStatus:
        """NdisOffloadTcpDisconnect."""
        return self.face.tcp_offload_disconnect(self.adapter_context, self._context(handle), nbl, flags)

    def offload_tcp_forward(self, handle: OffloadHandle, nbl: NetBufferList) -> NdisStatus:
        """NdisOffloadTcpForward."""
        return self.face.tcp_offload_forward(self.adapter_context, self._context(handle), nbl)

    def offload_tcp_receive_return(self, nbl: NetBufferList) -> NdisStatus:
        """NdisOffloadTcpReceiveReturn: by the binding, since the connection may be gone (CH-258)."""
        return self.face.tcp_offload_receive_return(self.adapter_context, nbl)

    # ---- the rest --------------------------------------------------------------------------

    def oid_request(self, request: OidRequest) -> NdisStatus:
        """NdisOidRequest. NDIS answers queries of capabilities from what the miniport reported."""
        adapter = self.face.adapter
        attributes = adapter.attributes
        reported = None if attributes is None else attributes.tcp_connection_offload_hardware_capabilities
        if request.set or request.oid not in _ANSWERED_BY_NDIS:
            return self.face.oid_request(self.adapter_context, request)
        if not adapter.offloads:
            return NdisStatus.NOT_SUPPORTED
        if reported is None:
            return self.face.oid_request(self.adapter_context, request)
        request.buffer = reported
        return NdisStatus.SUCCESS

    def send_raw(self, frame: bytes) -> None:
        """NdisSendNetBufferLists."""
        self.face.send_raw(self.adapter_context, frame)
