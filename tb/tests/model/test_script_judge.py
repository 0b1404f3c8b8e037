"""What the judge of traces compares, and what it leaves to the sender."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tb.script.events import Segment
from tb.script.judge import answered_once, differences, duplicate, joined, show
from tb.script.twins import changes
from tb.script.wire import Heard, octets

FULL = Segment(frozenset("P."), 1, 1000, ack=5, win=9, ts=(1, 2), sack=((7, 9), (11, 13)))


def heard(segment: Segment, written: int = 1000) -> Heard:
    """A segment as it came, with the payload that belongs there."""
    return Heard(0, segment, octets(segment.seq, segment.length), written)


def test_what_agrees_has_no_difference() -> None:
    assert list(differences(FULL, heard(FULL))) == []


@pytest.mark.parametrize("field", sorted(changes(FULL)))
def test_every_compared_field_that_is_off_is_told(field: str) -> None:
    expected = changes(FULL)[field](FULL)
    assert list(differences(expected, heard(FULL)))


@pytest.mark.parametrize(
    "other",
    [
        replace(FULL, win=10),
        replace(FULL, ts=(99, 2)),
        replace(FULL, ack=None),
    ],
)
def test_window_timestamp_value_and_what_is_not_said_are_not_compared(other: Segment) -> None:
    assert list(differences(other, heard(FULL))) == []


@pytest.mark.rule("CH-113")
def test_push_is_compared_on_the_last_octet_that_is_queued_and_nowhere_else() -> None:
    plain = replace(FULL, flags=frozenset("."))
    assert list(differences(plain, heard(FULL, written=1000)))
    assert list(differences(FULL, heard(plain, written=1000)))
    assert list(differences(plain, heard(FULL, written=2000))) == []


def test_a_payload_of_other_octets_is_told() -> None:
    wrong = Heard(0, FULL, octets(2, 1000), 1000)
    assert list(differences(FULL, wrong)) == ["the payload is not what the application wrote there"]


def test_a_missing_or_unasked_timestamps_option_is_told() -> None:
    bare = replace(FULL, ts=None)
    assert list(differences(FULL, heard(bare))) == ["no timestamps option"]
    assert list(differences(bare, heard(FULL))) == ["timestamps option"]


def test_segments_of_one_burst_are_compared_as_one() -> None:
    first = heard(replace(FULL, flags=frozenset("."), sack=()))
    second = heard(replace(FULL, seq=1001, sack=()))
    whole = joined(first, second)
    assert whole is not None
    assert show(whole.segment).startswith("P. 1:2001(2000) ack 5")


@pytest.mark.parametrize("change", [{"seq": 1002}, {"ack": 6}, {"flags": frozenset("R.")}, {"length": 0}])
def test_segments_that_do_not_follow_each_other_stay_apart(change: dict[str, object]) -> None:
    first = heard(replace(FULL, flags=frozenset("."), sack=()))
    second = heard(replace(FULL, seq=1001, sack=()))
    other = replace(second.segment, **change)  # type: ignore[arg-type]
    assert joined(first, Heard(0, other, octets(other.seq, other.length), 1000)) is None


def ack_of(number: int, *blocks: tuple[int, int], ts: tuple[int, int] | None = None) -> Heard:
    return heard(Segment(frozenset("."), 1, 0, ack=number, sack=blocks, ts=ts))


@pytest.mark.parametrize(
    ("number", "blocks", "report"),
    [
        (3001, (), None),
        (3001, ((4001, 5001),), None),
        (3001, ((1001, 3001), (4001, 5001)), (1001, 3001)),  # below the acknowledgment
        (1, ((4001, 5001), (4001, 7001)), (4001, 5001)),  # part of a block behind it
        (1, ((4001, 5001), (6001, 7001)), None),
    ],
)
def test_a_first_block_that_is_known_already_is_a_report_of_octets_that_came_twice(
    number: int, blocks: tuple[tuple[int, int], ...], report: tuple[int, int] | None
) -> None:
    assert duplicate(ack_of(number, *blocks).segment) == report


def test_the_acks_of_the_pieces_of_a_segment_are_the_last_one_with_the_first_sequence_that_came_twice() -> None:
    """RFC 2883 4: 1:6001 over what is held at 1001:3001 and 4001:5001 reports the first of them, and all of it."""
    pieces = [
        ack_of(3001, (1001, 1461), (4001, 5001), (7001, 8001)),
        ack_of(3001, (1461, 2921), (4001, 5001), (7001, 8001)),
        ack_of(5001, (2921, 3001), (7001, 8001)),
        ack_of(5841, (4381, 5001), (7001, 8001)),
        ack_of(6001, (7001, 8001)),
    ]
    assert answered_once(pieces) == ack_of(6001, (1001, 3001), (7001, 8001))


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_piece_that_came_twice_and_was_not_reported_shows_in_the_ack_of_the_whole(missing: int) -> None:
    reports = [(1001, 1461), (1461, 2921), (2921, 3001)]
    acks = [ack_of(6001, *(() if at == missing else (block,))) for at, block in enumerate(reports)]
    assert list(differences(ack_of(6001, (1001, 3001)).segment, answered_once(acks)))


def test_pieces_that_brought_nothing_twice_are_answered_by_the_last_ack() -> None:
    acks = [ack_of(1001, (7001, 8001)), ack_of(2001, (7001, 8001))]
    assert answered_once(acks) == acks[-1]


@pytest.mark.parametrize(("ts", "blocks"), [(None, 4), ((1, 2), 3)])
def test_a_report_takes_the_place_of_the_last_block_where_there_is_no_room(
    ts: tuple[int, int] | None, blocks: int
) -> None:
    held = tuple((10_000 * n, 10_000 * n + 1000) for n in range(1, blocks + 1))
    found = answered_once([ack_of(2001, (1001, 2001), *held[:-1], ts=ts), ack_of(3001, *held, ts=ts)])
    assert found.segment.sack == ((1001, 2001), *held[:-1])
