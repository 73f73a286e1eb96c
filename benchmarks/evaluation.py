"""Speed of evaluation compared with its peers at Market-1501's size, and its time and memory as the gallery grows.

    python benchmarks/evaluation.py --torchreid PATH --fastreid PATH [--part distances --part embeddings ...]

PATH is a source tree of https://github.com/KaiyangZhou/deep-person-reid or https://github.com/JDAI-CV/fast-reid; for an
installed package it is not needed. Their Cython evaluators are built in a temporary folder, which requires Cython,
setuptools and a compiler; nothing else of theirs is imported.

- distances: CMC, mAP and mINP from a distance matrix, timed alternately for gaaplib and each peer, and whether they
  agree.
- embeddings: the same from 2,048-d embeddings, compared with the matrix product alone.
- gallery: 2,000 or 4,000 queries against galleries of up to 601,581 512-d embeddings, each in its own process.
  Memory is the peak above the loaded embeddings; if these are mapped from a file, it includes the pages that were read.
  For large galleries the time is proportional to queries times gallery. This law, how far each size is from it, and
  the time that it gives for 100,000 queries against 10,000,000 images are printed.
- candidates: the ten nearest of 1,000,000 512-d embeddings to one query, exactly and by the candidates of FAISS, which
  have to be prepared; and the share of the nearest that are found. Images of one person are alike, in 64 dimensions.
"""

import csv
import importlib.util
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
import numpy as np

from gaaplib.distances import pairwise_distances
from gaaplib.evaluation.candidates import Candidates
from gaaplib.metrics import evaluate_distances, evaluate_embeddings
from gaaplib.project import outputs_folder

QUERIES, GALLERY, IDENTITIES, DISTRACTORS, CAMERAS = 3368, 15913, 750, 2793, 6
# Numbers of queries and of gallery images; the last is also mapped from a file.
SIZES = ((2000, 10_000), (2000, 50_000), (4000, 200_000), (2000, 200_000), (2000, 601_581))
PARTS = ("gallery", "distances", "embeddings", "candidates")
BEYOND = (100_000, 10_000_000)
BUILD = """
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
extension = Extension("rank_cy", ["rank_cy.pyx"], include_dirs=[numpy.get_include()])
setup(name="rank_cy", script_args=["-q", "build_ext", "--inplace"], ext_modules=cythonize([extension], quiet=True))
"""


@click.command()
@click.option("--part", "chosen", type=click.Choice(PARTS), multiple=True)
@click.option("--torchreid", type=click.Path(exists=True, file_okay=False))
@click.option("--fastreid", type=click.Path(exists=True, file_okay=False))
@click.option("--rounds", default=5, show_default=True)
def main(chosen, torchreid, fastreid, rounds):
    """Print the results and write them to outputs/benchmarks/evaluation.csv."""
    print(f"load of the machine {os.getloadavg()[0]:.2f}", flush=True)
    rows = []
    # The gallery first: a new process inherits the peak memory of its parent, which is still small.
    if not chosen or "gallery" in chosen:
        rows += gallery()
    if not chosen or "distances" in chosen:
        rows += distances({"torchreid": torchreid, "fastreid": fastreid}, rounds)
    if not chosen or "embeddings" in chosen:
        rows += embeddings(rounds)
    if not chosen or "candidates" in chosen:
        rows += candidates(rounds)
    print(f"load of the machine {os.getloadavg()[0]:.2f}")
    write(rows)


def distances(trees, rounds):
    """Time gaaplib and each peer, and return rows with their seconds and the ratio to gaaplib in the same round."""
    rng = np.random.default_rng(0)
    query_pids, gallery_pids, query_camids, gallery_camids = labels = market_labels(rng)
    matrix = rng.random((QUERIES, GALLERY), np.float32)
    matrix[query_pids[:, np.newaxis] == gallery_pids] *= 0.5
    codes = {"gaaplib": lambda: evaluate_distances(matrix, *labels)}
    with tempfile.TemporaryDirectory() as folder:
        for name, tree in trees.items():
            evaluate = peer(name, tree, Path(folder) / name)
            if evaluate:
                codes[name] = lambda evaluate=evaluate: evaluate(matrix, *labels, 50)
        seconds, results = in_turn(codes, rounds)
    for name, (cmc, ap, *_) in ((name, results[name]) for name in codes if name != "gaaplib"):
        ours = results["gaaplib"]
        differences = np.abs(cmc - ours.cmc).max(), abs(np.mean(ap) - ours.mAP)
        print(f"  {name}: greatest difference of CMC {differences[0]:.1e}, of mAP {differences[1]:.1e}")
    return report("distances", seconds, "gaaplib")


