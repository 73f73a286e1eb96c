"""Figures of heat maps: arrays in, matplotlib figure out, in the style of :mod:`gaaplib.plots`. Nothing reads files.

A smoothly interpolated map of 4 x 2 cells looks finer than it is, so every map shows its cell borders. The image below
the map is grey, so that all colour belongs to the map.
"""

import itertools
import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

from gaaplib.evaluation import statistics
from gaaplib.explain.localisation import BASELINES, auc
from gaaplib.plots import COLOURS, PALETTE, RIGHT, WRONG, mark_synthetic

# The higher a value, the less of the image shows through, so that the person stays visible where the map is low. The
# image is in light greys, because on dark clothes the map would look low.
_COLOURS = plt.get_cmap("inferno")(np.linspace(0.0, 1.0, 256))
_COLOURS[:, 3] = np.linspace(0.25, 0.8, 256)
MAP_COLOURS, GREYS = ListedColormap(_COLOURS), (0.3, 1.0)
# The frame and the sign of a gallery image by its state; the sign is for readers who cannot tell the colours apart.
STATES = {"match": (RIGHT, " ✓"), "wrong": (WRONG, " ✗"), "same camera": ("0.6", ""), None: (None, "")}
BASELINE_COLOURS = dict(zip(BASELINES, ("0.8", "0.55", "0.35", "0.68"), strict=True))
# In inches: width of a notebook page, narrowest panel (set by its label), widest panel, gap between panels, margins.
PAGE, NARROW, WIDE, GAP = 8.6, 0.55, 1.2, 0.05
LEFT, RIGHT_MARGIN, ABOVE = 0.25, 0.85, 0.55
# In points: the letters of the names above the panels, and of a figure's title.
NAME, TITLE = 8, 10


def overlay(axis, image, heat, *, top, interpolation="bilinear", at=(0, 0)):
    """Draw a map and its cell borders on the grey image.

    Args:
        axis: of matplotlib.
        image: uint8 (height, width, 3).
        heat: (h, w), not negative.
        top: value of the brightest colour; the darkest is 0.
        interpolation: of matplotlib's ``imshow``; ``"nearest"`` shows the cells as they are.
        at: x and y of the image's first pixel.

    Returns:
        The matplotlib image of the map, for a colour bar.
    """
    height, width = image.shape[:2]
    h, w = heat.shape
    grey = image @ np.array([0.299, 0.587, 0.114]) / 255
    left, right, bottom, top_edge = extent = _extent(at, image.shape)
    shades = GREYS[0] + (GREYS[1] - GREYS[0]) * grey
    axis.imshow(shades, cmap="gray", vmin=0, vmax=1, extent=extent)
    drawn = axis.imshow(heat, extent=extent, cmap=MAP_COLOURS, vmin=0, vmax=top, interpolation=interpolation)
    across = [[(left, y), (right, y)] for y in np.arange(1, h) * height / h + top_edge]
    down = [[(x, top_edge), (x, bottom)] for x in np.arange(1, w) * width / w + left]
    axis.add_collection(LineCollection(across + down, colors="white", linewidths=0.5, alpha=0.4), autolim=False)
    return drawn


def map_sheet(images, maps, *, labels=None, title=None, synthetic=False, interpolation="bilinear"):
    """A figure with one row per image: the image and its maps, on one colour scale that marks the uniform value.

    The scale is a cell's share of its map. If the grids differ, it is the multiple of the uniform map's share.

    Args:
        images: uint8 (n, height, width, 3).
        maps: ``{name: (n, h, w)}``, each map sums to one.
        labels: a short text for each image, written beside it.
        title: of the figure. It is wrapped to the figure's width, and the names of the maps to a panel's.
        synthetic: whether the images are synthetic.
        interpolation: as in :func:`overlay`.

    Raises:
        ValueError: ``maps`` does not have one map per image.
    """
    shapes = {name: np.shape(heat) for name, heat in maps.items()}
    if any(len(shape) != 3 or shape[0] != len(images) for shape in shapes.values()):
        raise ValueError(f"maps have the shapes {shapes}: give (n, h, w), one map for each of {len(images)} images")
    cells = {shape[1] * shape[2] for shape in shapes.values()}
    if len(cells) > 1:
        maps = {name: heat * heat[0].size for name, heat in maps.items()}
    columns = 1 + len(maps)
    names = [_wrapped(name, _wide(columns), NAME) for name in ("image", *maps)]
    title = _wrapped(title or "", _width(columns), TITLE)
    figure, axes = _panels(len(images), columns, images[0].shape, _above(title, names))
    top = max(heat.max() for heat in maps.values())
    for row, image in enumerate(images):
        axes[row, 0].imshow(image)
        for axis, heat in zip(axes[row, 1:], maps.values(), strict=True):
            drawn = overlay(axis, image, heat[row], top=top, interpolation=interpolation)
        if labels:
            axes[row, 0].set_ylabel(labels[row], fontsize=8)
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name, fontsize=NAME, pad=4)
    first, last = axes[0, -1].get_position(), axes[:3][-1, -1].get_position()
    _scale(figure, (first.x1, last.y0, first.y1), drawn, *cells)
    _name(figure, title, synthetic)
    return figure


