"""Section 9.11: every rule has a trace that breaks it, which its monitor names first, and one that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.terminate import NOT_APPLICABLE, TerminateCalls, TerminatedState
from tb.monitors.contract.trace import Node, Tree
from tb.tests.model.contract.section_tests import ByRule, TalkSection
from tb.tests.model.contract.terminate_traces import (
    FIN,
    RCV,
    Story,
    Talk,
    done,
    nbl,
    posted,
    rest_of,
    run,
)

MONITORS: Final = (TerminateCalls, TerminatedState)
Trace = Callable[[Story, bool], None]
TRACES: Final = ByRule[Trace]()
trace_of = TRACES.of
A: Final = b"a" * 100
B: Final = b"b" * 100
BUSY: Final = ndis.UPLOAD_IN_PROGRESS


@trace_of("CH-230")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    request = posted(50, 100)
    if broken:
        call = story.enter(ndis.RECEIVE, target=talk.context, lists=(request,))
        talk.terminating()
        story.leave(call, result=ndis.PENDING)
    else:
        talk.receive(request)
        talk.terminating()
    story.complete("receive", done(request, BUSY, 0))
    talk.terminated()


@trace_of("CH-231")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    path = Node(1002, 8, 1012, 1200, 1022)
    tree = Tree(1002, {1002: path})
    if not broken:
        talk.terminate()
    story.state(ndis.TERMINATE, tree, Tree(1002, {1002: replace(path, status=0)}))


@trace_of("CH-232")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story, delegated={"state": ndis.LAST_ACK}).offload()
    talk.terminating()
    story.wait(100)
    if not broken:
        talk.terminated()


@trace_of("CH-233")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    request = posted(50, 100)
    talk.receive(request)
    talk.terminating()
    if not broken:
        story.complete("receive", done(request, BUSY, 0))
    talk.terminated()


@trace_of("CH-234")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    call = story.enter(ndis.EVENT, target=talk.handle, event=3, info=10)
    talk.terminating()
    if not broken:
        story.leave(call)
    talk.terminated()
    if broken:
        story.leave(call)


@trace_of("CH-235")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.event(3, 10)
    talk.terminate()
    if broken:
        talk.event(4)


@trace_of("CH-236")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    first, second = nbl(60, A), nbl(61, B)
    talk.send(first, second)
    talk.sends(0, A + B)
    talk.terminating()
    story.complete("send", done(first, BUSY, 0))
    chain = (first, second) if broken else (second,)
    talk.terminated(node={"chain": chain, "chain_ends": (chain[0].ident, 61)}, snd_max=200)


@trace_of("CH-237")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload(chain=(nbl(59, b"i" * 10),))
    first, second = nbl(60, A), nbl(61, B)
    talk.send(first)
    talk.send(second)
    talk.terminating()
    chain = (nbl(59, b"i" * 10), *((second, first) if broken else (first, second)))
    talk.terminated(node={"chain": chain, "chain_ends": (59, chain[-1].ident)})


@trace_of("CH-238")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    request = nbl(60, A)
    talk.send(request)
    talk.sends(0, A)
    talk.hears(0, ack=100)
    story.complete("send", done(request, 0, 100))
    talk.terminating()
    chain = {"chain": (request,), "chain_ends": (60, 60)} if broken else {}
    talk.terminated(node=chain, snd_una=100, snd_nxt=100, snd_max=100)


@trace_of("CH-239")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    first, second = nbl(60, A), nbl(61, B)
    talk.send(first, second)
    talk.sends(0, A + B)
    talk.hears(0, ack=40)
    talk.terminating()
    node = {"chain": (rest_of(first, 40), second), "chain_ends": (60, 61)}
    talk.terminated(node=node, snd_una=40, snd_nxt=200, snd_max=150 if broken else 200)


@trace_of("CH-240")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, A)
    talk.hears(150, B)
    talk.sends(0, ack=100)
    talk.terminating()
    if broken:
        talk.terminated(node={"buffered": (nbl(90, A + bytes(50) + B),)}, rcv_nxt=250)
    else:
        talk.terminated(node={"buffered": (nbl(90, A),)}, rcv_nxt=100)


@trace_of("CH-241")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload(buffered=(nbl(80, b"old"),))
    talk.hears(0, A)
    talk.sends(0, ack=100)
    request = posted(50, 5)
    talk.receive(request)
    story.complete("receive", done(request, 0, 5))
    talk.terminating()
    held = (b"old" + A)[5:]
    talk.terminated(node={"buffered": (nbl(90, held[:-1] + b"x" if broken else held),)}, rcv_nxt=100)


@trace_of("CH-242")
def _(story: Story, broken: bool) -> None:
    talk, other = Talk(story).offload(), Talk(story, 2).offload()
    talk.hears(0, A)
    talk.sends(0, ack=100)
    talk.terminate(node={"buffered": (nbl(90, A),)}, rcv_nxt=100)
    if not broken:
        talk.give_back(90)
    other.hears(0, A)
    other.indicate(90, A)


@trace_of("CH-243")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, A)
    talk.terminating()
    if not broken:
        talk.sends(0, ack=100)
    talk.terminated(node={"buffered": (nbl(90, A),)}, rcv_nxt=100)


@trace_of("CH-244")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.terminate()
    story.wait(5)
    frame = talk.hears(0, A)
    if broken:
        talk.sends(0, ack=100)
    story.passed_up(frame)


@trace_of("CH-245")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.terminate(**({"ss_thresh": None} if broken else {}))


@trace_of("CH-246")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story, stamped=True).offload()
    story.wait(10)
    talk.sends(0)
    story.wait(50)
    talk.terminate(ts_time=7000 if broken else 7000 + story.tick + 1)


@trace_of("CH-247")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.terminate(node={"cached": talk.tcp_cached()} if broken else {})


@trace_of("CH-248")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.terminate(node={"delegated": dict.fromkeys(talk.tcp_delegated())} if broken else {})


@trace_of("CH-249")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.terminating()
    if not broken:
        talk.event(3, ndis.HARDWARE_FAILURE)
        talk.event(4)
    talk.terminated(status=ndis.FAILURE)


@trace_of("CH-250")
def _(story: Story, broken: bool) -> None:
    talk, _ = Talk(story).offload(), Talk(story, 2).offload()
    story.counters(connections=2, paths=2, neighbors=2)
    talk.terminate(whole=True)
    story.counters(connections=2 if broken else 1, paths=1, neighbors=1)


@trace_of("CH-251")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.terminate()
    again = talk.offload_again()
    again.send(nbl(60, A + B))
    again.sends(0, A)
    again.sends(101 if broken else 100, B)


@trace_of("CH-252")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.terminate()
    story.counters(connections=0, paths=0 if broken else 1, neighbors=1)


class TestTerminate(TalkSection):
    monitors = MONITORS
    traces = TRACES
    not_applicable = NOT_APPLICABLE
    section = frozenset(f"CH-{number}" for number in range(230, 253))


def broken_otherwise(tell: Callable[[Story], None]) -> list[str]:
    story = Story()
    tell(story)
    return [breach.rule for monitor in MONITORS for breach in run(monitor(), story).breaches]


def test_a_foreign_handle_breaks_nothing() -> None:
    def tell(story: Story) -> None:
        stranger = Talk(story, 9)
        stranger.send(nbl(60, A))
        stranger.terminate()
        stranger.event(4)
        story.complete("send", done(nbl(61, A), 0, 100))

    assert broken_otherwise(tell) == []


def test_a_list_may_be_used_again_once_it_is_back() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        for place in (0, 100):
            request = nbl(60, A)
            talk.send(request)
            talk.sends(place, A)
            talk.hears(0, ack=place + 100)
            story.complete("send", done(request, 0, 100))
        talk.terminate(snd_una=200, snd_nxt=200, snd_max=200)

    assert broken_otherwise(tell) == []


def test_a_second_terminate_by_the_host_ends_nothing_that_the_first_is_ending() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        request = nbl(60, A)
        talk.send(request)
        talk.terminating()
        second = Node(1099, ndis.TCP_STATE, 1013, talk.context, talk.handle)
        story.state(
            ndis.TERMINATE, Tree(1099, {1099: second}), Tree(1099, {1099: replace(second, status=ndis.FAILURE)})
        )
        story.complete("send", done(request, BUSY, 0))
        talk.terminated()

    assert broken_otherwise(tell) == []


def test_a_connection_that_had_its_peer_fin_before_the_hand_over_ends_closed() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story, delegated={"state": ndis.LAST_ACK, "snd_max": 1, "snd_nxt": 1}).offload(
            buffered=(nbl(80, b"old"),)
        )
        talk.hears(0, ack=1)
        end = {"state": ndis.CLOSED, "snd_una": 1}
        talk.terminate(node={"buffered": (nbl(90, b"old"),)}, **end)

    assert broken_otherwise(tell) == []


def test_a_fin_that_the_peer_repeats_after_the_hand_over_is_counted_once() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story, delegated={"state": ndis.CLOSE_WAIT}).offload(buffered=(nbl(80, b"old"),))
        talk.hears(-1, flags=FIN)
        talk.sends(0)
        talk.terminate(node={"buffered": (nbl(90, b"old"),)}, state=ndis.CLOSE_WAIT)

    assert broken_otherwise(tell) == []


@pytest.mark.parametrize("right", [True, False])
def test_a_frame_that_waited_for_the_wire_does_not_put_the_clock_back_ch_246(right: bool) -> None:
    def tell(story: Story) -> None:
        talk = Talk(story, stamped=True).offload()
        story.wait(10)
        talk.sends(0)
        story.wait(20)
        talk.sends(0, stamps=(7000 + story.tick - 8, 0))
        story.wait(5)
        talk.terminate(ts_time=7000 + story.tick + (1 if right else -7))

    assert broken_otherwise(tell) == ([] if right else ["CH-246"])


def test_a_segment_that_came_in_just_before_the_hand_over_may_still_be_taken() -> None:
    def tell(story: Story, wait: int) -> None:
        talk = Talk(story)
        talk.hears(0, A)
        talk.hears(150, B)
        story.wait(wait)
        talk.offload()
        talk.sends(0, ack=100)
        talk.terminate(node={"buffered": (nbl(90, A),)}, rcv_nxt=100)

    assert broken_otherwise(lambda story: tell(story, 1)) == []


def test_an_unscaled_srtt_is_not_filled_as_the_page_says() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        talk.send(nbl(60, A))
        talk.sends(0, A)
        story.wait(80)
        talk.hears(0, ack=100)
        story.complete("send", done(nbl(60, A), 0, 100))
        talk.terminate(s_rtt=80, snd_una=100, snd_nxt=100, snd_max=100)

    assert broken_otherwise(tell) == ["CH-245"]


def test_a_segment_is_not_processed_and_passed_up() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        talk.terminating()
        frame = talk.hears(0, A)
        talk.sends(0, ack=100)
        talk.terminated(node={"buffered": (nbl(90, A),)}, rcv_nxt=100)
        story.passed_up(frame)

    assert broken_otherwise(tell) == ["CH-244"]


@pytest.mark.rule("CH-244", "CH-204")
@pytest.mark.parametrize("completed", [False, True])
@pytest.mark.parametrize("later", [0, 1, 50])
@pytest.mark.parametrize("earlier", [False, True], ids=["behind the call", "before it"])
def test_a_frame_of_a_connection_under_terminate_goes_up_when_that_is_complete(
    later: int, completed: bool, earlier: bool
) -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        came = talk.hears(0, A) if earlier else b""
        talk.terminating()
        came = came or talk.hears(0, A)
        story.wait(later)
        if not completed:
            story.passed_up(came)
        talk.terminated(node={"buffered": ()})
        if completed:
            story.passed_up(came)

    # one that came before the call may be seen on its way up for a tick
    good = completed or (earlier and later <= 1)
    assert broken_otherwise(tell) == ([] if good else ["CH-244"])


@pytest.mark.rule("CH-244")
def test_a_copy_of_a_frame_that_was_on_its_way_up_is_not_taken_for_it() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        talk.hears(0, A)
        talk.terminating()
        copy = talk.hears(0, A)
        story.passed_up(copy)
        talk.terminated(node={"buffered": ()})
        story.passed_up(copy)

    assert broken_otherwise(tell) == []


@pytest.mark.rule("CH-244")
def test_a_frame_of_another_connection_goes_up_while_one_is_under_terminate() -> None:
    def tell(story: Story) -> None:
        talk, other = Talk(story).offload(), Talk(story, 2).offload()
        talk.terminating()
        came = other.hears(0, A)
        story.wait(50)
        story.passed_up(came)
        talk.terminated()

    assert broken_otherwise(tell) == []


def test_a_lost_segment_of_an_ended_connection_is_found_at_the_end_unless_it_was_counted_as_dropped() -> None:
    def tell(story: Story, dropped: int = 0) -> None:
        talk = Talk(story).offload()
        talk.terminate()
        story.wait(5)
        talk.hears(0, A)
        story.wait(100)
        story.counters(dropped_frames=dropped)

    assert broken_otherwise(tell) == ["CH-244"]
    assert broken_otherwise(lambda story: tell(story, 1)) == []


def test_a_peer_fin_is_no_byte_of_buffered_data() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        talk.hears(0, A, flags=FIN)
        talk.sends(0, ack=101)
        talk.terminate(node={"buffered": (nbl(90, A),)}, rcv_nxt=101, state=ndis.CLOSE_WAIT)

    assert broken_otherwise(tell) == []


def _partly_sent(story: Story, **state: Any) -> None:
    """100 bytes went out, 40 of them were acknowledged long before the terminate, 60 of the peer's are acknowledged."""
    talk = Talk(story).offload()
    request = nbl(60, A)
    talk.send(request)
    talk.sends(0, A)
    story.wait(50)
    talk.hears(0, B[:60], ack=40)
    talk.sends(100, ack=60)
    talk.indicate(70, B[:60])
    story.wait(1000)
    talk.terminating()
    story.complete("send", done(request, BUSY, 40))
    talk.terminated(**{"snd_una": 40, "snd_nxt": 100, "snd_max": 100, "rcv_nxt": 60, "send_wl1": RCV, **state})


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("CH-239", {"snd_una": 0}),
        ("CH-239", {"snd_una": 60}),
        ("CH-239", {"snd_nxt": 0, "snd_una": 40}),
        ("CH-239", {"snd_nxt": 40, "snd_max": 40}),
        ("CH-239", {"snd_max": 200}),
        ("CH-241", {"rcv_nxt": 0}),
        ("CH-241", {"rcv_nxt": 20}),
        ("CH-245", {"c_wnd": 0}),
        ("CH-245", {"snd_wnd": 1}),
        ("CH-245", {"max_snd_wnd": 1}),
        ("CH-245", {"dup_ack_count": 77}),
        ("CH-245", {"ss_thresh": 5000}),
        ("CH-245", {"ss_thresh": 5000, "dup_ack_count": 1}),
        ("CH-245", {"ss_thresh": 5000, "retransmit_count": 1}),
        ("CH-245", {"ss_thresh": 2920, "retransmit_count": 2}),
        ("CH-245", {"retransmit_count": 1, "total_rt": 1100}),
    ],
)
def test_a_terminate_returns_the_numbers_of_the_wire(rule: str, state: dict[str, Any]) -> None:
    assert rule in broken_otherwise(lambda story: _partly_sent(story, **state))
    assert rule not in broken_otherwise(_partly_sent)


