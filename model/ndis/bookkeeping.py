"""What the host can check of the contract by itself: every list back once, in order, with true counts.

One Ledger a connection. A breach raises ContractError, which names the CH rule of the NDIS sheet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from model.ndis.enums import TcpEventType
from model.ndis.netbuffer import NetBufferList, Owner
from model.ndis.offload_state import OffloadBlock, traverse
from model.ndis.status import LEGAL_STATUS, CompletionKind, NdisStatus


class ContractError(Exception):
    """The target broke the offload contract; the message begins with the rule."""


def require(condition: bool, rule: str, what: str) -> None:
    """Raise ContractError unless ``condition`` holds."""
    if not condition:
        raise ContractError(f"{rule}: {what}")


def check_status(kind: CompletionKind, status: NdisStatus | None) -> NdisStatus:
    """Table 4.2: the status must be written and legal for its call."""
    require(status is not None, "CH-022", f"{kind.value} came back without a status")
    legal = status is not None and status in LEGAL_STATUS[kind]
    require(legal, "table 4.2", f"{status!r} is not allowed for {kind.value}")
    return NdisStatus(status or 0)


#: What an intermediate driver without memory answers: the first list, and those behind it (8.4).
REFUSED_ABOVE = (NdisStatus.REQUEST_UPLOAD, NdisStatus.UPLOAD_REQUESTED)


@dataclass(frozen=True)
class Outstanding:
    """A list at the target, as it was when it left."""

    nbl: NetBufferList
    lengths: tuple[int, ...]
    offsets: tuple[int, ...]
    no_push: bool
    #: Data bytes when it left.
    length: int
    #: A disconnect that asks for an RST.
    abortive: bool = False
    #: Place among the lists of the connection, in the order they left.
    number: int = 0

    @classmethod
    def of(cls, nbl: NetBufferList, abortive: bool = False, number: int = 0) -> Outstanding:
        """Note lengths and offsets of a list."""
        return cls(
            nbl,
            tuple(nb.data_length for nb in nbl.net_buffers),
            tuple(nb.data_offset for nb in nbl.net_buffers),
            nbl.no_push,
            nbl.data_length,
            abortive,
            number,
        )

    def check_advance(self, rule: str) -> None:
        """Each NET_BUFFER advanced by its own share of TcpOffloadBytesTransferred, in order."""
        left = self.nbl.bytes_transferred
        require(0 <= left <= self.length, rule, f"{left} bytes transferred of a list of {self.length}")
        for nb, length, offset in zip(self.nbl.net_buffers, self.lengths, self.offsets, strict=True):
            delta = min(left, length)
            left -= delta
            moved = (nb.data_offset - offset, length - nb.data_length)
            require(
                moved == (delta, delta),
                rule,
                f"a NET_BUFFER advanced by {moved[0]} (length less by {moved[1]}), {delta} expected",
            )

    def placed(self) -> Iterator[tuple[int, int]]:
        """Scatter-gather elements of the bytes the target transferred in a one-NB list."""
        nb = self.nbl.first_net_buffer
        return nb.elements(self.offsets[0], self.nbl.bytes_transferred)


@dataclass
class Ledger:
    """Books of one connection, from initiate to terminate."""

    sends: deque[Outstanding] = field(default_factory=deque)
    receives: deque[Outstanding] = field(default_factory=deque)
    disconnects: deque[Outstanding] = field(default_factory=deque)
    forwards: list[Outstanding] = field(default_factory=list)
    #: Lists of an accepted indication or BufferedData that were not returned yet.
    indicated: list[NetBufferList] = field(default_factory=list)
    live: bool = False
    terminated: bool = False
    send_failed: bool = False
    aborted: bool = False
    #: An abortive disconnect was asked for; it completed with SUCCESS.
    abort_asked: bool = False
    reset_sent: bool = False
    disconnect_seen: bool = False
    #: Offloaded behind the peer's FIN with no data left: no event will tell of it, and requests end INVALID_STATE.
    fin_known: bool = False
    uploading: bool = False
    #: A receive ended short as only a FIN allows (G-17): no byte may follow.
    short_receive: bool = False
    refused: bool = False
    #: Of each kind the list that an intermediate driver refused first; nothing behind it is passed down (CH-256).
    refused_from: dict[CompletionKind, int] = field(default_factory=dict)
    _left: int = 0

    # ---- downward --------------------------------------------------------------------------

    def _leave(self, nbl: NetBufferList, abortive: bool = False) -> Outstanding:
        nbl.hand_over(Owner.HOST, Owner.TARGET)
        self._left += 1
        return Outstanding.of(nbl, abortive, self._left)

    def send(self, nbl: NetBufferList) -> None:
        """A send list leaves (a call or the initiate chain)."""
        self.sends.append(self._leave(nbl))

    def receive(self, nbl: NetBufferList) -> None:
        """A receive request leaves."""
        self.receives.append(self._leave(nbl))

    def disconnect(self, nbl: NetBufferList, abortive: bool = False) -> None:
        """A disconnect list leaves."""
        self.disconnects.append(self._leave(nbl, abortive))
        self.abort_asked = self.abort_asked or abortive

    def forward(self, nbl: NetBufferList) -> None:
        """A segment leaves (CH-168)."""
        require(self.live and not self.uploading, "CH-168", "a segment forwarded to a connection that is not offloaded")
        self.forwards.append(self._leave(nbl))

    # ---- upward ----------------------------------------------------------------------------

    def _returned(self, queue: deque[Outstanding], nbl: NetBufferList, rule: str) -> Outstanding:
        require(not self.terminated, "CH-235", "a completion after the terminate completed")
        require(bool(queue), rule, "a list came back that is not outstanding")
        head = self._refused_list(queue, nbl) or queue.popleft()
        require(head.nbl is nbl, rule, "a list came back out of order, twice, or to the wrong call")
        nbl.hand_over(Owner.TARGET, Owner.HOST)
        return head

    def _refused_list(self, queue: deque[Outstanding], nbl: NetBufferList) -> Outstanding | None:
        """A list that an intermediate driver refused: it may overtake those that are further down (G-14)."""
        if nbl.status not in REFUSED_ABOVE:
            return None
        found = next((out for out in queue if out.nbl is nbl), None)
        if found is None:
            return None
        queues = (self.sends, self.receives, self.disconnects)
        kinds = (CompletionKind.SEND, CompletionKind.RECEIVE, CompletionKind.DISCONNECT)
        kind = next(kind for kind, own in zip(kinds, queues, strict=True) if own is queue)
        first = kind not in self.refused_from
        require(first == (nbl.status is NdisStatus.REQUEST_UPLOAD), "CH-256", f"{nbl.status!r} out of turn")
        require(nbl.bytes_transferred == 0, "CH-256", "a refused list with bytes transferred")
        self.refused_from.setdefault(kind, found.number)
        queue.remove(found)
        return found

    def send_returned(self, nbl: NetBufferList, chained: bool = False) -> Outstanding:
        """A send list is back, by completion or (``chained``) in the terminate chain."""
        out = self._returned(self.sends, nbl, "CH-237" if chained else "CH-102")
        if chained:
            self.send_failed = True
            return out
        status = check_status(CompletionKind.SEND, nbl.status)
        if status in REFUSED_ABOVE:
            return out
        out.check_advance("CH-104")
        if status is NdisStatus.SUCCESS:
            require(not self.send_failed, "CH-105", "a send succeeded behind a failed one")
            require(not self.aborted, "G-29", "a send succeeded after the abort event")
            require(not self.reset_sent, "CH-182", "a send succeeded after an abortive disconnect")
            require(nbl.bytes_transferred == out.length, "CH-103", "SUCCESS without all bytes")
            above = out.number > self.refused_from.get(CompletionKind.SEND, out.number)
            require(not above, "CH-256", "a send was passed down behind a refused one")
        else:
            require(
                not self.send_failed or nbl.bytes_transferred == 0,
                "CH-106",
                "a second send with bytes behind a failed one",
            )
            self.send_failed = True
        return out

    def receive_returned(self, nbl: NetBufferList) -> Outstanding:
        """A receive request is back."""
        out = self._returned(self.receives, nbl, "CH-124")
        status = check_status(CompletionKind.RECEIVE, nbl.status)
        if status in REFUSED_ABOVE:
            return out
        out.check_advance("CH-136")
        got = nbl.bytes_transferred
        require(not (self.short_receive and got), "G-17", "data behind a request ended by the FIN")
        if status is NdisStatus.INVALID_STATE:
            told = self.disconnect_seen or self.fin_known
            require(told and got == 0, "CH-137", "INVALID_STATE before the disconnect event")
        if status is NdisStatus.SUCCESS:
            require(not self.aborted, "G-29", "a receive succeeded after the abort event")
            require(not self.reset_sent, "G-06", "a receive succeeded after an abortive disconnect")
            short = got < out.length and (out.no_push or (got == 0 and not nbl.prefilled))
            self.short_receive = self.short_receive or short
            self.refused = False  # it was posted inside the indication, or met it: step B comes behind it (5.6, G-28)
        return out

    def disconnect_returned(self, nbl: NetBufferList) -> Outstanding:
        """A disconnect list is back."""
        out = self._returned(self.disconnects, nbl, "CH-186")
        status = check_status(CompletionKind.DISCONNECT, nbl.status)
        if status in REFUSED_ABOVE:
            return out
        # At an upload the sends may follow in the terminate chain instead (6.4).
        chained = self.uploading and status is NdisStatus.UPLOAD_IN_PROGRESS
        earlier = any(send.number < out.number for send in self.sends)
        require(not earlier or chained, "CH-175", "the disconnect completed before earlier sends")
        if out.abortive:
            require(nbl.bytes_transferred == 0, "G-22", "an abortive disconnect with bytes transferred")
        out.check_advance("CH-178")
        if status is NdisStatus.SUCCESS:
            require(not self.aborted, "G-29", "a disconnect succeeded after the abort event")
            require(not self.reset_sent, "G-23", "a disconnect succeeded after an abortive one")
            whole = out.abortive or nbl.bytes_transferred == out.length
            require(whole, "CH-177", "SUCCESS without all bytes")
            self.reset_sent = out.abortive
        return out

    def forward_returned(self, nbl: NetBufferList) -> Outstanding:
        """A forwarded segment is back: in any order, once (CH-169)."""
        require(not self.terminated, "CH-235", "a completion after the terminate completed")
        found = next((out for out in self.forwards if out.nbl is nbl), None)
        if found is None:
            raise ContractError("CH-169: a forward came back that is not outstanding, or twice")
        self.forwards.remove(found)
        nbl.hand_over(Owner.TARGET, Owner.HOST)
        check_status(CompletionKind.FORWARD, nbl.status)
        return found

    def indication(self, nbl: NetBufferList, status: NdisStatus) -> int:
        """An indication arrives; returns its bytes. The host owns the list until it answers."""
        require(self.live, "CH-056", "an indication before the initiate completed")
        require(not self.terminated, "CH-235", "an indication after the terminate completed")
        require(status is NdisStatus.SUCCESS, "CH-148", f"indicated with {status!r}")
        single = nbl.next is None and len(nbl.net_buffers) == 1
        require(single, "CH-147", "an indication must be one NBL with one NB")
        require(not self.refused, "CH-151", "refused data indicated before a receive was posted")
        require(nbl.data_length > 0, "CH-147", "an empty indication")
        require(not self.short_receive, "G-17", "data behind a request ended by the FIN")
        require(not self.disconnect_seen, "CH-190", "data after the disconnect event")
        nbl.hand_over(Owner.TARGET, Owner.HOST)
        return nbl.data_length

    def answer(self, nbl: NetBufferList, status: NdisStatus) -> None:
        """The host's answer: an accepted list stays, any other goes back at once (CH-149, CH-150)."""
        check_status(CompletionKind.INDICATE, status)
        if status is NdisStatus.SUCCESS:
            self.indicated.append(nbl)
        else:
            nbl.hand_over(Owner.HOST, Owner.TARGET)
            self.refused = True

    def buffered(self, nbl: NetBufferList) -> None:
        """A BufferedData list came up at terminate (CH-242)."""
        nbl.hand_over(Owner.TARGET, Owner.HOST)
        self.indicated.append(nbl)

    def receive_return(self, nbl: NetBufferList) -> None:
        """An indicated list goes back to the target."""
        require(nbl in self.indicated, "CH-157", "a list returned that was not indicated")
        self.indicated.remove(nbl)
        nbl.hand_over(Owner.HOST, Owner.TARGET)

    def event(self, event: TcpEventType) -> None:
        """A TCP event arrives."""
        require(self.live, "CH-056", "an event before the initiate completed")
        require(not self.terminated, "CH-235", "an event after the terminate completed")
        if event is TcpEventType.DISCONNECT:
            require(not self.disconnect_seen, "CH-191", "a second disconnect event")
            self.disconnect_seen = True
        if event is TcpEventType.ABORT:
            require(not self.aborted, "CH-193", "a second abort event")
            require(not self.reset_sent, "7.4", "an abort event after an abortive disconnect")
            self.aborted = True

    def terminate_completed(self) -> None:
        """The terminate completed: everything must be back (CH-233)."""
        for name, queue in (
            ("sends", self.sends),
            ("receives", self.receives),
            ("disconnects", self.disconnects),
            ("forwards", self.forwards),
        ):
            require(not queue, "CH-233", f"{len(queue)} {name} outstanding when terminate completed")
        self.terminated = True
        self.live = False


