"""The host's software TCP: one connection, event driven, times in ticks (RFC 9293, 6298, 7323).

It opens a connection before the offload and takes it to its end after the upload. It holds no
reference to the offload engine's model: what it knows after an upload is the uploaded state.
RFC names are used (snd_una). `rcv_adv` is the right edge last advertised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from model.ndis.enums import TcpConnectionState as State
from model.ndis.framing import MASK32, Endpoint, Segment
from model.ndis.offload_state import NOT_RUNNING, KeepAlive, Retransmit, TcpDelegated
from model.ndis.soft_ecn import OFFER, SoftEcn
from model.wire.frame import TcpFlag

TIMESTAMP_BYTES = 12
IPV4_TCP_BYTES, IPV6_TCP_BYTES = 40, 60
"""IP and TCP header without options."""
ETHERNET_MTU = 1500
DEFAULT_MSS, DEFAULT_MSS_IPV6 = 536, 1220
"""Send MSS where the other side announces none (RFC 9293, MUST-15)."""
_SENDING = (State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK)
_RECEIVING = (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)


class SoftTcpError(Exception):
    """The software TCP was asked for something its state does not allow."""


@dataclass(frozen=True)
class SoftTcpConfig:
    """Parameters of a connection; sizes in bytes, times in ticks."""

    mss: int = 1460
    path_mtu: int = 1500
    initial_rcv_wnd: int = 256 * 1024
    timestamps: bool = True
    window_scaling: bool = True
    #: SACK is offered (RFC 2018, 2): this stack sends no blocks and heeds none, but an offload target may.
    sack: bool = True
    #: ECN is asked for and agreed to (RFC 3168, 6.1.1).
    ecn: bool = False
    #: The offload target is asked for CUBIC (RFC 9438); this stack is Reno. Nothing of it is on the wire.
    cubic: bool = False
    initial_seq: int = 1
    #: Timestamp clock at tick 0.
    initial_ts: int = 0
    rto_initial: int = 1000
    rto_min: int = 300
    rto_max: int = 60_000
    max_retransmissions: int = 15
    dup_ack_threshold: int = 3
    fin_wait_2: int = 120_000
    time_wait: int = 4000
    initial_cwnd: int = 4380
    initial_ssthresh: int = 0x3FFF_C000
    ttl: int = 128
    tos: int = 0
    #: Of the frames over IPv6 (RFC 6437).
    flow_label: int = 0

    @property
    def rcv_scale(self) -> int:
        """Smallest shift that lets the window field carry the receive window (RFC 7323, 2.3)."""
        shift = 0
        while self.window_scaling and shift < 14 and self.initial_rcv_wnd >> shift > 0xFFFF:
            shift += 1
        return shift


def signed(value: int) -> int:
    """A difference of sequence numbers or timestamps as a signed 32-bit number."""
    value &= MASK32
    return value - (1 << 32) if value & 0x8000_0000 else value


def seq_lt(a: int, b: int) -> bool:
    """Whether a < b in sequence space."""
    return signed(a - b) < 0


def seq_le(a: int, b: int) -> bool:
    """Whether a <= b in sequence space."""
    return signed(a - b) <= 0


@dataclass
class RttEstimator:
    """SRtt x 8 and RttVar x 4 in ticks, 0 = no sample (RFC 6298, decision G-11)."""

    s_rtt: int = 0
    rtt_var: int = 0

    def sample(self, ticks: int) -> None:
        """Take a measurement in."""
        ticks = max(1, ticks)
        if self.s_rtt == 0:
            self.s_rtt, self.rtt_var = 8 * ticks, 2 * ticks
        else:
            delta = ticks - (self.s_rtt >> 3)
            self.s_rtt = max(1, self.s_rtt + delta)
            self.rtt_var = max(0, self.rtt_var + abs(delta) - (self.rtt_var >> 2))
        self.s_rtt, self.rtt_var = min(self.s_rtt, 0xFFFF), min(self.rtt_var, 0xFFFF)

    def rto(self, config: SoftTcpConfig, backoff: int) -> int:
        """Retransmission timeout after ``backoff`` expiries."""
        base = config.rto_initial
        if self.s_rtt:
            base = max(config.rto_min, (self.s_rtt >> 3) + max(1, self.rtt_var))
        return min(config.rto_max, base << min(backoff, 16))


@dataclass(eq=False)
class SoftTcp:
    """One connection. ``emit`` takes each segment the connection sends."""

    local: Endpoint
    remote: Endpoint
    config: SoftTcpConfig
    emit: Callable[[Segment], None]
    state: State = State.CLOSED
    snd_una: int = 0
    snd_nxt: int = 0
    snd_max: int = 0
    snd_wnd: int = 0
    max_snd_wnd: int = 0
    snd_wl1: int = 0
    snd_wl2: int = 0
    rcv_nxt: int = 0
    rcv_adv: int = 0
    cwnd: int = 0
    ssthresh: int = 0
    rtt: RttEstimator = field(default_factory=RttEstimator)
    ts_enabled: bool = False
    scaling_enabled: bool = False
    sack_enabled: bool = False
    ecn: SoftEcn = field(default_factory=SoftEcn)
    ts_delta: int = 0
    ts_recent: int = 0
    ts_recent_tick: int = 0
    snd_scale: int = 0
    rcv_scale: int = 0
    remote_mss: int = 536
    dup_acks: int = 0
    rtx_count: int = 0
    #: The retransmission timer paces window probes: the peer's window is closed and nothing is in flight.
    persist: bool = False
    total_rt: int = 0
    probe_round: int = 0
    #: Bytes from snd_una on, sent or not; the FIN is not among them.
    send_buffer: bytearray = field(default_factory=bytearray)
    fin_queued: bool = False
    fin_acked: bool = False
    peer_fin: bool = False
    aborted: bool = False
    failure: str = ""
    received: bytearray = field(default_factory=bytearray)
    retransmissions: int = 0
    _rtx_deadline: int | None = None
    _state_deadline: int | None = None
    _out_of_order: dict[int, bytes] = field(default_factory=dict)
    _timed: tuple[int, int] | None = None

    # ---- application face ------------------------------------------------------------------

    def connect(self, tick: int) -> None:
        """Active open: send the SYN."""
        config = self.config
        self.state = State.SYN_SENT
        self.snd_una = self.snd_nxt = self.snd_max = config.initial_seq & MASK32
        self.ts_enabled = config.timestamps
        self.ts_delta = config.initial_ts & MASK32
        self._send_syn(tick)

    def accept(self, syn: Segment, tick: int) -> None:
        """Passive open: answer a SYN with SYN and ACK (RFC 9293, 3.10.7.2)."""
        self.snd_una = self.snd_nxt = self.snd_max = self.config.initial_seq & MASK32
        self.ts_delta = self.config.initial_ts & MASK32
        self._take_syn(syn, tick)
        self.rcv_adv = (self.rcv_nxt + min(0xFFFF, self.config.initial_rcv_wnd)) & MASK32  # of the SYN, unscaled
        self.state = State.SYN_RCVD
        self._send_syn(tick)

    def send(self, data: bytes, tick: int) -> None:
        """Queue data and send what the windows allow."""
        if self.fin_queued:
            raise SoftTcpError("send after close: the FIN is queued already")
        self.send_buffer += data
        self._output(tick)

    def close(self, tick: int) -> None:
        """Graceful close of the send half."""
        if not self.fin_queued:
            self.fin_queued = True
            self._output(tick)

    def acknowledge(self, tick: int) -> None:
        """Send a pure ACK: the last of a handshake, or the challenge of RFC 5961 4."""
        self._send_ack(tick)

    def abort(self, tick: int) -> None:
        """Abort: RST, and the end (RFC 9293 3.10.5)."""
        self._transmit(tick, self.snd_max, TcpFlag.RST)
        self._end("aborted")

    def give_up(self, failure: str) -> None:
        """The host ends the connection without a word on the wire (R2, RFC 9293 3.8.3)."""
        self._end(failure)

    def take_received(self) -> bytes:
        """In-order bytes received since the last call."""
        data = bytes(self.received)
        self.received.clear()
        return data

    @property
    def ended(self) -> bool:
        """True once nothing more will happen."""
        return self.state is State.CLOSED

    @property
    def send_mss(self) -> int:
        """Payload bytes of a full-size segment (MUST-16)."""
        mss = min(self.remote_mss, self.config.path_mtu - self._header_bytes)
        return mss - TIMESTAMP_BYTES if self.ts_enabled else mss

    @property
    def _header_bytes(self) -> int:
        return IPV6_TCP_BYTES if self.remote.is_ipv6 else IPV4_TCP_BYTES

    # ---- time ------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """Tick of the earliest timer."""
        due = [d for d in (self._rtx_deadline, self._state_deadline) if d is not None]
        return min(due, default=None)

    def on_tick(self, tick: int) -> None:
        """Run the timers that are due."""
        if self._state_deadline is not None and tick >= self._state_deadline:
            self._end()
        if self._rtx_deadline is not None and tick >= self._rtx_deadline:
            self._on_timeout(tick)

    def _on_timeout(self, tick: int) -> None:
        if self.rtx_count >= self.config.max_retransmissions:
            self._end(f"gave up after {self.rtx_count} retransmissions")
            return
        if self.persist:
            self._send_probe(tick)
            self._arm(tick)
            self.rtx_count += 1
            return
        self.total_rt += self.rtt.rto(self.config, self.rtx_count)
        self.rtx_count += 1
        if self.state in (State.SYN_SENT, State.SYN_RCVD):
            self._send_syn(tick)
            return
        self._timed = None
        self.retransmissions += 1
        if self.rtx_count == 1:
            flight = (self.snd_max - self.snd_una) & MASK32
            self.ssthresh = max(flight // 2, 2 * self.send_mss)
            self.ecn.reduced(self.snd_max)
        self.cwnd = self.send_mss
        self.dup_acks = 0
        self.snd_nxt = self.snd_una
        self._arm(tick)
        self._output(tick)

    def _arm(self, tick: int) -> None:
        self._rtx_deadline = tick + self.rtt.rto(self.config, self.rtx_count)

    def _choose_timer(self, tick: int) -> None:
        """Retransmission (RFC 6298, 5), probes of a closed window (NDIS sheet, 5.4), or neither."""
        if self.state not in _SENDING:
            return
        outstanding = self.snd_max != self.snd_una
        if self.send_buffer and self.snd_wnd == 0 and self.snd_nxt == self.snd_una:
            if not self.persist:
                self.persist = True
                self.rtx_count = self.probe_round = 0
                self._arm(tick)
        elif self.persist or not outstanding:
            self.persist = False
            self.rtx_count = 0
            self._rtx_deadline = None
        if outstanding and self._rtx_deadline is None:
            self._arm(tick)

    # ---- output ----------------------------------------------------------------------------

    def _timestamp(self, tick: int) -> int:
        return (tick + self.ts_delta) & MASK32

    def _window_field(self) -> int:
        """Scaled window to advertise; rounding never moves the right edge left (SHLD-14)."""
        room = max(0, self.config.initial_rcv_wnd - len(self.received))
        promised = max(0, signed(self.rcv_adv - self.rcv_nxt))
        value = room >> self.rcv_scale
        if value << self.rcv_scale < promised:
            value = -(-promised >> self.rcv_scale)
        return min(0xFFFF, value)

    def _transmit(self, tick: int, seq: int, flags: TcpFlag, payload: bytes = b"", *, fresh: bool = False) -> None:
        """One segment; ``fresh``: data that was never sent before."""
        if TcpFlag.RST not in flags:
            flags |= self.ecn.flags(fresh=fresh)
        field_value = self._window_field()
        edge = (self.rcv_nxt + (field_value << self.rcv_scale)) & MASK32
        if seq_lt(self.rcv_adv, edge):
            self.rcv_adv = edge
        self.emit(
            Segment(
                self.local,
                self.remote,
                seq & MASK32,
                self.rcv_nxt,
                flags | TcpFlag.ACK,
                field_value,
                payload,
                ts=(self._timestamp(tick), self.ts_recent) if self.ts_enabled else None,
                ttl=self.config.ttl,
                tos=self.ecn.tos(self.config.tos, fresh=fresh),
                flow_label=self.config.flow_label,
            )
        )

    def _send_ack(self, tick: int) -> None:
        """A pure ACK at SND.MAX, but in front of a probed octet: a closed window ends there (RFC 9293, 3.10.7.4)."""
        self._transmit(tick, self.snd_nxt if self.persist else self.snd_max, TcpFlag(0))

    def _send_syn(self, tick: int) -> None:
        """The SYN; in SYN_RCVD with ACK, and with the options that the other side's SYN allows."""
        config = self.config
        answer = self.state is State.SYN_RCVD
        self.snd_nxt = self.snd_max = (self.snd_una + 1) & MASK32
        self._timed = (self.snd_nxt, tick) if self.rtx_count == 0 else None
        timestamps = self.ts_enabled if answer else config.timestamps
        scaling = self.scaling_enabled if answer else config.window_scaling
        offer = OFFER if config.ecn and self.rtx_count == 0 else TcpFlag(0)
        agreed = TcpFlag.ECE if self.ecn.enabled else TcpFlag(0)
        self.emit(
            Segment(
                self.local,
                self.remote,
                self.snd_una,
                self.rcv_nxt if answer else 0,
                TcpFlag.SYN | TcpFlag.ACK | agreed if answer else TcpFlag.SYN | offer,
                min(0xFFFF, config.initial_rcv_wnd),
                ts=(self._timestamp(tick), self.ts_recent if answer else 0) if timestamps else None,
                mss=min(config.mss, ETHERNET_MTU - self._header_bytes),
                window_scale=config.rcv_scale if scaling else None,
                sack_permitted=self.sack_enabled if answer else config.sack,
                ttl=config.ttl,
                tos=self.ecn.tos(config.tos, fresh=False),
                flow_label=config.flow_label,
            )
        )
        self._arm(tick)

    def _send_probe(self, tick: int) -> None:
        """Window probe: the first unacknowledged octet again, or the next one (RFC 9293, 3.8.6.1)."""
        if self.snd_max == self.snd_una:
            self.snd_max = (self.snd_una + 1) & MASK32
        self._transmit(tick, self.snd_una, TcpFlag(0), bytes(self.send_buffer[:1]))

    def _output(self, tick: int) -> None:
        """Send what the windows allow, the FIN behind the last byte."""
        while self.state in _SENDING and not self.fin_acked:
            offset = (self.snd_nxt - self.snd_una) & MASK32
            left = len(self.send_buffer) - offset
            if left < 0:  # the FIN is out
                break
            usable = min(self.snd_wnd, self.cwnd) - offset
            length = min(left, self.send_mss, max(0, usable))
            fin = self.fin_queued and length == left and (usable > length or left == 0)
            if length == 0 and not fin:
                break
            if 0 < length < min(left, self.send_mss) and offset:
                break  # silly window: wait for acknowledgements
            self._send_data(tick, offset, length, fin, last=length == left)
        self._choose_timer(tick)

    def _send_data(self, tick: int, offset: int, length: int, fin: bool, last: bool) -> None:
        flags = TcpFlag(0)
        if last and length:
            flags |= TcpFlag.PSH
        if fin:
            flags |= TcpFlag.FIN
            self._fin_sent()
        end = (self.snd_nxt + length + fin) & MASK32
        fresh = length > 0 and not seq_lt(self.snd_nxt, self.snd_max)
        if seq_lt(self.snd_max, end):
            if self._timed is None:
                self._timed = (end, tick)
            self.snd_max = end
        payload = bytes(self.send_buffer[offset : offset + length])
        self._transmit(tick, self.snd_nxt, flags, payload, fresh=fresh)
        self.snd_nxt = end

    def _fin_sent(self) -> None:
        if self.state is State.ESTABLISHED:
            self.state = State.FIN_WAIT_1
        elif self.state is State.CLOSE_WAIT:
            self.state = State.LAST_ACK

    # ---- input -----------------------------------------------------------------------------

    def on_segment(self, segment: Segment, tick: int) -> None:
        """One arriving segment, in the order of RFC 9293, 3.10.7."""
        if self.state is State.CLOSED:
            return
        if self.state is State.SYN_SENT:
            self._on_syn_sent(segment, tick)
            return
        if self.state is State.SYN_RCVD and not self._on_syn_rcvd(segment, tick):
            return
        if not self._acceptable(segment, tick):
            return
        if TcpFlag.RST in segment.flags:
            if segment.seq != self.rcv_nxt:
                self._send_ack(tick)
            elif self.state is not State.TIME_WAIT:  # ignored there: RFC 1337, fix F1
                self.aborted = True
                self._end("reset by the peer")
            return
        if TcpFlag.SYN in segment.flags:
            self._send_ack(tick)
            return
        if TcpFlag.ACK not in segment.flags:
            return
        if self.state is State.FIN_WAIT_2:
            self._state_deadline = tick + self.config.fin_wait_2
        if segment.ts is not None and seq_le(segment.seq, self.rcv_nxt):
            self._take_ts(segment.ts[0], tick)
        una = self.snd_una
        if not self._on_ack(segment, tick) or self.ended:
            return
        self._on_congestion(segment, una)
        self._on_data(segment, tick)
        self._output(tick)

    def _on_syn_sent(self, segment: Segment, tick: int) -> None:
        if TcpFlag.ACK not in segment.flags or segment.ack != self.snd_nxt:
            return
        if TcpFlag.RST in segment.flags:
            self.aborted = True
            self._end("connection refused")
            return
        if TcpFlag.SYN not in segment.flags:
            return
        self._take_syn(segment, tick)
        self._open(segment, segment.window, tick)
        self._send_ack(tick)
        self._output(tick)

    def _take_syn(self, syn: Segment, tick: int) -> None:
        """What the other side's SYN says: its sequence number and its options."""
        config = self.config
        self.rcv_nxt = self.rcv_adv = (syn.seq + 1) & MASK32
        self.remote_mss = syn.mss or (DEFAULT_MSS_IPV6 if self.remote.is_ipv6 else DEFAULT_MSS)
        self.scaling_enabled = config.window_scaling and syn.window_scale is not None
        if self.scaling_enabled:
            self.snd_scale = min(14, syn.window_scale or 0)
            self.rcv_scale = config.rcv_scale
        self.sack_enabled = config.sack and syn.sack_permitted
        self.ecn.agree(config.ecn, syn.flags)
        self.ts_enabled = config.timestamps and syn.ts is not None
        if syn.ts is not None:
            self.ts_recent, self.ts_recent_tick = syn.ts[0], tick

    def _open(self, segment: Segment, window: int, tick: int) -> None:
        """The own SYN is acknowledged: the connection is established."""
        config = self.config
        self._rtt_sample(segment, tick)
        self.snd_una = segment.ack
        self.ecn.edge = (self.snd_una - 1) & MASK32
        self.snd_wnd = self.max_snd_wnd = window
        self.snd_wl1, self.snd_wl2 = segment.seq, segment.ack
        self.cwnd = max(config.initial_cwnd, 2 * self.send_mss)
        self.ssthresh = config.initial_ssthresh
        self.rtx_count = self.total_rt = 0
        self._rtx_deadline = None
        self.state = State.ESTABLISHED

    def _on_syn_rcvd(self, segment: Segment, tick: int) -> bool:
        """Wait for the acknowledgment of the own SYN; True if the segment goes on as one of an open connection."""
        if TcpFlag.SYN in segment.flags:
            if TcpFlag.ACK not in segment.flags:
                self._send_syn(tick)
            return False
        if TcpFlag.RST in segment.flags:
            self.aborted = True
            self._end("reset by the peer")
            return False
        if TcpFlag.ACK not in segment.flags or segment.ack != self.snd_nxt:
            return False
        self._open(segment, segment.window << self.snd_scale, tick)
        return True

    def _acceptable(self, segment: Segment, tick: int) -> bool:
        """PAWS and sequence check; answers what is refused with an ACK, but never an RST."""
        reset = TcpFlag.RST in segment.flags
        stale = self.ts_enabled and not reset and segment.ts is not None and seq_lt(segment.ts[0], self.ts_recent)
        span = len(segment.payload) + (TcpFlag.FIN in segment.flags)
        window = max(0, signed(self.rcv_adv - self.rcv_nxt))
        start = signed(segment.seq - self.rcv_nxt)
        if span == 0:
            inside = start == 0 if window == 0 else 0 <= start < window
        else:
            inside = start < window and start + span > 0
        if stale or not inside:
            if not reset and (span or stale or start):
                self._restart_time_wait(tick)
                if not stale and TcpFlag.ACK in segment.flags and start + span <= 0:
                    self._on_ack(segment, tick)  # a retransmission may carry news
                self._send_ack(tick)
            return False
        return True

    def _restart_time_wait(self, tick: int) -> None:
        if self.state is State.TIME_WAIT:
            self._state_deadline = tick + self.config.time_wait

    def _take_ts(self, value: int, tick: int) -> None:
        if seq_le(self.ts_recent, value):
            self.ts_recent, self.ts_recent_tick = value, tick

    def _rtt_sample(self, segment: Segment, tick: int) -> None:
        if self.ts_enabled and segment.ts is not None:
            age = signed(self._timestamp(tick) - segment.ts[1])
            if age >= 0:
                self.rtt.sample(age)
            return
        if self._timed is not None and seq_le(self._timed[0], segment.ack):
            self.rtt.sample(tick - self._timed[1])
            self._timed = None

    def _on_ack(self, segment: Segment, tick: int) -> bool:
        """Acknowledgement and window; False drops the segment."""
        if seq_lt(self.snd_max, segment.ack):
            self._send_ack(tick)
            return False
        window = segment.window << self.snd_scale
        if seq_lt(self.snd_una, segment.ack):
            self._acknowledged(segment, tick)
        elif (
            segment.ack == self.snd_una
            and not segment.payload
            and TcpFlag.FIN not in segment.flags
            and window == self.snd_wnd
            and self.snd_max != self.snd_una
        ):
            self._duplicate_ack(tick)
        newer = seq_lt(self.snd_wl1, segment.seq) or (self.snd_wl1 == segment.seq and seq_le(self.snd_wl2, segment.ack))
        if seq_le(self.snd_una, segment.ack) and newer:
            if self.persist and window == 0 and self.rtx_count:
                self._next_probe_round(tick)
            self.snd_wnd = window
            self.max_snd_wnd = max(self.max_snd_wnd, window)
            self.snd_wl1, self.snd_wl2 = segment.seq, segment.ack
        return True

    def _next_probe_round(self, tick: int) -> None:
        """A probe was answered, the window is still closed: the next one waits longer."""
        self.probe_round = min(self.probe_round + 1, 255)
        self.rtx_count = 0
        self._rtx_deadline = tick + self.rtt.rto(self.config, self.probe_round)

    def _acknowledged(self, segment: Segment, tick: int) -> None:
        acked = (segment.ack - self.snd_una) & MASK32
        self._rtt_sample(segment, tick)
        if acked > len(self.send_buffer):
            self.fin_acked = True
        del self.send_buffer[:acked]
        self.snd_una = segment.ack
        if seq_lt(self.snd_nxt, self.snd_una):
            self.snd_nxt = self.snd_una
        if self.cwnd < self.ssthresh:
            self.cwnd += min(acked, self.send_mss)
        else:
            self.cwnd += max(1, self.send_mss * self.send_mss // self.cwnd)
        self.dup_acks = self.total_rt = 0
        if not self.persist:
            self.rtx_count = self.probe_round = 0
            self._rtx_deadline = None
        if self.fin_acked:
            self._fin_was_acked(tick)

    def _fin_was_acked(self, tick: int) -> None:
        self._rtx_deadline, self.persist = None, False
        if self.state is State.FIN_WAIT_1:
            self.state = State.FIN_WAIT_2
            self._state_deadline = tick + self.config.fin_wait_2
        elif self.state is State.CLOSING:
            self._enter_time_wait(tick)
        elif self.state is State.LAST_ACK:
            self._end()

    def _duplicate_ack(self, tick: int) -> None:
        self.dup_acks = min(255, self.dup_acks + 1)
        if self.dup_acks != self.config.dup_ack_threshold:
            return
        self.retransmissions += 1
        self._timed = None
        flight = (self.snd_max - self.snd_una) & MASK32
        self.ssthresh = max(flight // 2, 2 * self.send_mss)
        self.cwnd = self.ssthresh
        self.ecn.reduced(self.snd_max)
        self.snd_nxt = self.snd_una
        self._rtx_deadline = None

    def _on_congestion(self, segment: Segment, una: int) -> None:
        """CE and CWR of the other direction, and ECE, answered once a window; ``una``: before it (RFC 3168)."""
        ecn = self.ecn
        ecn.received(segment.flags, segment.tos, text=bool(segment.payload))
        if seq_lt(ecn.edge, self.snd_una - 1) and self.snd_una != una:
            ecn.edge = (self.snd_una - 1) & MASK32
        heard = ecn.enabled and TcpFlag.ECE in segment.flags and seq_le(una, segment.ack)
        if heard and seq_lt(ecn.edge, self.snd_una):
            self.ssthresh = max(((self.snd_max - una) & MASK32) // 2, 2 * self.send_mss)
            self.cwnd = min(self.cwnd, self.ssthresh)
            ecn.reduced(self.snd_max)

    def _on_data(self, segment: Segment, tick: int) -> None:
        fin = TcpFlag.FIN in segment.flags
        if not segment.payload and not fin:
            return
        if self.state not in _RECEIVING:
            self._restart_time_wait(tick)
            self._send_ack(tick)
            return
        skip = max(0, -signed(segment.seq - self.rcv_nxt))
        start = (segment.seq + skip) & MASK32
        room = signed(self.rcv_adv - start)
        payload = segment.payload[skip : skip + max(0, room)]
        whole = skip + len(payload) == len(segment.payload)
        if start == self.rcv_nxt:
            self._deliver(payload)
            if fin and whole and (segment.seq + len(segment.payload)) & MASK32 == self.rcv_nxt:
                self._peer_fin(tick)
        elif payload:
            kept = self._out_of_order.get(start, b"")
            self._out_of_order[start] = max(kept, payload, key=len)
        self._send_ack(tick)

    def _deliver(self, payload: bytes) -> None:
        self.received += payload
        self.rcv_nxt = (self.rcv_nxt + len(payload)) & MASK32
        for start in sorted(self._out_of_order, key=lambda s: signed(s - self.rcv_nxt)):
            if seq_lt(self.rcv_nxt, start):
                break
            piece = self._out_of_order.pop(start)[signed(self.rcv_nxt - start) :]
            self.received += piece
            self.rcv_nxt = (self.rcv_nxt + len(piece)) & MASK32

    def _peer_fin(self, tick: int) -> None:
        self.peer_fin = True
        self.rcv_nxt = (self.rcv_nxt + 1) & MASK32
        if self.state is State.ESTABLISHED:
            self.state = State.CLOSE_WAIT
        elif self.state is State.FIN_WAIT_1:
            self.state = State.CLOSING
        elif self.state is State.FIN_WAIT_2:
            self._enter_time_wait(tick)

    def _enter_time_wait(self, tick: int) -> None:
        self.state = State.TIME_WAIT
        self._rtx_deadline = None
        self._state_deadline = tick + self.config.time_wait

    def _end(self, failure: str = "") -> None:
        self.state = State.CLOSED
        self.failure = failure
        self._rtx_deadline = self._state_deadline = None

    # ---- hand-over -------------------------------------------------------------------------

    def snapshot(self, tick: int) -> TcpDelegated:
        """Delegated state for an initiate; owes no ACK, carries no pointers (NDIS sheet, 3.5)."""

        def remaining(deadline: int | None) -> int:
            return NOT_RUNNING if deadline is None else max(0, deadline - tick)

        timer = self._state_deadline if self.state is State.FIN_WAIT_2 else self._rtx_deadline
        return TcpDelegated(
            state=self.state,
            rcv_nxt=self.rcv_nxt,
            rcv_wnd=max(0, signed(self.rcv_adv - self.rcv_nxt)),
            snd_una=self.snd_una,
            snd_nxt=self.snd_nxt,
            snd_max=self.snd_max,
            snd_wnd=self.snd_wnd,
            max_snd_wnd=self.max_snd_wnd,
            send_wl1=self.snd_wl1,
            c_wnd=self.cwnd,
            ss_thresh=self.ssthresh,
            s_rtt=self.rtt.s_rtt,
            rtt_var=self.rtt.rtt_var,
            ts_recent=self.ts_recent,
            ts_recent_age=tick - self.ts_recent_tick,
            ts_time=self._timestamp(tick),
            total_rt=self.total_rt,
            dup_ack_count=self.dup_acks,
            snd_wnd_probe_count=self.probe_round,
            keep_alive=KeepAlive(),
            retransmit=Retransmit(self.rtx_count, remaining(timer)),
        )

    def restore(self, uploaded: TcpDelegated, unacknowledged: bytes, fin_requested: bool, tick: int) -> None:
        """Take the connection over from uploaded delegated state.

        ``unacknowledged``: all send data from SndUna on (G-18). ``fin_requested``: a graceful
        disconnect was asked for, whatever became of it.
        """
        span = (uploaded.snd_max - uploaded.snd_una) & MASK32
        self.state = uploaded.state
        self.fin_queued = fin_requested
        self.fin_acked = fin_requested and uploaded.state in (State.FIN_WAIT_2, State.TIME_WAIT)
        possible = len(unacknowledged) + (fin_requested and not self.fin_acked)
        if self.state is not State.CLOSED and span > possible:
            raise SoftTcpError(
                f"uploaded SndMax - SndUna = {span}, but only {possible} octets are outstanding: "
                "an NBL was completed too early or SndUna lags (CH-239, G-18, G-21)"
            )
        self.send_buffer = bytearray(unacknowledged)
        self.rcv_nxt, self.snd_una = uploaded.rcv_nxt, uploaded.snd_una
        self.rcv_adv = (uploaded.rcv_nxt + uploaded.rcv_wnd) & MASK32
        self.snd_nxt, self.snd_max = uploaded.snd_nxt, uploaded.snd_max
        self.snd_wnd, self.max_snd_wnd = uploaded.snd_wnd, uploaded.max_snd_wnd
        self.snd_wl1, self.snd_wl2 = uploaded.send_wl1, uploaded.snd_una
        self.cwnd = max(uploaded.c_wnd, self.send_mss)
        self.ssthresh = uploaded.ss_thresh
        self.ecn = SoftEcn(self.ecn.enabled, edge=(uploaded.snd_una - 1) & MASK32)
        self.rtt = RttEstimator(uploaded.s_rtt, uploaded.rtt_var)
        self.ts_recent = uploaded.ts_recent
        self.ts_recent_tick = tick - uploaded.ts_recent_age
        self.ts_delta = (uploaded.ts_time - tick) & MASK32
        self.total_rt, self.dup_acks = uploaded.total_rt, uploaded.dup_ack_count
        self.probe_round = uploaded.snd_wnd_probe_count
        self.rtx_count = uploaded.retransmit.count
        self._out_of_order.clear()
        self._timed = None
        self.peer_fin = self.state in (
            State.CLOSE_WAIT,
            State.CLOSING,
            State.LAST_ACK,
            State.TIME_WAIT,
        )
        self._restore_timers(uploaded.retransmit.timeout_delta, tick)
        waits = self.snd_wnd == 0 and self.snd_nxt == self.snd_una and self._rtx_deadline is not None
        self.persist = bool(self.send_buffer) and waits
        self._output(tick)

    def _restore_timers(self, delta: int, tick: int) -> None:
        """-1 was not running, 0 expires at once, else remaining ticks (CH-066, CH-067)."""
        deadline = None if delta == NOT_RUNNING else tick + delta
        self._rtx_deadline = self._state_deadline = None
        if self.state is State.FIN_WAIT_2:
            self._state_deadline = tick + self.config.fin_wait_2 if deadline is None else deadline
        elif self.state is State.TIME_WAIT:
            self._state_deadline = tick + self.config.time_wait
        elif self.state is not State.CLOSED:
            self._rtx_deadline = deadline