def _sent_again_with_more(story: Story, **state: Any) -> None:
    """The retransmission takes new bytes along, so that it ends beyond all that was sent before."""
    talk = Talk(story).offload()
    request = nbl(60, A)
    talk.send(request)
    talk.sends(0, A[:80])
    story.wait(300)
    talk.sends(0, A)
    story.wait(10)
    talk.terminating()
    story.complete("send", done(request, BUSY, 0))
    talk.terminated(**{"snd_una": 0, "snd_nxt": 100, "snd_max": 100, **state})


def test_a_retransmission_that_takes_new_bytes_along_may_lower_the_threshold_to_two_segments() -> None:
    assert "CH-245" not in broken_otherwise(lambda story: _sent_again_with_more(story, ss_thresh=2 * 1448))
    assert "CH-245" in broken_otherwise(lambda story: _sent_again_with_more(story, ss_thresh=2 * 1448 - 1))


def _not_sent_again(story: Story, wait: int, doubles: int = 0, **state: Any) -> None:
    """100 bytes are out for so many ticks, so many duplicate ACKs came, nothing was sent again."""
    talk = Talk(story).offload()
    request = nbl(60, A)
    talk.send(request)
    talk.sends(0, A)
    for _ in range(doubles):
        talk.hears(0)
    story.wait(wait)
    talk.terminating()
    story.complete("send", done(request, BUSY, 0))
    talk.terminated(**{"snd_una": 0, "snd_nxt": 100, "snd_max": 100, **state})


