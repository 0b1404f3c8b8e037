"""What a scene leaves behind of one connection, and what rows ask of it."""

from __future__ import annotations

from typing import Any

from model.ndis.enums import Layer
from model.ndis.framing import Segment
from model.ndis.offload_state import TcpDelegated
from model.ndis.status import NdisStatus
from tb.tests.stage.moments import (
    DISCONNECT_COMPLETE,
    FORWARD_COMPLETE,
    MARK,
    RECEIVE_COMPLETE,
    SEND_COMPLETE,
    TERMINATE_COMPLETE,
    WIRE,
    Crossing,
    Given,
    ListSeen,
    Moment,
    NodeSeen,
)

#: IPv4 identifications from here on are the target's (CH-116).
TARGET_ID = 0x8000
#: Calls by which a list comes back.
COMPLETIONS = (SEND_COMPLETE, RECEIVE_COMPLETE, DISCONNECT_COMPLETE, FORWARD_COMPLETE, TERMINATE_COMPLETE)


class Record:
    """Moments, crossings and lists of one connection, in the order in which they came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.moments: list[Moment] = []
        #: Calls with its lists and trees at every face of every layer.
        self.crossings: list[Crossing] = []
        #: By identity of the list.
        self.given: dict[int, Given] = {}
        #: Downward I/O calls and what they returned.
        self.answers: list[tuple[str, NdisStatus]] = []
        self.facts: dict[str, Any] = {}

    def note(self, moment: Moment) -> None:
        """Something crossed the face or the wire."""
        self.moments.append(moment)

    def of(self, name: str) -> list[Moment]:
        """All moments of this name."""
        return [m for m in self.moments if m.name == name]

    def at(self, text: str) -> int:
        """Where a mark stands."""
        found = next((i for i, m in enumerate(self.moments) if m.name == MARK and m.text == text), None)
        if found is None:
            raise LookupError(f"{self.name}: no mark {text!r}")
        return found

    def place(self, name: str) -> int:
        """Where a list came back."""
        found = next((i for i, m in enumerate(self.moments) if self._back(m, name) is not None), None)
        if found is None:
            raise LookupError(f"{self.name}: {name} never came back")
        return found

    def returned(self, name: str) -> ListSeen:
        """A list as it came back."""
        found = self._back(self.moments[self.place(name)], name)
        assert found is not None
        return found

    @staticmethod
    def _back(moment: Moment, name: str) -> ListSeen | None:
        if moment.name not in COMPLETIONS:
            return None
        lists = [*moment.lists, *(s for node in moment.nodes for s in node.chain)]
        return next((seen for seen in lists if seen.name == name), None)

    @property
    def node(self) -> NodeSeen:
        """The connection's node when the terminate completed."""
        (moment,) = self.of(TERMINATE_COMPLETE)
        return next(node for node in moment.nodes if node.layer is Layer.TCP)

    @property
    def state(self) -> TcpDelegated:
        """The delegated state it brought."""
        assert isinstance(self.node.delegated, TcpDelegated)
        return self.node.delegated

    @property
    def wire(self) -> list[Segment]:
        """What the target sent, in order."""
        found = [(m.segment, m.raw) for m in self.of(WIRE) if m.segment is not None]
        return [s for s, raw in found if (not raw if s.source.is_ipv6 else s.ip_id >= TARGET_ID)]
