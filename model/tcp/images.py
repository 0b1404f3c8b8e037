"""State images for the host (CH-062): what TERMINATE (section E) and QUERY (B-10) give back."""

from __future__ import annotations

from model.layout.generated import TIMER_OFF, DelegatedImage, Phase, Tcb, TcpImage
from model.tcp.seq import MASK, due

FLAG_TS, FLAG_SACK, FLAG_WS, FLAG_ECN, FLAG_CUBIC = 1, 2, 4, 8, 16
"""Bits of const_flags."""


def _remaining(tcb: Tcb, on: int, deadline: int, now: int) -> int:
    """Ticks until ``deadline``; of a connection that is not started the field says that itself."""
    if not on:
        return TIMER_OFF
    if tcb.phase == Phase.LOADED:
        return deadline
    return 0 if due(deadline, now) else (deadline - now) & MASK


def delegated_image(tcb: Tcb, now: int) -> DelegatedImage:
    """What TERMINATE writes back; ``now`` is the tick of the FENCE_DONE commit."""
    return DelegatedImage(
        state=tcb.state,
        dlg_flags=tcb.dlg_flags,
        rcv_nxt=tcb.rcv_nxt,
        rcv_wnd=(tcb.rcv_adv - tcb.rcv_nxt) & MASK,
        snd_una=tcb.snd_una,
        snd_nxt=tcb.snd_nxt,
        snd_max=tcb.snd_max,
        snd_wnd=tcb.snd_wnd,
        max_snd_wnd=tcb.max_snd_wnd,
        snd_wl1=tcb.snd_wl1,
        cwnd=tcb.cwnd,
        ssthresh=tcb.ssthresh,
        srtt=tcb.srtt,
        rttvar=tcb.rttvar,
        ts_recent=tcb.ts_recent,
        ts_recent_age=(now - tcb.ts_recent_tick) & MASK,
        ts_time=(now + tcb.ts_delta) & MASK,
        total_rt=tcb.total_rt,
        dup_ack_count=tcb.dup_acks,
        snd_wnd_probe_count=tcb.snd_wnd_probe_count,
        ka_probes_sent=tcb.ka_probes_sent,
        rtx_count=tcb.rtx_count,
        ka_timeout_delta=_remaining(tcb, tcb.ka_on, tcb.ka_deadline, now),
        rtx_timeout_delta=_remaining(tcb, tcb.rtx_on, tcb.rtx_deadline, now),
        send_backlog_size=tcb.send_backlog_size,
        receive_backlog_size=tcb.receive_backlog_size,
        dwnd=tcb.dwnd,
    )


def _const_flags(tcb: Tcb) -> int:
    agreed = FLAG_TS * tcb.ts_en | FLAG_SACK * tcb.sack_en | FLAG_WS * tcb.ws_en | FLAG_ECN * tcb.ecn_en
    return agreed | FLAG_CUBIC * tcb.cubic_en


def whole_image(tcb: Tcb, now: int) -> TcpImage:
    """What QUERY writes: const, cached and delegated state of the instant ``now``, backlogs as they are (B-10)."""
    delegated = delegated_image(tcb, now)
    live = {name: getattr(delegated, name) for name in DelegatedImage.FIELDS}
    live["send_backlog_size"] = tcb.backlog_told
    live["receive_backlog_size"] = (tcb.rcv_nxt - tcb.consumed_seq) & MASK
    return TcpImage(
        family=tcb.family,
        const_flags=_const_flags(tcb),
        remote_port=tcb.remote_port,
        local_port=tcb.local_port,
        snd_wind_scale=tcb.snd_ws,
        rcv_wind_scale=tcb.rcv_ws,
        remote_mss=tcb.remote_mss,
        hash_value=tcb.hash_value,
        path_id=tcb.path_id,
        cached_flags=tcb.cached_flags,
        initial_rcv_wnd=tcb.init_rcv_wnd,
        rcv_indication_size=tcb.rcv_indication_size,
        ka_probe_count=tcb.ka_probe_count,
        ka_timeout=tcb.ka_timeout,
        ka_interval=tcb.ka_interval,
        max_rt=tcb.max_rt,
        flow_label=tcb.flow_label,
        ttl=tcb.ttl,
        tos=tcb.tos,
        user_priority=tcb.user_priority,
        old_segs=tcb.old_segs,
        ooo_segs=tcb.ooo_segs,
        **live,
    )