def match_sheet(query, gallery, states, distances, *, maps=None, title=None, synthetic=False, interpolation="bilinear"):
    """A figure of a query and its nearest gallery images, framed as right or wrong, with the map of each below it.

    Args:
        query: uint8 (height, width, 3).
        gallery: sequence of k such images, nearest first.
        states: ``"match"``, ``"wrong"``, ``"same camera"`` (not ranked) or None (unknown) for each.
        distances: (k,).
        maps: (1 + k, h, w), the query's first. None: images only.
        title, synthetic, interpolation: as in :func:`map_sheet`.

    Raises:
        ValueError: an unknown state, or a number of maps other than 1 + k.
    """
    images = [query, *gallery]
    unknown = [state for state in states if state not in STATES]
    if unknown:
        raise ValueError(f"state {unknown[0]!r} is not known; known: {', '.join(map(repr, STATES))}")
    if maps is not None and len(maps) != len(images):
        raise ValueError(f"there are {len(maps)} maps: give {len(images)}, the query's and one for each gallery image")
    title = _wrapped(title or "", _width(len(images)), TITLE)
    figure, axis, places = _mosaic(1 if maps is None else 2, len(images), query.shape, _above(title))
    labels = ["query", *_labels(states, distances)]
    for at, image, label, state in zip(places[0], images, labels, [None, *states], strict=True):
        axis.imshow(image, extent=_extent(at, image.shape))
        middle, above = at[0] + (image.shape[1] - 1) / 2, {"xytext": (0, 4), "textcoords": "offset points"}
        # Its words are wider than a rank.
        size = 7 if state == "same camera" else 9
        axis.annotate(label, (middle, at[1] - 0.5), **above, ha="center", va="baseline", fontsize=size)
        _frame(axis, at, image.shape, STATES[state][0])
    if maps is not None:
        maps = np.asarray(maps)
        for at, image, heat in zip(places[1], images, maps, strict=True):
            drawn = overlay(axis, image, heat, top=maps.max(), interpolation=interpolation, at=at)
            _frame(axis, at, image.shape)
        box = axis.get_position()
        lower = axis.transAxes.inverted().transform(axis.transData.transform((0, places[1][0][1] - 0.5)))[1]
        _scale(figure, (box.x1, box.y0, box.y0 + lower * box.height), drawn, maps[0].size)
    _name(figure, title, synthetic)
    return figure


def localisation_bars(table, *, synthetic=False):
    """A figure with one panel per measure: means with intervals. Baselines are grey; a dashed line is the uniform map.

    Args:
        table: the DataFrame of :func:`gaaplib.explain.localisation.table`.
        synthetic: whether the images are synthetic.
    """
    size = (2.6 * table.shape[1] + 0.8, 1.1 + 0.27 * len(table))
    figure, axes = plt.subplots(1, table.shape[1], figsize=size, sharey=True, squeeze=False, layout="constrained")
    colours = _colours(table.index)
    for axis, (measure, column) in zip(axes[0], table.items(), strict=True):
        for y, (kind, interval) in enumerate(column.items()):
            axis.barh(y, interval.estimate, height=0.75, color=colours[kind])
            line = axis.plot([interval.low, interval.high], [y, y], color="0.1", lw=1.5)[0]
            line.set_path_effects([patheffects.withStroke(linewidth=3.5, foreground="white")])
            end = interval.estimate if np.isnan(interval.high) else interval.high
            text = axis.text(end, y, f"  {interval.estimate:.2f}", va="center", fontsize=8)
            text.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])
        if "uniform" in table.index:
            axis.axvline(column["uniform"].estimate, ls="--", color="0.1", lw=1)
        axis.set(xlim=(0, 1.15), xticks=np.arange(0, 1.01, 0.25))
        axis.set_xlabel(measure, fontsize=10)
        axis.tick_params(labelsize=9)
        axis.grid(False, axis="y")
    axes[0, 0].set_yticks(range(len(table)), table.index)
    axes[0, 0].set_ylim(len(table) - 0.4, -0.6)
    mark_synthetic(figure, synthetic)
    return figure


