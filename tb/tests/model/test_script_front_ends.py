"""What traces and packetdrill scripts say: times, packets, calls, and what is not supported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tb import command_line
from tb.config import ConfigError, RunConfig
from tb.script import exceptions, packetdrill, run_vectors, vectors
from tb.script.calls import HOST_OPTIONS, SILENT
from tb.script.events import Arrival, Call, Departure, ScriptError, Segment, UnsupportedError, When, parse_time
from tb.script.player import Result
from tb.script.run_packetdrill import item
from tb.script.syntax import TOLERANCE, Packet, parse

OPEN = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 2000 <mss 1000,sackOK,TS val 10 ecr 0,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 5 ecr 10,nop,wscale 8>
+.1 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 11 ecr 5>
"""


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("+0", When()),
        ("+.002", When(2000, 2000)),
        ("1.5", When(1_500_000, 1_500_000, relative=False)),
        ("+0.01", When(10_000, 10_000)),
        ("+.3~+.310", When(300_000, 310_000, window=True)),
        ("1~2", When(1_000_000, 2_000_000, relative=False, window=True)),
        ("1~+.5", When(1_000_000, 1_500_000, relative=False, window=True)),
        ("+0...0.2", When(0, 200_000, window=True)),
        ("*", When(any=True)),
        ("+*", When(any=True)),
    ],
)
def test_times_of_packetdrill_are_read(text: str, when: When) -> None:
    assert parse_time(text) == when


