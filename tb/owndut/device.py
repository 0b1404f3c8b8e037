"""A device of somebody else: a folder with Verilog files and `dut.toml`."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.ndis.miniport import DriverConfig
from model.ndis.miniport_io import DeviceLimits
from tb.config import DATA_WIDTHS, ROOT, ConfigError
from tb.patches import apply_patch
from tb.sim.spec import HDL, TRANSACTORS, SimSpec, header_folders, needed_sources
from tb.sim.tools import Tool

DESCRIPTION = "dut.toml"
#: The macro that puts a device in the place of chimney in tb/hdl/tb_top.v.
MACRO = "OWN_DUT"
#: Parameter CONNS of the bench: idle ticks are this and 16 cycles apart (tb/hdl/tick_gen.v).
TICK_CONNS = 4
#: Keys of the table `driver`, with what holds without them.
DRIVER_KEYS = {"conns": 64, "sends": 16, "receives": 16, "pool_bufs": 1024, "raw_bufs": 64}
#: Entries of the completion ring, log2: enough for every buffer of the driver.
CQ_LOG2 = 12


@dataclass(frozen=True)
class OwnDevice:
    """What `dut.toml` says. ``data_w`` in bits; the rest are counts, as the driver must know them."""

    folder: Path
    top: str
    data_w: int
    conns: int
    sends: int
    receives: int
    pool_bufs: int
    raw_bufs: int

    @staticmethod
    def load(folder: Path) -> OwnDevice:
        """Read a folder's description; raises ConfigError naming what is wrong in it."""
        path = folder / DESCRIPTION
        if not path.is_file():
            raise ConfigError(f"there is no {DESCRIPTION} in this folder", f"DUT={folder}", "docs/your-own-dut.md")
        try:
            found: dict[str, Any] = tomllib.loads(path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"it cannot be read: {error}", str(path), "docs/your-own-dut.md shows one") from error
        top, data_w, driver = found.pop("top", None), found.pop("data_w", None), found.pop("driver", {})
        unknown = sorted(found) + sorted(set(driver) - set(DRIVER_KEYS))
        if unknown:
            raise ConfigError(f"there is no key {unknown[0]!r}", str(path), "docs/your-own-dut.md lists them")
        if not isinstance(top, str) or data_w not in DATA_WIDTHS:
            raise ConfigError("top and data_w are needed", str(path), f"data_w is one of {DATA_WIDTHS}")
        wrong = [key for key, value in driver.items() if not isinstance(value, int) or value < 1]
        if wrong:
            raise ConfigError(f"driver.{wrong[0]} is no number from 1 on", str(path), "give how many there are")
        if not any(source.stem == top for source in folder.glob("*.v")):
            raise ConfigError(f"there is no {top}.v", str(folder), "one module a file, named as the module")
        return OwnDevice(folder=folder, top=top, data_w=data_w, **{**DRIVER_KEYS, **driver})

    def spec(self, tool: Tool, build_root: Path = ROOT / "sim_build", *, waves: bool = False) -> SimSpec:
        """The device in the test bench, built by ``tool``."""
        bench = (*sorted(TRANSACTORS.glob("*.v")), *sorted((TRANSACTORS / "checkers").glob("*.v")))
        own = tuple(sorted(self.folder.glob("*.v")))
        return SimSpec(
            tool=tool,
            sources=(*needed_sources(bench, "tb_top"), *own),
            includes=(*header_folders(HDL), TRANSACTORS, self.folder),
            parameters={"DATA_W": self.data_w, "CONNS": TICK_CONNS, "MEM_BYTES": 32 << 20},
            defines={MACRO: self.top, **({"WAVES": "1"} if waves else {})},
            waves=waves,
            build_root=build_root,
        )

    def driver(self) -> DriverConfig:
        """How the miniport driver is set up for it."""
        limits = DeviceLimits(sends=self.sends, receives=self.receives)
        return DriverConfig(
            conns=self.conns, limits=limits, pool_bufs=self.pool_bufs, raw_bufs=self.raw_bufs, cq_log2=CQ_LOG2
        )


def patched(device: OwnDevice, patch: Path, into: Path) -> OwnDevice:
    """A copy of the device at ``into`` with a diff applied; paths in the diff are those of the folder's files."""
    if not patch.is_file():
        raise ConfigError("the patch does not exist", f"PATCH={patch}", "give the path of a diff")
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(device.folder, into)
    apply_patch(patch, into, "make it against DUT")
    return OwnDevice.load(into)
