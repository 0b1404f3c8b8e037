"""The follower's checks on registers, the receive buffer, order of answers, and memory at a reset: each can fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from model.device.bounds import BOUNDS, WAITS_BEHIND, bounds_for, too_wide
from model.device.config import DeviceConfig
from model.device.decode import Decoded
from model.device.divergence import Divergence, field_of
from model.device.follow_commands import CommandTracker, Posted
from model.device.follow_end import NOT_COMPARED
from model.device.follow_raw import SETTLED, RawPosts
from model.device.follow_space import RETIRE_CYCLES, RxSpace
from model.device.follower import Follower
from model.device.memory import ErrorWindow
from model.device.records import Entry, Journal
from model.layout.generated import (
    CqSource,
    Csr,
    Opcode,
    RecCq,
    RecRx,
    RecTcp,
    RecTx,
    RxClass,
    RxReason,
    Sqe,
    Status,
    TxRecKind,
    WrClient,
)
from tb.tests.model.device_bench import CONFIG, DATA, MEMORY, DeviceBench, ready
from tb.tests.model.tcp_bench import image
from tb.tests.model.test_follower_lockstep import flip, place, recorded, scenario

LONG_WAIT = dict.fromkeys(BOUNDS, 1 << 40)


def fed(entries: Iterable[Entry], config: DeviceConfig = CONFIG, windows: Iterable[ErrorWindow] = ()) -> Follower:
    follower = Follower(bytes(MEMORY), config=config, bounds=LONG_WAIT)
    follower.inject_errors(list(windows))
    for entry in entries:
        follower.feed(entry)
    return follower


def found(follower: Follower) -> Divergence:
    assert follower.divergence is not None
    return follower.divergence


# ---- registers ------------------------------------------------------------------------------------


@pytest.mark.rule("architecture 3, check 3")
@pytest.mark.parametrize("seed", range(4))
def test_all_registers_of_a_device_that_is_right_agree_at_the_end(seed: int) -> None:
    bench, journal = scenario(seed)
    follower = fed(journal.entries)
    values = {register: bench.device.mmio_read(register) for register in Follower.compared_registers()}
    assert follower.compare_registers(values) is None, follower.report("-")
    assert 0 not in (values[Csr.CNT_CMD_ERRORS], values[Csr.CNT_RX_RAW], values[Csr.CNT_TX_SEGMENTS])


@pytest.mark.rule("architecture 3, check 3")
@pytest.mark.parametrize("register", Follower.compared_registers())
def test_a_register_that_is_one_off_is_named(register: Csr) -> None:
    bench, journal = scenario(1)
    follower = fed(journal.entries)
    values = {r: bench.device.mmio_read(r) for r in Follower.compared_registers()}
    values[register] += 1
    d = follower.compare_registers(values)
    assert d is not None
    assert (d.check, d.stream, d.field) == (3, "registers", register.name)


@pytest.mark.rule("architecture 3, check 3")
def test_a_register_that_was_not_read_is_named_and_few_are_left_out() -> None:
    follower = fed(recorded()[0])
    d = follower.compare_registers({})
    assert d is not None
    assert d.got == "not read"
    assert set(NOT_COMPARED) == {Csr.STATUS, Csr.IRQ_CAUSE}


@pytest.mark.rule("M7")
def test_faults_and_discarded_frames_are_counted() -> None:
    journal = Journal()
    bench = ready(3, journal)
    bench.connect(0)
    windows = [ErrorWindow(DATA, 4096)]
    bench.device.inject_errors(windows)
    bench.send(b"x" * 300, at=DATA)
    bench.run()
    bench.do(Sqe(opcode=Opcode.RAW_SEND, addr=DATA, length=100))
    follower = fed(journal.entries, windows=windows)
    values = {r: bench.device.mmio_read(r) for r in Follower.compared_registers()}
    assert follower.compare_registers(values) is None, follower.report("-")
    assert (values[Csr.CNT_FAULTS], values[Csr.CNT_TX_DISCARDED]) == (1, 2)


# ---- raw frames without a buffer ------------------------------------------------------------------


@pytest.mark.rule("architecture 3, check 3")
@pytest.mark.parametrize("seed", range(4))
def test_raw_frames_dropped_for_want_of_a_buffer_are_counted(seed: int) -> None:
    journal = Journal()
    bench = ready(seed, journal)
    for number in range(CONFIG.raw_bufs + 3):
        bench.arrive(bench.segment(5, data=bytes([number])))
    bench.posts(Opcode.RAW_POST, range(2))
    bench.do(Sqe(opcode=Opcode.NOP))
    for number in range(3):
        bench.arrive(bench.segment(6, data=bytes([number])))
    follower = fed(journal.entries)
    assert follower.finish() is None, follower.report("-")
    values = {r: bench.device.mmio_read(r) for r in Follower.compared_registers()}
    assert values[Csr.CNT_RX_RAW_NO_BUF] == 4
    assert follower.compare_registers(values) is None, follower.report("-")
    values[Csr.CNT_RX_RAW_NO_BUF] = 3
    d = follower.compare_registers(values)
    assert d is not None
    assert d.field == "CNT_RX_RAW_NO_BUF"


def narrow(entries: Iterable[Entry], lanes: int = 8) -> Iterator[Entry]:
    """``entries`` with the writes of rx_placer cut for a bus of ``lanes`` bytes."""
    for entry in entries:
        if entry.tag != "W" or entry.values[0] != WrClient.PLACER:
            yield entry
            continue
        client, addr, strobe, data, wide, response = entry.values
        for at in range(0, wide, lanes):
            cut = strobe >> at & ((1 << lanes) - 1)
            if cut:
                part = data >> 8 * at & ((1 << 8 * lanes) - 1)
                yield replace(entry, values=(client, addr + at, cut, part, lanes, response))


@pytest.mark.rule("architecture 3, check 4")
@pytest.mark.parametrize("alike", [False, True], ids=["differ behind the headers", "some are the same"])
@pytest.mark.parametrize("seed", range(4))
def test_raw_frames_that_begin_alike_are_told_apart_by_what_follows(seed: int, alike: bool) -> None:
    journal = Journal()
    bench = ready(seed, journal)
    for number in range(CONFIG.raw_bufs + 3):
        bench.arrive(bench.segment(5, data=b"same" if alike and number & 1 else b"x%d" % number))
    bench.posts(Opcode.RAW_POST, range(3))
    bench.do(Sqe(opcode=Opcode.NOP))
    for number in range(5):
        bench.arrive(bench.segment(5, data=b"same" if alike and number & 1 else b"y%d" % number))
    entries = list(narrow(journal.entries))
    assert len(entries) > len(journal.entries)
    follower = fed(entries)
    assert follower.finish() is None, follower.report("-")
    values = {r: bench.device.mmio_read(r) for r in Follower.compared_registers()}
    assert values[Csr.CNT_RX_RAW_NO_BUF] == 5
    assert follower.compare_registers(values) is None, follower.report("-")


@pytest.mark.rule("architecture 3, check 4")
def test_a_wrong_byte_of_a_raw_frame_that_waited_is_found_and_so_is_a_frame_cut_short() -> None:
    journal = Journal()
    bench = ready(1, journal)
    for number in range(CONFIG.raw_bufs + 3):
        bench.arrive(bench.segment(5, data=b"x%d" % number))
    bench.posts(Opcode.RAW_POST, range(3))
    bench.do(Sqe(opcode=Opcode.NOP))
    start = len(list(narrow(journal.entries)))
    for number in range(2):
        bench.arrive(bench.segment(5, data=b"y%d" % number))
    entries = list(narrow(journal.entries))
    beats = [
        at for at in range(start, len(entries)) if entries[at].tag == "W" and entries[at].values[0] == WrClient.PLACER
    ]
    for at in (beats[0], beats[3]):
        entry = entries[at]
        client, addr, strobe, data, lanes, response = entry.values
        wrong = replace(entry, values=(client, addr, strobe, data ^ 1, lanes, response))
        assert found(fed([*entries[:at], wrong, *entries[at + 1 :]])).check == 4
    follower = fed(entries[: beats[2]])
    follower.finish()
    assert found(follower).check == 6


@pytest.mark.rule("architecture 3, check 6")
def test_a_raw_frame_that_is_dropped_with_a_buffer_there_is_found() -> None:
    journal = Journal()
    bench = ready(1, journal)
    start = len(journal.entries)
    cycle = journal.entries[-1].cycle + SETTLED
    frame = bench.segment(5, data=b"nobody")
    bench.arrive(frame)
    follower = fed(journal.entries[:start])
    for entry in journal.entries[start:]:
        if entry.tag in "FR":
            follower.feed(replace(entry, cycle=cycle + entry.cycle))
    follower.finish()
    assert found(follower).check == 6


@pytest.mark.rule("hostport")
def test_raw_buffers_are_sure_when_a_later_command_was_carried_out() -> None:
    posts = RawPosts()
    posts.posted(4, 2)
    assert not posts.surely(1_000_000)
    posts.carried_out(3, 10)
    assert not posts.surely(1_000_000)
    posts.carried_out(5, 10)
    assert not posts.surely(10 + SETTLED - 1)
    assert posts.surely(10 + SETTLED)
    posts.taken()
    posts.taken()
    assert not posts.surely(1_000_000)


# ---- room in the receive buffer -------------------------------------------------------------------


def verdicts(entries: Iterable[Entry], change: RecRx, at: int) -> list[Entry]:
    """The journal with the class, reason, connection and fill of its ``at``-th verdict replaced."""
    out, seen = list(entries), 0
    for i, entry in enumerate(out):
        if entry.tag == "R":
            if seen == at:
                rec = replace(change, arrival=RecRx.unpack(entry.values[0]).arrival)
                out[i] = replace(entry, values=(rec.pack(),))
                return out
            seen += 1
    raise AssertionError("no such verdict")


@pytest.mark.rule("architecture 3, check 5")
@pytest.mark.parametrize("fill", [0, CONFIG.rx_beats])
def test_a_drop_for_want_of_space_with_room_left_is_found_whatever_fill_says(fill: int) -> None:
    lie = RecRx(0, RxClass.DROP, RxReason.NO_SPACE, 0, 0, fill)
    d = found(fed(verdicts(recorded()[0], lie, 3)))
    assert (d.check, d.stream, d.field) == (5, "rx", "class_")


@pytest.mark.rule("architecture 3, check 5")
def test_a_receive_buffer_that_never_frees_its_beats_is_found() -> None:
    out, held = [], 0
    for entry in recorded()[0]:
        entry = replace(entry, cycle=entry.cycle * 2 * RETIRE_CYCLES)
        if entry.tag == "R":
            rec = RecRx.unpack(entry.values[0])
            entry = replace(entry, values=(replace(rec, fill=held).pack(),))
            held += 7
        out.append(entry)
    d = found(fed(out))
    assert (d.check, d.stream, d.field) == (5, "rx", "fill")


@pytest.mark.rule("architecture 3, check 5")
def test_a_fill_below_what_must_be_there_is_found() -> None:
    space = RxSpace(beats=100, frames=16)
    space.accepted(0, 60)
    space.accepted(1, 10)
    space.look({0, 1}, 0, 0, entered=5, now=6)
    assert not space.legal_fill(69, 20)
    assert space.legal_fill(70, 20)
    assert space.legal_fill(90, 20)
    assert not space.legal_fill(95, 20)
    assert space.must_lack(31)
    assert not space.must_lack(30)
    assert not space.may_lack(26)
    assert space.may_lack(27)


@pytest.mark.rule("architecture 3, check 5")
def test_beats_count_until_the_frame_is_placed_and_a_while_after_it() -> None:
    space = RxSpace(beats=100, frames=16)
    space.accepted(0, 60)
    space.placed(0, number=3)
    space.look(set(), placed=2, raw=0, entered=5, now=6)
    assert (space.sure, space.most) == (0, 60)
    space.look(set(), placed=3, raw=0, entered=7, now=8)
    assert (space.sure, space.most) == (0, 60)
    space.look(set(), placed=3, raw=0, entered=9 + RETIRE_CYCLES, now=10 + RETIRE_CYCLES)
    assert space.most == 0


@pytest.mark.rule("blocks: rx")
def test_no_more_frames_than_the_limit_wait_and_the_follower_knows_it() -> None:
    few = replace(CONFIG, rx_frames=2)
    journal = Journal()
    bench = DeviceBench(1, few, journal=journal)
    bench.set_up()
    bench.connect(0)
    for _ in range(12):
        bench.device.rx_frame(bench.segment(data=b"data"))
    bench.run()
    assert bench.device.mmio_read(Csr.CNT_RX_NO_SPACE) > 0
    assert fed(journal.entries, few).finish() is None
    d = found(fed(journal.entries))
    assert (d.check, d.field) == (5, "class_")


# ---- answers of command_decode --------------------------------------------------------------------


@pytest.mark.rule("hostport 8")
def test_a_table_that_cannot_be_full_refuses_nothing() -> None:
    journal = Journal()
    bench = ready(1, journal)
    bench.connect(0)
    (entry,) = bench.with_image(Opcode.INITIATE, image(local_port=40000).to_bytes(), conn=1, gen=1)
    assert entry.status == Status.DUPLICATE_KEY
    at = max(i for i, e in enumerate(journal.entries) if e.tag == "C")
    assert fed(journal.entries).finish() is None
    bits = (Status.DUPLICATE_KEY ^ Status.TABLE_FULL) << place(RecCq, "cqe", "status")
    journal.entries[at] = replace(journal.entries[at], values=(journal.entries[at].values[0] ^ bits,))
    d = found(fed(journal.entries))
    assert (d.check, d.field, d.got) == (5, "cqe.status", "TABLE_FULL")


@pytest.mark.rule("hostport")
def test_answers_of_command_decode_that_pass_each_other_are_found() -> None:
    journal = Journal()
    bench = ready(1, journal)
    for opcode in (Opcode.NOP, 99, Opcode.FORWARD):
        bench.post(Sqe(opcode=opcode))
    bench.run()
    assert fed(journal.entries).finish() is None
    answers = [
        i
        for i, e in enumerate(journal.entries)
        if e.tag == "C" and field_of(RecCq, e.values[0], "source") == CqSource.DECODE
    ][-2:]
    first, second = (journal.entries[i].values[0] for i in answers)
    mask = ((1 << 256) - 1) << place(RecCq, "cqe")
    swapped = (first & ~mask) | (second & mask)
    journal.entries[answers[0]] = replace(journal.entries[answers[0]], values=(swapped,))
    d = found(fed(journal.entries))
    assert (d.check, d.field) == (3, "cqe.sq_index")


def posted(number: int, opcode: Opcode, conn: int = 0, early: Status | None = None) -> Posted:
    return Posted(Decoded(Sqe(opcode=opcode, conn=conn), number, early=early), 0, number)


@pytest.mark.rule("hostport")
def test_commands_of_one_connection_do_not_pass_each_other_between_the_engines() -> None:
    tracker = CommandTracker()
    start, receive = posted(0, Opcode.START), posted(1, Opcode.RECEIVE)
    other, bad = posted(2, Opcode.RECEIVE, conn=1), posted(3, Opcode.SEND, early=Status.BAD_LENGTH)
    for each in (start, receive, other, bad):
        tracker.post(each)
    assert tracker.passed_over(receive) == start
    assert tracker.passed_over(other) is None
    assert "sq_index 0" in tracker.answer_too_early(bad)
    assert tracker.take_tcp(0) == (start, [])
    assert tracker.passed_over(receive) is None
    assert "sq_index 1" in tracker.answer_too_early(bad)


@pytest.mark.rule("hostport")
def test_a_command_that_may_be_refused_may_be_passed_by_its_connections_next() -> None:
    tracker = CommandTracker()
    send, receive = posted(0, Opcode.SEND), posted(1, Opcode.RECEIVE)
    tracker.post(send)
    tracker.post(receive)
    assert tracker.passed_over(receive) is None


# ---- discarded frames -----------------------------------------------------------------------------


@pytest.mark.rule("blocks: tx")
@pytest.mark.parametrize("conn", [0, 0xFFFF])
def test_a_wrong_length_of_a_discarded_frame_is_named(conn: int) -> None:
    journal = Journal()
    bench = ready(3, journal)
    bench.connect(0)
    windows = [ErrorWindow(DATA, 4096)]
    bench.device.inject_errors(windows)
    bench.send(b"x" * 300, at=DATA)
    bench.run()
    bench.do(Sqe(opcode=Opcode.RAW_SEND, addr=DATA, length=100))
    assert fed(journal.entries, windows=windows).finish() is None

    def discarded(value: int) -> bool:
        rec = RecTx.unpack(value)
        return rec.kind == TxRecKind.DISCARDED and rec.conn == conn

    d = found(fed(flip(tuple(journal.entries), "X", place(RecTx, "len"), discarded), windows=windows))
    assert (d.check, d.field) == (5, "len")


# ---- memory at a reset ----------------------------------------------------------------------------


def cut_before_a_placement() -> tuple[Follower, bytearray, int]:
    """A follower that waits for a write of rx_placer, the device's memory then, and an address the write has."""
    entries = recorded()[0]
    at = next(i for i, e in enumerate(entries) if e.tag == "W" and e.values[0] == WrClient.PLACER)
    follower = fed(entries[:at])
    values = entries[at].values
    return follower, bytearray(follower.memory.contents), values[1] + (values[2] & -values[2]).bit_length() - 1


