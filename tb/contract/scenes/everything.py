"""All scenes, part by part."""

from __future__ import annotations

from typing import Final

from tb.contract.scenes import (
    decisions,
    disconnect,
    events,
    forward,
    initiate,
    intermediate,
    ipv6,
    receive,
    registration,
    sending,
    state,
    terminate,
    timers,
)
from tb.contract.scenes.stage import Case, Part

PARTS: Final[tuple[Part, ...]] = (
    registration.PART,
    sending.PART,
    initiate.PART,
    state.PART,
    receive.PART,
    forward.PART,
    disconnect.PART,
    events.PART,
    timers.PART,
    terminate.PART,
    intermediate.PART,
    decisions.PART,
    ipv6.PART,
)
CASES: Final[tuple[Case, ...]] = tuple(case for part in PARTS for case in part.cases)


def playable(intermediates: int) -> list[Case]:
    """What one session with so many intermediate drivers can play: scenes that want some where there are enough."""
    wanted = (c for c in CASES if bool(c.intermediates) is bool(intermediates) and c.intermediates <= intermediates)
    return sorted(wanted, key=lambda case: case.last)
