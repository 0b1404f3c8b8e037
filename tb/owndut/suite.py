"""What a device behind the two ports is asked to do: sessions, the same for every device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from model.ndis.file_transfer import FileTransferConfig, TerminateWhen
from model.ndis.soft_tcp import SoftTcpConfig

#: What a session leaves in its folder: {refused: [str], problems: [str]}.
RESULT = "own.json"
#: Checks of a run without a commit port, and where they are.
CHECKS = (
    "protocol checkers at all ports (tb/hdl/checkers)",
    "driver: every entry of both rings (model/ndis/miniport.py)",
    "host's books: each list back once, in order, with true counts (model/ndis/bookkeeping.py)",
    "contract monitors at the NDIS faces and on the wire (tb/monitors/contract)",
    "wire monitor and the peer's judge (tb/monitors/wire_monitor.py, tb/peers/judge.py)",
    "byte streams: file, peer and host (SHA-256)",
    "progress: a session that stands still fails",
)
#: Checks that need one.
ABSENT = (
    "lockstep, checks 1 to 6: state, frames byte for byte, completions, host bytes, events due, liveness",
    "back door of the TCB table",
    "registers at the end of the run",
)


@dataclass(frozen=True)
class Session:
    """One session. ``settings`` are fields of RunConfig; ``app`` is how the applications behave."""

    name: str
    must_hold: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    app: FileTransferConfig = field(default_factory=FileTransferConfig)
    #: Calls, frames and register reads come at random times (tb/env/random_sequences.py).
    paced: bool = False


#: A connection without options, a host that takes what is indicated and posts no receive.
PLAIN = FileTransferConfig(
    tcp=SoftTcpConfig(timestamps=False, sack=False),
    receive_windows=(0,),
    zero_byte_receive=0.0,
    refuse=0.0,
    accept_part=0.0,
)
SMALL = 8 * 1024
SESSIONS = (
    Session("plain", "a file goes out and comes back through sends and indications", app=PLAIN),
    Session("tiny-sends", "sends of one to nine bytes", {"size": 60}, replace(PLAIN, send_sizes=((1, 9, 1),))),
    Session("paced", "calls, frames and register reads come at random times", app=PLAIN, paced=True),
    Session("loss", "what is lost either way is sent again", {"loss": 0.2}, PLAIN),
    Session("reorder", "what overtakes and comes twice does no harm", {"reorder": 0.1, "dup": 0.1}, PLAIN),
    Session("corrupt", "what is damaged is dropped", {"corrupt": 0.15}, PLAIN),
    Session("small-segments", "the peer's MSS of 536 holds", {"mss": 536}, PLAIN),
    Session("disconnect-data", "the last bytes travel with the FIN", app=replace(PLAIN, disconnect_bytes=2000)),
    Session(
        "peer-closes", "the peer's FIN is told, then the upload", {},
        replace(PLAIN, terminate_when=TerminateWhen.AFTER_PEER_FIN),
    ),
    Session(
        "terminate-at-once", "the upload comes right behind the disconnect", {},
        replace(PLAIN, terminate_when=TerminateWhen.AT_ONCE),
    ),
    Session("sack", "SACK was agreed", {"sack": True}, PLAIN),
    Session("posted-receives", "data goes to posted receives", app=replace(PLAIN, receive_windows=(1, 2, 4))),
    Session("partial-acceptance", "a host takes a part, or nothing", app=replace(PLAIN, refuse=0.15, accept_part=0.2)),
    Session("timestamps", "timestamps were agreed", app=replace(PLAIN, tcp=replace(PLAIN.tcp, timestamps=True))),
    Session("ecn", "ECN was agreed", {"ecn": True}, PLAIN),
    Session("cubic", "the host asks for CUBIC", {"cubic": True}, PLAIN),
    Session("ipv6", "the connection is over IPv6", {"family": 6}, PLAIN),
    Session("two-connections", "two connections at a time", {"conns": 2}, PLAIN),
    Session("whole", "the session of `make run`: all of the above at random", {"sack": True}),
)  # fmt: skip
BY_NAME: Mapping[str, Session] = {session.name: session for session in SESSIONS}
#: What every session starts from.
DEFAULTS: Mapping[str, Any] = {"size": SMALL, "sack": False}
