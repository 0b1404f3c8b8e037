"""Slow start and NewReno recovery (RFC 5681, 6582; F-2, F-3, S-3, congestion in D-2, idle restart of B-5). Bytes.

How far the window falls and how it grows behind slow start is the control's to say: Reno or CUBIC (control).
"""

from __future__ import annotations

from typing import Final

from model.layout.generated import CWND_MAX, IW_BYTES
from model.tcp.control import control_of
from model.tcp.ecn import on_reduction
from model.tcp.seq import MASK, ge, gt, le, seq_max
from model.tcp.types import Context

LIMITED_TRANSMIT: Final = 2
"""Segments that duplicate acknowledgments let out without SACK (RFC 3042)."""


def reduce(c: Context, extra: int = 0) -> None:
    """Slow start threshold after a loss, of what is in flight, and what else the control notes of it.

    ``extra``: octets that limited transmit may have let out. As far as they lie behind cwnd it did, and they do not
    count (RFC 5681 3.2, RFC 6675 5 (4.2)).
    """
    flight = (c.w.snd_max - c.w.snd_una) & MASK
    control_of(c.w).reduce(c, max(min(flight, c.w.cwnd), flight - extra))


def on_new_ack(c: Context, ack: int, acked: int) -> bool:
    """F-2, called before snd_una moves. True: the retransmission timer keeps running as it is."""
    w = c.w
    keep_timer = False
    if w.in_recovery:
        keep_timer = _recovering(c, ack, acked)
    else:
        _growing(c, acked)
    if not w.in_recovery:
        # 2 GiB later an old point would lie ahead of snd_una and forbid the next fast retransmit
        w.recover = seq_max(w.recover, (ack - 1) & MASK)
    return keep_timer


def _recovering(c: Context, ack: int, acked: int) -> bool:
    """F-2 in recovery: the whole window (it ends) or a part of it is acknowledged.

    With SACK (S-3) pipe decides what else goes; but when all that was sent again arrived, the next octet is lost,
    whether or not the scoreboard had room for what tells it.
    """
    w, mss = c.w, c.mss
    if ge(ack, w.recover):
        w.cwnd = min(w.ssthresh, CWND_MAX)
        w.in_recovery = w.partial_seen = w.cwnd_acc = w.rescued = 0
        return False
    w.rtt_active = 0
    if w.sack_en:
        w.partial_seen = 1
        if le(w.high_rxt, ack):
            w.high_rxt, w.rtx_head = ack, 1
        return False
    w.rtx_head = 1
    cwnd = max(w.cwnd - acked, 0) + (mss if acked >= mss else 0)
    w.cwnd = min(max(cwnd, mss), CWND_MAX)
    keep, w.partial_seen = bool(w.partial_seen), 1
    return keep


def _growing(c: Context, acked: int) -> None:
    """F-2 else: slow start or congestion avoidance."""
    w, mss = c.w, c.mss
    if w.cwnd < w.ssthresh:
        w.cwnd = min(w.cwnd + min(acked, mss), CWND_MAX)
    else:
        control_of(w).grow(c, acked)


def on_duplicate(c: Context) -> None:
    """F-3, after dup_acks was counted."""
    w, mss = c.w, c.mss
    if w.in_recovery:
        w.cwnd = min(w.cwnd + mss, CWND_MAX)
    elif w.dup_acks == c.params.dup_ack_threshold and gt(w.snd_una, w.recover):
        reduce(c, LIMITED_TRANSMIT * mss)
        w.recover = w.snd_max
        w.cwnd = min(w.ssthresh + 3 * mss, CWND_MAX)
        w.in_recovery = 1
        w.partial_seen = 0
        w.rtx_head = 1
        w.rtt_active = 0
        on_reduction(c)


def after_idle(c: Context) -> None:
    """B-5: nothing was sent for longer than an RTO, so cwnd says nothing of the path any more (RFC 5681 4.1)."""
    w, mss = c.w, c.mss
    control_of(w).after_idle(c)
    w.cwnd = min(w.cwnd, 10 * mss, max(2 * mss, IW_BYTES))
    w.cwnd_acc = 0


def on_timeout(c: Context) -> None:
    """The retransmission timer expired (D-2): one segment from here on, everything behind snd_una counts as lost."""
    w = c.w
    if w.rtx_count == 0:
        reduce(c)
        on_reduction(c)
    control_of(w).on_timeout(c)
    w.cwnd = c.mss
    w.cwnd_acc = w.in_recovery = w.partial_seen = w.rtx_head = w.dup_acks = w.rtt_active = 0
    w.recover = w.snd_max
    w.snd_nxt = w.snd_una