@pytest.mark.rule("architecture 3, check 4")
def test_what_a_reset_cut_off_may_be_half_written() -> None:
    follower, memory, addr = cut_before_a_placement()
    memory[addr] ^= 0xFF
    assert follower.reset_under_traffic(memory) is None, follower.report("-")
    assert follower.memory.contents == memory


@pytest.mark.rule("architecture 3, check 4")
@pytest.mark.parametrize("addr", [0xE1234, DATA + 5, 0x1000])
def test_a_byte_no_write_under_way_explains_is_found_at_a_reset(addr: int) -> None:
    follower, memory, _ = cut_before_a_placement()
    memory[addr] ^= 1
    d = follower.reset_under_traffic(memory)
    assert d is not None
    assert d.check == 4
    assert f"{addr:#x} at the reset" in d.field


@pytest.mark.rule("architecture 3, check 4")
def test_the_completion_ring_may_only_differ_where_an_entry_was_due() -> None:
    entries = recorded()[0]
    at = max(i for i, e in enumerate(entries) if e.tag == "W" and e.values[0] == WrClient.COMPLETION)
    values = entries[at].values
    entry = values[1] + (values[2] & -values[2]).bit_length() - 1
    for addr, legal in ((entry, True), (entry + 32, False), (entry - 32, False)):
        follower = fed(entries[:at])
        memory = bytearray(follower.memory.contents)
        memory[addr + 4] ^= 1
        assert (follower.reset_under_traffic(memory) is None) == legal


