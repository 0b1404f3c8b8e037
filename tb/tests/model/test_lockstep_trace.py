"""Traces of lockstep: one that is right checks clean; each lie is named with check and line; no half file passes."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from model.device.divergence import Divergence, PackedStruct
from model.device.registers import SOFT_RESET
from model.layout.generated import Cqe, Csr, RecCq, RecDlv, RecRx, RecTcp, RecTx, Tcb, WrClient
from tb import command_line
from tb.config import RunConfig
from tb.lockstep.check import Verdict, check, result
from tb.lockstep.recording import GoldenTrace
from tb.lockstep.trace import LINE_PER_BYTE, MAX_LINE, TRACE_NAME, Header, TraceError, TraceReader
from tb.progress import Meter
from tb.tests.model.device_bench import CONFIG, MEMORY
from tb.tests.model.test_follower_lockstep import scenario

Observation = dict[str, Any]
RECORDS: dict[str, type[PackedStruct]] = {
    "tcp": RecTcp,
    "delivery": RecDlv,
    "rx": RecRx,
    "tx": RecTx,
    "completion": RecCq,
}
#: Bits that the follower bounds but cannot know: how full the receive buffer is (follow_space.py).
BOUNDED = {"rx": range(RecRx.FIELDS["fill"][0], sum(RecRx.FIELDS["fill"]))}
#: Cycles that are over every bound of check 6.
LONG = 10_000_000


def golden(path: Path, seed: int = 1) -> GoldenTrace:
    """The trace of a scenario on the golden device, written beside the follower that judged it live."""
    bench, journal = scenario(seed)
    trace = GoldenTrace(path, Header(device=CONFIG, memory_bytes=MEMORY, busy_conns=8, latency=0, seed=seed))
    for entry in journal.entries:
        trace.follower.feed(entry)
    trace.finish(bench.device)
    trace.close()
    return trace


@lru_cache
def recorded(folder: str, seed: int = 1) -> tuple[str, ...]:
    """The lines of a trace that is right."""
    path = Path(folder) / f"golden-{seed}.gz"
    golden(path, seed)
    return tuple(gzip.decompress(path.read_bytes()).decode().splitlines())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the traces of this module lie."""
    return str(tmp_path_factory.mktemp("traces"))


@pytest.fixture
def lines(folder: str) -> list[Observation]:
    """Header, observations, end of a trace that is right."""
    return [json.loads(text) for text in recorded(folder)]


def judged(path: Path, lines: list[Observation]) -> Verdict:
    """The verdict on changed lines; the end line counts them."""
    counts = Counter(one["is"] for one in lines[1:-1])
    text = [json.dumps(one) for one in (*lines[:-1], {"is": "end", "counts": counts})]
    path.write_text("\n".join(text) + "\n")
    return check(path)[0]


def found(verdict: Verdict) -> Divergence:
    """The divergence that must be there."""
    assert verdict.divergence is not None
    assert not verdict.agrees
    return verdict.divergence


def width(kind: str) -> int:
    """Bits of a record."""
    return max(lsb + bits for lsb, bits in RECORDS[kind].FIELDS.values())


def first(lines: list[Observation], kind: str, skip: int = 0) -> int:
    """Where the observation of a kind stands, behind ``skip`` others of it."""
    return [at for at, one in enumerate(lines) if one.get("is") == kind][skip]


def flip_bit(one: Observation, bit: int) -> None:
    """Turn a bit of a record."""
    one["record"] = f"{int(one['record'], 16) ^ 1 << bit:x}"


def flip_byte(one: Observation, at: int, name: str = "data") -> None:
    """Turn a bit of a byte."""
    data = bytearray.fromhex(one[name])
    data[at] ^= 1
    one[name] = data.hex()


# ---- a device that is right -----------------------------------------------------------------------


@pytest.mark.rule("architecture 3")
@pytest.mark.parametrize("seed", range(4))
def test_the_trace_of_a_device_that_is_right_checks_clean_with_the_counts_of_the_live_run(
    tmp_path: Path, seed: int
) -> None:
    live = golden(tmp_path / "t.gz", seed).follower
    assert live.divergence is None, live.report("-")
    verdict, reader = check(tmp_path / "t.gz")
    again = verdict.follower
    assert verdict.agrees
    assert not verdict.missing
    assert reader.header.seed == seed
    assert (again.commits_compared, again.frames_compared, again.completions_compared, again.host_bytes_compared) == (
        live.commits_compared, live.frames_compared, live.completions_compared, live.host_bytes_compared,
    )  # fmt: skip
    assert again.liveness() == live.liveness()
    assert again.commits_compared > 70