def deletion_insertion_curves(curves, groups=None, *, score="match score", synthetic=False):
    """Mean deletion and insertion curves with pointwise 95 % bootstrap bands; the legend lists the area under each.

    Args:
        curves: ``{kind of map: (deletion, insertion)}``, each (n, steps + 1), of
            :func:`gaaplib.explain.localisation.deletion_insertion`.
        groups: (n,), the identity of each image; whole identities are resampled. None: images are resampled.
        score: label of the score axis.
        synthetic: whether the images are synthetic.
    """
    figure, axes = plt.subplots(1, 2, figsize=(PAGE, 3.9), sharey=True, layout="constrained")
    colours = _colours(curves)
    for axis, side, name in zip(axes, (0, 1), ("removed", "added"), strict=True):
        for kind, pair in curves.items():
            values = np.asarray(pair[side])
            shares = np.linspace(0, 1, values.shape[1])
            band = [statistics.bootstrap_mean(column, groups, resamples=2000) for column in values.T]
            low, high = [interval.low for interval in band], [interval.high for interval in band]
            axis.fill_between(shares, low, high, color=colours[kind], alpha=0.2, lw=0)
            style = "--" if kind in BASELINES else "-"
            label = f"{kind}: {auc(values).mean():.3f}"
            axis.plot(shares, values.mean(axis=0), style, color=colours[kind], lw=2, label=label)
        axis.set_xlabel(f"share of the cells {name}", fontsize=10)
        axis.set(xlim=(0, 1))
        axis.tick_params(labelsize=9)
        # Below the axes, where the legend covers no curve.
        axis.legend(title="area under the curve", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=8)
        axis.get_legend().get_title().set_fontsize(8)
    axes[0].set_ylabel(score, fontsize=10)
    axes[0].set_title("deletion: lower is better")
    axes[1].set_title("insertion: higher is better")
    mark_synthetic(figure, synthetic)
    return figure


def _wide(columns):
    """Width of a panel, in inches."""
    return np.clip((PAGE - LEFT - RIGHT_MARGIN) / columns - GAP, NARROW, WIDE)


def _width(columns):
    """Width of the figure, in inches."""
    return LEFT + columns * (_wide(columns) + GAP) + RIGHT_MARGIN


def _wrapped(text, inches, points):
    """The text in lines that fit into a width: a letter is about 0.6 times as wide as it is high."""
    most = int(inches * 72 / (0.6 * points))
    return "\n".join(line for given in str(text).split("\n") for line in textwrap.wrap(given, most) or [""])


def _above(title, names=()):
    """Height above the panels, in inches: ``ABOVE`` for two lines of names and one of the title, and more for more."""
    more = max(0, max((name.count("\n") for name in names), default=0) - 1) * NAME + title.count("\n") * TITLE
    return ABOVE + 1.25 * more / 72


def _sizes(rows, columns, shape, above):
    """Width and height of a panel and of the figure, and its margins. In inches, so that no space is wasted."""
    wide = _wide(columns)
    tall = wide * shape[0] / shape[1]
    width, height = _width(columns), above + rows * (tall + GAP)
    margins = {
        "left": LEFT / width,
        "right": 1 - (RIGHT_MARGIN + GAP) / width,
        "bottom": GAP / height,
        "top": 1 - above / height,
    }
    return (wide, tall), (width, height), margins


