"""Import cleanliness through all levels, and typed borders: no chain of imports reaches what a folder must not know."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("model", "tb")


def file_of(module: str) -> Path | None:
    """The file of a module of this tree."""
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def imported(path: Path) -> frozenset[str]:
    """The modules that a file names, absolute; `from a import b` may mean the module a.b."""
    package = list(path.relative_to(ROOT).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            found |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return frozenset(found)


def reached(start: Path) -> dict[str, str]:
    """Every module that importing a file loads, with the file that names it; packages load their __init__."""
    seen: dict[str, str] = {}
    todo = [start]
    while todo:
        path = todo.pop()
        for module in imported(path):
            parts = module.split(".")
            for name in (".".join(parts[:end]) for end in range(1, len(parts) + 1)):
                if name in seen:
                    continue
                seen[name] = str(path.relative_to(ROOT))
                target = file_of(name) if parts[0] in PACKAGES else None
                if target is not None:
                    todo.append(target)
    return seen


def sources(folder: str) -> list[Path]:
    """The Python files below a folder."""
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("model", {"tb", "cocotb", "cocotb_bus", "cocotb_tools", "pyuvm"}),
        ("tb/peers", {"model", "cocotb", "cocotb_bus", "pyuvm"}),
        ("tb/monitors", {"model", "cocotb", "cocotb_bus", "pyuvm"}),
        ("tb/session", {"cocotb", "cocotb_bus", "pyuvm"}),
        ("tb/lockstep", {"cocotb", "cocotb_bus", "cocotb_tools", "pyuvm"}),
    ],
)
def test_a_folder_reaches_nothing_it_must_not_know_through_any_chain_of_imports(
    folder: str, forbidden: set[str]
) -> None:
    for path in sources(folder):
        chains = {name: by for name, by in reached(path).items() if name.split(".")[0] in forbidden}
        assert not chains, f"{path.relative_to(ROOT)} reaches {chains}"


def test_the_engines_know_nothing_of_ndis_and_the_wire_nothing_of_the_device() -> None:
    for folder, forbidden in (
        ("model/tcp", ("model.ndis", "model.device", "model.delivery")),
        ("model/delivery", ("model.ndis", "model.device")),
        ("model/wire", ("model.ndis", "model.device", "model.tcp", "model.delivery")),
        ("model/device", ("model.ndis",)),
    ):
        for path in sources(folder):
            wrong = {name: by for name, by in reached(path).items() if name.startswith(forbidden)}
            assert not wrong, f"{path.relative_to(ROOT)} reaches {wrong}"


def public_signatures(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions, and methods of classes, whose names do not begin with an underscore."""
    found: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
    for node in tree.body:
        members = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [node]
        found += [
            member
            for member in members
            if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)) and not member.name.startswith("_")
        ]
    return found


@pytest.mark.parametrize("path", sources("model"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_public_signature_of_the_model_says_any(path: Path) -> None:
    for function in public_signatures(ast.parse(path.read_text())):
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        extra = [argument for argument in (function.args.vararg, function.args.kwarg) if argument is not None]
        notes = [argument.annotation for argument in (*arguments, *extra)] + [function.returns]
        for note in filter(None, notes):
            words = {n.id for n in ast.walk(note) if isinstance(n, ast.Name)}
            assert "Any" not in words, f"{path.name}:{function.lineno} {function.name}"
