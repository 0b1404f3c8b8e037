"""Section 9.6, receive, delivery, push (CH-123..163): its monitors, and what the simulation cannot show."""

from __future__ import annotations

from typing import Final

from tb.monitors.contract.receive_calls import ReceiveCalls
from tb.monitors.contract.receive_delivery import Delivery
from tb.monitors.contract.receive_wire import ReceiveWire

__all__ = ["NOT_APPLICABLE", "Delivery", "ReceiveCalls", "ReceiveWire"]

NOT_APPLICABLE: Final[dict[str, str]] = {
    "CH-160": "RSS queues: the adapter has one receive queue, so there is no choice that HashValue could make",
}
"""Rule to the object that is missing."""
