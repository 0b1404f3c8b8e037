"""Random events for engine_top, drawn from the golden state: what a host and a far end may do, and what they may not.

A batch is a list of lines for tb/hdl/engine_player.v. For a round of some batches most events go to a few connections,
each in a mood (a far end that loses segments, one that sends, ...), so that each gets somewhere before its timers do.
Within a batch a far end remembers what it has sent and reported; everything else is drawn from the state at the
beginning of the batch.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace

from model.device.rxparse import sack_fields
from model.layout.generated import (
    CachedImage,
    Family,
    NeighborImage,
    Object,
    Opcode,
    ParamImage,
    PathImage,
    Phase,
    RxSeg,
    Sqe,
    Tcb,
    TcpImage,
    TcpState,
)
from model.tcp.seq import MASK
from model.tcp.types import Command, Consumed, Credit, Event, Fault, FenceDone, Image, RxSegment
from tb.tests.unit.tcp_follow import TcpFollow

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
OFF = MASK
GRACEFUL, ABORTIVE, INHERITED = 1, 2, 4
KEEP = 1  # UPDATE of a path or neighbor
SPARE_PATH = 7  # its neighbor is never written
COMMITTED = 40  # cycles in which an event is committed, if not much waits
WORDS = "words"  # the mood of a round in which the host says everything
LINE = {"tick": 7, "level": 8, "wait": 9, "drain": 10}
STATES = (TcpState.ESTABLISHED, TcpState.FIN_WAIT_1, TcpState.FIN_WAIT_2, TcpState.CLOSE_WAIT, TcpState.CLOSING,
          TcpState.LAST_ACK)  # fmt: skip
FIN_QUEUED = frozenset((TcpState.FIN_WAIT_1, TcpState.CLOSING, TcpState.LAST_ACK))
Weights = dict[str, dict[str, int]]


class Table:
    """Weighted choices by name."""

    def __init__(self, rng: random.Random, weights: Weights) -> None:
        self._rng = rng
        self._of = {
            name: (tuple(row), tuple(itertools.accumulate(row.values())), sum(row.values()))
            for name, row in weights.items()
        }

    def __call__(self, name: str, mood: str = "") -> str:
        """One of the words of row ``name``, of its row for ``mood`` if there is one."""
        words, sums, total = self._of.get(f"{name} {mood}") or self._of[name]
        at = self._rng.random() * total
        for word, limit in zip(words, sums, strict=True):
            if at < limit:
                return word
        return words[-1]


@dataclass(slots=True)
class FarEnd:
    """What the far end of a connection said in this batch, and how much of its text the host took."""

    nxt: int  # what it sends next
    una: int  # what it acknowledged
    clock: int  # its timestamps
    sacked: int = 0  # right edge of the last block, from snd_una
    eaten: int = 0  # bytes reported as consumed


class TcpDraw:
    """Draws batches; `follow` has the golden state and learns what was offered."""

    def __init__(self, rng: random.Random, follow: TcpFollow, weights: Weights, connections: int) -> None:
        self.rng, self.follow, self.core = rng, follow, follow.core
        self.pick = Table(rng, weights)
        self.now = rng.choice((1000, MASK - 20_000, rng.getrandbits(32)))
        self.live = rng.sample(range(self.core.config.conns), connections)
        self.lines: list[str] = []
        self.events = 0
        self._sq_index = self._arrival = 0
        self._ends: dict[int, FarEnd] = {}
        self._gen: dict[int, int] = {}
        self._phase: dict[int, str] = {}  # what the phase of a connection will be, as far as the batch changes it
        self._mood: dict[int, str] = {}
        self._hot: list[int] = []
        self._round = 0
        self._pool = 300

    # ---- lines -------------------------------------------------------------------------------

    def _line(self, op: int, argument: int) -> None:
        self.lines.append(f"{op:x} {argument:x}\n")

    def _offer(self, op: int, argument: int, event: Event) -> None:
        self._line(op, argument)
        self.follow.offer(event)
        self.events += 1

    def _command(
        self, opcode: Opcode, conn: int, gen: int, *, image: Image | None = None, seg: RxSeg | None = None, **more: int
    ) -> None:
        self._sq_index = (self._sq_index + 1) & 0xFFFF
        sqe = Sqe(opcode=opcode, conn=conn, gen=gen, cookie=self.rng.getrandbits(64), **more)
        argument = self._sq_index | sqe.pack() << 16
        argument |= (0 if image is None else image.pack()) << 16 + Sqe.WIDTH
        argument |= (0 if seg is None else seg.pack()) << 16 + Sqe.WIDTH + TcpImage.WIDTH
        self._offer(1, argument, Command(sqe, self._sq_index, image, seg))

    # ---- batches -----------------------------------------------------------------------------

    def first(self) -> list[str]:
        """The tables that connections need, and credits."""
        self.lines = []
        self._tick(self.now)
        for number in range(self.core.config.neighbors - 1):
            self._neighbor(number)
        for number in range(self.core.config.paths):
            self._path(number)
        self._credit(300)
        return self.lines

    def batch(self, size: int) -> list[str]:
        """About ``size`` events."""
        rng, self.lines = self.rng, []
        self._ends.clear()
        self._phase.clear()
        if self._round == 0:
            self._new_round()
            return self.lines
        self._round -= 1
        for _ in range(size):
            conn = rng.choice(self._hot) if rng.random() < 0.93 else rng.choice(self.live)
            what = self.pick("any")
            if what == "connection":
                self._of_connection(conn)
            elif what == "tick":
                self._pass_time()
            else:
                self._of_device(what)
        if rng.random() < 0.15:
            self.drain()
        return self.lines

    def _new_round(self) -> None:
        """Other connections, moods, stalls, number of credits to be kept; something to lose is on its way."""
        rng = self.rng
        words = self.pick("round") == WORDS
        self._round = rng.randrange(6, 16) if words else rng.randrange(2, 9)
        self._hot = rng.sample(self.live, min(len(self.live), 8 if words else rng.choice((1, 2, 3, 5, 8))))
        self._mood = {conn: WORDS if words else self.pick("mood") for conn in self._hot}
        self._pool = rng.choice((0, 2, 66, 80, 300, 300))
        sends = False
        for conn, mood in self._mood.items():
            tcb = self.core.tcbs[conn]
            if mood in ("loss", "out") and tcb.phase == Phase.RUNNING and not tcb.fin_queued:
                self._send(conn, tcb.gen, rng.randrange(1, 60_000))
                sends = True
        if sends:
            self.drain()
        self._level()

    def drain(self) -> None:
        """Until nothing is left to do."""
        self._line(LINE["drain"], 0)

    def _level(self) -> None:
        """Stalls of the queues, and room in the host's ring (tcp_step C.12)."""
        what, stall = self.pick("queues"), 0
        if what != "open":
            for queue in range(6):
                stall |= self.rng.choice((0, 0, 8, 14)) << 4 * queue
        room, full = int(what != "no room"), int(what == "no room" and self.rng.random() < 0.5)
        self._line(LINE["level"], full << 25 | room << 24 | stall)

    # ---- time --------------------------------------------------------------------------------

    def _tick(self, now: int) -> None:
        self.now = now & MASK
        self._line(LINE["tick"], self.now)

    def _pass_time(self) -> None:
        rng, how = self.rng, self.pick("tick")
        if how == "one":
            self._tick(self.now + 1)
        elif how == "short":
            self._tick(self.now + rng.randrange(2, 30))
        elif how == "medium":
            self._tick(self.now + rng.randrange(30, 300))
        elif how == "deadline":
            deadlines = [self.core.deadlines[conn] for conn in self._hot if conn in self.core.deadlines]
            ahead = min(((d - self.now) & MASK for d in deadlines), default=0)
            if 0 < ahead < 1 << 28:
                self._tick(self.now + ahead + rng.choice((-1, 0, 0, 1)))
        else:  # everything that is due must be served before the clock has gone round
            self.drain()
            self._tick(self.now + rng.randrange(*((300, 100_000) if how == "long" else (1 << 20, 1 << 29))))
            self.drain()

    # ---- the device --------------------------------------------------------------------------

    def _of_device(self, what: str) -> None:
        rng, core = self.rng, self.core
        neighbor, path = rng.randrange(core.config.neighbors), rng.randrange(core.config.paths)
        gen = rng.getrandbits(8)
        if what == "credit":
            self._credit(rng.choice((1, 4, 16, 64)))
        elif what == "params":
            self._params()
        elif what == "path":
            self._path(path, keep=rng.random() < 0.7)
        elif what == "neighbor":
            self._neighbor(neighbor % (core.config.neighbors - 1), keep=rng.random() < 0.7)
        elif what == "answer":
            asked = [n for n, record in enumerate(core.neighbors) if record.query]
            chosen = rng.choice(asked) if asked else neighbor
            self._command(Opcode.NEIGHBOR_ANSWER, chosen, gen, arg=rng.randrange(40_000))
        elif what == "age":
            self._command(Opcode.QUERY, neighbor, gen, flags=Object.NEIGHBOR)
        else:  # and made valid again soon
            kind = rng.choice((Object.PATH, Object.NEIGHBOR))
            number = path if kind == Object.PATH else neighbor % (core.config.neighbors - 1)
            self._command(Opcode.INVALIDATE, number, gen, flags=kind)
            self._line(LINE["wait"], rng.randrange(200))
            again = self._path if kind == Object.PATH else self._neighbor
            again(number)

    def _credit(self, count: int) -> None:
        if self.core.credits < self._pool or not self.follow.commits:
            self._offer(4, count, Credit(count))

    def _params(self) -> None:
        rng = self.rng
        low = rng.choice((1, 50, 300))
        image = ParamImage(
            ticks_per_second=rng.choice((10, 100, 1000, 1000)),
            ack_frequency=rng.choice((1, 2, 2, 3)),
            delayed_ack_ticks=rng.choice((0, 20, 100)),
            max_retransmissions=rng.choice((1, 5, 5, 30, 255)),
            dup_ack_threshold=rng.choice((1, 2, 3, 3, 5)),
            push_ticks=rng.randrange(1000),
            nce_stale_ticks=rng.choice((100, 3000, 30_000)),
            rto_min=low,
            rto_max=rng.choice((max(low, 700), 5000, 60_000)),
            rto_initial=rng.randrange(low, 700),
        )
        self._command(Opcode.PARAM_WRITE, rng.randrange(64), rng.getrandbits(8), image=image)

    def _path(self, number: int, *, keep: bool = False) -> None:
        """Even paths are of IPv4; the neighbor of the last one is never written."""
        rng, spare = self.rng, number == SPARE_PATH
        neighbor = self.core.config.neighbors - 1 if spare else rng.randrange(self.core.config.neighbors - 1)
        image = PathImage(
            family=Family.IPV6 if number & 1 else Family.IPV4,
            neighbor_id=neighbor,
            path_mtu=rng.choice((1280, 1492, 1500, 1500, 576 + 704 * (number & 1))),
            src_addr=rng.getrandbits(128 if number & 1 else 32),
            dst_addr=rng.getrandbits(128 if number & 1 else 32),
        )
        self._command(Opcode.PATH_WRITE, number, rng.getrandbits(8), image=image, flags=KEEP * keep)

    def _neighbor(self, number: int, *, keep: bool = False) -> None:
        rng = self.rng
        image = NeighborImage(
            dl_src=rng.getrandbits(48),
            vlan_id=rng.choice((0, 0, 0, 7, 4095)),
            dl_dst=rng.getrandbits(48),
            host_reachability_delta=rng.choice((0, 100, 29_000, rng.getrandbits(32))),
            nic_reachability_delta=rng.choice((0, 100, 29_000, rng.getrandbits(32))),
        )
        self._command(Opcode.NEIGHBOR_WRITE, number, rng.getrandbits(8), image=image, flags=KEEP * keep)

    # ---- connections -------------------------------------------------------------------------

    def _of_connection(self, conn: int) -> None:
        tcb = self.core.tcbs[conn]
        phase = self._phase.get(conn) or phase_of(tcb)
        if phase == "NEW" and self.rng.random() < 0.9:
            return
        mood = self._mood.get(conn, "")
        what = self.pick(phase, mood)
        gen = tcb.gen
        if what == "stale":
            gen, what = (gen + 1) & 0xFF, self.pick("stale", mood)
        if what == "offload":
            self._phase[conn] = "NEW"
            self._offload(conn)
        elif what == "segment":
            self._segment(conn, gen, tcb)
        elif what == "consumed":
            self._consume(conn, gen, tcb)
        elif what == "farewell":
            self._farewell(conn, gen, tcb)
        elif what == "cut off":  # nothing may be sent any more, not even the RST (E-9, B-6a)
            self._command(Opcode.INVALIDATE, conn, gen, flags=Object.CONNECTION, addr=self.rng.getrandbits(48))
            how = self.rng.random()
            if how < 0.5:
                self._command(Opcode.DISCONNECT, conn, gen, flags=ABORTIVE)
            elif how < 0.75:
                self._host(Opcode.UPDATE, conn, gen, tcb)
            else:
                self._farewell(conn, gen, tcb)
        elif what == "fence":
            if phase == "TERMINATING" and gen == tcb.gen:
                self._phase[conn] = "FREE"
            self._offer(5, conn | gen << 16, FenceDone(conn, gen))
        elif what == "fault":
            self._offer(6, conn | gen << 16, Fault(conn, gen))
        else:
            if what == "terminate" and phase != "FREE" and gen == tcb.gen:
                self._phase[conn] = "TERMINATING"
            self._host(Opcode[what.upper()], conn, gen, tcb)

    def _end(self, conn: int, tcb: Tcb) -> FarEnd:
        end = self._ends.get(conn)
        if end is None:
            end = self._ends[conn] = FarEnd(tcb.rcv_nxt, tcb.snd_una, tcb.ts_recent)
        return end

    def _consume(self, conn: int, gen: int, tcb: Tcb) -> None:
        end = self._end(conn, tcb)
        left = ((tcb.rcv_nxt - tcb.consumed_seq) & MASK) - end.eaten
        if left > 0 and gen == tcb.gen:
            count = left if self.rng.random() < 0.5 else self.rng.randrange(1, left + 1)
            end.eaten += count
            self._offer(3, conn | gen << 16 | count << 24, Consumed(conn, gen, count))
        elif gen != tcb.gen:
            self._offer(3, conn | gen << 16 | 77 << 24, Consumed(conn, gen, 77))

    def _farewell(self, conn: int, gen: int, tcb: Tcb) -> None:
        """Text; once it is there, text with a FIN about when a timer is due, and an event right behind it (E-8)."""
        rng, end = self.rng, self._end(conn, tcb)
        seg = self._far_end(tcb, conn, WORDS)
        length = min(100, (tcb.rcv_adv - end.nxt) & MASK)
        seg = replace(seg, seq=end.nxt, flags=ACK, pay_len=length)
        end.nxt = (end.nxt + 2 * length) & MASK
        self._arrive(conn, gen, tcb, seg)
        self._line(LINE["wait"], COMMITTED)
        timer = tcb.dack_deadline if tcb.dack_on else self.now + self.core.params.delayed_ack_ticks
        if (timer - self.now) & MASK < 1 << 28:
            self._tick(timer)
        self._line(LINE["wait"], rng.randrange(self.core.config.conns))
        self._arrive(conn, gen, tcb, replace(seg, seq=(seg.seq + length) & MASK, flags=ACK | FIN))
        how = rng.random()
        if how < 0.4:
            self._consume(conn, gen, tcb)
        elif how < 0.6:
            self._offer(6, conn | gen << 16, Fault(conn, gen))

    def _host(self, opcode: Opcode, conn: int, gen: int, tcb: Tcb) -> None:
        """A command of the host on a connection."""
        rng = self.rng
        if opcode == Opcode.SEND:
            self._send(conn, gen, self._length())
        elif opcode == Opcode.DISCONNECT:
            how = self.pick("disconnect", self._mood.get(conn, ""))
            if how == "graceful":
                length = self._length() if rng.random() < 0.4 else 0
                self._command(opcode, conn, gen, flags=GRACEFUL, length=length, count=int(length > 0))
            else:
                self._command(opcode, conn, gen, flags=ABORTIVE if how == "abortive" else GRACEFUL | INHERITED)
        elif opcode == Opcode.UPDATE:
            self._command(opcode, conn, gen, image=CachedImage(**self._cached(tcb.rcv_ws)))
        elif opcode == Opcode.FORWARD:
            seg = self._far_end(tcb, conn, WORDS if self._mood.get(conn) == WORDS else "")
            header = 20 + 12 * seg.ts_present + (4 + 8 * seg.sack_n) * bool(seg.sack_n)
            length = min(seg.pay_len, 1480 - header)
            seg = replace(seg, conn=conn, gen=gen, ip_ecn=0, pay_off=header, pay_len=length)
            self._command(opcode, conn, gen, seg=seg, addr=rng.getrandbits(48), length=header + length)
        elif opcode == Opcode.INITIATE:  # in use: command_decode refuses it before, with whatever path
            self._command(opcode, conn, gen, image=self._image(TcpState.ESTABLISHED, 0, tcb.path_id))
        elif opcode == Opcode.QUERY or opcode == Opcode.INVALIDATE:
            self._command(opcode, conn, gen, flags=Object.CONNECTION, addr=rng.getrandbits(48))
        else:
            flag, addr, addr2 = rng.getrandbits(1), rng.getrandbits(48), rng.getrandbits(48)
            self._command(opcode, conn, gen, flags=flag, addr=addr, addr2=addr2)

    def _send(self, conn: int, gen: int, length: int) -> None:
        rng = self.rng
        addr, count, last = rng.getrandbits(48), rng.randrange(1, 17), rng.getrandbits(1)
        self._command(Opcode.SEND, conn, gen, length=length, addr=addr, count=count, flags=last)

    def _length(self) -> int:
        """Bytes of a SEND, log-uniform."""
        return int(2 ** self.rng.uniform(0, 15))

    # ---- offload -----------------------------------------------------------------------------

    def _offload(self, conn: int) -> None:
        """INITIATE, what the host sent before, START; now and then not all of it."""
        rng, words = self.rng, self._mood.get(conn) == WORDS
        gen = self._gen[conn] = (self._gen.get(conn, rng.getrandbits(8)) + 1) & 0xFF
        state = TcpState[self.pick("state", self._mood.get(conn, ""))]
        flight = 0
        if state != TcpState.FIN_WAIT_2 and rng.random() < 0.5:
            flight = rng.choice((1, 1, rng.randrange(2, 3000), rng.randrange(2, 20_000)))
        image = self._image(state, flight)
        self._command(Opcode.INITIATE, conn, gen, image=image)
        ours = state in FIN_QUEUED
        fin_sent = ours and flight > 0 and rng.random() < 0.7
        left = flight - fin_sent
        if rng.random() < 0.4 and not fin_sent:
            left += self._length()
        while left > 0:
            length = left if rng.random() < 0.6 else rng.randrange(1, left + 1)
            self._send(conn, gen, length)
            left -= length
        if ours and not (words and rng.random() < 0.3):
            self._command(Opcode.DISCONNECT, conn, gen, flags=GRACEFUL | INHERITED)
        if rng.random() < (0.7 if words else 0.95):
            self._command(Opcode.START, conn, gen, flags=rng.getrandbits(1))

    def _near_wrap(self) -> int:
        """A sequence number or timestamp: half of them are about to wrap."""
        rng = self.rng
        return (MASK - rng.randrange(30_000)) if rng.random() < 0.5 else rng.getrandbits(32)

    def _cached(self, scale: int) -> dict[str, int]:
        """Cached fields of an image; now and then a window that the scale cannot say (B-9)."""
        rng = self.rng
        return {
            "cached_flags": rng.getrandbits(5),
            "initial_rcv_wnd": min(self._receive_window(scale), 1_073_725_440),
            "rcv_indication_size": rng.getrandbits(16),
            "ka_probe_count": rng.choice((0, 1, 3, 255)),
            "ka_timeout": rng.choice((0, 500, 5000, 100_000)),
            "ka_interval": rng.choice((0, 100, 1000)),
            "max_rt": rng.choice((0, 0, 0, 3000, 60_000)),
            "flow_label": rng.getrandbits(20),
            "ttl": rng.randrange(1, 256),
            "tos": rng.getrandbits(8),
            "user_priority": rng.getrandbits(3),
        }

    def _receive_window(self, scale: int) -> int:
        rng = self.rng
        if rng.random() < 0.1:
            return rng.choice((0, 1, 1460, 65_535 << scale))
        return rng.choice((5000, 20_000, 65_535, 65_535, 1 << 20))

    def _image(self, state: TcpState, flight: int, path: int | None = None) -> TcpImage:
        """A state image that command_decode lets pass (hostport, check 7)."""
        rng = self.rng
        if path is None:
            path = SPARE_PATH if rng.random() < 0.005 else rng.randrange(SPARE_PATH)
        flags = rng.getrandbits(5)
        theirs, ours = (rng.choice((0, 1, 14, rng.randrange(15), rng.randrange(15))) for _ in range(2))
        snd_ws, rcv_ws = (theirs, ours) if flags & 4 else (0, 0)
        widest = min(65_535 << rcv_ws, 1_073_725_440)
        cached = self._cached(rcv_ws)
        cached["initial_rcv_wnd"] = min(cached["initial_rcv_wnd"], widest)
        mss = rng.choice((64, 64, 536, 536, 1220, 1460, 1460, 9000))
        snd_wnd = min(int(2 ** rng.uniform(8, 20)) if rng.random() < 0.85 else 0, 65_535 << snd_ws)
        una = self._near_wrap()
        nxt = una + (flight if rng.random() < 0.8 else rng.randrange(flight + 1))
        rcv_nxt = self._near_wrap()
        srtt = rng.choice((0, 8, 80, 800, 5000))
        counting = rng.random() < 0.3
        return TcpImage(
            family=Family.IPV6 if path & 1 else Family.IPV4,
            const_flags=flags,
            remote_port=rng.getrandbits(16),
            local_port=rng.getrandbits(16),
            snd_wind_scale=theirs,
            rcv_wind_scale=ours,
            remote_mss=mss,
            hash_value=rng.getrandbits(32),
            path_id=path,
            state=state,
            dlg_flags=rng.getrandbits(16),
            rcv_nxt=rcv_nxt,
            rcv_wnd=min(cached["initial_rcv_wnd"], rng.choice((0, 3000, widest, widest, widest, widest, widest))),
            snd_una=una,
            snd_nxt=nxt & MASK,
            snd_max=(una + flight) & MASK,
            snd_wnd=snd_wnd,
            max_snd_wnd=min(max(snd_wnd, rng.choice((0, 4000, 65_535))), 65_535 << snd_ws),
            snd_wl1=(rcv_nxt - rng.choice((0, 1, 1460))) & MASK,
            cwnd=max(1, int(mss * 2 ** rng.uniform(-1, 7))) if rng.random() < 0.95 else 1 << 30,
            ssthresh=rng.choice((0, 2 * mss, 10 * mss, 30 * mss, 0xFFFF_0000, MASK)),
            srtt=srtt,
            rttvar=rng.choice((0, srtt >> 2, 40)),
            ts_recent=self._near_wrap(),
            ts_recent_age=rng.choice((0, 50, 1 << 20, 2_073_600_000)),
            ts_time=self._near_wrap(),
            total_rt=rng.choice((0, 1000)),
            dup_ack_count=rng.choice((0, 0, 0, 1, 2, 3)),
            snd_wnd_probe_count=rng.choice((0, 0, 3)),
            ka_probes_sent=rng.choice((0, 0, 2)),
            rtx_count=rng.choice((0, 0, 1, 3)) if counting else 0,
            ka_timeout_delta=rng.choice((OFF, OFF, 0, 300, 5000)),
            rtx_timeout_delta=rng.randrange(2000) if counting or (flight and rng.random() < 0.8) else OFF,
            send_backlog_size=rng.getrandbits(16),
            receive_backlog_size=rng.getrandbits(16),
            dwnd=rng.getrandbits(32),
            **cached,
        )

    # ---- the far end -------------------------------------------------------------------------

    def _segment(self, conn: int, gen: int, tcb: Tcb) -> None:
        mood = self._mood.get(conn, "")
        self._arrive(conn, gen, tcb, self._far_end(tcb, conn, mood), astray=0.2 if mood == WORDS else 0.03)

    def _arrive(self, conn: int, gen: int, tcb: Tcb, seg: RxSeg, astray: float = 0.0) -> None:
        """A segment as the receive path hands it on; ``astray``: how often its tag is drawn."""
        self._arrival = (self._arrival + 1) & MASK
        neighbor = self.core.neighbors[self.core.paths[tcb.path_id].neighbor_id]
        tagged, vlan = int(neighbor.vlan_id != 0), neighbor.vlan_id
        if self.rng.random() < astray:
            tagged, vlan = 1, self.rng.choice((0, 8, vlan))
        options = 12 * seg.ts_present + (4 + 8 * seg.sack_n) * bool(seg.sack_n)
        header = (60 if tcb.family == Family.IPV6 else 40) + options
        seg = replace(
            seg,
            arrival=self._arrival,
            conn=conn,
            gen=gen,
            tagged=tagged,
            vlan_id=vlan,
            pay_off=14 + 4 * tagged + header,
            pay_len=min(seg.pay_len, 1500 - header),
        )
        self._offer(2, seg.pack(), RxSegment(seg))

    def _far_end(self, tcb: Tcb, conn: int, mood: str = "") -> RxSeg:
        """A segment without the fields that its way adds."""
        rng, end, flags = self.rng, self._end(conn, tcb), ACK
        what = self._kind(tcb, mood)
        nxt = end.nxt
        window = (tcb.rcv_adv - nxt) & MASK
        length = rng.choice((1, 100, 536, 1220, 1448, rng.randrange(1, 1449)))
        seq = nxt
        if what == "ack":
            length = 0
        elif what == "hole":
            seq = self._behind_a_hole(tcb, nxt, window)
        elif what == "overlap":
            seq = nxt - rng.randrange(1, length + 2)
        elif what == "old":
            length = rng.choice((0, length))
            seq = nxt - length - rng.choice((0, 1, rng.randrange(1, 5000)))
        elif what == "edge":
            seq = tcb.rcv_adv - rng.choice((0, 1, length // 2, length, -1, -length))
        elif what == "probe":
            seq, length = nxt - rng.choice((0, 1)), rng.choice((0, 1))
        elif what == "wild":
            seq = rng.getrandbits(32)
        elif what == "fin":
            flags |= FIN
            length = rng.choice((0, 0, length))
        elif what == "late fin":
            flags |= FIN
            seq = self._behind_a_hole(tcb, nxt, window)
        elif what == "rst":
            flags, length = rng.choice((RST, RST | ACK)), 0
            seq = nxt + rng.choice((0, 0, 1, -1, window // 2, window, window + 1))
        elif what == "syn":
            flags, length = rng.choice((SYN, SYN | ACK)), 0
            seq = nxt + rng.choice((0, 1, -1, window // 2))
        elif what == "urg":
            flags |= URG
        elif what == "no ack":
            flags = 0
        seq &= MASK
        if what in ("text", "overlap") and length <= window:
            end.nxt = (seq + length) & MASK if seq + length > nxt or what == "text" else nxt
        flags |= PSH * (rng.random() < 0.3)
        if rng.random() < 0.12:
            flags |= rng.choice((ECE, ECE, CWR, ECE | CWR))
        return RxSeg(
            seq=seq,
            ack=self._ack(tcb, end, mood),
            wnd=self._window(tcb, mood),
            flags=flags,
            ip_ecn=rng.choice((0, 2, 2, 3, 1)),
            pay_len=length,
            **self._stamps(tcb, end),
            **self._sack(tcb, end, mood),
        )

    def _kind(self, tcb: Tcb, mood: str) -> str:
        """What is sent: seldom an ACK with nothing to acknowledge, or text behind the FIN."""
        what = self.pick("segment", mood)
        if self.rng.random() < 0.8:
            if tcb.fin_rcvd and what in ("text", "hole", "overlap", "edge"):
                return "ack"
            if what == "ack" and tcb.snd_max == tcb.snd_una and not tcb.fin_rcvd:
                return "text"
        return what

    def _behind_a_hole(self, tcb: Tcb, nxt: int, window: int) -> int:
        """Where text behind rcv_nxt begins: at an edge of what is held, near one, or anywhere in the window."""
        rng = self.rng
        if tcb.rr_n and rng.random() < 0.6:
            at = rng.randrange(tcb.rr_n) * 32
            edge = (rng.choice((tcb.rr_left, tcb.rr_right)) >> at) & MASK
            return edge + rng.choice((0, 0, 0, -1, 1, -100, -1448, 1448, 3000))
        return nxt + rng.choice((1, 1448, 2896, rng.randrange(1, 20_000), rng.randrange(1, max(window, 2))))

    def _ack(self, tcb: Tcb, end: FarEnd, mood: str) -> int:
        rng, what, una = self.rng, self.pick("ack", mood), end.una
        flight = (tcb.snd_max - una) & MASK
        if what == "same":
            return una
        if what == "all":
            end.una = tcb.snd_max
            return tcb.snd_max
        if what == "part":
            mss = max(tcb.remote_mss, 1)
            step = rng.choice((mss, 2 * mss, rng.randrange(flight + 1)))
            end.una = (una + min(step, flight)) & MASK
            return end.una
        if what == "mark":
            mark = rng.choice((tcb.recover, tcb.ecn_edge, tcb.rtt_seq, tcb.snd_nxt, tcb.high_rxt, tcb.snd_end))
            return (mark + rng.choice((0, 0, 1, -1))) & MASK
        if what == "old":
            return (una - rng.choice((1, 1000, tcb.max_snd_wnd, tcb.max_snd_wnd + 1))) & MASK
        if what == "future":
            return (tcb.snd_max + rng.choice((1, 2, 1000, 1 << 30))) & MASK
        return rng.getrandbits(32)

    def _window(self, tcb: Tcb, mood: str) -> int:
        rng, what = self.rng, self.pick("window", mood)
        same = min(tcb.snd_wnd >> tcb.snd_ws, 0xFFFF)
        if what == "same":
            return same
        if what == "shut":
            return rng.choice((0, 0, 0, 1))
        if what == "less":
            return same >> rng.choice((1, 2, 4))
        if what == "more":
            return min(same * 2 + rng.randrange(1, 3000), 0xFFFF)
        return rng.getrandbits(16)

    def _stamps(self, tcb: Tcb, end: FarEnd) -> dict[str, int]:
        rng, what = self.rng, self.pick("timestamp")
        if (what == "absent") == bool(tcb.ts_en) or what == "none":
            return {}
        if what == "older":
            value = end.clock - rng.choice((1, 1000, 1 << 31, (1 << 31) + 1))
        elif what == "wild":
            value = rng.getrandbits(32)
        else:
            value = end.clock = end.clock + rng.choice((0, 0, 1, 10, 300))
        echo = self.now + tcb.ts_delta - rng.choice((0, 1, 5, 20, 100, 700))
        if what == "wild" and rng.random() < 0.5:
            echo = rng.getrandbits(32)
        return {"ts_present": 1, "tsval": value & MASK, "tsecr": echo & MASK}

    def _sack(self, tcb: Tcb, end: FarEnd, mood: str) -> dict[str, int]:
        """Blocks: what a scoreboard has, grown or joined; something new in front of snd_max; or nonsense."""
        rng, flight = self.rng, (tcb.snd_max - tcb.snd_una) & MASK
        if not tcb.sack_en:
            return sack_fields(((1, 2),)) if rng.random() < 0.03 else {}
        if rng.random() < (0.95 if not flight else 0.1 if mood == "loss" else 0.5):
            return {}
        blocks = [self._block(tcb, end, flight) for _ in range(rng.choice((1, 1, 2, 3, 4)))]
        return sack_fields(tuple((left & MASK, right & MASK) for left, right in blocks))

    def _block(self, tcb: Tcb, end: FarEnd, flight: int) -> tuple[int, int]:
        rng, what, una = self.rng, self.pick("sack"), tcb.snd_una
        mss = max(min(tcb.remote_mss, flight // 8), 1)  # small enough for some islands
        if what == "next":  # the segment behind the last that was reported
            left = end.sacked or 2 * mss
            end.sacked = right = min(left + mss, flight)
            return una + left, una + right
        if what == "grown" and tcb.sb_n:
            at = rng.randrange(tcb.sb_n) * 32
            left, right = tcb.sb_left >> at & MASK, tcb.sb_right >> at & MASK
            return left - rng.choice((0, 0, mss)), right + rng.choice((0, mss, mss, 2 * mss))
        if what == "duplicate":
            return una - rng.randrange(1, 3000), una - rng.choice((0, 0, 1))
        if what == "wild":
            return rng.getrandbits(32), rng.getrandbits(32)
        if what == "island":  # so small that all that a scoreboard holds has room
            size = max(flight // 24, 1)
            left = una + size * (2 * rng.randrange(12) + 1)
            return left, left + size
        left = una + mss * rng.choice((1, 3, 5, 7))
        right = left + mss * rng.choice((1, 1, 1, 2))
        return (left, right) if what != "odd" else (left + rng.randrange(-5, 6), right - 1)


def phase_of(tcb: Tcb) -> str:
    """The row of weights for a connection in this state."""
    if tcb.phase == Phase.RUNNING and tcb.state in (TcpState.TIME_WAIT, TcpState.CLOSED):
        return "OVER"
    return "TERMINATING" if tcb.phase == Phase.FROZEN and tcb.terminating else Phase(tcb.phase).name
