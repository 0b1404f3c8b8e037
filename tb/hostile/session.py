"""A session under attack: good connections transfer a file, victims have hostile far ends, others guess beside them.

The attack begins when every good connection is offloaded and a victim is live. It lasts for ``config.frames`` frames;
none: the same session without the attack, its victims' far ends silent.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from model.ndis.bookkeeping import Outstanding
from model.ndis.calls import NdisCall
from model.ndis.enums import DisconnectFlags
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.framing import Endpoint
from model.ndis.host import NdisHost
from model.ndis.memory import HostMemory, PageAllocator
from model.ndis.netbuffer import NetBuffer, NetBufferList
from model.ndis.offload_state import TcpDelegated
from model.ndis.status import NdisStatus
from model.streams import Streams
from tb.config import TICK_CYCLES, RunConfig
from tb.hostile.attacks import Attack, Storm, classes_of
from tb.hostile.cycles import option_walk
from tb.hostile.far import FIRST_VICTIM_PORT, HOSTILE_MAC, HOSTILE_PORT, Far, Mark, Targets, number
from tb.hostile.score import Score
from tb.monitors.wire_headers import WireSegment, read_segment
from tb.peers.connection import TcpConfig
from tb.session import summary
from tb.session.network import FIRST_LOCAL_PORT, NIC_ADDRESS, PEER_PORT, Network
from tb.session.statistics import Ask
from tb.session.transfer import Transfer

VICTIMS: Final = 4
GOOD: Final = 8
#: Receive windows: with those of the good connections they stay below the half of the pool that is counted.
VICTIM_WINDOW: Final = 16 * 1024
GOOD_WINDOW: Final = {"model": 64 * 1024, "rtl": 8 * 1024}
#: What the host of the good connections does not draw. On the golden device nothing but round trips, windows and this
#: host limits them: one that draws sizes, how many requests it posts and which indications it refuses has a goodput
#: that is another by a twentieth when anything comes a tick later, with no attack in it.
STEADY: Final[Mapping[str, Mapping[str, Any]]] = {
    "model": {
        "send_sizes": ((8_192, 8_192, 1),), "receive_sizes": ((16_384, 16_384, 1),), "receive_windows": (8,),
        "zero_byte_receive": 0.0, "refuse": 0.0, "accept_part": 0.0,
    },
    "rtl": {},
}  # fmt: skip
#: Bytes that a victim sends, and those that it has under way at most.
VICTIM_BYTES: Final = 64 * 1024
VICTIM_OUTSTANDING: Final = 8 * 1024
#: A victim lives for so many frames aimed at it, drawn for each.
LIFE: Final = (50, 2000)
#: Attack frames that are on their way into the port at a time: it is never empty, and good frames wait for few.
AHEAD: Final = 4
#: Frames a tick that the golden device is given: at 64 engine cycles a frame, all that fit into a tick of 1000 cycles.
FRAMES_A_TICK: Final = 15
#: Share of the beats of the RTL's port that the attack takes. What it took of the rest the good connections would lose
#: to the wire, whatever the device does; with half of it they have room for all that they carry without it.
PORT_SHARE: Final = 0.5
#: Ticks that a session may last, at least and a frame: reaching it is a hang.
TICKS_AT_LEAST, TICKS_A_FRAME = 100_000, 2


class VictimApp(FileTransferApp):
    """One connection to a hostile far end; what ends the offload ends it."""

    def __init__(self, host: NdisHost, config: FileTransferConfig, data: bytes, ip: bytes, local_port: int) -> None:
        super().__init__(host, config, data, Endpoint(HOSTILE_MAC, ip, HOSTILE_PORT), local_port)

    @property
    def live(self) -> bool:
        """The device has it."""
        return self.phase in (AppPhase.RUNNING, AppPhase.DISCONNECTING)

    def retire(self) -> None:
        """The host wants it to be over."""
        self._want_upload = True
        if self.phase in (AppPhase.START, AppPhase.CONNECTING):
            self._over()

    def abort(self) -> None:
        """The host breaks it off."""
        connection = self._offloaded()
        if self._want_upload or connection.calls_in_progress or self._disconnect_issued:
            return
        self._disconnect_issued = True
        self.phase = AppPhase.DISCONNECTING
        self.host.issue_disconnect(connection, NetBufferList([NetBuffer(())]), DisconnectFlags.ABORTIVE)

    @property
    def _still_to_come(self) -> int:
        """Nobody knows what a hostile end sends: requests without push would wait for ever."""
        return 0

    def _software(self) -> bool:
        self._over()
        return True

    def _over(self) -> None:
        stack = self._stack
        if stack is not None and not stack.tcp.ended:
            stack.tcp.give_up("the victim is over")
        self.phase = AppPhase.DONE

    def uploaded(
        self, status: NdisStatus, delegated: TcpDelegated | None, chained: list[Outstanding], buffered: bytes
    ) -> None:
        """OffloadClient: no software goes on with it."""
        super().uploaded(status, delegated, chained, buffered)
        self._over()


class Field:
    """The victims, their far ends and the attackers."""

    def __init__(self, transfer: HostileTransfer, config: RunConfig) -> None:
        self._transfer = transfer
        self._streams = Streams(config.seed, ("hostile", "victims"))
        self.left = config.frames
        self.silent = config.frames == 0
        self.closing = False
        self.score = Score()
        self.targets = Targets(family=config.family)
        self._nic = number(NIC_ADDRESS[config.family])
        #: The hostile ends, and the good peer, as they stand in a segment.
        self.hostile = number(self.targets.hostile_ip), HOSTILE_PORT
        self._peer = number(self.targets.peer_ip), PEER_PORT
        self._victims: list[tuple[VictimApp, Far, int]] = []
        self._by_port: dict[int, Far] = {}
        self._count = 0
        self.storm = Storm(config.seed, self.targets, transfer.classes or classes_of(config.family))

    @property
    def over(self) -> bool:
        """No victim is left, and none will come."""
        return self.closing and not self._victims

    def step(self) -> bool:
        """See to the victims: replace those that are over, end those that lived long enough."""
        moved = False
        for victim in list(self._victims):
            app, far, life = victim
            if app.done:
                self._victims.remove(victim)
                self._transfer.host.clients.remove(app)
                self.targets.fars.remove(far)
                self.score.victims[app.failure or "retired"] += 1
                moved = True
            elif self.closing:
                app.retire()
            elif far.frames > life and app.live:
                app.abort() if life % 3 == 0 else app.retire()
        while not self.closing and len(self._victims) < VICTIMS:
            self._open()
            moved = True
        return moved

    def _open(self) -> None:
        port = FIRST_VICTIM_PORT + self._count
        self._count += 1
        streams = self._streams.child(str(port))
        draw = streams.stream
        base = FileTransferConfig()
        tcp = replace(
            base.tcp, initial_rcv_wnd=VICTIM_WINDOW, initial_seq=0xFFFF_F000 - draw("sequence").randrange(1 << 15),
            initial_ts=0xFFFF_FF00, timestamps=draw("own timestamps").random() < 0.6,
        )  # fmt: skip
        settings = replace(
            base, seed=draw("application").getrandbits(32), tcp=tcp, max_outstanding_send=VICTIM_OUTSTANDING,
            nonpush=0.0, send_sizes=((1, 300, 2), (301, 4_000, 1)), receive_sizes=((1, 500, 1), (501, 4_096, 1)),
        )  # fmt: skip
        data = draw("bytes").randbytes(VICTIM_BYTES)
        app = VictimApp(self._transfer.host, settings, data, self.targets.hostile_ip, port)
        far = Far(
            port, streams.child("far end"), mss=draw("mss").choice((64, 64, 65, 88, 100, 536, 1460)),
            with_sack=draw("sack").random() < 0.8, with_stamps=draw("timestamps").random() < 0.6,
            scale=draw("scale").choice((None, 0, 3, 14)), live=lambda: app.live, ip=self.targets.hostile_ip,
        )  # fmt: skip
        life = draw("life").randint(*LIFE)
        self._victims.append((app, far, life))
        self.targets.fars.append(far)
        self._by_port[port] = far

    def heard(self, seg: WireSegment) -> list[bytes]:
        """The NIC sent a segment to a hostile end; what the handshake answers."""
        far = self._by_port.get(seg.source[1])
        if far is None:
            return []
        far.heard(seg)
        answers, far.replies = far.replies, []
        return answers

    def next_frame(self) -> tuple[str, bytes] | None:
        """The next attack frame."""
        if self.left == 0 or self.score.begun is None:
            return None
        taken = self.storm.take()
        if taken is not None:
            self.left -= 1
        return taken

    def entered(self, name: str, frame: bytes, arrival: int, tick: int) -> None:
        """An attack frame is in the device's port, the one with this number among all."""
        self.score.frames[name] += 1
        self.score.beside += self.score.ended is None
        self.score.walks[arrival] = option_walk(frame)
        self.score.stopped = tick
        seg = read_segment(frame)
        if seg is None or not seg.whole or any(rule == "MUST-2" for rule, _ in seg.faults):
            return
        if seg.destination[0] != self._nic:
            return
        if seg.source == self.hostile:
            far = self._by_port.get(seg.destination[1])
            if far is not None and far.live():
                far.frames += 1
                self.score.reached[name] += 1
        elif seg.source == self._peer:
            place = seg.destination[1] - FIRST_LOCAL_PORT
            apps = self._transfer.apps
            if not 0 <= place < len(apps):
                return
            # a challenge ACK or the like may answer it, and the peer knows of none; so may one that is being uploaded
            self._transfer.network.monitor.expect_window(seg.destination[1])
            if apps[place].phase in (AppPhase.RUNNING, AppPhase.DISCONNECTING):
                self.score.reached[name] += 1
            elif self.score.ended is not None:
                self.score.late[name] += 1


