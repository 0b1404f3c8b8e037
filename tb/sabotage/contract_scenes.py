"""Scenes in which the rules of 9.1 (statistics) and 9.2 to 9.12 trigger: what contract sabotages are put through.

Each is short, so that the RTL plays a set in seconds; timers count ten ticks a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from model.ndis.enums import TcpCachedFlags, TcpConnectionState, TcpEventType
from model.ndis.offload_state import NeighborCached, PathCached
from model.ndis.registration import STATISTICS_OIDS, Oid, OidRequest
from model.wire.frame import TcpFlag
from tb.sabotage.contract_stage import ContractStage
from tb.tests.stage import FAR_MAC, TCP, Scene, pattern

#: Timers in tenths of a second: the shortest ticks the contract has.
SLOW_CLOCK = {
    "ticks_per_second": 10,
    "tcp_delayed_ack_ticks": 2,
    "tcp_maximum_retransmissions": 3,
    "tcp_sws_prevention_ticks": 3,
    "tcp_push_ticks": 40,
    "nce_stale_ticks": 300,
}
#: Ticks behind which a frame surely shows what an update has set.
GRACE = 45
#: Ticks behind which everything surely happened that is due at once.
PROMPT = 260
#: Ticks within which a state call must end while the device is silent.
PATIENCE = 120
#: Requests of a connection that the device takes.
DEVICE_RECEIVES = 16
OTHER_MAC = bytes.fromhex("0200000000fb")
STAMPED = replace(TCP, timestamps=True)
ABORT, DISCONNECT, RETRIEVE = TcpEventType.ABORT, TcpEventType.DISCONNECT, TcpEventType.RETRIEVE
PSH, FIN, RST, SYN, ACK, URG = TcpFlag.PSH, TcpFlag.FIN, TcpFlag.RST, TcpFlag.SYN, TcpFlag.ACK, TcpFlag.URG


@dataclass(frozen=True)
class SceneSet:
    """Scenes that are played one after the other in one run."""

    scenes: tuple[Callable[[ContractStage], Scene], ...]
    #: It is about intermediate drivers, so the RTL alone has nothing to show.
    layered: bool = False
    #: It is about what a driver does beside its device, and shows nothing of the RTL either.
    drivers: bool = False
    #: Ticks in which nothing moves before a run is given up: more than the longest wait of a scene.
    patience: int = 500


def clock(stage: ContractStage) -> Scene:
    """The timers of all scenes."""
    yield from stage.parameters(**SLOW_CLOCK)


# ---- sends, disconnects, the end --------------------------------------------------------------------------


def stamped_stream(stage: ContractStage) -> Scene:
    """Sends of several NET_BUFFERs with timestamps, acknowledged in pieces, a disconnect with data, the peer's FIN."""
    story = stage.actor("stamped stream")
    yield from story.open(tcp=STAMPED)
    yield from story.send(story.make("S1", pattern(200)), story.make("S2", pattern(100, 1)))
    yield story.arrived(300)
    yield from story.send(story.make("S3", pattern(900, 2), (500, 400)), story.make("S4", pattern(300, 3), (100, 200)))
    yield story.arrived(1500)
    story.far.ack(700)
    yield from stage.quiet(5)
    story.far.ack(1500)
    yield story.came_back("S3", "S4")
    yield from story.send(story.make("S5", pattern(400, 2)))
    yield from story.disconnect(story.make("D", pattern(100, 3)))
    yield story.arrived(2000, fin=True)
    story.far.ack(1950)
    yield from stage.quiet(5)
    story.far.ack(2000)
    yield from stage.quiet(5)
    story.far.ack(2001)
    yield story.came_back("D")
    story.far.say(pattern(50, 3), PSH)
    yield story.took(50)
    yield from stage.quiet(5)
    story.far.say(flags=FIN)
    yield story.told(DISCONNECT)
    yield from stage.quiet(5)
    yield from story.terminate(with_objects=True)
    yield from story.finish()


