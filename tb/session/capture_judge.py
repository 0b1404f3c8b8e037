"""tshark and scapy as judges of every capture: dissectors that nobody here wrote look at what was on the wire.

Every frame of a capture is numbered as the fault injector numbers it, in its direction. A finding counts unless a
record of the injector explains it:

- a wrong checksum or a malformed packet: only by a record that this very frame was corrupted. A frame that the NIC
  sent is captured before the injector, and nothing explains it.
- a gap before a frame that the NIC received: by a record of one of the 64 frames before it.
  A gap in what the NIC sent, and an acknowledgment by it of what never came, is explained by nothing.
- a retransmission: by a record of a frame of the same connection, of either direction, that was under way at some
  time between two: the sending of the oldest octet that its sender knew as unacknowledged when it sent this one
  first, and the sending of the retransmission. That holds every loss that the recovery it belongs to can have begun
  with. All times are the sender's: a frame for the NIC may wait for the port long after its fault.
  Octets for the NIC whose first sending did not come whole are not in the capture, but a later sequence number shows
  that they were sent. They count as sent with the last frame before it that a record says was lost or late. That
  frame must be behind the last bare ACK that shows them unsent. Without one they count as sent when they were shown.

Sequences are judged on a copy of the capture without the corrupted frames, which tshark would take at their word.
Frames that a test put at the NIC's port by hand have no number; they are counted and not judged.
"""

from __future__ import annotations

import bisect
import itertools
import json
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from model.wire.impair import HOLD_LIMIT_TICKS, Fault, FaultKind, Impairments
from model.wire.pcapng import PcapngWriter, read_pcapng

SENT, RECEIVED = "tx", "rx"
#: Frames of a capture that scapy takes apart and builds again.
SAMPLE: Final = 40
_TSHARK_SECONDS: Final = 300.0
_SEVERITY_ERROR: Final = 0x0080_0000
_SEVERITIES: Final = 0x00F0_0000
_BAD: Final = "0"
_HALF: Final = 1 << 31
_FIN: Final = 1
_SYN: Final = 2
_RST: Final = 4
_U32: Final = 0xFFFF_FFFF
_MOST_SHOWN: Final = 20
#: Frames before one that shows a gap among which the lost one is looked for.
_REACH: Final = 64
_FIELDS: Final = (
    "frame.number", "ip.checksum.status", "tcp.checksum.status", "_ws.malformed", "_ws.expert.severity",
    "tcp.stream", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.len", "tcp.ack_raw", "tcp.flags",
    "tcp.analysis.retransmission", "tcp.analysis.lost_segment", "tcp.analysis.ack_lost_segment",
    "tcp.analysis.out_of_order", "tcp.analysis.keep_alive", "tcp.analysis.zero_window_probe",
)  # fmt: skip
_HURTS: Final = (FaultKind.DROPPED, FaultKind.CORRUPTED, FaultKind.REORDERED, FaultKind.DUPLICATED)
#: What keeps a frame from coming whole and in its turn.
_MISSED: Final = (FaultKind.DROPPED, FaultKind.CORRUPTED, FaultKind.REORDERED)


#: The NIC's port and the other one.
_Connection = tuple[int, int]


class CaptureJudgeError(RuntimeError):
    """tshark did not do its work; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a captured frame comes from: its direction at the NIC, its number at the injector (None: by hand), tick."""

    direction: str
    number: int | None
    tick: int

    @property
    def name(self) -> str:
        """For messages."""
        return "by hand" if self.number is None else f"{self.direction} frame {self.number}"


@dataclass(frozen=True, slots=True)
class InjectorLog:
    """What the injector of one direction saw and did."""

    faults: Sequence[Fault]
    ticks: Sequence[int]
    """By frame number: when it was pushed."""
    ports: Sequence[int]
    """By frame number: source << 16 | destination port, negative for what is no TCP segment."""

    @classmethod
    def of(cls, impairments: Impairments) -> InjectorLog:
        """The log of an injector; it grows with it."""
        return cls(impairments.faults, impairments.pushed_ticks, impairments.pushed_ports)


