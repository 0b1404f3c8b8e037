"""The host side of the chimney: host stack, offload objects, books, and the applications on top.

NdisHost is the protocol face. Every downward call goes through ``issue``; an environment may carry
the call object elsewhere (a sequencer) and hand it to ``execute`` later, in order. Time is given from
outside as an absolute tick.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from model.ndis.binding import Binding
from model.ndis.bookkeeping import REFUSED_ABOVE, ContractError, Ledger, Outstanding, TreeBooks, require
from model.ndis.calls import (
    InitiateOffload,
    MiniportFace,
    NdisCall,
    OffloadTcpDisconnect,
    OffloadTcpForward,
    OffloadTcpReceive,
    OffloadTcpReceiveReturn,
    OffloadTcpSend,
    SendRaw,
    StateCall,
    TerminateOffload,
    TraceEntry,
)
from model.ndis.enums import (
    DELEGATED_TYPE,
    FIN_TAKEN_STATES,
    PATH_TYPE,
    DisconnectFlags,
    NeighborEvent,
    OffloadStateType,
    TcpEventType,
    UploadReason,
)
from model.ndis.host_state import HostObject, ObjectPhase, StateCalls, StateRequest, answered, settled
from model.ndis.hoststack import HostStack, StackConnection
from model.ndis.memory import HostMemory, PageAllocator
from model.ndis.netbuffer import (
    BufferShape,
    NetBufferList,
    Owner,
    build_net_buffer_list,
    chain,
    free_net_buffer_list,
    unchain,
)
from model.ndis.offload_state import (
    CachedState,
    ConstState,
    NeighborCached,
    NeighborConst,
    NeighborDelegated,
    OffloadBlock,
    PathCached,
    PathConst,
    PathDelegated,
    TcpCached,
    TcpDelegated,
    link,
    traverse,
)
from model.ndis.registration import (
    STATISTICS_OIDS,
    NdisHandle,
    Oid,
    OidRequest,
    PowerState,
    TcpConnectionOffload,
    TcpConnectionOffloadParameters,
)
from model.ndis.soft_tcp import signed
from model.ndis.status import CompletionKind, NdisStatus
from model.streams import Streams

HOST_IP6 = bytes.fromhex("fd4a6b7c8d9ea0b10000000000000a01")
"""A unique local address (RFC 4193) in which no half is zero."""


class HostError(Exception):
    """The host was used against its rules."""


@dataclass(eq=False)
class SharedObject(HostObject):
    """A neighbor or path object the host may offload once for many connections."""

    type: OffloadStateType
    const: ConstState
    cached: CachedState
    below: SharedObject | None = None
    phase: ObjectPhase = ObjectPhase.NONE
    #: Objects directly on top that are offloaded or being offloaded.
    users: int = 0
    #: Ticks since the NIC last heard of a neighbor, as far as the host knows: NicReachabilityDelta of its next offload.
    nic_reachability_delta: int = 0

    @property
    def kind(self) -> OffloadStateType:
        return self.type

    @property
    def is_offloaded(self) -> bool:
        return self.phase is ObjectPhase.OFFLOADED

    def block(self) -> OffloadBlock:
        """A tree node of this object: new offload with state, or linker."""
        node = OffloadBlock(self.type, self.handle, ndis_offload_handle=self)
        if self.phase is ObjectPhase.NONE:
            node.const, node.cached, node.delegated = self.const, self.cached, self._delegated()
        return node

    def terminate_block(self) -> OffloadBlock:
        """A tree node for terminate: delegated state only."""
        return OffloadBlock(
            DELEGATED_TYPE[self.type], self.handle, ndis_offload_handle=self, delegated=self._delegated()
        )

    def _delegated(self) -> NeighborDelegated | PathDelegated:
        if self.type is OffloadStateType.NEIGHBOR:
            return NeighborDelegated(self.nic_reachability_delta)
        return PathDelegated()


class OffloadClient(Protocol):
    """Who owns an offloaded connection: an application. Called by NdisHost, must not block."""

    def initiated(self, status: NdisStatus) -> None:
        """The initiate of the connection ended."""
        ...

    def send_returned(self, done: Outstanding) -> None:
        """A send list is back; free it or keep it."""
        ...

    def receive_returned(self, done: Outstanding) -> None:
        """A receive request is back."""
        ...

    def disconnect_returned(self, done: Outstanding) -> None:
        """A disconnect list is back."""
        ...

    def indicated(self, nbl: NetBufferList) -> tuple[NdisStatus, int]:
        """Data is indicated: say how much is consumed."""
        ...

    def event(self, event: TcpEventType, info: int) -> None:
        """A TCP event."""
        ...

    def uploaded(
        self, status: NdisStatus, delegated: TcpDelegated | None, chained: list[Outstanding], buffered: bytes
    ) -> None:
        """The terminate ended: state (None if lost), chained send lists, buffered receive data."""
        ...

    def step(self) -> bool:
        """Do what is possible now; True if anything was done."""
        ...

    @property
    def done(self) -> bool:
        """True when the client's connection is over and its data settled."""
        ...


