"""The whole job, beside torchreid: from a folder of photographs to the scores of a trained network.

    python benchmarks/whole_job.py DATA --torchreid TREE --torch-python DIR/bin/python

DATA is a copy of CUHK03 in the new protocol, TREE a source tree of https://github.com/KaiyangZhou/deep-person-reid, and
DIR an environment of this Python's version where `pip install torch torchvision` was run. Both train ResNet-18 from
scratch on images of 128 x 64 and score it on the test set, alternately, each in a process of its own with all cores:

- gaaplib: the profile `standard` without the block, with `--epochs` instead of its own.
- torchreid: its softmax engine with label smoothing, its default augmentation (flip), Adam at 3e-4 in batches of 32,
  and the cosine distance. Its Cython evaluator is built first, which is not timed.

The seconds are those of the process, so starting, decoding, training and scoring all count. Compare them only if both
reach mAP 0.15: give each the epochs that it needs. They are chosen on the test set, for both alike.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import pandas as pd
from evaluation import build
from interpreters import check_torch, command

from gaaplib.config import CHOICES
from gaaplib.project import outputs_folder

GOAL = 0.15
FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--torchreid", "tree", type=FOLDER, help="torchreid's source tree.")
@click.option("--torch-python", type=click.Path(exists=True), help="A Python interpreter with PyTorch.")
@click.option("--epochs", default=10, show_default=True)
@click.option("--torchreid-epochs", default=20, show_default=True)
@click.option("--precision", type=click.Choice(CHOICES["precision"][1:]), default="mixed_bfloat16", show_default=True)
@click.option("--rounds", default=1, show_default=True, help="Round 1 has seed 1, and so on.")
def main(data, tree, torch_python, epochs, torchreid_epochs, precision, rounds):
    """Print one line per job and round, and write them to outputs/benchmarks/whole_job.csv."""
    jobs = {"gaaplib": (sys.executable, "whole_job_gaaplib.py", {"epochs": epochs, "precision": precision})}
    if tree:
        if not torch_python:
            raise click.UsageError("--torchreid needs --torch-python, an interpreter with PyTorch and torchvision")
        check_torch(torch_python, "torchvision")
        jobs["torchreid"] = (torch_python, "whole_job_torchreid.py", {"epochs": torchreid_epochs})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if tree:
            jobs["torchreid"][2]["tree"] = str(with_evaluator(tree, Path(folder)))
        for seed in range(1, rounds + 1):
            for name, (python, program, settings) in jobs.items():
                settings = settings | {"data": str(data), "seed": seed}
                rows.append(
                    {"job": name, "round": seed, "epochs": settings["epochs"], **done(python, program, settings)}
                )
                print(pd.DataFrame(rows[-1:]).round(3).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    report(table)
    target = outputs_folder() / "benchmarks" / "whole_job.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(target, index=False)
    print(target)


def with_evaluator(tree, folder):
    """Return a folder with a copy of torchreid's package and its built evaluator."""
    try:
        library = build(tree, folder / "evaluator")
    except ValueError as error:
        raise click.ClickException(f"torchreid: {error}") from error
    shutil.copytree(tree / "torchreid", folder / "tree" / "torchreid")
    shutil.copy(library, folder / "tree" / "torchreid" / "metrics" / "rank_cylib")
    return folder / "tree"


def done(python, program, settings):
    """Return the seconds, the peak memory and the scores of one job, which starts with an empty folder of outputs."""
    with tempfile.TemporaryDirectory() as outputs:
        log = Path(outputs) / "log"
        start = time.perf_counter()
        with open(log, "w") as file:
            environment = os.environ | {"GAAP_OUTPUTS": outputs}
            run = command(python, program, settings)
            process = subprocess.Popen(run, cwd=outputs, env=environment, stdout=file, stderr=subprocess.STDOUT)
            # The memory of this child and of those that it waited for, which resource.getrusage() does not separate.
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        lines = log.read_text().splitlines()
    if status:
        raise click.ClickException("\n".join([f"{program} failed:", *lines[-15:]]))
    return {"seconds": seconds, "peak MiB": usage.ru_maxrss / 1024, **json.loads(lines[-1])}


def report(table):
    """Print whether each job reached the goal, and how many times faster gaaplib is, round by round."""
    for name, scores in table.groupby("job").mAP:
        print(f"{name}: mAP {scores.min():.3f} to {scores.max():.3f}, the goal is {GOAL}")
    if table.job.nunique() > 1:
        seconds = table.pivot(index="round", columns="job", values="seconds")
        ratios = seconds.torchreid / seconds.gaaplib
        print(f"gaaplib is faster by {ratios.median():.2f} [{ratios.min():.2f}, {ratios.max():.2f}]")


if __name__ == "__main__":
    main()
