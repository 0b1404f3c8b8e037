"""Sizes of the device: the parameters of hdl/chimney.v that its behaviour depends on."""

from __future__ import annotations

from dataclasses import dataclass

RX_BUFFER_BITS = 65536 * 8
CQ_RESERVE = 8
"""Entries of the completion ring kept for indications: no descriptor is read that would leave fewer."""
SQ_BATCH = 4
"""Descriptors that the device reads at once at most; the ring has room for all of them, or none is read."""

BACKED_UP = 64
"""Unfinished pieces behind a full completion ring from which on text is refused (tcp_step C.12)."""
RAW_WAITING = 16
"""Raw entries that may wait for a full completion ring; a raw frame behind them is dropped (hostport)."""


@dataclass(frozen=True)
class DeviceConfig:
    """Table sizes (entries), bus width (bits)."""

    conns: int = 64
    data_w: int = 512
    sends: int = 16
    recvs: int = 16
    pool_bufs: int = 1024
    raw_bufs: int = 64
    paths: int = 8
    neighbors: int = 8
    tx_slots: int = 4
    rx_frames: int = 256
    ooo_ranges: int = 8

    @property
    def lanes(self) -> int:
        """Bytes of a bus word."""
        return self.data_w // 8

    @property
    def rx_beats(self) -> int:
        """Depth of the receive buffer in beats."""
        return RX_BUFFER_BITS // self.data_w