@dataclass(eq=False)
class OffloadedConnection(HostObject):
    """A connection on its way through the chimney; its identity is the NdisOffloadHandle."""

    number: int
    client: OffloadClient
    stack: StackConnection
    path: SharedObject
    cached: TcpCached
    ledger: Ledger = field(default_factory=Ledger)
    #: Downward calls issued but not executed yet.
    calls_in_progress: int = 0
    last_ts_time: int | None = None
    #: Lists that it accepted are not returned for as long as this holds.
    hoards: bool = False

    @property
    def kind(self) -> OffloadStateType:
        return OffloadStateType.TCP

    @property
    def is_offloaded(self) -> bool:
        return self.ledger.live and not self.ledger.uploading


@dataclass(frozen=True)
class HostConfig:
    """How the host behaves. Times in ticks."""

    seed: int = 1
    path_mtu: int = 1500
    #: IPv6 address of the host, network order.
    ip6: bytes = HOST_IP6
    #: Chance that the last connection of a path is terminated with path and neighbor in one tree.
    joint_terminate: float = 0.5
    #: Indicated buffers are returned after 0..this many ticks, several at once.
    return_delay: int = 3
    keep_trace: bool = True
    #: Segments that come up while a connection is handed over are forwarded.
    forward: bool = True


class NdisHost:
    """Protocol face, issue point of all calls, keeper of trees, books and statistics."""

    def __init__(
        self,
        memory: HostMemory,
        allocator: PageAllocator,
        mac: bytes,
        ip: bytes,
        config: HostConfig | None = None,
        issue: Callable[[NdisCall], None] | None = None,
    ) -> None:
        self.memory = memory
        self.allocator = allocator
        self.config = config or HostConfig()
        self.now = 0
        self.stack = HostStack(mac, ip, lambda frame: self.issue(SendRaw(None, frame)), ip6=self.config.ip6)
        self.completions: dict[str, Counter[str]] = {}
        self.trace: list[TraceEntry] = []
        #: Called when an abortive disconnect is issued: from here on its RST may be seen.
        self.on_abort: Callable[[OffloadedConnection], None] = lambda _: None
        #: The host's own view of a neighbor: ticks since it was confirmed, None for a stale entry (5.9).
        self.reachability: Callable[[SharedObject], int | None] = lambda _: None
        self.clients: list[OffloadClient] = []
        self.connections: list[OffloadedConnection] = []
        self._issue = issue or self.execute
        #: ProtocolBindingContext and, once attached, what NdisOpenAdapterEx gave for it.
        self.binding_context = NdisHandle("ProtocolBindingContext")
        self._binding: Binding | None = None
        #: What the target can do, as it was last told; None: there is no chimney below.
        self.capabilities: TcpConnectionOffload | None = None
        #: PAUSE was indicated and no RESUME yet (CH-013); UPLOAD_ALL was indicated since.
        self.paused = False
        self.uploading_all = False
        self._oids: dict[int, OidRequest] = {}
        #: Requests that completed later, with what status.
        self.oids_completed: list[tuple[OidRequest, NdisStatus]] = []
        self._streams = Streams(self.config.seed).child("host")
        self._trees = TreeBooks()
        #: Query, update and invalidate of what is offloaded.
        self.state = StateCalls(self.issue)
        self._neighbors: dict[bytes, SharedObject] = {}
        self._paths: dict[bytes, SharedObject] = {}
        self._to_initiate: list[tuple[OffloadedConnection, OffloadBlock]] = []
        self._to_terminate: list[OffloadedConnection] = []
        self._to_return: list[tuple[int, NetBufferList]] = []

    def attach(self, face: MiniportFace) -> None:
        """Open the adapter of the miniport below and ask what it can offload."""
        self._binding = Binding(face, self.binding_context)
        question = OidRequest(Oid.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG)
        answered = self._binding.oid_request(question) is NdisStatus.SUCCESS
        found = question.buffer if answered else None
        self.capabilities = found if isinstance(found, TcpConnectionOffload) and found.usable else None

    @property
    def binding(self) -> Binding:
        """The binding to the miniport below."""
        if self._binding is None:
            raise HostError("no miniport attached: call attach() first")
        return self._binding

    def _bound(self, binding_context: object) -> None:
        require(binding_context is self.binding_context, "CH-255", "a call for a binding that is not the host's")

    @property
    def may_offload(self) -> bool:
        """New offloads are possible now (CH-012, CH-013)."""
        return self.capabilities is not None and not self.paused and not self.uploading_all

    def _can_offload(self, connection: OffloadedConnection) -> bool:
        """New offloads are possible now, and over the version of IP of a connection."""
        can = self.capabilities
        if can is None or not self.may_offload:
            return False
        return can.support_ipv6 if connection.path.type is OffloadStateType.IP6 else can.support_ipv4

    # ---- calls -----------------------------------------------------------------------------

    def issue(self, call: NdisCall) -> None:
        """The one way down. Ownership of lists passes here."""
        if call.connection is not None:
            self.connections[call.connection].calls_in_progress += 1
        if isinstance(call, StateCall):
            self._trees.called(call.root)
        self._issue(call)

    def execute(self, call: NdisCall) -> None:
        """Make a call that ``issue`` gave out; in order of issue."""
        self.note(call.name, call.connection)
        if isinstance(call, OffloadTcpReceive) and call.connection is not None:
            self.connections[call.connection].ledger.refused = False
        status = call.execute(self.binding)
        if call.connection is not None:
            self.connections[call.connection].calls_in_progress -= 1
        if isinstance(call, OffloadTcpSend | OffloadTcpReceive | OffloadTcpDisconnect | OffloadTcpForward):
            require(status is NdisStatus.PENDING, "CH-097/123/164/170", f"{call.name} returned {status!r}")
        if isinstance(call, OffloadTcpReceiveReturn):
            require(status is NdisStatus.SUCCESS, "CH-156", f"ReceiveReturn returned {status!r}")

    def note(self, name: str, connection: int | None, detail: str = "") -> None:
        """Add to the trace."""
        if self.config.keep_trace:
            self.trace.append(TraceEntry(self.now, name, connection, detail))

    def _count(self, kind: str, status: str) -> None:
        self.completions.setdefault(kind, Counter())[status] += 1

    # ---- time and progress -----------------------------------------------------------------

    def on_tick(self, tick: int) -> None:
        """Time has come to ``tick``: run the software timers."""
        self.now = tick
        self.stack.on_tick(tick)

    def next_deadline(self) -> int | None:
        """Earliest tick at which the host wants on_tick and step."""
        due = [tick for tick, _ in self._to_return]
        stack = self.stack.next_deadline()
        if stack is not None:
            due.append(stack)
        return min(due, default=None)

    def step(self) -> bool:
        """Issue everything that is possible now; True if anything was done."""
        progress = False
        for client in self.clients:
            progress |= client.step()
        progress |= self._issue_initiates()
        progress |= self._issue_forwards()
        progress |= self._issue_terminates()
        progress |= self._issue_idle_terminates()
        progress |= self._issue_returns()
        return progress

    @property
    def done(self) -> bool:
        """Every client is done, every object back, every list returned."""
        return (
            all(client.done for client in self.clients)
            and not self._to_initiate
            and not self._to_terminate
            and not self._to_return
            and self._trees.in_progress == 0
            and all(not c.ledger.indicated for c in self.connections)
            and all(o.phase is ObjectPhase.NONE for o in self._objects())
        )

    def _objects(self) -> list[SharedObject]:
        return [*self._neighbors.values(), *self._paths.values()]

    # ---- initiate --------------------------------------------------------------------------

    def offload(
        self, client: OffloadClient, stack: StackConnection, make_list: Callable[[bytes], NetBufferList]
    ) -> OffloadedConnection:
        """Export a connection and queue it for the next initiate tree.

        ``make_list`` turns outstanding send bytes and buffered receive bytes into a list each.
        """
        exported = self.stack.export(stack, self.now)
        neighbor = self._neighbor(stack.tcp.remote.mac)
        path = self._path(stack.tcp.local.ip, stack.tcp.remote.ip, neighbor)
        connection = OffloadedConnection(len(self.connections), client, stack, path, exported.cached)
        self.connections.append(connection)
        node = OffloadBlock(
            OffloadStateType.TCP,
            connection.handle,
            ndis_offload_handle=connection,
            const=exported.const,
            cached=exported.cached,
            delegated=exported.delegated,
            protocol_reserved=(connection.number, None),
        )
        if exported.send_data:
            nbl = make_list(exported.send_data)
            nbl.protocol_reserved = connection
            connection.ledger.send(nbl)
            node.net_buffer_list_chain = nbl
        if exported.received_data:
            buffered = make_list(exported.received_data)
            buffered.hand_over(Owner.HOST, Owner.TARGET)
            node.delegated = replace(exported.delegated, buffered_data=buffered)
        connection.ledger.fin_known = not exported.received_data and exported.delegated.state in FIN_TAKEN_STATES
        self._to_initiate.append((connection, node))
        return connection

    def _neighbor(self, mac: bytes) -> SharedObject:
        if mac not in self._neighbors:
            source = self.stack.mac if self._streams.stream("source mac").random() < 0.5 else bytes(6)
            self._neighbors[mac] = SharedObject(OffloadStateType.NEIGHBOR, NeighborConst(source), NeighborCached(mac))
        return self._neighbors[mac]

    def offload_neighbor(self, mac: bytes) -> SharedObject:
        """Offload a neighbor by itself, before paths are linked to it (2.4)."""
        neighbor = self._neighbor(mac)
        if neighbor.phase is not ObjectPhase.NONE:
            raise HostError("the neighbor is offloaded already, or on its way")
        root = neighbor.block()
        neighbor.phase = ObjectPhase.INITIATING
        self.issue(InitiateOffload(None, root))
        return neighbor

    def _path(self, source: bytes, destination: bytes, neighbor: SharedObject) -> SharedObject:
        if destination not in self._paths:
            self._paths[destination] = SharedObject(
                PATH_TYPE[len(destination)],
                PathConst(source, destination),
                PathCached(self.config.path_mtu),
                neighbor,
            )
        return self._paths[destination]

    def _issue_initiates(self) -> bool:
        """One tree of everything that waits and whose objects are at rest (CH-059)."""
        barred = [(connection, node) for connection, node in self._to_initiate if not self._can_offload(connection)]
        if barred:
            self._to_initiate = [waiting for waiting in self._to_initiate if waiting not in barred]
            for connection, node in barred:
                self._offload_failed(connection, node, NdisStatus.FAILURE)
            return True
        resting = (ObjectPhase.NONE, ObjectPhase.OFFLOADED)
        ready: dict[SharedObject, dict[SharedObject, list[OffloadBlock]]] = {}
        later: list[tuple[OffloadedConnection, OffloadBlock]] = []
        for connection, node in self._to_initiate:
            path, neighbor = connection.path, connection.path.below
            if neighbor is None or not (path.phase in resting and neighbor.phase in resting):
                later.append((connection, node))
                continue
            ready.setdefault(neighbor, {}).setdefault(path, []).append(node)
            self.note("initiate", connection.number, "in tree")
        self._to_initiate = later
        roots: list[OffloadBlock] = []
        for neighbor, paths in ready.items():
            root = neighbor.block()
            blocks: list[OffloadBlock] = []
            for path, nodes in paths.items():
                block = path.block()
                block.dependent_block_list = link(nodes)
                blocks.append(block)
                path.users += len(nodes)
                if path.phase is ObjectPhase.NONE:
                    path.phase = ObjectPhase.INITIATING
                    neighbor.users += 1
            root.dependent_block_list = link(blocks)
            if neighbor.phase is ObjectPhase.NONE:
                neighbor.phase = ObjectPhase.INITIATING
            roots.append(root)
        first = link(roots)
        if first is None:
            return False
        self.issue(InitiateOffload(None, first))
        return True

    def initiate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolInitiateOffloadComplete."""
        self._bound(binding_context)
        self.note("NdisMInitiateOffloadComplete", None)
        self._trees.completed(block_list, CompletionKind.INITIATE)
        self._check_contexts()
        for node in traverse(block_list):
            status = node.status or NdisStatus.SUCCESS
            self._count("initiate", status.name)
            owner = node.ndis_offload_handle
            if isinstance(owner, SharedObject) and owner.phase is ObjectPhase.INITIATING:
                self._shared_initiated(owner, status)
            elif isinstance(owner, OffloadedConnection):
                self._connection_initiated(owner, node, status)

    def _shared_initiated(self, owner: SharedObject, status: NdisStatus) -> None:
        owner.phase = ObjectPhase.OFFLOADED if status.offloaded else ObjectPhase.NONE
        if not status.offloaded and owner.below is not None:
            owner.below.users -= 1

    def _connection_initiated(self, owner: OffloadedConnection, node: OffloadBlock, status: NdisStatus) -> None:
        if status.offloaded:
            self._free_buffered(node)
            owner.ledger.live = True
            self.stack.offloaded(owner.stack)
            owner.client.initiated(status)
        else:
            owner.path.users -= 1
            self._offload_failed(owner, node, status)

    def _free_buffered(self, node: OffloadBlock) -> None:
        """CH-051: the target has copied the buffered receive data by now."""
        if isinstance(node.delegated, TcpDelegated):
            for nbl in unchain(node.delegated.buffered_data):
                nbl.hand_over(Owner.TARGET, Owner.HOST)
                free_net_buffer_list(self.allocator, nbl)

    def _offload_failed(self, owner: OffloadedConnection, node: OffloadBlock, status: NdisStatus) -> None:
        """The connection stays with the host stack, and so does its send data."""
        self._free_buffered(node)
        for nbl in unchain(node.net_buffer_list_chain):
            require(nbl.status is None, "CH-049", "Status written in the chain of a failed offload")
            owner.ledger.sends.popleft()
            nbl.hand_over(Owner.TARGET, Owner.HOST)
            free_net_buffer_list(self.allocator, nbl)
        owner.ledger.terminated = True
        self.stack.not_offloaded(owner.stack, self.now)
        owner.client.initiated(status)

    def _check_contexts(self) -> None:
        """CH-034: contexts of live objects are distinct."""
        cells = [o.handle for o in self._objects()] + [c.handle for c in self.connections]
        values = [h.miniport_offload_context for h in cells if h.miniport_offload_context is not None]
        require(len(values) == len(set(values)), "CH-034", "two live objects share a context value")

    # ---- terminate -------------------------------------------------------------------------

    def terminate(self, connection: OffloadedConnection) -> None:
        """Ask for the upload of a connection; the call goes out when the rules allow it."""
        if connection not in self._to_terminate:
            self._to_terminate.append(connection)

    def _issue_terminates(self) -> bool:
        ready = [c for c in self._to_terminate if c.calls_in_progress == 0 and self._at_rest(c)]  # CH-230
        for connection in ready:
            self._to_terminate.remove(connection)
            connection.ledger.uploading = True
            self.stack.uploading(connection.stack)
            node = OffloadBlock(
                OffloadStateType.TCP_DELEGATED,
                connection.handle,
                ndis_offload_handle=connection,
                protocol_reserved=(connection.number, None),
            )
            self.issue(TerminateOffload(None, self._with_objects(connection, node)))
        return bool(ready)

    @staticmethod
    def _at_rest(connection: OffloadedConnection) -> bool:
        """No query, update or invalidate that touches the connection is under way."""
        objects = (connection, connection.path, connection.path.below)
        return all(owner is None or owner.at_rest for owner in objects)

    def _with_objects(self, connection: OffloadedConnection, node: OffloadBlock) -> OffloadBlock:
        """The node alone, or under its path and neighbor when it is their last user (CH-231)."""
        path, neighbor = connection.path, connection.path.below
        last = path.users == 1 and neighbor is not None and neighbor.users == 1
        wanted = any(c.path is path for c, _ in self._to_initiate)
        if neighbor is None or not last or wanted:
            return node
        if self._streams.stream("joint terminate").random() >= self.config.joint_terminate:
            return node
        root, block = neighbor.terminate_block(), path.terminate_block()
        root.dependent_block_list = block
        block.dependent_block_list = node
        path.phase = neighbor.phase = ObjectPhase.TERMINATING
        return root

    def _issue_idle_terminates(self) -> bool:
        """Paths and neighbors that nothing uses go when no client needs them any more, or all must (CH-012)."""
        if self._to_initiate or not (self.uploading_all or all(c.done for c in self.clients)):
            return False
        done = False
        for neighbor in self._neighbors.values():
            blocks = [
                path.terminate_block()
                for path in self._paths.values()
                if path.below is neighbor and path.phase is ObjectPhase.OFFLOADED and path.users == 0
            ]
            busy = any(not path.at_rest for path in self._paths.values() if path.below is neighbor)
            if neighbor.phase is not ObjectPhase.OFFLOADED or neighbor.users != len(blocks):
                continue
            if busy or not neighbor.at_rest:
                continue
            root = neighbor.terminate_block()
            root.dependent_block_list = link(blocks)
            for node in traverse(root):
                if isinstance(node.ndis_offload_handle, SharedObject):
                    node.ndis_offload_handle.phase = ObjectPhase.TERMINATING
            self.issue(TerminateOffload(None, root))
            done = True
        return done

    def terminate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolTerminateOffloadComplete."""
        self._bound(binding_context)
        self.note("NdisMTerminateOffloadComplete", None)
        self._trees.completed(block_list, CompletionKind.TERMINATE)
        for node in traverse(block_list):
            status = node.status or NdisStatus.SUCCESS
            self._count("terminate", status.name)
            owner = node.ndis_offload_handle
            if isinstance(owner, SharedObject):
                owner.phase = ObjectPhase.NONE
                owner.invalid = False
                owner.handle.miniport_offload_context = None
                if owner.below is not None:
                    owner.below.users -= 1
            elif isinstance(owner, OffloadedConnection):
                self._connection_uploaded(owner, node, status)

    def _connection_uploaded(self, owner: OffloadedConnection, node: OffloadBlock, status: NdisStatus) -> None:
        delegated = node.delegated if isinstance(node.delegated, TcpDelegated) else None
        written = delegated is not None or status is not NdisStatus.SUCCESS
        require(written, "CH-245/248", "terminate SUCCESS without delegated TCP state")
        lists = unchain(node.net_buffer_list_chain)
        chained = [owner.ledger.send_returned(nbl, chained=True) for nbl in lists]
        buffered = b""
        if delegated is not None:
            self._check_uploaded(delegated, lists)
            for nbl in unchain(delegated.buffered_data):
                owner.ledger.buffered(nbl)
                buffered += nbl.read(Owner.HOST, self.memory)
                self.give_back(owner, nbl)
        owner.ledger.terminate_completed()
        owner.handle.miniport_offload_context = None
        owner.path.users -= 1
        owner.client.uploaded(status, delegated, chained, buffered)

    @staticmethod
    def _check_uploaded(delegated: TcpDelegated, lists: list[NetBufferList]) -> None:
        """CH-239: the sequence variables are in order and describe the chain."""
        ends = (delegated.send_data_head, delegated.send_data_tail)
        full = [nbl for nbl in lists if nbl.data_length]
        named = not full or (ends[0] is full[0] and ends[1] is full[-1])
        require(named, "CH-239", "SendDataHead/Tail do not name the chain")
        ahead = signed(delegated.snd_nxt - delegated.snd_una), signed(delegated.snd_max - delegated.snd_nxt)
        require(min(ahead) >= 0, "CH-239", "SndUna <= SndNxt <= SndMax does not hold")

    # ---- forward ---------------------------------------------------------------------------

    def _issue_forwards(self) -> bool:
        """Segments that came up while a connection was handed over go down to it (CH-166)."""
        if not self.config.forward or not self.stack.may_forward:
            return False
        done = False
        for connection in self.connections:
            stack = connection.stack
            if not stack.forwardable:
                continue
            ledger = connection.ledger
            if not ledger.live or ledger.uploading:
                continue
            if connection in self._to_terminate:  # CH-168
                continue
            raws = self.stack.to_forward(stack)
            lists = [nbl for raw in raws if (nbl := self._segment_list(raw)) is not None]
            if lists:
                done = True
                self.issue_forward(connection, lists)
        self.stack.may_forward = any(connection.stack.forwardable for connection in self.connections)
        return done

    def _segment_list(self, raw: bytes) -> NetBufferList | None:
        """One segment in one NET_BUFFER of scattered MDLs; None when pages are short (it is lost, as on the wire)."""
        return self.build(raw, BufferShape(max_net_buffers=1), self._streams.stream("raw buffer"))

    def issue_forward(self, owner: OffloadedConnection, lists: list[NetBufferList]) -> None:
        """Forward a chain of segments, each from its TCP header on."""
        for nbl in lists:
            nbl.protocol_reserved = owner
            owner.ledger.forward(nbl)
        self.issue(OffloadTcpForward(owner.number, owner.handle, chain(lists)))

    # ---- query, update, invalidate ---------------------------------------------------------

    def _state_completed(self, root: OffloadBlock, kind: CompletionKind) -> StateRequest:
        self.note(f"{kind.value} complete", None)
        self._trees.completed(root, kind)
        for node in traverse(root):
            self._count(kind.value, (node.status or NdisStatus.SUCCESS).name)
        return self.state.completed(root)

    @staticmethod
    def _tell(request: StateRequest) -> None:
        if request.done is not None:
            request.done(request)

    def query_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolQueryOffloadComplete: SUCCESS means that every structure was written (CH-074)."""
        self._bound(binding_context)
        request = self._state_completed(block_list, CompletionKind.QUERY)
        for node in traverse(block_list):
            written = answered(node) or node.status is not NdisStatus.SUCCESS
            require(written, "CH-074", "query SUCCESS without all the state that the node asks for")
        self._tell(request)

    def update_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolUpdateOffloadComplete: what succeeded is the host's state from now on."""
        self._bound(binding_context)
        request = self._state_completed(block_list, CompletionKind.UPDATE)
        moved = {id(path): neighbor for path, neighbor in request.moves}
        for node in traverse(block_list):
            owner = node.ndis_offload_handle
            if node.status is not NdisStatus.SUCCESS:
                continue
            if isinstance(owner, SharedObject):
                owner.cached = owner.cached if node.cached is None else node.cached
                target = moved.get(id(owner))
                if isinstance(target, SharedObject) and owner.below is not target:
                    if owner.below is not None:
                        owner.below.users -= 1
                    owner.below = target
                    target.users += 1
            elif isinstance(owner, OffloadedConnection) and isinstance(node.cached, TcpCached):
                owner.cached = settled(node.cached)
        self._tell(request)

    def invalidate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolInvalidateOffloadComplete."""
        self._bound(binding_context)
        self._tell(self._state_completed(block_list, CompletionKind.INVALIDATE))

    # ---- I/O completions -------------------------------------------------------------------

    def _owner(self, nbl: NetBufferList) -> OffloadedConnection:
        owner = nbl.protocol_reserved
        if not isinstance(owner, OffloadedConnection):
            raise ContractError("CH-036: a list came back that the host never gave out")
        return owner

    def tcp_offload_send_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadSendComplete."""
        self._bound(binding_context)
        for one in unchain(nbl):
            owner = self._owner(one)
            done = owner.ledger.send_returned(one)
            self._completed("send", owner, one)
            owner.client.send_returned(done)

    def tcp_offload_receive_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadReceiveComplete."""
        self._bound(binding_context)
        for one in unchain(nbl):
            owner = self._owner(one)
            done = owner.ledger.receive_returned(one)
            self._completed("receive", owner, one)
            owner.client.receive_returned(done)

    def tcp_offload_disconnect_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadDisconnectComplete."""
        self._bound(binding_context)
        for one in unchain(nbl):
            owner = self._owner(one)
            done = owner.ledger.disconnect_returned(one)
            self._completed("disconnect", owner, one)
            owner.client.disconnect_returned(done)

    def tcp_offload_forward_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadForwardComplete: not processed means that the host does it, behind the upload (6.9)."""
        self._bound(binding_context)
        for one in unchain(nbl):
            owner = self._owner(one)
            done = owner.ledger.forward_returned(one)
            self._completed("forward", owner, one)
            if done.nbl.status is NdisStatus.UPLOAD_IN_PROGRESS or done.nbl.status in REFUSED_ABOVE:
                self.stack.not_forwarded(owner.stack, one.read(Owner.HOST, self.memory))
            free_net_buffer_list(self.allocator, one)

    def _completed(self, kind: str, owner: OffloadedConnection, nbl: NetBufferList) -> None:
        name = "NONE" if nbl.status is None else nbl.status.name
        self._count(kind, name)
        self.note(f"{kind} complete", owner.number, f"{name} {nbl.bytes_transferred}")

    # ---- indications -----------------------------------------------------------------------

    def _connection(self, handle: object) -> OffloadedConnection:
        if not isinstance(handle, OffloadedConnection):
            raise ContractError("CH-035: an indication carries a handle the host never gave")
        return handle

    def tcp_offload_receive_indicate(
        self, handle: object, nbl: NetBufferList, status: NdisStatus
    ) -> tuple[NdisStatus, int]:
        """ProtocolTcpOffloadReceiveIndicate."""
        owner = self._connection(handle)
        owner.ledger.indication(nbl, status)
        answer, consumed = owner.client.indicated(nbl)
        owner.ledger.answer(nbl, answer)
        self._count("indicate", answer.name)
        self.note("receive indicate", owner.number, f"{answer.name} {consumed}")
        if answer is NdisStatus.SUCCESS:
            self.give_back(owner, nbl)
        return answer, consumed

    def tcp_offload_event(self, handle: object, event: TcpEventType, info: int) -> None:
        """ProtocolTcpOffloadEvent."""
        owner = self._connection(handle)
        owner.ledger.event(event)
        name = f"RETRIEVE({UploadReason(info).name})" if event is TcpEventType.RETRIEVE else event.name
        self._count("event", name)
        self.note("tcp event", owner.number, name)
        owner.client.event(event, info)

    def offload_event_indicate(self, binding_context: object, block_list: OffloadBlock | None, code: int) -> None:
        """ProtocolIndicateOffloadEvent: a reachability query is answered in the block, 0 for a stale entry (CH-228)."""
        self._bound(binding_context)
        if code != NeighborEvent.REACHABILITY_QUERY or block_list is None:
            return
        cached = block_list.cached
        require(isinstance(cached, NeighborCached), "CH-229", "a neighbor query without cached state")
        require(
            isinstance(block_list.delegated, NeighborDelegated), "CH-229", "a neighbor query without delegated state"
        )
        shape = block_list.type is OffloadStateType.NEIGHBOR and block_list.dependent_block_list is None
        require(shape and block_list.status is NdisStatus.SUCCESS, "CH-229", "a neighbor query of another shape")
        owner = block_list.ndis_offload_handle
        if isinstance(cached, NeighborCached):
            known = self.reachability(owner) if isinstance(owner, SharedObject) else None
            block_list.cached = NeighborCached(cached.dl_destination_address, known or 0)
            self._count("neighbor query", "stale" if known is None else "reachable")

    def indicate_raw(self, binding_context: object, frame: bytes) -> None:
        """A frame on the non-offload path."""
        self._bound(binding_context)
        self._count("raw", "received")
        self.stack.on_raw(frame, self.now)

    # ---- requests and status ---------------------------------------------------------------

    def request(self, request: OidRequest) -> NdisStatus:
        """NdisOidRequest; what is PENDING ends up in ``oids_completed``."""
        if isinstance(request.buffer, PowerState) and request.buffer is not PowerState.D0:
            self._upload_everything()
        status = self.binding.oid_request(request)
        if status is NdisStatus.PENDING:
            self._oids[id(request)] = request
        return status

    def pending(self, request: OidRequest) -> bool:
        """The request has not completed."""
        return id(request) in self._oids

    def ask_statistics(self) -> list[OidRequest]:
        """Query the statistics OIDs of both IP versions; the answers are in the requests when they are not pending."""
        requests = [OidRequest(oid) for oid in STATISTICS_OIDS]
        for request in requests:
            self.request(request)
        return requests

    def set_parameters(self, parameters: TcpConnectionOffloadParameters) -> NdisStatus:
        """Set what all offloaded connections' timers count in (CH-007)."""
        return self.request(OidRequest(Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS, set=True, buffer=parameters))

    def oid_request_complete(self, binding_context: object, request: OidRequest, status: NdisStatus) -> None:
        """ProtocolOidRequestComplete."""
        self._bound(binding_context)
        known = self._oids.pop(id(request), None)
        require(known is request, "2.15", "a request completed that is not pending")
        self._count("oid", status.name)
        self.oids_completed.append((request, status))

    def status_indicate(self, binding_context: object, code: NdisStatus, buffer: TcpConnectionOffload | None) -> None:
        """ProtocolStatusEx."""
        self._bound(binding_context)
        self._count("status", code.name)
        self.note("status", None, code.name)
        match code:
            case NdisStatus.OFFLOAD_PAUSE:
                self.paused = True
            case NdisStatus.UPLOAD_ALL:
                self._upload_everything()
            case NdisStatus.OFFLOAD_RESUME:
                require(buffer is not None, "CH-008", "RESUME without the capabilities")
                self.paused = self.uploading_all = False
                self.capabilities = buffer if buffer is not None and buffer.usable else None
            case _:
                raise ContractError(f"2.14: status {code!r} is none of the chimney's")

    def _upload_everything(self) -> None:
        """No new offload; every connection back, then every path and neighbor (CH-012)."""
        self.uploading_all = True
        for connection in self.connections:
            if connection.ledger.live:
                connection.client.event(TcpEventType.RETRIEVE, UploadReason.UPLOAD_REQUESTED)

    # ---- helpers for clients ---------------------------------------------------------------

    def give_back(self, owner: OffloadedConnection, nbl: NetBufferList) -> None:
        """Return an indicated list to the target some ticks from now."""
        nbl.context = owner
        delay = self._streams.stream("return delay").randint(0, self.config.return_delay)
        self._to_return.append((self.now + delay, nbl))

    def _issue_returns(self) -> bool:
        due = [nbl for tick, nbl in self._to_return if tick <= self.now and not self._hoarded(nbl)]
        if not due:
            return False
        self._to_return = [(t, n) for t, n in self._to_return if t > self.now or self._hoarded(n)]
        self._streams.stream("return order").shuffle(due)  # CH-157: any mix of connections and indications
        for nbl in due:
            owner = nbl.context
            if isinstance(owner, OffloadedConnection):
                owner.ledger.receive_return(nbl)
        self.issue(OffloadTcpReceiveReturn(None, chain(due)))
        return True

    @staticmethod
    def _hoarded(nbl: NetBufferList) -> bool:
        return isinstance(nbl.context, OffloadedConnection) and nbl.context.hoards

    def issue_send(self, owner: OffloadedConnection, lists: list[NetBufferList]) -> None:
        """Send a chain of lists on an offloaded connection."""
        data = b"".join(nbl.read(Owner.HOST, self.memory) for nbl in lists)
        for nbl in lists:
            nbl.protocol_reserved = owner
            owner.ledger.send(nbl)
        self.issue(OffloadTcpSend(owner.number, owner.handle, chain(lists), data))

    def issue_receive(self, owner: OffloadedConnection, lists: list[NetBufferList]) -> None:
        """Post a chain of receive requests."""
        for nbl in lists:
            nbl.protocol_reserved = owner
            owner.ledger.receive(nbl)
        self.issue(OffloadTcpReceive(owner.number, owner.handle, chain(lists)))

    def issue_disconnect(
        self, owner: OffloadedConnection, nbl: NetBufferList, flags: DisconnectFlags = DisconnectFlags.GRACEFUL
    ) -> None:
        """A disconnect: graceful with the (possibly empty) data of ``nbl`` in front of the FIN, or abortive."""
        data = nbl.read(Owner.HOST, self.memory)
        nbl.protocol_reserved = owner
        abortive = flags is DisconnectFlags.ABORTIVE
        owner.ledger.disconnect(nbl, abortive)
        if abortive:
            self.on_abort(owner)
        self.issue(OffloadTcpDisconnect(owner.number, owner.handle, nbl, flags, data))

    def build(self, data: bytes, shape: BufferShape, rng: random.Random) -> NetBufferList | None:
        """A list with data; None when pages are short."""
        return build_net_buffer_list(self.allocator, self.memory, data, shape, rng)
