"""ECN on the wire (RFC 3168): marks of the network, what peer and software stack make of them, who judges it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether

from model.ndis.framing import Endpoint, Segment
from model.ndis.soft_ecn import SoftEcn
from model.ndis.soft_tcp import SoftTcp, SoftTcpConfig
from model.wire.frame import TcpFlag
from model.wire.impair import FaultKind, ImpairmentRates, Impairments
from tb.monitors.wire_headers import ACK, CWR, ECE
from tb.peers.connection import TcpConfig
from tb.peers.ecn import Ecn
from tb.script.established import Opening
from tb.script.events import Handover, Script
from tb.script.vectors import vector
from tb.tests.model.test_peer_judge import Sender
from tb.tests.model.test_wire_monitor import (
    CALM,
    CLEAN,
    full,
    inserted,
    pick,
    pure_ack,
    record,
    rules_broken,
    segment,
    watch,
    with_segment,
)

AGREED = TcpConfig(ecn=True)
SMOOTH = record(3, 60_000, CLEAN, AGREED)
MARKED = record(3, 60_000, replace(CLEAN, mark=0.2), AGREED)


@pytest.mark.rule("N-1")
def test_the_network_marks_ect_frames_alone_and_keeps_the_header_sum() -> None:
    wire = Impairments(ImpairmentRates(mark=1.0), 1)
    frames = [bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2", tos=0x28 | code) / b"x") for code in range(4)]
    for at, frame in enumerate(frames):
        wire.push(frame, at)
    came = [Ether(frame)[IP] for frame in wire.pop_due(9)]
    assert [ip.tos & 3 for ip in came] == [0, 3, 3, 3]
    assert [(f.frame, f.kind) for f in wire.faults] == [(1, FaultKind.MARKED), (2, FaultKind.MARKED)]
    for ip in came:
        told = ip.chksum
        del ip.chksum
        assert IP(bytes(ip)).chksum == told


@pytest.mark.rule("N-1", "N-2", "N-4")
@pytest.mark.parametrize("seed", range(1, 4))
def test_marked_traffic_of_right_ends_breaks_no_rule_and_shows_echo_and_answer(seed: int) -> None:
    rates = ImpairmentRates(drop=0.03, reorder=0.05, duplicate=0.03, delay_ticks=2, mark=0.1)
    events = record(seed, 100_000, rates, AGREED)
    monitor = watch(events)
    assert [str(violation) for violation in monitor.violations] == []
    sent = [segment(event).flags for event in events if event.sent]
    assert any(flags & ECE for flags in sent[2:])
    assert any(flags & CWR for flags in sent[1:])


@pytest.mark.rule("N-4")
def test_ect_on_what_was_sent_before_or_on_a_pure_ack_is_reported() -> None:
    at = pick(SMOOTH, full, 2)
    again = segment(SMOOTH[at])
    assert again.tos & 3 == 2
    assert "ECN-ECT" in rules_broken(inserted(SMOOTH, at + 1, True, again))
    at = pick(SMOOTH, pure_ack, 2)
    assert "ECN-ECT" in rules_broken(with_segment(SMOOTH, at, replace(segment(SMOOTH[at]), tos=2)))


@pytest.mark.rule("N-4")
def test_cwr_without_a_reason_and_cwr_on_a_pure_ack_are_reported() -> None:
    at = pick(SMOOTH, full, 4)
    assert "ECN-CWR" in rules_broken(with_segment(SMOOTH, at, replace(segment(SMOOTH[at]), flags=ACK | CWR)))
    at = pick(MARKED, pure_ack, 2)
    assert "ECN-CWR" in rules_broken(with_segment(MARKED, at, replace(segment(MARKED[at]), flags=ACK | CWR)))


@pytest.mark.rule("N-1")
def test_an_echo_that_is_missing_or_that_nothing_asked_for_is_reported() -> None:
    at = pick(SMOOTH, pure_ack, 2)
    assert "ECN-ECE" in rules_broken(with_segment(SMOOTH, at, replace(segment(SMOOTH[at]), flags=ACK | ECE)))
    silent = MARKED
    for at, event in enumerate(MARKED):
        if event.sent and at > 2:
            seg = segment(event)
            silent = with_segment(silent, at, replace(seg, flags=seg.flags & ~ECE))
    assert "ECN-ECE" in rules_broken(silent)


@pytest.mark.rule("N-4")
def test_ecn_flags_without_an_agreement_are_reported() -> None:
    at = pick(CALM, full, 2)
    assert rules_broken(with_segment(CALM, at, replace(segment(CALM[at]), flags=ACK | CWR))) == {"ECN-AGREED"}
    sender = Sender()
    sender.send(replace(sender.make(), flags=ACK | ECE))
    assert sender.violations == ["rfc3168 6.1.1"]


def test_the_peer_answers_ece_once_a_window_and_echoes_until_cwr() -> None:
    ecn = Ecn()
    ecn.take_syn(True, ECE | CWR)
    assert ecn.agreed
    ecn.receive(ACK, 3, 10)
    assert ecn.mark(ACK, 0, fresh=False) == (ACK | ECE, 0)
    ecn.receive(ACK | CWR, 2, 10)
    assert ecn.mark(ACK, 0, fresh=False) == (ACK, 0)
    assert [ecn.reduces(ACK | ECE, una, 100) for una in (10, 50, 100, 101)] == [True, False, False, True]
    assert [ecn.mark(ACK, 0, fresh=True) for _ in range(2)] == [(ACK | CWR, 2), (ACK, 2)]


@pytest.mark.parametrize("answer", [TcpFlag(0), TcpFlag.CWR, TcpFlag.ECE | TcpFlag.CWR])
def test_only_ece_alone_in_the_answer_agrees(answer: TcpFlag) -> None:
    """RFC 3168 6.1.1: a SYN that reflects both flags is that of a broken host."""
    ecn, peer = SoftEcn(), Ecn()
    ecn.agree(True, TcpFlag.SYN | TcpFlag.ACK | answer)
    peer.take_syn(True, int(TcpFlag.SYN | TcpFlag.ACK | answer))
    assert not ecn.enabled
    assert not peer.agreed


def test_the_software_stack_halves_its_window_once_and_says_cwr_on_new_data() -> None:
    ends = Endpoint(bytes(6), bytes(4), 1), Endpoint(bytes(6), bytes(4), 2)
    sent: list[Segment] = []
    tcp = SoftTcp(*ends, SoftTcpConfig(ecn=True, timestamps=False), sent.append)
    tcp.connect(0)
    syn = TcpFlag.SYN | TcpFlag.ACK | TcpFlag.ECE
    tcp.on_segment(Segment(ends[1], ends[0], 99, 2, syn, 60_000, mss=1000), 1)
    tcp.send(bytes(4000), 1)
    assert [s.tos for s in sent] == [0, 0, 2, 2, 2, 2]
    for acked in (1002, 2002):
        tcp.on_segment(Segment(ends[1], ends[0], 100, acked, TcpFlag.ACK | TcpFlag.ECE, 60_000), 2)
        assert tcp.ssthresh == 2000
    sent.clear()
    tcp.send(bytes(3000), 3)
    tcp.on_segment(Segment(ends[1], ends[0], 100, 4002, TcpFlag.ACK, 60_000), 3)
    assert [bool(s.flags & TcpFlag.CWR) for s in sent if s.payload][:2] == [True, False]


@pytest.mark.parametrize(
    ("event", "ecn"),
    [({"flags": "."}, False), ({"flags": "E."}, True), ({"flags": ".", "ecn": "ect0"}, True),
     ({"flags": ".", "ecn": "noecn"}, False)],
)  # fmt: skip
def test_a_trace_that_shows_marks_was_opened_with_ecn(event: dict[str, str], ecn: bool) -> None:
    one = {"line": 1, "t": "+0", "dir": "out", "seq": 1, "len": 10, "ack": 1} | event
    found = vector({"handover": {"peer_mss": 1000, "snd_wnd": 1000}, "events": [one]})
    assert isinstance(found.script, Script)
    assert isinstance(found.script.handover, Handover)
    assert Opening.of(found.script).ecn == ecn
