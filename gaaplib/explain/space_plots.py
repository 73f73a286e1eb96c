"""Figures of embeddings: points in the plane, and images that lie far from their own person."""

import matplotlib.pyplot as plt
import numpy as np

from gaaplib.plots import PALETTE, RIGHT, WRONG, mark_synthetic

PEOPLE = 10
"""Number of people who have a colour."""


def planes(projections, table, *, synthetic=False):
    """Plot projections side by side, twice: coloured by identity (ten of the people), and by camera.

    Args:
        projections: ``{name: (n, 2)}``, all of the same images.
        table: DataFrame of n rows with ``pid`` and ``camid``.
        synthetic: whether the images are synthetic.
    """
    people = table.pid.unique()
    chosen = people[np.linspace(0, len(people) - 1, min(PEOPLE, len(people))).round().astype(int)]
    rows = {"identity": (table.pid, chosen), "camera": (table.camid, np.sort(table.camid.unique()))}
    wide = len(projections)
    figure, axes = plt.subplots(2, wide, figsize=(0.9 + 2.8 * wide, 5.8), squeeze=False, layout="constrained")
    for line, (name, (labels, coloured)) in zip(axes, rows.items(), strict=True):
        for axis, points in zip(line, projections.values(), strict=True):
            _points(axis, points, labels.to_numpy(), coloured)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(f"by {name}")
        words = [f"{name} {value}" for value in coloured]
        left_out = len(np.unique(labels)) > len(coloured)
        handles, names = line[-1].get_legend_handles_labels()
        names = [*words, "others"] if left_out else words
        line[-1].legend(
            handles[-len(words) :] + handles[:left_out], names, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8
        )
    for axis, name in zip(axes[0], projections, strict=True):
        axis.set_title(name)
    mark_synthetic(figure, synthetic)
    return figure


def _points(axis, points, labels, coloured):
    """Dots, those without a colour beneath; a shape changes with each round of the palette."""
    others = ~np.isin(labels, coloured)
    if others.any():
        axis.scatter(*points[others].T, s=6, color="0.85", label="others")
    for place, label in enumerate(coloured):
        look = {"color": PALETTE[place % len(PALETTE)], "marker": "os^vD"[place // len(PALETTE) % 5]}
        axis.scatter(*points[labels == label].T, s=14, label=str(label), **look)


def outlier_sheet(images, outliers, *, synthetic=False):
    """Show images far from their own person: each above its nearest image of the same person and of another one.

    Args:
        images: uint8 (n, height, width, 3), all of the space.
        outliers: DataFrame of :meth:`gaaplib.explain.spaces.Space.outliers`.
        synthetic: whether the images are synthetic.
    """
    count, (height, width) = len(outliers), images.shape[1:3]
    sheet = [images[places] for places in (outliers.index, outliers.same, outliers.other)]
    wide = min(1.1, 8.6 / count)
    figure, axes = plt.subplots(
        3, count, figsize=(0.4 + wide * count, 0.5 + 3 * wide * height / width), squeeze=False, layout="constrained"
    )
    rows = zip(axes, sheet, ("image", "nearest, same", "nearest, other"), (None, RIGHT, WRONG), strict=True)
    for line, pictures, name, colour in rows:
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(color=colour or "0.8", linewidth=2 if colour else 0.5)
        line[0].set_ylabel(name, fontsize=9)
    for axis, silhouette in zip(axes[0], outliers.silhouette, strict=True):
        axis.set_title(f"{silhouette:+.2f}", fontsize=8)
    mark_synthetic(figure, synthetic)
    return figure
