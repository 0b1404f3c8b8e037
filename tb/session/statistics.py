"""The questions of a session about its statistics: asked twice, judged by the contract monitors (CH-016 to CH-019)."""

from __future__ import annotations

from enum import Enum

from model.ndis.host import NdisHost
from model.ndis.registration import OidRequest

#: Share of the session at which the first questions are asked: its connections are offloaded then.
IN_THE_MIDDLE = 0.5


class Ask(Enum):
    """When a session asks."""

    TWICE = "in the middle and at the end"
    AT_THE_END = "nothing may come between before"
    NEVER = "connections are offloaded beside the host, whose frames count"


class StatisticsQuestions:
    """The four statistics OIDs, in the middle of the session and at its end; with ``when`` at other times."""

    def __init__(self, host: NdisHost, when: Ask = Ask.TWICE) -> None:
        self._host = host
        self._when = when
        self._asked: list[OidRequest] = []
        self._rounds = 0

    def step(self, progress: float, over: bool) -> bool:
        """Ask if it is time to; True if something was asked. ``progress`` of the session, 0..1."""
        wanted = 2 if over else int(progress >= IN_THE_MIDDLE and self._when is Ask.TWICE)
        if self._rounds >= wanted or self._when is Ask.NEVER:
            return False
        self._rounds = wanted
        self._asked += self._host.ask_statistics()
        return True

    @property
    def answered(self) -> bool:
        """The questions at the end were asked, and nothing is open."""
        if self._when is Ask.NEVER:
            return True
        return self._rounds == 2 and not any(self._host.pending(request) for request in self._asked)
