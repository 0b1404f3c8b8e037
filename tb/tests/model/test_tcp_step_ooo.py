"""Out-of-order ranges, their FIN, and the SACK blocks that tell of them (section M; RFC 2018, RFC 2883)."""

from __future__ import annotations

from itertools import permutations

import pytest

from model.layout.generated import DlvEvt, DlvMsg, Opcode, Phase, TcpState, Verdict
from model.tcp.ooo import ranges
from model.tcp.seq import MASK
from model.tcp.types import RESET_PARAMS, Credit, StepResult
from model.tcp.work import thaw
from tb.tests.model.tcp_bench import ACK, FIN, PSH, RST, Engine, image, message_of, running, segment_of

SACK, STAMPS = 2, 1
"""Bits of const_flags."""
BASE = 5000


def engine_with(*spans: tuple[int, int], const_flags: int = SACK, **changes: int) -> Engine:
    """A connection that took [left, right) of each span, counted from rcv_nxt, in this order."""
    engine = running(RESET_PARAMS, now=0, const_flags=const_flags, **changes)
    for left, right in spans:
        take(engine, left, right)
    engine.segments()
    return engine


def take(engine: Engine, left: int, right: int, flags: int = ACK, **fields: int) -> StepResult:
    """The octets [left, right) of the stream arrive."""
    return engine.rx(seq=(BASE + left) & MASK, pay_len=right - left, flags=flags, **fields)


def held(engine: Engine) -> list[tuple[int, int, int]]:
    """(left, right, slot) of the ranges by place, counted from BASE."""
    return [((r.left - BASE) & MASK, (r.right - BASE) & MASK, r.slot) for r in ranges(thaw(engine.tcb))]


def hold(msg: DlvMsg) -> tuple[int, int, int, int, int, int, int]:
    assert msg.kind == DlvEvt.HOLD
    return msg.offset, msg.len, msg.slot, msg.app, msg.pre, msg.slot2, msg.free


def blocks(engine: Engine) -> list[tuple[int, int]]:
    """The SACK blocks of the next segment, counted from BASE."""
    seg = segment_of(engine.grant())
    edges = [(seg.sack_left >> 32 * i & MASK, seg.sack_right >> 32 * i & MASK) for i in range(seg.sack_n)]
    assert not (seg.sack_left | seg.sack_right) >> 32 * seg.sack_n
    return [((left - BASE) & MASK, (right - BASE) & MASK) for left, right in edges]


# ---- CH-127: a push is at the end of its segment ---------------------------------------------------


@pytest.mark.rule("CH-127", "M-2")
@pytest.mark.parametrize(("cut_at", "pushed"), [(300, 1), (250, 0)])
def test_a_pushed_segment_that_is_cut_in_front_of_a_held_range_is_kept_without_the_push(
    cut_at: int, pushed: int
) -> None:
    engine = engine_with((cut_at, 400))
    msg = message_of(take(engine, 100, 300, ACK | PSH))
    assert (msg.kind, msg.len, msg.pre, msg.psh) == (DlvEvt.HOLD, cut_at - 100, 1, pushed)


@pytest.mark.rule("CH-127", "C-9")
@pytest.mark.parametrize(("window", "pushed"), [(1000, 1), (999, 0)])
def test_a_pushed_segment_that_is_cut_at_the_window_is_delivered_without_the_push(window: int, pushed: int) -> None:
    engine = engine_with(rcv_wnd=window, initial_rcv_wnd=window)
    msg = message_of(take(engine, 0, 1000, ACK | PSH))
    assert (msg.kind, msg.len, msg.psh) == (DlvEvt.DELIVER, window, pushed)


@pytest.mark.rule("CH-127", "C-9", "M-1")
@pytest.mark.parametrize(("end", "pushed"), [(500, 1), (501, 0)])
def test_a_pushed_segment_that_is_cut_at_the_end_of_the_stream_is_delivered_without_the_push(
    end: int, pushed: int
) -> None:
    engine = engine_with()
    take(engine, 400, 500, ACK | FIN)
    msg = message_of(take(engine, 0, end, ACK | PSH))
    assert (msg.kind, msg.len, msg.fin, msg.psh) == (DlvEvt.DELIVER, 500, 1, pushed)


# ---- M-2: where a segment goes ---------------------------------------------------------------------


