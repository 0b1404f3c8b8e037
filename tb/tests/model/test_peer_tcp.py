"""The independent TCP peer: against itself over a bad network, and step by step with segments made by hand."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from itertools import pairwise

import pytest

from model.wire.impair import ImpairmentRates, Impairments
from tb.peers.applications import EchoApp, SinkApp, SourceApp
from tb.peers.base import Application
from tb.peers.connection import State, TcpConfig
from tb.peers.headers import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    Arp,
    Link,
    Options,
    Segment,
    decode,
    encode_arp,
    encode_tcp,
    flag_text,
    ip_bytes,
    mac_bytes,
)
from tb.peers.judge import JudgeRules
from tb.peers.pair import End, run_until_idle
from tb.peers.reassembly import Reassembly
from tb.peers.rtt import RetransmitTimeout
from tb.peers.tcp_peer import PeerConfig, PeerError, TcpPeer

BAD_NETWORK = ImpairmentRates(drop=0.02, reorder=0.05, duplicate=0.02, corrupt=0.01, delay_ticks=1)
OWN_MAC, OWN_IP = "02:00:00:00:00:01", "10.0.0.1"
PEER_MAC, PEER_IP = "02:00:00:00:00:02", "10.0.0.2"


# --- two peers -----------------------------------------------------------------------------------------


@dataclass
class Result:
    """What came of a run of two peers."""

    sources: list[SourceApp]
    client: TcpPeer
    server: TcpPeer
    wires: tuple[Impairments, Impairments]
    ticks: int


def echo_run(
    seed: int,
    size: int,
    rates: ImpairmentRates = BAD_NETWORK,
    client: TcpConfig | None = None,
    server: TcpConfig | None = None,
    connections: int = 1,
    backlog: int = 1 << 30,
) -> Result:
    """A client sends `size` random bytes a connection to an echo server and closes when all came back."""
    rules = JudgeRules(damaged_path=rates.corrupt > 0)
    one = TcpPeer(PeerConfig(OWN_MAC, OWN_IP, tcp=client or TcpConfig(initial_sequence=0xFFFFFF00), rules=rules))
    two = TcpPeer(PeerConfig(tcp=server or TcpConfig(), rules=rules), lambda _: EchoApp(backlog))
    wires = Impairments(rates, seed, "there"), Impairments(rates, seed, "back")
    ends = End(one, wires[0]), End(two, wires[1])
    sources: list[SourceApp] = []
    for n in range(connections):
        data = random.Random(f"{seed}/{n}").randbytes(size)
        sources.append(SourceApp(data, close_after=size))
        ends[0].send(one.connect(PEER_IP, 7, 5000 + n, sources[n], 0, PEER_MAC), 0)
    return Result(sources, one, two, wires, run_until_idle(*ends))


def assert_byte_exact(result: Result, seed: int, size: int) -> None:
    expected = [random.Random(f"{seed}/{n}").randbytes(size) for n in range(len(result.sources))]
    assert [bytes(source.received) for source in result.sources] == expected
    at_server = sorted(app.received_sha256 for app in result.server.apps if isinstance(app, EchoApp))
    assert at_server == sorted(hashlib.sha256(data).hexdigest() for data in expected)
    assert result.client.violations == []
    assert result.server.violations == []
    assert {c.state for c in result.client.connections + result.server.connections} == {State.CLOSED}
    assert [c.failure for c in result.client.connections + result.server.connections] == [None] * 2 * len(expected)


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.rule("S53")
def test_a_quarter_mebibyte_crosses_a_bad_network_byte_exact_and_over_the_sequence_wrap(seed: int) -> None:
    result = echo_run(seed, 256 * 1024)
    assert_byte_exact(result, seed, 256 * 1024)
    assert [wire.shortfalls() for wire in result.wires] == [[], []]
    assert sum(wire.counts.dropped for wire in result.wires) > 0
    assert result.server.connections[0].counters.retransmissions > 0
    assert result.server.counters["damaged"] + result.client.counters["damaged"] > 0
    for connection in result.client.connections + result.server.connections:
        assert connection.snd_max > 2**33


VARIANTS = {
    "no timestamps": (TcpConfig(timestamps=False), TcpConfig(), 60_000, 1 << 30),
    "no scaling": (TcpConfig(), TcpConfig(window_scale=None, receive_buffer=20_000), 60_000, 1 << 30),
    "largest scale": (TcpConfig(window_scale=14), TcpConfig(window_scale=14), 60_000, 1 << 30),
    "tiny segments": (TcpConfig(mss=48), TcpConfig(), 8_000, 1 << 30),
    "tiny buffers": (TcpConfig(), TcpConfig(receive_buffer=3_000), 40_000, 1 << 30),
    "slow reader": (TcpConfig(), TcpConfig(receive_buffer=4_000), 40_000, 700),
    "no nagle, every segment acknowledged": (TcpConfig(nagle=False), TcpConfig(ack_every=1), 60_000, 1 << 30),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_of_the_peer_is_byte_exact_over_a_bad_network(name: str) -> None:
    client, server, size, backlog = VARIANTS[name]
    for seed in (1, 2, 3):
        result = echo_run(seed, size, client=client, server=server, backlog=backlog)
        assert_byte_exact(result, seed, size)


def test_a_very_bad_network_is_survived() -> None:
    rates = ImpairmentRates(drop=0.15, reorder=0.2, duplicate=0.1, corrupt=0.05, delay_ticks=3)
    for seed in (1, 2, 3, 4):
        assert_byte_exact(echo_run(seed, 40_000, rates), seed, 40_000)


def test_sixteen_connections_share_one_bad_network_byte_exact() -> None:
    result = echo_run(5, 30_000, connections=16)
    assert_byte_exact(result, 5, 30_000)
    assert len({c.addresses.other_port for c in result.server.connections}) == 16


def test_a_clean_network_needs_no_retransmission_and_no_timeout() -> None:
    result = echo_run(1, 256 * 1024, ImpairmentRates(delay_ticks=2))
    assert_byte_exact(result, 1, 256 * 1024)
    for connection in result.client.connections + result.server.connections:
        counters = connection.counters
        assert (counters.retransmissions, counters.timeouts, counters.out_of_order_in) == (0, 0, 0)


def test_runs_with_one_seed_are_equal() -> None:
    first, second = echo_run(3, 30_000), echo_run(3, 30_000)
    assert first.ticks == second.ticks
    assert first.wires[0].faults == second.wires[0].faults


def both_close(one_app: Application, two_app: Application, seed: int) -> tuple[TcpPeer, TcpPeer]:
    one = TcpPeer(PeerConfig(OWN_MAC, OWN_IP))
    two = TcpPeer(PeerConfig(), lambda _: two_app)
    rates = ImpairmentRates(drop=0.1, delay_ticks=2) if seed else ImpairmentRates(delay_ticks=2)
    ends = End(one, Impairments(rates, seed, "a")), End(two, Impairments(rates, seed, "b"))
    ends[0].send(one.connect(PEER_IP, 7, 5000, one_app, 0, PEER_MAC), 0)
    run_until_idle(*ends)
    return one, two


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.rule("S49", "S50")
def test_both_sides_may_close_at_once_whatever_is_lost(seed: int) -> None:
    apps = SourceApp(b"from one"), SourceApp(b"from two")
    one, two = both_close(*apps, seed)
    assert (bytes(apps[0].received), bytes(apps[1].received)) == (b"from two", b"from one")
    assert [c.failure for c in one.connections + two.connections] == [None, None]
    assert (apps[0].ended, apps[1].ended) == (True, True)
    assert one.violations + two.violations == []


def test_one_side_may_close_and_still_receive() -> None:
    class LateApp(SinkApp):
        def take(self, limit: int) -> bytes:
            if not self.ended or self.sent:
                return b""
            self.sent = True
            return b"after your FIN"

        sent = False

        def wants_close(self) -> bool:
            return self.sent

    source = SourceApp(b"all I have")
    one, two = both_close(source, LateApp(), 0)
    assert bytes(source.received) == b"after your FIN"
    assert one.violations + two.violations == []


# --- one peer, segments by hand ------------------------------------------------------------------------


@dataclass
class Hand:
    """The other side of a connection, played by the test. `seq` and `ack` count from the handshake: 1 = first byte."""

    peer: TcpPeer
    iss: int = 0xFFFFFFF0
    tick: int = 0
    stamp: int | None = 1000
    peer_iss: int = 0
    echo: int = 0

    def raw(self, **fields: object) -> Segment:
        """A segment with defaults: ACK of everything in the handshake, window 65535 (unscaled)."""
        stamp = fields.pop("stamp", self.stamp)
        options = fields.pop("options", None)
        if options is None and isinstance(stamp, int):
            options = b"\x01\x01\x08\x0a" + (stamp % 2**32).to_bytes(4, "big")
            options += self.echo.to_bytes(4, "big")
        assert options is None or isinstance(options, bytes)
        seq, ack = fields.pop("seq", 1), fields.pop("ack", 1)
        assert isinstance(seq, int)
        assert isinstance(ack, int)
        flags, window, payload = fields.pop("flags", ACK), fields.pop("window", 65535), fields.pop("payload", b"")
        assert isinstance(flags, int)
        assert isinstance(window, int)
        assert isinstance(payload, bytes)
        assert not fields
        link = Link(mac_bytes(OWN_MAC), mac_bytes(PEER_MAC))
        return Segment(
            link,
            ip_bytes(OWN_IP),
            ip_bytes(PEER_IP),
            5000,
            7,
            (self.iss + seq) % 2**32,
            (self.peer_iss + ack) % 2**32 if flags & ACK else 0,
            flags,
            window,
            0,
            Options(raw=options or b""),
            payload,
        )

    def send(self, **fields: object) -> list[Segment]:
        """Send one segment, return the answers."""
        return self._take(self.peer.on_frame(encode_tcp(self.raw(**fields)), self.tick))

    def advance(self, ticks: int) -> list[Segment]:
        """Let time pass, timer by timer."""
        end = self.tick + ticks
        out: list[Segment] = []
        while (deadline := self.peer.next_deadline()) is not None and deadline <= end:
            self.tick = max(self.tick, deadline)
            out += self._take(self.peer.on_tick(self.tick))
        self.tick = end
        return out

    def _take(self, frames: list[bytes]) -> list[Segment]:
        out = [decode(frame) for frame in frames]
        segments = [seg for seg in out if isinstance(seg, Segment)]
        assert len(segments) == len(out)
        for seg in segments:
            if seg.options.timestamps is not None:
                self.echo = seg.options.timestamps[0]
        return segments

    def rel(self, seg: Segment) -> tuple[int, int, str, int]:
        """(seq, ack, flags, payload bytes) of an answer, numbers from the handshake."""
        seq = (seg.seq - self.peer_iss + 2**31) % 2**32 - 2**31
        ack = (seg.ack - self.iss + 2**31) % 2**32 - 2**31
        return seq, ack, flag_text(seg.flags), len(seg.payload)

    def open(self, mss: int = 1000, scale: int | None = None, *, sack: bool = False) -> Hand:
        """Do the handshake."""
        options = b"\x02\x04" + mss.to_bytes(2, "big")
        if scale is not None:
            options += bytes((1, 3, 3, scale))
        if sack:
            options += b"\x01\x01\x04\x02"
        if self.stamp is not None:
            options += b"\x01\x01\x08\x0a" + self.stamp.to_bytes(4, "big") + bytes(4)
        (answer,) = self.send(seq=0, flags=SYN, options=options)
        assert flag_text(answer.flags) == "S."
        assert answer.options.sack_permitted == sack
        self.peer_iss = answer.seq
        self.send()
        return self


def hand(app: Application, stamp: int | None = 1000, mss: int = 1000, **tcp: int) -> Hand:
    config = TcpConfig(timestamps=stamp is not None, mss=1460)
    fields = {name: getattr(config, name) for name in config.__slots__}
    peer = TcpPeer(PeerConfig(tcp=TcpConfig(**(fields | tcp))), lambda _: app)
    return Hand(peer, stamp=stamp).open(mss)


@pytest.mark.rule("MUST-16")
def test_segments_are_no_longer_than_the_other_sides_mss_minus_options() -> None:
    h = hand(EchoApp(), mss=1000)
    sizes = [h.rel(seg) for seg in h.send(payload=bytes(1400), flags=ACK | PSH)]
    assert sizes == [(1, 1401, ".", 988)]
    assert [h.rel(seg) for seg in h.send(seq=1401, ack=989)] == [(989, 1401, "P.", 412)]


@pytest.mark.rule("MUST-40", "SHLD-19")
def test_one_segment_is_acknowledged_after_the_delay_and_two_full_ones_at_once() -> None:
    h = hand(SinkApp())
    assert h.send(payload=bytes(988)) == []
    assert h.advance(39) == []
    assert [h.rel(seg) for seg in h.advance(1)] == [(1, 989, ".", 0)]
    assert h.send(seq=989, payload=bytes(988)) == []
    assert [h.rel(seg) for seg in h.send(seq=1977, payload=bytes(988))] == [(1, 2965, ".", 0)]


@pytest.mark.rule("S04")
@pytest.mark.parametrize(("stamp", "most"), [(1000, 3), (None, 4)])
def test_blocks_tell_what_is_held_the_range_that_grew_last_first(stamp: int | None, most: int) -> None:
    """RFC 2018 4: as many as fit beside the timestamps, across the wrap of sequence numbers; no hole, no block."""
    config = TcpConfig(timestamps=stamp is not None)
    h = Hand(TcpPeer(PeerConfig(tcp=config), lambda _: SinkApp()), stamp=stamp).open(sack=True)

    def told(**fields: object) -> list[tuple[int, int]]:
        (answer,) = h.send(**fields)
        return [((left - h.iss) % 2**32, (right - h.iss) % 2**32) for left, right in answer.options.sack_blocks]

    assert told(seq=11, payload=b"b" * 10) == [(11, 21)]
    assert told(seq=31, payload=b"d" * 10) == [(31, 41), (11, 21)]
    assert told(seq=51, payload=b"f" * 10) == [(51, 61), (31, 41), (11, 21)]
    assert told(seq=71, payload=b"h" * 10) == [(71, 81), (51, 61), (31, 41), (11, 21)][:most]
    assert told(seq=21, payload=b"c" * 10) == [(11, 41), (71, 81), (51, 61)]
    assert told(seq=1, payload=b"a" * 10) == [(71, 81), (51, 61)]
    assert told(seq=41, payload=b"x" * 40) == []


@pytest.mark.rule("S04")
def test_without_an_offer_of_the_other_side_no_block_is_sent() -> None:
    h = hand(SinkApp())
    (answer,) = h.send(seq=11, payload=b"b" * 10)
    assert answer.options.sack_blocks == ()


@pytest.mark.rule("S04", "SHLD-31", "MAY-13")
def test_a_hole_gives_duplicate_acks_at_once_and_then_one_ack_for_all() -> None:
    app = SinkApp()
    h = hand(app)
    assert [h.rel(seg) for seg in h.send(seq=11, payload=b"b" * 10)] == [(1, 1, ".", 0)]
    assert [h.rel(seg) for seg in h.send(seq=21, payload=b"c" * 10)] == [(1, 1, ".", 0)]
    assert [h.rel(seg) for seg in h.send(seq=1, payload=b"a" * 10)] == [(1, 31, ".", 0)]
    assert app.received_sha256 == hashlib.sha256(b"a" * 10 + b"b" * 10 + b"c" * 10).hexdigest()


@pytest.mark.rule("S28", "S29", "MUST-18", "MUST-19")
def test_an_unanswered_segment_is_sent_again_after_rto_with_doubled_gaps_head_only() -> None:
    h = hand(SourceApp(b"x" * 3000), stamp=None)
    seen: list[int] = []
    for _ in range(4):
        before = h.tick
        deadline = h.peer.next_deadline()
        assert deadline is not None
        out = h.advance(deadline - before)
        assert [h.rel(seg)[:2] for seg in out] == [(1, 1)]
        seen.append(h.tick)
    gaps = [b - a for a, b in pairwise(seen)]
    assert [later / earlier for earlier, later in pairwise(gaps)] == [2.0, 2.0]


@pytest.mark.rule("S34")
def test_three_duplicate_acks_resend_the_head_once() -> None:
    h = hand(SourceApp(b"x" * 20_000), stamp=None)
    resent: list[tuple[int, int, str, int]] = []
    for n in range(5):
        resent = [h.rel(seg) for seg in h.send() if h.rel(seg)[0] == 1]
        assert bool(resent) == (n == 2), n
    assert h.peer.connections[0].counters.fast_retransmits == 1


@pytest.mark.rule("S34")
def test_with_sack_only_an_acknowledgment_that_tells_of_new_octets_is_a_duplicate() -> None:
    """RFC 6675 2: an answer to a stranger's SYN, a repetition, a duplicate (RFC 2883) tell of no loss."""
    h = Hand(TcpPeer(PeerConfig(tcp=TcpConfig(timestamps=False)), lambda _: SourceApp(b"x" * 20_000)), stamp=None)
    h.open(sack=True)

    def resends(*blocks: tuple[int, int], ack: int = 1) -> bool:
        edges = b"".join(((h.peer_iss + edge) % 2**32).to_bytes(4, "big") for block in blocks for edge in block)
        options = bytes((1, 1, 5, 2 + len(edges))) + edges if blocks else b""
        return any(h.rel(seg)[0] == ack for seg in h.send(ack=ack, options=options))

    assert not any(resends() for _ in range(5))
    assert not any(resends((-999, 1)) for _ in range(5))
    assert not any(resends((1001, 2001)) for _ in range(5))
    assert not resends((1001, 2001), (3001, 4001))
    assert not any(resends((3501, 4001), (1001, 2001)) for _ in range(5))
    assert not any(resends((1_000_001, 1_000_101)) for _ in range(5))
    assert resends((1001, 4001))
    assert h.peer.connections[0].counters.fast_retransmits == 1
    assert h.peer.connections[0].counters.duplicate_acks_in == 3


