"""The coverage monitor: notes what was seen at the commit port and on the wire, after lockstep has compared it.

It must cost next to nothing while the simulation runs. So a record is cut to the few bits that matter by one mask and
put into a set; what these bits mean is worked out once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from model.device.memory import Contents
from model.layout.generated import (
    Cqe,
    CqKind,
    Csr,
    Dcb,
    DlvEvt,
    DlvMsg,
    Family,
    Opcode,
    PlOp,
    Plq,
    RecCq,
    RecDlv,
    RecRx,
    RecTcp,
    RecTx,
    RxReason,
    RxSeg,
    SgElem,
    Status,
    Tcb,
    TcpEventType,
    TcpEvt,
    TxAppend,
    TxKind,
    Txq,
    TxRecKind,
    Verdict,
)
from tb.coverage.space import ACCEPTED, GRANTED, LAPS, POSITIONS, SILENT, WIDTHS, levels, opcode_name, options
from tb.coverage.states import delivery_state_of, state_of

Place = tuple[int, int]
"""Lowest bit and width of a field."""
#: Group and values of a bin.
Hit = tuple[str, tuple[str, ...]]
LANE_MOST: Final = max(WIDTHS) // 8
REQUESTS: Final = 16
"""Receive requests of a connection: the depth of its ring (DeviceConfig.recvs)."""


def place(struct: type[Any], *path: Any) -> Place:
    """Where a field is in a packed struct; a path through inner structs: struct, field, struct, field ..."""
    fields: dict[str, Place] = struct.FIELDS
    lsb, width = fields[path[0]]
    if len(path) > 1:
        inner = place(path[1], *path[2:])
        return lsb + inner[0], inner[1]
    return lsb, width


def mask(places: Iterable[Place]) -> int:
    """Ones where the fields are."""
    found = 0
    for lsb, width in places:
        found |= (1 << width) - 1 << lsb
    return found


def get(value: int, at: Place) -> int:
    """The field of a packed value."""
    return value >> at[0] & (1 << at[1]) - 1


T_KIND, T_CONN, T_OPCODE, T_CAUSE = (place(RecTcp, name) for name in ("kind", "conn", "opcode", "cause"))
T_TICK, T_VERDICT = place(RecTcp, "tick"), place(RecTcp, "verdict")
T_PHASE, T_STATE = place(RecTcp, "tcb", Tcb, "phase"), place(RecTcp, "tcb", Tcb, "state")
T_RANGES, T_SCORE = place(RecTcp, "tcb", Tcb, "rr_n"), place(RecTcp, "tcb", Tcb, "sb_n")
T_SACKS = place(RecTcp, "rx", RxSeg, "sack_n")
T_TX0, T_TX0_KIND = place(RecTcp, "tx0_valid"), place(RecTcp, "tx0", Txq, "kind")
T_TX1 = place(RecTcp, "tx1_valid")
T_DLV, T_DLV_EVENT = place(RecTcp, "dlv_valid"), place(RecTcp, "dlv", DlvMsg, "event")
T_CPL, T_STATUS = place(RecTcp, "cpl_valid"), place(RecTcp, "cpl", Cqe, "status")
T_CPL_KIND = place(RecTcp, "cpl", Cqe, "kind")
T_LIST, T_COUNT = (
    place(RecTcp, "tx0", Txq, "body", TxAppend, "list_addr"),
    place(RecTcp, "tx0", Txq, "body", TxAppend, "count"),
)
TCP_MASK: Final = mask(
    (T_KIND, T_OPCODE, T_VERDICT, T_PHASE, T_STATE, T_RANGES, T_SCORE, T_SACKS, T_TX0, T_TX0_KIND, T_TX1, T_DLV,
     T_DLV_EVENT, T_CPL, T_CPL_KIND, T_STATUS)
)  # fmt: skip
TCB_LSB: Final = RecTcp.FIELDS["tcb"][0]
STATE_MASK: Final = mask((Tcb.FIELDS["phase"], Tcb.FIELDS["state"]))
LOW_MASK: Final = (1 << RecTcp.FIELDS["rx"][0]) - 1
AGREED: Final = mask(Tcb.FIELDS[name] for name in ("family", "snd_ws", "rcv_ws", *(f"{o}_en" for o in options())))

D_KIND, D_CONN = place(RecDlv, "kind"), place(RecDlv, "conn")
D_PLQ, D_OP = place(RecDlv, "plq_valid"), place(RecDlv, "plq", Plq, "op")
D_CQE, D_CQE_KIND = place(RecDlv, "plq", Plq, "cqe_valid"), place(RecDlv, "plq", Plq, "cqe", Cqe, "kind")
DCB_FLAGS: Final = ("loaded", "hold", "frozen", "aborted", "d", "refused")
DLV_MASK: Final = mask((D_KIND, D_PLQ, D_OP, D_CQE, D_CQE_KIND))
DCB_LSB: Final = RecDlv.FIELDS["dcb"][0]
DCB_MASK: Final = mask(Dcb.FIELDS[flag] for flag in DCB_FLAGS)
PLQ_LSB: Final = RecDlv.FIELDS["plq"][0]
REQ_LSB: Final = DCB_LSB + Dcb.FIELDS["req_head"][0]
REQ_MASK: Final = 0xFFFF
"""req_head and req_count, 8 bits each, side by side."""
P_OFFSET, P_LEN, P_SRC, P_DST = (place(Plq, name) for name in ("offset", "len", "src", "dst"))

C_INDEX, C_KIND = place(RecCq, "index"), place(RecCq, "cqe", Cqe, "kind")
C_STATUS, C_CODE = place(RecCq, "cqe", Cqe, "status"), place(RecCq, "cqe", Cqe, "code")
CQ_MASK: Final = mask((C_KIND, C_STATUS, C_CODE))
RX_MASK: Final = mask((RecRx.FIELDS["reason"],))
TX_MASK: Final = mask((RecTx.FIELDS["kind"],))

TCP_COMMAND, TCP_TIMER, TCP_CREDIT = int(TcpEvt.COMMAND), int(TcpEvt.TIMER), int(TcpEvt.CREDIT)
OBJECT_OPCODES: Final = frozenset(
    {Opcode.PATH_WRITE, Opcode.NEIGHBOR_WRITE, Opcode.PARAM_WRITE, Opcode.NEIGHBOR_ANSWER}
)
WITH_CODE: Final = frozenset({CqKind.COMMAND, CqKind.SEND, CqKind.RECEIVE, CqKind.RAW_TX, CqKind.FORWARD})
_OP_PLACE, _OP_COPY = int(PlOp.PLACE), int(PlOp.COPY)


class CoverageMonitor:
    """Takes records in their order, each after it was compared. ``contents``: host memory from ``base`` on."""

    def __init__(self, data_w: int, contents: Contents, base: int = 0) -> None:
        self.data_w = data_w
        #: Something diverged or began anew: nothing of this run counts.
        self.void = False
        self._lanes = data_w // 8
        self._contents = contents
        self._base = base
        self._sizes: dict[str, int] = {}
        self._tcp: set[tuple[int, int]] = set()
        self._objects: set[int] = set()
        self._next: set[tuple[int, int]] = set()
        self._fired: set[tuple[int, str]] = set()
        self._agreed: set[int] = set()
        self._dlv: set[tuple[int, int]] = set()
        self._requests: set[int] = set()
        self._cq: set[int] = set()
        self._rx: set[int] = set()
        self._tx: set[int] = set()
        self._ring: set[tuple[str, int, bool]] = set()
        self._lane: set[tuple[str, str, int]] = set()
        self._cq_lap = 0
        self.reset()

    def reset(self) -> None:
        """The device was reset: no connection, rings at their start."""
        self._records: dict[int, int] = {}
        self._states: dict[int, int] = {}
        self._dcbs: dict[int, int] = {}
        self._cq_lap = 0

    # ---- what is seen --------------------------------------------------------------------------

    def register_write(self, offset: int, value: int) -> None:
        """The driver wrote a register: sizes of rings."""
        if offset in (Csr.SQ_SIZE_LOG2, Csr.CQ_SIZE_LOG2):
            self._sizes[Csr(offset).name.removesuffix("_SIZE_LOG2")] = 1 << value

    def tcp(self, value: int, of_connection: bool = True) -> None:
        """A commit of tcp_engine. ``of_connection``: as the event has it, False of paths, neighbors, parameters.

        A record does not say so: QUERY and INVALIDATE of object 1 and of a free connection 1 look alike.
        """
        low = value & LOW_MASK
        kind, conn = low >> T_KIND[0] & 0xF, low >> T_CONN[0] & 0xFFFF
        after = value >> TCB_LSB & STATE_MASK
        before = self._states.get(conn, 0)
        if kind == TCP_COMMAND:
            self._command(low, value)
            if not of_connection or get(low, T_OPCODE) in OBJECT_OPCODES:
                self._objects.add(value & TCP_MASK)
                return
        self._tcp.add((before, value & TCP_MASK))
        if kind == TCP_COMMAND and not after:  # a connection that is free and stays so
            return
        if kind == TCP_TIMER:
            self._timer(before, conn, get(low, T_TICK))
        elif kind == TCP_CREDIT:
            return
        self._next.add((before, after))
        self._states[conn] = after
        self._records[conn] = value

    def _command(self, low: int, value: int) -> None:
        size = self._sizes.get("SQ", 0)
        index = get(low, T_CAUSE)
        if size:
            self._position("SQ", index % size, size, index >= size)
        if value >> T_CPL[0] & 1:
            return
        opcode = get(low, T_OPCODE)
        if opcode == Opcode.START:
            self._agreed.add(value >> TCB_LSB & AGREED)
        elif opcode == Opcode.SEND and self.data_w in WIDTHS:
            self._elements(get(value, T_LIST), get(value, T_COUNT))

    def _elements(self, addr: int, count: int) -> None:
        """The scatter-gather list of a SEND."""
        lanes, at, size = self._lanes, SgElem.FIELDS, SgElem.WIDTH // 8
        addr -= self._base
        for i in range(count):
            element = int.from_bytes(self._contents[addr + i * size : addr + (i + 1) * size], "little")
            start, length = get(element, at["addr"]), get(element, at["length"])
            self._lane.add(("send", "start", start % lanes))
            self._lane.add(("send", "end", (start + length) % lanes))

    def _timer(self, before: int, conn: int, tick: int) -> None:
        """Which deadlines of the state before had come."""
        tcb = self._records.get(conn, 0) >> TCB_LSB
        for name in ("rtx", "dack", "ka"):
            late = tick - get(tcb, Tcb.FIELDS[f"{name}_deadline"]) & 0xFFFF_FFFF
            if get(tcb, Tcb.FIELDS[f"{name}_on"]) and late < 1 << 31:
                persist = name == "rtx" and get(tcb, Tcb.FIELDS["persist"])
                self._fired.add((before, "persist" if persist else name))

    def delivery(self, value: int) -> None:
        """A commit of delivery_engine."""
        kind, conn = get(value & LOW_MASK, D_KIND), get(value & LOW_MASK, D_CONN)
        pool_post = kind == DlvEvt.POOL_POST
        self._dlv.add((0 if pool_post else self._dcbs.get(conn, 0), value & DLV_MASK))
        if not pool_post:
            self._dcbs[conn] = value >> DCB_LSB & DCB_MASK
            self._requests.add(value >> REQ_LSB & REQ_MASK)
        if value >> D_PLQ[0] & 1:
            plq = value >> PLQ_LSB
            op = plq & 3
            if op == _OP_PLACE:
                self._moved("place", get(plq, P_OFFSET), get(plq, P_DST), get(plq, P_LEN))
            elif op == _OP_COPY:
                self._moved("copy", get(plq, P_SRC), get(plq, P_DST), get(plq, P_LEN))

    def _moved(self, what: str, source: int, to: int, length: int) -> None:
        lanes, seen = self._lanes, self._lane
        seen.add((what, "start", to % lanes))
        seen.add((what, "end", (to + length) % lanes))
        seen.add((what, "shift", (to - source) % lanes))

    def completion(self, value: int) -> None:
        """An entry of the completion ring."""
        self._cq.add(value & CQ_MASK)
        size, index = self._sizes.get("CQ", 0), value & 0xFFFF
        if size:
            self._position("CQ", index, size, self._cq_lap > 0)
            self._cq_lap += index == size - 1

    def _position(self, ring: str, index: int, size: int, again: bool) -> None:
        self._ring.add((ring, 0 if index == 0 else 2 if index == size - 1 else 1, again))

    def verdict(self, value: int) -> None:
        """A verdict of rx_parser."""
        self._rx.add(value & RX_MASK)

    def sent(self, value: int) -> None:
        """A record of segment_builder."""
        self._tx.add(value & TX_MASK)

    def frame(self, direction: str, length: int) -> None:
        """A frame of so many bytes passed the port, `in` or `out`."""
        self._lane.add((f"frame-{direction}", "end", length % self._lanes))

    # ---- what it means -------------------------------------------------------------------------

    def hits(self) -> list[Hit]:
        """The bins that were hit, each once, in order."""
        if self.void:
            return []
        found = set(self._of_tcp()) | set(self._of_delivery()) | set(self._of_rest())
        return sorted(found)

    def _of_tcp(self) -> Iterator[Hit]:
        for before, key in self._tcp:
            kind, state = TcpEvt(get(key, T_KIND)), state_of(before)
            if get(key, T_PHASE):  # of a connection that exists
                yield "level", ("ranges-held", str(get(key, T_RANGES)))
                yield "level", ("scoreboard", str(get(key, T_SCORE)))
            if kind is TcpEvt.COMMAND:
                yield "tcp", (state, *self._answered(key))
            elif kind is TcpEvt.RX_SEGMENT:
                yield "tcp", (state, kind.name, Verdict(get(key, T_VERDICT)).name)
                yield "level", ("sack-blocks-in", str(get(key, T_SACKS)))
            elif kind is TcpEvt.TX_GRANT:
                yield "tcp", (state, kind.name, GRANTED[self._segment(key) + 2 * get(key, T_TX1)])
            elif kind is not TcpEvt.CREDIT:
                event = get(key, T_DLV_EVENT) if get(key, T_DLV) else 0
                yield "tcp", (state, kind.name, TcpEventType(event).name if event else SILENT)
        yield from (("object", self._answered(key)) for key in self._objects)
        yield from (("next", (state_of(before), state_of(after))) for before, after in self._next)
        yield from (("timer", (state_of(before), name)) for before, name in self._fired)
        for agreed in self._agreed:
            family = Family(get(agreed, Tcb.FIELDS["family"])).name
            flags = [f"{name}={get(agreed, Tcb.FIELDS[f'{name}_en'])}" for name in options()]
            yield "option", (family, *flags)
            yield "scale", ("snd", str(get(agreed, Tcb.FIELDS["snd_ws"])))
            yield "scale", ("rcv", str(get(agreed, Tcb.FIELDS["rcv_ws"])))

    @staticmethod
    def _answered(key: int) -> tuple[str, str]:
        """Opcode and outcome of a command."""
        answered = get(key, T_CPL) and get(key, T_CPL_KIND) != CqKind.EVENT  # else a question (E-10)
        return opcode_name(get(key, T_OPCODE)), Status(get(key, T_STATUS)).name if answered else ACCEPTED

    @staticmethod
    def _segment(key: int) -> int:
        return int(get(key, T_TX0) and get(key, T_TX0_KIND) == TxKind.SEGMENT)

    def _of_delivery(self) -> Iterator[Hit]:
        for before, key in self._dlv:
            event = DlvEvt(get(key, D_KIND)).name
            acts = get(key, D_PLQ)
            yield "delivery", (delivery_state_of(before), event, PlOp(get(key, D_OP) if acts else 0).name)
            entry = get(key, D_CQE_KIND) if acts and get(key, D_CQE) else 0
            yield "entry", (event, CqKind(entry).name)
        for packed in self._requests:
            head, count = packed & 0xFF, packed >> 8
            fill = "empty" if not count else "full" if count == REQUESTS else "some"
            yield "request-ring", (POSITIONS[0 if not head else 2 if head == REQUESTS - 1 else 1], fill)

    def _of_rest(self) -> Iterator[Hit]:
        for key in self._cq:
            kind, status = CqKind(get(key, C_KIND)), Status(get(key, C_STATUS)).name
            if kind in WITH_CODE:
                yield "answer", (opcode_name(get(key, C_CODE)), status)
            elif kind is CqKind.RAW_RX and status != Status.OK.name:
                yield "answer", (kind.name, status)
        yield from (("frame-in", (RxReason(get(key, RecRx.FIELDS["reason"])).name,)) for key in self._rx)
        yield from (("frame-out", (TxRecKind(get(key, RecTx.FIELDS["kind"])).name,)) for key in self._tx)
        yield from (("ring", (ring, POSITIONS[position], LAPS[again])) for ring, position, again in self._ring)
        if self.data_w in WIDTHS:
            yield from (("alignment", (str(self.data_w), *where, str(lane))) for *where, lane in self._lane)


__all__ = ["CoverageMonitor", "Hit", "levels"]
