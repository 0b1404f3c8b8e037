"""The working copy of a TCB inside one step: same fields as the layout, but mutable.

A step makes one copy at entry and freezes it at its end; a test compares the field list with the layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from model.layout.generated import Tcb


@dataclass(slots=True)
class TcbWork:
    """A Tcb that may be written; units as in the layout."""

    phase: int = 0
    gen: int = 0
    state: int = 0
    terminating: int = 0
    aborted: int = 0
    abort_owed: int = 0
    ts_en: int = 0
    sack_en: int = 0
    ws_en: int = 0
    snd_ws: int = 0
    rcv_ws: int = 0
    family: int = 0
    path_id: int = 0
    local_port: int = 0
    remote_port: int = 0
    remote_mss: int = 0
    hash_value: int = 0
    cached_flags: int = 0
    init_rcv_wnd: int = 0
    rcv_indication_size: int = 0
    ka_probe_count: int = 0
    ka_timeout: int = 0
    ka_interval: int = 0
    max_rt: int = 0
    flow_label: int = 0
    ttl: int = 0
    tos: int = 0
    user_priority: int = 0
    dlg_flags: int = 0
    ka_probes_sent: int = 0
    ka_timeout_delta: int = 0
    send_backlog_size: int = 0
    receive_backlog_size: int = 0
    dwnd: int = 0
    snd_una: int = 0
    snd_nxt: int = 0
    snd_max: int = 0
    snd_end: int = 0
    fin_queued: int = 0
    snd_wnd: int = 0
    max_snd_wnd: int = 0
    snd_wl1: int = 0
    cwnd: int = 0
    ssthresh: int = 0
    cwnd_acc: int = 0
    recover: int = 0
    in_recovery: int = 0
    sb_n: int = 0
    sb_left: int = 0
    sb_right: int = 0
    high_rxt: int = 0
    rescued: int = 0
    last_tx_tick: int = 0
    ecn_en: int = 0
    ecn_ece: int = 0
    ecn_cwr: int = 0
    ecn_edge: int = 0
    cubic_en: int = 0
    cc: int = 0
    partial_seen: int = 0
    dup_acks: int = 0
    rtx_head: int = 0
    probe_owed: int = 0
    release_owed: int = 0
    ack_now: int = 0
    dup_owed: int = 0
    srtt: int = 0
    rttvar: int = 0
    rto: int = 0
    rtt_active: int = 0
    rtt_seq: int = 0
    rtt_tick: int = 0
    rtx_on: int = 0
    persist: int = 0
    rtx_deadline: int = 0
    rtx_count: int = 0
    snd_wnd_probe_count: int = 0
    total_rt: int = 0
    dack_on: int = 0
    dack_deadline: int = 0
    unacked_segs: int = 0
    rcv_nxt: int = 0
    rcv_adv: int = 0
    consumed_seq: int = 0
    last_ack_sent: int = 0
    fin_rcvd: int = 0
    ts_recent: int = 0
    ts_recent_tick: int = 0
    rr_n: int = 0
    rr_left: int = 0
    rr_right: int = 0
    rr_slot: int = 0
    ooo_fin: int = 0
    ooo_fin_seq: int = 0
    dsack: int = 0
    dsack_left: int = 0
    dsack_right: int = 0
    ts_delta: int = 0
    retrieve_sent: int = 0
    img_addr: int = 0
    img_cookie: int = 0
    img_sq_index: int = 0
    invalid: int = 0
    backlog_told: int = 0
    backlog_tick: int = 0
    ka_on: int = 0
    ka_deadline: int = 0
    ka_challenge: int = 0
    ka_probe_owed: int = 0
    rst_challenged: int = 0
    syn_challenged: int = 0
    syn_tick: int = 0
    answered: int = 0
    answer_tick: int = 0
    old_segs: int = 0
    ooo_segs: int = 0


_FIELDS = attrgetter(*Tcb.FIELDS)


def thaw(frozen: Tcb) -> TcbWork:
    """A working copy of ``frozen``."""
    return TcbWork(*_FIELDS(frozen))


def freeze(work: TcbWork) -> Tcb:
    """The finished state."""
    return Tcb(*_FIELDS(work))
