"""Unit test of `state_writer`: the image of a connection field by field, for TERMINATE and for QUERY.

DUT = state_writer. Expected images are typed from section E and rule B-10 of docs/contract/tcp_step.md. One loop a
clock: inputs are driven at the falling edge and handshakes sampled when they have settled.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from model.layout.generated import Cqe, CqKind, DelegatedImage, Opcode, Phase, Status, Tcb, TcpImage, TcpState

OFF = 0xFFFF_FFFF
TICK = 100_000
WHOLE, PART = 256, 128  # bytes
# every field has a value of its own
STATE = Tcb(
    phase=Phase.RUNNING, gen=7, state=TcpState.CLOSE_WAIT, ts_en=1, sack_en=0, ws_en=1, snd_ws=5, rcv_ws=6, family=4,
    ecn_en=1, cubic_en=1, cc=(1 << 218) - 3, path_id=0x0102, local_port=0x0304, remote_port=0x0506, remote_mss=0x0708,
    hash_value=0x090A0B0C, cached_flags=0x001C, init_rcv_wnd=0x11121314, rcv_indication_size=0x15161718,
    ka_probe_count=0x19, ka_timeout=0x1A1B1C1D, ka_interval=0x1E1F2021, max_rt=0x22232425, flow_label=0x62728, ttl=0x29,
    tos=0x2A, user_priority=5, dlg_flags=0x2B2C, ka_probes_sent=0x2D, ka_timeout_delta=0x99887766,
    send_backlog_size=0x32333435, receive_backlog_size=0x36373839, dwnd=0x3A3B3C3D, snd_una=0x3E3F4041,
    snd_nxt=0x42434445, snd_max=0x46474849, snd_end=0x4A4B4C4D, fin_queued=1, snd_wnd=0x4E4F5051,
    max_snd_wnd=0x52535455, snd_wl1=0x56575859, cwnd=0x5A5B5C5D, ssthresh=0x5E5F6061, cwnd_acc=0x62636465,
    recover=0x66676869, dup_acks=0x6A, srtt=0x6B6C, rttvar=0x6D6E, rto=0x6F707172, rtx_on=1, rtx_deadline=TICK + 77,
    rtx_count=0x73, snd_wnd_probe_count=0x74, total_rt=0x75767778, rcv_nxt=1_000_000, rcv_adv=1_050_000,
    consumed_seq=999_000, last_ack_sent=1, fin_rcvd=1, ts_recent=0x797A7B7C, ts_recent_tick=TICK - 4321,
    ts_delta=0x10000000, retrieve_sent=1, img_addr=0xDEAD0000, img_cookie=0xDEAD1111, img_sq_index=0xDEAD, invalid=1,
    backlog_told=0x7D7E7F80, backlog_tick=3, ka_on=1, ka_deadline=TICK + 0x2E2F3031,
)  # fmt: skip
DELEGATED = DelegatedImage(
    state=TcpState.CLOSE_WAIT, dlg_flags=0x2B2C, rcv_nxt=1_000_000, rcv_wnd=50_000, snd_una=0x3E3F4041,
    snd_nxt=0x42434445, snd_max=0x46474849, snd_wnd=0x4E4F5051, max_snd_wnd=0x52535455, snd_wl1=0x56575859,
    cwnd=0x5A5B5C5D, ssthresh=0x5E5F6061, srtt=0x6B6C, rttvar=0x6D6E, ts_recent=0x797A7B7C, ts_recent_age=4321,
    ts_time=0x10000000 + TICK, total_rt=0x75767778, dup_ack_count=0x6A, snd_wnd_probe_count=0x74,
    ka_probes_sent=0x2D, rtx_count=0x73, ka_timeout_delta=0x2E2F3031, rtx_timeout_delta=77,
    send_backlog_size=0x32333435, receive_backlog_size=0x36373839, dwnd=0x3A3B3C3D,
)  # fmt: skip
QUERIED = TcpImage(
    family=4, const_flags=29, remote_port=0x0506, local_port=0x0304, snd_wind_scale=5, rcv_wind_scale=6,
    remote_mss=0x0708, hash_value=0x090A0B0C, path_id=0x0102, cached_flags=0x001C, initial_rcv_wnd=0x11121314,
    rcv_indication_size=0x15161718, ka_probe_count=0x19, ka_timeout=0x1A1B1C1D, ka_interval=0x1E1F2021,
    max_rt=0x22232425, flow_label=0x62728, ttl=0x29, tos=0x2A, user_priority=5, state=TcpState.CLOSE_WAIT,
    dlg_flags=0x2B2C, rcv_nxt=1_000_000, rcv_wnd=50_000, snd_una=0x3E3F4041, snd_nxt=0x42434445, snd_max=0x46474849,
    snd_wnd=0x4E4F5051, max_snd_wnd=0x52535455, snd_wl1=0x56575859, cwnd=0x5A5B5C5D, ssthresh=0x5E5F6061,
    srtt=0x6B6C, rttvar=0x6D6E, ts_recent=0x797A7B7C, ts_recent_age=4321, ts_time=0x10000000 + TICK,
    total_rt=0x75767778, dup_ack_count=0x6A, snd_wnd_probe_count=0x74, ka_probes_sent=0x2D, rtx_count=0x73,
    ka_timeout_delta=0x2E2F3031, rtx_timeout_delta=77, send_backlog_size=0x7D7E7F80, receive_backlog_size=1000,
    dwnd=0x3A3B3C3D,
)  # fmt: skip


@dataclass(frozen=True)
class Write:
    """A write of the DUT and the entry that came behind it; `addr` 0: none was asked for."""

    addr: int
    length: int
    data: bytes
    entry: Cqe


class Bench:
    """One snapshot after the other; the memory takes its beats with gaps."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(int(cocotb.RANDOM_SEED))
        self.lanes = int(dut.DATA_W.value) // 8

    async def start(self) -> None:
        dut = self.dut
        dut.rst.value = 1
        for name in ("s_img_valid", "m_wr_req_ready", "m_wr_ready", "s_wr_done", "s_wr_done_error", "m_cpl_ready"):
            getattr(dut, name).value = 0
        Clock(dut.clk, 10, unit="ns").start()
        for _ in range(3):
            await FallingEdge(dut.clk)
        dut.rst.value = 0

    async def write(self, tcb: Tcb, *, whole: bool, addr: int = 0x1234_5678_0000, error: bool = False) -> Write:
        """Offers the snapshot and plays the memory until the completion is taken."""
        dut = self.dut
        port = {
            "tcb": tcb.pack(), "tick": TICK, "conn": 0x0B0C, "whole": int(whole), "addr": addr, "cookie": 0xC00C1E,
            "sq_index": 0x5151, "opcode": Opcode.QUERY if whole else Opcode.TERMINATE, "valid": 1,
        }  # fmt: skip
        for name, value in port.items():
            getattr(dut, f"s_img_{name}").value = int(value)
        asked, data, done_at, entry = (0, 0), b"", -1, None
        for cycle in range(2000):
            for name in ("m_wr_req_ready", "m_wr_ready", "m_cpl_ready"):
                getattr(dut, name).value = self.rng.randrange(2)
            dut.s_wr_done.value = int(cycle == done_at)
            dut.s_wr_done_error.value = int(error) if cycle == done_at else self.rng.randrange(2)
            await ReadOnly()
            taken = int(dut.s_img_valid.value) and int(dut.s_img_ready.value)
            if int(dut.m_wr_req_valid.value) and int(dut.m_wr_req_ready.value):
                assert asked == (0, 0), "one request"
                asked = (int(dut.m_wr_req_addr.value), int(dut.m_wr_req_len.value))
            if int(dut.m_wr_valid.value) and int(dut.m_wr_ready.value):
                assert done_at < 0, "a beat behind the last"
                data += int(dut.m_wr_data.value).to_bytes(self.lanes, "little")
                if int(dut.m_wr_last.value):
                    done_at = cycle + self.rng.randrange(4, 20)
            if int(dut.m_cpl_valid.value):
                assert cycle > done_at, "completed before the bytes are visible"
                if int(dut.m_cpl_ready.value):
                    entry = Cqe.unpack(int(dut.m_cpl.value))
            await FallingEdge(dut.clk)
            if taken:  # what stands at the port afterwards means nothing
                dut.s_img_valid.value = 0
                dut.s_img_tcb.value = self.rng.getrandbits(Tcb.WIDTH)
                dut.s_img_addr.value = self.rng.getrandbits(64)
            if entry is not None:
                assert int(dut.idle.value) == 1
                return Write(*asked, data, entry)
        raise AssertionError("no completion")


