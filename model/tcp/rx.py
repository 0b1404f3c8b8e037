"""A segment arrives (section C of the contract; RFC 9293 3.10.7.4, RFC 7323 5)."""

from __future__ import annotations

from dataclasses import dataclass

from model.layout.generated import (
    PAWS_SECONDS,
    DlvEvt,
    DlvMsg,
    Phase,
    RxSeg,
    TcpEventType,
    TcpState,
    UploadReason,
    Verdict,
)
from model.tcp import ecn, keepalive, ooo, recovery
from model.tcp.congestion import on_duplicate, on_new_ack
from model.tcp.messages import notify, retrieve
from model.tcp.reach import confirm
from model.tcp.rtt import backed_off, override, take_sample
from model.tcp.seq import COUNT_MAX, MASK, ge, gt, le, lt, seq_max, signed
from model.tcp.timers import wait_for_fin
from model.tcp.types import Context
from model.tcp.work import TcbWork

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_TAKES_TEXT = frozenset((TcpState.ESTABLISHED, TcpState.FIN_WAIT_1, TcpState.FIN_WAIT_2))
_OUR_FIN_ACKED = {
    TcpState.FIN_WAIT_1: TcpState.FIN_WAIT_2,
    TcpState.CLOSING: TcpState.TIME_WAIT,
    TcpState.LAST_ACK: TcpState.CLOSED,
}
_THEIR_FIN = {
    TcpState.ESTABLISHED: TcpState.CLOSE_WAIT,
    TcpState.FIN_WAIT_1: TcpState.CLOSING,
    TcpState.FIN_WAIT_2: TcpState.TIME_WAIT,
}


def _owe_dup(c: Context) -> None:
    c.w.dup_owed = min(c.w.dup_owed + 1, 7)


def _answer(c: Context, seg: RxSeg) -> None:
    """C-1, C-2: a refused segment is answered, one that is no more than an ACK as often as K-7 allows."""
    if _octets(seg) or keepalive.may_answer(c):
        _owe_dup(c)


def on_frame(c: Context, seg: RxSeg) -> None:
    """K-6 and C: a segment from the wire, of another VLAN than its neighbor's it is dropped (CH-161)."""
    vlan = 0 if c.neighbor is None else c.neighbor.vlan_id
    if vlan and not (seg.tagged and seg.vlan_id == vlan):
        c.verdict = Verdict.DROP
    else:
        on_segment(c, seg)


def on_segment(c: Context, seg: RxSeg, *, forwarded: bool = False) -> None:
    """C: verdict, state changes and the message to the delivery engine. ``forwarded``: by the host (B-8)."""
    w = c.w
    if w.state in (TcpState.TIME_WAIT, TcpState.CLOSED):
        c.verdict = Verdict.PASS_UP
        return
    c.verdict = Verdict.DROP
    if _paws_drops(c, seg):
        return
    acceptable, zero_probe = _acceptable(c, seg)
    if not acceptable:
        if not seg.flags & RST:
            _answer(c, seg)
            _report_old(c, seg)
        return
    if seg.flags & (RST | SYN):
        _reset_or_syn(c, seg)
        return
    if not seg.flags & ACK:
        return
    if lt(seg.ack, (w.snd_una - w.max_snd_wnd) & MASK) or gt(seg.ack, w.snd_max):
        if keepalive.may_answer(c):
            _owe_dup(c)
        return
    if w.ts_en and seg.ts_present and le(seg.seq, w.last_ack_sent):
        _remember_timestamp(c, seg)
    if seg.flags & URG:
        retrieve(c, seg.conn, UploadReason.RECEIVED_URGENT_DATA, freeze=True)
        c.verdict = Verdict.PASS_UP
        return
    confirm(c, seg)
    keepalive.on_acceptable(c)
    if seg.pay_len and gt(seg.seq, w.rcv_nxt):
        w.ooo_segs = min(w.ooo_segs + 1, COUNT_MAX)
    _acknowledgment(c, seg)
    if w.state == TcpState.FIN_WAIT_2:
        wait_for_fin(c)
    ecn.on_received(c, seg)
    _text(c, seg, zero_probe, forwarded)