@pytest.mark.parametrize("text", ["", "abc", "+-1", "1..2"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ScriptError, match="no time"):
        parse_time(text, 7)


def test_a_packet_has_flags_numbers_options_and_a_code_point() -> None:
    (packet,) = parse("+0 > [ect0] FP. 1:1001(1000) ack 7 win 9 urg 3 <nop,nop,TS val 4 ecr 5,nop,nop,sack 1:2 3:4>\n")
    assert packet == Packet(
        1,
        When(),
        False,
        Segment(
            frozenset("FP."), 1, 1000, ack=7, win=9, ts=(4, 5), sack=((1, 2), (3, 4)), ecn="ect0", urgent=3
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("+0 < icmp unreachable frag_needed mtu 1400 [1:1(0)]", "packet < icmp"),
        ("+0 %{ assert tcpi_snd_cwnd == 10 }%", "assertion"),
        ("+0 `iptables -A INPUT`", "command `iptables"),
        ("+0 < . 1:1(0) ack 1 win 9 <md5 0>", "TCP option md5"),
        ("+0 > [flowlabel 1] . 1:1(0) ack 1", "IP header flowlabel"),
        ("--ip_version=ipv5", "--ip_version=ipv5"),
        ("--tolerance_usecs=20000 --mtu=1400", "--mtu=1400"),
        ("--udp_encaps=123:456", "--udp_encaps=123:456"),
    ],
)
def test_a_statement_that_is_not_supported_is_named(line: str, what: str) -> None:
    with pytest.raises(UnsupportedError, match=what) as found:
        parse(f"\n{line}\n")
    assert found.value.line == 2


@pytest.mark.parametrize(
    ("options", "version", "tolerated"),
    [
        ("--ip_version=ipv6 --tolerance_usecs=20000", 6, 20_000),
        ("--tolerance_usecs=20000 --ip_version=ipv6", 6, 20_000),
        ("--mtu=1500 --local_ip=192.0.2.1\n--ip_version=ipv6", 6, TOLERANCE),
        ("// --ip_version=ipv6\n--verbose", 4, TOLERANCE),
    ],
)
def test_options_hold_wherever_on_a_line_they_stand_and_not_in_a_comment(
    options: str, version: int, tolerated: int
) -> None:
    assert parse(f"{options}\n") == ()
    script = packetdrill.script("x", f"{options}\n{OPEN}")
    assert (script.family, script.tolerance) == (version, tolerated)


def test_what_a_command_of_a_script_is_told_is_no_option_of_the_script() -> None:
    script = packetdrill.script("x", f"+0 `sysctl --ip_version=ipv6 --tolerance_usecs=20000`\n{OPEN}")
    assert (script.family, script.tolerance) == (4, TOLERANCE)


@pytest.mark.parametrize("line", [
    "+0 < . 1:5(3) ack 1", "nonsense", "+0 write(4, ..., 1", "+0 hello", "--tolerance_usecs=soon", "--tolerance_usecs",
    "--tolerance_usecs=\u0663\u0660\u0660\u0660\u0660", "--tolerance_usecs=" + 5000 * "9",
])  # fmt: skip
def test_what_is_no_statement_is_an_error(line: str) -> None:
    with pytest.raises(ScriptError) as found:
        parse(line)
    assert not isinstance(found.value, UnsupportedError)


def test_comments_blank_lines_and_broken_lines_keep_line_numbers() -> None:
    found = parse(
        "// one\n/* two\nthree */\n\n+0 sendmsg(4, {msg_iov(1)=[{..., 5}],\n   msg_flags=0}, 0) = 5\n+0 < . 1:1(0)\n"
    )
    assert [statement.line for statement in found] == [5, 7]


def test_the_handshake_becomes_the_hand_over() -> None:
    script = packetdrill.script("x", OPEN + "+0 accept(3, ..., ...) = 4\n+0 write(4, ..., 9) = 9\n")
    handover = script.handover
    assert (handover.active, handover.peer_mss, handover.sack, handover.ts) == (False, 1000, True, True)
    assert (handover.snd_ws, handover.rcv_ws, handover.snd_wnd) == (7, 8, 257 << 7)
    assert [type(event) for event in script.events] == [Arrival, Call, Call]


def test_what_one_side_does_not_offer_is_not_agreed_upon() -> None:
    text = OPEN.replace("sackOK,TS val 5 ecr 10,nop,wscale 8", "nop").replace(" <nop,nop,TS val 11 ecr 5>", "")
    handover = packetdrill.script("x", text).handover
    assert (handover.sack, handover.ts, handover.snd_ws, handover.rcv_ws) == (False, False, 0, 0)
    assert handover.snd_wnd == 257


def test_an_active_open_hands_over_the_last_segment_of_the_handshake() -> None:
    script = packetdrill.script(
        "x",
        "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 connect(3, ..., ...) = -1 EINPROGRESS (In progress)\n"
        "+0 > S 0:0(0) <...>\n+.1 < S. 0:0(0) ack 1 win 5000 <mss 700>\n+0 > . 1:1(0) ack 1\n",
    )
    assert script.handover.active
    assert (script.handover.peer_mss, script.handover.snd_wnd) == (700, 5000)
    assert [type(event) for event in script.events] == [Departure]


def test_socket_options_before_the_connection_are_handed_over() -> None:
    text = OPEN.replace("+0 bind", "+0 setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n+0 bind")
    assert packetdrill.script("x", text).handover.options == (("SOL_TCP", "TCP_NODELAY", "[1]"),)


def test_absolute_times_count_from_the_hand_over() -> None:
    script = packetdrill.script("x", OPEN.replace("+.1 <", "0.1 <") + "0.25 < . 1:1(0) ack 1 win 257\n")
    assert [event.when.low for event in script.events] == [100_000, 250_000]


def test_a_script_without_a_handshake_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "x.pkt"
    file.write_text("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n")
    found = item(file)
    assert found.script is None
    assert found.broken is not None
    assert "no handshake" in found.broken.reason


def test_a_vector_that_holds_less_than_its_source_is_not_supported() -> None:
    data = {"set": "s", "path": "p", "handover": {"peer_mss": 1000, "snd_wnd": 5}, "events": [], "unparsed": 2}
    found = vectors.vector(data)
    assert found.script is None
    assert isinstance(found.broken, UnsupportedError)


@pytest.mark.parametrize(("basis", "excused"), [("RFC", 0), ("mixed", 1)])
def test_an_exception_excuses_no_event_of_a_trace_of_pure_rfc_behaviour(
    basis: str, excused: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    excuse = exceptions.Excuse("s", "p", 3, "other", "RFC 0: a choice")
    monkeypatch.setattr(exceptions, "load", lambda: {("s", "p"): (excuse,)})
    file = tmp_path / "v.jsonl"
    file.write_text(
        json.dumps({"set": "s", "path": "p", "basis": basis, "handover": {"peer_mss": 9, "snd_wnd": 5}, "events": []})
    )
    (found,) = run_vectors.items(RunConfig(vectors=file))
    assert len(found.excuses) == excused


@pytest.mark.parametrize(("excused", "status"), [(10, 0), (11, 1)])
def test_no_more_than_ten_traces_may_have_an_exception(
    excused: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "v.jsonl"
    one = {"set": "s", "path": "p", "handover": {"peer_mss": 9, "snd_wnd": 5}, "events": []}
    file.write_text(f"{json.dumps(one)}\n" * 12)
    results = [Result("exception", 1, "RFC 0")] * excused + [Result("pass")] * (12 - excused)
    monkeypatch.setattr(run_vectors, "play_all", lambda *_: results)
    monkeypatch.setattr(run_vectors, "OUT", tmp_path)
    assert run_vectors.main(RunConfig(vectors=file)) == status


def test_a_vector_is_read_field_by_field(tmp_path: Path) -> None:
    line = {
        "set": "s", "path": "p", "unparsed": 0,
        "handover": {"role": "active", "peer_mss": 900, "sack": True, "ts": True, "snd_ws": 2, "rcv_ws": 3,
                     "una": 1, "nxt": 5, "max": 9, "rcv_nxt": 4, "snd_wnd": 77},
        "events": [
            {"line": 3, "t": "+.1", "dir": "in", "flags": "P.", "seq": 4, "len": 2, "ack": 5, "win": 6, "ts": [7, 8],
             "sack": [[1, 2]], "ecn": "ce"},
            {"line": 4, "t": "*", "dir": "out", "flags": "R", "seq": 5, "len": 0},
            {"line": 5, "t": "+0", "call": "setsockopt", "args": "4, SOL_SOCKET, SO_LINGER, [{onoff=1, linger=0}], 8",
             "ret": "0"},
        ],
    }  # fmt: skip
    file = tmp_path / "v.jsonl"
    file.write_text(json.dumps(line) + "\n\n")
    (found,) = vectors.read(file)
    assert found.script is not None
    handover = found.script.handover
    assert (handover.active, handover.una, handover.nxt, handover.max, handover.rcv_nxt) == (True, 1, 5, 9, 4)
    arrival, departure, call = found.script.events
    assert isinstance(arrival, Arrival)
    assert arrival.segment == Segment(frozenset("P."), 4, 2, 5, 6, ts=(7, 8), sack=((1, 2),), ecn="ce")
    assert isinstance(departure, Departure)
    assert departure.when.any
    assert isinstance(call, Call)
    assert call.args == ("4", "SOL_SOCKET", "SO_LINGER", "[{onoff=1, linger=0}]", "8")


TRACE = {"set": "s", "path": "p", "handover": {"peer_mss": 9, "snd_wnd": 5}, "events": []}
EVENT = {"line": 7, "dir": "in", "flags": ".", "seq": 1}


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        (b"# Chimney\n", "the line is not a JSON object", 1),
        (b"\n\xff\x00\x9c\n", "the line is not a JSON object", 2),
        (b"[" * 100_000 + b"\n", "the line is not a JSON object", 1),
        (json.dumps(TRACE).encode() + b"\n[1]\n", "the line is not a JSON object", 2),
        (b"{}\n", "the line is not a trace: it has no object `handover`", 1),
        (json.dumps(TRACE | {"handover": []}).encode(), "the line is not a trace: it has no object `handover`", 1),
        (json.dumps(TRACE | {"events": {}}).encode(), "the line is not a trace: it has no list `events`", 1),
        (b"", "there is no trace in this file", 0),
        (b"\n \n", "there is no trace in this file", 0),
    ],
)
def test_a_file_that_is_not_of_traces_is_refused_with_its_line(
    text: bytes, what: str, line: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "v.jsonl"
    file.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        vectors.read(file)
    where = f"{file}, line {line}" if line else str(file)
    assert (caught.value.what, caught.value.where) == (what, where)
    assert command_line.main(["vectors", str(file), "--device", "model"]) == 2
    assert capsys.readouterr().err.splitlines()[:2] == [f"error: {what}", f"  where: {where}"]


def test_a_folder_holds_no_traces(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the traces cannot be read"):
        vectors.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason", "line"),
    [
        ({"handover": {"snd_wnd": 5}}, "`peer_mss` of the hand-over is missing", 0),
        ({"handover": {"peer_mss": "much", "snd_wnd": 5}}, "`peer_mss` of the hand-over is no whole number", 0),
        ({"events": [3]}, "an event is no object", 0),
        ({"events": [{"dir": "in"}]}, "`line` of an event is missing", 0),
        ({"events": [{"line": 7, "dir": "in", "seq": 1}]}, "`flags` of the event is missing", 7),
        ({"events": [EVENT | {"ack": "x"}]}, "`ack` of the event is no whole number", 7),
        ({"events": [EVENT | {"ts": [1]}]}, "`ts` of the event is no pair of numbers", 7),
        ({"events": [EVENT | {"sack": [1, 2]}]}, "`sack` of the event is no pair of numbers", 7),
        ({"events": [EVENT | {"sack": 1}]}, "`sack` of the event is no list", 7),
        ({"events": [{"line": 7, "call": []}]}, "`call` of the event is no text", 7),
    ],
)
def test_a_field_of_a_trace_that_is_missing_or_of_another_type_is_named(
    change: dict[str, object], reason: str, line: int, tmp_path: Path
) -> None:
    file = tmp_path / "v.jsonl"
    file.write_text(f"{json.dumps(TRACE | change)}\n{json.dumps(TRACE)}\n")
    broken, whole = vectors.read(file)
    assert whole.script is not None
    assert broken.broken is not None
    assert (broken.broken.reason, broken.broken.line) == (f"malformed: {reason}", line)


def test_no_option_or_call_is_both_silent_and_a_field() -> None:
    assert not HOST_OPTIONS & {"TCP_NODELAY", "SO_KEEPALIVE", "SO_LINGER", "TCP_USER_TIMEOUT", "IP_TOS"}
    assert not SILENT & {"read", "write", "close", "shutdown", "setsockopt", "ioctl"}
