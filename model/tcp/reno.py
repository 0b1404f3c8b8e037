"""Reno's part of congestion control (RFC 5681; F-2 else, thresholds of F-3, D-2, N-2). Bytes."""

from __future__ import annotations

from model.layout.generated import CWND_MAX
from model.tcp.seq import MASK
from model.tcp.types import Context


def part(octets: int) -> int:
    """A half."""
    return octets // 2


def reduce(c: Context, octets: int) -> None:
    """Half of what is in flight, at least two segments (RFC 5681 3.1)."""
    c.w.ssthresh = max(part(octets), 2 * c.mss)


def grow(c: Context, acked: int) -> None:
    """A segment for each window that is acknowledged (RFC 5681 3.1)."""
    w = c.w
    w.cwnd_acc = (w.cwnd_acc + acked) & MASK
    if w.cwnd_acc >= w.cwnd:
        w.cwnd_acc -= w.cwnd
        w.cwnd = min(w.cwnd + c.mss, CWND_MAX)


def on_timeout(_: Context) -> None:
    """Nothing is kept beside cwnd and ssthresh."""


def after_idle(_: Context) -> None:
    """Nothing is kept beside cwnd and ssthresh."""
