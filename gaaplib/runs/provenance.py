"""The origin of a result, and whether it is out of date."""

import datetime
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from gaaplib import threads

RESULTS = 2
"""Raise this number if a change of the code changes what runs give; ``make verify`` shows whether it does.

A run with another number is out of date.
"""


def origin():
    """A dict of what a result came from: commit, results number, versions, machine, threads and time."""
    import keras

    from gaaplib.network import devices

    packages = ("gaaplib", "keras", "tensorflow", "jax", "torch", "numpy", "pandas", "pillow")
    return {
        # Without a checkout, GAAP_COMMIT may say what was copied: `workflow/gpu.sh` sets it.
        "commit": _git("rev-parse", "HEAD") or os.environ.get("GAAP_COMMIT"),
        "results": RESULTS,
        "dirty": bool(_git("status", "--porcelain", "--", "gaaplib", "notebooks")),
        "backend": keras.backend.backend(),
        "versions": {"python": platform.python_version(), **_versions(packages)},
        "processor": _processor(),
        "cores": threads.cores(),
        "threads": threads.count(),
        "devices": devices.available(),
        "devices_used": devices.in_use(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def threads_of(metrics):
    """The number of threads that a run was made with; one per core in older runs, which do not say it."""
    origin = metrics["provenance"]
    return origin.get("threads") or origin["cores"]


def is_current(metrics):
    """Whether a run is up to date: the content of its ``metrics.json`` has the number ``RESULTS``."""
    return metrics["provenance"].get("results") == RESULTS


def _git(*arguments):
    """Output of a git command on the library's own checkout; None if this is none."""
    checkout = Path(__file__).parents[2]
    # An installed package may lie in an environment within somebody's own repository.
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _versions(packages):
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor():
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