@pytest.mark.rule("M-2", "SHLD-31", "S04")
def test_a_segment_behind_a_hole_is_held_and_costs_a_credit_and_owes_a_duplicate_ack() -> None:
    engine = engine_with()
    result = take(engine, 100, 200, arrival=9)
    assert result.actions.verdict == Verdict.DELIVER
    assert hold(message_of(result)) == (54, 100, 0, 0, 0, 0, 0)
    assert (message_of(result).arrival, message_of(result).fin, message_of(result).psh) == (9, 0, 0)
    assert held(engine) == [(100, 200, 0)]
    assert (engine.tcb.rcv_nxt, engine.credits, engine.tcb.dup_owed, engine.tcb.dack_on) == (BASE, 99, 1, 0)


OVERLAPS = [
    pytest.param((50, 80), (54, 30, 2, 0, 0, 0, 0), (50, 80, 2), None, id="in front of all, apart"),
    pytest.param((50, 100), (54, 50, 0, 0, 1, 0, 0), (50, 200, 0), None, id="touches the front"),
    pytest.param((50, 101), (54, 50, 0, 0, 1, 0, 0), (50, 200, 0), (100, 101), id="overlaps the front by one"),
    pytest.param((50, 200), (54, 50, 0, 0, 1, 0, 0), (50, 200, 0), (100, 200), id="ends with it"),
    pytest.param((50, 210), (54, 160, 2, 0, 0, 0, 1), (50, 210, 2), (100, 200), id="covers it"),
    pytest.param((150, 250), (104, 50, 0, 1, 0, 0, 0), (100, 250, 0), (150, 200), id="overlaps the back"),
    pytest.param((199, 201), (55, 1, 0, 1, 0, 0, 0), (100, 201, 0), (199, 200), id="overlaps the back by one"),
    pytest.param((200, 250), (54, 50, 0, 1, 0, 0, 0), (100, 250, 0), None, id="touches the back"),
    pytest.param((100, 250), (154, 50, 0, 1, 0, 0, 0), (100, 250, 0), (100, 200), id="begins with it"),
    pytest.param((200, 300), (54, 100, 0, 1, 1, 1, 0), (100, 400, 0), None, id="fills the hole between two"),
    pytest.param((150, 350), (104, 100, 0, 1, 1, 1, 0), (100, 400, 0), (150, 200), id="runs from one into the other"),
    pytest.param((150, 450), (104, 250, 0, 1, 0, 0, 2), (100, 450, 0), (150, 200), id="grows one, covers the other"),
    pytest.param((50, 350), (54, 250, 1, 0, 1, 1, 1), (50, 400, 1), (100, 200), id="covers one, runs into the other"),
    pytest.param((50, 450), (54, 400, 2, 0, 0, 0, 3), (50, 450, 2), (100, 200), id="covers both"),
]


@pytest.mark.rule("M-2", "M-1", "S54")
@pytest.mark.parametrize(("span", "message", "first", "dsack"), OVERLAPS)
def test_an_overlap_keeps_the_piece_between_and_reports_what_came_again(
    span: tuple[int, int], message: tuple[int, ...], first: tuple[int, int, int], dsack: tuple[int, int] | None
) -> None:
    engine = engine_with((100, 200), (300, 400))
    assert held(engine) == [(300, 400, 1), (100, 200, 0)]
    free = engine.credits
    result = take(engine, *span)
    assert hold(message_of(result)) == message
    rest = [r for r in [(300, 400, 1), (100, 200, 0)] if r[1] < first[0] or r[0] > first[1]]
    assert held(engine) == [first, *rest]
    assert engine.credits == free - 1
    told = [dsack] if dsack else []
    assert blocks(engine) == told + [(left, right) for left, right, _ in [first, *rest]]


@pytest.mark.rule("M-2", "M-1")
@pytest.mark.parametrize("span", [(100, 200), (120, 180), (100, 101), (199, 200)])
def test_a_segment_that_is_held_already_costs_nothing_and_comes_first_in_the_blocks(span: tuple[int, int]) -> None:
    engine = engine_with((100, 200), (300, 400))
    result = take(engine, *span)
    assert (result.actions.verdict, result.actions.dlv, engine.tcb.dup_owed) == (Verdict.DROP, None, 1)
    assert held(engine) == [(100, 200, 0), (300, 400, 1)]
    assert blocks(engine) == [span, (100, 200), (300, 400)]


