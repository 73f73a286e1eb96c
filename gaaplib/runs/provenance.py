"""Where a result came from, and whether it is out of date."""

import datetime
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

RESULTS = 1
"""Raised by whoever changes what runs give; a run of another number is out of date. ``make verify`` says whether."""


def origin():
    """Where a result came from: code, versions, machine and time."""
    import keras

    from gaaplib.network import devices

    packages = ("gaaplib", "keras", "tensorflow", "jax", "torch", "numpy", "pandas", "pillow")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "results": RESULTS,
        "dirty": bool(_git("status", "--porcelain", "--", "gaaplib", "notebooks")),
        "backend": keras.backend.backend(),
        "versions": {"python": platform.python_version(), **_versions(packages)},
        "processor": _processor(),
        "cores": os.cpu_count(),
        "devices": devices.available(),
        "devices_used": devices.in_use(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def is_current(metrics):
    """Whether the content of a ``metrics.json`` is what today's code gives: of the number ``RESULTS``."""
    return metrics["provenance"].get("results") == RESULTS


def _git(*arguments):
    """Output of a git command on the library's own checkout; None where it is none."""
    command = ["git", "-C", str(Path(__file__).parents[2]), *arguments]
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
