"""UVM agents: host (NDIS calls), wire (frames) and registers. Each is sequencer, driver and, on the wire, monitor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyuvm import ConfigDB, uvm_agent, uvm_analysis_port, uvm_component, uvm_driver, uvm_sequencer

from model.ndis.calls import NdisCall
from tb.env.items import NdisItem, RegisterItem
from tb.sim.ports import FrameDriver, FrameMonitor, Registers


class NdisDriver(uvm_driver):  # type: ignore[misc]  # pyuvm is untyped
    """Carries NDIS calls to the miniport. ``execute`` comes from the configuration database."""

    def build_phase(self) -> None:
        self.calls = 0

    async def run_phase(self) -> None:
        while True:
            item = await self.seq_item_port.get_next_item()
            self.drive(item)
            self.seq_item_port.item_done()

    def drive(self, item: NdisItem) -> None:
        """Make the call that the item carries."""
        if item.call is None:
            raise ValueError("an NdisItem without a call reached the driver: randomise or fill it in the sequence")
        execute: Callable[[NdisCall], None] = ConfigDB().get(self, "", "execute")
        self.calls += 1
        execute(item.call)


class HostAgent(uvm_agent):  # type: ignore[misc]  # pyuvm is untyped
    """The way down from the host stack."""

    def build_phase(self) -> None:
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = NdisDriver.create("driver", self)

    def connect_phase(self) -> None:
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)


class WireDriver(uvm_driver):  # type: ignore[misc]  # pyuvm is untyped
    """Plays frame items into the device. The register of the transactor is the only hand-over."""

    def build_phase(self) -> None:
        self.bus: FrameDriver | None = None
        self.frames = 0

    def start_of_simulation_phase(self) -> None:
        self.bus = FrameDriver(ConfigDB().get(self, "", "dut"))

    async def run_phase(self) -> None:
        bus = self.bus
        if bus is None:
            raise RuntimeError("the wire driver runs before start of simulation")
        while True:
            item = await self.seq_item_port.get_next_item()
            await bus.send((item.data, item.gap))
            self.frames += 1
            self.seq_item_port.item_done()


class WireMonitorComponent(uvm_component):  # type: ignore[misc]  # pyuvm is untyped
    """Publishes every transmitted frame."""

    def build_phase(self) -> None:
        self.port = uvm_analysis_port("port", self)
        self.bus: FrameMonitor | None = None

    def start_of_simulation_phase(self) -> None:
        self.bus = FrameMonitor(ConfigDB().get(self, "", "dut"), self.port.write)


class WireAgent(uvm_agent):  # type: ignore[misc]  # pyuvm is untyped
    """The MAC side of the device."""

    def build_phase(self) -> None:
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = WireDriver.create("driver", self)
        self.monitor = WireMonitorComponent.create("monitor", self)

    def connect_phase(self) -> None:
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)


class RegisterDriver(uvm_driver):  # type: ignore[misc]  # pyuvm is untyped
    """AXI4-Lite accesses through cocotb-bus."""

    def start_of_simulation_phase(self) -> None:
        self.bus = Registers(ConfigDB().get(self, "", "dut"))

    async def run_phase(self) -> None:
        while True:
            item: RegisterItem = await self.seq_item_port.get_next_item()
            if item.write:
                await self.bus.write(item.offset, item.value)
            else:
                item.value = await self.bus.read(item.offset)
            self.seq_item_port.item_done()


class RegisterAgent(uvm_agent):  # type: ignore[misc]  # pyuvm is untyped
    """The register port."""

    def build_phase(self) -> None:
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = RegisterDriver.create("driver", self)

    def connect_phase(self) -> None:
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)


def component_path(component: Any) -> str:
    """Full name of a component, for messages."""
    return str(component.get_full_name())
