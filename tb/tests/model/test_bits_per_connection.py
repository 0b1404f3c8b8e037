"""docs/results.md: the bits that a connection takes, counted from the memories of hdl/ that grow with CONNS."""

from __future__ import annotations

import re

import pytest

from model.layout.generated import Dcb, RcvReq, Tcb
from tb.config import ROOT

#: The device of the page: what chimney.v gives its blocks.
SIZES = {"CONNS": 64, "CONN_W": 6, "SENDS": 16, "RECVS": 16, "PATHS": 8, "BUCKETS": 64 // 4, "BUCKET_W": 4}
LAYOUT = {"`TCB_W": Tcb.WIDTH, "`DCB_W": Dcb.WIDTH, "`RCV_REQ_W": RcvReq.WIDTH}
MEMORY = re.compile(r"(?:ram_sdp|fifo) #\(\.WIDTH\((.+?)\), \.DEPTH\((CONNS[^)]*|BUCKETS)\)\)")
NAMED = re.compile(r"(?:localparam|parameter)\s+(?:\[[^]]+\]\s*)?(\w+)\s*=\s*([^,;/]+)")
ROW = re.compile(r"^\| (\w+) \|[^|]*\| ([\d,]+) \|", re.MULTILINE)


def value(expression: str, names: dict[str, str]) -> int:
    """A constant expression of Verilog."""

    def known(found: re.Match[str]) -> str:
        name = found.group(0)
        fixed = SIZES.get(name, LAYOUT.get(name))
        return str(value(names[name], names) if fixed is None else fixed)

    text = re.sub(r"\$clog2\(([^()]+)\)", lambda m: str((value(m.group(1), names) - 1).bit_length()), expression)
    text = re.sub(r"`?[A-Z]\w*", known, text)
    assert re.fullmatch(r"[\d\s+*()/-]+", text), f"{expression}: {text}"
    return int(eval(text.replace("/", "//")))  # noqa: S307 - digits and operators


def counted() -> dict[str, int]:
    """Bits of a connection by block of hdl/."""
    found: dict[str, int] = {}
    for file in sorted((ROOT / "hdl").rglob("*.v")):
        source = file.read_text()
        names = dict(NAMED.findall(source))
        for width, depth in MEMORY.findall(source):
            words = value(depth, names) * (value("SLOTS", names) if depth == "BUCKETS" else 1)
            found[file.stem] = found.get(file.stem, 0) + value(width, names) * words // SIZES["CONNS"]
    return found


def stated() -> dict[str, int]:
    page = (ROOT / "docs" / "results.md").read_text().partition("## Bits a connection")[2]
    return {name: int(bits.replace(",", "")) for name, bits in ROW.findall(page)}


def test_the_page_states_the_bits_that_every_block_keeps_for_a_connection() -> None:
    told = stated()
    total = told.pop("total")
    assert told == counted()
    assert total == sum(told.values())


def test_no_other_memory_of_the_device_grows_with_the_connections() -> None:
    """A memory written another way would not be counted: registers of a bit or a byte a connection are told by name."""
    others = {
        (file.stem, name)
        for file in (ROOT / "hdl").rglob("*.v")
        for name in re.findall(r"\breg\s+(?:\[[^]]+\]\s*)?(\w+)\s*\[0:[^]]*CONNS[^]]*\]", file.read_text())
    }
    assert others == {("command_decode", "appended"), ("command_decode", "popped")}


@pytest.mark.rule("M-2", "M-5")
def test_the_page_states_the_bits_of_the_out_of_order_ranges() -> None:
    ranges = sum(width for name, (_, width) in places().items() if name.startswith("rr_"))
    lists = sum(width for name, (_, width) in places("dcb").items() if name.startswith("ooo_"))
    page = (ROOT / "docs" / "results.md").read_text()
    assert f"{ranges} bits of the TCB and {lists} of the delivery engine" in page


def places(struct: str = "tcb") -> dict[str, tuple[int, int]]:
    """Fields of a structure of docs/layout.md: lowest bit and width."""
    text = (ROOT / "docs" / "layout.md").read_text().partition(f"## {struct} (")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| \d+:(\d+) \| (\w+) \| (\d+) \|", text, re.MULTILINE)
    return {name: (int(low), int(width)) for low, name, width in rows}
