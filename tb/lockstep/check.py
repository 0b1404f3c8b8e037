"""`chimney check COMMITS`: the six checks of lockstep on a trace, without a simulator (docs/trace-format.md).

The lines go into the same follower that a live run feeds, in the same order, so the first divergence is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.device.divergence import Divergence
from model.device.follower import Follower
from model.device.memory import ErrorWindow
from model.device.registers import SOFT_RESET
from model.layout.generated import Csr
from tb.config import ROOT, RunConfig
from tb.lockstep.trace import Image, Line, TraceError, TraceReader, Values
from tb.progress import Meter, alone

GOOD, FAILED = 0, 1
#: What ends a trace, in this order, with what it says; each at most once, and behind it stands no other observation.
ENDS = {
    "finish": "what is pending at the end",
    "registers": "registers at the end",
    "memory": "all of memory at the end",
}
#: What the host did and time: behind these alone a reset has nothing to forget.
NOT_OF_DEVICE = {"host_write", "register_write", "error_windows", "tick"}
#: What is not judged where the device is reset.
LOST = {
    "soft_reset": "what was under way",
    "begin_anew": "memory and what was under way",
    "register_write": "what was under way (soft reset by CONTROL)",
}
#: What a live run has beside the six checks: it looks into the simulation, so no trace has it.
LIVE_ONLY = (
    "the TCB table by back door (live run only)",
    "the protocol checkers, monitors and contract (live run only)",
)


@dataclass
class Verdict:
    """What came of a trace. ``line`` is that of the first divergence.

    ``missing``: what it has no lines for, and what its resets let go.
    """

    follower: Follower
    lines: int = 0
    line: int | None = None
    finished: bool = False
    missing: list[str] = field(default_factory=list)

    @property
    def divergence(self) -> Divergence | None:
        """The first one."""
        return self.follower.divergence

    @property
    def agrees(self) -> bool:
        """The device did what the golden model does, and came to its end."""
        return self.divergence is None and self.finished and self.follower.commits_compared > 0


class Checker:
    """Feeds the lines of one trace to a follower."""

    def __init__(self, reader: TraceReader) -> None:
        self._reader = reader
        header = reader.header
        contents, base = header.initial(), header.memory_base
        self._image = Image(contents, base)
        self._memory = range(base, base + len(contents) + 1)
        self._cycle = 0
        self._ended: str | None = None
        self._at_work = False
        self._lost: dict[str, list[int]] = {}
        self.follower = Follower(contents, config=header.device, bounds=header.bounds(), memory_base=base)
        follower = self.follower
        self._kinds: dict[str, Callable[[Values], object]] = {
            "host_write": self._host_write,
            "register_write": lambda v: follower.mmio_write(
                v.integer("offset", 0, 0xFFFF_FFFF), v.integer("value", 0, 0xFFFF_FFFF)
            ),
            "error_windows": self._error_windows,
            "frame_in": lambda v: follower.on_frame_in(v.octets("data"), v.integer("cycle")),
            "frame_out": lambda v: follower.on_frame_out(v.octets("data"), v.integer("cycle")),
            "tick": lambda v: follower.on_tick(v.integer("tick", 0, 0xFFFF_FFFF), v.integer("cycle")),
            "write": self._write,
            "tcp": lambda v: follower.on_rec_tcp(v.record(), v.integer("cycle")),
            "delivery": lambda v: follower.on_rec_dlv(v.record(), v.integer("cycle")),
            "rx": lambda v: follower.on_rec_rx(v.record(), v.integer("cycle")),
            "tx": lambda v: follower.on_rec_tx(v.record(), v.integer("cycle")),
            "completion": lambda v: follower.on_rec_cq(v.record(), v.integer("cycle")),
            "soft_reset": lambda v: follower.reset_under_traffic(self._snapshot(v)),
            "begin_anew": lambda v: follower.begin_anew(self._snapshot(v)),
            "finish": lambda v: follower.finish(v.integer("cycle")),
            "registers": self._registers,
            "memory": lambda v: follower.final_compare(self._snapshot(v)),
        }

    def run(self) -> Verdict:
        """To the first divergence, and on to the end of the file, which must be a whole trace in any case."""
        verdict = Verdict(self.follower)
        seen: set[str] = set()
        for line in self._reader.observations():
            seen.add(line.kind)
            if line.kind not in self._kinds:
                raise line.values.wrong(f"there is no observation `{line.kind}`")
            self._in_order(line)
            if verdict.line is None:
                self._note_reset(line)
                self._feed(line)
                if self.follower.divergence is not None:
                    verdict.line = line.number
        verdict.lines = self._reader.lines
        verdict.finished = "finish" in seen
        if verdict.line is None:
            verdict.missing = [
                f"{what} (the trace has no line `{kind}`)" for kind, what in ENDS.items() if kind not in seen
            ]
        for kind, numbers in self._lost.items():
            where = f"line {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} lines, first {numbers[0]}"
            verdict.missing.append(f"{LOST[kind]} at `{kind}` ({where})")
        return verdict

    def _in_order(self, line: Line) -> None:
        """What ends a trace stands at its end, in order."""
        kinds = list(ENDS)
        if self._ended is not None and line.kind not in kinds[kinds.index(self._ended) + 1 :]:
            raise line.values.wrong(f"there is a line `{line.kind}` behind the line `{self._ended}` of the end")
        if line.kind in ENDS:
            self._ended = line.kind

    def _note_reset(self, line: Line) -> None:
        """A reset behind anything that the device saw or did: what it lets go is judged by nobody."""
        values = line.values
        resets = line.kind in ("soft_reset", "begin_anew") or (
            line.kind == "register_write"
            and values.integer("offset") == Csr.CONTROL
            and values.integer("value") & SOFT_RESET
        )
        if resets and self._at_work:
            self._lost.setdefault(line.kind, []).append(line.number)
        if resets or line.kind not in NOT_OF_DEVICE:
            self._at_work = not resets

    def _feed(self, line: Line) -> None:
        line.values.text("is")
        if line.values.has("cycle"):
            cycle = line.values.integer("cycle")
            if cycle < self._cycle:
                raise line.values.wrong(f"`cycle` falls from {self._cycle} to {cycle}")
            self._cycle = cycle
        try:
            self._kinds[line.kind](line.values)
        except TraceError:
            raise
        except (ArithmeticError, LookupError, MemoryError, ValueError) as error:
            raise line.values.wrong(f"the golden model cannot follow this line ({error})") from error
        line.values.done()

    def _host_write(self, values: Values) -> None:
        addr, data = values.integer("addr"), values.octets("data")
        self._within(values, addr, data)
        self._image.host_wrote(addr, data)
        self.follower.host_write(addr, data)

    def _within(self, values: Values, addr: int, data: bytes) -> None:
        base, end = self._memory[0], self._memory[-1]
        if addr < base or addr + len(data) > end:
            raise values.wrong(f"{len(data)} bytes at {addr:#x} leave the memory [{base:#x}, {end:#x})")

    def _error_windows(self, values: Values) -> None:
        windows = []
        for one in values.listed("windows"):
            window = values.of(one, "windows")
            windows.append(
                ErrorWindow(window.integer("base"), window.integer("size"), window.flag("reads"), window.flag("writes"))
            )
            window.done()
        self.follower.inject_errors(windows)

    def _write(self, values: Values) -> None:
        data, addr = values.octets("data"), values.integer("addr")
        strobe = (1 << len(data)) - 1
        if values.has("strobe"):
            text = values.text("strobe")
            if not text or set(text) - set("0123456789abcdef") or int(text, 16) > strobe:
                raise values.wrong("`strobe` is not of hex digits, one bit a byte of `data`")
            strobe = int(text, 16)
        response = values.integer("response", 0, 3)
        value = int.from_bytes(data, "little")
        if response == 0:
            self._image.device_wrote(addr, strobe, value, len(data))
        client, cycle = values.integer("client", 0, 255), values.integer("cycle")
        self.follower.on_write(client, addr, strobe, value, len(data), cycle, response)

    def _registers(self, values: Values) -> None:
        told = values.inner("values")
        found = {}
        for name in told.names():
            if name not in Csr.__members__:
                raise values.wrong(f"there is no register {name}")
            found[Csr[name]] = told.integer(name, 0, 0xFFFF_FFFF)
        self.follower.compare_registers(found)

    def _snapshot(self, values: Values) -> bytearray:
        pieces = values.pieces("pieces")
        for addr, data in pieces:
            self._within(values, addr, data)
        self._image.correct(pieces)
        contents = self._image.contents
        assert isinstance(contents, bytearray)  # noqa: S101 - Image makes one
        return contents


def check(path: Path, shown: str | None = None) -> tuple[Verdict, TraceReader]:
    """The verdict on a trace, called ``shown`` in messages; raises TraceError if it is none, or not a whole one."""
    shown = shown or str(path)
    reader = TraceReader(path, shown)
    try:
        with Meter("check", share=lambda: reader.share) if reader.sized else alone("check", shown):
            return Checker(reader).run(), reader
    finally:
        reader.close()


def result(config: RunConfig) -> tuple[int, dict[str, Any]]:
    """Check the trace and print what came of it: exit status, and the document for --json."""
    path = config.commits
    shown = str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
    verdict, reader = check(path, shown)
    follower, d = verdict.follower, verdict.divergence
    not_judged = [*verdict.missing, *LIVE_ONLY]
    counts = {
        "commits_compared": follower.commits_compared,
        "delivery_commits_compared": follower.delivery_commits_compared,
        "frames_compared": follower.frames_compared,
        "completions_compared": follower.completions_compared,
        "host_bytes_compared": follower.host_bytes_compared,
    }
    print(f"trace    {shown}, {verdict.lines} lines, seed {reader.header.seed}, DATA_W={reader.header.device.data_w}")
    if reader.header.origin:
        print(f"origin   {reader.header.origin}")
    for name, count in counts.items():
        print(f"{name.replace('_', ' '):<26}{count:>12,}")
    for what in not_judged:
        print(f"not judged: {what}")
    if d is not None:
        print(f"line {verdict.line} of {shown}")
        print(follower.report(f"chimney check {shown}"), end="")
        print("FAIL: the device diverged from the golden model")
    elif not verdict.finished:
        print("FAIL: no divergence, but the trace has no end of the run: it broke off")
    elif not follower.commits_compared:
        print("FAIL: the trace has no commit to compare")
    else:
        print("PASS: " + ("what the trace holds agrees" if verdict.missing else "checks 1 to 6 hold"))
    status = GOOD if verdict.agrees else FAILED
    document = {
        "trace": shown,
        "agrees": verdict.agrees,
        "finished": verdict.finished,
        "lines": verdict.lines,
        "line": verdict.line,
        "divergence": None if d is None else shown_divergence(d),
        "counts": counts,
        "not_judged": not_judged,
        "liveness": follower.liveness(),
        "header": reader.header.values(),
    }
    return status, document


def shown_divergence(d: Divergence) -> dict[str, Any]:
    """A divergence for --json; the frame as hex digits."""
    names = ("check", "stream", "order", "cycle", "conn", "event", "field", "expected", "got", "rule")
    found: dict[str, Any] = {name: getattr(d, name) for name in names}
    return found | {"frame": None if d.frame is None else d.frame.hex(), "history": list(d.history)}


def main(config: RunConfig) -> int:
    """Exit status: 0 the device agrees with the golden model, 1 it does not; a file that is no trace raises."""
    return result(config)[0]
