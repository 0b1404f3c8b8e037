"""The judge inside the peer: each rule is seen to be broken once, and right traffic breaks none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tb.peers.applications import BaseApp, EchoApp, SinkApp
from tb.peers.connection import TcpConfig
from tb.peers.headers import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    URG,
    Link,
    Options,
    Segment,
    decode,
    encode_tcp,
    ip_bytes,
    mac_bytes,
)
from tb.peers.judge import JudgeRules, OfferedWindows, StreamRecord
from tb.peers.tcp_peer import PeerConfig, TcpPeer

ISS = 0xFFFFFFF0
OWN = (mac_bytes("02:00:00:00:00:01"), ip_bytes("10.0.0.1"))
PEER = (mac_bytes("02:00:00:00:00:02"), ip_bytes("10.0.0.2"))
MSS = 500


class DeafApp(BaseApp):
    """Reads nothing and has two full segments to say."""

    def __init__(self) -> None:
        super().__init__()
        self._left = bytes(2 * (MSS - 12))

    def room(self) -> int:
        return 0

    def take(self, limit: int) -> bytes:
        taken, self._left = self._left[:limit], self._left[limit:]
        return taken


class HastyApp(BaseApp):
    """Closes at once."""

    def wants_close(self) -> bool:
        return True


class Sender:
    """A connection to a fresh peer with timestamps; `make` gives right segments that a test then spoils."""

    def __init__(
        self,
        rules: JudgeRules | None = None,
        vlan: int | None = None,
        *,
        sack: bool = False,
        app: Callable[[], BaseApp] = lambda: SinkApp(read_limit=0),
    ) -> None:
        """Does the handshake; both windows are scaled: the peer's by 0, ours by 2."""
        tcp = TcpConfig(mss=MSS, receive_buffer=4000, window_scale=0)
        self.peer = TcpPeer(PeerConfig(tcp=tcp, rules=rules or JudgeRules()), lambda _: app())
        self.link = Link(OWN[0], PEER[0], vlan)
        self._peer_iss = 0
        self._echo = 0
        self._now = 0
        permitted = b"\x01\x01\x04\x02" if sack else b""
        syn = replace(
            self.make(seq=0, flags=SYN),
            options=Options(raw=b"\x02\x04\x05\xb4\x03\x03\x02\x01" + permitted + self.stamp()),
        )
        self.send(syn)
        self.send(self.make())
        assert self.violations == []

    @property
    def violations(self) -> list[str]:
        return [line.split(":")[0] for line in self.peer.violations]

    def stamp(self, value: int = 5000) -> bytes:
        return b"\x01\x01\x08\x0a" + value.to_bytes(4, "big") + self._echo.to_bytes(4, "big")

    def make(
        self, seq: int = 1, ack: int = 1, payload: bytes = b"", flags: int = ACK, window: int = 1000, stamp: int = 5000
    ) -> Segment:
        return Segment(
            self.link,
            OWN[1],
            PEER[1],
            5000,
            7,
            (ISS + seq) % 2**32,
            (self._peer_iss + ack) % 2**32 if flags & ACK else 0,
            flags,
            window,
            0,
            Options(raw=self.stamp(stamp)),
            payload,
            ip_id=0x8000,
        )

    def send(self, seg: Segment) -> None:
        self.send_bytes(encode_tcp(seg))

    def send_bytes(self, frame: bytes) -> None:
        self._look_at(self.peer.on_frame(frame, self._now))

    def wait(self, ticks: int) -> Segment:
        """The last of the segments that the peer sends when this time is over."""
        self._now += ticks
        last = self._look_at(self.peer.on_tick(self._now))
        assert last is not None
        return last

    def _look_at(self, frames: list[bytes]) -> Segment | None:
        seg: Segment | None = None
        for frame in frames:
            decoded = decode(frame)
            assert isinstance(decoded, Segment)
            seg = decoded
            if seg.flags & SYN:
                self._peer_iss = seg.seq
            if seg.options.timestamps:
                self._echo = seg.options.timestamps[0]
        return seg


def with_ip(frame: bytes, at: int, value: bytes) -> bytes:
    """Change IP header bytes and make its checksum right again."""
    header = bytearray(frame[14:34])
    header[at : at + len(value)] = value
    header[10:12] = bytes(2)
    total = int.from_bytes(header, "big") % 0xFFFF
    header[10:12] = (0xFFFF - total).to_bytes(2, "big")
    return frame[:14] + bytes(header) + frame[34:]


