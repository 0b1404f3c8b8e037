"""NDIS side of the golden model: lists, offload state, host stack, host and miniport driver."""
