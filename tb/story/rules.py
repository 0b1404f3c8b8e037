"""What must hold, in a sentence, for every rule that a failure can name."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tb.config import ROOT
from tb.contract.duties import duties

TABLE = Path(__file__).with_name("rules.toml")
TCP_STEP = "docs/contract/tcp_step.md"
CHECKERS = ROOT / "tb" / "hdl" / "checkers"
#: Checker by the first words of its report (tb/env/scoreboard.py).
CHECKER_OF = {
    "AXI4 memory port": "axi4_checker",
    "AXI4-Lite register port": "axil_checker",
    "AXI4-Stream receive port": "axis_checker",
    "AXI4-Stream transmit port": "axis_checker",
    "rings": "ring_checker",
    "unknown values after reset": "known_checker",
}
#: Sections of tcp_step whose rules an event can be about; the others of a field are left out of its story.
SECTIONS = {
    "RX_SEGMENT": "CFSQNMKE", "TX_GRANT": "GSNE", "TIMER": "DKNE", "COMMAND": "BEK", "CONSUMED": "E", "CREDIT": "E",
    "FENCE_DONE": "E", "FAULT": "E",
}  # fmt: skip
#: Rules told at most.
SHOWN = 2
ID = re.compile(r"\b([A-Z])-(\d+[a-e]?)(?: to [A-Z]-(\d+))?")


@dataclass(frozen=True)
class Rule:
    """A rule: what must hold, and where it comes from (RFC, page of the NDIS reference, page of this repository)."""

    id: str
    must_hold: str
    reference: str


@cache
def table() -> dict[str, dict[str, Rule]]:
    """The sections of the table, by name and id."""
    raw = tomllib.loads(TABLE.read_text())
    return {name: {key: Rule(key, *row) for key, row in rows.items()} for name, rows in raw.items()}


def ids_in(text: str) -> list[str]:
    """Ids of tcp_step that a line such as `F-2, K-1 to K-3, D: words` names before its colon."""
    head = text.removeprefix(TCP_STEP).strip().partition(":")[0]
    found: list[str] = []
    for word in head.split(","):
        if match := ID.search(word):
            letter, first, last = match.groups()
            numbers = range(int(first), int(last) + 1) if last else [first]
            found += [f"{letter}-{number}" for number in numbers]
        elif re.fullmatch(r"[A-Z]", word.strip()):
            found.append(word.strip())
    return found


def of_divergence(rule: str, check: int, stream: str, event: str, field: str) -> list[Rule]:
    """The rules that a divergence is about, the first one first; never none."""
    known = table()
    sections = SECTIONS.get(event)
    if stream == "tcp" and check == 1:
        ids = ids_in(rule)
        mine = [name for name in ids if sections is None or name[0] in sections] or ids
        if rules := [known["tcp_step"][name] for name in mine if name in known["tcp_step"]]:
            return rules[:SHOWN]
    for name in (stream, field.partition(".")[0]):
        if name in known["block"]:
            return [known["block"][name]]
    return [known["check"][str(check)]]


def of_problem(judge: str, line: str) -> list[Rule]:
    """The rules that a complaint of another judge than lockstep names; never none."""
    found = [contract()[name] for name in list(dict.fromkeys(re.findall(r"\b(?:CH-\d{3}|G-\d\d)\b", line)))[:SHOWN]
             if name in contract()] if judge == "contract" else []  # fmt: skip
    if judge == "checker":
        found = of_checker(line)
    return found or [table()["judge"].get(judge, table()["judge"]["crash"])]


@cache
def contract() -> dict[str, Rule]:
    """The rules of the NDIS contract."""
    return {duty.id: Rule(duty.id, duty.text, f"NDIS: {duty.chapter}; docs/ndis.md") for duty in duties()}


def of_checker(line: str) -> list[Rule]:
    """The rule of a protocol checker, from the header of its file."""
    match = re.search(r"(\S.*): rule (\d+) broken", line)
    if match is None or match.group(1) not in CHECKER_OF:
        return []
    name, number = CHECKER_OF[match.group(1)], match.group(2)
    file = CHECKERS / f"{name}.v"
    for row in file.read_text().splitlines():
        if not re.match(r"// +\d", row):
            continue
        codes = re.findall(r"(?:^//|,|  ) *(\d+) ", row)
        if number in codes:
            sentence = row.rpartition(": ")[2] if ": " in row and len(codes) > 1 else row.split(f" {number} ", 1)[1]
            where = f"{match.group(1)}: this must not be: {sentence.strip('/ ')}"
            return [Rule(f"{name} {number}", where, str(file.relative_to(ROOT)))]
    return []
