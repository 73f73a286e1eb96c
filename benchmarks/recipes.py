"""What each part of the training recipe is worth on CUHK03: one change at a time.

`python benchmarks/recipes.py DATA` trains ResNet-18 without the block for each recipe and seed, where DATA is a copy of
CUHK03 in the new protocol. Choose a recipe on *held-out* identities (`--on held-out`, the default): 600 of the 767
training identities train, and the other 167 are queries and gallery. The test set (`--on test`) then confirms it, with
all 767 for training. Choose at full length: what leads after 10 epochs need not lead after 20. Smaller images
(`--height 64 --width 32`) train faster, but what leads with them need not lead at full size either. Finished runs are
reused. The table is also written to `outputs/benchmarks/recipes_<held-out or test>_<height>.csv`.

`every image a query` is mAP with each held-out or test image as a query and all as the gallery, which varies less than
with the few official queries. Both vectors of a BNNeck are scored, before it (`pooled`) and after it (`embedding`),
with both distances.
"""

import itertools
import shutil
from pathlib import Path

import click
import numpy as np
import pandas as pd

from gaaplib import experiment, metrics, runs
from gaaplib.config import CHOICES, RunConfig
from gaaplib.datasets import DATASETS, splits
from gaaplib.datasets.folder import TABLE
from gaaplib.datasets.records import COLUMNS
from gaaplib.project import outputs_folder
from gaaplib.training import fit

HELD_OUT = 167

# Changes of the profile `standard`; the first is the profile itself.
RECIPES = {
    "standard": {},
    "last weights": {"averaged_epochs": 0},
    "batches of 8": {"batch_size": 8},
    "batches of 32": {"batch_size": 32},
    "rate 1e-4": {"learning_rate": 1e-4},
    "rate 1e-3": {"learning_rate": 1e-3},
    "cosine": {"schedule": "cosine", "warmup_epochs": 1},
    "P x K 4 x 4": {"sampler": "identity_balanced", "images_per_identity": 4},
    "P x K 8 x 2": {"sampler": "identity_balanced", "images_per_identity": 2},
    "no shift": {"shift_x": 0.0, "shift_y": 0.0},
    "zoom and crop": {"zoom": 0.1, "crop": 0.1},
    "erase": {"erase": 0.5},
    "label smoothing": {"label_smoothing": 0.1},
    "no dropout": {"dropout": 0.0},
    "dropout 0.5": {"dropout": 0.5},
    "GeM": {"pooling": "gem"},
    "stride 2": {"last_stride": 2},
    "no neck": {"neck": "none"},
    "stride 2, no neck": {"last_stride": 2, "neck": "none"},
    "the block": {"attention": "class"},
    "five_epochs": {"profile": "five_epochs", "training_images": "all", "epochs": RunConfig("standard").epochs},
}


def held_out_folder(data):
    """A folder with CUHK03's training images, whose table has 167 of the identities as queries and gallery."""
    root = outputs_folder() / "cache" / "cuhk03-held-out"
    records = DATASETS["cuhk03"].read(data)
    records = records[records.split == "train"].sort_values("path", ignore_index=True)
    for path in records.path:
        if not (root / path).exists():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(data) / path, root / path)
    held_out = np.random.default_rng(0).permutation(records.pid.unique())[:HELD_OUT]
    asked = records.pid.isin(held_out)
    records.loc[asked, "split"] = splits.query_gallery(records[asked], seed=0)
    records[list(COLUMNS)].to_csv(root / TABLE, index=False)
    return root


def scored(run):
    """A run's mAP with each image as a query, and by vector and distance."""
    data, model = runs.load_data(run.config), run.model()
    parts = data.part("query"), data.part("gallery")
    protocol = [part[name].to_numpy() for name in ("pid", "camid") for part in parts]

    def mean_ap(query, gallery, distance):
        return metrics.evaluate_embeddings(query, gallery, *protocol, metric=distance).mAP

    query, gallery = (fit.embed(model, data.store.images, part.row.to_numpy()) for part in parts)
    every = np.concatenate([query["embedding"], gallery["embedding"]])
    pids, camids = np.concatenate(protocol[:2]), np.concatenate(protocol[2:])
    of_all = metrics.evaluate_embeddings(every, every, pids, pids, camids, camids, metric=run.config.distance).mAP
    return {"every image a query": of_all} | {
        f"{name} {distance}": mean_ap(query[name], gallery[name], distance)
        for name, distance in itertools.product(("pooled", "embedding"), CHOICES["distance"])
    }


def row(name, seed, run):
    """One line of the table."""
    found, seconds, last = run.metrics["retrieval"], run.metrics["provenance"]["seconds"], run.history.iloc[-1]
    epochs, images = len(run.history), run.metrics["counts"]["train"]["images"]
    return {
        "recipe": name,
        "seed": seed,
        "precision": run.config.precision,
        "epochs": epochs,
        "images seen": epochs * images,
        "minutes": seconds["training"] / 60,
        "training accuracy": last.accuracy,
        **{"rank-1": found["cmc1"], "mAP": found["mAP"], "mINP": found["mINP"]},
        **scored(run),
    }


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--on", type=click.Choice(["held-out", "test"]), default="held-out", show_default=True)
@click.option("--recipes", default=",".join(RECIPES), show_default=True, help="Names, with commas.")
@click.option("--seeds", default="1", show_default=True, help="Numbers, with commas.")
@click.option("--epochs", type=int, help="Instead of the recipe's own; all recipes are then shortened alike.")
@click.option("--height", type=int, default=128, show_default=True)
@click.option("--width", type=int, default=64, show_default=True)
@click.option("--precision", type=click.Choice(CHOICES["precision"][1:]), default="mixed_bfloat16", show_default=True)
def main(data, on, recipes, seeds, epochs, height, width, precision):
    """Print one line per recipe and seed, trained on a copy of CUHK03 in DATA, and write them to a table."""
    source = {"dataset": "cuhk03", "data": str(data)}
    if on == "held-out":
        source = {"dataset": "folder", "data": str(held_out_folder(data))}
    rows = []
    for name in recipes.split(","):
        for seed in map(int, seeds.split(",")):
            changes = {"profile": "standard", "attention": "none", "precision": precision, "seed": seed}
            changes |= {"height": height, "width": width} | RECIPES[name]
            if epochs:
                changes["epochs"] = epochs
            run = experiment.run(RunConfig(**source, **changes), verbose=2)
            rows.append(row(name, seed, run))
            print(pd.DataFrame(rows).round(3).to_string(index=False), flush=True)
            target = outputs_folder() / "benchmarks" / f"recipes_{on}_{height}.csv"
            target.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_csv(target, index=False)


if __name__ == "__main__":
    main()
