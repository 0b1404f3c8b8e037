"""Frames that the target passes up while their connection is being terminated wait for the completion (CH-204, 244)."""

from __future__ import annotations

import pytest

from model.ndis.framing import Segment, encode
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
