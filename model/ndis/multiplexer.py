"""A multiplexer: one chimney above, several miniports below, and paths that move between them (NDIS sheet, section 8).

Each path lives on one miniport; a neighbor on every miniport that one of its paths lives on. ``move_path`` uploads a
path with its connections from one miniport and offloads it to another: lists that come back unfinished are given to
the other one, and what the driver above sees are completions with the sum of both counts. Calls for what is on its way
wait.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from model.ndis.binding import Adapter, Binding
from model.ndis.calls import MiniportFace, ProtocolFace
from model.ndis.enums import (
    DELEGATED_TYPE,
    OFFLOADABLE_STATES,
    DisconnectFlags,
    Layer,
    NblInfo,
    OffloadStateType,
    TcpConnectionState,
    TcpEventType,
    UploadReason,
)
from model.ndis.host_state import settled
from model.ndis.multiplexer_oids import SpreadRequests
from model.ndis.netbuffer import NetBuffer, NetBufferList, Owner, chain, iterate, unchain
from model.ndis.offload_state import (
    CachedState,
    ConstState,
    DelegatedState,
    NeighborDelegated,
    OffloadBlock,
    OffloadHandle,
    TcpCached,
    TcpDelegated,
    carrier_status,
    link,
    traverse,
)
from model.ndis.registration import (
    STATISTICS_OIDS,
    ChimneyType,
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

#: States in which no FIN was sent.
OPEN_STATES = (TcpConnectionState.ESTABLISHED, TcpConnectionState.CLOSE_WAIT)


class MultiplexerError(Exception):
    """The multiplexer was called for something it does not know, or cannot do now."""


class Stay(Enum):
    """Where an object is."""

    AT_HOME = "at home"
    MOVING = "moving"
    #: No miniport has it; the state waits here for the terminate of the driver above.
    PARKED = "parked"


class LowerHandle(OffloadHandle):
    """The multiplexer's NDIS_OFFLOAD_HANDLE of an object at one miniport."""

    def __init__(self, entry: MuxEntry, lower: int) -> None:
        super().__init__()
        self.entry, self.lower = entry, lower


@dataclass(eq=False)
class MuxEntry:
    """An object that is offloaded through the multiplexer."""

    kind: OffloadStateType
    upper: object
    const: ConstState | None
    cached: CachedState | None
    delegated: DelegatedState | None
    below: MuxEntry | None
    home: int
    context: int = 0
    at: dict[int, LowerHandle] = field(default_factory=dict)
    stay: Stay = Stay.AT_HOME
    #: State calls of the driver above that are under way below.
    calls: int = 0
    #: An indication was refused and no receive posted since (CH-151).
    refused: bool = False
    #: Lists that came back from the miniport left behind, in order.
    sends: list[NetBufferList] = field(default_factory=list)
    receives: list[NetBufferList] = field(default_factory=list)
    forwards: list[NetBufferList] = field(default_factory=list)
    disconnects: list[tuple[NetBufferList, DisconnectFlags]] = field(default_factory=list)
    buffered: list[NetBufferList] = field(default_factory=list)
    lost: bool = False

    @property
    def state(self) -> TcpDelegated | None:
        """Delegated state of a connection, as last uploaded."""
        return self.delegated if isinstance(self.delegated, TcpDelegated) else None


@dataclass(frozen=True)
class Given:
    """A list below: of which connection, for what, and its data bytes when it went down."""

    nbl: NetBufferList
    entry: MuxEntry
    kind: CompletionKind
    length: int
    flags: DisconnectFlags = DisconnectFlags.GRACEFUL


@dataclass(eq=False)
class StateCall:
    """A state call of the driver above, cut into one tree a miniport."""

    kind: CompletionKind
    root: OffloadBlock
    #: Node of the tree above, entry, and its copies by miniport.
    nodes: list[tuple[OffloadBlock, MuxEntry | None, dict[int, OffloadBlock]]] = field(default_factory=list)
    waiting: int = 0


@dataclass(eq=False)
class Move:
    """A path on its way."""

    path: MuxEntry
    tcps: list[MuxEntry]
    source: int
    target: int
    done: Callable[[Move], None] | None
    #: Connections that the target did not take.
    parked: list[MuxEntry] = field(default_factory=list)


Finish = Callable[[OffloadBlock], None]


