"""Programs of the benchmarks that run in another Python interpreter, the one that has PyTorch."""

import json
import site
import subprocess
import sys
from pathlib import Path

import click

FOLDER = Path(__file__).resolve().parent
# Runs a program with further folders behind those where its interpreter looks for packages.
RUN = """
import runpy, sys
_, program, settings, *folders = sys.argv
sys.path += folders
sys.argv = [program, settings]
runpy.run_path(program, run_name="__main__")
"""


def command(python, program, settings):
    """Return the command that runs a program of this folder; packages that ``python`` lacks are taken from this one."""
    folders = [str(FOLDER), str(FOLDER.parent), *site.getsitepackages()]
    return [str(python), "-c", RUN, str(FOLDER / program), json.dumps(settings), *folders]


def check_torch(python, *packages):
    """Refuse an interpreter without PyTorch and these packages, or of another version than this one."""
    code = f"import sys, {', '.join(['torch', *packages])}; print(*sys.version_info[:2], sep='.')"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or ["no message"])[-1]
        wanted = " ".join(["torch", *packages])
        raise click.UsageError(f"--torch-python {python} is not usable ({reason}): run pip install {wanted} there")
    theirs, ours = asked.stdout.strip(), "{}.{}".format(*sys.version_info)
    if theirs != ours:
        raise click.UsageError(f"--torch-python {python} is Python {theirs}: give one of {ours}, as this one is")