@pytest.mark.rule("M-2")
@pytest.mark.parametrize("limit", [1, 3, 8])
def test_past_its_ranges_a_connection_drops_what_would_make_one_and_takes_what_grows_one(limit: int) -> None:
    engine = running(const_flags=SACK)
    engine.ooo_ranges = limit
    for n in range(limit):
        take(engine, 100 + 100 * n, 150 + 100 * n)
    before, free = held(engine), engine.credits
    assert len(before) == limit
    result = take(engine, 1000, 1050)
    assert (result.actions.verdict, result.actions.dlv, held(engine)) == (Verdict.DROP, None, before)
    assert take(engine, 40, 1090).actions.dlv is None  # covers all of them, but none is free until then
    assert take(engine, 50, 100).actions.verdict == Verdict.DELIVER
    assert take(engine, 50 + 100 * limit, 60 + 100 * limit).actions.verdict == Verdict.DELIVER
    assert engine.credits == free - 2


@pytest.mark.rule("M-2", "CH-127")
@pytest.mark.parametrize("flags", [ACK, ACK | PSH])
def test_a_held_piece_keeps_the_push_of_its_segment(flags: int) -> None:
    pushed = int(flags != ACK)
    assert message_of(take(engine_with(), 100, 200, flags)).psh == pushed
    assert message_of(take(engine_with((50, 150)), 100, 200, flags)).psh == pushed


@pytest.mark.rule("M-2")
def test_the_lowest_list_that_is_free_is_used() -> None:
    engine = engine_with((100, 110), (200, 210), (300, 310))
    take(engine, 90, 220)  # covers lists 0 and 1, takes 3
    assert held(engine) == [(90, 220, 3), (300, 310, 2)]
    take(engine, 400, 410)
    assert held(engine)[0] == (400, 410, 0)


@pytest.mark.rule("M-2", "C-11")
def test_what_lies_behind_a_hole_leaves_a_buffer_for_each_connection() -> None:
    engine = engine_with()
    engine.conns, engine.credits = 4, 5
    assert take(engine, 100, 200).actions.verdict == Verdict.DELIVER
    result = take(engine, 300, 400)
    assert (result.actions.verdict, result.actions.dlv, held(engine)) == (Verdict.DROP, None, [(100, 200, 0)])
    engine.do(Credit(1))
    assert take(engine, 300, 400).actions.verdict == Verdict.DELIVER
    engine.credits = 5
    take(engine, 0, 50)
    result = take(engine, 500, 600)
    assert message_of(result).kind == DlvEvt.FLUSH
    assert engine.tcb.rr_n == 2


@pytest.mark.rule("M-2", "C-12")
def test_without_room_nothing_is_held_but_the_fin_is_known() -> None:
    engine = engine_with()
    engine.room = False
    result = take(engine, 100, 200, ACK | FIN)
    assert (result.actions.verdict, result.actions.dlv, held(engine)) == (Verdict.DROP, None, [])
    assert (engine.tcb.ooo_fin, engine.tcb.ooo_fin_seq, engine.tcb.dup_owed) == (1, BASE + 200, 1)


@pytest.mark.rule("M-2", "C-9")
def test_what_lies_behind_the_window_is_cut_also_behind_a_hole() -> None:
    engine = engine_with(rcv_wnd=500, initial_rcv_wnd=500)
    result = take(engine, 400, 600, ACK | FIN)
    assert message_of(result).len == 100
    assert (held(engine), engine.tcb.ooo_fin) == ([(400, 500, 0)], 0)


@pytest.mark.rule("M-2")
def test_ranges_hold_across_the_wrap_of_sequence_numbers() -> None:
    engine = running(const_flags=SACK, rcv_nxt=0xFFFF_FFC0, snd_wl1=0xFFFF_FFC0)
    engine.rx(seq=0x40, pay_len=0x40)
    engine.rx(seq=0xFFFF_FFE0, pay_len=0x60)
    assert [(r.left, r.right) for r in ranges(thaw(engine.tcb))] == [(0xFFFF_FFE0, 0x80)]
    msg = message_of(engine.rx(seq=0xFFFF_FFC0, pay_len=0x40))
    assert (msg.join, msg.skip, msg.len, engine.tcb.rcv_nxt, engine.tcb.rr_n) == (1, 0x20, 0x40, 0x80, 0)


# ---- M-3: the hole closes --------------------------------------------------------------------------


