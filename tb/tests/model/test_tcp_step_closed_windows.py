"""Two engines face to face, the window of one closed to the other (G-4, CH-219; RFC 9293 3.8.6.1, 3.10.7.4)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest

from model.layout.generated import CachedImage, Opcode, Phase, TxKind, TxSegment
from tb.tests.model.tcp_bench import GEN, Engine, running

UPDATE_RCV_WND = 1 << 4
DELAY = 5
"""Ticks from one engine to the other."""


@dataclass
class Side:
    """An engine, the segments on their way to it, and its host, which takes bytes as they come or none at all."""

    engine: Engine
    takes: bool = True
    coming: deque[tuple[int, TxSegment]] = field(default_factory=deque)
    got: int = 0

    def hear(self, seg: TxSegment) -> None:
        before = self.engine.tcb.rcv_nxt
        self.engine.rx(seq=seg.seq, ack=seg.ack, wnd=seg.wnd, flags=seg.flags, pay_len=seg.len, pay_off=54)
        taken = (self.engine.tcb.rcv_nxt - before) & 0xFFFF_FFFF
        self.got += taken
        if taken and self.takes:
            self.engine.consumed(taken)


def face_to_face(now: int, until: int, a: Side, b: Side) -> None:
    """Let time pass: timers, segments, grants of both."""
    while now < until:
        now += 1
        for side, other in ((a, b), (b, a)):
            engine = side.engine
            engine.now = now
            while side.coming and side.coming[0][0] <= now:
                side.hear(side.coming.popleft()[1])
            last = engine.last
            if last is not None and last.deadline is not None and (now - last.deadline) & 0x8000_0000 == 0:
                engine.timer()
            while engine.last is not None and engine.last.pending:
                sent = engine.grant().actions.tx0
                if sent is not None and sent.kind == TxKind.SEGMENT:
                    other.coming.append((now + DELAY, TxSegment.unpack(sent.body)))


def _side(sends: int, hears: int, own_window: int, other_window: int) -> Engine:
    """One end, idle: sequence numbers that it sends and hears next, windows (bytes) that the two ends grant."""
    return running(
        snd_una=sends,
        snd_nxt=sends,
        snd_max=sends,
        rcv_nxt=hears,
        rcv_wnd=own_window,
        initial_rcv_wnd=own_window,
        snd_wnd=other_window,
        max_snd_wnd=20_000,
        snd_wl1=hears,
        cwnd=60_000,
    )


def pair(window_of_b: int, window_of_a: int = 20_000) -> tuple[Side, Side]:
    """A sends at 1000 and hears 5000 next, B the other way round."""
    a, b = _side(1000, 5000, window_of_a, window_of_b), _side(5000, 1000, window_of_b, window_of_a)
    assert a.tcb.gen == b.tcb.gen == GEN
    return Side(a), Side(b)


@pytest.mark.rule("G-4", "CH-219")
def test_while_one_probes_a_closed_window_what_the_other_sends_is_acknowledged() -> None:
    a, b = pair(0)
    a.engine.send(500)
    face_to_face(0, 50_000, a, b)
    assert a.engine.tcb.persist == 1
    assert a.engine.tcb.snd_max == 1001, "the window was probed"
    b.engine.send(60_000)
    face_to_face(50_000, 60_000, a, b)
    assert a.got == 60_000
    assert b.engine.tcb.snd_una == 65_000
    assert (a.engine.tcb.phase, b.engine.tcb.phase) == (Phase.RUNNING, Phase.RUNNING)


@pytest.mark.rule("G-4", "CH-219")
def test_two_that_probe_each_other_go_on_when_both_windows_open() -> None:
    a, b = pair(0, 0)
    a.engine.send(500)
    b.engine.send(700)
    face_to_face(0, 20_000, a, b)
    assert (a.engine.tcb.persist, b.engine.tcb.persist, a.got, b.got) == (1, 1, 0, 0)
    for side in (a, b):
        side.engine.command(Opcode.UPDATE, CachedImage(cached_flags=UPDATE_RCV_WND, initial_rcv_wnd=20_000, ttl=64))
    face_to_face(20_000, 90_000, a, b)
    assert (a.got, b.got) == (700, 500)
    assert (a.engine.tcb.snd_una, b.engine.tcb.snd_una) == (1500, 5700)
    assert (a.engine.tcb.phase, b.engine.tcb.phase) == (Phase.RUNNING, Phase.RUNNING)
