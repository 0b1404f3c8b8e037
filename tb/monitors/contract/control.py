"""Section 9.4: update, invalidate, failures (CH-077, 078, 080 to 083, 088 to 096); `control_state` has the rest.

A frame may show cached state or links that an update replaced up to `GRACE` ticks before; state of an update that
is in progress may be shown already (G-02). A call that is outstanding at the end of a run counts as never completed if
it was made more than `_PATIENCE` ticks before the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.control_state import StateMonitor
from tb.monitors.contract.face_books import Face, relinks
from tb.monitors.contract.face_items import GRACE, PROMPT, Connection, Item, Phase, Request, StateCall, walk
from tb.monitors.contract.face_monitor import FaceMonitor, Returned
from tb.monitors.contract.send_frames import mac
from tb.monitors.contract.stream_books import Wire, number_of
from tb.monitors.contract.trace import Counters, Enter, Node, Tree, Value

__all__ = ["ControlMonitor", "StateMonitor"]


_PATIENCE: Final = 200
_TICKS_PER_SECOND: Final = 1000
"""Unless the parameters say otherwise."""
_LEVELS: Final = {ndis.NEIGHBOR_LEVEL: "neighbors", ndis.PATH_LEVEL: "paths", ndis.TCP_LEVEL: "connections"}
"""Offsets in the IPv4 header."""


class ControlMonitor(FaceMonitor):
    """Watches updates, invalidates and the sequences of failures."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-077": "overlapping queries of an object all complete",
        "CH-078": "nodes of query, update, invalidate and terminate end SUCCESS or FAILURE",
        "CH-080": "an update changes nothing but what it names: neither its own tree nor other frames",
        "CH-081": "frames on a relinked path carry the MAC of the new neighbor",
        "CH-082": "frames carry a DlDestinationAddress that was updated",
        "CH-083": "after a failed update frames are as before",
        "CH-088": "the host updates no object that is being offloaded or updated, or that is invalidated",
        "CH-089": "updates of different objects in progress at once all complete",
        "CH-090": "no update moves a connection to another path",
        "CH-091": "an invalidate tree holds no state structures",
        "CH-092": "no data goes out on invalidated state, and nothing at all below an invalid path or neighbor (G-03)",
        "CH-093": "a send on invalidated state raises InvalidState, once and only then (G-03)",
        "CH-094": "invalidated objects keep their resources until terminate",
        "CH-095": "a failed query or invalidate is followed by HardwareFailure, then TcpIndicateAbort",
        "CH-096": "after HardwareFailure a terminate ends sends and receives with REQUEST_ABORTED",
    }

    def __init__(self) -> None:
        super().__init__()
        self._relinked: set[Item] = set()
        self._moved_mac: set[Item] = set()
        """Neighbors with a DlDestinationAddress of an update."""
        self._failed: dict[Item, int] = {}
        """Objects whose last update failed: its tick."""
        self._updated = False
        self._invalid_raised: set[Connection] = set()
        self._failing: dict[Connection, int] = {}
        """Steps of CH-095 that were done: 0 FAILURE, 1 HardwareFailure, 2 TcpIndicateAbort."""
        self._early: dict[Connection, int] = {}
        """Record of a HardwareFailure that no failure went before."""

    # --- calls -------------------------------------------------------------------------------------------------

    def on_state_call(self, face: Face, enter: Enter, call: StateCall) -> None:
        top = self.is_top(face)
        if call.function == ndis.UPDATE and top:
            self._host_update(face, call)
        elif call.function == ndis.INVALIDATE and top:
            states = [node.ident for node, _ in walk(call.tree) if node.const or node.cached or node.delegated]
            self.check("CH-091", not states, f"nodes {states} of an invalidate tree have state structures")

    def _host_update(self, face: Face, call: StateCall) -> None:
        moved = {path for path, _ in relinks(call)}
        coming = {
            item.location
            for other in face.calls.values()
            if other.function == ndis.INITIATE and other is not call
            for item in other.tree.nodes.values()
            if item.location is not None and item.context is None
        }
        for node, above in walk(call.tree):
            item = call.items.get(node.ident)
            over = None if above is None else call.items.get(above.ident)
            if item is None:
                if node.location in coming and node.cached is not None:
                    self.breach("CH-088", f"object at {node.location} is updated while it is being offloaded")
                continue
            if node.cached is not None or item in moved:
                free = item.updates == 0 and item.invalid is None and not item.invalidating
                self.check("CH-088", free, f"object {item.context} is updated while it is updated or invalid")
            if over is not None and isinstance(item, Connection) and over.level == ndis.PATH_LEVEL:
                self.check("CH-090", item.below is over, f"connection {item.context} is moved to path {over.context}")

    def on_state_end(self, face: Face, enter: Enter, call: StateCall) -> None:
        if call.function == ndis.INITIATE or face.layer != 0 or enter.tree is None:
            return
        for node, _ in walk(enter.tree):
            fits = node.status in (ndis.SUCCESS, ndis.FAILURE)
            self.check("CH-078", fits, f"status of node {node.ident} is {node.status} in {enter.function}")
        if call.function == ndis.UPDATE:
            self._tree_unchanged(call, enter.tree)
            self._updated = True
        elif call.function == ndis.TERMINATE:
            self._terminated(face, enter, call)
        elif call.function == ndis.QUERY and call.overlaps:
            self.trigger("CH-077")
        if call.function == ndis.UPDATE and call.beside:
            self.trigger("CH-089")

    def _tree_unchanged(self, call: StateCall, tree: Tree) -> None:
        changed = [
            node.ident
            for node, _ in walk(call.tree)
            if node.ident not in tree.nodes or _of_host(node) != _of_host(tree.nodes[node.ident])
        ]
        self.check("CH-080", not changed, f"the update changed nodes {changed} of its own tree")

    def on_state_ended(self, face: Face, enter: Enter, call: StateCall) -> None:
        if face.layer != 0 or enter.tree is None:
            return
        if call.function == ndis.UPDATE:
            self._note_update(call, enter.tree)
        elif call.function in (ndis.QUERY, ndis.INVALIDATE):
            for ident, item in call.items.items():
                node = enter.tree.nodes.get(ident)
                if isinstance(item, Connection) and node is not None:
                    if node.status == ndis.FAILURE:
                        self._fails(item)
                    self._early.pop(item, None)

    def _note_update(self, call: StateCall, tree: Tree) -> None:
        for ident, item in call.items.items():
            node, entered = tree.nodes.get(ident), call.tree.nodes[ident]
            moved = any(path is item for path, _ in relinks(call)) or bool(item.links)
            if node is None or not (moved or entered.cached is not None):
                continue
            if node.status == ndis.FAILURE:
                self._failed[item] = self._now.tick
                continue
            self._failed.pop(item, None)
            if item.level == ndis.PATH_LEVEL and moved:
                self._relinked.add(item)
            if entered.cached is not None and "dl_destination_address" in entered.cached:
                self._moved_mac.add(item)

    # --- frames --------------------------------------------------------------------------------------------------

    def on_sent(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        if conn is None or wire.seg is None:
            return
        self._invalid_frame(conn, wire)
        if self._updated:
            self._macs(conn, wire)
            self._header(conn, wire)

    def _macs(self, conn: Connection, wire: Wire) -> None:
        path = conn.below
        neighbors = set() if path is None else path.aboves(wire.tick)
        wanted = {mac(value) for n in neighbors for value in n.accepted("dl_destination_address", wire.tick)}
        if path is None or not wanted:
            return
        neighbor = path.below
        if self._failed.keys() & {path, neighbor}:
            rule = "CH-083"
        elif neighbor in self._moved_mac:
            rule = "CH-082"
        else:
            rule = "CH-081" if path in self._relinked else "CH-080"
        shown = wire.destination
        self.check(rule, shown in wanted, f"destination MAC is {shown.hex(':')}, not {[m.hex(':') for m in wanted]}")

    def _header(self, conn: Connection, wire: Wire) -> None:
        rule = "CH-083" if conn in self._failed else "CH-080"
        seg = wire.seg
        if seg is None:
            return
        fields = [("ttl_or_hop_limit", seg.ttl), ("tos_or_traffic_class", seg.tos)]
        if seg.ipv6:
            fields.append(("flow_label", seg.flow_label))
        for name, shown in fields:
            wanted = conn.accepted(name, wire.tick)
            mask = -1
            if name == "tos_or_traffic_class" and number_of(conn.const, "flags") & ndis.ECN:
                mask = ~ndis.ECN_BITS  # the transport's (RFC 3168 5)
            if wanted:
                right = any(not (shown ^ value) & mask for value in wanted if isinstance(value, int))
                self.check(rule, right, f"{name} is {shown}, not {wanted}")

    def _invalid_frame(self, conn: Connection, wire: Wire) -> None:
        since = conn.invalid_since
        if since is None or wire.tick <= since + GRACE or wire.seg is None:
            return
        below = conn.below is not None and conn.below.invalid_since is not None
        if below or (wire.seg.length and not conn.tx.is_probe(wire.seg)):
            self.breach("CH-092", f"a frame goes out {wire.tick - since} ticks after the invalidate")

    def on_received(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        if conn is not None and conn.invalid_since is not None:
            self.trigger("CH-092")

    # --- sends on invalidated state ----------------------------------------------------------------------------------

    def on_request(self, face: Face, enter: Enter, conn: Connection | None, requests: list[Request]) -> None:
        if enter.function != ndis.SEND or face.layer != 0 or conn is None or not requests:
            return
        since = conn.invalid_since
        if since is None or conn.phase is not Phase.LIVE:
            return
        self.trigger("CH-092")
        idle = all(request in requests for request in conn.outstanding("send")) and conn.tx.fin is None
        if not idle or not requests[0].list.data_length or conn in self._invalid_raised:
            return
        start, edge = requests[0].start, conn.tx.edge
        if self._fits(conn, start):
            self.after(PROMPT, lambda: self._was_raised(conn))
        elif edge > start:
            self.after(self._override(face) + PROMPT, lambda: self._was_raised(conn, edge))

    @staticmethod
    def _fits(conn: Connection, start: int) -> bool:
        """No silly window holds data from ``start`` on back (MUST-38): room for all, a segment, half the widest."""
        room = conn.tx.edge - start
        enough = min(conn.tx.total - start, number_of(conn.const, "remote_mss", ndis.DEFAULT_MSS))
        return room >= enough or (room > 0 and 2 * room >= conn.tx.widest)

    def _override(self, face: Face) -> int:
        """Ticks after which silly-window avoidance gives in: no more than the initial RTO (RFC 9293 3.8.6.2.1, E-3)."""
        second = number_of(face.parameters, "ticks_per_second", _TICKS_PER_SECOND)
        initial = self.settings.get((face.adapter, "initial_rto"), second)
        return initial if isinstance(initial, int) else second

    def _was_raised(self, conn: Connection, edge: int | None = None) -> None:
        """InvalidState by now; with ``edge`` only if the window is still the one that ended there."""
        if edge is not None and conn.tx.edge != edge:
            return
        waits = conn.phase is Phase.LIVE and conn.invalid_since is not None
        stopped = conn.reset_in or conn.aborted is not None or conn.abortive is not None or conn.asked_for_upload
        if waits and not stopped:
            self.check("CH-093", conn in self._invalid_raised, "no InvalidState for a send on invalidated state")

    def on_event(self, face: Face, enter: Enter, conn: Connection) -> None:
        if enter.function != ndis.EVENT or face.layer != 0:
            return
        if enter.event == ndis.RETRIEVE_EVENT and enter.info == ndis.INVALID:
            invalid = any(item.invalid is not None or item.invalidating for item in conn.chain())
            once = conn not in self._invalid_raised
            self.check("CH-093", invalid and once, "InvalidState is raised again, or with no invalidated state")
            self._invalid_raised.add(conn)
        elif enter.event == ndis.RETRIEVE_EVENT and enter.info == ndis.HARDWARE_FAILURE:
            if self._failing.get(conn) == 0:
                self._failing[conn] = 1
            elif conn.queries or conn.invalidating:
                self._early[conn] = enter.order
        elif enter.event == ndis.ABORT_EVENT and self._failing.get(conn, 2) < 2 and not conn.reset_in:
            raised = self._failing[conn] == 1
            self.check("CH-095", raised, "TcpIndicateAbort goes before HardwareFailure")
            self._failing[conn] = 2

    # --- failures --------------------------------------------------------------------------------------------------

    def _fails(self, conn: Connection) -> None:
        if conn in self._early:
            self.breach("CH-095", "HardwareFailure was raised before the call completed with FAILURE")
        elif conn.aborted is None and conn.leaving is None and not conn.raised(ndis.HARDWARE_FAILURE):
            self._failing.setdefault(conn, 0)
            self.after(2 * PROMPT, lambda: self._sequence_done(conn))

    def _sequence_done(self, conn: Connection) -> None:
        done = self._failing.pop(conn, None)
        if done is not None and done < 2 and not conn.reset_in:
            missing = ("HardwareFailure", "TcpIndicateAbort")[done]
            self.breach("CH-095", f"no {missing} after a query or invalidate that failed")

    def on_completion(self, face: Face, enter: Enter, kind: str, returned: Returned) -> None:
        if kind not in ("send", "receive") or face.layer != 0:
            return
        for nbl, request in returned:
            conn = None if request is None else request.conn
            if conn is not None and conn.leaving is not None and conn.raised(ndis.HARDWARE_FAILURE):
                fits = nbl.status == ndis.REQUEST_ABORTED
                self.check("CH-096", fits, f"{kind} {nbl.ident} ends with {nbl.status} after HardwareFailure")

    def _terminated(self, face: Face, enter: Enter, call: StateCall) -> None:
        for ident, item in call.items.items():
            self._failed.pop(item, None)
            self._relinked.discard(item)
            self._moved_mac.discard(item)
            for other in face.calls.values():
                if item in other.items.values() and other is not call:
                    self._never_completed(item, other)
            if not isinstance(item, Connection):
                continue
            node = None if enter.tree is None else enter.tree.nodes.get(ident)
            if item.raised(ndis.HARDWARE_FAILURE) and node is not None and node.chain:
                self.breach("CH-096", "sends come back in the terminate chain after HardwareFailure")
            self._sequence_done(item)
            self._invalid_raised.discard(item)
            self._early.pop(item, None)

    def _never_completed(self, item: Item, call: StateCall) -> None:
        if call.function == ndis.QUERY and (call.overlaps or item.queries > 1):
            self.breach("CH-077", f"a query of {item.context} was not completed before its terminate")
        elif call.function == ndis.UPDATE and call.beside:
            self.breach("CH-089", f"an update of {item.context} was not completed before its terminate")

    def finish(self) -> None:
        super().finish()
        for face in self.faces():
            late = [call for call in face.calls.values() if self._now.tick - call.tick > _PATIENCE]
            for call in late if face.layer == 0 else ():
                if call.function == ndis.QUERY and (call.overlaps or any(i.queries > 1 for i in call.items.values())):
                    self.breach("CH-077", "one of several queries of an object never completed")
                elif call.function == ndis.UPDATE and call.beside:
                    self.breach("CH-089", "one of several updates never completed")

    # --- resources ---------------------------------------------------------------------------------------------------

    def on_counters(self, face: Face, record: Counters) -> None:
        if face.layer != 0 or not any(item.invalid is not None for item in face.items.values()):
            return
        for level, name in _LEVELS.items():
            if name in record.used:
                live, used = face.live(level), record.used[name]
                self.check("CH-094", used >= live, f"{used} {name} in use, {live} are offloaded")

    def on_clash(self, face: Face, item: Item) -> None:
        if face.layer == 0 and item.invalid is not None:
            self.breach("CH-094", f"context {item.context} of an invalidated object was given away")


def _of_host(node: Node) -> tuple[Value | object, ...]:
    """What a target has no business to change in the node of an update."""
    return node.const, node.cached, node.delegated, [nbl.ident for nbl in node.chain]
