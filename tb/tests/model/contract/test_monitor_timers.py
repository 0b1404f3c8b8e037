"""Timers, timestamps, reachability (section 9.10): every rule has a trace that breaks it and one that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from tb.monitors.contract.timers import IdleTimers, Reachability, Retransmission
from tb.monitors.contract.trace import Leave, Node, Tree
from tb.tests.model.contract.receive_traces import (
    MANY,
    PEER_MAC,
    SND_0,
    Story,
    Tales,
    breaches,
    told,
    watch,
)
from tb.tests.model.contract.section_tests import ReceiveSection

SECTIONS: Final = (Retransmission, IdleTimers, Reachability)
TALES: Final = Tales()
breaks, keeps = TALES.breaks, TALES.keeps
TIMEOUT: Final = 8
TWO_MINUTES: Final = 120_000
STALE: Final = 30_000
SACK: Final = 2


# --- retransmission ------------------------------------------------------------------------------------


def _retransmits(s: Story, times: int, rto: int = 300) -> Story:
    """100 bytes are sent and then again ``times`` times, each gap twice the one before; then the next expiry."""
    s.send(1, 100).goes(0, 0, 100)
    for _ in range(times):
        s.wait(rto).goes(0, 0, 100)
        rto *= 2
    return s.wait(rto)


@breaks("CH-214")
def _(s: Story) -> None:
    _retransmits(s.offload(), 6)


@keeps("CH-214")
def _(s: Story) -> None:
    _retransmits(s.offload(), 5).retrieve(TIMEOUT)


@breaks("CH-215")
def _(s: Story) -> None:
    _retransmits(s.offload(cached={"max_rt": MANY}), 6).retrieve(TIMEOUT)


@keeps("CH-215")
def _(s: Story) -> None:
    _retransmits(s.sets(nce_stale_ticks=MANY).offload(cached={"max_rt": MANY}), 8).comes(0, ack=100).wait(90000)


def _in_flight(s: Story) -> Story:
    """Four segments, the first two acknowledged: the head is one of this target's own."""
    s.send(1, 4000).goes(0, 0, 1000).goes(0, 1000, 1000).wait(50).comes(0, ack=1000)
    return s.goes(0, 2000, 1000).goes(0, 3000, 1000).wait(40)


@breaks("CH-216")
def _(s: Story) -> None:
    _in_flight(s.offload()).comes(0, ack=1000).comes(0, ack=1000).wait(1).goes(0, 1000, 1000)


@keeps("CH-216")
def _(s: Story) -> None:
    _in_flight(s.offload())
    for _ in range(3):
        s.comes(0, ack=1000).wait(1)
    s.goes(0, 1000, 1000).wait(100)


def _six_under_way(s: Story) -> Story:
    """Seven segments, the first acknowledged, with SACK agreed on."""
    s.offload(flags=SACK).send(1, 7000)
    for seq in range(0, 7000, 1000):
        s.goes(0, seq, 1000)
    return s.wait(50).comes(0, ack=1000).wait(40)


# --- persist -------------------------------------------------------------------------------------------


def _window_closes(s: Story) -> Story:
    """Everything sent is acknowledged, more is queued, the window is zero."""
    return s.offload(snd_wnd=100).send(1, 3000).goes(0, 0, 100).wait(20).comes(0, ack=100, window=0)


def _probes(s: Story, *gaps: int) -> Story:
    for gap in gaps:
        s.wait(gap).goes(0, 100, 1)
    return s


@breaks("CH-217")
def _(s: Story) -> None:
    _probes(_window_closes(s), 400, 400, 400)


@keeps("CH-217")
def _(s: Story) -> None:
    _probes(_window_closes(s), 400, 400, 800).wait(1).comes(0, ack=100, window=0)
    _probes(s, 800, 400, 800)


@breaks("CH-218")
def _(s: Story) -> None:
    _probes(_window_closes(s), 400).wait(1).comes(0, ack=100, window=5000).wait(400)


