"""TCP options of the golden parser: every alignment, unknown kinds, illegal lengths."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.wire.frame import (
    FrameError,
    TcpOptions,
    Timestamps,
    build_options,
    parse_options,
)

STAMP = bytes.fromhex("080A 00000001 00000002")
STAMPS = Timestamps(1, 2)
u32 = st.integers(0, 0xFFFFFFFF)
blocks = st.lists(st.tuples(u32, u32), max_size=2).map(tuple)
option_sets = st.builds(
    TcpOptions,
    mss=st.none() | st.integers(0, 0xFFFF),
    window_scale=st.none() | st.integers(0, 255),
    sack_permitted=st.booleans(),
    timestamps=st.none() | st.builds(Timestamps, u32, u32),
    sack_blocks=blocks,
).filter(lambda o: not (len(o.sack_blocks) == 2 and o.timestamps and (o.mss is not None or o.sack_permitted)))


@given(options=option_sets)
@settings(max_examples=150, deadline=None)
@pytest.mark.rule("MUST-4")
def test_options_that_were_built_are_read_back(options: TcpOptions) -> None:
    raw = build_options(options)
    assert len(raw) % 4 == 0
    assert parse_options(raw) == options


def test_timestamps_alone_are_the_twelve_bytes_of_rfc_7323_appendix_a() -> None:
    assert build_options(TcpOptions(timestamps=STAMPS)) == b"\x01\x01" + STAMP


def test_more_than_forty_option_bytes_are_refused() -> None:
    with pytest.raises(FrameError, match="room for 40"):
        build_options(TcpOptions(timestamps=STAMPS, sack_blocks=((1, 2),) * 4))


@pytest.mark.parametrize("nops", range(31))
@pytest.mark.rule("MUST-5", "MUST-64", "S06")
def test_timestamps_are_found_at_every_alignment(nops: int) -> None:
    assert parse_options(b"\x01" * nops + STAMP).timestamps == STAMPS


@pytest.mark.parametrize("length", range(2, 31))
@pytest.mark.rule("MUST-6", "S06")
def test_an_unknown_option_is_skipped_by_its_length(length: int) -> None:
    parsed = parse_options(bytes((253, length)) + b"\x08" * (length - 2) + STAMP)
    assert (parsed.timestamps, parsed.skipped_kinds, parsed.malformed) == (STAMPS, (253,), False)


@pytest.mark.rule("MUST-4", "S06")
def test_nothing_behind_end_of_list_is_read() -> None:
    assert parse_options(b"\x00" + STAMP) == TcpOptions()
    assert parse_options(b"\x01\x00\xff\xff").malformed is False


@pytest.mark.parametrize("length", [0, 1, 11, 40, 255])
@pytest.mark.rule("MUST-7", "B15", "S07")
def test_an_illegal_length_ends_parsing_and_nothing_from_there_on_is_used(length: int) -> None:
    parsed = parse_options(b"\x03\x03\x05" + bytes((8, length)) + STAMP[2:] + b"")
    assert parsed.malformed is True
    assert (parsed.window_scale, parsed.timestamps) == (5, None)


@pytest.mark.parametrize("length", [0, 1])
@pytest.mark.rule("MUST-7", "B15")
def test_a_good_option_behind_an_illegal_length_is_not_used(length: int) -> None:
    parsed = parse_options(bytes((253, length)) + STAMP)
    assert parsed == TcpOptions(malformed=True)


@pytest.mark.parametrize(("kind", "length"), [(8, 2), (8, 9), (8, 11), (2, 3), (2, 6), (3, 2), (3, 4), (5, 9)])
@pytest.mark.rule("MUST-7", "S07")
def test_a_known_kind_of_a_wrong_length_is_skipped_and_gives_no_value(kind: int, length: int) -> None:
    parsed = parse_options(bytes((kind, length)) + b"\xee" * (length - 2) + STAMP)
    assert parsed == TcpOptions(timestamps=STAMPS, skipped_kinds=(kind,))


@pytest.mark.rule("MUST-7")
def test_a_kind_in_the_last_byte_has_no_length_and_ends_parsing() -> None:
    assert parse_options(STAMP + b"\x01\x08") == TcpOptions(timestamps=STAMPS, malformed=True)


@given(raw=st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
@pytest.mark.rule("MUST-7", "B15")
def test_any_bytes_are_parsed_and_a_prefix_that_parses_counts(raw: bytes) -> None:
    parsed = parse_options(b"\x03\x03\x09" + raw)
    assert parsed.window_scale is not None


def test_sack_blocks_are_read_in_order() -> None:
    raw = bytes.fromhex("0512 00000001 00000002 00000003 00000004")
    assert parse_options(raw).sack_blocks == ((1, 2), (3, 4))
