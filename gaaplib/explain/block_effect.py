"""What a trained attention block adds to the features: how much, and in how many directions images still differ.

A block that adds much more than it gets, and along one direction, leaves nothing by which images could be told apart.
No labels are needed.
"""

import json

import numpy as np
import pandas as pd

from gaaplib import runs
from gaaplib.attention import CrossFeatureAttention
from gaaplib.explain import heatmaps
from gaaplib.project import write_whole
from gaaplib.runs import folder
from gaaplib.runs.data import check_images, load_data

FILE = folder.BLOCK
"""In a run's folder: what :func:`measure` found."""

COUNT = 300
"""Number of queries, at most."""

NAMES = {
    "before": "length before the block",
    "added": "length of what is added",
    "directions_before": "directions before",
    "directions_after": "directions after",
    "largest_weight": "largest attention weight",
}
"""What is measured, and its names in tables."""

LEARNT = "training accuracy"

WHICH = ["data", "trained on", "backbone", "attention", "start"]
"""What tells the rows of :func:`of_runs` apart."""


def measure(run, count=COUNT, *, outputs=None):
    """Measure a run's block on some of its queries, and write the values to ``FILE`` in its folder.

    The features are means over the positions, as in average pooling (Eq. 6).

    Args:
        run: a finished run with its model.
        count: number of queries, at most, at equal steps of the table.
        outputs: as for :func:`gaaplib.runs.data.load_data`.

    Returns:
        A dict:

        - ``images``: number of queries.
        - ``before``: mean length of the features that enter the block, and ``added``: of what it adds to them (Eq. 5).
        - ``directions_before`` and ``directions_after``: :func:`directions` of the features.
        - ``largest_weight``: the largest weight in a row of Eq. 4's softmax, as a mean over positions and images; from
          1/N, if all N positions weigh the same, to 1. None for a block without a softmax.

    Raises:
        ValueError: the images are not those that the run was scored on, its method has no attention layer, or its
            features are not finite.
    """
    data = load_data(run.config, outputs=outputs)
    check_images(run, data)
    queries = data.part("query").row.to_numpy()
    rows = queries[np.linspace(0, len(queries) - 1, min(count, len(queries))).round().astype(int)]
    model = run.model()
    before, after, largest = heatmaps.around_attention(model, data.inputs[rows])
    if not np.isfinite(after).all():
        raise ValueError(f"{run.folder.name}: its features are not finite, so its block cannot be measured")
    has_softmax = isinstance(model.get_layer("attention"), CrossFeatureAttention)
    found = {
        "images": len(rows),
        "before": _length(before),
        "added": _length(after - before),
        "directions_before": directions(before),
        "directions_after": directions(after),
        "largest_weight": float(largest.mean()) if has_softmax else None,
    }
    write_whole(run.folder / FILE, json.dumps(found, indent=1) + "\n")
    return read(run)


def directions(features):
    """In how many directions images differ: the participation ratio of their covariance's eigenvalues.

    It is ``(sum of eigenvalues)^2 / (sum of their squares)``: k if the images differ equally in k directions, near 1 if
    almost all of the variance is in one, and 0 if all images are equal.

    Args:
        features: (n, channels).

    Example:
        >>> directions([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        2.0
        >>> directions([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
        1.0
    """
    features = np.asarray(features, "float64")
    centred = features - features.mean(axis=0)
    # The products of images have the same eigenvalues as the covariance, but for a factor, and are fewer.
    products = centred @ centred.T
    squares = np.square(products).sum()
    return float(np.trace(products) ** 2 / squares) if squares > 0 else 0.0


def _length(features):
    return float(np.linalg.norm(features.astype("float64"), axis=1).mean())


def read(run):
    """What :func:`measure` wrote: its dict.

    Raises:
        FileNotFoundError: the run's block is not measured.
        ValueError: the file is damaged.
    """
    path = run.folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: gaap block --run {run.folder.name} measures it")
    try:
        found = json.loads(path.read_text())
        whole = all(np.isfinite(found[name]) for name in ("images", *NAMES) if name != "largest_weight")
        whole = whole and (found["largest_weight"] is None or 0 <= found["largest_weight"] <= 1)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} cannot be read ({error}): gaap block writes it anew") from error
    if not whole:
        raise ValueError(f"{path} has values that cannot be: gaap block writes it anew")
    return found


def of_runs(outputs):
    """The blocks of all measured runs as a DataFrame of text: the mean over runs that differ in their seed alone.

    Args:
        outputs: folder with ``runs/``.

    Returns:
        One row per configuration, by ``WHICH``. The columns are the number of runs, the accuracy on the training
        images, and those of ``NAMES``.
    """
    rows = [_row(run) for run in runs.finished(outputs) if (run.folder / FILE).is_file()]
    columns = ["runs", LEARNT, *NAMES.values()]
    if not rows:
        return pd.DataFrame(columns=columns)
    table = pd.DataFrame(rows).astype(dict.fromkeys([LEARNT, *NAMES], float))
    by_seed = table.groupby([*WHICH, "hash"])
    means = by_seed[[LEARNT, *NAMES]].mean()
    words = pd.DataFrame([in_words(values) for values in means.to_dict("records")], means.index)
    return words.assign(runs=by_seed.size()).droplevel("hash")[columns]


def _row(run):
    """What was measured, what tells the run's configuration, and a name that runs of several seeds have in common."""
    config = run.config
    start = config.attention_start if config.attention != "none" else ""
    key = runs.data_name(run.metrics), config.training_images, config.backbone, config.attention, start
    hashed = type(config)(**config.to_dict() | {"seed": 0}).run_id
    learnt = {"hash": hashed, LEARNT: run.metrics["train_accuracy"]}
    return dict(zip(WHICH, key, strict=True)) | learnt | read(run)


def in_words(found):
    """The values of :func:`measure`, and the accuracy if it is there, by their names in tables, as text."""
    digits = {LEARNT: 3, "largest_weight": 2}
    return {
        NAMES.get(name, name): "" if pd.isna(value) else f"{value:.{digits.get(name, 1)}f}"
        for name, value in found.items()
        if name in (LEARNT, *NAMES)
    }
