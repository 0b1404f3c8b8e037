"""Records of a run, changed in one thing: what a judgement must not believe."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from model.ndis.enums import TcpConnectionState, TcpEventType
from model.ndis.netbuffer import NetBufferList, Owner
from model.ndis.offload_state import OffloadBlock, TcpDelegated
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.tests.founding.page import Stories
from tb.tests.stage import (
    ARRIVAL,
    DISCONNECT,
    EVENT,
    FORWARD,
    FORWARD_COMPLETE,
    RAW_INDICATE,
    RETURN,
    SEND,
    TERMINATE,
    WIRE,
    Crossing,
    ListSeen,
    Moment,
    NodeSeen,
    Story,
)

AROUND = (SEND, DISCONNECT, FORWARD, TERMINATE, EVENT)
Lie = Callable[[Story], None]
"""Changes a copy of a story."""


class Told(Mapping[str, Story]):
    """All stories with the same lie in each; one is made up when it is looked at, for a row looks at few."""

    def __init__(self, lie: Lie, stories: Stories) -> None:
        self._lie = lie
        self._stories = stories
        self._changed: dict[str, Story] = {}

    def __getitem__(self, name: str) -> Story:
        if name not in self._changed:
            self._changed[name] = self._change(self._stories[name])
        return self._changed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stories)

    def __len__(self) -> int:
        return len(self._stories)

    def _change(self, story: Story) -> Story:
        other = copy.copy(story)
        other.moments, other.crossings = list(story.moments), list(story.crossings)
        other.given, other.facts = dict(story.given), dict(story.facts)
        other.sink, other.answers = bytearray(story.sink), list(story.answers)
        other.far = copy.copy(story.far)
        self._lie(other)
        return other


def _lists(change: Callable[[ListSeen], ListSeen]) -> Lie:
    def lie(story: Story) -> None:
        story.moments = [
            replace(
                m,
                lists=tuple(change(seen) for seen in m.lists),
                nodes=tuple(replace(n, chain=tuple(change(seen) for seen in n.chain)) for n in m.nodes),
            )
            for m in story.moments
        ]

    return lie


def _moments(change: Callable[[list[Moment]], list[Moment]]) -> Lie:
    def lie(story: Story) -> None:
        story.moments = change(story.moments)

    return lie


def _each(change: Callable[[Moment], Moment]) -> Lie:
    return _moments(lambda moments: [change(m) for m in moments])


def _nodes(change: Callable[[NodeSeen], NodeSeen]) -> Lie:
    return _each(lambda m: replace(m, nodes=tuple(change(node) for node in m.nodes)))


def _state(**values: Any) -> Lie:
    def change(node: NodeSeen) -> NodeSeen:
        if not isinstance(node.delegated, TcpDelegated):
            return node
        return replace(node, delegated=replace(node.delegated, **values))

    return _nodes(change)


def _crossings(change: Callable[[Crossing], Crossing]) -> Lie:
    def lie(story: Story) -> None:
        story.crossings = [change(call) for call in story.crossings]

    return lie


def _without(*names: str) -> Lie:
    return _moments(lambda moments: [m for m in moments if m.name not in names])


def _twice(moments: list[Moment]) -> list[Moment]:
    return [again for m in moments for again in (m, m)]


def _other_list(seen: ListSeen) -> ListSeen:
    return replace(seen, nbl=NetBufferList([], owner=Owner.HOST))


def _ended(status: NdisStatus | None) -> Lie:
    return _lists(lambda s: replace(s, status=status))


def _counted(count: int | None) -> Lie:
    return _lists(lambda s: replace(s, transferred=count))


def _nodes_ended(status: NdisStatus) -> Lie:
    return _nodes(lambda n: replace(n, status=status))


def _given(**values: Any) -> Lie:
    def lie(story: Story) -> None:
        story.given = {key: replace(one, **values) for key, one in story.given.items()}

    return lie


def _returned(story: Story) -> None:
    story.answers = [(name, NdisStatus.SUCCESS) for name, _ in story.answers]


def _facts(story: Story) -> None:
    story.facts = {}


def _sunk(story: Story) -> None:
    story.sink += b"more"


def _streamed(story: Story) -> None:
    story.far.stream = story.far.stream + b"more"


def _resets(story: Story) -> None:
    story.moments = [
        m if m.segment is None else replace(m, segment=replace(m.segment, flags=m.segment.flags ^ TcpFlag.RST))
        for m in story.moments
    ]


def _fins(story: Story) -> None:
    story.moments = [
        m if m.segment is None else replace(m, segment=replace(m.segment, flags=m.segment.flags ^ TcpFlag.FIN))
        for m in story.moments
    ]


def _events(moments: list[Moment]) -> list[Moment]:
    return [m if m.event is None else replace(m, event=(TcpEventType.SEND_BACKLOG_CHANGE, 1)) for m in moments]


def lies() -> Iterator[tuple[str, Lie]]:
    """Every lie, with what it says."""
    for status in (NdisStatus.SUCCESS, NdisStatus.UPLOAD_IN_PROGRESS, NdisStatus.REQUEST_ABORTED, None):
        yield f"every list ends with {status!r}", _ended(status)
    for count in (None, 0, 7):
        yield f"every list counts {count}", _counted(count)
    yield "every list is a send", _lists(lambda s: replace(s, name="S9"))
    yield "other lists come back", _lists(_other_list)
    yield "every data start moved by 1", _lists(lambda s: replace(s, moved=(1,) * len(s.moved)))
    yield "MDLs are missing", _lists(lambda s: replace(s, whole=False))
    yield "other bytes are left", _lists(lambda s: replace(s, rest=s.rest + b"x"))
    yield "lists moved in memory", _lists(lambda s: replace(s, places=((0, 1),)))
    yield "everything happened in reverse", _moments(lambda moments: moments[::-1])
    yield "everything happened twice", _moments(_twice)
    yield "everything happened inside everything", _each(lambda m: replace(m, inside=AROUND))
    yield "all at one time", _each(lambda m: replace(m, tick=0))
    yield "each call carried 3 lists", _each(lambda m: replace(m, count=3))
    yield "each call carried 1 list", _each(lambda m: replace(m, count=1))
    yield "other trees", _each(lambda m: replace(m, root=None if m.name.startswith("Miniport") else m.root))
    yield "no frame left", _without(WIRE)
    yield "no frame arrived", _without(ARRIVAL)
    yield "no frame came up", _without(RAW_INDICATE)
    yield "no event", _without(EVENT)
    yield "no return", _without(RETURN)
    yield "no forward came back", _without(FORWARD_COMPLETE)
    yield "other events", _moments(_events)
    yield "resets where there were none", _resets
    yield "FINs where there were none", _fins
    for failed in (NdisStatus.SUCCESS, NdisStatus.FAILURE, NdisStatus.PENDING):
        yield f"every node ends with {failed!r}", _nodes_ended(failed)
    yield "no delegated state", _nodes(lambda n: replace(n, delegated=None))
    yield "a chain of nothing", _nodes(lambda n: replace(n, has_chain=True, chain=()))
    yield "no chain", _nodes(lambda n: replace(n, has_chain=False, chain=()))
    yield "buffered data", _nodes(lambda n: replace(n, buffered=n.buffered + b"x"))
    yield "fewer buffers", _nodes(lambda n: replace(n, buffered_lists=n.buffered_lists[1:]))
    yield "another state", _state(state=TcpConnectionState.CLOSE_WAIT)
    for name in ("snd_una", "snd_nxt", "snd_max", "rcv_nxt"):
        yield f"another {name}", _state(**{name: 5})
    yield "other ends of the chain", _state(send_data_head=None)
    yield "other handles", _crossings(lambda c: replace(c, handle=object()))
    yield "other contexts", _crossings(lambda c: replace(c, context=-1))
    yield "other lists cross", _crossings(lambda c: replace(c, lists=c.lists[1:], statuses=c.statuses[1:]))
    yield "other trees cross", _crossings(lambda c: replace(c, root=OffloadBlock(c.root.type) if c.root else None))
    yield "other names", _crossings(lambda c: replace(c, name=c.name.replace("Complete", "")))
    yield "other layers", _crossings(lambda c: replace(c, layer=0))
    yield "everything crosses by itself", _crossings(lambda c: replace(c, inside=((9, "?", "?"),)))
    yield "no calls into NDIS", _crossings(lambda c: replace(c, face="?" if c.face in "BC" else c.face))
    yield "other data was given", _given(data=b"?")
    yield "other sizes were given", _given(lengths=(1, 2, 3))
    yield "whole MDLs were given", _given(chains=((object(),),))
    yield "other answers", _returned
    yield "other facts", _facts
    yield "more was taken", _sunk
    yield "more arrived", _streamed
