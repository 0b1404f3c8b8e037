"""Which rule a field of an event obeys: the line of the contract to read first when it diverges."""

from __future__ import annotations

_CONTRACT = "docs/contract/tcp_step.md"
_BY_FIELD = {
    "phase": "B, C-3, D-2, E: phases of a connection",
    "gen": "E-1: generation",
    "state": "C-8b, C-9, G-3: states and FIN",
    "snd_una": "C-8b: acknowledgment",
    "snd_nxt": "G-3, D-2: what is sent next",
    "snd_max": "G-3, G-2(2): highest sequence sent",
    "snd_end": "B-5, B-6: end of queued data",
    "fin_queued": "B-6: graceful disconnect",
    "snd_wnd": "C-8d: window update (RFC 9293 3.10.7.4)",
    "max_snd_wnd": "C-8d: largest window",
    "snd_wl1": "C-8d: window update",
    "cwnd": "F-2, F-3, D-2: congestion window (RFC 5681, 6582)",
    "ssthresh": "F-3, D-2: slow start threshold (RFC 5681)",
    "cwnd_acc": "F-2: congestion avoidance",
    "recover": "F-3, D-2: NewReno recovery point (RFC 6582)",
    "in_recovery": "F-2, F-3: NewReno recovery",
    "partial_seen": "F-2: partial ACK",
    "dup_acks": "C-8c: duplicate ACKs",
    "aborted": "B-6a, C-3, E: aborts",
    "abort_owed": "B-6a, B-7, C-3, G: sends to be completed after an RST",
    "rtx_head": "F-2, F-3, G-2(1): retransmission of the head",
    "probe_owed": "D-2, G-2(2): window probe",
    "release_owed": "C-8b, G-5: release of acknowledged sends",
    "ack_now": "C-9, D-1, E, G-4: ACK at once",
    "dup_owed": "C, G-4: duplicate ACKs owed",
    "srtt": "F-1: RTT estimation (RFC 6298)",
    "rttvar": "F-1: RTT estimation (RFC 6298)",
    "rto": "F-1, D-2: retransmission timeout (RFC 6298)",
    "rtt_active": "F-1, G-3: timing one segment (Karn)",
    "rtt_seq": "G-3: timing one segment",
    "rtt_tick": "G-3: timing one segment",
    "rtx_on": "E-3, C-8b: retransmission timer",
    "persist": "E-3: persist timer",
    "rtx_deadline": "E-3, C-8b, C-8e, D-2: retransmission or persist deadline",
    "rtx_count": "E-3, C-8b, D-2: retransmissions counted",
    "snd_wnd_probe_count": "C-8e: rounds of the persist timer",
    "total_rt": "C-8b, D-2: total retransmission time",
    "dack_on": "C-9, D-1, G-4: delayed ACK",
    "dack_deadline": "C-9: delayed ACK",
    "unacked_segs": "C-9, G-4: delayed ACK",
    "rcv_nxt": "C-9: text accepted",
    "rcv_adv": "G-4, C-9: advertised edge",
    "consumed_seq": "E: CONSUMED",
    "last_ack_sent": "G-4, C-6: last ACK",
    "ts_recent": "C-6: TS.Recent (RFC 7323)",
    "ts_recent_tick": "C-6: age of TS.Recent",
    "retrieve_sent": "E-7, E-8: upload request",
}
_BY_PREFIX = {
    "rx": "rx_parser: arguments of RX_SEGMENT (docs/contract/blocks.md)",
    "tx0": "G-2, G-3, G-4, G-6, B: what is issued to the transmit queue",
    "tx1": "G, G-5, B-6a, B-7: RELEASE, FENCE",
    "tx0_valid": "E-2, G-2: when something is issued",
    "tx1_valid": "E-2, G, G-5, B-6a, B-7: when RELEASE or FENCE is issued",
    "dlv": "B, C-9, E-7: message to delivery_engine",
    "dlv_valid": "E-6: message to delivery_engine",
    "cpl": "B: completion of a command",
    "cpl_valid": "B: completion of a command",
    "credits": "C-9, E: pool credits",
    "verdict": "C: verdict on the frame",
    "img_valid": "E: FENCE_DONE",
    "dcb": "docs/contract/delivery_step.md",
    "plq": "docs/contract/delivery_step.md: action for rx_placer",
    "plq_valid": "docs/contract/delivery_step.md: action for rx_placer",
    "pool_free": "docs/contract/delivery_step.md: free queue",
    "consumed": "docs/contract/delivery_step.md: consumed bytes",
    "credit_ret": "docs/contract/delivery_step.md: returned credits",
    "cqe": "docs/contract/hostport.md: completions",
    "index": "docs/contract/hostport.md: completion ring",
    "source": "docs/contract/hostport.md: completion ring",
    "tick": "mechanisms M8: ticks",
    "order": "mechanisms M9: order numbers",
}


def rule_of(event: str, field: str) -> str:
    """The rule behind ``field`` (dotted name) of a commit of ``event``."""
    head, _, tail = field.partition(".")
    if head == "tcb":
        known = _BY_FIELD.get(tail)
        return f"{_CONTRACT} {known}" if known else f"{_CONTRACT} section of {event}"
    return _BY_PREFIX.get(head, f"{_CONTRACT} section of {event}")
