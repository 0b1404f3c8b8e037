"""summary.json of a run: the keys that scripts read, from the session and from the scoreboard."""

from __future__ import annotations

import subprocess
from typing import Any

from tb.config import ROOT, RunConfig
from tb.session.transfer import Transfer

SCHEMA = 1


def commit_id() -> str:
    """The commit of the tree, "-dirty" behind it when files differ; "unknown" outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=ROOT, capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def empty(config: RunConfig) -> dict[str, Any]:
    """A summary of a run that has not finished: every key, ``complete`` false."""
    return {
        "schema": SCHEMA,
        "commit": commit_id(),
        "complete": False,
        "seed": config.seed,
        "simulator": config.sim if config.device == "rtl" else None,
        "simulator_version": None,
        "device": config.device,
        "data_w": config.data_w,
        "connections": config.conns,
        "bytes_sent": 0,
        "bytes_received": 0,
        "sha256_sent": None,
        "sha256_peer": None,
        "sha256_received": None,
        "cycles": 0,
        "ticks": 0,
        "segments_tx": 0,
        "segments_rx": 0,
        "retransmissions": 0,
        "timeouts": 0,
        "commits_compared": 0,
        "frames_compared": 0,
        "completions_compared": 0,
        "host_bytes_compared": 0,
        "divergences": None if config.device == "model" else 0,
        "resyncs": 0,
        "masked_fields": [],
        "impairments": {},
        "completions": {},
        "liveness": {},
        "capture": None,
        "setup_seconds": 0.0,
        "build_seconds": 0.0,
        "sim_seconds": 0.0,
        "problems": [],
    }


def of_transfer(transfer: Transfer, tick: int) -> dict[str, Any]:
    """What a finished session adds."""
    sums = transfer.sums()
    network = transfer.network
    return {
        "bytes_sent": len(transfer.data),
        "bytes_received": len(transfer.received_data()),
        "sha256_sent": sums.sent,
        "sha256_peer": sums.peer,
        "sha256_received": sums.received,
        "ticks": tick,
        "segments_tx": network.sent,
        "segments_rx": network.received,
        "retransmissions": network.retransmissions,
        "timeouts": network.timeouts,
        "impairments": {name: i.counts.as_dict() for name, i in network.impairments.items()},
        "capture": None if network.capture_verdict is None else network.capture_verdict.as_dict(),
        "completions": {kind: dict(counts) for kind, counts in transfer.host.completions.items()},
    }


def verdict(transfer: Transfer) -> list[str]:
    """Why the session failed, one line each; empty if it is byte-exact and nothing complains."""
    problems = transfer.problems()
    if not transfer.done:
        problems.append("the session did not come to its end")
    sums = transfer.sums()
    if not sums.agree:
        problems.append(f"the three sums differ: sent {sums.sent}, peer {sums.peer}, received {sums.received}")
    return problems
