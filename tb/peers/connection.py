"""One TCP connection of a peer, from the text of RFC 9293, 5681, 6582, 6298, 7323 and 5961.

Positions in sequence space are plain integers (see `sequence`); times are ticks of 1 ms. The connection is
told of segments and of time and leaves frames in `out`. It is a partner with good manners first: it shows what a
NIC has to live with; what the NIC does wrong is for the judge.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final

from tb.peers.base import Application
from tb.peers.ecn import OFFER, Ecn
from tb.peers.headers import (
    ACK,
    ECE,
    FIN,
    PSH,
    RST,
    SYN,
    Link,
    Options,
    Segment,
    encode_tcp,
    ip_text,
)
from tb.peers.judge import ConnectionJudge, JudgeRules, Ledger
from tb.peers.reassembly import Reassembly
from tb.peers.rtt import RetransmitTimeout
from tb.peers.sacked import Sacked
from tb.peers.sequence import first_position, newer, place

_U32: Final = 0xFFFFFFFF
_REMEMBERED_SEGMENTS: Final = 16
DEFAULT_MSS: Final = 536
DEFAULT_MSS_IPV6: Final = 1220
"""Where no MSS is announced (RFC 9293 MUST-15)."""
MAX_MSS_IPV6: Final = 1440
"""An Ethernet MTU without IPv6 and TCP header."""
"""Of a peer that sends no MSS option (RFC 9293 3.7.1)."""


class State(enum.Enum):
    """Connection states of RFC 9293 3.3.2."""

    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"
    CLOSED = "CLOSED"


_HANDSHAKE: Final = (State.SYN_SENT, State.SYN_RECEIVED)
_MAY_RECEIVE: Final = (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)


@dataclass(frozen=True, slots=True)
class TcpConfig:
    """How the peer's connections behave. Bytes and ticks (1 ms) unless said."""

    mss: int = 1460
    """Advertised MSS and bound of own segments (options included, RFC 6691)."""
    receive_buffer: int = 256 * 1024
    window_scale: int | None = 7
    """Shift offered, None = option not offered (then at most 65535 bytes of window)."""
    timestamps: bool = True
    sack: bool = True
    """SACK is offered and agreed to (RFC 2018 2)."""
    ecn: bool = False
    """ECN is asked for and agreed to (RFC 3168 6.1.1)."""
    initial_sequence: int = 0xFFFF_F000
    """Of the first connection; each later one starts 997 lower."""
    timestamp_start: int = 0xFFFF_FF00
    """TSval at tick 0."""
    delayed_ack_ticks: int = 40
    ack_every: int = 2
    """Full-sized segments an acknowledgment (1 = at once)."""
    nagle: bool = True
    send_buffer: int = 256 * 1024
    initial_window_segments: int = 10
    """RFC 6928."""
    duplicate_ack_threshold: int = 3
    rto_initial: int = 1000
    rto_min: int = 300
    rto_max: int = 60_000
    max_retransmissions: int = 15
    """Of one segment, then the connection is given up (R2)."""
    time_wait_ticks: int = 2_000
    """2 MSL, short: there is one link and its delay is known."""
    ttl: int = 64
    tos: int = 0


