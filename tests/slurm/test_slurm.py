"""The graph on a real SLURM: its driver is killed, the documented steps are followed, and every run is made once.

Not part of `make test`: `make test-slurm` runs it as root, which takes some minutes.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from slurm import cluster

PROJECT = Path(__file__).parents[2]
PROFILE = PROJECT / "workflow" / "profiles" / "slurm" / "config.yaml"
GRAPH = PROJECT / "workflow" / "graph.py"
SNAKEMAKE = [Path(sys.executable).with_name("snakemake"), "--snakefile", PROJECT / "workflow" / "Snakefile"]
SETTINGS = ["--parts", "matrix", "profile=smoke", "backbones=resnet18", "datasets=market1501", "gpus=1"]
SMALLER = {"mem_mb=16000": "mem_mb=3000", "cpus_per_task=4": "cpus_per_task=1", "-checks: 10": "-checks: 3"}

pytestmark = pytest.mark.skipif("GAAP_SLURM" not in os.environ, reason="starts a SLURM; make test-slurm runs it")


@pytest.fixture
def profile(tmp_path):
    """The project's profile with limits for a small machine."""
    text = PROFILE.read_text()
    for large, small in SMALLER.items():
        assert large in text
        text = text.replace(large, small)
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").write_text(text)
    return tmp_path / "profile"


def jobs(*states):
    """Return (state, comment) of each job from squeue, which remembers them; the comment names the run."""
    lines = cluster.output(
        "squeue", "--noheader", f"--states={','.join(states) or 'all'}", "--format=%T %k"
    ).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines]


def finished(outputs, runs):
    """Return the time at which each finished run was finished."""
    files = {run_id: outputs / "runs" / run_id / "metrics.json" for run_id in runs}
    return {run_id: file.stat().st_mtime_ns for run_id, file in files.items() if file.exists()}


def test_every_run_is_made_once_whatever_kills_the_driver(outputs, profile, tmp_path):
    assert cluster.trouble() is None, cluster.trouble()
    subprocess.run([sys.executable, GRAPH, "plan", *SETTINGS], check=True)
    graph = outputs / "cache" / "plan.json"
    runs = json.loads(graph.read_text())["parts"]["matrix"]
    command = [*SNAKEMAKE, "--workflow-profile", profile, "--directory", outputs, "--configfile", graph]
    with cluster.cluster(tmp_path / "slurm"):
        driver = subprocess.Popen([*command, "--", "matrix"])
        cluster.wait(lambda: driver.poll() is not None or finished(outputs, runs), 600)
        assert driver.poll() is None, "it ended before it could be killed"
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        before = finished(outputs, runs)
        assert len(before) < len(runs), "nothing was left to recover"

        # As workflow/README.md says.
        (name,) = set(cluster.output("squeue", "--me", "--noheader", "--format=%j").split())
        subprocess.run(["scancel", "--name", name], check=True)
        cluster.wait(lambda: not jobs("PENDING", "RUNNING", "COMPLETING"), 120)
        before |= finished(outputs, runs)
        subprocess.run([*command, "--", "matrix"], check=True)

        after = finished(outputs, runs)
        assert sorted(after) == sorted(runs)
        assert before.items() <= after.items(), "a finished run was made again"
        print(*jobs(), sep="\n")
        # Unfinished runs had a second job.
        assert len(jobs()) == len(runs) + len(runs) - len(before)
        assert set(Counter(comment for state, comment in jobs() if state == "COMPLETED").values()) == {1}
        given = cluster.output("squeue", "--states=all", "--noheader", "--Format=tres-per-job:40")
        assert set(given.split()) == {"gres:gpu:1"}

        notebook = outputs / "notebooks" / "08_sota_comparison.ipynb"
        subprocess.run([*command, "--allowed-rules", "notebook", "--", notebook], check=True)
        assert notebook.exists()
