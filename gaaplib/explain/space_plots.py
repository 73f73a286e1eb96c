"""Figures of embeddings: points in the plane, and images that lie far from their own person."""

import matplotlib.pyplot as plt
import numpy as np

from gaaplib.datasets.records import UNKNOWN_CAMERA
from gaaplib.plots import PALETTE, RIGHT, WRONG, image_grid, mark_synthetic

PEOPLE = 10
"""Number of people who have a colour."""


def planes(projections, table, *, synthetic=False):
    """Plot projections side by side, twice: coloured by identity (ten of the people), and by camera if it is known.

    Args:
        projections: ``{name: (n, 2)}``, all of the same images.
        table: DataFrame of n rows with ``pid`` and ``camid``.
        synthetic: whether the images are synthetic.
    """
    people = table.pid.unique()
    chosen = people[np.linspace(0, len(people) - 1, min(PEOPLE, len(people))).round().astype(int)]
    rows = {"identity": (table.pid, chosen)}
    if (table.camid != UNKNOWN_CAMERA).all():
        rows["camera"] = table.camid, np.sort(table.camid.unique())
    high, wide = len(rows), len(projections)
    size = (0.9 + 2.8 * wide, 2.9 * high)
    figure, axes = plt.subplots(high, wide, figsize=size, squeeze=False, layout="constrained")
    for line, (name, (labels, coloured)) in zip(axes, rows.items(), strict=True):
        for axis, points in zip(line, projections.values(), strict=True):
            _points(axis, points, labels.to_numpy(), coloured, name)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(f"by {name}")
        line[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    for axis, name in zip(axes[0], projections, strict=True):
        axis.set_title(name)
    mark_synthetic(figure, synthetic)
    return figure


def _points(axis, points, labels, coloured, name):
    """Dots, those without a colour beneath; a shape changes with each round of the palette."""
    for place, label in enumerate(coloured):
        look = {"color": PALETTE[place % len(PALETTE)], "marker": "os^vD"[place // len(PALETTE) % 5]}
        axis.scatter(*points[labels == label].T, s=14, label=f"{name} {label}", zorder=2, **look)
    others = ~np.isin(labels, coloured)
    if others.any():
        axis.scatter(*points[others].T, s=6, color="0.85", label="others", zorder=1)


def outlier_sheet(images, outliers, *, synthetic=False):
    """Show images far from their own person: each above its nearest image of the same person and of another one.

    Args:
        images: uint8 (n, height, width, 3), all of the space.
        outliers: DataFrame of :meth:`gaaplib.explain.spaces.Space.outliers`.
        synthetic: whether the images are synthetic.
    """
    count = len(outliers)
    labels = [f"{value:+.2f}" for value in outliers.silhouette] + ["nearest, same"] * count + ["nearest, other"] * count
    sheet = np.concatenate([images[places] for places in (outliers.index, outliers.same, outliers.other)])
    frames = [None] * count + [RIGHT] * count + [WRONG] * count
    return image_grid(sheet, labels, columns=count, frames=frames, synthetic=synthetic)