@pytest.mark.rule("M-3")
def test_the_segment_that_fills_the_hole_joins_what_is_held_and_is_acknowledged_at_once() -> None:
    engine = engine_with((100, 200), (300, 400))
    msg = message_of(take(engine, 0, 100, ACK | PSH))
    assert (msg.kind, msg.len, msg.join, msg.slot, msg.skip, msg.free, msg.psh) == (DlvEvt.DELIVER, 100, 1, 0, 0, 0, 1)
    assert (engine.tcb.rcv_nxt, held(engine), engine.tcb.ack_now) == (BASE + 200, [(300, 400, 1)], 1)
    assert blocks(engine) == [(300, 400)]


@pytest.mark.rule("M-3", "RFC 5681 4.2")
def test_a_segment_in_front_of_a_hole_that_stays_is_acknowledged_at_once() -> None:
    engine = engine_with((100, 200))
    msg = message_of(take(engine, 0, 50))
    assert (msg.join, msg.slot, msg.skip, msg.free) == (0, 0, 0, 0)
    assert (engine.tcb.ack_now, engine.tcb.dack_on) == (1, 0)
    assert blocks(engine) == [(100, 200)]


@pytest.mark.rule("M-3", "M-1")
@pytest.mark.parametrize(
    ("end", "join", "free", "rcv_nxt", "dsack"),
    [
        (150, (1, 0, 50), 0, 200, (100, 150)),
        (200, (0, 0, 0), 1, 200, (100, 200)),
        (250, (0, 0, 0), 1, 250, (100, 200)),
        (300, (1, 1, 0), 1, 400, (100, 200)),
        (350, (1, 1, 50), 1, 400, (100, 200)),
        (400, (0, 0, 0), 3, 400, (100, 200)),
        (500, (0, 0, 0), 3, 500, (100, 200)),
    ],
)
def test_text_over_what_is_held_gives_lists_back_and_skips_in_the_joined_one(
    end: int, join: tuple[int, int, int], free: int, rcv_nxt: int, dsack: tuple[int, int]
) -> None:
    engine = engine_with((100, 200), (300, 400))
    msg = message_of(take(engine, 0, end))
    assert (msg.len, (msg.join, msg.slot, msg.skip), msg.free) == (end, join, free)
    assert (engine.tcb.rcv_nxt - BASE, engine.tcb.rr_n) == (rcv_nxt, int(rcv_nxt < 300))
    assert blocks(engine)[0] == dsack


@pytest.mark.rule("M-3", "M-1")
def test_octets_in_front_of_rcv_nxt_are_reported_before_those_that_are_held() -> None:
    engine = engine_with((0, 100), (200, 300))
    take(engine, 50, 250)
    assert engine.tcb.rcv_nxt == BASE + 300
    assert blocks(engine) == [(50, 100)]


# ---- FIN behind a hole -----------------------------------------------------------------------------


@pytest.mark.rule("M-2", "C-9", "B24")
def test_a_fin_behind_a_hole_is_taken_when_the_hole_closes_and_not_before() -> None:
    engine = engine_with()
    take(engine, 100, 200, ACK | FIN)
    assert (engine.tcb.state, engine.tcb.fin_rcvd, engine.tcb.rcv_nxt) == (TcpState.ESTABLISHED, 0, BASE)
    assert segment_of(engine.grant()).ack == BASE
    msg = message_of(take(engine, 0, 100))
    assert (msg.fin, msg.join, msg.len) == (1, 1, 100)
    assert (engine.tcb.state, engine.tcb.rcv_nxt, engine.tcb.ooo_fin) == (TcpState.CLOSE_WAIT, BASE + 201, 0)
    assert segment_of(engine.grant()).ack == BASE + 201


@pytest.mark.rule("M-2", "C-9", "B24")
def test_a_bare_fin_behind_a_hole_is_remembered_without_a_buffer() -> None:
    engine = engine_with()
    result = take(engine, 100, 100, ACK | FIN)
    assert (result.actions.verdict, result.actions.dlv, engine.credits) == (Verdict.DROP, None, 100)
    assert engine.tcb.dup_owed == 1
    msg = message_of(take(engine, 0, 100))
    assert (msg.fin, msg.len, engine.tcb.state) == (1, 100, TcpState.CLOSE_WAIT)


@pytest.mark.rule("M-2")
def test_a_fin_in_front_of_octets_that_came_is_not_believed() -> None:
    engine = engine_with((300, 400))
    take(engine, 100, 200, ACK | FIN)
    assert (engine.tcb.ooo_fin, engine.tcb.rr_n) == (0, 2)


