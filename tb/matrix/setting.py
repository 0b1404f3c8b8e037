"""How a connection comes into the state of a cell: what it is offloaded with, and what happens to it then."""

from __future__ import annotations

from typing import Final

from model.layout.generated import TIMER_OFF, TcpState
from tb.matrix.cells import MASK, MAX_SND_WND, RCV_NXT, TS_CLOCK, TS_RECENT, UNA, WINDOW, snd_max

OFFLOADED_AS: Final = {"TIME_WAIT": "CLOSING", "CLOSED": "LAST_ACK"}
"""States that are not offloaded: in this one, and then the peer acknowledges everything."""
TIMESTAMPS, SACK = 1, 2
"""Bits of const_flags."""


def image_fields(state: str, window: str, stamped: bool) -> dict[str, int]:
    """Fields of the TCP image that the host hands over; text and FIN that are outstanding are handed over with it.

    A far end without timestamps does not permit SACK either, so that duplicates are counted both ways.
    """
    loaded = {"FROZEN": "ESTABLISHED"}.get(state, OFFLOADED_AS.get(state, state))
    size = WINDOW if window == "open" else 0
    top = snd_max(state)
    return {
        "state": TcpState[loaded], "const_flags": (SACK | TIMESTAMPS) if stamped else 0, "rcv_nxt": RCV_NXT,
        "rcv_wnd": size, "initial_rcv_wnd": size, "snd_una": UNA, "snd_nxt": top, "snd_max": top,
        "snd_wnd": MAX_SND_WND, "max_snd_wnd": MAX_SND_WND, "snd_wl1": (RCV_NXT - 1) & MASK, "ts_recent": TS_RECENT,
        "ts_time": TS_CLOCK, "ts_recent_age": 0, "rtx_timeout_delta": TIMER_OFF, "ka_timeout_delta": TIMER_OFF,
    }  # fmt: skip