def _octets(seg: RxSeg) -> int:
    """SEG.LEN: payload, SYN and FIN (RFC 9293 3.4)."""
    return seg.pay_len + (seg.flags & FIN) + bool(seg.flags & SYN)


def _report_old(c: Context, seg: RxSeg) -> None:
    """M-1: a refused segment held octets that were acknowledged before (RFC 2883 4)."""
    w, end = c.w, (seg.seq + _octets(seg)) & MASK
    if end != seg.seq and lt(seg.seq, w.rcv_nxt):
        ooo.report(w, seg.seq, end if lt(end, w.rcv_nxt) else w.rcv_nxt)


def _outdated(c: Context) -> bool:
    """TS.Recent is so old that a smaller timestamp may be a newer one (RFC 7323 5.5)."""
    limit = min(PAWS_SECONDS * c.params.ticks_per_second, MASK)
    return (c.now - c.w.ts_recent_tick) & MASK >= limit


def _remember_timestamp(c: Context, seg: RxSeg) -> None:
    """C-6: the latest timestamp; an outdated one is replaced whatever its value."""
    if ge(seg.tsval, c.w.ts_recent) or _outdated(c):
        c.w.ts_recent, c.w.ts_recent_tick = seg.tsval, c.now


def _paws_drops(c: Context, seg: RxSeg) -> bool:
    """C-1; an RST or a SYN is judged by where it lies alone (CH-197 to CH-199)."""
    w = c.w
    if not w.ts_en or seg.flags & (RST | SYN):
        return False
    if not seg.ts_present:
        return True
    if lt(seg.tsval, w.ts_recent) and not _outdated(c):
        _answer(c, seg)
        _report_old(c, seg)
        return True
    return False


def _acceptable(c: Context, seg: RxSeg) -> tuple[bool, bool]:
    """C-2: (acceptable, taken at a closed window with its text ignored)."""
    w, seq, length = c.w, seg.seq, _octets(seg)
    if w.rcv_adv == w.rcv_nxt:
        return seq == w.rcv_nxt, seq == w.rcv_nxt and length > 0
    if ge(seq, w.rcv_nxt) and lt(seq, w.rcv_adv):
        return True, False
    last = (seq + length - 1) & MASK
    return length > 0 and ge(last, w.rcv_nxt) and lt(last, w.rcv_adv), False


def _reset_or_syn(c: Context, seg: RxSeg) -> None:
    """C-3 and C-4; anything but the exact next octet gets a challenge ACK (RFC 5961), not too many (K-2)."""
    w = c.w
    if seg.seq != w.rcv_nxt:
        challenge = keepalive.challenge_reset if seg.flags & RST else keepalive.challenge_syn
        if challenge(c):
            _owe_dup(c)
    elif seg.flags & RST:
        w.aborted = w.abort_owed = 1
        w.phase = Phase.FROZEN
        w.state = TcpState.CLOSED
        notify(c, seg.conn, TcpEventType.ABORT, aborted=True)
    else:
        retrieve(c, seg.conn, UploadReason.UPLOAD_REQUESTED, freeze=True)
        w.state = TcpState.CLOSED


def _acknowledgment(c: Context, seg: RxSeg) -> None:
    """C-8."""
    w, ack, una = c.w, seg.ack, c.w.snd_una
    window = (seg.wnd << w.snd_ws) & MASK
    update = ge(ack, w.snd_una) and le(w.snd_wl1, seg.seq)
    repeated = ack == una
    before = recovery.before_ack(c)
    if gt(ack, w.snd_una):
        _new_ack(c, seg)
    if w.sack_en:
        news = recovery.take_blocks(c, seg)
        if repeated and news and not w.persist:
            recovery.on_duplicate(c)
        recovery.pace(c, before)
    elif (
        repeated
        and w.snd_max != w.snd_una
        and seg.pay_len == 0
        and not seg.flags & FIN
        and window == w.snd_wnd
        and not w.persist
    ):
        w.dup_acks = min(w.dup_acks + 1, 255)
        on_duplicate(c)
    ecn.on_echo(c, seg, una)
    if not update:
        return
    w.snd_wnd, w.snd_wl1 = window, seg.seq
    w.max_snd_wnd = max(w.max_snd_wnd, window)
    if w.persist and w.rtx_count:
        _probe_answered(c, window)


