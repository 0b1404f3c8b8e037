"""Connections driven call by call beside a session, at the NDIS face and on the wire: scenes, and what they leave.

``golden`` has the session on the golden device, tb/tests/rtl/stage_test.py the one on the RTL.
"""

from __future__ import annotations

from tb.tests.stage.driver import StageDriver
from tb.tests.stage.far import FAR_IP, FAR_IP6, FAR_ISS, FAR_MAC, MSS, NO_FLAGS, TCP, WINDOW, Far, own_address
from tb.tests.stage.moments import (
    ARRIVAL,
    DISCONNECT,
    DISCONNECT_COMPLETE,
    EVENT,
    FORWARD,
    FORWARD_COMPLETE,
    INDICATE,
    INITIATE_COMPLETE,
    INVALIDATE,
    INVALIDATE_COMPLETE,
    NEIGHBOR_EVENT,
    QUERY,
    QUERY_COMPLETE,
    RAW_INDICATE,
    RECEIVE,
    RECEIVE_COMPLETE,
    RETURN,
    SEND,
    SEND_COMPLETE,
    TERMINATE,
    TERMINATE_COMPLETE,
    UPDATE,
    UPDATE_COMPLETE,
    WIRE,
    Crossing,
    Given,
    ListSeen,
    Moment,
    NodeSeen,
    Scene,
)
from tb.tests.stage.network import StageNetwork
from tb.tests.stage.record import COMPLETIONS
from tb.tests.stage.stage import DELAY, SIZE, Device, Stage, chapter
from tb.tests.stage.story import Story, pattern
from tb.tests.stage.taps import DownTap
from tb.tests.stage.transfer import StageTransfer

__all__ = [
    "ARRIVAL",
    "COMPLETIONS",
    "DELAY",
    "DISCONNECT",
    "DISCONNECT_COMPLETE",
    "EVENT",
    "FAR_IP",
    "FAR_IP6",
    "FAR_ISS",
    "FAR_MAC",
    "FORWARD",
    "FORWARD_COMPLETE",
    "INDICATE",
    "INITIATE_COMPLETE",
    "INVALIDATE",
    "INVALIDATE_COMPLETE",
    "MSS",
    "NEIGHBOR_EVENT",
    "NO_FLAGS",
    "QUERY",
    "QUERY_COMPLETE",
    "RAW_INDICATE",
    "RECEIVE",
    "RECEIVE_COMPLETE",
    "RETURN",
    "SEND",
    "SEND_COMPLETE",
    "SIZE",
    "TCP",
    "TERMINATE",
    "TERMINATE_COMPLETE",
    "UPDATE",
    "UPDATE_COMPLETE",
    "WINDOW",
    "WIRE",
    "Crossing",
    "Device",
    "DownTap",
    "Far",
    "Given",
    "ListSeen",
    "Moment",
    "NodeSeen",
    "Scene",
    "Stage",
    "StageDriver",
    "StageNetwork",
    "StageTransfer",
    "Story",
    "chapter",
    "own_address",
    "pattern",
]
