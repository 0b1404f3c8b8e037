"""The ST4 registers on the golden device and its follower (hostport.md, Statistics; CH-016 to CH-019)."""

from __future__ import annotations

import pytest

from model.device.memory import ErrorWindow
from model.layout.generated import CqKind, Csr, NeighborImage, Opcode, Sqe, Status
from model.wire.frame import parse_frame
from tb.tests.model.device_bench import DATA, NEIGHBOR, DeviceBench
from tb.tests.model.tcp_bench import ACK, FIN, RST, SYN, URG
from tb.tests.model.test_device_objects import Followed

PURE_ACK = 40
"""IP total length of a segment without data and options."""
WIDE = (
    Csr.ST4_IN_SEGMENTS_LO,
    Csr.ST4_IN_RECEIVES_LO,
    Csr.ST4_IN_OCTETS_LO,
    Csr.ST4_OUT_SEGMENTS_LO,
    Csr.ST4_OUT_REQUESTS_LO,
    Csr.ST4_OUT_OCTETS_LO,
)


def counted(bench: DeviceBench) -> dict[str, int]:
    """All counters that are not zero, by the name of their register without ST4_ and _LO."""
    read = bench.device.mmio_read
    values = {r: read(r) for r in Csr if r.name.startswith("ST4_") and not r.name.endswith(("_LO", "_HI"))}
    values |= {low: read(low) | read(low + 4) << 32 for low in WIDE}
    return {r.name.removeprefix("ST4_").removesuffix("_LO"): value for r, value in values.items() if value}


def received(segments: int, octets: int) -> dict[str, int]:
    """Counters of so many segments from the wire."""
    return {"IN_SEGMENTS": segments, "IN_RECEIVES": segments, "IN_OCTETS": octets}


def sent(segments: int, octets: int) -> dict[str, int]:
    """Counters of so many segments without old octets."""
    return {"OUT_SEGMENTS": segments, "OUT_REQUESTS": segments, "OUT_OCTETS": octets}


@pytest.mark.rule("CH-016")
def test_a_segment_that_comes_in_counts_with_its_ip_length_and_not_with_its_padding() -> None:
    f = Followed()
    f.bench.connect()
    f.bench.arrive(f.bench.segment())
    assert counted(f.bench) == received(1, PURE_ACK) | {"ESTABLISHED": 1}
    f.bench.arrive(f.bench.segment(data=b"12345"))
    assert counted(f.bench) == received(2, 2 * PURE_ACK + 5) | {"ESTABLISHED": 1}
    f.agree()


@pytest.mark.rule("CH-016")
def test_a_segment_that_the_connection_drops_has_come_in_too() -> None:
    f = Followed()
    f.bench.connect()
    f.bench.arrive(f.bench.segment(seq=1, data=b"far out"))
    counts = counted(f.bench)
    assert counts == received(1, PURE_ACK + 7) | sent(1, PURE_ACK) | {"ESTABLISHED": 1}, "dropped, and answered"
    f.agree()


@pytest.mark.rule("CH-016")
def test_the_tag_of_a_frame_is_no_part_of_the_ip_packet() -> None:
    f = Followed()
    f.bench.with_image(Opcode.NEIGHBOR_WRITE, NeighborImage(dl_dst=NEIGHBOR.dl_dst, vlan_id=5).to_bytes(), conn=1)
    f.bench.connect()
    plain = f.bench.segment(data=b"x" * 60)
    f.bench.arrive(plain[:12] + b"\x81\x00\x00\x05" + plain[12:])
    assert counted(f.bench) == received(1, PURE_ACK + 60) | {"ESTABLISHED": 1}
    f.bench.tick(100)  # the delayed ACK: tagged, as its neighbor wants
    assert parse_frame(f.bench.take_sent()[0]).vlan is not None
    assert counted(f.bench) == received(1, PURE_ACK + 60) | sent(1, PURE_ACK) | {"ESTABLISHED": 1}
    f.agree()


@pytest.mark.rule("CH-016")
def test_frames_of_nobody_damaged_frames_and_raw_frames_do_not_count() -> None:
    f = Followed()
    f.bench.connect()
    damaged = bytearray(f.bench.segment(data=b"hello"))
    damaged[54] ^= 1
    for frame in (f.bench.segment(conn=5, data=b"hello"), bytes(damaged), b"short", bytes(1523)):
        f.bench.arrive(frame)
    f.bench.device.mem.write(DATA, f.bench.segment(conn=5, data=b"hello"))
    (done,) = f.bench.do(Sqe(opcode=Opcode.RAW_SEND, addr=DATA, length=60))
    assert (done.kind, len(f.bench.take_sent())) == (CqKind.RAW_TX, 1)
    assert counted(f.bench) == {"ESTABLISHED": 1}
    f.agree()


