"""The seam monitor: silent where a hand-over cannot be seen, and every rule is seen to fire on one that can."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tb.monitors.contract.trace import Enter, Frame, Node, Record, Tree, Value
from tb.monitors.seam_monitor import INITIATE, INITIATED, INVALIDATE, NOT_RUNNING, RULES, TERMINATED, SeamMonitor
from tb.monitors.wire_headers import ACK, SYN
from tb.peers.headers import Link, Options, Segment, encode_tcp, ip_bytes, mac_bytes

ISS, IRS = 0xFFFF_FF00, 0x1000
NIC, PEER = mac_bytes("02:00:00:00:00:01"), mac_bytes("02:00:00:00:00:02")
OWN, FAR = ip_bytes("10.0.0.1"), ip_bytes("10.0.0.2")
PORT, FAR_PORT = 40_000, 5001
STAMPS = 1000
"""TSval of ours less the tick."""
WINDOW = 8000
SRTT, RTTVAR, RTO = 400 << 3, 100, 500
ESTABLISHED, FIN_WAIT_2 = 4, 6


def timestamps(value: int, echo: int) -> Options:
    """Two NOPs and the timestamps option (RFC 7323, appendix A)."""
    return Options(timestamps=(value, echo), raw=struct.pack("!BBBBII", 1, 1, 8, 10, value % 2**32, echo))


def swapped(port: int) -> int:
    return (port & 0xFF) << 8 | port >> 8


@dataclass
class Story:
    """A connection and its hand-overs. Positions of ours count from ISS + 1, the peer's from IRS + 1."""

    monitor: SeamMonitor = field(default_factory=SeamMonitor)
    tick: int = 0
    state: dict[str, Value] = field(default_factory=dict)

    def feed(self, record: Record) -> None:
        self.monitor.feed(record)

    def frame(
        self, sent: bool, raw: bool, seq: int, ack: int, flags: int, size: int, opts: Options, wnd: int, given: int = 0
    ) -> None:
        ends = (OWN, FAR, PORT, FAR_PORT) if sent else (FAR, OWN, FAR_PORT, PORT)
        link = Link(NIC, PEER) if sent else Link(PEER, NIC)
        data = encode_tcp(Segment(link, *ends, seq % 2**32, ack % 2**32, flags, wnd, 0, opts, bytes(size)))
        self.feed(Frame(0, self.tick, sent=sent, data=data, raw=raw, given=self.tick - given if raw else None))

    def out(
        self,
        at: int,
        size: int = 0,
        *,
        got: int = 0,
        raw: bool = False,
        late: int = 0,
        wnd: int = WINDOW,
        given: int = 0,
    ) -> None:
        """A segment of ours; ``got`` bytes of the peer's are acknowledged.

        ``late``: its clock is so many ticks behind; ``given``: the host gave it away so many ticks before.
        """
        options = timestamps(self.tick + STAMPS - late, 1)
        self.frame(True, raw, ISS + 1 + at, IRS + 1 + got, ACK, size, options, wnd, given)

    def into(self, ack: int, *, at: int = 0, size: int = 0, wnd: int = WINDOW) -> None:
        """A segment of the peer's."""
        self.frame(False, False, IRS + 1 + at, ISS + 1 + ack, ACK, size, timestamps(1, STAMPS), wnd)

    def open(self) -> None:
        """The handshake, without window scaling."""
        stamps = timestamps(self.tick + STAMPS, 0)
        self.frame(True, True, ISS, 0, SYN, 0, stamps, WINDOW)
        self.frame(False, False, IRS, ISS + 1, SYN | ACK, 0, timestamps(1, STAMPS), WINDOW)
        self.out(0, raw=True)

    def _node(self, una: int, nxt: int, top: int, left: int, **changes: int) -> Node:
        state: dict[str, Value] = {
            "state": ESTABLISHED, "snd_una": (ISS + 1 + una) % 2**32, "snd_nxt": (ISS + 1 + nxt) % 2**32,
            "snd_max": (ISS + 1 + top) % 2**32, "snd_wnd": WINDOW, "rcv_nxt": IRS + 1, "rcv_wnd": WINDOW,
            "s_rtt": SRTT, "rtt_var": RTTVAR, "ts_time": self.tick + STAMPS, "dup_ack_count": 0,
            "retransmit_count": 0, "retransmit_timeout_delta": left,
        }  # fmt: skip
        const: dict[str, Value] = {"local_port": swapped(PORT), "remote_port": swapped(FAR_PORT)}
        return Node(1, 9, handle=77, status=0, const=const, delegated=state | changes)

    def call(self, function: str, node: Node) -> None:
        self.feed(Enter(0, self.tick, function=function, tree=Tree(1, {1: node})))

    def down(self, una: int, nxt: int, top: int, left: int = NOT_RUNNING, *, took: int = 0, **changes: int) -> None:
        """The host offloads the connection."""
        node = self._node(una, nxt, top, left, **changes)
        self.call(INITIATE, node)
        self.tick += took
        self.call(INITIATED, node)

    def up(self, una: int, nxt: int, top: int, left: int = NOT_RUNNING, **changes: int) -> None:
        """The target gives it back."""
        self.call(TERMINATED, self._node(una, nxt, top, left, **changes))

    def wait(self, ticks: int) -> None:
        self.tick += ticks
        self.feed(Enter(0, self.tick, function="NdisOffloadTcpSend"))

    def rules_broken(self) -> set[str]:
        self.monitor.finish()
        return {finding.split()[0] for finding in self.monitor.findings}