@keeps("CH-218")
def _(s: Story) -> None:
    _probes(_window_closes(s), 400).comes(0, ack=100, window=5000).wait(2).goes(0, 100, 1000).wait(400)


@breaks("CH-219")
def _(s: Story) -> None:
    _probes(_window_closes(s), 400, 400, 800, 1600, 3200, 6400, 12800)


@keeps("CH-219")
def _(s: Story) -> None:
    _probes(_window_closes(s), 400, 400, 800, 1600, 3200).wait(6400).retrieve(TIMEOUT)


# --- FIN_WAIT_2 and keepalive --------------------------------------------------------------------------


def _fin_wait_2(s: Story) -> Story:
    s.offload().send(1, 0, "Disconnect", 1).goes(0, 0, flags="AF").wait(1).comes(0, ack=1)
    return s.sent(1, 0, 0, "Disconnect")


@breaks("CH-220")
def _(s: Story) -> None:
    _fin_wait_2(s).wait(TWO_MINUTES + 1000)


@keeps("CH-220")
def _(s: Story) -> None:
    _fin_wait_2(s).wait(TWO_MINUTES - 1000).comes(0, 10, ack=1).goes(10, 1).wait(TWO_MINUTES).retrieve(TIMEOUT)
    s.wait(5).terminate(10, state=0)


KEEPS_ALIVE: Final = {"flags": 1, "ka_timeout": 7000, "ka_interval": 1000, "ka_probe_count": 3}


@breaks("CH-221")
def _(s: Story) -> None:
    s.offload(cached=KEEPS_ALIVE).wait(10).comes(0, 5).goes(5).wait(3000).goes(5, -1)


@keeps("CH-221")
def _(s: Story) -> None:
    s.offload(cached=KEEPS_ALIVE).wait(10).comes(0, 5).goes(5).wait(7000).goes(5, -1).wait(1).comes(5).wait(7000)
    s.goes(5, -1).wait(1000).goes(5, -1).wait(1000).goes(5, -1).wait(1000).retrieve(TIMEOUT)


# --- hand-over -----------------------------------------------------------------------------------------


@breaks("CH-222")
def _(s: Story) -> None:
    s.offload().post(1, 100).comes(0, 100).wait(1).done(1, 100).terminate(100).wait(20)


@keeps("CH-222")
def _(s: Story) -> None:
    s.offload().post(1, 100).comes(0, 100).wait(1).done(1, 100).terminate_call().goes(100).terminated(100).wait(20)


@breaks("CH-223")
def _(s: Story) -> None:
    s.offload(flags=1, snd_max=SND_0 + 100).wait(50).comes(0, ack=100, stamps=(1, 4970)).terminate(0, s_rtt=8 * 1050)


@keeps("CH-223")
def _(s: Story) -> None:
    s.offload(flags=1, snd_max=SND_0 + 100).wait(50).comes(0, ack=100, stamps=(1, 4970)).terminate(0, s_rtt=8 * 80)


@breaks("CH-224")
def _(s: Story) -> None:
    s.offload(flags=1).goes(0, stamps=(5050, 1)).terminate().goes(0, stamps=(5040, 1), raw=True)


@keeps("CH-224")
def _(s: Story) -> None:
    s.goes(0, stamps=(MANY - 10, 1), raw=True).offload(flags=1, ts_time=MANY).goes(0, stamps=(5, 1)).terminate()
    s.goes(0, stamps=(5, 1), raw=True)


# --- reachability --------------------------------------------------------------------------------------


def _question(s: Story, nrd: int, **changes: object) -> int:
    """NeighborReachabilityQuery begins."""
    node = Node(
        5000, 4, None, None, 3000 + s.link.number, status=0, const={"vlan_id": 0},
        cached={"dl_destination_address": PEER_MAC, "host_reachability_delta": 0},
        delegated={"nic_reachability_delta": nrd},
    )  # fmt: skip
    node = replace(node, **changes)  # type: ignore[arg-type]
    return s.enter("NdisMOffloadEventIndicate", target=1, event=2, tree=Tree(5000, {5000: node}))