def _probe_answered(c: Context, window: int) -> None:
    """C-8 e: the peer lives. A closed window is probed in longer rounds, a small one is used at the next override."""
    w = c.w
    w.rtx_count = 0
    if window:
        w.snd_wnd_probe_count = 0
        wait = override(w.rto, c.params)
    else:
        w.snd_wnd_probe_count = min(w.snd_wnd_probe_count + 1, 255)
        wait = backed_off(w.rto, w.snd_wnd_probe_count, c.params)
    w.rtx_deadline = (c.now + wait) & MASK


def _new_ack(c: Context, seg: RxSeg) -> None:
    """C-8 b."""
    w, ack = c.w, seg.ack
    if w.rtt_active and gt(ack, w.rtt_seq):
        take_sample(c, seg)
    keep_timer = on_new_ack(c, ack, (ack - w.snd_una) & MASK)
    w.snd_una = ack
    ecn.keep_edge_near(c)
    if lt(w.snd_nxt, ack):
        w.snd_nxt = ack
    w.dup_acks = 0
    w.release_owed = 1
    if not w.persist:
        w.total_rt = w.rtx_count = 0
        if ack == w.snd_max:
            w.rtx_on = 0
        elif not keep_timer:
            w.rtx_on = 1
            w.rtx_deadline = (c.now + w.rto) & MASK
    if w.fin_queued and ack == w.snd_end:
        w.state = _OUR_FIN_ACKED.get(TcpState(w.state), TcpState(w.state))


@dataclass(frozen=True, slots=True)
class _Text:
    """What of a segment is taken (C-9): ``take`` octets [start, end), ``off`` behind its first.

    ``fin``: the FIN is right behind them; ``cut``: more octets came than were taken.
    """

    seg: RxSeg
    off: int
    start: int
    take: int
    fin: bool
    cut: bool

    @property
    def end(self) -> int:
        return (self.start + self.take) & MASK

    def pushes(self, behind: int) -> bool:
        """The peer pushed the octet in front of ``behind``, where a piece of the segment ends (CH-127)."""
        return bool(self.seg.flags & PSH) and behind == (self.seg.seq + self.seg.pay_len) & MASK


def _text(c: Context, seg: RxSeg, zero_probe: bool, forwarded: bool) -> None:
    """C-9: payload and FIN."""
    w = c.w
    if not seg.pay_len and not seg.flags & FIN:
        return
    if w.state == TcpState.CLOSED:
        return
    if zero_probe or w.state not in _TAKES_TEXT:
        _owe_dup(c)
        return
    text = _trimmed(w, seg)
    if text.start != w.rcv_nxt:
        _owe_dup(c)
        if not forwarded:
            _out_of_order(c, text)
    elif (not text.take and not text.fin) or (text.take and not _has_buffer(c, seg.conn)):
        _owe_dup(c)
    else:
        _in_order(c, text)


def _trimmed(w: TcbWork, seg: RxSeg) -> _Text:
    """Without what was received, what lies behind the window and what lies behind the end of the stream."""
    off = max(signed(w.rcv_nxt, seg.seq), 0)
    start = (seg.seq + off) & MASK
    rem = max(seg.pay_len - off, 0)
    take = min(rem, (w.rcv_adv - start) & MASK)
    if w.ooo_fin and gt((start + take) & MASK, w.ooo_fin_seq):
        take = max(signed(w.ooo_fin_seq, start), 0)
    return _Text(seg, off, start, take, bool(seg.flags & FIN and take == rem), take < rem)


