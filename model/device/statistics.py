"""What the ST4_* and ST6_* registers count (docs/contract/hostport.md, Statistics; CH-016 to CH-019).

TCP_OFFLOAD_STATS and IP_OFFLOAD_STATS (NDIS sheet, 3.9) of the offloaded connections, without the base line that a
set of the OID draws: that is the driver's. Both versions of IP have the same counters, each its own.
"""

from __future__ import annotations

from model.device.registers import Registers
from model.device.txpath import TxFrame
from model.layout.generated import Csr, Family, Opcode, Phase, RxSeg, Status, Tcb, TcpState, Verdict
from model.tcp.tx import RST
from model.tcp.types import Command, Event, RxSegment, StepResult

_ETHERNET_BYTES, _TAG_BYTES = 14, 4
_BASE: dict[int, int] = {Family.IPV4: 0, Family.IPV6: Csr.ST6_IN_SEGMENTS_LO - Csr.ST4_IN_SEGMENTS_LO}
"""Distance of the counters of a family from those of IPv4, bytes."""
_ESTABLISHED = frozenset((TcpState.ESTABLISHED, TcpState.CLOSE_WAIT))


class Statistics:
    """The counters, in the register file ``regs``."""

    def __init__(self, regs: Registers) -> None:
        self._regs = regs

    def committed(self, event: Event, before: Tcb, result: StepResult) -> None:
        """A commit of tcp_engine on a connection whose TCB was ``before``."""
        if isinstance(event, RxSegment):
            if result.matched and result.actions.verdict != Verdict.PASS_UP:
                self._wide(before.family, Csr.ST4_IN_SEGMENTS_LO)
                self._wide(before.family, Csr.ST4_IN_RECEIVES_LO)
                self._wide(before.family, Csr.ST4_IN_OCTETS_LO, ip_bytes(event.seg))
        elif isinstance(event, Command) and event.sqe.opcode == Opcode.FORWARD:
            refused = result.actions.cpl is not None and result.actions.cpl.status != Status.OK
            if not refused:
                self._wide(before.family, Csr.ST4_IN_SEGMENTS_LO)
        self._connection(before, result.tcb)

    def _connection(self, before: Tcb, after: Tcb) -> None:
        was, is_ = established(before), established(after)
        if was == is_:
            return
        family = (before if was else after).family
        self._count(family, Csr.ST4_ESTABLISHED, is_ - was)
        self._count(family, Csr.ST4_RESET_ESTABLISHED, int(was and after.state == TcpState.CLOSED))

    def sent(self, frame: TxFrame) -> None:
        """A SEGMENT has left as a frame, or was discarded."""
        self._wide(frame.family, Csr.ST4_OUT_REQUESTS_LO)
        if frame.data is None:
            self._count(frame.family, Csr.ST4_OUT_DISCARDS)
        else:
            self._left(frame, 1)

    def kept_back(self, frame: TxFrame) -> None:
        """A SEGMENT that was taken for sent was discarded: an INVALIDATE overtook it."""
        self._left(frame, -1)
        self._count(frame.family, Csr.ST4_OUT_DISCARDS)

    def _left(self, frame: TxFrame, times: int) -> None:
        family, segment = frame.family, frame.segment
        self._wide(family, Csr.ST4_OUT_OCTETS_LO, times * frame.ip_bytes)
        self._wide(family, Csr.ST4_OUT_SEGMENTS_LO, times * segment.has_new)
        self._count(family, Csr.ST4_RETRANSMITTED, times * segment.has_old)
        self._count(family, Csr.ST4_OUT_RESETS, times * int(bool(segment.flags & RST)))

    def _count(self, family: int, counter: Csr, n: int = 1) -> None:
        """Step the counter of ``family`` that is ``counter`` for IPv4."""
        self._regs.count(Csr(counter + _BASE[family]), n)

    def _wide(self, family: int, low: Csr, n: int = 1) -> None:
        self._regs.count_wide(Csr(low + _BASE[family]), n)


def established(tcb: Tcb) -> bool:
    """What CurrentlyEstablished counts (CH-018)."""
    return tcb.phase != Phase.FREE and tcb.state in _ESTABLISHED


def ip_bytes(seg: RxSeg) -> int:
    """IP total length of a segment from the wire; its padding does not count."""
    return seg.pay_off + seg.pay_len - _ETHERNET_BYTES - _TAG_BYTES * seg.tagged