def test_one_seed_gives_one_trace_byte_for_byte(tmp_path: Path) -> None:
    golden(tmp_path / "a.gz", 3)
    golden(tmp_path / "b.gz", 3)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_a_run_on_the_golden_device_leaves_a_trace_that_checks_clean(tmp_path: Path) -> None:
    words = ["run", "--device", "model", "--size", "8K", "--trace", "--loss", "0.05", "--out", str(tmp_path)]
    assert command_line.main(words) == 0
    status, document = result(RunConfig(command="check", commits=tmp_path / TRACE_NAME))
    assert status == 0
    assert document["agrees"]
    assert "TRACE=1" in document["header"]["origin"]


# ---- lies, one for each check ---------------------------------------------------------------------


def alter_state(lines: list[Observation]) -> int:
    at = first(lines, "tcp", 30)
    flip_bit(lines[at], RecTcp.FIELDS["tcb"][0] + Tcb.FIELDS["snd_nxt"][0])
    return at


def alter_frame(lines: list[Observation]) -> int:
    at = first(lines, "frame_out", 2)
    flip_byte(lines[at], 60)
    return at


def alter_completion(lines: list[Observation]) -> int:
    at = first(lines, "completion", 5)
    flip_bit(lines[at], RecCq.FIELDS["cqe"][0] + Cqe.FIELDS["cookie"][0])
    return at


def alter_register(lines: list[Observation]) -> int:
    at = first(lines, "registers")
    lines[at]["values"]["CNT_TX_SEGMENTS"] += 1
    return at


def alter_write(lines: list[Observation]) -> int:
    at = next(at for at, one in enumerate(lines) if one.get("client") == WrClient.PLACER)
    flip_byte(lines[at], 3)
    return at


def alter_final_memory(lines: list[Observation]) -> int:
    at = first(lines, "memory")
    assert lines[at]["pieces"] == []
    lines[at]["pieces"] = [[0x500, "01"]]  # golden memory begins as zeros, and nobody writes there
    return at


def alter_event(lines: list[Observation]) -> int:
    at = first(lines, "tcp", 40)
    flip_bit(lines[at], RecTcp.FIELDS["order"][0])
    return at


def lose_commit(lines: list[Observation]) -> int:
    at = first(lines, "tcp", 40)
    del lines[at]
    return first(lines, "tcp", 40)


def lose_time(lines: list[Observation]) -> int:
    at = first(lines, "tcp", 40)
    for one in lines[at:]:
        if "cycle" in one:
            one["cycle"] += LONG
    return at


@pytest.mark.rule("architecture 3, checks 1 to 6")
@pytest.mark.parametrize(
    ("alter", "number", "field"),
    [
        (alter_state, 1, "tcb.snd_nxt"),
        (alter_frame, 2, "byte 60"),
        (alter_completion, 3, "cqe.cookie"),
        (alter_register, 3, "CNT_TX_SEGMENTS"),
        (alter_write, 4, "byte 0x"),
        (alter_final_memory, 4, "memory byte 0x500 at the end"),
        (alter_event, 5, "order"),
        (lose_commit, 5, "order"),
        (lose_time, 6, ""),
    ],
)
def test_one_lie_is_found_by_its_check_at_its_line(
    tmp_path: Path, lines: list[Observation], alter: Callable[[list[Observation]], int], number: int, field: str
) -> None:
    at = alter(lines)
    verdict = judged(tmp_path / "t.jsonl", lines)
    d = found(verdict)
    assert (d.check, verdict.line) == (number, at + 1), verdict.follower.report("-")
    assert field in d.field


def of_ring(one: Observation) -> bool:
    """A write of the completion ring."""
    return one.get("is") == "write" and one["client"] == WrClient.COMPLETION