# ---- liveness bounds ------------------------------------------------------------------------------


def seen(**largest: int) -> dict[str, dict[str, int]]:
    """A liveness table at 64 bits where each kind was seen to wait a fifth of its bound, but for ``largest``."""
    table = bounds_for(16, 64)
    return {kind: {"bound": bound, "max_seen": largest.get(kind, bound // 5)} for kind, bound in table.items()}


@pytest.mark.rule("architecture 3, check 6")
@pytest.mark.parametrize("kind", sorted(BOUNDS.keys() - WAITS_BEHIND.keys()))
def test_a_bound_far_above_what_was_seen_is_named(kind: str) -> None:
    assert too_wide([seen()]) == []
    wide = too_wide([seen(**{kind: 1})])
    assert wide[0].startswith(f"{kind}: ") or BOUNDS[kind] <= 8 + 256
    assert too_wide([seen(**{kind: 1}), seen()]) == []


@pytest.mark.rule("architecture 3, check 6")
@pytest.mark.parametrize("kind", sorted(WAITS_BEHIND))
def test_a_kind_seldom_due_in_a_jam_borrows_only_from_where_it_waits(kind: str) -> None:
    assert too_wide([seen(**{kind: 0})]) == []
    wide = too_wide([seen(**{kind: 0}, **dict.fromkeys(WAITS_BEHIND[kind], 0))])
    assert any(line.startswith(f"{kind}: ") for line in wide)


@pytest.mark.rule("architecture 3, check 6")
def test_bounds_follow_the_configuration() -> None:
    base, wide = bounds_for(4, 64, 32), bounds_for(16, 512)
    assert base == dict(BOUNDS)
    assert all(wide[kind] <= base[kind] for kind in BOUNDS)
    assert wide["wire"] < base["wire"]
    assert bounds_for(256, 64)["grant"] == 16 * base["grant"]
    assert bounds_for(16, 64, 256)["wire"] == 4 * base["wire"]
    assert bounds_for(1024, 64, 4096)["frame"] == base["frame"]


# ---- a run that begins anew -----------------------------------------------------------------------


def test_a_follower_that_begins_anew_forgets_the_divergence_and_sees_the_next_one() -> None:
    entries, memory = recorded()
    broken = flip(entries, "T", place(RecTcp, "tcb", "snd_una"))
    follower = fed(broken)
    first, compared = found(follower), follower.commits_compared
    for expected in (None, first):
        follower.begin_anew(bytes(MEMORY))
        assert follower.divergence is None
        for entry in entries if expected is None else broken:
            follower.feed(entry)
        assert (follower.divergence is None) == (expected is None)
        if expected is None:
            assert follower.final_compare(memory) is None
    assert found(follower).field == first.field
    assert follower.commits_compared > compared, "what was compared before still counts"
