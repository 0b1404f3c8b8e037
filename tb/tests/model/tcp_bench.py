"""A TCP engine of one connection for the tests of the TCP step: the pure step with its state carried along."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from model.layout.generated import (
    TIMER_OFF,
    DlvMsg,
    NbrRec,
    Opcode,
    Params,
    PathRec,
    Phase,
    RxSeg,
    Sqe,
    Tcb,
    TcpImage,
    TcpState,
    TxKind,
    TxSegment,
)
from model.tcp.objects import without_connection
from model.tcp.step import step
from model.tcp.types import (
    RESET_PARAMS,
    Command,
    Consumed,
    Credit,
    Env,
    Event,
    Fault,
    FenceDone,
    Image,
    RxSegment,
    StepResult,
    Timer,
    TxGrant,
)

PATH = PathRec(valid=1, family=4, neighbor_id=0, path_mtu=1500, src_addr=0x0A000001, dst_addr=0x0A000002)
FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NEIGHBOR = NbrRec(valid=1)
GEN = 7
FORWARDED, FORWARD_COOKIE = 0x7003, 0xF0_0000_0001


def image(**changes: int) -> TcpImage:
    """An established connection: send side at 1000, receive side at 5000, MSS 1000, no timestamps."""
    base = TcpImage(
        family=4,
        remote_port=5001,
        local_port=40000,
        remote_mss=1000,
        initial_rcv_wnd=20000,
        max_rt=0,
        ttl=64,
        state=TcpState.ESTABLISHED,
        rcv_nxt=5000,
        rcv_wnd=20000,
        snd_una=1000,
        snd_nxt=1000,
        snd_max=1000,
        snd_wnd=30000,
        max_snd_wnd=30000,
        snd_wl1=5000,
        cwnd=10000,
        ssthresh=65535,
        srtt=0,
        ka_timeout_delta=TIMER_OFF,
        rtx_timeout_delta=TIMER_OFF,
    )
    return replace(base, **changes)


@dataclass
class Engine:
    """State of the engine for connection 0, and the last result."""

    tcb: Tcb = field(default_factory=Tcb)
    params: Params = RESET_PARAMS
    path: PathRec = PATH
    neighbor: NbrRec = NEIGHBOR
    credits: int = 100
    conns: int = 1
    now: int = 0
    arrivals: int = 0
    room: bool = True
    ooo_ranges: int = 8
    last: StepResult | None = None

    def do(self, event: Event) -> StepResult:
        """One event now."""
        env = Env(self.now, self.params, self.credits, self.path, self.neighbor, self.conns, self.room, self.ooo_ranges)
        result = step(self.tcb, event, env)
        if not isinstance(event, Credit) and not (isinstance(event, Command) and without_connection(event.sqe)):
            self.tcb = result.tcb
        self.credits = result.writes.credits
        if result.writes.path is not None:
            self.path = result.writes.path[1]
        if result.writes.neighbor is not None:
            self.neighbor = result.writes.neighbor[1]
        self.last = result
        return result

    def command(self, opcode: Opcode, img: Image | None = None, **fields: int) -> StepResult:
        return self.do(Command(Sqe(opcode=opcode, gen=fields.pop("gen", GEN), **fields), 3, img))

    def send(self, length: int, last: int = 1) -> StepResult:
        return self.command(Opcode.SEND, length=length, count=1, addr=0x9000, cookie=length, flags=last)

    def rx(self, **fields: int) -> StepResult:
        """A segment; unless given: in sequence, acknowledging what is acknowledged, window unchanged."""
        base = {
            "arrival": self.arrivals,
            "gen": GEN,
            "seq": self.tcb.rcv_nxt,
            "ack": self.tcb.snd_una,
            "wnd": self.tcb.snd_wnd >> self.tcb.snd_ws,
            "flags": ACK,
            "pay_off": 54,
        }
        self.arrivals += 1
        return self.do(RxSegment(RxSeg(**(base | fields))))

    def forward(self, **fields: int) -> StepResult:
        """A segment as with `rx`, but handed down by the host: TCP header at address FORWARDED."""
        base = {
            "gen": GEN,
            "seq": self.tcb.rcv_nxt,
            "ack": self.tcb.snd_una,
            "wnd": self.tcb.snd_wnd >> self.tcb.snd_ws,
            "flags": ACK,
            "pay_off": 20,
        }
        seg = RxSeg(**(base | fields))
        sqe = Sqe(
            opcode=Opcode.FORWARD, gen=seg.gen, addr=FORWARDED, length=seg.pay_off + seg.pay_len, cookie=FORWARD_COOKIE
        )
        return self.do(Command(sqe, 3, None, seg))

    def grant(self) -> StepResult:
        return self.do(TxGrant(0, GEN))

    def timer(self) -> StepResult:
        return self.do(Timer(0, GEN))

    def consumed(self, nbytes: int) -> StepResult:
        return self.do(Consumed(0, GEN, nbytes))

    def fence_done(self) -> StepResult:
        return self.do(FenceDone(0, GEN))

    def fault(self) -> StepResult:
        return self.do(Fault(0, GEN))

    def segments(self, limit: int = 100) -> list[TxSegment]:
        """Grants as long as the connection is pending; the segments they sent."""
        sent: list[TxSegment] = []
        for _ in range(limit):
            result = self.grant()
            if result.actions.tx0 is not None:
                sent.append(segment_of(result))
            if not result.pending:
                break
        return sent


def segment_of(result: StepResult) -> TxSegment:
    """The SEGMENT a step issued."""
    item = result.actions.tx0
    assert item is not None
    assert item.kind == TxKind.SEGMENT
    return TxSegment.unpack(item.body)


def message_of(result: StepResult) -> DlvMsg:
    """The message a step issued."""
    assert result.actions.dlv is not None
    return result.actions.dlv


def running(params: Params = RESET_PARAMS, *, now: int = 0, **changes: int) -> Engine:
    """A started connection."""
    engine = Engine(params=params, now=now)
    engine.command(Opcode.INITIATE, image(**changes))
    assert engine.tcb.phase == Phase.LOADED
    engine.command(Opcode.START)
    assert engine.tcb.phase == Phase.RUNNING
    return engine
