"""What hangs on whether a segment that waits was taken is judged when that is known, and not excused for good.

A segment that acknowledges what has not left may stand in front of an RST, a SYN, urgent data. It excuses the target
only if what it acknowledges leaves, only as far as the window goes, and not for longer than an answer takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tb.monitors.contract.acceptance import Held
from tb.monitors.contract.receive_reach import Piece, Reach
from tb.monitors.contract.receive_segments import Segment
from tb.tests.model.contract.receive_traces import Story as Tale
from tb.tests.model.contract.receive_traces import told
from tb.tests.model.contract.test_monitor_hostile_ends import BETWEEN, NEWER, OLDER, STAMPED, broken

Tell = Callable[[Tale], object]
#: `goes` sends without PSH, which is no matter here.
ASIDE: Final = {"CH-113"}


def _early(s: Tale, size: int = 10) -> Tale:
    """Text that acknowledges 100 bytes which nobody has posted."""
    return s.offload().comes(0, size, ack=100)


def _goes_on_badly(s: Tale) -> Tale:
    """The peer's FIN is acknowledged and never told of."""
    return s.wait(400).comes(0, 0, flags="AF").goes(1).wait(300)


def _one_out_of_order(s: Tale) -> Tale:
    """Behind a gap comes text with a stamp that is no TS.Recent (RFC 7323, 4.3); it waits; the gap is closed."""
    s.offload(flags=STAMPED, ts_recent=OLDER).send(1, 100).comes(10, 10, ack=100, stamps=(NEWER, 5000))
    s.comes(0, 10, ack=100, stamps=(OLDER, 5000)).indicate(0, 20)
    return s.goes(20, 0, 100, stamps=(5001, OLDER)).wait(50)


RIGHT: dict[str, Tell] = {
    "an RST behind text whose answer leaves behind the abort": lambda s: (
        _early(s).comes(10, flags="R").send(1, 100).event(4).goes(10, 0, 100)
    ),
    "an RST behind two texts": lambda s: (
        s.offload().send(1, 200).comes(0, 10, ack=100).comes(10, 10, ack=200).comes(20, flags="R").event(4)
    ).goes(10, 0, 200),
    "an RST behind text that leads past it": lambda s: (
        s.offload().send(1, 200).comes(0, 10, ack=100).comes(0, 20, ack=200).comes(10, flags="R").event(4)
    ).goes(10, 0, 100),
    "an RST where text began that was taken": lambda s: (
        s.offload().send(1, 100).comes(0, 10, ack=100).comes(0, flags="R").goes(0, 0, 100).goes(10, 100)
    ).indicate(0, 10),
    "an RST behind text that was not taken gets a challenge ACK": lambda s: (
        _early(s).comes(10, flags="R").goes(0).wait(400)
    ),
    "a SYN where text began that was taken": lambda s: (
        s.offload().send(1, 100).comes(0, 10, ack=100).comes(0, flags="S").goes(0, 0, 100).goes(10, 100)
    ).indicate(0, 10),
    "a SYN at RcvNxt though text waits": lambda s: _early(s).comes(0, flags="S").retrieve(10),
    "text out of order is no TS.Recent": lambda s: (
        _one_out_of_order(s).comes(20, 10, ack=100, stamps=(BETWEEN, 5001)).goes(30, 100, stamps=(5051, BETWEEN))
    ).indicate(20, 10),
    "a FIN that acknowledges more than a push below it": lambda s: (
        (s.offload().post(7, 20, push=False).send(1, 100).comes(0, 10).comes(0, 10, ack=50, flags="AP"))
        .comes(10, 0, ack=100, flags="AF")
        .done(7, 10)
        .event(2)
        .goes(11, 0, 100)
    ),
    "a FIN behind a push, told of": lambda s: (
        (s.offload().send(1, 100).comes(0, 10, ack=50, flags="AP").comes(0, 10, ack=100, flags="AF"))
        .indicate(0, 10)
        .event(2)
        .goes(11, 0, 100)
    ),
    "urgent data that came without URG too": lambda s: (
        s.offload().send(1, 100).comes(0, 10, ack=100).comes(0, 10, flags="AU").goes(0, 0, 100).goes(10, 100)
    ).indicate(0, 10),
}
WRONG: dict[str, tuple[str, Tell]] = {
    "an abort for an RST behind text whose answer never leaves": (
        "CH-196",
        lambda s: _early(s).comes(10, flags="R").event(4).wait(100),
    ),
    "an abort for an RST behind one of two texts whose answer never leaves": (
        "CH-196",
        lambda s: (
            (s.offload().send(1, 100).comes(0, 10, ack=100).comes(10, 10, ack=200).comes(20, flags="R").event(4))
            .goes(10, 0, 100)
            .wait(100)
        ),
    ),
    "an abort for an RST behind text outside the window": (
        "CH-195",
        lambda s: (
            (s.offload(rcv_wnd=1000, cached={"initial_rcv_wnd": 1000}).send(1, 100).comes(5000, 10, ack=100))
            .comes(5010, flags="R")
            .event(4)
            .goes(0, 0, 100)
            .wait(100)
        ),
    ),
    "an abort for an RST at the end of text that the window cuts": (
        "CH-195",
        lambda s: (
            (s.offload(rcv_wnd=100, cached={"initial_rcv_wnd": 100}).send(1, 100).comes(0, 500, ack=100))
            .comes(500, flags="R")
            .event(4)
            .goes(0, 0, 100)
            .wait(100)
        ),
    ),
    "an abort long after an RST behind text": (
        "CH-196",
        lambda s: _early(s).comes(10, flags="R").wait(100).send(1, 100).goes(0, 0, 100).event(4),
    ),
    "an abort for an RST beyond the window as it was told of": (
        "CH-196",
        lambda s: (s.offload(rcv_wnd=100, cached={"initial_rcv_wnd": 1000}).comes(500, flags="R").event(4)).wait(100),
    ),
    "an RST behind text that was not taken excuses nothing later": (
        "CH-191",
        lambda s: _goes_on_badly(_early(s).comes(10, flags="R")),
    ),
    "an RST that may have been in order excuses nothing later": (
        "CH-191",
        lambda s: (
            (s.offload().comes(0, 10).comes(0, flags="R").indicate(0, 10).goes(10).wait(600).comes(10, flags="AF"))
            .goes(11)
            .wait(300)
        ),
    ),
    "no abort for an RST at RcvNxt, though text waits": (
        "CH-193",
        lambda s: _early(s).comes(0, flags="R").wait(400),
    ),
    "no upload for a SYN at RcvNxt, though text waits": (
        "CH-199",
        lambda s: _early(s).comes(0, flags="S").wait(400),
    ),
    "no upload for urgent data, though text waits": (
        "CH-202",
        lambda s: _early(s).comes(0, 10, flags="AU").wait(400),
    ),
    "an upload in another state behind a SYN at RcvNxt": (
        "CH-199",
        lambda s: _early(s).comes(0, flags="S").retrieve(10).wait(100).terminate(0, state=4),
    ),
    "a second answer to text that was not taken": (
        "CH-196",
        lambda s: (
            (_early(s).comes(0, 10).comes(5, flags="R").goes(10).wait(5).comes(20, flags="R").comes(30, flags="R"))
            .goes(10)
            .wait(5)
            .goes(10)
            .wait(5)
            .goes(10)
            .wait(5)
            .goes(10)
        ),
    ),
    "a request that no push asks for ends at a waiting push": (
        "CH-129",
        lambda s: (s.offload().post(7, 20, push=False).send(1, 100).comes(0, 10, ack=50, flags="AP").done(7, 10)).goes(
            10, 0, 100
        ),
    ),
}