@pytest.mark.rule("CH-016")
@pytest.mark.parametrize("state", ["loaded", "urgent", "terminated"])
def test_a_segment_that_goes_to_the_host_raw_is_the_hosts_to_count(state: str) -> None:
    f = Followed()
    f.bench.connect(start=state != "loaded")
    if state == "terminated":
        f.bench.do(Sqe(opcode=Opcode.TERMINATE, gen=1))
    before = counted(f.bench)
    (entry,) = [
        c
        for c in f.bench.arrive(f.bench.segment(data=b"x", flags=URG | ACK if state == "urgent" else ACK))
        if c.kind == CqKind.RAW_RX
    ]
    assert entry.nbytes == 60
    assert counted(f.bench) == before
    f.agree()


@pytest.mark.rule("CH-016")
def test_a_forwarded_segment_is_one_that_came_in_but_no_ip_packet() -> None:
    f = Followed()
    f.bench.connect()
    for seq, data in ((5000, b"12345"), (5005, b"")):
        (done,) = [c for c in f.bench.do(f.bench.forward(seq=seq, data=data)) if c.kind == CqKind.FORWARD]
        assert done.status == Status.OK
    assert counted(f.bench) == {"IN_SEGMENTS": 2, "ESTABLISHED": 1}
    f.agree()


@pytest.mark.rule("CH-016")
@pytest.mark.parametrize(
    ("why", "status"),
    [("urgent", Status.UPLOAD), ("frozen", Status.UPLOAD), ("aborted", Status.ABORTED), ("loaded", Status.BAD_STATE)],
)
def test_a_forward_that_is_not_carried_out_does_not_count(why: str, status: Status) -> None:
    f = Followed()
    f.bench.connect(start=why != "loaded")
    if why == "frozen":
        f.bench.arrive(f.bench.segment(data=b"x", flags=URG | ACK))
    elif why == "aborted":
        f.bench.arrive(f.bench.segment(flags=RST | ACK))
    before = counted(f.bench).get("IN_SEGMENTS")
    forward = f.bench.forward(data=b"12345", flags=URG | ACK if why == "urgent" else ACK)
    (done,) = [c for c in f.bench.do(forward) if c.kind == CqKind.FORWARD]
    assert done.status == status
    assert counted(f.bench).get("IN_SEGMENTS") == before
    f.agree()


@pytest.mark.rule("CH-017")
def test_a_retransmission_counts_as_retransmitted_and_as_ip_packet_and_not_as_segment_sent() -> None:
    f = Followed()
    f.bench.connect()
    f.bench.send(b"lost")
    f.bench.run()
    assert counted(f.bench) == sent(1, PURE_ACK + 4) | {"ESTABLISHED": 1}
    f.bench.tick(1000)
    assert len(f.bench.take_sent()) == 2
    again = {"OUT_SEGMENTS": 1, "OUT_REQUESTS": 2, "OUT_OCTETS": 2 * (PURE_ACK + 4), "RETRANSMITTED": 1}
    assert counted(f.bench) == again | {"ESTABLISHED": 1}
    f.agree()


@pytest.mark.rule("CH-017")
def test_a_segment_with_old_and_new_octets_is_both() -> None:
    f = Followed()
    f.bench.connect(snd_wnd=100)
    f.bench.send(b"a" * 100)
    f.bench.run()
    f.bench.send(b"b" * 100, at=DATA + 0x1000)  # waits for the window
    f.bench.tick(1000)  # the timeout takes SND.NXT back; so small a window is not used (silly-window avoidance)
    assert len(f.bench.take_sent()) == 1
    f.bench.arrive(f.bench.segment(ack=1050, window=30000))
    (both,) = map(parse_frame, f.bench.take_sent())
    assert both.payload == b"a" * 50 + b"b" * 100
    counts = counted(f.bench)
    assert (counts["OUT_REQUESTS"], counts["OUT_SEGMENTS"], counts["RETRANSMITTED"]) == (2, 2, 1)
    f.agree()


@pytest.mark.rule("CH-017")
def test_what_could_not_be_read_is_a_request_and_a_discard_and_nothing_else() -> None:
    f = Followed()
    f.bench.connect()
    f.inject(ErrorWindow(DATA, 4096))
    f.bench.send(b"x" * 100)
    f.bench.run()
    assert f.bench.take_sent() == []
    assert counted(f.bench) == {"OUT_REQUESTS": 1, "OUT_DISCARDS": 1, "ESTABLISHED": 1}
    f.agree()


@pytest.mark.rule("CH-018")
def test_connections_count_as_established_until_our_fin_leaves_whoever_was_first() -> None:
    f = Followed()
    f.bench.connect(0, start=False)
    assert counted(f.bench)["ESTABLISHED"] == 1, "handed over, not started"
    f.bench.do(Sqe(opcode=Opcode.START, gen=1))
    f.bench.connect(1)
    assert counted(f.bench)["ESTABLISHED"] == 2
    f.bench.arrive(f.bench.segment(flags=FIN | ACK))
    assert counted(f.bench)["ESTABLISHED"] == 2, "CLOSE_WAIT"
    f.bench.do(Sqe(opcode=Opcode.DISCONNECT, gen=1, flags=1))
    assert counted(f.bench)["ESTABLISHED"] == 1, "LAST_ACK"
    f.bench.do(Sqe(opcode=Opcode.DISCONNECT, conn=1, gen=1, flags=1))
    assert counted(f.bench).get("ESTABLISHED", 0) == 0, "FIN_WAIT_1"
    assert "RESET_ESTABLISHED" not in counted(f.bench)
    f.agree()


