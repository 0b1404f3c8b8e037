"""The transmit path: send table, header tables, gathering, frames, completions of sends (mechanisms M3).

Executes the items of the transmit queue strictly in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from model.device.memory import GoldenMemory
from model.layout.generated import (
    IP_ID_BASE,
    SG_ELEM_BYTES,
    Cqe,
    CqKind,
    Family,
    Object,
    Opcode,
    SgElem,
    Status,
    TxAppend,
    TxBarrier,
    TxHdrConn,
    TxHdrNbr,
    TxHdrPath,
    TxKind,
    Txq,
    TxRelease,
    TxSegment,
)
from model.tcp.seq import MASK, le, signed
from model.wire.frame import SegmentFields, TcpFlag, TcpOptions, Timestamps, VlanTag, build_options, build_segment

_ID_MASK = 0x7FFF
_ETHERNET_BYTES, _TAG_BYTES = 14, 4
_TCP_IP_BYTES: dict[int, int] = {Family.IPV4: 40, Family.IPV6: 60}
_MIN_FRAME = 60


class TxPathError(ValueError):
    """An item of the transmit queue that the contract rules out."""


def options_of(segment: TxSegment) -> TcpOptions:
    """The options of a SEGMENT: timestamps, and behind them its SACK blocks (tcp_step M-4)."""
    edges = (
        (segment.sack_left >> at & MASK, segment.sack_right >> at & MASK) for at in range(0, 32 * segment.sack_n, 32)
    )
    stamps = Timestamps(segment.tsval, segment.tsecr) if segment.ts_en else None
    return TcpOptions(timestamps=stamps, sack_blocks=tuple(edges))


@dataclass(slots=True)
class SendEntry:
    """An entry of the send table; ``elements`` of its list once it was read: (address, bytes)."""

    conn: int
    gen: int
    append: TxAppend
    elements: tuple[tuple[int, int], ...] | None = None

    @property
    def data_end(self) -> int:
        """Sequence number behind its last data byte."""
        return (self.append.end_seq - self.append.fin) & MASK


@dataclass(frozen=True, slots=True)
class TxFrame:
    """``segment`` as a frame of ``length`` bytes; ``data`` None: it does not leave.

    ``invalid``: because of an INVALIDATE that took effect before it began; else host memory could not be read.
    ``objects``: connection, path and neighbor it depends on.
    """

    order: int
    conn: int
    gen: int
    length: int
    data: bytes | None
    segment: TxSegment
    objects: tuple[tuple[Object, int], ...]
    invalid: bool = False
    family: int = Family.IPV4

    @property
    def ip_bytes(self) -> int:
        """IP total length; of an IPv6 packet its header and payload length."""
        return _TCP_IP_BYTES[self.family] + len(build_options(options_of(self.segment))) + self.segment.len


@dataclass(frozen=True, slots=True)
class TxEffect:
    """What one item of the transmit queue caused."""

    frame: TxFrame | None = None
    completions: tuple[Cqe, ...] = ()
    fence: tuple[int, int] | None = None
    #: BARRIER: the object, none of whose frames is in the queue any more.
    passed: tuple[Object, int] | None = None


_NOTHING = TxEffect()


def mac_number(field: int) -> int:
    """A MAC with byte 0 in bits 7:0 as the number it is in network order."""
    return int.from_bytes(field.to_bytes(6, "little"), "big")


class TxPath:
    """Tables of the transmit path. ``mac`` gives the interface MAC, byte 0 in bits 7:0."""

    def __init__(self, memory: GoldenMemory, mac: Callable[[], int]) -> None:
        self._memory = memory
        self._mac = mac
        self._sends: dict[int, deque[SendEntry]] = {}
        self._conns: dict[int, TxHdrConn] = {}
        self._paths: dict[int, TxHdrPath] = {}
        self._neighbors: dict[int, TxHdrNbr] = {}
        self.segments = 0

    def entries(self, conn: int) -> int:
        """Entries of the send table in use by a connection."""
        return len(self._sends.get(conn, ()))

    def execute(self, item: Txq) -> TxEffect:
        """Carry out the next item."""
        kind = item.kind
        if kind == TxKind.SEGMENT:
            return TxEffect(frame=self._segment(item))
        if kind == TxKind.APPEND:
            entry = SendEntry(item.conn, item.gen, TxAppend.unpack(item.body))
            self._sends.setdefault(item.conn, deque()).append(entry)
            return _NOTHING
        if kind == TxKind.RELEASE:
            return TxEffect(completions=tuple(self._release(item)))
        if kind == TxKind.FENCE:
            return TxEffect(completions=tuple(self._release(item)), fence=(item.conn, item.gen))
        if kind == TxKind.BARRIER:
            return TxEffect(passed=barred_object(item))
        if kind == TxKind.HDR_CONN:
            self._conns[item.conn] = TxHdrConn.unpack(item.body)
        elif kind == TxKind.HDR_PATH:
            self._paths[item.conn] = TxHdrPath.unpack(item.body)
        elif kind == TxKind.HDR_NEIGHBOR:
            self._neighbors[item.conn] = TxHdrNbr.unpack(item.body)
        else:
            raise TxPathError(f"transmit item kind {kind} is unknown")
        return _NOTHING

    # ---- completions -----------------------------------------------------------------------

    def _release(self, item: Txq) -> list[Cqe]:
        """What a RELEASE or FENCE completes: what is acknowledged, what fails now, an abortive disconnect at last."""
        body = TxRelease.unpack(item.body)
        done = self._acknowledged(item.conn, body.una)
        if item.kind == TxKind.FENCE or body.status != Status.OK:
            done += self._failed(item.conn, body)
        if body.cpl:
            done.append(
                Cqe(
                    kind=CqKind.SEND,
                    status=Status.OK,
                    conn=item.conn,
                    gen=item.gen,
                    code=Opcode.DISCONNECT,
                    cookie=body.cookie,
                    sq_index=body.sq_index,
                )
            )
        return done

    def _acknowledged(self, conn: int, una: int) -> list[Cqe]:
        table = self._sends.get(conn)
        done: list[Cqe] = []
        while table and le(table[0].append.end_seq, una):
            entry = table.popleft()
            if entry.append.last:
                nbytes = (entry.data_end - entry.append.start_seq) & MASK
                done.append(_send_cqe(entry, Status.OK, nbytes))
        return done

    def _failed(self, conn: int, body: TxRelease) -> list[Cqe]:
        """All that is left, with its acknowledged bytes. An inherited FIN is nobody's request (B-6)."""
        table = self._sends.get(conn, deque())
        done: list[Cqe] = []
        while table:
            entry = table.popleft()
            if entry.append.fin and not entry.append.last:
                continue
            acked_to = body.una if le(body.una, entry.data_end) else entry.data_end
            nbytes = max(signed(acked_to, entry.append.start_seq), 0)
            done.append(_send_cqe(entry, Status(body.status), nbytes))
        return done

    # ---- segments --------------------------------------------------------------------------

    def _segment(self, item: Txq) -> TxFrame:
        body = TxSegment.unpack(item.body)
        order = self.segments
        self.segments += 1
        header = self._conns.get(item.conn)
        path = None if header is None else self._paths.get(header.path_id)
        neighbor = None if path is None else self._neighbors.get(path.neighbor_id)
        if header is None or path is None or neighbor is None:
            raise TxPathError(f"connection {item.conn} has no headers yet: write neighbor, path, START first")
        objects = (
            (Object.CONNECTION, item.conn),
            (Object.PATH, header.path_id),
            (Object.NEIGHBOR, path.neighbor_id),
        )
        payload = self._gather(item.conn, body.seq, body.len) if body.len else b""
        tagged = neighbor.vlan_id or body.user_priority
        if payload is None:
            lost = TxFrame(order, item.conn, item.gen, 0, None, body, objects, family=path.family)
            length = _ETHERNET_BYTES + (_TAG_BYTES if tagged else 0) + lost.ip_bytes
            return replace(lost, length=max(length, _MIN_FRAME))
        frame = build_segment(
            SegmentFields(
                destination_mac=mac_number(neighbor.dl_dst),
                source_mac=mac_number(neighbor.dl_src or self._mac()),
                source_ip=path.src_addr,
                destination_ip=path.dst_addr,
                source_port=header.local_port,
                destination_port=header.remote_port,
                sequence=body.seq,
                acknowledgment=body.ack,
                flags=TcpFlag(body.flags),
                window=body.wnd,
                ip_id=IP_ID_BASE | order & _ID_MASK,
                payload=payload,
                ttl=body.ttl,
                tos=body.tos,
                vlan=VlanTag(neighbor.vlan_id, body.user_priority) if tagged else None,
                options=options_of(body),
                family=path.family,
                flow_label=header.flow_label,
            ),
            pad=True,
        )
        return TxFrame(order, item.conn, item.gen, len(frame), frame, body, objects, family=path.family)

    def _gather(self, conn: int, seq: int, length: int) -> bytes | None:
        """The bytes [seq, seq + length) from host memory; None after a read error."""
        parts: list[bytes] = []
        for entry in self._sends.get(conn, ()):
            skip = signed(seq, entry.append.start_seq)
            size = (entry.data_end - entry.append.start_seq) & MASK
            if skip < 0:
                break
            if skip >= size:
                continue
            n = min(length, size - skip)
            piece = self._read_entry(entry, skip, n)
            if piece is None:
                return None
            parts.append(piece)
            seq, length = (seq + n) & MASK, length - n
            if length == 0:
                return b"".join(parts)
        raise TxPathError(f"connection {conn}: {length} bytes from sequence {seq:#x} are in no entry of the send table")

    def _read_entry(self, entry: SendEntry, skip: int, length: int) -> bytes | None:
        if entry.elements is None:
            raw = self._memory.device_read(entry.append.list_addr, entry.append.count * SG_ELEM_BYTES)
            if raw is None:
                return None
            elements = [SgElem.from_bytes(raw[at : at + SG_ELEM_BYTES]) for at in range(0, len(raw), SG_ELEM_BYTES)]
            entry.elements = tuple((e.addr, e.length) for e in elements)
        parts: list[bytes] = []
        for addr, size in entry.elements:
            if skip >= size:
                skip -= size
                continue
            n = min(size - skip, length)
            piece = self._memory.device_read(addr + skip, n)
            if piece is None:
                return None
            parts.append(piece)
            skip, length = 0, length - n
            if length == 0:
                return b"".join(parts)
        return None


def barred_object(item: Txq) -> tuple[Object, int]:
    """The object of a BARRIER."""
    return Object(TxBarrier.unpack(item.body).object), item.conn


def barrier_cqe(item: Txq) -> Cqe:
    """No frame of the object of a BARRIER leaves any more: its command is done."""
    body = TxBarrier.unpack(item.body)
    return Cqe(
        kind=CqKind.COMMAND,
        status=Status.OK,
        conn=item.conn,
        gen=item.gen,
        code=body.opcode,
        cookie=body.cookie,
        sq_index=body.sq_index,
    )


def _send_cqe(entry: SendEntry, status: Status, nbytes: int) -> Cqe:
    a = entry.append
    return Cqe(
        kind=CqKind.SEND,
        status=status,
        conn=entry.conn,
        gen=entry.gen,
        code=a.opcode,
        cookie=a.cookie,
        nbytes=nbytes,
        sq_index=a.sq_index,
    )