def _ask(s: Story, nrd: int, answer: int = 0, **changes: object) -> Story:
    """NeighborReachabilityQuery, and the host answers a HostReachabilityDelta."""
    call = _question(s, nrd, **changes)
    node = Node(5000, 4, cached={"host_reachability_delta": answer})
    return s.leave(call, tree=Tree(5000, {5000: node}))


@breaks("CH-225")
def _(s: Story) -> None:
    s.offload(hrd=200).send(1, 10).goes(0, 0, 10).wait(20).comes(0, ack=10).wait(500).query_neighbor(720)


@keeps("CH-225")
def _(s: Story) -> None:
    s.offload(hrd=200).send(1, 10).goes(0, 0, 10).wait(20).comes(0, ack=10).wait(500).query_neighbor(500)


@breaks("CH-226")
def _(s: Story) -> None:
    s.offload().wait(STALE + 100).goes(0, 0, 0).wait(100)


@keeps("CH-226", "CH-227", "CH-229")
def _(s: Story) -> None:
    s.offload(hrd=200)
    _ask(s.wait(STALE - 199).goes(0), STALE + 1, answer=1000).wait(100).goes(0).wait(100)
    _ask(s.wait(STALE - 1000), STALE * 2 - 1000 + 201, answer=0).goes(0).wait(100)


@breaks("CH-227")
def _(s: Story) -> None:
    _ask(s.offload().wait(STALE + 1).goes(0), STALE + 1, answer=1000)
    _ask(s.wait(20000).goes(0), STALE + 20001)


@breaks("CH-228")
def _(s: Story) -> None:
    _ask(s.offload().wait(STALE + 1).goes(0), STALE + 1, answer=0)
    _ask(s.wait(20000).goes(0), STALE + 20001)


@keeps("CH-228")
def _(s: Story) -> None:
    _ask(s.offload().wait(STALE + 1).goes(0), STALE + 1, answer=0).wait(20000).goes(0)
    _ask(s.wait(10001).goes(0), 2 * STALE + 2)


@breaks("CH-229")
def _(s: Story) -> None:
    _ask(s.offload().wait(STALE + 1), STALE + 1, type=3)


# --- named by what happens -----------------------------------------------------------------------------

OTHERS: Final = Tales()


@OTHERS.keeps("go-back-N after a timeout sends the next heads again, too")
def _(s: Story) -> None:
    s.offload().send(1, 3000).goes(0, 0, 1000).goes(0, 1000, 1000).goes(0, 2000, 1000).wait(300).goes(0, 0, 1000)
    s.wait(20).comes(0, ack=1000).goes(0, 1000, 1000).goes(0, 2000, 1000).wait(20).comes(0, ack=3000)


@OTHERS.keeps("MaxRT ends retransmission after its time, not after the count")
def _(s: Story) -> None:
    _retransmits(s.sets(nce_stale_ticks=MANY).offload(cached={"max_rt": 50000}), 7).retrieve(TIMEOUT)


@OTHERS.keeps("a retransmission count that came with the connection counts")
def _(s: Story) -> None:
    s.offload(snd_max=SND_0 + 100, snd_nxt=SND_0 + 100, retransmit_count=4).wait(400).goes(0, 0, 100).wait(900)
    s.retrieve(TIMEOUT)


@OTHERS.keeps("data from SndNxt to SndMax is sent first, it is no retransmission of this target")
def _(s: Story) -> None:
    s.offload(snd_max=SND_0 + 100).wait(400).goes(0, 0, 100).wait(20).comes(0, ack=100)


@OTHERS.keeps("the FIN_WAIT_2 time that came with the connection is used")
def _(s: Story) -> None:
    s.offload(state=6, retransmit_timeout_delta=5000).wait(5000).retrieve(TIMEOUT)


