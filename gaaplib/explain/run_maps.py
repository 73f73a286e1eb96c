"""Heat maps of a finished run and their scores: queries with matches and masks, their maps, and the baselines.

:mod:`gaaplib.explain.heatmaps` computes maps and :mod:`gaaplib.explain.localisation` scores them; this module applies
both to the images of a run.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from PIL import Image

from gaaplib.config import SYNTHETIC
from gaaplib.datasets import DATASETS, inputs, synthetic
from gaaplib.datasets.records import UNKNOWN_CAMERA
from gaaplib.explain import heatmaps, localisation, lookup
from gaaplib.methods import METHODS
from gaaplib.runs.data import check_images, load_data
from gaaplib.training import fit

KINDS = {
    "received": "received",
    "energy": "energy",
    "gradcam": "Grad-CAM",
    "gradcam_match": "Grad-CAM, match",
}
"""The kinds of ``heatmaps.KINDS`` that take no position, and their names in tables and figures."""

WITHOUT_CAMERAS = 6
"""The largest number of images of one person that are compared if the cameras are unknown."""

STEPS = 8
"""The largest number of steps in which deletion and insertion take the cells."""


@dataclass(frozen=True)
class Sample:
    """Some queries of a run, and their distances to the gallery.

    Attributes:
        table: n rows of the data's table, with the run's ``ap``.
        images: uint8 (n, height, width, 3); or :class:`gaaplib.datasets.inputs.Inputs`, if the model sees more.
        matches: of the same shape: for each query, the nearest gallery image of its person from another camera.
        masks: bool (n, height, width), as :func:`masks_of` returns them, or None.
        distances: (n, num_gallery).
        states: ``"match"``, ``"wrong"`` or ``"same camera"`` for each distance, as :mod:`gaaplib.explain.plots` names
            them.
        gallery: the gallery's rows of the data's table, in the order of the columns of ``distances``.
    """

    table: pd.DataFrame
    images: np.ndarray
    matches: np.ndarray
    masks: np.ndarray | None
    distances: np.ndarray
    states: np.ndarray
    gallery: pd.DataFrame

    def nearest(self, place, top):
        """Store rows, states and distances of the gallery images nearest to one query, without its own camera.

        Args:
            place: index of the query.
            top: number of gallery images, at most.
        """
        order = lookup.nearest(self.distances[place], top, self.states[place] == "same camera")
        return self.gallery.row.to_numpy()[order], self.states[place][order], self.distances[place][order]


def sample(run, data, count=None):
    """A :class:`Sample` of queries that have a match and, if there are masks, show some of their person.

    Args:
        run: a finished run.
        data: the :class:`gaaplib.runs.data.Data` that it was scored on.
        count: number of queries, at most, at equal steps of the table. None: all of them.

    Raises:
        ValueError: the run was scored on other images.
    """
    check_images(run, data)
    queries, gallery, images = data.part("query"), data.part("gallery"), data.inputs
    queries = queries.assign(ap=run.per_query["ap"])[run.per_query["valid"]]
    masks = masks_of(run.config, data, queries)
    seen = np.arange(len(queries)) if masks is None else np.flatnonzero(masks.any(axis=(1, 2)))
    chosen = seen[np.linspace(0, len(seen) - 1, min(count or len(seen), len(seen))).round().astype(int)]
    queries = queries.iloc[chosen]
    distances = _distances(run, run.model(), images, queries.row, gallery.row)
    states = lookup.states(*(side[name] for name in ("pid", "camid") for side in (queries, gallery)))
    first = np.where(states == "match", distances, np.inf).argmin(axis=1)
    return Sample(
        table=queries,
        images=images[queries.row.to_numpy()],
        matches=images[gallery.row.to_numpy()[first]],
        masks=None if masks is None else masks[chosen],
        distances=distances,
        states=states,
        gallery=gallery,
    )


def across_cameras(run, data):
    """The person that the most cameras have recorded, with one image per camera.

    If the cameras are unknown, it is the person with the most images, with ``WITHOUT_CAMERAS`` of them at most.

    Args:
        run, data: as in :func:`sample`.

    Returns:
        Rows of the table, and the distance of each image to the first one. The first row is the reference image; the
        others follow, nearest first.
    """
    tested = data.table[data.table.pid.isin(data.part("query").pid) & data.table.role.isin(["query", "gallery"])]
    known = (tested.camid != UNKNOWN_CAMERA).any()
    counted = "camid" if known else "path"
    person = tested.groupby("pid")[counted].nunique().idxmax()
    seen = tested[tested.pid == person].drop_duplicates(counted)[: None if known else WITHOUT_CAMERAS]
    distances = _distances(run, run.model(), data.inputs, seen.row[:1], seen.row)[0]
    # The distance of an image to itself is 0 except for rounding.
    distances[0] = 0.0
    order = np.argsort(distances, kind="stable")
    return seen.iloc[order], distances[order]


def masks_of(config, data, table):
    """The true masks of the persons, at the size of the store.

    Args:
        config: the run's configuration; its ``data`` is the source of the images.
        data: its :class:`gaaplib.runs.data.Data`.
        table: rows of ``data.table``.

    Returns:
        bool (n, height, width), True if most of the pixel shows the person. None if the data set has no masks.
    """
    if config.data == SYNTHETIC:
        read = partial(synthetic.mask, data.root)
    elif hasattr(DATASETS[config.dataset], "mask"):
        read = partial(DATASETS[config.dataset].mask, Path(config.data).expanduser())
    else:
        return None
    size = (config.width, config.height)
    masks = (Image.fromarray(np.uint8(255) * read(path)) for path in table.path)
    return np.stack([np.asarray(mask.resize(size, Image.Resampling.BOX)) > 127 for mask in masks])


def maps_of(model, images, matches):
    """The maps of all kinds that take no position: ``{name in KINDS: (n, rows, columns)}``.

    Args:
        model: of a run, with an attention layer.
        images: uint8 (n, height, width, 3).
        matches: uint8 (n, height, width, 3), the image that each one is compared with.
    """
    had = heatmaps.kinds(model)
    return {name: heatmaps.heatmap(model, images, kind, others=matches) for kind, name in KINDS.items() if kind in had}


def caption(maps):
    """A caption, one line per kind: how concentrated the maps are, and how much they depend on the image.

    The difference of two maps is half the sum of their absolute differences: the share of a map that differs.

    Args:
        maps: ``{kind: (n, rows, columns)}``, each map sums to one.
    """
    lines = []
    for kind, heat in maps.items():
        rows, columns = heat.shape[1:]
        top = heat.max(axis=(1, 2)).mean()
        moved = abs(heat - heat.mean(axis=0)).sum(axis=(1, 2)).mean() / 2
        lines.append(
            f"{kind}: {rows} x {columns} cells; peak cell {top:.0%} of a map (uniform: {1 / (rows * columns):.0%}); "
            f"on average {moved:.0%} of a map differs from the mean of all {len(heat)}"
        )
    return "\n".join(lines)


def untrained(config, model):
    """The model of a run with the weights that its training started from.

    Args:
        config: the run's configuration.
        model: the run's trained model, for the number of classes.
    """
    keras.config.set_dtype_policy(config.precision)
    keras.utils.set_random_seed(config.seed)
    logits = model.output.get("logits")
    # A method without class scores does not ask for the number of classes.
    return METHODS[config.method](config, 1 if logits is None else logits.shape[-1]).model


def baselines(config, model, data, images):
    """The baseline maps, on the grid of the model's own maps: ``{name: (n, rows, columns)}``.

    The names are ``localisation.BASELINES``: a uniform map, a Gaussian at the image centre, the mean mask of the
    training images (left out if there are no masks, or no ``data``), and the attention that positions receive in the
    untrained model.

    Args:
        config, model: of a run, with an attention layer.
        data: the :class:`gaaplib.runs.data.Data` that it was scored on; None: no masks of training images are read.
        images: uint8 (n, height, width, 3).
    """
    shape = (len(images), *heatmaps.grid(model))
    maps = {"uniform": localisation.uniform(*shape), "centre prior": localisation.centre_prior(*shape)}
    masks = None if data is None else _training_masks(config, data)
    if masks is not None:
        maps["mean mask"] = localisation.mean_mask(*shape, masks)
    return {**maps, "untrained": heatmaps.heatmap(untrained(config, model), images)}


def _training_masks(config, data):
    trained_on = config.training() or config
    seen = data if trained_on is config else load_data(trained_on)
    return masks_of(trained_on, seen, seen.part("train"))


def measured(maps, masks, *, interpolation="nearest", threshold=0.5):
    """The measures of :func:`gaaplib.explain.localisation.measures` for each kind of map, upsampled to the masks.

    The default shows the cells as they are. Smooth interpolation biases the pointing game: it is constant beyond the
    centres of the outermost cells, so with two columns the maximum covers the outer half of its cell.

    Args:
        maps: ``{kind: (n, rows, columns)}``.
        masks: bool (n, height, width).
        interpolation: as in :func:`gaaplib.explain.heatmaps.upsample`.
        threshold: of the IoU, as in :func:`gaaplib.explain.localisation.iou`.

    Returns:
        ``{kind: {measure: (n,)}}``, for :func:`gaaplib.explain.localisation.table`.
    """
    return {
        kind: localisation.measures(
            heatmaps.upsample(heat, *masks.shape[1:], interpolation), masks, threshold=threshold
        )
        for kind, heat in maps.items()
    }


def against_the_centre(maps, masks, groups):
    """A DataFrame of text, one row per kind: each map compared with the centre prior on the map's own grid.

    Args:
        maps: ``{kind: (n, rows, columns)}``.
        masks: bool (n, height, width).
        groups: (n,), the identity of each image.
    """
    rows = {}
    for kind, heat in maps.items():
        both = measured({kind: heat, "centre prior": localisation.centre_prior(*heat.shape)}, masks)
        verdicts = [localisation.versus(both, kind, measure, groups) for measure in both[kind]]
        means = localisation.table({kind: both[kind]}, groups).loc[kind]
        rows[kind] = {one.measure: f"{means[one.measure]}, {one.verdict}" for one in verdicts}
    return pd.DataFrame.from_dict(rows, orient="index")


def deletion_insertion(model, images, matches, maps, *, seed=0):
    """Cosine similarity to the match while the cells of an image are removed, or added, in the order of its map.

    A map named ``"uniform"`` gives no order, so its cells are taken in a random one.

    Args:
        model: of a run.
        images: uint8 (n, height, width, 3).
        matches: uint8 (n, height, width, 3), the image that each one is compared with.
        maps: ``{kind: (n, rows, columns)}``.
        seed: of the random order.

    Returns:
        ``{kind: (deletion, insertion)}``, each (n, steps + 1); see
        :func:`gaaplib.explain.localisation.deletion_insertion`.
    """
    targets = _directions(model, matches)

    def score(changed):
        return (_directions(model, inputs.with_pixels(images, changed)) * targets).sum(axis=1)

    cells = np.prod(next(iter(maps.values())).shape[1:])
    steps = max(count for count in range(1, STEPS + 1) if cells % count == 0)
    shuffled = {kind: _shuffled(heat, seed) if kind == "uniform" else heat for kind, heat in maps.items()}
    seen = inputs.pixels(images)
    return {kind: localisation.deletion_insertion(seen, heat, score, steps=steps) for kind, heat in shuffled.items()}


def _distances(run, model, images, queries, gallery):
    outputs = [fit.embed(model, images, rows.to_numpy()) for rows in (queries, gallery)]
    return METHODS[run.config.method].distances(*outputs, run.config.distance, model).matrix()


def _directions(model, images):
    embeddings = fit.embed(model, images, np.arange(len(images)))["embedding"]
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)


def _shuffled(maps, seed):
    """Maps of the same shape whose cells are in a random order."""
    cells = maps[0].size
    ranks = np.tile(np.arange(1, cells + 1) / (cells * (cells + 1) / 2), (len(maps), 1))
    return np.random.default_rng(seed).permuted(ranks, axis=1).reshape(maps.shape)
