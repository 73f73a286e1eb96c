"""Time and memory of comparing images by more than one vector, on Market-1501's twin at its full size.

    python benchmarks/pairwise.py [--methods fpr,horeid] [--scale 1]

Each method's network, with the weights that it starts from, embeds the queries and the gallery of the twin; then the
distances of all pairs are computed once, as an evaluation does. Each step has a process of its own. Memory is the peak
of the comparison above what is loaded. Beside it, in the same process, the plain cosine distances of vectors with as
many values in all: "product" is their time, and "ratio" what the method takes more.
"""

import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

METHODS = "pcb,vpm,fpr,pgfa,horeid,pvpm"


@click.command()
@click.option("--methods", default=METHODS, show_default=True)
@click.option("--scale", default=1.0, show_default=True, help="Of the twin; 1 has Market-1501's counts.")
def main(methods, scale):
    """Print one row per method, and write them to outputs/benchmarks/pairwise.csv."""
    rows = []
    for method in methods.split(","):
        with tempfile.TemporaryDirectory() as folder:
            measure("embed", folder, method, scale)
            rows.append({"method": method, **measure("compare", folder, method, scale)})
        print(json.dumps(rows[-1]), f"load {os.getloadavg()[0]:.1f}", flush=True)
    write(rows)


def write(rows):
    """Write the CSV file: one row per method."""
    from gaaplib.project import outputs_folder

    target = outputs_folder() / "benchmarks" / "pairwise.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(target)


def measure(name, *arguments):
    """Return the result of a step in its own process; a child inherits its parent's peak, so this one stays small."""
    command = [sys.executable, __file__, "step", name, *map(str, arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def made(method, scale):
    """Return the method with its first weights, and the images."""
    from gaaplib.config import RunConfig
    from gaaplib.methods import METHODS
    from gaaplib.runs.data import load_data

    config = RunConfig("standard", dataset="market1501", method=method, scale=float(scale), backbone="resnet18")
    data = load_data(config, progress=True)
    return METHODS[method](config, data.num_classes), data


def embed(folder, method, scale):
    """Save what is compared of queries and gallery, one file per array."""
    from gaaplib.training import fit

    built, data = made(method, scale)
    for role in ("query", "gallery"):
        found = fit.embed(built.model, data.inputs, data.part(role).row.to_numpy(), progress=True)
        for name in built.compared:
            np.save(Path(folder) / f"{role}-{name}.npy", found[name])
    return {}


def compare(folder, method, scale):
    """Return the seconds and the peak memory of all distances, beside those of the plain product."""
    from gaaplib.distances import EmbeddingDistances

    built, _ = made(method, scale)
    sides = [
        {name: np.load(Path(folder) / f"{role}-{name}.npy") for name in built.compared} for role in ("query", "gallery")
    ]
    before, begun = now(), time.perf_counter()
    for _ in built.distances(*sides, built.config.distance, built.model).blocks():
        pass
    seconds, used = time.perf_counter() - begun, peak() - before
    counts = [len(side["embedding"]) for side in sides]
    values = sum(int(np.prod(array.shape[1:])) for array in sides[0].values())
    rng = np.random.default_rng(0)
    plain = [rng.standard_normal((count, values), dtype="float32") for count in counts]
    begun = time.perf_counter()
    for _ in EmbeddingDistances(*plain, "cosine").blocks():
        pass
    product = time.perf_counter() - begun
    return {
        "queries": counts[0],
        "gallery": counts[1],
        "values": values,
        "loaded_gib": round(sum(array.nbytes for side in sides for array in side.values()) / 2**30, 2),
        "peak_gib": round(used, 2),
        "seconds": round(seconds, 1),
        "product": round(product, 1),
        "ratio": round(seconds / product, 1),
    }


def now():
    """Return the memory that this process has in GiB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**30


def peak():
    """Return this process' peak memory in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        print(json.dumps({"embed": embed, "compare": compare}[sys.argv[2]](*sys.argv[3:])))
    else:
        main()
