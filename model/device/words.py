"""A commit of tcp_engine in words: what came, and what it changed (RFC 9293's names of the variables)."""

from __future__ import annotations

from enum import IntEnum

from model.layout.generated import (
    DlvEvt,
    DlvMsg,
    Opcode,
    Phase,
    RecTcp,
    RxSeg,
    Status,
    Tcb,
    TcpEvt,
    TcpState,
    TxAppend,
    TxKind,
    Txq,
    TxRelease,
    TxSegment,
    UploadReason,
)
from model.tcp.seq import MASK

_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
_FIN, _SYN, _RST, _ACK, _URG = 1, 2, 4, 16, 32
#: Fields whose change is told, in this order: their names, and the enumeration of their values.
_TOLD: tuple[tuple[str, str, type[IntEnum] | None], ...] = (
    ("phase", "phase", Phase),
    ("state", "state", TcpState),
    ("snd_una", "SND.UNA", None),
    ("snd_nxt", "SND.NXT", None),
    ("rcv_nxt", "RCV.NXT", None),
    ("snd_wnd", "SND.WND", None),
    ("cwnd", "cwnd", None),
    ("ssthresh", "ssthresh", None),
    ("in_recovery", "recovery", None),
    ("dup_acks", "duplicate ACKs", None),
    ("rto", "RTO", None),
    ("rtx_count", "timeouts", None),
    ("persist", "persist", None),
    ("rr_n", "ranges out of order", None),
    ("snd_end", "queued up to", None),
)


def commit_words(record: int, before: Tcb | None, cycle: int) -> str:
    """One line for a packed commit record of tcp_engine; ``before`` is the connection's state in front of it."""
    r = RecTcp.unpack(record)
    old = before or Tcb()
    now = Tcb.unpack(r.tcb)
    known = bool(r.tcb)
    told = [_came(r, old)]
    if known:
        told += _changes(old, now)
    told += _issued(r)
    return f"cycle {cycle}: " + ", ".join(told)


def commit_connection(record: int) -> int | None:
    """The connection of a packed commit record; None for one that is of no connection."""
    r = RecTcp.unpack(record)
    return r.conn if r.tcb else None


def _came(r: RecTcp, old: Tcb) -> str:
    """The event."""
    if r.kind == TcpEvt.RX_SEGMENT:
        return _segment(RxSeg.unpack(r.rx), old)
    if r.kind == TcpEvt.COMMAND:
        forwarded = f", {_segment(RxSeg.unpack(r.rx), old)}" if r.opcode == Opcode.FORWARD else ""
        return f"{name_of(Opcode, r.opcode)} of the host (entry {r.cause}){forwarded}"
    return {
        TcpEvt.TX_GRANT: "turn to send",
        TcpEvt.TIMER: f"timer at tick {r.tick}",
        TcpEvt.CONSUMED: f"the host took {r.cause} bytes",
        TcpEvt.CREDIT: f"{r.cause} pool buffers came back",
        TcpEvt.FENCE_DONE: "all before the upload is done",
        TcpEvt.FAULT: "host memory failed",
    }.get(TcpEvt(r.kind) if r.kind in set(TcpEvt) else TcpEvt.NONE, f"event {r.kind}")


def _segment(seg: RxSeg, old: Tcb) -> str:
    """A segment of the peer."""
    parts = [name for name, bit in (("RST", _RST), ("SYN", _SYN), ("FIN", _FIN), ("URG", _URG)) if seg.flags & bit]
    if seg.pay_len:
        parts.append(f"text {seg.seq} to {(seg.seq + seg.pay_len) & MASK}")
    if seg.flags & _ACK and (seg.ack != old.snd_una or not parts):
        again = seg.ack == old.snd_una and old.snd_max != old.snd_una and seg.wnd << old.snd_ws == old.snd_wnd
        parts.append(f"{'duplicate ' if again else ''}ACK {seg.ack}")
    if seg.sack_n:
        parts.append(f"{seg.sack_n} SACK block{'s' if seg.sack_n > 1 else ''}")
    return " + ".join(parts or ["segment without ACK"]) + " of the peer"


def _changes(old: Tcb, now: Tcb) -> list[str]:
    """Fields that are not what they were."""
    found = []
    for field, shown, enum in _TOLD:
        a, b = getattr(old, field), getattr(now, field)
        if a != b:
            words = (name_of(enum, a), name_of(enum, b)) if enum is not None else (str(a), str(b))
            found.append(f"{shown} {words[0]} -> {words[1]}")
    return found


def _issued(r: RecTcp) -> list[str]:
    """What the engine sends, queues, tells."""
    found = []
    for valid, packed in ((r.tx0_valid, r.tx0), (r.tx1_valid, r.tx1)):
        if valid:
            found.append(_item(Txq.unpack(packed)))
    if r.dlv_valid:
        message = DlvMsg.unpack(r.dlv)
        told = name_of(DlvEvt, message.kind)
        if message.kind in (DlvEvt.DELIVER, DlvEvt.HOLD):
            told += f" {message.len} bytes"
        elif message.kind == DlvEvt.NOTIFY and message.info in set(UploadReason):
            told += f" {UploadReason(message.info).name}"
        found.append(told)
    return found


def _item(item: Txq) -> str:
    """An item of the transmit queue."""
    if item.kind == TxKind.SEGMENT:
        s = TxSegment.unpack(item.body)
        flags = "+".join(name for bit, name in enumerate(_FLAGS) if s.flags >> bit & 1)
        what = f"{s.seq} to {(s.seq + s.len) & MASK}" if s.len else f"no text at {s.seq}"
        return f"sends {what} {flags} ack {s.ack} win {s.wnd}"
    if item.kind == TxKind.APPEND:
        a = TxAppend.unpack(item.body)
        return f"queues {a.start_seq} to {a.end_seq}"
    if item.kind in (TxKind.RELEASE, TxKind.FENCE):
        b = TxRelease.unpack(item.body)
        return f"{name_of(TxKind, item.kind)} of sends up to {b.una} ({name_of(Status, b.status)})"
    return name_of(TxKind, item.kind)


def name_of(enum: type[IntEnum], value: int) -> str:
    """The name of a value of an enumeration; a value it does not have is shown as a number."""
    try:
        return enum(value).name
    except ValueError:
        return f"unknown {value}"
