"""Section 9.3, send data: the chain that the host hands over, before what it sends later.

Places count bytes from SndUna of the hand-over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.offload_books import Face, Offloaded, depth_first, difference, number, payload_in
from tb.monitors.contract.offload_monitor import BookMonitor
from tb.monitors.contract.trace import Enter, Frame, Node, Record
from tb.monitors.wire_headers import ACK, RST, SYN, WireSegment

_ACK_TICKS: Final = 5
"""An ACK that came in twice, the second time so long ago, has been dealt with."""
_LATER_KEPT: Final = 4096
"""Bytes of later sends that are kept, to compare what follows the chain."""
_SURE_TICKS: Final = 5
"""A retransmit timer with more than this left has not run out."""


@dataclass(eq=False)
class _Handover:
    """The send stream of a connection, from its hand-over until all that was inherited has gone out."""

    una: int
    nxt: int
    """Places of SndNxt and SndMax of the hand-over."""
    max: int
    next: int
    """Place behind what was sent, as far as transmission from SndNxt on has come."""
    chained: int
    """Bytes in the chain."""
    chain: bytes | None
    later: bytearray = field(default_factory=bytearray)
    later_known: bool = True
    sent: int = 0
    frames: int = 0
    acks: deque[tuple[int, int]] = field(default_factory=deque)
    """Tick and place of ACKs that came in lately."""
    acked: int = 0
    """The highest place that came in: with it the peer may have taken bytes from SndNxt on, sent before."""
    best: int = 0
    confirmed: int = 0
    """The highest place, and the second highest, of ACKs that came in some ticks ago."""

    def place(self, sequence: int) -> int:
        """Place of a sequence number near what was sent last."""
        return self.sent + difference(sequence, self.una + self.sent)

    def acknowledged(self, tick: int) -> int:
        """Bytes that were in flight at the hand-over and must count as acknowledged."""
        while self.acks and self.acks[0][0] < tick - _ACK_TICKS:
            place = self.acks.popleft()[1]
            if place >= self.best:
                self.best, self.confirmed = place, self.best
            else:
                self.confirmed = max(self.confirmed, place)
        return min(self.confirmed, self.nxt)


class InitiateSend(BookMonitor):
    """NetBufferListChain, SndUna, SndNxt, SndMax."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-050": "every NBL of the chain comes back, by a send completion or in the terminate chain",
        "CH-069": "transmission goes on at SndNxt, without a gap up to SndMax and beyond",
        "CH-070": "bytes from SndUna to SndNxt are in flight: what the peer acknowledges of them is not sent again",
        "CH-071": "the byte numbered SndUna is the first byte of the chain",
        "CH-072": "the bytes of the chain go before the bytes of later sends",
    }

    def __init__(self) -> None:
        super().__init__()
        self._flows: dict[Offloaded, _Handover] = {}

    def see(self, face: Face, record: Record) -> None:
        """Follow the send streams of the target's face."""
        if face.layer != 0:
            return
        if isinstance(record, Frame):
            found = face.of_frame(record) if not record.raw else None
            flow = self._flows.get(found[0]) if found is not None else None
            if found is not None and flow is not None:
                if record.sent:
                    self._sent(face, found[0], flow, found[1], record)
                elif not found[0].troubled:
                    self._heard(flow, found[1], record.tick)
        elif isinstance(record, Enter):
            if record.function in (ndis.SEND, ndis.DISCONNECT):
                self._later(face, record)
            elif record.function == ndis.FORWARD:
                self._forwarded(face, record)
            elif record.function == ndis.TERMINATED and record.tree is not None:
                for node, _ in depth_first(record.tree):
                    found_object = face.terminated(record.tree, node)
                    if found_object is not None and found_object.level == ndis.TCP_LEVEL:
                        self._terminated(face, found_object, node)

    def seen(self, face: Face, record: Record) -> None:
        """Take up connections when an initiate begins: they may send before it ends."""
        if face.layer != 0 or not isinstance(record, Enter) or record.tree is None:
            return
        if record.function == ndis.INITIATE:
            for new in face.calls[record.tree.root].new.values():
                if new.level == ndis.TCP_LEVEL and new.delegated:
                    self._flows[new] = self._handover(new)

    @staticmethod
    def _handover(new: Offloaded) -> _Handover:
        state = new.delegated
        una = number(state, "snd_una")
        nxt, top = (difference(number(state, name, una), una) for name in ("snd_nxt", "snd_max"))
        data = b"".join(nbl.data for nbl in new.chain)
        size = sum(nbl.data_length for nbl in new.chain)
        return _Handover(una, nxt, top, nxt, size, data if len(data) == size else None, sent=top)

    # --- what the host adds, what the peer says --------------------------------------------------------

    def _later(self, face: Face, record: Enter) -> None:
        connection = face.connection(record.target)
        flow = self._flows.get(connection) if connection is not None else None
        odd = record.function == ndis.DISCONNECT and record.flags not in ndis.DISCONNECTS
        if flow is None or odd or len(flow.later) >= _LATER_KEPT:
            return
        for nbl in record.lists:
            flow.later_known &= len(nbl.data) == nbl.data_length
            flow.later += nbl.data[: _LATER_KEPT - len(flow.later)]

    def _forwarded(self, face: Face, record: Enter) -> None:
        connection = face.connection(record.target)
        if connection is not None and connection in self._flows:
            self._flows[connection].frames += len(record.lists)

    @staticmethod
    def _heard(flow: _Handover, segment: WireSegment, tick: int) -> None:
        flow.frames += 1
        if segment.flags & (ACK | RST | SYN) != ACK:
            return
        place = flow.place(segment.acknowledgment)
        if place <= flow.max:
            flow.acked = max(flow.acked, place)
        if flow.confirmed < flow.nxt and 0 < place <= flow.sent:
            flow.acks.append((tick, place))

    # --- what the target sends -------------------------------------------------------------------------

    def _sent(self, face: Face, connection: Offloaded, flow: _Handover, segment: WireSegment, record: Frame) -> None:
        if segment.length == 0 or segment.flags & RST:
            return
        start = flow.place(segment.sequence)
        end = start + segment.length
        self._from_next(face, connection, flow, start, end, record.tick)
        acknowledged = flow.acknowledged(record.tick)
        if acknowledged and segment.payload_length > 1 and not connection.troubled:
            text = f"byte {start} is sent again, the peer acknowledged up to {acknowledged}"
            self.check("CH-070", start >= acknowledged, text)
        if flow.chained and segment.payload_length and start >= 0:
            payload = payload_in(record.data, segment)
            self._content(flow, start, payload)
        flow.sent = max(flow.sent, end)

    def _from_next(self, face: Face, connection: Offloaded, flow: _Handover, start: int, end: int, tick: int) -> None:
        if flow.next > flow.max:
            return
        rate, left = face.host_rate, number(connection.delegated, "retransmit_timeout_delta", ndis.NOT_RUNNING)
        if start > max(flow.next, flow.acked):
            self.breach("CH-069", f"transmission goes on at byte {start} from SndUna, not at {flow.next}")
        elif end > flow.next:
            self.trigger("CH-069")
        elif start < flow.nxt == flow.next and not flow.frames and rate is not None:
            waiting = max(flow.max, flow.chained) > flow.nxt
            waiting &= number(connection.delegated, "snd_wnd") > flow.nxt
            early = (tick - connection.began + _SURE_TICKS) * rate < left
            if waiting and early and left != ndis.NOT_RUNNING:
                self.breach("CH-069", f"transmission begins at byte {start} from SndUna, not at SndNxt ({flow.nxt})")
        flow.next = max(flow.next, end)

    def _content(self, flow: _Handover, start: int, payload: bytes) -> None:
        inside = payload[: max(0, flow.chained - start)]
        if inside and flow.chain is not None:
            due = flow.chain[start : start + len(inside)]
            later = bytes(flow.later[: len(inside)])
            if inside != due and later and inside.startswith(later):
                self.breach("CH-072", f"bytes of a later send go out at byte {start} of {flow.chained} inherited ones")
            else:
                self.check("CH-071", inside == due, f"byte {start} from SndUna is not byte {start} of the chain")
        behind = payload[len(inside) :]
        at = start + len(inside) - flow.chained
        if behind and flow.later_known and at < len(flow.later):
            due = bytes(flow.later[at : at + len(behind)])
            text = f"byte {at} behind the chain is not byte {at} of the later sends"
            self.check("CH-072", behind[: len(due)] == due, text)

    # --- the end ---------------------------------------------------------------------------------------

    def _terminated(self, face: Face, connection: Offloaded, node: Node) -> None:
        flow = self._flows.pop(connection, None)
        back = {nbl.ident for nbl in node.chain}
        for nbl in connection.chain:
            owned = face.owned.get(nbl.ident)
            kept = owned is not None and owned.inherited and owned.owner is connection and nbl.ident not in back
            self.check("CH-050", not kept, f"NBL {nbl.ident} of the initiate chain did not come back")
        if flow is None or not node.delegated or "snd_una" not in node.delegated or node.status != ndis.SUCCESS:
            return
        acknowledged = flow.acknowledged(self._now.tick)
        if acknowledged and not connection.disconnects and not connection.events:
            una = flow.place(number(node.delegated, "snd_una"))
            text = f"SndUna comes back at byte {una}, the peer acknowledged up to {acknowledged}"
            self.check("CH-070", una >= acknowledged, text)
