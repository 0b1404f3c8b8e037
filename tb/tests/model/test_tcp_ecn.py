"""Section N of the contract: explicit congestion notification (RFC 3168 6.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.layout.generated import Opcode, TcpImage, TxSegment
from model.tcp.images import whole_image
from model.tcp.seq import distance
from model.tcp.types import RESET_PARAMS
from tb.tests.model.tcp_bench import ACK, FIN, PSH, RST, Engine, running, segment_of

SACK, ECN = 2, 8
"""Bits of const_flags."""
ECE, CWR = 0x40, 0x80
NOT_ECT, ECT_0, CE = 0, 2, 3
TOS = 0x2B
"""Of the connection: DSCP 10, and ECN bits that the host has no business to set."""
DSCP = 0x28
UNA = 1000


def agreed(**changes: int) -> Engine:
    """A started connection that agreed on ECN: octets from UNA on, MSS 1000, cwnd 10000."""
    return running(RESET_PARAMS, now=0, **({"const_flags": ECN, "tos": TOS} | changes))


def loaded(octets: int = 8000, **changes: int) -> Engine:
    """With ``octets`` in flight."""
    engine = agreed(**changes)
    engine.send(octets)
    assert sum(s.len for s in engine.segments()) == octets
    return engine


def marks(segment: TxSegment) -> tuple[int, int]:
    """TOS, and which of ECE and CWR are set."""
    return segment.tos, segment.flags & (ECE | CWR)


@pytest.mark.rule("N-4")
def test_new_data_is_ect0_and_a_pure_ack_is_not() -> None:
    engine = agreed()
    engine.send(1500)
    assert [marks(s) for s in engine.segments()] == [(DSCP | ECT_0, 0)] * 2
    engine.rx(pay_len=1000, ack=2500)
    engine.rx(pay_len=1000)
    (ack,) = engine.segments()
    assert (ack.len, marks(ack)) == (0, (DSCP, 0))


@pytest.mark.rule("N-4", "S-7")
def test_without_ecn_the_tos_is_the_hosts_and_marks_mean_nothing() -> None:
    engine = loaded(const_flags=0)
    engine.rx(ack=2000, flags=ACK | ECE | CWR, pay_len=10, ip_ecn=CE)
    tcb = engine.tcb
    assert (tcb.cwnd, tcb.ecn_en, tcb.ecn_ece, tcb.ecn_cwr, tcb.ecn_edge) == (11_000, 0, 0, 0, UNA - 1)
    engine.send(100)
    assert {marks(s) for s in engine.segments()} == {(TOS, 0)}
    engine.now = 10_000
    engine.timer()
    assert (engine.tcb.ecn_cwr, engine.tcb.ecn_edge) == (0, UNA - 1)


@pytest.mark.rule("N-1", "N-4")
def test_ce_is_echoed_on_every_segment_until_cwr_comes() -> None:
    engine = agreed()
    engine.rx(pay_len=1000, ip_ecn=CE)
    engine.rx(pay_len=1000, ip_ecn=ECT_0)
    engine.send(1000)
    engine.rx(pay_len=500, ip_ecn=NOT_ECT)
    engine.rx(pay_len=500, ip_ecn=1)
    sent = engine.segments()
    engine.rx(pay_len=500)
    engine.rx(pay_len=500)
    assert [s.flags & ECE for s in (*sent, *engine.segments())] == [ECE] * (len(sent) + 1)
    engine.rx(pay_len=1000, flags=ACK | CWR)
    engine.rx(pay_len=1000)
    assert [marks(s) for s in engine.segments()] == [(DSCP, 0)]


@pytest.mark.rule("N-1")
def test_a_segment_with_cwr_and_ce_begins_a_new_echo() -> None:
    engine = agreed()
    engine.rx(pay_len=1000, ip_ecn=CE)
    engine.rx(pay_len=1000, ip_ecn=CE, flags=ACK | CWR)
    assert engine.tcb.ecn_ece


@pytest.mark.rule("N-1")
@pytest.mark.parametrize(
    "ignored",
    [{"pay_len": 0}, {"pay_len": 10, "seq": 4000}, {"pay_len": 10, "ack": 5000}, {"pay_len": 10, "seq": 70_000}],
    ids=["pure ACK", "old octets", "ACK of what was not sent", "behind the window"],
)
def test_ce_counts_on_acceptable_data_alone(ignored: dict[str, int]) -> None:
    engine = agreed()
    engine.rx(**ignored, ip_ecn=CE)
    assert not engine.tcb.ecn_ece


@pytest.mark.rule("N-1", "M-2")
def test_ce_counts_on_data_out_of_order_and_on_data_that_finds_no_buffer() -> None:
    engine = agreed()
    engine.rx(pay_len=100, seq=5100, ip_ecn=CE)
    assert engine.tcb.ecn_ece
    engine = agreed()
    engine.credits = 0
    engine.rx(pay_len=100, ip_ecn=CE)
    assert engine.tcb.ecn_ece


@pytest.mark.rule("N-1", "B-8")
def test_a_forwarded_cwr_ends_the_echo() -> None:
    engine = agreed()
    engine.rx(pay_len=1000, ip_ecn=CE)
    engine.forward(pay_len=10, flags=ACK | CWR)
    assert not engine.tcb.ecn_ece


@pytest.mark.rule("N-2")
def test_ece_halves_the_window_once_for_each_window_of_data() -> None:
    engine = loaded()
    engine.rx(ack=2000, flags=ACK | ECE)
    tcb = engine.tcb
    assert (tcb.ssthresh, tcb.cwnd, tcb.cwnd_acc, tcb.ecn_cwr, tcb.ecn_edge) == (4000, 4000, 0, 1, 9000)
    for ack in (3000, 4000, 9000):
        engine.rx(ack=ack, flags=ACK | ECE)
    assert engine.tcb.ssthresh == 4000
    engine.send(2000)
    engine.segments()
    engine.rx(ack=10_000, flags=ACK | ECE)
    assert (engine.tcb.ssthresh, engine.tcb.cwnd, engine.tcb.ecn_edge) == (2000, 2000, 11_000)


@pytest.mark.rule("N-2")
def test_the_window_does_not_fall_below_two_segments_nor_rise() -> None:
    engine = loaded(1000, cwnd=1500)
    engine.rx(ack=UNA, flags=ACK | ECE)
    assert (engine.tcb.ssthresh, engine.tcb.cwnd) == (2000, 1500)


@pytest.mark.rule("N-2")
def test_an_old_acknowledgment_with_ece_changes_nothing() -> None:
    engine = loaded()
    engine.rx(ack=3000)
    before = engine.tcb.cwnd
    engine.rx(ack=2000, flags=ACK | ECE)
    assert (engine.tcb.cwnd, engine.tcb.ecn_cwr) == (before, 0)


@pytest.mark.rule("N-2", "N-3")
@pytest.mark.parametrize("sack", [0, SACK])
def test_one_congestion_is_answered_once_whether_loss_or_ece_tells_of_it(sack: int) -> None:
    engine = loaded(const_flags=ECN | sack)
    for n in (1, 2, 3):
        blocks = {"sack_n": 1, "sack_left": 2000, "sack_right": 2000 + 1000 * n} if sack else {}
        engine.rx(**blocks)
    tcb = engine.tcb
    assert (tcb.in_recovery, tcb.ssthresh, tcb.ecn_cwr, tcb.ecn_edge) == (1, 4000, 1, 9000)
    silent = replace(engine)
    silent.rx(ack=2000, flags=ACK, pay_len=1)
    engine.rx(ack=2000, flags=ACK | ECE, pay_len=1)
    assert (engine.tcb.ssthresh, engine.tcb.ecn_edge) == (4000, 9000)
    assert engine.tcb.cwnd == silent.tcb.cwnd
    engine.rx(ack=9000, flags=ACK | ECE)
    assert (engine.tcb.in_recovery, engine.tcb.ssthresh) == (0, 4000)


@pytest.mark.rule("N-2", "S-2")
def test_the_duplicate_that_begins_a_recovery_is_not_answered_twice() -> None:
    engine = loaded()
    for _ in range(3):
        engine.rx()
    plain = engine.tcb.cwnd
    engine = loaded()
    engine.rx()
    engine.rx()
    engine.rx(flags=ACK | ECE)
    assert (engine.tcb.in_recovery, engine.tcb.cwnd) == (1, plain)


@pytest.mark.rule("N-3", "N-4", "D-2")
def test_the_first_new_data_behind_a_timeout_says_cwr_and_what_goes_again_is_not_marked() -> None:
    engine = loaded(2000)
    engine.now = 1000
    engine.timer()
    assert (engine.tcb.ecn_cwr, engine.tcb.ecn_edge) == (1, 3000)
    assert [(s.seq, marks(s)) for s in engine.segments()] == [(1000, (DSCP, 0))]
    engine.send(2000)
    engine.rx(ack=3000)
    assert [(s.seq, marks(s)) for s in engine.segments()] == [
        (3000, (DSCP | ECT_0, CWR)),
        (4000, (DSCP | ECT_0, 0)),
    ]


@pytest.mark.rule("N-3")
def test_a_second_timeout_tells_nothing_new() -> None:
    engine = loaded(2000)
    engine.now = 1000
    engine.timer()
    engine.segments()
    engine.send(3000)
    engine.rx(ack=2000, flags=ACK)
    cwr_edge = engine.tcb.ecn_edge
    engine.now = 100_000
    engine.timer()
    first = engine.tcb.ecn_edge
    engine.now = 300_000
    engine.timer()
    assert (cwr_edge, engine.tcb.rtx_count, engine.tcb.ecn_edge) == (3000, 2, first)


@pytest.mark.rule("N-4", "S-6")
def test_a_retransmission_is_neither_marked_nor_carries_cwr() -> None:
    engine = loaded()
    for _ in range(3):
        engine.rx()
    engine.send(1000)
    again = segment_of(engine.grant())
    assert (again.seq, marks(again)) == (1000, (DSCP, 0))
    assert engine.tcb.ecn_cwr


@pytest.mark.rule("N-4")
def test_a_window_probe_a_keep_alive_probe_and_a_lone_fin_are_not_marked() -> None:
    engine = agreed(snd_wnd=0, max_snd_wnd=0)
    engine.rx(pay_len=10, ip_ecn=CE, wnd=0)
    engine.segments()
    engine.send(1000)
    engine.now = 100_000
    engine.timer()
    probe = segment_of(engine.grant())
    assert (probe.len, marks(probe)) == (1, (DSCP, ECE))
    engine = agreed(cached_flags=1, ka_timeout=5, ka_interval=5, ka_probe_count=3, ka_timeout_delta=5)
    engine.rx(pay_len=10, ip_ecn=CE)
    engine.segments()
    engine.now = 300
    engine.timer()
    engine.segments()
    engine.now = 100_000
    engine.timer()
    alive = next(s for s in engine.segments() if s.seq == UNA - 1)
    assert marks(alive) == (DSCP, 0)
    engine = agreed()
    engine.command(Opcode.DISCONNECT, flags=1)
    (fin,) = engine.segments()
    assert (fin.flags & FIN, fin.len, marks(fin)) == (FIN, 0, (DSCP, 0))


@pytest.mark.rule("N-4", "G-6")
def test_an_rst_says_nothing() -> None:
    engine = loaded()
    engine.rx(pay_len=10, ip_ecn=CE, ack=2000, flags=ACK | ECE)
    reset = segment_of(engine.command(Opcode.DISCONNECT, flags=2))
    assert (reset.flags & RST, marks(reset)) == (RST, (DSCP, 0))


@pytest.mark.rule("B-3", "B-10")
def test_the_flag_of_an_image_is_kept_and_given_back() -> None:
    engine = agreed(snd_una=0, snd_nxt=0, snd_max=0)
    assert (engine.tcb.ecn_en, engine.tcb.ecn_edge) == (1, 0xFFFF_FFFF)
    image = whole_image(engine.tcb, 0)
    assert isinstance(image, TcpImage)
    assert image.const_flags == ECN


@pytest.mark.rule("N-2")
def test_ece_is_heard_after_two_gigabytes_without_congestion() -> None:
    engine = agreed()
    for _ in range(3):
        far = (engine.tcb.snd_una + 0x3000_0000) & 0xFFFF_FFFF
        engine.tcb = replace(engine.tcb, snd_una=far, snd_nxt=far, snd_max=far, snd_end=far, recover=far)
        engine.send(2000)
        engine.segments()
        engine.rx(ack=(engine.tcb.snd_max - 1000) & 0xFFFF_FFFF)
    engine.rx(ack=engine.tcb.snd_max, flags=ACK | ECE)
    assert engine.tcb.ecn_cwr == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["data", "ack", "ece", "dup", "timer", "send", "grant", "cwr"]),
            st.integers(0, 3),
            st.integers(1, 3000),
        ),
        max_size=60,
    ),
    st.sampled_from([0, SACK]),
)
def test_whatever_happens_only_new_data_is_marked_and_cwr_is_said_once_for_each_reduction(
    events: list[tuple[str, int, int]], sack: int
) -> None:
    """Laws of N-1 to N-4 for any order of events."""
    engine = agreed(const_flags=ECN | sack, rcv_wnd=20_000)
    top, echoing, reductions, announced = UNA, False, 0, 0
    for kind, code, size in events:
        before = engine.tcb
        if kind == "send":
            engine.send(size)
        elif kind in ("data", "cwr"):
            flags = ACK | PSH | (CWR if kind == "cwr" else 0)
            engine.rx(pay_len=min(size, 500), ip_ecn=code, flags=flags)
            engine.consumed(distance(engine.tcb.rcv_nxt, before.rcv_nxt))
            echoing = (echoing and kind != "cwr") or code == CE
        elif kind in ("ack", "ece", "dup"):
            flight = distance(before.snd_max, before.snd_una)
            ack = (before.snd_una + (0 if kind == "dup" else min(size, flight))) & 0xFFFF_FFFF
            engine.rx(ack=ack, flags=ACK | (ECE if kind == "ece" else 0))
        elif kind == "timer":
            engine.now += size
            engine.timer()
        for segment in engine.segments(code if kind == "grant" else 1 + code):
            fresh = segment.len > 0 and segment.seq >= top
            assert segment.tos == DSCP | (ECT_0 if fresh else NOT_ECT)
            assert segment.flags & CWR == 0 or (fresh and engine.tcb.ecn_cwr == 0)
            assert bool(segment.flags & ECE) == echoing
            announced += bool(segment.flags & CWR)
            top = max(top, segment.seq + segment.len + (segment.flags & FIN))
        after = engine.tcb
        reductions += (after.ssthresh, after.ecn_edge) != (before.ssthresh, before.ecn_edge)
        assert announced <= reductions
        assert bool(after.ecn_ece) == echoing
        if after.phase != before.phase:
            return