def _ten_segments_lost(story: Story, flags: int, **state: Any) -> None:
    """Three duplicate ACKs tell of a loss; the retransmission did not go out before the terminate."""
    talk = Talk(story, const={"flags": flags, "remote_mss": 1460}).offload()
    request = nbl(60, bytes(14_600))
    talk.send(request)
    for n in range(10):
        talk.sends(1460 * n, bytes(1460))
    for _ in range(3):
        talk.hears(0)
    story.wait(50)
    talk.terminating()
    story.complete("send", done(request, BUSY, 0))
    talk.terminated(**{"snd_una": 0, "snd_nxt": 14_600, "snd_max": 14_600, "dup_ack_count": 3, **state})


@pytest.mark.parametrize(
    ("flags", "threshold", "broken"),
    [(0, 7300, False), (0, 7301, True), (ndis.CUBIC, 14_600 * 717 >> 10, False), (ndis.CUBIC, 10_240, True)],
)
def test_a_loss_leaves_half_the_flight_or_seven_tenths_with_cubic_ch_245(
    flags: int, threshold: int, broken: bool
) -> None:
    found = broken_otherwise(lambda story: _ten_segments_lost(story, flags, ss_thresh=threshold))
    assert ("CH-245" in found) is broken


@pytest.mark.parametrize(
    ("wait", "doubles", "state", "broken"),
    [
        (350, 0, {"retransmit_count": 1, "total_rt": 300}, False),
        (350, 0, {"retransmit_count": 2, "total_rt": 300}, True),
        (350, 0, {"retransmit_count": 1, "total_rt": 400}, True),
        (50, 0, {"retransmit_count": 1}, True),
        (50, 3, {"dup_ack_count": 3}, False),
        (50, 2, {"dup_ack_count": 2}, True),
    ],
)
def test_what_was_decided_before_a_terminate_needs_its_cause_on_the_wire_ch_245(
    wait: int, doubles: int, state: dict[str, Any], broken: bool
) -> None:
    found = broken_otherwise(lambda story: _not_sent_again(story, wait, doubles, ss_thresh=2 * 1448, **state))
    assert ("CH-245" in found) is broken
