"""Traces of section 10: for every decision one function that tells a story that keeps it, or breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.decisions import MONITORS
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.trace import Buffer, List, Node, Tree
from tb.monitors.wire_headers import RST
from tb.tests.model.contract.section_tests import ByRule
from tb.tests.model.contract.terminate_traces import (
    FIN,
    NEXT_MAC,
    OWN_MAC,
    SYN,
    Story,
    Talk,
    done,
    nbl,
    posted,
    rest_of,
    run,
    tcp_frame,
)

Trace = Callable[[Story, bool], None]
TRACES: Final = ByRule[Trace]()
trace_of = TRACES.of
A: Final = b"a" * 100
B: Final = b"b" * 100
ABORTED: Final = ndis.REQUEST_ABORTED
BUSY: Final = ndis.UPLOAD_IN_PROGRESS
SCALING: Final = {"flags": ndis.WINDOW_SCALING, "snd_wind_scale": 4, "rcv_wind_scale": 3}


@trace_of("G-01")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    location = 1013
    story.do(ndis.SEND, result=ndis.PENDING, target=location if broken else talk.context, lists=(nbl(60, A),))


@trace_of("G-02")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.send(nbl(60, A + A))
    talk.update({"ttl_or_hop_limit": 32, "tos_or_traffic_class": 8}, complete=False)
    talk.sends(0, A)
    talk.sends(100, A, ttl=32, tos=0 if broken else 8)


@trace_of("G-03")
def _(story: Story, broken: bool) -> None:
    Talk(story).offload()
    talk = Talk(story, 2).offload()
    invalidate(story, Node(2001, 4, 2011, 2100, 2021))
    story.wait(5)
    if broken:
        talk.sends(0, ack=0)


def invalidate(story: Story, node: Node) -> None:
    story.state(
        ndis.INVALIDATE, Tree(node.ident, {node.ident: node}), Tree(node.ident, {node.ident: replace(node, status=0)})
    )


def push_timer(story: Story, wait: int, second: int = 300, **rest: int) -> Talk:
    """A push request gets 100 bytes now and 100 later, and completes ``wait`` ticks after the first."""
    story.parameters(tcp_push_ticks=500)
    talk = Talk(story).offload()
    request = posted(50, 1000, **rest)
    talk.receive(request)
    story.wait(10)
    talk.hears(0, A)
    story.wait(second)
    talk.hears(100, B)
    story.wait(wait - second)
    story.complete("receive", done(request, 0, 200))
    return talk


@trace_of("G-04")
def _(story: Story, broken: bool) -> None:
    push_timer(story, 650 if broken else 800)


@trace_of("G-05")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, A)
    talk.indicate(70, A, consumed=0, result=0x00010003 if broken else ndis.NOT_ACCEPTED)
    if not broken:
        talk.receive(posted(50, 0))
        story.complete("receive", done(posted(50, 0), 0, 0))
    talk.indicate(71, A)


@trace_of("G-06")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    first, second, send = posted(50, 1000), posted(51, 1000), nbl(60, A)
    talk.receive(first, second)
    talk.send(send)
    talk.reset()
    story.complete("send", done(send, ABORTED, 0))
    story.complete("receive", done(second if broken else first, ABORTED, 0))
    story.complete("receive", done(first if broken else second, ABORTED, 0))
    talk.terminate(state=ndis.CLOSED)


@trace_of("G-07")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story, delegated={"state": ndis.FIN_WAIT_2}).offload()
    talk.event(3, 1 if broken else ndis.TIMEOUT_EXPIRATION)


def neighbor_query(story: Story, node: Node, event: int = ndis.REACHABILITY_QUERY) -> None:
    tree = Tree(node.ident, {node.ident: node}) if event == ndis.REACHABILITY_QUERY else None
    story.do(ndis.NEIGHBOR_EVENT, target=1, event=event, tree=tree)


QUERY_NODE: Final = Node(
    900,
    ndis.NEIGHBOR_STATE,
    status=0,
    const={"vlan_id": 0},
    cached={"host_reachability_delta": 7},
    delegated={"nic_reachability_delta": 9},
)


@trace_of("G-08")
def _(story: Story, broken: bool) -> None:
    neighbor_query(story, replace(QUERY_NODE, const=None) if broken else QUERY_NODE)


@trace_of("G-09")
def _(story: Story, broken: bool) -> None:
    story.parameters()
    if broken:
        story.do(ndis.OID, result=0, oid=ndis.OID_TASK_OFFLOAD, flags=1, buffer={"tcp_push_ticks": 100})


@trace_of("G-10")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    if not broken:
        talk.send(nbl(60, A))
        talk.sends(0, A)
    else:
        ends = (b"\x0a\x00\x00\x01", ndis.swapped(5001), b"\x0a\x00\x00\x02", ndis.swapped(80))
        story.frame(tcp_frame(ends, 0, 0, 16, window=100), sent=True)


@trace_of("G-11")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.query(s_rtt=0x10008 if broken else 0)


@trace_of("G-12")
def _(story: Story, broken: bool) -> None:
    story.parameters(tcp_doubt_reachability_retransmissions=2)
    talk = Talk(story).offload()
    talk.send(nbl(60, A))
    for _ in range(3):
        talk.sends(0, A)
        story.wait(3000)
    if broken:
        neighbor_query(story, QUERY_NODE, ndis.IN_DOUBT)


@trace_of("G-13")
def _(story: Story, broken: bool) -> None:
    story.setting("max_path_mtu", 1500)
    node = Node(2, 8, 12, const={"source_address": b"\x0a\x00\x00\x01"}, cached={"path_mtu": 9000}, delegated={})
    failed = replace(node, status=ndis.RESOURCES if broken else ndis.PATH_MTU)
    story.state(ndis.INITIATE, Tree(2, {2: node}), Tree(2, {2: failed}))


def refused_by_im(story: Story, kind: str, statuses: tuple[int, int]) -> None:
    function = next(name for name, what in ndis.REQUESTS.items() if what == kind)
    first, second = posted(50, 10), posted(51, 10)
    story.layer = 1
    talk = Talk(story).offload()
    story.layer = 0
    story.leave(story.enter(function, layer=1, target=talk.context, lists=(first, second)), layer=1)
    lists = (done(first, statuses[0], 0), done(second, statuses[1], 0))
    story.leave(story.enter(ndis.COMPLETION_OF[kind], layer=1, lists=lists), layer=1)


@trace_of("G-14")
def _(story: Story, broken: bool) -> None:
    refused_by_im(story, "receive", (ndis.REQUEST_UPLOAD, ndis.FAILURE if broken else ndis.UPLOAD_REQUESTED))


@trace_of("G-15")
def _(story: Story, broken: bool) -> None:
    keepalive = {"ka_probe_count": 5, "ka_timeout": 9000, "ka_interval": 1000, "flags": 1}
    talk = Talk(story, cached=keepalive, delegated={"keep_alive_probe_count": 3}).offload()
    talk.update({**keepalive, "ka_probe_count": 8, "flags": 1 | ndis.KEEP_ALIVE_RESTART})
    talk.query(keep_alive_probe_count=3 if broken else 0)


@trace_of("G-16")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.send(nbl(60, A))
    talk.sends(0, A)
    talk.update({"initial_rcv_wnd": 20000, "flags": ndis.UPDATE_RCV_WND})
    talk.hears(0, A)
    talk.sends(100, ack=100, window=20000 if broken else 59900)


@trace_of("G-17")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    begun, empty = posted(50, 1000, no_push=True), posted(51, 1000)
    talk.receive(begun, empty)
    talk.hears(0, A, flags=FIN)
    story.complete("receive", done(begun, BUSY if broken else 0, 100), done(empty, 0, 0))
    talk.event(ndis.DISCONNECT_EVENT)


@trace_of("G-18")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    first, second = nbl(60, A), nbl(61, B)
    talk.send(first, second)
    talk.sends(0, A + B)
    talk.hears(0, ack=140)
    story.complete("send", done(first, 0, 100))
    chain = (second,) if broken else (rest_of(second, 40),)
    talk.terminate(node={"chain": chain, "chain_ends": (61, 61)}, snd_una=140, snd_nxt=200, snd_max=200)


@trace_of("G-19")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, A)
    talk.hears(150, B)
    talk.sends(0, ack=100)
    held = A + bytes(50) + B if broken else A
    talk.terminate(node={"buffered": (nbl(90, held),)}, rcv_nxt=len(held))


@trace_of("G-20")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    request = nbl(60, A)
    talk.send(request)
    talk.terminating()
    talk.event(3, ndis.HARDWARE_FAILURE)
    talk.event(4)
    story.complete("send", done(request, BUSY if broken else ABORTED, 0))
    talk.terminated(status=ndis.FAILURE)


@trace_of("G-21")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.disconnect(nbl(62, A))
    talk.sends(0, A, flags=FIN)
    top = 100 if broken else 101
    talk.query(state=ndis.FIN_WAIT_1, snd_nxt=top, snd_max=top)


@trace_of("G-22")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    request = nbl(62)
    talk.disconnect(request, ndis.ABORTIVE)
    talk.sends(0, flags=RST)
    story.complete("disconnect", done(request, 0, 1 if broken else 0))


@trace_of("G-23")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    graceful, abortive = nbl(62), nbl(63)
    talk.disconnect(graceful)
    talk.disconnect(abortive, ndis.ABORTIVE)
    talk.sends(0, flags=RST)
    if not broken:
        story.complete("disconnect", done(graceful, ABORTED, 0))
    story.complete("disconnect", done(abortive, 0, 0))


def passed_query(story: Story, answers: tuple[int, int], event: int = ndis.REACHABILITY_QUERY) -> None:
    """A neighbor query through one intermediate driver: what the host answers, what the target is told."""
    trees = [
        Tree(900, {900: replace(QUERY_NODE, cached={"host_reachability_delta": value})}) for value in (7, *answers)
    ]
    inner = story.enter(ndis.NEIGHBOR_EVENT, layer=0, event=ndis.REACHABILITY_QUERY, tree=trees[0])
    outer = story.enter(ndis.NEIGHBOR_EVENT, layer=1, event=event, tree=trees[0])
    story.leave(outer, layer=1, tree=trees[1])
    story.leave(inner, layer=0, tree=trees[2])


@trace_of("G-24")
def _(story: Story, broken: bool) -> None:
    passed_query(story, (0, 7 if broken else 0))


@trace_of("G-25")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, flags=SYN)
    talk.event(3, ndis.TIMEOUT_EXPIRATION if broken else ndis.UPLOAD_WANTED)


@trace_of("G-26")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story)
    chain = (nbl(60, A), nbl(61, B))
    talk.offload(complete=False, chain=chain)
    after = {"chain": chain[1:] if broken else chain, "delegated": talk.tcp_delegated()}
    story.do(ndis.INITIATED, tree=talk.nodes(0, False, **after))


@trace_of("G-27")
def _(story: Story, broken: bool) -> None:
    mac = b"\x02\x00\x00\x00\x00\x09" + b"\xee" * 26
    talk = Talk(story, neighbor={"dl_destination_address": mac}).offload()
    talk.send(nbl(60, A))
    talk.sends(0, A, macs=(mac[6:12] if broken else mac[:6], OWN_MAC))


@trace_of("G-28")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    request = posted(50, 0)
    talk.receive(request)
    story.complete("receive", done(request, ndis.FAILURE if broken else 0, 0))


@trace_of("G-29")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    send, end = nbl(60, A), nbl(62)
    talk.send(send)
    talk.disconnect(end)
    talk.reset()
    if not broken:
        story.complete("send", done(send, ABORTED, 0))
    story.complete("disconnect", done(end, ABORTED, 0))
    if broken:
        story.complete("send", done(send, ABORTED, 0))


@trace_of("G-30")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, A)
    talk.indicate(70, A)
    talk.sends(0, ack=100)
    talk.terminating()
    story.do(ndis.RETURN, result=BUSY if broken else 0, lists=(nbl(70),))
    talk.terminated(rcv_nxt=100)


@trace_of("G-31")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    request = nbl(60, A)
    talk.send(request)
    talk.sends(0, A)
    talk.hears(0, ack=30)
    talk.reset()
    story.complete("send", done(request, ABORTED, 100 if broken else 30))


@trace_of("G-32")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    request = List(50, (Buffer(500, 100, data_offset=400),), no_push=True, received_before=400)
    talk.receive(request)
    talk.hears(0, A)
    full = done(request, 0, 100)
    story.complete("receive", replace(full, transferred=500) if broken else full)


@trace_of("G-33")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    for ident in range(60, 90):
        taken = ident < 80 or not broken
        result = ndis.PENDING if taken else ndis.RESOURCES
        story.do(ndis.SEND, result=result, target=talk.context, lists=(nbl(ident, A),))


@trace_of("G-34")
def _(story: Story, broken: bool) -> None:
    story.setting("state_call_ticks", 200)
    Talk(story).offload(complete=not broken)
    story.wait(300)
    story.counters()


@trace_of("G-35")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.send(nbl(60, A))
    talk.sends(0, A)
    talk.hears(0, A, ack=50)
    talk.query(snd_una=50, snd_nxt=0 if broken else 100, snd_max=100, rcv_nxt=100)


@trace_of("G-36")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.reset()
    talk.terminate(state=ndis.ESTABLISHED if broken else ndis.CLOSED)


@trace_of("G-37")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story, delegated={"flags": 0x5A, "d_wnd": 77}).offload()
    talk.query(d_wnd=0 if broken else 77)


@trace_of("G-38")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    segment = talk.forward(55, 0, A)
    spoiled = segment.data[:16] + b"\xff\xff" + segment.data[18:]
    story.records[-2] = replace(story.records[-2], lists=(replace(segment, data=spoiled),))  # type: ignore[call-arg]
    story.wait(1)
    story.complete("forward", replace(segment, status=0))
    talk.sends(0, ack=0 if broken else 100)
    talk.query(rcv_nxt=0 if broken else 100)


@trace_of("G-39")
def _(story: Story, broken: bool) -> None:
    ident = 0x1234 if broken else 0x80001234
    header = bytes([0x60, 0, 0, 0, 0, 16, 44, 64]) + bytes(32)
    fragment = bytes([6, 0, 0, 1]) + ident.to_bytes(4, "big") + bytes(8)
    story.frame(NEXT_MAC + OWN_MAC + b"\x86\xdd" + header + fragment, sent=True)


@trace_of("G-40")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story, const=SCALING).offload()
    talk.hears(0, ack=0, window=1000)
    talk.query(snd_wnd=1000 if broken else 16000)


@trace_of("G-41")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    story.do(ndis.SEND, result=ndis.PENDING, target=talk.context, lists=(nbl(60, A),), flags=4 if broken else 0)


@trace_of("G-42")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, A, flags=FIN)
    talk.sends(0, ack=101)
    if broken:
        talk.event(ndis.DISCONNECT_EVENT)
    talk.terminate(node={"buffered": (nbl(90, A),)}, rcv_nxt=101, state=ndis.CLOSE_WAIT)


@trace_of("G-43")
def _(story: Story, broken: bool) -> None:
    talk = Talk(story).offload()
    talk.hears(0, A, flags=FIN)
    talk.sends(0, ack=101)
    talk.terminate(node={"buffered": (nbl(90, A),)}, rcv_nxt=100 if broken else 101, state=ndis.CLOSE_WAIT)


def limit_reached(story: Story, *, send: int, end: int, before: bool = False) -> None:
    """Graceful disconnect, retransmission limit, terminate; how the send and the disconnect complete."""
    talk = Talk(story).offload()
    data, last = nbl(60, A), nbl(62)
    talk.send(data)
    talk.disconnect(last)
    talk.sends(0, A, flags=FIN)
    story.wait(60000)
    talk.event(3, ndis.TIMEOUT_EXPIRATION)
    if before:
        story.complete("send", done(data, send, 0))
    talk.terminating()
    if not before:
        story.complete("send", done(data, send, 0))
    story.complete("disconnect", done(last, end, 0))
    talk.terminated(state=ndis.FIN_WAIT_1, snd_nxt=101, snd_max=101)


@trace_of("G-44")
def _(story: Story, broken: bool) -> None:
    limit_reached(story, send=BUSY, end=ndis.SUCCESS if broken else BUSY)


def judges(tell: Callable[[Story], object]) -> list[Monitor]:
    story = Story()
    tell(story)
    return [run(monitor(), story) for monitor in MONITORS]


def broken_rules(tell: Callable[[Story], object]) -> list[str]:
    return [breach.rule for monitor in judges(tell) for breach in monitor.breaches]
