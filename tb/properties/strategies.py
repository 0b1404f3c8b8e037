"""What is drawn: hand-overs, moves and waits, the simple ones first, for a failure shrinks towards them."""

from __future__ import annotations

from itertools import chain
from typing import Final

from hypothesis import strategies as st

from tb.properties.scenario import Move, Scenario
from tb.script.events import Handover

#: Kinds of moves; what stands here twice is drawn twice as often.
KINDS: Final = (
    "data", "data", "data", "send", "send", "send", "ack", "ack", "part", "part", "read", "read", "repeat", "window",
    "hole", "hole", "back", "again", "sack", "sack", "post", "end", "shut", "beyond", "nodelay", "late", "bare", "mark",
    "echo", "keepalive", "far", "reset", "syn", "urgent", "close",
)  # fmt: skip
#: Moves of a part of a scenario, and parts: hypothesis draws short lists, one long one would be rare.
MOST_MOVES: Final = 10
PARTS: Final = 3

WAITS: Final = (*[0] * 60, *range(1, 33), *range(40, 800, 8), *range(800, 3_001, 40))
"""Ticks: none, inside of a round trip, around the delayed ACK, around the least and the first RTO."""

SIZES: Final = tuple(
    sorted({*range(1, 17), *(int(17 * 1.06**n) for n in range(108)), 88, 536, 999, 1000, 1001, 1388, 1448, 1460, 2920})
)
"""Octets: few, around a segment of each MSS, and up to some segments."""


def handovers() -> st.SearchStrategy[Handover]:
    """Everything that both SYNs can agree upon; the numbers of both sides are about to wrap in each."""
    scales = st.one_of(st.just((0, 0)), st.tuples(st.integers(0, 8), st.integers(0, 8)))
    return st.builds(
        lambda mss, sack, scale, ts, window, ecn: Handover(
            peer_mss=mss, sack=sack, snd_ws=scale[0], rcv_ws=scale[1], ts=ts, rcv_wnd=window, ecn=ecn
        ),
        st.sampled_from((1000, 1460, 536, 88)),
        st.booleans(),
        scales,
        st.booleans(),
        st.sampled_from((65_535, 20_000, 5_000, 1_500)),
        st.sampled_from((False, False, False, True)),
    )


def moves() -> st.SearchStrategy[Move]:
    """One move: four choices, each from a table, so that a list gets shorter when it shrinks."""
    return st.builds(Move, st.sampled_from(KINDS), st.sampled_from(WAITS), st.sampled_from(SIZES), st.integers(0, 100))


def scenarios(longest: int = 6_000) -> st.SearchStrategy[Scenario]:
    """Whole scenarios whose waits take ``longest`` ticks at most."""
    return st.builds(
        Scenario,
        handovers(),
        st.sampled_from((32_000, 65_535, 4_000, 500, 0)),
        st.tuples(*[st.lists(moves(), max_size=MOST_MOVES)] * PARTS).map(lambda parts: tuple(chain(*parts))),
        st.just(longest),
    )
