"""Section 9.10, timers, timestamps, neighbor reachability (CH-214..229): its monitors."""

from __future__ import annotations

from tb.monitors.contract.timers_idle import IdleTimers
from tb.monitors.contract.timers_reachability import Reachability
from tb.monitors.contract.timers_retransmit import Retransmission

__all__ = ["IdleTimers", "Reachability", "Retransmission"]
