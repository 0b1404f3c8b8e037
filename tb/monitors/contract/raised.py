"""The TCP events that the target raised on one connection."""

from __future__ import annotations

from tb.monitors.contract import ndis_numbers as ndis


class Raised:
    """What NdisTcpOffloadEventHandler told, in order: thousands in a long transfer, so one is looked up."""

    def __init__(self) -> None:
        self._all: list[tuple[int, int, int]] = []
        self._known: set[tuple[int, int | None]] = set()

    def __bool__(self) -> bool:
        return bool(self._all)

    def __repr__(self) -> str:
        return repr(self._all)

    def add(self, event: int, info: int, at: int) -> None:
        """An event with its information; ``at`` is a tick or a place in the trace, as the book counts."""
        self._all.append((event, info, at))
        self._known |= {(event, info), (event, None)}

    def had(self, event: int, info: int | None = None) -> bool:
        """The event was raised, with this information if given."""
        return (event, info) in self._known

    @property
    def stopped(self) -> bool:
        """A mandatory upload reason was raised: the target processes no more (2.12)."""
        return any((ndis.RETRIEVE_EVENT, reason) in self._known for reason in ndis.MANDATORY)

    def places(self, event: int, info: int | None = None) -> list[int]:
        """Where it was raised, each time."""
        return [at for e, i, at in self._all if e == event and info in (None, i)]
