"""The part of gpu.sh in Python: what is still to be run, and the runs themselves."""

import json
import os
import shutil
import sys
import tarfile
import time
from concurrent import futures
from contextlib import redirect_stderr, redirect_stdout
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path

SMALL = ("*.json", "history.csv", "per_*.npz")
WHEELS = ("keras", "namex", "optree")


def wheels():
    """Print the packages that travel, in the versions that are installed here."""
    print(*(f"{name}=={metadata.version(name)}" for name in WHEELS))


def pack(folder, *words):
    """Write the runs that are still to be made to ``cells.json``, most important first, and copy their images."""
    from graph import chosen

    from gaaplib.config import SYNTHETIC
    from gaaplib.paper import plan
    from gaaplib.project import outputs_folder, portable, reference_folder
    from gaaplib.runs.provenance import is_current, origin

    settings = {name: value for name, _, value in (word.partition("=") for word in words)}
    parts = settings.pop("parts", "").replace(",", " ").split()
    study, left_out = chosen(settings)
    wanted = {name: run for part in study.parts(parts).values() for name, run in part.items()}
    places = outputs_folder(), reference_folder()
    finished = {
        name for place in places for name, made in plan.done(wanted.values(), place).items() if is_current(made.metrics)
    }
    missing = {name: run for name, run in wanted.items() if name not in finished}
    folders = {path for run in missing.values() for path in (run.data, run.train_data)} - {None, SYNTHETIC}
    for path in sorted(folders):
        if Path(portable(path)).is_absolute():
            sys.exit(f"{path} is outside of this project and would have another name there: put a link to it in data/")
        shutil.copytree(path, Path(folder) / portable(path), dirs_exist_ok=True)
    cells = {"commit": origin()["commit"], "runs": [run.portable() for run in missing.values()]}
    (Path(folder) / "cells.json").write_text(json.dumps(cells, indent=1))
    print(f"{len(missing)} of {len(wanted)} runs are still to be made", *left_out, sep="\n")


def run(minutes, workers="1"):
    """Make the runs, some at once, until the minutes are over; after each, write the small files to ``small.tar``.

    None is begun that would not end in time if it took as long as the longest one so far.
    """
    cells = json.loads(Path("cells.json").read_text())
    # There is no git repository here, so the runs are told what they are made with.
    os.environ["GAAP_COMMIT"] = cells["commit"] or ""
    end, longest, left, begun = time.monotonic() + 60 * float(minutes), 0.0, list(cells["runs"]), {}
    with futures.ProcessPoolExecutor(int(workers), mp_context=get_context("spawn")) as pool:
        while begun or left:
            while left and len(begun) < int(workers) and time.monotonic() + longest < end:
                begun[pool.submit(made, left.pop(0))] = time.monotonic()
            if not begun:
                break
            for finished in futures.wait(begun, return_when=futures.FIRST_COMPLETED).done:
                longest = max(longest, time.monotonic() - begun.pop(finished))
                print(finished.result(), f"{end - time.monotonic():.0f} s left", flush=True)
                collect()


def made(values):
    """Make one run, which writes its progress to ``logs``, and return what came out; an error is an answer, too."""
    from gaaplib import experiment
    from gaaplib.config import RunConfig, completed

    config = RunConfig(**completed(values))
    Path("logs").mkdir(exist_ok=True)
    with open(f"logs/{config.run_id}.txt", "w", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        try:
            found = experiment.run(config, outputs="outputs", verbose=2).metrics
        except Exception as error:  # The other runs go on.
            return f"{config.run_id}: {type(error).__name__}: {error}"
    scores = {"training accuracy": found["train_accuracy"], "mAP": (found["retrieval"] or {}).get("mAP")}
    return f"{config.run_id}: {found['status']}, {scores}, {found['provenance']['seconds']}"


def collect():
    """Write the small files of all finished runs to ``small.tar``."""
    finished = [path.parent for path in sorted(Path("outputs/runs").glob("*/metrics.json"))]
    with tarfile.open("small.tar", "w") as archive:
        for folder in finished:
            for path in sorted(path for pattern in SMALL for path in folder.glob(pattern)):
                archive.add(path, arcname=f"{folder.name}/{path.name}")


if __name__ == "__main__":
    {"wheels": wheels, "pack": pack, "run": run}[sys.argv[1]](*sys.argv[2:])
