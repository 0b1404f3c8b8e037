"""The rules of the tree: who may import whom, what a Verilog file looks like, what no tracked file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SIMULATOR_PACKAGES = {"cocotb", "cocotb_bus", "cocotb_tools", "pyuvm"}
VERILOG = sorted((ROOT / "hdl").rglob("*.v"))
MAX_WAIVERS = 20
FORBIDDEN_WAIVERS = re.compile(r"LATCH|MULTIDRIVEN|UNDRIVEN|WIDTH\w*|BLKSEQ|CASEINCOMPLETE")
#: Home folders, scratch folders and work trees of one machine; addresses of package registries and their mirrors.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|work|tmp|Users|mnt|srv)/\w")
REGISTRY = re.compile(r"https?://[^\s)]*(?:pypi|pythonhosted|npmjs|crates\.io|artifactory|nexus|proxy)", re.IGNORECASE)


def imports(path: Path) -> set[str]:
    """All modules that a file imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def tracked_files() -> list[Path]:
    """What git tracks or would track: everything that is not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.splitlines() if (path := ROOT / name).is_file()]


def test_the_model_imports_no_simulator_and_nothing_of_the_test_bench() -> None:
    for path in sorted((ROOT / "model").rglob("*.py")):
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & (SIMULATOR_PACKAGES | {"tb"}), path.relative_to(ROOT)


@pytest.mark.parametrize("folder", ["tb/peers", "tb/monitors"])
def test_the_independent_judges_import_nothing_from_the_model(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        assert not {name for name in imports(path) if name.split(".")[0] == "model"}, path.relative_to(ROOT)


@pytest.mark.parametrize("path", VERILOG, ids=lambda path: path.stem)
def test_a_verilog_file_holds_one_module_of_its_name_with_a_header_and_no_implicit_nets(path: Path) -> None:
    text = path.read_text()
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    assert re.findall(r"^\s*module\s+(\w+)", code, re.MULTILINE) == [path.stem]
    assert re.search(r"^`default_nettype none$", text, re.MULTILINE)
    assert code.rstrip().endswith("`default_nettype wire")
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("`"))
    header = 0
    while first + header < len(lines) and lines[first + header].startswith("//"):
        header += 1
    assert 1 <= header <= 25, f"the header comment has {header} lines"


@pytest.mark.parametrize("path", VERILOG, ids=lambda path: path.stem)
def test_a_design_file_has_no_initial_block_no_delay_and_talks_only_in_assertions(path: Path) -> None:
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    code = re.sub(r"`ifn?def \w*(?:ASSERT|SYNTHESIS|FORMAL)\w*.*?`endif", "", code, flags=re.DOTALL)
    assert not re.search(r"^\s*initial\b|^\s*always\s+#|^\s*#\d|<=\s*#", code, re.MULTILINE)
    assert not set(re.findall(r"\$\w+", code)) - {"$clog2", "$signed", "$unsigned"}


def test_lint_waivers_are_few_have_a_reason_and_hide_nothing_that_is_a_fault() -> None:
    waivers = [
        (path.relative_to(ROOT), line.strip())
        for path in VERILOG
        for line in path.read_text().splitlines()
        if "lint_off" in line
    ]
    assert len(waivers) <= MAX_WAIVERS
    for path, line in waivers:
        assert not FORBIDDEN_WAIVERS.search(line), (path, line)
        reason = re.sub(r"/\*.*?\*/|//\s*verilator\s+lint_off\s+\w+", "", line).strip(" /")
        assert len(reason.split()) >= 3, f"{path}: give the reason on the line: {line}"


def test_the_blocks_of_the_architecture_are_modules_of_the_same_name() -> None:
    names = (
        "csr descriptor_ring completion_ring dma command_decode conn_lookup tcb_table event_arbiter tcp_engine "
        "ack_tracker rx_tracker congestion rtt_estimator timer_scan tx_scheduler send_mapper segment_builder "
        "send_completer rx_parser rx_buffer delivery_engine rx_placer"
    )
    assert not set(names.split()) - {path.stem for path in VERILOG}


def ports(block: str) -> list[tuple[str, str, str]]:
    """Direction, range and name of each port of a module of hdl/, in their order."""
    text = next(path for path in VERILOG if path.stem == block).read_text()
    code = re.sub(r"//[^\n]*", "", text)
    return re.findall(r"\b(input|output)\s+(?:wire|reg)\s*(\[[^\]]*\])?\s*(\w+)", code[: code.index("\n);")])


def test_every_congestion_control_has_the_ports_of_congestion() -> None:
    assert len(ports("congestion")) > 20
    assert ports("cubic") == ports("congestion")
    assert ports("congestion_choice") == ports("congestion")


def test_tracked_files_hold_no_path_of_a_machine_and_no_host_of_a_registry() -> None:
    faults = []
    for path in tracked_files():
        if path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATH.search(line) or REGISTRY.search(line):
                faults.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not faults, "\n".join(faults)