class Multiplexer:
    """MiniportFace above, ProtocolFace below, over ``lowers`` of which ``active`` gets new paths and raw frames."""

    def __init__(self, lowers: Sequence[MiniportFace], protocol: ProtocolFace) -> None:
        self.active = 0
        self.adapter = Adapter(protocol)
        self.bindings: list[Binding] = []
        for below in lowers:
            self.bindings.append(Binding(below, NdisHandle("ProtocolBindingContext")))
            below.adapter.protocol = self
        self._handle = self.adapter.miniport_handle
        self._contexts = itertools.count(0x10)
        self._entries: dict[int, MuxEntry] = {}
        self._given: dict[int, Given] = {}
        #: Empty receives of our own that a miniport has.
        self._asked: dict[int, NetBufferList] = {}
        self._finish: dict[int, Finish] = {}
        self._held: list[tuple[list[MuxEntry], Callable[[], None]]] = []
        self._oids = SpreadRequests(self._oid_completed)
        self._adapter_context = NdisHandle("MiniportAdapterContext")
        self._register()

    def _register(self) -> None:
        adapter = self.adapter
        capabilities = [c for binding in self.bindings if (c := _capabilities(binding)) is not None]
        least = _least(capabilities) if len(capabilities) == len(self.bindings) else None
        adapter.set_miniport_attributes(self._handle, OffloadAttributes(self._adapter_context, least, least))
        _, table = adapter.get_offload_handlers(self._handle, ChimneyType.TCP)
        if table is None:
            raise RegistrationError("CH-002: NdisMGetOffloadHandlers gave no table")
        self._up: TcpEventHandlers = table
        adapter.set_optional_handlers(
            self._handle,
            ProviderGeneric(
                self.initiate_offload,
                self.terminate_offload,
                self.update_offload,
                self.invalidate_offload,
                self.query_offload,
            ),
        )
        adapter.set_optional_handlers(
            self._handle,
            ProviderTcp(
                self.tcp_offload_send,
                self.tcp_offload_receive,
                self.tcp_offload_disconnect,
                self.tcp_offload_forward,
                self.tcp_offload_receive_return,
            ),
        )

    @property
    def paths(self) -> list[MuxEntry]:
        """The paths that are offloaded."""
        return [e for e in self._entries.values() if e.kind.layer is Layer.PATH]

    @property
    def entries(self) -> int:
        """Objects that are offloaded."""
        return len(self._entries)

    def _named(self, adapter_context: object) -> None:
        if adapter_context is not self._adapter_context:
            raise MultiplexerError("a call from above names an adapter that is not this one")

    def _lower(self, binding_context: object) -> int:
        for number, binding in enumerate(self.bindings):
            if binding.context is binding_context:
                return number
        raise MultiplexerError("a call from below for a binding that is not ours")

    def _entry(self, context: int) -> MuxEntry:
        entry = self._entries.get(context)
        if entry is None:
            raise MultiplexerError(f"context {context:#x} names no object that is offloaded through here")
        return entry

    # ---- waiting for a move ----------------------------------------------------------------

    def _when_still(self, entries: list[MuxEntry], action: Callable[[], None]) -> None:
        """Run ``action`` when none of the objects is on its way, behind earlier ones that wait for any of them."""
        waits = {id(e) for others, _ in self._held for e in others}
        if any(e.stay is Stay.MOVING or id(e) in waits for e in entries):
            self._held.append((entries, action))
        else:
            action()

    def _release(self) -> None:
        """Run what waited, in order."""
        held, self._held = self._held, []
        for entries, action in held:
            self._when_still(entries, action)

    # ---- state calls from above ------------------------------------------------------------

    def _known(self, root: OffloadBlock) -> list[MuxEntry]:
        """Objects of the tree that are offloaded already, with those they depend on."""
        found: list[MuxEntry] = []
        for node in traverse(root):
            entry = None if node.context is None else self._entry(node.context)
            while entry is not None:
                found.append(entry)
                entry = entry.below
        return found

    def _call(self, adapter_context: object, root: OffloadBlock, kind: CompletionKind) -> None:
        self._named(adapter_context)
        self._when_still(self._known(root), lambda: self._cut(root, kind))

    def initiate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportInitiateOffload."""
        self._call(adapter_context, block_list, CompletionKind.INITIATE)

    def terminate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportTerminateOffload."""
        self._call(adapter_context, block_list, CompletionKind.TERMINATE)

    def update_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportUpdateOffload."""
        self._call(adapter_context, block_list, CompletionKind.UPDATE)

    def query_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportQueryOffload."""
        self._call(adapter_context, block_list, CompletionKind.QUERY)

    def invalidate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportInvalidateOffload."""
        self._call(adapter_context, block_list, CompletionKind.INVALIDATE)

    def _cut(self, root: OffloadBlock, kind: CompletionKind) -> None:
        """One tree of copies for each miniport that has, or will have, a part of it."""
        call = StateCall(kind, root)
        owners: dict[int, MuxEntry | None] = {}
        self._plan(root, None, call, owners)
        trees = [self._copy(root, lower, call, owners) for lower in range(len(self.bindings))]
        call.waiting = sum(tree is not None for tree in trees) + 1
        for _, entry, _ in call.nodes:
            if entry is not None:
                entry.calls += 1
        for lower, tree in enumerate(trees):
            if tree is not None:
                self._issue(kind, lower, tree, lambda _: self._part_done(call))
        self._part_done(call)

    def _plan(
        self, first: OffloadBlock | None, below: MuxEntry | None, call: StateCall, owners: dict[int, MuxEntry | None]
    ) -> None:
        """Find or make the entry of each node, and with it the miniport."""
        while first is not None:
            entry: MuxEntry | None = None
            if first.is_new:
                home = below.home if below is not None and first.type.layer is Layer.TCP else self.active
                entry = MuxEntry(
                    first.type,
                    first.ndis_offload_handle,
                    first.const,
                    first.cached,
                    first.delegated,
                    below,
                    home,
                )
            elif first.context is not None:
                entry = self._entry(first.context)
            owners[id(first)] = entry
            call.nodes.append((first, entry, {}))
            self._plan(first.dependent_block_list, entry or below, call, owners)
            first = first.next_block

    def _copy(
        self, first: OffloadBlock | None, lower: int, call: StateCall, owners: dict[int, MuxEntry | None]
    ) -> OffloadBlock | None:
        """The copies of a list of siblings that concern one miniport, linked."""
        copies = {id(node): by for node, _, by in call.nodes}
        made: list[OffloadBlock] = []
        while first is not None:
            entry = owners[id(first)]
            dependents = self._copy(first.dependent_block_list, lower, call, owners)
            if dependents is not None or self._concerns(first, entry, lower, call.kind):
                node = self._block(first, entry, lower)
                node.dependent_block_list = dependents
                copies[id(first)][lower] = node
                made.append(node)
            first = first.next_block
        return link(made)

    @staticmethod
    def _concerns(node: OffloadBlock, entry: MuxEntry | None, lower: int, kind: CompletionKind) -> bool:
        """A node that is copied for its own sake, not for what depends on it."""
        if entry is None or entry.stay is Stay.PARKED:
            return False
        if kind is CompletionKind.INITIATE:
            whole = entry.kind.layer is not Layer.NEIGHBOR or node.dependent_block_list is None
            return node.is_new and entry.home == lower and whole
        return lower in entry.at

    @staticmethod
    def _block(node: OffloadBlock, entry: MuxEntry | None, lower: int) -> OffloadBlock:
        """The copy of one node: a linker where the object is known below, else a new offload."""
        if entry is None:
            return OffloadBlock(node.type, port_number=node.port_number)
        handle = entry.at.get(lower) or LowerHandle(entry, lower)
        block = OffloadBlock(
            node.type,
            handle,
            ndis_offload_handle=handle,
            const=node.const,
            cached=node.cached,
            delegated=node.delegated,
            net_buffer_list_chain=node.net_buffer_list_chain,
            port_number=node.port_number,
        )
        if block.is_new and not node.is_new:
            block.type = entry.kind
            block.const, block.cached, block.delegated = entry.const, entry.cached, entry.delegated
        return block

    def _issue(self, kind: CompletionKind, lower: int, tree: OffloadBlock, finish: Finish) -> None:
        """Call the miniport; ``finish`` gets the tree when it completes."""
        self._finish[id(tree)] = finish
        binding = self.bindings[lower]
        for node in traverse(tree):
            handle = node.miniport_offload_context
            if isinstance(handle, LowerHandle):
                for nbl in iterate(node.net_buffer_list_chain):
                    self._note(nbl, handle.entry, CompletionKind.SEND)
        {
            CompletionKind.INITIATE: binding.initiate_offload,
            CompletionKind.TERMINATE: binding.terminate_offload,
            CompletionKind.UPDATE: binding.update_offload,
            CompletionKind.QUERY: binding.query_offload_state,
            CompletionKind.INVALIDATE: binding.invalidate_offload,
        }[kind](tree)

    def _completed(self, binding_context: object, tree: OffloadBlock) -> None:
        self._lower(binding_context)
        self._finish.pop(id(tree))(tree)

    initiate_offload_complete = _completed
    terminate_offload_complete = _completed
    update_offload_complete = _completed
    query_offload_complete = _completed
    invalidate_offload_complete = _completed

    # ---- state completions up --------------------------------------------------------------

    def _part_done(self, call: StateCall) -> None:
        call.waiting -= 1
        if call.waiting:
            return
        for _, entry, _ in call.nodes:
            if entry is not None:
                entry.calls -= 1
        for node, entry, copies in reversed(call.nodes):  # dependents before what they depend on
            if call.kind is CompletionKind.INITIATE:
                self._initiated(node, entry, copies)
            else:
                self._answered(call.kind, node, entry, copies)
        {
            CompletionKind.INITIATE: self.adapter.initiate_offload_complete,
            CompletionKind.TERMINATE: self.adapter.terminate_offload_complete,
            CompletionKind.UPDATE: self.adapter.update_offload_complete,
            CompletionKind.QUERY: self.adapter.query_offload_state_complete,
            CompletionKind.INVALIDATE: self.adapter.invalidate_offload_complete,
        }[call.kind](self._handle, call.root)

    def _initiated(self, node: OffloadBlock, entry: MuxEntry | None, copies: dict[int, OffloadBlock]) -> None:
        for lower, copy in copies.items():
            handle = copy.miniport_offload_context
            if entry is not None and isinstance(handle, LowerHandle) and copy.context is not None:
                entry.at[lower] = handle
            node.net_buffer_list_chain = copy.net_buffer_list_chain
        if entry is None or not node.is_new:
            node.status = carrier_status(node)
            return
        if not entry.at:
            node.status = next((c.status for c in copies.values()), NdisStatus.FAILURE)
            self._forget_lists(node.net_buffer_list_chain)
            return
        dependents = all(d.status is not None and d.status.offloaded for d in node.dependents)
        node.status = NdisStatus.SUCCESS if dependents else NdisStatus.OFFLOAD_PARTIAL_SUCCESS
        entry.context = next(self._contexts)
        self._entries[entry.context] = entry
        if node.miniport_offload_context is not None:
            node.miniport_offload_context.miniport_offload_context = entry.context

    def _forget_lists(self, head: NetBufferList | None) -> None:
        for nbl in iterate(head):
            self._given.pop(id(nbl), None)

    def _answered(
        self, kind: CompletionKind, node: OffloadBlock, entry: MuxEntry | None, copies: dict[int, OffloadBlock]
    ) -> None:
        """Status of all copies together; state of the one at home."""
        if entry is not None and entry.stay is Stay.PARKED:
            self._parked_answer(kind, node, entry)
        else:
            failed = any(copy.status is not NdisStatus.SUCCESS for copy in copies.values())
            missing = entry is not None and not copies
            node.status = NdisStatus.FAILURE if failed or missing else NdisStatus.SUCCESS
            if kind in (CompletionKind.QUERY, CompletionKind.TERMINATE):
                node.delegated = None
            for lower, copy in copies.items():
                self._take_state(kind, node, lower, copy)
        if entry is None:
            return
        if kind is CompletionKind.TERMINATE:
            self._entries.pop(entry.context, None)
            entry.at.clear()
        elif kind is CompletionKind.UPDATE and node.status is NdisStatus.SUCCESS:
            if node.cached is not None:
                entry.cached = settled(node.cached) if isinstance(node.cached, TcpCached) else node.cached
            for path in node.dependents:
                if path.context is not None and path.status is NdisStatus.SUCCESS:
                    self._entry(path.context).below = entry

    def _take_state(self, kind: CompletionKind, node: OffloadBlock, lower: int, copy: OffloadBlock) -> None:
        """What a query or terminate wrote; of a neighbor at several miniports the youngest confirmation counts."""
        if kind is CompletionKind.QUERY:
            node.const, node.cached = copy.const, copy.cached
        elif kind is CompletionKind.TERMINATE:
            node.net_buffer_list_chain = copy.net_buffer_list_chain
            self._forget_lists(copy.net_buffer_list_chain)
            if isinstance(copy.delegated, TcpDelegated):
                _came_from(copy.delegated.buffered_data, lower)
        else:
            return
        ages = [s.nic_reachability_delta for s in (node.delegated, copy.delegated) if isinstance(s, NeighborDelegated)]
        node.delegated = NeighborDelegated(min(ages)) if len(ages) == 2 else copy.delegated

    def _parked_answer(self, kind: CompletionKind, node: OffloadBlock, entry: MuxEntry) -> None:
        """The state is here: only a terminate can be answered well."""
        node.status = NdisStatus.FAILURE if entry.lost or kind is not CompletionKind.TERMINATE else NdisStatus.SUCCESS
        if kind is not CompletionKind.TERMINATE:
            return
        status = NdisStatus.REQUEST_ABORTED if entry.lost else NdisStatus.UPLOAD_IN_PROGRESS
        for one in entry.receives:
            self._complete(one, status, self._up.receive_complete)
        for one in entry.forwards:
            self._complete(one, status, self._up.forward_complete)
        if entry.lost:
            for one in entry.sends:
                self._complete(one, status, self._up.send_complete)
            entry.sends.clear()
        for one, _ in entry.disconnects:
            self._complete(one, status, self._up.disconnect_complete)
        node.net_buffer_list_chain = chain(entry.sends) if entry.sends else None
        self._forget_lists(node.net_buffer_list_chain)
        if entry.kind.layer is not Layer.TCP:
            return
        state = None if entry.lost else entry.state
        node.delegated = state and replace(
            state,
            send_data_head=entry.sends[0] if entry.sends else None,
            send_data_tail=entry.sends[-1] if entry.sends else None,
            buffered_data=chain(entry.buffered) if entry.buffered else None,
        )

    # ---- moving a path ---------------------------------------------------------------------

    def move_path(self, path: MuxEntry, target: int, done: Callable[[Move], None] | None = None) -> bool:
        """Upload a path with its connections and offload it to ``target``; False while a call for it is under way."""
        tcps = [e for e in self._entries.values() if e.below is path and e.stay is Stay.AT_HOME]
        all_of_it = [path, *tcps] + ([] if path.below is None else [path.below])
        if path.home == target or any(e.calls or e.stay is not Stay.AT_HOME for e in all_of_it):
            return False
        move = Move(path, tcps, path.home, target, done)
        for entry in all_of_it:
            entry.stay = Stay.MOVING
        nodes = [self._leaving(entry, OffloadStateType.TCP_DELEGATED, move.source) for entry in tcps]
        root = self._leaving(path, DELEGATED_TYPE[path.kind], move.source)
        root.dependent_block_list = link(nodes)
        neighbor = path.below
        if neighbor is not None and not self._used(neighbor, move.source, path):
            upper = self._leaving(neighbor, OffloadStateType.NEIGHBOR_DELEGATED, move.source)
            upper.dependent_block_list = root
            root = upper
        self._issue(CompletionKind.TERMINATE, move.source, root, lambda tree: self._left(move, tree))
        return True

    def _used(self, neighbor: MuxEntry, lower: int, but: MuxEntry) -> bool:
        return any(p.below is neighbor and p.home == lower and p is not but for p in self.paths)

    @staticmethod
    def _leaving(entry: MuxEntry, kind: OffloadStateType, lower: int) -> OffloadBlock:
        handle = entry.at[lower]
        delegated = NeighborDelegated() if kind is OffloadStateType.NEIGHBOR_DELEGATED else None
        return OffloadBlock(kind, handle, ndis_offload_handle=handle, delegated=delegated)

    def _left(self, move: Move, tree: OffloadBlock) -> None:
        """The old miniport is done with the path: offload what can be offloaded to the new one."""
        for node in traverse(tree):
            handle = node.miniport_offload_context
            if not isinstance(handle, LowerHandle):
                continue
            entry = handle.entry
            entry.at.pop(move.source, None)
            entry.delegated = node.delegated
            if entry.kind.layer is Layer.TCP:
                entry.lost = node.status is not NdisStatus.SUCCESS
                entry.sends += unchain(node.net_buffer_list_chain)
                head = None if entry.state is None else entry.state.buffered_data
                _came_from(head, move.source)
                entry.buffered = unchain(head)
        move.path.home = move.target
        ready = [entry for entry in move.tcps if self._can_go_on(entry)]
        for entry in move.tcps:
            entry.home = move.target
            if entry not in ready:
                self._park(move, entry)
        nodes = [self._arriving(entry, move.target) for entry in ready]
        root = self._block(OffloadBlock(move.path.kind), move.path, move.target)
        root.dependent_block_list = link(nodes)
        if move.path.below is not None:
            neighbor = self._block(OffloadBlock(OffloadStateType.NEIGHBOR), move.path.below, move.target)
            neighbor.dependent_block_list = root
            root = neighbor
        self._issue(CompletionKind.INITIATE, move.target, root, lambda done: self._arrived(move, ready, done))

    @staticmethod
    def _can_go_on(entry: MuxEntry) -> bool:
        """A connection another miniport can take; the list of a FIN that was sent cannot be given to it."""
        if entry.state is None or entry.lost:
            return False
        return entry.state.state in (OPEN_STATES if entry.disconnects else OFFLOADABLE_STATES)

    def _arriving(self, entry: MuxEntry, lower: int) -> OffloadBlock:
        """A node that continues the connection where the old miniport left it."""
        handle = LowerHandle(entry, lower)
        state = entry.state
        if state is None:
            raise MultiplexerError("a connection without state cannot be offloaded again")
        sends = entry.sends
        return OffloadBlock(
            OffloadStateType.TCP,
            handle,
            ndis_offload_handle=handle,
            const=entry.const,
            cached=entry.cached,
            delegated=replace(
                state,
                send_data_head=sends[0] if sends else None,
                send_data_tail=sends[-1] if sends else None,
                buffered_data=chain(entry.buffered) if entry.buffered else None,
            ),
            net_buffer_list_chain=chain(sends) if sends else None,
        )

    def _arrived(self, move: Move, ready: list[MuxEntry], tree: OffloadBlock) -> None:
        """Post again what came back; what the new miniport did not take is parked."""
        for node in traverse(tree):
            handle = node.miniport_offload_context
            if isinstance(handle, LowerHandle) and handle.miniport_offload_context is not None:
                handle.entry.at[move.target] = handle
                handle.entry.stay = Stay.AT_HOME
        move.path.stay = Stay.AT_HOME if move.target in move.path.at else Stay.PARKED
        if move.path.below is not None:
            move.path.below.stay = Stay.AT_HOME if move.path.below.at else Stay.PARKED
        for entry in ready:
            if move.target not in entry.at:
                self._park(move, entry)
                continue
            entry.sends.clear()
            if entry.buffered:
                self.bindings[move.source].offload_tcp_receive_return(chain(entry.buffered))
                entry.buffered = []
                if not entry.receives and not entry.refused:
                    self._ask_for_inherited(entry)
            self._post_again(entry)
        self._release()
        if move.done is not None:
            move.done(move)

    def _ask_for_inherited(self, entry: MuxEntry) -> None:
        """An empty receive of our own: what a miniport inherits waits for a receive (CH-054).

        A host that lives on indications posts none, as it knows of no move.
        """
        nbl = NetBufferList([NetBuffer(())])
        nbl.hand_over(Owner.HOST, Owner.TARGET)
        self._asked[id(nbl)] = nbl
        self.bindings[entry.home].offload_tcp_receive(entry.at[entry.home], nbl)

    def _post_again(self, entry: MuxEntry) -> None:
        """The lists that the old miniport gave back unfinished."""
        binding, handle = self.bindings[entry.home], entry.at[entry.home]
        receives, entry.receives = entry.receives, []
        forwards, entry.forwards = entry.forwards, []
        disconnects, entry.disconnects = entry.disconnects, []
        if receives:
            binding.offload_tcp_receive(handle, chain(receives))
        if forwards:
            binding.offload_tcp_forward(handle, chain(forwards))
        for nbl, flags in disconnects:
            binding.offload_tcp_disconnect(handle, nbl, flags)

    def _park(self, move: Move, entry: MuxEntry) -> None:
        """No miniport has the connection: the driver above must take it (6.1)."""
        entry.stay = Stay.PARKED
        move.parked.append(entry)
        reason = UploadReason.HARDWARE_FAILURE if entry.lost else UploadReason.UPLOAD_REQUESTED
        self._up.event(entry.upper, TcpEventType.RETRIEVE, reason)

    # ---- I/O down --------------------------------------------------------------------------

    def _note(
        self,
        nbl: NetBufferList,
        entry: MuxEntry,
        kind: CompletionKind,
        flags: DisconnectFlags = DisconnectFlags.GRACEFUL,
    ) -> None:
        """Remember whose a list is, and its first length: a second miniport only gets the rest."""
        self._given.setdefault(id(nbl), Given(nbl, entry, kind, nbl.data_length, flags))

    def _io(
        self,
        adapter_context: object,
        context: int,
        nbl: NetBufferList,
        kind: CompletionKind,
        flags: DisconnectFlags = DisconnectFlags.GRACEFUL,
    ) -> NdisStatus:
        self._named(adapter_context)
        entry = self._entry(context)
        for one in iterate(nbl):
            self._note(one, entry, kind, flags)
        if kind is CompletionKind.RECEIVE:
            entry.refused = False
        self._when_still([entry], lambda: self._pass(entry, nbl, kind, flags))
        return NdisStatus.PENDING

    def _pass(self, entry: MuxEntry, nbl: NetBufferList, kind: CompletionKind, flags: DisconnectFlags) -> None:
        if entry.stay is Stay.PARKED:
            for one in unchain(nbl):
                self._keep(self._given[id(one)])
            return
        binding, handle = self.bindings[entry.home], entry.at[entry.home]
        match kind:
            case CompletionKind.SEND:
                binding.offload_tcp_send(handle, nbl)
            case CompletionKind.RECEIVE:
                binding.offload_tcp_receive(handle, nbl)
            case CompletionKind.FORWARD:
                binding.offload_tcp_forward(handle, nbl)
            case _:
                binding.offload_tcp_disconnect(handle, nbl, flags)

    @staticmethod
    def _keep(given: Given) -> None:
        """A list stays here, for the next miniport or for the terminate."""
        entry = given.entry
        match given.kind:
            case CompletionKind.SEND:
                entry.sends.append(given.nbl)
            case CompletionKind.RECEIVE:
                entry.receives.append(given.nbl)
            case CompletionKind.FORWARD:
                entry.forwards.append(given.nbl)
            case _:
                entry.disconnects.append((given.nbl, given.flags))

    def tcp_offload_send(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadSend."""
        return self._io(adapter_context, context, nbl, CompletionKind.SEND)

    def tcp_offload_receive(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceive."""
        return self._io(adapter_context, context, nbl, CompletionKind.RECEIVE)

    def tcp_offload_disconnect(
        self, adapter_context: object, context: int, nbl: NetBufferList, flags: DisconnectFlags
    ) -> NdisStatus:
        """MiniportTcpOffloadDisconnect."""
        return self._io(adapter_context, context, nbl, CompletionKind.DISCONNECT, flags)

    def tcp_offload_forward(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadForward."""
        return self._io(adapter_context, context, nbl, CompletionKind.FORWARD)

    def tcp_offload_receive_return(self, adapter_context: object, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceiveReturn: each list to the miniport it came from."""
        self._named(adapter_context)
        by_lower: dict[int, list[NetBufferList]] = {}
        for one in unchain(nbl):
            source = one.source_handle
            by_lower.setdefault(source if isinstance(source, int) else self.active, []).append(one)
        for lower, lists in by_lower.items():
            self.bindings[lower].offload_tcp_receive_return(chain(lists))
        return NdisStatus.SUCCESS

    # ---- I/O up ----------------------------------------------------------------------------

    def _complete(
        self, nbl: NetBufferList, status: NdisStatus, complete: Callable[[object, NetBufferList], None]
    ) -> None:
        """Complete a list that no miniport has, with what all of them transferred."""
        given = self._given.pop(id(nbl))
        nbl.set_status(Owner.TARGET, status)
        nbl.info[NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED] = given.length - nbl.data_length
        complete(self._handle, nbl)

    def _back(self, binding_context: object, nbl: NetBufferList) -> Iterator[NetBufferList]:
        """The lists of a completion that go up; the rest is kept for the next miniport."""
        self._lower(binding_context)
        for one in unchain(nbl):
            if self._asked.pop(id(one), None) is not None:
                continue
            given = self._given[id(one)]
            if given.entry.stay is Stay.MOVING and one.status is NdisStatus.UPLOAD_IN_PROGRESS:
                self._keep(given)
                continue
            del self._given[id(one)]
            if given.kind is not CompletionKind.FORWARD:
                one.info[NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED] = given.length - one.data_length
            yield one

    def tcp_offload_send_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadSendComplete."""
        if lists := list(self._back(binding_context, nbl)):
            self._up.send_complete(self._handle, chain(lists))

    def tcp_offload_receive_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadReceiveComplete."""
        if lists := list(self._back(binding_context, nbl)):
            self._up.receive_complete(self._handle, chain(lists))

    def tcp_offload_disconnect_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadDisconnectComplete."""
        for one in self._back(binding_context, nbl):
            self._up.disconnect_complete(self._handle, one)

    def tcp_offload_forward_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadForwardComplete."""
        if lists := list(self._back(binding_context, nbl)):
            self._up.forward_complete(self._handle, chain(lists))

    @staticmethod
    def _own(handle: object) -> LowerHandle:
        if not isinstance(handle, LowerHandle):
            raise MultiplexerError("CH-035: an indication carries a handle that the multiplexer never gave")
        return handle

    def tcp_offload_event(self, handle: object, event: TcpEventType, info: int) -> None:
        """ProtocolTcpOffloadEvent."""
        self._up.event(self._own(handle).entry.upper, event, info)

    def tcp_offload_receive_indicate(
        self, handle: object, nbl: NetBufferList, status: NdisStatus
    ) -> tuple[NdisStatus, int]:
        """ProtocolTcpOffloadReceiveIndicate: what was refused before a move is not asked again behind it (CH-151)."""
        own = self._own(handle)
        if own.entry.refused:
            return NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, 0
        nbl.source_handle = own.lower
        answer, consumed = self._up.receive(own.entry.upper, nbl, status)
        own.entry.refused = own.entry.refused or answer is not NdisStatus.SUCCESS
        return answer, consumed

    def offload_event_indicate(self, binding_context: object, block_list: OffloadBlock | None, code: int) -> None:
        """ProtocolIndicateOffloadEvent (G-24)."""
        self._lower(binding_context)
        if block_list is None:
            self.adapter.offload_event_indicate(self._handle, None, code)
            return
        own = block_list.ndis_offload_handle
        block_list.ndis_offload_handle = self._own(own).entry.upper
        try:
            self.adapter.offload_event_indicate(self._handle, block_list, code)
        finally:
            block_list.ndis_offload_handle = own

    # ---- the rest --------------------------------------------------------------------------

    def status_indicate(self, binding_context: object, code: NdisStatus, buffer: TcpConnectionOffload | None) -> None:
        """ProtocolStatusEx."""
        self._lower(binding_context)
        self.adapter.indicate_status(self._handle, code, buffer)

    def oid_request(self, adapter_context: object, request: OidRequest) -> NdisStatus:
        """MiniportOidRequest: a set goes to all miniports, a query to the active one, of statistics to all."""
        self._named(adapter_context)
        all_of_them = request.set or request.oid in STATISTICS_OIDS
        return self._oids.request(request, self.bindings if all_of_them else [self.bindings[self.active]])

    def oid_request_complete(self, binding_context: object, request: OidRequest, status: NdisStatus) -> None:
        """ProtocolOidRequestComplete."""
        self._lower(binding_context)
        self._oids.completed(request, status)

    def _oid_completed(self, request: OidRequest, status: NdisStatus) -> None:
        self.adapter.oid_request_complete(self._handle, request, status)

    def send_raw(self, adapter_context: object, frame: bytes) -> None:
        """The ordinary send path."""
        self._named(adapter_context)
        self.bindings[self.active].send_raw(frame)

    def indicate_raw(self, binding_context: object, frame: bytes) -> None:
        """The non-offload receive path."""
        self._lower(binding_context)
        self.adapter.indicate_raw(self._handle, frame)


def _capabilities(binding: Binding) -> TcpConnectionOffload | None:
    """What the miniport below reported."""
    attributes = binding.face.adapter.attributes
    return None if attributes is None else attributes.tcp_connection_offload_hardware_capabilities


def _least(capabilities: Sequence[TcpConnectionOffload]) -> TcpConnectionOffload | None:
    """What all of them can; None if they have no version of IP in common (CH-005)."""
    smallest = min(capabilities, key=lambda c: c.capacity)
    ipv4, ipv6 = (all(getattr(c, name) for c in capabilities) for name in ("support_ipv4", "support_ipv6"))
    return replace(smallest, support_ipv4=ipv4, support_ipv6=ipv6) if ipv4 or ipv6 else None


def _came_from(head: NetBufferList | None, lower: int) -> None:
    """Note on lists that the driver above will return to which miniport they belong."""
    for nbl in iterate(head):
        nbl.source_handle = lower
