"""Far ends that do not keep to RFC 9293: where the trace cannot tell what the target took, a rule says nothing.

Every story is told twice. With ``open_`` the far end left two readings, and the target acted by one of them: the rule
must be silent. Without, the story is the nearest one that has a single reading, and the rule must fire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.acceptance import Answer, Bounds, Early, Fins, Held, Recent, in_range, in_window
from tb.monitors.contract.everything import SECTIONS
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.receive_stream import Stream
from tb.monitors.contract.trace import Record
from tb.tests.model.contract.receive_traces import SND_0, told
from tb.tests.model.contract.receive_traces import Story as Tale
from tb.tests.model.contract.terminate_traces import FIN, RCV, RST, Story, Talk, done, nbl, posted
from tb.tests.model.contract.test_monitor_events import URGENT

A: Final = bytes(range(100))
B: Final = bytes(range(100, 200))
STAMPED: Final = 1
#: With `_two_stamps` TS.Recent is one of these two: a stamp between them may be of the past.
OLDER, NEWER, BETWEEN, PAST = 1000, 5000, 3000, 500

Told = Callable[[bool], list[Record]]
STORIES: dict[str, Told] = {}


def tale(rule: str) -> Callable[[Callable[[Tale, bool], object]], None]:
    """A story in the language of receive_traces."""

    def add(tell: Callable[[Tale, bool], object]) -> None:
        assert rule not in STORIES
        STORIES[rule] = lambda open_: told(lambda story: tell(story, open_))

    return add


def talk(rule: str) -> Callable[[Callable[[Story, bool], object]], None]:
    """A story in the language of terminate_traces."""

    def tell_it(tell: Callable[[Story, bool], object], open_: bool) -> list[Record]:
        story = Story()
        story.parameters()
        tell(story, open_)
        return story.records

    def add(tell: Callable[[Story, bool], object]) -> None:
        assert rule not in STORIES
        STORIES[rule] = lambda open_: tell_it(tell, open_)

    return add


def broken(records: list[Record], *rules: str) -> set[str]:
    """Which of ``rules`` (all: none named) the monitors that watch them find broken."""
    watching: list[Monitor] = [section() for section in SECTIONS if not rules or set(rules) & set(section.RULES)]
    for record in records:
        for monitor in watching:
            monitor.feed(record)
    for monitor in watching:
        monitor.finish()
    found = {breach.rule for monitor in watching for breach in monitor.breaches}
    return found & set(rules) if rules else found


def _two_stamps(s: Tale) -> Tale:
    """The second segment came while the first was not acknowledged: TS.Recent has its stamp, or not yet (RFC 7323)."""
    s.offload(flags=STAMPED, ts_recent=OLDER).comes(0, 100, stamps=(OLDER, 5000))
    return s.comes(100, stamps=(NEWER, 5000)).wait(1).goes(100, stamps=(5001, OLDER)).wait(100)


# --- the FIN --------------------------------------------------------------------------------------------


@tale("CH-130")
def _(s: Tale, open_: bool) -> None:
    s.offload().post(1, 100).comes(0, 10).wait(1).goes(10).comes(30, flags="AF")
    if open_:
        s.comes(10, flags="AF")
    s.wait(20).done(1, 10)


@tale("CH-134")
def _(s: Tale, open_: bool) -> None:
    s.offload().post(1, 100).comes(30, flags="AF")
    if open_:
        s.comes(0, flags="AF")
    s.wait(20).done(1, 0)


@tale("CH-145")
def _(s: Tale, open_: bool) -> None:
    s.offload().comes(0, 30).wait(1).goes(30)
    call = s.indication(0, 30)
    s.wait(1).comes(30, 1)
    if open_:
        s.comes(30, flags="AF")
    s.goes(31).leave(call, 0, 30).wait(300)


@tale("CH-190")
def _(s: Tale, open_: bool) -> None:
    s.offload().comes(50, 50, flags="AF").comes(0, 50, flags="AF" if open_ else "A").wait(1).goes(51)
    s.indicate(0, 50).event(2)


@tale("CH-191")
def _(s: Tale, open_: bool) -> None:
    s.offload().comes(0, 100, flags="AF")
    if open_:
        s.comes(100, 1)
    s.wait(1).goes(101).indicate(0, 100).wait(900)


@tale("CH-222")
def _(s: Tale, open_: bool) -> None:
    s.offload().comes(500, flags="AF").comes(0, 100, flags="AF").wait(1).indicate(0, 100).event(2)
    s.goes(101 if open_ else 100).terminate(101, state=ndis.CLOSE_WAIT).wait(20)


@talk("CH-240")
def _(story: Story, open_: bool) -> None:
    _gap_behind_a_fin(story, open_)


@talk("G-19")
def _(story: Story, open_: bool) -> None:
    _gap_behind_a_fin(story, open_)


def _gap_behind_a_fin(story: Story, open_: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, A)
    talk.hears(500, flags=FIN)
    talk.hears(150, B)
    if open_:
        talk.hears(100, flags=FIN)
    talk.sends(0, ack=101)
    state = ndis.CLOSE_WAIT if open_ else ndis.ESTABLISHED
    talk.terminate(node={"buffered": (nbl(90, A),)}, rcv_nxt=101, state=state)


@talk("G-42")
def _(story: Story, open_: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(50, A[50:], flags=FIN)
    talk.hears(0, A[:50], flags=FIN if open_ else 0)
    talk.sends(0, ack=51)
    talk.indicate(60, A[:50])
    talk.event(ndis.DISCONNECT_EVENT)


@talk("G-43")
def _(story: Story, open_: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, A, flags=FIN)
    if open_:
        talk.hears(100, b"x")
    talk.sends(0, ack=101)
    talk.terminate(node={"buffered": (nbl(90, A + b"x"),)}, rcv_nxt=101, state=ndis.ESTABLISHED)


# --- two texts ------------------------------------------------------------------------------------------


@tale("CH-155")
def _(s: Tale, open_: bool) -> None:
    s.offload().comes(10, 20, data=b"x" * 20)
    if open_:
        s.comes(10, 20)
    s.comes(0, 10).wait(1).goes(30).indicate(0, 30)


@talk("CH-241")
def _(story: Story, open_: bool) -> None:
    talk = Talk(story).offload()
    if open_:
        talk.hears(50, A[50:])
    talk.hears(50, B[50:])
    talk.hears(0, A[:50])
    talk.sends(0, ack=100)
    talk.terminate(node={"buffered": (nbl(90, A),)}, rcv_nxt=100)


# --- stamps of the past ---------------------------------------------------------------------------------


@tale("CH-196")
def _(s: Tale, open_: bool) -> None:
    _two_stamps(s).comes(300, flags="R").wait(1).goes(100, stamps=(5102, OLDER))
    s.comes(100, stamps=(BETWEEN if open_ else PAST, 5000)).wait(1).goes(100, stamps=(5103, OLDER))
    s.comes(300, flags="R").wait(1).goes(100, stamps=(5104, OLDER))


@tale("CH-201")
def _(s: Tale, open_: bool) -> None:
    _two_stamps(s).comes(300, flags="R").wait(1).goes(100, stamps=(5102, OLDER))
    s.comes(100, stamps=(BETWEEN if open_ else PAST, 5000)).wait(1000).query(100, keep_alive_timeout_delta=7000)


@tale("CH-225")
def _(s: Tale, open_: bool) -> None:
    _two_stamps(s).send(1, 10).goes(100, 0, 10, stamps=(5101, OLDER)).wait(20)
    s.comes(100, ack=10, stamps=(BETWEEN if open_ else NEWER, 5101)).wait(500).query_neighbor(621)


@tale("CH-216")
def _(s: Tale, open_: bool) -> None:
    s.offload().send(1, 4000)
    if open_:
        s.comes(0, ack=2)  # what is sent just then: SND.UNA stays 0, or is 2
    s.goes(0, 0, 1000).goes(0, 1000, 1000)
    if not open_:
        s.comes(0, ack=2)
    for _ in range(3):
        s.comes(0, ack=0).wait(1)
    s.goes(0, 0, 1000).comes(0, ack=10).comes(0, ack=10).wait(1).goes(0, 10, 1000)


@talk("CH-245")
def _(story: Story, open_: bool) -> None:
    talk = Talk(story, stamped=True, delegated={"ts_recent": OLDER}).offload()
    talk.hears(0, A, stamps=(OLDER, 7000))
    talk.hears(100, stamps=(NEWER, 7000))
    talk.sends(0, ack=100)
    story.wait(300)
    talk.hears(100, window=777, stamps=(BETWEEN if open_ else PAST, 7000))
    story.wait(300)
    buffered = {"buffered": (nbl(90, A),)}
    talk.terminate(node=buffered, rcv_nxt=100, snd_wnd=777, send_wl1=(RCV + 100) % 2**32)


# --- what was not sent, answers -------------------------------------------------------------------------


@tale("CH-203")
def _(s: Tale, open_: bool) -> None:
    s.offload().wait(100).comes(0, 10, ack=50, flags="AU").send(1, 100)
    if open_:
        s.goes(0, 0, 100)
    s.retrieve(URGENT)


@tale("CH-223")
def _(s: Tale, open_: bool) -> None:
    s.offload(flags=STAMPED, snd_max=SND_0 + 100).wait(50).comes(0, ack=50, stamps=(1, 4970))
    never_sent = (1, (5050 - (1 << 30)) % 2**32)
    s.comes(0 if open_ else -5000, ack=100, stamps=never_sent).terminate(0, s_rtt=8 * 1050)


@tale("CH-198")
def _(s: Tale, open_: bool) -> None:
    s.offload().send(1, 100).wait(100).comes(200, flags="S").wait(1).goes(0)
    if open_:
        s.comes(-500, 10)  # is answered, too, and not by a segment with text
    s.goes(0, 0, 100).comes(300, flags="S").wait(1).goes(0, 100)


@pytest.mark.parametrize("rule", [pytest.param(rule, marks=pytest.mark.rule(rule)) for rule in sorted(STORIES)])
def test_a_rule_is_silent_where_a_far_end_left_two_readings_and_fires_where_it_left_one(rule: str) -> None:
    assert broken(STORIES[rule](True), rule) == set()
    assert broken(STORIES[rule](False), rule) == {rule}


# --- more of the same -----------------------------------------------------------------------------------


@pytest.mark.rule("CH-155")
def test_two_texts_leave_open_only_the_bytes_for_which_they_differ() -> None:
    def tell(s: Tale, *, wrong: bytes) -> None:
        s.offload().comes(10, 20).comes(10, 1, data=b"?").comes(0, 10).wait(1).goes(30)
        text = bytearray(s.frame(0, 30)[-30:])
        text[10:11] = b"?"
        text[20:21] = wrong or text[20:21]
        call = s.enter(ndis.INDICATE, target=s.link.handle, lists=[nbl(700, bytes(text))], status=0)
        s.leave(call, 0, 30)

    assert broken(told(lambda s: tell(s, wrong=b"")), "CH-155") == set()
    assert broken(told(lambda s: tell(s, wrong=b"!")), "CH-155") == {"CH-155"}


@pytest.mark.rule("CH-190", "CH-191", "CH-145")
def test_what_is_acknowledged_behind_a_fin_shows_that_it_was_none() -> None:
    def tell(s: Tale, *, event: bool) -> None:
        s.offload().comes(50, 50, flags="AF").comes(0, 50, flags="AF").wait(1).goes(101).indicate(0, 50)
        s.indicate(50, 50, answer=0xC023100E)
        if event:
            s.event(2)
        s.wait(300)

    assert broken(told(lambda s: tell(s, event=False)), "CH-190", "CH-191", "CH-145") == set()
    assert broken(told(lambda s: tell(s, event=True)), "CH-190") == {"CH-190"}


@pytest.mark.rule("CH-155", "CH-241")
@pytest.mark.parametrize("state", [ndis.ESTABLISHED, ndis.CLOSE_WAIT, ndis.CLOSED])
@pytest.mark.parametrize("up", [b"", b"x"])
def test_the_reported_state_tells_whether_text_or_fin_was_taken(state: int, up: bytes) -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        talk.hears(0, A, flags=FIN)
        talk.hears(100, b"x")
        talk.sends(0, ack=101)
        talk.indicate(60, A)
        talk.terminate(node={"buffered": (nbl(90, up),) if up else ()}, rcv_nxt=101, state=state)

    story = Story()
    tell(story)
    fits = state == ndis.CLOSED or bool(up) == (state == ndis.ESTABLISHED)
    assert broken(story.records, "CH-155", "CH-241") == (set() if fits else {"CH-155", "CH-241"})


@pytest.mark.rule("CH-241")
@pytest.mark.parametrize(("place", "silent"), [(0, False), (99, False), (100, True), (101, False), (5000, False)])
def test_only_an_rst_at_the_next_number_excuses_what_an_upload_lacks(place: int, silent: bool) -> None:
    story = Story()
    talk = Talk(story).offload()
    talk.hears(0, A)
    talk.sends(0, ack=100)
    talk.hears(place, flags=RST)
    story.wait(200)
    talk.terminate(rcv_nxt=0)
    assert ("CH-241" in broken(story.records, "CH-241")) is not silent


@pytest.mark.rule("CH-202", "CH-203")
@pytest.mark.parametrize("valid", [True, False])
def test_an_urg_segment_counts_in_a_crowd_of_frames(valid: bool) -> None:
    def tell(s: Tale) -> None:
        s.offload().wait(100).comes(-500, 10, flags="AU")
        for _ in range(20):
            s.comes(-500, 10)
        s.comes(0 if valid else -500, 10, flags="AU").retrieve(URGENT)

    assert broken(told(tell), "CH-203") == (set() if valid else {"CH-203"})


@pytest.mark.rule("CH-101", "G-31")
@pytest.mark.parametrize(("late", "rules"), [(1, set()), (50, {"CH-101", "G-31"})])
def test_an_ack_of_what_is_sent_just_then_may_complete_it(late: int, rules: set[str]) -> None:
    story = Story()
    talk = Talk(story).offload()
    talk.hears(0, ack=100)
    story.wait(late)
    request = nbl(60, A)
    talk.send(request)
    talk.sends(0, A)
    story.complete("send", done(request, ndis.SUCCESS, 100))
    assert broken(story.records, "CH-101", "G-31") == rules


@pytest.mark.rule("CH-216")
@pytest.mark.parametrize(("start", "rules"), [(5, set()), (10, {"CH-216"})])
def test_duplicates_of_a_head_that_may_be_the_head_still_count_with_the_next(start: int, rules: set[str]) -> None:
    def tell(s: Tale) -> None:
        s.offload().send(1, 4000).goes(0, 0, 1000).goes(0, 1000, 1000)
        s.comes(0).comes(0).comes(0, 10)
        s.comes(start, ack=2)  # 5: old if the ten bytes were taken already
        s.comes(10, ack=0).wait(1).goes(10, 0, 1000).comes(10, ack=20).comes(10, ack=20).wait(1).goes(10, 20, 1000)

    assert broken(told(tell), "CH-216") == rules


@pytest.mark.rule("CH-216")
@pytest.mark.parametrize("doubt", [False, True])
def test_the_fast_retransmit_is_demanded_only_where_the_head_is_certain(doubt: bool) -> None:
    def tell(s: Tale) -> None:
        s.offload().send(1, 4000)
        if doubt:
            s.comes(0, ack=2)
        s.goes(0, 0, 1000).goes(0, 1000, 1000)
        s.comes(-500, ack=-5) if doubt else s.comes(0, ack=2)
        for _ in range(3):  # with SND.UNA 0 the first is no duplicate
            s.comes(0, ack=2).wait(1)
        s.wait(100)

    assert broken(told(tell), "CH-216") == (set() if doubt else {"CH-216"})


@pytest.mark.rule("CH-196")
@pytest.mark.parametrize(
    ("comes", "rules"),
    [("RA!R!", set()), ("AR!R!", {"CH-196"}), ("R!AR!", set()), ("RRA!!", {"CH-196"}), ("RARA!!", set())],
)
def test_a_challenge_ack_is_of_the_period_in_which_its_rst_came(comes: str, rules: set[str]) -> None:
    """It leaves when other segments came already: RST, A an acceptable segment, ! the challenge ACK."""

    def tell(s: Tale) -> None:
        s.offload().wait(100)
        for number, what in enumerate(comes):
            if what == "!":
                s.wait(1).goes(0)
            else:
                s.comes(200 + number if what == "R" else 0, flags=what)

    assert broken(told(tell), "CH-196") == rules


@pytest.mark.rule("CH-196")
@pytest.mark.parametrize(
    ("late", "answers", "rules"), [(1, 1, set()), (1, 2, {"CH-196"}), (200, 1, {"CH-196"})]
)  # fmt: skip
def test_an_ack_of_what_is_sent_just_then_may_have_ended_the_period_before_the_rst_behind_it(
    late: int, answers: int, rules: set[str]
) -> None:
    def tell(s: Tale) -> None:
        s.offload().wait(100).comes(-500).wait(1).goes(0)  # the one answer in half a second
        s.comes(200, flags="R").wait(1).goes(0).comes(0, ack=50).wait(late)
        s.comes(201, flags="R").comes(202, flags="R").send(1, 100).goes(0, 0, 100).wait(1)
        for _ in range(answers):
            s.goes(0, 100)

    assert broken(told(tell), "CH-196") == rules


@pytest.mark.rule("CH-196")
@pytest.mark.parametrize(
    ("before", "behind", "answers", "rules"),
    [(1, 0, 2, set()), (2, 0, 3, {"CH-196"}), (1, 1, 2, set()), (2, 2, 3, {"CH-196"}), (0, 2, 3, {"CH-196"})],
)
def test_the_rst_before_and_the_rst_behind_such_an_ack_are_answered_once_each(
    before: int, behind: int, answers: int, rules: set[str]
) -> None:
    """So many come ``before`` and ``behind`` the ACK, and one when the data went; where the ACK came is not known."""

    def tell(s: Tale) -> None:
        s.offload().wait(100).comes(-500).wait(1).goes(0)
        for place in range(before):
            s.comes(200 + place, flags="R")
        s.comes(0, ack=50)
        for place in range(behind):
            s.comes(300 + place, flags="R")
        s.send(1, 100).goes(0, 0, 100).wait(1)
        for _ in range(answers - 1):
            s.goes(0, 100)
        s.comes(400, flags="R").wait(1).goes(0, 100)

    assert broken(told(tell), "CH-196") == rules


@pytest.mark.rule("CH-201")
@pytest.mark.parametrize("flag", ["R", "S"])
@pytest.mark.parametrize(("ended", "rules"), [(True, set()), (False, {"CH-201"})])
def test_a_challenge_ack_of_a_period_that_is_over_leaves_no_keepalive_timer(
    ended: bool, rules: set[str], flag: str
) -> None:
    def tell(s: Tale) -> None:
        s.offload().wait(100).comes(200, flags=flag)
        if ended:
            s.comes(0)
        s.wait(1).goes(0).wait(1000).query(0, keep_alive_timeout_delta=0xFFFF_FFFF)

    assert broken(told(tell), "CH-201") == rules


@pytest.mark.rule("CH-198")
@pytest.mark.parametrize(("answers", "rules"), [(1, set()), (2, {"CH-198"})])
def test_stray_acks_excuse_one_answer_in_half_a_second(answers: int, rules: set[str]) -> None:
    def tell(s: Tale) -> None:
        s.offload().wait(100).comes(200, flags="S").wait(1).goes(0).wait(1000)
        s.comes(-500).comes(-500).comes(-500).comes(300, flags="S").wait(1)
        for _ in range(answers):
            s.goes(0)

    assert broken(told(tell), "CH-198") == rules


@pytest.mark.rule("CH-198")
@pytest.mark.parametrize(("acknowledged", "rules"), [(0, set()), (4, {"CH-198"})])
def test_text_is_owed_an_answer_until_it_is_acknowledged(acknowledged: int, rules: set[str]) -> None:
    def tell(s: Tale) -> None:
        s.offload().send(1, 100).wait(100).comes(200, flags="S").wait(1).goes(0).wait(1000)
        s.comes(0, 4).goes(acknowledged, 0, 100).comes(300, flags="S").wait(1).goes(acknowledged, 100)

    assert broken(told(tell), "CH-198") == rules


@pytest.mark.rule("CH-245")
@pytest.mark.parametrize(("total", "rules"), [(900, set()), (1900, {"CH-245"})])
def test_an_ack_of_what_may_be_sent_next_does_not_start_the_timer_of_what_is_sent_again(
    total: int, rules: set[str]
) -> None:
    story = Story()
    talk = Talk(story).offload()
    request = nbl(60, A)
    talk.send(request)
    talk.sends(0, A)
    talk.hears(0, ack=101)
    for _ in range(2):
        story.wait(500)
        talk.sends(0, A)
    story.wait(100)
    talk.terminate(node={"chain": (request,)}, snd_nxt=100, snd_max=100, total_rt=total, retransmit_count=2)
    assert broken(story.records, "CH-245") == rules


# --- the checks themselves ------------------------------------------------------------------------------


def _bounds(**changes: object) -> Bounds:
    usual = {
        "nxt": (100, 200),
        "told": 100,
        "edge": (1000, 1100),
        "una": (50, 60),
        "sent": (80, 90),
        "widest": (20, 30),
    }
    return Bounds(**{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "length", "answer"),
    [
        (99, 0, Answer.NO), (100, 0, Answer.PERHAPS), (199, 0, Answer.PERHAPS), (200, 0, Answer.YES),
        (999, 0, Answer.YES), (1000, 0, Answer.PERHAPS), (1099, 0, Answer.PERHAPS), (1100, 0, Answer.NO),
        (50, 50, Answer.NO), (50, 51, Answer.PERHAPS), (50, 150, Answer.PERHAPS), (50, 151, Answer.YES),
        (50, 951, Answer.PERHAPS), (999, 500, Answer.YES), (1000, 500, Answer.PERHAPS), (1100, 1, Answer.NO),
    ],
)  # fmt: skip
def test_a_segment_is_in_the_window_for_all_for_some_or_for_no_values_between_the_bounds(
    start: int, length: int, answer: Answer
) -> None:
    assert in_window(start, length, _bounds()) is answer


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_segment_at_the_next_number_counts_though_the_window_is_shut(length: int) -> None:
    shut = _bounds(nxt=(100, 100), edge=(100, 100))
    assert in_window(100, length, shut) is Answer.YES
    assert in_window(101, length, shut) is Answer.NO


@pytest.mark.parametrize(
    ("ack", "answer"),
    [
        (19, Answer.NO), (20, Answer.PERHAPS), (39, Answer.PERHAPS), (40, Answer.YES), (80, Answer.YES),
        (81, Answer.PERHAPS), (90, Answer.PERHAPS), (91, Answer.NO),
    ],
)  # fmt: skip
def test_an_ack_counts_from_a_window_below_the_first_unacknowledged_number_to_the_last_sent(
    ack: int, answer: Answer
) -> None:
    assert in_range(ack, _bounds()) is answer


def _recent(stamp: int = OLDER) -> Recent:
    return Recent({"flags": STAMPED}, {"ts_recent": stamp}, 0)


def test_a_stamp_between_two_that_may_be_the_latest_may_be_of_the_past() -> None:
    recent = _recent()
    recent.took((NEWER, 0), 1, Answer.PERHAPS)
    passed = [recent.passes((stamp, 0), 2) for stamp in (PAST, OLDER, BETWEEN, NEWER)]
    assert passed == [Answer.NO, Answer.PERHAPS, Answer.PERHAPS, Answer.YES]
    recent.took((NEWER, 0), 3, Answer.YES)
    assert recent.passes((BETWEEN, 0), 4) is Answer.NO


def test_stamps_wrap_and_grow_old() -> None:
    recent = _recent(0xFFFF_FFF0)
    assert recent.passes((5, 0), 1) is Answer.YES
    assert recent.passes((0xFFFF_FFEF, 0), 1) is Answer.NO
    assert recent.passes(None, 1) is Answer.NO
    assert recent.passes((0xFFFF_FFEF, 0), 1 << 31) is Answer.PERHAPS
    recent.took(((1 << 31) - 17, 0), 1, Answer.PERHAPS)
    recent.took((0xFFFF_FFE0, 0), 1, Answer.PERHAPS)
    assert recent.passes((0xFFFF_FFEF, 0), 1) is Answer.PERHAPS


def test_a_fin_is_where_nothing_showed_that_it_is_not() -> None:
    fins = Fins()
    for order, place in enumerate((30, 100, 70)):
        fins.add(place, order)
    fins.passed(31)
    assert [fins.at(place) for place in (30, 70, 100)] == [True, True, True]
    fins.passed(32)
    assert [fins.at(place) for place in (30, 70, 100)] == [False, True, True]
    assert (fins.within(69), fins.within(70), fins.heard_at(99), fins.heard_at(69)) == (False, True, 2, None)
    fins.settle(70)
    fins.add(50)
    assert (fins.known, fins.at(50), fins.at(100), fins.heard_at(70)) == (70, False, False, 2)


def test_what_was_acknowledged_too_early_counts_for_a_while_once() -> None:
    early: Early[str] = Early()
    early.add(Held(10, 100, "first"))
    early.add(Held(20, 200, "second"))
    early.add(Held(20, 120, "old", Answer.NO))
    assert list(early.due(25, 99)) == []
    assert [(held.tick, held.item) for held in early.due(26, 150)] == [(10, "first")]
    assert list(early.due(27, 150)) == []
    assert list(early.due(37, 300)) == []
    early.add(Held(40, 300, "posted in time"))
    early.add(Held(40, 400, "posted too late"))
    early.post(56, 399)
    early.post(57, 400)
    assert [held.item for held in early.due(120, 400)] == ["posted in time"]
    early.add(Held(140, 500, "gone", posted=True))
    assert list(early.due(221, 500)) == []


def test_where_bytes_differ_one_of_those_that_came_counts_and_no_third() -> None:
    stream = Stream(0, 0)
    stream.put(5, b"fghij", 1)
    stream.put(0, b"abcdeFgHij", 2)
    assert stream.others == {5: {ord("f")}, 7: {ord("h")}}
    assert all(stream.same(0, text) for text in (b"abcdefghij", b"abcdeFgHij", b"abcdefgHij"))
    assert stream.same(0, b"abcde?ghij") is False
    assert stream.same(0, b"abcdefghi!") is False
    assert stream.same(8, b"ijk") is None
    stream.put(0, b"ABCDE", 3, 10)
    assert stream.same(0, b"ABCDE") is False


def test_where_nothing_is_known_any_text_counts() -> None:
    stream = Stream(0, 0)
    stream.put(0, b"abcdef", 1)
    stream.doubt(1, 3)
    stream.doubt(3, 4)
    assert stream.unknown == [(1, 4)]
    assert stream.same(0, b"a???ef") is True
    assert stream.same(0, b"?bcdef") is False


@pytest.mark.rule("CH-216")
@pytest.mark.parametrize(("wait", "rules"), [(0, set()), (5, {"CH-216"})])
def test_an_ack_of_all_that_is_repeated_while_more_leaves_may_be_a_duplicate(wait: int, rules: set[str]) -> None:
    """A duplicated frame crosses what the NIC sends next: it may have been sent when the second copy was looked at."""

    def tell(s: Tale) -> None:
        s.offload().send(1, 4000).goes(0, 0, 1000).wait(5).comes(0, ack=1000).comes(0, ack=1000).wait(wait)
        s.goes(0, 1000, 1000).goes(0, 2000, 1000)
        s.wait(5).comes(0, ack=1000).wait(5).comes(0, ack=1000).wait(1).goes(0, 1000, 1000)

    assert broken(told(tell), "CH-216") == rules


@pytest.mark.rule("CH-202")
@pytest.mark.parametrize(("told_", "rules"), [(20, set()), (21, {"CH-202"})])
def test_what_came_without_urg_is_acknowledged_below_an_urg_segment_that_repeats_it(
    told_: int, rules: set[str]
) -> None:
    def tell(s: Tale) -> None:
        s.offload().comes(0, 20).comes(0, 23, flags="AU").wait(1).goes(told_).retrieve(URGENT)

    assert broken(told(tell), "CH-202") == rules


@pytest.mark.rule("CH-216")
@pytest.mark.parametrize("open_", [True, False])
def test_a_window_that_only_one_reading_took_may_be_the_one_that_duplicates_repeat(open_: bool) -> None:
    def tell(s: Tale) -> None:
        s.offload().send(1, 4000).comes(0, ack=2).goes(0, 0, 1000).goes(0, 1000, 1000)
        if open_:
            s.comes(50, 1, ack=0, window=777)  # with SND.UNA 2 it is old, else SND.WL1 is its number now
        s.comes(0, ack=1000, window=600).goes(0, 2000, 1000)
        for _ in range(3):
            s.comes(0, ack=1000, window=777)
        s.wait(1).goes(0, 1000, 1000).comes(0, ack=1010, window=777).wait(1)

    assert broken(told(tell), "CH-216") == (set() if open_ else {"CH-216"})


@pytest.mark.rule("G-04")
@pytest.mark.parametrize("open_", [True, False])
def test_an_ack_of_what_was_posted_and_not_sent_may_not_count(open_: bool) -> None:
    """What comes behind it with an old ACK is below one reading of SND.UNA only: its text may have been taken."""
    story = Story()
    story.parameters(tcp_push_ticks=500)
    talk = Talk(story).offload()
    talk.receive(posted(50, 1000))
    talk.send(nbl(60, A + B))
    talk.sends(0, A)
    talk.hears(0, ack=150 if open_ else 100)
    talk.hears(0, A[:50], ack=-59_901)  # the widest window is 60,000
    talk.hears(50, A[50:], flags=FIN)
    talk.sends(100, ack=101)
    story.complete("receive", done(posted(50, 1000), ndis.SUCCESS, 100))
    assert broken(story.records, "G-04") == (set() if open_ else {"G-04"})


@pytest.mark.rule("CH-104", "CH-108")
@pytest.mark.parametrize(
    ("stamp", "seq", "flags", "rules"),
    [
        (NEWER, 0, 0, set()),
        (OLDER, 0, 0, {"CH-104", "CH-108"}),
        (NEWER, -50_000, RST, {"CH-104", "CH-108"}),  # no stamp of a reset counts (RFC 7323, 5.2)
    ],
)
def test_a_stamp_that_came_in_a_crowd_of_frames_may_be_the_latest(
    stamp: int, seq: int, flags: int, rules: set[str]
) -> None:
    """The target may have taken it, and drops by it what comes with an older one (RFC 7323, 5.3)."""
    story = Story()
    story.parameters()
    talk = Talk(story, stamped=True, delegated={"ts_recent": OLDER}).offload()
    request = nbl(60, A)
    talk.send(request)
    talk.sends(0, A)
    story.wait(1)
    for _ in range(20):
        talk.hears(0, ack=0, stamps=(OLDER, 7001))
    talk.hears(seq, ack=0, flags=flags, stamps=(stamp, 7001))
    story.wait(1)
    talk.hears(0, ack=100, stamps=(OLDER, 7001))
    story.wait(200)
    talk.terminating()
    story.complete("send", done(request, ndis.UPLOAD_IN_PROGRESS, 0))
    assert broken(story.records, "CH-104", "CH-108") == rules


@pytest.mark.rule("CH-216")
@pytest.mark.parametrize(("count", "rules"), [(3, set()), (2, {"CH-216"})])
def test_acks_that_keep_the_window_shut_over_what_is_in_flight_are_duplicates(count: int, rules: set[str]) -> None:
    def tell(s: Tale) -> None:
        s.offload().send(1, 4000).goes(0, 0, 1000).goes(0, 1000, 1000).comes(0, ack=2)
        for _ in range(count - 1):
            s.comes(0, ack=2)
        s.comes(0, ack=2, window=0).comes(0, ack=2, window=0)
        s.comes(0, 10, ack=2, window=4000).wait(1).goes(10, 2, 1000)

    assert broken(told(tell), "CH-216") == rules


@pytest.mark.rule("CH-216")
@pytest.mark.parametrize(("count", "rules"), [(3, set()), (2, {"CH-216"})])
def test_a_recovery_that_such_acks_began_sends_the_head_again_with_each_partial_ack(
    count: int, rules: set[str]
) -> None:
    """RFC 6582, 3.2: behind the partial ACK the head goes again whatever duplicates came in the meantime."""

    def tell(s: Tale) -> None:
        s.offload().send(1, 4000).goes(0, 0, 1000).goes(0, 1000, 1000).comes(0, ack=2)
        for _ in range(count - 1):
            s.comes(0, ack=2)
        s.comes(0, ack=2, window=0).comes(0, ack=2, window=0)
        s.comes(0, ack=502, window=4000).comes(0, ack=502, window=4000).goes(0, 502, 1000)

    assert broken(told(tell), "CH-216") == rules


@pytest.mark.rule("CH-216")
@pytest.mark.parametrize("probes", [2, 3, 5])
def test_answers_to_probes_begin_no_recovery_of_what_is_sent_behind_them(probes: int) -> None:
    """One duplicate ACK is none too many to be judged because the window was shut before."""

    def tell(s: Tale) -> None:
        s.offload().send(1, 4000).goes(0, 0, 1000).comes(0, ack=1000, window=0)
        for _ in range(probes):
            s.goes(0, 1000, 1).comes(0, ack=1000, window=0)
        s.comes(0, ack=1001, window=8000).goes(0, 1001, 1000).goes(0, 2001, 999)
        s.comes(0, ack=1001, window=8000).goes(0, 1001, 1000)

    assert broken(told(tell), "CH-216") == {"CH-216"}


@pytest.mark.rule("CH-245")
@pytest.mark.parametrize(("ack", "rules"), [(150, set()), (50, {"CH-245"})])
def test_an_ack_of_what_was_posted_and_not_sent_does_not_end_a_row_of_duplicates(ack: int, rules: set[str]) -> None:
    story = Story()
    talk = Talk(story).offload()
    request = nbl(60, A + B)
    talk.send(request)
    talk.sends(0, A)
    una = ack if ack < 100 else 0
    for number in (0, 0, 0, ack, una, una):
        talk.hears(0, ack=number)
    talk.sends(100, B[:50])
    talk.terminate(node={"chain": (request,)}, snd_una=una, snd_nxt=150, snd_max=150, dup_ack_count=5)
    assert broken(story.records, "CH-245") == rules
