"""What the contract forbids the host in its prose, without a rule of its own: reported by the number of the section.

Seen at the host's own face. A call on a connection that is being offloaded is CH-059, a forward to one that is being
terminated CH-168; they are not reported twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_items import Connection, Phase, Request, StateCall, walk
from tb.monitors.contract.face_monitor import FaceMonitor
from tb.monitors.contract.trace import Enter, Tree

NOT_APPLICABLE: Final[dict[str, str]] = {}
"""All of it shows in the trace."""

SECTIONS: Final = {
    "HOST-1.4": "NextBlock and DependentBlockList of a call make a tree",
    "HOST-1.5": "a call names what is offloaded, by the context that the target gave",
    "HOST-2.10": "a disconnect is either graceful or abortive",
    "HOST-6.2": "nothing but forwards in progress follows the terminate of an object",
    "HOST-7.2": "no send and no other graceful disconnect follows a graceful disconnect",
}
"""Section of the contract to what it asks of the host."""


class HostMisuse(FaceMonitor):
    """Calls down."""

    RULES: ClassVar[Mapping[str, str]] = SECTIONS

    def on_request(self, face: Face, enter: Enter, conn: Connection | None, requests: list[Request]) -> None:
        if not self.is_top(face):
            return
        if enter.function == ndis.DISCONNECT:
            self.check("HOST-2.10", enter.flags in ndis.DISCONNECTS, f"disconnect with flags {enter.flags:#x}")
            if enter.flags not in ndis.DISCONNECTS and face.connection(enter.target) is not None:
                return
        if conn is None:
            if enter.target or not _initiating(face):
                self.breach("HOST-1.5", f"{enter.function} names {enter.target}, which is no connection")
            return
        self.trigger("HOST-1.5")
        if conn.leaving is not None:
            if enter.function != ndis.FORWARD:
                self.breach("HOST-6.2", f"{enter.function} on {conn.context} behind its terminate")
        elif conn.aborted is not None or conn.abortive is not None:  # it sends nothing any more: all come back aborted
            self.trigger("HOST-7.2")
        elif enter.function == ndis.SEND or any(request.graceful for request in requests):
            late = [request.list.ident for request in requests if request.late]
            self.check("HOST-7.2", not late, f"lists {late} are given to {conn.context} behind its graceful disconnect")

    def on_state_call(self, face: Face, enter: Enter, call: StateCall) -> None:
        if not self.is_top(face):
            return
        again = _visited_twice(call.tree)
        self.check("HOST-1.4", not again, f"nodes {again} are reached in two ways")
        coming = {
            node.location
            for other in face.calls.values()
            if other.function == ndis.INITIATE and other is not call
            for node in other.tree.nodes.values()
        }
        for node, _ in walk(call.tree):
            item = call.items.get(node.ident)
            if node.location is None or (item is None and node.location in coming):
                continue
            known = item is not None
            self.check("HOST-1.5", known, f"{enter.function} names {node.context}, which is not offloaded")
            if isinstance(item, Connection) and item.context is not None:
                left = item.phase is Phase.LEAVING
                self.check("HOST-6.2", not left, f"{enter.function} names {item.context} behind its terminate")


def _initiating(face: Face) -> bool:
    return any(call.function == ndis.INITIATE for call in face.calls.values())


def _visited_twice(tree: Tree) -> list[int]:
    """Nodes to which more than one link leads, or one that leads back."""
    seen: set[int] = set()
    again: list[int] = []
    waiting: list[int | None] = [tree.root]
    while waiting:
        ident = waiting.pop()
        node = None if ident is None else tree.nodes.get(ident)
        if node is None:
            continue
        if node.ident in seen:
            again.append(node.ident)
            continue
        seen.add(node.ident)
        waiting += [node.next, node.dependents]
    return again