def reset_by_peer(stage: ContractStage) -> Scene:
    """A receive, two sends and a disconnect are outstanding when the peer resets."""
    story = stage.actor("reset by peer")
    yield from story.open()
    yield from story.post(("R1", 400, True))
    yield from story.send(story.make("S1", pattern(1000), (500, 500)), story.make("S2", pattern(1000, 1)))
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield story.arrived(2080, fin=True)
    story.far.ack(700)
    yield from stage.quiet(3)
    story.far.say(flags=RST)
    yield story.told(ABORT)
    yield from stage.quiet(5)
    yield from story.terminate(chained=True)
    story.end()


def abort_by_host(stage: ContractStage) -> Scene:
    """The same with an abortive disconnect; the peer goes on talking."""
    story = stage.actor("abort by host")
    yield from story.open()
    yield from story.post(("R1", 400, True), ("R2", 100, False))
    yield from story.send(story.make("S1", pattern(1000), (500, 500)), story.make("S2", pattern(1000, 1)))
    yield story.arrived(2000)
    story.far.ack(700)
    yield from stage.quiet(5)
    yield from story.abort()
    yield story.came_back("A")
    story.far.say(pattern(100), PSH)
    yield from stage.quiet(20)
    yield from story.terminate()
    story.end()


def uploaded_by_completion(stage: ContractStage) -> Scene:
    """Two sends, a disconnect with data and more receives than the device holds are open at the terminate."""
    story = stage.actor("uploaded by completion")
    yield from story.open()
    yield from story.post(("R1", 500, True), *((f"R{i}", 10, False) for i in range(2, 20)))
    yield from story.send(story.make("S1", pattern(600), (300, 300)), story.make("S2", pattern(300, 1)))
    yield from story.disconnect(story.make("D", pattern(100, 2)))
    yield story.arrived(1000, fin=True)
    story.far.say(pattern(120), PSH)
    story.far.ack(940)
    yield story.came_back("S2")
    yield from stage.quiet(5)
    yield from story.terminate()
    yield from story.finish()


def uploaded_in_the_chain(stage: ContractStage) -> Scene:
    """The window lets out a part of two sends; they go up in the chain, and the software goes on from there."""
    story = stage.actor("uploaded in the chain")
    yield from story.open(window=1000)
    yield from story.send(story.make("S1", pattern(800), (300, 500)), story.make("S2", pattern(1400, 1)))
    yield story.arrived(1000)
    story.far.ack(400)
    yield from stage.quiet(5)
    yield from story.terminate(chained=True, with_objects=True)
    yield from story.finish()


# ---- receives ---------------------------------------------------------------------------------------------


def push_and_nonpush(stage: ContractStage) -> Scene:
    """A push-mode request ends with PSH, by its timer, by filling; one without push only by filling."""
    story = stage.actor("push and nonpush")
    yield from story.open(tcp=STAMPED)
    yield from story.post(("P1", 600, False), ("P2", 600, False), ("N1", 300, True), ("P3", 100, False))
    yield from stage.quiet(3)
    story.far.say(pattern(100), PSH)
    yield story.came_back("P1")
    story.far.say(pattern(100, 1))
    yield from stage.quiet(20)
    story.far.say(pattern(50, 2))
    yield story.came_back("P2")
    story.far.say(pattern(100, 3), PSH)
    yield from stage.quiet(15)
    story.far.say(pattern(300, 4), PSH)
    yield story.came_back("N1", "P3")
    yield from stage.quiet(5)
    yield from story.terminate()
    yield from story.finish()


def pushed_before(stage: ContractStage) -> Scene:
    """The rest of an indication that the peer had pushed ends the push-mode request that takes it."""
    story = stage.actor("pushed before")
    yield from story.open()
    story.accept = 40
    story.far.say(pattern(100), PSH)
    yield story.took(40)
    yield from story.post(("P1", 600, False))
    yield story.came_back("P1")
    yield from stage.quiet(5)
    yield from story.terminate()
    yield from story.finish()


