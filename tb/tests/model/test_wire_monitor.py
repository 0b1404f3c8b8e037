"""The wire monitor: silent on right traffic of all kinds, and every rule is seen to fire on a spoilt frame."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from model.wire.impair import ImpairmentRates, Impairments
from tb.monitors.wire_headers import ACK, FIN, RST, SYN, URG
from tb.monitors.wire_monitor import RULES, MonitorConfig, WireMonitor
from tb.peers.applications import EchoApp, SourceApp
from tb.peers.connection import TcpConfig
from tb.peers.headers import Options, Segment, decode, encode_tcp
from tb.peers.pair import End, run_until_idle
from tb.peers.tcp_peer import PeerConfig, TcpPeer

CLEAN = ImpairmentRates(delay_ticks=2)
BAD = ImpairmentRates(drop=0.05, reorder=0.05, duplicate=0.03, corrupt=0.02, delay_ticks=2)
SENT, RECEIVED = True, False


@dataclass(frozen=True, slots=True)
class Event:
    """A frame at the NIC: sent by it or received."""

    sent: bool
    frame: bytes
    tick: int


def record(seed: int, size: int, rates: ImpairmentRates, tcp: TcpConfig | None = None) -> list[Event]:
    """The frames at the client of an echo run."""
    events: list[Event] = []
    config = tcp or TcpConfig()
    one = TcpPeer(PeerConfig("02:00:00:00:00:01", "10.0.0.1", tcp=config))
    two = TcpPeer(PeerConfig(tcp=config), lambda _: EchoApp())
    wires = Impairments(rates, seed, "there"), Impairments(rates, seed, "back")
    client = End(
        one,
        wires[0],
        lambda frame, tick: events.append(Event(SENT, frame, tick)),
        lambda frame, tick: events.append(Event(RECEIVED, frame, tick)),
    )
    source = SourceApp(random.Random(seed).randbytes(size), close_after=size)
    client.send(one.connect("10.0.0.2", 7, 5000, source, 0, "02:00:00:00:00:02"), 0)
    run_until_idle(client, End(two, wires[1]))
    assert source.received_bytes == size
    return events


def watch(events: list[Event], config: MonitorConfig | None = None) -> WireMonitor:
    monitor = WireMonitor(config)
    for event in events:
        (monitor.on_transmit if event.sent else monitor.on_receive)(event.frame, event.tick)
    return monitor


def rules_broken(events: list[Event], config: MonitorConfig | None = None) -> set[str]:
    return {violation.rule for violation in watch(events, config).violations}


def segment(event: Event) -> Segment:
    seg = decode(event.frame)
    assert isinstance(seg, Segment)
    return seg


def pick(events: list[Event], wanted: Callable[[Segment], bool], nth: int = 0) -> int:
    """Index of the nth sent segment that fits."""
    found = [n for n, event in enumerate(events) if event.sent and wanted(segment(event))]
    return found[nth]


def with_segment(events: list[Event], at: int, seg: Segment) -> list[Event]:
    return [*events[:at], replace(events[at], frame=encode_tcp(seg)), *events[at + 1 :]]


def inserted(events: list[Event], at: int, sent: bool, seg: Segment, tick: int | None = None) -> list[Event]:
    when = events[at - 1].tick if tick is None else tick
    return [*events[:at], Event(sent, encode_tcp(seg), when), *events[at:]]


def full(seg: Segment) -> bool:
    return len(seg.payload) > 1000


def pure_ack(seg: Segment) -> bool:
    return seg.flags == ACK and not seg.payload


CALM = record(1, 60_000, CLEAN)


@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize("tcp", [TcpConfig(), TcpConfig(timestamps=False), TcpConfig(receive_buffer=4000)])
def test_right_traffic_over_a_bad_network_breaks_no_rule(seed: int, tcp: TcpConfig) -> None:
    monitor = watch(record(seed, 60_000, BAD, tcp))
    assert [str(violation) for violation in monitor.violations] == []
    assert monitor.frames_sent > 40
    assert {"MUST-2", "RCV-NXT", "SHLD-14", "SHLD-15", "SND-GAP", "SND-OLD", "MUST-40", "FIN"} <= set(monitor.checked)


def test_every_rule_is_looked_at_in_the_right_traffic_of_the_bad_network() -> None:
    looked_at: set[str] = set()
    for seed in range(1, 9):
        for ecn in (False, True):
            rates = replace(BAD, drop=0.15, mark=0.1 if ecn else 0.0)
            looked_at |= set(watch(record(seed, 60_000, rates, TcpConfig(ecn=ecn))).checked)
    assert looked_at == set(RULES)


def test_a_violation_names_rule_flow_tick_and_meaning() -> None:
    at = pick(CALM, full)
    (violation, *_) = watch(with_segment(CALM, at, replace(segment(CALM[at]), flags=ACK | URG))).violations
    assert "FLAGS at tick" in str(violation)
    assert "10.0.0.1:5000>10.0.0.2:7" in str(violation)


@pytest.mark.rule("MUST-2")
def test_a_wrong_checksum_of_a_sent_frame_is_seen() -> None:
    for offset in (24, 50, 90):
        at = pick(CALM, full)
        frame = bytearray(CALM[at].frame)
        frame[offset] ^= 0x10
        events = [*CALM[:at], replace(CALM[at], frame=bytes(frame)), *CALM[at + 1 :]]
        assert "MUST-2" in rules_broken(events)


def test_wrong_lengths_and_padding_of_a_sent_frame_are_seen() -> None:
    at = pick(CALM, full)
    longer = [*CALM[:at], replace(CALM[at], frame=CALM[at].frame + b"\0"), *CALM[at + 1 :]]
    dirty = [*CALM[:at], replace(CALM[at], frame=CALM[at].frame + b"\1"), *CALM[at + 1 :]]
    cut = [*CALM[:at], replace(CALM[at], frame=CALM[at].frame[:-1]), *CALM[at + 1 :]]
    assert rules_broken(longer) == {"LENGTH"}
    assert rules_broken(dirty) == {"LENGTH", "PADDING"}
    assert "LENGTH" in rules_broken(cut)


def test_df_must_be_set() -> None:
    at = pick(CALM, full)
    frame = bytearray(CALM[at].frame)
    frame[20] = 0
    total = int.from_bytes(frame[24:26], "big") + 0x4000
    frame[24:26] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big")
    assert rules_broken([*CALM[:at], replace(CALM[at], frame=bytes(frame)), *CALM[at + 1 :]]) == {"DF"}


@pytest.mark.rule("MUST-68", "MUST-69")
def test_options_that_are_malformed_or_padded_with_rubbish_are_seen() -> None:
    at = pick(CALM, pure_ack, 3)
    seg = segment(CALM[at])
    rubbish = replace(seg, options=Options(raw=seg.options.raw[2:] + b"\0\1"))
    illegal = replace(seg, options=Options(raw=seg.options.raw + b"\xfd\x09\0\0"))
    assert rules_broken(with_segment(CALM, at, rubbish)) == {"MUST-69"}
    assert rules_broken(with_segment(CALM, at, illegal)) == {"MUST-68"}


Spoil = Callable[[Segment], Segment]
SPOILT: dict[str, tuple[Callable[[Segment], bool], Spoil]] = {
    "MUST-16": (full, lambda s: replace(s, payload=s.payload + b"x")),
    "SHLD-15": (full, lambda s: replace(s, seq=(s.seq + (1 << 28)) % 2**32)),
    "SND-GAP": (full, lambda s: replace(s, seq=(s.seq + 1) % 2**32)),
    "SND-OLD": (full, lambda s: replace(s, seq=(s.seq - 57_000) % 2**32)),
    "RCV-NXT": (pure_ack, lambda s: replace(s, ack=(s.ack - 5000) % 2**32)),
    "ACK-SEEN": (pure_ack, lambda s: replace(s, ack=(s.ack + 1) % 2**32)),
    "SHLD-14": (pure_ack, lambda s: replace(s, window=s.window - 100)),
    "TS-ALL": (full, lambda s: replace(s, options=Options())),
    "TS-MONO": (full, lambda s: replace(s, options=stamps(s, -5, 0))),
    "TS-ECHO": (full, lambda s: replace(s, options=stamps(s, 0, 99_999))),
    "FLAGS": (full, lambda s: replace(s, flags=ACK | URG)),
}


def stamps(seg: Segment, value: int, echo: int) -> Options:
    assert seg.options.timestamps is not None
    old_value, old_echo = seg.options.timestamps
    raw = b"\x01\x01\x08\x0a" + ((old_value + value) % 2**32).to_bytes(4, "big")
    return Options(raw=raw + ((old_echo + echo) % 2**32).to_bytes(4, "big"))


@pytest.mark.parametrize("rule", SPOILT)
def test_a_spoilt_segment_breaks_its_rule(rule: str) -> None:
    wanted, spoil = SPOILT[rule]
    at = pick(CALM, wanted, 40 if wanted is full else 8)
    assert rule in rules_broken(with_segment(CALM, at, spoil(segment(CALM[at]))))


def test_syn_reset_and_missing_ack_flag_are_seen() -> None:
    at = pick(CALM, full, 5)
    seg = segment(CALM[at])
    for flags in (SYN, RST, 0):
        assert "FLAGS" in rules_broken(inserted(CALM, at, SENT, replace(seg, flags=flags, payload=b"")))
    allowed = MonitorConfig(allow_reset=True)
    assert rules_broken(inserted(CALM, at, SENT, replace(seg, flags=RST, payload=b"")), allowed) == set()


@pytest.mark.parametrize(("late", "resets", "number", "flags"), [
    (0, 1, 0, RST), (1, 2, 0, RST), (1, 1, 1, RST), (1, 1, 0, RST | ACK), (1, 1, 0, RST), (2, 2, 0, RST),
])  # fmt: skip
def test_who_closed_last_answers_each_late_ack_by_one_reset_with_its_number(
    late: int, resets: int, number: int, flags: int
) -> None:
    """RFC 9293 3.10.7.1: in CLOSED, behind LAST-ACK. CALM as its server saw it, which closed last."""
    events = [replace(event, sent=not event.sent) for event in CALM]
    assert rules_broken(events) == set()
    at = next(n for n in reversed(range(len(events))) if not events[n].sent)
    last = segment(events[at])
    answer = segment(events[pick(events, lambda seg: bool(seg.flags & FIN))])
    reset = replace(answer, seq=(last.ack + number) % 2**32, ack=0, flags=flags, window=0, payload=b"")
    events += [events[at]] * late + [Event(SENT, encode_tcp(reset), events[-1].tick)] * resets
    rightly = resets <= late and not number and flags == RST
    assert ("FLAGS" in rules_broken(events)) is not rightly


def test_who_closed_first_waits_and_sends_no_reset() -> None:
    at = next(n for n in reversed(range(len(CALM))) if not CALM[n].sent)
    last = segment(CALM[at])
    own = segment(CALM[pick(CALM, pure_ack)])
    reset = replace(own, seq=last.ack, ack=0, flags=RST, window=0, payload=b"")
    assert "FLAGS" in rules_broken([*CALM, CALM[at], Event(SENT, encode_tcp(reset), CALM[-1].tick)])


@pytest.mark.rule("CH-181")
def test_a_reset_is_legal_only_on_a_connection_whose_host_called_for_it() -> None:
    at = pick(CALM, full, 5)
    reset = replace(segment(CALM[at]), flags=RST, payload=b"")
    for port, expected in ((5000, set[str]()), (5001, {"FLAGS"})):
        monitor = watch(CALM[:at])
        monitor.expect_reset(port)
        monitor.on_transmit(encode_tcp(reset), CALM[at].tick)
        assert {violation.rule for violation in monitor.violations} == expected


@pytest.mark.rule("CH-092")
def test_one_gap_is_that_of_frames_an_invalidate_kept_back_and_no_second_one_is() -> None:
    at = pick(CALM, full, 5)
    events = [event for n, event in enumerate(CALM) if n != at]
    later = pick(events, full, 12)
    for port, dropped, expected in (
        (5000, (at,), set[str]()),
        (5001, (at,), {"SND-GAP"}),
        (5000, (at, pick(CALM, full, 12)), {"SND-GAP"}),
    ):
        rest = [event for n, event in enumerate(CALM) if n not in dropped]
        monitor = watch(rest[:at])
        monitor.expect_gap(port)
        for event in rest[at:later]:
            if event.sent and full(segment(event)):
                monitor.on_transmit(event.frame, event.tick)
        assert {violation.rule for violation in monitor.violations} & {"SND-GAP"} == expected


@pytest.mark.rule("CH-092", "B21")
@pytest.mark.parametrize(("filled", "broken"), [(0, set[str]()), (500, set[str]()), (None, {"FIN"})])
def test_a_fin_may_lie_in_what_was_kept_back_only_until_all_of_that_was_seen(
    filled: int | None, broken: set[str]
) -> None:
    at, later = pick(CALM, full, 5), pick(CALM, full, 8)
    kept = segment(CALM[at])
    monitor = watch(CALM[:at])
    monitor.expect_gap(5000)
    for event in CALM[at + 1 : later]:
        if event.sent and full(segment(event)):
            monitor.on_transmit(event.frame, event.tick)
    seen = kept.payload[:filled]
    if seen:
        monitor.on_transmit(encode_tcp(replace(kept, payload=seen)), CALM[later].tick)
    fin = replace(kept, seq=(kept.seq + len(seen)) % 2**32, flags=FIN | ACK, payload=b"")
    monitor.on_transmit(encode_tcp(fin), CALM[later].tick)
    assert {violation.rule for violation in monitor.violations} & {"SND-GAP", "FIN"} == broken


@pytest.mark.rule("B21")
def test_a_fin_that_moves_and_data_behind_it_are_seen() -> None:
    at = pick(CALM, lambda s: bool(s.flags & FIN))
    seg = segment(CALM[at])
    moved = replace(seg, seq=(seg.seq + 1) % 2**32)
    behind = replace(seg, flags=ACK, payload=seg.payload + b"more")
    assert "FIN" in rules_broken(inserted(CALM, at + 1, SENT, moved))
    assert "FIN" in rules_broken(inserted(CALM, at + 1, SENT, behind))


@pytest.mark.rule("B23")
def test_a_repeated_ack_that_nothing_called_for_is_seen() -> None:
    at = len(CALM)
    while not CALM[at - 1].sent:
        at -= 1
    last = segment(CALM[at - 1])
    events = CALM
    for _ in range(200):
        events = inserted(events, at, SENT, last)
    assert rules_broken(events) == {"DUP-ACK"}


@pytest.mark.rule("C-1", "B23")
@pytest.mark.parametrize("late", [0, 1])
def test_an_ack_with_an_older_timestamp_calls_for_an_answer(late: int) -> None:
    """RFC 7323 5.3 R1: what PAWS refuses is acknowledged."""
    at = len(CALM)
    while not CALM[at - 1].sent:
        at -= 1
    last = segment(CALM[at - 1])
    came = segment(next(event for event in reversed(CALM[:at]) if not event.sent))
    echo = replace(came, seq=last.ack, payload=b"", flags=ACK, options=stamps(came, -late, 0))
    events = CALM[:at]
    for _ in range(200):
        events = inserted(inserted(events, at, RECEIVED, echo), at + 1, SENT, last)
    assert rules_broken(events) == (set() if late else {"DUP-ACK"})


@pytest.mark.parametrize("old", [True, False])
def test_data_may_go_again_when_its_ack_came_in_a_segment_that_is_wholly_old(old: bool) -> None:
    """RFC 9293 3.10.7.4: of a segment outside the window the ACK field is not looked at."""
    at = pick(CALM, full, 40)
    sent = segment(CALM[at])
    came = [segment(event) for event in CALM[:at] if not event.sent]
    last = max((seg for seg in came if seg.payload), key=lambda seg: (seg.seq - came[0].seq) % 2**32)
    behind = (last.seq + len(last.payload)) % 2**32
    news = replace(came[-1], seq=behind, payload=b"", flags=ACK, ack=(sent.seq + len(sent.payload)) % 2**32)
    if old:
        news = replace(next(seg for seg in came if seg.payload), ack=news.ack, options=came[-1].options)
    tick = CALM[at].tick
    events = inserted(CALM, at + 1, RECEIVED, news, tick + 1)
    events = inserted(events, at + 2, SENT, sent, tick + 9)
    assert ("SND-OLD" in rules_broken(events)) is not old


@pytest.mark.rule("MUST-40", "S16")
def test_an_ack_more_than_half_a_second_late_is_seen() -> None:
    last_data = max(n for n, event in enumerate(CALM) if not event.sent and segment(event).payload)
    late = [replace(e, tick=e.tick + 600) if n > last_data else e for n, e in enumerate(CALM)]
    assert "MUST-40" in rules_broken(late)


def test_an_ack_of_the_peer_above_everything_sent_is_told_apart_as_the_tests_fault() -> None:
    at = next(n for n, event in enumerate(CALM) if not event.sent and n > 20)
    seg = segment(CALM[at])
    assert rules_broken(with_segment(CALM, at, replace(seg, ack=(seg.ack + 10**6) % 2**32))) == {"PEER-ACK"}


def cut_after(events: list[Event], nth: int) -> list[Event]:
    """The run up to the nth full segment, after which nothing comes in any more."""
    return events[: pick(events, full, nth) + 1]


def retransmissions(times: list[int], more: bool = False) -> list[Event]:
    """Data is sent, nothing comes back, the head is sent again at `times` ticks after it."""
    events = cut_after(CALM, 30)
    una = max((segment(e) for e in events if not e.sent), key=lambda s: (s.ack - segment(CALM[0]).seq) % 2**32).ack
    head = pick(events, lambda s: s.seq == una and bool(s.payload))
    seg, start = segment(events[head]), events[-1].tick
    for after in times:
        later = replace(seg, options=stamps(segment(events[-1]), after, 0))
        later = replace(later, ack=segment(events[-1]).ack)
        events = [*events, Event(SENT, encode_tcp(later), start + after)]
    if more:
        second = replace(later, seq=(seg.seq + len(seg.payload)) % 2**32)
        events = [*events, Event(SENT, encode_tcp(second), start + times[-1])]
    return events


@pytest.mark.rule("MUST-19", "S29")
def test_gaps_between_retransmissions_of_a_head_must_double() -> None:
    assert rules_broken(retransmissions([300, 900, 2100, 4500])) == set()
    assert rules_broken(retransmissions([300, 600])) == {"RTO-BACKOFF"}
    assert rules_broken(retransmissions([300, 900, 1700])) == {"RTO-BACKOFF"}
    assert rules_broken(retransmissions([300, 900, 1700]), MonitorConfig(rto_max=700)) == set()


@pytest.mark.rule("MUST-19", "S29")
def test_after_a_timeout_only_the_head_may_be_sent() -> None:
    assert rules_broken(retransmissions([300], more=True)) == {"MUST-19"}
    assert rules_broken(retransmissions([20], more=True)) == set()


@pytest.mark.rule("MUST-19", "S29")
@pytest.mark.parametrize(("segments", "broken"), [(3, set()), (2, {"MUST-19"})])
def test_blocks_above_the_head_ask_for_it_before_the_third_duplicate(segments: int, broken: set[str]) -> None:
    events = retransmissions([300], more=True)
    head, last = segment(events[-2]), segment(next(event for event in reversed(events) if not event.sent))
    size = len(head.payload)
    ack = replace(last, seq=(last.seq + len(last.payload)) % 2**32, ack=head.seq, flags=ACK, payload=b"")
    assert size > 1000
    told = blocks_of(ack, (head.seq + size, head.seq + (1 + segments) * size))
    assert rules_broken(inserted(events, len(events) - 2, RECEIVED, told)) == broken


@pytest.mark.rule("MUST-19", "S29")
@pytest.mark.parametrize(("grows", "broken"), [(30, set()), (0, {"MUST-19"})])
def test_text_whose_blocks_tell_of_more_is_a_duplicate_and_asks_for_the_head(grows: int, broken: set[str]) -> None:
    """RFC 6675 2: what a segment tells of counts, not that it is bare."""
    events = retransmissions([300], more=True)
    head, last = segment(events[-2]), segment(next(event for event in reversed(events) if not event.sent))
    block = head.seq + len(head.payload)
    text = replace(last, ack=head.seq, flags=ACK, payload=b"x" * 5)
    for n in range(3):
        came = replace(text, seq=(last.seq + len(last.payload) + 5 * n) % 2**32)
        came = blocks_of(came, (block, block + 100 + grows * n))
        events = inserted(events, len(events) - 2, RECEIVED, came)
    assert rules_broken(events) == broken


@pytest.mark.rule("MUST-19", "S29")
def test_small_segments_above_the_head_do_not_ask_for_it_the_agreed_mss_is_the_measure() -> None:
    at = pick(CALM, full)
    seg, tick = segment(CALM[at]), CALM[at].tick
    pieces = [replace(seg, seq=(seg.seq + 100 * n) % 2**32, payload=seg.payload[100 * n :][:100]) for n in range(4)]
    answer = segment(next(event for event in CALM[at:] if not event.sent))
    told = blocks_of(replace(answer, ack=seg.seq, flags=ACK, payload=b""), (seg.seq + 100, seg.seq + 400))
    events = [*CALM[:at], *(Event(SENT, encode_tcp(piece), tick) for piece in pieces)]
    events = [*events, Event(RECEIVED, encode_tcp(told), tick + 1)]
    events = [*events, *(Event(SENT, encode_tcp(pieces[0]), tick + after) for after in (301, 551))]
    assert rules_broken(events) == {"RTO-BACKOFF"}


def test_a_hand_over_lets_the_timer_start_anew() -> None:
    events = retransmissions([300, 900, 1500])
    monitor = WireMonitor()
    for n, event in enumerate(events):
        if n == len(events) - 1:
            monitor.on_hand_over()
        (monitor.on_transmit if event.sent else monitor.on_receive)(event.frame, event.tick)
    assert monitor.violations == []


@pytest.mark.parametrize("held", [True, False])
def test_an_ack_that_is_kept_for_the_next_sender_does_not_forbid_the_data_again(held: bool) -> None:
    """CH-204: what comes in behind a mandatory retrieve reaches the host when the connection does."""
    at = pick(CALM, full, 40)
    sent = segment(CALM[at])
    came = segment(next(event for event in reversed(CALM[:at]) if not event.sent))
    port = int.from_bytes(CALM[at].frame[34:36], "big")
    monitor = WireMonitor()
    for event in CALM[: at + 1]:
        (monitor.on_transmit if event.sent else monitor.on_receive)(event.frame, event.tick)
    tick = CALM[at].tick
    if held:
        monitor.hold_back(port, tick)
    behind = (came.seq + len(came.payload)) % 2**32
    acked = replace(came, seq=behind, payload=b"", flags=ACK, ack=(sent.seq + len(sent.payload)) % 2**32)
    monitor.on_receive(encode_tcp(acked), tick + 1)
    monitor.hand_on(port, tick + 50)
    monitor.on_transmit(encode_tcp(sent), tick + 51)
    assert ("SND-OLD" in {violation.rule for violation in monitor.violations}) is not held
    monitor.on_transmit(encode_tcp(sent), tick + 60)
    assert "SND-OLD" in {violation.rule for violation in monitor.violations}


@pytest.mark.parametrize("shows", ["nothing", "text", "stamp"])
@pytest.mark.parametrize("twice", [False, True], ids=["one segment", "a second that acknowledges less"])
def test_data_is_old_behind_a_hold_once_the_sender_shows_that_it_took_the_ack(shows: str, twice: bool) -> None:
    """CH-204, CH-230: who acknowledges the text of a segment, or echoes its timestamp, has taken its ACK."""
    at = pick(CALM, full, 40)
    sent = segment(CALM[at])
    came = segment(next(event for event in reversed(CALM[:at]) if not event.sent))
    port, tick = int.from_bytes(CALM[at].frame[34:36], "big"), CALM[at].tick
    monitor = WireMonitor()
    for event in CALM[: at + 1]:
        (monitor.on_transmit if event.sent else monitor.on_receive)(event.frame, event.tick)
    monitor.hold_back(port, tick)
    behind = (came.seq + len(came.payload)) % 2**32
    text = b"more" if shows != "stamp" else b""
    ahead = 7 if shows != "text" else 0
    acks = [(sent.seq + len(sent.payload)) % 2**32]
    acks += [came.ack] if twice else []
    for ack in acks:
        word = replace(came, seq=behind, payload=text, flags=ACK, ack=ack, options=stamps(came, ahead, 0))
        monitor.on_receive(encode_tcp(word), tick + 1)
    again = replace(sent, ack=behind)
    if shows == "text":
        again = replace(again, ack=(behind + 4) % 2**32)
    if shows == "stamp":
        assert came.options.timestamps is not None
        assert sent.options.timestamps is not None
        last = came.options.timestamps[0] + ahead
        again = replace(again, options=stamps(again, 0, last - sent.options.timestamps[1]))
    monitor.on_transmit(encode_tcp(again), tick + 1)
    broken = {violation.rule for violation in monitor.violations}
    assert broken == (set() if shows == "nothing" or twice else {"SND-OLD"})


@pytest.mark.parametrize(("held", "later"), [(True, 2), (True, 3), (False, 0)])
def test_each_ack_that_was_kept_for_the_next_sender_may_be_answered_once_and_at_once(held: bool, later: int) -> None:
    """RFC 7323 5.3: it may be older than what the next sender read before."""
    at = pick(CALM, pure_ack, 5)
    last = segment(CALM[at])
    came = segment(next(event for event in reversed(CALM[: at + 1]) if not event.sent))
    bare = replace(came, seq=(came.seq + len(came.payload)) % 2**32, payload=b"", flags=ACK)
    port, tick = int.from_bytes(CALM[at].frame[34:36], "big"), CALM[at].tick
    monitor = WireMonitor()
    for event in CALM[: at + 1]:
        (monitor.on_transmit if event.sent else monitor.on_receive)(event.frame, event.tick)
    if held:
        monitor.hold_back(port, tick)
    for _ in range(200):
        monitor.on_receive(encode_tcp(bare), tick)
    monitor.hand_on(port, tick)
    for _ in range(200):
        monitor.on_transmit(encode_tcp(last), tick + later)
    assert {violation.rule for violation in monitor.violations} == (set() if held and later == 2 else {"DUP-ACK"})
    for _ in range(200):
        monitor.on_transmit(encode_tcp(last), tick + later)
    assert {violation.rule for violation in monitor.violations} == {"DUP-ACK"}


@pytest.mark.parametrize("late", [0, 1])
def test_a_segment_that_is_handed_down_behind_newer_ones_calls_for_an_answer(late: int) -> None:
    at = pick(CALM, pure_ack, 5)
    last = segment(CALM[at])
    came = segment(next(event for event in reversed(CALM[: at + 1]) if not event.sent))
    old = encode_tcp(replace(came, payload=b"", flags=ACK, options=stamps(came, -late, 0)))
    monitor = WireMonitor()
    for event in CALM[: at + 1]:
        (monitor.on_transmit if event.sent else monitor.on_receive)(event.frame, event.tick)
    for n in range(200):
        monitor.on_forward(old[34:], CALM[at].tick + n)
        monitor.on_transmit(encode_tcp(last), CALM[at].tick + n)
    assert {violation.rule for violation in monitor.violations} == (set() if late else {"DUP-ACK"})


@pytest.mark.parametrize("after", [0, 2, 3])
def test_a_segment_that_is_handed_down_may_be_overtaken_on_its_way(after: int) -> None:
    at = pick(CALM, pure_ack, 5)
    last = segment(CALM[at])
    came = segment(next(event for event in reversed(CALM[: at + 1]) if not event.sent))
    behind = (came.seq + len(came.payload)) % 2**32
    bare = [replace(came, seq=behind, payload=b"", flags=ACK, options=stamps(came, newer, 0)) for newer in (0, 1)]
    monitor, tick = WireMonitor(), CALM[at].tick
    for event in CALM[: at + 1]:
        (monitor.on_transmit if event.sent else monitor.on_receive)(event.frame, event.tick)
    for _ in range(200):
        monitor.on_forward(encode_tcp(bare[0])[34:], tick)
    monitor.on_receive(encode_tcp(bare[1]), tick + after)
    for _ in range(200):
        monitor.on_transmit(encode_tcp(last), tick + after)
    assert {violation.rule for violation in monitor.violations} == ({"DUP-ACK"} if after > 2 else set())


def test_a_damaged_frame_that_comes_in_changes_nothing() -> None:
    at = next(n for n, event in enumerate(CALM) if not event.sent and n > 20)
    seg = segment(CALM[at])
    frame = bytearray(encode_tcp(replace(seg, ack=(seg.ack + 10**6) % 2**32)))
    frame[60] ^= 1
    assert rules_broken([*CALM[:at], Event(RECEIVED, bytes(frame), CALM[at].tick), *CALM[at:]]) == set()


def test_a_second_connection_between_the_same_ends_starts_with_fresh_rules() -> None:
    again = record(2, 5_000, CLEAN, TcpConfig(initial_sequence=77))
    start = CALM[-1].tick + 10
    assert rules_broken([*CALM, *(replace(event, tick=event.tick + start) for event in again)]) == set()


def test_other_kinds_of_frames_are_no_business_of_the_monitor() -> None:
    monitor = WireMonitor()
    monitor.on_transmit(bytes(12) + b"\x08\x06" + bytes(46), 0)
    monitor.on_receive(b"", 0)
    assert (monitor.frames_sent, monitor.frames_received, monitor.violations) == (1, 1, [])


@pytest.mark.rule("SHLD-30", "S18")
def test_gaps_between_unanswered_probes_grow_and_an_answer_starts_a_new_round() -> None:
    closed = closed_window(retransmissions([300, 900, 2100]))
    assert rules_broken(closed) == set()
    assert rules_broken(closed_window(retransmissions([300, 900, 1400]))) == {"RTO-BACKOFF"}
    answer = next(event for event in reversed(closed) if not event.sent)
    quick = closed_window(retransmissions([300, 900, 1400]))
    answered = [*quick[:-1], replace(answer, tick=quick[-2].tick + 1), quick[-1]]
    assert rules_broken(answered) == set()


def closed_window(events: list[Event]) -> list[Event]:
    """The same, but the last segment that came in closed the window."""
    last = max(n for n, event in enumerate(events) if not event.sent)
    return with_segment(events, last, replace(segment(events[last]), window=0))


def blocks_of(seg: Segment, *blocks: tuple[int, int]) -> Segment:
    """The same with other SACK blocks behind its timestamps."""
    raw = seg.options.raw[:12] + bytes((1, 1, 5, 2 + 8 * len(blocks)))
    return replace(seg, options=Options(raw=raw + b"".join((e % 2**32).to_bytes(4, "big") for b in blocks for e in b)))


LOSSY = record(4, 60_000, replace(BAD, drop=0.15, corrupt=0.0))


def with_blocks(count: int) -> int:
    """The first sent segment of LOSSY with that many blocks, none of which tells of a duplicate."""
    return pick(LOSSY, lambda s: len(s.options.sack_blocks) == count and min(s.options.sack_blocks)[0] > s.ack)


@pytest.mark.rule("M-4", "RFC 2018 3")
def test_blocks_of_what_did_not_come_are_not_apart_or_not_agreed_are_seen() -> None:
    one, two = with_blocks(1), with_blocks(2)
    seg, pair = segment(LOSSY[one]), segment(LOSSY[two])
    (left, right), later = seg.options.sack_blocks[0], pair.options.sack_blocks
    assert rules_broken(LOSSY) == set()
    assert rules_broken(with_segment(LOSSY, one, blocks_of(seg, (left, right)))) == set()
    for wrong in ((left, right + 1), (left - 1, right), (right, left), (left, left)):
        assert "SACK-SEEN" in rules_broken(with_segment(LOSSY, one, blocks_of(seg, wrong))), wrong
    middle = (left + right) // 2
    assert "SACK-ABOVE" in rules_broken(with_segment(LOSSY, one, blocks_of(seg, (left, middle), (middle, right))))
    assert rules_broken(with_segment(LOSSY, two, blocks_of(pair, *later, later[0]))) == set()  # a duplicate's block
    old = (pair.ack - 10, pair.ack)
    assert rules_broken(with_segment(LOSSY, two, blocks_of(pair, old, *later))) == set()
    assert rules_broken(with_segment(LOSSY, two, blocks_of(pair, *later, old))) == {"SACK-ABOVE"}
    plain = record(3, 20_000, replace(BAD, corrupt=0.0), TcpConfig(sack=False))
    at = pick(plain, pure_ack, 5)
    came = segment(plain[at])
    assert "SACK-AGREED" in rules_broken(with_segment(plain, at, blocks_of(came, (came.ack - 10, came.ack))))


@pytest.mark.rule("M-4", "RFC 2018 4")
def test_a_block_that_grew_last_and_is_not_named_first_is_seen() -> None:
    at_once, seen = MonitorConfig(race_ticks=0), 0
    for seed in (3, 4, 5):
        events = record(seed, 60_000, replace(BAD, drop=0.15, corrupt=0.0))
        assert rules_broken(events, at_once) == set()
        for at, event in enumerate(events):
            seg = segment(event)
            if not event.sent or len(seg.options.sack_blocks) != 2:
                continue
            first, second = seg.options.sack_blocks
            apart = first[1] < second[0] or second[1] < first[0]
            if apart and min(first, second)[0] > seg.ack:
                spoilt = with_segment(events, at, blocks_of(seg, second, first))
                assert rules_broken(spoilt, at_once) == {"SACK-FIRST"}
                seen += 1
    assert seen > 3