def started() -> Story:
    """200 bytes are in flight since tick 0, sent by the host."""
    story = Story()
    story.open()
    story.out(0, 200, raw=True)
    return story


def there_and_back(story: Story) -> None:
    story.wait(100)
    story.down(0, 200, 200, RTO - 100)
    story.wait(100)
    story.up(0, 200, 200, RTO - 200)
    story.wait(RTO - 200)
    story.out(0, 200, raw=True)


def acknowledged_there(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.wait(100)
    story.into(200)
    story.out(200, 300)
    story.wait(50)
    story.up(200, 500, 500, RTO - 50)
    story.wait(10)
    story.into(500)
    story.wait(2 * RTO)


def expires_in_the_tick_of_the_hand_over(story: Story) -> None:
    """The host had it for a while, its timer expired, and it goes down before the head leaves."""
    expired_there(story, RTO)


def expired_there(story: Story, at: int, again: int = 2 * RTO) -> None:
    story.down(0, 200, 200, RTO)
    story.wait(100)
    story.up(0, 200, 200, RTO - 100)
    story.wait(at - 100)
    story.down(0, 0, 200, again, retransmit_count=1)
    story.out(0, 200)


def goes_back_to_snd_una(story: Story) -> None:
    """The host's timer had expired: the head is due again without one."""
    story.wait(RTO)
    story.down(0, 0, 200, 2 * RTO, retransmit_count=1)
    story.out(0, 200)
    story.wait(2 * RTO)
    story.out(0, 200)


def probes(story: Story) -> None:
    story.into(200, wnd=0)
    story.wait(100)
    story.down(200, 200, 200, RTO - 100, snd_wnd=0)
    story.wait(RTO - 100)
    story.out(200, 1)


def waits_for_the_peers_fin(story: Story) -> None:
    story.into(200)
    story.wait(100)
    story.down(200, 200, 200, 120_000 - 100, state=FIN_WAIT_2)


def slow_hand_over(story: Story) -> None:
    """The target's clock starts where the hand-over ends: what it shows lies behind by as much."""
    story.into(200)
    story.down(200, 200, 200, took=7)
    story.out(200, late=7)
    story.wait(5)
    story.out(200, late=7)


def nothing_leaves_over_an_invalid_object(story: Story) -> None:
    story.into(200)
    story.down(200, 200, 200)
    story.into(200, size=50)
    story.call(INVALIDATE, Node(2, 6))
    story.up(200, 200, 200, rcv_nxt=IRS + 51, rcv_wnd=WINDOW - 50)


def frames_of_the_host_leave_late(story: Story) -> None:
    story.down(0, 300, 300, RTO)
    story.out(200, 100, raw=True)
    story.out(300, 50)


def fast_retransmit(story: Story) -> None:
    story.down(0, 200, 200, RTO, dup_ack_count=2)
    story.into(0)
    story.out(0, 200)


def waits_in_the_driver(story: Story) -> None:
    """Frames of the host wait for others; its clock was right when it made them."""
    story.wait(10)
    story.out(200, raw=True, late=5, given=5)
    story.out(200, raw=True, late=1, given=1)
    story.down(0, 200, 200, RTO - 10)
    story.wait(10)
    story.out(200, raw=True, late=10, given=10)


RIGHT: list[Callable[[Story], None]] = [
    there_and_back, acknowledged_there, goes_back_to_snd_una, waits_in_the_driver,
    expires_in_the_tick_of_the_hand_over, probes, waits_for_the_peers_fin, slow_hand_over,
    nothing_leaves_over_an_invalid_object, frames_of_the_host_leave_late, fast_retransmit,
]  # fmt: skip


@pytest.mark.parametrize("story", RIGHT, ids=lambda story: story.__name__)
def test_a_hand_over_that_cannot_be_seen_raises_no_alarm(story: Callable[[Story], None]) -> None:
    played = started()
    story(played)
    assert played.rules_broken() == set()
    assert played.monitor.hand_overs > 0


def snd_max_is_short(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.out(200, 100)
    story.up(0, 200, 200, RTO)


def snd_una_runs_ahead(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.up(100, 200, 200, RTO)


def leaves_bytes_out(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.out(300, 50)


def keeps_an_ack(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.into(0, size=50)
    story.up(0, 200, 200, RTO, rcv_nxt=IRS + 51, rcv_wnd=WINDOW - 50)


def takes_the_edge_back(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.out(200, wnd=WINDOW - 1)


def forgets_the_edge(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.up(0, 200, 200, RTO, rcv_wnd=WINDOW + 1)


def clock_jumps(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.wait(10)
    story.out(200, late=2)


def clock_of_the_host_is_behind(story: Story) -> None:
    """The frame left when it was given away."""
    story.wait(10)
    story.out(200, raw=True, late=2)


def clock_of_the_upload_jumps(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.up(0, 200, 200, RTO, ts_time=STAMPS + 2)


def timer_of_nothing(story: Story) -> None:
    story.wait(100)
    story.down(0, 200, 200, RTO - 98)


def timer_starts_anew(story: Story) -> None:
    story.wait(100)
    story.down(0, 200, 200, RTO - 100)
    story.wait(10)
    story.up(0, 200, 200, RTO)


def timer_expires_far_too_early(story: Story) -> None:
    expired_there(story, RTO // 2)


def timer_is_backed_off_twice(story: Story) -> None:
    expired_there(story, RTO, 4 * RTO)


def timer_is_lost(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.up(0, 200, 200)


def expires_late(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.wait(RTO + 2)
    story.out(0, 200)


def expires_early(story: Story) -> None:
    story.down(0, 200, 200, RTO)
    story.wait(RTO - 2)
    story.out(0, 200)


def probe_comes_late(story: Story) -> None:
    story.into(200, wnd=0)
    story.down(200, 200, 200, RTO, snd_wnd=0)
    story.wait(RTO + 2)
    story.out(200, 1)


def fin_wait_2_starts_anew(story: Story) -> None:
    story.into(200)
    story.wait(100)
    story.down(200, 200, 200, 120_000, state=FIN_WAIT_2)


WRONG: list[tuple[str, Callable[[Story], None]]] = [
    ("SEAM-SEQ", snd_max_is_short),
    ("SEAM-SEQ", snd_una_runs_ahead),
    ("SEAM-SEQ", leaves_bytes_out),
    ("SEAM-ACK", keeps_an_ack),
    ("SEAM-EDGE", takes_the_edge_back),
    ("SEAM-EDGE", forgets_the_edge),
    ("SEAM-TS", clock_jumps),
    ("SEAM-TS", clock_of_the_upload_jumps),
    ("SEAM-TS", clock_of_the_host_is_behind),
    ("SEAM-RTO", timer_of_nothing),
    ("SEAM-CARRY", timer_starts_anew),
    ("SEAM-CARRY", timer_expires_far_too_early),
    ("SEAM-CARRY", timer_is_backed_off_twice),
    ("SEAM-CARRY", timer_is_lost),
    ("SEAM-TIMER", expires_late),
    ("SEAM-TIMER", expires_early),
    ("SEAM-TIMER", probe_comes_late),
    ("SEAM-FIN-WAIT-2", fin_wait_2_starts_anew),
]


def named() -> list[object]:
    return [pytest.param(rule, story, id=story.__name__) for rule, story in WRONG]


@pytest.mark.parametrize(("rule", "story"), named())
def test_a_hand_over_that_shows_is_found_by_the_rule_it_breaks(rule: str, story: Callable[[Story], None]) -> None:
    played = started()
    story(played)
    assert played.rules_broken() == {rule}


def test_every_rule_is_broken_by_a_story() -> None:
    assert {rule for rule, _ in WRONG} == set(RULES)
