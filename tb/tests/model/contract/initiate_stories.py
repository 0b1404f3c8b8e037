"""Section 9.3, the hand-over of a connection: stories of its data and clocks.

A chain begins at SndUna; BufferedData ends before RcvNxt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.wire_headers import ACK, FIN
from tb.tests.model.contract.offload_traces import (
    RCV,
    SND,
    Story,
    Trace,
    done,
    ended,
    existing,
    nbl,
    neighbor,
    path,
    posted,
    tcp,
    tree,
)
from tb.tests.model.contract.section_tests import ByRule

STORIES: Final = ByRule[Story]()
story = STORIES.of
CHAIN: Final = bytes(range(200)) * 5
"""1000 bytes that lie from SndUna on."""
OLD: Final = b"o" * 100
"""Inherited receive data."""
NEW: Final = b"n" * 100


def at(place: int) -> int:
    """A sequence number of the send stream."""
    return (SND + place) % 2**32


def handed_over(trace: Trace, nxt: int = 0, top: int = 0, **rest: Any) -> None:
    """Connection 3 with the chain, sent up to ``top`` and to go on at ``nxt``. ``rest`` are delegated variables."""
    delegated = {"snd_nxt": at(nxt), "snd_max": at(top), **rest}
    trace.into(9)  # the trace has frames
    trace.connect(3, chain=(nbl(40, CHAIN[:600]), nbl(41, CHAIN[600:])), delegated=delegated)


def terminated(trace: Trace, left: bytes = b"", **delegated: Any) -> None:
    """Connection 3 goes up with ``left`` buffered."""
    given = tree(existing(tcp(3)))
    buffered = {3: (nbl(901, left),) if left else ()}
    trace.state_call(ndis.TERMINATE, given, ended(given, buffered=buffered, delegated={3: delegated}))


@story("CH-050")
def chain_comes_back(trace: Trace, broken: bool) -> None:
    handed_over(trace)
    trace.complete("send", done(nbl(40, CHAIN[:600])))
    given = tree(existing(tcp(3)))
    trace.state_call(ndis.TERMINATE, given, ended(given, chain={3: () if broken else (nbl(41, CHAIN[600:]),)}))


@story("CH-051")
def buffered_data_is_copied(trace: Trace, broken: bool) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),))
    trace.post(3, posted(60, 50))
    trace.complete("receive", done(posted(60, 50), count=50))
    trace.indicate(3, b"x" * 50 if broken else OLD[50:])


@story("CH-052")
def no_memory_for_buffered_data(trace: Trace, broken: bool) -> None:
    trace.setting("buffered_data_room", 50)
    given = tree(neighbor(1, path(2, tcp(3, buffered=(nbl(50, OLD),)))))
    trace.initiate(given, ended(given, {2: ndis.PARTIAL_SUCCESS, 3: ndis.RESOURCES if broken else ndis.FAILURE}))


@story("CH-053")
def buffered_data_ends_before_rcv_nxt(trace: Trace, broken: bool) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),))
    trace.into(3, 0, NEW)
    terminated(trace, OLD + NEW, rcv_nxt=(RCV + (0 if broken else 100)) % 2**32)


@story("CH-054")
def inherited_data_waits_for_receives(trace: Trace, broken: bool) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),))
    trace.into(3, 0, NEW)
    trace.post(3, posted(60, 100))
    content = NEW if broken else OLD
    trace.complete("receive", done(nbl(60, content)))


@story("CH-055")
def inherited_data_is_indicated_first(trace: Trace, broken: bool) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),))
    trace.into(3, 0, NEW)
    trace.post(3, posted(60, 0))
    trace.complete("receive", done(posted(60, 0)))
    trace.indicate(3, NEW if broken else OLD + NEW)


@story("CH-056")
def no_indication_before_the_completion(trace: Trace, broken: bool) -> None:
    given = tree(neighbor(1, path(2, tcp(3))))
    trace.call(ndis.INITIATE, tree=given)
    call = trace.enter(ndis.INITIATED, tree=ended(given))
    if broken:
        trace.indicate(3, NEW)
    trace.leave(call)
    trace.into(3, 0, NEW)
    trace.indicate(3, NEW)


@story("CH-057")
def segments_before_the_completion_wait(trace: Trace, broken: bool) -> None:
    given = tree(neighbor(1, path(2, tcp(3))))
    trace.call(ndis.INITIATE, tree=given)
    trace.into(3, 0, NEW)
    if broken:
        trace.indicate(3, NEW)
    trace.call(ndis.INITIATED, tree=ended(given))
    if not broken:
        trace.indicate(3, NEW)


@story("CH-066")
def retransmit_timer_resumes(trace: Trace, broken: bool) -> None:
    handed_over(trace, nxt=1000, top=1000, retransmit_timeout_delta=200)
    trace.wait(100 if broken else 201)
    trace.out(3, 0, CHAIN[:500])


@story("CH-067")
def fin_wait_2_timer_resumes(trace: Trace, broken: bool) -> None:
    trace.into(9)
    trace.connect(3, delegated={"state": ndis.FIN_WAIT_2, "retransmit_timeout_delta": 5000})
    trace.wait(5000)
    if broken:
        trace.wait(100)
    trace.event(3, ndis.RETRIEVE_EVENT, ndis.TIMEOUT_EXPIRATION)


@story("CH-068")
def persist_goes_on(trace: Trace, broken: bool) -> None:
    persist = {"snd_wnd": 0, "retransmit_timeout_delta": 400, "retransmit_count": 2, "s_rtt": 8 * 300}
    handed_over(trace, **persist)
    trace.wait(400)
    trace.out(3, 0, CHAIN[:1])
    trace.wait(300 if broken else 1200)
    trace.out(3, 0, CHAIN[:1])


@story("CH-069")
def transmission_goes_on_at_snd_nxt(trace: Trace, broken: bool) -> None:
    handed_over(trace, nxt=300, top=600)
    start = 600 if broken else 300
    trace.out(3, start, CHAIN[start : start + 300])
    trace.out(3, 600, CHAIN[600:800])


@story("CH-070")
def bytes_in_flight_are_acknowledged(trace: Trace, broken: bool) -> None:
    handed_over(trace, nxt=600, top=600)
    trace.into(3, 0, ack=300)
    trace.wait(2)
    trace.into(3, 0, ack=300)
    trace.wait(500)
    start = 100 if broken else 300
    trace.out(3, start, CHAIN[start:600])


@story("CH-071")
def chain_begins_at_snd_una(trace: Trace, broken: bool) -> None:
    handed_over(trace)
    trace.out(3, 0, CHAIN[1:501] if broken else CHAIN[:500])


@story("CH-072")
def inherited_data_goes_first(trace: Trace, broken: bool) -> None:
    handed_over(trace)
    trace.send(3, nbl(42, NEW))
    trace.out(3, 0, NEW if broken else CHAIN)
    trace.out(3, 100 if broken else 1000, CHAIN[:100] if broken else NEW)


@story("CH-073")
def timestamps_go_on(trace: Trace, broken: bool) -> None:
    handed_over(trace, ts_time=0xFFFF_FFF0)
    trace.wait(100)
    trace.out(3, 0, CHAIN[:500], stamps=(100 if broken else 84, 0))


# --- further traces that break a rule ------------------------------------------------------------------------


def hosts_own_buffers_indicated(trace: Trace) -> None:
    trace.connect(3, buffered=(nbl(900, OLD),))
    trace.post(3, posted(60, 0))
    trace.indicate(3, OLD)


def indicated_before_any_receive(trace: Trace) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),))
    trace.indicate(3, OLD)


def damaged_on_its_way_up_again(trace: Trace) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),))
    terminated(trace, OLD[:-1] + b"x", rcv_nxt=RCV)


def acknowledged_data_lost_at_the_end(trace: Trace) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),))
    trace.into(3, 0, NEW)
    terminated(trace, OLD, rcv_nxt=(RCV + 100) % 2**32)


def retransmit_timer_never_fires(trace: Trace) -> None:
    handed_over(trace, nxt=1000, top=1000, retransmit_timeout_delta=200)
    trace.wait(500)
    trace.into(9)


def timer_at_zero_does_not_fire(trace: Trace) -> None:
    handed_over(trace, nxt=1000, top=1000, retransmit_timeout_delta=0)
    trace.wait(50)
    trace.out(3, 0, CHAIN[:500])


def timer_that_did_not_run_fires(trace: Trace) -> None:
    handed_over(trace, nxt=1000, top=1000)
    trace.wait(20)
    trace.out(3, 0, CHAIN[:500])


def keep_alive_starts_anew(trace: Trace) -> None:
    trace.into(9)
    keep = {"keep_alive_timeout_delta": 1000}
    trace.connect(3, delegated=keep, cached={"flags": ndis.KEEP_ALIVE_ENABLED})
    trace.wait(7000)
    trace.out(3, -1)


def fin_wait_2_ends_early(trace: Trace) -> None:
    trace.into(9)
    trace.connect(3, delegated={"state": ndis.FIN_WAIT_2, "retransmit_timeout_delta": 5000})
    trace.wait(1000)
    trace.event(3, ndis.RETRIEVE_EVENT, ndis.TIMEOUT_EXPIRATION)


def first_probe_comes_early(trace: Trace) -> None:
    handed_over(trace, snd_wnd=0, retransmit_timeout_delta=400)
    trace.wait(100)
    trace.out(3, 0, CHAIN[:1])


def starts_at_snd_una(trace: Trace) -> None:
    handed_over(trace, nxt=300, top=600, retransmit_timeout_delta=900)
    trace.wait(1)
    trace.out(3, 0, CHAIN[:300])


def leaves_out_what_follows_snd_max(trace: Trace) -> None:
    handed_over(trace, nxt=300, top=600)
    trace.out(3, 300, CHAIN[300:600])
    trace.out(3, 700, CHAIN[700:900])


def comes_back_with_the_old_snd_una(trace: Trace) -> None:
    handed_over(trace, nxt=600, top=600)
    trace.into(3, 0, ack=300)
    trace.into(3, 0, ack=300)
    trace.wait(20)
    given = tree(existing(tcp(3)))
    chain = (nbl(40, CHAIN[:600]), nbl(41, CHAIN[600:]))
    end = ended(given, chain={3: chain}, delegated={3: {"snd_una": SND}})
    trace.state_call(ndis.TERMINATE, given, end)


def later_send_out_of_order(trace: Trace) -> None:
    handed_over(trace)
    trace.send(3, nbl(42, NEW), nbl(43, OLD))
    trace.out(3, 0, CHAIN)
    trace.out(3, 1000, OLD)


def own_clock_on_the_wire(trace: Trace) -> None:
    trace.wait(123456)
    handed_over(trace)
    trace.out(3, 0, CHAIN[:500], stamps=(123456, 0))


ALSO_BROKEN: Final[list[tuple[str, Callable[[Trace], None]]]] = [
    ("CH-051", hosts_own_buffers_indicated),
    ("CH-051", damaged_on_its_way_up_again),
    ("CH-053", acknowledged_data_lost_at_the_end),
    ("CH-054", indicated_before_any_receive),
    ("CH-066", retransmit_timer_never_fires),
    ("CH-066", timer_at_zero_does_not_fire),
    ("CH-066", timer_that_did_not_run_fires),
    ("CH-066", keep_alive_starts_anew),
    ("CH-067", fin_wait_2_ends_early),
    ("CH-068", first_probe_comes_early),
    ("CH-069", starts_at_snd_una),
    ("CH-069", leaves_out_what_follows_snd_max),
    ("CH-070", comes_back_with_the_old_snd_una),
    ("CH-072", later_send_out_of_order),
    ("CH-073", own_clock_on_the_wire),
]


# --- misuse that ends nothing ----------------------------------------------------------------------------------


def terminated_while_it_is_offloaded(trace: Trace) -> None:
    """Against CH-059: the terminate finds nothing; it completes behind the initiate, whose connection lives on."""
    connection = tcp(3, chain=(nbl(40, CHAIN[:600]), nbl(41, CHAIN[600:])), delegated={"snd_nxt": SND, "snd_max": SND})
    given = tree(neighbor(1, path(2, connection)))
    early = tree(existing(tcp(3)))
    trace.call(ndis.INITIATE, tree=given)
    trace.call(ndis.TERMINATE, tree=early)
    trace.call(ndis.INITIATED, tree=ended(given))
    trace.call(ndis.TERMINATED, tree=ended(early, {3: ndis.FAILURE}))
    trace.out(3, 0, CHAIN)
    trace.complete("send", done(nbl(40, CHAIN[:600])), done(nbl(41, CHAIN[600:])))
    terminated(trace)


# --- traces that must not raise an alarm ---------------------------------------------------------------------


def fin_counts_in_rcv_nxt(trace: Trace) -> None:
    """G-43: RcvNxt lies past the FIN."""
    trace.connect(3, buffered=(nbl(50, OLD),))
    trace.into(3, 0, NEW, flags=FIN | ACK)
    terminated(trace, OLD + NEW, rcv_nxt=(RCV + 101) % 2**32, state=ndis.CLOSE_WAIT)


def fin_that_was_counted_before(trace: Trace) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),), delegated={"state": ndis.CLOSE_WAIT})
    terminated(trace, OLD, rcv_nxt=RCV, state=ndis.CLOSE_WAIT)


def data_dropped_by_an_abort(trace: Trace) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),))
    trace.event(3, ndis.ABORT_EVENT)
    terminated(trace, rcv_nxt=(RCV + 100) % 2**32, state=ndis.CLOSED)


def host_used_its_buffers_again(trace: Trace) -> None:
    """An NBL that the target owns later may have the identity of one that the host freed."""
    trace.connect(3, buffered=(nbl(900, OLD),))
    trace.post(3, posted(60, 100))
    trace.complete("receive", done(nbl(60, OLD)))
    trace.call(ndis.RETURN, ndis.SUCCESS, lists=(nbl(900),))
    trace.into(3, 0, NEW)
    trace.indicate(3, NEW)


def refused_in_part_and_indicated_again(trace: Trace) -> None:
    trace.connect(3, buffered=(nbl(50, OLD),))
    trace.post(3, posted(60, 0))
    trace.indicate(3, OLD, ndis.PARTIALLY_ACCEPTED, 30)
    trace.post(3, posted(61, 0))
    trace.indicate(3, OLD[30:], ndis.NOT_ACCEPTED)
    terminated(trace, OLD[30:], rcv_nxt=RCV)


def timer_moved_by_an_ack(trace: Trace) -> None:
    handed_over(trace, nxt=1000, top=1000, retransmit_timeout_delta=200)
    trace.wait(100)
    trace.into(3, 0, ack=500)
    trace.wait(1000)
    trace.into(9)


def fast_retransmit(trace: Trace) -> None:
    handed_over(trace, nxt=1000, top=1000, retransmit_timeout_delta=5000)
    for _ in range(3):
        trace.into(3, 0, ack=0)
    trace.out(3, 0, CHAIN[:500])


def timer_of_a_connection_that_goes_up(trace: Trace) -> None:
    handed_over(trace, nxt=1000, top=1000, retransmit_timeout_delta=200)
    chain = (nbl(40, CHAIN[:600]), nbl(41, CHAIN[600:]))
    given = tree(existing(tcp(3)))
    trace.wait(10)
    trace.state_call(ndis.TERMINATE, given, ended(given, chain={3: chain}))
    trace.wait(1000)
    trace.into(9)


def too_many_retransmissions(trace: Trace) -> None:
    """The expiry of the last one allowed is an upload request, not a segment."""
    handed_over(trace, nxt=1000, top=1000, retransmit_timeout_delta=200)
    trace.wait(200)
    trace.event(3, ndis.RETRIEVE_EVENT, ndis.TIMEOUT_EXPIRATION)
    trace.wait(1000)
    trace.into(9)


def keep_alive_goes_on(trace: Trace) -> None:
    trace.into(9)
    keep = {"keep_alive_timeout_delta": 1000}
    trace.connect(3, delegated=keep, cached={"flags": ndis.KEEP_ALIVE_ENABLED})
    trace.wait(1000)
    trace.out(3, -1)


def segment_of_the_hosts_own_path(trace: Trace) -> None:
    handed_over(trace, nxt=300, top=600, retransmit_timeout_delta=900)
    trace.out(3, 900, NEW, raw=True)


def late_acknowledgment_races(trace: Trace) -> None:
    """What came in a moment ago may not have been dealt with."""
    handed_over(trace, nxt=600, top=600)
    trace.into(3, 0, ack=300)
    trace.into(3, 0, ack=300)
    trace.wait(1)
    trace.out(3, 0, CHAIN[:600])


def acknowledged_beyond_snd_nxt(trace: Trace) -> None:
    """What was sent before SndNxt was pulled back is acknowledged: nothing of it goes out again."""
    handed_over(trace, nxt=300, top=600)
    trace.into(3, 0, ack=600)
    trace.out(3, 600, CHAIN[600:800])


def slow_host_clock(trace: Trace) -> None:
    """100 host ticks a second, 1000 record ticks."""
    trace.setting("ticks_per_second", 1000)
    trace.oid(ndis.OID_PARAMETERS, 1, ticks_per_second=100)
    handed_over(trace, nxt=1000, top=1000, retransmit_timeout_delta=50)
    trace.wait(500)
    trace.out(3, 0, CHAIN[:500], stamps=(7050, 0))


def second_connection_of_the_same_ends(trace: Trace) -> None:
    for _ in range(2):
        handed_over(trace, nxt=300, top=300)
        trace.out(3, 300, CHAIN[300:])
        trace.send(3, nbl(42, NEW))
        trace.out(3, 1000, NEW)
        trace.into(3, 0, ack=1100)
        trace.complete("send", done(nbl(40, CHAIN[:600])), done(nbl(41, CHAIN[600:])), done(nbl(42, NEW)))
        trace.terminate(neighbor(1, path(2, tcp(3))))


KEPT: Final[list[Callable[[Trace], None]]] = [
    fin_counts_in_rcv_nxt,
    fin_that_was_counted_before,
    acknowledged_beyond_snd_nxt,
    data_dropped_by_an_abort,
    host_used_its_buffers_again,
    refused_in_part_and_indicated_again,
    timer_moved_by_an_ack,
    fast_retransmit,
    timer_of_a_connection_that_goes_up,
    too_many_retransmissions,
    keep_alive_goes_on,
    segment_of_the_hosts_own_path,
    late_acknowledgment_races,
    slow_host_clock,
    second_connection_of_the_same_ends,
]
