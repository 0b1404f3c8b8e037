"""The farm on Slurm: with the commands of Slurm played by scripts, and on a real one-node Slurm where there is one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import dask_jobqueue  # noqa: F401 - its defaults are there before the settings of a test
import pytest

from tb.config import RunConfig
from tb.contract import regress as contract
from tb.farm import cluster
from tb.farm.cluster import FarmError, SlurmCluster, missing_slurm
from tb.farm.farm import Farm
from tb.farm.job import FarmJob
from tb.tests.model.test_config_errors import PATIENCE, alive
from tb.tests.model.test_farm import jobs_of

#: sbatch runs the script at once and says the number of its session; scancel ends that.
SBATCH = '#!/bin/sh\nsetsid sh -c "$(cat "$1")" >{log} 2>&1 &\necho "$!" >>{pids}\necho "Submitted batch job $!"\n'
SCANCEL = '#!/bin/sh\nfor job; do kill -9 -- "-$job"; done\n'
CONFIGURATION = """
ClusterName=chimney
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
NodeName={host} CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def outcomes(jobs: list[FarmJob], logs: Path) -> dict[str, int | None]:
    """The statuses of jobs that one Slurm job ran."""
    settings = {"jobqueue.slurm.memory": "1GiB", "jobqueue.slurm.interface": "lo"}
    with dask.config.set(settings):
        ended = list(Farm(SlurmCluster(1, logs, alone=PATIENCE), say=lambda _: None).run(jobs))
    return {one.job.id: one.outcome.status if one.outcome else None for one in ended}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Slurm of this machine alone, with a key, ports and folders of its own; where its logs lie."""
    lack = missing_slurm()
    if lack is not None:
        pytest.skip(lack)
    if os.getuid() != 0:
        pytest.skip("no-slurm: its daemons need root")
    ports = []
    for _ in range(2):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
    for name in ("state", "spool"):
        (tmp_path / name).mkdir()
    (tmp_path / "munge.key").write_bytes(os.urandom(1024))
    (tmp_path / "munge.key").chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    (tmp_path / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=tmp_path, ports=ports))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log",
             "seed-file": "munge.seed"}  # fmt: skip
    commands = (
        ["munged", "--foreground", "--force", *(f"--{name}={tmp_path / file}" for name, file in files.items())],
        ["slurmctld", "-D", "-c"],
        ["slurmd", "-D", "-N", host],
    )
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            running.append(subprocess.Popen(command, start_new_session=True))
            time.sleep(1)
        deadline = time.monotonic() + PATIENCE
        while "idle" not in subprocess.run(["sinfo", "-h"], capture_output=True, text=True, check=False).stdout:
            assert time.monotonic() < deadline, [path.read_text() for path in tmp_path.glob("slurm*.log")]
            time.sleep(0.5)
        yield tmp_path
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def test_jobs_run_on_a_one_node_slurm(slurm: Path, tmp_path: Path) -> None:
    assert outcomes(jobs_of(tmp_path, 0, 1, 0), slurm / "farm") == {"j0": 0, "j1": 1, "j2": 0}
    left = subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout
    assert left == "" or " CG " in left  # none but those that are completing


def test_workers_come_through_sbatch_and_go_through_scancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools, pids = tmp_path / "bin", tmp_path / "pids"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH.format(log=tmp_path / "worker.log", pids=pids)), ("scancel", SCANCEL)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert missing_slurm(client_only=True) is None
    assert outcomes(jobs_of(tmp_path, 0, 1, 0), tmp_path / "farm") == {"j0": 0, "j1": 1, "j2": 0}
    started = {int(word) for word in pids.read_text().split()}
    assert len(started) == 1
    deadline = time.monotonic() + PATIENCE
    while alive(started):
        assert time.monotonic() < deadline
        time.sleep(0.05)


#: sbatch of a machine without a Slurm; one that takes one job.
REFUSES = "#!/bin/sh\necho 'sbatch: error: Unable to contact slurm controller' >&2\nexit 3\n"
ONCE = "#!/bin/sh\nif mkdir {once} 2>/dev/null; then\n{accepts}else\n{refuses}fi\n"


def commands(folder: Path, monkeypatch: pytest.MonkeyPatch, sbatch: str) -> None:
    """Put an sbatch and a scancel before those of the machine."""
    folder.mkdir()
    for name, text in (("sbatch", sbatch), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def test_an_sbatch_that_refuses_ends_the_farm_with_its_status_and_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    commands(tmp_path / "bin", monkeypatch, REFUSES)
    settings = {"jobqueue.slurm.memory": "1GiB", "jobqueue.slurm.interface": "lo"}
    words = "Slurm takes no job: sbatch ended with status 3: sbatch: error: Unable to contact slurm controller"
    started = time.monotonic()
    with dask.config.set(settings), pytest.raises(FarmError) as refused:
        list(Farm(SlurmCluster(2, tmp_path / "farm"), say=lambda _: None).run(jobs_of(tmp_path, 0)))
    assert str(refused.value) == words
    assert time.monotonic() - started < PATIENCE
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err


def test_an_sbatch_that_never_answers_ends_the_farm_and_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    commands(tmp_path / "bin", monkeypatch, f"#!/bin/sh\necho $$ >>{pids}\nexec sleep 600\n")
    monkeypatch.setattr(cluster, "ANSWER", 1.0)
    settings = {"jobqueue.slurm.memory": "1GiB", "jobqueue.slurm.interface": "lo"}
    words = "Slurm takes no job: sbatch gave no answer for 1 s"
    started = time.monotonic()
    with dask.config.set(settings), pytest.raises(FarmError, match=words):
        list(Farm(SlurmCluster(2, tmp_path / "farm"), say=lambda _: None).run(jobs_of(tmp_path, 0)))
    assert time.monotonic() - started < PATIENCE
    deadline = time.monotonic() + PATIENCE
    started_by_farm = {int(pid) for pid in pids.read_text().split()}
    assert started_by_farm
    while alive(started_by_farm):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_sbatch_that_takes_one_job_of_two_leaves_a_farm_of_one_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    accepts = SBATCH.format(log=tmp_path / "worker.log", pids=tmp_path / "pids").partition("\n")[2]
    refuses = REFUSES.partition("\n")[2]
    commands(tmp_path / "bin", monkeypatch, ONCE.format(once=tmp_path / "once", accepts=accepts, refuses=refuses))
    settings = {"jobqueue.slurm.memory": "1GiB", "jobqueue.slurm.interface": "lo"}
    monkeypatch.setattr(cluster, "LOOK", 0.2)
    with dask.config.set(settings):
        farm = Farm(SlurmCluster(2, tmp_path / "farm", alone=PATIENCE), say=lambda _: None)
        ended = list(farm.run(jobs_of(tmp_path, 0, 1, 0)))
    assert {one.job.id: one.outcome and one.outcome.status for one in ended} == {"j0": 0, "j1": 1, "j2": 0}
    assert capsys.readouterr().out.count("Slurm takes 1 of 2 jobs: sbatch ended with status 3: ") == 1


def test_random_contract_operations_end_when_slurm_takes_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands(tmp_path / "bin", monkeypatch, REFUSES)
    monkeypatch.setattr(contract, "OUT", tmp_path / "regress")
    given = {"SUITE": "contract", "DEVICE": "model", "SEEDS": "1-2", "OPS": "5", "CLUSTER": "slurm"}
    settings = {"jobqueue.slurm.memory": "1GiB", "jobqueue.slurm.interface": "lo"}
    with dask.config.set(settings):
        assert contract.main(RunConfig.from_environment("regress", given)) == 1
    said = capsys.readouterr().out
    assert "error: Slurm takes no job: sbatch ended with status 3: " in said
    assert "0 of 2 seeds passed" in said


def test_a_slurm_that_starts_no_worker_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("sbatch", "#!/bin/sh\necho Submitted batch job 1\n"), ("scancel", "#!/bin/sh\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    settings = {"jobqueue.slurm.memory": "1GiB", "jobqueue.slurm.interface": "lo"}
    with dask.config.set(settings), pytest.raises(FarmError, match="Slurm gave no worker for 1 s"):
        list(Farm(SlurmCluster(1, tmp_path / "farm", alone=1.0), say=lambda _: None).run(jobs_of(tmp_path, 0)))
