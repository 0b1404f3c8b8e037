"""CUBIC's part of congestion control (section Q; RFC 9438). Bytes, times in ms from the start of a stage.

A stage is a time of congestion avoidance between two reductions. In it cwnd follows a cubic of time around the window
in front of the last reduction (w_max), and is never below what Reno would have (w_est). K, the time at which the curve
is at w_max again, needs a cube root: one bit of it is found with each of the first acknowledgments. While less than
half of the window is in flight, cwnd is not what holds the sender back: nothing grows, and that time does not count.
Neither does the time between an acknowledgment that left nothing in flight and the next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from model.layout.generated import (
    CUBIC_BETA,
    CUBIC_C,
    CUBIC_C_LOG2,
    CUBIC_EST_UP,
    CUBIC_EST_WINDOW,
    CUBIC_FAST,
    CUBIC_MS_MAX,
    CUBIC_PART_LOG2,
    CWND_MAX,
    Cubic,
)
from model.tcp.seq import MASK, distance
from model.tcp.types import Context
from model.tcp.work import TcbWork

K_BITS: Final = CUBIC_MS_MAX.bit_length()
"""Bits of K, so the acknowledgments until it is known."""
_MS_A_TICK: Final = {10: 100, 100: 10}
"""By ticks a second; 1 for every other rate (Q-3)."""


def load(w: TcbWork) -> Cubic:
    """What is kept of the connection."""
    return Cubic.unpack(w.cc)


def store(w: TcbWork, kept: Cubic) -> None:
    """The inverse of `load`; raises ValueError for what a field cannot hold."""
    w.cc = kept.pack()


def part(octets: int) -> int:
    """0.7 of them (Q-1, Q-2; RFC 9438 4.6)."""
    return octets * CUBIC_BETA >> CUBIC_PART_LOG2


def reduce(c: Context, octets: int) -> None:
    """Q-1. A window that did not reach the last w_max leaves room for others: fast convergence (RFC 9438 4.7)."""
    w, kept = c.w, load(c.w)
    w.ssthresh = max(part(octets), 2 * c.mss)
    w_max = w.cwnd * CUBIC_FAST >> CUBIC_PART_LOG2 if w.cwnd < kept.w_max else w.cwnd
    store(w, replace(kept, prior=w.cwnd, w_max=w_max, epoch=0))


def on_timeout(c: Context) -> None:
    """Q-1: the stage behind a timeout begins at its own w_max, so K is 0 (RFC 9438 4.8)."""
    store(c.w, replace(load(c.w), w_max=0, epoch=0))


def after_idle(c: Context) -> None:
    """Q-1: no stage runs while nothing is sent; the next begins when the window is at ssthresh again."""
    store(c.w, replace(load(c.w), epoch=0))


def grow(c: Context, acked: int) -> None:
    """Q-4 to Q-7: an acknowledgment when cwnd is not below ssthresh, before snd_una moves."""
    kept, dry = load(c.w), int(acked == _flight(c))
    if kept.epoch and kept.dry:
        kept = _without_the_time_since(c, kept)
    if _unused(c):
        if kept.epoch:
            store(c.w, replace(_without_the_time_since(c, kept), dry=dry))
        return
    if not kept.epoch:
        _begin(c, kept, dry)
        return
    kept = _estimate(c, replace(kept, last=c.now, dry=dry), acked)
    if kept.k_bits:
        kept, target = _search(c, kept), 0
    else:
        target = min(_curve(c, kept), c.w.cwnd + (c.w.cwnd >> 1))
    store(c.w, kept)
    _follow(c, kept.w_est, target, acked)


def _flight(c: Context) -> int:
    """Octets that were sent and not acknowledged when the acknowledgment came."""
    return distance(c.w.snd_max, c.w.snd_una)


def _unused(c: Context) -> bool:
    """Q-6: less than half of the window is in flight (RFC 9438 5.8; the half is that of RFC 7661)."""
    return 2 * _flight(c) < c.w.cwnd


def _without_the_time_since(c: Context, kept: Cubic) -> Cubic:
    """Q-6, Q-7: the start of the stage moves by the ticks since the last acknowledgment: they do not count (4.2)."""
    return replace(kept, start=(kept.start + distance(c.now, kept.last)) & MASK, last=c.now)


def _begin(c: Context, kept: Cubic, dry: int) -> None:
    """Q-4: a stage begins; the window grows from the next acknowledgment on."""
    w = c.w
    gap = max(kept.w_max - w.cwnd, 0)
    w.cwnd_acc = 0
    begun = Cubic(
        epoch=1,
        start=c.now,
        last=c.now,
        dry=dry,
        w_max=max(kept.w_max, w.cwnd),
        prior=kept.prior,
        gap=gap,
        k_bits=K_BITS if gap else 0,
        w_est=w.cwnd,
    )
    store(w, begun)


def _estimate(c: Context, kept: Cubic, acked: int) -> Cubic:
    """Q-5.1: Reno's window, slower by what it would lose more of, until it is where the last reduction was (4.3)."""
    up = CUBIC_EST_UP if kept.w_est < kept.prior else CUBIC_EST_WINDOW
    acc, window = kept.est_acc + acked * up, CUBIC_EST_WINDOW * c.w.cwnd
    if acc < window:
        return replace(kept, est_acc=acc)
    return replace(kept, w_est=min(kept.w_est + c.mss, CWND_MAX), est_acc=min(acc - window, window))


def _search(c: Context, kept: Cubic) -> Cubic:
    """Q-5.2: one more bit of K, the largest time whose cube does not exceed the gap."""
    bits = kept.k_bits - 1
    longer = kept.k + (1 << bits)
    return replace(kept, k_bits=bits, k=longer if cube(longer, c.mss) <= kept.gap else kept.k)


def _curve(c: Context, kept: Cubic) -> int:
    """Q-5.2: W_cubic(t + RTT), the window that the curve has one round trip from now."""
    t = _ms(c, distance(c.now, kept.start)) + _ms(c, c.w.srtt >> 3)
    d = min(t, CUBIC_MS_MAX) - kept.k
    return max(kept.w_max - cube(-d, c.mss), 0) if d < 0 else kept.w_max + cube(d, c.mss)


def _follow(c: Context, w_est: int, target: int, acked: int) -> None:
    """Q-5.3: at least Reno's window; else as far towards ``target`` as a round trip's acknowledgments go."""
    w = c.w
    if w_est > target:
        w.cwnd, w.cwnd_acc = min(max(w.cwnd, w_est), CWND_MAX), 0
    elif target > w.cwnd:
        acc = min(w.cwnd_acc + acked, MASK)
        if acc * (target - w.cwnd) >= w.cwnd * c.mss:
            w.cwnd, w.cwnd_acc = min(w.cwnd + c.mss, CWND_MAX), 0
        else:
            w.cwnd_acc = acc


def _ms(c: Context, ticks: int) -> int:
    """Q-3."""
    return min(ticks * _MS_A_TICK.get(c.params.ticks_per_second, 1), CUBIC_MS_MAX)


def cube(ms: int, mss: int) -> int:
    """Q-3: C * (``ms`` / 1000)^3 segments in bytes; 0 <= ms <= CUBIC_MS_MAX."""
    return min(mss * ms**3 * CUBIC_C >> CUBIC_C_LOG2, CWND_MAX)