@OTHERS.keeps("a persist probe that is accepted and acknowledged begins anew")
def _(s: Story) -> None:
    _probes(_window_closes(s), 400).wait(1).comes(0, ack=101, window=0).wait(700).goes(0, 101, 1).wait(300)


@OTHERS.keeps("an SRtt that came with the connection stays when there is no sample")
def _(s: Story) -> None:
    s.offload(flags=1, s_rtt=800).wait(50).terminate(0, s_rtt=800)


@OTHERS.keeps("an ACK from below RCV.NXT, overtaken on its way, is no third duplicate")
def _(s: Story) -> None:
    _in_flight(s.offload()).comes(0, ack=1000).comes(0, ack=1000).wait(1).comes(0, 100, ack=1000).comes(0, ack=1000)
    s.goes(100).wait(200)


@OTHERS.breaks("MaxRT passes and the target goes on")
def _(s: Story) -> None:
    _retransmits(s.offload(cached={"max_rt": 1000}), 5)


@OTHERS.breaks("the target falls silent at the limit")
def _(s: Story) -> None:
    _retransmits(s.offload(), 5).wait(50000)


@OTHERS.breaks("TimeoutExpiration after two of five retransmissions")
def _(s: Story) -> None:
    _retransmits(s.offload(), 2).retrieve(TIMEOUT)


@OTHERS.breaks("three duplicate ACKs bring nothing")
def _(s: Story) -> None:
    _in_flight(s.offload())
    for _ in range(3):
        s.comes(0, ack=1000).wait(1)
    s.wait(100)


@OTHERS.breaks("FIN_WAIT_2 ends too early")
def _(s: Story) -> None:
    _fin_wait_2(s).wait(60000).retrieve(TIMEOUT)


@OTHERS.breaks("FIN_WAIT_2 expired, but the state is not Closed")
def _(s: Story) -> None:
    _fin_wait_2(s).wait(TWO_MINUTES).retrieve(TIMEOUT).terminate(0, state=6)


@OTHERS.breaks("the persist time of a new round does not double")
def _(s: Story) -> None:
    _probes(_window_closes(s), 400).wait(1).comes(0, ack=100, window=0)
    _probes(s, 400)


@OTHERS.breaks("no TimeoutExpiration after the last persist probe")
def _(s: Story) -> None:
    _probes(_window_closes(s), 400, 400, 800, 1600, 3200).wait(60000)


@OTHERS.breaks("one keepalive probe too many")
def _(s: Story) -> None:
    s.offload(cached=KEEPS_ALIVE).wait(10).comes(0, 5).goes(5).wait(7000)
    for _ in range(4):
        s.goes(5, -1).wait(1000)


@OTHERS.breaks("no keepalive probe at all")
def _(s: Story) -> None:
    s.offload(cached=KEEPS_ALIVE).wait(10).comes(0, 5).goes(5).wait(9000)


@OTHERS.breaks("a query though progress was confirmed")
def _(s: Story) -> None:
    s.offload().send(1, 10).goes(0, 0, 10).wait(STALE).comes(0, ack=10).wait(100).goes(0)
    _ask(s, 100)


@OTHERS.breaks("a query that has its conditions not fulfilled by the hand-over")
def _(s: Story) -> None:
    _ask(s.offload(hrd=200).wait(5000), 5200)


@OTHERS.breaks("a query with two block lists")
def _(s: Story) -> None:
    _ask(s.offload().wait(STALE + 1), STALE + 1, dependents=6)


@OTHERS.breaks("a query without the const state (G-08)")
def _(s: Story) -> None:
    _ask(s.offload().wait(STALE + 1), STALE + 1, const=None)


class TestTimers(ReceiveSection):
    monitors = SECTIONS
    tales = TALES
    others = OTHERS
    numbers = range(214, 230)


