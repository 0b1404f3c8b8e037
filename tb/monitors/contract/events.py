"""Section 9.9, events, FIN, RST, SYN, URG and packets for the host (CH-190..213): its monitors."""

from __future__ import annotations

from tb.monitors.contract.events_peer import PeerEvents
from tb.monitors.contract.events_upload import Uploads

__all__ = ["PeerEvents", "Uploads"]