class HostileNetwork(Network):
    """The good network, with hostile ends on the same wire; those are not judged by peer and wire monitor."""

    plain = False
    field: Field

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        #: What `due` gave that has not entered: the class of an attack, "" of a hostile handshake, None of the good.
        self._way: deque[str | None] = deque()
        self._handshakes: deque[tuple[int, bytes]] = deque()
        self._storming = 0
        self._arrivals = 0
        #: What the attack may take of a tick, handshakes of its connections among it, and what one frame takes of that:
        #: frames on the golden device.
        self.budget: float = FRAMES_A_TICK
        self.cost: Callable[[bytes], int] = lambda frame: 1
        self._spent = 0.0
        self._tick = -1

    def _of_hostile(self, frame: bytes) -> WireSegment | None:
        seg = read_segment(frame)
        return seg if seg is not None and seg.destination[0] == self.field.hostile[0] else None

    def from_nic(self, frame: bytes, tick: int) -> None:
        """The NIC transmitted ``frame``."""
        seg = self._of_hostile(frame)
        if seg is None:
            super().from_nic(frame, tick)
            return
        if not self.watched_apart:
            self.watched(frame, tick)
        self.aside(frame, tick)
        self._handshakes.extend((tick + 1, answer) for answer in self.field.heard(seg))

    def watched(self, frame: bytes, tick: int) -> None:
        """Show a transmitted frame to the monitors; of a hostile connection only to those of the contract."""
        if self._of_hostile(frame) is None:
            super().watched(frame, tick)
        elif self.tap is not None:
            self.tap.sent(frame, tick)

    def due(self, tick: int) -> list[bytes]:
        """Good frames first, then handshakes, then as much of the attack as finds room."""
        frames = super().due(tick)
        self._way.extend(None for _ in frames)
        if tick != self._tick:
            self._spent = max(0.0, self._spent - self.budget * (tick - self._tick))
            self._tick = tick
        while self._handshakes and self._handshakes[0][0] <= tick:
            frames.append(self._handshakes.popleft()[1])
            self._way.append("")
            self._spent += self.cost(frames[-1])
        tries = 0
        while self._storming < AHEAD and self._spent < self.budget and tries < 2 * AHEAD:
            tries += 1
            taken = self.field.next_frame()
            if taken is None:
                continue
            self._spent += self.cost(taken[1])
            self._storming += 1
            self._way.append(taken[0])
            frames.append(taken[1])
        return frames

    def entered(self, frame: bytes, tick: int) -> None:
        """``frame`` has entered the NIC."""
        name, arrival = self._way.popleft(), self._arrivals
        self._arrivals += 1
        if name is None:
            super().entered(frame, tick)
            return
        if name:
            self._storming -= 1
            self.field.entered(name, frame, arrival, tick)
        if self.tap is not None:
            self.tap.received(frame, tick)

    def next_deadline(self) -> int | None:
        """The next tick while the attack lasts."""
        later = super().next_deadline()
        if self.field.left and self.field.score.begun is not None:
            return self._tick + 1
        ticks = [later, self._handshakes[0][0] if self._handshakes else None]
        return min((tick for tick in ticks if tick is not None), default=None)


