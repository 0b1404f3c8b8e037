"""Section 10: the decisions on what the published pages leave open, each watched through what it makes visible."""

from __future__ import annotations

from typing import Final

from tb.monitors.contract.decisions_calls import CallDecisions, PassingDecisions
from tb.monitors.contract.decisions_receive import ReceiveDecisions
from tb.monitors.contract.decisions_requests import RequestDecisions
from tb.monitors.contract.decisions_state import StateDecisions
from tb.monitors.contract.decisions_wire import WireDecisions

__all__ = [
    "MONITORS",
    "NOT_APPLICABLE",
    "CallDecisions",
    "PassingDecisions",
    "ReceiveDecisions",
    "RequestDecisions",
    "StateDecisions",
    "WireDecisions",
]

MONITORS: Final = (
    CallDecisions,
    PassingDecisions,
    ReceiveDecisions,
    RequestDecisions,
    StateDecisions,
    WireDecisions,
)

NOT_APPLICABLE: Final[dict[str, str]] = {}
"""No decision is without a consequence that shows."""
