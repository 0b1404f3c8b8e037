"""The host stack's software TCP against the independent peer: open, hand over, take back, finish."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from model.ndis.enums import TcpConnectionState as State
from model.ndis.enums import TcpConstFlags
from model.ndis.framing import Endpoint, Segment, decode, encode
from model.ndis.hoststack import HostStack, Phase, StackConnection, StackError
from model.ndis.offload_state import NOT_RUNNING, Retransmit, TcpDelegated, structure_port
from model.ndis.soft_tcp import RttEstimator, SoftTcpConfig, SoftTcpError
from model.wire.frame import TcpFlag
from tb.peers.applications import EchoApp
from tb.peers.connection import TcpConfig
from tb.peers.tcp_peer import PeerConfig, TcpPeer
from tb.tests.model.ndis_bench import HOST_IP, HOST_MAC, PEER


class Link:
    """Host stack and peer joined by a wire that can lose frames."""

    def __init__(self, seed: int = 1, loss: float = 0.0) -> None:
        self.stack = HostStack(HOST_MAC, HOST_IP, self._from_host, first_ip_id=0x7FF0)
        self.peer = TcpPeer(PeerConfig(mac="02:00:00:00:00:02", ip="10.0.0.2"), lambda _: EchoApp())
        self.tick = 0
        self.cut = False
        self.sent: list[bytes] = []
        self.rng = random.Random(seed)
        self.loss = loss
        self._to_peer: list[bytes] = []
        self._to_host: list[bytes] = []

    def _lost(self) -> bool:
        return self.cut or self.rng.random() < self.loss

    def _from_host(self, frame: bytes) -> None:
        self.sent.append(frame)
        if not self._lost():
            self._to_peer.append(frame)

    def _from_peer(self, frames: list[bytes]) -> None:
        self._to_host += [frame for frame in frames if not self._lost()]

    def run(self, ticks: int = 100_000) -> None:
        """Run until nothing is under way and no timer is due within ``ticks``."""
        limit = self.tick + ticks
        while True:
            to_peer, self._to_peer = self._to_peer, []
            to_host, self._to_host = self._to_host, []
            for frame in to_peer:
                self._from_peer(self.peer.on_frame(frame, self.tick))
            for frame in to_host:
                self.stack.on_raw(frame, self.tick)
            if to_peer or to_host or self._to_peer or self._to_host:
                self.tick += 1
                continue
            due = [d for d in (self.stack.next_deadline(), self.peer.next_deadline()) if d is not None]
            if not due or min(due) > limit:
                return
            self.tick = max(self.tick, min(due))
            self.stack.on_tick(self.tick)
            self._from_peer(self.peer.on_tick(self.tick))

    def open(self, **changes: object) -> StackConnection:
        config = replace(
            SoftTcpConfig(initial_seq=0xFFFF_FF00, initial_ts=0xFFFF_FFF0),
            **changes,  # type: ignore[arg-type]
        )
        connection = self.stack.connect(PEER, 4000, config, self.tick)
        self.run(ticks=0)
        return connection


def echo(link: Link, connection: StackConnection, size: int) -> tuple[bytes, bytes]:
    data = random.Random(7).randbytes(size)
    connection.tcp.send(data, link.tick)
    link.run(ticks=50_000)
    return data, connection.tcp.take_received()


@pytest.mark.parametrize(("offered", "answered"), [(True, True), (True, False), (False, True)])
def test_sack_is_agreed_on_if_both_offer_it_and_handed_over(offered: bool, answered: bool) -> None:
    link = Link()
    link.peer = TcpPeer(PeerConfig(tcp=TcpConfig(sack=answered)), lambda _: EchoApp())
    connection = link.open(sack=offered)
    syn = decode(link.sent[0])
    assert syn is not None
    assert syn.sack_permitted == offered
    both = offered and answered
    flags = link.stack.export(connection, link.tick).const.flags
    assert bool(flags & TcpConstFlags.SACK_ENABLED) == both


@pytest.mark.rule("N-1", "B-3")
@pytest.mark.parametrize(("offered", "answered"), [(True, True), (True, False), (False, True)])
def test_ecn_is_agreed_on_if_both_offer_it_and_handed_over(offered: bool, answered: bool) -> None:
    """RFC 3168 6.1.1: a SYN with ECE and CWR, answered by one with ECE alone; no SYN is ECT."""
    link = Link()
    link.peer = TcpPeer(PeerConfig(tcp=TcpConfig(ecn=answered)), lambda _: EchoApp())
    connection = link.open(ecn=offered)
    syn = decode(link.sent[0])
    assert syn is not None
    assert (syn.flags, syn.tos) == (TcpFlag.SYN | (TcpFlag.ECE | TcpFlag.CWR if offered else TcpFlag(0)), 0)
    both = offered and answered
    assert connection.tcp.ecn.enabled == both
    flags = link.stack.export(connection, link.tick).const.flags
    assert bool(flags & TcpConstFlags.ECN_ENABLED) == both


@pytest.mark.rule("Q-1", "B-3")
@pytest.mark.parametrize("asked", [False, True])
def test_cubic_is_asked_of_the_target_alone(asked: bool) -> None:
    """RFC 9438 needs no agreement: the wire shows nothing of it, the peer has no say."""
    link, plain = Link(), Link()
    connection = link.open(cubic=asked)
    plain.open()
    assert link.sent == plain.sent
    flags = link.stack.export(connection, link.tick).const.flags
    assert bool(flags & TcpConstFlags.CUBIC_ENABLED) == asked


def test_the_syn_offers_mss_window_scale_and_timestamps() -> None:
    link = Link()
    connection = link.open(initial_rcv_wnd=1 << 20)
    syn = decode(link.sent[0])

    assert syn is not None
    assert (syn.flags, syn.seq, syn.mss, syn.window_scale) == (TcpFlag.SYN, 0xFFFF_FF00, 1460, 5)
    assert syn.ts == (0xFFFF_FFF0, 0)
    assert connection.tcp.state is State.ESTABLISHED


@pytest.mark.rule("CH-116")
def test_ip_identifications_of_the_host_stay_in_the_lower_half() -> None:
    link = Link()
    connection = link.open()
    echo(link, connection, 60_000)
    ids = [segment.ip_id for frame in link.sent if (segment := decode(frame)) is not None]

    assert len(ids) > 32
    assert max(ids) <= 0x7FFF
    assert 0 in ids


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_bytes_come_back_unchanged_across_the_sequence_wrap(loss: float) -> None:
    link = Link(seed=3, loss=loss)
    connection = link.open()
    data, received = echo(link, connection, 200_000)

    assert received == data
    assert link.peer.violations == []


def test_a_graceful_close_ends_in_time_wait_and_then_closed() -> None:
    link = Link()
    connection = link.open(time_wait=8_000)
    connection.tcp.close(link.tick)
    link.run(ticks=1000)
    assert connection.tcp.state is State.TIME_WAIT
    link.run()

    assert connection.tcp.ended
    assert connection.tcp.failure == ""
    assert link.peer.idle()


def test_a_fin_retransmitted_late_is_acknowledged_in_time_wait() -> None:
    link = Link()
    connection = link.open()
    link.stack.on_tick(link.tick)
    connection.tcp.close(link.tick)
    link.run(ticks=0)
    fin = next(s for f in reversed(link.sent) if (s := decode(f)) is not None)
    before = len(link.sent)
    late = replace(
        fin,
        source=fin.destination,
        destination=fin.source,
        seq=(fin.ack - 1) & 0xFFFF_FFFF,
        ack=connection.tcp.snd_nxt,
        flags=TcpFlag.FIN | TcpFlag.ACK,
    )
    connection.tcp.on_segment(late, link.tick + 10)

    assert connection.tcp.state is State.TIME_WAIT
    answer = decode(link.sent[before])
    assert answer is not None
    assert answer.ack == connection.tcp.rcv_nxt


@pytest.mark.rule("CH-060", "CH-079")
def test_the_exported_state_describes_a_fresh_connection() -> None:
    link = Link()
    connection = link.open()
    exported = link.stack.export(connection, link.tick)
    state = exported.delegated

    assert state.state is State.ESTABLISHED
    assert (state.snd_una, state.snd_nxt, state.snd_max) == (0xFFFF_FF01,) * 3
    assert state.retransmit.timeout_delta == NOT_RUNNING
    assert state.ts_time == (0xFFFF_FFF0 + link.tick) & 0xFFFF_FFFF
    assert structure_port(exported.const.remote_port) == 7
    assert exported.const.flags & TcpConstFlags.TIMESTAMP_ENABLED
    assert (exported.send_data, exported.received_data) == (b"", b"")
    with pytest.raises(StackError):
        link.stack.export(connection, link.tick)


def bounce(link: Link, connection: StackConnection, fin: bool = False) -> TcpDelegated:
    """Export and import at once: the state alone must carry the connection."""
    exported = link.stack.export(connection, link.tick)
    link.stack.offloaded(connection)
    for name in ("snd_nxt", "rcv_nxt", "snd_una", "ts_delta", "cwnd"):
        setattr(connection.tcp, name, 0x5A5A)
    link.stack.uploading(connection)
    link.stack.uploaded(connection, exported.delegated, exported.send_data, fin, link.tick)
    return exported.delegated


@pytest.mark.rule("CH-224", "CH-251")
@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_connection_survives_hand_overs_in_mid_stream_byte_exact(loss: float) -> None:
    link = Link(seed=5, loss=loss)
    connection = link.open()
    data = random.Random(9).randbytes(120_000)
    received = bytearray()
    for start in range(0, len(data), 20_000):
        connection.tcp.send(data[start : start + 20_000], link.tick)
        received += connection.tcp.take_received()
        bounce(link, connection)
    link.run(ticks=60_000)
    received += connection.tcp.take_received()

    assert bytes(received) == data
    assert link.peer.violations == []


@pytest.mark.rule("CH-066")
def test_an_uploaded_timer_that_expired_fires_at_once() -> None:
    link = Link()
    connection = link.open()
    link.cut = True
    connection.tcp.send(b"x" * 100, link.tick)
    state = replace(bounce(link, connection), retransmit=Retransmit(1, 0))
    connection.phase = Phase.UPLOADING
    link.stack.uploaded(connection, state, b"x" * 100, False, link.tick)

    assert link.stack.next_deadline() == link.tick
    link.cut = False
    link.stack.on_tick(link.tick)
    link.run(ticks=5000)
    assert connection.tcp.take_received() == b"x" * 100


@pytest.mark.rule("CH-066")
def test_an_uploaded_timer_runs_for_its_remaining_ticks() -> None:
    link = Link()
    connection = link.open()
    link.cut = True
    connection.tcp.send(b"x", link.tick)
    state = replace(bounce(link, connection), retransmit=Retransmit(0, 123))
    connection.phase = Phase.UPLOADING
    link.stack.uploaded(connection, state, b"x", False, link.tick)

    assert link.stack.next_deadline() == link.tick + 123


@pytest.mark.rule("CH-239", "G-21")
def test_an_uploaded_fin_in_flight_is_retransmitted_until_acknowledged() -> None:
    link = Link()
    connection = link.open()
    link.cut = True
    connection.tcp.send(b"last words", link.tick)
    connection.tcp.close(link.tick)
    exported = connection.tcp.snapshot(link.tick)
    assert exported.state is State.FIN_WAIT_1
    assert exported.snd_max == (exported.snd_una + 11) & 0xFFFF_FFFF
    connection.phase = Phase.UPLOADING
    link.stack.uploaded(connection, exported, b"last words", True, link.tick)
    link.cut = False
    link.run()

    assert connection.tcp.ended
    assert connection.tcp.failure == ""
    assert connection.tcp.take_received() == b"last words"


@pytest.mark.rule("CH-179", "G-21")
def test_vector_a7_a_disconnect_cut_short_by_an_upload_goes_on_behind_its_acknowledged_bytes() -> None:
    link = Link()
    connection = link.open()
    link.cut = True
    data = random.Random(7).randbytes(400)  # S: 300 bytes, D: the last 100
    connection.tcp.send(data, link.tick)
    connection.tcp.close(link.tick)
    start = connection.tcp.snd_una
    uploaded = replace(connection.tcp.snapshot(link.tick), snd_una=(start + 340) & 0xFFFF_FFFF)
    assert uploaded.snd_max == (start + 401) & 0xFFFF_FFFF
    connection.phase = Phase.UPLOADING
    link.stack.uploaded(connection, replace(uploaded, retransmit=Retransmit(0, 0)), data[340:], True, link.tick)
    before = len(link.sent)
    link.stack.on_tick(link.tick)
    again = decode(link.sent[before])

    assert again is not None
    assert (again.seq, again.payload) == (uploaded.snd_una, data[340:])
    assert TcpFlag.FIN in again.flags
    assert connection.tcp.state is State.FIN_WAIT_1


@pytest.mark.rule("G-18", "CH-239")
def test_an_upload_that_lost_unacknowledged_bytes_is_refused() -> None:
    link = Link()
    connection = link.open()
    link.cut = True
    connection.tcp.send(b"x" * 100, link.tick)
    state = connection.tcp.snapshot(link.tick)

    with pytest.raises(SoftTcpError, match="G-18"):
        connection.tcp.restore(state, b"x" * 99, False, link.tick)


def test_segments_that_come_up_during_an_upload_are_processed_after_it() -> None:
    link = Link()
    connection = link.open()
    exported = link.stack.export(connection, link.tick)
    link.stack.offloaded(connection)
    link.stack.uploading(connection)
    tcp = connection.tcp
    answer = next(s for f in link.sent if (s := decode(f)) is not None)
    segment = replace(
        answer,
        source=tcp.remote,
        destination=tcp.local,
        seq=tcp.rcv_nxt,
        ack=tcp.snd_nxt,
        flags=TcpFlag.ACK,
        window=1000,
        payload=b"early",
        mss=None,
        window_scale=None,
        ts=(tcp.ts_recent, 0),
    )
    connection.waiting.append(segment)
    assert tcp.take_received() == b""
    link.stack.uploaded(connection, exported.delegated, b"", False, link.tick)

    assert tcp.take_received() == b"early"


@pytest.mark.rule("CH-166")
def test_a_segment_that_comes_up_although_its_connection_is_offloaded_goes_down_as_a_forward() -> None:
    link = Link()
    connection = link.open()
    connection.tcp.send(b"x", link.tick)
    link.stack.offloaded(connection)
    tcp = connection.tcp
    late = Segment(
        tcp.remote, tcp.local, seq=tcp.rcv_nxt, ack=tcp.snd_nxt, flags=TcpFlag.ACK | TcpFlag.PSH, window=1000,
        payload=b"late", ts=(tcp.ts_recent, 0),
    )  # fmt: skip
    link.stack.on_raw(encode(late), link.tick)
    forwarded = link.stack.to_forward(connection)
    assert [raw[-4:] for raw in forwarded] == [b"late"]
    assert not link.stack.to_forward(connection)


def test_a_segment_without_a_connection_is_answered_by_a_reset() -> None:
    link = Link()
    connection = link.open()
    stray = decode(link.sent[-1])
    assert stray is not None
    frame = encode(replace(stray, source=PEER, destination=replace(stray.source, port=9999)))
    before = len(link.sent)
    link.stack.on_raw(frame, link.tick)
    answer = decode(link.sent[before])

    assert answer is not None
    assert answer.flags == TcpFlag.RST
    assert connection.tcp.state is State.ESTABLISHED


def test_a_zero_window_is_probed_until_it_opens() -> None:
    link = Link()
    connection = link.open()
    tcp = connection.tcp
    tcp.snd_wnd = 0
    tcp.send(b"stuck", link.tick)
    assert tcp.snd_max == tcp.snd_una

    link.run(ticks=20_000)

    assert tcp.take_received() == b"stuck"


def from_peer(connection: StackConnection, flags: TcpFlag, payload: bytes = b"", **changes: int) -> Segment:
    tcp = connection.tcp
    segment = Segment(tcp.remote, tcp.local, tcp.rcv_nxt, tcp.snd_max, flags, 1000, payload, ts=(tcp.ts_recent, 0))
    return replace(segment, **changes)  # type: ignore[arg-type]


def test_a_peer_that_closes_first_leads_through_close_wait_and_last_ack() -> None:
    link = Link()
    connection = link.open()
    link.cut = True
    connection.tcp.on_segment(from_peer(connection, TcpFlag.ACK | TcpFlag.FIN), link.tick)
    assert connection.tcp.state is State.CLOSE_WAIT
    connection.tcp.close(link.tick)
    assert connection.tcp.state.name == "LAST_ACK"
    connection.tcp.on_segment(from_peer(connection, TcpFlag.ACK), link.tick)

    assert connection.tcp.ended
    assert connection.tcp.failure == ""


def test_a_simultaneous_close_goes_through_closing_to_time_wait() -> None:
    link = Link()
    connection = link.open()
    link.cut = True
    connection.tcp.close(link.tick)
    una = connection.tcp.snd_una
    connection.tcp.on_segment(from_peer(connection, TcpFlag.ACK | TcpFlag.FIN, ack=una), link.tick)
    assert connection.tcp.state is State.CLOSING
    connection.tcp.on_segment(from_peer(connection, TcpFlag.ACK), link.tick)

    assert connection.tcp.state.name == "TIME_WAIT"


def test_only_a_reset_at_the_expected_sequence_number_aborts() -> None:
    link = Link()
    connection = link.open()
    before = len(link.sent)
    connection.tcp.on_segment(from_peer(connection, TcpFlag.RST, seq=connection.tcp.rcv_nxt + 5), link.tick)
    assert connection.tcp.state is State.ESTABLISHED
    assert len(link.sent) == before + 1
    connection.tcp.on_segment(from_peer(connection, TcpFlag.RST, seq=connection.tcp.rcv_adv + 5), link.tick)
    assert len(link.sent) == before + 1
    connection.tcp.on_segment(from_peer(connection, TcpFlag.RST), link.tick)

    assert connection.tcp.aborted


def test_a_reset_in_time_wait_is_ignored() -> None:
    """RFC 1337, fix F1: a peer that has closed answers the ACK of a late segment so."""
    link = Link()
    connection = link.open()
    connection.tcp.close(link.tick)
    link.run(ticks=1000)
    assert connection.tcp.state is State.TIME_WAIT
    connection.tcp.on_segment(from_peer(connection, TcpFlag.RST), link.tick)

    assert connection.tcp.state is State.TIME_WAIT
    assert (connection.tcp.aborted, connection.tcp.failure) == (False, "")


def test_a_segment_with_an_old_timestamp_or_a_future_ack_is_answered_and_dropped() -> None:
    link = Link()
    connection = link.open()
    tcp = connection.tcp
    old = replace(from_peer(connection, TcpFlag.ACK, b"old"), ts=((tcp.ts_recent - 1) & 0xFFFF_FFFF, 0))
    future = from_peer(connection, TcpFlag.ACK, b"future", ack=tcp.snd_max + 1)
    for segment in (old, future):
        before = len(link.sent)
        tcp.on_segment(segment, link.tick)
        assert len(link.sent) == before + 1
        assert tcp.take_received() == b""


@pytest.mark.rule("hostport 7")
@pytest.mark.parametrize(
    ("scaling", "wanted", "exported"),
    [(False, 256 * 1024, 65_535), (False, 30_000, 30_000), (True, 262_143, 262_140), (True, 262_140, 262_140)],
)
def test_an_exported_window_is_one_that_its_field_can_say(scaling: bool, wanted: int, exported: int) -> None:
    link = Link()
    connection = link.open(window_scaling=scaling, initial_rcv_wnd=wanted)
    state = link.stack.export(connection, link.tick)
    assert state.cached.initial_rcv_wnd == exported
    assert state.delegated.rcv_wnd <= exported
    assert state.const.rcv_wind_scale == (2 if scaling else 0)


def test_data_without_timestamps_and_scaling_flows_too() -> None:
    link = Link(seed=4, loss=0.03)
    connection = link.open(timestamps=False, window_scaling=False, initial_rcv_wnd=30_000)
    data, received = echo(link, connection, 25_000)

    assert received == data
    assert connection.tcp.rtt.s_rtt > 0
    assert link.peer.violations == []


def test_rtt_estimation_keeps_the_ndis_scaling() -> None:
    estimator = RttEstimator()
    estimator.sample(100)
    assert (estimator.s_rtt, estimator.rtt_var) == (800, 200)
    estimator.sample(60)
    assert (estimator.s_rtt, estimator.rtt_var) == (760, 190)
    config = SoftTcpConfig(rto_min=200)
    assert estimator.rto(config, 0) == 95 + 190
    assert estimator.rto(config, 2) == 4 * (95 + 190)
    estimator.sample(1 << 20)
    assert estimator.s_rtt == 0xFFFF


def test_a_bare_ack_from_before_the_upload_is_not_answered_and_data_is() -> None:
    """What came up while the initiate ran and is older than the upload: RFC 9293 3.10.7.4 asks for data only."""
    for payload, answers in ((b"", 0), (b"old", 1)):
        link = Link()
        connection = link.open()
        state = connection.tcp.snapshot(link.tick)
        old = Segment(
            connection.tcp.remote, connection.tcp.local, seq=(state.rcv_nxt - 5) & 0xFFFF_FFFF, ack=state.snd_una,
            flags=TcpFlag.ACK, window=100, payload=payload, ts=(state.ts_recent, state.ts_time & 0xFFFF_FFFF),
        )  # fmt: skip
        connection.waiting.append(old)
        connection.phase = Phase.UPLOADING
        before = len(link.sent)
        link.stack.uploaded(connection, state, b"", False, link.tick)
        assert len(link.sent) - before == answers


def test_a_passive_open_answers_the_syn_and_is_established_by_the_acknowledgment() -> None:
    """RFC 9293 3.10.7.2, 3.10.7.4; RFC 7323 2.2, 3.2: options only as the SYN allows them."""
    sent: list[bytes] = []
    stack = HostStack(HOST_MAC, HOST_IP, sent.append)
    opened: list[StackConnection] = []
    stack.listen(80, SoftTcpConfig(initial_seq=0xFFFF_FFFF), opened.append)
    ends = (Endpoint(PEER.mac, PEER.ip, 4000), Endpoint(HOST_MAC, HOST_IP, 80))
    syn = Segment(*ends, seq=99, ack=0, flags=TcpFlag.SYN, window=1000, mss=1000, window_scale=3)
    for _ in range(2):  # the second one is answered again
        stack.on_raw(encode(syn), 1)
        answer = decode(sent[-1])
        assert answer is not None
        assert (answer.seq, answer.ack, answer.flags) == (0xFFFF_FFFF, 100, TcpFlag.SYN | TcpFlag.ACK)
        assert answer.ts is None
        assert answer.window_scale is not None
    assert len(opened) == 1
    stack.on_tick(5000)
    assert len(sent) == 3
    tcp = opened[0].tcp
    stack.on_raw(encode(Segment(*ends, seq=100, ack=5, flags=TcpFlag.ACK, window=500)), 5001)
    assert tcp.state.name == "SYN_RCVD"
    stack.on_raw(encode(Segment(*ends, seq=100, ack=0, flags=TcpFlag.ACK, window=500, payload=b"hello")), 5002)
    assert tcp.state.name == "ESTABLISHED"
    assert (tcp.snd_una, tcp.snd_wnd, tcp.remote_mss, tcp.take_received()) == (0, 4000, 1000, b"hello")
