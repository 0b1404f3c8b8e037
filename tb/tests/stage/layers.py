"""Taps at the four faces of every layer: each call becomes a crossing of the connections that it is about."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from model.ndis.binding import Adapter, Binding, Observer
from model.ndis.netbuffer import NetBufferList, iterate
from model.ndis.offload_state import OffloadBlock, OffloadHandle, nodes_once
from tb.session.contract_tap import DOWN
from tb.tests.stage.moments import Crossing
from tb.tests.stage.story import Story, story_of

INTO_NDIS: Final = {
    "initiate_offload": "NdisInitiateOffload",
    "terminate_offload": "NdisTerminateOffload",
    "offload_tcp_send": "NdisOffloadTcpSend",
    "offload_tcp_receive": "NdisOffloadTcpReceive",
    "offload_tcp_disconnect": "NdisOffloadTcpDisconnect",
    "offload_tcp_forward": "NdisOffloadTcpForward",
}
"""Face C, by method of Binding."""
INTO_PROTOCOL: Final = {
    "initiate_offload_complete": "ProtocolInitiateOffloadComplete",
    "terminate_offload_complete": "ProtocolTerminateOffloadComplete",
    "tcp_offload_send_complete": "ProtocolTcpOffloadSendComplete",
    "tcp_offload_receive_complete": "ProtocolTcpOffloadReceiveComplete",
    "tcp_offload_disconnect_complete": "ProtocolTcpOffloadDisconnectComplete",
    "tcp_offload_forward_complete": "ProtocolTcpOffloadForwardComplete",
}
"""Face D, by method of ProtocolFace."""


class Layers:
    """The adapters of a stack, the offload target's first, and everything that passes between them."""

    def __init__(self) -> None:
        self.adapters: list[Adapter] = []
        self._inside: list[tuple[int, str, str]] = []
        self._trees: dict[int, tuple[Story, ...]] = {}

    @property
    def count(self) -> int:
        """Adapters: the target's and one an intermediate driver."""
        return len(self.adapters)

    @property
    def bindings(self) -> list[Binding]:
        """The binding on top of each adapter."""
        return [binding for adapter in self.adapters if (binding := adapter.binding) is not None]

    def watch(self) -> None:
        """From now on; the stack is complete and opened."""
        for layer, adapter in enumerate(self.adapters):
            binding = adapter.binding
            assert binding is not None, "an adapter that nobody opened"
            self._wrap(layer, "A", binding.face, DOWN)
            self._wrap(layer, "C", binding, INTO_NDIS)
            self._wrap(layer, "D", adapter.protocol, INTO_PROTOCOL)
            self._observe(layer, adapter)

    def _wrap(self, layer: int, face: str, thing: Any, methods: Mapping[str, str]) -> None:
        for method, name in methods.items():
            setattr(thing, method, self._tapped(layer, face, name, getattr(thing, method)))

    def _tapped(self, layer: int, face: str, name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def tapped(*values: Any) -> Any:
            return self._call(layer, face, name, values, functools.partial(make, *values))

        return tapped

    def _observe(self, layer: int, adapter: Adapter) -> None:
        """Behind whoever observes the adapter already."""
        before = adapter.observer

        def observe(name: str, arguments: dict[str, Any], make: Callable[[], Any]) -> Any:
            return self._call(
                layer, "B", name, tuple(arguments.values()), functools.partial(_through, before, name, arguments, make)
            )

        adapter.observer = observe

    def _call(self, layer: int, face: str, name: str, values: Sequence[Any], make: Callable[[], Any]) -> Any:
        head = next((value for value in values if isinstance(value, NetBufferList)), None)
        root = next((value for value in values if isinstance(value, OffloadBlock)), None)
        handle = values[0]
        context = handle.miniport_offload_context if isinstance(handle, OffloadHandle) else None
        context = next((value for value in values[1:2] if face == "A" and isinstance(value, int)), context)
        lists = tuple(iterate(head))
        for story in self._stories(lists, root):
            own = tuple(one for one in lists if story_of(one.protocol_reserved) is story)
            story.crossings.append(
                Crossing(
                    layer, face, name, handle, context, own, tuple(one.status for one in own), root,
                    tuple(self._inside),
                )
            )  # fmt: skip
        self._inside.append((layer, face, name))
        try:
            return make()
        finally:
            self._inside.pop()

    def _stories(self, lists: tuple[NetBufferList, ...], root: OffloadBlock | None) -> Sequence[Story]:
        """Whose call it is. A tree is known by its root: handles differ from layer to layer."""
        if root is not None:
            owners = [story_of(node.ndis_offload_handle) for node in nodes_once(root)]
            found = tuple(story for story in owners if story is not None)
            if found:
                self._trees[id(root)] = found
            return self._trees.get(id(root), ())
        stories = {id(story): story for one in lists if (story := story_of(one.protocol_reserved)) is not None}
        return tuple(stories.values())


def _through(before: Observer | None, name: str, arguments: dict[str, Any], make: Callable[[], Any]) -> Any:
    return make() if before is None else before(name, arguments, make)