@pytest.mark.rule("S35", "B07")
def test_a_partial_ack_resends_the_next_hole_and_stays_in_recovery() -> None:
    h = hand(SourceApp(b"x" * 20_000), stamp=None)
    for _ in range(3):
        h.send()
    out = [h.rel(seg)[0] for seg in h.send(ack=1001)]
    assert 1001 in out
    out = [h.rel(seg)[0] for seg in h.send(ack=3001)]
    assert 3001 in out
    assert h.peer.connections[0].counters.timeouts == 0


@pytest.mark.rule("S18", "MUST-36", "SHLD-29", "SHLD-30")
def test_a_closed_window_is_probed_with_growing_gaps_and_reopens() -> None:
    h = hand(EchoApp(), stamp=None)
    h.send(payload=b"0123456789", window=0)
    probes: list[int] = []
    while len(probes) < 4:
        deadline = h.peer.next_deadline()
        assert deadline is not None
        for seg in h.advance(deadline - h.tick):
            if seg.payload:
                assert h.rel(seg)[:2] == (1, 11)
                assert len(seg.payload) == 1
                probes.append(h.tick)
                h.send(seq=11, window=0)
    gaps = [b - a for a, b in pairwise(probes)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > gaps[0]
    out = h.send(seq=11, ack=2, window=1000)
    assert [(h.rel(seg)[0], seg.payload) for seg in out] == [(2, b"123456789")]


@pytest.mark.rule("SHLD-14", "S26", "MUST-39")
def test_a_reader_that_stops_closes_the_window_and_opens_it_only_by_a_good_step() -> None:
    app = SinkApp(read_limit=0)
    h = hand(app, receive_buffer=4000, window_scale=0)
    seq = 1
    for _ in range(4):
        out = h.send(seq=seq, payload=bytes(988))
        seq += 988
    out += h.advance(100)
    assert out[-1].window == 4000 - 4 * 988
    app.read_limit = 100
    assert h.peer.poke(h.tick) == []
    app.read_limit = 3000
    (update,) = h._take(h.peer.poke(h.tick))
    assert update.window == 4000 - 4 * 988 + 3000


@pytest.mark.rule("S43")
def test_a_reset_at_the_expected_number_kills_and_tells_the_application() -> None:
    app = SinkApp()
    h = hand(app)
    assert h.send(flags=RST) == []
    assert h.peer.connections[0].state is State.CLOSED
    assert app.abort_reason == "reset by the other side"


@pytest.mark.rule("S44", "S45", "B12")
def test_a_reset_or_syn_elsewhere_in_the_window_gets_a_challenge_ack() -> None:
    h = hand(SinkApp())
    assert [h.rel(seg) for seg in h.send(seq=2, flags=RST)] == [(1, 1, ".", 0)]
    assert [h.rel(seg) for seg in h.send(seq=5, flags=SYN)] == [(1, 1, ".", 0)]
    assert h.send(seq=0, flags=RST) == []
    assert h.peer.connections[0].state is State.ESTABLISHED


@pytest.mark.rule("S58")
def test_an_older_timestamp_is_dropped_with_an_ack_and_a_missing_one_silently() -> None:
    app = SinkApp()
    h = hand(app)
    assert [h.rel(seg) for seg in h.send(payload=b"old", stamp=999)] == [(1, 1, ".", 0)]
    assert h.send(payload=b"none", options=b"") == []
    assert app.received_bytes == 0
    h.send(payload=b"good", stamp=1001)
    assert app.received_bytes == 4


@pytest.mark.rule("S42", "S50")
def test_a_fin_beyond_a_hole_waits_for_the_hole() -> None:
    app = SinkApp()
    h = hand(app)
    h.send(seq=11, payload=b"b" * 10, flags=ACK | FIN)
    assert not app.ended
    out = h.send(seq=1, payload=b"a" * 10)
    assert app.ended
    assert [h.rel(seg) for seg in out] == [(1, 22, "F.", 0)]


def test_a_late_fin_after_the_end_gets_its_ack_again_and_late_data_silence() -> None:
    h = hand(SinkApp())
    h.send(flags=ACK | FIN)
    h.send(seq=2, ack=2)
    assert h.peer.connections[0].state is State.CLOSED
    assert [h.rel(seg) for seg in h.send(ack=2, flags=ACK | FIN)] == [(2, 2, ".", 0)]
    assert h.send(seq=2, ack=2) == []
    assert h.peer.counters["reset_sent"] == 0


def test_a_segment_of_no_connection_is_answered_by_a_reset() -> None:
    h = Hand(TcpPeer())
    (answer,) = h.send(seq=5, ack=9)
    assert (flag_text(answer.flags), answer.seq) == ("R", 9)
    assert h.send(flags=RST) == []


def test_a_closed_port_refuses_a_connection() -> None:
    h = Hand(TcpPeer(PeerConfig(ports=(80,))))
    (answer,) = h.send(seq=0, flags=SYN)
    assert (flag_text(answer.flags), answer.ack) == ("R.", (h.iss + 1) % 2**32)


def test_arp_requests_for_the_own_address_are_answered_and_others_not() -> None:
    peer = TcpPeer()
    mine = Link(mac_bytes(OWN_MAC), b"\xff" * 6)
    for address, count in ((PEER_IP, 1), ("10.0.0.3", 0)):
        frames = peer.on_frame(encode_arp(mine, 1, (mine.source, ip_bytes(OWN_IP)), (bytes(6), ip_bytes(address))), 0)
        assert len(frames) == count
        for frame in frames:
            reply = decode(frame)
            assert isinstance(reply, Arp)
            assert (reply.operation, reply.sender_mac, reply.sender_ip) == (2, mac_bytes(PEER_MAC), ip_bytes(PEER_IP))


def test_connecting_needs_a_known_mac_address_and_arp_gives_it() -> None:
    one, two = TcpPeer(PeerConfig(OWN_MAC, OWN_IP)), TcpPeer()
    with pytest.raises(PeerError, match="no MAC known"):
        one.connect(PEER_IP, 7, 5000, SinkApp(), 0)
    for frame in one.ask_for(PEER_IP):
        for reply in two.on_frame(frame, 0):
            one.on_frame(reply, 0)
    assert len(one.connect(PEER_IP, 7, 5000, SinkApp(), 0)) == 1


def test_a_frame_for_another_mac_address_is_ignored() -> None:
    h = Hand(TcpPeer(PeerConfig(mac="02:00:00:00:00:09")))
    assert h.send(seq=0, flags=SYN) == []
    assert h.peer.counters["foreign"] == 1


def test_the_window_is_scaled_only_if_both_offered_it() -> None:
    for scale, shift in ((None, 0), (2, 7)):
        h = Hand(TcpPeer(app_factory=lambda _: SinkApp())).open(scale=scale)
        (ack,) = h.send(seq=3, payload=b"x")
        assert ack.window == min(65535, 256 * 1024 >> shift)


def test_the_connection_is_given_up_after_the_configured_retransmissions() -> None:
    app = SourceApp(b"x")
    h = hand(app, max_retransmissions=3)
    h.advance(100_000)
    assert app.abort_reason == "too many retransmissions"
    assert h.peer.next_deadline() is None


# --- parts ---------------------------------------------------------------------------------------------


@pytest.mark.rule("S27", "MUST-18")
def test_rto_follows_the_table_of_rfc_6298() -> None:
    rto = RetransmitTimeout(1000, 1, 60_000)
    assert rto.current == 1000
    rto.sample(100)
    assert rto.current == 100 + 4 * 50
    rto.sample(100)  # RTTVAR = 3/4 * 50 = 37.5
    assert rto.current == 100 + 150
    rto.sample(180)  # SRTT 110; RTTVAR = 3/4 * 37.5 + 80/4 = 48.125, in quarters 150 - 37 + 80
    assert rto.current == 110 + 193
    rto.back_off()
    assert rto.current == 2 * 303
    rto.reset_backoff()
    assert rto.current == 303


def test_rto_keeps_its_bounds() -> None:
    rto = RetransmitTimeout(1000, 300, 4000)
    rto.sample(1)
    assert rto.current == 300
    for _ in range(6):
        rto.back_off()
    assert rto.current == 4000


@pytest.mark.rule("S05", "S54")
def test_every_order_and_overlap_of_pieces_gives_the_stream_once() -> None:
    data = bytes(range(200))
    rng = random.Random(7)
    for _ in range(200):
        store, position, out = Reassembly(), 0, b""
        while position < len(data):
            left = rng.randrange(len(data))
            store.add(max(left, 0), data[left : left + rng.randrange(1, 60)])
            piece = store.take(position)
            out += piece
            position += len(piece)
        assert out == data
