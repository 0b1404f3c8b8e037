"""Unit test of the congestion controls (tcp_step sections Q and F, rules S-2, S-3, D-2; RFC 9438).

DUT = congestion_choice, with cubic, congestion, loss_recovery and cubic_cut in it. One event at a time, no clock. What
section Q says is worked out by `cubic_oracle`, what both controls have in common, and Reno, by `expected`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import cocotb
from cocotb.triggers import Timer

from model.layout.generated import Cubic, Tcb
from tb.tests.unit.cubic_oracle import ALPHA, BETA, CWND_MAX, FAST, K_BITS, MS_MAX, WHOLE, C, CubicOracle, cube

M32 = 0xFFFF_FFFF
UNA = 0xFFFF_FC00
MSS = 1460
THRESH = 3
#: What comes out beside `cc`.
FIELDS = (
    "cwnd", "ssthresh", "cwnd_acc", "recover", "in_recovery", "partial_seen", "rtx_head", "rtt_stop", "keep_timer",
    "high_rxt", "rescued",
)  # fmt: skip
AVOIDING = Tcb(
    cubic_en=1, snd_una=UNA, snd_nxt=UNA, snd_max=(UNA + 200_000) & M32, cwnd=100_000, ssthresh=50_000,
    recover=UNA - 1, high_rxt=UNA,
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """What happens: `acked` octets of new data, a duplicate or a time-out; times in ticks."""

    acked: int = 0
    dup: bool = False
    rto: bool = False
    mss: int = MSS
    now: int = 5000
    rate: int = 1000
    srtt: int = 0
    dup_acks: int = 0
    lost: bool = False
    sacked: int = 0


def u32(value: int) -> int:
    return value & M32


def ahead(a: int, b: int) -> int:
    """How far a is in front of b, signed."""
    return u32(a - b + (1 << 31)) - (1 << 31)


def expected(t: Tcb, e: Event) -> dict[str, int]:
    """F-2, F-3, S-2, S-3 and D-2, with the parts that section Q changes; cc is packed."""
    want = {name: getattr(t, name) for name in FIELDS if name not in ("rtt_stop", "keep_timer")}
    want |= {"rtt_stop": 0, "keep_timer": 0}
    own = CubicOracle.of(t.cc)
    flight, ack = u32(t.snd_max - t.snd_una), u32(t.snd_una + e.acked)

    def cut(octets: int) -> int:
        return max(own.reduced(octets, t.cwnd) if t.cubic_en else octets // 2, 2 * e.mss)

    if e.rto:
        if t.rtx_count == 0:
            want["ssthresh"] = cut(flight)
        if t.cubic_en:
            own.timed_out()
        want |= {"cwnd": e.mss, "cwnd_acc": 0, "recover": t.snd_max, "in_recovery": 0, "partial_seen": 0}
        want |= {"rtx_head": 0, "rtt_stop": 1, "high_rxt": t.snd_una, "rescued": 0}
    elif e.acked and t.in_recovery:
        if ahead(ack, t.recover) >= 0:
            want |= {"cwnd": min(t.ssthresh, CWND_MAX), "cwnd_acc": 0, "in_recovery": 0, "partial_seen": 0}
            want["rescued"] = 0 if t.sack_en else t.rescued
        else:
            want |= {"rtt_stop": 1, "partial_seen": 1}
            if not t.sack_en:
                cwnd = max(t.cwnd - e.acked, 0) + (e.mss if e.acked >= e.mss else 0)
                want |= {"cwnd": max(cwnd, e.mss), "rtx_head": 1, "keep_timer": t.partial_seen}
            elif ahead(t.high_rxt, ack) <= 0:
                want |= {"rtx_head": 1, "high_rxt": ack}
    elif e.acked and t.cwnd < t.ssthresh:
        want["cwnd"] = min(t.cwnd + min(e.acked, e.mss), CWND_MAX)
    elif e.acked and t.cubic_en:
        time = {"now": e.now, "srtt": e.srtt, "rate": e.rate}
        want["cwnd"], want["cwnd_acc"] = own.avoid(t.cwnd, t.cwnd_acc, e.acked, e.mss, flight=flight, **time)
    elif e.acked:
        want["cwnd_acc"] = u32(t.cwnd_acc + e.acked)
        if want["cwnd_acc"] >= t.cwnd:
            want |= {"cwnd_acc": want["cwnd_acc"] - t.cwnd, "cwnd": min(t.cwnd + e.mss, CWND_MAX)}
    elif e.dup and t.in_recovery:
        want["cwnd"] = t.cwnd if t.sack_en else min(t.cwnd + e.mss, CWND_MAX)
    elif e.dup:
        if t.sack_en:
            enters = (e.dup_acks >= THRESH or e.lost) and ahead(t.snd_una, t.recover) >= 0
        else:
            enters = e.dup_acks == THRESH and ahead(t.snd_una, t.recover) > 0
        if enters:
            limited = e.sacked if t.sack_en else 2 * e.mss
            want["ssthresh"] = cut(max(min(flight, t.cwnd), flight - limited))
            want |= {"recover": t.snd_max, "in_recovery": 1, "partial_seen": 0, "rtx_head": 1, "rtt_stop": 1}
            if t.sack_en:
                want |= {"high_rxt": t.snd_una, "rescued": 0}
            else:
                want["cwnd"] = min(want["ssthresh"] + 3 * e.mss, CWND_MAX)
    if e.acked and not want["in_recovery"] and ahead(t.recover, ack - 1) < 0:
        want["recover"] = u32(ack - 1)
    return want | {"cc": own.pack()}


async def after(dut: Any, t: Tcb, e: Event) -> dict[str, int]:
    """What the device makes of it."""
    values = {
        "tcb": t.pack(), "mss": e.mss, "now": e.now, "ticks_per_second": e.rate, "dup_ack_threshold": THRESH,
        "new_ack": int(e.acked != 0), "dup_ack": int(e.dup), "rto_fired": int(e.rto), "ack": u32(t.snd_una + e.acked),
        "srtt": e.srtt, "dup_acks": e.dup_acks, "lost": int(e.lost), "sacked": e.sacked,
    }  # fmt: skip
    for name, value in values.items():
        getattr(dut, name).value = value
    await Timer(1, unit="ns")
    return {name: int(getattr(dut, name).value) for name in (*FIELDS, "cc")}


async def check(dut: Any, t: Tcb, e: Event) -> tuple[dict[str, int], Cubic]:
    """The device does what is expected; what that is, and what CUBIC keeps then."""
    got, want = await after(dut, t, e), expected(t, e)
    for name in FIELDS:
        assert got[name] == want[name], f"{name} is {got[name]}, expected {want[name]}: {e} {Cubic.unpack(t.cc)} {t}"
    kept, wanted = Cubic.unpack(got["cc"]), Cubic.unpack(want["cc"])
    for name in Cubic.FIELDS:
        found, right = getattr(kept, name), getattr(wanted, name)
        assert found == right, f"cc.{name} is {found}, expected {right}: {e} {Cubic.unpack(t.cc)} {t}"
    return got, kept


def with_cc(t: Tcb, changed: dict[str, int], **kept: int) -> Tcb:
    """The state with these fields of the TCB and of struct cubic."""
    return replace(t, cc=replace(Cubic.unpack(t.cc), **kept).pack(), **changed)


#: A stage whose curve is at 110000 now, and where Reno is far behind.
STAGE = with_cc(AVOIDING, {}, epoch=1, start=5000, w_max=110_000, prior=120_000, w_est=1000)


async def aims_at(dut: Any, t: Tcb, e: Event, target: int) -> None:
    """The target is exactly this one: w_est counts from one octet above it on."""
    for w_est in (target, target + 1):
        got, kept = await check(dut, with_cc(t, {"cwnd_acc": 1}, w_est=w_est, est_acc=0), e)
        assert kept.w_est == w_est, "this must be no ACK that lets w_est grow"
        moves = 1 + e.acked if target > t.cwnd else 1
        assert got["cwnd_acc"] == (0 if w_est > target else moves), f"w_est {w_est}, target {target}: {e}"
        assert got["cwnd"] == (min(max(t.cwnd, w_est), CWND_MAX) if w_est > target else t.cwnd)


async def arrives_at(dut: Any, t: Tcb, e: Event, start: int, at: int) -> None:
    """The curve is looked at `at` ms behind the start of the stage.

    Told from 5 s beside its middle: there it moves by an octet each ms.
    """
    for k in (at - 5000, at + 5000):
        if 0 <= k <= MS_MAX:
            curve = 110_000 + cube(5000, 64) if at > k else 110_000 - cube(5000, 64)
            assert cube(5001, 64) > cube(5000, 64) > cube(4999, 64)
            await aims_at(dut, with_cc(t, {}, start=start, k=k), e, curve)


@cocotb.test()
async def the_constants_are_those_of_the_rfc_q1_q3(dut: Any) -> None:
    """RFC 9438 4.3, 4.6, 4.7, 5.1, to the last digit that they are given with."""
    assert abs(BETA / 1024 - 0.7) < 1 / 1024
    assert abs(FAST / 1024 - 0.85) < 1 / 1024
    assert abs(ALPHA / WHOLE - 3 * (1 - 0.7) / (1 + 0.7)) < 1e-9
    assert abs(C / 2**50 * 1e9 - 0.4) < 1e-6
    # one second beside w_max the curve is 0.4 segments away, at 10 s it is 400
    assert (cube(1000, MSS), cube(10_000, MSS)) == (584, 584_000)
    await check(dut, AVOIDING, Event(acked=MSS))


@cocotb.test()
async def a_stage_begins_with_the_first_acknowledgment_in_avoidance_q4(dut: Any) -> None:
    for w_max, gap, k_bits in (
        (0, 0, 0), (99_999, 0, 0), (100_000, 0, 0), (100_001, 1, K_BITS), (CWND_MAX, CWND_MAX - 100_000, K_BITS),
    ):  # fmt: skip
        left_over = {
            "start": 1,
            "last": 2,
            "k": 4711,
            "w_est": 3,
            "est_acc": 99,
            "gap": 5,
            "k_bits": 3,
            "prior": 120_000,
        }
        t = with_cc(AVOIDING, {"cwnd_acc": 777}, w_max=w_max, **left_over)
        got, kept = await check(dut, t, Event(acked=3 * MSS, now=7654))
        assert (got["cwnd"], got["cwnd_acc"]) == (100_000, 0)
        want = Cubic(
            epoch=1, start=7654, last=7654, w_max=max(w_max, 100_000), prior=120_000, gap=gap, k_bits=k_bits,
            w_est=100_000,
        )  # fmt: skip
        assert kept == want
    # not in slow start, not in recovery
    for changed in ({"ssthresh": 100_001}, {"in_recovery": 1, "recover": u32(UNA + 100_000)}):
        _, kept = await check(dut, replace(AVOIDING, **changed), Event(acked=MSS))
        assert kept == Cubic()
    _, kept = await check(dut, replace(AVOIDING, ssthresh=100_000), Event(acked=MSS))
    assert kept.epoch == 1


@cocotb.test()
async def time_is_taken_in_milliseconds_and_saturates_q3(dut: Any) -> None:
    """The age of the stage and the round trip; the factor is 1, 10 or 100, and 1 for a rate that cannot be."""
    for rate, factor in ((1000, 1), (100, 10), (10, 100), (0, 1), (1, 1), (999, 1), (M32, 1)):
        edge = MS_MAX // factor
        for age in (0, 1, 3000 // factor, edge, edge + 1, 2 * edge, 1 << 17, 1 << 24, 1 << 25, M32):
            for start in (5000, M32 - 3):
                e = Event(acked=1, mss=64, now=u32(start + age), rate=rate)
                await arrives_at(dut, STAGE, e, start, min(age * factor, MS_MAX))
        for srtt in (0, 7, 8, 8 * 500 + 7, 4 * edge, 8 * edge - 1, 8 * edge, 8 * (edge + 1), 0xFFFF):
            trip = min(srtt // 8 * factor, MS_MAX)
            if srtt <= 0xFFFF:
                for age in (0, 2200 // factor, edge):
                    e = Event(acked=1, mss=64, now=5000 + age, rate=rate, srtt=srtt)
                    await arrives_at(dut, STAGE, e, 5000, min(age * factor + trip, MS_MAX))


@cocotb.test()
async def the_curve_falls_below_and_rises_above_w_max_and_stays_in_its_bounds_q3_q5(dut: Any) -> None:
    big = with_cc(replace(AVOIDING, cwnd=CWND_MAX - 5, snd_max=u32(UNA + CWND_MAX)), {}, epoch=1, start=5000)
    for d, mss in product((0, 1, 2, 900, 5000, 7369, 7370, 100_000, MS_MAX), (52, 64, 1460, 0xFFFF)):
        e = Event(acked=1, mss=mss, now=5000 + d)
        value = cube(d, mss)
        # d above 0
        for w_max in (1, 90_000, 110_000, CWND_MAX):
            await aims_at(dut, with_cc(STAGE, {}, w_max=w_max), e, min(w_max + value, 150_000))
        most = big.cwnd + big.cwnd // 2
        await aims_at(dut, with_cc(big, {}, w_max=CWND_MAX - 9), e, min(CWND_MAX - 9 + value, most))
        # d below 0: never less than nothing
        for w_max in (1, 150_000, CWND_MAX, min(value + 1, CWND_MAX), value, max(value - 1, 0)):
            want = max(w_max - value, 0)
            await aims_at(dut, with_cc(STAGE, {}, w_max=w_max, k=d), replace(e, now=5000), min(want, 150_000))
    # half of a window that is odd
    await aims_at(dut, replace(STAGE, cwnd=70_001, ssthresh=0), Event(acked=1, now=105_000), 70_001 + 35_000)
    # where the product needs all of its bits
    assert MS_MAX**3 * 0xFFFF * C > 1 << 85


@cocotb.test()
async def seventeen_acknowledgments_find_k_a_bit_each_from_the_top_q5(dut: Any) -> None:
    found = Counter[int]()
    gaps = {1, 583, 584, 585, CWND_MAX - 1, CWND_MAX, cube(65_536, 64), cube(65_536, 64) - 1, cube(MS_MAX, 64)}
    gaps |= {cube(x, 64) - 1 for x in (1 << 16, 3 << 15)}
    for gap, mss in product(sorted(gaps), (64, 1460, 0xFFFF)):
        if not 0 < gap <= CWND_MAX:
            continue
        t = with_cc(STAGE, {}, w_max=100_000 + gap, gap=gap, k_bits=K_BITS, w_est=100_000, prior=M32)
        for n in range(K_BITS):
            got, kept = await check(dut, t, Event(acked=1, mss=mss, now=9000 + n))
            assert kept.k_bits == K_BITS - 1 - n
            assert kept.k % (1 << kept.k_bits) == 0
            # Reno's window meanwhile
            assert (got["cwnd"], got["cwnd_acc"]) == (100_000, 0)
            t = replace(t, cc=got["cc"])
        k = Cubic.unpack(t.cc).k
        assert cube(k, mss) <= gap, f"K of {gap}"
        assert k == MS_MAX or cube(k + 1, mss) > gap, f"K of {gap}"
        found[k] += 1
        got, kept = await check(dut, t, Event(acked=1, mss=mss, now=9017))
        assert (kept.k, kept.k_bits) == (k, 0)
    assert max(found) == MS_MAX
    assert len(found) > 10


@cocotb.test()
async def cwnd_follows_reno_while_k_is_searched_q5(dut: Any) -> None:
    t = with_cc(STAGE, {"cwnd_acc": 5}, gap=10_000, k_bits=9, w_est=100_000, prior=100_001, est_acc=WHOLE * 100_000 - 9)
    got, kept = await check(dut, t, Event(acked=1))
    assert (got["cwnd"], got["cwnd_acc"], kept.w_est) == (100_000 + MSS, 0, 100_000 + MSS)
    # one whose estimate is lower keeps what it has
    t = with_cc(t, {}, w_est=50_000)
    got, kept = await check(dut, t, Event(acked=1))
    assert (got["cwnd"], got["cwnd_acc"], kept.w_est) == (100_000, 0, 50_000 + MSS)


@cocotb.test()
async def the_estimate_of_reno_grows_by_9_17ths_until_it_is_where_the_window_was_q5(dut: Any) -> None:
    window = WHOLE * 100_000
    for w_est, prior, factor in ((999, 1000, ALPHA), (1000, 1000, WHOLE), (1001, 1000, WHOLE), (5, 0, WHOLE)):
        for acked in (1, MSS, 100_000, (1 << 31) - 1):
            for before in (0, window - acked * factor - 1, window - acked * factor, window - 1, window):
                if before < 0:
                    continue
                out = replace(STAGE, snd_max=u32(UNA + max(acked, 100_000)))
                t = with_cc(out, {}, w_est=w_est, prior=prior, est_acc=before)
                _, kept = await check(dut, t, Event(acked=acked))
                total = before + acked * factor
                full = total >= window
                assert kept.w_est == w_est + (MSS if full else 0)
                assert kept.est_acc == (min(total - window, window) if full else total)
    top = replace(STAGE, cwnd=CWND_MAX, ssthresh=1, snd_max=u32(UNA + CWND_MAX))
    for w_est in (CWND_MAX, CWND_MAX - 1, CWND_MAX - MSS, CWND_MAX - MSS - 1):
        t = with_cc(top, {}, w_est=w_est, est_acc=WHOLE * CWND_MAX)
        _, kept = await check(dut, t, Event(acked=1))
        assert kept.w_est == min(w_est + MSS, CWND_MAX)
        assert kept.est_acc == WHOLE


@cocotb.test()
async def a_segment_goes_for_each_part_of_the_way_to_the_target_q5(dut: Any) -> None:
    """The products are compared exactly, also where they have 62 bits."""
    rows = (
        (100_000, 110_000, MSS), (100_000, 100_001, 64), (CWND_MAX - MSS - 1, CWND_MAX, 0xFFFF),
        (CWND_MAX - 1, CWND_MAX, MSS), (CWND_MAX // 2, CWND_MAX, 9000), (65_536, 65_537, 0xFFFF), (7, 8, 1),
    )  # fmt: skip
    for cwnd, target, mss in rows:
        target = min(target, cwnd + cwnd // 2)
        t = with_cc(replace(STAGE, cwnd=cwnd, ssthresh=1), {}, w_max=target, w_est=1)
        enough = -(-cwnd * mss // (target - cwnd))
        for acc, acked in (
            (enough - 2, 1), (enough - 1, 1), (0, enough), ((1 << 20) - 1, 1), (M32, 1), (M32 - 5, MSS), (M32 - 5, 5),
        ):  # fmt: skip
            if not 0 <= acc <= M32 or not 0 < acked < 1 << 31:
                continue
            t = replace(t, cwnd_acc=acc, snd_max=u32(UNA + max(acked, cwnd)))
            got, _ = await check(dut, with_cc(t, {}, est_acc=0, prior=M32), Event(acked=acked, mss=mss))
            total = min(acc + acked, M32)
            if total < enough:
                assert (got["cwnd"], got["cwnd_acc"]) == (cwnd, total)
            else:
                assert (got["cwnd"], got["cwnd_acc"]) == (min(cwnd + mss, CWND_MAX), 0)
    # at the target, or above it, nothing happens
    for w_max in (100_000, 99_999, 50_000):
        t = with_cc(STAGE, {"cwnd_acc": 12_345}, w_max=w_max)
        got, _ = await check(dut, t, Event(acked=MSS))
        assert (got["cwnd"], got["cwnd_acc"]) == (100_000, 12_345)


@cocotb.test()
async def a_window_of_which_less_than_half_is_out_neither_grows_nor_begins_a_stage_q6(dut: Any) -> None:
    """To the octet: half of it is enough, of an odd window half an octet more."""
    for cwnd, flight, used in (
        (100_000, 49_999, 0), (100_000, 50_000, 1), (100_001, 50_000, 0), (100_001, 50_001, 1), (2, 1, 1), (3, 1, 0),
        (CWND_MAX, CWND_MAX // 2 - 1, 0), (CWND_MAX, CWND_MAX // 2, 1), (1, 1, 1), (100_000, 1, 0),
        (1, (1 << 31) - 1, 1),
    ):  # fmt: skip
        out = {"cwnd": cwnd, "ssthresh": 1, "snd_max": u32(UNA + flight), "cwnd_acc": 12}
        for acked in {1, flight}:  # what is out in front of the acknowledgment counts
            e = Event(acked=acked, now=7000)
            # a stage: of Reno's window, or of the curve's, or one that looks for K
            for k_bits, w_est in ((0, CWND_MAX), (0, 1), (9, 1)):
                own = {"w_max": CWND_MAX, "prior": 120_000, "gap": 5, "k": 1 << 11, "k_bits": k_bits, "w_est": w_est}
                t = with_cc(AVOIDING, out, epoch=1, start=5000, last=6000, est_acc=WHOLE * cwnd, **own)
                got, kept = await check(dut, t, e)
                assert kept.last == 7000
                assert kept.start == (5000 if used else 6000)
                assert kept.dry == (acked == flight)
                if not used:
                    assert (got["cwnd"], got["cwnd_acc"]) == (cwnd, 12)
                    assert replace(kept, start=5000, last=6000, dry=0) == Cubic.unpack(t.cc)
            # no stage as yet
            t = with_cc(AVOIDING, out, start=5000, last=6000, w_max=120_000, w_est=9)
            got, kept = await check(dut, t, e)
            assert kept.epoch == used
            if not used:
                assert (got["cwnd"], got["cwnd_acc"], got["cc"]) == (cwnd, 12, t.cc)
    # Reno does not ask, and slow start does not
    for changed in ({"cubic_en": 0}, {"ssthresh": 100_001}):
        t = with_cc(AVOIDING, {"snd_max": UNA + 100, "cwnd_acc": 99_999, **changed}, last=6000)
        got, _ = await check(dut, t, Event(acked=100, now=7000))
        assert got["cwnd"] > 100_000
        assert got["cc"] == t.cc


@cocotb.test()
async def time_in_which_the_window_is_not_used_does_not_count_q6(dut: Any) -> None:
    """The curve goes on where it was with the last acknowledgment of a window that was used; ticks wrap."""
    little = {"snd_max": u32(UNA + 49_999)}
    for start in (5000, 0, M32 - 100, M32 - 5200, (1 << 31) - 5500):
        for gaps in ((1000,), (1, 70, 1 << 30), (0,), (M32,), ((1 << 31) + 7, 1 << 31)):
            # 5 s of the stage count, with K 5 s further on: there the curve moves by an octet each ms
            now = u32(start + 5000)
            t = with_cc(STAGE, {}, start=start, last=u32(start + 4990), k=10_100)
            got, kept = await check(dut, t, Event(acked=1, mss=64, now=now))
            assert (kept.start, kept.last) == (start, now)
            t = replace(t, cc=got["cc"])
            for gap in gaps:
                now = u32(now + gap)
                got, kept = await check(dut, replace(t, **little), Event(acked=1, mss=64, now=now))
                assert (got["cwnd"], got["cwnd_acc"]) == (t.cwnd, t.cwnd_acc)
                assert kept.last == now
                assert u32(now - kept.start) == 5000
                t = replace(t, cc=got["cc"])
            # from the last of them on it counts again
            for more in (0, 100):
                e = Event(acked=1, mss=64, now=u32(now + more))
                await aims_at(dut, t, e, 110_000 - cube(5100 - more, 64))
    assert cube(5100, 64) > cube(5099, 64)


@cocotb.test()
async def dry_is_written_with_last_and_says_that_nothing_is_out_any_more_q7(dut: Any) -> None:
    """To the octet, where a rule of growth writes `last`; no other rule writes it."""
    for cwnd, flight in ((1000, 2), (1000, 499), (1000, 500), (1000, 2000), (1000, 1 << 30), (3, 2), (CWND_MAX, 2000)):
        out = {"cwnd": cwnd, "ssthresh": 1, "snd_max": u32(UNA + flight)}
        for acked, dry in product((1, flight - 1, flight), (0, 1)):
            e, gone = Event(acked=acked, now=7000), int(acked == flight)
            # a stage begins, or it is none; a stage of the curve, of Reno's window, one that looks for K
            _, kept = await check(dut, with_cc(AVOIDING, out, last=6000, dry=dry), e)
            assert kept.epoch == (2 * flight >= cwnd)
            assert (kept.last, kept.dry) == ((7000, gone) if kept.epoch else (6000, dry))
            for k_bits, w_est in ((0, 1), (0, CWND_MAX), (9, 1)):
                own = {"epoch": 1, "start": 5000, "w_max": CWND_MAX, "gap": 5, "k_bits": k_bits, "w_est": w_est}
                _, kept = await check(dut, with_cc(AVOIDING, out, last=6000, dry=dry, **own), e)
                assert (kept.last, kept.dry) == (7000, gone)
    # Reno, slow start, the end of a recovery and a part of one, duplicates, time-outs; all or a part is acknowledged
    away = {"in_recovery": 1, "recover": u32(UNA + 900)}
    for changed in ({"cubic_en": 0}, {"ssthresh": 100_001}, away, away | {"sack_en": 1}):
        for acked, dry, epoch in product((899, 900, 1000), (0, 1), (0, 1)):
            t = with_cc(AVOIDING, {"snd_max": u32(UNA + 1000), **changed}, epoch=epoch, start=5000, last=6000, dry=dry)
            got, _ = await check(dut, t, Event(acked=acked, now=7000))
            assert got["cc"] == t.cc
    for e, count, dry in product((Event(dup=True, dup_acks=THRESH), Event(rto=True)), (0, 1), (0, 1)):
        for flight in (0, 100_000):
            t = with_cc(AVOIDING, {"snd_max": u32(UNA + flight), "rtx_count": count}, epoch=1, start=5, last=6, dry=dry)
            _, kept = await check(dut, t, e)
            assert (kept.epoch, kept.start, kept.last, kept.dry) == (0, 5, 6, dry)


@cocotb.test()
async def what_passes_while_nothing_is_out_does_not_count_q7(dut: Any) -> None:
    """The curve goes on where the ACK found it behind which nothing was out; the time is taken once; ticks wrap."""
    for start in (5000, 0, M32 - 100, M32 - 5200, (1 << 31) - 5500):
        for gap in (0, 1, 70, 1000, 1 << 30, 1 << 31, M32):
            # 5 s of the stage count, with K 5 s further on: there the curve moves by an octet each ms
            now = u32(start + 5000)
            t = with_cc(STAGE, {"snd_max": u32(UNA + 50_000)}, start=start, last=u32(start + 4990), k=10_100)
            _, kept = await check(dut, t, Event(acked=50_000, mss=64, now=now))
            assert (kept.start, kept.last, kept.dry) == (start, now, 1)
            # the window is filled again, and the first ACK of it comes
            t = with_cc(STAGE, {}, **{name: getattr(kept, name) for name in ("start", "last", "dry", "k")})
            now = u32(now + gap)
            await aims_at(dut, t, Event(acked=1, mss=64, now=now), 110_000 - cube(5100, 64))
            got, kept = await check(dut, t, Event(acked=1, mss=64, now=now))
            assert (kept.start, kept.last, kept.dry) == (u32(start + gap), now, 0)
            # from there on it counts again
            await aims_at(
                dut, replace(t, cc=got["cc"]), Event(acked=1, mss=64, now=u32(now + 100)), 110_000 - cube(5000, 64)
            )
            # one that finds the window not used, too, takes the same time once, and the next takes none of it
            little = replace(t, snd_max=u32(UNA + 49_999))
            for acked in (1, 49_999):
                got, kept = await check(dut, little, Event(acked=acked, mss=64, now=now))
                assert (got["cwnd"], kept.start, kept.last) == (t.cwnd, u32(start + gap), now)
                assert kept.dry == (acked != 1)
                await aims_at(dut, replace(t, cc=got["cc"]), Event(acked=1, mss=64, now=now), 110_000 - cube(5100, 64))
            # while K is searched, and where Reno's window is taken
            for own in ({"k_bits": 9, "gap": 5, "k": 1 << 11}, {"w_est": 200_000}):
                _, kept = await check(dut, with_cc(t, {}, **own), Event(acked=1, mss=64, now=now))
                assert (kept.start, kept.last, kept.dry) == (u32(start + gap), now, 0)
    assert cube(5101, 64) > cube(5100, 64) > cube(5099, 64)


@cocotb.test()
async def silence_in_front_of_a_stage_is_not_of_it_q7(dut: Any) -> None:
    """Without a stage `dry` is not asked: one begins now, and a window that is not used leaves all as it was."""
    for flight, acked in product((49_999, 50_000, 100_000), (1, 49_999)):
        t = with_cc(AVOIDING, {"snd_max": u32(UNA + flight)}, start=5000, last=6000, dry=1, w_max=120_000)
        got, kept = await check(dut, t, Event(acked=acked, now=7000))
        if flight < 50_000:
            assert got["cc"] == t.cc
        else:
            assert (kept.epoch, kept.start, kept.last, kept.dry) == (1, 7000, 7000, 0)


@cocotb.test()
async def a_loss_leaves_seven_tenths_and_is_remembered_q1_f3_s2(dut: Any) -> None:
    for sack, limited in ((0, 2 * MSS), (1, 30_000)):
        for w_max, want in ((0, 100_000), (99_999, 100_000), (100_000, 100_000), (100_001, 100_000 * 870 // 1024)):
            left_over = {"start": 3, "last": 4, "k": 5, "k_bits": 2, "gap": 9, "w_est": 8}
            t = with_cc(replace(AVOIDING, sack_en=sack), {}, epoch=1, w_max=w_max, **left_over)
            e = Event(dup=True, dup_acks=THRESH, sacked=30_000)
            got, kept = await check(dut, t, e)
            base = max(100_000, 200_000 - limited)
            assert got["ssthresh"] == base * 717 // 1024
            assert got["cwnd"] == (100_000 if sack else got["ssthresh"] + 3 * MSS)
            assert (got["in_recovery"], got["recover"]) == (1, t.snd_max)
            assert kept == Cubic(epoch=0, w_max=want, prior=100_000, **left_over)
    # two segments stay
    for flight, left in ((1500, 2000), (2857, 2000), (2858, 2001)):
        got, _ = await check(dut, replace(AVOIDING, snd_max=u32(UNA + flight)), Event(dup=True, dup_acks=3, mss=1000))
        assert got["ssthresh"] == left
    # a duplicate that begins no recovery changes nothing of it, in a recovery neither
    for changed, count in (({}, THRESH - 1), ({"in_recovery": 1}, THRESH), ({"recover": UNA}, THRESH)):
        t = with_cc(AVOIDING, changed, epoch=1, w_max=5)
        got, kept = await check(dut, t, Event(dup=True, dup_acks=count))
        assert (got["ssthresh"], kept) == (50_000, Cubic(epoch=1, w_max=5))


@cocotb.test()
async def behind_a_time_out_the_stage_begins_at_the_top_of_its_curve_q1_d2(dut: Any) -> None:
    for count, w_max in product((0, 1, 255), (0, 99_999, 100_001)):
        t = with_cc(replace(AVOIDING, rtx_count=count), {}, epoch=1, w_max=w_max, prior=7, start=3, last=4, w_est=8)
        got, kept = await check(dut, t, Event(rto=True))
        assert got["cwnd"] == MSS
        assert got["ssthresh"] == (50_000 if count else 200_000 * 717 // 1024)
        assert kept == Cubic(epoch=0, w_max=0, prior=7 if count else 100_000, start=3, last=4, w_est=8)


@cocotb.test()
async def without_the_flag_it_is_reno_and_nothing_is_kept_f(dut: Any) -> None:
    rng = random.Random(5681)
    for _ in range(300):
        t, e = draw(rng)
        t = replace(t, cubic_en=0, cc=rng.choice((0, 0, rng.getrandbits(Cubic.WIDTH))))
        got, _ = await check(dut, t, e)
        assert got["cc"] == t.cc
    got, _ = await check(dut, replace(STAGE, cubic_en=0, cc=0), Event(dup=True, dup_acks=THRESH))
    assert got["ssthresh"] == (200_000 - 2 * MSS) // 2


def draw(rng: random.Random) -> tuple[Tcb, Event]:
    """A state that a connection can be in, and an event."""
    mss = rng.choice((64, 536, 1448, 1460, 8960, 0xFFFF, rng.randrange(1, 0x10000)))
    rate = rng.choice((1000, 1000, 100, 10))
    cwnd = rng.choice((rng.randrange(1, 1 << rng.randrange(1, 31)), CWND_MAX, CWND_MAX - rng.randrange(mss + 2)))
    half = max(cwnd // 2 + rng.randrange(-1, 3), 1)
    flight = rng.choice((cwnd, cwnd, half, rng.randrange(1, 1 << rng.randrange(1, 31))))
    una = rng.getrandbits(32)
    k_bits = rng.choice((0, 0, 0, rng.randrange(18)))
    k = rng.randrange(1 << rng.randrange(1, 18)) >> k_bits << k_bits
    w_max = rng.choice((0, rng.randrange(CWND_MAX + 1), min(cwnd + rng.randrange(cwnd + 1), CWND_MAX)))
    now = rng.getrandbits(32)
    age = rng.choice((rng.randrange(1 << rng.randrange(1, 33)), k * rate // 1000 + rng.randrange(3000)))
    kept = CubicOracle(
        epoch=rng.choice((0, 1, 1, 1)), start=u32(now - age), last=u32(now - rng.randrange(age + 1)), w_max=w_max,
        dry=rng.getrandbits(1),
        prior=rng.choice((0, w_max, cwnd)),
        gap=rng.choice((0, max(w_max - cwnd, 0), min(cube(k + (1 << k_bits >> 1), mss), CWND_MAX))),
        k=k, k_bits=k_bits, w_est=rng.choice((cwnd, rng.randrange(1, cwnd + 1), min(2 * cwnd, CWND_MAX))),
        est_acc=rng.randrange(WHOLE * cwnd + 1),
    )  # fmt: skip
    acked = rng.choice((rng.randrange(1, flight + 1), min(mss, flight), min(2 * mss, flight)))
    recover = u32(una + rng.choice((-1, 0, acked, acked - 1, flight, rng.randrange(flight + 1))))
    t = Tcb(
        cubic_en=1, sack_en=rng.getrandbits(1), snd_una=una, snd_nxt=una, snd_max=u32(una + flight), cwnd=cwnd,
        ssthresh=rng.choice((1, cwnd, cwnd + 1, rng.getrandbits(31), M32)), recover=recover, cc=kept.pack(),
        cwnd_acc=rng.choice((0, rng.randrange(cwnd + 1), rng.getrandbits(32))), in_recovery=int(rng.random() < 0.2),
        partial_seen=rng.getrandbits(1), rtx_head=rng.getrandbits(1), rescued=rng.getrandbits(1),
        high_rxt=u32(una + rng.randrange(flight + 1)), rtx_count=rng.choice((0, 0, 1, 255)),
    )  # fmt: skip
    e = Event(mss=mss, now=now, rate=rate, srtt=rng.choice((0, 1, rng.getrandbits(16), rng.getrandbits(10))))
    kind = rng.choice(("ack", "ack", "ack", "ack", "dup", "rto", "none"))
    if kind == "ack":
        return t, replace(e, acked=acked)
    if kind == "dup":
        sacked = rng.randrange(flight + 1)
        return t, replace(e, dup=True, dup_acks=rng.choice((2, 3, 3, 4)), lost=rng.random() < 0.3, sacked=sacked)
    return t, replace(e, rto=kind == "rto")


@cocotb.test()
async def random_events_leave_what_the_rules_leave_q_f(dut: Any) -> None:
    rng = random.Random(9438)
    seen = Counter[str]()
    for _ in range(3000):
        t, e = draw(rng)
        got, kept = await check(dut, t, e)
        before = Cubic.unpack(t.cc)
        if e.acked and not t.in_recovery and t.cwnd >= t.ssthresh:
            used = 2 * u32(t.snd_max - t.snd_una) >= t.cwnd
            if before.epoch and before.dry:
                seen["behind silence" if used else "behind silence, not used"] += 1
            if kept.dry != before.dry:
                seen["dry" if kept.dry else "not dry"] += 1
            if not used:
                seen["not used, in a stage" if before.epoch else "not used"] += 1
            elif not before.epoch:
                seen["stage"] += 1
            elif before.k_bits:
                seen["bit" if kept.k != before.k else "no bit"] += 1
            elif got["cwnd"] == t.cwnd:
                seen["waits" if got["cwnd_acc"] > t.cwnd_acc else "stays"] += 1
            else:
                seen["friendly" if got["cwnd"] == kept.w_est else "grows"] += 1
        elif before.epoch and not kept.epoch:
            seen["cut"] += 1
    rules = (
        "stage", "bit", "no bit", "waits", "stays", "friendly", "grows", "cut", "not used", "not used, in a stage",
        "behind silence", "behind silence, not used", "dry", "not dry",
    )  # fmt: skip
    dut._log.info("seen: %s", dict(seen))
    assert min(seen[name] for name in rules) > 20