def refused(stage: ContractStage) -> Scene:
    """Indications taken whole, in part and not at all; requests, one of no bytes, go on behind."""
    story = stage.actor("refused")
    yield from story.open()
    story.far.say(pattern(200), PSH)
    yield story.took(200)
    story.accept = 40
    story.far.say(pattern(100, 1), PSH)
    yield story.took(240)
    story.far.say(pattern(100, 2), PSH)
    yield from stage.quiet(12)
    yield from story.ask()
    yield from story.post(("R1", 80, False))
    yield story.came_back("R1")
    yield from stage.quiet(5)
    story.accept = None
    yield from story.post(("Z", 0, False))
    yield story.took(400)
    yield from stage.quiet(5)
    story.far.say(pattern(700, 3))
    story.far.say(pattern(700, 4))
    story.far.say(pattern(50, 5), PSH | FIN)
    yield story.told(DISCONNECT)
    yield from story.post(("late", 100, False))
    yield story.came_back("late")
    yield from story.terminate()
    yield from story.finish()


def refused_at_the_end(stage: ContractStage) -> Scene:
    """The FIN comes with data that is taken in part: it is told when the rest was."""
    story = stage.actor("refused at the end")
    yield from story.open()
    story.accept = 50
    story.far.say(pattern(200), PSH | FIN)
    yield story.took(50)
    yield from stage.quiet(15)
    yield from story.post(("R1", 150, False))
    yield story.told(DISCONNECT)
    yield from story.terminate()
    yield from story.finish()


def owed(stage: ContractStage) -> Scene:
    """One segment was taken and is not acknowledged when the upload begins."""
    story = stage.actor("owed")
    yield from story.open()
    story.far.say(pattern(200), PSH)
    yield story.took(200)
    yield from story.terminate()
    yield from story.finish()


def left_over(stage: ContractStage) -> Scene:
    """300 acknowledged bytes are not taken when the upload begins; more come behind it."""
    story = stage.actor("left over")
    yield from story.open(tcp=STAMPED)
    story.accept = 100
    story.far.say(pattern(300), PSH)
    yield story.took(100)
    story.far.say(pattern(100, 2), PSH)
    yield from stage.quiet(12)
    story.far.say(pattern(60, 3), PSH)
    yield story.sent(1)
    yield from story.terminate()
    story.far.say(pattern(40, 4), PSH)
    yield from stage.quiet(5)
    yield from story.finish()


# ---- state calls, forwards, neighbors -----------------------------------------------------------------------


def state_calls(stage: ContractStage) -> Scene:
    """Queries, overlapping and in the middle of things; updates of all three layers and of a link, each then seen."""
    story = stage.actor("state calls")
    yield from story.open(tcp=STAMPED)
    yield from story.ask(story.connection, story.connection, story.neighbor, story.path)
    yield from story.send(story.make("S1", pattern(300)))
    yield story.arrived(300)
    yield from story.ask()
    story.far.ack(300)
    yield story.came_back("S1")
    yield from story.change(initial_rcv_wnd=25_000, flags=TcpCachedFlags.UPDATE_RCV_WND)
    yield from stage.quiet(5)
    yield from story.change(ttl_or_hop_limit=31, user_priority=3)
    yield from story.update(story.path, PathCached(640))
    yield from stage.quiet(GRACE)
    yield from story.send(story.make("S2", pattern(700, 1)))
    yield story.arrived(1000)
    story.far.ack(1000)
    yield story.came_back("S2")
    yield from story.ask(story.connection, story.path)
    story.far.say(pattern(30), PSH)
    yield story.took(30)
    yield from stage.quiet(5)
    yield from story.terminate(with_objects=True)
    yield from story.finish()


def forwards(stage: ContractStage) -> Scene:
    """Forwarded segments: data, an acknowledgment, a chain with the FIN."""
    story = stage.actor("forwards")
    yield from story.open()
    yield from story.forward(story.far.segment(pattern(100), PSH))
    yield story.took(100)
    yield from story.send(story.make("S1", pattern(200)))
    yield story.arrived(200)
    story.far.acked = story.far.received
    yield from story.forward(story.far.segment())
    yield story.came_back("S1")
    yield from story.forward(story.far.segment(pattern(60, 1)), story.far.segment(pattern(70, 2), PSH | FIN))
    yield story.told(DISCONNECT)
    yield from stage.quiet(5)
    yield from story.terminate()
    yield from story.finish()


