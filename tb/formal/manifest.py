"""What is proved: tb/formal/proofs.toml and the harnesses in tb/formal/blocks, as typed values.

A harness is one module, `<name>_proof` in `blocks/<name>.sv`, around what is proved. Its inputs are free: the solver
chooses them, within what `assume` says. Each property is one line, `label: assert (...);  // what must hold`, and so
is each cover, `label: cover (...);  // what can be reached`. A wire with `(* peek = "dut.x" *)` is the signal x inside
of the instance dut; `mem[3:0]` are the words 3 to 0 of an array.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from tb.config import ConfigError
from tb.sabotage.manifest import Edit

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "proofs.toml"
BLOCKS = FOLDER / "blocks"
#: What harnesses share: clock, reset and counts, no properties.
INCLUDE = BLOCKS / "proof.svh"
LABELLED = re.compile(r"^[^/\n]*?\b(\w+): (assert|cover) (.*)$", re.MULTILINE)
SENTENCE = re.compile(r"//\s*(\S.*)$")
PEEK = re.compile(r'\(\*\s*peek\s*=\s*"([^"]+)"\s*\*\)\s*wire\s*(?:\[[^\]]*\]\s*)?(\w+)\s*;')
WORDS = re.compile(r"(.*)\[(\d+):(\d+)\]$")
#: Labels that begin like this are steps of the induction: proved like the others, of interest to nobody else.
STEP = "inv_"
FIELDS = ("name", "about", "sources", "depth", "cover_depth", "bounded", "shrink")


@dataclass(frozen=True)
class Statement:
    """One labelled line of a harness; `kind` is assert or cover, `text` its sentence."""

    label: str
    kind: str
    text: str

    @property
    def is_step(self) -> bool:
        """Whether it only helps the induction."""
        return self.label.startswith(STEP)


@dataclass(frozen=True)
class Planted:
    """An error that is put into a copy of a source; the property `label` must fail, with a trace."""

    id: str
    proof: str
    edit: Edit
    label: str
    depth: int


@dataclass(frozen=True)
class Proof:
    """One harness and what it is made of. `sources` are paths below the root, in the order in which they are read.

    `depth` is k of the induction, in cycles, and the depth of the base case; with `bounded` there is no induction and
    `depth` is all that is shown. `shrink` makes tables of the copy smaller that have no parameter. `cover_depth` is the
    cycle by which every cover must be reached.
    """

    name: str
    about: str
    sources: tuple[str, ...]
    depth: int = 2
    cover_depth: int = 20
    bounded: bool = False
    shrink: tuple[Edit, ...] = ()

    @property
    def harness(self) -> Path:
        """Its file."""
        return BLOCKS / f"{self.name}.sv"

    @property
    def top(self) -> str:
        """Its module."""
        return f"{self.name}_proof"

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """The labelled lines; raises ConfigError for one without a sentence, or for two with one label."""
        found: dict[str, Statement] = {}
        for label, kind, rest in LABELLED.findall(self.harness.read_text()):
            sentence = SENTENCE.search(rest)
            if sentence is None or label in found:
                what = "a property has no sentence" if sentence is None else "two properties have one label"
                raise ConfigError(
                    what, f"{self.harness.name}: {label}", "write `label: assert (...);  // what must hold`"
                )
            found[label] = Statement(label, kind, sentence.group(1))
        return tuple(found.values())

    def of(self, kind: str) -> tuple[Statement, ...]:
        """The statements of one kind."""
        return tuple(each for each in self.statements if each.kind == kind)

    @cached_property
    def peeks(self) -> tuple[tuple[str, str], ...]:
        """Wires of the harness and the signals that they stand for, as Yosys names them."""
        return tuple((wire, _signal(inner)) for inner, wire in PEEK.findall(self.harness.read_text()))


@dataclass(frozen=True)
class Manifest:
    """All proofs and all planted errors."""

    proofs: tuple[Proof, ...]
    planted: tuple[Planted, ...] = field(default=())

    def chosen(self, patterns: str | None) -> Manifest:
        """What the patterns (blanks between them) name: proofs with their errors, or errors by their id."""
        if patterns is None:
            return self
        words = patterns.split()
        proofs = tuple(p for p in self.proofs if any(fnmatchcase(p.name, word) for word in words))
        names = {proof.name for proof in proofs}
        planted = tuple(
            p for p in self.planted if p.proof in names or any(fnmatchcase(p.id, word) for word in words)
        )  # fmt: skip
        if not proofs and not planted:
            raise ConfigError(
                "no proof has this name", f"ID={patterns}", f"give some of {', '.join(p.name for p in self.proofs)}"
            )
        return Manifest(proofs, planted)

    def proof(self, name: str) -> Proof:
        """The proof of this name."""
        return next(proof for proof in self.proofs if proof.name == name)


def load(path: Path = MANIFEST) -> Manifest:
    """Read and check the file."""
    data: dict[str, Any] = tomllib.loads(path.read_text())
    proofs = []
    for entry in data.get("proof", []):
        if unknown := set(entry) - set(FIELDS):
            raise ConfigError(f"unknown fields {sorted(unknown)}", f"{path.name}: {entry['name']}", f"use {FIELDS}")
        shrink = tuple(Edit(each["file"], each["old"], each["new"]) for each in entry.get("shrink", []))
        proofs.append(Proof(**{**entry, "sources": tuple(entry["sources"]), "shrink": shrink}))
    planted = [
        Planted(
            entry["id"], entry["proof"], Edit(entry["file"], entry["old"], entry["new"]), entry["fails"],
            entry.get("depth", 8),
        )
        for entry in data.get("planted", [])
    ]  # fmt: skip
    names = {proof.name: proof for proof in proofs}
    for each in planted:
        if each.proof not in names or each.label not in {s.label for s in names[each.proof].of("assert")}:
            raise ConfigError("no such property", f"{path.name}: {each.id}", "name a proof and one of its labels")
    return Manifest(tuple(proofs), tuple(planted))


def _signal(inner: str) -> str:
    words = WORDS.match(inner)
    if words is None:
        return f"\\{inner}"
    first, last = int(words[2]), int(words[3])
    # a space ends an escaped name; the first of the list is the most significant
    return ",".join(f"\\{words[1]}[{number}]" for number in range(first, last - 1, -1))
