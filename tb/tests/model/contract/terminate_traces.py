"""A small language for call traces: a `Story` numbers records, a `Talk` is one connection with its frames.

Sequence numbers of a talk are given as places: bytes behind SndUna and RcvNxt of the hand-over. The hand-over numbers
lie shortly below 2^32, so that every story wraps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.monitor import Monitor
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
    Tree,
    Value,
)
from tb.monitors.wire_headers import ACK, FIN, PSH, RST, SYN, word_sum

__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "Story", "Talk", "first_breach", "nbl", "posted", "run", "survives_cuts"]

SND: Final = 0xFFFF_FF00
"""SndUna of a hand-over."""
RCV: Final = 0xFFFF_FE00
"""RcvNxt of a hand-over."""
OWN_MAC: Final = b"\x02\x00\x00\x00\x00\x01"
NEXT_MAC: Final = b"\x02\x00\x00\x00\x00\x02"
OWN_IP: Final = b"\x0a\x00\x00\x01"
PEER_IP: Final = b"\x0a\x00\x00\x02"


def nbl(ident: int, data: bytes = b"", **rest: Any) -> List:
    """A list of one NET_BUFFER with this data."""
    return List(ident, (Buffer(ident * 10, len(data)),), data=data, **rest)


def posted(ident: int, room: int, **rest: Any) -> List:
    """A posted receive."""
    return List(ident, (Buffer(ident * 10, room),), **rest)


def done(submitted: List, status: int, count: int | None) -> List:
    """A list as it completes: status, byte count, data start advanced by the count over its buffers."""
    left = count or 0
    buffers = []
    for buffer in submitted.buffers:
        step = min(left, buffer.data_length)
        left -= step
        offset, length = buffer.data_offset + step, buffer.data_length - step
        buffers.append(replace(buffer, data_offset=offset, data_length=length))
    return replace(submitted, buffers=tuple(buffers), status=status, transferred=count)


def rest_of(submitted: List, count: int) -> List:
    """A list as it is chained at a terminate: ``count`` bytes are acknowledged."""
    return replace(done(submitted, 0, count), status=None, transferred=None, data=submitted.data[count:])


def tcp_frame(ends: tuple[bytes, int, bytes, int], seq: int, ack: int, flags: int, **rest: Any) -> bytes:
    """An IPv4 frame with right checksums; ``rest``: payload, window, stamps, ttl, tos, macs, tag, ip_id."""
    source, sport, destination, dport = ends
    payload = bytes(rest.get("payload", b""))
    stamps = rest.get("stamps")
    options = b"" if stamps is None else struct.pack(">BBBBII", 1, 1, 8, 10, *(s % 2**32 for s in stamps))
    offset = (20 + len(options)) // 4 << 4
    head = struct.pack(">HHIIBBHHH", sport, dport, seq % 2**32, ack % 2**32, offset, flags, rest["window"], 0, 0)
    pseudo = word_sum(source + destination) + 6 + len(head + options + payload)
    head = head[:16] + struct.pack(">H", _ones(pseudo + word_sum(head + options + payload))) + head[18:]
    total = 20 + len(head + options + payload)
    ip = struct.pack(
        ">BBHHHBBH", 0x45, rest.get("tos", 0), total, rest.get("ip_id", 0x8000), 0x4000, rest.get("ttl", 64), 6, 0
    )
    ip = ip[:10] + struct.pack(">H", _ones(word_sum(ip + source + destination))) + source + destination
    macs: tuple[bytes, bytes] = rest.get("macs", (NEXT_MAC, OWN_MAC))
    tag = b"" if rest.get("tag") is None else b"\x81\x00" + struct.pack(">H", rest["tag"])
    frame = macs[0] + macs[1] + tag + b"\x08\x00" + ip + head + options + payload
    return frame + bytes(max(0, 60 - len(frame)))


def _ones(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@dataclass
class Story:
    """A trace in the making."""

    layer: int = 0
    records: list[Record] = field(default_factory=list)
    tick: int = 0
    calls: int = 0

    def _base(self, layer: int | None = None) -> dict[str, Any]:
        return {"order": len(self.records), "tick": self.tick, "layer": self.layer if layer is None else layer}

    def wait(self, ticks: int) -> Story:
        """Time goes by."""
        self.tick += ticks
        return self

    def enter(self, function: str, layer: int | None = None, **fields: Any) -> int:
        """A call begins; its number."""
        self.calls += 1
        self.records.append(Enter(**self._base(layer), call=self.calls, function=function, **fields))
        return self.calls

    def leave(self, call: int, layer: int | None = None, **fields: Any) -> None:
        """The call returns."""
        function = next(r.function for r in self.records if isinstance(r, Enter) and r.call == call)
        self.records.append(Leave(**self._base(layer), call=call, function=function, **fields))

    def do(self, function: str, result: int | None = None, consumed: int | None = None, **fields: Any) -> None:
        """A call that returns at once."""
        self.leave(self.enter(function, **fields), result=result, consumed=consumed)

    def frame(self, data: bytes, *, sent: bool, raw: bool = False) -> bytes:
        """A frame at the port."""
        self.records.append(Frame(**self._base(0), sent=sent, data=data, raw=raw))
        return data

    def passed_up(self, data: bytes) -> None:
        """The frame goes up the ordinary path."""
        self.records.append(PassedUp(**self._base(0), data=data))

    def counters(self, **used: int) -> None:
        """What is in use."""
        self.records.append(Counters(**self._base(0), used=used))

    def setting(self, name: str, value: Value) -> None:
        """How the run is set up."""
        self.records.append(Setting(**self._base(0), name=name, value=value))

    def parameters(self, **values: int) -> None:
        """OID_TCP_CONNECTION_OFFLOAD_PARAMETERS is set."""
        buffer = {"ticks_per_second": 1000, "tcp_push_ticks": 500, "tcp_maximum_retransmissions": 5, **values}
        self.do(ndis.OID, result=0, oid=ndis.OID_PARAMETERS, flags=1, buffer=buffer)

    def complete(self, kind: str, *lists: List) -> None:
        """The target completes requests."""
        self.do(ndis.COMPLETION_OF[kind], target=1, lists=lists)

    def state(self, function: str, tree: Tree, after: Tree | None = None, wait: int = 1) -> None:
        """A state-manipulation call and its completion."""
        self.do(function, tree=tree)
        self.wait(wait)
        self.do(ndis.STATE_CALLS[function], target=1, tree=after or tree)


@dataclass
class Talk:
    """One connection. Number n: nodes, locations, handles and contexts n000.., ports 5000 + n and 80."""

    story: Story
    number: int = 1
    const: Mapping[str, Value] = field(default_factory=dict)
    cached: Mapping[str, Value] = field(default_factory=dict)
    delegated: Mapping[str, Value] = field(default_factory=dict)
    neighbor: Mapping[str, Value] = field(default_factory=dict)
    stamped: bool = False
    """Sent frames carry the target's clock: tick + 7000."""
    again: int = 0
    """How often it was offloaded before."""
    arrived: int = 0
    """Place behind the last byte that came in."""

    @property
    def context(self) -> int:
        """Of the connection."""
        return self.number * 1000 + 300 + self.again

    @property
    def handle(self) -> int:
        """NdisOffloadHandle of the connection."""
        return self.number * 1000 + 400 + self.again

    def tcp_const(self) -> dict[str, Value]:
        """CONST state; ports in network byte order (G-10)."""
        ports = {"local_port": ndis.swapped(5000 + self.number), "remote_port": ndis.swapped(80)}
        return {"flags": ndis.TIMESTAMPS if self.stamped else 0, "remote_mss": 1460, **ports, **self.const}

    def tcp_cached(self) -> dict[str, Value]:
        """CACHED state."""
        usual = {"flags": 0, "initial_rcv_wnd": 60000, "ttl_or_hop_limit": 64, "tos_or_traffic_class": 0}
        return {**usual, "user_priority": 0, **self.cached}

    def tcp_delegated(self, **changes: Value) -> dict[str, Value]:
        """DELEGATED state, all variables; sequence numbers in ``changes`` are places."""
        zero = "s_rtt rtt_var ts_recent ts_recent_age ts_time total_rt dup_ack_count snd_wnd_probe_count flags d_wnd"
        state: dict[str, Value] = dict.fromkeys(zero.split(), 0)
        state |= {"keep_alive_probe_count": 0, "keep_alive_timeout_delta": ndis.NOT_RUNNING}
        state |= {"retransmit_count": 0, "retransmit_timeout_delta": ndis.NOT_RUNNING}
        state |= {"state": ndis.ESTABLISHED, "rcv_nxt": 0, "rcv_wnd": 60000, "snd_una": 0, "snd_nxt": 0, "snd_max": 0}
        state |= {"snd_wnd": 60000, "max_snd_wnd": 60000, "send_wl1": 0, "c_wnd": 14600, "ss_thresh": 65535}
        state |= {"ts_time": 7000 + self.story.tick}
        state |= {**self.delegated, **changes}
        for name, base in (("rcv_nxt", RCV), ("snd_una", SND), ("snd_nxt", SND), ("snd_max", SND)):
            place = state[name]
            state[name] = (place + base) % 2**32 if isinstance(place, int) else place
        return state

    def nodes(self, status: int | None, new: bool, **tcp: Any) -> Tree:
        """Neighbor, path and connection in one tree."""
        n = self.number * 1000
        path = {"source_address": OWN_IP, "destination_address": PEER_IP}
        mac: dict[str, Value] = {"dl_destination_address": NEXT_MAC, "host_reachability_delta": 0}
        ids = (None, None, None) if new else (n + 100, n + 200, self.context)
        low: dict[str, Any] = {"status": status, "delegated": {"nic_reachability_delta": 0}}
        plain = {"dl_source_address": bytes(6), "vlan_id": 0, **self.neighbor}
        if not new:
            plain_const, mac_cached, path_const, path_cached = None, None, None, None
        else:
            plain_const, mac_cached, path_const, path_cached = plain, mac, path, {"path_mtu": 1500}
        if "dl_destination_address" in self.neighbor and mac_cached is not None:
            mac_cached["dl_destination_address"] = self.neighbor["dl_destination_address"]
        first = Node(n + 1, 4, n + 11, ids[0], n + 21, dependents=n + 2, const=plain_const, cached=mac_cached, **low)
        low |= {"delegated": {}}
        second = Node(n + 2, 8, n + 12, ids[1], n + 22, dependents=n + 3, const=path_const, cached=path_cached, **low)
        return Tree(first.ident, {node.ident: node for node in (first, second, self.tcp_node(status, ids[2], **tcp))})

    def tcp_node(self, status: int | None, context: int | None, **tcp: Any) -> Node:
        """The node of the connection."""
        n = self.number * 1000
        return Node(n + 3, ndis.TCP_STATE, n + 13 + 20 * self.again, context, self.handle, status=status, **tcp)

    def offload(self, *, complete: bool = True, **tcp: Any) -> Talk:
        """Initiate neighbor, path and connection, and complete."""
        states = {"const": self.tcp_const(), "cached": self.tcp_cached(), "delegated": self.tcp_delegated()}
        self.story.do(ndis.INITIATE, tree=self.nodes(None, True, **states, **tcp))
        if complete:
            self.story.wait(1)
            after = {"chain": (), **states}
            nodes = dict(self.nodes(0, False, **after).nodes)
            self.story.do(ndis.INITIATED, target=1, tree=Tree(self.number * 1000 + 1, nodes))
        return self

    def offload_again(self, *, linker_status: int = 0, **changes: Any) -> Talk:
        """Offload the connection on the path that stayed; a new talk with its own places."""
        new = replace(self, again=self.again + 1, **changes)
        n = self.number * 1000
        states = {"const": new.tcp_const(), "cached": new.tcp_cached(), "delegated": new.tcp_delegated()}
        for status, context in ((None, None), (0, new.context)):
            path = Node(n + 2, 8, n + 12, n + 200, n + 22, dependents=n + 3, status=status)
            node = new.tcp_node(status, context, **states)
            if status is not None:
                path = replace(path, status=linker_status)
                self.story.wait(1)
            tree = Tree(path.ident, {path.ident: path, node.ident: node})
            self.story.do(ndis.INITIATE if status is None else ndis.INITIATED, tree=tree)
        return new

    # --- requests --------------------------------------------------------------------------------------

    def send(self, *lists: List) -> None:
        """MiniportTcpOffloadSend."""
        self.story.do(ndis.SEND, result=ndis.PENDING, target=self.context, lists=lists)

    def receive(self, *lists: List) -> None:
        """MiniportTcpOffloadReceive."""
        self.story.do(ndis.RECEIVE, result=ndis.PENDING, target=self.context, lists=lists)

    def disconnect(self, nbl: List, flags: int = 1) -> None:
        """MiniportTcpOffloadDisconnect."""
        self.story.do(ndis.DISCONNECT, result=ndis.PENDING, target=self.context, lists=(nbl,), flags=flags)

    def event(self, event: int, info: int = 0) -> None:
        """NdisTcpOffloadEventHandler."""
        self.story.do(ndis.EVENT, target=self.handle, event=event, info=info)

    def reset(self) -> None:
        """The peer resets the connection, and the target says so."""
        self.hears(self.arrived, flags=RST)
        self.event(ndis.ABORT_EVENT)

    def indicate(self, ident: int, data: bytes, consumed: int | None = None, result: int | None = None) -> None:
        """NdisTcpOffloadReceiveHandler and its answer: all consumed unless told."""
        took = len(data) if consumed is None else consumed
        if result is None:
            partly = ndis.PARTIALLY_ACCEPTED if took else ndis.NOT_ACCEPTED
            result = ndis.SUCCESS if took == len(data) else partly
        self.story.do(
            ndis.INDICATE, result=result, consumed=took, target=self.handle, lists=(nbl(ident, data),), status=0
        )

    def give_back(self, *idents: int) -> None:
        """MiniportTcpOffloadReceiveReturn."""
        self.story.do(ndis.RETURN, result=0, lists=tuple(nbl(ident) for ident in idents))

    # --- frames ----------------------------------------------------------------------------------------

    def frame(self, *, sent: bool, seq: int, ack: int, flags: int = 0, **rest: Any) -> bytes:
        """A frame of the connection; ``seq`` and ``ack`` are places in their streams."""
        ends = (OWN_IP, 5000 + self.number, PEER_IP, 80)
        rest.setdefault("window", 60000)
        rest.setdefault("macs", (NEXT_MAC, OWN_MAC) if sent else (OWN_MAC, NEXT_MAC))
        if not sent:
            ends = (*ends[2:], *ends[:2])
        if self.stamped and "stamps" not in rest:
            rest["stamps"] = (7000 + self.story.tick, 0) if sent else (0, 7000 + self.story.tick)
        bases = (SND, RCV) if sent else (RCV, SND)
        return tcp_frame(ends, bases[0] + seq, bases[1] + ack, flags | (0 if flags & SYN else ACK), **rest)

    def sends(self, seq: int, payload: bytes = b"", ack: int = 0, flags: int = 0, **rest: Any) -> bytes:
        """The target sends a segment."""
        pushed = flags | (PSH if payload else 0)
        data = self.frame(sent=True, seq=seq, ack=ack, flags=pushed, payload=payload, **rest)
        return self.story.frame(data, sent=True)

    def hears(self, seq: int, payload: bytes = b"", ack: int = 0, flags: int = 0, **rest: Any) -> bytes:
        """A segment of the peer comes in."""
        data = self.frame(sent=False, seq=seq, ack=ack, flags=flags, payload=payload, **rest)
        self.arrived = max(self.arrived, seq + len(payload))
        return self.story.frame(data, sent=False)

    def forward(self, ident: int, seq: int, payload: bytes, ack: int = 0, flags: int = 0) -> List:
        """The host forwards a segment."""
        data = self.frame(sent=False, seq=seq, ack=ack, flags=flags, payload=payload)[34:]
        segment = nbl(ident, data[: 20 + len(payload)])
        self.story.do(ndis.FORWARD, result=ndis.PENDING, target=self.context, lists=(segment,))
        return segment

    # --- the end ---------------------------------------------------------------------------------------

    def terminating(self, *, whole: bool = False) -> Tree:
        """MiniportTerminateOffload of the connection, or of path and neighbor with it."""
        blank: dict[str, Value] = dict.fromkeys(self.tcp_delegated())
        node = self.tcp_node(None, self.context, delegated=blank)
        tree = self.nodes(None, False, delegated=blank) if whole else Tree(node.ident, {node.ident: node})
        self.story.do(ndis.TERMINATE, tree=tree)
        return tree

    def terminated(
        self, *, status: int = 0, whole: bool = False, node: Mapping[str, Any] | None = None, **state: Any
    ) -> None:
        """Its completion; ``state`` are the delegated variables that differ from the hand-over."""
        tcp = {"delegated": self.tcp_delegated(**state), **(node or {})}
        done = self.tcp_node(status, self.context, **tcp)
        tree = self.nodes(status, False, **tcp) if whole else Tree(done.ident, {done.ident: done})
        self.story.do(ndis.TERMINATED, target=1, tree=tree)

    def terminate(self, **rest: Any) -> None:
        """Both, one tick apart."""
        self.terminating(whole=rest.get("whole", False))
        self.story.wait(1)
        self.terminated(**rest)

    def query(self, meanwhile: Callable[[], object] = lambda: None, **state: Any) -> None:
        """A query of the connection, and its answer behind what happens meanwhile."""
        node = self.tcp_node(None, self.context, delegated=dict.fromkeys(self.tcp_delegated()))
        self.story.do(ndis.QUERY, tree=Tree(node.ident, {node.ident: node}))
        meanwhile()
        self.story.wait(1)
        backlog = {"send_backlog_size": ndis.NOT_RUNNING, "receive_backlog_size": ndis.NOT_RUNNING}
        node = replace(node, status=0, delegated={**self.tcp_delegated(**state), **backlog})
        self.story.do(ndis.QUERIED, tree=Tree(node.ident, {node.ident: node}))

    def update(self, cached: Mapping[str, Value], *, complete: bool = True) -> Tree:
        """An update of CACHED variables, completed unless told."""
        node = self.tcp_node(None, self.context, cached={**self.tcp_cached(), **cached})
        tree = Tree(node.ident, {node.ident: node})
        self.story.do(ndis.UPDATE, tree=tree)
        after = Tree(node.ident, {node.ident: replace(node, status=0)})
        if complete:
            self.story.wait(1)
            self.story.do(ndis.UPDATED, tree=after)
        return after


def run(monitor: Monitor, story: Story) -> Monitor:
    """Feed the whole story."""
    for record in story.records:
        monitor.feed(record)
    monitor.finish()
    return monitor


def survives_cuts(monitor: type[Monitor], story: Story) -> bool:
    """Feed the story once without each of its records, and once backwards: whatever it says, it must not stumble."""
    for left_out in range(len(story.records)):
        run(monitor(), Story(records=story.records[:left_out] + story.records[left_out + 1 :]))
    run(monitor(), Story(records=story.records[::-1]))
    return True


def first_breach(monitor: Monitor) -> str | None:
    """The rule that was broken first."""
    return monitor.breaches[0].rule if monitor.breaches else None