def forward_refused(stage: ContractStage) -> Scene:
    """A forwarded RST ends the connection; what is forwarded behind it, at once or later, comes back aborted."""
    story = stage.actor("forward refused")
    yield from story.open()
    yield from story.forward(story.far.segment(flags=RST), story.far.segment(pattern(30)))
    yield story.told(ABORT)
    yield from story.forward(story.far.segment(pattern(20)))
    yield from story.terminate()
    story.end()


def invalidated(stage: ContractStage) -> Scene:
    """Invalidated at rest; the next send asks for the upload."""
    story = stage.actor("invalidated")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(300)))
    yield story.arrived(300)
    story.far.ack(300)
    yield story.came_back("S1")
    yield from story.invalidate(story.connection)
    yield from stage.quiet(GRACE)
    yield from story.send(story.make("S2", pattern(200, 1)))
    yield story.told(RETRIEVE)
    yield from stage.quiet(20)
    yield from story.terminate(with_objects=True)
    yield from story.finish()


def stale_neighbor(stage: ContractStage) -> Scene:
    """Nothing confirms the neighbor for longer than NceStaleTicks: the host knows it once, and twice it does not."""
    story = stage.actor("stale neighbor")
    answers = [5, None, None]
    stage.host.reachability = lambda _: answers.pop(0) if answers else None
    yield from story.open()
    for turn, (wait, answered) in enumerate(((320, True), (320, False), (5, True), (320, True))):
        yield from stage.quiet(wait)
        yield from story.send(story.make(f"S{turn}", pattern(100, turn)))
        yield story.arrived(100 * (turn + 1))
        if answered:
            story.far.ack(100 * (turn + 1))
            yield story.came_back(f"S{turn}")
    yield from stage.quiet(5)
    yield from story.ask(story.neighbor)
    yield from story.terminate(with_objects=True)
    yield from story.finish()


def moved_neighbor(stage: ContractStage) -> Scene:
    """The neighbor gets another MAC for a while."""
    story = stage.actor("moved neighbor")
    yield from story.open()
    yield from story.update(story.neighbor, NeighborCached(OTHER_MAC))
    yield from stage.quiet(GRACE)
    yield from story.send(story.make("S1", pattern(100)))
    yield from stage.quiet(5)
    yield from story.update(story.neighbor, NeighborCached(FAR_MAC))
    yield story.arrived(100)
    story.far.ack(100)
    yield story.came_back("S1")
    yield from story.terminate(with_objects=True)
    yield from story.finish()


# ---- timers -----------------------------------------------------------------------------------------------


def keep_alive(stage: ContractStage) -> Scene:
    """Idle: probes, one of them answered, then none; the upload is asked for."""
    story = stage.actor("keep alive")
    yield from story.open()
    flags = TcpCachedFlags.KEEP_ALIVE_ENABLED
    yield from story.change(flags=flags, ka_timeout=40, ka_interval=60, ka_probe_count=2)
    story.far.say(pattern(20), PSH)
    yield story.took(20)
    yield story.sent(1, lambda s: story.position(s.seq) == 0xFFFF_FFFF)
    story.far.tell(ACK)
    yield story.sent(3, lambda s: story.position(s.seq) == 0xFFFF_FFFF)
    yield story.told(RETRIEVE)
    yield from story.terminate()
    yield from story.finish()


def persist(stage: ContractStage) -> Scene:
    """A closed window: probes that the peer answers, then it opens; closed again and no answer any more."""
    story = stage.actor("persist")
    yield from story.open(window=500)
    yield from story.send(story.make("S1", pattern(1500)))
    yield story.arrived(500)
    story.far.window = 0
    story.far.ack(500)
    probe = story.sent(2, lambda s: story.position(s.seq) == 500)
    yield story.sent(1, lambda s: story.position(s.seq) == 500)
    story.far.tell(ACK)
    yield probe
    story.far.window = 3000
    story.far.acked = story.far.received
    story.far.tell(ACK)
    yield story.arrived(1500)
    story.far.ack(1500)
    yield story.came_back("S1")
    story.far.window = 0
    story.far.tell(ACK)
    yield from story.send(story.make("S2", pattern(300, 1)))
    yield story.told(RETRIEVE)
    yield from story.terminate()
    story.far.window = 3000
    yield from story.finish()