@pytest.mark.rule("CH-129", "CH-155", "CH-190", "CH-193", "CH-196", "CH-199", "CH-202")
@pytest.mark.parametrize("wait", [0, 300, 1000])
@pytest.mark.parametrize("story", RIGHT)
def test_what_may_have_been_taken_excuses_what_it_explains(story: str, wait: int) -> None:
    def tell(s: Tale) -> None:
        RIGHT[story](s)
        s.wait(wait)

    assert broken(told(tell)) - ASIDE == set()


@pytest.mark.rule("CH-129", "CH-191", "CH-193", "CH-195", "CH-196", "CH-199", "CH-202")
@pytest.mark.parametrize("story", WRONG)
def test_what_was_not_taken_excuses_nothing(story: str) -> None:
    rule, tell = WRONG[story]
    assert rule in broken(told(tell))


def _piece(start: int, end: int, ack: int) -> Piece:
    segment = Segment.__new__(Segment)
    return Piece(start, end, Held(0, ack, segment))


def test_a_reach_grows_only_by_what_has_come_to_count() -> None:
    first, second, last = _piece(0, 10, 1), _piece(5, 20, 2), _piece(20, 30, 3)
    reach = Reach(0, 0, (first, second, last))
    assert (reach.now, reach.most) == (0, 30)
    last.held.counts = True
    assert reach.now == 0
    first.held.counts = True
    assert reach.now == 10
    second.held.counts = True
    assert reach.now == 30


def test_a_place_needs_the_least_of_what_waits() -> None:
    first, second, last = _piece(0, 10, 1), _piece(5, 20, 2), _piece(20, 30, 3)
    reach = Reach(0, 0, (first, second, last))
    assert reach.needed(0) == []
    assert reach.needed(10) == [first.held]
    assert reach.needed(30) == [first.held, second.held, last.held]
    assert Reach(0, 0, (_piece(0, 5, 1), _piece(0, 10, 9))).needed(5)[0].ack == 1
