"""The player of traces: altered traces fail, an exception excuses one event, an unsupported call is a named skip."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model.wire.pcapng import read_pcapng
from tb.config import RunConfig
from tb.script import exceptions
from tb.script import run as script_run
from tb.script.events import Arrival, Call, Departure, Script, When
from tb.script.exceptions import Excuse
from tb.script.player import Player, Result
from tb.script.run import RESULTS_NAME, Item, play_all, report
from tb.script.run_packetdrill import COLLECTION, item
from tb.script.stage import play
from tb.script.twins import altered, changes
from tb.session import capture_judge
from tb.tests.stage import FAR_MAC
from tb.tests.stage.network import StageNetwork


def script_of(name: str) -> Script:
    """A script of the collection as a trace: without packetdrill's time rules."""
    found = item(COLLECTION / f"{name}.pkt").script
    assert found is not None
    return replace(found, tolerance=None)


@pytest.mark.parametrize("name", ["close/active_close", "congestion/slow_start", "timestamps/on_every_segment"])
def test_a_trace_fails_when_any_field_of_any_departure_is_altered(name: str, tmp_path: Path) -> None:
    """What no sender may choose freely: sequence number, length, ACK, TSecr, flags; PSH where the last octet goes."""
    script = script_of(name)
    players = {}
    for at, event in enumerate(script.events):
        if isinstance(event, Departure):
            for field in changes(event.segment):
                players[event.line, field] = Player(altered(script, at, field)[0])
    good = Player(script)
    play([good, *players.values()], tmp_path)
    assert good.result == Result("pass")
    survivors = [key for key, player in players.items() if player.result is None or player.result.status != "fail"]
    assert survivors == []


def test_an_exception_excuses_its_event_and_no_other(tmp_path: Path) -> None:
    script = script_of("close/active_close")
    first, second, *_ = (at for at, event in enumerate(script.events) if isinstance(event, Departure))
    wrong, _ = altered(script, first, "seq")
    excuse = Excuse("s", "p", script.events[first].line, "other", "a choice")
    excused, other, both = Player(wrong, [excuse]), Player(wrong), Player(altered(wrong, second, "seq")[0], [excuse])
    play([excused, other, both], tmp_path)
    assert excused.result == Result("exception", excuse.line, f"line {excuse.line}: a choice")
    assert other.result is not None
    assert other.result.status == "fail"
    assert both.result is not None
    assert (both.result.status, both.result.line) == ("fail", script.events[second].line)


def test_an_unused_exception_is_no_exception(tmp_path: Path) -> None:
    script = script_of("close/active_close")
    line = next(event.line for event in script.events if isinstance(event, Departure))
    player = Player(script, [Excuse("s", "p", line, "other", "a choice")])
    play([player], tmp_path)
    assert player.result == Result("pass")


def test_a_segment_that_nobody_expects_fails_the_trace(tmp_path: Path) -> None:
    script = script_of("close/active_close")
    at = next(at for at, event in enumerate(script.events) if isinstance(event, Departure))
    player = Player(replace(script, events=(*script.events[:at], *script.events[at + 1 :])))
    play([player], tmp_path)
    assert player.result is not None
    assert player.result.status == "fail"
    assert "before it the target sent" in player.result.reason


def test_a_call_that_is_not_supported_is_a_skip_that_names_it(tmp_path: Path) -> None:
    script = script_of("close/active_close")
    call = Call(99, When(), "tcp_repair", ("4",), "0")
    player = Player(replace(script, events=(call, *script.events)))
    play([player], tmp_path)
    assert player.result == Result("skip", 99, "call tcp_repair")


def test_a_call_that_returns_something_else_fails_the_trace(tmp_path: Path) -> None:
    script = script_of("receive/bulk")
    events = [
        replace(event, ret="1499") if isinstance(event, Call) and event.ret == "1500" else event
        for event in script.events
    ]
    player = Player(replace(script, events=tuple(events)))
    play([player], tmp_path)
    assert player.result is not None
    assert player.result.reason == "read returns 1500, 1499 expected"


@pytest.mark.parametrize("name", ["rto/doubles", "receive/delayed_ack", "keepalive/probe"])
def test_packetdrills_time_rules_hold_for_scripts_and_not_for_traces(name: str, tmp_path: Path) -> None:
    found = item(COLLECTION / f"{name}.pkt").script
    assert found is not None
    at = max(at for at, event in enumerate(found.events) if isinstance(event, Departure))
    when = found.events[at].when
    late = replace(found.events[at], when=replace(when, low=when.low + 50_000, high=when.high + 50_000))
    moved = replace(found, events=(*found.events[:at], late, *found.events[at + 1 :]))
    strict, lenient = Player(moved), Player(replace(moved, tolerance=None))
    play([strict, lenient], tmp_path)
    assert strict.result is not None
    assert strict.result.status == "fail"
    assert lenient.result == Result("pass")


@pytest.mark.skipif(capture_judge.missing() is not None, reason=str(capture_judge.missing()))
@pytest.mark.parametrize("broken", [False, True], ids=["right sums", "a wrong sum"])
def test_what_the_target_sends_to_the_peer_of_a_trace_is_captured_and_judged(
    broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = StageNetwork.aside
    if broken:
        monkeypatch.setattr(StageNetwork, "aside", lambda net, frame, tick: whole(net, frame[:-1] + b"?", tick))
    script = script_of("close/active_close")
    problems = play([Player(script)], tmp_path, capture=tmp_path / "wire.pcapng")
    frames = [packet.frame for packet in read_pcapng(tmp_path / "wire.pcapng")]
    sent = [frame for frame in frames if frame[:6] == FAR_MAC]
    came = [frame for frame in frames if frame[6:12] == FAR_MAC]
    assert len(sent) >= sum(isinstance(event, Departure) for event in script.events)
    assert len(came) >= sum(isinstance(event, Arrival) for event in script.events)
    assert any("tshark" in problem and "checksum" in problem for problem in problems) is broken


def test_results_keep_their_order_and_are_counted(tmp_path: Path) -> None:
    names = ("close/active_close", "close/passive_close")
    items = [item(COLLECTION / f"{name}.pkt") for name in names]
    items.append(Item((("script", "unreadable"),), None))
    results = play_all(items, RunConfig(device="model", jobs=1), tmp_path)
    said: list[str] = []
    assert report(items, results, tmp_path, said.append) == 1
    assert [result.status for result in results] == ["pass", "pass", "fail"]
    assert "2 pass, 0 exception, 1 fail, 0 skip" in said[-1]


def test_a_command_that_is_ended_has_kept_what_was_played_and_nothing_of_a_run_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[Item] = []

    def one_alone(items: list[Item], *_: object) -> list[Result]:
        if played:
            raise KeyboardInterrupt
        played.extend(items)
        return [Result("pass")]

    monkeypatch.setattr(script_run, "BATCH", 1)
    monkeypatch.setattr(script_run, "play_some", one_alone)
    (tmp_path / RESULTS_NAME).write_text('[{"script": "old", "status": "pass"}]')
    items = [Item((("script", name),), None) for name in ("first", "second", "third")]
    with pytest.raises(KeyboardInterrupt):
        play_all(items, RunConfig(command="packetdrill", device="model", jobs=1), tmp_path)
    kept = [(one["script"], one["status"]) for one in json.loads((tmp_path / RESULTS_NAME).read_text())]
    assert kept == [("first", "pass"), ("second", "not_run"), ("third", "not_run")]


def test_every_exception_names_a_rule() -> None:
    for entries in exceptions.load().values():
        for excuse in entries:
            assert any(source in excuse.reason for source in ("RFC", "NDIS")), excuse