def test_right_segments_break_no_rule() -> None:
    s = Sender()
    s.send(s.make(payload=bytes(488)))
    s.send(s.make(seq=489, payload=bytes(488), flags=ACK | PSH, stamp=5001))
    s.send(s.make(seq=1, payload=bytes(488), stamp=5002))
    s.send(s.make(seq=977, payload=b"end", flags=ACK | FIN, stamp=5002))
    s.send(s.make(seq=980, payload=b"", flags=ACK | FIN, stamp=5003))
    assert s.peer.violations == []


@pytest.mark.rule("MUST-2")
def test_a_wrong_checksum_is_a_violation_unless_the_path_damages() -> None:
    for rules, expected in ((JudgeRules(), ["MUST-2", "MUST-2"]), (JudgeRules(damaged_path=True), [])):
        s = Sender(rules)
        frame = bytearray(encode_tcp(s.make(payload=b"abcd")))
        frame[69] ^= 1
        s.send_bytes(bytes(frame))
        frame[69] ^= 1
        frame[22] ^= 1
        s.send_bytes(bytes(frame))
        assert s.violations == expected
        assert s.peer.counters["damaged"] == 2


def test_a_frame_longer_than_its_packet_and_padding_that_is_not_zero_are_violations() -> None:
    s = Sender()
    s.send_bytes(encode_tcp(s.make(payload=bytes(50))) + b"\0")
    assert s.violations == ["rfc791 3.1"]
    s = Sender()
    s.send_bytes(encode_tcp(s.make(payload=bytes(50)))[:-1])
    assert s.violations == ["MUST-2"]


def test_df_must_be_set() -> None:
    s = Sender()
    s.send_bytes(with_ip(encode_tcp(s.make()), 6, b"\x00\x00"))
    assert s.violations == ["rfc1191 3"]


@pytest.mark.parametrize(
    ("rule", "payload", "broken"),
    [("off", b"x", False), ("data", b"x", True), ("data", b"", False), ("all", b"", True)],
)
def test_ip_identification_is_judged_as_the_test_says(rule: str, payload: bytes, broken: bool) -> None:
    s = Sender()
    s.peer.set_offloaded_ids(rule)
    s.send(replace(s.make(payload=payload), ip_id=0x7FFF))
    assert s.violations == (["ip-id"] if broken else [])
    s.send(replace(s.make(payload=payload), ip_id=0xFFFF))
    assert len(s.violations) == broken


@pytest.mark.rule("MUST-69", "MUST-68")
def test_option_padding_and_lengths_are_judged() -> None:
    s = Sender()
    s.send(replace(s.make(), options=Options(raw=s.stamp()[2:] + b"\0\x01")))
    assert s.violations == ["MUST-69"]
    s.send(replace(s.make(), options=Options(raw=s.stamp() + b"\xfd\x09\0\0")))
    assert s.violations == ["MUST-69", "MUST-68"]


@pytest.mark.rule("MUST-16", "B22")
def test_payload_beyond_the_mss_minus_options_is_a_violation() -> None:
    s = Sender()
    s.send(s.make(payload=bytes(489)))
    assert s.violations == ["MUST-16"]


@pytest.mark.rule("SHLD-15")
def test_data_beyond_the_advertised_edge_is_a_violation_but_not_a_probe_of_one_byte() -> None:
    s = Sender()
    for n in range(8):
        s.send(s.make(seq=1 + 488 * n, payload=bytes(488)))
    s.send(s.make(seq=3905, payload=bytes(96)))
    s.send(s.make(seq=4001, payload=b"p"))
    assert s.violations == []
    s.send(s.make(seq=4001, payload=b"pq"))
    assert s.violations == ["SHLD-15"]


@pytest.mark.rule("SHLD-15", "B04")
def test_the_ack_of_a_repeated_segment_leaves_the_window_of_a_newer_one_behind_it() -> None:
    """RFC 9293 3.10.7.4: SND.UNA moves on, SND.WND stays, for the segment is older than SND.WL1."""
    s = Sender(app=DeafApp)  # its two segments offer 4000 bytes behind ACK 1
    for n in range(4):
        s.send(s.make(seq=1 + 488 * n, payload=bytes(488)))  # the ACKs of these are lost
    repeated, expected = s.wait(10_000), s.make(seq=1953, ack=1)
    assert (repeated.seq, repeated.ack, repeated.window) == (expected.ack, expected.seq, 2048), "the first of the two"
    for n in range(4, 12):
        s.send(s.make(seq=1 + 488 * n, payload=bytes(488)))
    s.send(s.make(seq=5857, payload=bytes(96)))
    assert s.violations == []
    s.send(s.make(seq=5953, payload=bytes(2)))
    assert s.violations == ["SHLD-15"]


