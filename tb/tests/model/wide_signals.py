"""Signals of the RTL by width, as Verilator elaborates them: which are too wide for toggles to be counted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tb.config import ROOT
from tb.sim.spec import SimSpec

#: Bits of a type without a range.
PLAIN = {"logic": 1, "bit": 1, "integer": 32, "int": 32}


def above(spec: SimSpec, limit: int, folder: Path) -> dict[str, set[str]]:
    """{file below the root: names} of the signals and memories of hdl/ that have more bits than `limit`."""
    command = [
        str(spec.tool.executable), "--json-only", "--json-only-output", str(folder / "tree.json"),
        "--json-only-meta-output", str(folder / "meta.json"), "-Wno-fatal", "-Wno-lint", "-Wno-style",
        "--top-module", spec.top, "--timing", *(f"-G{name}={value}" for name, value in spec.parameters.items()),
        *(f"-D{name}={value}" for name, value in spec.defines.items()), *(f"-I{path}" for path in spec.includes),
        *map(str, spec.sources),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, env=spec.tool.environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    files = json.loads((folder / "meta.json").read_text())["files"]
    nodes = list(walk(json.loads((folder / "tree.json").read_text())))
    types = {node["addr"]: node for node in nodes if node["type"].endswith("DTYPE")}
    found: dict[str, set[str]] = {}
    for node in nodes:
        if node["type"] != "VAR" or node.get("isParam") or bits(types, node["dtypep"]) <= limit:
            continue
        path = Path(files[node["loc"].split(",")[0]]["filename"])
        if path.is_relative_to(ROOT / "hdl"):
            found.setdefault(str(path.relative_to(ROOT)), set()).add(node["origName"])
    return found


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every node of the tree."""
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def bits(types: dict[str, dict[str, Any]], name: str) -> int:
    """All bits of a type; of an array those of its elements together."""
    node = types[name]
    if node["type"] == "BASICDTYPE":
        return span(node["range"]) if "range" in node else PLAIN.get(node["keyword"], 0)
    inner = bits(types, node["refDTypep"]) if "refDTypep" in node else 0
    return inner * (span(node["declRange"].strip("[]")) if "declRange" in node else 1)


def span(text: str) -> int:
    """Elements of `31:0`."""
    left, right = map(int, text.split(":"))
    return abs(left - right) + 1