def entry(opcode: Opcode, status: Status = Status.OK) -> Cqe:
    return Cqe(
        kind=CqKind.COMMAND, status=status, conn=0x0B0C, gen=7, code=opcode, cookie=0xC00C1E, sq_index=0x5151
    )  # fmt: skip


async def bench_of(dut: Any) -> Bench:
    bench = Bench(dut)
    await bench.start()
    return bench


@cocotb.test()
async def a_query_writes_every_field_of_the_whole_image_b10(dut: Any) -> None:
    bench = await bench_of(dut)
    for _ in range(5):
        got = await bench.write(STATE, whole=True)
        assert (got.addr, got.length, len(got.data)) == (0x1234_5678_0000, WHOLE, WHOLE)
        image = TcpImage.from_bytes(got.data)
        for name in TcpImage.FIELDS:
            assert getattr(image, name) == getattr(QUERIED, name), name
        assert got.data == QUERIED.to_bytes(), "and zeros between the fields"
        assert got.entry == entry(Opcode.QUERY)


@cocotb.test()
async def a_terminate_writes_the_delegated_part_with_the_backlogs_as_loaded(dut: Any) -> None:
    bench = await bench_of(dut)
    for _ in range(5):
        got = await bench.write(replace(STATE, phase=Phase.FREE), whole=False)
        assert (got.addr, got.length, len(got.data)) == (0x1234_5678_0000, PART, PART)
        assert got.data == DELEGATED.to_bytes()
        assert got.entry == entry(Opcode.TERMINATE)
        got = await bench.write(STATE, whole=True)  # the sizes take turns
        assert got.data == QUERIED.to_bytes()


