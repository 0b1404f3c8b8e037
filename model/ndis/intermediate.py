"""An intermediate driver: miniport face above, protocol face below, the chimney passed through (NDIS sheet, 8).

It keeps an offload entry for each object and a call entry for each state call on its way; lists, statuses and counts
pass through untouched. Any number of them may lie one below the other; neither host nor target can tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from model.ndis.binding import Adapter, Binding
from model.ndis.bookkeeping import require
from model.ndis.calls import MiniportFace
from model.ndis.enums import DisconnectFlags, TcpEventType
from model.ndis.netbuffer import NetBufferList, Owner, chain, unchain
from model.ndis.offload_state import OffloadBlock, OffloadHandle, nodes_once
from model.ndis.registration import (
    ChimneyType,
    ClientGeneric,
    ClientTcp,
    NdisHandle,
    OffloadAttributes,
    OidRequest,
    ProviderGeneric,
    ProviderTcp,
    RegistrationError,
    TcpConnectionOffload,
    TcpEventHandlers,
)
from model.ndis.status import CompletionKind, NdisStatus

#: A context that no driver gives.
_NOBODY = 0xFFFF_FFFF_FFFF_FFFF
#: Kinds that share a stream: none of it passes what was refused. An abort is in no stream, and neither is a receive.
_SENT = frozenset((CompletionKind.SEND, CompletionKind.DISCONNECT))
_RECEIVED = frozenset((CompletionKind.RECEIVE,))
_FORWARDED = frozenset((CompletionKind.FORWARD,))
#: An abort overtakes: it is in no stream.
_ALONE: frozenset[CompletionKind] = frozenset()


class IntermediateError(Exception):
    """An intermediate driver was called for something it does not know."""


@dataclass(eq=False)
class OffloadEntry(OffloadHandle):
    """IM offload entry: the driver's own NDIS_OFFLOAD_HANDLE of an object, and the one of the driver above (8.1)."""

    #: What the driver above published as NdisOffloadHandle; indications go up with it.
    upper: object = None
    #: What this driver publishes upward as the object's context.
    context: int = 0
    #: Kinds of which a list was refused for want of memory: nothing behind it may pass (8.4).
    refusing: set[CompletionKind] = field(default_factory=set)
    #: The call that ends it: what another one, made in spite of 6.2, comes to changes nothing.
    ended_by: CallEntry | None = None


@dataclass(eq=False)
class SavedNode:
    """What the overlay of a node as POBL replaces: its two handles."""

    node: OffloadBlock
    cell: OffloadHandle | None
    upper: object
    entry: OffloadEntry | None
    new: bool


@dataclass(eq=False)
class CallEntry:
    """IM call entry: what a state call must find unchanged when it completes (8.1)."""

    im_reserved: tuple[object, object]
    nodes: list[SavedNode] = field(default_factory=list)


