"""What scenes share: data that tells its place, and conditions to wait for."""

from __future__ import annotations

from collections.abc import Callable

from model.ndis.enums import TcpEventType
from tb.tests.founding.moments import EVENT
from tb.tests.founding.story import Story


def pattern(size: int, first: int = 0) -> bytes:
    """Bytes that tell their place."""
    return bytes((first + 7 * i + i // 256) & 0xFF for i in range(size))


def arrived(story: Story, count: int, *, fin: bool = False) -> Callable[[], bool]:
    """The far end has this much of the stream."""
    return lambda: len(story.far.stream) >= count and (story.far.fin_seen or not fin)


def came_back(story: Story, name: str) -> Callable[[], bool]:
    def came() -> bool:
        return any(seen.name == name for m in story.moments if m.name.endswith("Complete") for seen in m.lists)

    return came


def told(story: Story, event: TcpEventType) -> Callable[[], bool]:
    return lambda: any(m.event is not None and m.event[0] is event for m in story.of(EVENT))
