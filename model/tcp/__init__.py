"""The TCP step of the golden model: docs/contract/tcp_step.md as pure functions."""
