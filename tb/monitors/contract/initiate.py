"""Section 9.3, the call: order of the walk, statuses, contexts, and what the host keeps off.

The order of a walk shows in the ring entries NEIGHBOR_WRITE, PATH_WRITE and INITIATE (field ``opcode``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.initiate_receive import InitiateReceive
from tb.monitors.contract.initiate_refusals import InitiateRefusals
from tb.monitors.contract.initiate_send import InitiateSend
from tb.monitors.contract.initiate_timers import InitiateTimers
from tb.monitors.contract.initiate_walk import Walked
from tb.monitors.contract.offload_books import (
    Face,
    Offloaded,
    Stage,
    depth_first,
    is_new,
    level_of,
    number,
    siblings,
)
from tb.monitors.contract.offload_monitor import BookMonitor, Section, rules_of
from tb.monitors.contract.trace import Enter, Leave, Node, PortEntry, Record, Tree

NOT_APPLICABLE: Final[dict[str, str]] = {}

_RETURN_TICKS: Final = 2
"""Ticks within which the initiate function returns."""
_LEVEL_OF_OPCODE: Final = {13: ndis.NEIGHBOR_LEVEL, 12: ndis.PATH_LEVEL, 1: ndis.TCP_LEVEL}
_ENTRIES: Final = {ndis.PATH_LEVEL: 0xC0231005, ndis.NEIGHBOR_LEVEL: 0xC0231006}
"""Refusals for a full table. (A hashed connection table may be full for one connection and not for the next.)"""
_FOUND_BY_DRIVER: Final = frozenset({0xC0231008, 0xC023100C, 0xC023100D, ndis.PATH_MTU, ndis.RESOURCES})
"""Refusals that the device need not have been asked for: source address, receive window, VLAN, path MTU; memory."""
_OFFLOADABLE: Final = range(ndis.ESTABLISHED, ndis.TIME_WAIT)


class InitiateTree(BookMonitor):
    """What an initiate does with the nodes of its tree."""

    RING_ENTRIES: ClassVar[bool] = True

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-037": "the initiate function returns at once, and before its completion is called",
        "CH-038": "objects are offloaded depth first, next sibling after",
        "CH-039": "new offloads are the nodes whose location holds NULL, and no others",
        "CH-040": "a placeholder ends SUCCESS",
        "CH-041": "a linker ends SUCCESS, PARTIAL_SUCCESS, FAILURE as all, some, none of its dependents were offloaded",
        "CH-042": "a new offload ends SUCCESS only if it and its immediate dependents were offloaded",
        "CH-043": "a new offload with a failed immediate dependent ends PARTIAL_SUCCESS, and no other does",
        "CH-044": "failures deeper than the immediate dependents leave a node SUCCESS",
        "CH-045": "what depends on a failed node is not attempted and ends FAILURE",
        "CH-046": "behind a failed node that is not the root the walk goes on",
        "CH-047": "behind a failed root nothing is attempted",
        "CH-048": "a location is written only for an object that was offloaded",
        "CH-049": "send data of a connection that was not offloaded is neither touched nor completed",
    }

    def __init__(self) -> None:
        super().__init__()
        self._writes: dict[Face, list[int] | None] = {}
        """Layers of the objects given to the device since the only initiate began; None while there are several."""
        self._freed: set[Face] = set()
        """Faces with a terminate since the oldest initiate began."""
        self._refused: dict[Face, set[int]] = {}
        """NBLs of connections that were not offloaded, until the host uses them again."""
        self._early: set[Offloaded] = set()
        """Connections with a send completed before the end of their initiate."""

    def see(self, face: Face, record: Record) -> None:
        """Follow initiates of the target."""
        if face.layer != 0:
            return
        if isinstance(record, Enter):
            self._entered(face, record)
        elif isinstance(record, Leave):
            entered = face.open.get(record.call)
            if entered is not None and entered.function == ndis.INITIATE:
                took = record.tick - entered.tick
                self.check("CH-037", took <= _RETURN_TICKS, f"the initiate function took {took} ticks to return")
        elif isinstance(record, PortEntry) and record.submission:
            level = _LEVEL_OF_OPCODE.get(record.entry.get("opcode", 0))
            writes = self._writes.get(face)
            if level is not None and writes is not None:
                writes.append(level)

    def _entered(self, face: Face, record: Enter) -> None:
        if record.function == ndis.INITIATE and record.tree is not None:
            if not any(call.function == ndis.INITIATE for call in face.calls.values()):
                self._writes[face] = []
                self._freed.discard(face)
            else:
                self._writes[face] = None
            self._reused(face, {nbl.ident for node in record.tree.nodes.values() for nbl in node.chain})
        elif record.function in (ndis.UPDATE, ndis.TERMINATE):
            self._writes[face] = None
            self._freed.add(face)
        elif record.function in ndis.REQUESTS:
            self._reused(face, {nbl.ident for nbl in record.lists})
        elif record.function in ndis.COMPLETIONS:
            self._completed(face, record)
        elif record.function == ndis.INITIATED and record.tree is not None:
            call = face.state_call(record)
            if call is not None:
                self.check("CH-037", call.returned, "the completion is called inside the initiate function")
                self._judge(face, Walked(call, record.tree))

    # --- send data of the tree -------------------------------------------------------------------------

    def _reused(self, face: Face, idents: set[int]) -> None:
        self._refused.get(face, set()).difference_update(idents)

    def _completed(self, face: Face, record: Enter) -> None:
        for nbl in record.lists:
            owned = face.owned.get(nbl.ident)
            owner = owned.owner if owned is not None and owned.inherited else None
            if nbl.ident in self._refused.get(face, ()):
                self.breach("CH-049", f"NBL {nbl.ident} is completed, but its connection was not offloaded")
            elif owner is not None and owner.stage is Stage.OFFLOADING:
                self._early.add(owner)

    def _send_data(self, face: Face, walked: Walked, node: Node, new: Offloaded) -> None:
        end = walked.now.nodes.get(node.ident)
        if not node.chain or end is None:
            return
        before = [(nbl.ident, nbl.status) for nbl in node.chain]
        kept = before == [(nbl.ident, nbl.status) for nbl in end.chain]
        self.check("CH-049", kept, f"the NetBufferListChain of node {node.ident}, which failed, was touched")
        if new in self._early:
            self.breach("CH-049", f"an NBL of node {node.ident}, which failed, was completed")
        self._refused.setdefault(face, set()).update(nbl.ident for nbl in node.chain)

    # --- statuses --------------------------------------------------------------------------------------

    def _judge(self, face: Face, walked: Walked) -> None:
        for node, _ in walked.nodes:
            if node.location is None:
                self._placeholder(walked, node)
            elif not is_new(node):
                self._linker(face, walked, node)
            elif walked.failed(node):
                self._failed(walked, node)
                self._send_data(face, walked, node, walked.call.new[node.ident])
            else:
                self._offloaded(walked, node)
        self._early.difference_update(walked.call.new.values())
        self._after_failures(walked, self._writes.get(face))
        self._order(face, walked)

    def _placeholder(self, walked: Walked, node: Node) -> None:
        status = walked.status(node) or 0
        self.check("CH-040", status == ndis.SUCCESS, f"placeholder {node.ident} ends {status:#x}")
        if any(is_new(other) for other, _ in walked.nodes):
            written = walked.context(node) is not None
            self.check("CH-039", not written, f"placeholder {node.ident} was given a context")

    def _linker(self, face: Face, walked: Walked, node: Node) -> None:
        same = walked.context(node) == node.context
        cleared = walked.context(node) is None and node.context not in face.objects  # by the host: it was terminated
        self.check("CH-039", same or cleared, f"the context of linker {node.ident} was written as if it were new")
        dependents = siblings(walked.given, node.dependents)
        if not dependents:
            return
        real = [one for one in dependents if one.location is not None]
        allowed = {self._sum(walked, dependents), self._sum(walked, real or dependents)}
        status = walked.status(node) or 0
        done = [one.ident for one in real if walked.offloaded(one)]
        text = f"linker {node.ident} ends {status:#x} with {len(done)} of {len(real)} dependents offloaded"
        deep = any(not walked.offloaded(one) for one in walked.below(node))
        if status == ndis.PARTIAL_SUCCESS and deep and allowed == {ndis.SUCCESS}:
            self.breach("CH-044", text)
        else:
            self.check("CH-041", status in allowed, text)

    @staticmethod
    def _sum(walked: Walked, dependents: list[Node]) -> int:
        done = [walked.offloaded(one) for one in dependents]
        if all(done):
            return ndis.SUCCESS
        return ndis.PARTIAL_SUCCESS if any(done) else ndis.FAILURE

    def _offloaded(self, walked: Walked, node: Node) -> None:
        status, context = walked.status(node) or 0, walked.context(node)
        dependents = siblings(walked.given, node.dependents)
        failed = [one.ident for one in dependents if not walked.offloaded(one)]
        deep = [one.ident for one in walked.below(node) if not walked.offloaded(one)]
        if status == ndis.SUCCESS:
            if not context:
                self.breach("CH-039", f"new offload {node.ident} ends SUCCESS and has no context")
            self.check("CH-042", not failed, f"node {node.ident} ends SUCCESS though {failed} failed")
            if deep and not failed:
                self.trigger("CH-044")
        elif failed:
            text = f"node {node.ident} was offloaded, {failed} failed, and it ends {status:#x}"
            self.check("CH-043", status == ndis.PARTIAL_SUCCESS, text)
        elif status == ndis.PARTIAL_SUCCESS:
            rule = "CH-044" if deep else "CH-043"
            self.breach(rule, f"node {node.ident} ends PARTIAL_SUCCESS, and no immediate dependent failed")
        else:
            self.breach("CH-048", f"node {node.ident} ends {status:#x}, and its location was written")

    def _failed(self, walked: Walked, node: Node) -> None:
        self.trigger("CH-048")
        tried = [one.ident for one in walked.below(node) if not walked.untried(one)]
        if node.dependents is not None:
            self.check("CH-045", not tried, f"{tried} depend on node {node.ident}, which failed, and were tried")

    def _after_failures(self, walked: Walked, writes: list[int] | None) -> None:
        nodes = [node for node, _ in walked.nodes]
        if walked.failed(walked.root):
            below = {walked.root.ident, *(one.ident for one in walked.below(walked.root))}
            behind = [node for node in nodes if node.ident not in below]
            if behind:
                tried = [node.ident for node in behind if not walked.untried(node)]
                self.check("CH-047", not tried, f"{tried} were tried behind root {walked.root.ident}, which failed")
            return
        for at, node in enumerate(nodes):
            if not walked.failed(node) or not walked.attempted(node) or walked.status(node) == ndis.FAILURE:
                continue
            below = {one.ident for one in walked.below(node)}
            rest = [one for one in nodes[at + 1 :] if one.ident not in below and one.location is not None]
            if rest:
                stopped = all(walked.untried(one) and not one.buffered for one in rest)
                done = sum(is_new(one) and walked.offloaded(one) for one in nodes)
                if writes is not None and len(writes) > done + (walked.status(node) not in _FOUND_BY_DRIVER):
                    stopped = False  # the device was asked about one of them
                self.check("CH-046", not stopped, f"nothing was tried behind node {node.ident}, which failed")
            return

    # --- order -----------------------------------------------------------------------------------------

    def _order(self, face: Face, walked: Walked) -> None:
        new = [node for node, _ in walked.nodes if is_new(node)]
        levels = [level for node in new if (level := level_of(node)) is not None]
        writes = self._writes.get(face)
        if writes and len(new) > 1 and sorted(writes) == sorted(levels) and all(walked.offloaded(n) for n in new):
            self.check("CH-038", writes == levels, f"layers were offloaded in the order {writes}, not {levels}")
        if face in self._freed or walked.call.overlapped:
            return
        for level, status in _ENTRIES.items():
            tried = [node for node in new if level_of(node) == level and walked.attempted(node)]
            full = next((at for at, node in enumerate(tried) if walked.status(node) == status), None)
            if full is not None and len(tried) > 1:
                after = [node.ident for node in tried[full + 1 :] if walked.offloaded(node)]
                text = f"{after} found an entry that node {tried[full].ident}, which comes before them, did not find"
                self.check("CH-038", not after, text)


class InitiateHost(BookMonitor):
    """What the host keeps off while it offloads, and that calls in parallel are served."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-058": "initiates in progress together are all completed",
        "CH-059": "the host leaves objects alone until their initiate is complete",
        "CH-060": "a connection is offloaded in Established, FinWait1, FinWait2, CloseWait, Closing or LastAck",
    }

    def __init__(self) -> None:
        super().__init__()
        self._strange: dict[Face, list[tuple[int, str]]] = {}
        """Contexts of I/O calls that name no object, while initiates are in progress."""
        self._published: dict[Face, set[int]] = {}
        """Contexts that were published once: a late call on a terminated connection names one of them."""

    def see(self, face: Face, record: Record) -> None:
        """Watch the host's face, and the target's for completions."""
        if not isinstance(record, Enter):
            return
        if face.layer == 0 and record.function == ndis.INITIATED:
            call = face.state_call(record)
            if call is not None and call.overlapped:
                self.trigger("CH-058")
        if not self.is_top(face):
            return
        if record.function == ndis.INITIATE and record.tree is not None:
            self._states(record.tree)
        elif record.function in ndis.STATE_CALLS and record.tree is not None:
            self._state_call(face, record, record.tree)
        elif record.function in ndis.REQUESTS:
            self._request(face, record)
        elif record.function == ndis.INITIATED and record.tree is not None:
            self._initiated(face, record, record.tree)

    def _states(self, tree: Tree) -> None:
        for node, _ in depth_first(tree):
            if is_new(node) and level_of(node) == ndis.TCP_LEVEL and node.delegated:
                state = number(node.delegated, "state", -1)
                self.check("CH-060", state in _OFFLOADABLE, f"connection {node.ident} is offloaded in state {state}")

    def _state_call(self, face: Face, record: Enter, tree: Tree) -> None:
        for node, _ in depth_first(tree):
            found = face.by_location.get(node.location) if node.location is not None else None
            if found is not None and found.stage is Stage.OFFLOADING:
                self.breach("CH-059", f"{record.function} names node {node.ident}, which is being offloaded")

    def _request(self, face: Face, record: Enter) -> None:
        if not any(call.function == ndis.INITIATE for call in face.calls.values()):
            return
        if not record.target:
            self.breach("CH-059", f"{record.function} on a connection without a context, during an initiate")
        elif record.target not in face.objects and record.target not in self._published.get(face, ()):
            self._strange.setdefault(face, []).append((record.target, record.function))

    def _initiated(self, face: Face, record: Enter, tree: Tree) -> None:
        call = face.state_call(record)
        if call is None:
            return
        contexts = {node.context for ident in call.new if (node := tree.nodes.get(ident)) is not None and node.context}
        self._published.setdefault(face, set()).update(contexts)
        if any(new.level == ndis.TCP_LEVEL for new in call.new.values()):
            self.trigger("CH-059")
        for target, function in self._strange.get(face, ()):
            if target in contexts:
                self.breach("CH-059", f"{function} was called on context {target} before its initiate was complete")
        if sum(other.function == ndis.INITIATE for other in face.calls.values()) <= 1:
            self._strange.pop(face, None)

    def finish(self) -> None:
        """Parallel initiates that were left."""
        for face in self.books.faces.values():
            for call in face.calls.values():
                waited = self._now.tick - max(call.tick, face.resumed)
                if face.layer == 0 and call.overlapped and not face.paused and waited > face.grace:
                    self.breach("CH-058", f"the initiate of tick {call.tick}, in parallel with another, never ended")


class InitiateRules(Section):
    """Section 9.3."""

    RING_ENTRIES: ClassVar[bool] = True
    PARTS: ClassVar[tuple[type[BookMonitor], ...]] = (
        InitiateTree,
        InitiateHost,
        InitiateRefusals,
        InitiateReceive,
        InitiateSend,
        InitiateTimers,
    )
    RULES: ClassVar[Mapping[str, str]] = rules_of(PARTS)
