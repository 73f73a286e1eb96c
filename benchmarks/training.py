"""Speed of training and of embedding, compared with PyTorch in the same run.

    python benchmarks/training.py                                            # gaaplib alone
    python benchmarks/training.py --torch-python DIR/bin/python --backbone resnet50

Each contender is a process that may use all cores. They take turns: a round is one epoch of each (or the embeddings of
all images), so other load on the machine affects all of them. Size and batches, last stride, head, augmentation and
sampler are those of `--profile`; the images are noise, and augmentation with its threads or processes is included. The
table has images per second (median, lowest and highest of the rounds), the ratio of the first contender to each other
one within a round, and the peak memory of the process. For embeddings it also has their cosine similarity to gaaplib's
in float32, with the same initial weights. --torch-python is an interpreter of this one's version where `pip install
torch` was run; the other packages that form the batches are taken from this one.

On a GPU, where JAX, Keras and PyTorch are in one interpreter:

    python benchmarks/training.py --work gpu --backbone resnet50 --batch-size 64 --images 6400 --torch-python python3

and again with `--height 256 --width 128`. The table then has operations per second as a share of `--peak`, and each
contender a second time on one batch in memory: the difference is the cost of the input pipeline.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pandas as pd
from interpreters import check_torch, command

from gaaplib.config import PROFILES, RunConfig
from gaaplib.project import outputs_folder

STOCK = ["Conv2D", "BatchNormalization", "Adam"]
OURS, PEER, EXACT = "gaaplib bfloat16", "PyTorch bfloat16", "gaaplib float32"
FAST_TORCH = {"channels_last": True, "bfloat16": True, "fused": True}
TORCHREID = {"channels_last": False, "bfloat16": False, "fused": False}
BF16, FP32 = {"precision": "mixed_bfloat16"}, {"precision": "float32"}

# Name: the program and its settings.
CONTENDERS = {
    "training": {
        OURS: ("keras", BF16),
        PEER: ("torch", FAST_TORCH),
        "PyTorch as torchreid": ("torch", TORCHREID),
        EXACT: ("keras", FP32),
        "PyTorch float32": ("torch", FAST_TORCH | {"bfloat16": False}),
        "Keras bfloat16": ("keras", BF16 | {"stock": STOCK}),
    },
    # The gain of each layer that replaces Keras' own, one after the other, and the cost of the input pipeline.
    "steps": {
        "gaaplib bfloat16, a batch in memory": ("keras", BF16 | {"work": "bare"}),
        "with the input pipeline: gaaplib bfloat16": ("keras", BF16),
        "without the products: Keras' Conv2D": ("keras", BF16 | {"stock": STOCK[:1]}),
        "and Keras' BatchNormalization": ("keras", BF16 | {"stock": STOCK[:2]}),
        "and Keras' Adam: Keras bfloat16": ("keras", BF16 | {"stock": STOCK}),
    },
    "compiled": {
        OURS: ("keras", BF16),
        "PyTorch bfloat16, compiled": ("torch", FAST_TORCH | {"compile": True}),
    },
    "gpu": {
        "gaaplib bfloat16, JAX": ("keras", BF16 | {"backend": "jax"}),
        "gaaplib bfloat16, JAX, a batch in memory": ("keras", BF16 | {"backend": "jax", "work": "bare"}),
        "PyTorch bfloat16, compiled": ("torch", FAST_TORCH | {"compile": True}),
        "PyTorch bfloat16, compiled, a batch in memory": ("torch", FAST_TORCH | {"compile": True, "work": "bare"}),
    },
    "embedding": {
        "OpenVINO bfloat16": ("keras", FP32 | {"work": "openvino", "inference": "bfloat16"}),
        PEER: ("torch", FAST_TORCH),
        "OpenVINO float32": ("keras", FP32 | {"work": "openvino", "inference": "float32"}),
        OURS: ("keras", BF16),
        EXACT: ("keras", FP32),
    },
}


@click.command()
@click.option("--work", type=click.Choice(list(CONTENDERS)), default="training", show_default=True)
@click.option("--profile", type=click.Choice(list(PROFILES)), default="standard", show_default=True)
@click.option("--backbone", default="resnet18", show_default=True)
@click.option("--attention", default="class", show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--images", type=click.IntRange(64), default=640, show_default=True, help="Images per epoch.")
@click.option("--only", multiple=True, help="A contender; can be repeated.  [default: all of the work]")
@click.option("--torch-python", type=click.Path(), help="A Python interpreter with PyTorch.")
@click.option("--height", type=int, help="Of the images.  [default: the profile's]")
@click.option("--width", type=int, help="Of the images.  [default: the profile's]")
@click.option("--batch-size", type=int, help="[default: the profile's]")
@click.option("--peak", default=800.0, show_default=True, help="Of a GPU, in TFLOP/s.")
def main(work, profile, backbone, attention, rounds, images, only, torch_python, peak, **sizes):
    """Print the table, and write all turns and a plot to outputs/benchmarks."""
    if torch_python:
        check_torch(torch_python)
    sizes = {name: value for name, value in sizes.items() if value is not None}
    config = RunConfig(profile, backbone=backbone, attention=attention, **sizes)
    common = {"config": config.to_dict(), "images": images}
    common["work"] = "embedding" if work == "embedding" else "training"
    with tempfile.TemporaryDirectory() as folder:
        processes, operations = started(CONTENDERS[work], only, common, torch_python, Path(folder))
        embeddings = {path.stem: np.load(path) for path in sorted(Path(folder).iterdir())}
    turns = pd.DataFrame(
        [
            {"round": number, "contender": name, **turn(process)}
            for number in range(rounds)
            for name, process in processes.items()
        ]
    )
    batches = 1 if work == "embedding" else config.batch_size
    turns["rate"] = images // batches * batches / turns.seconds
    table = summary(turns).join(likeness(embeddings)).fillna("")
    if work == "gpu" and operations:
        rates = turns.groupby("contender", sort=False).rate.median()
        table[f"of {peak:g} TFLOP/s"] = [f"{rate * operations / (1e12 * peak):.1%}" for rate in rates]
    size = f"{config.height} x {config.width}, batches of {config.batch_size}"
    print(f"{work}, {profile}, {backbone}, {size}, attention {attention}, {rounds} rounds of {images} images")
    print(table.to_string())
    save(turns, table, f"{work}-{profile}-{backbone}-{attention}-{config.height}x{config.width}")


def started(contenders, only, common, torch_python, folder):
    """Start the contenders that can run here; their embeddings go to the folder.

    Returns:
        ``{name: process}``, and gaaplib's operations per image of a training step; None if gaaplib is not among them.
    """
    unknown = set(only) - set(contenders)
    if unknown:
        raise click.UsageError(f"--only {sorted(unknown)[0]!r} is not known; known: {', '.join(contenders)}")
    pythons = {"keras": sys.executable, "torch": torch_python}

    def kept(name):
        return {"keep": str(folder / f"{name}.npy")} if common["work"] == "embedding" else {}

    processes, operations = {}, None
    for name, (program, settings) in contenders.items():
        possible = pythons[program] and (settings.get("work") != "openvino" or find_spec("openvino"))
        if possible and name in (only or contenders):
            processes[name] = start(pythons[program], program, common | settings | kept(name))
    # Each says that it is ready after its first turn, in which it traces and compiles.
    for process in processes.values():
        operations = answered(process).get("operations", operations)
    return processes, operations


def start(python, program, settings):
    """Start a contender."""
    # JAX would take most of a GPU's memory at once, and nothing would be left for the others.
    backend = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    backend |= {"KERAS_BACKEND": settings["backend"]} if "backend" in settings else {}
    return subprocess.Popen(
        command(python, f"training_{program}.py", settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | backend,
    )


def turn(process):
    """Return seconds and peak memory of a contender's next turn."""
    process.stdin.write("go\n")
    process.stdin.flush()
    return answered(process)


