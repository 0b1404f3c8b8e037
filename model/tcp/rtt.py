"""Round-trip time and RTO (RFC 6298, RFC 7323 4; rule F-1). Times in ticks, srtt x 8, rttvar x 4."""

from __future__ import annotations

from model.layout.generated import Params, RxSeg
from model.tcp.seq import signed
from model.tcp.types import Context

MAX_SAMPLE = 8191
_MAX_16 = 0xFFFF
_MAX_SHIFT = 16


def rto_of(srtt: int, rttvar: int, params: Params) -> int:
    """RTO from the smoothed values, clamped; without a sample yet the initial one."""
    if srtt == 0:
        return params.rto_initial
    rto = (srtt >> 3) + max(1, rttvar)
    return min(max(rto, params.rto_min), params.rto_max)


def backed_off(rto: int, count: int, params: Params) -> int:
    """RTO doubled ``count`` times, at most rto_max."""
    return min(rto << min(count, _MAX_SHIFT), params.rto_max)


def override(rto: int, params: Params) -> int:
    """Ticks until a window that silly-window avoidance holds back is used all the same (RFC 9293 3.8.6.2.1)."""
    return min(rto, params.rto_initial)


def smooth(srtt: int, rttvar: int, sample: int) -> tuple[int, int]:
    """(srtt, rttvar) after a sample of 1 .. MAX_SAMPLE ticks."""
    if srtt == 0:
        return sample << 3, sample << 1
    d = sample - (srtt >> 3)
    rttvar = rttvar + abs(d) - (rttvar >> 2)
    srtt = srtt + d
    return min(srtt, _MAX_16) or 1, min(rttvar, _MAX_16)


def take_sample(c: Context, seg: RxSeg) -> None:
    """F-1: the ACK in ``seg`` ends the measurement that was under way."""
    w = c.w
    echoed = w.ts_en and seg.ts_present
    elapsed = signed(c.now + w.ts_delta, seg.tsecr) if echoed else signed(c.now, w.rtt_tick)
    sample = min(max(elapsed, 1), MAX_SAMPLE)
    w.rtt_active = 0
    w.srtt, w.rttvar = smooth(w.srtt, w.rttvar, sample)
    w.rto = rto_of(w.srtt, w.rttvar, c.params)