@pytest.mark.rule("SHLD-15")
def test_a_window_that_an_equally_new_segment_took_back_counts_from_its_own_ack() -> None:
    told = OfferedWindows()
    told.tell(seq=500, ack=1, window=4000, una=1)
    told.tell(seq=500, ack=1001, window=2000, una=1)
    assert told.edge == 4001
    told.tell(seq=400, ack=1501, window=1500, una=1)
    assert told.edge == 5501, "the first window may be the last that counted"
    told.tell(seq=900, ack=1501, window=4000, una=600)
    told.tell(seq=600, ack=2001, window=10, una=600)
    assert told.edge == 6001
    told.tell(seq=900, ack=4001, window=10, una=900)
    assert told.edge == 6001, "what is as new replaces it"


@pytest.mark.parametrize("flags", [ACK | SYN, ACK | URG, ACK | RST, SYN, 0, PSH])
def test_unexpected_flags_are_violations(flags: int) -> None:
    s = Sender()
    s.send(s.make(flags=flags))
    assert set(s.violations) == {"flags"}


def test_a_late_copy_of_the_syn_and_an_allowed_reset_are_none() -> None:
    s = Sender(JudgeRules(allow_reset=True))
    s.send(s.make(seq=0, flags=SYN))
    s.send(s.make(flags=RST))
    assert s.violations == []


@pytest.mark.parametrize("flags", [RST, RST | ACK])
@pytest.mark.parametrize("ended", [True, False])
def test_in_time_wait_a_late_ack_may_be_answered_by_a_reset_of_a_closed_connection(ended: bool, flags: int) -> None:
    """RFC 9293 3.10.7.1: the number of the ACK, and no ACK."""
    s = Sender(app=HastyApp)  # it has closed: SND.NXT is 2
    s.send(s.make(ack=2, flags=ACK | FIN if ended else ACK))
    s.send(s.make(seq=2 if ended else 1, ack=2, flags=flags))
    assert s.violations == ([] if ended and flags == RST else ["flags"])


@pytest.mark.rule("SHLD-14")
def test_a_right_edge_that_moves_left_is_found_in_either_order_of_arrival() -> None:
    for first, second in ((0, 1), (1, 0)):
        s = talking()
        segments = s.make(ack=11, window=1000), s.make(ack=21, window=997)
        s.send(segments[first])
        s.send(segments[second])
        assert s.violations == ["SHLD-14"]


def test_a_smaller_window_with_the_same_edge_and_reordered_acks_are_right() -> None:
    s = talking()
    s.send(s.make(ack=21, window=998, stamp=5002))
    s.send(s.make(ack=11, window=1000, stamp=5001))
    s.send(s.make(ack=11, window=999, stamp=5001))
    assert s.violations == []


@pytest.mark.rule("RFC7323-4.1")
def test_a_timestamp_that_falls_is_found_in_either_order_of_arrival() -> None:
    for first, second in ((0, 1), (1, 0)):
        s = talking()
        segments = s.make(ack=11, stamp=6000), s.make(ack=21, stamp=5999)
        s.send(segments[first])
        s.send(segments[second])
        assert s.violations == ["rfc7323 5"]


@pytest.mark.rule("S58")
def test_a_missing_timestamp_and_an_echo_never_sent_are_violations() -> None:
    s = Sender()
    s.send(replace(s.make(), options=Options()))
    assert s.violations == ["rfc7323 3.2"]
    s = Sender()
    s._echo += 1
    s.send(s.make())
    assert s.violations == ["rfc7323 3.2"]


@pytest.mark.rule("S46")
def test_an_ack_of_data_never_sent_is_a_violation() -> None:
    s = Sender()
    s.send(s.make(ack=2))
    assert s.violations == ["3.10.7.4"]


