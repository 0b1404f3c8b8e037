"""How a recovery with SACK spreads what it sends (rule S-8; RFC 9937), and that it needs no timeout."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from model.layout.generated import Tcb
from model.tcp.seq import MASK, distance
from tb.tests.model.sack_bench import FIRST, MSS, Loop, sender
from tb.tests.model.tcp_bench import Engine

SEEDS = range(40)
QUEUED = 300
PATTERNS: dict[str, Callable[[int, int, random.Random], list[int]]] = {
    "scattered": lambda window, losses, rng: rng.sample(range(window - 3), losses),
    "first": lambda _, losses, __: list(range(losses)),
    "last": lambda window, losses, _: list(range(window - 3 - losses, window - 3)),
    "every second": lambda window, losses, _: [min(2 * n, window - 4) for n in range(losses)],
}


def told(engine: Engine, *segments: tuple[int, int], ack: int = 0) -> int:
    """An acknowledgment of ``ack`` segments with blocks [left, right) in segments; how many segments it lets out."""
    edges = [((FIRST + left * MSS) & MASK, (FIRST + right * MSS) & MASK) for left, right in segments]
    engine.rx(
        ack=(FIRST + ack * MSS) & MASK,
        sack_n=len(edges),
        sack_left=sum(left << 32 * place for place, (left, _) in enumerate(edges)),
        sack_right=sum(right << 32 * place for place, (_, right) in enumerate(edges)),
    )
    return sum(seg.len > 0 for seg in engine.segments())


def recovering(window: int, first: int) -> Engine:
    """A recovery that has just sent its first segment: ``window`` segments, those before ``first`` are lost."""
    engine = sender(window)
    engine.send(QUEUED * MSS)
    engine.segments()
    assert [told(engine, (first, first + count)) for count in (1, 2, 3)] == [1, 1, 1]
    t = engine.tcb
    assert (t.in_recovery, distance(t.high_rxt, t.snd_una), t.ssthresh) == (1, MSS, window // 2 * MSS)
    return engine


@dataclass(frozen=True)
class Known:
    """What the sender knows: octets from FIRST."""

    una: int
    held: frozenset[int]
    """Numbers of the segments above una that are held."""

    @classmethod
    def of(cls, t: Tcb) -> Known:
        pairs = [(t.sb_left >> 32 * n & MASK, t.sb_right >> 32 * n & MASK) for n in range(t.sb_n)]
        spans = [range(distance(left, FIRST) // MSS, distance(right, FIRST) // MSS) for left, right in pairs]
        una = distance(t.snd_una, FIRST)
        return cls(una, frozenset(n for span in spans for n in span if n * MSS >= una))

    def delivered_until(self, later: Known) -> int:
        """DeliveredData of RFC 9937 5, in octets."""
        return max(later.una - self.una + (len(later.held) - len(self.held)) * MSS, 0)

    def inflight(self, t: Tcb) -> int:
        """SetPipe of RFC 6675 4 for DupThresh 3, in octets."""
        pipe = 0
        for n in range(self.una // MSS, distance(t.snd_max, FIRST) // MSS):
            if n not in self.held:
                pipe += MSS * (not self.lost(n)) + MSS * (n * MSS < distance(t.high_rxt, FIRST))
        return pipe

    def lost(self, number: int) -> bool:
        """IsLost of RFC 6675 4 for DupThresh 3."""
        above = [n for n in self.held if n > number]
        return len(above) > 2 or sum(n - 1 not in self.held for n in above) > 2

    def losses(self, t: Tcb) -> set[int]:
        """Numbers of the segments that count as lost."""
        numbers = range(self.una // MSS, distance(t.snd_max, FIRST) // MSS)
        return {n for n in numbers if n not in self.held and self.lost(n)}


@pytest.mark.rule("S-8", "S57")
def test_above_the_threshold_every_second_delivered_segment_lets_one_out() -> None:
    """The head that went first is one of them."""
    engine = recovering(20, 1)
    assert [told(engine, (1, right)) for right in range(5, 19)] == [0, 0] + [1, 0] * 6


@pytest.mark.rule("S-8", "S57")
def test_below_the_threshold_each_delivered_segment_lets_one_out() -> None:
    """27 of 30 are lost: pipe is 2, and what may go comes with the acknowledgments, not at once (RFC 6675 would)."""
    engine = recovering(30, 27)
    assert told(engine, (27, 31)) == 1
    assert told(engine, (27, 32)) == 1
    assert engine.tcb.cwnd < engine.tcb.ssthresh


@pytest.mark.rule("S-8")
def test_below_the_threshold_an_ack_that_gets_on_lets_one_more_out() -> None:
    engine = recovering(30, 27)
    assert told(engine, (27, 30), ack=1) == 2


@pytest.mark.rule("S-8")
def test_no_segment_more_goes_for_an_ack_that_tells_of_further_losses() -> None:
    engine = recovering(60, 45)
    assert told(replace(engine), (45, 52), ack=1) == 6
    assert told(engine, (55, 59), (45, 48), ack=1) == 5


@pytest.mark.rule("S-8")
def test_what_goes_below_the_threshold_does_not_go_beyond_it() -> None:
    engine = recovering(20, 10)
    assert told(engine, (10, 22), ack=9) == 10
    t = engine.tcb
    assert t.in_recovery
    assert t.cwnd == t.ssthresh


@pytest.mark.rule("S-8", "S-2")
def test_the_ack_that_begins_a_recovery_is_paced_as_the_others() -> None:
    """It reports six segments, twelve of thirty are lost: three may go until twelve are fifteen, the head is one."""
    engine = sender(30)
    engine.send(QUEUED * MSS)
    engine.segments()
    assert told(engine, (10, 12), (14, 16), (18, 20)) == 3
    assert distance(engine.tcb.high_rxt, FIRST) == 3 * MSS


@pytest.mark.rule("S-8")
@pytest.mark.parametrize("seed", SEEDS)
def test_never_more_goes_than_rfc_9937_allows(seed: int) -> None:
    """Its counters, kept beside a recovery with random losses; the head, where S-3 demands it, comes on top."""
    rng = random.Random(seed)
    window = rng.randrange(10, 60)
    loop = Loop(sender(window))
    engine = loop.engine
    engine.send(QUEUED * MSS)
    loop.send()
    loop.onto_wire(rng.sample(range(window - 3), rng.randrange(1, window // 2)))
    delivered = out = base = judged = 0
    while loop.wire:
        before, was = Known.of(engine.tcb), engine.tcb
        arriving = loop.wire.popleft()
        loop.far.take(*arriving)
        engine.rx(ack=(FIRST + loop.far.next) & MASK, **loop.far.blocks())
        t, now = engine.tcb, Known.of(engine.tcb)
        inflight, head = now.inflight(t), t.rtx_head
        sent = sum(seg.len for seg in loop.send())
        loop.onto_wire()
        if not t.in_recovery:
            continue
        if not was.in_recovery:
            delivered, out = 0, 0
            base = distance(t.snd_max, t.snd_una) - len(before.held) * MSS
        step = before.delivered_until(now)
        delivered += step
        if inflight > t.ssthresh:
            allowed = -(-delivered * t.ssthresh // base) - out
        else:
            safe = now.una > before.una and not now.losses(t) - before.losses(was)
            allowed = min(max(delivered - out, step) + MSS * safe, t.ssthresh - inflight)
        out += sent
        judged += 1
        assert sent <= max(allowed, MSS * head), (seed, window, judged)
    assert judged > 3
    assert engine.tcb.rtx_count == 0


@pytest.mark.rule("S-3", "S-6", "S-8")
@pytest.mark.parametrize("queued", [1, 3], ids=["nothing new", "new data"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_half_a_window_lost_in_any_pattern_is_recovered_without_a_timeout(pattern: str, queued: int) -> None:
    """Windows of 10 to 64 segments, none of the last three and no retransmission lost."""
    rng = random.Random(pattern)
    for window in [*range(10, 64, 6), 63, 64]:
        for losses in {1, 2, window // 4, window // 2}:
            lost = PATTERNS[pattern](window, losses, rng)
            loop = Loop(sender(window))
            loop.engine.send(queued * window * MSS)
            loop.send()
            loop.onto_wire(lost)
            while loop.wire:
                loop.deliver()
                loop.sent.clear()
            assert loop.outstanding() == 0, f"lost {sorted(lost)} of {window}: a timeout would be needed"
            assert loop.far.next == queued * window * MSS