@pytest.mark.rule("M-2", "C-9")
def test_octets_behind_a_known_fin_are_no_data() -> None:
    engine = engine_with()
    take(engine, 100, 200, ACK | FIN)
    assert take(engine, 200, 300).actions.dlv is None
    assert take(engine, 400, 500, ACK | FIN).actions.dlv is None
    assert (held(engine), engine.tcb.ooo_fin_seq) == ([(100, 200, 0)], BASE + 200)
    assert message_of(take(engine, 0, 250)).len == 200
    assert engine.tcb.state == TcpState.CLOSE_WAIT


@pytest.mark.rule("M-3")
@pytest.mark.parametrize("end", [0, 50, 150])
def test_what_is_held_behind_a_fin_in_order_is_given_back(end: int) -> None:
    engine = engine_with((100, 200), (300, 400))
    msg = message_of(take(engine, 0, end, ACK | FIN))
    assert (msg.len, msg.fin, msg.join, msg.free) == (end, 1, 0, 3)
    assert (held(engine), engine.tcb.rcv_nxt) == ([], BASE + end + 1)
    assert (engine.tcb.rr_left, engine.tcb.rr_right, engine.tcb.rr_slot) == (0, 0, 0)
    assert blocks(engine) == ([(100, 150)] if end == 150 else [])


@pytest.mark.rule("M-3")
def test_a_segment_of_which_only_the_fin_is_new_reports_nothing() -> None:
    engine = engine_with((0, 100))
    take(engine, 0, 100, ACK | FIN)
    assert engine.tcb.state == TcpState.CLOSE_WAIT
    assert blocks(engine) == []


# ---- M-1, M-4: blocks ------------------------------------------------------------------------------


@pytest.mark.rule("M-4", "RFC 2018 4")
@pytest.mark.parametrize(("flags", "most"), [(SACK, 4), (SACK | STAMPS, 3)])
def test_the_block_of_the_latest_segment_comes_first_and_the_header_bounds_their_number(flags: int, most: int) -> None:
    engine = running(const_flags=flags)
    stamp = {"ts_present": 1, "tsval": 1} if flags & STAMPS else {}
    for n in range(6):
        take(engine, 100 + 100 * n, 150 + 100 * n, **stamp)
    newest_first = [(100 + 100 * n, 150 + 100 * n) for n in reversed(range(6))]
    assert blocks(engine) == newest_first[:most]
    take(engine, 350, 360, **stamp)
    assert blocks(engine)[:2] == [(300, 360), (600, 650)]


@pytest.mark.rule("M-4", "M-1")
def test_without_agreement_no_block_is_sent_and_nothing_reported() -> None:
    engine = engine_with((100, 200), const_flags=0)
    take(engine, 100, 200)
    assert (engine.tcb.rr_n, engine.tcb.dsack, engine.tcb.dsack_left, engine.tcb.dsack_right) == (1, 0, 0, 0)
    assert blocks(engine) == []


@pytest.mark.rule("M-4", "RFC 2883 4")
def test_a_duplicate_is_reported_once() -> None:
    engine = engine_with((0, 100))
    take(engine, 0, 100)
    take(engine, 20, 60)
    assert blocks(engine) == [(20, 60)]
    assert blocks(engine) == []
    assert engine.tcb.dup_owed == 0


@pytest.mark.rule("M-1", "C-2")
@pytest.mark.parametrize(
    ("span", "flags", "told"),
    [
        ((0, 100), ACK, [(0, 100)]),
        ((50, 60), ACK, [(50, 60)]),
        ((99, 99), ACK | FIN, [(99, 100)]),
        ((50, 50), ACK, []),
        ((0, 100), ACK | RST, None),
        ((30_000, 30_100), ACK, []),
    ],
)
def test_a_segment_outside_the_window_is_reported_as_far_as_it_is_old(
    span: tuple[int, int], flags: int, told: list[tuple[int, int]] | None
) -> None:
    engine = engine_with((0, 100))
    take(engine, *span, flags)
    if told is None:
        assert engine.tcb.dup_owed == 0
    else:
        assert blocks(engine) == told
    assert engine.tcb.dsack == 0