def answered(process):
    """Return the next JSON line of a contender; other lines are printed by libraries."""
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise click.ClickException(f"a contender ended with {process.wait()}; its own message is above")


def summary(turns):
    """Return one row per contender: images per second, how many times faster the first one is, and peak memory."""
    rates = turns.pivot(index="round", columns="contender", values="rate")
    names = list(turns.contender.unique())
    ratios = rates[[names[0]]].to_numpy() / rates
    rows = {
        name: {
            "images/s": f"{rates[name].median():.1f} [{rates[name].min():.1f}, {rates[name].max():.1f}]",
            "first is faster by": f"{ratios[name].median():.2f} [{ratios[name].min():.2f}, {ratios[name].max():.2f}]",
            "peak MiB": round(turns.peak[turns.contender == name].max()),
        }
        for name in names
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def likeness(embeddings):
    """Return one row per contender: cosine similarity of its embeddings (images, channels) to those in float32."""
    if EXACT not in embeddings:
        return pd.DataFrame()
    units = {name: found / np.linalg.norm(found, axis=1, keepdims=True) for name, found in embeddings.items()}
    others = units[EXACT] @ units[EXACT].T
    print(f"cosine of two images in float32, mean: {others[~np.eye(len(others), dtype=bool)].mean():.6f}")
    rows = {}
    for name, found in units.items():
        cosines = (found * units[EXACT]).sum(axis=1, dtype="float64")
        rows[name] = {
            "cosine, lowest": f"{cosines.min():.6f}",
            "mean": f"{cosines.mean():.6f}",
            "from 0.9999": f"{(cosines >= 0.9999).mean():.0%}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def save(turns, table, name):
    """Write the CSV of all turns, and a plot with one bar per contender and one dot per round."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    from gaaplib import plots  # noqa: F401  It sets the style of all figures.

    target = outputs_folder() / "benchmarks" / f"training-{name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    turns.to_csv(target.with_suffix(".csv"), index=False)
    figure, axis = plt.subplots(figsize=(7, 0.55 * len(table) + 1.1), layout="constrained")
    sns.barplot(turns, x="rate", y="contender", estimator="median", errorbar=None, color="0.8", ax=axis)
    sns.stripplot(turns, x="rate", y="contender", hue="contender", legend=False, size=5, jitter=False, ax=axis)
    axis.set(xlabel="images per second", ylabel="", title=name.replace("-", ", "))
    figure.savefig(target.with_suffix(".png"))
    print(target.with_suffix(".csv"))


if __name__ == "__main__":
    main()
