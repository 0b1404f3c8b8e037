"""Call traces by hand: a story told in a few lines becomes the records that the contract monitors take.

Sequence numbers count from the hand-over: 0 is RCV.NXT for the peer's bytes and SND.UNA for ours. Both begin shortly
before 2^32, so that every longer story wraps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypedDict, Unpack

from tb.monitors.contract.monitor import Breach, Monitor
from tb.monitors.contract.trace import (
    Buffer,
    Counters,
    Enter,
    Frame,
    Leave,
    List,
    Node,
    PassedUp,
    Record,
    Setting,
    State,
    Tree,
    Value,
)

PENDING: Final = 0x103
ABORTED: Final = 0xC001000C
UPLOADED: Final = 0xC0231001
INVALID: Final = 0xC0000184
NOT_ACCEPTED: Final = 0xC023100E
PARTLY: Final = 0xC0231010
FAILURE: Final = 0xC0000001
MANY: Final = 0xFFFFFFFF
RCV_0: Final = 0xFFFF_FF00
SND_0: Final = 0xFFFF_FE00
MSS: Final = 1000
LOCAL: Final = (0x0A000001, 5000)
REMOTE: Final = (0x0A000002, 80)
OUR_MAC: Final = bytes.fromhex("020000000001")
PEER_MAC: Final = bytes.fromhex("020000000002")
PARAMETERS: Final[dict[str, Value]] = {
    "ticks_per_second": 1000,
    "tcp_ack_frequency": 2,
    "tcp_delayed_ack_ticks": 100,
    "tcp_maximum_retransmissions": 5,
    "tcp_sws_prevention_ticks": 200,
    "tcp_duplicate_ack_threshold": 3,
    "tcp_push_ticks": 500,
    "nce_stale_ticks": 30000,
}
FLAGS: Final = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}


def stream(start: int, size: int) -> bytes:
    """The peer's bytes: no stretch of them looks like another."""
    return bytes((at * 167 ^ at >> 8 ^ (at * at) >> 5) & 255 for at in range(start, start + size))


def _sum(data: bytes) -> int:
    total = sum(int(word) for word in struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) & 1)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ip_packet(
    source: int, destination: int, body: bytes, protocol: int = 6, options: bytes = b"", fragment: int = 0x4000
) -> bytes:
    """An IPv4 packet."""
    length = 20 + len(options)
    head = struct.pack(
        ">BBHHHBBHII", 0x40 | length // 4, 0, length + len(body), 0x8001, fragment, 64, protocol, 0, source, destination
    )
    head += options
    return head[:10] + struct.pack(">H", _sum(head)) + head[12:] + body


def tcp_segment(
    source: tuple[int, int],
    destination: tuple[int, int],
    sequence: int,
    ack: int,
    flags: int,
    window: int,
    payload: bytes = b"",
    stamps: tuple[int, int] | None = None,
    blocks: tuple[tuple[int, int], ...] = (),
) -> bytes:
    """A TCP header with its payload and checksum."""
    options = b"" if stamps is None else struct.pack(">BBBBII", 1, 1, 8, 10, *stamps)
    if blocks:
        options += bytes((1, 1, 5, 2 + 8 * len(blocks)))
    for left, right in blocks:
        options += struct.pack(">II", left & MANY, right & MANY)
    offset = (20 + len(options)) // 4 << 4
    numbers = (sequence & MANY, ack & MANY)
    head = struct.pack(">HHIIBBHHH", source[1], destination[1], *numbers, offset, flags, window, 0, 0) + options
    pseudo = struct.pack(">IIHH", source[0], destination[0], 6, len(head) + len(payload))
    return head[:16] + struct.pack(">H", _sum(pseudo + head + payload)) + head[18:] + payload


def ethernet(body: bytes, destination: bytes, source: bytes, kind: int = 0x0800, vlan: int | None = None) -> bytes:
    """A frame, padded to 60 bytes."""
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    return (destination + source + tag + struct.pack(">H", kind) + body).ljust(60, b"\0")


@dataclass
class Link:
    """One offloaded connection of a story."""

    number: int
    state: dict[str, Value]
    const: dict[str, Value]
    cached: dict[str, Value]
    vlan: int = 0
    neighbor: int = 0

    @property
    def context(self) -> int:
        return 100 + self.number

    @property
    def handle(self) -> int:
        return 1000 + self.number

    @property
    def local(self) -> tuple[int, int]:
        return LOCAL[0], LOCAL[1] + self.number