@pytest.mark.rule("M-1", "C-1")
def test_a_segment_that_paws_refuses_is_reported_as_far_as_it_is_old() -> None:
    engine = engine_with(const_flags=SACK | STAMPS, ts_recent=1000)
    take(engine, 0, 100, ts_present=1, tsval=1000)
    engine.segments()
    take(engine, 50, 150, ts_present=1, tsval=999)
    assert blocks(engine) == [(50, 100)]
    take(engine, 100, 200, ts_present=1, tsval=999)
    assert blocks(engine) == []


@pytest.mark.rule("M-4")
@pytest.mark.rule("M-2", "RFC 2883 4")
def test_a_report_that_waits_goes_when_another_range_comes_to_the_front() -> None:
    """Two duplicates are owed: the first option must not name octets that the block behind them does not hold."""
    engine = engine_with((100, 200))
    take(engine, 100, 150)
    assert engine.tcb.dsack
    take(engine, 400, 500)
    assert not any((engine.tcb.dsack, engine.tcb.dsack_left, engine.tcb.dsack_right))
    engine = engine_with((100, 200))
    take(engine, 100, 150)
    take(engine, 200, 300)
    assert (engine.tcb.dsack, engine.tcb.dsack_left) == (1, (BASE + 100) & MASK)
    first, second = (segment_of(engine.grant()) for _ in range(2))
    assert (first.sack_n, second.sack_n) == (2, 1)


@pytest.mark.rule("M-2")
def test_a_report_of_octets_below_the_ack_waits_on_whatever_comes_out_of_order() -> None:
    engine = engine_with()
    take(engine, 0, 100)
    take(engine, 0, 100)
    assert engine.tcb.dsack
    take(engine, 300, 400)
    assert (engine.tcb.dsack, engine.tcb.dsack_left) == (1, BASE)


def test_data_carries_no_block_and_the_duplicate_ack_behind_it_does() -> None:
    engine = engine_with((100, 200))
    take(engine, 300, 400)
    engine.send(100)
    first, second = engine.segments()
    assert (first.len, first.sack_n, second.len, second.sack_n) == (100, 0, 0, 2)


# ---- M-5: the end ----------------------------------------------------------------------------------


@pytest.mark.rule("M-5", "G-19")
def test_what_is_held_is_neither_acknowledged_nor_in_the_image_when_the_connection_goes_back() -> None:
    engine = engine_with((100, 200))
    take(engine, 300, 400)
    result = engine.command(Opcode.TERMINATE)
    ack = segment_of(result)
    assert (ack.ack, ack.sack_n) == (BASE, 0)
    assert message_of(result).kind == DlvEvt.FREEZE
    assert (engine.tcb.phase, engine.tcb.rr_n) == (Phase.FROZEN, 2)


@pytest.mark.rule("M-5")
def test_a_new_connection_begins_without_ranges() -> None:
    engine = engine_with((100, 200))
    take(engine, 300, 400, ACK | FIN)
    take(engine, 300, 400)
    engine.command(Opcode.TERMINATE)
    engine.fence_done()
    assert (engine.tcb.phase, engine.tcb.rr_n) == (Phase.FREE, 2)
    engine.command(Opcode.INITIATE, image())
    tcb = engine.tcb
    assert tcb.phase == Phase.LOADED
    assert not any((tcb.rr_n, tcb.rr_left, tcb.rr_right, tcb.rr_slot, tcb.ooo_fin, tcb.ooo_fin_seq))
    assert not any((tcb.dsack, tcb.dsack_left, tcb.dsack_right))


# ---- every order -----------------------------------------------------------------------------------


@pytest.mark.rule("S05", "M-2", "M-3")
@pytest.mark.parametrize("start", [5000, 0xFFFF_FF40])
def test_all_orders_of_five_segments_with_fin_on_the_last_end_alike(start: int) -> None:
    for order in permutations(range(5)):
        engine = running(const_flags=SACK, rcv_nxt=start, snd_wl1=start)
        for n in order:
            engine.rx(seq=(start + 100 * n) & MASK, pay_len=100, flags=ACK | (FIN if n == 4 else 0))
            missing = min((m for m in range(5) if m not in order[: order.index(n) + 1]), default=5)
            expected = 100 * missing + (missing == 5)
            assert (engine.tcb.rcv_nxt - start) & MASK == expected, order
        assert (engine.tcb.rr_n, engine.tcb.state, engine.credits) == (0, TcpState.CLOSE_WAIT, 95), order
        assert segment_of(engine.grant()).ack == (start + 501) & MASK