@dataclass
class CaptureVerdict:
    """What the judges said of one capture."""

    frames: int = 0
    by_hand: int = 0
    findings: dict[str, int] = field(default_factory=dict)
    """By kind: checksum, malformed, gap, unseen, retransmission."""
    explained: int = 0
    sampled: int = 0
    """Frames that scapy built again."""
    unexplained: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For a summary."""
        return asdict(self) | {"unexplained": len(self.unexplained)}


def missing() -> str | None:
    """Why captures are not judged on this machine; None if they are."""
    if shutil.which("tshark") is not None:
        return None
    return "no-tshark: captures are not judged; apt-get install --no-install-recommends tshark"


@dataclass(frozen=True, slots=True)
class _Row:
    """tshark's view of one frame; `index` counts the frames of the capture from 0."""

    index: int
    values: tuple[str, ...]

    def text(self, name: str) -> str:
        return self.values[_FIELDS.index(name)]

    def has(self, name: str) -> bool:
        return bool(self.text(name))

    def number(self, name: str) -> int:
        return int(self.text(name).partition(",")[0] or "0", 0)

    @property
    def severe(self) -> bool:
        """Something of severity Error."""
        words = [word for word in self.text("_ws.expert.severity").split(",") if word]
        return any(int(word, 0) & _SEVERITIES >= _SEVERITY_ERROR for word in words)


def _connection(ports: int, direction: str) -> _Connection:
    source, destination = ports >> 16, ports & 0xFFFF
    return (source, destination) if direction == SENT else (destination, source)


