"""CH-127 wherever the pushed bytes waited: in order, beyond a gap, behind a refusal; and what else is accepted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tb.monitors.contract.receive import Delivery
from tb.monitors.contract.receive_push import Pushes
from tb.tests.model.contract.receive_traces import NOT_ACCEPTED, PARTLY, Story, told, watch


def _refused(s: Story, size: int) -> Story:
    """The host refuses an indication of so many bytes, the last of them pushed."""
    return s.offload().comes(0, size, flags="AP").wait(1).goes(size).indicate(0, size, answer=NOT_ACCEPTED).wait(5)


def _joined(s: Story) -> Story:
    """A request waits; 30 pushed bytes come beyond a gap, then the 40 in front of them."""
    return s.offload().post(1, 100).wait(5).comes(40, 30, flags="AP").goes(0).comes(0, 40).wait(1).goes(70)


def _more_behind(s: Story) -> Story:
    """30 pushed bytes and 20 others wait when the request is posted."""
    return _refused(s, 30).comes(30, 20).wait(1).goes(50).post(1, 100)


def _rest(s: Story) -> Story:
    """The rest of an indication that was taken in part waits when the request is posted."""
    s.offload().comes(0, 30, flags="AP").wait(1).goes(30)
    return s.leave(s.indication(0, 30), PARTLY, 10).wait(5).post(1, 100)


BREAKING: dict[str, tuple[str, Callable[[Story], Story]]] = {
    "pushed data was refused, its request never ends": ("CH-127", lambda s: _refused(s, 30).post(1, 100).wait(300)),
    "pushed data was refused, its request ends by the timer": (
        "CH-127",
        lambda s: _refused(s, 30).post(1, 100).wait(500).done(1, 30),
    ),
    "pushed data beyond a gap was joined": ("CH-127", lambda s: _joined(s).wait(300)),
    "more lies behind the pushed data": ("CH-127", lambda s: _more_behind(s).wait(300)),
    "more comes all the time behind the pushed data": (
        "CH-127",
        lambda s: _refused(s, 30).post(1, 100).wait(100).comes(30, 5).goes(35).wait(100).comes(35, 5).goes(40).wait(60),
    ),
    "the rest of what was taken in part": ("CH-127", lambda s: _rest(s).wait(300)),
    "the request ends before the end of the pushed segment": (
        "CH-130",
        lambda s: s.offload().post(1, 100).wait(5).comes(0, 30, flags="AP").wait(1).goes(30).done(1, 20),
    ),
    "the request ends before the end of the pushed data that was refused": (
        "CH-130",
        lambda s: _refused(s, 30).post(1, 100).done(1, 20),
    ),
    "the request ends where a pushed segment was cut in front of held data": (
        "CH-130",
        lambda s: (
            s.offload()
            .post(1, 200)
            .wait(5)
            .comes(40, 60)
            .goes(0)
            .comes(0, 60, flags="AP")
            .wait(1)
            .goes(100)
            .done(1, 40)
        ),
    ),
}
"""The rule that is broken first, and the story."""

KEEPING: dict[str, tuple[str, Callable[[Story], Story]]] = {
    "the request ends where the peer pushed, the next one has the rest": (
        "CH-127",
        lambda s: _more_behind(s).done(1, 30).post(2, 100).wait(500).done(2, 20),
    ),
    "the request also holds what lay behind the push": ("CH-127", lambda s: _more_behind(s).done(1, 50).wait(300)),
    "the request ends behind what was joined": ("CH-127", lambda s: _joined(s).done(1, 70).wait(300)),
    "the request ends with the rest of what was taken in part": ("CH-127", lambda s: _rest(s).done(1, 20).wait(300)),
    "a copy without PSH may be the one that was taken": (
        "CH-155",
        lambda s: s.offload().post(1, 100).wait(5).comes(0, 30).comes(0, 30, flags="AP").wait(1).goes(30).wait(499)
        .done(1, 30),
    ),
    "a larger copy without PSH may be the one that was taken": (
        "CH-155",
        lambda s: s.offload().post(1, 200).wait(5).comes(40, 30, flags="AP").goes(0).comes(0, 90).wait(1).goes(90)
        .wait(499).done(1, 90),
    ),
    "a nonpush request ignores PSH of buffered data": (
        "CH-129",
        lambda s: _refused(s, 30).post(1, 100, push=False).wait(900).comes(30, 20, flags="AF").wait(1).goes(51)
        .done(1, 50),
    ),
}  # fmt: skip
"""A rule that is triggered, and the story."""


@pytest.mark.parametrize("name", BREAKING)
def test_a_lost_push_of_waiting_data_breaks_ch_127_and_an_end_elsewhere_the_timers_rule(name: str) -> None:
    rule, tell = BREAKING[name]
    (delivery,) = watch(told(lambda s: _nothing(tell(s))), (Delivery,))
    assert [breach.rule for breach in delivery.breaches][:1] == [rule]


@pytest.mark.parametrize("name", KEEPING)
def test_a_request_may_end_at_the_push_or_behind_it_and_where_a_push_is_not_sure_by_the_timer(name: str) -> None:
    rule, tell = KEEPING[name]
    (delivery,) = watch(told(lambda s: _nothing(tell(s))), (Delivery,))
    assert [str(breach) for breach in delivery.breaches] == []
    assert delivery.triggers[rule]
    assert bool(delivery.triggers["CH-127"]) is (rule == "CH-127")


def _nothing(_: Story) -> None:
    """A story is told for its records."""


def test_a_push_is_at_the_end_of_its_segment_and_nowhere_in_front_of_it() -> None:
    pushes = Pushes()
    pushes.take(0, 100, push=True, acked=0)
    pushes.take(40, 60, push=False, acked=0)
    assert pushes.surely(0, 100) == 100
    assert pushes.possibly(0, 100)
    assert not pushes.possibly(0, 99)


def test_segments_that_were_forgotten_leave_no_push_sure() -> None:
    pushes = Pushes()
    for place in range(2000):
        pushes.take(place, place + 1, push=place == 500, acked=0)
    assert pushes.surely(0, 2000) is None
    assert pushes.possibly(0, 2000)
    pushes.take(2000, 2010, push=True, acked=0)
    assert pushes.surely(0, 2010) == 2010
    pushes.forget(2010)
    assert pushes.surely(0, 2010) is None