def _panels(rows, columns, shape, above):
    """Axes (rows, columns) without ticks for images of this shape, with so many inches above them."""
    (wide, tall), size, margins = _sizes(rows, columns, shape, above)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    figure.subplots_adjust(**margins, wspace=GAP / wide, hspace=GAP / tall)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        axis.spines[:].set(color="0.8", linewidth=0.5)
    return figure, axes


def _mosaic(rows, columns, shape, above):
    """Like the panels, but on one axis, as the axes would take most of a figure's time; and the place of each panel.

    Places are (rows, columns, 2): x and y of the first pixel. A unit is a pixel of the images.
    """
    (wide, tall), size, margins = _sizes(rows, columns, shape, above)
    figure = plt.figure(figsize=size)
    left, bottom = margins["left"], margins["bottom"]
    axis = figure.add_axes((left, bottom, margins["right"] - left, margins["top"] - bottom))
    axis.set_axis_off()
    step = np.array([(wide + GAP) / wide * shape[1], (tall + GAP) / tall * shape[0]])
    x, y = np.array([columns, rows]) * step - GAP / wide * shape[1] - 0.5
    axis.set(xlim=(-0.5, x), ylim=(y, -0.5))
    return figure, axis, np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1) * step


def _extent(at, shape):
    """Left, right, bottom and top edge of an image of this shape whose first pixel is at (x, y)."""
    return at[0] - 0.5, at[0] + shape[1] - 0.5, at[1] + shape[0] - 0.5, at[1] - 0.5


def _frame(axis, at, shape, colour=None):
    """Frame an image: with a colour, or with a thin grey line."""
    look = {"edgecolor": colour or "0.8", "linewidth": 2.5 if colour else 0.5, "clip_on": False, "zorder": 2.5}
    axis.add_patch(Rectangle((at[0] - 0.5, at[1] - 0.5), shape[1], shape[0], fill=False, **look))


def _name(figure, title, synthetic):
    """Put the title at the upper edge for any figure height, so that the names fit between it and the panels."""
    if title:
        figure.suptitle(title, fontsize=TITLE, y=1 - GAP / figure.get_figheight())
    # Left of the colour bar, whose words may be longer than it is.
    mark_synthetic(figure, synthetic, x=1 - RIGHT_MARGIN / figure.get_figwidth(), y=0.0, va="top")


def _scale(figure, box, drawn, *cells):
    """Add the colour bar, with the value of a uniform map marked.

    Args:
        figure: the figure.
        box: what the bar is placed beside: its right, lower and upper edge, as shares of the figure.
        drawn: the matplotlib image that has the colours.
        cells: the different numbers of cells of the maps.
    """
    uniform, label = 1 / cells[0], f"share of the map per cell\n(uniform: 1/{cells[0]})"
    if len(cells) > 1:
        uniform, label = 1, "share of the map per cell,\nas a multiple of the uniform map's"
    (right, lower, upper), inch = box, 1 / figure.get_figwidth()
    axis = figure.add_axes((right + 0.12 * inch, lower, 0.12 * inch, upper - lower), facecolor="0.65")
    bar = figure.colorbar(drawn, cax=axis)
    bar.set_label(label, fontsize=8)
    bar.outline.set_visible(False)
    axis.tick_params(labelsize=8)
    line = axis.axhline(uniform, color="white", lw=2)
    line.set_path_effects([patheffects.withStroke(linewidth=4, foreground="0.1")])


def ranks(states):
    """The rank of each gallery image, counted from 1 as evaluations do: those of the same camera have none (None).

    Example:
        >>> ranks(["same camera", "wrong", "match"])
        [None, 1, 2]
    """
    counted = itertools.count(1)
    return [None if state == "same camera" else next(counted) for state in states]


def _labels(states, distances):
    """The label of each gallery image: rank, sign and distance."""
    numbered = zip(ranks(states), states, distances, strict=True)
    return [f"{rank or 'same cam.'}{STATES[state][1]}\n{distance:.3f}" for rank, state, distance in numbered]


def _colours(kinds):
    """``{kind: colour}``: baselines in grey, the others in colour."""
    others = [kind for kind in kinds if kind not in BASELINES]
    return BASELINE_COLOURS | dict(zip(others, [COLOURS["gaap"], *PALETTE[1:]], strict=False))
