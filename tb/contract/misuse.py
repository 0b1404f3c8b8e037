"""Operations that the contract forbids the host: each with what must come of it.

The calls go down past the host's books, straight to the miniport below. Requests must come back, trees must complete,
once and with the status that the contract or docs/errors.md says. What the monitors report at such a call must be the
rules that it breaks, and no other.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from model.ndis.binding import Binding
from model.ndis.calls import TerminateOffload
from model.ndis.enums import CACHED_TYPE, DisconnectFlags, Layer, NblInfo, OffloadStateType, TcpConnectionState
from model.ndis.host import OffloadedConnection, SharedObject
from model.ndis.host_state import ObjectPhase
from model.ndis.netbuffer import NetBuffer, NetBufferList, chain, free_net_buffer_list
from model.ndis.offload_state import (
    NeighborCached,
    OffloadBlock,
    OffloadHandle,
    PathCached,
    TcpCached,
    TcpConst,
    TcpDelegated,
    link,
    nodes_once,
    structure_port,
)
from model.ndis.status import NdisStatus
from tb.contract.expectations import Expectations
from tb.contract.host import ContractHost, Misuse
from tb.contract.life import ONE_BUFFER, Life, Phase
from tb.contract.table import AFTER_OWN_FIN, TABLE, Kind, State
from tb.contract.wire import PEER_PORT

if TYPE_CHECKING:
    from tb.contract.operator import Operator

#: A context that no target gives.
FOREIGN = 0x7FFF_0000
ABORTED = frozenset({NdisStatus.REQUEST_ABORTED})
LATE = frozenset({NdisStatus.REQUEST_ABORTED, NdisStatus.UPLOAD_IN_PROGRESS})
_FAILED = frozenset({NdisStatus.FAILURE})
_UPDATED = frozenset({NdisStatus.SUCCESS, NdisStatus.FAILURE})
_NOT_TAKEN = frozenset({NdisStatus.FAILURE, NdisStatus.OFFLOAD_TCP_ENTRIES})

_IO = (
    Kind.SEND, Kind.RECEIVE_PUSH, Kind.RECEIVE_NONPUSH, Kind.RECEIVE_ZERO, Kind.RECEIVE_PREFILLED, Kind.DISCONNECT,
    Kind.DISCONNECT_DATA, Kind.DISCONNECT_ABORTIVE, Kind.FORWARD,
)  # fmt: skip
_STATE_CALLS = {
    Kind.QUERY: Binding.query_offload_state, Kind.UPDATE: Binding.update_offload,
    Kind.INVALIDATE: Binding.invalidate_offload, Kind.TERMINATE: Binding.terminate_offload,
}  # fmt: skip
_OBJECT_CALLS = {
    Kind.QUERY_OBJECT: Binding.query_offload_state, Kind.UPDATE_MTU: Binding.update_offload,
    Kind.UPDATE_MAC: Binding.update_offload, Kind.RELINK: Binding.update_offload,
    Kind.INVALIDATE_PATH: Binding.invalidate_offload, Kind.INVALIDATE_NEIGHBOR: Binding.invalidate_offload,
    Kind.TERMINATE_OBJECT: Binding.terminate_offload,
}  # fmt: skip
_INITIATES = (Kind.INITIATE, Kind.TREE_NO_STATE, Kind.TREE_CYCLE, Kind.TREE_LAYERS)
_NODE_TYPES = {
    Kind.QUERY: OffloadStateType.TCP, Kind.UPDATE: OffloadStateType.TCP_CACHED, Kind.INVALIDATE: OffloadStateType.TCP,
    Kind.TERMINATE: OffloadStateType.TCP_DELEGATED, Kind.QUERY_OBJECT: OffloadStateType.IP4,
    Kind.UPDATE_MTU: OffloadStateType.IP4_CACHED, Kind.UPDATE_MAC: OffloadStateType.NEIGHBOR_CACHED,
    Kind.RELINK: OffloadStateType.NEIGHBOR, Kind.INVALIDATE_PATH: OffloadStateType.IP4,
    Kind.INVALIDATE_NEIGHBOR: OffloadStateType.NEIGHBOR, Kind.TERMINATE_OBJECT: OffloadStateType.IP4_DELEGATED,
}  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """A pair of the table, and on whom."""

    kind: Kind
    state: State
    life: Life | None = None


class Misuser:
    """Draws and makes calls against the host's rules."""

    def __init__(self, host: ContractHost, operator: Operator) -> None:
        self.host, self.operator = host, operator
        self._draws = operator.streams.child("misuse").stream
        self.expectations = Expectations()
        #: Contexts of connections that were terminated.
        self.stale: list[int] = []
        self._ports = iter(range(1024, 40_000))

    # ---- drawing ----------------------------------------------------------------------------

    def step(self) -> bool:
        """One call; False if none is possible now."""
        pairs = self._pairs()
        if not pairs:
            return False
        wanted = [chosen for chosen in pairs if self.operator.wanted(chosen.kind, chosen.state)]
        passing = [chosen for chosen in wanted if chosen.state in (State.INITIATING, State.TERMINATING)]
        return self._make(self._draws("pair").choice(passing or wanted or pairs))

    def nameless(self) -> None:
        """Every state call on what was never offloaded, once; nothing is drawn but the names."""
        for kind in _STATE_CALLS:
            self._make(Chosen(kind, State.FOREIGN))
        for kind in _OBJECT_CALLS:
            self._make(Chosen(kind, State.OBJECT_NONE))

    def in_passing(self) -> bool:
        """A terminate went down: a call on a connection that is being terminated, if one is still wanted.

        The device needs a few hundred cycles for one: by the next tick none may be left.
        """
        wanted = [c for c in self._pairs() if c.state is State.TERMINATING and self.operator.wanted(c.kind, c.state)]
        return bool(wanted) and self._make(self._draws("pair in passing").choice(wanted))

    def _pairs(self) -> list[Chosen]:
        """Everything forbidden that can be done now."""
        found: list[Chosen] = []
        states: dict[State, list[Life]] = {}
        for life in self.operator.lives:
            states.setdefault(life.state, []).append(life)
        reachable: dict[State, Life | None] = {State.FOREIGN: None, State.SOFTWARE: None}
        if self.stale:
            reachable[State.UPLOADED] = None
        for state in (State.INITIATING, State.TERMINATING, *AFTER_OWN_FIN, State.INVALID):
            if lives := [life for life in states.get(state, []) if self._reached(life)]:
                reachable[state] = self._draws("connection").choice(lives)
        for (kind, state), cell in TABLE.items():
            if not cell.legal and (kind in _IO or kind in _STATE_CALLS) and state in reachable:
                found.append(Chosen(kind, state, reachable[state]))
        found += [Chosen(Kind.INITIATE, s) for s in (State.SYN_SENT, State.TIME_WAIT, State.CLOSED)]
        found += [Chosen(kind, State.OBJECT_NONE) for kind in _OBJECT_CALLS]
        found += self._of_objects()
        quiet = [life for life in states.get(State.ESTABLISHED, []) if not life.busy]
        found.append(Chosen(Kind.TREE_NO_STATE, State.SOFTWARE))
        if quiet:
            life = self._draws("quiet connection").choice(quiet)
            kinds = (
                Kind.TREE_CYCLE, Kind.TREE_LAYERS, Kind.UPDATE_TWICE, Kind.RELINK_TCP, Kind.FORWARD_SIZE,
                Kind.RETURN_FOREIGN, Kind.DISCONNECT_FLAGS,
            )  # fmt: skip
            found += [Chosen(kind, State.ESTABLISHED, life) for kind in kinds]
            if self._draws("shapes").random() < 0.03:
                found += [Chosen(k, State.ESTABLISHED, life) for k in (Kind.DISCONNECT_SHAPE, Kind.ABORT_WITH_DATA)]
        return found

    def _reached(self, life: Life) -> bool:
        """Its calls are down, so that the target knows what the host knows."""
        place = None if life.connection is None else id(life.connection.handle)
        return not life.busy and (life.phase is not Phase.TERMINATING or place in self.host.terminating)

    def _of_objects(self) -> list[Chosen]:
        found: list[Chosen] = []
        for owner in self.host.objects():
            state = self.operator.object_state(owner)
            if state is State.OBJECT_INVALID and owner.invalid:
                path = owner.type.layer is Layer.PATH
                found.append(Chosen(Kind.UPDATE_MTU if path else Kind.UPDATE_MAC, state))
                if path:
                    found.append(Chosen(Kind.RELINK, state))
            if state is State.OBJECT and owner.at_rest:
                found.append(Chosen(Kind.UPDATE_TWICE, state))
                if owner.users and owner.type.layer is Layer.PATH and self._draws("terminate below").random() < 0.02:
                    found.append(Chosen(Kind.TERMINATE_OBJECT, State.TERMINATING))
        return found

    def _make(self, chosen: Chosen) -> bool:
        kind = chosen.kind
        if kind in _IO:
            return self._io(chosen)
        if kind in _STATE_CALLS:
            return self._state_call(chosen)
        if chosen.state is State.OBJECT_NONE:
            return self._object_call(chosen, self._node(_NODE_TYPES[kind], self._nothing()), _FAILED, "HOST-1.5")
        makers: dict[Kind, Callable[[Chosen], bool]] = {
            Kind.INITIATE: self._unfit, Kind.TREE_NO_STATE: self._stateless, Kind.TREE_CYCLE: self._cycle,
            Kind.TREE_LAYERS: self._layers, Kind.UPDATE_TWICE: self._update_twice, Kind.RELINK_TCP: self._relink_tcp,
            Kind.DISCONNECT_SHAPE: self._two_buffers, Kind.ABORT_WITH_DATA: self._abort_with_data,
            Kind.FORWARD_SIZE: self._cut_segment, Kind.RETURN_FOREIGN: self._return_foreign,
            Kind.DISCONNECT_FLAGS: self._odd_flags,
            Kind.UPDATE_MTU: self._update_invalid, Kind.UPDATE_MAC: self._update_invalid,
            Kind.RELINK: self._update_invalid, Kind.TERMINATE_OBJECT: self._terminate_below,
        }  # fmt: skip
        return makers[kind](chosen)

    # ---- calling ----------------------------------------------------------------------------

    def _call(
        self,
        chosen: Chosen,
        misuse: Misuse,
        run: Callable[[Binding], Any],
        *rules: str,
        also: Callable[[], Iterable[str]] = tuple,
    ) -> bool:
        """Make the call. The monitors must report ``rules`` at it, and what ``also`` says when it is made."""
        state = None if chosen.life is None else chosen.life.state

        def watched(binding: Binding) -> None:
            if chosen.life is not None and chosen.life.state is not state:  # it went on while the call was on its way
                self.host.withdraw(misuse)
                return
            self._count(chosen)
            name, broken = f"{chosen.kind} in {chosen.state}", frozenset((*rules, *also()))
            if not broken:
                self.host.complaints.append(f"{name}: no rule forbids it")
            with self.expectations.at(broken, name):
                run(binding)

        self.host.misuse(misuse, watched)
        return True

    def _count(self, chosen: Chosen) -> None:
        self.operator.tally.counts[chosen.kind, chosen.state] += 1

    @staticmethod
    def _context(binding: Binding) -> object:
        return binding.adapter_context

    def _initiate(self, binding: Binding, root: OffloadBlock) -> None:
        self.host.note_initiate(root)
        binding.initiate_offload(root)

    def _nothing(self) -> OffloadHandle:
        """A cell that holds NULL, or what was never given, or what is no more."""
        foreign = FOREIGN + self._draws("foreign object").randrange(1000)
        return OffloadHandle(self._draws("no object").choice((None, foreign, *self.stale[-1:])))

    def _of(self, chosen: Chosen) -> int:
        """The context that an I/O call names."""
        if chosen.state in (State.SOFTWARE, State.INITIATING):
            return 0
        if chosen.state is State.UPLOADED:
            return self._draws("stale").choice(self.stale)
        if chosen.state is State.FOREIGN:
            return FOREIGN + self._draws("foreign").randrange(1000)
        connection = None if chosen.life is None else chosen.life.connection
        return 0 if connection is None else connection.handle.miniport_offload_context or 0

    # ---- I/O --------------------------------------------------------------------------------

    def _io(self, chosen: Chosen) -> bool:
        lists = self._lists(chosen.kind, chosen.life)
        context = self._of(chosen)
        if not lists or (chosen.state is State.TERMINATING and not context):
            return False
        late = chosen.state not in (State.SOFTWARE, State.UPLOADED, State.FOREIGN, State.INITIATING)
        misuse = self._refused(chosen, lists, LATE if late else ABORTED)
        head = chain(lists)

        def run(binding: Binding) -> None:
            face, adapter = binding.face, self._context(binding)
            if chosen.kind is Kind.SEND:
                status = face.tcp_offload_send(adapter, context, head)
            elif chosen.kind is Kind.FORWARD:
                status = face.tcp_offload_forward(adapter, context, head)
            elif chosen.kind.name.startswith("DISCONNECT"):
                abortive = chosen.kind is Kind.DISCONNECT_ABORTIVE
                flags = DisconnectFlags.ABORTIVE if abortive else DisconnectFlags.GRACEFUL
                status = face.tcp_offload_disconnect(adapter, context, head, flags)
            else:
                status = face.tcp_offload_receive(adapter, context, head)
            if status is not NdisStatus.PENDING:
                self.host.complaints.append(f"{misuse.name}: returned {status!r}")

        forwards = chosen.kind is Kind.FORWARD and chosen.state is State.TERMINATING

        def nameless() -> list[str]:
            coming = (
                chosen.life is not None
                and chosen.life.connection is not None
                and any(id(chosen.life.connection.handle) in places for places in self.host.initiating.values())
            )
            rules = ["CH-168"] if coming and chosen.kind is Kind.FORWARD else []
            if not context and self.host.initiating:
                return [*rules, "CH-059"]
            return [] if late and context else ["HOST-1.5"]

        behind = {State.TERMINATING: "CH-168" if forwards else "HOST-6.2"}.get(chosen.state, "HOST-7.2")
        return self._call(chosen, misuse, run, *([behind] if late else []), also=nameless)

    def _refused(self, chosen: Chosen, lists: list[NetBufferList], statuses: frozenset[NdisStatus]) -> Misuse:
        """Lists that must come back in their order, with one of these statuses and nothing done."""
        misuse = Misuse(f"{chosen.kind} in {chosen.state}", statuses, lists)
        lengths = [nbl.data_length for nbl in lists]

        def wrong() -> str:
            for nbl, length in zip(lists, lengths, strict=True):
                if nbl.bytes_transferred or nbl.data_length != length:
                    return f"{nbl.bytes_transferred} bytes transferred"
            return "" if misuse.returned == lists else "lists come back in another order"

        misuse.wrong = wrong

        def over() -> None:
            for nbl in lists:
                free_net_buffer_list(self.host.allocator, nbl)

        misuse.over = over
        return misuse

    def _lists(self, kind: Kind, life: Life | None) -> list[NetBufferList]:
        draws = self._draws
        one = kind.name.startswith("DISCONNECT")
        sizes = [draws("size").randint(1, 3000) for _ in range(1 if one else draws("lists").randint(1, 4))]
        if kind is Kind.FORWARD:
            sizes = [20]
        if kind in (Kind.DISCONNECT, Kind.DISCONNECT_ABORTIVE, Kind.RECEIVE_ZERO):
            sizes = [0 for _ in sizes]
        lists = []
        for size in sizes:
            data = bare_header(life) if kind is Kind.FORWARD else draws("bytes").randbytes(size)
            nbl = NetBufferList([NetBuffer(())]) if not data else self._built(data, "list")
            if nbl is not None:
                nbl.info[NblInfo.TCP_RECEIVE_NO_PUSH] = int(kind is Kind.RECEIVE_NONPUSH)
                lists.append(nbl)
        return lists

    def _built(self, data: bytes, of: str) -> NetBufferList | None:
        """A list with these bytes, its buffers cut by a stream of their own."""
        return self.host.build(data, ONE_BUFFER, self._draws(f"{of}: buffers"))

    # ---- state calls ------------------------------------------------------------------------

    @staticmethod
    def _node(kind: OffloadStateType, cell: OffloadHandle) -> OffloadBlock:
        node = OffloadBlock(kind, cell)
        if kind is OffloadStateType.TCP_CACHED:
            node.cached = TcpCached()
        if kind in (OffloadStateType.IP4_CACHED, OffloadStateType.IP6_CACHED):
            node.cached = PathCached(1400)
        if kind is OffloadStateType.NEIGHBOR_CACHED:
            node.cached = NeighborCached(bytes(6))
        return node

    def _tree(self, chosen: Chosen, root: OffloadBlock, statuses: frozenset[NdisStatus]) -> Misuse:
        """A tree that must come back with these statuses on every node that names something."""
        before = [(node, node.context) for node in nodes_once(root)]
        alone = chosen.kind in _INITIATES  # nobody else writes into the cells
        misuse = Misuse(f"{chosen.kind} in {chosen.state}", statuses, roots=[root])

        def wrong() -> str:
            for node, context in before:
                fits = node.status is NdisStatus.SUCCESS if node.is_placeholder else node.status in statuses
                if not fits or (alone and node.context != context):
                    return f"a node of type {node.type.name} comes back {node.status!r}, context {node.context}"
            return ""

        misuse.wrong = wrong
        return misuse

    def _state_call(self, chosen: Chosen) -> bool:
        kind, connection = chosen.kind, None if chosen.life is None else chosen.life.connection
        cell = OffloadHandle(self._of(chosen) or None)
        statuses = _FAILED
        rules: list[str] = []
        if connection is not None and chosen.state in (State.INITIATING, State.TERMINATING):
            cell = connection.handle
        if chosen.state is State.INVALID and connection is not None:
            if not connection.invalid or connection.updating:
                return False
            cell, statuses, rules = connection.handle, _UPDATED, ["CH-088"]
        node = self._node(_NODE_TYPES[kind], cell)
        if isinstance(node.cached, TcpCached) and connection is not None:
            node.cached = connection.cached

        def early() -> list[str]:
            coming = any(id(cell) in places for places in self.host.initiating.values())
            busy = connection is not None and (connection.invalid or connection.updating)
            update = node.cached is not None and (coming or (busy and chosen.state is State.TERMINATING))
            named = connection is not None and chosen.state in (State.TERMINATING, State.INVALID)
            unknown = not coming and not named
            behind = chosen.state is State.TERMINATING
            found = ["CH-059"] * coming + ["CH-088"] * bool(update)
            return [*found, *["HOST-1.5"] * unknown, *["HOST-6.2"] * behind]

        misuse = self._tree(chosen, node, statuses)
        misuse.of = connection
        return self._call(chosen, misuse, lambda b: _STATE_CALLS[kind](b, node), *rules, also=early)

    def _object_call(
        self,
        chosen: Chosen,
        root: OffloadBlock,
        statuses: frozenset[NdisStatus],
        *rules: str,
        of: SharedObject | None = None,
    ) -> bool:
        call = _OBJECT_CALLS[chosen.kind]
        if chosen.kind is Kind.RELINK and root.dependent_block_list is None:
            root.dependent_block_list = self._node(OffloadStateType.IP4, self._nothing())
        misuse = self._tree(chosen, root, statuses)
        misuse.of = of
        return self._call(chosen, misuse, lambda binding: call(binding, root), *rules)

    def _update_invalid(self, chosen: Chosen) -> bool:
        wanted = Layer.NEIGHBOR if chosen.kind is Kind.UPDATE_MAC else Layer.PATH
        for owner in self.host.objects():
            if owner.type.layer is wanted and owner.is_offloaded and owner.invalid and not owner.updating:
                break
        else:
            return False
        if chosen.kind is Kind.RELINK:
            neighbors = self._sound(Layer.NEIGHBOR, owner.below)
            if not neighbors:
                return False
            root = self._node(OffloadStateType.NEIGHBOR, self._draws("relink").choice(neighbors).handle)
            root.dependent_block_list = self._node(owner.type, owner.handle)
        else:
            root = self._node(CACHED_TYPE[owner.type], owner.handle)
            root.cached = owner.cached
        return self._object_call(chosen, root, _UPDATED, "CH-088", of=owner)

    def _sound(self, layer: Layer, other_than: SharedObject | None) -> list[SharedObject]:
        """Offloaded objects that nothing happens to."""
        owners = [owner for owner in self.host.objects() if owner.type.layer is layer and owner is not other_than]
        return [owner for owner in owners if owner.is_offloaded and not owner.updating and not owner.invalid]

    def _update_twice(self, chosen: Chosen) -> bool:
        """An update of what is being updated."""
        owner: OffloadedConnection | SharedObject | None
        if chosen.state is State.OBJECT:
            owners = [o for o in self.host.objects() if self.operator.object_state(o) is State.OBJECT and o.at_rest]
            owner = self._draws("updated twice").choice(owners) if owners else None
        else:
            owner = None if chosen.life is None else chosen.life.connection
        if owner is None or owner.updating or owner.invalid or self.host.holds(owner):
            return False
        cached = owner.cached
        self.host.state.update([(owner, cached)])
        node = OffloadBlock(CACHED_TYPE[owner.kind], owner.handle, cached=cached)
        misuse = self._tree(chosen, node, _UPDATED)
        misuse.of = owner
        return self._call(chosen, misuse, lambda binding: binding.update_offload(node), "CH-088")

    def _relink_tcp(self, chosen: Chosen) -> bool:
        connection = None if chosen.life is None else chosen.life.connection
        others = [] if connection is None else self._sound(Layer.PATH, connection.path)
        if connection is None or connection.updating or not others:
            return False
        other = self._draws("other path").choice(others)
        root = OffloadBlock(other.type, other.handle)
        root.dependent_block_list = OffloadBlock(OffloadStateType.TCP, connection.handle)
        misuse = self._tree(chosen, root, _UPDATED)
        misuse.of = connection
        again = misuse.wrong

        def wrong() -> str:
            node = root.dependent_block_list
            moved = node is not None and node.status is not NdisStatus.FAILURE
            return "a connection was linked to a path" if moved else again()

        misuse.wrong = wrong
        return self._call(chosen, misuse, lambda binding: binding.update_offload(root), "CH-090")

    def _terminate_below(self, chosen: Chosen) -> bool:
        """A path goes while connections are on it; they must not notice. None is on its way there (CH-059)."""
        if self.host.asked:
            return False
        for owner in self.host.objects():
            sound = owner.is_offloaded and owner.at_rest and not owner.invalid and not self.host.holds(owner)
            if owner.type.layer is Layer.PATH and owner.users and sound:
                break
        else:
            return False
        owner.phase = ObjectPhase.TERMINATING
        root = owner.terminate_block()
        expect = self.expectations

        def run(binding: Binding) -> None:
            self._count(chosen)
            with expect.at(frozenset({"CH-231"}), f"{chosen.kind} in {chosen.state}"):
                TerminateOffload(None, root).execute(binding)

        self.host.pass_tree(root)
        self.host.misuse(Misuse(str(chosen.kind), _UPDATED), run)
        return True

    # ---- initiates and trees ----------------------------------------------------------------

    def _new_tcp(self, state: TcpConnectionState) -> OffloadBlock:
        """A new offload of a connection that the host does not have."""
        seq = self._draws("sequence").getrandbits(32)
        port = structure_port(next(self._ports))
        delegated = TcpDelegated(
            state=state, rcv_nxt=seq, rcv_wnd=1000, snd_una=seq, snd_nxt=seq, snd_max=seq, snd_wnd=1000,
            max_snd_wnd=1000, send_wl1=seq, c_wnd=4000, ss_thresh=65_535,
        )  # fmt: skip
        return OffloadBlock(
            OffloadStateType.TCP, OffloadHandle(), ndis_offload_handle=object(),
            const=TcpConst(port, port, remote_mss=1000), cached=TcpCached(initial_rcv_wnd=1000), delegated=delegated,
        )  # fmt: skip

    def _initiate_below(self, chosen: Chosen, node: OffloadBlock, rule: str) -> bool:
        """An initiate of the node on a path that is offloaded, and stays so until the tree is back."""
        for owner in self.host.objects():
            if owner.type.layer is Layer.PATH and self.operator.object_state(owner) is State.OBJECT:
                break
        else:
            return False
        root = OffloadBlock(owner.type, owner.handle)
        root.dependent_block_list = node
        misuse = self._tree(chosen, root, _NOT_TAKEN)
        misuse.of = owner
        return self._call(chosen, misuse, lambda binding: self._initiate(binding, root), rule)

    def _unfit(self, chosen: Chosen) -> bool:
        return self._initiate_below(chosen, self._new_tcp(TcpConnectionState[chosen.state.name]), "CH-060")

    def _stateless(self, chosen: Chosen) -> bool:
        node = self._new_tcp(TcpConnectionState.ESTABLISHED)
        setattr(node, self._draws("state left out").choice(("const", "cached", "delegated")), None)
        return self._initiate_below(chosen, node, "CH-028")

    def _any_state_call(self, root: OffloadBlock) -> Callable[[Binding], None]:
        call = self._draws("state call").choice((self._initiate, *_STATE_CALLS.values()))
        return lambda binding: call(binding, root)

    def _cycle(self, chosen: Chosen) -> bool:
        """NextBlock, or DependentBlockList, leads back."""
        first, second = (self._node(OffloadStateType.IP4, OffloadHandle(FOREIGN + i)) for i in range(2))
        link([first, second])
        if self._draws("cycle").random() < 0.5:
            second.next_block = first
        else:
            first.dependent_block_list = self._node(OffloadStateType.TCP, OffloadHandle(FOREIGN + 2))
            first.dependent_block_list.next_block = first.dependent_block_list
        misuse = self._tree(chosen, first, _FAILED)
        return self._call(chosen, misuse, self._any_state_call(first), "HOST-1.4", "HOST-1.5")

    def _layers(self, chosen: Chosen) -> bool:
        """Layers that do not follow one another, or stand side by side."""
        kinds = OffloadStateType.NEIGHBOR, OffloadStateType.TCP
        root, other = (self._node(kind, OffloadHandle(FOREIGN + i)) for i, kind in enumerate(kinds))
        beside = self._draws("layers").random() < 0.5
        if beside:
            root.next_block = other
        else:
            root.dependent_block_list = other
        rule = "CH-026" if beside else "CH-027"
        return self._call(chosen, self._tree(chosen, root, _FAILED), self._any_state_call(root), rule, "HOST-1.5")

    # ---- shapes and sizes -------------------------------------------------------------------

    def _two_buffers(self, chosen: Chosen) -> bool:
        """A disconnect of two NET_BUFFERs: served like one."""
        life = chosen.life
        if life is None or life.connection is None:
            return False
        room, data = self.operator.room, self.operator.data
        pieces = [self._built(data(room(100), "two buffers"), "two buffers") for _ in range(2)]
        if pieces[0] is None or pieces[1] is None:
            return False
        nbl = NetBufferList([*pieces[0].net_buffers, *pieces[1].net_buffers])
        self._count(chosen)
        with self.expectations.soon(frozenset({"CH-171"}), str(chosen.kind)):
            return life.disconnect_list(nbl, DisconnectFlags.GRACEFUL)

    def _abort_with_data(self, chosen: Chosen) -> bool:
        """An abort that brings data, which nobody sends."""
        life = chosen.life
        if life is None or life.connection is None:
            return False
        nbl = self._built(self._draws("abort: bytes").randbytes(50), "abort")
        if nbl is None:
            return False
        self._count(chosen)
        with self.expectations.soon(frozenset({"CH-171"}), str(chosen.kind)):
            return life.disconnect_list(nbl, DisconnectFlags.ABORTIVE)

    def _odd_flags(self, chosen: Chosen) -> bool:
        """A disconnect that is neither graceful nor abortive, or both."""
        context = self._of(chosen)
        nbl = self._built(self._draws("odd flags: bytes").randbytes(50), "odd flags")
        if nbl is None or not context:
            return False
        flags = self._draws("flags").choice((0, 3, 4, 0x8000_0001))
        misuse = self._refused(chosen, [nbl], ABORTED)

        def run(binding: Binding) -> None:
            face, adapter = binding.face, self._context(binding)
            status = face.tcp_offload_disconnect(adapter, context, nbl, DisconnectFlags(flags))
            if status is not NdisStatus.PENDING:
                self.host.complaints.append(f"{misuse.name}: returned {status!r}")

        return self._call(chosen, misuse, run, "HOST-2.10")

    def _cut_segment(self, chosen: Chosen) -> bool:
        connection = None if chosen.life is None else chosen.life.connection
        if connection is None or not connection.ledger.live or connection.ledger.uploading:
            return False
        size = self._draws("cut segment: size").randint(1, 19)
        nbl = self._built(self._draws("cut segment: bytes").randbytes(size), "cut segment")
        if nbl is None:
            return False
        self._count(chosen)
        with self.expectations.soon(frozenset({"CH-165"}), str(chosen.kind)):
            self.host.issue_forward(connection, [nbl])
        return True

    def _return_foreign(self, chosen: Chosen) -> bool:
        nbl = self._built(b"not indicated", "foreign list")
        if nbl is None:
            return False
        complaints, allocator = self.host.complaints, self.host.allocator

        def run(binding: Binding) -> None:
            status = binding.offload_tcp_receive_return(nbl)
            if status is not NdisStatus.SUCCESS:
                complaints.append(f"ReceiveReturn of a foreign list gives {status!r}")
            free_net_buffer_list(allocator, nbl)

        nobody = replace(chosen, life=None)  # the list is of no connection
        return self._call(nobody, Misuse(str(chosen.kind), frozenset()), run, "CH-149")

    def answers_wrongly(self, life: Life, total: int) -> tuple[NdisStatus, int] | None:
        """Sometimes the host answers an indication with a count that cannot be."""
        share = 0.5 if self.operator.wanted(Kind.ANSWER_COUNT, State.ESTABLISHED) else 0.01
        rare = self._draws("answers wrongly").random() < share
        if not rare or life.state is not State.ESTABLISHED or life.phase is not Phase.LIVE:
            return None
        count = self._draws("wrong count").choice((0, total, total + 5))
        self.operator.tally.counts[Kind.ANSWER_COUNT, State.ESTABLISHED] += 1
        self.expectations.here(frozenset({"CH-150"}), str(Kind.ANSWER_COUNT))
        return NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED, count


def bare_header(life: Life | None) -> bytes:
    """A TCP header to a connection, without a flag."""
    port = 0 if life is None else life.local_port
    return struct.pack(">HHIIBBHHH", PEER_PORT, port, 0, 0, 5 << 4, 0, 0, 0, 0)