@dataclass(frozen=True)
class BlockImage:
    """The fields of a node a target must leave alone."""

    node: OffloadBlock
    fields: tuple[object, ...]
    #: Const and cached structure: written by a query alone (CH-247).
    state: tuple[object, object]

    @classmethod
    def of(cls, node: OffloadBlock) -> BlockImage:
        """Note them."""
        return cls(
            node,
            (
                node.type,
                node.next_block,
                node.dependent_block_list,
                node.port_number,
                node.ndis_offload_handle,
                node.source_handle,
                node.ndis_reserved,
                node.protocol_reserved,
                node.im_reserved,
                node.miniport_offload_context,
            ),
            (node.const, node.cached),
        )


@dataclass
class TreeBooks:
    """State calls in progress, by root."""

    _calls: dict[int, tuple[OffloadBlock, list[BlockImage], list[int | None]]] = field(default_factory=dict)

    @property
    def in_progress(self) -> int:
        """State calls not completed yet."""
        return len(self._calls)

    def called(self, root: OffloadBlock) -> None:
        """A state call goes down with this tree."""
        nodes = list(traverse(root))
        for node in nodes:
            node.status = None
        images = [BlockImage.of(node) for node in nodes]
        self._calls[id(root)] = (root, images, [node.context for node in nodes])

    def completed(self, root: OffloadBlock, kind: CompletionKind) -> None:
        """It came back: same root, once, all statuses written, nothing else touched."""
        call = self._calls.pop(id(root), None)
        require(call is not None, "CH-021", f"{kind.value} completed twice or with another root")
        if call is None:
            return
        for image, before in zip(call[1], call[2], strict=True):
            status = check_status(kind, image.node.status)
            untouched = BlockImage.of(image.node).fields == image.fields
            require(untouched, "CH-023/024", "fields of a node changed during the call")
            kept = kind is CompletionKind.QUERY or BlockImage.of(image.node).state == image.state
            require(kept, "CH-029/030/247", "const or cached state of a node changed during the call")
            written = image.node.context != before
            if kind is CompletionKind.INITIATE and not status.offloaded:
                require(not written, "CH-048", "a context was written for a failed object")
