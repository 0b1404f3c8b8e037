"""Section 9.12: an intermediate driver between two layers, seen from both its faces.

A call that begins within a call of the same function at the neighboring layer is its propagation: down from layer n
to n - 1, completions and indications up from n - 1 to n. The driver between them is named by the upper layer's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_parts import walk
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.trace import Enter, Leave, List, Node, Record, Tree

NOT_APPLICABLE: Final[dict[str, str]] = {}
"""Every rule of the section shows in the trace."""

_SET_HANDLERS: Final = "NdisSetOptionalHandlers"
_INITIALIZE: Final = "MiniportInitializeEx"
_IM_RESERVED: Final = slice(4, 7)
"""ImReserved[0..1] and SourceHandle in `Node.reserved`."""
_DOWN: Final = frozenset({*ndis.REQUESTS, *ndis.STATE_CALLS, ndis.RETURN})
_STREAMS: Final = ("send", "receive", "forward")
_UP: Final = frozenset({*ndis.COMPLETIONS, *ndis.STATE_COMPLETIONS, ndis.EVENT, ndis.INDICATE, ndis.NEIGHBOR_EVENT})


def idents(lists: tuple[List, ...]) -> list[int]:
    """Identities in order."""
    return [nbl.ident for nbl in lists]


@dataclass(eq=False)
class Call:
    """A call in progress."""

    enter: Enter
    above: Call | None
    """The call that it propagates."""
    inner: list[Enter] = field(default_factory=list)
    """Its own propagations."""
    answer: Leave | None = None
    """How the propagated indication was answered."""


class Nesting:
    """Which call is the propagation of which."""

    def __init__(self) -> None:
        self.open: list[Call] = []

    def enter(self, record: Enter) -> Call:
        """A call begins."""
        step = 1 if record.function in _DOWN else -1
        above = next((c for c in reversed(self.open) if self._carries(c.enter, record, step)), None)
        call = Call(record, above)
        if above is not None:
            above.inner.append(record)
        self.open.append(call)
        return call

    @staticmethod
    def _carries(outer: Enter, inner: Enter, step: int) -> bool:
        return outer.function == inner.function and outer.layer == inner.layer + step

    def leave(self, record: Leave) -> Call | None:
        """A call returns."""
        for at in range(len(self.open) - 1, -1, -1):
            if self.open[at].enter.call == record.call:
                call = self.open.pop(at)
                if call.above is not None:
                    call.above.answer = record
                return call
        return None


def stream_of(kind: str, flags: int) -> str | None:
    """What may not pass a refused list of its own kind: sends and graceful disconnects are one stream (CH-256).

    An abortive disconnect is in none: it overtakes.
    """
    if kind == "disconnect":
        return None if flags == ndis.ABORTIVE else "send"
    return kind


@dataclass(slots=True)
class _Given:
    """A list that an upper face was given."""

    known: bool
    """On a connection that is offloaded below."""
    target: int | None = None
    """The connection: its MiniportOffloadContext at that layer."""
    stream: str | None = None
    passed: bool = False


@dataclass(frozen=True, slots=True)
class _Face:
    """What one layer knows of an object."""

    handle: int | None
    location: int | None


class IntermediateDriver(Monitor):
    """Every intermediate driver of the stack."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-253": "ImReserved and SourceHandle are back as they came when a state call completes upward",
        "CH-254": "lists and disconnect flags go down as they came, completed lists go up as they came",
        "CH-255": "the driver below gets the IM's own handle, the one above is told its own",
        "CH-256": "without memory sends fail REQUEST_UPLOAD, UPLOAD_REQUESTED; nothing of or behind them goes down",
        "CH-257": "an indication goes up with its Status, its answer and BytesConsumed come back down",
        "CH-258": "ReceiveReturn goes down before it returns, and names no connection",
        "CH-259": "an IM without chimney functions blocks the chimney below it",
    }

    def __init__(self) -> None:
        super().__init__()
        self._nesting = Nesting()
        self._trees: dict[tuple[str, int, int], Tree] = {}
        """State calls under way at upper faces, by adapter, layer and root."""
        self._undone: dict[tuple[str, int, int], tuple[int, int, str]] = {}
        """State calls at upper faces that went neither down nor back: layer, root, function."""
        self._pairs: dict[tuple[int, int], int] = {}
        """(layer, handle below) -> handle above, of the same object."""
        self._contexts: dict[tuple[int, int], int] = {}
        """(layer, context above) -> context below."""
        self._above: dict[tuple[int, int, str], _Given] = {}
        """(layer, list, kind) outstanding at an upper face."""
        self._back: dict[tuple[int, int, str], int] = {}
        """(layer, list, kind) completed below and not yet above -> order."""
        self._refusing: set[tuple[int, int | None, str]] = set()
        """(layer, connection, stream) of which lists were refused for want of memory."""
        self._registered: set[int] = set()
        """Layers whose driver registered chimney functions."""
        self._blocking: dict[str, int] = {}
        """Adapter -> topmost layer whose driver registered nothing."""

    def observe(self, record: Record) -> None:
        """Check a call."""
        if isinstance(record, Enter):
            self._enter(record, self._nesting.enter(record))
        elif isinstance(record, Leave):
            call = self._nesting.leave(record)
            if call is not None:
                self._leave(record, call)

    def finish(self) -> None:
        """Lists that never came up, and lists that never went down nor came back."""
        for layer, root, function in self._undone.values():
            self.breach("CH-253", f"{function} of tree {root} goes neither down from layer {layer} nor back up")
        for (layer, ident, kind), given in self._above.items():
            if given.known and not given.passed and layer > 0:
                self.breach("CH-254", f"{kind} {ident} of layer {layer} goes neither down nor back up")
        for (layer, ident, kind), order in self._back.items():
            self.breach("CH-254", f"{kind} {ident}, completed at record {order}, never reached layer {layer}")

    # --- beginnings ------------------------------------------------------------------------------------

    def _enter(self, record: Enter, call: Call) -> None:
        function = record.function
        if function == _SET_HANDLERS and record.buffer.get("type") in ndis.CHIMNEY_CHARACTERISTICS:
            self._registered.add(record.layer)
        elif function == ndis.INITIATE and self._blocking.get(record.adapter, -1) >= record.layer:
            self.breach("CH-259", f"offload at layer {record.layer}, layer {self._blocking[record.adapter]} blocks it")
        elif function == _INITIALIZE and record.layer > 0 and record.layer not in self._registered:
            self.trigger("CH-259")
            self._blocking[record.adapter] = max(record.layer, self._blocking.get(record.adapter, 0))
        if function in ndis.STATE_CALLS and record.tree is not None:
            self._state_call(record, record.tree, call)
        elif function in ndis.STATE_COMPLETIONS and record.tree is not None:
            self._state_complete(record, record.tree, call)
        elif function in ndis.REQUESTS:
            self._request(record, call, ndis.REQUESTS[function])
        elif function in ndis.COMPLETIONS:
            self._completion(record, call, ndis.COMPLETIONS[function])
        elif function in (ndis.EVENT, ndis.INDICATE) and call.above is not None:
            self._indication(record, call.above.enter)

    def _state_call(self, record: Enter, tree: Tree, call: Call) -> None:
        if record.layer > 0:
            self._trees[record.adapter, record.layer, tree.root] = tree
            self._undone[record.adapter, record.layer, tree.root] = (record.layer, tree.root, record.function)
        self._undone.pop((record.adapter, record.layer + 1, tree.root), None)
        outer = None if call.above is None else call.above.enter.tree
        if outer is not None:
            wrong = self._changed(outer, tree, downward=True)
            self.check("CH-253", not wrong, f"{record.function} goes down changed: {wrong}")
        if record.function != ndis.INITIATE or call.above is None or call.above.enter.tree is None:
            return
        for upper, lower in self._same(call.above.enter.tree, tree):
            if upper.location is None or upper.context is not None:
                continue
            over, under = _Face(upper.handle, upper.location), _Face(lower.handle, lower.location)
            own = over.handle != under.handle and over.location != under.location
            self.check("CH-255", own, f"layer {record.layer} is given {under}, layer {record.layer + 1} has {over}")
            if upper.handle is not None and lower.handle is not None:
                self._pairs[record.layer, lower.handle] = upper.handle

    @classmethod
    def _changed(cls, came: Tree, goes: Tree, *, downward: bool) -> list[str]:
        """What an IM may not touch (8.2, 8.3): nodes, links, Status, state; it may set VlanId, UserPriority (8.6)."""
        counts = [sum(1 for _ in walk(tree)) for tree in (came, goes)]
        wrong = [] if counts[0] == counts[1] else [f"{counts[0]} nodes are {counts[1]}"]
        for before, after in cls._same(came, goes):
            names = ["type", "ident", "next", "dependents", "delegated"]
            names += [] if downward else ["status", "const", "cached"]
            wrong += [
                f"{name} of node {before.ident}" for name in names if getattr(before, name) != getattr(after, name)
            ]
            for name in ("const", "cached") if downward else ():
                states = [dict(getattr(node, name) or {}) for node in (before, after)]
                for state in states:
                    state.pop("vlan_id", None)
                    state.pop("user_priority", None)
                if states[0] != states[1]:
                    wrong.append(f"{name} of node {before.ident}")
            lists = [(idents(node.chain), idents(node.buffered)) for node in (before, after)]
            wrong += [] if lists[0] == lists[1] else [f"lists of node {before.ident}"]
        return wrong

    @staticmethod
    def _same(upper: Tree, lower: Tree) -> list[tuple[Node, Node]]:
        return [(a, b) for (a, _), (b, _) in zip(walk(upper), walk(lower), strict=False)]

    def _state_complete(self, record: Enter, tree: Tree, call: Call) -> None:
        self._undone.pop((record.adapter, record.layer, tree.root), None)
        inner = None if call.above is None else call.above.enter.tree
        if inner is not None:
            wrong = self._changed(inner, tree, downward=False)
            self.check("CH-253", not wrong, f"{record.function} goes up changed: {wrong}")
        came = self._trees.pop((record.adapter, record.layer, tree.root), None)
        if came is not None:
            for node, _ in walk(tree):
                before = came.nodes.get(node.ident)
                if before is not None:
                    same = before.reserved[_IM_RESERVED] == node.reserved[_IM_RESERVED]
                    text = f"node {node.ident} came with {before.reserved[4:]}, goes up with {node.reserved[4:]}"
                    self.check("CH-253", same, text)
        if record.function == ndis.TERMINATED:  # the contexts name nothing any more (CH-249)
            for node, _ in walk(tree):
                if node.context is not None:
                    self._contexts.pop((record.layer, node.context), None)
                    self._refusing -= {(record.layer, node.context, each) for each in _STREAMS}
        if record.function != ndis.INITIATED or call.above is None or call.above.enter.tree is None:
            return
        for lower, upper in self._same(call.above.enter.tree, tree):
            if lower.context is not None and upper.context is not None:
                self._contexts[record.layer, upper.context] = lower.context

    def _request(self, record: Enter, call: Call, kind: str) -> None:
        known = record.target is not None and (record.layer, record.target) in self._contexts
        stream = stream_of(kind, record.flags)
        for nbl in record.lists:
            if record.layer > 0:
                self._above[record.layer, nbl.ident, kind] = _Given(known, record.target, stream)
        if call.above is None:
            return
        outer = call.above.enter
        given, passed = idents(outer.lists), idents(record.lists)
        gone = [ident for inner in call.above.inner[:-1] for ident in idents(inner.lists)]
        same = given[len(gone) : len(gone) + len(passed)] == passed and outer.flags == record.flags
        text = f"lists {given} with flags {outer.flags} go down as {passed} with flags {record.flags}"
        self.check("CH-254", same, text)
        if stream is not None and (outer.layer, outer.target, stream) in self._refusing:
            self.breach("CH-256", f"{kind} {passed} goes down at layer {outer.layer} behind what was refused")
        for ident in passed:
            self._above.setdefault((outer.layer, ident, kind), _Given(known=False)).passed = True
        below = self._contexts.get((outer.layer, outer.target)) if outer.target is not None else None
        if below is not None:
            own = record.target == below
            self.check("CH-255", own, f"{outer.target} goes down as {record.target}, the IM's own handle holds {below}")

    def _completion(self, record: Enter, call: Call, kind: str) -> None:
        if call.above is not None:
            before = call.above.enter.lists
            same = idents(before) == idents(record.lists)
            same = same and [(n.status, n.transferred) for n in before] == [
                (n.status, n.transferred) for n in record.lists
            ]
            text = f"lists {idents(before)} go up as {idents(record.lists)}, or otherwise filled"
            self.check("CH-254", same, text)
        elif record.layer > 0:
            self._own_completion(record, kind)
        for nbl in record.lists:
            self._above.pop((record.layer, nbl.ident, kind), None)
            self._back.pop((record.layer, nbl.ident, kind), None)
            if (record.layer + 1, nbl.ident, kind) in self._above:
                self._back[record.layer + 1, nbl.ident, kind] = record.order

    def _own_completion(self, record: Enter, kind: str) -> None:
        """A completion that came from no layer below, or later than the one below."""
        late = [nbl for nbl in record.lists if (record.layer, nbl.ident, kind) in self._back]
        if len(late) == len(record.lists):
            return
        statuses = [nbl.status for nbl in record.lists]
        refused = {ndis.REQUEST_UPLOAD, ndis.UPLOAD_REQUESTED} & set(statuses)
        given = [self._above.get((record.layer, nbl.ident, kind)) for nbl in record.lists]
        down = [nbl.ident for nbl, above in zip(record.lists, given, strict=True) if above is not None and above.passed]
        if refused:
            streams = {(record.layer, above.target, above.stream) for above in given if above is not None}
            targets = {(layer, target, each) for layer, target, each in streams if each is not None}
            again = bool(targets) and targets <= self._refusing  # 8.4: all later lists, those of later calls, too
            first = ndis.UPLOAD_REQUESTED if again and statuses[0] == ndis.UPLOAD_REQUESTED else ndis.REQUEST_UPLOAD
            # which of the two a list of another kind says is G-14
            right = kind != "send" or statuses == [first] + [ndis.UPLOAD_REQUESTED] * (len(statuses) - 1)
            self._refusing |= targets
            shown = [f"{status:#x}" for status in statuses if status is not None]
            text = f"{kind} chain fails with {shown}, passed down: {down}"
            self.check("CH-256", right and not down, text)
            counts = [nbl.transferred for nbl in record.lists if nbl.transferred]
            self.check("CH-256", not counts, f"refused {kind} lists say that bytes were transferred: {counts}")
        elif any(above is not None and above.known for above in given):
            self.breach("CH-254", f"{kind} {idents(record.lists)} completes at layer {record.layer}, not below")

    def _indication(self, record: Enter, outer: Enter) -> None:
        known = self._pairs.get((outer.layer, outer.target)) if outer.target is not None else None
        if known is not None:
            right = record.target == known
            self.check(
                "CH-255", right, f"handle {outer.target} goes up as {record.target}, the driver above gave {known}"
            )
        if record.function == ndis.EVENT:
            same = (outer.event, outer.info) == (record.event, record.info)
            text = f"event {outer.event}, {outer.info} goes up as {record.event}, {record.info}"
            self.check("CH-255", same, text)
        if record.function == ndis.INDICATE:
            same = (outer.status, idents(outer.lists)) == (record.status, idents(record.lists))
            text = f"{outer.status}, {idents(outer.lists)} goes up as {record.status}, {idents(record.lists)}"
            self.check("CH-257", same, text)

    # --- ends ------------------------------------------------------------------------------------------

    def _reached(self, record: Leave, call: Call) -> None:
        """Calls that an IM has to pass on before it returns, and did not."""
        function, target = record.function, call.enter.target
        upward = function in (ndis.INDICATE, ndis.EVENT) and target is not None and not call.inner
        if upward and (record.layer, target) in self._pairs:
            rule = "CH-257" if function == ndis.INDICATE else "CH-255"
            self.breach(rule, f"{function} at layer {record.layer} does not reach layer {record.layer + 1}")

    def _leave(self, record: Leave, call: Call) -> None:
        function = record.function
        inner = call.answer
        self._reached(record, call)
        if function == ndis.INDICATE and inner is not None:
            same = (record.result, record.consumed) == (inner.result, inner.consumed)
            text = f"{inner.result}, {inner.consumed} bytes are told below as {record.result}, {record.consumed}"
            self.check("CH-257", same, text)
        elif function == ndis.RETURN and record.layer > 0:
            given = idents(call.enter.lists)
            passed = [ident for down in call.inner for ident in idents(down.lists)]
            unnamed = all(down.target is None for down in call.inner)
            text = f"lists {given} are returned, {passed} went down" if unnamed else "a connection is named"
            self.check("CH-258", given == passed and unnamed, text)
        elif function in ndis.REQUESTS and call.inner:
            missing = len(call.enter.lists) - sum(len(down.lists) for down in call.inner)
            self.check("CH-254", missing == 0, f"{missing} lists of a chain do not go down with the others")
