"""A segment arrives (section C of the contract; RFC 9293 3.10.7.4, RFC 7323 5)."""

from __future__ import annotations

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
from model.tcp import keepalive
from model.tcp.congestion import on_duplicate, on_new_ack
from model.tcp.messages import notify, retrieve
from model.tcp.reach import confirm
from model.tcp.rtt import backed_off, override, take_sample
from model.tcp.seq import MASK, ge, gt, le, lt, seq_max, signed
from model.tcp.timers import wait_for_fin
from model.tcp.types import Context

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


def on_frame(c: Context, seg: RxSeg) -> None:
    """K-6 and C: a segment from the wire, of another VLAN than its neighbor's it is dropped (CH-161)."""
    vlan = 0 if c.neighbor is None else c.neighbor.vlan_id
    if vlan and not (seg.tagged and seg.vlan_id == vlan):
        c.verdict = Verdict.DROP
    else:
        on_segment(c, seg)


def on_segment(c: Context, seg: RxSeg) -> None:
    """C: verdict, state changes and the message to the delivery engine."""
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
            _owe_dup(c)
        return
    if seg.flags & (RST | SYN):
        _reset_or_syn(c, seg)
        return
    if not seg.flags & ACK:
        return
    if lt(seg.ack, (w.snd_una - w.max_snd_wnd) & MASK) or gt(seg.ack, w.snd_max):
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
    _acknowledgment(c, seg)
    if w.state == TcpState.FIN_WAIT_2:
        wait_for_fin(c)
    _text(c, seg, zero_probe)


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
        _owe_dup(c)
        return True
    return False


def _acceptable(c: Context, seg: RxSeg) -> tuple[bool, bool]:
    """C-2: (acceptable, taken at a closed window with its text ignored)."""
    w, seq = c.w, seg.seq
    length = seg.pay_len + (seg.flags & FIN) + bool(seg.flags & SYN)
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
    w, ack = c.w, seg.ack
    window = (seg.wnd << w.snd_ws) & MASK
    update = ge(ack, w.snd_una) and le(w.snd_wl1, seg.seq)
    if gt(ack, w.snd_una):
        _new_ack(c, seg)
    elif (
        ack == w.snd_una
        and w.snd_max != w.snd_una
        and seg.pay_len == 0
        and not seg.flags & FIN
        and window == w.snd_wnd
        and not w.persist
    ):
        w.dup_acks = min(w.dup_acks + 1, 255)
        on_duplicate(c)
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


def _text(c: Context, seg: RxSeg, zero_probe: bool) -> None:
    """C-9: payload and FIN."""
    w = c.w
    fin = seg.flags & FIN
    if not seg.pay_len and not fin:
        return
    if zero_probe or w.state not in _TAKES_TEXT:
        _owe_dup(c)
        return
    off = max(signed(w.rcv_nxt, seg.seq), 0)
    rem = max(seg.pay_len - off, 0)
    take = min(rem, (w.rcv_adv - w.rcv_nxt) & MASK)
    fin_ok = bool(fin and take == rem)
    if (seg.seq + off) & MASK != w.rcv_nxt or (take == 0 and not fin_ok) or (take > 0 and not _has_buffer(c, seg.conn)):
        _owe_dup(c)
        return
    psh = int(bool(seg.flags & PSH))
    if take:
        c.credits -= 1
        w.rcv_nxt = (w.rcv_nxt + take) & MASK
        c.verdict = Verdict.DELIVER
    c.dlv = DlvMsg(
        kind=DlvEvt.DELIVER,
        conn=seg.conn,
        gen=w.gen,
        arrival=seg.arrival,
        offset=seg.pay_off + off if take else 0,
        len=take,
        psh=psh,
        fin=int(fin_ok),
    )
    if fin_ok:
        _their_fin(c)
    _ack_policy(c, at_once=take < rem or off != 0)


def _has_buffer(c: Context, conn: int) -> bool:
    """C-11: a first buffer if there is one, more of them only as long as one is left for each other connection.

    C-12: none while the host leaves the completion ring full and the receive path waits for it.
    """
    w = c.w
    if not c.room:
        return False
    if w.rcv_nxt == w.consumed_seq:
        return c.credits >= 1
    if c.credits >= max(c.conns, 1):
        return True
    c.dlv = DlvMsg(kind=DlvEvt.FLUSH, conn=conn, gen=w.gen)
    return False


def _their_fin(c: Context) -> None:
    w = c.w
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
