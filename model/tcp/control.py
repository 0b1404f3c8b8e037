"""The joint between what every congestion control shares and the one that a connection has: Reno, or CUBIC.

Slow start, recovery, limited transmit, pipe and timers are common (congestion, recovery). A control says the rest: by
how much the window falls, how it grows when it is not below ssthresh, and what it forgets.
"""

from __future__ import annotations

from typing import Protocol

from model.tcp import cubic, reno
from model.tcp.types import Context
from model.tcp.work import TcbWork


class Control(Protocol):
    """What a module of a congestion control offers. Bytes throughout."""

    def part(self, octets: int) -> int:
        """What of a window, or of what was delivered (S-8), a reduction leaves."""

    def reduce(self, c: Context, octets: int) -> None:
        """Set ssthresh behind a congestion with ``octets`` in flight, before cwnd changes: at least two segments."""

    def grow(self, c: Context, acked: int) -> None:
        """Congestion avoidance: ``acked`` octets were acknowledged, before snd_una moves."""

    def on_timeout(self, c: Context) -> None:
        """The retransmission timer expired (D-2), behind ``reduce`` if that was the first time."""

    def after_idle(self, c: Context) -> None:
        """The window is about to be restarted after an idle time (B-5)."""


def control_of(w: TcbWork) -> Control:
    """The congestion control of a connection."""
    return cubic if w.cubic_en else reno
