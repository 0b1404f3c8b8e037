"""Section 10 where two behaviours are accepted: both pass, a third does not; and other ways to break a decision."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.trace import Node, State, Tree
from tb.tests.model.contract.decisions_traces import (
    ABORTED,
    BUSY,
    QUERY_NODE,
    SCALING,
    A,
    B,
    broken_rules,
    invalidate,
    limit_reached,
    neighbor_query,
    passed_query,
    push_timer,
    refused_by_im,
)
from tb.tests.model.contract.terminate_traces import (
    FIN,
    NEXT_MAC,
    OWN_MAC,
    PSH,
    RST,
    Story,
    Talk,
    done,
    nbl,
    posted,
)


def test_g_04_the_push_timer_may_run_from_the_first_or_from_the_last_byte_and_from_no_other_moment() -> None:
    assert broken_rules(lambda story: push_timer(story, 500)) == []
    assert broken_rules(lambda story: push_timer(story, 800)) == []
    assert broken_rules(lambda story: push_timer(story, 650)) == ["G-04"]
    assert broken_rules(lambda story: push_timer(story, 480, second=100)) == ["G-04"]


def test_g_04_the_push_timer_of_a_request_that_the_host_filled_in_part_may_run_from_its_post() -> None:
    assert broken_rules(lambda story: push_timer(story, 490, received_before=10)) == []
    assert broken_rules(lambda story: push_timer(story, 480)) == ["G-04"]


def at_fin(story: Story, status: int, count: int) -> None:
    """An empty request, or one with ``count`` bytes, at a FIN."""
    talk = Talk(story).offload()
    request = posted(50, 1000)
    talk.receive(request)
    talk.hears(0, A[:count], flags=FIN)
    story.complete("receive", done(request, status, count))
    talk.event(ndis.DISCONNECT_EVENT)


def test_g_17_an_empty_request_at_a_fin_is_success_or_invalid_state_with_no_byte_and_nothing_else() -> None:
    assert broken_rules(lambda story: at_fin(story, ndis.SUCCESS, 0)) == []
    assert broken_rules(lambda story: at_fin(story, ndis.INVALID_STATE, 0)) == []
    assert broken_rules(lambda story: at_fin(story, ABORTED, 0)) == ["G-17"]
    assert broken_rules(lambda story: at_fin(story, ndis.INVALID_STATE, 40)) == ["G-17"]


def begun_at_terminate(story: Story, status: int, flags: int) -> None:
    """A nonpush request with 100 of 1000 bytes, at a terminate that comes behind a segment with ``flags``."""
    talk = Talk(story).offload()
    request = posted(50, 1000, no_push=True)
    talk.receive(request)
    talk.hears(0, A)
    talk.sends(0, ack=100)
    talk.hears(100, flags=flags)
    talk.terminating()
    story.complete("receive", done(request, status, 100))
    if flags & RST:
        talk.event(ndis.ABORT_EVENT)


def test_g_17_a_begun_request_at_a_terminate_is_upload_in_progress_or_aborted_if_the_peer_reset_before() -> None:
    assert broken_rules(lambda story: begun_at_terminate(story, BUSY, 0)) == []
    assert broken_rules(lambda story: begun_at_terminate(story, ABORTED, 0)) == ["G-17"]
    assert broken_rules(lambda story: begun_at_terminate(story, ABORTED, RST)) == []


def zero_byte(story: Story, status: int, state: int) -> None:
    """A zero-byte request on a connection that was offloaded in ``state``."""
    talk = Talk(story, delegated={"state": state}).offload()
    request = posted(50, 0)
    talk.receive(request)
    story.complete("receive", done(request, status, 0))


def test_g_28_a_zero_byte_request_is_success_or_invalid_state_behind_a_fin_that_the_host_handed_over() -> None:
    assert broken_rules(lambda story: zero_byte(story, ndis.SUCCESS, ndis.ESTABLISHED)) == []
    assert broken_rules(lambda story: zero_byte(story, ndis.INVALID_STATE, ndis.CLOSE_WAIT)) == []
    assert broken_rules(lambda story: zero_byte(story, ndis.INVALID_STATE, ndis.ESTABLISHED)) == ["G-28"]


def test_g_17_no_request_that_was_there_at_the_fin_outlives_tcp_indicate_disconnect() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        talk.receive(posted(50, 1000))
        talk.hears(0, flags=FIN)
        talk.event(ndis.DISCONNECT_EVENT)

    assert broken_rules(tell) == ["G-17"]


def failing(story: Story, when: str) -> None:
    """A terminate fails; its two events come before it completes, after it, or in the wrong order."""
    talk = Talk(story).offload()
    talk.terminating()
    events = [(3, ndis.HARDWARE_FAILURE), (4, 0)]
    if when == "after":
        talk.terminated(status=ndis.FAILURE)
    for event, info in events[::-1] if when == "reversed" else events:
        talk.event(event, info)
    if when != "after":
        talk.terminated(status=ndis.FAILURE)
    if when == "twice":
        talk.terminated(status=ndis.FAILURE)


def test_g_20_a_failing_terminate_raises_its_events_before_it_completes_once() -> None:
    assert broken_rules(lambda story: failing(story, "before")) == []
    assert set(broken_rules(lambda story: failing(story, "after"))) == {"G-20"}
    assert broken_rules(lambda story: failing(story, "reversed")) == ["G-20"]
    assert broken_rules(lambda story: failing(story, "twice")) == ["G-20"]


def chain_back(story: Story, kept: int, status: int) -> None:
    """An initiate chain of two comes back with its last ``kept`` lists."""
    talk = Talk(story)
    chain = (nbl(60, A), nbl(61, B))
    talk.offload(complete=False, chain=chain)
    node = {"chain": chain[2 - kept :], "delegated": talk.tcp_delegated()}
    tree = talk.nodes(0, False, **node)
    failed = replace(tree.nodes[1003], status=status, context=1300 if status == 0 else None)
    story.do(ndis.INITIATED, tree=Tree(tree.root, {**tree.nodes, 1003: failed}))


def test_g_26_the_initiate_chain_is_untouched_or_null_after_success_and_untouched_after_failure() -> None:
    assert broken_rules(lambda story: chain_back(story, 2, ndis.SUCCESS)) == []
    assert broken_rules(lambda story: chain_back(story, 0, ndis.SUCCESS)) == []
    assert broken_rules(lambda story: chain_back(story, 1, ndis.SUCCESS)) == ["G-26"]
    assert broken_rules(lambda story: chain_back(story, 2, ndis.RESOURCES)) == []
    assert broken_rules(lambda story: chain_back(story, 0, ndis.RESOURCES)) == ["G-26"]


def test_g_29_only_success_after_the_abort_and_a_disconnect_before_the_sends_are_refused() -> None:
    def tell(story: Story, order: str, status: int = ABORTED) -> None:
        talk = Talk(story).offload()
        lists = {"s": nbl(60, A), "r": posted(50, 10), "d": nbl(62)}
        kinds = {"s": "send", "r": "receive", "d": "disconnect"}
        talk.send(lists["s"])
        talk.receive(lists["r"])
        talk.disconnect(lists["d"])
        talk.reset()
        for letter in order:
            story.complete(kinds[letter], done(lists[letter], status if letter == "r" else ABORTED, 0))

    assert [broken_rules(partial(tell, order=order)) for order in ("sdr", "srd", "rsd")] == [[], [], []]
    assert "G-29" in broken_rules(lambda story: tell(story, "dsr"))
    assert "G-29" in broken_rules(lambda story: tell(story, "sdr", ndis.SUCCESS))


def test_g_44_after_the_limit_io_is_uploaded_the_disconnect_may_be_aborted_and_nothing_else() -> None:
    assert broken_rules(lambda story: limit_reached(story, send=BUSY, end=BUSY)) == []
    assert broken_rules(lambda story: limit_reached(story, send=BUSY, end=ABORTED)) == []
    assert broken_rules(lambda story: limit_reached(story, send=BUSY, end=ndis.SUCCESS)) == ["G-44"]
    assert broken_rules(lambda story: limit_reached(story, send=ABORTED, end=BUSY)) == ["G-44"]
    assert broken_rules(lambda story: limit_reached(story, send=BUSY, end=BUSY, before=True)) == ["G-44"]


def keepalive(story: Story, flags: int, probes: int) -> None:
    """KaProbeCount is updated with ``flags`` while 3 probes are unanswered; then ``probes`` are reported."""
    usual = {"ka_probe_count": 5, "ka_timeout": 9000, "ka_interval": 1000, "flags": 1}
    talk = Talk(story, cached=usual, delegated={"keep_alive_probe_count": 3}).offload()
    talk.update({**usual, "ka_probe_count": 8, "flags": 1 | flags})
    talk.query(keep_alive_probe_count=probes)


@pytest.mark.parametrize("flag", [ndis.KEEP_ALIVE_RESTART, ndis.MAX_RT_RESTART])
def test_g_15_either_flag_resets_the_probe_count_and_none_keeps_it(flag: int) -> None:
    assert broken_rules(lambda story: keepalive(story, flag, 0)) == []
    assert broken_rules(lambda story: keepalive(story, flag, 3)) == ["G-15"]
    assert broken_rules(lambda story: keepalive(story, 0, 3)) == []
    assert broken_rules(lambda story: keepalive(story, 0, 0)) == ["G-15"]


def keepalive_time(story: Story, flags: int, delta: int) -> None:
    """KaTimeout is updated with ``flags`` at tick 1, when 2000 ticks were left; ``delta`` is reported at tick 3."""
    usual = {"ka_probe_count": 5, "ka_timeout": 9000, "ka_interval": 1000, "flags": 1}
    talk = Talk(story, cached=usual, delegated={"keep_alive_timeout_delta": 2000}).offload()
    talk.update({**usual, "ka_timeout": 20000, "flags": 1 | flags})
    talk.query(keep_alive_timeout_delta=delta)


@pytest.mark.parametrize("flag", [ndis.KEEP_ALIVE_RESTART, ndis.MAX_RT_RESTART])
def test_g_15_either_flag_starts_the_keepalive_time_anew_and_none_lets_it_run_on(flag: int) -> None:
    assert broken_rules(lambda story: keepalive_time(story, flag, 19998)) == []
    assert broken_rules(lambda story: keepalive_time(story, flag, 1998)) == ["G-15"]
    assert broken_rules(lambda story: keepalive_time(story, 0, 1998)) == []
    assert broken_rules(lambda story: keepalive_time(story, 0, 19998)) == ["G-15"]


@pytest.mark.parametrize("kind", ["receive", "forward", "disconnect"])
def test_g_14_an_im_without_memory_refuses_with_the_pair_of_statuses_and_no_other(kind: str) -> None:
    pair = (ndis.REQUEST_UPLOAD, ndis.UPLOAD_REQUESTED)
    assert broken_rules(lambda story: refused_by_im(story, kind, pair)) == []
    assert broken_rules(lambda story: refused_by_im(story, kind, (ndis.RESOURCES, ndis.RESOURCES))) == ["G-14"]
    assert broken_rules(lambda story: refused_by_im(story, kind, pair[::-1])) == ["G-14"]


def test_g_13_a_path_that_is_too_large_fails_with_the_code_for_it_or_failure() -> None:
    def tell(story: Story, status: int, mtu: int = 9000) -> None:
        story.setting("max_path_mtu", 1500)
        node = Node(2, 8, 12, cached={"path_mtu": mtu})
        story.state(ndis.INITIATE, Tree(2, {2: node}), Tree(2, {2: replace(node, status=status)}))

    assert broken_rules(lambda story: tell(story, ndis.PATH_MTU)) == []
    assert broken_rules(lambda story: tell(story, ndis.FAILURE)) == []
    assert broken_rules(lambda story: tell(story, ndis.RESOURCES)) == ["G-13"]
    assert broken_rules(lambda story: tell(story, ndis.PATH_MTU, 1400)) == ["G-13"]


# --- other ways to break a decision ---------------------------------------------------------------------------


def test_g_03_data_of_an_invalid_connection_stays_and_invalid_state_is_raised_once() -> None:
    def tell(story: Story, *events: int, data: bytes = b"") -> None:
        talk = Talk(story).offload()
        invalidate(story, talk.tcp_node(None, talk.context))
        talk.send(nbl(60, A))
        for event in events:
            talk.event(3, event)
        story.wait(20)
        talk.sends(0, data)
        story.complete("send", done(nbl(60, A), BUSY, 0)) if events else None
        talk.terminate()

    assert broken_rules(lambda story: tell(story, ndis.INVALID)) == []
    assert broken_rules(lambda story: tell(story, ndis.INVALID, ndis.INVALID)) == ["G-03"]
    assert broken_rules(lambda story: tell(story, ndis.INVALID, data=A)) == ["G-03"]
    assert broken_rules(lambda story: tell(story)) == ["G-03"]


@pytest.mark.parametrize("later", [False, True], ids=["alone", "and-one-behind-it"])
def test_g_03_a_send_called_in_front_of_the_invalidate_counts_as_sent_if_the_image_says_so(later: bool) -> None:
    def tell(story: Story, sent: int, status: int = ndis.SUCCESS) -> None:
        talk = Talk(story).offload()
        node = talk.tcp_node(None, talk.context)
        story.do(ndis.INVALIDATE, tree=Tree(node.ident, {node.ident: node}))
        talk.send(nbl(60, A))  # in the tick of the completion: what had not begun is discarded
        story.do(ndis.INVALIDATED, tree=Tree(node.ident, {node.ident: replace(node, status=0)}))
        if later:
            talk.send(nbl(61, B))
        story.wait(20)
        talk.terminate(status=status, snd_nxt=sent, snd_max=sent)

    assert broken_rules(lambda story: tell(story, len(A))) == []
    assert broken_rules(lambda story: tell(story, 0)) == (["G-03"] if later else [])
    assert "G-03" not in broken_rules(lambda story: tell(story, 0, status=ndis.FAILURE))


@pytest.mark.parametrize(
    ("window", "waits", "opened", "broken"),
    [
        (100, 100, 20, ["G-03"]),
        (99, 100, 20, []),
        (1460, 5000, 20, ["G-03"]),
        (1459, 5000, 20, []),
        (5000, 5000, 2, []),
    ],
    ids=["all-fits", "a-part", "a-segment-fits", "silly", "opened-just-now"],
)
def test_g_03_a_send_into_a_silly_window_tries_nothing(window: int, waits: int, opened: int, broken: list[str]) -> None:
    def tell(story: Story) -> None:
        talk = Talk(story, delegated={"snd_wnd": 0}).offload()
        invalidate(story, talk.tcp_node(None, talk.context))
        talk.send(nbl(60, bytes(waits)))
        story.wait(20)
        talk.hears(0, window=window)
        story.wait(opened)
        talk.terminate()

    assert broken_rules(tell) == broken


@pytest.mark.parametrize(
    ("widest", "opened", "broken"),
    [(2000, 20, ["G-03"]), (2001, 20, []), (65535, 900, []), (65535, 1100, ["G-03"])],
    ids=["half-of-the-widest", "less-than-half", "in-front-of-the-override", "behind-the-override"],
)
def test_g_03_a_peer_whose_window_is_below_a_segment_is_tried_by_half_the_widest_or_the_override(
    widest: int, opened: int, broken: list[str]
) -> None:
    def tell(story: Story) -> None:
        talk = Talk(story, delegated={"snd_wnd": 0, "max_snd_wnd": widest}).offload()
        invalidate(story, talk.tcp_node(None, talk.context))
        talk.send(nbl(60, bytes(5000)))
        story.wait(20)
        talk.hears(0, window=1000)
        story.wait(opened)
        talk.terminate()

    assert broken_rules(tell) == broken


def test_g_02_the_old_values_are_gone_once_what_was_built_before_the_update_has_left() -> None:
    def tell(story: Story, wait: int) -> None:
        talk = Talk(story).offload()
        talk.update({"ttl_or_hop_limit": 32})
        story.wait(wait)
        talk.sends(0, A)

    assert broken_rules(lambda story: tell(story, 0)) == []
    assert broken_rules(lambda story: tell(story, 40)) == []
    assert broken_rules(lambda story: tell(story, 41)) == ["G-02"]


def test_g_05_refused_data_is_neither_lost_nor_changed() -> None:
    def tell(story: Story, again: bytes) -> None:
        talk = Talk(story).offload()
        talk.hears(0, A)
        talk.indicate(70, A, consumed=0)
        talk.receive(posted(50, 0))
        story.complete("receive", done(posted(50, 0), 0, 0))
        talk.indicate(71, again)

    assert broken_rules(lambda story: tell(story, A)) == []
    assert broken_rules(lambda story: tell(story, B)) == ["G-05"]


def test_g_28_an_empty_request_that_met_the_refused_indication_lets_the_target_ask_again_once_it_is_back() -> None:
    def tell(story: Story, back: bool) -> None:
        talk = Talk(story).offload()
        talk.hears(0, A)
        talk.receive(posted(50, 0))
        talk.indicate(70, A, consumed=0)
        if back:
            story.complete("receive", done(posted(50, 0), 0, 0))
        talk.indicate(71, A)

    assert broken_rules(lambda story: tell(story, True)) == []
    assert broken_rules(lambda story: tell(story, False)) == ["G-05"]


def test_g_06_an_abortive_disconnect_completes_behind_the_receives_and_these_behind_the_sends() -> None:
    def tell(story: Story, order: str, buffered: bytes = b"") -> None:
        talk = Talk(story).offload()
        lists = {"s": nbl(60, A), "r": posted(50, 10), "d": nbl(62)}
        kinds = {"s": "send", "r": "receive", "d": "disconnect"}
        talk.send(lists["s"])
        talk.receive(lists["r"])
        talk.disconnect(lists["d"], ndis.ABORTIVE)
        for letter in order:
            story.complete(kinds[letter], done(lists[letter], 0 if letter == "d" else ABORTED, 0))

    assert broken_rules(lambda story: tell(story, "srd")) == []
    assert broken_rules(lambda story: tell(story, "rsd")) == ["G-06"]
    assert broken_rules(lambda story: tell(story, "sdr")) == ["G-06"]


def test_g_06_nothing_is_buffered_after_an_abort() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        talk.hears(0, A)
        talk.reset()
        talk.terminate(state=ndis.CLOSED, node={"buffered": (nbl(90, A),)}, rcv_nxt=100)

    assert broken_rules(tell) == ["G-06"]


def test_g_11_without_a_sample_the_first_retransmission_waits_for_the_initial_rto() -> None:
    def tell(story: Story, wait: int) -> None:
        story.parameters()
        talk = Talk(story).offload()
        talk.sends(0, A)
        story.wait(wait)
        talk.sends(0, A)

    assert broken_rules(lambda story: tell(story, 1000)) == []
    assert broken_rules(lambda story: tell(story, 400)) == ["G-11"]


def test_g_16_a_larger_window_is_advertised_at_once() -> None:
    def tell(story: Story, wait: int) -> None:
        talk = Talk(story, cached={"initial_rcv_wnd": 20000}, delegated={"rcv_wnd": 20000}).offload()
        talk.update({"initial_rcv_wnd": 50000, "flags": ndis.UPDATE_RCV_WND})
        story.wait(wait)
        talk.sends(0, window=50000)

    assert broken_rules(lambda story: tell(story, 20)) == []
    assert broken_rules(lambda story: tell(story, 400)) == ["G-16"]


def test_g_18_an_acknowledged_list_is_not_chained() -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        first, second = nbl(60, A), nbl(61, B)
        talk.send(first, second)
        talk.sends(0, A + B)
        talk.hears(0, ack=100)
        talk.terminate(node={"chain": (first, second), "chain_ends": (60, 61)}, snd_una=100, snd_nxt=200, snd_max=200)

    assert broken_rules(tell) == ["G-18"]


def test_g_21_a_fin_that_was_in_flight_at_the_hand_over_keeps_its_number() -> None:
    def tell(story: Story, place: int, *late: bytes) -> None:
        state = {"state": ndis.FIN_WAIT_1, "snd_nxt": 101, "snd_max": 101}
        talk = Talk(story, delegated=state).offload(chain=(nbl(60, A),))
        for n, data in enumerate(late):
            talk.send(nbl(61 + n, data))
        talk.sends(place - 50, A[:50], flags=FIN)

    assert broken_rules(lambda story: tell(story, 100)) == []
    assert broken_rules(lambda story: tell(story, 101)) == ["G-21"]
    assert broken_rules(lambda story: tell(story, 100, A, B)) == []  # a send behind the FIN takes no place (HOST-7.2)
    assert broken_rules(lambda story: tell(story, 200, A)) == ["G-21"]


def test_g_36_a_query_that_an_abort_overtakes_may_be_of_before() -> None:
    def tell(story: Story, before: int, after: int) -> None:
        talk = Talk(story).offload()
        talk.query(talk.reset, state=before)
        talk.query(state=after)

    assert broken_rules(lambda story: tell(story, ndis.ESTABLISHED, ndis.CLOSED)) == []
    assert broken_rules(lambda story: tell(story, ndis.CLOSED, ndis.CLOSED)) == []
    assert broken_rules(lambda story: tell(story, ndis.CLOSED, ndis.ESTABLISHED)) == ["G-36"]


def test_g_43_a_query_that_a_fin_overtakes_may_be_of_before_and_the_next_may_not() -> None:
    def tell(story: Story, before: int, after: int, torn: int | None = None) -> None:
        talk = Talk(story).offload()

        def closes() -> None:
            talk.hears(0, flags=FIN)
            talk.sends(0, ack=1)
            talk.event(ndis.DISCONNECT_EVENT)

        state = ndis.CLOSE_WAIT if before else ndis.ESTABLISHED
        talk.query(closes, rcv_nxt=before, state=torn or state)
        talk.query(rcv_nxt=after, state=ndis.CLOSE_WAIT)

    assert broken_rules(lambda story: tell(story, 0, 1)) == []
    assert broken_rules(lambda story: tell(story, 1, 1)) == []
    assert broken_rules(lambda story: tell(story, 0, 0)) == ["G-43"]
    assert broken_rules(lambda story: tell(story, 1, 1, ndis.ESTABLISHED)) == ["G-43"]


@pytest.mark.parametrize(("first", "second"), [(0, ABORTED), (BUSY, BUSY), (ABORTED, ndis.SUCCESS)])
def test_g_23_a_second_graceful_disconnect_is_aborted(first: int, second: int) -> None:
    def tell(story: Story) -> None:
        talk = Talk(story).offload()
        lists = (nbl(62), nbl(63))
        for each in lists:
            talk.disconnect(each)
        talk.sends(0, flags=FIN)
        talk.hears(0, ack=1)
        story.complete("disconnect", done(lists[1], second, 0))
        story.complete("disconnect", done(lists[0], first, 0))

    assert broken_rules(tell) == ([] if second == ABORTED else ["G-23"])


def test_g_24_a_neighbor_event_passes_unchanged_and_reaches_the_host() -> None:
    assert broken_rules(lambda story: passed_query(story, (0, 0), ndis.IN_DOUBT)) == ["G-24"]

    def swallowed(story: Story) -> None:
        passed_query(story, (0, 0))
        neighbor_query(story, QUERY_NODE)

    assert broken_rules(swallowed) == ["G-24"]


def test_g_25_exhausted_retransmissions_are_a_timeout() -> None:
    def tell(story: Story, reason: int) -> None:
        story.parameters(tcp_maximum_retransmissions=3)
        talk = Talk(story).offload()
        for copy in range(4):
            talk.sends(0, A)
            story.wait(1000 << copy)
        talk.event(3, reason)

    assert broken_rules(lambda story: tell(story, ndis.TIMEOUT_EXPIRATION)) == []
    assert broken_rules(lambda story: tell(story, ndis.UPLOAD_WANTED)) == ["G-25"]


@pytest.mark.parametrize(
    ("limit", "copies", "wait", "reason", "broken"),
    [
        (3, 3, 4000, ndis.UPLOAD_WANTED, ["G-25"]),
        (3, 3, 3000, ndis.UPLOAD_WANTED, []),
        (3, 2, 4000, ndis.UPLOAD_WANTED, []),
        (200, 3, 4000, ndis.UPLOAD_WANTED, []),
    ],
    ids=["exceeded", "timer-runs", "limit-not-reached", "far-from-it"],
)
def test_g_25_the_limit_of_data_is_exceeded_when_the_timer_expires_once_more(
    limit: int, copies: int, wait: int, reason: int, broken: list[str]
) -> None:
    def tell(story: Story) -> None:
        story.parameters(tcp_maximum_retransmissions=limit)
        talk = Talk(story, cached={"flags": ndis.KEEP_ALIVE_ENABLED, "ka_probe_count": 2, "ka_interval": 10}).offload()
        talk.sends(0, A)
        for _ in range(copies):
            story.wait(2000)
            talk.sends(0, A)
        story.wait(wait)
        talk.event(3, reason)

    assert broken_rules(tell) == broken


@pytest.mark.parametrize(("enabled", "copies", "broken"), [(True, 5, ["G-25"]), (True, 4, []), (False, 5, [])])
def test_g_25_keep_alives_have_a_limit_of_their_own_below_that_of_data(
    enabled: bool, copies: int, broken: list[str]
) -> None:
    def tell(story: Story) -> None:
        story.parameters(tcp_maximum_retransmissions=200)
        flags = ndis.KEEP_ALIVE_ENABLED if enabled else 0
        talk = Talk(story, cached={"flags": flags, "ka_probe_count": 5, "ka_interval": 1000}).offload()
        for _ in range(copies):
            talk.sends(-1)
            story.wait(1000)
        talk.event(3, ndis.UPLOAD_WANTED)

    assert broken_rules(tell) == broken


@pytest.mark.parametrize(("copies", "broken"), [(3, ["G-25"]), (2, [])])
def test_g_25_zero_window_probes_count_against_the_retransmissions_whatever_max_rt_says(
    copies: int, broken: list[str]
) -> None:
    def tell(story: Story) -> None:
        story.parameters(tcp_maximum_retransmissions=3)
        talk = Talk(story, cached={"max_rt": 0xFFFFFFFF}, delegated={"snd_wnd": 0}).offload()
        talk.send(nbl(60, A))
        for copy in range(copies):
            talk.sends(0, A[:1])
            story.wait(1000 << copy)
        talk.event(3, ndis.UPLOAD_WANTED)

    assert broken_rules(tell) == broken


@pytest.mark.parametrize(("longest", "broken"), [(5000, ["G-25"]), (50_000, []), (0xFFFFFFFF, [])])
def test_g_25_max_rt_takes_the_place_of_the_count_for_data(longest: int, broken: list[str]) -> None:
    def tell(story: Story) -> None:
        story.parameters(tcp_maximum_retransmissions=2)
        talk = Talk(story, cached={"max_rt": longest}).offload()
        for copy in range(4):
            talk.sends(0, A)
            story.wait(1000 << copy)
        talk.event(3, ndis.UPLOAD_WANTED)

    assert broken_rules(tell) == broken


def test_g_25_time_wait_asks_with_upload_requested() -> None:
    def tell(story: Story, reason: int) -> None:
        talk = Talk(story).offload()
        talk.disconnect(nbl(62))
        talk.sends(0, flags=FIN)
        talk.hears(0, ack=1, flags=FIN)
        talk.sends(1, ack=1)
        story.wait(5)
        talk.event(3, reason)

    assert broken_rules(lambda story: tell(story, ndis.UPLOAD_WANTED)) == []
    assert broken_rules(lambda story: tell(story, ndis.TIMEOUT_EXPIRATION)) == ["G-25"]


def test_g_27_the_interface_mac_is_the_source_where_none_is_set() -> None:
    def tell(story: Story, source: bytes, own: bytes) -> None:
        story.setting("interface_mac", OWN_MAC)
        talk = Talk(story, neighbor={"dl_source_address": own + b"\xee" * 26}).offload()
        talk.sends(0, A, macs=(NEXT_MAC, source))

    assert broken_rules(lambda story: tell(story, OWN_MAC, bytes(6))) == []
    assert broken_rules(lambda story: tell(story, b"\x02abcde", b"\x02abcde")) == []
    assert broken_rules(lambda story: tell(story, b"\x02abcde", bytes(6))) == ["G-27"]


def test_g_27_a_frame_with_the_old_mac_may_be_on_its_way_as_the_update_completes() -> None:
    def tell(story: Story, wait: int, mac: bytes) -> None:
        talk = Talk(story).offload()
        node = replace(talk.nodes(None, False).nodes[1001], dependents=None)
        cached: State = {"dl_destination_address": b"\x02new56" + bytes(26), "host_reachability_delta": 0}
        story.do(ndis.UPDATE, tree=Tree(node.ident, {node.ident: replace(node, cached=cached)}))
        story.do(ndis.UPDATED, tree=Tree(node.ident, {node.ident: replace(node, status=0)}))
        story.wait(wait)
        talk.sends(0, A, macs=(mac, OWN_MAC))

    for wait in (0, 5, 40):
        assert broken_rules(partial(tell, wait=wait, mac=NEXT_MAC)) == []
        assert broken_rules(partial(tell, wait=wait, mac=b"\x02new56")) == []
    assert broken_rules(lambda story: tell(story, 41, NEXT_MAC)) == ["G-27"]
    assert broken_rules(lambda story: tell(story, 5, b"\x02never")) == ["G-27"]


def test_g_27_every_mac_of_the_last_ticks_may_be_on_its_way_however_many_updates_completed() -> None:
    macs = [NEXT_MAC, *(b"\x02new0" + bytes([number]) for number in range(8))]

    def tell(story: Story, mac: bytes) -> None:
        talk = Talk(story).offload()
        node = replace(talk.nodes(None, False).nodes[1001], dependents=None)
        for new in macs[1:]:
            story.wait(5)
            cached: State = {"dl_destination_address": new + bytes(26), "host_reachability_delta": 0}
            story.do(ndis.UPDATE, tree=Tree(node.ident, {node.ident: replace(node, cached=cached)}))
            story.do(ndis.UPDATED, tree=Tree(node.ident, {node.ident: replace(node, status=0)}))
        story.wait(3)
        talk.sends(0, A, macs=(mac, OWN_MAC))

    # the eight updates completed 38, 33, ... and 3 ticks before the frame
    assert [broken_rules(partial(tell, mac=mac)) for mac in macs] == [[]] * len(macs)


def test_g_28_a_zero_byte_request_keeps_its_turn_and_does_not_wait() -> None:
    def tell(story: Story, *, overtakes: bool) -> None:
        talk = Talk(story).offload()
        if overtakes:
            talk.receive(posted(49, 100))
        talk.receive(posted(50, 0))
        story.wait(1 if overtakes else 2000)
        story.counters()
        story.complete("receive", done(posted(50, 0), 0, 0))

    assert broken_rules(lambda story: tell(story, overtakes=True)) == ["G-28"]
    assert broken_rules(lambda story: tell(story, overtakes=False)) == ["G-28"]


def test_g_34_the_host_answers_an_indication_in_time() -> None:
    def tell(story: Story) -> None:
        story.setting("answer_ticks", 100)
        talk = Talk(story).offload()
        call = story.enter(ndis.INDICATE, target=talk.handle, lists=(nbl(70, A),), status=0)
        story.wait(200)
        story.leave(call, result=0, consumed=100)

    assert broken_rules(tell) == ["G-34"]


def test_g_40_the_receive_window_reaches_what_was_advertised() -> None:
    def tell(story: Story, window: int) -> None:
        talk = Talk(story, const=SCALING).offload()
        talk.sends(0, ack=0, window=5000)
        talk.query(rcv_wnd=window)

    assert broken_rules(lambda story: tell(story, 40000)) == []
    assert broken_rules(lambda story: tell(story, 5000)) == ["G-40"]


def test_g_41_there_is_no_resource_state() -> None:
    node = Node(5, ndis.RESOURCE_STATE, 15)
    assert broken_rules(lambda story: story.do(ndis.QUERY, tree=Tree(5, {5: node}))) == ["G-41"]
    assert broken_rules(lambda story: story.do("NdisMOffloadResourcesIndicate")) == ["G-41"]


def test_an_ordinary_life_with_push_data_breaks_no_decision() -> None:
    def tell(story: Story) -> None:
        story.parameters()
        talk = Talk(story).offload(buffered=(nbl(80, b"old"),), chain=(nbl(59, b"i" * 10),))
        request, last = posted(50, 1000), nbl(62, b"bye")
        talk.receive(request)
        talk.sends(0, b"i" * 10)
        talk.hears(0, A, ack=10, flags=PSH)
        story.complete("send", done(nbl(59, b"i" * 10), 0, 10))
        story.complete("receive", done(request, 0, 103))
        talk.disconnect(last)
        talk.sends(10, b"bye", ack=100, flags=FIN)
        talk.hears(100, ack=14, flags=FIN)
        story.complete("disconnect", done(last, 0, 3))
        talk.event(ndis.DISCONNECT_EVENT)
        talk.sends(14, ack=101)
        talk.event(3, ndis.UPLOAD_WANTED)
        talk.terminate(state=ndis.TIME_WAIT, rcv_nxt=101, snd_una=14, snd_nxt=14, snd_max=14, s_rtt=8)

    assert broken_rules(tell) == []


def overlapping_queries(story: Story, first: int, second: int) -> None:
    """Two queries, the second asked behind an ACK of 200 bytes; the places that RcvNxt has in their answers."""
    talk = Talk(story).offload()
    talk.send(nbl(60, A))
    talk.sends(0, A)
    talk.hears(0, A)
    talk.sends(100, ack=100)
    empty = dict.fromkeys(talk.tcp_delegated())
    asked = [replace(talk.tcp_node(None, talk.context, delegated=empty), ident=9000 + n) for n in range(2)]
    story.do(ndis.QUERY, tree=Tree(9000, {9000: asked[0]}))
    talk.hears(100, A)
    talk.sends(100, ack=200)
    story.do(ndis.QUERY, tree=Tree(9001, {9001: asked[1]}))
    story.wait(1)
    backlog = {"send_backlog_size": ndis.NOT_RUNNING, "receive_backlog_size": ndis.NOT_RUNNING}
    for node, place in zip(asked, (first, second), strict=True):
        told = talk.tcp_delegated(snd_una=0, snd_nxt=100, snd_max=100, rcv_nxt=place)
        done_ = replace(node, status=0, delegated={**told, **backlog})
        story.do(ndis.QUERIED, tree=Tree(node.ident, {node.ident: done_}))


@pytest.mark.parametrize(("first", "second", "broken"), [(100, 200, 0), (200, 200, 0), (0, 200, 1), (100, 100, 1)])
def test_g_35_each_of_two_overlapping_queries_is_a_snapshot_behind_its_own_call(
    first: int, second: int, broken: int
) -> None:
    rules = broken_rules(lambda story: overlapping_queries(story, first, second))
    assert rules == ["G-35"] * broken