def lost_segments(stage: ContractStage) -> Scene:
    """Three duplicate ACKs bring the head again; later nothing is acknowledged until the upload is asked for."""
    story = stage.actor("lost segments")
    yield from stage.parameters(**{**SLOW_CLOCK, "ticks_per_second": 100})
    yield from story.open()
    yield from story.send(story.make("S1", pattern(6000)))
    yield story.arrived(6000)
    story.far.ack(1000)
    for _ in range(3):
        yield from stage.quiet(3)
        story.far.tell(ACK)
    yield story.sent(2, lambda s: story.position(s.seq) == 1000)
    story.far.ack(6000)
    yield story.came_back("S1")
    yield from clock(stage)
    yield from story.send(story.make("S2", pattern(100, 1)))
    yield story.arrived(6100)
    story.far.ack(6100)  # the retransmission time is that of the slow clock from here on
    yield story.came_back("S2")
    yield from story.send(story.make("S3", pattern(400, 2)))
    yield story.arrived(6500)
    yield story.told(RETRIEVE)
    yield from story.terminate()
    yield from story.finish()


def fin_wait_2(stage: ContractStage) -> Scene:
    """The peer acknowledges the FIN and never sends one; a segment starts the timer anew."""
    story = stage.actor("fin wait 2")
    yield from story.open()
    yield from story.disconnect(story.make("D", pattern(30)))
    yield story.arrived(30, fin=True)
    story.far.ack(31)
    yield story.came_back("D")
    yield from stage.quiet(200)
    story.far.say(pattern(20), PSH)
    yield story.took(20)
    yield story.told(RETRIEVE)
    yield from story.terminate()
    story.end()


# ---- statistics -------------------------------------------------------------------------------------------


def statistics(stage: ContractStage) -> Scene:
    """A segment is sent twice, a peer resets, the counters start again, a host aborts; and each time they are asked."""
    sends, reset = stage.actor("counts"), stage.actor("counts until it is reset")
    yield from sends.open()
    yield from reset.open()
    yield from sends.send(sends.make("S1", pattern(300)))
    yield sends.sent(2, lambda s: sends.position(s.seq) == 0)
    sends.far.ack(300)
    yield sends.came_back("S1")
    reset.far.say(flags=RST)
    yield reset.told(ABORT)
    yield from asked(stage)
    yield from asked(stage, *STATISTICS_OIDS)
    yield from asked(stage)
    yield from sends.abort()
    yield from asked(stage)
    for story in (sends, reset):
        yield from story.terminate()
        story.end()


def asked(stage: ContractStage, *zero: Oid) -> Scene:
    """Set these statistics OIDs, or query all, with nothing under way."""
    yield from stage.quiet(GRACE)
    sets = [OidRequest(oid, set=True) for oid in zero]
    for one in sets:
        stage.host.request(one)
    requests = sets or stage.host.ask_statistics()
    yield lambda: not any(stage.host.pending(request) for request in requests)
    yield from stage.quiet(GRACE)


# ---- attacks ----------------------------------------------------------------------------------------------


def blind_resets(stage: ContractStage) -> Scene:
    """RSTs outside the window, and in it but not where they count."""
    story = stage.actor("blind resets")
    yield from story.open()
    for seq in (-5000, 60_000, 50, 50):
        story.far.tell(RST, seq=seq)
        yield from stage.quiet(4)
    story.far.say(pattern(20), PSH)
    yield story.took(20)
    yield from story.terminate()
    yield from story.finish()


def blind_syns(stage: ContractStage) -> Scene:
    """SYNs in the window, outside it, and at last where it counts."""
    story = stage.actor("blind syns")
    yield from story.open()
    for seq in (50, 50, -5000, 60_000):
        story.far.tell(SYN, seq=seq)
        yield from stage.quiet(4)
    yield from stage.quiet(PROMPT)
    story.far.say(pattern(20), PSH)
    yield story.took(20)
    story.far.tell(SYN)
    yield story.told(RETRIEVE)
    yield from stage.quiet(5)
    yield from story.terminate()
    story.end()


