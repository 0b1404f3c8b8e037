"""Traces of what lockstep sees (docs/trace-format.md): written beside a live run, checked without a simulator."""
