"""Offload state structures and block lists (NDIS sheet, 1.4, 3.3-3.5).

Field names are the NDIS names in snake_case, units as in the sheet: sequence numbers and windows in
sequence space and true (unscaled) bytes, times in host ticks, SRtt x 8, RttVar x 4. A timer delta of
0xFFFFFFFF means "was not running", 0 "expires at once".
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from model.ndis.enums import (
    Layer,
    OffloadStateType,
    TcpCachedFlags,
    TcpConnectionState,
    TcpConstFlags,
)
from model.ndis.netbuffer import NetBufferList
from model.ndis.status import NdisStatus

#: Timer delta of a timer that is not running; also "feature unsupported" of a backlog size.
NOT_RUNNING = 0xFFFF_FFFF
NO_CONST_FLAGS = TcpConstFlags(0)
NO_CACHED_FLAGS = TcpCachedFlags(0)
#: Ports in the const state are in network byte order on a little-endian host (decision G-10).
PORTS_IN_NETWORK_ORDER = True


def structure_port(port: int) -> int:
    """A TCP port number as the const state holds it; its own inverse."""
    if not PORTS_IN_NETWORK_ORDER:
        return port
    return (port & 0xFF) << 8 | port >> 8


@dataclass(frozen=True)
class NeighborConst:
    """NEIGHBOR_OFFLOAD_STATE_CONST. MACs fill the first 6 of 32 bytes (G-27)."""

    dl_source_address: bytes = bytes(6)
    vlan_id: int = 0


@dataclass(frozen=True)
class NeighborCached:
    """NEIGHBOR_OFFLOAD_STATE_CACHED."""

    dl_destination_address: bytes = bytes(6)
    host_reachability_delta: int = 0


@dataclass(frozen=True)
class NeighborDelegated:
    """NEIGHBOR_OFFLOAD_STATE_DELEGATED."""

    nic_reachability_delta: int = 0


@dataclass(frozen=True)
class PathConst:
    """PATH_OFFLOAD_STATE_CONST: 4 (IPv4) or 16 (IPv6) bytes each, network order."""

    source_address: bytes
    destination_address: bytes


@dataclass(frozen=True)
class PathCached:
    """PATH_OFFLOAD_STATE_CACHED: IP-level MTU in bytes."""

    path_mtu: int = 1500


@dataclass(frozen=True)
class PathDelegated:
    """PATH_OFFLOAD_STATE_DELEGATED has a header only."""


@dataclass(frozen=True)
class TcpConst:
    """TCP_OFFLOAD_STATE_CONST. Ports as structure_port() makes them."""

    remote_port: int
    local_port: int
    flags: TcpConstFlags = NO_CONST_FLAGS
    snd_wind_scale: int = 0
    rcv_wind_scale: int = 0
    remote_mss: int = 536
    hash_value: int = 0


@dataclass(frozen=True)
class TcpCached:
    """TCP_OFFLOAD_STATE_CACHED."""

    flags: TcpCachedFlags = NO_CACHED_FLAGS
    initial_rcv_wnd: int = 65535
    rcv_indication_size: int = 0
    ka_probe_count: int = 0
    ka_timeout: int = 0
    ka_interval: int = 0
    max_rt: int = 0
    flow_label: int = 0
    ttl_or_hop_limit: int = 64
    tos_or_traffic_class: int = 0
    user_priority: int = 0


@dataclass(frozen=True)
class KeepAlive:
    """Keep-alive part of the delegated state."""

    probe_count: int = 0
    timeout_delta: int = NOT_RUNNING


@dataclass(frozen=True)
class Retransmit:
    """Retransmit part of the delegated state; also persist and FIN_WAIT_2 times."""

    count: int = 0
    timeout_delta: int = NOT_RUNNING


@dataclass(frozen=True)
class TcpDelegated:
    """TCP_OFFLOAD_STATE_DELEGATED.

    The two unions are three fields each: the pointers are used at initiate and terminate, the
    backlog sizes at query only.
    """

    state: TcpConnectionState
    rcv_nxt: int
    rcv_wnd: int
    snd_una: int
    snd_nxt: int
    snd_max: int
    snd_wnd: int
    max_snd_wnd: int
    send_wl1: int
    c_wnd: int
    ss_thresh: int
    flags: int = 0
    s_rtt: int = 0
    rtt_var: int = 0
    ts_recent: int = 0
    ts_recent_age: int = 0
    ts_time: int = 0
    total_rt: int = 0
    dup_ack_count: int = 0
    snd_wnd_probe_count: int = 0
    keep_alive: KeepAlive = KeepAlive()
    retransmit: Retransmit = Retransmit()
    send_data_head: NetBufferList | None = None
    send_data_tail: NetBufferList | None = None
    buffered_data: NetBufferList | None = None
    send_backlog_size: int = NOT_RUNNING
    receive_backlog_size: int = NOT_RUNNING
    d_wnd: int = 0


ConstState = NeighborConst | PathConst | TcpConst
CachedState = NeighborCached | PathCached | TcpCached
DelegatedState = NeighborDelegated | PathDelegated | TcpDelegated


@dataclass(eq=False)
class OffloadHandle:
    """NDIS_OFFLOAD_HANDLE: the cell of the driver above that receives the target's context (PVOID)."""

    miniport_offload_context: int | None = None
    #: NDIS's own: the binding by which the object is reached.
    ndis_reserved: object = None