def _out_of_order(c: Context, text: _Text) -> None:
    """M-2: behind a hole; kept if there is a list and a buffer for it."""
    w, seg, held = c.w, text.seg, ooo.ranges(c.w)
    if text.fin and not w.ooo_fin and not any(gt(r.right, text.end) for r in held):
        w.ooo_fin, w.ooo_fin_seq = 1, text.end
    if not text.take:
        return
    place = ooo.insertion(held, text.start, text.end)
    if place.known:
        ooo.report(w, text.start, text.end)
        ooo.store(w, [r for r in held if r is place.grown] + [r for r in held if r is not place.grown])
        return
    slot = place.slot(c.ooo_ranges)
    if slot is None or not _has_buffer(c, seg.conn, out_of_order=True):
        return
    if place.duplicate is not None:
        ooo.report(w, *place.duplicate)
    c.credits -= 1
    c.verdict = Verdict.DELIVER
    c.dlv = DlvMsg(
        kind=DlvEvt.HOLD,
        conn=seg.conn,
        gen=w.gen,
        arrival=seg.arrival,
        offset=seg.pay_off + ((place.first - seg.seq) & MASK),
        len=(place.behind - place.first) & MASK,
        psh=int(text.pushes(place.behind)),
        slot=slot,
        app=int(place.grown is not None),
        pre=int(place.reached is not None),
        slot2=0 if place.reached is None else place.reached.slot,
        free=ooo.mask_of(place.covered),
    )
    ooo.store(w, place.after(slot))
    if place.duplicate is None:
        ooo.forget_elsewhere(w)


def _in_order(c: Context, text: _Text) -> None:
    """M-3: text at rcv_nxt, and what is held right behind it."""
    w, seg, held = c.w, text.seg, ooo.ranges(c.w)
    step = ooo.advance(held, w.rcv_nxt, text.end, last=text.fin)
    fin_ok = text.fin or bool(w.ooo_fin and step.end == w.ooo_fin_seq)
    if text.take:
        if text.off:
            ooo.report(w, seg.seq, w.rcv_nxt)
        elif step.duplicate is not None:
            ooo.report(w, *step.duplicate)
        c.credits -= 1
        c.verdict = Verdict.DELIVER
    w.rcv_nxt = step.end
    ooo.store(w, () if fin_ok else step.kept)
    c.dlv = DlvMsg(
        kind=DlvEvt.DELIVER,
        conn=seg.conn,
        gen=w.gen,
        arrival=seg.arrival,
        offset=seg.pay_off + text.off if text.take else 0,
        len=text.take,
        psh=int(text.pushes(text.end)),
        fin=int(fin_ok),
        slot=0 if step.joined is None else step.joined.slot,
        join=int(step.joined is not None),
        skip=step.skip,
        free=step.freed | (ooo.mask_of(step.kept) if fin_ok else 0),
    )
    if fin_ok:
        _their_fin(c)
    _ack_policy(c, at_once=text.cut or text.off != 0 or bool(held))


def _has_buffer(c: Context, conn: int, *, out_of_order: bool = False) -> bool:
    """C-11: a first buffer if there is one, more of them only as long as one is left for each other connection.

    Out of order only as long as one is left for each, this one included. C-12: none while the host leaves the
    completion ring full and the receive path waits for it.
    """
    w = c.w
    if not c.room:
        return False
    first = w.rcv_nxt == w.consumed_seq
    need = c.conns + 1 if out_of_order else 1 if first else max(c.conns, 1)
    if c.credits >= need:
        return True
    if not first:
        c.dlv = DlvMsg(kind=DlvEvt.FLUSH, conn=conn, gen=w.gen)
    return False


def _their_fin(c: Context) -> None:
    w = c.w
    w.ooo_fin = w.ooo_fin_seq = 0
    w.rcv_nxt = (w.rcv_nxt + 1) & MASK
    w.consumed_seq = (w.consumed_seq + 1) & MASK
    w.rcv_adv = seq_max(w.rcv_adv, w.rcv_nxt)
    w.fin_rcvd = w.ack_now = 1
    if w.state == TcpState.FIN_WAIT_2:
        w.rtx_on = 0
    w.state = _THEIR_FIN[TcpState(w.state)]


def _ack_policy(c: Context, *, at_once: bool) -> None:
    """Delayed ACK (RFC 9293 3.8.6.3): every ack_frequency-th segment, or when the timer expires."""
    w = c.w
    w.unacked_segs = min(w.unacked_segs + 1, 255)
    if w.unacked_segs >= c.params.ack_frequency or at_once:
        w.ack_now = 1
    elif not w.dack_on and not w.ack_now:
        w.dack_on = 1
        w.dack_deadline = (c.now + c.params.delayed_ack_ticks) & MASK