@dataclass(slots=True)
class Counters:
    """What one connection did."""

    segments_in: int = 0
    segments_out: int = 0
    retransmissions: int = 0
    fast_retransmits: int = 0
    timeouts: int = 0
    window_probes: int = 0
    duplicate_acks_in: int = 0
    out_of_order_in: int = 0
    challenge_acks: int = 0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Both ends: IP addresses (4 or 16 bytes), ports, own first."""

    own_ip: bytes
    own_port: int
    other_ip: bytes
    other_port: int

    @property
    def is_ipv6(self) -> bool:
        """The version of IP between them."""
        return len(self.own_ip) > 4

    def __str__(self) -> str:
        own, other = ip_text(self.own_ip), ip_text(self.other_ip)
        return f"{other}:{self.other_port}>{own}:{self.own_port}"


class Connection:
    """One connection. Call `start_active` or `start_passive` once, then `on_segment` and `on_tick`."""

    def __init__(
        self,
        addresses: Addresses,
        link: Link,
        app: Application,
        config: TcpConfig,
        initial_sequence: int,
        rules: JudgeRules,
        ledger: Ledger,
    ) -> None:
        self.addresses = addresses
        self.app = app
        self.state = State.CLOSED
        self.failure: str | None = None
        """Why the connection died, or None."""
        self.counters = Counters()
        self.out: list[bytes] = []
        """Frames to send, in order; the peer empties it."""
        self._link = link
        if addresses.is_ipv6:
            config = replace(config, mss=min(config.mss, MAX_MSS_IPV6))
        self._default_mss = DEFAULT_MSS_IPV6 if addresses.is_ipv6 else DEFAULT_MSS
        self._config = config
        self.judge = ConnectionJudge(str(addresses), rules, ledger, config.mss)
        """Judges what this connection receives."""
        # Send side.
        self._iss = first_position(initial_sequence & _U32)
        self.snd_una = self.snd_nxt = self.snd_max = self._iss
        self._snd_wnd = 0
        self._max_wnd = 0
        self._wl1 = self._wl2 = 0
        self._data = bytearray()
        self._data_at = self._iss + 1
        self._fin_asked = False
        self._smss = min(config.mss, self._default_mss)
        self._snd_scale = 0
        self._ip_id = 0
        # Congestion control.
        self._cwnd = 0
        self._ssthresh = 1 << 40
        self._dup_acks = 0
        self._recover = self._iss - 1
        self._in_recovery = False
        self._partial_seen = False
        self.rto = RetransmitTimeout(config.rto_initial, config.rto_min, config.rto_max)
        self._expiries = 0
        self._timed: tuple[int, int] | None = None
        # Receive side.
        self.rcv_nxt = 0
        self._rcv_adv = 0
        self._rcv_scale = 0
        self._held = Reassembly()
        self._unread = bytearray()
        self._fin_at: int | None = None
        self._end_told = False
        self._timestamps = False
        self._sack = False
        self._sacked = Sacked()
        self.ecn = Ecn()
        """Marks, and how often they slowed this sender down."""
        self._came_apart: list[int] = []
        self._duplicate: tuple[int, int] | None = None
        self._first_stamp: int | None = None
        self._ts_recent = 0
        self._last_ack_sent = 0
        self._ack_now = False
        self._full_unacked = 0
        # Timers: absolute ticks or None.
        self._retransmit_at: int | None = None
        self._persist_at: int | None = None
        self._persist_shift = 0
        self._delayed_ack_at: int | None = None
        self._time_wait_at: int | None = None

    @property
    def unread(self) -> bytes:
        """What came in order and the application has not read."""
        return bytes(self._unread)

    # --- opening ---------------------------------------------------------------------------------------

    def start_active(self, tick: int) -> None:
        """Send a SYN."""
        self.state = State.SYN_SENT
        self._rcv_scale = self._config.window_scale or 0
        self._timestamps = self._config.timestamps
        self._sack = self._config.sack
        self._send_syn(tick)

    def start_passive(self, syn: Segment, tick: int) -> None:
        """Answer a SYN."""
        self.state = State.SYN_RECEIVED
        self._take_syn(syn)
        self._send_syn(tick)

    def _take_syn(self, syn: Segment) -> None:
        config, options = self._config, syn.options
        irs = first_position(syn.seq)
        self.rcv_nxt = irs + 1
        self._rcv_adv = max(self._rcv_adv, self.rcv_nxt)
        self._last_ack_sent = self.rcv_nxt
        self._timestamps = config.timestamps and options.timestamps is not None
        self._sack = config.sack and options.sack_permitted
        self.ecn.take_syn(config.ecn, syn.flags)
        if options.timestamps is not None:
            self._ts_recent = options.timestamps[0]
        scaling = config.window_scale is not None and options.scale is not None
        self._snd_scale = (options.scale or 0) if scaling else 0
        self._rcv_scale = (config.window_scale or 0) if scaling else 0
        self._smss = min(config.mss, options.mss or self._default_mss) - (12 if self._timestamps else 0)
        self._cwnd = config.initial_window_segments * self._smss
        self._snd_wnd = self._max_wnd = syn.window
        self._wl1, self._wl2 = irs, self.snd_una
        self.judge.established(
            irs + 1, self._timestamps, self._snd_scale, syn.link.vlan, sack=self._sack, ecn=self.ecn.agreed
        )

    def _send_syn(self, tick: int) -> None:
        config = self._config
        raw = b"\x02\x04" + config.mss.to_bytes(2, "big")
        answer = self.state is State.SYN_RECEIVED
        if config.window_scale is not None and not (answer and self._rcv_scale == 0 == self._snd_scale):
            raw += bytes((1, 3, 3, config.window_scale))
        if self._sack:
            raw += b"\x01\x01\x04\x02"
        if self._timestamps:
            raw += b"\x01\x01" + self._timestamp_option(tick)
        self.snd_nxt = self.snd_max = self._iss + 1
        offer = OFFER if config.ecn and self._expiries == 0 else 0
        said = ACK | (ECE if self.ecn.agreed else 0) if answer else offer
        self._emit(self._iss, SYN | said, b"", tick, raw)
        self._retransmit_at = tick + self.rto.current

    # --- events ----------------------------------------------------------------------------------------

    def on_segment(self, seg: Segment, tick: int) -> None:
        """A segment of this connection with right checksums."""
        self.counters.segments_in += 1
        if self.state is State.CLOSED:
            return
        if self.state is State.SYN_SENT:
            self._in_syn_sent(seg, tick)
        else:
            sent = (self.snd_una, self.snd_max)
            self.judge.segment(seg, self.rcv_nxt, sent, time_wait=self.state is State.TIME_WAIT)
            self.judge.echo(seg, self._clock(tick), self._stamp_age(tick))
            self._in_synchronized(seg, tick)
        self._work(tick)

    def on_tick(self, tick: int) -> None:
        """Time is now `tick`: run the timers that are due."""
        if self.state is State.CLOSED:
            return
        if self._time_wait_at is not None and tick >= self._time_wait_at:
            self._close()
            return
        if self._retransmit_at is not None and tick >= self._retransmit_at:
            self._on_retransmit_timeout(tick)
        if self._persist_at is not None and tick >= self._persist_at:
            self._on_persist(tick)
        if self._delayed_ack_at is not None and tick >= self._delayed_ack_at:
            self._ack_now = True
        self._work(tick)

    def next_deadline(self) -> int | None:
        """Earliest running timer."""
        timers = (self._retransmit_at, self._persist_at, self._delayed_ack_at, self._time_wait_at)
        running = [at for at in timers if at is not None]
        return min(running) if running and self.state is not State.CLOSED else None

    def poke(self, tick: int) -> None:
        """The application changed its mind (more room, more data): look again."""
        if self.state is not State.CLOSED:
            self._work(tick)

    def answer_late(self, seg: Segment, tick: int) -> None:
        """A segment for a connection that ended in order: a FIN again means that our last ACK was lost."""
        if seg.flags & FIN and not seg.flags & RST:
            self._emit_ack(tick)

    def abort(self, tick: int, reason: str = "aborted by the peer") -> None:
        """Send an RST and forget the connection."""
        if self.state not in (State.CLOSED, State.SYN_SENT, State.TIME_WAIT):
            self._emit(self._bare_seq(), RST | ACK, b"", tick)
        self._die(reason)

    # --- segment processing (RFC 9293 3.10.7) ----------------------------------------------------------

    def _in_syn_sent(self, seg: Segment, tick: int) -> None:
        ack_good = bool(seg.flags & ACK) and place(seg.ack, self.snd_una) == self.snd_max
        if seg.flags & RST:
            if ack_good:
                self._die("connection refused")
            return
        if not ack_good or not seg.flags & SYN:
            return
        self._take_syn(seg)
        self.snd_una = self.snd_max
        self._wl2 = self.snd_una
        self._retransmit_at = None
        if self._expiries == 0 and seg.options.timestamps is None:
            self._timed = None
        self.rto.reset_backoff()
        self._expiries = 0
        self.state = State.ESTABLISHED
        self._ack_now = True

    def _in_synchronized(self, seg: Segment, tick: int) -> None:
        stamps = seg.options.timestamps if self._timestamps else None
        if self._timestamps and not seg.flags & RST:
            if stamps is None:
                return
            if newer(self._ts_recent, stamps[0]):
                self._ack_now = True
                return
        seq = place(seg.seq, self.rcv_nxt)
        length = len(seg.payload) + bool(seg.flags & SYN) + bool(seg.flags & FIN)
        if not self._acceptable(seq, length):
            self._unacceptable(seg, tick)
            return
        if seg.flags & RST:
            if self.state is State.TIME_WAIT:
                return  # RFC 1337: an old duplicate must not end TIME-WAIT
            if seq == self.rcv_nxt:
                self._die("reset by the other side")
            else:
                self._challenge()
            return
        if seg.flags & SYN:
            self._challenge()
            return
        if not seg.flags & ACK:
            return
        if stamps is not None and seq <= self._last_ack_sent:
            self._ts_recent = stamps[0]
        if not self._on_ack(seg, seq, tick):
            return
        self.ecn.receive(seg.flags, seg.tos, len(seg.payload))
        self._on_data(seg, seq, tick)

    def _acceptable(self, seq: int, length: int) -> bool:
        window = self._rcv_adv - self.rcv_nxt
        first_in = self.rcv_nxt <= seq < self._rcv_adv
        if length == 0:
            return first_in or (window == 0 and seq == self.rcv_nxt) or seq == self._rcv_adv == self.rcv_nxt
        last = seq + length - 1
        return window > 0 and (first_in or self.rcv_nxt <= last < self._rcv_adv)

    def _unacceptable(self, seg: Segment, tick: int) -> None:
        if seg.flags & RST:
            return
        seq = place(seg.seq, self.rcv_nxt)
        if self.state is State.SYN_RECEIVED and seg.flags & SYN and seq == self.rcv_nxt - 1:
            self._send_syn(tick)
            return
        if self.state is State.TIME_WAIT and seg.flags & FIN:
            self._time_wait_at = tick + self._config.time_wait_ticks
        self._ack_now = True
        if seg.flags & ACK and seq == self.rcv_nxt:
            # Zero window: valid ACKs are processed even though the text is refused (RFC 9293 3.10.7.4).
            self._on_ack(seg, seq, tick)

    def _challenge(self) -> None:
        self.counters.challenge_acks += 1
        self._ack_now = True

    def _on_ack(self, seg: Segment, seq: int, tick: int) -> bool:
        """ACK field; False if the segment is to be dropped (RFC 5961 section 5)."""
        ack = place(seg.ack, self.snd_una)
        if ack > self.snd_max or ack < self.snd_una - self._max_wnd:
            if self.state is State.SYN_RECEIVED:
                return False
            self._challenge()
            return False
        if self.state is State.SYN_RECEIVED:
            if ack != self.snd_max:
                return False
            self.state = State.ESTABLISHED
            self._wl1 = seq - 1
        window = seg.window << self._snd_scale
        same_window = window == self._snd_wnd
        if ack >= self.snd_una and (self._wl1 < seq or (self._wl1 == seq and self._wl2 <= ack)):
            self._snd_wnd, self._wl1, self._wl2 = window, seq, ack
            self._max_wnd = max(self._max_wnd, window)
            if not same_window and window:
                self._persist_at, self._persist_shift = None, 0
        before = self.snd_una
        blocks = [(place(left, ack), place(right, ack)) for left, right in seg.options.sack_blocks]
        news = self._sacked.note(blocks, max(ack, before), self.snd_max)
        if ack > self.snd_una:
            self._on_new_ack(seg, ack, tick)
        elif ack == self.snd_una < self.snd_max and self._is_duplicate(seg, news=news, same_window=same_window):
            self._on_duplicate_ack(tick)
        if ack >= before and not self._in_recovery and self.ecn.reduces(seg.flags, self.snd_una, self.snd_max):
            self._ssthresh = max((self.snd_max - before) // 2, 2 * self._smss)
            self._cwnd = min(self._cwnd, self._ssthresh)
        return True

    def _is_duplicate(self, seg: Segment, *, news: bool, same_window: bool) -> bool:
        """Of an acknowledgment of SND.UNA: with SACK what it tells of counts (RFC 6675 2), else RFC 5681 2."""
        if self._sack:
            return news
        return same_window and not seg.payload and not seg.flags & FIN

    def _on_new_ack(self, seg: Segment, ack: int, tick: int) -> None:
        acked = ack - self.snd_una
        self._sample_rtt(seg, ack, tick)
        self.snd_una = ack
        self.snd_nxt = max(self.snd_nxt, ack)
        drop = min(ack - self._data_at, len(self._data))
        if drop > 0:
            del self._data[:drop]
            self._data_at += drop
        self._expiries = 0
        self._persist_at, self._persist_shift = None, 0
        first_partial = self._congestion_on_new_ack(ack, acked, tick)
        if self.snd_una == self.snd_max:
            self._retransmit_at = None
        elif not self._in_recovery or first_partial:
            self._retransmit_at = tick + self.rto.current
        if self._fin_sent_and_acked():
            self._on_fin_acked(tick)

    def _sample_rtt(self, seg: Segment, ack: int, tick: int) -> None:
        if self._timestamps and seg.options.timestamps is not None:
            elapsed = (self._clock(tick) - seg.options.timestamps[1]) & _U32
            if elapsed <= self._stamp_age(tick):
                self.rto.sample(elapsed)
        elif self._timed is not None and ack >= self._timed[0]:
            self.rto.sample(tick - self._timed[1])
            self._timed = None

    def _congestion_on_new_ack(self, ack: int, acked: int, tick: int) -> bool:
        """Window growth or NewReno; True on the first partial acknowledgment of a recovery."""
        smss = self._smss
        if not self._in_recovery:
            self._dup_acks = 0
            if self._cwnd < self._ssthresh:
                self._cwnd += min(acked, smss)
            else:
                self._cwnd += max(1, smss * smss // self._cwnd)
            return False
        if ack >= self._recover:
            self._in_recovery = False
            self._dup_acks = 0
            self._cwnd = min(self._ssthresh, max(self.snd_max - ack, smss) + smss)
            return False
        first = not self._partial_seen
        self._partial_seen = True
        self._retransmit_head(tick)
        self._cwnd = max(smss, self._cwnd - acked + (smss if acked >= smss else 0))
        return first

    def _on_duplicate_ack(self, tick: int) -> None:
        self.counters.duplicate_acks_in += 1
        self._dup_acks += 1
        if self._in_recovery:
            self._cwnd += self._smss
        elif self._dup_acks == self._config.duplicate_ack_threshold and self.snd_una > self._recover:
            self.counters.fast_retransmits += 1
            self._ssthresh = max((self.snd_max - self.snd_una) // 2, 2 * self._smss)
            self._recover = self.snd_max
            self.ecn.slowed_down(self.snd_max)
            self._in_recovery, self._partial_seen = True, False
            self._retransmit_head(tick)
            self._cwnd = self._ssthresh + 3 * self._smss

    def _on_data(self, seg: Segment, seq: int, tick: int) -> None:
        if self.state not in _MAY_RECEIVE:
            if seg.payload or seg.flags & FIN:
                self._ack_now = True
            return
        payload, fin = seg.payload, bool(seg.flags & FIN)
        end = seq + len(payload)
        if end > self._rcv_adv:
            payload, fin, end = payload[: self._rcv_adv - seq], False, self._rcv_adv
        if fin and self._fin_at is None:
            self._fin_at = end
        if not payload and not fin:
            return
        gap_before = bool(self._held)
        if seq > self.rcv_nxt or end < self.rcv_nxt:
            self.counters.out_of_order_in += 1
            self._ack_now = True
        self._note_for_sack(seq, end)
        self._held.add(seq, payload)
        data = self._held.take(self.rcv_nxt)
        if not data and payload:
            self._ack_now = True
        self.rcv_nxt += len(data)
        self._unread += data
        if gap_before:
            self._ack_now = True
        if data:
            self._full_unacked += len(data)
            if self._full_unacked >= self._config.ack_every * min(self._smss, self._config.mss):
                self._ack_now = True
            elif self._delayed_ack_at is None:
                self._delayed_ack_at = tick + self._config.delayed_ack_ticks
        if self._fin_at is not None and self.rcv_nxt == self._fin_at:
            self._on_fin(tick)

    def _note_for_sack(self, seq: int, end: int) -> None:
        """Remember which segment came last behind a gap, and one of which nothing was new (RFC 2018 4, RFC 2883 4)."""
        if seq < end and (end <= self.rcv_nxt or any(a <= seq and end <= b for a, b in self._held.spans())):
            self._duplicate = (seq, end)
        if seq < end and seq > self.rcv_nxt:
            self._came_apart = [seq, *(at for at in self._came_apart if at != seq)][:_REMEMBERED_SEGMENTS]

    def _sack_option(self) -> bytes:
        """The blocks of an acknowledgment: a duplicate first, then what is held, the latest first."""
        if not self._sack:
            return b""
        spans = self._held.spans()
        latest = [s for at in self._came_apart for s in spans if s[0] <= at < s[1]]
        blocks = [] if self._duplicate is None else [self._duplicate]
        blocks += dict.fromkeys(latest + spans)
        self._duplicate = None
        blocks = blocks[: 3 if self._timestamps else 4]
        if not blocks:
            return b""
        edges = b"".join((edge & _U32).to_bytes(4, "big") for block in blocks for edge in block)
        return bytes((1, 1, 5, 2 + len(edges))) + edges

    def _on_fin(self, tick: int) -> None:
        self.rcv_nxt += 1
        self._rcv_adv = max(self._rcv_adv, self.rcv_nxt)
        self._ack_now = True
        if self.state is State.ESTABLISHED:
            self.state = State.CLOSE_WAIT
        elif self.state is State.FIN_WAIT_1:
            self.state = State.CLOSING
        elif self.state is State.FIN_WAIT_2:
            self._enter_time_wait(tick)

    def _fin_sent_and_acked(self) -> bool:
        return self._fin_asked and self.snd_una == self._data_end() + 1

    def _on_fin_acked(self, tick: int) -> None:
        if self.state is State.FIN_WAIT_1:
            self.state = State.FIN_WAIT_2
        elif self.state is State.CLOSING:
            self._enter_time_wait(tick)
        elif self.state is State.LAST_ACK:
            self._close()

    def _enter_time_wait(self, tick: int) -> None:
        self.state = State.TIME_WAIT
        self._retransmit_at = self._persist_at = None
        self._time_wait_at = tick + self._config.time_wait_ticks

    def _close(self) -> None:
        self.state = State.CLOSED
        self._retransmit_at = self._persist_at = self._delayed_ack_at = self._time_wait_at = None

    def _die(self, reason: str) -> None:
        self._close()
        self.failure = reason
        self.app.on_abort(reason)

    # --- work after every event ------------------------------------------------------------------------

    def _work(self, tick: int) -> None:
        if self.state is State.CLOSED or self.state in _HANDSHAKE:
            return
        self._serve_application()
        self._send_what_may_go(tick)
        if self._ack_now or self._window_update_due():
            self._emit_ack(tick)

    def _serve_application(self) -> None:
        take = min(len(self._unread), self.app.room())
        if take:
            self.app.on_data(bytes(self._unread[:take]))
            del self._unread[:take]
        if self._fin_at is not None and self.rcv_nxt > self._fin_at and not self._unread and not self._end_told:
            self._end_told = True
            self.app.on_end()
        if self._fin_asked:
            return
        space = self._config.send_buffer - len(self._data)
        if space > 0:
            self._data += self.app.take(space)
        if self.app.wants_close():
            self._fin_asked = True
            self.state = State.LAST_ACK if self.state is State.CLOSE_WAIT else State.FIN_WAIT_1

    def _data_end(self) -> int:
        return self._data_at + len(self._data)

    def _send_what_may_go(self, tick: int) -> None:
        while True:
            size = self._next_size()
            fin = self._fin_asked and self.snd_nxt + size == self._data_end()
            if size == 0 and not fin:
                break
            self._send_range(self.snd_nxt, size, fin, tick)
            self.snd_nxt += size + fin
            self.snd_max = max(self.snd_max, self.snd_nxt)
            if self._retransmit_at is None:
                self._retransmit_at = tick + self.rto.current
        waiting = self._data_end() > self.snd_nxt
        if waiting and self._retransmit_at is None and self._persist_at is None:
            self._persist_at = tick + self._persist_gap()

    def _next_size(self) -> int:
        """Payload bytes of the next segment; 0 if none may go now (window, congestion, Nagle, silly window)."""
        waiting = self._data_end() - self.snd_nxt
        if waiting <= 0:
            return 0
        flight = self.snd_nxt - self.snd_una
        limit = self._cwnd
        if 0 < self._dup_acks < self._config.duplicate_ack_threshold and not self._in_recovery:
            limit += self._dup_acks * self._smss  # limited transmit, RFC 3042
        size = min(waiting, self._smss, self._snd_wnd - flight, limit - flight)
        if size <= 0:
            return 0
        if size == self._smss or self.snd_nxt < self.snd_max:
            return size
        if size == waiting and (flight == 0 or not self._config.nagle or self._fin_asked):
            return size
        if 2 * size >= self._max_wnd and flight == 0:
            return size
        return 0

    def _window_update_due(self) -> bool:
        if self._fin_at is not None and self.rcv_nxt > self._fin_at:
            return False
        gain = self.rcv_nxt + self._free() - self._rcv_adv
        if 2 * gain >= self._config.receive_buffer:
            return True
        closed = self._rcv_adv - self.rcv_nxt < self._config.mss
        return closed and gain >= min(self._config.mss, self._config.receive_buffer // 2)

    def _free(self) -> int:
        """Bytes of window to offer: the free buffer, as far as the window field can say it."""
        return max(0, min(self._config.receive_buffer - len(self._unread), 0xFFFF << self._rcv_scale))

    # --- timers ----------------------------------------------------------------------------------------

    def _on_retransmit_timeout(self, tick: int) -> None:
        self.counters.timeouts += 1
        self._expiries += 1
        if self._expiries > self._config.max_retransmissions:
            self.abort(tick, "too many retransmissions")
            return
        self.rto.back_off()
        self._timed = None
        if self.state in _HANDSHAKE:
            self.counters.retransmissions += 1
            self._send_syn(tick)
            return
        if self._expiries == 1:
            self._ssthresh = max((self.snd_max - self.snd_una) // 2, 2 * self._smss)
            self.ecn.slowed_down(self.snd_max)
        self._cwnd = self._smss
        self._recover = self.snd_max
        self._in_recovery = False
        self._dup_acks = 0
        self._sacked.forget()
        self.snd_nxt = self.snd_una + self._retransmit_head(tick)
        self._retransmit_at = tick + self.rto.current

    def _persist_gap(self) -> int:
        return int(min(self.rto.current << self._persist_shift, self._config.rto_max))

    def _on_persist(self, tick: int) -> None:
        """Window probe (one octet beyond a closed window), or the end of a silly-window wait."""
        self._persist_shift = min(self._persist_shift + 1, 16)
        self._persist_at = tick + self._persist_gap()
        room = self._snd_wnd - (self.snd_nxt - self.snd_una)
        size = min(max(room, 1), self._smss, self._data_end() - self.snd_una)
        if size <= 0:
            self._persist_at = None
            return
        self.counters.window_probes += 1
        self._send_range(self.snd_una, size, False, tick)
        self.snd_max = max(self.snd_max, self.snd_una + size)

    # --- sending ---------------------------------------------------------------------------------------

    def _retransmit_head(self, tick: int) -> int:
        """Resend the first unacknowledged segment; returns its length in sequence space."""
        size = min(self._smss, self._data_end() - self.snd_una, self.snd_max - self.snd_una)
        size = max(size, 0)
        fin = self._fin_asked and self.snd_una + size == self._data_end() and self.snd_max > self._data_end()
        self._send_range(self.snd_una, size, fin, tick)
        return size + fin

    def _send_range(self, seq: int, size: int, fin: bool, tick: int) -> None:
        at = seq - self._data_at
        payload = bytes(self._data[at : at + size])
        flags = ACK | (FIN if fin else 0)
        if size and seq + size == self._data_end():
            flags |= PSH
        if seq < self.snd_max:
            self.counters.retransmissions += 1
            self._timed = None
        elif self._timed is None:
            self._timed = (seq + size + fin, tick)
        self._emit(seq, flags, payload, tick)

    def _emit_ack(self, tick: int) -> None:
        self._emit(self._bare_seq(), ACK, b"", tick, behind=self._sack_option())

    def _bare_seq(self) -> int:
        """Where a segment without text lies: at SND.MAX, as a SND.NXT that a timeout pulled back is unacceptable.

        But in front of what a window probe carried: a far end that does not take it takes nothing behind it either
        (RFC 9293 3.10.7.4: with a closed window only SEG.SEQ = RCV.NXT).
        """
        probing = self._persist_at is not None and self.snd_nxt == self.snd_una
        return self.snd_nxt if probing else self.snd_max

    def _clock(self, tick: int) -> int:
        return (self._config.timestamp_start + tick) & _U32

    def _stamp_age(self, tick: int) -> int:
        """Ticks since the first TSval was sent: no echo can be older."""
        first = self._first_stamp
        return 0 if first is None else (self._clock(tick) - first) & _U32

    def _timestamp_option(self, tick: int) -> bytes:
        if self._first_stamp is None:
            self._first_stamp = self._clock(tick)
        echo = self._ts_recent if self.state is not State.SYN_SENT else 0
        return b"\x08\x0a" + self._clock(tick).to_bytes(4, "big") + echo.to_bytes(4, "big")

    def _window_field(self, syn: bool) -> int:
        """The window to advertise; never takes back what was promised, also not by rounding (RFC 7323 2.4)."""
        if syn:
            field = min(self._free(), 0xFFFF)
            self._rcv_adv = max(self._rcv_adv, self.rcv_nxt + field)
            return field
        promised = max(0, self._rcv_adv - self.rcv_nxt)
        unit = 1 << self._rcv_scale
        field = max(self._free() // unit, -(-promised // unit))
        field = min(field, 0xFFFF)
        self._rcv_adv = max(self._rcv_adv, self.rcv_nxt + field * unit)
        return field

    def _emit(self, seq: int, flags: int, payload: bytes, tick: int, options: bytes = b"", behind: bytes = b"") -> None:
        if not options and self._timestamps and not flags & SYN:
            options = b"\x01\x01" + self._timestamp_option(tick)
        self._ip_id = (self._ip_id + 1) & 0xFFFF
        addresses, tos = self.addresses, self._config.tos
        field = self._window_field(bool(flags & SYN))
        if flags & ACK:
            window = field if flags & SYN else field << self._rcv_scale
            self.judge.offered.tell(seq, self.rcv_nxt, window, self.snd_una)
        if not flags & (SYN | RST):
            flags, tos = self.ecn.mark(flags, tos, fresh=len(payload) > 0 and seq >= self.snd_max)
        segment = Segment(
            self._link,
            addresses.own_ip,
            addresses.other_ip,
            addresses.own_port,
            addresses.other_port,
            seq & _U32,
            self.rcv_nxt & _U32 if flags & ACK else 0,
            flags,
            field,
            0,
            Options(raw=options + behind),
            payload,
            ip_id=self._ip_id,
            ttl=self._config.ttl,
            tos=tos,
        )
        self.out.append(encode_tcp(segment))
        self.counters.segments_out += 1
        if flags & ACK:
            self._ack_now = False
            self._full_unacked = 0
            self._delayed_ack_at = None
            self._last_ack_sent = self.rcv_nxt
