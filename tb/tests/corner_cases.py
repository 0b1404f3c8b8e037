"""What needs a bench that jams, or words at the very end of a connection, as cases for the lab.

Directed like delivery_cases: `TIMER`, `TCP` and `FRAMES` are the bins of coverage that the cases are for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Final

from model.layout.generated import RCV_WND_MAX, Csr, Opcode, Sqe, Status, TcpState
from model.ndis.images import DEFAULT_PARAMETERS
from tb.tests.closure_cases import ACK, FIN, finish
from tb.tests.command_cases import update_of
from tb.tests.lab import FIRST_CONN, IMAGE, LAB_MAC, LAST_CONN, LOCAL_PORT, Case, Lab, Link

#: Stops what the device writes or sends, or lets it go on.
Jam = Callable[[bool], None]
#: Frames that wait in rx_buffer at most (docs/contract/blocks.md), and some more.
FRAMES_MOST, MORE = 256, 40
#: Flags of DISCONNECT.
ABORTIVE, INHERITED = 2, 5
#: Bytes of text that keep the wire busy, in segments of the least size; ticks that an acknowledgment is delayed.
BUSY, LEAST_MSS, DELAYED = 3000, 64, 1
#: Ticks in which segments of the least size fill the queue of transmission, one in 15 cycles at most.
FILLED: Final = 4
FRAMES: Final = frozenset({"NO_SPACE"})
TIMER: Final = frozenset({"CLOSING dack"})
TCP: Final = frozenset({"LAST_ACK UPDATE RCV_WINDOW", "LAST_ACK DISCONNECT accepted"})


def raw_frame(number: int) -> bytes:
    """A frame of the least size that goes up to the host; its first bytes, which are written first, tell it apart."""
    return b"\xff\xff" + number.to_bytes(2, "big") + b"\xff\xff" + LAB_MAC + b"\x88\xb5" + bytes(46)


def _behind_fin(lab: Lab, state: TcpState) -> Generator[Callable[[], bool], None, Link]:
    """A connection whose FIN was sent before it was offloaded, and not acknowledged."""
    yield from lab.prepare()
    link = Link(LAST_CONN, lab.new_gen(), snd=IMAGE.snd_una)
    image = replace(
        IMAGE, local_port=LOCAL_PORT + link.conn, state=state, snd_nxt=IMAGE.snd_una + 1, snd_max=IMAGE.snd_una + 1,
        rtx_timeout_delta=20_000,
    )  # fmt: skip
    yield from lab.good(lab.with_image(Opcode.INITIATE, image.to_bytes(), link.conn, link.gen))
    lab.post(Sqe(opcode=Opcode.DISCONNECT, conn=link.conn, gen=link.gen, flags=INHERITED))
    yield from lab.good(Sqe(opcode=Opcode.START, conn=link.conn, gen=link.gen))
    return link


def words_in_last_ack(lab: Lab) -> Case:
    """Both ends have closed: an update that cannot be, then an abort (B-9, B-6a)."""
    link = yield from _behind_fin(lab, TcpState.LAST_ACK)
    entry = yield from lab.do(update_of(lab, link, initial_rcv_wnd=RCV_WND_MAX))
    assert entry.status == Status.RCV_WINDOW
    aborted = lab.post(Sqe(opcode=Opcode.DISCONNECT, conn=link.conn, gen=link.gen, flags=ABORTIVE))
    assert (yield from lab.answer(aborted)).status == Status.OK
    yield from finish(lab, link)


def no_room_for_frames(lab: Lab, jam: Jam) -> Case:
    """Host memory takes nothing while more frames come than rx_buffer holds: some are dropped whole, and counted."""
    jam(True)
    for number in range(FRAMES_MOST + MORE):
        lab.arrive(raw_frame(number), raw=True)
    dropped = 0
    while not dropped:
        dropped = yield from lab.register(Csr.CNT_RX_NO_SPACE)
    jam(False)
    yield from lab.silent()


def stand_still(lab: Lab, jam: Jam, requests: int) -> Generator[Callable[[], bool], None, Link]:
    """Another connection has so many requests under way while nothing can leave."""
    link = yield from lab.open(FIRST_CONN, remote_mss=LEAST_MSS)
    jam(True)
    for _ in range(requests):
        lab.send(link, bytes(BUSY))
    yield from lab.silent()
    yield from lab.ticks(FILLED)
    return link


def acknowledgment_due_in_closing(lab: Lab, jam: Jam) -> Case:
    """The wire stands: text whose ACK is delayed, then the FIN; the timer comes before anything can leave (D-1)."""
    quick = replace(DEFAULT_PARAMETERS, delayed_ack_ticks=DELAYED)
    yield from lab.good(lab.with_image(Opcode.PARAM_WRITE, quick.to_bytes()))
    link = yield from _behind_fin(lab, TcpState.FIN_WAIT_1)
    other = yield from stand_still(lab, jam, 1)
    lab.deliver(link, bytes(50), ACK)
    lab.deliver(link, b"", ACK | FIN)
    yield from lab.ticks(3 * DELAYED)
    jam(False)
    yield from lab.good(lab.with_image(Opcode.PARAM_WRITE, DEFAULT_PARAMETERS.to_bytes()))
    yield from finish(lab, link)
    yield from finish(lab, other)
