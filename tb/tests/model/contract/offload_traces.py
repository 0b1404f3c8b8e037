"""A small language for traces of offloads: trees with their states, calls, frames.

A node with identity n has location 1000 + n, handle 2000 + n and, once offloaded, context 3000 + n. Sequence numbers
are places: bytes from SndUna and RcvNxt of the hand-over, which lie just below 2^32, so that every trace wraps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.monitor import Breach, ContractMonitors, Monitor
from tb.monitors.contract.trace import (
    Buffer,
    Enter,
    Frame,
    Leave,
    List,
    Node,
    PortEntry,
    Record,
    RegisterValue,
    Setting,
    State,
    Tree,
    Value,
)
from tb.monitors.wire_headers import ACK, PSH, word_sum

SND: Final = 0xFFFF_FF00
RCV: Final = 0xFFFF_FE00
OWN_IP: Final = b"\x0a\x00\x00\x01"
PEER_IP: Final = b"\x0a\x00\x00\x02"
OWN_MAC: Final = bytes.fromhex("020000000001")
HOP_MAC: Final = bytes.fromhex("020000000002")
PEER_PORT: Final = 80
Buffers = Mapping[str, Value] | None


@dataclass(frozen=True)
class Branch:
    """A node with its dependents, before links are made."""

    node: Node
    above: tuple[Branch, ...] = ()


def _node(ident: int, kind: int, states: tuple[State, State, State], **rest: Any) -> Node:
    given: dict[str, Any] = dict(zip(("const", "cached", "delegated"), states, strict=True))
    for name in ("const", "cached", "delegated"):
        changed = rest.pop(name, {})
        given[name] = None if changed is None else {**given[name], **changed}
    return Node(ident, kind, **{"location": 1000 + ident, "handle": 2000 + ident, **given, **rest})


def neighbor(ident: int, *above: Branch, **rest: Any) -> Branch:
    """A new neighbor."""
    states: tuple[State, State, State] = (
        {"dl_source_address": bytes(6), "vlan_id": 0},
        {"dl_destination_address": HOP_MAC, "host_reachability_delta": 0},
        {"nic_reachability_delta": 0},
    )
    return Branch(_node(ident, 4, states, **rest), above)


def path(ident: int, *above: Branch, **rest: Any) -> Branch:
    """A new IPv4 path."""
    addresses: State = {"source_address": OWN_IP, "destination_address": PEER_IP}
    return Branch(_node(ident, 8, (addresses, {"path_mtu": 1500}, {}), **rest), above)


def tcp(ident: int, **rest: Any) -> Branch:
    """A new connection in Established; its local port is 5000 + ident."""
    states: tuple[State, State, State] = (
        {
            "flags": ndis.TIMESTAMPS,
            "local_port": ndis.swapped(5000 + ident),
            "remote_port": ndis.swapped(PEER_PORT),
            "remote_mss": 1460,
        },
        {"flags": 0, "initial_rcv_wnd": 65535, "ttl_or_hop_limit": 64, "tos_or_traffic_class": 0},
        {
            "state": ndis.ESTABLISHED,
            "rcv_nxt": RCV,
            "rcv_wnd": 65535,
            "snd_una": SND,
            "snd_nxt": SND,
            "snd_max": SND,
            "snd_wnd": 65535,
            "ts_time": 7000,
            "retransmit_timeout_delta": ndis.NOT_RUNNING,
            "keep_alive_timeout_delta": ndis.NOT_RUNNING,
        },
    )
    return Branch(_node(ident, 17, states, **rest))


def existing(branch: Branch) -> Branch:
    """The same objects, dependents too, once they are offloaded."""
    return Branch(named(branch).node, tuple(existing(above) for above in branch.above))


def placeholder(ident: int, *above: Branch) -> Branch:
    """A node that only holds the tree together."""
    return Branch(Node(ident, 0), above)


def named(branch: Branch, **rest: Any) -> Branch:
    """The same object once it is offloaded: a linker, or a node of another call. No states unless given."""
    node = branch.node
    bare = replace(node, context=3000 + node.ident, const=None, cached=None, delegated=None, chain=(), buffered=())
    return Branch(replace(bare, **rest), branch.above)


def tree(*tops: Branch) -> Tree:
    """Branches side by side, as a tree of block lists."""
    nodes: dict[int, Node] = {}

    def place(branches: tuple[Branch, ...]) -> None:
        for at, branch in enumerate(branches):
            after = branches[at + 1] if at + 1 < len(branches) else None
            above = branch.above[0].node.ident if branch.above else branch.node.dependents
            follower = branch.node.next if after is None else after.node.ident
            nodes[branch.node.ident] = replace(branch.node, next=follower, dependents=above)
            place(branch.above)

    place(tops)
    return Tree(tops[0].node.ident, nodes)


def ended(given: Tree, statuses: Mapping[int, int] | None = None, **changes: Mapping[int, Any]) -> Tree:
    """A tree as a call leaves it: SUCCESS where nothing else is said, contexts where an object was offloaded.

    ``changes`` are other fields: name to identity to value, as in ``context={3: None}``.
    """
    nodes = {}
    for ident, node in given.nodes.items():
        status = (statuses or {}).get(ident, ndis.SUCCESS)
        new = node.location is not None and node.context is None
        context = 3000 + ident if new and status in ndis.OFFLOADED else node.context
        end = replace(node, status=status, context=context)
        own = {name: values[ident] for name, values in changes.items() if ident in values}
        nodes[ident] = replace(end, **own)
    return Tree(given.root, nodes)


def nbl(ident: int, data: bytes = b"", **rest: Any) -> List:
    """A list of one NET_BUFFER that holds ``data``."""
    return List(ident, (Buffer(ident, len(data), 0, ((ident, len(data)),)),), **{"data": data, **rest})


def posted(ident: int, room: int = 1000) -> List:
    """A receive request."""
    return List(ident, (Buffer(ident, room),))


def done(given: List, status: int = ndis.SUCCESS, count: int | None = None) -> List:
    """A list as it is completed."""
    return replace(given, status=status, transferred=given.data_length if count is None else count)


def segment(ident: int, sent: bool, at: int = 0, ack: int = 0, data: bytes = b"", **rest: Any) -> bytes:
    """A frame of connection ``ident``, by places; ``rest``: flags, window, stamps, ttl, tos, macs."""
    own, peer = (OWN_IP, 5000 + ident), (PEER_IP, PEER_PORT)
    (source, sport), (target, dport) = (own, peer) if sent else (peer, own)
    first, second = (SND + at, RCV + ack) if sent else (RCV + at, SND + ack)
    stamps: tuple[int, int] | None = rest.get("stamps")
    options = b"" if stamps is None else struct.pack(">4B2I", 1, 1, 8, 10, *(stamp % 2**32 for stamp in stamps))
    flags = rest.get("flags", ACK | (PSH if data else 0))
    offset, window = (20 + len(options)) << 2, rest.get("window", 65535)
    head = struct.pack(">HHIIBBH", sport, dport, first % 2**32, second % 2**32, offset, flags, window)
    body = options + data
    check = _ones(word_sum(source + target) + 6 + 20 + len(body) + word_sum(head) + word_sum(body))
    ip = struct.pack(">BBHHHBB", 0x45, rest.get("tos", 0), 40 + len(body), 0x8000, 0x4000, rest.get("ttl", 64), 6)
    ip += struct.pack(">H", _ones(word_sum(ip + source + target))) + source + target
    macs = rest.get("macs", (HOP_MAC, OWN_MAC) if sent else (OWN_MAC, HOP_MAC))
    frame = b"".join(macs) + b"\x08\x00" + ip + head + struct.pack(">HH", check, 0) + body
    return frame.ljust(60, b"\x00")


def _ones(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@dataclass
class Trace:
    """A trace in the making. ``layer`` is that of the calls that are added next."""

    records: list[Record] = field(default_factory=list)
    tick: int = 0
    layer: int = 0
    calls: int = 0

    def _where(self) -> dict[str, Any]:
        return {"order": len(self.records), "tick": self.tick, "layer": self.layer}

    def wait(self, ticks: int) -> None:
        """Time passes."""
        self.tick += ticks

    def enter(self, function: str, **rest: Any) -> int:
        """A call begins; its number."""
        self.calls += 1
        self.records.append(Enter(**self._where(), call=self.calls, function=function, **rest))
        return self.calls

    def leave(self, call: int, **rest: Any) -> None:
        """A call returns."""
        function = next(r.function for r in self.records if isinstance(r, Enter) and r.call == call)
        self.records.append(Leave(**self._where(), call=call, function=function, **rest))

    def call(
        self, function: str, result: int | None = None, answer: Mapping[str, Value] | None = None, **rest: Any
    ) -> None:
        """A call with nothing inside."""
        self.leave(self.enter(function, **rest), result=result, buffer=answer or {})

    def setting(self, name: str, value: Value) -> None:
        """A setting of the run."""
        self.records.append(Setting(**self._where(), name=name, value=value))

    def submit(self, *opcodes: int) -> None:
        """Ring entries with these opcodes."""
        for opcode in opcodes:
            self.records.append(PortEntry(**self._where(), submission=True, entry={"opcode": opcode}))

    def read(self, offset: int, value: int = 0) -> None:
        """The driver reads a register."""
        self.records.append(RegisterValue(**self._where(), offset=offset, value=value))

    # --- objects ---------------------------------------------------------------------------------------

    def initiate(self, given: Tree, end: Tree | None = None) -> Tree:
        """An initiate from call to completion; SUCCESS everywhere unless ``end`` says otherwise."""
        self.call(ndis.INITIATE, tree=given)
        end = ended(given) if end is None else end
        self.call(ndis.INITIATED, tree=end)
        return end

    def connect(self, *idents: int, **rest: Any) -> Branch:
        """Neighbor 1, path 2 and these connections are offloaded; the branch that they are."""
        branch = neighbor(1, path(2, *(tcp(ident, **rest) for ident in idents)))
        self.initiate(tree(branch))
        return branch

    def state_call(self, function: str, given: Tree, end: Tree | None = None) -> None:
        """Another state-manipulation call from call to completion."""
        self.call(function, tree=given)
        self.call(ndis.STATE_CALLS[function], tree=ended(given) if end is None else end)

    def terminate(self, *branches: Branch, **rest: Any) -> None:
        """Objects are terminated, with all that depends on them; ``rest`` as in `ended`."""
        given = tree(*(existing(branch) for branch in branches))
        self.state_call(ndis.TERMINATE, given, ended(given, **rest))

    # --- requests --------------------------------------------------------------------------------------

    def request(self, function: str, ident: int, *lists: List, **rest: Any) -> None:
        """An I/O call on connection ``ident``."""
        self.call(function, ndis.PENDING, target=3000 + ident, lists=lists, **rest)

    def send(self, ident: int, *lists: List) -> None:
        """MiniportTcpOffloadSend."""
        self.request(ndis.SEND, ident, *lists)

    def post(self, ident: int, *lists: List) -> None:
        """MiniportTcpOffloadReceive."""
        self.request(ndis.RECEIVE, ident, *lists)

    def complete(self, kind: str, *lists: List) -> None:
        """Requests of a kind come back."""
        self.call(ndis.COMPLETION_OF[kind], lists=lists)

    def indicate(self, ident: int, data: bytes, result: int = ndis.SUCCESS, consumed: int | None = None) -> None:
        """Data is indicated by NBL 900 on the handle of ``ident``, and the host answers."""
        call = self.enter(ndis.INDICATE, target=2000 + ident, lists=(nbl(900, data),))
        self.leave(call, result=result, consumed=len(data) if consumed is None else consumed)

    def event(self, ident: int, event: int, info: int = 0) -> None:
        """A TCP event on the handle of ``ident``."""
        self.call(ndis.EVENT, target=2000 + ident, event=event, info=info)

    def status(self, code: int, **rest: Any) -> None:
        """NdisMIndicateStatusEx."""
        self.call(ndis.STATUS, status=code, **rest)

    def oid(self, oid: int, flags: int = 0, answer: Buffers = None, **buffer: Value) -> None:
        """An OID request, answered SUCCESS."""
        self.call(ndis.OID, ndis.SUCCESS, answer, oid=oid, flags=flags, buffer=buffer)

    # --- frames ----------------------------------------------------------------------------------------

    def out(self, ident: int, at: int = 0, data: bytes = b"", **rest: Any) -> None:
        """The target sends a segment."""
        raw = rest.pop("raw", False)
        self._frame(segment(ident, True, at, rest.pop("ack", 0), data, **rest), True, raw)

    def into(self, ident: int, at: int = 0, data: bytes = b"", **rest: Any) -> None:
        """A segment of the peer comes in."""
        self._frame(segment(ident, False, at, rest.pop("ack", 0), data, **rest), False, False)

    def _frame(self, data: bytes, sent: bool, raw: bool) -> None:
        self.records.append(Frame(**self._where(), sent=sent, data=data, raw=raw))


Story = Callable[[Trace, bool], None]
"""Tells a trace that keeps a rule, or breaks it if the second argument is True."""


def told(story: Story, broken: bool) -> list[Record]:
    """The records of a story."""
    trace = Trace()
    story(trace, broken)
    return trace.records


def watched(sections: Iterable[type[Monitor]], records: Iterable[Record]) -> ContractMonitors:
    """The monitors of ``sections`` after a run."""
    monitors = ContractMonitors(sections)
    for record in records:
        monitors.feed(record)
    monitors.finish()
    return monitors


def first_rule(breaches: list[Breach]) -> str | None:
    """The rule that was broken first."""
    return breaches[0].rule if breaches else None


def damaged(records: list[Record]) -> list[list[Record]]:
    """The trace without each of its records in turn, backwards, and with everything on a second adapter and layer."""
    holed = [records[:at] + records[at + 1 :] for at in range(len(records))]
    elsewhere = [replace(record, adapter="nic1", layer=record.layer + 1) for record in records]
    woven = [record for pair in zip(records, elsewhere, strict=True) for record in pair]
    return [*holed, records[::-1], woven]


def on_two_adapters(records: list[Record]) -> list[Record]:
    """The trace, and the same one record for record on another adapter."""
    return [again for record in records for again in (record, replace(record, adapter="nic1"))]


def through_a_driver(records: list[Record]) -> list[Record]:
    """The trace with an intermediate driver above the target that passes every call on."""
    found: list[Record] = []
    for record in records:
        if not isinstance(record, Enter | Leave):
            found.append(record)
            continue
        upper = replace(record, layer=1, call=record.call + 1000)
        down = record.function.startswith("Miniport")
        found += [upper, record] if down == isinstance(record, Enter) else [record, upper]
    return found
