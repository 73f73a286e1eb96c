"""The spread of embeddings of networks that learnt and that collapsed, as a table: `python benchmarks/collapse.py`.

The limits of :mod:`gaaplib.evaluation.collapse` lie between the two. Each row is a run on synthetic images in the
profile ``smoke``, which is trained here if it is missing; all take about five minutes on two cores.
"""

import warnings

from gaaplib import experiment, runs
from gaaplib.config import RunConfig
from gaaplib.evaluation.collapse import spread
from gaaplib.training import fit

# Learning rates of 1e-9 leave a network as it was initialised.
SETTINGS = (
    {},
    {"method": "triplet"},
    {"method": "histogram"},
    {"backbone": "vgg16"},
    {"backbone": "resnet50"},
    {"learning_rate": 1e-9},
    {"backbone": "vgg16", "learning_rate": 1e-9, "method": "triplet"},
    {"backbone": "resnet50", "learning_rate": 1e-9, "initializer": "gaussian0.1"},
    {"learning_rate": 1e-9, "initializer": "gaussian0.01"},
    {"attention": "none", "pooling": "max"},
    {"learning_rate": 1.0},
    {"method": "triplet", "learning_rate": 0.1},
    {"method": "triplet", "learning_rate": 1.0},
    {"method": "triplet", "learning_rate": 1.0, "neck": "bnneck"},
    {"method": "triplet", "learning_rate": 0.03, "backbone": "vgg16"},
)


def main():
    """Print the table."""
    warnings.simplefilter("ignore")
    print("| run | off | line | status | mAP | chance |")
    print("|---|---|---|---|---|---|")
    for settings in SETTINGS:
        run = experiment.run(RunConfig("smoke", **settings))
        off, line = spread(embeddings(run))
        retrieval = run.metrics["retrieval"]
        scores = f"{retrieval['mAP']:.3f} | {retrieval['chance']['mAP']:.3f}" if retrieval else "- | -"
        name = ", ".join(f"{key} {value}" for key, value in settings.items()) or "default"
        print(f"| {name} | {off:.4f} | {line:.3f} | {run.metrics['status']} | {scores} |", flush=True)


def embeddings(run):
    """Return the embeddings of a run's queries and of its gallery."""
    data, model = runs.load_data(run.config), run.model()
    rows = (data.part(role).row.to_numpy() for role in ("query", "gallery"))
    return [fit.embed(model, data.store.images, each)["embedding"] for each in rows]


if __name__ == "__main__":
    main()