def test_the_query_that_never_returns_leaves_reachability_as_it_was() -> None:
    story = Story()
    story.offload().wait(STALE + 1).goes(0)
    call = _question(story, STALE + 1)
    story.records.append(Leave(99, story.tick, "nic0", 0, call, "NdisMOffloadEventIndicate"))
    assert breaches(watch(story.records, SECTIONS)) == []


def _fast_retransmits(reports: Sequence[tuple[tuple[int, int], ...]], resent_behind: int | None) -> list[str]:
    """Breaches when ACKs with these blocks come, and the head goes again behind that many of them."""
    story = Story()
    _six_under_way(story)
    for number, blocks in enumerate(reports, 1):
        story.comes(0, ack=1000, blocks=blocks).wait(1)
        if number == resent_behind:
            story.goes(0, 1000, 1000).wait(1)
    story.wait(250)
    return [one.rule for one in breaches(watch(story.records, [Retransmission]))]


def test_with_sack_news_of_more_than_two_segments_may_bring_the_fast_retransmit_early() -> None:
    """CH-216, RFC 6675 4: threshold 3, so more than two full segments behind the hole, or three ranges."""
    two, three = ((2000, 4000),), ((2000, 5000),)
    apart = ((2000, 2500), (3000, 3500), (4000, 4500))
    assert _fast_retransmits([two], 1) == ["CH-216"]
    assert _fast_retransmits([three], 1) == []
    assert _fast_retransmits([apart], 1) == []
    assert _fast_retransmits([three, ((2000, 6000),), ((2000, 7000),)], 1) == []


def test_with_sack_an_ack_that_tells_of_nothing_new_is_no_duplicate() -> None:
    """CH-216, RFC 6675 2."""
    growing = [((2000, behind),) for behind in (3000, 3500, 4000)]
    assert _fast_retransmits(growing, None) == ["CH-216"]
    assert _fast_retransmits(growing, 3) == []
    assert _fast_retransmits([((2000, 3000),)] * 4, None) == []


def _asked_behind_a_move(s: Story, nrd: int, wait: int, back: bool) -> Story:
    """Forward progress, then the path moves (or stays where it is), then the neighbor's age is queried."""
    s.offload(hrd=200)
    first = s.link
    s.offload(1)
    s.link, second = first, s.link
    s.send(1, 10).goes(0, 0, 10).wait(20).comes(0, ack=10).wait(wait)
    s.relink(first.neighbor if back else second.neighbor)
    return s.wait(500).query_neighbor(nrd)


@pytest.mark.rule("CH-225")
@pytest.mark.parametrize(("wait", "back", "allowed"), [(1, False, True), (1, True, False), (50, False, False)])
def test_progress_just_before_a_path_leaves_its_neighbor_may_count_for_neither(
    wait: int, back: bool, allowed: bool
) -> None:
    def breaches(nrd: int) -> list[str]:
        monitors = watch(told(lambda s: _asked_behind_a_move(s, nrd, wait, back)), SECTIONS)
        return [breach.rule for monitor in monitors for breach in monitor.breaches]

    assert breaches(500 + wait) == []
    assert breaches(200 + 20 + wait + 500) == ([] if allowed else ["CH-225"])
    assert breaches(400) == ["CH-225"]


@pytest.mark.rule("CH-225")
@pytest.mark.parametrize(("wait", "allowed"), [(1, True), (50, False)])
def test_progress_just_before_a_terminate_may_have_gone_to_the_host(wait: int, allowed: bool) -> None:
    def breaches(nrd: int) -> list[str]:
        def tell(s: Story) -> None:
            s.offload(hrd=200).send(1, 10).goes(0, 0, 10).wait(20).comes(0, ack=10).wait(wait)
            s.terminate_call().terminated(0).wait(500).query_neighbor(nrd)

        monitors = watch(told(tell), SECTIONS)
        return [breach.rule for monitor in monitors for breach in monitor.breaches if breach.rule == "CH-225"]

    assert breaches(500 + wait) == []
    assert breaches(20 + wait + 500) == ([] if allowed else ["CH-225"])
    assert breaches(2000) == ["CH-225"]