@pytest.mark.rule("architecture 3, check 4")
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("which", [0, 20, -1])
def test_a_completion_entry_written_twice_is_found_whatever_stands_there_in_the_end(
    tmp_path: Path, lines: list[Observation], which: int, behind: bool
) -> None:
    at = first(lines, "completion", which)  # behind its write
    right = lines[at - 1]
    assert of_ring(right)
    wrong = right | {"data": "55" * (len(right["data"]) // 2 - 1) + right["data"][-2:]}
    lines.insert(at + 1 if behind else at - 1, wrong)
    verdict = judged(tmp_path / "t.jsonl", lines)
    d = found(verdict)
    assert (d.check, d.field) == (4, "completion entry"), verdict.follower.report("-")
    assert verdict.line == at + (2 if behind else 1)


@pytest.mark.rule("architecture 3, check 4")
def test_a_completion_entry_that_no_completion_waits_for_is_found_at_a_reset(
    tmp_path: Path, lines: list[Observation]
) -> None:
    at = first(lines, "finish")
    last = lines[first(lines, "completion", -1) - 1]
    stray = last | {"cycle": lines[at]["cycle"], "addr": last["addr"] + len(last["data"]) // 2}
    reset = {"is": "soft_reset", "pieces": []}
    verdict = judged(tmp_path / "t.jsonl", [*lines[:at], stray, reset, lines[-1]])
    assert (found(verdict).check, verdict.line) == (4, at + 2)
    assert "at the reset" in found(verdict).field


@pytest.mark.rule("architecture 3, check 4")
def test_a_completion_entry_may_come_in_beats_before_or_behind_its_record(
    tmp_path: Path, lines: list[Observation]
) -> None:
    counts = judged(tmp_path / "t.jsonl", lines).follower.host_bytes_compared
    for early in (False, True):
        other: list[Observation] = []
        for one in lines:
            if of_ring(one):
                size = len(one["data"]) // 8
                beats = [
                    one | {"addr": one["addr"] + n * size // 2, "data": one["data"][n * size :][:size]}
                    for n in range(8)
                ]
                other += beats
            elif one.get("is") == "completion" and early:
                other[-8:] = [one, *other[-8:]]
            else:
                other.append(one)
        verdict = judged(tmp_path / "u.jsonl", other)
        assert verdict.agrees, verdict.follower.report("-")
        assert verdict.follower.host_bytes_compared == counts


@pytest.mark.rule("architecture 3, check 4")
def test_bytes_that_no_record_confirms_are_not_counted_as_compared(tmp_path: Path, lines: list[Observation]) -> None:
    at = first(lines, "completion", 3)
    with_record = judged(tmp_path / "t.jsonl", [*lines[: at + 1], lines[-1]]).follower.host_bytes_compared
    without = judged(tmp_path / "u.jsonl", [*lines[:at], lines[-1]]).follower.host_bytes_compared
    assert with_record - without == len(lines[at - 1]["data"]) // 2


@pytest.mark.rule("architecture 3, check 2")
def test_a_byte_of_host_memory_that_was_another_shows_in_the_frame_that_carries_it(
    tmp_path: Path, lines: list[Observation]
) -> None:
    text = b"A" * 64
    at = next(at for at, one in enumerate(lines) if text.hex() in one.get("data", "") and one["is"] == "host_write")
    flip_byte(lines[at], bytes.fromhex(lines[at]["data"]).index(text))
    d = found(judged(tmp_path / "t.jsonl", lines))
    assert d.check == 2


@pytest.mark.rule("architecture 3")
@pytest.mark.parametrize("kind", [*RECORDS, "frame_out", "write"])
def test_no_bit_of_a_record_a_frame_or_a_write_can_change_unseen(
    tmp_path: Path, lines: list[Observation], kind: str
) -> None:
    rng = random.Random(f"bits of {kind}")
    places = [at for at, one in enumerate(lines) if one.get("is") == kind]
    for _ in range(25):
        at = rng.choice(places)
        before = dict(lines[at])
        if kind in RECORDS:
            flip_bit(lines[at], rng.choice([bit for bit in range(width(kind)) if bit not in BOUNDED.get(kind, ())]))
        else:
            flip_byte(lines[at], rng.randrange(len(before["data"]) // 2))
        verdict = judged(tmp_path / "t.jsonl", lines)
        assert verdict.line is not None, (before, lines[at])
        assert verdict.line >= at + 1
        lines[at] = before


def test_a_run_that_broke_off_does_not_pass(tmp_path: Path, lines: list[Observation]) -> None:
    kept = [one for one in lines if one.get("is") not in ("finish", "registers", "memory")]
    verdict = judged(tmp_path / "t.jsonl", kept)
    assert verdict.divergence is None
    assert not verdict.agrees
    assert len(verdict.missing) == 3


def test_a_trace_without_a_commit_does_not_pass(tmp_path: Path, lines: list[Observation]) -> None:
    assert not judged(tmp_path / "t.jsonl", [lines[0], {"is": "finish", "cycle": 1}, lines[-1]]).agrees


def test_a_run_that_was_cut_does_not_pass_because_its_end_was_put_in_front(
    tmp_path: Path, lines: list[Observation]
) -> None:
    end = lines[first(lines, "finish")]
    cut = [lines[0], *lines[1 : first(lines, "tcp") + 1], end, lines[-1]]
    assert found(judged(tmp_path / "t.jsonl", cut)).check == 6
    early = [cut[0], end | {"cycle": 0}, *cut[1:-2], cut[-1]]
    with pytest.raises(TraceError) as caught:
        judged(tmp_path / "t.jsonl", early)
    assert "behind the line `finish` of the end" in caught.value.what
    assert caught.value.where.endswith("t.jsonl, line 3")


@pytest.mark.parametrize(
    ("kinds", "line"),
    [
        (("finish", "memory", "registers"), 3),
        (("registers", "finish", "memory"), 2),
        (("memory", "finish", "registers"), 2),
        (("finish", "finish", "memory"), 2),
        (("finish", "registers", "memory", "memory"), 4),
        (("finish", "registers", "memory", "tick"), 4),
        (("finish", "host_write", "memory"), 2),
        (("finish", "begin_anew"), 2),
    ],
)
def test_what_ends_a_trace_stands_once_in_order_and_nothing_behind_it(
    tmp_path: Path, lines: list[Observation], kinds: tuple[str, ...], line: int
) -> None:
    begin = first(lines, "finish")
    cycle = {"cycle": lines[begin]["cycle"]}
    kept = {kind: lines[first(lines, kind)] for kind in ("finish", "registers", "memory", "host_write", "tick")}
    kept["tick"] = kept["tick"] | cycle
    kept["begin_anew"] = {"is": "begin_anew", "pieces": []}
    with pytest.raises(TraceError) as caught:
        judged(tmp_path / "t.jsonl", [*lines[:begin], *(kept[kind] for kind in kinds), lines[-1]])
    assert "of the end" in caught.value.what
    assert caught.value.where.endswith(f", line {begin + line}")


@pytest.mark.parametrize(
    ("reset", "said"),
    [
        ({"is": "begin_anew", "pieces": []}, "memory and what was under way at `begin_anew`"),
        ({"is": "soft_reset", "pieces": []}, "what was under way at `soft_reset`"),
        (
            {"is": "register_write", "offset": Csr.CONTROL, "value": SOFT_RESET},
            "what was under way (soft reset by CONTROL) at `register_write`",
        ),
    ],
)
def test_what_a_reset_let_go_is_said(
    tmp_path: Path, lines: list[Observation], capsys: pytest.CaptureFixture[str], reset: Observation, said: str
) -> None:
    at = first(lines, "frame_out", 3) + 1
    end = [{"is": "finish", "cycle": lines[at - 1]["cycle"]}, lines[-1]]
    path = tmp_path / "t.jsonl"
    frame = lines[first(lines, "frame_in")] | {"cycle": lines[at - 1]["cycle"]}
    idle = {"is": "register_write", "offset": Csr.CONTROL, "value": SOFT_RESET}
    for more, where in (([idle], f"line {at + 1}"), ([frame, reset], f"2 lines, first {at + 1}")):
        judged(path, [*lines[:at], reset, *more, *end])
        assert result(RunConfig(command="check", commits=path))[0] == 0
        told = capsys.readouterr().out
        assert f"not judged: {said} ({where})" in told
        assert "checks 1 to 6 hold" not in told


def test_a_reset_before_any_traffic_lets_nothing_go(tmp_path: Path, lines: list[Observation]) -> None:
    start = {"is": "register_write", "offset": Csr.CONTROL, "value": SOFT_RESET}
    verdict = judged(tmp_path / "t.jsonl", [lines[0], start, *lines[1:]])
    assert verdict.agrees
    assert not verdict.missing


def test_what_a_trace_does_not_hold_is_said(
    tmp_path: Path, lines: list[Observation], capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [one for one in lines if one.get("is") not in ("registers", "memory")]
    path = tmp_path / "t.jsonl"
    assert judged(path, kept).agrees
    assert result(RunConfig(command="check", commits=path))[0] == 0
    said = capsys.readouterr().out
    assert "not judged: registers at the end" in said
    assert "not judged: all of memory at the end" in said
    assert "checks 1 to 6 hold" not in said


# ---- what is no trace -----------------------------------------------------------------------------


def refused(path: Path, text: str | bytes, what: str, line: int | None) -> None:
    """The file is no trace: the message says so and names the line."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(TraceError) as caught:
        check(path)
    assert what in caught.value.what
    assert caught.value.where == (f"{path}, line {line}" if line else str(path))
    assert caught.value.todo


def test_other_files_and_other_versions_are_refused(tmp_path: Path, folder: str) -> None:
    path, texts = tmp_path / "t", recorded(folder)
    for other in ("", "hello\n", "[1]\n", '{"is":"end"}\n', "\xff\xfe", "{" * 100_000 + "\n"):
        refused(path, other, "not a trace", 1)
    header = json.loads(texts[0])
    later = [json.dumps(header | {"version": 3}), *texts[1:]]
    refused(path, "\n".join(later) + "\n", "version 3 of the format, this program reads 2", 1)
    foreign = [json.dumps(header | {"layout": "0123456789abcdef"}), *texts[1:]]
    refused(path, "\n".join(foreign) + "\n", "layout 0123456789abcdef", 1)
    for name in header:
        if name not in ("format", "version", "layout"):
            lacking = {key: value for key, value in header.items() if key != name}
            refused(path, json.dumps(lacking) + "\n", f"the field `{name}` is missing", 1)
    with pytest.raises(TraceError, match="cannot be read"):
        check(tmp_path / "nothing")
    with pytest.raises(TraceError, match="cannot be read"):
        check(tmp_path)


@pytest.mark.rule("C-37")
@pytest.mark.parametrize("packed", [False, True])
def test_a_line_that_is_longer_than_one_of_a_trace_can_be_is_named_and_no_more_of_it_is_read(
    tmp_path: Path, lines: list[Observation], packed: bool
) -> None:
    path = tmp_path / "t"
    longest = MAX_LINE + LINE_PER_BYTE * MEMORY
    head = (json.dumps(lines[0]) + "\n").encode()
    for text, number, most in ((b"", 1, MAX_LINE), (head, 2, longest)):
        whole = text + b"[" * (longest + (64 << 20))
        path.write_bytes(gzip.compress(whole, 1) if packed else whole)
        tracemalloc.start()
        with pytest.raises(TraceError, match=f"longer than {most} bytes: this is not a trace") as caught:
            check(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * longest
        tracemalloc.stop()
        assert caught.value.where == f"{path}, line {number}"


def test_all_of_memory_may_stand_in_one_line_also_in_small_pieces(tmp_path: Path, lines: list[Observation]) -> None:
    at = first(lines, "memory")
    for size in (16, 4096, MEMORY):
        pieces = [[addr, "00" * size] for addr in range(0, MEMORY, size)]
        lines[at] = lines[at] | {"pieces": pieces}
        assert len(json.dumps(lines[at])) < MAX_LINE + LINE_PER_BYTE * MEMORY
        assert judged(tmp_path / "t", lines).line == at + 1  # read, and not the memory of this run


@pytest.mark.parametrize("slow", [False, True])
def test_a_trace_that_comes_through_a_pipe_is_judged_as_from_a_file(
    tmp_path: Path, folder: str, slow: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ("\n".join(recorded(folder)) + "\n").encode()
    told = text if slow else gzip.compress(text)  # what is packed comes out of the reader in large pieces
    monkeypatch.setattr(
        "tb.progress.Meter.__init__.__kwdefaults__", {**(Meter.__init__.__kwdefaults__ or {}), "plain": 0.05}
    )
    monkeypatch.setattr("threading.excepthook", lambda told: pytest.fail(str(told)))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def feed() -> None:
        with pipe.open("wb") as file:
            file.write(told[: len(told) // 2])
            file.flush()
            time.sleep(0.5 if slow else 0)
            file.write(told[len(told) // 2 :])

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    assert check(pipe)[0].agrees
    feeder.join(10)
    said = capsys.readouterr()
    assert said.err == ""
    if slow:
        assert re.search(rf"check: 0 of 1 done after \d+ s, time left not known yet; running: {pipe}\n", said.out)
    assert "%" not in said.out


def test_the_share_of_a_file_that_grew_is_the_whole(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "t"
    text = "\n".join(recorded(folder)) + "\n"
    path.write_text(text)
    reader = TraceReader(path, "t")
    with path.open("a") as file:
        file.write(text)
    with pytest.raises(TraceError, match="behind the end line"):
        list(reader.observations())
    assert (reader.sized, reader.share) == (True, 1.0)
    reader.close()


def test_a_trace_that_is_cut_off_anywhere_is_refused(tmp_path: Path, folder: str) -> None:
    path, texts = tmp_path / "t", recorded(folder)
    whole = "\n".join(texts) + "\n"
    refused(path, "\n".join(texts[:-1]) + "\n", "no end line", len(texts) - 1)
    refused(path, whole[:-1], "cut off in the middle of a line", len(texts))
    refused(path, "\n".join([*texts[:50], *texts[51:]]) + "\n", "does not count", len(texts) - 1)
    refused(path, whole + texts[-1] + "\n", "behind the end line", len(texts) + 1)
    packed = (Path(folder) / "golden-1.gz").read_bytes()
    for length in (len(packed) - 1, len(packed) // 2, 40):
        path.write_bytes(packed[:length])
        with pytest.raises(TraceError, match=r"cut off|no end line|not a trace"):
            check(path)
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(TraceError, match=r", line \d+"):
        check(path)


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        ("tcp", {"is": "tpc"}, "no observation `tpc`"),
        ("tcp", {"record": "xyz"}, "`record`"),
        ("tcp", {"record": "-1"}, "`record`"),
        ("tcp", {"record": 7}, "`record` is no text"),
        ("tcp", {"cycle": -1}, "`cycle`"),
        ("tcp", {"cycle": True}, "`cycle`"),
        ("finish", {"cycle": 1}, "`cycle` falls"),
        ("tcp", {"more": 1}, "no field `more`"),
        ("frame_in", {"data": "abc"}, "`data`"),
        ("frame_out", {"data": None}, "`data`"),
        ("host_write", {"addr": MEMORY}, "leave the memory"),
        ("register_write", {"value": 1 << 32}, "`value`"),
        ("write", {"strobe": "zz"}, "`strobe`"),
        ("write", {"response": 4}, "`response`"),
        ("registers", {"values": {"NONE": 1}}, "no register NONE"),
        ("memory", {"pieces": [[1]]}, "`pieces`"),
        ("memory", {"pieces": [[MEMORY, "00"]]}, "leave the memory"),
        ("tick", {"tick": "1"}, "`tick`"),
    ],
)
def test_a_line_that_does_not_parse_is_named(
    tmp_path: Path, lines: list[Observation], kind: str, change: Observation, what: str
) -> None:
    at = first(lines, kind)
    lines[at] |= change
    with pytest.raises(TraceError) as caught:
        judged(tmp_path / "t.jsonl", lines)
    assert what in caught.value.what
    assert caught.value.where.endswith(f"t.jsonl, line {at + 1}")


# ---- the command ----------------------------------------------------------------------------------


def test_the_command_prints_the_divergence_in_the_words_of_a_live_run(
    tmp_path: Path, lines: list[Observation], capsys: pytest.CaptureFixture[str]
) -> None:
    at = alter_state(lines)
    path = tmp_path / "t.jsonl"
    verdict = judged(path, lines)
    assert command_line.main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert f"line {at + 1} of {path}" in said
    assert verdict.follower.report(f"chimney check {path}") in said
    assert command_line.main(["check", str(path), "--json"]) == 1


def test_the_document_has_verdict_line_and_divergence(tmp_path: Path, lines: list[Observation]) -> None:
    at = alter_frame(lines)
    path = tmp_path / "t.jsonl"
    judged(path, lines)
    status, document = result(RunConfig(command="check", commits=path))
    assert status == 1
    assert json.loads(json.dumps(document)) == document
    assert (document["agrees"], document["line"], document["divergence"]["check"]) == (False, at + 1, 2)


def test_a_file_that_is_no_trace_ends_with_status_2_and_three_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t"
    path.write_text("hello\n")
    assert command_line.main(["check", str(path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0].strip() for line in said] == ["error", "where", "do"]
    assert f"{path}, line 1" in said[1]
