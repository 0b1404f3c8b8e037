"""The SACK scoreboard against a set of octets, and pipe against RFC 6675 4 read octet by octet."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.layout.generated import SB_RANGES
from model.tcp.recovery import Recovery
from model.tcp.scoreboard import Scoreboard, blocks_of, load, store
from model.tcp.seq import MASK
from model.tcp.work import TcbWork

FLIGHT = 90
THRESHOLD = st.integers(1, 5)
MSS = st.integers(1, 12)
EDGE = st.integers(-3, FLIGHT + 3)
BLOCKS = st.lists(st.tuples(EDGE, EDGE), max_size=25)


def runs(octets: Iterable[int]) -> list[tuple[int, int]]:
    """Maximal runs [left, right) of a set of octets."""
    found: list[tuple[int, int]] = []
    for octet in sorted(octets):
        if found and found[-1][1] == octet:
            found[-1] = (found[-1][0], octet + 1)
        else:
            found.append((octet, octet + 1))
    return found


def held_after(blocks: list[tuple[int, int]], most: int) -> set[int]:
    """Octets that a scoreboard of ``most`` ranges holds behind ``blocks``, by the sentences of S-1."""
    held: set[int] = set()
    for left, right in blocks:
        if left <= 0 or left >= right or right > FLIGHT:
            continue
        meets = any(octet in held for octet in range(left - 1, right + 1))
        if meets or len(runs(held)) < most:
            held |= set(range(left, right))
    return held


def board_of(blocks: list[tuple[int, int]]) -> Scoreboard:
    return Scoreboard(FLIGHT).with_blocks(blocks)


@pytest.mark.rule("S-1")
@settings(max_examples=300, deadline=None)
@given(blocks=BLOCKS)
def test_the_scoreboard_is_the_set_of_octets_that_blocks_told_of(blocks: list[tuple[int, int]]) -> None:
    board = board_of(blocks)
    held = held_after(blocks, SB_RANGES)
    assert list(board.spans) == runs(held)
    assert board.sacked == len(held)
    assert len(board.spans) <= SB_RANGES


@pytest.mark.rule("S-1", "B14")
def test_a_range_more_than_there_are_places_is_not_taken_but_one_that_joins_two_is() -> None:
    full = board_of([(4 * n + 2, 4 * n + 4) for n in range(SB_RANGES)])
    assert full.with_blocks([(60, 70)]) == full
    joined = full.with_blocks([(4, 6), (60, 70)])
    assert joined.spans[0] == (2, 8)
    assert joined.spans[-1] == (60, 70)


@pytest.mark.rule("S-4")
@settings(max_examples=300, deadline=None)
@given(blocks=BLOCKS, threshold=THRESHOLD, mss=MSS)
def test_below_the_lost_edge_lie_exactly_the_octets_that_rfc_6675_calls_lost(
    blocks: list[tuple[int, int]], threshold: int, mss: int
) -> None:
    held = held_after(blocks, SB_RANGES)
    board = board_of(blocks)
    edge = board.lost_edge(threshold, mss)
    for octet in set(range(FLIGHT)) - held:
        above = {other for other in held if other > octet}
        lost = len(runs(above)) >= threshold or len(above) > (threshold - 1) * mss
        assert lost == (octet < edge)
        assert board.unsacked(octet) == len(set(range(octet)) - held)


@pytest.mark.rule("S-4", "S-6")
@settings(max_examples=300, deadline=None)
@given(blocks=BLOCKS, threshold=THRESHOLD, mss=MSS, resent=st.integers(0, FLIGHT))
def test_pipe_and_the_next_retransmission_are_those_of_rfc_6675(
    blocks: list[tuple[int, int]], threshold: int, mss: int, resent: int
) -> None:
    board = board_of(blocks)
    held = held_after(blocks, SB_RANGES)
    edge = board.lost_edge(threshold, mss)
    recovery = Recovery(board, 0, mss, edge, resent, rescued=False)
    missing = set(range(FLIGHT)) - held
    assert recovery.pipe == sum((octet >= edge) + (octet < resent) for octet in missing)

    below = {octet for octet in missing if octet >= resent and octet < max(held, default=0)}
    for piece, octets in ((recovery.lost(), {o for o in below if o < edge}), (recovery.hole(), below)):
        if not octets:
            assert piece is None
            continue
        assert piece is not None
        assert piece.seq == min(octets)
        sent = set(range(piece.seq, piece.seq + piece.octets))
        assert sent <= below
        assert piece.octets == mss or piece.seq + piece.octets in held


@pytest.mark.rule("S-6")
@settings(max_examples=100, deadline=None)
@given(blocks=BLOCKS, mss=MSS)
def test_the_rescue_is_the_last_segment_that_is_not_held(blocks: list[tuple[int, int]], mss: int) -> None:
    board = board_of(blocks)
    top = max(held_after(blocks, SB_RANGES), default=-1) + 1
    piece = Recovery(board, 0, mss, 0, 0, rescued=False).rescue()
    assert Recovery(board, 0, mss, 0, 0, rescued=True).rescue() is None
    if top == FLIGHT:
        assert piece is None
    else:
        assert piece is not None
        assert (piece.seq, piece.seq + piece.octets) == (max(top, FLIGHT - mss), FLIGHT)


@pytest.mark.rule("S-1")
@settings(max_examples=200, deadline=None)
@given(una=st.integers(0, MASK), blocks=BLOCKS, acked=st.integers(0, FLIGHT))
def test_ranges_survive_the_tcb_and_go_when_acknowledged_or_reneged(
    una: int, blocks: list[tuple[int, int]], acked: int
) -> None:
    w = TcbWork(snd_una=una, snd_max=(una + FLIGHT) & MASK)
    store(w, board_of(blocks))
    assert load(w) == board_of(blocks)
    assert (w.sb_left | w.sb_right) >> 32 * w.sb_n == 0
    w.snd_una = (una + acked) & MASK
    kept = [(left - acked, right - acked) for left, right in board_of(blocks).spans if left > acked]
    assert list(load(w).spans) == kept


@pytest.mark.rule("S-1")
@pytest.mark.parametrize(
    ("left", "right"),
    [(0, 10), (-5, 10), (10, 10), (20, 10), (10, FLIGHT + 1), (10, 0x8000_0000 + 15), (0x8000_0005, 20)],
)
def test_a_block_that_does_not_lie_in_flight_does_not_count(left: int, right: int) -> None:
    una = 0xFFFF_FFF0
    (block,) = blocks_of(1, (una + left) & MASK, (una + right) & MASK, una)
    assert Scoreboard(FLIGHT).with_blocks([block]).spans == ()
