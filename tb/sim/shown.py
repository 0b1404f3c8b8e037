"""Builds with what they do on the terminal, for commands that build before they begin."""

from __future__ import annotations

from tb.progress import alone
from tb.sim.build import BuildResult, build
from tb.sim.spec import SimSpec


def build_shown(spec: SimSpec) -> BuildResult:
    """`build`, with a line at its begin and its progress; BuildError as there."""
    with alone("build", f"{spec.top} with {spec.tool.label}"):
        return build(spec, say=print)
