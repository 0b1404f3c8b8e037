"""Section 9.3, receive data: what the host hands over buffered, and when the target may indicate.

The content of a receive completion is compared where its lists bring ``data`` of as many bytes as were transferred.
Setting ``buffered_data_room``: bytes of BufferedData that the target has memory for at this moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.offload_books import Face, Offloaded, Stage, depth_first, difference, number, payload_in
from tb.monitors.contract.offload_monitor import BookMonitor
from tb.monitors.contract.trace import Enter, Frame, Leave, List, Node, Record, Tree
from tb.monitors.wire_headers import WireSegment

_NEWER_KEPT: Final = 4096
"""Bytes of the stream from RcvNxt that are kept, to tell newer data from damaged data."""
_RETURN: Final = ndis.RETURN


@dataclass(eq=False)
class _Stream:
    """What the client of a connection got since the hand-over, and what it must get first."""

    connection: Offloaded
    total: int
    """Bytes inherited."""
    data: bytes | None
    """The inherited bytes, if the trace has them all."""
    delivered: int = 0
    newer: bytearray = field(default_factory=bytearray)
    asking: int = 0
    """Indications that the host has not answered."""

    def waiting(self) -> bool:
        """Inherited data is left."""
        return self.delivered < self.total


class InitiateReceive(BookMonitor):
    """BufferedData, and indications around the end of an initiate."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-051": "inherited data is delivered as it was at the call, and never out of the host's buffers",
        "CH-052": "a connection whose BufferedData finds no memory ends FAILURE",
        "CH-053": "inherited data ends at RcvNxt - 1: what was delivered and what goes up again end at the new RcvNxt",
        "CH-054": "inherited data waits for posted receives, and fills them before newer data",
        "CH-055": "inherited data that the posted receives do not take is indicated before newer data",
        "CH-056": "nothing is indicated before the initiate completion has returned",
        "CH-057": "segments that come in before that are not indicated either",
    }

    def __init__(self) -> None:
        super().__init__()
        self._streams: dict[Offloaded, _Stream] = {}
        self._asked: dict[tuple[Face, int], tuple[_Stream, int]] = {}
        self._hosts_lists: dict[Face, set[int]] = {}
        self._hosts_memory: dict[Face, set[int]] = {}
        """NBLs and MDLs that carried BufferedData, until the host uses them again."""

    def see(self, face: Face, record: Record) -> None:
        """Follow the receive streams of the target's face."""
        if face.layer != 0:
            return
        if isinstance(record, Enter):
            self._entered(face, record)
        elif isinstance(record, Leave):
            for connection in face.returning.get(record.call, ()):
                if connection.level == ndis.TCP_LEVEL and connection.heard:
                    self.trigger("CH-057")
            self._answered(face, record)
        elif isinstance(record, Frame) and not record.sent and (found := face.of_frame(record)) is not None:
            connection, segment = found
            if connection.buffered and segment.payload_length and connection.stage is not Stage.GONE:
                self._arrived(self._stream(connection), segment, record.data)

    @staticmethod
    def _arrived(stream: _Stream, segment: WireSegment, frame: bytes) -> None:
        start = difference(segment.sequence, number(stream.connection.delegated, "rcv_nxt"))
        if stream.waiting() and 0 <= start <= len(stream.newer) < _NEWER_KEPT:
            stream.newer[start:] = payload_in(frame, segment)

    def _entered(self, face: Face, record: Enter) -> None:
        if record.function == ndis.INDICATE:
            self._indicated(face, record)
        elif record.function == ndis.COMPLETION_OF["receive"]:
            for nbl in record.lists:
                owned = face.owned.get(nbl.ident)
                if owned is not None and owned.kind == "receive" and owned.owner is not None:
                    count = nbl.transferred or 0
                    content = nbl.data if len(nbl.data) == count else None
                    self._deliver(self._stream(owned.owner), count, content, "CH-054")
        elif record.function == ndis.INITIATED and record.tree is not None:
            self._initiated(face, record, record.tree)
        elif record.function == ndis.TERMINATED and record.tree is not None:
            for node, _ in depth_first(record.tree):
                found = face.terminated(record.tree, node)
                if found is not None and found.level == ndis.TCP_LEVEL:
                    self._terminated(face, found, node)
        if record.function == ndis.INITIATE and record.tree is not None:
            self._used_again(face, (nbl for node in record.tree.nodes.values() for nbl in node.chain))
        elif record.function in ndis.REQUESTS or record.function == _RETURN:
            self._used_again(face, record.lists)

    # --- memory of the host ----------------------------------------------------------------------------

    def _used_again(self, face: Face, lists: Iterable[List]) -> None:
        names, memory = self._hosts_lists.get(face), self._hosts_memory.get(face)
        if names is None or memory is None:
            return
        for nbl in lists:
            names.discard(nbl.ident)
            memory.difference_update(ident for buffer in nbl.buffers for ident, _ in buffer.mdls)

    def _borrowed(self, face: Face, lists: Iterable[List]) -> None:
        names, memory = self._hosts_lists.get(face, set()), self._hosts_memory.get(face, set())
        for nbl in lists:
            used = [ident for buffer in nbl.buffers for ident, _ in buffer.mdls if ident in memory]
            if nbl.ident in names or used:
                self.breach("CH-051", f"NBL {nbl.ident} hands up the host's own buffers of BufferedData")

    # --- the call --------------------------------------------------------------------------------------

    def _initiated(self, face: Face, record: Enter, tree: Tree) -> None:
        call = face.state_call(record)
        room = face.settings.get("buffered_data_room")
        for ident, new in call.new.items() if call is not None else ():
            node = tree.nodes.get(ident)
            if node is None or not new.buffered:
                continue
            size = sum(nbl.data_length for nbl in new.buffered)
            if isinstance(room, int) and size > room:
                text = f"{size} bytes of BufferedData, memory for {room}, and node {ident} ends {node.status or 0:#x}"
                self.check("CH-052", node.status == ndis.FAILURE, text)
            if node.status in ndis.OFFLOADED:
                self._hosts_lists.setdefault(face, set()).update(nbl.ident for nbl in new.buffered)
                mdls = (mdl for nbl in new.buffered for buffer in nbl.buffers for mdl, _ in buffer.mdls)
                self._hosts_memory.setdefault(face, set()).update(mdls)

    def _stream(self, connection: Offloaded) -> _Stream:
        stream = self._streams.get(connection)
        if stream is None:
            total = sum(nbl.data_length for nbl in connection.buffered)
            data = b"".join(nbl.data for nbl in connection.buffered)
            stream = _Stream(connection, total, data if len(data) == total else None)
            self._streams[connection] = stream
        return stream

    # --- delivery --------------------------------------------------------------------------------------

    def _deliver(self, stream: _Stream, count: int, content: bytes | None, rule: str) -> None:
        """``count`` bytes go to the client; inherited ones must be the ones that were handed over."""
        if stream.waiting() and count:
            self._compare(stream, content, rule)
        stream.delivered += count

    def _compare(self, stream: _Stream, content: bytes | None, rule: str) -> None:
        if content is None or stream.data is None:
            return
        due = stream.data[stream.delivered :][: len(content)]
        got = content[: len(due)]
        if got == due:
            self.trigger("CH-051")
            self.trigger(rule)
            return
        newer = bytes(stream.newer[: len(got)])
        if newer and got.startswith(newer):
            self.breach(rule, f"newer data is delivered, {stream.total - stream.delivered} inherited bytes wait")
        else:
            at = stream.delivered + next(i for i, pair in enumerate(zip(got, due, strict=True)) if pair[0] != pair[1])
            self.breach("CH-051", f"inherited byte {at} is delivered with another value than it was handed over")

    def _indicated(self, face: Face, record: Enter) -> None:
        connection = face.by_handle.get(record.target) if record.target is not None else None
        if connection is None or connection.level != ndis.TCP_LEVEL:
            return
        stream = self._stream(connection)
        self._borrowed(face, record.lists)
        if not connection.published:
            early = "CH-057" if connection.heard else "CH-056"
            self.breach(early, "data is indicated before the initiate completion has returned")
        elif not stream.delivered and not stream.asking:
            self.trigger("CH-056")
        content = b"".join(nbl.data for nbl in record.lists)
        count = sum(nbl.data_length for nbl in record.lists)
        if stream.waiting() and count:
            text = f"{stream.total - stream.delivered} inherited bytes wait for a receive, and data is indicated"
            self.check("CH-054", connection.posts > 0, text)
            self._compare(stream, content if len(content) == count else None, "CH-055")
        stream.asking += 1
        self._asked[face, record.call] = stream, count

    def _answered(self, face: Face, record: Leave) -> None:
        asked = self._asked.pop((face, record.call), None)
        if asked is None:
            return
        stream, count = asked
        stream.asking -= 1
        stream.delivered += ndis.taken(count, record.result, record.consumed)

    # --- the end ---------------------------------------------------------------------------------------

    def _terminated(self, face: Face, connection: Offloaded, node: Node) -> None:
        stream = self._stream(connection)
        del self._streams[connection]
        aborted = connection.events.had(ndis.ABORT_EVENT)
        aborted |= any(flags & ndis.ABORTIVE for flags in connection.disconnects)
        if node.status != ndis.SUCCESS or not node.delegated or aborted or connection.stage is Stage.GONE:
            return
        self._borrowed(face, node.buffered)
        left = sum(nbl.data_length for nbl in node.buffered)
        content = b"".join(nbl.data for nbl in node.buffered)
        if stream.waiting() and left:
            self._compare(stream, content if len(content) == left else None, "CH-054")
        if not (stream.total or left) or "rcv_nxt" not in node.delegated or stream.asking:
            return
        begin, end = number(connection.delegated, "state"), number(node.delegated, "state")
        fins = {int(end in ndis.AFTER_PEER_FIN and begin not in ndis.AFTER_PEER_FIN)}
        if end == ndis.CLOSED:
            fins = {0, 1}  # a closed connection does not tell whether the peer's FIN counts (G-43)
        advanced = number(node.delegated, "rcv_nxt") - number(connection.delegated, "rcv_nxt")
        surplus = {(advanced - fin - (stream.delivered + left - stream.total)) % 2**32 for fin in fins}
        text = (
            f"{stream.total} bytes inherited, {stream.delivered} delivered, {left} handed up, "
            f"and RcvNxt advanced by {advanced % 2**32}"
        )
        self.check("CH-053", 0 in surplus, text)
