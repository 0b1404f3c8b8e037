"""The golden model: NDIS, device, engines and wire; nothing of a simulator."""
