"""Traces of calls, completions and frames written by hand, for the monitors of sections 9.4, 9.5, 9.7 and 9.8.

The world: neighbor 10, path 20 and connection 30 of adapter nic0 (the second connection is 31). Positions of frames
count from SndUna and RcvNxt of the hand-over; SndUna lies 16 below the wrap of sequence space.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, TypedDict, Unpack

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.control import ControlMonitor, StateMonitor
from tb.monitors.contract.disconnect import AbortMonitor, DisconnectMonitor
from tb.monitors.contract.face_items import GRACE, PROMPT
from tb.monitors.contract.forward import ForwardMonitor
from tb.monitors.contract.host_misuse import HostMisuse
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.send import SendFrameMonitor, SendMonitor
from tb.monitors.contract.trace import (
    Buffer,
    Counters,
    Enter,
    Frame,
    Leave,
    List,
    Node,
    Record,
    Setting,
    State,
    Tree,
    Value,
)
from tb.monitors.wire_headers import ACK, FIN, PSH, RST, word_sum

OWN_MAC: Final = bytes.fromhex("020000000001")
PEER_MAC: Final = bytes.fromhex("020000000002")
OTHER_MAC: Final = bytes.fromhex("020000000003")
SND_UNA: Final = 0xFFFFFFF0
RCV_NXT: Final = 5000
MSS: Final = 1000
WINDOW: Final = 20_000
LATER: Final = GRACE + 1
"""Ticks after which no frame of before is on its way."""
LATE: Final = PROMPT + 1
"""Ticks after which what had to be done at once is overdue."""
NEIGHBOR, PATH, CONN = 10, 20, 30
_OWN_IP, _PEER_IP = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
_LOCATION: Final = 100
_HANDLE: Final = 200

NEIGHBOR_CONST: Final[State] = {"dl_source_address": bytes(32), "vlan_id": 0}
NEIGHBOR_CACHED: Final[State] = {"dl_destination_address": PEER_MAC.ljust(32, b"\0"), "host_reachability_delta": 0}
PATH_CONST: Final[State] = {"source_address": _OWN_IP, "destination_address": _PEER_IP}
PATH_CACHED: Final[State] = {"path_mtu": 1500}
TCP_CONST: Final[State] = {"flags": 0, "snd_wind_scale": 0, "rcv_wind_scale": 0, "remote_mss": MSS}
TCP_CACHED: Final[State] = {
    "flags": 0,
    "initial_rcv_wnd": WINDOW,
    "ka_timeout": 0,
    "ttl_or_hop_limit": 64,
    "tos_or_traffic_class": 0,
    "user_priority": 0,
}
TCP_DELEGATED: Final[State] = {
    "state": ndis.ESTABLISHED,
    "rcv_nxt": RCV_NXT,
    "rcv_wnd": WINDOW,
    "snd_una": SND_UNA,
    "snd_nxt": SND_UNA,
    "snd_max": SND_UNA,
    "snd_wnd": WINDOW,
    "ts_time": 7000,
    "total_rt": 0,
    "keep_alive_probe_count": 0,
    "keep_alive_timeout_delta": ndis.NOT_RUNNING,
    "retransmit_timeout_delta": ndis.NOT_RUNNING,
    "send_backlog_size": 65536,
    "receive_backlog_size": 0,
}


def nbl(ident: int, *chunks: bytes) -> List:
    """A list with a buffer for each chunk, nothing written by the target yet."""
    buffers = tuple(Buffer(1000 * ident + n, len(chunk), 0, ((ident, len(chunk)),)) for n, chunk in enumerate(chunks))
    return List(ident, buffers, data=b"".join(chunks))


def done(before: List, status: int = ndis.SUCCESS, transferred: int | None = None) -> List:
    """The list as a target gives it back that advances its buffers rightly (all bytes if not told)."""
    count = before.data_length if transferred is None else transferred
    left, buffers = count, []
    for buffer in before.buffers:
        moved = min(left, buffer.data_length)
        left -= moved
        kept = replace(buffer, data_length=buffer.data_length - moved, data_offset=buffer.data_offset + moved)
        buffers.append(kept)
    return replace(before, status=status, transferred=count, buffers=tuple(buffers))


def segment(
    ports: tuple[int, int],
    numbers: tuple[int, int],
    flags: int,
    payload: bytes = b"",
    window: int = WINDOW,
    options: bytes = b"",
) -> bytes:
    """A TCP segment with checksum 0; ports (source, destination), numbers (sequence, acknowledgment)."""
    offset = (20 + len(options)) // 4 << 4
    sequence, acknowledgment = (number % (1 << 32) for number in numbers)
    head = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledgment, offset, flags, window, 0, 0)
    return head + options + payload


def _checksum(data: bytes) -> int:
    total = word_sum(data)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def packet(
    body: bytes,
    ends: tuple[bytes, bytes],
    macs: tuple[bytes, bytes],
    ident: int = 0x8001,
    fragment: int = 0x4000,
    ttl: int = 64,
    tag: int | None = None,
) -> bytes:
    """An Ethernet frame around a TCP segment; ends (source, destination), macs (source, destination)."""
    pseudo = ends[0] + ends[1] + struct.pack(">HH", 6, len(body))
    body = body[:16] + struct.pack(">H", _checksum(pseudo + body)) + body[18:]
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), ident, fragment, ttl, 6, 0) + ends[0] + ends[1]
    head = head[:10] + struct.pack(">H", _checksum(head)) + head[12:]
    kind = b"\x08\x00" if tag is None else b"\x81\x00" + struct.pack(">H", tag) + b"\x08\x00"
    return (macs[1] + macs[0] + kind + head + body).ljust(60, b"\0")


class How(TypedDict, total=False):
    """What differs in an offloaded connection from the usual state."""

    const: State | None
    cached: State | None
    delegated: State | None
    chain: Iterable[List]
    neighbor: State | None


class Story:
    """Builds a trace record by record. Every step that does not say otherwise is what a right target and host do."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now = 0
        self._calls = 0
        self._trees = 1000
        self._open: list[tuple[int, str, int]] = []
        self.lists: dict[int, List] = {}
        self.states: dict[int, tuple[State, State, State]] = {}
        self._add(Setting, name="interface_mac", value=OWN_MAC)

    # --- records -----------------------------------------------------------------------------------------------

    def _add(self, kind: Callable[..., Record], **fields: object) -> None:
        self.records.append(kind(order=len(self.records), tick=self.now, **fields))

    def wait(self, ticks: int) -> Story:
        """Time passes, which a record shows."""
        self.now += ticks
        self._add(Setting, name="time", value=self.now)
        return self

    def enter(self, function: str, layer: int = 0, **fields: Any) -> int:
        """A call begins; its number."""
        self._calls += 1
        self._open.append((self._calls, function, layer))
        self._add(Enter, layer=layer, call=self._calls, function=function, **fields)
        return self._calls

    def leave(self, call: int, **fields: object) -> Story:
        """A call returns."""
        number, function, layer = next(one for one in self._open if one[0] == call)
        self._open.remove((number, function, layer))
        self._add(Leave, layer=layer, call=number, function=function, **fields)
        return self

    def call(self, function: str, result: int | None = None, **fields: Any) -> Story:
        """A call that returns at once."""
        return self.leave(self.enter(function, **fields), result=result)

    def counters(self, **used: int) -> Story:
        self._add(Counters, used=used)
        return self

    # --- state-manipulation calls --------------------------------------------------------------------------------

    def tree(self, *nodes: Node) -> Tree:
        """A tree in which every node hangs below the one before."""
        base = self._trees = self._trees + 10
        linked = {}
        for n, node in enumerate(nodes):
            below = base + n + 1 if n + 1 < len(nodes) else None
            linked[base + n] = replace(node, ident=base + n, dependents=below)
        return Tree(base, linked)

    def begin(self, function: str, tree: Tree, layer: int = 0) -> Tree:
        """A state-manipulation call that returns at once."""
        self.call(function, layer=layer, tree=tree)
        return tree

    def end(self, function: str, tree: Tree, status: int = ndis.SUCCESS, layer: int = 0, **last: object) -> Story:
        """Its completion; ``last`` are fields of the last node."""
        nodes = {ident: replace(node, status=status) for ident, node in tree.nodes.items()}
        ident = max(nodes)
        nodes[ident] = replace(nodes[ident], **last)  # type: ignore[arg-type]
        return self.call(ndis.STATE_CALLS[function], layer=layer, tree=Tree(tree.root, nodes))

    def node(self, context: int, *, new: bool = False, **fields: object) -> Node:
        """A node of an object: 10.. neighbors, 20.. paths, 30.. connections."""
        kind = {1: ndis.NEIGHBOR_STATE, 2: 8, 3: ndis.TCP_STATE}[context // 10]
        where = {"location": _LOCATION + context, "handle": _HANDLE + context}
        return Node(0, kind, context=None if new else context, **where, **fields)  # type: ignore[arg-type]

    def offload(self, conn: int = CONN, **how: Unpack[How]) -> Story:
        """Neighbor, path and a connection are offloaded (with the second connection only itself)."""
        return self.offloaded(self.offloading(conn, **how))

    def offloading(
        self,
        conn: int = CONN,
        const: State | None = None,
        cached: State | None = None,
        delegated: State | None = None,
        chain: Iterable[List] = (),
        neighbor: State | None = None,
    ) -> Tree:
        """The initiate call alone."""
        local, remote = ndis.swapped(self.port(conn)), ndis.swapped(80)
        ports: State = {"local_port": local, "remote_port": remote}
        state = {**TCP_CONST, **ports, **(const or {})}, {**TCP_CACHED, **(cached or {})}
        own = {**TCP_DELEGATED, **(delegated or {})}
        self.states[conn] = (*state, own)
        tcp = self.node(conn, new=True, const=state[0], cached=state[1], delegated=own, chain=tuple(chain))
        first = conn == CONN
        beside: State = {**NEIGHBOR_CONST, **(neighbor or {})}
        lower = (
            self.node(NEIGHBOR, new=first, const=beside if first else None, cached=NEIGHBOR_CACHED if first else None),
            self.node(PATH, new=first, const=PATH_CONST if first else None, cached=PATH_CACHED if first else None),
        )
        return self.begin(ndis.INITIATE, self.tree(*lower, tcp))

    def offloaded(self, tree: Tree) -> Story:
        """Its completion: every node succeeds, contexts are those of the locations."""
        nodes = {
            ident: replace(node, status=ndis.SUCCESS, context=(node.location or 0) - _LOCATION)
            for ident, node in tree.nodes.items()
        }
        return self.call(ndis.INITIATED, tree=Tree(tree.root, nodes))

    def add_neighbor(self, context: int = 11, address: bytes = OTHER_MAC) -> Story:
        """Another neighbor is offloaded."""
        cached: State = {"dl_destination_address": address}
        node = self.node(context, new=True, const=NEIGHBOR_CONST, cached=cached)
        return self.offloaded(self.begin(ndis.INITIATE, self.tree(node)))

    def terminate(self, conn: int = CONN) -> Tree:
        """The host calls terminate for a connection."""
        return self.begin(ndis.TERMINATE, self.tree(self.node(conn)))

    def query(self, conn: int = CONN) -> Tree:
        """The host calls query for a connection."""
        return self.begin(ndis.QUERY, self.tree(self.node(conn)))

    def told(self, tree: Tree, conn: int = CONN, cached: State | None = None, **delegated: Value) -> Story:
        """The query completes with the state of the hand-over, but for these variables."""
        const, old, own = self.states[conn]
        now = {**own, **delegated}
        return self.end(ndis.QUERY, tree, const=const, cached={**old, **(cached or {})}, delegated=now)

    def updating(self, context: int = CONN, **cached: Value) -> Tree:
        """The host calls update for an object."""
        return self.begin(ndis.UPDATE, self.tree(self.node(context, cached=cached)))

    def update(self, context: int = CONN, status: int = ndis.SUCCESS, **cached: Value) -> Story:
        """An update from call to completion."""
        return self.end(ndis.UPDATE, self.updating(context, **cached), status)

    def invalidate(self, context: int = CONN, status: int = ndis.SUCCESS) -> Story:
        """An invalidate from call to completion."""
        return self.end(ndis.INVALIDATE, self.begin(ndis.INVALIDATE, self.tree(self.node(context))), status)

    def event(self, event: int, info: int = 0, conn: int = CONN) -> Story:
        """A TCP event."""
        return self.call(ndis.EVENT, target=_HANDLE + conn, event=event, info=info)

    def retrieve(self, reason: int, conn: int = CONN) -> Story:
        """TcpIndicateRetrieve."""
        return self.event(ndis.RETRIEVE_EVENT, reason, conn)

    def abort(self, conn: int = CONN) -> Story:
        """TcpIndicateAbort."""
        return self.event(ndis.ABORT_EVENT, 0, conn)

    # --- requests --------------------------------------------------------------------------------------------------

    def request(self, function: str, lists: Iterable[List], conn: int = CONN, flags: int = 0, layer: int = 0) -> int:
        """An I/O call begins."""
        given = tuple(lists)
        self.lists.update((one.ident, one) for one in given)
        return self.enter(function, layer, target=conn, lists=given, flags=flags)

    def send(self, ident: int, *chunks: bytes, conn: int = CONN, result: int | None = ndis.PENDING) -> Story:
        """A send of one list."""
        return self.leave(self.request(ndis.SEND, [nbl(ident, *chunks)], conn), result=result)

    def disconnect(
        self, ident: int, data: bytes = b"", conn: int = CONN, flags: int = 1, result: int | None = ndis.PENDING
    ) -> Story:
        """A disconnect, graceful unless told otherwise."""
        return self.leave(self.request(ndis.DISCONNECT, [nbl(ident, data)], conn, flags), result=result)

    def kill(self, ident: int, conn: int = CONN) -> Story:
        """An abortive disconnect."""
        return self.disconnect(ident, conn=conn, flags=ndis.ABORTIVE)

    def post(self, ident: int, size: int, conn: int = CONN) -> Story:
        """A receive request."""
        empty = replace(nbl(ident, bytes(size)), data=b"")
        return self.leave(self.request(ndis.RECEIVE, [empty], conn), result=ndis.PENDING)

    def forward(self, ident: int, data: bytes, conn: int = CONN, result: int | None = ndis.PENDING) -> Story:
        """A forwarded segment."""
        return self.leave(self.request(ndis.FORWARD, [nbl(ident, data)], conn), result=result)

    def complete(self, kind: str, *lists: List) -> Story:
        """A completion call."""
        return self.call(ndis.COMPLETION_OF[kind], lists=lists)

    def back(self, kind: str, *idents: int, status: int = ndis.SUCCESS, transferred: int | None = None) -> Story:
        """Lists come back in one completion, advanced as they should be."""
        count = 0 if transferred is None and status != ndis.SUCCESS else transferred
        given = [done(self.lists[ident], status, count) for ident in idents]
        return self.complete(kind, *given)

    # --- frames ----------------------------------------------------------------------------------------------------

    def port(self, conn: int) -> int:
        """Own port of a connection."""
        return 4000 + conn

    def out(
        self,
        at: int = 0,
        payload: bytes = b"",
        flags: int = ACK,
        ack: int = 0,
        conn: int = CONN,
        window: int = WINDOW,
        options: bytes = b"",
        macs: tuple[bytes, bytes] = (OWN_MAC, PEER_MAC),
        raw: bool = False,
        push: bool = True,
        **fields: int,
    ) -> Story:
        """The target sends a segment: position in the send stream, what it acknowledges of the receive stream."""
        flags |= PSH if payload and push else 0
        numbers = (SND_UNA + at, RCV_NXT + ack)
        body = segment((self.port(conn), 80), numbers, flags, payload, window, options)
        self._add(Frame, sent=True, data=packet(body, (_OWN_IP, _PEER_IP), macs, **fields), raw=raw)
        return self

    def into(
        self, at: int = 0, payload: bytes = b"", flags: int = ACK, ack: int = 0, conn: int = CONN, window: int = WINDOW
    ) -> Story:
        """A segment of the peer comes in: position in the receive stream, what it acknowledges."""
        body = segment((80, self.port(conn)), (RCV_NXT + at, SND_UNA + ack), flags, payload, window)
        self._add(Frame, data=packet(body, (_PEER_IP, _OWN_IP), (PEER_MAC, OWN_MAC)))
        return self

    def segment_in(self, at: int = 0, payload: bytes = b"", flags: int = ACK, ack: int = 0) -> bytes:
        """A segment of the peer as the host forwards it."""
        return segment((80, self.port(CONN)), (RCV_NXT + at, SND_UNA + ack), flags, payload)

    def fin(self, at: int = 0, payload: bytes = b"") -> Story:
        """The target sends its FIN."""
        return self.out(at, payload, ACK | FIN)

    def reset(self) -> Story:
        """The target sends an RST."""
        return self.out(0, flags=RST | ACK)


Tale = Callable[[Story], object]
SECTIONS: Final[tuple[type[Monitor], ...]] = (
    ControlMonitor,
    StateMonitor,
    SendMonitor,
    SendFrameMonitor,
    ForwardMonitor,
    DisconnectMonitor,
    AbortMonitor,
    HostMisuse,
)
"""Monitors of the sections that these traces are for. `HostMisuse` may find fault with a trace of the target's duties
when the host misuses it."""


class Tales:
    """Which trace breaks which rule, and which keeps it; several of a kind are allowed."""

    def __init__(self) -> None:
        self.broken: dict[str, list[Tale]] = {}
        self.kept: dict[str, list[Tale]] = {}

    def breaks(self, rule: str) -> Callable[[Tale], Tale]:
        """The decorated trace breaks the rule, and no other rule of its monitor before."""
        return lambda tale: self.broken.setdefault(rule, []).append(tale) or tale  # type: ignore[func-returns-value]

    def keeps(self, *rules: str) -> Callable[[Tale], Tale]:
        """In the decorated trace the conditions of the rules occur, and nothing is broken."""

        def note(tale: Tale) -> Tale:
            for rule in rules:
                self.kept.setdefault(rule, []).append(tale)
            return tale

        return note


def watch(section: type[Monitor], tale: Tale) -> Monitor:
    """Tell a trace to a monitor."""
    story = Story()
    tale(story)
    monitor = section()
    for record in story.records:
        monitor.feed(record)
    monitor.finish()
    return monitor


def broken_first(rule: str, tale: Tale) -> str | None:
    """The rule that the monitor of ``rule`` reports first in a trace, None if it is silent."""
    section = next(section for section in SECTIONS if rule in section.RULES)
    breaches = watch(section, tale).breaches
    return breaches[0].rule if breaches else None


def silent(tale: Tale) -> Counter[str]:
    """How often a trace triggers each rule, if no monitor of these sections finds fault."""
    monitors = [watch(section, tale) for section in SECTIONS]
    judges = [monitor for monitor in monitors if not isinstance(monitor, HostMisuse)]
    found = [str(breach) for monitor in judges for breach in monitor.breaches]
    if found:
        raise AssertionError("\n".join(found))
    return sum((monitor.triggers for monitor in monitors), Counter())
