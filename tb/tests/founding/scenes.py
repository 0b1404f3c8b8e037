"""All scenes, in the order in which they are played."""

from __future__ import annotations

from collections.abc import Callable

from tb.tests.founding import scenes_disconnect, scenes_forward, scenes_send, scenes_terminate
from tb.tests.stage import Scene, Stage

Play = Callable[[Stage], Scene]

SCENES: tuple[Play, ...] = (
    scenes_disconnect.graceful,
    scenes_disconnect.with_data,
    scenes_disconnect.part_acknowledged,
    scenes_disconnect.nothing_acknowledged,
    scenes_disconnect.acknowledged_first,
    scenes_disconnect.data_acknowledged_first,
    scenes_terminate.chained,
    scenes_terminate.unsent,
    scenes_terminate.pulled_back,
    scenes_terminate.all_acknowledged,
    scenes_terminate.never_sent,
    scenes_disconnect.reset,
    scenes_disconnect.reset_part_of_disconnect,
    scenes_disconnect.disconnect_after_reset,
    scenes_disconnect.abort,
    scenes_disconnect.abort_many,
    scenes_disconnect.abort_behind_graceful,
    scenes_send.late_requests,
    scenes_terminate.buffered,
    scenes_terminate.owed,
    scenes_terminate.posted,
    scenes_terminate.failure,
    scenes_send.many,
    scenes_forward.forwarded,
    scenes_forward.forward_into_reset,
    scenes_forward.forward_into_upload,
    scenes_forward.forward_in_flight,
    scenes_forward.state_calls,
    scenes_disconnect.two_at_once,
    scenes_disconnect.given_up,
    scenes_terminate.aged,
    scenes_terminate.silent,
    scenes_terminate.resources,
)

#: Scenes that need an intermediate driver.
THROUGH: tuple[Play, ...] = (scenes_send.short_of_memory,)


def scenes(intermediates: int) -> tuple[Play, ...]:
    """What is played with so many intermediate drivers; ``resources`` comes last, when the session is over."""
    return (*SCENES[:-1], *(THROUGH if intermediates else ()), SCENES[-1])
