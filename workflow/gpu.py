"""The part of gpu.sh in Python: what is still to be run, and the runs themselves."""

import json
import shutil
import sys
import tarfile
import time
from importlib import metadata
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
    from gaaplib.project import outputs_folder, portable, project_folder
    from gaaplib.runs.provenance import is_current

    settings = {name: value for name, _, value in (word.partition("=") for word in words)}
    parts = settings.pop("parts", "").replace(",", " ").split()
    study, left_out = chosen(settings)
    wanted = {name: run for part in study.parts(parts).values() for name, run in part.items()}
    places = outputs_folder(), project_folder() / "outputs" / "reference"
    finished = {
        name for place in places for name, made in plan.done(wanted.values(), place).items() if is_current(made.metrics)
    }
    missing = {name: run for name, run in wanted.items() if name not in finished}
    folders = {path for run in missing.values() for path in (run.data, run.train_data)} - {None, SYNTHETIC}
    for path in sorted(folders):
        if Path(portable(path)).is_absolute():
            sys.exit(f"{path} is outside of this project and would have another name there: put a link to it in data/")
        shutil.copytree(path, Path(folder) / portable(path), dirs_exist_ok=True)
    cells = [run.portable() for run in missing.values()]
    (Path(folder) / "cells.json").write_text(json.dumps(cells, indent=1))
    print(f"{len(cells)} of {len(wanted)} runs are still to be made", *left_out, sep="\n")


def run(minutes):
    """Make one run after another until the minutes are over; after each, write the small files to ``small.tar``."""
    from gaaplib import experiment
    from gaaplib.config import RunConfig, completed

    end = time.monotonic() + 60 * float(minutes)
    for values in json.loads(Path("cells.json").read_text()):
        if time.monotonic() > end:
            break
        made = experiment.run(RunConfig(**completed(values)), outputs="outputs", verbose=2)
        print(made.folder.name, made.metrics["status"], made.metrics["provenance"]["seconds"], flush=True)
        collect()


def collect():
    """Write the small files of all finished runs to ``small.tar``."""
    finished = [path.parent for path in sorted(Path("outputs/runs").glob("*/metrics.json"))]
    with tarfile.open("small.tar", "w") as archive:
        for folder in finished:
            for path in sorted(path for pattern in SMALL for path in folder.glob(pattern)):
                archive.add(path, arcname=f"{folder.name}/{path.name}")


if __name__ == "__main__":
    {"wheels": wheels, "pack": pack, "run": run}[sys.argv[1]](*sys.argv[2:])
