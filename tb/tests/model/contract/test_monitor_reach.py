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
from tb.tests.model.contract.receive_traces import MANY, SND_0, told
from tb.tests.model.contract.receive_traces import Story as Tale
from tb.tests.model.contract.test_monitor_hostile_ends import BETWEEN, NEWER, OLDER, STAMPED, broken

Tell = Callable[[Tale], object]
#: `goes` sends without PSH, and `terminate` hands little over, which is no matter here.
ASIDE: Final = {"CH-113", "CH-245"}


def _early(s: Tale, size: int = 10) -> Tale:
    """Text that acknowledges 100 bytes which nobody has posted."""
    return s.offload().comes(0, size, ack=100)


def _window(s: Tale, size: int) -> Tale:
    """A receive window of so many bytes."""
    return s.offload(rcv_wnd=size, cached={"initial_rcv_wnd": size})


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
            (_window(s, 1000).send(1, 100).comes(5000, 10, ack=100))
            .comes(5010, flags="R")
            .event(4)
            .goes(0, 0, 100)
            .wait(100)
        ),
    ),
    "an abort for an RST at the end of text that the window cuts": (
        "CH-195",
        lambda s: (
            (_window(s, 100).send(1, 100).comes(0, 500, ack=100))
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
        lambda s: _early(s).comes(0, flags="R").wait(900),
    ),
    "no upload for a SYN at RcvNxt, though text waits": (
        "CH-199",
        lambda s: _early(s).comes(0, flags="S").wait(900),
    ),
    "no upload for urgent data, though text waits": (
        "CH-202",
        lambda s: _early(s).comes(0, 10, flags="AU").wait(900),
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


def _behind_an_urgent_copy(s: Tale) -> Tale:
    """The URG segment was a copy of text that waited, and ordinary text goes on behind it."""
    s.offload().send(1, 100).comes(0, 10, ack=100).comes(0, 10, flags="AU").goes(0, 0, 100).comes(10, ack=100)
    s.sent(1, 100).goes(10, 100).indicate(0, 10).wait(20).comes(10, 10, ack=100).goes(20, 100).indicate(10, 10)
    return s.wait(10)


def _beside_a_lie(s: Tale, size: int) -> Tale:
    """Text that nobody can take (it acknowledges what nobody has) lies beside two that the target takes."""
    s.offload().send(1, 60).comes(0, size, ack=5000).comes(0, 10, ack=50)
    return s.comes(10, 10, ack=60)


def _closes_a_gap(s: Tale) -> Tale:
    return s.offload().send(1, 100).comes(10, 10).comes(0, 10, ack=100)


def _late(s: Tale) -> Tale:
    """What the text acknowledges leaves 40 ticks later: the wire was busy."""
    return s.wait(40).goes(0, 0, 100).goes(10, 100).wait(460).done(7, 10)


def _held_back(s: Tale) -> Tale:
    """A request that text does not fill: it stays with the target until the push timer."""
    return s.offload().post(7, 1000).send(1, 100).comes(0, 10, ack=100)


def _two_stamps(s: Tale) -> Tale:
    """The first copy comes before what it acknowledges is sent, and the target refuses it; the second counts."""
    s.offload(flags=STAMPED, ts_recent=OLDER).send(1, 100).comes(0, 10, ack=100, stamps=(NEWER, 5000)).wait(2)
    s.comes(0, 10, ack=100, stamps=(OLDER, 5000)).indicate(0, 10).goes(10, 0, 100, stamps=(5003, OLDER)).wait(50)
    return s.comes(10, 10, ack=100, stamps=(BETWEEN, 5003)).goes(20, 100, stamps=(5053, BETWEEN)).indicate(10, 10)


def _syn_behind_urgent_data(s: Tale) -> Tale:
    """URG stops the connection; the SYN behind it goes to the host with it (CH-204)."""
    urgent, syn = s.offload().frame(0, 10, flags="AU"), s.frame(0, flags="S")
    s.frame_comes(urgent).wait(1).frame_comes(syn).wait(3).retrieve(5).wait(20).terminate(0, state=4)
    return s.passes_up(urgent).passes_up(syn)


SENT: Final = (SND_0 + 100) & MANY
RIGHT.update(
    {
        "text goes on behind an urgent copy, until the terminate": lambda s: _behind_an_urgent_copy(s).terminate(
            20, snd_una=SENT, snd_nxt=SENT, snd_max=SENT
        ),
        "an RST behind two texts beside a lie": lambda s: (
            _beside_a_lie(s, 20).comes(20, flags="R").event(4).goes(10, 0, 60)
        ),
        "the same, sent before the abort": lambda s: (
            _beside_a_lie(s, 20).comes(20, flags="R").goes(0, 0, 60).wait(2).event(4)
        ),
        "the same beside a shorter lie": lambda s: _beside_a_lie(s, 15).comes(20, flags="R").event(4).goes(10, 0, 60),
        "an upload behind two texts beside a lie": lambda s: (
            _beside_a_lie(s, 20).retrieve(5).wait(3).goes(0, 0, 60).goes(20, 60)
        ),
        "an RST behind text that closes a gap": lambda s: (
            _closes_a_gap(s).comes(20, flags="R").event(4).goes(20, 0, 100)
        ),
        "an upload behind text that closes a gap": lambda s: (
            _closes_a_gap(s).retrieve(5).wait(3).goes(0, 0, 100).goes(20, 100)
        ),
        "urgent data behind text that closes a gap": lambda s: (
            _closes_a_gap(s).comes(15, 10, flags="AU").retrieve(5).goes(0, 0, 100).goes(20, 100)
        ),
        "an RST behind a FIN at the edge of the window": lambda s: (
            (_window(s, 100).send(1, 100).comes(0, 100, flags="AF", ack=100))
            .comes(101, flags="R")
            .event(4)
            .goes(101, 0, 100, window=0)
        ),
        "the answer leaves late": lambda s: _late(_held_back(s)),
        "an RST below, the answer leaves late": lambda s: _late(_held_back(s).comes(0, flags="R")),
        "a SYN below, the answer leaves late": lambda s: _late(_held_back(s).comes(0, flags="S")),
        "an urgent copy, the answer leaves late": lambda s: _late(_held_back(s).comes(0, 10, flags="AU")),
        "an abort long behind the answer": lambda s: (
            s.offload().send(1, 100).comes(0, 10, ack=100).comes(10, flags="R").wait(20).goes(10, 0, 100).wait(50)
        ).event(4),
        "an RST as late as the target may look": lambda s: (
            s.offload().send(1, 100).comes(0, 10, ack=100).wait(17).comes(10, flags="R").wait(1).event(4).wait(22)
        ).goes(10, 0, 100),
        "a SYN behind urgent data": _syn_behind_urgent_data,
        "an RST behind urgent data": lambda s: (
            s.offload().comes(0, 10, flags="AU").wait(1).comes(0, flags="R").wait(3).retrieve(5).wait(400)
        ),
        "urgent data behind a SYN": lambda s: (
            s.offload().comes(0, flags="S").wait(1).comes(0, 10, flags="AU").wait(3).retrieve(10).wait(400)
        ),
        "the stamp of the copy that was taken": _two_stamps,
    }
)
WRONG.update(
    {
        "urgent data is taken behind an urgent copy": (
            "CH-202",
            lambda s: _behind_an_urgent_copy(s).comes(20, 10, flags="AU", ack=100).goes(30, 100).wait(400),
        ),
        "no abort for an RST at RcvNxt behind one that was none": (
            "CH-193",
            lambda s: _early(s).comes(10, flags="R").comes(0, flags="R").wait(900),
        ),
        "no upload for a SYN at RcvNxt behind an RST that was none": (
            "CH-199",
            lambda s: _early(s).comes(10, flags="R").comes(0, flags="S").wait(900),
        ),
        "no upload for urgent data behind an RST that was none": (
            "CH-202",
            lambda s: _early(s).comes(10, flags="R").comes(0, 10, flags="AU").wait(900),
        ),
        "no abort for an RST at RcvNxt, another came before": (
            "CH-193",
            lambda s: (
                s.offload().comes(0, 10).comes(0, flags="R").indicate(0, 10).goes(10).wait(250).comes(10, flags="R")
            ).wait(900),
        ),
        "a request is not filled, an RST that was none came meanwhile": (
            "CH-126",
            lambda s: (
                s.offload().post(7, 10).comes(0, 10).goes(10).wait(5).comes(10, 10, ack=100).comes(20, flags="R")
            ).wait(900),
        ),
        "text is never acknowledged, an RST that was none came meanwhile": (
            "CH-162",
            lambda s: (
                (s.offload().comes(0, 10).indicate(0, 10).comes(10, 10, ack=100).wait(150).comes(10, 10, ack=100))
                .comes(20, flags="R")
                .wait(900)
            ),
        ),
        "a terminate does not excuse an abort behind text whose answer never leaves": (
            "CH-196",
            lambda s: _early(s).send(1, 100).comes(10, flags="R").event(4).wait(2).terminate(10, state=0).wait(100),
        ),
        "neither the text nor the RST before its end is taken": (
            "CH-193",
            lambda s: s.offload().send(1, 100).comes(0, 10, ack=100).comes(0, flags="R").goes(0, 0, 100).wait(900),
        ),
        "neither the text nor the SYN before its end is taken": (
            "CH-199",
            lambda s: s.offload().send(1, 100).comes(0, 10, ack=100).comes(0, flags="S").goes(0, 0, 100).wait(900),
        ),
        "neither the text nor its urgent copy is taken": (
            "CH-202",
            lambda s: s.offload().send(1, 100).comes(0, 10, ack=100).comes(0, 10, flags="AU").goes(0, 0, 100).wait(900),
        ),
        "three challenge ACKs for RSTs behind text": (
            "CH-196",
            lambda s: (
                (_early(s).comes(10, flags="R").comes(10, flags="R").comes(10, flags="R").goes(0).wait(2).goes(0))
                .wait(2)
                .goes(0)
            ),
        ),
        "three challenge ACKs for SYNs behind text": (
            "CH-198",
            lambda s: (
                (_early(s).comes(10, flags="S").comes(10, flags="S").comes(10, flags="S").goes(0).wait(2).goes(0))
                .wait(2)
                .goes(0)
            ),
        ),
        "an abort for an RST inside text": (
            "CH-196",
            lambda s: s.offload().send(1, 100).comes(0, 10, ack=100).comes(5, flags="R").event(4).goes(10, 0, 100),
        ),
    }
)


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
    return Piece(start, end, Held(0, ack, segment, posted=True))


def _held(*pieces: Piece) -> list[Held[Segment]]:
    return [piece.held for piece in pieces if piece.held is not None]


def test_a_reach_grows_only_by_what_has_come_to_count() -> None:
    first, second, last = _piece(0, 10, 1), _piece(5, 20, 2), _piece(20, 30, 3)
    reach = Reach(0, 0, (first, second, last))
    assert (reach.now, reach.most, reach.places) == (0, 30, {0, 10, 20, 30})
    for piece, now in ((last, 0), (first, 10), (second, 30)):
        for held in _held(piece):
            held.counts = True
        assert reach.now == now


def test_a_reach_runs_on_through_what_came_beyond_the_gap() -> None:
    first, fin = _piece(0, 10, 1), Piece(20, 21, None)
    reach = Reach(0, 0, (first, Piece(10, 20, None), fin, _piece(30, 40, 2)))
    assert (reach.now, reach.most) == (0, 21)
    for held in _held(first):
        held.counts = True
    assert reach.now == 21


def test_a_place_needs_that_for_which_the_least_must_have_left() -> None:
    first, second, last = _piece(0, 10, 1), _piece(5, 20, 2), _piece(20, 30, 3)
    reach = Reach(0, 0, (first, second, last))
    assert reach.needed(10) == _held(first)
    assert reach.needed(30) == _held(first, second, last)
    assert Reach(0, 0, (_piece(0, 20, 9), first, second)).needed(20) == _held(first, second)
    for held in _held(second):
        held.posted = False
    assert reach.needed(30) == []
