"""The table of commands: what `make NAME` and `chimney NAME` run, which variables they take, where results lie.

Standard library only: `make help` prints it before anything is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command: a module with `main(config: RunConfig) -> int`, the exit status.

    `variables` are names of tb/variables.py. `argument` is the one of them that `chimney` also takes without its option
    (`*` behind it: several). `results` is the JSON file that the command leaves, below the root; `{device}`, `{peer}`,
    `{out}` and `{failure}` stand for what the configuration has. With `computed` the module has `result(config)`
    instead: the exit status and what the file would hold. `examples` are command lines of `chimney`.
    """

    module: str
    summary: str
    variables: str = ""
    argument: str = ""
    results: str = ""
    computed: bool = False
    examples: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The variables as a list."""
        return tuple(self.variables.split())


NETWORK = "LOSS REORDER DUP CORRUPT DELAY"
TESTS = "sim_build/test/summary.json"
COMMANDS: Mapping[str, Command] = {
    "run": Command(
        "tb.run",
        "send FILE through the device, over a bad network, and back",
        f"FILE SIZE SIM DEVICE PEER {NETWORK} SEED CONNS FAMILY DATA_W MSS MEM_LATENCY IM CUTS ECN MARK CUBIC SACK "
        "WAVES TRACE COVER OUT",
        results="{out}/summary.json",
        examples=(
            "chimney run --device model --size 64K",
            "chimney run --file LICENSE --sim icarus --data-w 64 --loss 0.05",
        ),
    ),
    "serve": Command(
        "tb.run",
        "serve FILE over HTTP through the device to curl on this machine's kernel",
        f"FILE SIZE SIM DEVICE {NETWORK} SEED FAMILY DATA_W OUT",
        results="{out}/summary.json",
        examples=("chimney serve --device model --size 256K", "chimney serve --device model --family 6"),
    ),
    "test": Command(
        "tb.testing.runner",
        "lint, then every test of tier `test`, on both simulators; with DUT the sessions on that device",
        "SIM TEST REQUIRE SEED JOBS DUT PATCH TRACE COVER",
        argument="TEST*",
        results=TESTS,
        examples=(
            "chimney test unit_fifo --sim icarus",
            "chimney test --dut docs/examples/tiny_dut --sim icarus",
            "chimney test",
        ),
    ),
    "test-all": Command(
        "tb.testing.runner",
        "the tests of every tier",
        "SIM TEST REQUIRE SEED JOBS TRACE COVER",
        argument="TEST*",
        results=TESTS,
        examples=("chimney test-all unit_dma_narrow --sim icarus",),
    ),
    "list": Command(
        "tb.listing",
        "the tests with tier, simulators and widths; sabotages; suites",
        computed=True,
        examples=("chimney list", "chimney list --json"),
    ),
    "regress": Command(
        "tb.farm.regress",
        "the RTL tests of a tier, or random contract operations, for each of SEEDS, on a farm of workers",
        "TIER SEEDS SIM TEST FILTER JOBS SUITE DEVICE OPS FAMILY TIME CLUSTER RESUME TRACE COVER",
        argument="TEST*",
        results="sim_build/regress/latest/summary.json",
        examples=(
            "chimney regress --suite contract --device model --seeds 1-2 --ops 200",
            "chimney regress transfer --seeds 1-10 --time 30m",
            "chimney regress --sim both --filter 'transfer.*icarus' --cluster slurm --jobs 32",
        ),
    ),
    "soak": Command(
        "tb.soak",
        "the main job over many seeds",
        f"SIM DATA_W SEEDS SIZE CONNS MSS {NETWORK} JOBS",
        results="sim_build/soak/summary.json",
        examples=("chimney soak --seeds 1-4 --size 64K --data-w 512 --loss 0.02",),
    ),
    "interop": Command(
        "tb.interop",
        "the main job against another TCP (PEER) over a bad network, for each of SEEDS",
        f"PEER SEEDS DEVICE SIM DATA_W SIZE {NETWORK} FAMILY JOBS",
        results="sim_build/interop/{peer}.json",
        examples=("chimney interop --peer lwip --device model --seeds 1-4 --size 64K",),
    ),
    "goodput": Command(
        "tb.goodput",
        "bulk data against gVisor's on the same bottleneck, same losses",
        "SEEDS SIZE LOSS DEVICE",
        results="sim_build/goodput.json",
        examples=("chimney goodput --device model --seeds 1-3",),
    ),
    "hostile": Command(
        "tb.hostile.run",
        "attack frames at the port beside eight good connections, and how these fare",
        "SEEDS FRAMES WHOLE DEVICE SIM DATA_W SIZE DELAY FAMILY JOBS",
        results="sim_build/hostile/{device}{attack_suffix}.json",
        examples=("chimney hostile --device model --frames 6000 --size 48K",),
    ),
    "plan": Command(
        "tb.plan",
        "which rules of the NDIS contract were exercised, where, and held",
        "SIM",
        results="sim_build/plan/plan.json",
        examples=("chimney plan",),
    ),
    "coverage": Command(
        "tb.coverage.run",
        "merge what runs have left: bins, lines, branches, toggles; holes; REQUIRE=targets",
        "REQUIRE",
        results="sim_build/coverage/summary.json",
        examples=("chimney coverage",),
    ),
    "coverage-null": Command(
        "tb.coverage.null",
        "a device without traffic must hit next to no bin",
        "SIM",
        results="sim_build/coverage/null/summary.json",
        examples=("chimney coverage-null --sim icarus",),
    ),
    "bench": Command(
        "tb.bench",
        "measure bus share, engine cycles, simulation speed",
        "SEED",
        results="sim_build/bench/bench.json",
        examples=("chimney bench --seed 1",),
    ),
    "bench-farm": Command(
        "tb.farm.bench",
        "measure what a job costs on the farm beyond itself, and what a second worker gains",
        "SEEDS SIZE SIM",
        results="sim_build/bench/farm.json",
        examples=("chimney bench-farm --seeds 1-16",),
    ),
    "farm-test": Command(
        "tb.farm.trial",
        "1000 tiny jobs while workers and the scheduler are killed: each ends exactly once",
        "SEED JOBS",
        results="sim_build/farm-test/summary.json",
        examples=("chimney farm-test --seed 1",),
    ),
    "seam": Command(
        "tb.seam",
        "upload and offload again in every state of a connection, compare, judge the wire",
        "SEED SIM JOBS FAMILY",
        results="sim_build/seam/summary.json",
        examples=("chimney seam --sim icarus",),
    ),
    "vectors": Command(
        "tb.script.run_vectors",
        "play TCP traces (JSON lines) against the device",
        "VECTORS DEVICE SIM DATA_W SEED JOBS",
        argument="VECTORS",
        results="sim_build/vectors/results.json",
        examples=("chimney vectors traces.jsonl --device model",),
    ),
    "packetdrill": Command(
        "tb.script.run_packetdrill",
        "play packetdrill scripts against the device (default: tb/packetdrill)",
        "SCRIPTS DEVICE SIM DATA_W SEED FAMILY JOBS",
        argument="SCRIPTS*",
        results="sim_build/packetdrill/results.json",
        examples=("chimney packetdrill --device model", "chimney packetdrill tb/packetdrill/sack --device model"),
    ),
    "sabotage": Command(
        "tb.sabotage.run",
        "break one line and see which check notices",
        "ID PATCH",
        argument="ID*",
        results="sim_build/sabotage/summary.json",
        examples=("chimney sabotage delivery-split-offset", "chimney sabotage --patch my.diff"),
    ),
    "nightly": Command(
        "tb.nightly.run",
        "hold the acceptance numbers, one command after the other (tb/nightly/nightly.toml)",
        "ID VECTORS",
        argument="ID*",
        results="sim_build/nightly/summary.json",
        examples=("chimney nightly seam coverage-null", "chimney nightly 'contract-*'"),
    ),
    "synth": Command(
        "tb.synth",
        "synthesize with Yosys: no latches, tables as memories",
        "DATA_W CONNS",
        results="sim_build/synth/summary.json",
        examples=("chimney synth --data-w 64 --conns 4",),
    ),
    "formal": Command(
        "tb.formal.run",
        "prove the protocol checkers and the small blocks by induction",
        "ID JOBS",
        argument="ID*",
        results="sim_build/formal/summary.json",
        examples=("chimney formal fifo skid", "chimney formal"),
    ),
    "lint": Command(
        "tb.testing.lint",
        "generated files current, ruff, mypy, Verilator -Wall",
        results="sim_build/lint/summary.json",
        examples=("chimney lint",),
    ),
    "replay": Command(
        "tb.replay",
        "run a recorded failure (default: the newest) again, exactly",
        "FAILURE WAVES MARGIN",
        argument="FAILURE",
        results="{failure}/replay/replay.json",
        examples=("chimney replay", "chimney replay sim_build/run --waves"),
    ),
    "check": Command(
        "tb.lockstep.check",
        "the six checks of lockstep on a trace (COMMITS), without a simulator",
        "COMMITS",
        argument="COMMITS",
        computed=True,
        examples=("chimney check", "chimney check sim_build/run/commits.jsonl.gz --json"),
    ),
    "waves": Command(
        "tb.wave_viewer",
        "from a failure (default: the newest) to its waves: replay, signals by block, marker at the divergence",
        "FAILURE AT MARGIN VIEW",
        argument="FAILURE",
        computed=True,
        examples=("chimney waves", "chimney waves sim_build/run --no-view", "chimney waves sim_build/run --at 1200"),
    ),
    "report": Command(
        "tb.report.command",
        "one HTML file of a run or a regression: failures, connections, plan, coverage, trend",
        "FOLDER",
        argument="FOLDER",
        computed=True,
        examples=("chimney report", "chimney report sim_build/run"),
    ),
    "doctor": Command(
        "tb.doctor",
        "what this machine has and what to install",
        computed=True,
        examples=("chimney doctor", "chimney doctor --json"),
    ),
    "docs": Command(
        "tb.docs.build",
        "build the documentation offline under sim_build/docs, its links checked",
        results="sim_build/docs/summary.json",
        examples=("chimney docs", "chimney docs --json"),
    ),
    "docs-test": Command(
        "tb.docs_test",
        "run every command of the README and docs/ in a fresh clone, compare what it prints",
        "TEST",
        argument="TEST",
        results="sim_build/docs-test/summary.json",
        examples=('chimney docs-test "make run DEVICE=model"', "chimney docs-test docs/tutorial.md"),
    ),
    "pictures": Command(
        "tb.pictures",
        "make the pictures of docs/ from real runs",
        "TEST",
        argument="TEST*",
        results="sim_build/pictures/summary.json",
        examples=("chimney pictures gtkwave",),
    ),
    "layout": Command(
        "tb.testing.layout",
        "generate includes, codecs and the reference page from the layout source",
        computed=True,
        examples=("chimney layout",),
    ),
    "clean": Command("tb.clean", "delete everything under sim_build/", computed=True, examples=("chimney clean",)),
}
