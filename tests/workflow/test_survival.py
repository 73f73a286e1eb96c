"""A real run on a full disk fails with a clear message, and the same command finishes it once there is room."""

import subprocess
import sys

import pytest

from gaaplib.config import RunConfig
from gaaplib.runs import Run

# In its own namespaces, so that the disk is removed automatically and root is not needed.
SCRIPT = """
set -e
mount -t tmpfs -o size=24m tmpfs "$1"
if "$2" -c "$3" "$1" > "$4/first" 2>&1; then echo "it fitted"; exit 1; fi
ls "$1/runs/$5" > "$4/left"
mount -o remount,size=600m "$1"
"$2" -c "$3" "$1" > "$4/second" 2>&1
cp -r "$1/runs/$5" "$4/run"
"""
PROGRAM = """
import sys
from gaaplib import experiment
from gaaplib.config import RunConfig
experiment.run(RunConfig("smoke"), outputs=sys.argv[1])
"""


def test_a_full_disk_is_reported_and_the_same_command_resumes_when_it_is_not(tmp_path):
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here")
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    kept.mkdir()
    run_id = RunConfig("smoke").run_id
    command = [*unshare, "bash", "-c", SCRIPT, "bash", disk, sys.executable, PROGRAM, kept, run_id]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "No space left on device" in (kept / "first").read_text()
    assert "metrics.json" not in (kept / "left").read_text()
    run = Run(kept / "run")
    assert run.is_done() and run.metrics["status"] == "done"
    assert not run.checkpoint.exists()
    assert run.model().count_params() > 10_000_000