@pytest.mark.rule("B17")
def test_a_retransmission_with_other_bytes_is_a_violation_that_names_the_byte() -> None:
    s = Sender()
    s.send(s.make(payload=b"0123456789"))
    s.send(s.make(seq=4, payload=b"345X"))
    assert s.violations == ["MUST-35"]
    assert "byte 6 of the stream" in s.peer.violations[0]


@pytest.mark.rule("B21")
def test_a_fin_that_moves_or_is_passed_by_data_is_a_violation() -> None:
    s = Sender()
    s.send(s.make(payload=b"abc", flags=ACK | FIN))
    s.send(s.make(seq=3, flags=ACK | FIN))
    s.send(s.make(seq=4, payload=b"d"))
    assert s.violations == ["FIN", "FIN"]
    s = Sender()
    s.send(s.make(payload=b"abc"))
    s.send(s.make(seq=2, flags=ACK | FIN))
    assert s.violations == ["FIN"]


def test_another_vlan_is_a_violation_and_another_priority_is_none() -> None:
    s = Sender(vlan=5)
    s.send(replace(s.make(), link=Link(OWN[0], PEER[0], 0xE005)))
    assert s.violations == []
    s.send(replace(s.make(), link=Link(OWN[0], PEER[0], 6)))
    s.send(replace(s.make(), link=Link(OWN[0], PEER[0], None)))
    assert s.violations == ["vlan", "vlan"]


def talking(*, sack: bool = False) -> Sender:
    """A sender whose peer has sent it 100 bytes."""
    s = Sender(sack=sack)
    app = s.peer.apps[0] = EchoApp()
    app.on_data(bytes(100))
    s.peer.connections[0].app = app
    s.peer.poke(0)
    return s


def test_a_stream_record_finds_the_first_byte_that_differs_in_any_overlap() -> None:
    record = StreamRecord(1000)
    assert record.differs(1010, b"klmno") is None
    assert record.differs(1000, b"abcde") is None
    assert record.differs(1003, b"defghijklmnopq") is None
    assert record.differs(1000, b"abcdefghijklmnopq") is None
    assert record.differs(1012, b"mnX") == 1014
    assert record.differs(990, b"0123456789X") == 1000


RIGHT_BLOCKS = [
    [(21, 30)],
    [(51, 101), (21, 30)],
    [(1, 11), (21, 30)],
    [(21, 30), (21, 40)],
    [(25, 30), (21, 40), (51, 60)],
    [(1, 11)],
    [(5, 8), (51, 101), (21, 30), (41, 42)][:3],
]
WRONG_BLOCKS = [
    ([(30, 21)], "rfc2018 3"),
    ([(21, 21)], "rfc2018 3"),
    ([(21, 102)], "rfc2018 3"),
    ([(21, 30), (30, 40)], "rfc2018 3"),
    ([(51, 60), (21, 30), (25, 40)], "rfc2018 3"),
    ([(21, 30), (1, 11)], "rfc2018 4"),
    ([(11, 30)], "rfc2018 4"),
    ([(5, 30)], "rfc2018 4"),
]


def blocks(s: Sender, spans: list[tuple[int, int]]) -> Segment:
    """An acknowledgment of 10 bytes with SACK blocks behind the timestamps."""
    seg = s.make(ack=11)
    raw = b"".join((s._peer_iss + edge).to_bytes(4, "big") for span in spans for edge in span)
    return replace(seg, options=Options(raw=seg.options.raw + bytes((1, 1, 5, 2 + len(raw))) + raw))


@pytest.mark.rule("M-4", "RFC 2018 3", "RFC 2883 4")
@pytest.mark.parametrize("spans", RIGHT_BLOCKS)
def test_right_blocks_are_none(spans: list[tuple[int, int]]) -> None:
    s = talking(sack=True)
    s.send(blocks(s, spans))
    assert s.peer.violations == []


@pytest.mark.rule("M-4", "RFC 2018 3", "RFC 2018 4")
@pytest.mark.parametrize(("spans", "rule"), WRONG_BLOCKS)
def test_wrong_blocks_are_violations(spans: list[tuple[int, int]], rule: str) -> None:
    s = talking(sack=True)
    s.send(blocks(s, spans))
    assert set(s.violations) == {rule}


@pytest.mark.rule("RFC 2018 2")
def test_blocks_without_agreement_are_a_violation() -> None:
    s = talking()
    s.send(blocks(s, [(21, 30)]))
    assert s.violations == ["rfc2018 2"]
