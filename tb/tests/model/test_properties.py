"""Drawn scenarios on the golden device, the search for the smallest that fails, and scripts as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from model.tcp import rx
from tb.properties import golden, report
from tb.properties.closing import Whole
from tb.properties.scenario import Move, Scenario, script
from tb.properties.search import Search, Verdict
from tb.properties.strategies import KINDS, scenarios
from tb.script import packetdrill
from tb.script.events import Arrival, Call, Departure, Handover, Script, ScriptError, Segment
from tb.script.laws import Laws
from tb.script.player import Player
from tb.script.run_packetdrill import COLLECTION, files, item
from tb.script.text import text, unnumbered
from tb.script.wire import Heard, octets

#: Events that open a connection: the third segment of the handshake, and `accept`.
OPENING = 2
#: Scenarios on the golden device.
EXAMPLES = 25
#: A seed that needs few plays to find a failure and to shrink it (43, where seed 1 needs 116).
SOON = 5
#: Lines of the smallest script behind the handshake and `accept`.
SMALLEST = 6


# ---- the search -----------------------------------------------------------------------------------


@pytest.mark.rule("RFC 9293 3.4", "RFC 9293 3.8", "RFC 9293 3.10.7.4")
def test_whatever_a_host_and_its_peer_do_the_stream_is_exact_and_comes_to_its_end(tmp_path: Path) -> None:
    search = Search(lambda trace: golden.judge(trace, tmp_path), EXAMPLES)
    assert search.run() is None
    assert search.played > EXAMPLES // 2


@pytest.mark.rule("B09")
def test_a_planted_failure_shrinks_to_a_short_script_that_fails_again_from_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsigned(a: int, b: int) -> bool:
        return a > b

    monkeypatch.setattr(rx, "gt", unsigned)
    found = Search(lambda trace: golden.judge(trace, tmp_path), 200, SOON).run()
    assert found is not None
    whole, file = Whole(found.script), tmp_path / report.FILE
    assert golden.problems_of(whole, tmp_path) == found.problems
    report.write(file, whole.played(), found.problems, report.command(file))
    again = item(file).script
    assert again is not None
    assert len(again.events) - OPENING <= SMALLEST, text(again)
    assert golden.problems_of(Player(again), tmp_path)
    monkeypatch.undo()
    assert golden.problems_of(Player(again), tmp_path) == []


def calls_of(trace: Script, name: str) -> list[Call]:
    """The calls of this name."""
    return [event for event in trace.events if isinstance(event, Call) and event.name == name]


def fin_and_large_write(trace: Script) -> Verdict:
    """A made-up failure: a FIN of the peer and a write of 529 octets or more."""
    fin = any(isinstance(event, Arrival) and "F" in event.segment.flags for event in trace.events)
    large = any(int(call.args[2]) >= 529 for call in calls_of(trace, "write"))
    return Verdict(["it fails"] if fin and large else [], len(trace.events))


def test_the_smallest_scenario_has_what_the_failure_needs_and_nothing_else() -> None:
    search = Search(fin_and_large_write, 500, shrinks=10_000)
    found = search.run()
    assert found is not None
    assert len(found.script.events) == 4, text(found.script)
    (write,) = calls_of(found.script, "write")
    assert write.args[2] == "529"
    assert found.script.handover == Handover(peer_mss=1000, snd_wnd=32_000, rcv_wnd=65_535)


def test_a_seed_draws_the_same_scenarios_and_another_seed_others() -> None:
    def drawn(seed: int) -> list[str]:
        played: list[str] = []

        def judge(trace: Script) -> Verdict:
            played.append(text(trace))
            return fin_and_large_write(trace)

        Search(judge, 60, seed).run()
        return played

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == len(drawn(1)), "no trace is played twice"


def test_no_more_than_so_many_scenarios_are_played_to_find_a_smaller_one() -> None:
    search = Search(fin_and_large_write, 500, shrinks=5)
    assert search.run() is not None
    assert search.shrunk == 5


def test_what_begins_as_a_scenario_that_failed_is_not_played_again() -> None:
    starts: list[Script] = []

    def judge(trace: Script) -> Verdict:
        assert not any(trace.events[: len(start.events)] == start.events for start in starts)
        at = next(
            (n for n, event in enumerate(trace.events, 1) if isinstance(event, Call) and event.name == "close"), 0
        )
        if at:
            starts.append(replace(trace, events=trace.events[:at]))
        return Verdict(["it fails"] if at else [], at)

    found = Search(judge, 300, strategy=scenarios().filter(lambda scenario: scenario.handover == Handover(
        peer_mss=1000, rcv_wnd=65_535))).run()  # fmt: skip
    assert found is not None
    assert [event.name for event in found.script.events if isinstance(event, Call)] == ["accept", "close"]


def test_every_kind_of_move_makes_an_event() -> None:
    seen: set[str] = set()
    before = (Move("send", size=100), Move("data"))

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(scenarios())
    def draw(scenario: Scenario) -> None:
        for move in scenario.moves:
            alone = script(replace(scenario, moves=(*before, move)))
            seen.update({move.kind} if len(alone.events) > OPENING + len(before) else ())

    draw()
    assert seen == set(KINDS)


# ---- scripts as text ------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(scenarios())
def test_the_text_of_a_scenario_is_read_as_the_same_scenario(scenario: Scenario) -> None:
    trace = script(scenario)
    assert unnumbered(packetdrill.script(trace.name, text(trace, ["a remark"]))) == trace


@pytest.mark.parametrize("file", files([COLLECTION]), ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_the_text_of_a_script_is_read_as_the_same_script(file: Path) -> None:
    trace = packetdrill.read(file)
    again = packetdrill.script(trace.name, text(trace))
    assert unnumbered(replace(again, tolerance=trace.tolerance)) == unnumbered(trace)


@pytest.mark.parametrize("change", [{"una": 5}, {"rcv_nxt": 9}, {"snd_wnd": 1_000_000}])
def test_what_no_script_can_say_is_refused(change: dict[str, int]) -> None:
    trace = packetdrill.read(COLLECTION / "close" / "active_close.pkt")
    with pytest.raises(ScriptError):
        text(replace(trace, handover=replace(trace.handover, **change)))  # type: ignore[arg-type]


def test_the_window_of_our_syn_is_the_receive_window_unless_a_segment_shows_it() -> None:
    opening = "0 < S 0:0(0) win 9 <mss 1000>\n+0 > S. 0:0(0) ack 1 win 777 <mss 1460>\n+.1 < . 1:1(0) ack 1 win 9\n"
    assert packetdrill.script("", opening).handover.rcv_wnd == 777
    assert packetdrill.script("", opening + "+0 > . 1:1(0) ack 1 win 700\n").handover.rcv_wnd is None


def test_a_scenario_with_all_that_the_target_sends_is_a_script_that_holds(tmp_path: Path) -> None:
    """What the report of a failure prints: expectations included, and played by any player."""
    told: list[Script] = []

    def judge(trace: Script) -> Verdict:
        whole = Whole(trace)
        problems = golden.problems_of(whole, tmp_path)
        expected = report.expecting(whole.played(), tmp_path)
        told.extend([] if expected is None else [expected])
        return Verdict(problems, len(trace.events))

    search = Search(judge, 8, seed=3)
    assert search.run() is None
    assert len(told) == search.played
    assert any(isinstance(event, Departure) for trace in told for event in trace.events)


# ---- the laws -------------------------------------------------------------------------------------

HANDOVER = Handover(peer_mss=1000, sack=True, ts=True, snd_wnd=500, rcv_wnd=2000)
ACK = frozenset(".")


def laws() -> Laws:
    """Laws of a connection on which the peer said 1:101 and 201:301, and heard an ACK of the first."""
    found = Laws(HANDOVER, 7, lambda: False)
    found.said(Segment(ACK, 1, 100, 1, 500, ts=(8, 1)), 1, 100, 1)
    found.said(Segment(ACK, 201, 100, 1, 500, ts=(9, 1)), 201, 100, 1)
    found.heard(Heard(0, Segment(ACK, 1, 0, 101, 1900, ts=(5, 8)), b"", 0))
    assert found.breaches == []
    return found


def sent(seq: int = 1, length: int = 0, flags: str = ".", **more: object) -> Segment:
    """A segment of the target."""
    fields: dict[str, object] = {"ack": 101, "win": 1900, "ts": (5, 8)}
    return Segment(frozenset(flags), seq, length, **(fields | more))  # type: ignore[arg-type]


GOOD = [
    sent(), sent(ack=101, win=2000), sent(sack=((201, 301),)), sent(sack=((1, 50),)), sent(ts=(6, 9)), sent(1, 400),
    sent(1, 400, "F."), sent(ts=(5, 7)),
]  # fmt: skip
BAD: list[tuple[str, Segment]] = [
    ("without ACK", sent(flags="P")),
    ("never came", sent(ack=102)),
    ("below the one before", sent(ack=100, win=2000)),
    ("right edge", sent(win=1899)),
    ("SACK block", sent(sack=((150, 301),))),
    ("SACK block", sent(sack=((201, 302),))),
    ("all segments or on none", sent(ts=None)),
    ("TSecr 6", sent(ts=(5, 6))),
    ("TSval 4", sent(ts=(4, 8))),
    ("were written", sent(1, 401)),
    ("beyond the peer's window", sent(300, 202)),
    ("leaves room", sent(1, 989)),
    ("FIN at 2", sent(1, 1, "F.")),
    ("RST", sent(flags="R")),
]


@pytest.mark.parametrize("segment", GOOD)
def test_what_no_law_forbids_is_no_breach(segment: Segment) -> None:
    found = laws()
    found.heard(Heard(1, segment, octets(segment.seq, segment.length), 400))
    assert found.breaches == []


@pytest.mark.parametrize(("words", "segment"), BAD, ids=[words for words, _ in BAD])
def test_each_law_is_seen_when_it_is_broken(words: str, segment: Segment) -> None:
    found, written = laws(), 400 if segment.seq + segment.length <= 402 else 2000
    found.heard(Heard(1, segment, octets(segment.seq, segment.length), written))
    assert [breach for breach in found.breaches if words in breach]


def test_octets_that_the_application_did_not_write_there_are_seen() -> None:
    found = laws()
    found.heard(Heard(1, sent(1, 100), octets(2, 100), 400))
    assert "not what the application wrote" in found.breaches[0]


@pytest.mark.parametrize(
    "provoke",
    [
        lambda found: found.said(Segment(frozenset("R."), 101, 0, 1, 500), 101, 0, 1),
        lambda found: setattr(found, "over", lambda: True),
    ],
)
def test_an_rst_that_was_called_for_is_no_breach(provoke: Callable[[Laws], None]) -> None:
    found = laws()
    provoke(found)
    found.heard(Heard(1, sent(flags="R"), b"", 0))
    assert found.breaches == []


# ---- what the search found: monitors that said too much ------------------------------------------

OPENED = """0 < {flags} 0:0(0) win {window} <mss 1000{options}>
+0 > {answer} 0:0(0) ack 1 win 20000 <mss 1460{options}>
+.1 < . 1:1(0) ack 1 win {window}
+0 accept(3, ..., ...) = 4
"""
PLAIN = {"flags": "S", "answer": "S.", "window": 32_000, "options": ""}
SOUND = {
    "the code point of a data segment is no cached state": (
        OPENED.format(**PLAIN | {"flags": "SEW", "answer": "SE."}),
        "+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n+0 write(4, ..., 1000) = 1000\n"
        "+0 > [ect0] P. 1:1001(1000)\n",
    ),
    "an ACK of a part of a segment measures a round trip": (
        OPENED.format(**PLAIN),
        "+0 write(4, ..., 12) = 12\n+.001 < . 1:1(0) ack 8 win 32000\n+1 < . 1:1(0) ack 13 win 32000\n",
    ),
    "a timer finds the window too small to send anything again": (
        OPENED.format(**PLAIN),
        "+0 write(4, ..., 9) = 9\n+.002 < . 1:1(0) ack 1 win 3\n+.45 < . 1:1(0) ack 10 win 32000\n",
    ),
    "a SYN behind text that the target did not take asks for nothing": (
        OPENED.format(**PLAIN | {"window": 0}),
        "+0 shutdown(4, SHUT_WR) = 0\n+.1 < . 1:1(0) win 0\n+0 < . 1:124(123) ack 1 win 65535\n"
        "+0 < . 124:124(0) win 65535\n+0 < S 124:124(0) win 1\n+0 < PU. 124:684(560) ack 1 win 1 urg 84\n",
    ),
    "the persist timer begins with data that meets a closed window": (
        OPENED.format(**PLAIN | {"window": 0}),
        "+0 < . 1:2(1) ack 1 win 0\n+0 write(4, ..., 1) = 1\n+.048 < . 2:3(1) ack 1 win 0\n"
        "+.9 < . 3:4(1) ack 2 win 500\n",
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_no_monitor_complains_of(name: str, tmp_path: Path) -> None:
    trace = packetdrill.script(name, "".join(SOUND[name]))
    assert golden.problems_of(Player(trace), tmp_path) == []
