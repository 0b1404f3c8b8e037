"""Retransmission timeout by RFC 6298, in ticks of 1 ms, in eighths and quarters as in its appendix."""

from __future__ import annotations

from typing import Final

_GRANULARITY: Final = 1
"""Clock granularity G in ticks."""


class RetransmitTimeout:
    """SRTT, RTTVAR and the current RTO with its back-off."""

    def __init__(self, initial: int, minimum: int, maximum: int) -> None:
        self._minimum = minimum
        self._maximum = maximum
        self._srtt_times_8: int | None = None
        self._rttvar_times_4 = 0
        self._base = initial
        self.current = initial
        """RTO in ticks, back-off included."""

    def sample(self, round_trip: int) -> None:
        """A round trip of `round_trip` ticks was measured; ends any back-off."""
        if self._srtt_times_8 is None:
            self._srtt_times_8 = 8 * round_trip
            self._rttvar_times_4 = 2 * round_trip
        else:
            error = round_trip - self._srtt_times_8 // 8
            self._rttvar_times_4 += abs(error) - self._rttvar_times_4 // 4
            self._srtt_times_8 += error
        rto = self._srtt_times_8 // 8 + max(_GRANULARITY, self._rttvar_times_4)
        self._base = min(max(rto, self._minimum), self._maximum)
        self.current = self._base

    def back_off(self) -> None:
        """The timer expired: double."""
        self.current = min(2 * self.current, self._maximum)

    def reset_backoff(self) -> None:
        """Back to the value computed from the samples."""
        self.current = self._base