def embeddings(rounds):
    """Time evaluation from embeddings, and return rows with the ratio to the matrix product in the same round."""
    rng = np.random.default_rng(0)
    labels = market_labels(rng)
    query, images = (rng.standard_normal((size, 2048), np.float32) for size in (QUERIES, GALLERY))
    codes = {
        "matrix product": lambda: query @ images.T,
        "gaaplib, cosine": lambda: evaluate_embeddings(query, images, *labels),
        "gaaplib, euclidean": lambda: evaluate_embeddings(query, images, *labels, metric="euclidean"),
    }
    return report("embeddings", in_turn(codes, rounds)[0], "matrix product")


def candidates(rounds, size=1_000_000, dim=512, queries=200):
    """Time a query with and without FAISS, and return rows with the ratio to the exact ranking in the same round."""
    rng = np.random.default_rng(0)
    people = rng.standard_normal((size // 17, 64), np.float32)
    spread = rng.standard_normal((64, dim), np.float32) / 8

    def drawn(count):
        own = people[rng.integers(len(people), size=count)]
        return (own + 0.7 * rng.standard_normal((count, 64), np.float32)) @ spread

    images, asked = drawn(size), drawn(queries)
    start = time.perf_counter()
    found = Candidates(images)
    print(f"  candidates are prepared in {time.perf_counter() - start:.0f} s", flush=True)

    def approximate():
        places = np.sort(found.near(asked[:1], 100)[0])
        return np.argsort(pairwise_distances(asked[:1], images[places])[0], kind="stable")[:10]

    codes = {
        "exact": lambda: np.argsort(pairwise_distances(asked[:1], images)[0], kind="stable")[:10],
        "candidates of FAISS": approximate,
    }
    seconds, _ = in_turn(codes, rounds)
    print(f"  {found.recall(asked):.1%} of the 10 nearest of {queries} queries are found", flush=True)
    return report("candidates", seconds, "exact", size)


def gallery():
    """Return rows of seconds and memory by size; the largest gallery is also mapped from a file."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for (queries, size), file in [(pair, None) for pair in SIZES] + [(SIZES[-1], f"{folder}/gallery.npy")]:
            # A new process for each.
            if file:
                run_alone(save_gallery, size, file)
            measured = run_alone(measure_gallery, queries, size, file)
            name = "gaaplib, mapped" if file else "gaaplib, in memory"
            rows.append({"part": "gallery", "code": name, "queries": queries, "gallery": size, **measured})
            cpu = measured["cpu_seconds"]
            print(
                f"{name}, {queries} queries, gallery of {size}: {measured['seconds']:.2f} s, {cpu:.2f} s of CPU time "
                f"({cpu / (queries * size) * 1e9:.1f} ns per pair), {measured['peak_mib']:.0f} MiB above embeddings",
                flush=True,
            )
    extrapolate([row for row in rows if row["code"] == "gaaplib, in memory"])
    return rows


def extrapolate(rows):
    """Print the seconds per pair of a query and a gallery image, each size's distance from it, and a larger size."""
    pairs = np.array([row["queries"] * row["gallery"] for row in rows], float)
    seconds = np.array([row["seconds"] for row in rows])
    # The median of the ratios, so that no size counts more than another.
    per_pair = np.median(seconds / pairs)
    for row, ratio in zip(rows, seconds / (per_pair * pairs), strict=True):
        print(f"  {row['queries']} x {row['gallery']}: {ratio:.2f} times {1e9 * per_pair:.1f} ns per pair")
    hours = per_pair * BEYOND[0] * BEYOND[1] / 3600
    print(f"  {BEYOND[0]} x {BEYOND[1]}: {hours:.1f} hours at this rate")


def run_alone(function, *arguments):
    """Return the result of a function that runs in its own process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def gallery_embeddings(size):
    """Return embeddings (size, 512), the same in each process."""
    return np.random.default_rng(1).standard_normal((size, 512), np.float32)


def save_gallery(size, file):
    """Write the gallery to a file."""
    np.save(file, gallery_embeddings(size))


def measure_gallery(queries, size, file):
    """Return time and peak memory (MiB) above the loaded embeddings, for queries of 500 identities.

    Each identity has 17 gallery images. The CPU time of all threads is included, as other load disturbs it less than
    wall-clock time.
    """
    rng = np.random.default_rng(0)
    query = rng.standard_normal((queries, 512), np.float32)
    images = np.load(file, mmap_mode="r") if file else gallery_embeddings(size)
    pids = np.zeros(size, int)
    pids[: 500 * 17] = np.repeat(np.arange(1, 501), 17)
    labels = (
        np.repeat(np.arange(1, 501), queries // 500),
        rng.permutation(pids),
        rng.integers(6, size=queries),
        rng.integers(6, size=size),
    )
    # The first product allocates the memory of the BLAS routines.
    evaluate_embeddings(query[:50], images[:1000], np.zeros(50), np.zeros(1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu_start = time.perf_counter(), time.process_time()
    evaluate_embeddings(query, images, *labels)
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu_start,
        "peak_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def market_labels(rng):
    """Return random identities and cameras of queries and gallery, as many as in Market-1501."""
    people = np.concatenate([rng.integers(1, IDENTITIES + 1, GALLERY - DISTRACTORS), np.zeros(DISTRACTORS, int)])
    query_pids = np.sort(1 + np.arange(QUERIES) % IDENTITIES)
    return query_pids, people, rng.integers(1, CAMERAS + 1, QUERIES), rng.integers(1, CAMERAS + 1, GALLERY)


def peer(name, tree, folder):
    """Return the peer's Cython evaluator, built from its source tree or package; else print why and return None."""
    if tree is None:
        package = importlib.util.find_spec(name)
        if package is None:
            print(f"{name} left out: it is not installed, and --{name} names no source tree")
            return None
        tree = package.submodule_search_locations[0]
    try:
        library = build(tree, folder)
    except ValueError as error:
        print(f"{name} left out: {error}")
        return None
    # Both peers' modules are called rank_cy, so they are loaded from the file, not by name.
    spec = importlib.util.spec_from_file_location("rank_cy", library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.evaluate_cy


def build(tree, folder):
    """Return the path of a peer's Cython evaluator, built in a new folder; raise a ValueError if that fails."""
    source = sorted(Path(tree).rglob("rank_cylib/rank_cy.pyx"))
    if not source:
        raise ValueError(f"rank_cylib/rank_cy.pyx is missing in {tree}")
    folder.mkdir()
    shutil.copy(source[0], folder)
    built = subprocess.run([sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True)
    if built.returncode:
        raise ValueError(f"its evaluator could not be built ({built.stderr.strip().splitlines()[-1]})")
    return next(folder.glob("rank_cy*.so"))


def in_turn(codes, rounds):
    """Return the seconds of each code per round, timed alternately within a round, and the last results."""
    seconds, results = {name: [] for name in codes}, {}
    for _ in range(rounds):
        for name, run in codes.items():
            start = time.perf_counter()
            results[name] = run()
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def report(part, seconds, base, size=GALLERY):
    """Print and return rows: each code's seconds, and the ratio to those of ``base`` in the same round."""
    rows = []
    for name, values in seconds.items():
        ratios = [value / other for value, other in zip(values, seconds[base], strict=True)]
        row = {"part": part, "code": name, "gallery": size, "base": base}
        for key, numbers in (("seconds", values), ("ratio", ratios)):
            row |= {key: statistics.median(numbers), f"{key}_min": min(numbers), f"{key}_max": max(numbers)}
        rows.append(row)
        print(
            "{part}, {code}: {seconds:.3f} s ({seconds_min:.3f} to {seconds_max:.3f}), {ratio:.2f} times {base} "
            "({ratio_min:.2f} to {ratio_max:.2f})".format(**row),
            flush=True,
        )
    return rows


def write(rows):
    """Write the CSV file: one row per measurement, with the machine in each."""
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "all"),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    names = dict.fromkeys(name for row in rows for name in row)
    target = outputs_folder() / "benchmarks" / "evaluation.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "w", newline="") as file:
        writer = csv.DictWriter(file, [*names, *machine])
        writer.writeheader()
        writer.writerows({**row, **machine} for row in rows)
    print(target)


def processor():
    """Return the processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