@dataclass(eq=False)
class OffloadBlock:
    """NDIS_MINIPORT_OFFLOAD_BLOCK_LIST with the state structures that follow it in memory."""

    type: OffloadStateType
    #: None = placeholder; else the cell that holds (or receives) the target's context.
    miniport_offload_context: OffloadHandle | None = None
    ndis_offload_handle: object = None
    next_block: OffloadBlock | None = None
    dependent_block_list: OffloadBlock | None = None
    const: ConstState | None = None
    cached: CachedState | None = None
    delegated: DelegatedState | None = None
    net_buffer_list_chain: NetBufferList | None = None
    #: None until the target writes a status.
    status: NdisStatus | None = None
    port_number: int = 0
    source_handle: object = None
    ndis_reserved: tuple[object, object] = (None, None)
    protocol_reserved: tuple[object, object] = (None, None)
    im_reserved: tuple[object, object] = (None, None)
    miniport_reserved: list[object] = field(default_factory=lambda: [None, None])
    scratch: list[object] = field(default_factory=lambda: [None, None])

    @property
    def is_placeholder(self) -> bool:
        """No context cell: the node only holds the tree together."""
        return self.miniport_offload_context is None

    @property
    def is_new(self) -> bool:
        """A context cell that holds NULL: state to offload follows (CH-039)."""
        cell = self.miniport_offload_context
        return cell is not None and cell.miniport_offload_context is None

    @property
    def context(self) -> int | None:
        """The context the cell holds, None for a placeholder or a new offload."""
        cell = self.miniport_offload_context
        return None if cell is None else cell.miniport_offload_context

    @property
    def dependents(self) -> Iterator[OffloadBlock]:
        """Immediate dependents: DependentBlockList and its NextBlock successors (CH-044)."""
        return siblings(self.dependent_block_list)


class BlockTreeError(Exception):
    """A block-list tree breaks the rules of its shape."""


def siblings(first: OffloadBlock | None) -> Iterator[OffloadBlock]:
    """``first`` and its NextBlock successors."""
    while first is not None:
        yield first
        first = first.next_block


def link(blocks: list[OffloadBlock]) -> OffloadBlock | None:
    """Chain blocks by NextBlock, return the first (None for an empty list)."""
    for a, b in pairwise(blocks):
        a.next_block = b
    return blocks[0] if blocks else None


def traverse(root: OffloadBlock | None) -> Iterator[OffloadBlock]:
    """Depth-first, next sibling after: node, its dependents, then its NextBlock (CH-038)."""
    for node in siblings(root):
        yield node
        yield from traverse(node.dependent_block_list)


