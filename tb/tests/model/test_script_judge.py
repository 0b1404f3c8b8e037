"""What the judge of traces compares, and what it leaves to the sender."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tb.script.events import Segment
from tb.script.judge import differences, joined, show
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
