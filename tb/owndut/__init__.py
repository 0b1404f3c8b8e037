"""Somebody else's device behind the two ports: how it is named, built, asked and judged (docs/your-own-dut.md)."""