def urgent(stage: ContractStage) -> Scene:
    """Urgent data outside the window is nothing to the connection."""
    story = stage.actor("urgent")
    yield from story.open()
    story.far.tell(URG | ACK, seq=-5000, data=pattern(10))
    yield from stage.quiet(4)
    story.far.say(pattern(20), PSH)
    yield story.took(20)
    yield from stage.quiet(4)
    yield from story.terminate()
    yield from story.finish()


# ---- hand-over --------------------------------------------------------------------------------------------


def inherited(stage: ContractStage) -> Scene:
    """Handed over with data in flight and data not sent; a segment comes meanwhile."""
    story = stage.actor("inherited")
    yield from story.shake_hands(window=2000, tcp=STAMPED)
    tcp, host = story.stack.tcp, stage.host
    tcp.send(pattern(3000), host.now)
    yield story.arrived(1976)
    story.begin_offload()
    story.far.say(pattern(60, 1), PSH)
    yield lambda: story.offload_status is not None
    yield story.took(60)
    story.far.ack(1000)
    yield from stage.quiet(5)
    story.far.window = 6000
    story.far.ack(1976)
    yield story.arrived(3000)
    yield from story.send(story.make("S1", pattern(200, 5)))
    yield story.arrived(3200)
    story.far.ack(3200)
    yield story.came_back("inherited", "S1")
    yield from story.terminate()
    yield from story.finish()


def inherited_timer(stage: ContractStage) -> Scene:
    """Handed over while a retransmission timer runs."""
    story = stage.actor("inherited timer")
    yield from story.shake_hands(tcp=replace(TCP, rto_initial=60, rto_min=60))
    story.stack.tcp.send(pattern(500), stage.host.now)
    yield story.arrived(500)
    yield from stage.quiet(20)
    yield from story.offload()
    yield story.sent(1, lambda s: story.position(s.seq) == 0)
    story.far.ack(500)
    yield story.came_back("inherited")
    yield from story.terminate(with_objects=True)
    yield from story.finish()


def inherited_fin_wait_2(stage: ContractStage) -> Scene:
    """Handed over when the peer has acknowledged the FIN; the rest of its time goes on."""
    story = stage.actor("inherited fin wait 2")
    yield from story.shake_hands(tcp=replace(TCP, fin_wait_2=150))
    tcp = story.stack.tcp
    tcp.close(stage.host.now)
    yield story.arrived(0, fin=True)
    story.far.ack(1)
    yield lambda: tcp.state is TcpConnectionState.FIN_WAIT_2
    yield from stage.quiet(50)
    yield from story.offload()
    yield story.told(RETRIEVE)
    yield from story.terminate(with_objects=True)
    story.end()


def several_at_once(stage: ContractStage) -> Scene:
    """Five connections in one tree for a device with four places, then one more: a chain stays with the host."""
    stories = [stage.actor(f"one of several {i}") for i in range(6)]
    for story in stories:
        yield from story.shake_hands()
    stories[4].stack.tcp.send(pattern(200), stage.host.now)
    yield stories[4].arrived(200)
    for story in stories[:5]:
        story.begin_offload()
    yield lambda: all(story.offload_status is not None for story in stories[:5])
    yield from stories[5].offload()
    for story in stories:
        if story.connection.ledger.live:
            yield from story.terminate()
            yield from story.finish()
        else:
            yield from story.finish_in_software()


# ---- layers -----------------------------------------------------------------------------------------------


def no_memory(stage: ContractStage) -> Scene:
    """An intermediate driver runs out of memory: it sends a chain of two back, and the connection is uploaded."""
    story = stage.actor("no memory")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(100)))
    yield story.arrived(100)
    story.far.ack(100)
    yield story.came_back("S1")
    stage.starving.add(1)
    yield from story.send(story.make("S2", pattern(100, 1)), story.make("S3", pattern(100, 2)))
    stage.starving.clear()
    yield from story.terminate()
    yield from story.finish()


