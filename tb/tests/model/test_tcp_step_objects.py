"""Paths and neighbors in use: UPDATE, INVALIDATE, reachability (B-2, B-10 to B-12, E-9, E-10, G-0)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.layout.generated import (
    Cqe,
    CqKind,
    DlvEvt,
    NbrRec,
    NeighborImage,
    Object,
    Opcode,
    PathImage,
    PathRec,
    Phase,
    Status,
    TcpEventType,
    TcpState,
    TxBarrier,
    TxHdrPath,
    TxKind,
    UploadReason,
)
from model.tcp.types import RESET_PARAMS, StepResult
from tb.tests.model.tcp_bench import ACK, FIN, PATH, RST, Engine, message_of, running, segment_of

UPDATE = 1
STALE = RESET_PARAMS.nce_stale_ticks
NEW_PATH = PathImage(family=4, neighbor_id=3, path_mtu=800, src_addr=0x0100_000A, dst_addr=0x0900_000A)
NEW_NEIGHBOR = NeighborImage(dl_src=5, dl_dst=6, vlan_id=7, host_reachability_delta=10, nic_reachability_delta=20)


def cpl_of(result: StepResult) -> Cqe:
    """The completion of a step."""
    assert result.actions.cpl is not None
    return result.actions.cpl


# ---- PATH_WRITE and NEIGHBOR_WRITE of what is in use


@pytest.mark.rule("B-2", "CH-075")
def test_an_updated_path_has_new_values_and_is_as_invalid_as_it_was() -> None:
    for invalid in (0, 1):
        engine = Engine(path=replace(PATH, invalid=invalid))
        result = engine.command(Opcode.PATH_WRITE, NEW_PATH, conn=2, flags=UPDATE)
        assert cpl_of(result).status == Status.OK
        assert result.writes.path == (2, PathRec(1, 4, 3, 800, 0x0A00_0001, 0x0A00_0009, invalid))
        item = result.actions.tx0
        assert item is not None
        assert TxHdrPath.unpack(item.body) == TxHdrPath(3, 4, 0x0A00_0001, 0x0A00_0009)
    engine.command(Opcode.PATH_WRITE, NEW_PATH)
    assert engine.path.invalid == 0


@pytest.mark.rule("B-2", "CH-075")
def test_an_updated_neighbor_keeps_what_the_device_knows_of_it() -> None:
    engine = Engine(neighbor=NbrRec(1, 1, 2, 3, 100, 200, invalid=1, query=1), now=1000)
    result = engine.command(Opcode.NEIGHBOR_WRITE, NEW_NEIGHBOR, conn=4, flags=UPDATE)
    assert result.writes.neighbor == (4, NbrRec(1, 5, 6, 7, 990, 200, 1, 1))
    result = engine.command(Opcode.NEIGHBOR_WRITE, NEW_NEIGHBOR, conn=4)
    assert result.writes.neighbor == (4, NbrRec(1, 5, 6, 7, 990, 980, 0, 0))


@pytest.mark.rule("B-2")
def test_what_was_never_written_is_not_updated() -> None:
    engine = Engine(path=PathRec(), neighbor=NbrRec())
    for opcode, image in ((Opcode.PATH_WRITE, NEW_PATH), (Opcode.NEIGHBOR_WRITE, NEW_NEIGHBOR)):
        result = engine.command(opcode, image, flags=UPDATE)
        assert cpl_of(result).status == Status.BAD_STATE
        assert (result.writes.path, result.writes.neighbor, result.actions.tx0) == (None, None, None)


@pytest.mark.rule("B-2", "S09")
def test_a_smaller_path_makes_the_next_segments_smaller() -> None:
    engine = running()
    engine.send(2000)
    engine.command(Opcode.PATH_WRITE, NEW_PATH, flags=UPDATE)
    assert [s.len for s in engine.segments()] == [760, 760, 480]


# ---- INVALIDATE


@pytest.mark.rule("B-11", "CH-092")
def test_invalidate_marks_the_object_and_completes_behind_a_barrier() -> None:
    for what in Object:
        engine = running()
        result = engine.command(Opcode.INVALIDATE, conn=0, flags=what, cookie=31)
        item = result.actions.tx0
        assert item is not None
        assert result.actions.cpl is None
        assert (item.kind, item.conn, item.gen) == (TxKind.BARRIER, 0, 7)
        assert TxBarrier.unpack(item.body) == TxBarrier(cookie=31, sq_index=3, opcode=Opcode.INVALIDATE, object=what)
        marks = engine.tcb.invalid, engine.path.invalid, engine.neighbor.invalid
        assert marks == tuple(int(what == other) for other in Object)
        again = engine.command(Opcode.INVALIDATE, conn=0, flags=what)
        assert again.actions.tx0 is not None


@pytest.mark.rule("B-11", "E-1")
def test_what_is_not_there_is_not_invalidated() -> None:
    engine = Engine(path=PathRec(), neighbor=NbrRec())
    for what in Object:
        result = engine.command(Opcode.INVALIDATE, flags=what)
        assert cpl_of(result).status == Status.BAD_STATE
        assert result.actions.tx0 is None


def invalidated(what: Object, engine: Engine) -> Engine:
    """The engine with the connection, its path or its neighbor invalidated."""
    engine.command(Opcode.INVALIDATE, flags=what)
    return engine


@pytest.mark.rule("G-0", "E-9", "CH-092", "CH-093")
@pytest.mark.parametrize("what", Object)
@pytest.mark.parametrize("owed", ["data", "ack", "duplicate", "probe", "head"])
def test_nothing_leaves_over_an_invalid_object_and_the_host_is_asked_to_upload(what: Object, owed: str) -> None:
    window = 0 if owed == "probe" else 30000
    engine = running(snd_wnd=window, max_snd_wnd=window)
    if owed == "duplicate":
        engine.rx(seq=6000, pay_len=1)
    elif owed == "ack":
        engine.rx(pay_len=1)
        engine.rx(pay_len=1)
    else:
        engine.send(3000)
    if owed == "probe":
        engine.now = engine.tcb.rtx_deadline
        engine.timer()
        assert engine.tcb.probe_owed
    elif owed == "head":
        engine.segments()
        engine.tcb = replace(engine.tcb, rtx_head=1)
    invalidated(what, engine)
    before = engine.tcb
    result = engine.grant()
    assert result.actions.tx0 is None
    msg = message_of(result)
    assert (msg.kind, msg.event, msg.info) == (DlvEvt.NOTIFY, TcpEventType.RETRIEVE, UploadReason.INVALID_STATE)
    assert engine.tcb == replace(before, phase=Phase.FROZEN, retrieve_sent=1)
    assert not result.pending


@pytest.mark.rule("G-0", "G-5")
def test_acknowledged_sends_of_an_invalid_connection_complete_without_a_word() -> None:
    engine = running()
    engine.send(1000)
    engine.segments()
    engine.rx(ack=2000)
    invalidated(Object.CONNECTION, engine)
    result = engine.grant()
    assert result.actions.tx1 is not None
    assert result.actions.dlv is None
    assert (engine.tcb.phase, result.pending) == (Phase.RUNNING, False)


@pytest.mark.rule("G-0", "G-5")
def test_an_acknowledged_send_is_released_in_the_grant_that_freezes() -> None:
    engine = running()
    engine.send(1000)
    engine.segments()
    engine.send(1000)
    engine.rx(ack=2000)
    invalidated(Object.PATH, engine)
    result = engine.grant()
    assert result.actions.tx1 is not None
    assert message_of(result).info == UploadReason.INVALID_STATE


@pytest.mark.rule("G-0", "E-8")
def test_a_connection_in_time_wait_freezes_without_a_second_request() -> None:
    engine = running()
    engine.command(Opcode.DISCONNECT, flags=1)
    engine.segments()
    engine.rx(ack=1001)
    engine.rx(ack=1001, flags=ACK | FIN)
    invalidated(Object.CONNECTION, engine)
    assert engine.segments() == []
    assert engine.tcb.phase == Phase.FROZEN
    assert engine.last is not None
    assert engine.last.actions.dlv is None


@pytest.mark.rule("E-9")
def test_nothing_leaves_to_a_neighbor_that_was_never_written() -> None:
    engine = running()
    engine.neighbor = NbrRec()
    engine.send(10)
    result = engine.grant()
    assert result.actions.tx0 is None
    assert message_of(result).info == UploadReason.INVALID_STATE


@pytest.mark.rule("E-9")
def test_receiving_goes_on_until_the_freeze() -> None:
    engine = invalidated(Object.NEIGHBOR, running())
    assert message_of(engine.rx(pay_len=100)).kind == DlvEvt.DELIVER
    assert engine.tcb.rcv_nxt == 5100


@pytest.mark.rule("B-6a", "E-9")
@pytest.mark.parametrize("frozen", [False, True])
def test_an_abortive_disconnect_over_an_invalid_object_sends_no_reset(frozen: bool) -> None:
    engine = running()
    if frozen:
        engine.rx(flags=0x30)
    invalidated(Object.PATH, engine)
    before = engine.tcb
    result = engine.command(Opcode.DISCONNECT, flags=2)
    assert (cpl_of(result).kind, cpl_of(result).status) == (CqKind.SEND, Status.UPLOAD)
    assert (result.actions.tx0, result.actions.tx1) == (None, None)
    if frozen:
        assert result.actions.dlv is None
        assert engine.tcb == before
    else:  # CH-093: the RST is the first segment that is kept back
        assert (message_of(result).event, message_of(result).info) == (
            TcpEventType.RETRIEVE,
            UploadReason.INVALID_STATE,
        )
        assert engine.tcb == replace(before, phase=Phase.FROZEN, retrieve_sent=1)


@pytest.mark.rule("B-6a", "B-13", "G-0")
@pytest.mark.parametrize("command", [Opcode.DISCONNECT, Opcode.UPLOAD])
def test_a_connection_in_time_wait_stops_without_a_second_request(command: Opcode) -> None:
    engine = running()
    engine.command(Opcode.DISCONNECT, flags=1)
    engine.segments()
    engine.rx(ack=1001, flags=0x11)
    engine.segments()
    assert (engine.tcb.state, engine.tcb.phase, engine.tcb.retrieve_sent) == (TcpState.TIME_WAIT, Phase.RUNNING, 1)
    before = invalidated(Object.PATH, engine).tcb
    result = engine.command(command, flags=2 if command == Opcode.DISCONNECT else 0)
    assert (result.actions.tx0, result.actions.tx1, result.actions.dlv) == (None, None, None)
    assert engine.tcb == replace(before, phase=Phase.FROZEN)


@pytest.mark.rule("B-7", "CH-207")
def test_a_terminate_behind_a_mandatory_reason_sends_no_acknowledgment() -> None:
    for frozen in (False, True):
        engine = running()
        engine.rx(pay_len=10)
        if frozen:
            engine.command(Opcode.UPLOAD)
        assert engine.tcb.unacked_segs == 1
        assert (engine.command(Opcode.TERMINATE).actions.tx0 is None) is frozen


@pytest.mark.rule("B-6a")
def test_after_a_reset_of_the_peer_an_abortive_disconnect_is_aborted_whatever_is_invalid() -> None:
    engine = running()
    engine.rx(flags=RST)
    invalidated(Object.PATH, engine)
    assert cpl_of(engine.command(Opcode.DISCONNECT, flags=2)).status == Status.ABORTED


@pytest.mark.rule("B-7", "E-9")
def test_terminate_over_an_invalid_object_owes_no_ack_any_more() -> None:
    engine = running()
    engine.rx(seq=6000, pay_len=1)
    engine.rx(pay_len=1)
    invalidated(Object.NEIGHBOR, engine)
    result = engine.command(Opcode.TERMINATE)
    assert result.actions.tx0 is None
    assert result.actions.tx1 is not None
    tcb = engine.tcb
    assert (tcb.ack_now, tcb.dup_owed, tcb.unacked_segs, tcb.last_ack_sent) == (0, 0, 0, 5000)


# ---- age of the neighbor


def aged(host: int, device: int, *, query: int = 0, now: int = 100_000) -> Engine:
    """A connection whose neighbor was last heard of so many ticks ago."""
    engine = running(now=now)
    engine.path = replace(PATH, neighbor_id=5)
    engine.neighbor = NbrRec(valid=1, hrt=now - host, nrt=now - device, query=query)
    return engine


@pytest.mark.rule("E-10", "CH-228", "G-08", "S31")
def test_a_segment_to_a_neighbor_nobody_heard_of_asks_the_host_and_goes_out_all_the_same() -> None:
    engine = aged(STALE + 5, STALE + 1)
    engine.send(2000)
    result = engine.grant()
    assert segment_of(result).len == 1000
    assert cpl_of(result) == Cqe(
        kind=CqKind.EVENT, conn=5, code=TcpEventType.NEIGHBOR_QUERY, info=STALE + 1, nbytes=STALE + 5
    )
    assert result.writes.neighbor == (5, replace(engine.neighbor, query=1))
    assert engine.grant().actions.cpl is None


@pytest.mark.rule("E-10", "CH-228")
@pytest.mark.parametrize(("host", "device", "query"), [(STALE, 1 << 20, 0), (1 << 20, STALE, 0), (1 << 20, 1 << 20, 1)])
def test_a_neighbor_that_somebody_heard_of_or_that_was_asked_for_is_not_asked_for(
    host: int, device: int, query: int
) -> None:
    engine = aged(host, device, query=query, now=1 << 21)
    engine.send(1000)
    result = engine.grant()
    assert result.actions.tx0 is not None
    assert result.actions.cpl is None


@pytest.mark.rule("E-10")
def test_a_grant_without_a_segment_asks_nothing() -> None:
    engine = aged(STALE + 1, STALE + 1)
    assert engine.grant().actions.cpl is None


@pytest.mark.rule("E-10", "B-6a", "B-7")
@pytest.mark.parametrize("command", [Opcode.DISCONNECT, Opcode.TERMINATE])
def test_the_reset_and_the_last_ack_ask_as_well(command: Opcode) -> None:
    engine = aged(STALE + 1, STALE + 1)
    engine.rx(pay_len=1)
    result = engine.command(command, flags=2 if command == Opcode.DISCONNECT else 0)
    assert result.actions.tx0 is not None
    assert cpl_of(result).code == TcpEventType.NEIGHBOR_QUERY


@pytest.mark.rule("E-10", "C-12")
def test_without_room_nothing_is_asked_and_the_next_segment_asks() -> None:
    engine = aged(STALE + 5, STALE + 1)
    engine.room = False
    engine.send(2000)
    result = engine.grant()
    assert (result.actions.cpl, result.writes.neighbor) == (None, None)
    engine.room = True
    assert cpl_of(engine.grant()).code == TcpEventType.NEIGHBOR_QUERY


@pytest.mark.rule("E-10", "CH-225")
def test_an_echo_of_what_was_sent_after_the_last_confirmation_confirms_the_neighbor() -> None:
    engine = aged(0, 100)
    delta = engine.tcb.ts_delta
    engine.tcb = replace(engine.tcb, ts_en=1)
    old = engine.neighbor.nrt
    engine.rx(pay_len=10, ts_present=1, tsval=5, tsecr=(old + delta) & 0xFFFF_FFFF)
    assert engine.neighbor.nrt == old
    engine.rx(pay_len=10, ts_present=1, tsval=6, tsecr=(old + 1 + delta) & 0xFFFF_FFFF)
    assert engine.neighbor.nrt == engine.now


@pytest.mark.rule("E-10", "CH-225")
@pytest.mark.parametrize("probe", [{"ka_probes_sent": 1}, {"persist": 1, "rtx_count": 1}], ids=["alive", "window"])
def test_the_answer_to_a_probe_confirms_the_neighbor(probe: dict[str, int]) -> None:
    engine = aged(0, 100)
    engine.tcb = replace(engine.tcb, **probe)
    engine.rx()
    assert engine.neighbor.nrt == engine.now


@pytest.mark.rule("E-10")
def test_a_neighbor_that_was_never_written_is_not_confirmed() -> None:
    engine = aged(0, 100)
    engine.tcb = replace(engine.tcb, ka_probes_sent=1)
    engine.neighbor = replace(engine.neighbor, valid=0)
    assert engine.rx().writes.neighbor is None


@pytest.mark.rule("E-10", "CH-227")
def test_an_acknowledgment_of_new_data_confirms_the_neighbor_and_other_segments_do_not() -> None:
    engine = aged(0, STALE)
    engine.send(1000)
    engine.segments()
    old = engine.neighbor.nrt
    engine.now += 7
    engine.rx(pay_len=10)
    engine.rx()
    assert engine.neighbor.nrt == old
    result = engine.rx(ack=2000)
    assert result.writes.neighbor == (5, replace(engine.neighbor, nrt=engine.now))
    engine.send(1000)
    engine.segments()
    engine.now += 7
    engine.forward(ack=3000)
    assert engine.neighbor.nrt == engine.now


@pytest.mark.rule("B-12", "CH-229")
def test_the_answer_of_the_host_is_taken_once() -> None:
    engine = aged(STALE + 1, STALE + 1)
    engine.send(1000)
    engine.grant()
    result = engine.command(Opcode.NEIGHBOR_ANSWER, conn=5, arg=40)
    assert result.actions.cpl is None
    assert (engine.neighbor.hrt, engine.neighbor.query) == (engine.now - 40, 0)
    result = engine.command(Opcode.NEIGHBOR_ANSWER, conn=5, arg=40)
    assert (cpl_of(result).kind, cpl_of(result).status) == (CqKind.COMMAND, Status.BAD_STATE)
    engine.neighbor = NbrRec(query=1)
    assert cpl_of(engine.command(Opcode.NEIGHBOR_ANSWER, conn=5)).status == Status.BAD_STATE


@pytest.mark.rule("B-10", "CH-226")
def test_a_query_of_a_neighbor_tells_both_ages() -> None:
    engine = aged(55, 66)
    cpl = cpl_of(engine.command(Opcode.QUERY, conn=5, flags=Object.NEIGHBOR))
    assert (cpl.kind, cpl.status, cpl.nbytes, cpl.info) == (CqKind.COMMAND, Status.OK, 55, 66)
    engine.neighbor = NbrRec()
    cpl = cpl_of(engine.command(Opcode.QUERY, conn=5, flags=Object.NEIGHBOR))
    assert (cpl.status, cpl.nbytes, cpl.info) == (Status.BAD_STATE, 0, 0)