class HostileTransfer(Transfer):
    """The good session, over when victims and attack are over, too."""

    network_type = HostileNetwork
    #: No end holds a piece back until a delayed ACK comes: that wait is as long as the rest of a session on the RTL.
    peer_tcp = TcpConfig(nagle=False)
    #: Classes of the attack and their shares; None: those of the version of IP.
    classes: Mapping[Attack, int] | None = None
    asks_statistics = Ask.NEVER

    def __init__(
        self,
        config: RunConfig,
        memory: HostMemory,
        allocator: PageAllocator,
        *,
        capture: Path | None = None,
        issue: Callable[[NdisCall], None] | None = None,
    ) -> None:
        base = FileTransferConfig()
        # a request without push waits half a second for its timer: time that would hide what the attack takes
        tcp = replace(base.tcp, initial_rcv_wnd=GOOD_WINDOW[config.device])
        settings = replace(base, tcp=tcp, nonpush=0.0, **STEADY[config.device])
        super().__init__(config, memory, allocator, capture=capture, issue=issue, app_config=settings)
        self.field = Field(self, config)
        self.hostile.field = self.field
        if config.device == "rtl":
            self.pace(TICK_CYCLES)
        peer = self.field.targets.peer_ip
        self.field.targets.marks += [Mark(FIRST_LOCAL_PORT + number, peer) for number in range(config.conns)]
        #: Ticks after which it counts as hanging.
        self.bound = TICKS_AT_LEAST + TICKS_A_FRAME * config.frames

    def pace(self, tick_cycles: int) -> None:
        """On the RTL: a tick is ``tick_cycles`` clock cycles, and the attack takes its share of their beats, or all."""
        lanes = self.config.data_w // 8
        self.hostile.budget = math.inf if self.config.whole_port else tick_cycles * PORT_SHARE
        self.hostile.cost = lambda frame: -(-len(frame) // lanes)

    @property
    def hostile(self) -> HostileNetwork:
        """The network, with hostile ends."""
        if not isinstance(self.network, HostileNetwork):
            raise TypeError(f"no hostile end is behind a {type(self.network).__name__}")
        return self.network

    def pump(self) -> bool:
        """Host, then the victims."""
        moved = super().pump()
        if self.field.step():
            moved = True
            super().pump()
        score, now = self.field.score, self.host.now - self._skipped
        if score.begun is None:
            if all(app.phase is AppPhase.RUNNING for app in self.apps) and any(
                f.live() for f in self.field.targets.fars
            ):
                score.begun, score.before = now, [len(app.sink) for app in self.apps]
        elif score.ended is None:
            for place, app in enumerate(self.apps):
                score.carried(place, len(app.sink), len(app.data), now)
            if all(len(app.sink) >= len(app.data) for app in self.apps):
                score.ended = now
        if score.ended is not None and self.field.left == 0:
            self.field.closing = True
        return moved

    @property
    def over(self) -> bool:
        """Good connections, attack and victims are over."""
        return self.field.over and super().over

    def outcome(self, problems: list[str], *, hang: bool = False) -> dict[str, Any]:
        """The figures of this session for `judge`; ``problems`` are those that others have with it."""
        score = self.field.score
        return {
            "frames": dict(score.frames),
            "reached": dict(score.reached),
            "late": dict(score.late),
            "beside": score.beside,
            "victims": dict(score.victims),
            "goodput": round(score.goodput, 3),
            "goodput_each": [round(one, 3) for one in score.goodput_each],
            "covered": round(score.covered, 3),
            "hang": hang,
            "problems": [*problems, *summary.verdict(self)],
        }
