"""Timer policy and expiry (rules E-3, E-5, D)."""

from __future__ import annotations

from model.layout.generated import FIN_WAIT_2_SECONDS, MAX_RT_NEVER, TcpState, UploadReason
from model.tcp import keepalive
from model.tcp.congestion import on_timeout
from model.tcp.messages import retrieve
from model.tcp.recovery import forget
from model.tcp.rtt import backed_off, override
from model.tcp.seq import MASK, due, lt
from model.tcp.types import Context, seconds


def policy(c: Context, can: bool) -> None:
    """E-3: which timer runs, after any event of a running connection. ``can``: G-1 on the new state."""
    w = c.w
    if w.snd_nxt == w.snd_una and w.snd_end != w.snd_una and not can and not w.rtx_head:
        if not w.persist:
            w.persist = w.rtx_on = 1
            w.rtx_count = w.snd_wnd_probe_count = 0
            wait = override(w.rto, c.params) if w.snd_wnd else w.rto
            w.rtx_deadline = (c.now + wait) & MASK
        return
    outstanding = w.snd_max != w.snd_una
    finishing = w.state == TcpState.FIN_WAIT_2  # the timer is that of K-4
    if w.persist:
        w.persist = w.rtx_count = 0
        if not finishing:
            w.rtx_on = int(outstanding)
            w.rtx_deadline = (c.now + w.rto) & MASK
    if not outstanding and not finishing:
        w.rtx_on = w.rtx_count = 0
    elif outstanding and not w.rtx_on:
        w.rtx_on = 1
        w.rtx_deadline = (c.now + w.rto) & MASK


def next_deadline(c: Context) -> int | None:
    """E-5: the earliest deadline of a running connection."""
    w = c.w
    earliest: int | None = None
    timers = (w.rtx_on, w.rtx_deadline), (w.dack_on, w.dack_deadline), (w.ka_on, w.ka_deadline)
    for on, deadline in timers:
        if on and (earliest is None or lt(deadline, earliest)):
            earliest = deadline
    return earliest


def wait_for_fin(c: Context) -> None:
    """K-4: FIN_WAIT_2_SECONDS from now the far end's FIN is waited for no longer."""
    c.w.rtx_on = 1
    c.w.rtx_deadline = (c.now + seconds(c.params, FIN_WAIT_2_SECONDS)) & MASK


def on_timer(c: Context, conn: int) -> None:
    """TIMER: D-0 to D-2; deadlines are checked again here."""
    w = c.w
    if keepalive.on_timer(c, conn):
        return
    if w.dack_on and due(w.dack_deadline, c.now):
        w.dack_on = 0
        w.ack_now = 1
    if w.rtx_on and due(w.rtx_deadline, c.now):
        if w.state == TcpState.FIN_WAIT_2:
            w.state = TcpState.CLOSED
            retrieve(c, conn, UploadReason.TIMEOUT_EXPIRATION, freeze=True)
        elif w.persist:
            _probe_time(c, conn)
        else:
            _retransmit_time(c, conn)


def _probe_time(c: Context, conn: int) -> None:
    w = c.w
    if w.rtx_count >= c.params.max_retransmissions:
        retrieve(c, conn, UploadReason.TIMEOUT_EXPIRATION, freeze=True)
        return
    w.probe_owed = 1
    w.rtx_deadline = (c.now + backed_off(w.rto, w.rtx_count, c.params)) & MASK
    w.rtx_count = min(w.rtx_count + 1, 255)


def _retransmit_time(c: Context, conn: int) -> None:
    w = c.w
    if w.max_rt == 0:
        reached = w.rtx_count >= c.params.max_retransmissions
    else:
        reached = w.max_rt != MAX_RT_NEVER and w.total_rt >= w.max_rt
    if reached:
        retrieve(c, conn, UploadReason.TIMEOUT_EXPIRATION, freeze=True)
        return
    w.total_rt = min(w.total_rt + w.rto, MASK)
    on_timeout(c)
    forget(c)
    w.rtx_count = min(w.rtx_count + 1, 255)
    w.rto = min(w.rto * 2, c.params.rto_max)
    w.rtx_deadline = (c.now + w.rto) & MASK
