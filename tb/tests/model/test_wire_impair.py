"""The bad network: what it counts is what it does, and its kinds do not disturb each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.wire.impair import (
    HOLD_LIMIT_TICKS,
    MAX_OVERTAKING,
    FaultKind,
    ImpairmentError,
    ImpairmentRates,
    Impairments,
    shortfalls,
)

FRAMES = 2000
rates = st.builds(
    ImpairmentRates,
    drop=st.floats(0, 1),
    reorder=st.floats(0, 1),
    duplicate=st.floats(0, 1),
    corrupt=st.floats(0, 1),
    delay_ticks=st.integers(0, 5),
)


def frame(number: int, size: int = 60) -> bytes:
    """An IPv4 frame that carries its number."""
    packet = b"\x45\x00" + (size - 14).to_bytes(2, "big") + number.to_bytes(4, "big")
    return bytes(12) + b"\x08\x00" + packet + bytes(size - 14 - len(packet))


def number_of(data: bytes) -> int:
    return int.from_bytes(data[18:22], "big")


def play(wire: Impairments, count: int = FRAMES, spacing: int = 1) -> list[tuple[int, bytes]]:
    """Push `count` frames, one each `spacing` ticks, then drain; (tick, frame) as they arrive."""
    out: list[tuple[int, bytes]] = []
    tick = 0
    for n in range(count):
        tick = n * spacing
        wire.push(frame(n), tick)
        out += [(tick, data) for data in wire.pop_due(tick)]
    while (deadline := wire.next_deadline()) is not None:
        assert deadline > tick
        tick = deadline
        out += [(tick, data) for data in wire.pop_due(tick)]
    return out


def faulty(wire: Impairments, kind: FaultKind) -> list[int]:
    return [fault.frame for fault in wire.faults if fault.kind is kind]


def test_a_perfect_wire_delivers_every_frame_in_order_at_once() -> None:
    wire = Impairments(ImpairmentRates(), 1)
    assert play(wire) == [(n, frame(n)) for n in range(FRAMES)]
    assert set(wire.counts.as_dict().values()) == {0}


def test_a_delay_delivers_every_frame_exactly_that_much_later() -> None:
    wire = Impairments(ImpairmentRates(delay_ticks=7), 1)
    assert play(wire) == [(n + 7, frame(n)) for n in range(FRAMES)]
    assert wire.counts.delayed == FRAMES


def test_dropped_frames_are_exactly_those_that_do_not_arrive() -> None:
    wire = Impairments(ImpairmentRates(drop=0.1), 3)
    arrived = {number_of(data) for _, data in play(wire)}
    assert sorted(set(range(FRAMES)) - arrived) == faulty(wire, FaultKind.DROPPED)
    assert wire.counts.dropped == FRAMES - len(arrived)
    assert 150 < wire.counts.dropped < 250


def test_duplicated_frames_are_exactly_those_that_arrive_twice() -> None:
    wire = Impairments(ImpairmentRates(duplicate=0.1), 3)
    seen = Counter(number_of(data) for _, data in play(wire))
    assert sorted(n for n, times in seen.items() if times == 2) == faulty(wire, FaultKind.DUPLICATED)
    assert max(seen.values()) == 2


def test_a_corrupted_frame_differs_in_one_bit_behind_the_ethernet_header() -> None:
    wire = Impairments(ImpairmentRates(corrupt=0.1), 3)
    damaged: list[int] = []
    for n, (_, data) in enumerate(play(wire)):
        difference = int.from_bytes(data, "big") ^ int.from_bytes(frame(n), "big")
        if difference:
            damaged.append(n)
            assert difference.bit_count() == 1
            assert difference < 1 << 8 * 46
    assert damaged == faulty(wire, FaultKind.CORRUPTED)
    assert wire.counts.corrupted == len(damaged) > 100


def test_padding_and_frames_without_checksum_are_not_corrupted() -> None:
    wire = Impairments(ImpairmentRates(corrupt=1.0), 3)
    short = bytes(12) + b"\x08\x00" + b"\x45\x00\x00\x14" + bytes(16) + b"P" * 26
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    for _ in range(100):
        wire.push(short, 0)
        wire.push(arp, 0)
    out = wire.pop_due(0)
    assert all(data[34:] == short[34:] and data != short for data in out[::2])
    assert all(data == arp for data in out[1::2])
    assert wire.counts.corrupted == 100


def test_a_vlan_tag_is_not_corrupted() -> None:
    wire = Impairments(ImpairmentRates(corrupt=1.0), 3)
    tagged = bytes(12) + b"\x81\x00\x00\x05\x08\x00" + b"\x45\x00\x00\x14" + bytes(16)
    for _ in range(200):
        wire.push(tagged, 0)
    assert all(data[:18] == tagged[:18] and data != tagged for data in wire.pop_due(0))


def test_reordered_frames_are_exactly_those_that_later_frames_overtook() -> None:
    wire = Impairments(ImpairmentRates(reorder=0.1), 3)
    order = [number_of(data) for _, data in play(wire)]
    assert sorted(order) == list(range(FRAMES))
    overtaken = {n: sum(m > n for m in order[: order.index(n)]) for n in range(FRAMES)}
    assert sorted(n for n, by in overtaken.items() if by) == sorted(faulty(wire, FaultKind.REORDERED))
    assert wire.counts.reordered > 100
    assert {by for by in overtaken.values() if by} >= set(range(1, MAX_OVERTAKING + 1))


def test_a_held_frame_that_nothing_overtakes_comes_after_the_hold_limit_and_does_not_count() -> None:
    wire = Impairments(ImpairmentRates(reorder=1.0, delay_ticks=2), 3)
    wire.push(frame(0), 10)
    assert wire.next_deadline() == 10 + 2 + HOLD_LIMIT_TICKS
    assert wire.pop_due(10 + 1 + HOLD_LIMIT_TICKS) == []
    assert wire.pop_due(10 + 2 + HOLD_LIMIT_TICKS) == [frame(0)]
    assert wire.counts.reordered == 0
    assert wire.next_deadline() is None


@given(seed=st.integers(0, 1000), others=rates)
@settings(max_examples=30, deadline=None)
def test_the_frames_that_one_kind_hits_do_not_depend_on_the_other_rates(seed: int, others: ImpairmentRates) -> None:
    alone = Impairments(ImpairmentRates(drop=0.05), seed)
    both = Impairments(
        ImpairmentRates(0.05, others.reorder, others.duplicate, others.corrupt, others.delay_ticks), seed
    )
    play(alone, 200)
    play(both, 200)
    assert faulty(alone, FaultKind.DROPPED) == faulty(both, FaultKind.DROPPED)
    duplicating = Impairments(ImpairmentRates(duplicate=0.05), seed)
    mixed = Impairments(ImpairmentRates(others.drop, others.reorder, 0.05, others.corrupt), seed)
    play(duplicating, 200)
    play(mixed, 200)
    dropped = set(faulty(mixed, FaultKind.DROPPED))
    expected = [n for n in faulty(duplicating, FaultKind.DUPLICATED) if n not in dropped]
    assert faulty(mixed, FaultKind.DUPLICATED) == expected


@given(seed=st.integers(0, 1000), rate=rates)
@settings(max_examples=40, deadline=None)
def test_every_frame_not_dropped_arrives_once_and_a_duplicated_one_twice(seed: int, rate: ImpairmentRates) -> None:
    wire = Impairments(rate, seed)
    arrived = play(wire, 100)
    assert len(arrived) == 100 - wire.counts.dropped + wire.counts.duplicated
    assert [tick for tick, _ in arrived] == sorted(tick for tick, _ in arrived)


def test_the_same_seed_and_direction_repeat_and_another_direction_differs() -> None:
    rate = ImpairmentRates(0.1, 0.1, 0.1, 0.1, 1)
    first, again, other = Impairments(rate, 5, "tx"), Impairments(rate, 5, "tx"), Impairments(rate, 5, "rx")
    assert play(first) == play(again)
    assert play(other) != play(Impairments(rate, 5, "tx"))
    assert first.faults == again.faults


def test_a_wire_that_did_less_than_half_of_its_rate_says_so() -> None:
    honest = Impairments(ImpairmentRates(0.1, 0.1, 0.1, 0.1, 1), 5)
    play(honest)
    assert honest.shortfalls() == []
    honest.counts.dropped = 3
    assert honest.shortfalls() == ["dropped: 3 of 200 expected"]


def test_both_directions_of_a_wire_are_judged_together() -> None:
    """At the rates of `make soak` one direction of 1 MiB alone has too few corrupted frames to judge."""
    wires = [Impairments(ImpairmentRates(corrupt=0.02), 5, name) for name in ("tx", "rx")]
    for wire in wires:
        play(wire, 700)
        wire.counts.corrupted = 1
    assert [wire.shortfalls() for wire in wires] == [[], []]
    assert shortfalls(wires) == ["corrupted: 2 of 28 expected"]


BUILDERS: dict[str, Callable[[float], ImpairmentRates]] = {
    "drop": lambda rate: ImpairmentRates(drop=rate),
    "reorder": lambda rate: ImpairmentRates(reorder=rate),
    "duplicate": lambda rate: ImpairmentRates(duplicate=rate),
    "corrupt": lambda rate: ImpairmentRates(corrupt=rate),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_rate_outside_zero_to_one_is_refused_with_its_name(name: str) -> None:
    for value in (-0.1, 1.1):
        with pytest.raises(ImpairmentError, match=name):
            BUILDERS[name](value)
    with pytest.raises(ImpairmentError, match="delay_ticks"):
        ImpairmentRates(delay_ticks=-1)