def _swap(port: int) -> int:
    return (port & 255) << 8 | port >> 8


class How(TypedDict, total=False):
    """What differs in a segment of the peer from a plain ACK."""

    ack: int
    window: int
    flags: str
    stamps: tuple[int, int] | None
    vlan: int | None
    data: bytes | None
    blocks: tuple[tuple[int, int], ...]


class Story:
    """Builds records; every method appends what one thing that happens looks like."""

    def __init__(self, **parameters: Value) -> None:
        self.records: list[Record] = []
        self.tick = 1000
        self.layer = 0
        self._calls = 0
        self._indicated = 0
        self._sizes: dict[int, List] = {}
        self._roots = 0
        self.link = Link(0, {}, {}, {})
        self.sets(**{**PARAMETERS, **parameters})

    # --- records ---------------------------------------------------------------------------------------

    def _place(self, layer: int | None = None) -> tuple[int, int, str, int]:
        return len(self.records) + 1, self.tick, "nic0", self.layer if layer is None else layer

    def enter(
        self,
        function: str,
        *,
        target: int | None = None,
        lists: Sequence[List] = (),
        tree: Tree | None = None,
        flags: int = 0,
        status: int | None = None,
        event: int = 0,
        info: int = 0,
        oid: int = 0,
        buffer: Mapping[str, Value] | None = None,
    ) -> int:
        """A call begins; the answer is its number."""
        self._calls += 1
        self.records.append(
            Enter(
                *self._place(),
                self._calls,
                function,
                target,
                tuple(lists),
                tree,
                flags,
                status,
                event,
                info,
                oid,
                dict(buffer or {}),
            )
        )
        return self._calls

    def leave(
        self, call: int, result: int | None = None, consumed: int | None = None, tree: Tree | None = None
    ) -> Story:
        """A call returns."""
        function = next(one.function for one in self.records if isinstance(one, Enter) and one.call == call)
        self.records.append(Leave(*self._place(), call, function, result, consumed, (), tree))
        return self

    def call(
        self,
        function: str,
        *,
        result: int | None = None,
        target: int | None = None,
        lists: Sequence[List] = (),
        tree: Tree | None = None,
        flags: int = 0,
        status: int | None = None,
        event: int = 0,
        info: int = 0,
        oid: int = 0,
        buffer: Mapping[str, Value] | None = None,
    ) -> Story:
        """A call and its return."""
        call = self.enter(
            function,
            target=target,
            lists=lists,
            tree=tree,
            flags=flags,
            status=status,
            event=event,
            info=info,
            oid=oid,
            buffer=buffer,
        )
        return self.leave(call, result)

    def wait(self, ticks: int) -> Story:
        """Time passes."""
        self.tick += ticks
        self.records.append(Counters(*self._place(0), {}))
        return self

    def says(self, name: str, value: Value) -> Story:
        """A setting."""
        self.records.append(Setting(*self._place(0), name, value))
        return self

    def sets(self, **parameters: Value) -> Story:
        """The host sets OID_TCP_CONNECTION_OFFLOAD_PARAMETERS."""
        return self.call("MiniportOidRequest", oid=0xFC030201, flags=1, buffer=parameters, result=0)

    # --- state -----------------------------------------------------------------------------------------

    def offload(
        self,
        number: int = 0,
        *,
        vlan: int = 0,
        inherited: int = 0,
        chain: Sequence[List] = (),
        cached: Mapping[str, Value] | None = None,
        flags: int = 0,
        hrd: int = 0,
        released: bool = True,
        **delegated: Value,
    ) -> Story:
        """A connection with a path and a neighbor of its own is offloaded."""
        state: dict[str, Value] = {
            "state": 4,
            "rcv_nxt": RCV_0,
            "rcv_wnd": 50000,
            "snd_una": SND_0,
            "snd_nxt": SND_0,
            "snd_max": SND_0,
            "snd_wnd": 50000,
            "max_snd_wnd": 50000,
            "send_wl1": RCV_0 - 1,
            "c_wnd": 10000,
            "s_rtt": 0,
            "ts_time": 5000,
            "retransmit_timeout_delta": MANY,
            "keep_alive_timeout_delta": MANY,
        }
        state.update(delegated)
        const: dict[str, Value] = {
            "flags": flags,
            "remote_port": _swap(REMOTE[1]),
            "local_port": _swap(LOCAL[1] + number),
            "remote_mss": MSS,
            "snd_wind_scale": 0,
            "rcv_wind_scale": 0,
        }
        extra: dict[str, Value] = {"flags": 0, "initial_rcv_wnd": 50000, "max_rt": 0, **(cached or {})}
        self.link = Link(number, state, const, extra, vlan, 300 + number)
        held = (
            (List(900 + number, (Buffer(1900, inherited),), data=stream(-inherited, inherited)),) if inherited else ()
        )
        base = 10 * number
        path: State = {
            "source_address": LOCAL[0].to_bytes(4, "big"),
            "destination_address": REMOTE[0].to_bytes(4, "big"),
        }
        nodes = {
            base: Node(
                base,
                4,
                1,
                None,
                3000 + number,
                None,
                base + 1,
                const={"vlan_id": vlan},
                cached={"dl_destination_address": PEER_MAC, "host_reachability_delta": hrd},
                delegated={"nic_reachability_delta": hrd},
            ),
            base + 1: Node(
                base + 1, 8, 2, None, 2000 + number, None, base + 2, const=path, cached={"path_mtu": 1500}, delegated={}
            ),
            base + 2: Node(
                base + 2,
                17,
                3,
                None,
                self.link.handle,
                const=const,
                cached=extra,
                delegated=state,
                chain=tuple(chain),
                buffered=held,
            ),
        }
        self.call("MiniportInitiateOffload", tree=Tree(base, nodes))
        contexts = (self.link.neighbor, 200 + number, self.link.context)
        done = {
            i: replace(node, status=0, context=context)
            for (i, node), context in zip(nodes.items(), contexts, strict=True)
        }
        call = self.enter("NdisMInitiateOffloadComplete", tree=Tree(base, done))
        return self.leave(call) if released else self

    def _root(self) -> int:
        self._roots += 100
        return self._roots

    def terminate_call(self) -> Story:
        """The host calls terminate for the connection."""
        self._pending = self._root()
        node = Node(self._pending, 15, 3, self.link.context, self.link.handle, delegated={})
        return self.call("MiniportTerminateOffload", tree=Tree(self._pending, {self._pending: node}))

    def terminated(self, received: int = 0, uploaded: int = 0, status: int = 0, **delegated: Value) -> Story:
        """It completes: ``received`` bytes below RcvNxt, the last ``uploaded`` of them as BufferedData."""
        held: tuple[List, ...] = ()
        if uploaded:
            data = stream(received - uploaded, uploaded)
            held = (List(901 + self.link.number, (Buffer(1901, uploaded),), data=data),)
        state = {**self.link.state, "rcv_nxt": RCV_0 + received & MANY, **delegated}
        node = Node(
            self._pending, 15, 3, self.link.context, self.link.handle, status=status, delegated=state, buffered=held
        )
        return self.call("NdisMTerminateOffloadComplete", tree=Tree(self._pending, {self._pending: node}))

    def terminate(self, received: int = 0, uploaded: int = 0, **delegated: Value) -> Story:
        """A whole terminate."""
        self.terminate_call()
        return self.terminated(received, uploaded, 0, **delegated)

    def vain_call(self, context: int | None) -> Tree:
        """A terminate that ends nothing: of what is not offloaded yet (no context) or is being ended by another."""
        root = self._root()
        node = Node(root, 15, 3, context, None, delegated={})
        tree = Tree(root, {root: node})
        self.call("MiniportTerminateOffload", tree=tree)
        return tree

    def vain_done(self, tree: Tree) -> Story:
        """It fails, when its place holds the context of the connection."""
        node = replace(tree.nodes[tree.root], context=self.link.context, status=FAILURE)
        return self.call("NdisMTerminateOffloadComplete", tree=Tree(tree.root, {tree.root: node}))

    def query(self, received: int = 0, **delegated: Value) -> Story:
        """The connection's delegated state is queried."""
        root = self._root()
        node = Node(root, 15, 3, self.link.context, self.link.handle, delegated={})
        self.call("MiniportQueryOffload", tree=Tree(root, {root: node}))
        state = {**self.link.state, "rcv_nxt": RCV_0 + received & MANY, **delegated}
        done = replace(node, status=0, delegated=state)
        return self.call("NdisMQueryOffloadStateComplete", tree=Tree(root, {root: done}))

    def query_neighbor(self, nrd: int) -> Story:
        """The neighbor's delegated state is queried."""
        root = self._root()
        node = Node(root, 3, 1, self.link.neighbor, 3000 + self.link.number, delegated={})
        self.call("MiniportQueryOffload", tree=Tree(root, {root: node}))
        done = replace(node, status=0, delegated={"nic_reachability_delta": nrd})
        return self.call("NdisMQueryOffloadStateComplete", tree=Tree(root, {root: done}))

    def relink(self, neighbor: int) -> Story:
        """The path of the connection moves to the neighbor with this context, from call to completion."""
        root = self._root()
        nodes = {
            root: Node(root, 4, 1, neighbor, None, None, root + 1),
            root + 1: Node(root + 1, 8, 2, 200 + self.link.number, 2000 + self.link.number, cached={}),
        }
        self.call("MiniportUpdateOffload", tree=Tree(root, nodes))
        done = {ident: replace(node, status=0) for ident, node in nodes.items()}
        return self.call("NdisMUpdateOffloadComplete", tree=Tree(root, done))

    def invalidate(self) -> Story:
        """The connection is invalidated, from call to completion."""
        root = self._root()
        node = Node(root, 15, 3, self.link.context, self.link.handle, cached={})
        self.call("MiniportInvalidateOffload", tree=Tree(root, {root: node}))
        done = replace(node, status=0)
        return self.call("NdisMInvalidateOffloadComplete", tree=Tree(root, {root: done}))

    # --- wire ------------------------------------------------------------------------------------------

    def frame(
        self,
        seq: int = 0,
        size: int = 0,
        *,
        ack: int = 0,
        window: int = 50000,
        flags: str = "A",
        stamps: tuple[int, int] | None = None,
        vlan: int | None = None,
        data: bytes | None = None,
        blocks: tuple[tuple[int, int], ...] = (),
    ) -> bytes:
        """A frame of the peer: ``size`` bytes from ``seq`` on; SACK blocks as edges in the NIC's stream."""
        payload = stream(seq, size) if data is None else data
        bits = sum(FLAGS[one] for one in flags)
        edges = tuple((SND_0 + left, SND_0 + right) for left, right in blocks)
        ends = REMOTE, self.link.local
        segment = tcp_segment(*ends, RCV_0 + seq, SND_0 + ack, bits, window, payload, stamps, edges)
        packet = ip_packet(REMOTE[0], LOCAL[0], segment)
        return ethernet(packet, OUR_MAC, PEER_MAC, vlan=vlan)

    def comes(self, seq: int = 0, size: int = 0, **how: Unpack[How]) -> Story:
        """A segment of the peer enters the NIC."""
        return self.frame_comes(self.frame(seq, size, **how))

    def frame_comes(self, frame: bytes) -> Story:
        """Any frame enters the NIC."""
        self.records.append(Frame(*self._place(0), False, frame))
        return self

    def goes(
        self,
        ack: int = 0,
        seq: int = 0,
        size: int = 0,
        *,
        flags: str = "A",
        window: int = 50000,
        stamps: tuple[int, int] | None = None,
        raw: bool = False,
    ) -> Story:
        """The NIC sends ``size`` bytes from ``seq`` on and acknowledges everything below ``ack``."""
        bits = sum(FLAGS[one] for one in flags)
        segment = tcp_segment(self.link.local, REMOTE, SND_0 + seq, RCV_0 + ack, bits, window, bytes(size), stamps)
        frame = ethernet(ip_packet(LOCAL[0], REMOTE[0], segment), PEER_MAC, OUR_MAC)
        self.records.append(Frame(*self._place(0), True, frame, raw))
        return self

    def passes_up(self, frame: bytes) -> Story:
        """The target indicates a frame on the ordinary path."""
        self.records.append(PassedUp(*self._place(0), frame))
        return self

    # --- input and output ------------------------------------------------------------------------------

    def request(self, ident: int, size: int, push: bool = True, prefilled: int = 0) -> List:
        """A receive request."""
        made = List(ident, (Buffer(ident + 5000, size),), no_push=not push, received_before=prefilled)
        self._sizes[ident] = made
        return made

    def post(self, ident: int, size: int, *, push: bool = True, prefilled: int = 0, result: int = PENDING) -> Story:
        """A receive request is posted."""
        made = self.request(ident, size, push, prefilled)
        return self.call("MiniportTcpOffloadReceive", target=self.link.context, lists=[made], result=result)

    def filled(self, ident: int, count: int | None, status: int = 0, advance: int | None = None) -> List:
        """A request as the target returns it."""
        made = self._sizes[ident]
        moved = advance if advance is not None else count or 0
        buffers = tuple(Buffer(one.ident, one.data_length - moved, one.data_offset + moved) for one in made.buffers)
        return replace(made, buffers=buffers, status=status, transferred=count)

    def done(self, ident: int, count: int | None, status: int = 0, advance: int | None = None) -> Story:
        """It comes back."""
        back = self.filled(ident, count, status, advance)
        return self.call("NdisTcpOffloadReceiveComplete", target=1, lists=[back])

    def indication(self, start: int, size: int, ident: int | None = None, status: int | None = 0) -> int:
        """The target begins to indicate ``size`` bytes from ``start`` on, in a list of its own: 700, 701 and so on."""
        if ident is None:
            ident, self._indicated = 700 + self._indicated, self._indicated + 1
        made = List(ident, (Buffer(ident + 5000, size),), data=stream(start, size))
        return self.enter("NdisTcpOffloadReceiveHandler", target=self.link.handle, lists=[made], status=status)

    def indicate(
        self, start: int, size: int, ident: int | None = None, answer: int = 0, took: int | None = None
    ) -> Story:
        """It indicates, and the host answers."""
        call = self.indication(start, size, ident)
        return self.leave(call, answer, size if took is None and answer == 0 else took or 0)

    def give_back(self, *idents: int, result: int = 0) -> Story:
        """The host returns indicated NBLs."""
        lists = [List(ident, (Buffer(ident + 5000, 1),)) for ident in idents]
        return self.call("MiniportTcpOffloadReceiveReturn", lists=lists, result=result)

    def send(self, ident: int, size: int, function: str = "Send", flags: int = 0) -> Story:
        """A send (or a disconnect with data) is submitted."""
        made = List(ident, (Buffer(ident + 5000, size),), data=bytes(size))
        self._sizes[ident] = made
        name = f"MiniportTcpOffload{function}"
        return self.call(name, target=self.link.context, lists=[made], flags=flags, result=PENDING)

    def sent(self, ident: int, count: int, status: int = 0, function: str = "Send") -> Story:
        """It comes back."""
        back = self.filled(ident, count, status)
        return self.call(f"NdisTcpOffload{function}Complete", target=1, lists=[back])

    def event(self, event: int, info: int = 0, target: int | None = None) -> Story:
        """A TCP event is raised."""
        handle = self.link.handle if target is None else target
        return self.call("NdisTcpOffloadEventHandler", target=handle, event=event, info=info)

    def retrieve(self, reason: int) -> Story:
        """TcpIndicateRetrieve."""
        return self.event(3, reason)


