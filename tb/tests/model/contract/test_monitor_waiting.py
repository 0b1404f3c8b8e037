"""What a segment that waits for its acknowledgment to make sense moves, and what it does not (test_monitor_early).

The target may have taken it since it came: RCV.NXT may stand behind it, the peer's window may be the one that it tells
of, what is old beside it gets the answers of old text. And if it was taken, it owes what any segment owes. Each story
stands beside the same one without the race.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tb.monitors.contract.trace import Buffer, List
from tb.tests.model.contract.receive_traces import NOT_ACCEPTED, stream, told
from tb.tests.model.contract.receive_traces import Story as Tale
from tb.tests.model.contract.test_monitor_hostile_ends import BETWEEN, NEWER, OLDER, STAMPED, broken

Tell = Callable[[Tale], None]
ONES: Final = bytes([255] * 20)
BELIEVED: dict[str, Tell] = {}
"""Stories of a target that does right: no rule is broken."""
ACCUSED: dict[str, tuple[str, Tell]] = {}
"""Stories of one that does wrong, and the rule that it breaks."""
#: `goes` sends without PSH, which is no matter here.
ASIDE: Final = {"CH-113"}


def right(tell: Tell) -> Tell:
    """The target does right."""
    BELIEVED[tell.__name__] = tell
    return tell


def wrong(rule: str) -> Callable[[Tell], Tell]:
    """The target breaks this rule."""

    def add(tell: Tell) -> Tell:
        ACCUSED[tell.__name__] = (rule, tell)
        return tell

    return add


def _indicate(s: Tale, data: bytes) -> Tale:
    """Bytes of any kind go up, and are taken."""
    made = List(900, (Buffer(901, len(data)),), data=data)
    return s.leave(s.enter("NdisTcpOffloadReceiveHandler", target=s.link.handle, lists=[made], status=0), 0, len(data))


def _waits(s: Tale) -> Tale:
    """100 bytes are posted, and text comes that acknowledges all of them before the port shows them."""
    return s.offload().send(1, 100).comes(0, 10, ack=100)


# --- a window that shuts in the 16 ticks before, or moves by the waiting ACKs themselves: the cap is too low


@right
def the_window_shuts_behind_text_that_is_on_its_way(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 0, window=0).comes(0, 10, ack=100).indicate(0, 10).goes(10, 0, 100)


@right
def the_window_shuts_behind_text_on_its_way_that_a_fin_acknowledges(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 0, window=0).comes(0, 0, flags="AF", ack=100).event(2).goes(1, 0, 100)


@right
def the_window_shuts_behind_text_on_its_way_that_a_push_acknowledges(s: Tale) -> None:
    s.offload().post(7, 20).send(1, 100).comes(0, 10, window=0).comes(0, 10, flags="AP", ack=100).done(7, 10)
    s.goes(10, 0, 100)


@right
def the_window_is_moved_by_one_that_waits(s: Tale) -> None:
    s.offload(snd_wnd=50, max_snd_wnd=50).send(1, 100).comes(0, 10, ack=50, window=50).comes(10, 10, ack=100)
    s.indicate(0, 20).goes(0, 0, 50).goes(20, 50, 50)


@right
def the_window_shuts_behind_text_that_has_left(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 0, window=0).comes(0, 10, ack=100).goes(0, 0, 100).indicate(0, 10).goes(10, 100)


@right
def what_it_acknowledges_leaves_late(s: Tale) -> None:
    _waits(s).indicate(0, 10).wait(40).goes(10, 0, 100)


@right
def what_it_acknowledges_leaves_late_and_its_stamp_counts(s: Tale) -> None:
    s.offload(flags=STAMPED, ts_recent=OLDER).send(1, 100).comes(0, 10, ack=100, stamps=(NEWER, 5000))
    s.indicate(0, 10).wait(40).goes(10, 0, 100, stamps=(5041, NEWER)).wait(10)
    s.comes(10, 10, ack=100, flags="AU", stamps=(BETWEEN, 5041)).goes(10, 100, stamps=(5051, NEWER))


# --- RCV.NXT may stand behind waiting text: RST, SYN, URG, upload are judged as if it could not


@right
def a_reset_at_the_end_of_waiting_text(s: Tale) -> None:
    _waits(s).comes(10, flags="R").event(4).goes(10, 0, 100)


@right
def a_reset_at_the_end_of_text_that_acknowledges_what_is_posted_later(s: Tale) -> None:
    s.offload().comes(0, 10, ack=100).comes(10, flags="R").send(1, 100).event(4).goes(10, 0, 100)


@right
def a_reset_where_waiting_text_began(s: Tale) -> None:
    _waits(s).comes(0, flags="R").goes(0, 0, 100).goes(10, 100).indicate(0, 10).wait(1000)


@right
def a_syn_where_waiting_text_began(s: Tale) -> None:
    _waits(s).comes(0, flags="S").goes(0, 0, 100).goes(10, 100).indicate(0, 10).wait(1000)


@right
def an_urgent_copy_of_waiting_text(s: Tale) -> None:
    _waits(s).comes(0, 10, flags="AU").goes(0, 0, 100).goes(10, 100).indicate(0, 10).goes(10, 100).wait(1000)


@right
def an_upload_behind_waiting_text(s: Tale) -> None:
    _waits(s).retrieve(5).wait(3).goes(0, 0, 100).goes(10, 100)


@right
def a_reset_at_the_end_of_text(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).comes(10, flags="R").event(4).goes(10, 0, 100)


@right
def a_reset_where_text_began(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).comes(0, flags="R").goes(0, 0, 100).goes(10, 100).indicate(0, 10).wait(1000)


@right
def a_syn_where_text_began(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).comes(0, flags="S").goes(0, 0, 100).goes(10, 100).indicate(0, 10).wait(1000)


@right
def an_upload_behind_text(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).retrieve(5).wait(3).goes(0, 0, 100).goes(10, 100)


# --- text that went up first makes its own segment "below the window" when it comes to count


def _shown_then_sent(s: Tale) -> Tale:
    s.offload(flags=STAMPED, ts_recent=OLDER).send(1, 100).comes(0, 10, ack=100, stamps=(NEWER, 5000))
    return s.indicate(0, 10).goes(10, 0, 100, stamps=(5001, NEWER)).wait(50)


@right
def its_stamp_counts_though_its_text_went_up_before(s: Tale) -> None:
    """URG of the past: PAWS drops it, no upload."""
    _shown_then_sent(s).comes(10, 10, ack=100, flags="AU", stamps=(BETWEEN, 5001))
    s.goes(10, 100, stamps=(5051, NEWER)).wait(1000)


@right
def the_stamp_of_text_counts(s: Tale) -> None:
    s.offload(flags=STAMPED, ts_recent=OLDER).send(1, 100).comes(0, 10, ack=100, stamps=(NEWER, 5000))
    s.goes(0, 0, 100, stamps=(5001, OLDER)).indicate(0, 10).goes(10, 100, stamps=(5001, NEWER)).wait(50)
    s.comes(10, 10, ack=100, flags="AU", stamps=(BETWEEN, 5001)).goes(10, 100, stamps=(5051, NEWER)).wait(1000)


@wrong("CH-155")
def text_of_the_past_goes_up_behind_text_that_waited(s: Tale) -> None:
    """The target echoed NEWER; then it takes text with an older stamp."""
    _shown_then_sent(s).comes(10, 10, ack=100, stamps=(BETWEEN, 5001)).goes(10, 100, stamps=(5051, NEWER))
    s.indicate(10, 10).goes(20, 100, stamps=(5051, NEWER))


@wrong("CH-155")
def text_of_the_past_goes_up_behind_text(s: Tale) -> None:
    s.offload(flags=STAMPED, ts_recent=OLDER).send(1, 100).comes(0, 10, stamps=(NEWER, 5000)).indicate(0, 10)
    s.goes(10, 0, 100, stamps=(5001, NEWER)).wait(50).comes(10, 10, stamps=(BETWEEN, 5001))
    s.goes(10, 100, stamps=(5051, NEWER)).indicate(10, 10).goes(20, 100, stamps=(5051, NEWER))


# --- a copy that came later hides when the waiting one came, or where it pushed


@right
def the_push_timer_runs_since_the_waiting_copy_came(s: Tale) -> None:
    s.offload().post(8, 100).send(1, 100).comes(0, 10, ack=100).wait(14).comes(0, 10).goes(10, 0, 100)
    s.wait(486).done(8, 10)


@right
def a_request_takes_text_behind_a_waiting_push(s: Tale) -> None:
    s.offload().post(7, 30).send(1, 100).comes(0, 10, flags="AP", ack=100).comes(0, 15).done(7, 15).goes(15, 0, 100)


@right
def a_request_takes_text_behind_a_push(s: Tale) -> None:
    s.offload().post(7, 30).send(1, 100).comes(0, 10, flags="AP").comes(0, 15).done(7, 15).goes(15, 0, 100)


# --- several waiting segments explain it: the first, or the greatest, is held against the target


@right
def of_two_the_one_that_acknowledges_less_counts(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10, ack=100).comes(0, 10, ack=50, window=0).indicate(0, 10).goes(10, 0, 50)
    s.wait(100)


@right
def of_two_fins_the_one_that_acknowledges_less_counts(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 0, flags="AF", ack=100).comes(0, 0, flags="AF", ack=50, window=0).event(2)
    s.goes(1, 0, 50).wait(100)


@right
def a_push_without_text_is_no_reason(s: Tale) -> None:
    s.offload().post(7, 20).send(1, 100).comes(0, 10).comes(0, 10, flags="AP", ack=50, window=0)
    s.comes(10, 0, flags="AP", ack=100).done(7, 10).goes(10, 0, 50).wait(100)


@wrong("CH-130")
def a_push_without_text_that_waits_ends_a_request(s: Tale) -> None:
    s.offload().post(7, 20).send(1, 100).comes(0, 10).comes(10, 0, flags="AP", ack=100).done(7, 10).goes(10, 0, 100)


@wrong("CH-130")
def a_push_without_text_ends_a_request(s: Tale) -> None:
    s.offload().post(7, 20).send(1, 100).comes(0, 10).comes(10, 0, flags="AP").done(7, 10).goes(10, 0, 100)


# --- text of a segment that came to count is never owed an ACK


@wrong("CH-162")
def its_text_is_delivered_and_never_acknowledged(s: Tale) -> None:
    _waits(s).goes(0, 0, 100).indicate(0, 10).wait(2000)


@wrong("CH-162")
def its_text_is_shown_first_and_never_acknowledged(s: Tale) -> None:
    _waits(s).indicate(0, 10).goes(0, 0, 100).wait(2000)


@wrong("CH-162")
def its_text_is_acknowledged_after_a_second(s: Tale) -> None:
    _waits(s).goes(0, 0, 100).indicate(0, 10).wait(1000).goes(10, 100)


@wrong("CH-163")
def its_text_is_refused_and_never_acknowledged(s: Tale) -> None:
    _waits(s).goes(0, 0, 100).indicate(0, 10, answer=NOT_ACCEPTED).wait(2000)


@wrong("CH-162")
def text_is_delivered_and_never_acknowledged(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).goes(0, 0, 100).indicate(0, 10).wait(2000)


@wrong("CH-163")
def text_is_refused_and_never_acknowledged(s: Tale) -> None:
    s.offload().send(1, 100).comes(0, 10).goes(0, 0, 100).indicate(0, 10, answer=NOT_ACCEPTED).wait(2000)


# --- a segment outside the window ends the validation period if what it acknowledges leaves


def _challenges(s: Tale, ack: int) -> None:
    s.offload().comes(100, flags="R").wait(5).goes(0).wait(100).send(1, 100)
    s.comes(100_000, 0, ack=ack).goes(0, 0, 100).wait(100).comes(200, flags="R").goes(0, 100).wait(5)
    s.goes(0, 100).wait(5).goes(0, 100)


@wrong("CH-196")
def a_second_challenge_behind_a_stray_of_the_future(s: Tale) -> None:
    _challenges(s, 100)


@wrong("CH-196")
def a_second_challenge_behind_a_stray(s: Tale) -> None:
    _challenges(s, 0)


# --- one pass in the order of arrival: the second text explains part of what the first has


@right
def later_text_wins_beyond_the_gap_though_both_wait(s: Tale) -> None:
    s.offload().send(1, 100).comes(5, 15, ack=100, data=ONES[:15]).comes(0, 10, ack=100)
    _indicate(s, stream(0, 10) + ONES[:10]).goes(20, 0, 100)


@right
def later_text_wins_beyond_the_gap(s: Tale) -> None:
    s.offload().comes(5, 15, data=ONES[:15]).comes(0, 10)
    _indicate(s, stream(0, 10) + ONES[:10]).goes(20)


# --- what a waiting segment is owed as an answer is settled when it comes, and never again (seen live)


def _answered(s: Tale, first: int, ack: int) -> None:
    """20 bytes are taken; a copy of the first comes, and is answered as all old text is (RFC 9293, 3.10.7.4)."""
    s.offload().send(1, 100).comes(0, 20, ack=first).comes(0, 1, ack=ack).goes(0, 0, 100).goes(20, 100)
    s.goes(20, 100)
    # an RST from below the window, then an ACK of what was never sent: that gets a challenge ACK (RFC 5961, 5)
    s.indicate(0, 20).wait(2).comes(0, flags="R").comes(20, 1, ack=5000).goes(20, 100)


@right
def a_waiting_copy_of_waiting_text_is_answered(s: Tale) -> None:
    _answered(s, 100, 100)


@right
def a_copy_of_waiting_text_is_answered(s: Tale) -> None:
    _answered(s, 100, 0)


@right
def a_copy_of_text_is_answered(s: Tale) -> None:
    _answered(s, 0, 0)


@pytest.mark.rule("CH-155", "CH-130", "CH-190", "CH-193", "CH-195", "CH-196", "CH-199", "CH-202", "CH-207")
@pytest.mark.parametrize("wait", [0, 300, 60_000])
@pytest.mark.parametrize("story", BELIEVED)
def test_no_rule_accuses_a_target_that_took_what_waited(story: str, wait: int) -> None:
    def tell(s: Tale) -> None:
        BELIEVED[story](s)
        s.wait(wait)

    assert broken(told(tell)) - ASIDE == set()


@pytest.mark.rule("CH-130", "CH-155", "CH-162", "CH-163", "CH-196")
@pytest.mark.parametrize("story", ACCUSED)
def test_what_waited_owes_what_any_segment_owes(story: str) -> None:
    rule, tell = ACCUSED[story]
    assert rule in broken(told(tell))
