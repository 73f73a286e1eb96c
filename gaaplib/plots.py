"""Figures: functions from arrays to matplotlib figures. Nothing here reads a file.

The style of all figures is set here. With ``synthetic=True`` a figure is labelled as synthetic beneath its frame.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

sns.set_theme(style="whitegrid", palette="colorblind", context="notebook")
plt.rcParams.update({"figure.dpi": 110, "savefig.bbox": "tight", "axes.titlesize": "medium"})

PALETTE = sns.color_palette("colorblind")
# The same thing has the same colour in every figure. Colour-blind readers can tell the palette's colours apart.
COLOURS = {
    "train": PALETTE[0],
    "val": PALETTE[1],
    "gaap": PALETTE[0],
    "triplet": PALETTE[2],
    "histogram": PALETTE[3],
    "chance": PALETTE[7],
}
_INDICES = {
    "attention": {"class": 0, "none": 1, "self": 2, "uniform": 5, "channel": 4, "nonlocal": 9},
    "pooling": {"avg": 0, "max": 3, "gem": 2},
    "backbone": {"vgg16": 1, "vgg19": 3, "resnet18": 9, "resnet34": 0, "resnet50": 2},
}
COLOURS |= {name: PALETTE[index] for indices in _INDICES.values() for name, index in indices.items()}
RIGHT, WRONG = PALETTE[2], PALETTE[3]
# Enough for images 64 pixels wide; notebooks are committed with their figures, so figures should be small.
GRID_DPI = 80


def image_grid(images, labels=None, *, columns=8, frames=None, title=None, synthetic=False):
    """A grid of images.

    Args:
        images: sequence of uint8 (height, width, 3); None leaves a cell empty.
        labels: a short text for each image, written above it.
        columns: images per row.
        frames: a colour or None for each image.
        title: of the figure.
        synthetic: whether the images are synthetic.
    """
    rows = -(-len(images) // columns)
    height, width = next(image.shape[:2] for image in images if image is not None)
    size = (columns, rows * (0.93 * height / width + (0.22 if labels else 0.07)) + 0.4)
    figure, axes = plt.subplots(rows, columns, figsize=size, dpi=GRID_DPI, squeeze=False, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.0)
    for index, axis in enumerate(axes.flat):
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        image = images[index] if index < len(images) else None
        if image is None:
            axis.axis("off")
            continue
        axis.imshow(image)
        if labels:
            axis.set_title(labels[index], fontsize=8, pad=2)
        frame = frames[index] if frames else None
        axis.spines[:].set(color=frame or "0.8", linewidth=3.0 if frame else 0.5)
    finish_grid(figure, title, synthetic)
    return figure


def rankings(queries, rows, *, titles=None, synthetic=False):
    """Queries, each with its nearest gallery images, framed green (right) or orange (wrong).

    Args:
        queries: sequence of uint8 (height, width, 3).
        rows: for each query, a list of ``(image, is_match)``, nearest first.
        titles: a short text for each query.
        synthetic: whether the images are synthetic.
    """
    columns = 1 + max(len(row) for row in rows)
    images, frames, labels = [], [], []
    for index, (query, row) in enumerate(zip(queries, rows, strict=True)):
        images += [query, *(image for image, _ in row)]
        frames += [None, *(RIGHT if match else WRONG for _, match in row)]
        labels += [titles[index] if titles else "query"]
        labels += [f"{rank} {'✓' if match else '✗'}" for rank, (_, match) in enumerate(row, start=1)]
        padding = columns - 1 - len(row)
        images, frames, labels = images + [None] * padding, frames + [None] * padding, labels + [""] * padding
    return image_grid(images, labels, columns=columns, frames=frames, synthetic=synthetic)


def training_curves(history, *, synthetic=False):
    """Loss and accuracy over epochs, for training and validation.

    Args:
        history: the table of :attr:`gaaplib.runs.Run.history`.
        synthetic: whether the images are synthetic.
    """
    prefix = "logits_" if "logits_accuracy" in history else ""
    panels = (("loss", "loss"), (f"{prefix}accuracy", "accuracy (fraction)"))
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, (column, name) in zip(axes, panels, strict=True):
        for kind, source in (("train", column), ("val", f"val_{column}")):
            if source in history:
                axis.plot(history.epoch, history[source], "o-", ms=4, color=COLOURS[kind], label=kind)
        axis.set(xlabel="epoch", ylabel=name)
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylim(0, 1)
    axes[0].legend(loc="upper right")
    mark_synthetic(figure, synthetic)
    return figure


def cmc_curves(curves, *, protocol, synthetic=False):
    """CMC(k) over the rank k.

    Args:
        curves: ``{name: array of CMC(1), CMC(2), ...}`` as fractions.
        protocol: name of the protocol, for the axis label.
        synthetic: whether the images are synthetic.
    """
    figure, axis = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
    for name, cmc in curves.items():
        style = "--" if name == "chance" else "-"
        axis.plot(np.arange(1, len(cmc) + 1), cmc, style, color=COLOURS.get(name), label=name, lw=2)
    axis.set(xlabel="rank k", ylabel=f"CMC(k), {protocol}", ylim=(0, 1), xlim=(1, None))
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(loc="lower right")
    mark_synthetic(figure, synthetic)
    return figure


def counts_bars(counts, *, synthetic=False):
    """Horizontal bars of the number of images per role, labelled with the numbers of images and identities.

    Args:
        counts: DataFrame with an index of roles and columns ``images`` and ``identities``.
        synthetic: whether the images are synthetic.
    """
    figure, axis = plt.subplots(figsize=(7, 0.45 * len(counts) + 0.9), layout="constrained")
    sns.barplot(x=counts.images, y=counts.index, ax=axis, color=PALETTE[0])
    for row, (images, identities) in enumerate(zip(counts.images, counts.identities, strict=True)):
        axis.text(images, row, f"  {images:,} images, {identities:,} identities", va="center", fontsize=9)
    axis.set(xlabel="images", ylabel="", xlim=(0, counts.images.max() * 1.6))
    mark_synthetic(figure, synthetic)
    return figure


def images_per_identity(pids, *, synthetic=False):
    """Histogram of the number of images per identity.

    Args:
        pids: (n,) identity of each image.
        synthetic: whether the images are synthetic.
    """
    sizes = pd.Series(np.asarray(pids)).value_counts()
    figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
    sns.histplot(sizes, discrete=True, ax=axis, color=PALETTE[0])
    axis.set(xlabel="images per identity", ylabel="identities", xlim=(0, None))
    axis.yaxis.get_major_locator().set_params(integer=True)
    mark_synthetic(figure, synthetic)
    return figure


def finish_grid(figure, title, synthetic):
    """Give a figure of several panels its title, and a note beneath if the images are synthetic."""
    if title:
        figure.suptitle(title, fontsize=10)
    mark_synthetic(figure, synthetic)


def mark_synthetic(figure, synthetic, **place):
    """Write "synthetic data" beneath the figure, at the right, if the data are synthetic.

    Args:
        figure: a figure.
        synthetic: whether they are.
        **place: ``x``, ``y`` and ``va`` for a figure without a constrained layout, which makes no room.
    """
    if synthetic:
        look = {"fontsize": 9, "color": "0.35", "style": "italic"}
        figure.supxlabel("synthetic data", ha="right", **look, **{"x": 0.99, **place})