Teller = Callable[[Story], object]


class Tales:
    """The traces of a section: for every rule one that breaks it and one that keeps it."""

    def __init__(self) -> None:
        self.breaking: dict[str, Teller] = {}
        self.keeping: dict[str, Teller] = {}

    def breaks(self, rule: str) -> Callable[[Teller], Teller]:
        """The trace breaks ``rule``."""

        def note(tell: Teller) -> Teller:
            assert rule not in self.breaking
            self.breaking[rule] = tell
            return tell

        return note

    def keeps(self, *rules: str) -> Callable[[Teller], Teller]:
        """The trace triggers all ``rules`` and keeps them."""

        def note(tell: Teller) -> Teller:
            for rule in rules:
                assert rule not in self.keeping
                self.keeping[rule] = tell
            return tell

        return note


def told(tell: Teller) -> list[Record]:
    """The records of a trace; long after its end nothing is due any more."""
    story = Story()
    tell(story)
    story.wait(3)
    return story.records


def watch(records: Iterable[Record], sections: Iterable[type[Monitor]]) -> list[Monitor]:
    """Monitors that were fed the records."""
    monitors = [section() for section in sections]
    for record in records:
        for monitor in monitors:
            monitor.feed(record)
    for monitor in monitors:
        monitor.finish()
    return monitors


def breaches(monitors: Iterable[Monitor]) -> list[Breach]:
    """All breaches, in the order of the trace."""
    return sorted((one for monitor in monitors for one in monitor.breaches), key=lambda one: one.order)
