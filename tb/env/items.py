"""Sequence items: an NDIS call, a frame, a register access."""

from __future__ import annotations

from pyuvm import uvm_sequence_item

from model.ndis.calls import NdisCall


class NdisItem(uvm_sequence_item):  # type: ignore[misc]  # pyuvm is untyped
    """One downward NDIS call on its way to the miniport driver."""

    def __init__(self, name: str = "ndis", call: NdisCall | None = None) -> None:
        super().__init__(name)
        self.call = call

    def describe(self) -> str:
        """What the item is, for logs."""
        return "empty" if self.call is None else self.call.name


class FrameItem(uvm_sequence_item):  # type: ignore[misc]  # pyuvm is untyped
    """One frame for the device's receive port; ``gap`` is idle cycles in front of it."""

    def __init__(self, name: str = "frame", data: bytes = b"", gap: int = 0) -> None:
        super().__init__(name)
        self.data = data
        self.gap = gap


class RegisterItem(uvm_sequence_item):  # type: ignore[misc]  # pyuvm is untyped
    """One register access; a read leaves its result in ``value``."""

    def __init__(self, name: str = "register", offset: int = 0, value: int = 0, write: bool = True) -> None:
        super().__init__(name)
        self.offset = offset
        self.value = value
        self.write = write