@pytest.mark.rule("CH-018")
def test_a_connection_counts_while_it_is_frozen_and_no_more_once_it_is_uploaded() -> None:
    f = Followed()
    f.bench.connect()
    f.inject(ErrorWindow(DATA, 4096))
    f.bench.send(b"x" * 100)
    f.bench.run()
    assert counted(f.bench)["ESTABLISHED"] == 1, "asked to be uploaded"
    f.bench.do(Sqe(opcode=Opcode.TERMINATE, gen=1))
    assert "ESTABLISHED" not in counted(f.bench)
    f.bench.connect(gen=2)
    assert counted(f.bench)["ESTABLISHED"] == 1
    f.agree()


@pytest.mark.rule("CH-018")
def test_a_refused_initiate_leaves_the_number_alone() -> None:
    f = Followed()
    f.bench.connect(0)
    f.bench.connect(1, state=6)  # FIN_WAIT_2
    (entry,) = f.bench.do(Sqe(opcode=Opcode.INITIATE, conn=2, gen=1, addr=0))  # an image of zeros
    assert entry.status != Status.OK
    assert counted(f.bench)["ESTABLISHED"] == 1
    f.agree()


@pytest.mark.rule("CH-019")
def test_only_an_abortive_disconnect_sends_a_reset_that_counts() -> None:
    f = Followed()
    f.bench.connect(0)
    f.bench.connect(1)
    f.bench.arrive(f.bench.segment(0, flags=RST | ACK))
    assert counted(f.bench) == received(1, PURE_ACK) | {"RESET_ESTABLISHED": 1, "ESTABLISHED": 1}
    f.bench.do(Sqe(opcode=Opcode.DISCONNECT, conn=1, gen=1, flags=2))
    (reset,) = map(parse_frame, f.bench.take_sent())
    assert reset.tcp is not None
    assert reset.tcp.flags & RST
    counts = received(1, PURE_ACK) | sent(1, PURE_ACK) | {"OUT_RESETS": 1, "RESET_ESTABLISHED": 2}
    assert counted(f.bench) == counts
    f.agree()


@pytest.mark.rule("CH-018")
@pytest.mark.parametrize(("state", "counts"), [(4, 1), (7, 1), (5, 0), (9, 0)])
def test_a_reset_counts_from_established_and_close_wait_only(state: int, counts: int) -> None:
    f = Followed()
    sent_fin = int(state in (5, 9))  # FIN_WAIT_1, LAST_ACK: the FIN is in flight
    f.bench.connect(start=False, state=state, snd_nxt=1000 + sent_fin, snd_max=1000 + sent_fin)
    if sent_fin:
        f.bench.do(Sqe(opcode=Opcode.DISCONNECT, gen=1, flags=1 | 4))
    f.bench.do(Sqe(opcode=Opcode.START, gen=1))
    f.bench.arrive(f.bench.segment(flags=RST | ACK))
    assert counted(f.bench).get("RESET_ESTABLISHED", 0) == counts
    assert "ESTABLISHED" not in counted(f.bench)
    f.agree()


@pytest.mark.rule("CH-018")
def test_a_syn_that_ends_a_connection_takes_it_from_established_to_closed() -> None:
    f = Followed()
    f.bench.connect()
    f.bench.arrive(f.bench.segment(flags=SYN))
    assert counted(f.bench) == received(1, PURE_ACK) | {"RESET_ESTABLISHED": 1}
    f.agree()


def test_a_wide_counter_carries_into_its_high_register() -> None:
    f = Followed()
    f.bench.connect()
    regs = f.bench.device.core.regs
    regs[Csr.ST4_IN_OCTETS_LO] = 0xFFFF_FFF0
    f.bench.arrive(f.bench.segment())
    assert (regs[Csr.ST4_IN_OCTETS_LO], regs[Csr.ST4_IN_OCTETS_HI]) == (PURE_ACK - 0x10, 1)


@pytest.mark.rule("CH-015")
def test_the_counters_are_zero_after_a_reset_and_no_register_write_changes_them() -> None:
    f = Followed()
    f.bench.connect()
    f.bench.arrive(f.bench.segment())
    before = counted(f.bench)
    for register in Csr:
        if register.name.startswith("ST4_"):
            f.bench.device.mmio_write(register, 0xFFFF_FFFF)
    assert counted(f.bench) == before
    f.agree()
    f.bench.device.mmio_write(Csr.CONTROL, 2)
    assert counted(f.bench) == {}