def dissect(capture: Path, indices: Sequence[int]) -> list[_Row]:
    """The fields that are judged, of every frame; `indices` are the numbers under which they are reported."""
    command = [
        "tshark", "-n", "-r", str(capture), "-d", "tcp.port==1-65535,data", "-o", "tcp.check_checksum:TRUE",
        "-o", "ip.check_checksum:TRUE", "-T", "fields",
        "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,",
    ]  # fmt: skip
    for name in _FIELDS:
        command += ["-e", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TSHARK_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise CaptureJudgeError(f"tshark took more than {_TSHARK_SECONDS:.0f} s over {capture}") from error
    rows = [tuple(line.split("\t")) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(rows) != len(indices) or any(len(row) != len(_FIELDS) for row in rows):
        raise CaptureJudgeError(f"tshark ended with {done.returncode} after {len(rows)} frames: {done.stderr[-500:]}")
    return [_Row(index, row) for index, row in zip(indices, rows, strict=True)]


class _Records:
    """The injector's records, to be asked for by frame number, and by connection and time."""

    def __init__(
        self, logs: Mapping[str, InjectorLog], origins: Sequence[Origin], delay: int, without_room: Sequence[Origin]
    ) -> None:
        self._logs = logs
        self._delay = delay
        self._by_frame: dict[tuple[str, int], set[FaultKind]] = {}
        spans: dict[_Connection, set[tuple[int, int]]] = {}
        missed: dict[_Connection, set[int]] = {}
        came = _Arrivals(origins)
        hurt: list[tuple[str, int, bool]] = []
        for direction, log in logs.items():
            for fault in log.faults:
                self._by_frame.setdefault((direction, fault.frame), set()).add(fault.kind)
                if fault.kind in _HURTS:
                    hurt.append((direction, fault.frame, direction == RECEIVED and fault.kind in _MISSED))
        # one without room came whole and in its turn: what the capture lacks, it did not carry
        hurt += [(RECEIVED, origin.number, False) for origin in without_room if origin.number is not None]
        for direction, number, never_came in hurt:
            log = logs[direction]
            if log.ports[number] < 0:
                continue
            begin = log.ticks[number]
            end = came.last(number) if direction == RECEIVED else begin + delay + HOLD_LIMIT_TICKS
            connection = _connection(log.ports[number], direction)
            spans.setdefault(connection, set()).add((begin, end))
            if never_came:
                missed.setdefault(connection, set()).add(number)
        self._spans = {connection: _Spans(sorted(found)) for connection, found in spans.items()}
        self._missed = {connection: sorted(found) for connection, found in missed.items()}

    def of(self, origin: Origin) -> set[FaultKind]:
        """What was done to a frame."""
        return set() if origin.number is None else self._by_frame.get((origin.direction, origin.number), set())

    def spoiled(self, origin: Origin) -> bool:
        """Whether a frame came to the NIC corrupted."""
        return origin.direction == RECEIVED and FaultKind.CORRUPTED in self.of(origin)

    def any_of(self, direction: str, numbers: range) -> bool:
        """Whether something was done to a frame of these numbers."""
        return any((direction, number) in self._by_frame for number in numbers)

    def between(self, connection: _Connection, first: int, last: int) -> bool:
        """Whether something was done to a frame of a connection that was under way between two ticks."""
        return connection in self._spans and self._spans[connection].meet(first, last)

    def missed(self, connection: _Connection, after: int, before: int) -> int | None:
        """When the last frame for the NIC of a connection, numbered between two, that was lost or late was sent."""
        numbers = self._missed.get(connection, [])
        at = bisect.bisect_left(numbers, before)
        return self._logs[RECEIVED].ticks[numbers[at - 1]] if at and numbers[at - 1] > after else None

    def sent(self, origin: Origin) -> int:
        """When a frame left its sender."""
        return origin.tick if origin.number is None else self._logs[origin.direction].ticks[origin.number]

    def known(self, origin: Origin) -> int:
        """Acknowledgments captured before this tick were known to the sender of a frame when it sent it."""
        return self.sent(origin) - (self._delay if origin.direction == RECEIVED else 0)


class _Arrivals:
    """When the frames for the NIC came to its port."""

    def __init__(self, origins: Sequence[Origin]) -> None:
        ticks: dict[int, int] = {}
        for origin in origins:
            if origin.direction == RECEIVED and origin.number is not None:
                ticks[origin.number] = origin.tick
        self._numbers = sorted(ticks)
        self._ticks = ticks
        self._end = max((origin.tick for origin in origins), default=0)

    def last(self, number: int) -> int:
        """When a frame came, its last copy; of one that never came: when one that was pushed later did."""
        at = bisect.bisect_left(self._numbers, number)
        return self._ticks[self._numbers[at]] if at < len(self._numbers) else self._end


class _Spans:
    """Intervals of ticks, both ends included, sorted by their begin."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self._begins = [begin for begin, _ in spans]
        self._ends = list(itertools.accumulate((end for _, end in spans), max))
        """The latest end of the spans up to each."""

    def meet(self, first: int, last: int) -> bool:
        """Whether one of them and [first, last] have a tick in common."""
        at = bisect.bisect_right(self._begins, last)
        return at > 0 and self._ends[at - 1] >= first


def judge_capture(
    capture: Path,
    origins: Sequence[Origin],
    logs: Mapping[str, InjectorLog],
    *,
    without_room: Sequence[Origin] = (),
    delay: int = 0,
    sequences: bool = True,
    seed: int = 1,
) -> CaptureVerdict:
    """Everything that tshark and scapy hold against a capture. `logs` are by direction, SENT and RECEIVED.

    `without_room` are frames that the NIC dropped because its receive buffer was full, which lockstep has judged
    (RxReason NO_SPACE): they were lost on their way as those are that the injector dropped.
    `sequences` false leaves gaps and retransmissions alone: for a partner whose timers run on another clock, and for
    sessions whose hosts take part in the traffic.
    """
    verdict = CaptureVerdict(frames=len(origins), by_hand=sum(origin.number is None for origin in origins))
    records = _Records(logs, origins, delay, without_room)
    rows = dissect(capture, range(len(origins)))
    for row in rows:
        _judge_integrity(row, origins[row.index], records, verdict)
    if sequences:
        whole = [row.index for row in rows if not records.spoiled(origins[row.index])]
        if len(whole) < len(rows):
            rows = _without_corrupted(capture, whole)
        _Sequences(origins, records, verdict).judge(rows)
    _judge_sample(capture, origins, records, verdict, seed)
    return verdict


def _without_corrupted(capture: Path, whole: Sequence[int]) -> list[_Row]:
    packets = read_pcapng(capture)
    copy = capture.with_name(f"{capture.stem}.whole.pcapng")
    with PcapngWriter(copy) as writer:
        for index in whole:
            writer.write(packets[index].frame, packets[index].time_ns)
    try:
        return dissect(copy, whole)
    finally:
        copy.unlink()


def _found(verdict: CaptureVerdict, kind: str, row: _Row, origin: Origin, explained: bool, what: str) -> None:
    verdict.findings[kind] = verdict.findings.get(kind, 0) + 1
    if explained:
        verdict.explained += 1
        return
    if len(verdict.unexplained) < _MOST_SHOWN:
        verdict.unexplained.append(f"tshark: packet {row.index + 1} ({origin.name}, tick {origin.tick}): {what}")


def _judge_integrity(row: _Row, origin: Origin, records: _Records, verdict: CaptureVerdict) -> None:
    if origin.direction == RECEIVED and origin.number is None:
        return
    explained = records.spoiled(origin)
    wrong = [layer for layer in ("ip", "tcp") if _BAD in row.text(f"{layer}.checksum.status").split(",")]
    if wrong:
        _found(verdict, "checksum", row, origin, explained, f"wrong checksum ({', '.join(wrong)})")
    elif row.has("_ws.malformed") or row.severe:
        _found(verdict, "malformed", row, origin, explained, "malformed packet")


class _Flow:
    """One direction of a connection: where each octet was sent first, and what was acknowledged when."""

    def __init__(self, first: int) -> None:
        self._base = first
        self._starts: list[int] = []
        self._ticks: list[int] = []
        self._oldest: list[int] = []
        """When the octet was sent first that was the oldest unacknowledged one when this was sent."""
        self._acks: list[int] = []
        self._ack_ticks: list[int] = []
        self._end = 0
        """Behind the last octet that was captured."""
        self._shown = 0
        """Behind the last octet that a captured frame shows to have been sent."""
        self.unsent = -1
        """Number of the last bare ACK for the NIC that was sent when nothing beyond `_shown` had been."""

    def reaches(self, ack: int) -> bool:
        """Whether something up to an acknowledgment was captured."""
        return self.position(ack) <= self._end

    def position(self, seq: int) -> int:
        """A sequence number as distance from the first one."""
        last = self._starts[-1] if self._starts else 0
        near = (seq - self._base - last) & _U32
        return last + (near - (1 << 32) if near >= _HALF else near)

    def sent(self, seq: int, length: int, tick: int, known: int) -> None:
        """Octets left their sender at a tick; what was acknowledged before `known` it knew."""
        at = self.position(seq)
        self._end = max(self._end, at + length)
        if not self._starts or at + length > self._shown:
            self._first(max(at, self._shown) if self._starts else at, tick, known)
            self._shown = max(self._shown, at + length)

    def missing(self, seq: int) -> int:
        """How many octets below a sequence number no frame has shown yet; negative within what was shown."""
        return self.position(seq) - self._shown

    def missed(self, seq: int, tick: int, known: int) -> None:
        """The octets up to a sequence number that no frame has shown yet were sent at a tick."""
        self._first(self._shown, tick, known)
        self._shown = self.position(seq)

    def _first(self, at: int, tick: int, known: int) -> None:
        self._starts.append(at)
        self._ticks.append(tick)
        self._oldest.append(self._begun(known))

    def acknowledged(self, ack: int, tick: int) -> None:
        """An acknowledgment was captured."""
        if self._starts and (not self._acks or self.position(ack) > self._acks[-1]):
            self._acks.append(self.position(ack))
            self._ack_ticks.append(tick)

    def since(self, seq: int, known: int) -> int | None:
        """When what was outstanding when `seq` was sent first, and what is now, was begun to be sent."""
        if not self._starts:
            return None
        return min(self._begun(known), self._oldest[self._place(self.position(seq))])

    def _begun(self, known: int) -> int:
        """When the octet was sent first that was the oldest one not acknowledged before a tick."""
        at = bisect.bisect_left(self._ack_ticks, known)
        return self._ticks[self._place(self._acks[at - 1] if at else 0)]

    def _place(self, at: int) -> int:
        return max(0, bisect.bisect_right(self._starts, at) - 1)


class _Sequences:
    """Gaps and retransmissions of all connections of a capture."""

    def __init__(self, origins: Sequence[Origin], records: _Records, verdict: CaptureVerdict) -> None:
        self._origins = origins
        self._records = records
        self._verdict = verdict
        self._flows: dict[tuple[str, str], _Flow] = {}

    def judge(self, rows: Sequence[_Row]) -> None:
        """Take the rows in their order."""
        for row in rows:
            if row.has("tcp.stream"):
                self._judge(row, self._origins[row.index])

    def _judge(self, row: _Row, origin: Origin) -> None:
        stream, back = row.text("tcp.stream"), SENT if origin.direction == RECEIVED else RECEIVED
        seq = row.number("tcp.seq_raw")
        flow = self._flows.setdefault((stream, origin.direction), _Flow(seq))
        connection = _connection(row.number("tcp.srcport") << 16 | row.number("tcp.dstport"), origin.direction)
        sent, known = self._records.sent(origin), self._records.known(origin)
        if not (origin.number is None and origin.direction == RECEIVED):
            self._gap(row, origin, self._flows.get((stream, back)))
            probe = row.has("tcp.analysis.keep_alive") or row.has("tcp.analysis.zero_window_probe")
            again = row.has("tcp.analysis.retransmission") or row.has("tcp.analysis.out_of_order")
            if again and not probe:
                since = flow.since(seq, known)
                reason = since is None or self._records.between(connection, since, sent)
                kind = "retransmission" if row.has("tcp.analysis.retransmission") else "out of order"
                _found(self._verdict, kind, row, origin, reason, f"{kind} of {seq} without a fault that asks for it")
        flags = row.number("tcp.flags")
        length = row.number("tcp.len") + bool(flags & _SYN) + bool(flags & _FIN)
        if origin.direction == RECEIVED and not flags & _RST:
            self._missed(flow, connection, origin, seq, length)
        if length:
            flow.sent(seq, length, sent, known)
        other = self._flows.get((stream, back))
        if other is not None and flags & 0x10:
            other.acknowledged(row.number("tcp.ack_raw"), origin.tick)

    def _missed(self, flow: _Flow, connection: _Connection, origin: Origin, seq: int, length: int) -> None:
        """What a frame for the NIC says of octets whose first sending did not come: that they were, or were not yet."""
        missing = flow.missing(seq)
        if missing < 0 or origin.number is None:
            return
        lost = self._records.missed(connection, flow.unsent, origin.number)
        sent, known = self._records.sent(origin), self._records.known(origin)
        if missing:
            first = sent if lost is None else lost
            flow.missed(seq, first, first - sent + known)
        if not length:  # octets themselves may be sent for the second time, with more behind them lost
            flow.unsent = max(flow.unsent, origin.number)

    def _gap(self, row: _Row, origin: Origin, other: _Flow | None) -> None:
        if row.has("tcp.analysis.lost_segment"):
            before = range(0) if origin.number is None else range(max(0, origin.number - _REACH), origin.number)
            explained = origin.direction == RECEIVED and self._records.any_of(RECEIVED, before)
            _found(self._verdict, "gap", row, origin, explained, "octets before this segment were never there")
        # tshark loses count of what was sent again behind a timeout; every frame that the NIC sent is in the capture
        if row.has("tcp.analysis.ack_lost_segment") and not (other and other.reaches(row.number("tcp.ack_raw"))):
            _found(self._verdict, "unseen", row, origin, False, "acknowledges what the other side never sent")


def _judge_sample(
    capture: Path, origins: Sequence[Origin], records: _Records, verdict: CaptureVerdict, seed: int
) -> None:
    """Frames that were not corrupted, taken apart and built again by scapy, come out the same, sums and all."""
    packets = read_pcapng(capture)
    ours = [origin.direction == SENT or origin.number is not None for origin in origins]
    good = [index for index, origin in enumerate(origins) if ours[index] and not records.spoiled(origin)]
    chosen = sorted(random.Random(f"sample/{seed}").sample(good, min(SAMPLE, len(good))))
    verdict.sampled = len(chosen)
    for index, problem in _rebuilt([(index, packets[index].frame) for index in chosen]):
        verdict.unexplained.append(f"scapy: packet {index + 1} ({origins[index].name}): {problem}")


def _rebuilt(frames: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    """What does not come out of scapy as it went in."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether

    for index, frame in frames:
        packet = Ether(frame)
        if IP not in packet and IPv6 not in packet:
            continue
        for layer, computed in ((IP, "chksum"), (IPv6, "plen"), (TCP, "chksum")):
            if layer in packet:
                delattr(packet[layer], computed)
        again = bytes(packet)
        if again != frame:
            at = next((n for n, (a, b) in enumerate(zip(again, frame, strict=False)) if a != b), len(frame))
            yield index, f"differs from what scapy makes of it at byte {at}"


def write_faults(path: Path, logs: Mapping[str, InjectorLog]) -> None:
    """The injector's records, for whoever looks at the capture later; `pushed` is when the frame entered the wire."""
    path.write_text(
        json.dumps(
            [
                {
                    "direction": direction,
                    "frame": fault.frame,
                    "pushed": log.ticks[fault.frame],
                    "tick": fault.tick,
                    "kind": fault.kind.value,
                }
                for direction, log in logs.items()
                for fault in log.faults
            ]
        )
    )