class IntermediateDriver:
    """MiniportFace and ProtocolFace at once. Opens ``below`` and takes the place of whoever was bound to it.

    ``has_memory`` is asked for every chain of sends, receives, forwards and disconnects. Without ``chimney`` it
    registers no chimney function and so blocks the chimney for all below (CH-259).
    """

    def __init__(
        self, below: MiniportFace, has_memory: Callable[[], bool] = lambda: True, chimney: bool = True
    ) -> None:
        self.adapter = Adapter(below.adapter.protocol)
        self.binding = Binding(below, NdisHandle("ProtocolBindingContext"))
        below.adapter.protocol = self
        self._handle = self.adapter.miniport_handle
        self._has_memory = has_memory
        self._contexts = itertools.count(0x10)
        self._entries: dict[int, OffloadEntry] = {}
        self._adapter_context = NdisHandle("MiniportAdapterContext")
        self._chimney = chimney
        if chimney:  # MiniportSetOptions comes before MiniportInitializeEx
            self._register()
        self.adapter.set_miniport_attributes(self._handle, OffloadAttributes(self._adapter_context))
        self._up = self._table()

    def _table(self) -> TcpEventHandlers:
        _, table = self.adapter.get_offload_handlers(self._handle, ChimneyType.TCP)
        if table is None:
            raise RegistrationError("CH-002: NdisMGetOffloadHandlers gave no table")
        return table

    def _register(self) -> None:
        """Provider structures for the upper face, client structures for the lower one."""
        generic = ProviderGeneric(
            self.initiate_offload,
            self.terminate_offload,
            self.update_offload,
            self.invalidate_offload,
            self.query_offload,
        )
        tcp = ProviderTcp(
            self.tcp_offload_send,
            self.tcp_offload_receive,
            self.tcp_offload_disconnect,
            self.tcp_offload_forward,
            self.tcp_offload_receive_return,
        )
        self.adapter.set_optional_handlers(self._handle, generic)
        self.adapter.set_optional_handlers(self._handle, tcp)
        self.binding.set_optional_handlers(
            ClientGeneric(
                self.initiate_offload_complete,
                self.terminate_offload_complete,
                self.update_offload_complete,
                self.invalidate_offload_complete,
                self.query_offload_complete,
                self.offload_event_indicate,
            )
        )
        self.binding.set_optional_handlers(
            ClientTcp(
                self.tcp_offload_send_complete,
                self.tcp_offload_receive_complete,
                self.tcp_offload_disconnect_complete,
                self.tcp_offload_forward_complete,
                self.tcp_offload_event,
                self.tcp_offload_receive_indicate,
            )
        )

    @property
    def entries(self) -> int:
        """Offload entries, one an offloaded object."""
        return len(self._entries)

    def _named(self, adapter_context: object) -> None:
        if adapter_context is not self._adapter_context:
            raise IntermediateError("a call from above names an adapter that is not this one")

    def _bound(self, binding_context: object) -> None:
        require(binding_context is self.binding.context, "CH-255", "a call from below for a binding that is not ours")

    # ---- state calls down ------------------------------------------------------------------

    def _known(self, context: int) -> OffloadEntry | None:
        """The object that a context names; None for one that this driver did not give, or not any more."""
        return self._entries.get(context)

    def _unknown(self, context: int) -> OffloadHandle:
        """What goes down for a context that is not known here: the same number, for the target to answer.

        The number of another object below is replaced by one that nobody gives: that object must not notice.
        """
        taken = any(entry.miniport_offload_context == context for entry in self._entries.values())
        return OffloadHandle(_NOBODY if taken else context, ndis_reserved=self.binding)

    def _overlay(self, adapter_context: object, root: OffloadBlock) -> CallEntry:
        """Turn the MOBL into this driver's POBL in place (8.2); its own handles go into both slots."""
        self._named(adapter_context)
        call = CallEntry(root.im_reserved)
        for node in nodes_once(root):  # links that make no tree are for the target to answer
            cell, new = node.miniport_offload_context, node.is_new
            entry: OffloadEntry | None = None
            own: OffloadHandle | None = None
            if new:
                own = entry = OffloadEntry(upper=node.ndis_offload_handle)
            elif node.context is not None:
                entry = self._known(node.context)
                own = self._unknown(node.context) if entry is None else entry
            call.nodes.append(SavedNode(node, cell, node.ndis_offload_handle, entry, new))
            node.miniport_offload_context = own
            node.ndis_offload_handle = own
        root.im_reserved = (call, None)
        return call

    def _restore(self, binding_context: object, root: OffloadBlock) -> CallEntry:
        """Turn it back and free the call entry (8.3); NDIS itself gives SourceHandle back."""
        self._bound(binding_context)
        call = root.im_reserved[0]
        if not isinstance(call, CallEntry):
            raise IntermediateError("CH-253: ImReserved of a completed tree does not name its call entry")
        root.im_reserved = call.im_reserved
        for saved in call.nodes:
            saved.node.miniport_offload_context = saved.cell
            saved.node.ndis_offload_handle = saved.upper
        return call

    def initiate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportInitiateOffload: an entry for each new object."""
        self._overlay(adapter_context, block_list)
        self.binding.initiate_offload(block_list)

    def terminate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportTerminateOffload."""
        call = self._overlay(adapter_context, block_list)
        for saved in call.nodes:
            if saved.entry is not None and saved.entry.ended_by is None:
                saved.entry.ended_by = call
        self.binding.terminate_offload(block_list)

    def update_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportUpdateOffload."""
        self._overlay(adapter_context, block_list)
        self.binding.update_offload(block_list)

    def query_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportQueryOffload."""
        self._overlay(adapter_context, block_list)
        self.binding.query_offload_state(block_list)

    def invalidate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportInvalidateOffload."""
        self._overlay(adapter_context, block_list)
        self.binding.invalidate_offload(block_list)

    # ---- state completions up --------------------------------------------------------------

    def initiate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolInitiateOffloadComplete: publish an entry where the object was offloaded (CH-048)."""
        for saved in self._restore(binding_context, block_list).nodes:
            if saved.new and saved.entry is not None and saved.entry.miniport_offload_context is not None:
                saved.entry.context = next(self._contexts)
                self._entries[saved.entry.context] = saved.entry
                if saved.cell is not None:
                    saved.cell.miniport_offload_context = saved.entry.context
        self.adapter.initiate_offload_complete(self._handle, block_list)

    def terminate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolTerminateOffloadComplete: the entries are free, whatever the status (CH-249)."""
        call = self._restore(binding_context, block_list)
        for saved in call.nodes:
            if saved.entry is not None and saved.entry.ended_by is call:
                self._entries.pop(saved.entry.context, None)
        self.adapter.terminate_offload_complete(self._handle, block_list)

    def update_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolUpdateOffloadComplete."""
        self._restore(binding_context, block_list)
        self.adapter.update_offload_complete(self._handle, block_list)

    def query_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolQueryOffloadComplete."""
        self._restore(binding_context, block_list)
        self.adapter.query_offload_state_complete(self._handle, block_list)

    def invalidate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolInvalidateOffloadComplete."""
        self._restore(binding_context, block_list)
        self.adapter.invalidate_offload_complete(self._handle, block_list)

    # ---- I/O -------------------------------------------------------------------------------

    def _refuse(
        self,
        entry: OffloadEntry,
        kind: CompletionKind,
        nbl: NetBufferList,
        complete: Callable[[object, NetBufferList], None],
    ) -> NdisStatus:
        """No memory: nothing of the chain goes down; the host uploads and does it itself (CH-256)."""
        lists = unchain(nbl)
        for one in lists:
            status = NdisStatus.UPLOAD_REQUESTED if kind in entry.refusing else NdisStatus.REQUEST_UPLOAD
            entry.refusing.add(kind)
            one.complete(Owner.TARGET, status, 0)
        complete(self._handle, chain(lists))
        return NdisStatus.PENDING

    def _passes(self, entry: OffloadEntry, stream: frozenset[CompletionKind]) -> bool:
        """There is memory, and nothing in front of it in ``stream`` was refused."""
        return not entry.refusing & stream and self._has_memory()

    def tcp_offload_send(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadSend."""
        self._named(adapter_context)
        entry = self._known(context)
        if entry is None:
            return self.binding.offload_tcp_send(self._unknown(context), nbl)
        if not self._passes(entry, _SENT):
            return self._refuse(entry, CompletionKind.SEND, nbl, self._up.send_complete)
        return self.binding.offload_tcp_send(entry, nbl)

    def tcp_offload_receive(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceive."""
        self._named(adapter_context)
        entry = self._known(context)
        if entry is None:
            return self.binding.offload_tcp_receive(self._unknown(context), nbl)
        if not self._passes(entry, _RECEIVED):
            return self._refuse(entry, CompletionKind.RECEIVE, nbl, self._up.receive_complete)
        return self.binding.offload_tcp_receive(entry, nbl)

    def tcp_offload_disconnect(
        self, adapter_context: object, context: int, nbl: NetBufferList, flags: DisconnectFlags
    ) -> NdisStatus:
        """MiniportTcpOffloadDisconnect: the same list, the same flags (CH-254)."""
        self._named(adapter_context)
        entry = self._known(context)
        if entry is None:
            return self.binding.offload_tcp_disconnect(self._unknown(context), nbl, flags)
        if not self._passes(entry, _ALONE if flags == DisconnectFlags.ABORTIVE else _SENT):
            return self._refuse(entry, CompletionKind.DISCONNECT, nbl, self._up.disconnect_complete)
        return self.binding.offload_tcp_disconnect(entry, nbl, flags)

    def tcp_offload_forward(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadForward."""
        self._named(adapter_context)
        entry = self._known(context)
        if entry is None:
            return self.binding.offload_tcp_forward(self._unknown(context), nbl)
        if not self._passes(entry, _FORWARDED):
            return self._refuse(entry, CompletionKind.FORWARD, nbl, self._up.forward_complete)
        return self.binding.offload_tcp_forward(entry, nbl)

    def tcp_offload_receive_return(self, adapter_context: object, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceiveReturn: passed on at once, by the binding (CH-258)."""
        self._named(adapter_context)
        return self.binding.offload_tcp_receive_return(nbl)

    def tcp_offload_send_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadSendComplete: completed upward with the same list (CH-254)."""
        self._bound(binding_context)
        self._up.send_complete(self._handle, nbl)

    def tcp_offload_receive_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadReceiveComplete."""
        self._bound(binding_context)
        self._up.receive_complete(self._handle, nbl)

    def tcp_offload_disconnect_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadDisconnectComplete."""
        self._bound(binding_context)
        self._up.disconnect_complete(self._handle, nbl)

    def tcp_offload_forward_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadForwardComplete."""
        self._bound(binding_context)
        self._up.forward_complete(self._handle, nbl)

    # ---- indications up --------------------------------------------------------------------

    @staticmethod
    def _own(handle: object) -> OffloadEntry:
        if not isinstance(handle, OffloadEntry):
            raise IntermediateError("CH-035: an indication carries a handle that this driver never gave")
        return handle

    def tcp_offload_event(self, handle: object, event: TcpEventType, info: int) -> None:
        """ProtocolTcpOffloadEvent: with the upper driver's handle (CH-255)."""
        self._up.event(self._own(handle).upper, event, info)

    def tcp_offload_receive_indicate(
        self, handle: object, nbl: NetBufferList, status: NdisStatus
    ) -> tuple[NdisStatus, int]:
        """ProtocolTcpOffloadReceiveIndicate: the upper driver's answer is the answer (CH-257)."""
        return self._up.receive(self._own(handle).upper, nbl, status)

    def offload_event_indicate(self, binding_context: object, block_list: OffloadBlock | None, code: int) -> None:
        """ProtocolIndicateOffloadEvent: as a TCP event; the answer stands in the same block (G-24)."""
        self._bound(binding_context)
        if block_list is None:
            self.adapter.offload_event_indicate(self._handle, None, code)
            return
        own = block_list.ndis_offload_handle
        block_list.ndis_offload_handle = self._own(own).upper
        try:
            self.adapter.offload_event_indicate(self._handle, block_list, code)
        finally:
            block_list.ndis_offload_handle = own

    def status_indicate(self, binding_context: object, code: NdisStatus, buffer: TcpConnectionOffload | None) -> None:
        """ProtocolStatusEx."""
        self._bound(binding_context)
        self.adapter.indicate_status(self._handle, code, buffer)

    # ---- the rest --------------------------------------------------------------------------

    def oid_request(self, adapter_context: object, request: OidRequest) -> NdisStatus:
        """MiniportOidRequest: sets always pass; a query is NOT_SUPPORTED where offload is blocked (8.6)."""
        self._named(adapter_context)
        if not request.set and not self._chimney:
            return NdisStatus.NOT_SUPPORTED
        return self.binding.oid_request(request)

    def oid_request_complete(self, binding_context: object, request: OidRequest, status: NdisStatus) -> None:
        """ProtocolOidRequestComplete."""
        self._bound(binding_context)
        self.adapter.oid_request_complete(self._handle, request, status)

    def send_raw(self, adapter_context: object, frame: bytes) -> None:
        """The ordinary send path."""
        self._named(adapter_context)
        self.binding.send_raw(frame)

    def indicate_raw(self, binding_context: object, frame: bytes) -> None:
        """The non-offload receive path."""
        self._bound(binding_context)
        self.adapter.indicate_raw(self._handle, frame)


def stack_intermediates(below: MiniportFace, count: int) -> MiniportFace:
    """``count`` intermediate drivers above ``below``; the uppermost one, or ``below`` itself."""
    for _ in range(count):
        below = IntermediateDriver(below)
    return below
