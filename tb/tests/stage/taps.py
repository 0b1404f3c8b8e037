"""Taps between the host and the uppermost driver: every call and completion becomes a moment of its connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from model.ndis.binding import Adapter
from model.ndis.calls import MiniportFace, ProtocolFace
from model.ndis.enums import DisconnectFlags, TcpEventType
from model.ndis.framing import decode
from model.ndis.host import NdisHost
from model.ndis.netbuffer import NetBufferList, iterate
from model.ndis.offload_state import NeighborCached, NeighborDelegated, OffloadBlock, TcpDelegated, nodes_once
from model.ndis.registration import OidRequest, TcpConnectionOffload
from model.ndis.status import NdisStatus
from tb.tests.stage.moments import (
    DISCONNECT,
    DISCONNECT_COMPLETE,
    EVENT,
    FORWARD,
    FORWARD_COMPLETE,
    INDICATE,
    INITIATE,
    INITIATE_COMPLETE,
    INVALIDATE,
    INVALIDATE_COMPLETE,
    NEIGHBOR_EVENT,
    QUERY,
    QUERY_COMPLETE,
    RAW_INDICATE,
    RECEIVE,
    RECEIVE_COMPLETE,
    RETURN,
    SEND,
    SEND_COMPLETE,
    TERMINATE,
    TERMINATE_COMPLETE,
    UPDATE,
    UPDATE_COMPLETE,
    Moment,
    NodeSeen,
)
from tb.tests.stage.story import story_of

if TYPE_CHECKING:
    from tb.tests.stage.stage import Stage


class Taps:
    """Both taps write here: which calls are in progress, and to which story a list or a handle belongs."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.inside: list[str] = []

    def lists(self, name: str, head: NetBufferList, calls: Callable[[], None]) -> None:
        """A call with a chain of lists."""
        lists = list(iterate(head))
        stories = {id(s): s for one in lists if (s := story_of(one.protocol_reserved)) is not None}
        for story in stories.values():
            own = tuple(story.seen(one) for one in lists if story_of(one.protocol_reserved) is story)
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
        nodes = list(nodes_once(root))
        if any(story_of(node.ndis_offload_handle) is not None for node in nodes):
            seen = [self._node(node) for node in nodes]
            for at, node in enumerate(nodes):
                if (story := story_of(node.ndis_offload_handle)) is not None:
                    chain = tuple(story.seen(one) for one in iterate(node.net_buffer_list_chain))
                    own = replace(seen[at], chain=chain)
                    story.note(self.moment(name, root=root, nodes=(*seen[:at], own, *seen[at + 1 :])))
        self.call(name, calls)

    def neighbor(self, block: OffloadBlock | None) -> None:
        """The target asks for a neighbor: a moment of every offloaded connection that goes over it."""
        if block is None:
            return
        cached, delegated = block.cached, block.delegated
        assert isinstance(cached, NeighborCached)
        assert isinstance(delegated, NeighborDelegated)
        ages = cached.host_reachability_delta, delegated.nic_reachability_delta
        for story in self.stage.stories.values():
            if story.is_offloaded and story.connection.path.below is block.ndis_offload_handle:
                story.note(self.moment(NEIGHBOR_EVENT, ages=ages))

    def _node(self, node: OffloadBlock) -> NodeSeen:
        """A node as everyone sees it: its chain is for its own story."""
        state = node.delegated
        head = state.buffered_data if isinstance(state, TcpDelegated) else None
        buffered = tuple(iterate(head))
        memory = self.stage.host.memory
        data = b"".join(memory.read(addr, n) for one in buffered for addr, n in one.elements())
        has_chain = node.net_buffer_list_chain is not None
        owner, context = node.ndis_offload_handle, node.context
        return NodeSeen(node.type.layer, node.status, state, (), has_chain, data, buffered, owner, context)


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
        if (story := story_of(handle)) is not None:
            story.note(self._taps.moment(EVENT, event=(event, info)))
        self._taps.call(EVENT, lambda: self._host.tcp_offload_event(handle, event, info))

    def tcp_offload_receive_indicate(
        self, handle: object, nbl: NetBufferList, status: NdisStatus
    ) -> tuple[NdisStatus, int]:
        if (story := story_of(handle)) is not None:
            story.note(self._taps.moment(INDICATE, count=nbl.data_length))
        self._taps.inside.append(INDICATE)
        try:
            return self._host.tcp_offload_receive_indicate(handle, nbl, status)
        finally:
            self._taps.inside.pop()

    def update_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(
            UPDATE_COMPLETE, block_list, lambda: self._host.update_offload_complete(binding_context, block_list)
        )

    def query_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(
            QUERY_COMPLETE, block_list, lambda: self._host.query_offload_complete(binding_context, block_list)
        )

    def invalidate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(
            INVALIDATE_COMPLETE, block_list, lambda: self._host.invalidate_offload_complete(binding_context, block_list)
        )

    def tcp_offload_forward_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        self._taps.lists(FORWARD_COMPLETE, nbl, lambda: self._host.tcp_offload_forward_complete(binding_context, nbl))

    def offload_event_indicate(self, binding_context: object, block_list: OffloadBlock | None, code: int) -> None:
        self._taps.neighbor(block_list)
        self._host.offload_event_indicate(binding_context, block_list, code)

    def status_indicate(self, binding_context: object, code: NdisStatus, buffer: TcpConnectionOffload | None) -> None:
        self._host.status_indicate(binding_context, code, buffer)

    def oid_request_complete(self, binding_context: object, request: OidRequest, status: NdisStatus) -> None:
        self._host.oid_request_complete(binding_context, request, status)

    def indicate_raw(self, binding_context: object, frame: bytes) -> None:
        segment = decode(frame)
        story = None if segment is None else self._taps.stage.by_port(segment.destination.port, segment.source.ip)
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
        self._taps.tree(INITIATE, block_list, lambda: self._driver.initiate_offload(adapter_context, block_list))

    def terminate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(TERMINATE, block_list, lambda: self._driver.terminate_offload(adapter_context, block_list))

    def update_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(UPDATE, block_list, lambda: self._driver.update_offload(adapter_context, block_list))

    def query_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(QUERY, block_list, lambda: self._driver.query_offload(adapter_context, block_list))

    def invalidate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        self._taps.tree(INVALIDATE, block_list, lambda: self._driver.invalidate_offload(adapter_context, block_list))

    def _io(self, name: str, nbl: NetBufferList, calls: Callable[[], NdisStatus]) -> NdisStatus:
        story = story_of(nbl.protocol_reserved)
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
            if (story := story_of(one.context)) is not None:
                story.note(self._taps.moment(RETURN))
        return self._driver.tcp_offload_receive_return(adapter_context, nbl)

    def tcp_offload_disconnect(
        self, adapter_context: object, context: int, nbl: NetBufferList, flags: DisconnectFlags
    ) -> NdisStatus:
        driver = self._driver
        return self._io(DISCONNECT, nbl, lambda: driver.tcp_offload_disconnect(adapter_context, context, nbl, flags))

    def tcp_offload_forward(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        for one in iterate(nbl):
            if (story := story_of(one.protocol_reserved)) is not None:
                story.forwarding(one)
        return self._io(FORWARD, nbl, lambda: self._driver.tcp_offload_forward(adapter_context, context, nbl))

    def oid_request(self, adapter_context: object, request: OidRequest) -> NdisStatus:
        return self._driver.oid_request(adapter_context, request)

    def send_raw(self, adapter_context: object, frame: bytes) -> None:
        self._taps.stage.raw.append(frame)
        self._driver.send_raw(adapter_context, frame)
