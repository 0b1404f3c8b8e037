"""The generated part of the reference: packages of model/ and tb/ by their docstrings, blocks of hdl/ by their headers.

Sources are read, never imported, so that a page needs no simulator and costs milliseconds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

#: Folders whose packages have a page, and what has none: tests, and what a program wrote (docs/layout.md is its page).
ROOTS, LEFT_OUT = ("model", "tb"), ("tb/tests", "tb/contract/scenes")
GENERATED = ("model/layout/generated.py",)
#: Where a page of the tree's own reference lies, below the root as it were.
FOLDER = "docs/reference"
#: A line of a docstring that starts a list of arguments and the like (Google style).
LISTING = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Example|Examples|Note):\s*$")


def pages(root: Path) -> dict[str, str]:
    """Every generated page: text by path."""
    made = {f"{FOLDER}/hdl.md": hardware_page(root)}
    for folder in packages(root):
        made[f"{FOLDER}/{folder.replace('/', '.')}.md"] = package_page(root, folder)
    return made


def packages(root: Path) -> list[str]:
    """Folders with Python modules, `tb` and `model` themselves included."""
    found = {path.parent.relative_to(root).as_posix() for name in ROOTS for path in (root / name).rglob("*.py")}
    return sorted(name for name in found if not any(name == out or name.startswith(out + "/") for out in LEFT_OUT))


def package_page(root: Path, folder: str) -> str:
    """A package: what it says of itself, then each module with its public classes and functions."""
    name = folder.replace("/", ".")
    parts = [f"# {name}\n"]
    start = root / folder / "__init__.py"
    if start.exists():
        parts.append(prose(ast.get_docstring(ast.parse(start.read_text())) or ""))
    for path in sorted((root / folder).glob("*.py")):
        relative = path.relative_to(root).as_posix()
        if path.name == "__init__.py":
            continue
        tree = ast.parse(path.read_text())
        parts.append(f"## {name}.{path.stem}\n\n[{relative}](../../{relative})\n")
        parts.append(prose(ast.get_docstring(tree) or ""))
        if relative not in GENERATED:
            parts += entries(tree)
    return "\n".join(parts) + "\n"


def entries(tree: ast.Module) -> Iterator[str]:
    """The public names of a module: constants with a `#:` comment are left to the source."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_public(node.name):
            yield entry(node.name, signature(node), node)
        elif isinstance(node, ast.ClassDef) and _is_public(node.name):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            yield entry(node.name, f"class {node.name}" + (f"({bases})" if bases else ""), node, fields(node))
            for inner in node.body:
                if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                if ast.get_docstring(inner) and _is_public(inner.name):
                    yield entry(f"{node.name}.{inner.name}", signature(inner), inner, level=4)


def entry(
    name: str,
    declared: str,
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
    more: str = "",
    level: int = 3,
) -> str:
    """One name: heading, declaration, docstring."""
    text = prose(ast.get_docstring(node) or "")
    return f"{'#' * level} `{name}`\n\n```python\n{declared}\n{more}```\n\n{text}"


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """How a function is called, on lines of at most 100 characters where its arguments allow that."""
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = ast.unparse(node.args)
    line = f"{word} {node.name}({arguments}){result}"
    marks = "".join(f"@{ast.unparse(mark)}\n" for mark in node.decorator_list)
    if len(line) > 100:
        line = f"{word} {node.name}(\n    {arguments}\n){result}"
    return marks + line


def fields(node: ast.ClassDef) -> str:
    """The declared public fields of a class, one a line."""
    rows = [inner for inner in node.body if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name)]
    return "".join(f"    {ast.unparse(row)}\n" for row in rows if _is_public(ast.unparse(row.target)))


def prose(docstring: str) -> str:
    """A docstring as Markdown: paragraphs as they are; what is indented or a listing keeps its lines."""
    parts: list[str] = []
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        lines = block.splitlines()
        if any(line.startswith(" ") for line in lines) or (lines and LISTING.match(lines[0])):
            parts.append(f"```text\n{block}\n```\n")
        elif lines:
            parts.append("\n".join(escaped(line) for line in lines) + "\n")
    return "\n".join(parts)


def escaped(line: str) -> str:
    """A line of prose whose marks are no Markdown, code between backticks aside."""
    pieces = re.split(r"(`[^`]*`)", line)
    safe = [piece if piece.startswith("`") else re.sub(r"([\\*_<>\[\]#|~{}])", r"\\\1", piece) for piece in pieces]
    text = "".join(safe)
    return re.sub(r"^(\s*)([-+=%:]|\d+[.)])", r"\1\\\2" if not text[:1].isdigit() else r"\1\2", text)


def hardware_page(root: Path) -> str:
    """The blocks of hdl/: a table of what each does, then each header as it stands: ports, protocol, latency."""
    blocks = sorted((root / "hdl").rglob("*.v"), key=lambda path: (path.parent, path.stem))
    parts = [
        "# Blocks of hdl/\n",
        "The opening comment of each module: what it does, why it is a block, the protocol of its ports, its latency.",
        "Signals `s_*` are sinks, `m_*` sources; fields are those of [the layout](../layout.md).\n",
    ]
    folder = None
    headers = {path: header(path.read_text()) for path in blocks}
    for path in blocks:
        if path.parent != folder:
            folder = path.parent
            parts.append(f"\n## {folder.relative_to(root).as_posix()}\n\n| block | what it does |\n|---|---|")
            for other in blocks:
                if other.parent == folder:
                    summary = escaped(first_sentence(headers[other]))
                    parts.append(f"| [{other.stem}](#{other.stem}) | {summary} |")
            for other in blocks:
                if other.parent == folder:
                    relative = other.relative_to(root).as_posix()
                    parts.append(f"\n### {other.stem}\n\n[{relative}](../../{relative})\n")
                    parts.append(f"```text\n{headers[other]}\n```")
    return "\n".join(parts) + "\n"


def header(text: str) -> str:
    """The opening comment of a Verilog file without its slashes; empty if it has none."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        lines.append(line.removeprefix("//").removeprefix(" ").rstrip())
    return "\n".join(lines).strip("\n")


def first_sentence(opening: str) -> str:
    """What a block does: the first paragraph behind its name, to its first full stop."""
    paragraph = " ".join(opening.partition("\n\n")[0].split())
    said = paragraph.partition(": ")[2] or paragraph
    found = re.match(r".*?[^.\d]\.(?=\s|$)", said)
    return found.group(0) if found else said


def _is_public(name: str) -> bool:
    return not name.startswith("_")
