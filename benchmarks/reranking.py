"""K-reciprocal re-ranking compared with the authors' dense code, at the size of Market-1501.

    python benchmarks/reranking.py --reference PATH

PATH is a ``re_ranking_ranklist.py`` (from distance matrices) or a ``re_ranking_feature.py`` (from embeddings) of
https://github.com/zhunzhong07/person-re-ranking. Each measurement runs in its own process, from the same file
of embeddings to re-ranked distances; its memory is the peak above the loaded embeddings. "Without distances" excludes
the time for the distances between embeddings, which both compute by the same blocked matrix product (it is not reported
if the reference computes its own). The reference needs about 10 GB of memory at full size.
"""

import csv
import importlib.util
import inspect
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

PARAMETERS = {"k1": 20, "k2": 6, "lambda_value": 0.3}
IDENTITIES, DISTRACTORS = 0.039, 0.145
"""As shares of all images: the number of identities, and the number of distractors in the gallery."""


@click.command()
@click.option("--reference", type=click.Path(exists=True, dir_okay=False, resolve_path=True))
@click.option("--queries", default=3368, show_default=True)
@click.option("--gallery", default=15913, show_default=True)
@click.option("--dim", default=2048, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Rounds of gaaplib; the reference runs once.")
def main(reference, queries, gallery, dim, rounds):
    """Print time, memory and agreement of both, and write them to outputs/benchmarks/reranking.csv."""
    print(f"{queries} + {gallery} images of {dim} dimensions; load of the machine {os.getloadavg()[0]:.2f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        measure("embeddings", folder, queries, gallery, dim)
        rows = [{"code": "gaaplib", **measure("ours", folder)} for _ in range(rounds)]
        alone = measure("ours_without_distances", folder)["without_distances"]
        rows[0]["without_distances"] = alone
        if reference:
            rows.append({"code": Path(reference).name, **measure("theirs", folder, reference)})
            agreement = measure("agreement", folder)
    for row in rows:
        print(json.dumps(row))
    if reference:
        theirs = rows[-1]
        ratios = sorted(theirs["seconds"] / row["seconds"] for row in rows[:-1])
        print(
            f"all: {statistics.median(ratios):.1f} times faster, {ratios[0]:.1f} to {ratios[-1]:.1f} in {rounds} rounds"
        )
        if theirs["without_distances"]:
            print(f"without distances: {theirs['without_distances'] / alone:.1f} times faster, in one round")
        share = max(row["peak_mib"] for row in rows[:-1]) / theirs["peak_mib"]
        print(f"memory above the embeddings: {share:.1%} of the reference's")
        print(f"largest difference {agreement['greatest']:.1e}, {agreement['above']:.1e} of distances above 1e-5")
    print(f"load of the machine {os.getloadavg()[0]:.2f}")
    write(rows, queries, gallery, dim)


def write(rows, queries, gallery, dim):
    """Write the CSV file: one row per measurement."""
    from gaaplib.project import outputs_folder

    target = outputs_folder() / "benchmarks" / "reranking.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "w", newline="") as file:
        names = ("code", "queries", "gallery", "dim", "seconds", "without_distances", "peak_mib")
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({"queries": queries, "gallery": gallery, "dim": dim, **row} for row in rows)
    print(target)


def measure(name, folder, *arguments):
    """Return the result of a step in its own process; a child inherits its parent's peak, so this one stays small."""
    command = [sys.executable, __file__, "step", name, folder, *map(str, arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


# -- steps, each in its own process ------------------------------------------------------------------------------------


def embeddings(folder, queries, gallery, dim):
    """Write embeddings with a fixed seed: overlapping clusters in a 64-d subspace."""
    import numpy as np

    queries, gallery, dim = int(queries), int(gallery), int(dim)
    rng = np.random.default_rng(0)
    identities = max(2, int(IDENTITIES * (queries + gallery)))
    pids = rng.integers(identities, size=queries + gallery)
    distractors = int(DISTRACTORS * (queries + gallery))
    pids[len(pids) - distractors :] = identities + np.arange(distractors)
    centres = rng.normal(size=(identities + distractors, 64))
    images = centres[pids] + rng.normal(size=(len(pids), 64))
    images = (images @ rng.normal(size=(64, dim)) / 8).astype(np.float32)
    np.save(Path(folder) / "query.npy", images[:queries])
    np.save(Path(folder) / "gallery.npy", images[queries:])
    return {}


def ours(folder):
    """Return time and memory of gaaplib."""
    from gaaplib.evaluation import reranking

    return measured(folder, lambda query, gallery: (reranking.rerank(query, gallery, **PARAMETERS), None), "ours.npy")


def ours_without_distances(folder):
    """Return the same, with the time of the distances measured separately."""
    from gaaplib.evaluation import reranking

    spent = 0.0

    def timed(a, b):
        nonlocal spent
        start = time.perf_counter()
        distances = euclidean(a, b)
        spent += time.perf_counter() - start
        return distances

    def work(query, gallery):
        distances = reranking.rerank(query, gallery, metric=timed, **PARAMETERS)
        return distances, spent

    return measured(folder, work)


def theirs(folder, path):
    """Return time and memory of the reference."""
    import numpy as np

    specification = importlib.util.spec_from_file_location("reference", path)
    reference = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(reference)

    def from_embeddings(query, gallery):
        return reference.re_ranking(query, gallery, *PARAMETERS.values()), None

    def from_distances(query, gallery):
        start = time.perf_counter()
        matrices = []
        for a, b in ((query, gallery), (query, query), (gallery, gallery)):
            matrix = np.empty((len(a), len(b)), np.float32)
            for row in range(0, len(a), 870):
                matrix[row : row + 870] = euclidean(a[row : row + 870], b)
            matrices.append(matrix)
        for matrix in matrices[1:]:
            np.fill_diagonal(matrix, 0)
        spent = time.perf_counter() - start
        return reference.re_ranking(*matrices, **PARAMETERS), spent

    takes_embeddings = list(inspect.signature(reference.re_ranking).parameters)[2] == "k1"
    return measured(folder, from_embeddings if takes_embeddings else from_distances, "theirs.npy")


def agreement(folder):
    """Return the largest difference between both results, and the share of differences above 1e-5."""
    import numpy as np

    one, two = (np.load(Path(folder) / name, mmap_mode="r") for name in ("ours.npy", "theirs.npy"))
    differences = np.abs(one - two.astype(np.float32))
    return {"greatest": float(differences.max()), "above": float(np.mean(differences > 1e-5))}


def measured(folder, work, keep=None):
    """Return seconds, seconds without distances, and peak memory above the embeddings of ``work``."""
    import numpy as np

    query, gallery = (np.load(Path(folder) / f"{side}.npy") for side in ("query", "gallery"))
    # Let BLAS create its threads and buffers before the measurement.
    np.ones((500, 500), np.float32) @ np.ones((500, 500), np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    distances, spent = work(query, gallery)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if keep:
        np.save(Path(folder) / keep, distances)
    return {
        "seconds": round(seconds, 2),
        "without_distances": None if spent is None else round(seconds - spent, 2),
        "peak_mib": round(peak / 1024),
    }


def euclidean(a, b):
    """Return Euclidean distances, by one matrix product."""
    import numpy as np

    squares = a @ b.T
    squares *= -2
    squares += np.einsum("ij,ij->i", a, a)[:, np.newaxis]
    squares += np.einsum("ij,ij->i", b, b)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        step = {
            function.__name__: function for function in (embeddings, ours, ours_without_distances, theirs, agreement)
        }
        print(json.dumps(step[sys.argv[2]](*sys.argv[3:])))
    else:
        main()
