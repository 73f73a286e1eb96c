"""A one-machine SLURM on loopback, from Debian's packages `slurm-wlm` and `munge`, that is stopped after the test."""

import contextlib
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).parent
# The executor removes SLURM_CONF from its jobs' environment, so the files have to be in SLURM's default folder.
ETC = Path("/etc/slurm")
MARK = "ClusterName=gaaptest"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")


def trouble():
    """Return why SLURM cannot be started here, as text; None if it can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not found: on Debian, apt install slurm-wlm munge"
    if os.geteuid():
        return "root is needed: slurmd starts jobs"
    if (ETC / "slurm.conf").exists() and MARK not in (ETC / "slurm.conf").read_text():
        return f"{ETC / 'slurm.conf'} belongs to another cluster: the test does not touch it, use another machine"
    return None


@contextlib.contextmanager
def cluster(state):
    """Start SLURM, and stop it at the end together with its running jobs.

    Args:
        state: folder for its state and logs.
    """
    for name in ("state", "spool", "log"):
        (state / name).mkdir(parents=True)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    filled = {"STATE": state, "HOSTNAME": platform.node(), "CPUS": os.cpu_count(), "MEMORY": memory * 9 // 10}
    text = (HERE / "slurm.conf").read_text()
    for name, value in filled.items():
        text = text.replace(f"@{name}@", str(value))
    with contextlib.ExitStack() as stack:
        written = [ETC / "slurm.conf", ETC / "gres.conf"]
        for file, content in zip(written, (text, (HERE / "gres.conf").read_text()), strict=True):
            stack.callback(file.unlink)
            file.write_text(content)
        if subprocess.run(["munge", "-n"], capture_output=True).returncode:
            os.makedirs("/run/munge", exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            stack.enter_context(running("munged", "--foreground", user="munge"))
        stack.enter_context(running("slurmctld", "-D"))
        stack.enter_context(running("slurmd", "-D", "-N", "localhost"))
        wait(lambda: "idle" in output("sinfo", "--noheader", "--format=%T"), 60)
        stack.callback(wait, lambda: not output("squeue", "--noheader"), 60)
        stack.callback(subprocess.run, ["scancel", "--user=root"])
        yield


@contextlib.contextmanager
def running(*command, user=None):
    """Run a daemon until the block ends."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen(command, user=user, group=user, extra_groups=[] if user else None, **quiet)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def output(*command):
    """Return the output of a command."""
    return subprocess.run(command, capture_output=True, text=True).stdout


def wait(condition, seconds):
    """Wait until the condition holds, at most this many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{seconds} s are over"
        time.sleep(0.5)
