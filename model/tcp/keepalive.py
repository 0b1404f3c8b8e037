"""Keep-alive (K-1 to K-3; RFC 9293 3.8.4) and the challenge ACKs that start it (RFC 5961 3, 4; CH-198, CH-201)."""

from __future__ import annotations

from model.layout.generated import (
    CHALLENGE_KA_PROBES,
    CHALLENGE_KA_SECONDS,
    SYN_CHALLENGE_SECONDS,
    Phase,
    TcpState,
    UploadReason,
)
from model.tcp.messages import retrieve
from model.tcp.seq import MASK, due, seq_max
from model.tcp.types import Context, seconds
from model.tcp.work import TcbWork

ENABLED, RESTART, MAX_RT_RESTART = 1 << 0, 1 << 2, 1 << 3
"""Bits of cached_flags."""
_MAX_PROBES = 0xFF
_OVER = frozenset((TcpState.TIME_WAIT, TcpState.CLOSED))


def on_acceptable(c: Context) -> None:
    """K-1: a segment that came as far as its acknowledgment shows that the far end lives."""
    w = c.w
    w.ka_probes_sent = w.ka_probe_owed = w.rst_challenged = 0
    if w.ka_challenge:
        w.ka_challenge = w.ka_on = 0
    if w.cached_flags & ENABLED:
        w.ka_on = 1
        w.ka_deadline = (c.now + w.ka_timeout) & MASK


def challenge_reset(c: Context) -> bool:
    """K-2 of an RST inside the window: True if a challenge ACK is owed, once until an acceptable segment comes."""
    if c.w.rst_challenged:
        return False
    c.w.rst_challenged = 1
    _arm(c)
    return True


def challenge_syn(c: Context) -> bool:
    """K-2 of a SYN inside the window: True if a challenge ACK is owed, one in SYN_CHALLENGE_SECONDS at most."""
    w = c.w
    if w.syn_challenged and (c.now - w.syn_tick) & MASK < seconds(c.params, SYN_CHALLENGE_SECONDS):
        return False
    w.syn_challenged, w.syn_tick = 1, c.now
    _arm(c)
    return True


def may_answer(c: Context) -> bool:
    """K-7: True if a segment that is not acceptable gets an answer now; it counts as given (RFC 5961 7)."""
    w = c.w
    if w.answered and (c.now - w.answer_tick) & MASK < c.params.ticks_per_second >> 1:
        return False
    w.answered, w.answer_tick = 1, c.now
    return True


def _arm(c: Context) -> None:
    """A far end that does not answer the challenge is probed: it may be gone."""
    w = c.w
    latest = (c.now + seconds(c.params, CHALLENGE_KA_SECONDS)) & MASK
    w.ka_deadline = seq_max(w.ka_deadline, latest) if w.ka_on else latest
    w.ka_on = w.ka_challenge = 1


def on_timer(c: Context, conn: int) -> bool:
    """K-3 (D-0): True if the upload was asked for, which ends the event."""
    w = c.w
    if not w.ka_on or not due(w.ka_deadline, c.now):
        return False
    if w.state in _OVER or not (w.cached_flags & ENABLED or w.ka_challenge):
        w.ka_on = 0
        return False
    if w.snd_max == w.snd_una:
        if w.ka_probes_sent >= (w.ka_probe_count or CHALLENGE_KA_PROBES):
            retrieve(c, conn, UploadReason.TIMEOUT_EXPIRATION, freeze=True)
            if w.ka_challenge:
                w.state = TcpState.CLOSED
            return True
        w.ka_probe_owed = 1
        w.ka_probes_sent = min(w.ka_probes_sent + 1, _MAX_PROBES)
    w.ka_deadline = (c.now + (w.ka_interval or seconds(c.params, 1))) & MASK
    return False


def on_update(c: Context) -> None:
    """B-9: the cached state in ``c.w`` is new. Switched off, a timer that a challenge started runs on."""
    w = c.w
    if not w.cached_flags & ENABLED:
        w.ka_on &= w.ka_challenge
        w.ka_probe_owed = 0
    elif not w.ka_on:
        w.ka_on = 1
        w.ka_deadline = _from_now(c, w)
    if w.ka_on and w.cached_flags & (RESTART | MAX_RT_RESTART):
        w.ka_probes_sent = 0
        w.ka_deadline = _from_now(c, w)


def _from_now(c: Context, w: TcbWork) -> int:
    """ka_timeout from now; of a connection that is not started, as remaining ticks."""
    return w.ka_timeout if w.phase == Phase.LOADED else (c.now + w.ka_timeout) & MASK