@cocotb.test()
async def a_timer_is_reported_as_the_time_that_remains_b10_k3(dut: Any) -> None:
    bench = await bench_of(dut)
    rows = (
        ({"rtx_on": 0}, OFF),
        ({"rtx_deadline": TICK}, 0),
        ({"rtx_deadline": TICK - 5}, 0),
        ({"rtx_deadline": TICK + 1}, 1),
        ({"phase": Phase.FROZEN}, 77),
        ({"phase": Phase.LOADED, "rtx_deadline": 600}, 600),  # still remaining ticks
        ({"phase": Phase.LOADED, "rtx_deadline": 600, "rtx_on": 0}, OFF),
    )
    for changed, want in rows:
        got = await bench.write(replace(STATE, **changed), whole=True)
        assert TcpImage.from_bytes(got.data).rtx_timeout_delta == want, changed
    keep_alive = (
        ({"ka_on": 0}, OFF),
        ({"ka_deadline": TICK}, 0),
        ({"ka_deadline": TICK - 1}, 0),
        ({"ka_deadline": TICK + 1}, 1),
        ({"phase": Phase.FROZEN, "ka_deadline": TICK + 9}, 9),
        ({"phase": Phase.LOADED, "ka_deadline": 600}, 600),
        ({"phase": Phase.LOADED, "ka_deadline": 600, "ka_on": 0}, OFF),
    )
    for changed, want in keep_alive:
        state = replace(STATE, **changed)
        image = TcpImage.from_bytes((await bench.write(state, whole=True)).data)
        assert image.ka_timeout_delta == want, changed
        part = DelegatedImage.from_bytes((await bench.write(state, whole=False)).data)
        assert part.ka_timeout_delta == want, changed


@cocotb.test()
async def flags_and_bytes_not_read_are_those_of_the_instant_b10(dut: Any) -> None:
    bench = await bench_of(dut)
    for n in range(32):
        agreed = {"ts_en": n & 1, "sack_en": n >> 1 & 1, "ws_en": n >> 2 & 1, "ecn_en": n >> 3 & 1, "cubic_en": n >> 4}
        got = await bench.write(replace(STATE, **agreed), whole=True)
        assert TcpImage.from_bytes(got.data).const_flags == n
    got = await bench.write(replace(STATE, consumed_seq=0xFFFF_FFF0, rcv_nxt=0x10, rcv_adv=0x10), whole=True)
    image = TcpImage.from_bytes(got.data)
    assert (image.receive_backlog_size, image.rcv_wnd) == (0x20, 0)


@cocotb.test()
async def a_failed_write_and_a_missing_address_are_reported(dut: Any) -> None:
    bench = await bench_of(dut)
    for whole, opcode in ((True, Opcode.QUERY), (False, Opcode.TERMINATE)):
        got = await bench.write(STATE, whole=whole, error=True)
        assert got.entry == entry(opcode, Status.WRITE_ERROR)
        got = await bench.write(STATE, whole=whole)
        assert got.entry == entry(opcode)
    got = await bench.write(STATE, whole=False, addr=0)
    assert got == Write(0, 0, b"", entry(Opcode.TERMINATE))
