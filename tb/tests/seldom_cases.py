"""Rules that no ordinary session comes near, as cases for the lab: timers beside data, tags on IPv6, answers that wait.

The rules are those of docs/contract/tcp_step.md; every record is compared in lockstep beside what is asserted here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Final

from model.layout.generated import FIN_WAIT_2_SECONDS, Opcode, Sqe, Status, TcpState
from model.ndis.images import DEFAULT_PARAMETERS
from model.wire.frame import Verdict, VlanTag
from tb.tests.closure_cases import ACK, finish
from tb.tests.command_cases import frames_for, left, update_of, write_again
from tb.tests.corner_cases import Jam, stand_still
from tb.tests.error_cases import indicated, passed
from tb.tests.lab import (
    LAST_CONN,
    NEIGHBOR,
    NEIGHBOR_ID,
    PATH,
    PATH_ID,
    Case,
    Lab,
    Link,
    tagged,
)
from tb.tests.state_cases import SLACK, query, sent_frames

KEEP_ALIVE, SACK, GRACEFUL = 1, 2, 1
#: The most duplicate ACKs that a connection owes (field TCB.DUP_OWED), and segments that call for more.
OWED_MOST, MANY = 7, 9
#: Requests of `stand_still` that fill the queue of transmission, so that not even a grant is taken.
WHOLE_QUEUE: Final = 3
#: Addresses of the lab over IPv6, as numbers; its VLAN and the priority of what comes in it.
OWN_IP6, LAB_IP6 = 0x20010DB8_00000000_00000000_00000001, 0x20010DB8_F00D0000_00000000_00000077
TAG: Final = VlanTag(9, priority=5)
LABEL: Final = 0x2BCDE
#: A round trip of many times the first timeout, in eighths of a tick.
SLOW: Final = 8 * 4 * DEFAULT_PARAMETERS.rto_initial


def cases(jam: Jam) -> list[Callable[[Lab], Case]]:
    """All of them; ``jam`` stops what the device sends."""
    return [
        *UNJAMMED,
        lambda lab: acknowledgments_owed(lab, jam),
        lambda lab: report_that_no_block_holds(lab, jam),
    ]


def _acknowledge(lab: Lab, link: Link, octets: int, cookie: int) -> Case:
    """The far end has all that was sent, and the request completes."""
    link.snd += octets
    lab.arrive(lab.frame(link))
    assert (yield from lab.answer(cookie)).status == Status.OK


def keep_alive_beside_data(lab: Lab) -> Case:
    """While data is under way a keep-alive timer that is due starts again and sends nothing (K-3)."""
    since = len(lab.sent)
    link = yield from lab.open(LAST_CONN)
    data = lab.send(link, bytes(50))
    yield left(lab, link, since)
    times = {"ka_timeout": 4, "ka_interval": 20_000, "ka_probe_count": 3}
    yield from lab.good(update_of(lab, link, cached_flags=KEEP_ALIVE, **times))
    yield from lab.ticks(2 * times["ka_timeout"])
    found = yield from query(lab, link)
    assert found.ka_probes_sent == 0
    assert 20_000 - SLACK <= found.ka_timeout_delta <= 20_000, "the timer did not start again"
    yield from _acknowledge(lab, link, 50, data)
    yield from lab.close(link)
    assert set(sent_frames(lab, link, since)) == {(1000, 50, False)}, "a probe left beside the data"


def window_too_small_to_use(lab: Lab) -> Case:
    """Nothing is in flight, the window is silly: it is used when the override timer is due (E-3; RFC 9293 MUST-38).

    The timer does not wait for a timeout that is longer than the one of a fresh connection.
    """
    since = len(lab.sent)
    link = yield from lab.open(LAST_CONN, snd_wnd=100, srtt=SLOW, rttvar=SLOW // 4)
    data = lab.send(link, bytes(2000))
    yield from lab.silent()
    found = yield from query(lab, link)
    assert sent_frames(lab, link, since) == []
    assert found.rtx_timeout_delta <= DEFAULT_PARAMETERS.rto_initial
    yield from lab.ticks(DEFAULT_PARAMETERS.rto_initial)
    yield left(lab, link, since)
    link.snd += 100
    lab.arrive(lab.frame(link))
    yield left(lab, link, since, 3)
    assert sent_frames(lab, link, since) == [(1000, 100, False), (1100, 1000, False), (2100, 900, False)]
    yield from _acknowledge(lab, link, 1900, data)
    yield from lab.close(link)


def fin_behind_a_shut_window(lab: Lab) -> Case:
    """The last octet goes as a probe, without the FIN, which needs no window once it is alone (G-1, G-2)."""
    since = len(lab.sent)
    link = yield from lab.open(LAST_CONN, snd_wnd=0)
    data = lab.send(link, b"!")
    fin = lab.post(Sqe(opcode=Opcode.DISCONNECT, conn=link.conn, gen=link.gen, flags=GRACEFUL))
    yield from lab.silent()
    assert sent_frames(lab, link, since) == []
    yield from lab.ticks(DEFAULT_PARAMETERS.rto_initial)
    yield left(lab, link, since)
    link.snd += 1
    lab.arrive(lab.frame(link, window=0))
    assert (yield from lab.answer(data)).status == Status.OK
    yield lambda: (1001, 0, True) in sent_frames(lab, link, since)
    link.snd += 1
    lab.arrive(lab.frame(link, window=0))
    assert (yield from lab.answer(fin)).status == Status.OK
    found = yield from query(lab, link)
    whole = FIN_WAIT_2_SECONDS * DEFAULT_PARAMETERS.ticks_per_second
    assert found.state == TcpState.FIN_WAIT_2
    assert whole - SLACK <= found.rtx_timeout_delta <= whole
    yield from lab.close(link)
    assert set(sent_frames(lab, link, since)) == {(1000, 1, False), (1001, 0, True)}


def tags_on_ipv6(lab: Lab) -> Case:
    """A connection over IPv6 whose neighbor is in a VLAN: tagged both ways, text and checksums as without (CH-161)."""
    yield from lab.prepare()
    neighbor = replace(NEIGHBOR, vlan_id=TAG.vlan_id)
    path = replace(PATH, family=6, src_addr=_little(OWN_IP6), dst_addr=_little(LAB_IP6))
    yield from lab.good(lab.with_image(Opcode.NEIGHBOR_WRITE, neighbor.to_bytes(), NEIGHBOR_ID))
    yield from lab.good(lab.with_image(Opcode.PATH_WRITE, path.to_bytes(), PATH_ID))
    for priority in 0, 3:
        since = len(lab.sent)
        link = yield from lab.open(LAST_CONN, family=6, flow_label=LABEL, user_priority=priority)
        text = bytes(range(1, 200))
        data = lab.send(link, text)
        yield left(lab, link, since)
        (sent,) = frames_for(lab, link, since)
        assert (sent.verdict, sent.payload) == (Verdict.TCP_OK, text)  # with that its checksum is right
        assert sent.ip6 is not None
        assert (sent.vlan, sent.ip6.source, sent.ip6.destination, sent.ip6.flow_label) == (
            VlanTag(TAG.vlan_id, priority), OWN_IP6, LAB_IP6, LABEL,
        )  # fmt: skip
        way = {"family": 6, "source_ip": LAB_IP6, "destination_ip": OWN_IP6}
        lab.arrive(lab.frame(link, b"without a tag", **way))
        lab.arrive(tagged(lab.frame(link, b"in another", **way), TAG.tci ^ 1))
        link.snd += len(text)
        lab.arrive(tagged(lab.frame(link, b"the good one", **way), TAG.tci))
        link.rcv += len(b"the good one")
        assert (yield from lab.answer(data)).status == Status.OK
        yield from indicated(lab, link, b"the good one")
        yield from lab.close(link)
    yield from write_again(lab)


def _little(address: int) -> int:
    """An IPv6 address as an image field."""
    return int.from_bytes(address.to_bytes(16, "big"), "little")


def _jammed(lab: Lab, jam: Jam, **changes: int) -> Generator[Callable[[], bool], None, tuple[Link, Link]]:
    """A connection, and another that keeps the wire busy until nothing can leave."""
    link = yield from lab.open(LAST_CONN, **changes)
    other = yield from stand_still(lab, jam, WHOLE_QUEUE)
    return link, other


def acknowledgments_owed(lab: Lab, jam: Jam) -> Case:
    """Nothing can leave: duplicate ACKs are owed up to their most, for what is refused and for what is kept (M-1)."""
    since = len(lab.sent)
    link, other = yield from _jammed(lab, jam)
    gone = len(lab.sent)
    for _ in range(MANY):
        lab.arrive(lab.frame(replace(link, rcv=link.rcv - 100), bytes(50)))
    for at in range(MANY):
        lab.arrive(lab.frame(replace(link, rcv=link.rcv + 100 + 10 * at), bytes(10)))
    yield from passed(lab)
    yield from lab.silent()
    assert frames_for(lab, link, since) == []  # they are behind what filled the queue
    places = len(lab.sent) - gone  # what still crept out: each of them left a place that an answer may have taken
    jam(False)
    yield left(lab, link, since, OWED_MOST)
    yield from lab.silent()
    yield from lab.silent()
    answers = len(frames_for(lab, link, since))
    assert OWED_MOST <= answers <= OWED_MOST + places, f"{answers} answers, {places} places"
    yield from finish(lab, link)
    yield from finish(lab, other)


def report_that_no_block_holds(lab: Lab, jam: Jam) -> Case:
    """A D-SACK waits for the wire; a new range takes the first block, which does not hold it: it is dropped (M-2.7)."""
    since = len(lab.sent)
    link, other = yield from _jammed(lab, jam, const_flags=SACK)
    first, second = (replace(link, rcv=link.rcv + ahead) for ahead in (100, 500))
    lab.arrive(lab.frame(first, bytes(50)))
    lab.arrive(lab.frame(first, bytes(50)))
    lab.arrive(lab.frame(second, bytes(50)))
    yield from passed(lab)
    yield from lab.silent()
    jam(False)
    yield left(lab, link, since, 3)
    ends = [p.tcp.options.sack_blocks for p in frames_for(lab, link, since) if p.tcp is not None]
    assert ends[-1] == ((second.rcv, second.rcv + 50), (first.rcv, first.rcv + 50))
    lab.deliver(link, bytes(100), ACK)
    yield from finish(lab, link)
    yield from finish(lab, other)


UNJAMMED: Final = (keep_alive_beside_data, window_too_small_to_use, fin_behind_a_shut_window, tags_on_ipv6)
"""Those that need nothing but a device."""