def no_memory_by_kinds(stage: ContractStage) -> Scene:
    """It runs out when requests are posted; the sends that follow are refused from their own first list on."""
    story = stage.actor("no memory by kinds")
    yield from story.open()
    stage.starving.add(1)
    yield from story.post(("R1", 50, False), ("R2", 50, False))
    yield from story.send(story.make("S1", pattern(100)), story.make("S2", pattern(100, 1)))
    stage.starving.clear()
    yield from story.terminate()
    yield from story.finish()


# ---- the driver's own duties ------------------------------------------------------------------------------


def crossing(stage: ContractStage) -> Scene:
    """A request is posted when the device has asked for the indication, and the host has not seen it."""
    story = stage.actor("crossing")
    yield from story.open()
    stage.driver.asleep = True
    story.far.say(pattern(100), PSH)
    yield from stage.quiet(GRACE)
    yield from story.post(("R1", 60, False))
    yield from stage.quiet(5)
    stage.driver.asleep = False
    stage.driver.wake()
    yield story.came_back("R1")
    yield story.took(100)
    yield from story.terminate()
    yield from story.finish()


def greedy(stage: ContractStage) -> Scene:
    """One connection takes all memory that is there for all, and its peer is silent; another one has its share."""
    taker, other = stage.actor("greedy"), stage.actor("with its share")
    yield from taker.open()
    yield from other.open()
    each = stage.driver.bounce.size // DEVICE_RECEIVES
    large = [taker.make_of_mdls(f"R{i}", bytes(each), (each // 2, each - each // 2)) for i in range(DEVICE_RECEIVES)]
    stage.host.issue_receive(taker.connection, large)
    yield from stage.quiet(5)
    stage.host.issue_receive(other.connection, [other.make_of_mdls("R1", bytes(600), (200, 400))])
    yield from stage.quiet(5)
    other.far.say(pattern(600), PSH)
    yield other.came_back("R1")
    for story in (other, taker):
        yield from story.terminate()
        yield from story.finish()


def unanswered(stage: ContractStage) -> Scene:
    """The device is silent for longer than the driver waits for the end of an update."""
    story, driver = stage.actor("unanswered"), stage.driver
    yield from story.open()
    yield from stage.quiet(GRACE)  # what the device had written is read
    stage.tap.setting("state_call_ticks", PATIENCE)
    kept, driver.config = driver.config, replace(driver.config, answer_ticks=PATIENCE // 2)
    driver.silent = True
    request = stage.host.state.update([(story.neighbor, NeighborCached(FAR_MAC))])
    yield from stage.quiet(2 * PATIENCE)
    driver.wake()
    driver.config = kept
    yield lambda: request.completed
    yield from stage.quiet(5)
    yield from story.terminate()
    yield from story.finish()


def urgent_upload(stage: ContractStage) -> Scene:
    """Urgent data, and more behind it while the upload is waited for: all of it is the software's."""
    story = stage.actor("urgent upload")
    yield from story.open()
    story.far.say(pattern(20), URG | PSH)
    yield story.told(RETRIEVE)
    yield from stage.quiet(5)
    story.far.say(pattern(20, 1), PSH)
    yield from stage.quiet(GRACE)
    yield from story.terminate()
    yield from story.finish()


SETS: Mapping[str, SceneSet] = {
    "sends": SceneSet(
        (clock, stamped_stream, reset_by_peer, abort_by_host, uploaded_by_completion, uploaded_in_the_chain)
    ),
    "receives": SceneSet((clock, push_and_nonpush, pushed_before, refused, refused_at_the_end, owed, left_over)),
    "state": SceneSet((clock, state_calls, forwards, forward_refused, invalidated, moved_neighbor, stale_neighbor)),
    "timers": SceneSet((clock, lost_segments, keep_alive, persist)),
    "statistics": SceneSet((clock, statistics)),
    "closing": SceneSet((clock, fin_wait_2), patience=1_500),
    "attacks": SceneSet((clock, blind_resets, blind_syns, urgent)),
    "initiate": SceneSet((clock, inherited, inherited_timer, inherited_fin_wait_2, several_at_once)),
    "driver": SceneSet((clock, crossing, unanswered, urgent_upload, greedy), drivers=True),
    "layers": SceneSet((clock, stamped_stream, refused, forwards, no_memory, no_memory_by_kinds), layered=True),
}
