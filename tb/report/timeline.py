"""A trace (docs/trace-format.md) as what the page draws: events of host and wire, and the commits behind them.

An event is a call of the host (a submission entry behind a doorbell), a completion or indication, a frame in or out, or
a timer. Host calls have no cycle of their own: they get that of what was seen last. A commit is kept as what it changes
against the one before it of its connection and engine, so that the page can show the whole record of any event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from model.device.decode import of_a_connection
from model.layout.generated import (
    SQE_BYTES,
    Cqe,
    CqKind,
    Csr,
    DlvEvt,
    Opcode,
    Plq,
    RecCq,
    RecDlv,
    RecRx,
    RecTcp,
    RecTx,
    RxClass,
    RxReason,
    Sqe,
    Status,
    Tcb,
    TcpEventType,
    TcpEvt,
    TxKind,
    Txq,
    TxRecKind,
    TxSegment,
)
from model.wire.frame import parse_frame
from tb.lockstep.trace import Line, TraceReader
from tb.report.record_fields import Table, change

#: Events and commits of one trace that the page keeps, at most.
MOST_ITEMS = 5000
#: First bytes of a frame that the page keeps: all headers with all options.
FRAME_BYTES = 128
#: Cycles behind the first divergence that are still shown.
AFTER = 2000
TCP, DELIVERY = 0, 1
_TABLES = (Table(RecTcp), Table(RecDlv))
_DELIVERY_COMMANDS = (DlvEvt.RECEIVE, DlvEvt.ANSWER, DlvEvt.RESUME, DlvEvt.POOL_POST)

#: Connection number and generation.
Key = tuple[int, int]


@dataclass(slots=True, eq=False)
class Item:
    """A commit (`record`) or an event (`kind` call, completion, tx, rx, timer) of a trace."""

    cycle: int
    kind: str
    key: Key | None
    engine: int = TCP
    record: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    commit: Item | None = None
    frame: bytes = b""


@dataclass
class Timeline:
    """What was kept of a trace, in order, and how much there was. `ends` are addresses and ports by connection."""

    seed: int
    origin: str
    items: list[Item]
    total: int
    ends: dict[Key, str]
    divergence: int | None = None
    problem: str = ""

    def content(self) -> dict[str, Any]:
        """For the page, as JSON (docs/report.md says what is in it)."""
        commits = [item for item in self.items if item.kind == "commit"]
        places = {id(item): at for at, item in enumerate(commits)}
        keys = sorted({item.key for item in self.items if item.key in self.ends})
        numbers = {key: number for number, key in enumerate(keys)}
        names = [{"conn": conn, "gen": gen, "ends": self.ends[conn, gen]} for conn, gen in keys]
        frames: list[list[object]] = []
        return {
            "seed": self.seed,
            "origin": self.origin,
            "total": self.total,
            "divergence": self.divergence,
            "tables": [table.described() for table in _TABLES],
            "connections": names,
            "commits": list(_changes(commits, numbers)),
            "events": [_event(item, numbers, places, frames) for item in self.items if item.kind != "commit"],
            "frames": frames,
        }


def _changes(commits: Iterable[Item], numbers: dict[Key, int]) -> Iterable[dict[str, Any]]:
    rows: dict[tuple[Key | None, int], dict[int, int | str]] = {}
    for item in commits:
        row = _TABLES[item.engine].row(item.record)
        number = -1 if item.key is None else numbers.get(item.key, -1)
        changed = change(rows.get((item.key, item.engine), {}), row)
        yield {"c": item.cycle, "n": number, "e": item.engine, "d": changed}
        rows[item.key, item.engine] = row


def _event(item: Item, numbers: dict[Key, int], places: dict[int, int], frames: list[list[object]]) -> dict[str, Any]:
    found = {"k": item.kind, "c": item.cycle, "n": -1 if item.key is None else numbers.get(item.key, -1), **item.facts}
    if item.commit is not None and id(item.commit) in places:
        found["r"] = places[id(item.commit)]
    if item.frame:
        found["f"] = len(frames)
        frames.append([len(item.frame), item.frame[:FRAME_BYTES].hex()])
    return found


def read(path: Path, shown: str, *, divergence: int | None = None, most: int = MOST_ITEMS) -> Timeline:
    """The timeline of a trace; raises TraceError. With a divergence its last `most` items up to it, else the first."""
    reader = TraceReader(path, shown)
    try:
        collector = Collector(most, divergence)
        for line in reader.observations():
            collector.take(line)
    finally:
        reader.close()
    header = reader.header
    return Timeline(
        header.seed, header.origin, list(collector.items), collector.total, collector.ends, divergence=divergence
    )


class Collector:
    """Takes the lines of a trace in order. Unknown kinds are left to `chimney check`."""

    def __init__(self, most: int, divergence: int | None) -> None:
        self.items: deque[Item] = deque(maxlen=most if divergence is not None else None)
        self.total = 0
        self.ends: dict[Key, str] = {}
        self._most = most
        self._until = None if divergence is None else divergence + AFTER
        self._cycle = self._arrivals = 0
        self._ring: dict[int, bytes] = {}
        self._csr: dict[int, int] = {}
        self._tail = 0
        self._owed: dict[int, deque[tuple[Item, TxSegment]]] = {}
        self._left: deque[RecTx] = deque()
        self._out: deque[tuple[int, bytes]] = deque()
        self._entered: dict[int, Item] = {}
        self._called: dict[int, Item] = {}
        self._causes: dict[tuple[int, int, int], Item] = {}

    def take(self, line: Line) -> None:
        """One observation."""
        values = line.values
        if values.has("cycle"):
            self._cycle = values.integer("cycle")
        if line.kind == "host_write":
            self._host_write(values.integer("addr"), values.octets("data"))
        elif line.kind == "register_write":
            self._register(values.integer("offset"), values.integer("value"))
        elif line.kind == "tcp":
            self._tcp(values.record())
        elif line.kind == "delivery":
            self._delivery(values.record())
        elif line.kind == "completion":
            self._completion(RecCq.unpack(values.record()))
        elif line.kind == "frame_in":
            self._frame_in(values.octets("data"))
        elif line.kind == "rx":
            self._verdict(RecRx.unpack(values.record()))
        elif line.kind == "frame_out":
            self._out.append((self._cycle, values.octets("data")))
            self._pair()
        elif line.kind == "tx":
            self._left.append(RecTx.unpack(values.record()))
            self._pair()
        elif line.kind in ("soft_reset", "begin_anew"):
            self._forget()

    def _forget(self) -> None:
        """Nothing that was on its way comes behind a reset, and both rings and frames count from 0."""
        self._tail = self._arrivals = 0
        for pending in (self._owed, self._left, self._out, self._entered, self._called, self._causes):
            pending.clear()

    def _add(self, item: Item) -> Item:
        if self._until is not None and self._cycle > self._until:
            return item
        self.total += 1
        if self._until is not None or len(self.items) < self._most:
            self.items.append(item)
        return item

    # ---- the host

    def _host_write(self, addr: int, data: bytes) -> None:
        base = self._csr.get(Csr.SQ_BASE_LO, 0) | self._csr.get(Csr.SQ_BASE_HI, 0) << 32
        size = SQE_BYTES << self._csr.get(Csr.SQ_SIZE_LOG2, 0)
        if base <= addr < base + size and not (addr - base) % SQE_BYTES and len(data) >= SQE_BYTES:
            for at in range(0, len(data) - SQE_BYTES + 1, SQE_BYTES):
                self._ring[(addr + at - base) // SQE_BYTES] = data[at : at + SQE_BYTES]

    def _register(self, offset: int, value: int) -> None:
        self._csr[offset] = value
        if offset == Csr.SQ_BASE_LO:  # written before the ring is used
            self._tail = 0
        if offset != Csr.SQ_TAIL:
            return
        mask = (1 << self._csr.get(Csr.SQ_SIZE_LOG2, 0)) - 1
        for _ in range(mask + 1):
            if self._tail == value & mask:
                break
            raw = self._ring.get(self._tail)
            if raw is not None:
                self._call(self._tail, raw)
            self._tail = self._tail + 1 & mask

    def _call(self, index: int, raw: bytes) -> None:
        sqe = Sqe.from_bytes(raw)
        name = _name(Opcode, sqe.opcode)
        facts = {"o": name, "l": sqe.length, "m": sqe.count, "q": index, "g": sqe.flags, "i": f"{sqe.cookie:x}"}
        key = (sqe.conn, sqe.gen) if of_a_connection(sqe) else None
        self._called[index] = self._add(Item(self._cycle, "call", key, facts=facts))

    def _completion(self, record: RecCq) -> None:
        cqe = Cqe.unpack(record.cqe)
        kind = _name(CqKind, cqe.kind)
        facts = {
            "o": kind, "s": _name(Status, cqe.status), "l": cqe.nbytes, "q": cqe.sq_index, "i": f"{cqe.cookie:x}",
            "x": cqe.info,
        }  # fmt: skip
        if kind == "EVENT":
            facts["v"] = _name(TcpEventType, cqe.code)
        elif kind == "COMMAND":
            facts["v"] = _name(Opcode, cqe.code)
        without = kind in ("RAW_RX", "RAW_TX", "NONE")
        item = Item(self._cycle, "completion", None if without else (cqe.conn, cqe.gen), facts=facts)
        item.commit = self._causes.pop((cqe.kind, cqe.conn, cqe.cookie), None)
        self._add(item)

    # ---- the engines

    def _tcp(self, value: int) -> None:
        record = RecTcp.unpack(value)
        key = (record.conn, record.gen) if record.tcb else None  # None: no command of a connection
        item = self._add(Item(self._cycle, "commit", key, TCP, value))
        if record.kind == TcpEvt.RX_SEGMENT:
            self._commit_of(self._entered.pop(record.cause, None), item)
        elif record.kind == TcpEvt.COMMAND:
            self._commit_of(self._called.pop(record.cause, None), item)
        elif record.kind in (TcpEvt.TIMER, TcpEvt.FAULT):
            facts = {"o": TcpEvt(record.kind).name}
            self._add(Item(self._cycle, "timer", key, facts=facts, commit=item))
        for valid, packed in ((record.tx0_valid, record.tx0), (record.tx1_valid, record.tx1)):
            entry = Txq.unpack(packed) if valid else None
            if entry is not None and entry.kind == TxKind.SEGMENT:
                segment = TxSegment.unpack(entry.body)
                self._owed.setdefault(entry.conn, deque()).append((item, segment))
        if record.cpl_valid:
            self._cause(item, record.cpl)
        if key is not None and key not in self.ends:
            tcb = Tcb.unpack(record.tcb)
            self.ends[key] = f"local port {tcb.local_port}, remote port {tcb.remote_port}"

    def _delivery(self, value: int) -> None:
        record = RecDlv.unpack(value)
        key = (record.conn, record.gen) if record.dcb else None
        item = self._add(Item(self._cycle, "commit", key, DELIVERY, value))
        if record.kind in _DELIVERY_COMMANDS:
            self._commit_of(self._called.pop(record.cause, None), item)
        if record.plq_valid:
            plq = Plq.unpack(record.plq)
            if plq.cqe_valid:
                self._cause(item, plq.cqe)

    def _cause(self, item: Item, packed: int) -> None:
        cqe = Cqe.unpack(packed)
        self._causes[cqe.kind, cqe.conn, cqe.cookie] = item

    @staticmethod
    def _commit_of(event: Item | None, commit: Item) -> None:
        if event is not None:
            event.commit = commit
            event.key = commit.key or event.key

    # ---- the wire

    def _frame_in(self, data: bytes) -> None:
        item = self._add(Item(self._cycle, "rx", None, facts=_segment_facts(data), frame=data))
        self._entered[self._arrivals] = item
        self._arrivals += 1

    def _verdict(self, record: RecRx) -> None:
        item = self._entered.get(record.arrival)
        if item is None:
            return
        item.facts["o"] = _name(RxClass, record.class_)
        if record.class_ == RxClass.SEGMENT:
            item.key = (record.conn, record.gen)
            self._name_ends(item.key, item.frame, outgoing=False)
        else:
            item.facts["v"] = _name(RxReason, record.reason)
            self._entered.pop(record.arrival)

    def _pair(self) -> None:
        while self._left and (self._out or self._left[0].kind == TxRecKind.DISCARDED):
            record = self._left.popleft()
            owed = self._owed.get(record.conn)
            commit, segment = owed.popleft() if record.kind != TxRecKind.RAW and owed else (None, None)
            if record.kind == TxRecKind.DISCARDED:
                continue
            cycle, data = self._out.popleft()
            item = Item(cycle, "tx", None, facts=_segment_facts(data), frame=data)
            item.facts["o"] = _name(TxRecKind, record.kind)
            if commit is not None and segment is not None and segment.seq == item.facts.get("a0", segment.seq):
                item.key, item.commit = commit.key, commit
                if commit.key is not None:
                    self._name_ends(commit.key, data, outgoing=True)
            self._add(item)

    def _name_ends(self, key: Key, frame: bytes, *, outgoing: bool) -> None:
        if " to " in self.ends.get(key, ""):
            return
        parsed = parse_frame(frame)
        if parsed.tcp is None or parsed.ip_header is None:
            return
        kind = IPv4Address if parsed.ip is not None else IPv6Address
        source = f"{kind(parsed.ip_header.source)} port {parsed.tcp.source_port}"
        target = f"{kind(parsed.ip_header.destination)} port {parsed.tcp.destination_port}"
        self.ends[key] = f"{source} to {target}" if outgoing else f"{target} to {source}"


def _segment_facts(frame: bytes) -> dict[str, Any]:
    """Sequence number, length, acknowledgment, window field, flags, SACK blocks of a frame; nothing if it has none."""
    parsed = parse_frame(frame)
    if parsed.tcp is None:
        return {"v": parsed.reason.value}
    tcp = parsed.tcp
    facts: dict[str, Any] = {
        "a0": tcp.sequence, "l": parsed.payload_length, "a": tcp.acknowledgment, "w": tcp.window,
        "t": "+".join(flag.name or "" for flag in type(tcp.flags) if flag in tcp.flags),
    }  # fmt: skip
    if tcp.options.sack_blocks:
        facts["b"] = [edge for block in tcp.options.sack_blocks for edge in block]
    return facts


def _name(kind: type[IntEnum], value: int) -> str:
    """A member's name; what is none is given as its number."""
    return kind(value).name if value in {int(member) for member in kind} else str(value)
