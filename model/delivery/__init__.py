"""The delivery step of the golden model: docs/contract/delivery_step.md as pure functions."""
