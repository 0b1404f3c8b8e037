"""Segments that acknowledge what the target has not sent yet: they count if it sends that before it looks at them.

The trace has frames in the order in which they pass the port. A target may have sent text, taken a segment that
acknowledges it and handed that segment's text over before the first of these is seen to leave. So a waiting segment is
believed where what the target does speaks for it; where it does not, the segment excuses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from tb.monitors.contract.trace import Buffer, List
from tb.tests.model.contract.receive_traces import ABORTED, PARTLY, SND_0, stream, told
from tb.tests.model.contract.receive_traces import Story as Tale
from tb.tests.model.contract.test_monitor_hostile_ends import BETWEEN, NEWER, OLDER, PAST, STAMPED, broken

Tell = Callable[[Tale], object]
ZEROS: Final = bytes(10)
ONES: Final = bytes([255] * 20)
OURS: Final = (5001, OLDER)
BELIEVED: dict[str, Tell] = {}
"""Stories of a target that does right: no rule is broken."""
ACCUSED: dict[str, tuple[set[str], Tell]] = {}
"""Stories of one that does wrong, and the rules that it breaks: a waiting segment is no excuse."""
#: `goes` sends without PSH, which is no matter here.
ASIDE: Final = {"CH-113"}


def right(tell: Tell) -> Tell:
    """The target does right."""
    BELIEVED[tell.__name__] = tell
    return tell


def wrong(*rules: str) -> Callable[[Tell], Tell]:
    """The target breaks these rules."""

    def add(tell: Tell) -> Tell:
        ACCUSED[tell.__name__] = (set(rules), tell)
        return tell

    return add


def _indicate(s: Tale, data: bytes) -> Tale:
    """Bytes of any kind go up, and are taken."""
    made = List(900, (Buffer(901, len(data)),), data=data)
    return s.leave(s.enter("NdisTcpOffloadReceiveHandler", target=s.link.handle, lists=[made], status=0), 0, len(data))


def _fill(s: Tale, ident: int, data: bytes) -> Tale:
    """A request comes back with bytes of any kind."""
    back = replace(s.filled(ident, len(data)), data=data)
    return s.call("NdisTcpOffloadReceiveComplete", target=1, lists=[back])


def _shut(s: Tale) -> Tale:
    """What is posted never leaves, whatever the reason; ten bytes came in order."""
    return s.offload(snd_wnd=0).send(1, 100).comes(0, 10)


def _shut_window(s: Tale) -> Tale:
    """The window is shut: one byte may leave, as a probe."""
    return s.offload(snd_wnd=0).send(1, 100)


def _shut_with_text(s: Tale) -> Tale:
    """And ten more that acknowledge what cannot leave; the first ten go up meanwhile."""
    return _shut(s).comes(10, 10, ack=100).indicate(0, 10).goes(10)


# --- text -----------------------------------------------------------------------------------------------


@right
def text_goes_up_before_what_it_acknowledges_leaves(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100).indicate(0, 10).goes(10, 0, 100)


@right
def such_text_fills_a_request(s: Tale) -> None:
    s.offload().post(7, 10).send(1, 100).comes(0, 10, ack=100).done(7, 10).goes(10, 0, 100)


@right
def text_goes_up_whose_place_other_text_has_that_was_dropped(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=50, data=ZEROS).wait(2).goes(0, 0, 60)
    s.comes(0, 10, ack=100).indicate(0, 10).goes(10, 60, 40)


@right
def text_acknowledges_the_fin_that_is_about_to_leave(s: Tale) -> None:
    s.offload().send(1, 100, function="Disconnect", flags=1).comes(0, 10, ack=101).indicate(0, 10)
    s.goes(10, 0, 100, flags="AF")


@right
def two_in_a_row_go_up_at_once(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100).comes(10, 10, ack=100).indicate(0, 20).goes(20, 0, 100)


@right
def two_that_came_in_the_wrong_order_go_up_at_once(s: Tale) -> None:
    s.offload().send(1, 100).comes(10, 10, ack=100).comes(0, 10, ack=100).indicate(0, 20).goes(20, 0, 100)


@right
def the_second_of_two_texts_for_one_place_was_taken(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100, data=ZEROS).comes(0, 10, ack=100).indicate(0, 10).goes(10, 0, 100)


@right
def the_segment_that_carries_the_acknowledged_text_acknowledges_the_waiting_one(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100).comes(0, 30, data=bytes(30)).goes(30, 0, 100)
    _indicate(s, stream(0, 10) + bytes(20))


@right
def hundreds_of_impossible_acknowledgments_come_behind_it(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100)
    for _ in range(1023):
        s.comes(0, 0, ack=100_000)
    s.wait(1).indicate(0, 10).goes(10, 0, 100)


@right
def the_push_timer_runs_since_the_text_came(s: Tale) -> None:
    s.offload().post(8, 100).comes(0, 10, ack=100).send(1, 100).wait(12).goes(10, 0, 100).wait(488).done(8, 10)


@wrong("CH-155")
def text_acknowledges_more_than_was_ever_posted(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=101).indicate(0, 10).goes(10, 0, 100)


@wrong("CH-155")
def text_waits_longer_than_a_target_takes_to_look_at_it(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100).wait(81).indicate(0, 10).goes(10, 0, 100)


@wrong("CH-155")
def such_text_fills_a_request_though_more_is_acknowledged_than_posted(s: Tale) -> None:
    s.offload().post(7, 10).send(1, 100).comes(0, 10, ack=101).done(7, 10).goes(10, 0, 100)


@wrong("CH-155")
def text_goes_up_that_nobody_sent_where_other_text_waits(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100)
    _indicate(s, ZEROS).goes(10, 0, 100)


@wrong("CH-155")
def text_goes_up_long_after_though_what_it_acknowledges_never_left(s: Tale) -> None:
    _shut_with_text(s).wait(500).indicate(10, 10).goes(20)


@wrong("CH-155")
def text_that_nobody_sent_goes_up_where_one_waited_and_another_came(s: Tale) -> None:
    _shut(s).comes(10, 10, ack=100, data=bytes([255] * 10)).indicate(0, 10).goes(10).wait(500).comes(10, 10, data=ZEROS)
    _indicate(s, bytes([77] * 10)).goes(20)


@wrong("CH-155")
def text_with_urg_goes_up_in_the_place_of_text_that_came(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, data=ZEROS).comes(0, 10, flags="AU", ack=100).indicate(0, 10).goes(10, 0, 100)


@wrong("CH-154")
def what_was_refused_in_part_goes_up_from_another_place(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 20).comes(0, 20, ack=100, data=bytes([255] * 20))
    s.indicate(0, 20, answer=PARTLY, took=10).goes(20, 0, 100).post(9, 10)
    _fill(s, 9, stream(5, 10))


@wrong("CH-162")
def text_that_came_behind_it_is_never_acknowledged(s: Tale) -> None:
    _shut_with_text(s).wait(50).comes(10, 10).indicate(10, 10).wait(2000)


@wrong("CH-162")
def text_that_it_repeats_is_never_acknowledged(s: Tale) -> None:
    _shut(s).comes(0, 10, ack=100).indicate(0, 10).wait(2000)


@wrong("CH-162")
def text_that_it_repeats_from_below_the_window_is_never_acknowledged(s: Tale) -> None:
    _shut(s).indicate(0, 10).comes(0, 10, ack=100).comes(10, 10).indicate(10, 10).wait(2000)


@wrong("CH-196")
def an_rst_behind_it_ends_the_connection(s: Tale) -> None:
    _shut_with_text(s).wait(500).comes(15, flags="R").event(4)


@wrong("CH-193")
def an_rst_in_its_place_is_ignored(s: Tale) -> None:
    _shut_with_text(s).wait(500).comes(10, flags="R").wait(1000)


@wrong("CH-144")
def text_that_the_sent_segment_acknowledges_never_goes_up(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100).goes(10, 0, 100).wait(3000)


# --- where segments overlap -----------------------------------------------------------------------------


@right
def it_is_trimmed_where_other_text_was_taken_before(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).comes(0, 20, ack=100, data=ONES)
    _indicate(s, stream(0, 10) + ONES[:10]).goes(20, 0, 100)


@right
def it_is_trimmed_by_one_byte_that_differs(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).comes(9, 11, ack=100, data=b"\0" + stream(10, 10)).indicate(0, 20)
    s.goes(20, 0, 100)


@right
def one_that_waits_is_trimmed_where_another_was_taken(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100).comes(5, 15, ack=100, data=ONES[:15])
    _indicate(s, stream(0, 10) + ONES[:10]).goes(20, 0, 100)


@right
def it_fills_the_gap_before_text_that_differs_from_its_own(s: Tale) -> None:
    s.offload().send(1, 100).comes(10, 10).comes(0, 20, ack=100, data=ONES)
    _indicate(s, ONES[:10] + stream(10, 10)).goes(20, 0, 100)


@right
def it_fills_the_gap_and_differs_in_one_byte_behind_it(s: Tale) -> None:
    s.offload().send(1, 100).comes(5, 10).comes(0, 6, ack=100, data=stream(0, 5) + b"\0").indicate(0, 15)
    s.goes(15, 0, 100)


@right
def it_begins_before_what_went_up_already(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).indicate(0, 10).comes(0, 20, ack=100).indicate(10, 10).goes(20, 0, 100)


@right
def it_goes_up_in_two_parts(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 20, ack=100).indicate(0, 10).indicate(10, 10).goes(20, 0, 100)


@right
def it_is_longer_than_the_request_that_it_fills(s: Tale) -> None:
    s.offload().post(7, 10).send(1, 100).comes(0, 20, ack=100)
    _fill(s, 7, stream(0, 10)).indicate(10, 10).goes(20, 0, 100)


@right
def it_fills_a_request_where_other_text_was_dropped(s: Tale) -> None:
    s.offload().post(7, 10).send(1, 100).comes(0, 10, ack=50, data=ZEROS).wait(2).goes(0, 0, 60).comes(0, 10, ack=100)
    _fill(s, 7, stream(0, 10)).goes(10, 60, 40)


@right
def the_last_of_three_texts_for_one_place_goes_up(s: Tale) -> None:
    s.offload().comes(0, 10).comes(0, 10, data=ONES[:10]).comes(0, 10, data=ZEROS)
    _indicate(s, ONES[:10]).goes(10)


@right
def the_window_that_takes_it_is_told_with_what_it_acknowledges(s: Tale) -> None:
    s.offload(rcv_wnd=10, cached={"initial_rcv_wnd": 10}).comes(0, 10).indicate(0, 10).goes(10, window=10).send(1, 100)
    s.comes(10, 30, ack=100).goes(10, 0, 100, window=100).indicate(10, 30).goes(40)


@right
def it_comes_at_the_end_of_what_a_target_takes_to_look_at_it(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100).wait(16).indicate(0, 10).goes(10, 0, 100)


@right
def the_push_timer_of_what_is_left_runs_since_it_came(s: Tale) -> None:
    s.offload().post(7, 5).post(8, 100).send(1, 100).comes(0, 10, ack=100).wait(14).done(7, 5).goes(10, 0, 100)
    s.wait(486).done(8, 5)


@right
def it_acknowledges_the_probe_of_a_shut_window(s: Tale) -> None:
    _shut_window(s).comes(0, 10, ack=1).indicate(0, 10).goes(10, 0, 1)


@right
def it_was_taken_in_the_place_of_text_that_found_no_room(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, data=ZEROS).comes(0, 10, ack=100).goes(0, 0, 100).indicate(0, 10).goes(
        10, 100
    )


@wrong("CH-155")
def text_of_one_that_does_not_fit_what_went_up_goes_up_behind_it(s: Tale) -> None:
    _shut_window(s).comes(0, 20, ack=1, data=ONES).comes(0, 10, ack=1).indicate(0, 10).wait(500)
    _indicate(s, ONES[10:20])


@wrong("CH-155")
def it_is_not_trimmed_where_other_text_is_acknowledged(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).comes(0, 20, ack=100, data=ONES).goes(10, 0, 100).goes(20, 100)
    _indicate(s, ONES)


@wrong("CH-155")
def other_text_of_another_that_waits_goes_up_behind_it(s: Tale) -> None:
    _shut_window(s).comes(0, 10, ack=1).comes(0, 20, ack=1, data=ONES).indicate(0, 10).wait(500)
    _indicate(s, ONES[10:20])


@wrong("CH-155")
def the_text_right_behind_it_goes_up_much_later(s: Tale) -> None:
    _shut_window(s).comes(0, 10, ack=1).comes(10, 10, ack=1).indicate(0, 10).wait(500).indicate(10, 10)


@wrong("CH-155")
def text_goes_up_that_acknowledges_more_than_the_window_lets_out(s: Tale) -> None:
    _shut_window(s).comes(0, 10, ack=2).indicate(0, 10)


@wrong("CH-155")
def text_goes_up_and_what_it_acknowledges_never_leaves(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100).indicate(0, 10).goes(10).wait(500)


@wrong("CH-155")
def a_copy_goes_up_of_text_that_is_acknowledged(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).comes(0, 10, ack=100, data=ONES[:10]).goes(10, 0, 100).wait(100)
    _indicate(s, ONES[:10])


@wrong("CH-154")
def the_rest_of_a_partly_refused_text_is_of_its_copy(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 20).comes(0, 20, ack=100, data=ONES)
    s.indicate(0, 20, answer=PARTLY, took=10).goes(20, 0, 100).post(9, 10)
    _fill(s, 9, ONES[:10])


@wrong("CH-127")
def a_push_is_forgotten_for_a_copy_without_one(s: Tale) -> None:
    s.offload().post(7, 20).send(1, 100).comes(0, 10, flags="AP").comes(0, 10, ack=100).goes(10, 0, 100)
    s.wait(500).done(7, 10)


@wrong("CH-144", "CH-190")
def a_fin_before_acknowledged_text_is_told(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 11).comes(10, 0, flags="AF", ack=100).goes(11, 0, 100).indicate(0, 10)
    s.wait(3000).event(2)


# --- stamps ---------------------------------------------------------------------------------------------


@right
def a_newer_stamp_comes_between_it_and_its_text_going_up(s: Tale) -> None:
    s.offload(flags=STAMPED, ts_recent=OLDER).send(1, 100).comes(0, 10, ack=100, stamps=(BETWEEN, 5000))
    s.comes(0, ack=0, stamps=(NEWER, 5000)).indicate(0, 10).goes(10, 0, 100, stamps=(5001, BETWEEN))


@right
def a_newer_stamp_comes_between_it_and_what_it_acknowledges(s: Tale) -> None:
    s.offload(flags=STAMPED, ts_recent=OLDER).send(1, 100).comes(0, 10, ack=100, stamps=(BETWEEN, 5000))
    s.comes(0, ack=0, stamps=(NEWER, 5000)).goes(0, 0, 100, stamps=OURS).indicate(0, 10)
    s.goes(10, 100, stamps=(5001, BETWEEN))


@wrong("CH-155")
def its_stamp_is_of_the_past(s: Tale) -> None:
    s.offload(flags=STAMPED, ts_recent=OLDER).send(1, 100).comes(0, 10, ack=100, stamps=(PAST, 5000)).indicate(0, 10)
    s.goes(10, 0, 100, stamps=OURS)


# --- FIN and PSH ----------------------------------------------------------------------------------------


@right
def its_fin_is_told_before_what_it_acknowledges_leaves(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 0, flags="AF", ack=100).event(2).goes(1, 0, 100)


@right
def its_fin_ends_a_request_that_waits_for_more(s: Tale) -> None:
    s.offload().post(7, 10, push=False).send(1, 100).comes(0, 0, flags="AF", ack=100)
    s.done(7, 0).event(2).goes(1, 0, 100)


@right
def its_fin_lies_behind_text_that_came_before(s: Tale) -> None:
    s.offload().post(7, 20, push=False).send(1, 100).comes(0, 10).comes(0, 10, flags="AF", ack=100)
    s.done(7, 10).event(2).goes(11, 0, 100)


@right
def it_pushes_text_that_came_before(s: Tale) -> None:
    s.offload().post(7, 20).send(1, 100).comes(0, 10).comes(0, 10, flags="AP", ack=100).done(7, 10).goes(10, 0, 100)


@right
def a_fin_that_was_dropped_waits_while_text_in_its_place_is_taken(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).comes(10, 0, flags="AF", ack=100).indicate(0, 10).comes(10, 1, ack=60)
    s.goes(11, 0, 60).indicate(10, 1).comes(11, 5).indicate(11, 5).goes(16, 60, 40).wait(300)


@wrong("CH-190")
def its_fin_is_told_though_what_it_acknowledges_never_left(s: Tale) -> None:
    _shut(s).comes(10, 0, flags="AF", ack=100).indicate(0, 10).goes(10).wait(300).event(2).goes(11)


@wrong("CH-129")
def a_request_comes_back_short_for_a_fin_that_never_counted(s: Tale) -> None:
    s.offload(snd_wnd=0).send(1, 100).post(7, 10).post(8, 100, push=False).comes(0, 10)
    s.comes(20, 0, flags="AF", ack=100).done(7, 10).goes(10).wait(300).comes(10, 10).goes(20).done(8, 10)


@wrong("CH-128")
def a_request_waits_for_ever_beside_a_fin_that_never_counted(s: Tale) -> None:
    s.offload(snd_wnd=0).send(1, 100).post(7, 10).post(8, 100).comes(0, 10)
    s.comes(20, 0, flags="AF", ack=100).done(7, 10).goes(10).wait(300).comes(10, 10).goes(20).wait(3000)


@wrong("CH-130")
def a_request_comes_back_short_though_what_would_push_acknowledges_too_much(s: Tale) -> None:
    s.offload().post(7, 20).send(1, 100).comes(0, 10).comes(0, 10, flags="AP", ack=101).done(7, 10).goes(10, 0, 100)


@right
def a_request_of_no_bytes_is_aborted_at_its_fin(s: Tale) -> None:
    s.offload().post(7, 0).send(1, 100).comes(0, 0, flags="AF", ack=100).done(7, 0, status=ABORTED).event(2)
    s.goes(1, 0, 100)


@right
def a_request_of_no_bytes_comes_back_in_the_place_of_a_fin_that_was_dropped(s: Tale) -> None:
    s.offload(snd_wnd=0).send(1, 100).comes(0, 0, flags="AF", ack=100).post(7, 0).done(7, 0).wait(300)
    s.comes(0, 10).indicate(0, 10).goes(10).wait(3000)


def _ended_by_the_timer(s: Tale) -> Tale:
    """A request came back by its timer, just as a FIN came that cannot count."""
    s.comes(0, 10).wait(1).goes(10).wait(498).comes(10, 0, flags="AF", ack=100).wait(2)
    return s.done(7, 10).wait(300)


@wrong("CH-190")
def its_fin_is_told_long_after_a_request_that_ended_there_by_the_timer(s: Tale) -> None:
    _ended_by_the_timer(s.offload(snd_wnd=0).send(1, 100).post(7, 20)).event(2)


@wrong("CH-128")
def a_request_behind_one_that_ended_there_by_the_timer_waits_for_ever(s: Tale) -> None:
    _ended_by_the_timer(s.offload(snd_wnd=0).send(1, 100).post(7, 20).post(8, 20)).comes(10, 1).wait(1).goes(11)
    s.wait(3000)


@wrong("CH-129")
def a_request_behind_one_that_ended_there_by_the_timer_comes_back_empty(s: Tale) -> None:
    _ended_by_the_timer(s.offload(snd_wnd=0).send(1, 100).post(7, 20).post(8, 20, push=False)).done(8, 0)


@wrong("CH-190")
def its_fin_is_told_long_after_a_request_that_was_full_there(s: Tale) -> None:
    s.offload(snd_wnd=0).send(1, 100).post(7, 10).comes(0, 10).comes(10, 0, flags="AF", ack=100).done(7, 10).goes(10)
    s.wait(300).event(2)


@wrong("CH-155")
def its_fin_is_told_and_what_it_acknowledges_never_leaves(s: Tale) -> None:
    _shut(s).indicate(0, 10).goes(10).comes(10, 0, flags="AF", ack=100).event(2).comes(10, 10).goes(20).wait(3000)


@wrong("CH-155")
def it_pushes_and_what_it_acknowledges_never_leaves(s: Tale) -> None:
    s.offload(snd_wnd=0).send(1, 100).post(7, 20).comes(0, 10).comes(0, 10, flags="AP", ack=100).done(7, 10).goes(10)
    s.wait(500)


@wrong("CH-129")
def a_request_ends_before_its_fin(s: Tale) -> None:
    _nonpush(s).comes(10, 5, flags="AF", ack=100).done(7, 10).goes(10, 0, 100)


@wrong("CH-129")
def a_request_ends_behind_its_fin(s: Tale) -> None:
    _nonpush(s).comes(0, 5, flags="AF", ack=100).done(7, 10).goes(10, 0, 100)


@wrong("CH-129")
def a_push_ends_a_request_that_waits_for_more(s: Tale) -> None:
    _nonpush(s).comes(0, 10, flags="AP", ack=100).done(7, 10).goes(10, 0, 100)


@wrong("CH-129")
def a_fin_from_below_the_window_ends_a_request(s: Tale) -> None:
    s.offload().post(7, 20, push=False).comes(0, 10).wait(1).goes(10).send(1, 100).comes(0, 5, flags="AF", ack=100)
    s.done(7, 5).goes(10, 0, 100)


@wrong("CH-130")
def text_without_a_push_ends_a_request(s: Tale) -> None:
    s.offload().post(7, 20).send(1, 100).comes(0, 10).comes(0, 10, ack=100).done(7, 10).goes(10, 0, 100)


def _nonpush(s: Tale) -> Tale:
    return s.offload().post(7, 20, push=False).send(1, 100).comes(0, 10)


@pytest.mark.rule("CH-155")
@pytest.mark.parametrize("story", BELIEVED)
def test_no_rule_accuses_a_target_that_looked_at_a_segment_when_what_it_acknowledges_had_left(story: str) -> None:
    assert broken(told(BELIEVED[story])) - ASIDE == set()


@pytest.mark.rule("CH-155")
@pytest.mark.parametrize("story", ACCUSED)
def test_a_segment_that_could_not_count_excuses_nothing(story: str) -> None:
    rules, tell = ACCUSED[story]
    assert rules <= broken(told(tell))


@pytest.mark.rule("CH-239")
def test_a_newer_stamp_before_what_it_acknowledges_was_posted_is_none_of_its_own() -> None:
    def tell(s: Tale) -> None:
        s.offload(flags=STAMPED, ts_recent=OLDER).comes(0, 10, ack=100, stamps=(BETWEEN, 5000))
        s.comes(0, ack=0, stamps=(NEWER, 5000)).send(1, 100).goes(0, 0, 100, stamps=OURS)
        s.goes(10, 100, stamps=(5001, BETWEEN))
        s.terminate(10, 10, snd_una=SND_0 + 100, snd_nxt=SND_0 + 100, snd_max=SND_0 + 100, ts_recent=BETWEEN)

    assert broken(told(tell), "CH-239") == set()


@pytest.mark.rule("CH-155")
@pytest.mark.parametrize("data", [None, ONES[:10]])
def test_only_segments_that_explain_what_went_up_are_held_against_the_target(data: bytes | None) -> None:
    """One that brings nothing new, or other text, waits for what is never sent; what went up was of another."""

    def tell(s: Tale) -> None:
        s.offload().send(1, 100)
        if data is None:
            s.comes(0, 10)
        s.comes(0, 10, ack=100, data=data).comes(0, 20, ack=60).indicate(0, 20).goes(20, 0, 60).wait(500)

    assert broken(told(tell), "CH-155") == set()


@pytest.mark.rule("CH-155")
@pytest.mark.parametrize("leaves", [False, True])
def test_who_is_reset_has_sent_what_was_acknowledged_early(leaves: bool) -> None:
    """An abort takes back nothing that was sent before."""

    def tell(s: Tale) -> None:
        s.offload().send(1, 100).comes(0, 10, ack=100).indicate(0, 10).comes(10, flags="R").event(4)
        if leaves:
            s.goes(10, 0, 100)
        s.wait(500)

    assert broken(told(tell), "CH-155") == (set() if leaves else {"CH-155"})
