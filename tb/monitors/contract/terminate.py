"""Section 9.11 but for what the nodes hand back (`terminate_state`): order of calls, requests, frames, resources."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_books import Book, BooksMonitor
from tb.monitors.contract.connection_parts import Connection, Phase, Thing, payload_of, walk, whole
from tb.monitors.contract.terminate_state import TerminatedState
from tb.monitors.contract.trace import Counters, Enter, Frame, Node, PassedUp, Record
from tb.monitors.wire_headers import ACK, WireSegment, read_segment

__all__ = ["NOT_APPLICABLE", "TerminateCalls", "TerminatedState"]

NOT_APPLICABLE: Final[dict[str, str]] = {}
"""Every rule of the section shows in the trace."""

_RACE: Final = 1
"""Ticks after which a frame that was on its way when the terminate completed has left."""
_SETTLE: Final = 16
"""Ticks that a received frame may take to be passed up."""
_REMEMBERED: Final = 256
_LEVELS: Final = {"neighbors": ndis.NEIGHBOR_LEVEL, "paths": ndis.PATH_LEVEL, "connections": ndis.TCP_LEVEL}
_RESTING: Final = (ndis.QUERY, ndis.UPDATE, ndis.INVALIDATE)


@dataclass(eq=False)
class _Late:
    """A segment that came in after the terminate call."""

    ending: _Ending
    start: int
    end: int
    tick: int
    after: bool
    """It came in after the completion: nobody but the host may have it."""
    passed: bool = False


@dataclass(eq=False)
class _Ending:
    """A terminate of one connection."""

    connection: Connection
    sends: bool
    others: bool
    in_order: int
    late: list[_Late] = field(default_factory=list)
    reported: int | None = None
    """The place of RcvNxt that the target handed back."""

    def limit(self) -> int:
        """How far RcvNxt may be if nothing was processed that was passed up, too."""
        reach = self.in_order
        for late in sorted(self.late, key=lambda late: late.start):
            if not late.passed and late.start <= reach < late.end:
                reach = late.end
        return reach


class TerminateCalls(BooksMonitor):
    """Terminate calls of the host, and what the target does before, until and after their completion."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-230": "a connection is terminated when its queries, updates, invalidates are complete, its calls returned",
        "CH-231": "a path or neighbor is terminated with all that depends on it, or when nothing does",
        "CH-232": "every terminate completes, whatever the TCP state",
        "CH-233": "every request of the connection is back before the terminate completes",
        "CH-234": "no event or indication of the connection is in progress when the terminate completes",
        "CH-235": "nothing names the connection after its terminate completed",
        "CH-236": "a send list comes back once: by its completion or in NetBufferListChain",
        "CH-237": "NetBufferListChain holds send lists of this connection alone, in their order",
        "CH-244": "segments after the terminate are passed up when it is complete, not processed and not answered",
        "CH-249": "FAILURE is written only on an object that is lost",
        "CH-250": "resources are free once the terminate completed, and held until then",
        "CH-251": "an uploaded connection that is offloaded again goes on with the next byte",
        "CH-252": "path and neighbor stay offloaded when their last dependent is terminated",
    }

    def __init__(self) -> None:
        super().__init__()
        self._endings: dict[Connection, _Ending] = {}
        self._late: dict[bytes, list[_Late]] = {}
        self._orphans: list[Thing] = []
        self._ended = 0
        self._dropped: int | None = None
        """Frames that the target counted as dropped; None where it does not count them."""
        self._broken: set[Connection] = set()
        """Connections for which HardwareFailure was raised."""
        self._lost = 0
        self._before: deque[tuple[int, bytes]] = deque(maxlen=_REMEMBERED)
        """Frames that came in of late for connections that are not under terminate, with their ticks."""

    def looks(self, record: Record, book: Book) -> None:
        """Check."""
        if isinstance(record, Enter):
            if record.function == ndis.TERMINATE and self.books.topmost(record):
                self._host(record, book)
            if record.layer == 0:
                self._enter(record, book)
        elif isinstance(record, Frame):
            self._frame(record, book)
        elif isinstance(record, PassedUp):
            self._passed_up(record, book)
        elif isinstance(record, Counters):
            self._counters(record, book)

    def finish(self) -> None:
        """Terminates that never completed, frames that nobody got."""
        for book in self.books.all():
            for connection in book.connections:
                if book.layer == 0 and connection.phase is Phase.TERMINATING:
                    state = whole(connection.delegated, "state")
                    self.breach("CH-232", f"the terminate of {connection.context} (offloaded in state {state}) is lost")
        self._count_lost()
        if self._dropped is not None and self._lost > self._dropped:
            self.breach("CH-244", f"{self._lost} segments of ended connections were not passed up")

    # --- the host's duties -----------------------------------------------------------------------------

    def _host(self, record: Enter, book: Book) -> None:
        if record.tree is None:
            return
        named = [thing for _, thing in book.named(record.tree)]
        for thing in named:
            if isinstance(thing, Connection):
                pending = [c.function for c in book.calls.values() if thing in c.connections]
                pending += [
                    call.function
                    for call in book.open.values()
                    if call.target == thing.context and call.function in (ndis.RECEIVE, ndis.DISCONNECT)
                ]
                if thing.touched & {*_RESTING, ndis.RECEIVE, ndis.DISCONNECT}:
                    pending = [function for function in pending if function != ndis.TERMINATE]
                    self.check("CH-230", not pending, f"{thing.context} is terminated with {pending} under way")
            else:
                left = [child.context for child in thing.children if child not in named]
                self.check("CH-231", not left, f"{thing.context} is terminated, {left} depend on it")

    # --- calls at the target's face --------------------------------------------------------------------

    def _enter(self, record: Enter, book: Book) -> None:
        function = record.function
        if function == ndis.TERMINATE and record.tree is not None:
            for _, thing in book.named(record.tree):
                if isinstance(thing, Connection) and thing.phase is Phase.RUNNING:
                    self._begin(thing, book)
        elif function == ndis.TERMINATED and record.tree is not None:
            self._terminated(record, book)
        elif function in ndis.COMPLETIONS:
            self._completion(record, book)
        elif function in (ndis.EVENT, ndis.INDICATE):
            connection = book.of_handle(record.target)
            if connection is not None and connection.phase is Phase.GONE:
                self.breach("CH-235", f"{function} names {connection.context}, whose terminate has completed")
            elif connection is not None and record.info == ndis.HARDWARE_FAILURE and function == ndis.EVENT:
                self._broken.add(connection)
        elif function == ndis.INITIATED and record.tree is not None:
            self._initiated(record, book)
        elif function == ndis.INITIATE and record.tree is not None:
            self._initiate(record)

    def _begin(self, connection: Connection, book: Book) -> None:
        pending = any(connection in call.connections for call in book.calls.values())
        others = pending or any(request.kind != "send" for request in connection.requests.values())
        sends = bool(connection.outstanding("send"))
        self._endings[connection] = _Ending(connection, sends, others, connection.in_order)

    def _completion(self, record: Enter, book: Book) -> None:
        for nbl in record.lists:
            request = book.request(nbl.ident, ndis.COMPLETIONS[record.function])
            connection = None if request is None else request.connection
            if request is None or connection is None:
                continue
            if connection.phase is Phase.GONE:
                self.breach("CH-235", f"list {nbl.ident} of {connection.context} completes after its terminate")
            elif connection.phase is Phase.TERMINATING and request.kind == "send" and request.returned:
                self.breach("CH-236", f"list {nbl.ident} completes a second time")

    def _terminated(self, record: Enter, book: Book) -> None:
        tree = record.tree
        if tree is None or tree.root not in book.calls:
            return
        named = book.ended(tree)
        for node, thing in named:
            if isinstance(thing, Connection):
                self._ended += 1
                self.trigger("CH-232")
                self._requests(thing, node, book)
                if thing.touched & {ndis.EVENT, ndis.INDICATE}:
                    self.check("CH-234", not thing.calls, f"{thing.calls} calls up of {thing.context} are in progress")
                self.trigger("CH-235")
                ending = self._endings.get(thing)
                if ending is not None and node.status == ndis.SUCCESS and node.delegated is not None:
                    ending.reported = thing.receive_place(whole(node.delegated, "rcv_nxt"))
                    self._twice(ending)
            self._failure(thing, node, book)
        ended = [thing for _, thing in named]
        for _, thing in named:
            above = thing.parent
            if above is not None and above.live and above not in ended and all(c in ended for c in above.children):
                self._orphans += [] if above in self._orphans else [above]

    def _requests(self, connection: Connection, node: Node, book: Book) -> None:
        ending = self._endings.get(connection)
        if ending is None:
            return
        chained = [nbl.ident for nbl in node.chain]
        if node.chain:
            self._chain(connection, chained, book)
        left = [r for r in connection.requests.values() if r.kind != "send" or r.nbl.ident not in chained]
        calls = [c.function for c in book.calls.values() if connection in c.connections and c.function in _RESTING]
        if ending.others or left or calls:
            what = [f"{r.kind} {r.nbl.ident}" for r in left] + calls
            self.check("CH-233", not what, f"not back when the terminate of {connection.context} completes: {what}")
        if ending.sends:
            sends = [book.request(ident, "send") for ident in chained]
            again = [r.nbl.ident for r in sends if r is not None and r.returned and r.connection is connection]
            twice = len(chained) != len(set(chained))
            self.check("CH-236", not again and not twice, f"chained although completed, or twice: {again or chained}")

    def _chain(self, connection: Connection, chained: list[int], book: Book) -> None:
        numbers: list[int] = []
        foreign: list[int] = []
        for ident in chained:
            request = book.request(ident, "send")
            if request is None or request.connection is not connection:
                foreign.append(ident)
            else:
                numbers.append(request.number)
        in_order = numbers == sorted(numbers)
        text = f"{foreign} are no sends of {connection.context}" if foreign else f"{chained} are out of order"
        self.check("CH-237", not foreign and in_order, text)

    def _failure(self, thing: Thing, node: Node, book: Book) -> None:
        if node.status != ndis.FAILURE:
            return
        known = thing in self._broken if isinstance(thing, Connection) else bool(self._broken)
        self.check("CH-249", known, f"{thing.context} comes back FAILURE, no HardwareFailure was raised")

    # --- segments --------------------------------------------------------------------------------------

    def _frame(self, record: Frame, book: Book) -> None:
        found = book.of_frame(record)
        if found is None:
            return
        connection, seg = found
        if record.sent:
            if not record.raw:
                self._spoken(connection, seg, record)
            return
        ending = self._endings.get(connection)
        if ending is None or connection.phase not in (Phase.TERMINATING, Phase.GONE):
            self._before.append((record.tick, record.data))
            return
        start = connection.receive_place(seg.sequence)
        gone = connection.phase is Phase.GONE
        late = _Late(ending, start, start + seg.payload_length, record.tick, gone)
        ending.late.append(late)
        self._late.setdefault(record.data, []).append(late)

    def _count_lost(self) -> None:
        settled = self._now.tick - _SETTLE
        waiting = [late for entries in self._late.values() for late in entries]
        self._lost += sum(late.after and late.tick <= settled for late in waiting)
        self._late.clear()

    def _spoken(self, connection: Connection, seg: WireSegment, record: Frame) -> None:
        if connection.phase is Phase.GONE:
            if record.tick > connection.ended + _RACE:
                self.breach("CH-244", f"a frame of {connection.context} is sent after its terminate")
            return
        if connection.times < 2 or not (seg.payload_length > 1 or seg.flags & ACK):
            return
        start = connection.send_place(seg.sequence)
        gap = start - connection.sent_max
        known = connection.sent_bytes(start, seg.payload_length) if seg.payload_length > 1 else None
        same = known is None or known == payload_of(record.data, seg)
        back = -connection.receive_place(seg.acknowledgment) if seg.flags & ACK else 0
        text = (
            f"offloaded again: {gap} bytes left out, ACK {back} below the hand-over" if same else "other bytes are sent"
        )
        self.check("CH-251", gap <= 0 and same and back <= 0, text)

    def _passed_up(self, record: PassedUp, book: Book) -> None:
        if record.layer == 0:
            self._not_too_soon(record, book)
        waiting = self._late.get(record.data)
        late = waiting.pop(0) if waiting else None
        if not waiting:
            self._late.pop(record.data, None)
        if late is not None:
            late.passed = True
            self.trigger("CH-244")
            if late.end > late.start:
                self._twice(late.ending)

    def _not_too_soon(self, record: PassedUp, book: Book) -> None:
        """What goes up of a connection under terminate waits for the completion (CH-204 for urgent data, all here).

        A frame that was on its way up as the host called may be seen up to `_RACE` ticks behind the call.
        """
        seg = read_segment(record.data)
        connection = book.flows.get((seg.destination, seg.source)) if seg is not None and seg.sums_right else None
        if connection is None or connection.phase is not Phase.TERMINATING:
            return
        begun = connection.terminate_tick
        came_behind = bool(self._late.get(record.data))
        copied = any(data == record.data and tick >= begun - _SETTLE for tick, data in self._before)
        soon = (came_behind and not copied) or record.tick > begun + _RACE
        if soon:
            text = f"a frame of {connection.context} went up {record.tick - begun} ticks behind the terminate call"
            self.breach("CH-244", f"{text}, before the completion")

    def _twice(self, ending: _Ending) -> None:
        if ending.reported is not None and any(late.passed for late in ending.late):
            over = ending.reported - ending.limit()
            if over > 1:
                self.breach("CH-244", f"{over} bytes of {ending.connection.context} were processed and passed up")

    # --- resources -------------------------------------------------------------------------------------

    def _initiate(self, record: Enter) -> None:
        """Segments on their way now may be of the new offload."""
        self._count_lost()
        for connection in [c for c in self._endings if c.phase is Phase.GONE and c.ended < record.tick - _SETTLE]:
            del self._endings[connection]

    def _initiated(self, record: Enter, book: Book) -> None:
        call = book.calls.get(record.tree.root) if record.tree is not None else None
        if record.tree is None or call is None:
            return
        for node, _ in walk(record.tree):
            entered = call.tree.nodes.get(node.ident)
            if entered is None or entered.location is None or node.context is None:
                continue
            held = book.things.get(node.context)
            if entered.context is None and node.context in book.contexts_seen:
                self.check(
                    "CH-250", held is None, f"context {node.context} is given away while its object is offloaded"
                )
            if entered.context is not None and held is not None and held in self._orphans:
                if node.status in ndis.OFFLOADED:
                    self.trigger("CH-252")
                self._orphans.remove(held)

    def _counters(self, record: Counters, book: Book) -> None:
        self._dropped = record.used.get("dropped_frames", self._dropped)
        self._orphans = [thing for thing in self._orphans if thing.live]
        coming = [t for call in book.calls.values() for t in call.things if t.phase is Phase.OFFLOADING]
        for name, level in _LEVELS.items():
            if name not in record.used:
                continue
            used = record.used[name]
            live = [thing for thing in book.things.values() if thing.level == level]
            running = sum(thing.phase is Phase.RUNNING for thing in live)
            most = len(live) + sum(thing.level == level for thing in coming)
            if any(thing.level == level for thing in self._orphans):
                self.check("CH-252", used >= running, f"{used} {name} are held, {running} are offloaded")
            if self._ended:
                self.check("CH-250", running <= used <= most, f"{used} {name} are held, {running} to {most} offloaded")
