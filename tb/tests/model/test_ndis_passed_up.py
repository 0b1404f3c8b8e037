"""Frames that the target passes up while their connection is being terminated wait for the completion (CH-204, 244)."""

from __future__ import annotations

import pytest

from model.ndis.framing import Segment, encode
from model.ndis.miniport_objects import OffloadedTcp
from model.ndis.miniport_urgent import MAX_HELD, UrgentFrames
from model.wire.frame import TcpFlag
from tb.tests.model.ndis_bench import PEER
from tb.tests.model.test_ndis_state_calls import Running


@pytest.mark.rule("CH-204", "CH-244")
def test_a_frame_of_a_connection_under_terminate_goes_up_behind_the_completion() -> None:
    at = Running(5)
    bench, driver = at.bench, at.bench.driver
    local = bench.device.conns[0].tcp.local
    frame = encode(Segment(PEER, local, 1, 1, TcpFlag.ACK, 100, b"late"))
    stranger = encode(Segment(PEER, type(local)(local.mac, local.ip, local.port + 999), 1, 1, TcpFlag.ACK, 100, b"x"))
    seen: list[bytes] = []
    driver.adapter.protocol.indicate_raw = lambda _, raw: seen.append(raw)  # type: ignore[method-assign, assignment]
    ended = driver.adapter.protocol.terminate_offload_complete

    def completed(binding_context: object, root: object) -> None:
        seen.append(b"completed")
        ended(binding_context, root)  # type: ignore[arg-type]

    driver.adapter.protocol.terminate_offload_complete = completed  # type: ignore[method-assign, assignment]
    bench.device.silent = True
    at.apps[0]._want_upload = True
    while bench.host.step():
        pass
    assert [driver._urgent.keeps(raw) for raw in (frame, stranger)] == [True, False]
    assert seen == []
    bench.device.silent = False
    at.settle()
    assert seen[:2] == [b"completed", frame]


def _keeper() -> tuple[UrgentFrames, OffloadedTcp, bytes]:
    """A connection under terminate, and a frame of it."""
    at = Running(5)
    connection = at.bench.driver._by_id[0]
    local = at.bench.device.conns[0].tcp.local
    connection.terminating = True
    at.bench.driver._urgent.begins(connection)
    return at.bench.driver._urgent, connection, encode(Segment(PEER, local, 1, 1, TcpFlag.ACK, 100, bytes(80)))


@pytest.mark.rule("CH-204", "CH-244")
def test_a_frame_with_ip_options_of_a_connection_under_terminate_waits() -> None:
    urgent, connection, frame = _keeper()
    optioned = frame[:14] + b"\x47" + frame[15:34] + b"\x01" * 8 + frame[34:]
    assert urgent.keeps(optioned)
    assert urgent.gone(connection) == [optioned]


@pytest.mark.rule("CH-204", "CH-244")
def test_fragments_of_a_packet_wait_with_the_first_of_them_and_those_of_another_packet_do_not() -> None:
    urgent, connection, frame = _keeper()

    def piece(place: int, data: bytes, number: bytes = b"\x12\x34") -> bytes:
        return frame[:18] + number + place.to_bytes(2, "big") + frame[22:34] + data

    first, second = piece(0x2000, frame[34:74]), piece(5, frame[74:])
    assert [urgent.keeps(one) for one in (first, second)] == [True, True]
    assert not urgent.keeps(piece(5, frame[74:], b"\x12\x35"))
    assert urgent.gone(connection) == [first, second]
    assert not urgent.keeps(second)


@pytest.mark.rule("CH-244")
def test_frames_beyond_what_may_wait_are_counted() -> None:
    urgent, connection, frame = _keeper()
    assert all(urgent.keeps(frame) for _ in range(MAX_HELD + 3))
    assert (len(urgent.gone(connection)), urgent.dropped) == (MAX_HELD, 3)