def nodes_once(root: OffloadBlock | None) -> Iterator[OffloadBlock]:
    """Every node that can be reached, once each and in the order of the walk: also where the links make no tree."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        waiting += (node.next_block, node.dependent_block_list)


def tree_fault(root: OffloadBlock) -> str | None:
    """Why the links make no tree of neighbors, paths and connections (CH-026, CH-027); None if they do."""
    nodes = list(nodes_once(root))
    below = [link for node in nodes for link in (node.next_block, node.dependent_block_list) if link is not None]
    if len({id(node) for node in below}) != len(below) or any(node is root for node in below):
        return "1.4: a node is linked twice"
    if len(_layers(root)) > 1:
        return "CH-026: NextBlock links nodes of different layers"
    for node in nodes:
        above = _layers(node.dependent_block_list)
        if len(above) > 1:
            return "CH-026: NextBlock links nodes of different layers"
        if above and not node.is_placeholder and above != {node.type.layer + 1}:
            return "CH-027: DependentBlockList must lie exactly one layer up"
    return None


def _layers(first: OffloadBlock | None) -> set[int]:
    """Layers of a NextBlock list; the type of a placeholder means nothing (1.4)."""
    return {node.type.layer for node in siblings(first) if not node.is_placeholder}


def check_tree(root: OffloadBlock) -> None:
    """Raise BlockTreeError unless the host kept its promises (CH-026, CH-027)."""
    for node in siblings(root):
        if node.type.layer is not root.type.layer:
            raise BlockTreeError("CH-026: NextBlock links nodes of different layers")
        if node.dependent_block_list is None:
            continue
        if node.type.layer is Layer.TCP:
            raise BlockTreeError("CH-027: a TCP node has a DependentBlockList")
        if node.dependent_block_list.type.layer != node.type.layer + 1:
            raise BlockTreeError("CH-027: DependentBlockList must lie exactly one layer up")
        check_tree(node.dependent_block_list)


@dataclass(frozen=True)
class OffloadAttempt:
    """A new-offload node to be tried now, with the contexts it depends on."""

    node: OffloadBlock
    #: Context of the node one layer down; None for a neighbor or a stand-alone root.
    parent: int | None


@dataclass(frozen=True)
class AttemptResult:
    """What came of an attempt; ``context`` is written to the cell only when it succeeded."""

    status: NdisStatus
    context: int | None = None


InitiateWalk = Generator[OffloadAttempt, AttemptResult, None]


def initiate_walk(root: OffloadBlock) -> InitiateWalk:
    """Walk an initiate tree: yields each attempt, is sent its result, writes every Status.

    The caller decides when an attempt ends, so that a driver may wait for a device in between.
    """
    yield from _walk(root, None, stop_at=root)


def _walk(first: OffloadBlock | None, parent: int | None, stop_at: OffloadBlock | None) -> InitiateWalk:
    for node in siblings(first):
        if not node.is_new:
            yield from _walk(node.dependent_block_list, node.context, None)
            node.status = carrier_status(node)
            continue
        result = yield OffloadAttempt(node, parent)
        if not result.status.offloaded:
            node.status = result.status
            _fail(node.dependent_block_list)
            if node is stop_at:  # CH-047
                _fail(node.next_block)
                return
            continue
        cell = node.miniport_offload_context
        if cell is None or result.context is None:
            raise BlockTreeError("a successful offload must name its context (CH-033)")
        cell.miniport_offload_context = result.context
        yield from _walk(node.dependent_block_list, result.context, None)
        ok = all(_offloaded(d) for d in node.dependents)
        node.status = NdisStatus.SUCCESS if ok else NdisStatus.OFFLOAD_PARTIAL_SUCCESS


def _offloaded(node: OffloadBlock) -> bool:
    return node.status is not None and node.status.offloaded


def carrier_status(node: OffloadBlock) -> NdisStatus:
    """Status of a placeholder (CH-040) or linker (CH-041) whose dependents are done."""
    if node.is_placeholder:
        return NdisStatus.SUCCESS
    done = [_offloaded(d) for d in node.dependents]
    if all(done):
        return NdisStatus.SUCCESS
    return NdisStatus.OFFLOAD_PARTIAL_SUCCESS if any(done) else NdisStatus.FAILURE


def _fail(first: OffloadBlock | None) -> None:
    """Nodes that are not attempted: FAILURE, placeholders SUCCESS (CH-040, CH-045)."""
    for node in traverse(first):
        node.status = NdisStatus.SUCCESS if node.is_placeholder else NdisStatus.FAILURE
