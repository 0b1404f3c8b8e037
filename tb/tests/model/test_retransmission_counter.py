"""What counts as a retransmission: a segment with text or a FIN that brings no new octet."""

from __future__ import annotations

import pytest

from model.wire.frame import SegmentFields, TcpFlag, build_segment
from tb.session.retransmissions import SILENCE_TICKS, RetransmissionCounter

NEAR_WRAP = 0xFFFF_FF80


def _segment(offset: int, length: int, flags: TcpFlag = TcpFlag.ACK) -> bytes:
    return build_segment(
        SegmentFields(
            destination_mac=2, source_mac=4, source_ip=0x0A00_0001, destination_ip=0x0A00_0002, source_port=1,
            destination_port=2, sequence=(NEAR_WRAP + offset) & 0xFFFF_FFFF, acknowledgment=0, flags=flags, window=1000,
            ip_id=0, payload=bytes(length),
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("again", "counts"),
    [
        ((200, 100), True),  # the last one, exactly: it ends where the last one ended
        ((0, 100), True),
        ((250, 50), True),
        ((250, 51), False),  # one new octet
        ((300, 100), False),
        ((300, 0), False),  # an ACK alone
    ],
)
def test_a_segment_without_a_new_octet_is_a_retransmission(again: tuple[int, int], counts: bool) -> None:
    counter = RetransmissionCounter()
    for offset in (0, 100, 200):
        counter.sent(_segment(offset, 100), 0)
    assert counter.count == 0
    counter.sent(_segment(*again), SILENCE_TICKS)
    assert (counter.count, counter.after_silence) == (counts, counts)


def test_a_fin_that_is_sent_again_is_a_retransmission() -> None:
    counter = RetransmissionCounter()
    for expected in (0, 1):
        counter.sent(_segment(0, 10, TcpFlag.ACK | TcpFlag.FIN), 0)
        assert counter.count == expected
