"""Figures of published results: patterns in the paper's tables, and Table IV next to the methods' own numbers."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from gaaplib.paper.sota import HERE, HERE_SYNTHETIC, OWN, PRINTED
from gaaplib.plots import COLOURS, PALETTE, finish_grid, mark_synthetic

WAY_COLOURS = {PRINTED: PALETTE[7], OWN: PALETTE[0], HERE: PALETTE[2], HERE_SYNTHETIC: PALETTE[1]}


def offsets(tables, *, title=None, synthetic=False):
    """Plot differences of tables as heat maps with one colour scale, so a constant difference is one colour.

    Args:
        tables: ``{name: DataFrame of differences}``, the same rows in each.
        title: title of the figure.
        synthetic: whether the numbers are from synthetic images.
    """
    first = next(iter(tables.values()))
    long = any(len(line) > 12 for table in tables.values() for name in table for line in str(name).split("\n"))
    size = (1.8 + (0.75 if long else 1.05) * sum(table.shape[1] for table in tables.values()), 1.2 + 0.3 * len(first))
    figure, axes = plt.subplots(1, len(tables), figsize=size, squeeze=False, sharey=True, layout="constrained")
    values = np.concatenate([table.to_numpy().ravel() for table in tables.values()])
    for axis, (name, table) in zip(axes.flat, tables.items(), strict=True):
        sns.heatmap(
            table,
            ax=axis,
            annot=True,
            fmt="+.3f",
            cmap="cividis",
            vmin=values.min(),
            vmax=values.max(),
            cbar=False,
            linewidths=0.5,
            annot_kws={"fontsize": 9},
        )
        axis.set(xlabel="", ylabel="", title=name)
        axis.tick_params(axis="x", rotation=90 if long else 0, labelsize=9)
        axis.tick_params(axis="y", rotation=0)
    finish_grid(figure, title, synthetic)
    return figure


def row_shapes(rows, shapes, *, synthetic=False):
    """Plot the rows of a table as lines, one panel per shape: rows that are equal up to a constant are parallel.

    Args:
        rows: DataFrame; each row is a line, each column a point.
        shapes: the shape of each row, in the same order.
        synthetic: whether the numbers are from synthetic images.
    """
    names = list(dict.fromkeys(shapes))
    figure, axes = plt.subplots(1, len(names), figsize=(1.9 * len(names), 3.2), sharey=True, layout="constrained")
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        chosen = rows[np.asarray(shapes) == name]
        for number, (_, row) in enumerate(chosen.iterrows()):
            axis.plot(range(len(row)), row, "o-", ms=4, color=f"C{number}")
        axis.set(title=f"shape {name}: {len(chosen)}", xticks=range(rows.shape[1]), xlim=(-0.3, rows.shape[1] - 0.7))
        axis.set_xticklabels(rows.columns, rotation=90, fontsize=9)
    np.atleast_1d(axes)[0].set_ylabel("as printed")
    mark_synthetic(np.atleast_1d(axes)[0], synthetic, corner="lower left")
    return figure


def figures_by_method(table, *, xlabel, synthetic=False):
    """Plot one bar per reported number, grouped by method, labelled with interval and protocol.

    Args:
        table: DataFrame of :func:`gaaplib.paper.sota.three_ways`.
        xlabel: name and unit of the numbers.
        synthetic: whether the numbers are from synthetic images.
    """
    figure, axis = plt.subplots(figsize=(9, 0.6 + 0.24 * len(table)), layout="constrained")
    y, ticks = 0.0, {}
    for method, group in table.groupby("method", sort=False):
        ticks[method] = y + (len(group) - 1) / 2
        for row in group.itertuples():
            end = row.value
            axis.barh(y, end, height=0.85, color=WAY_COLOURS[row.way], label=row.way)
            if np.isfinite(row.low):
                axis.plot([row.low, row.high], [y, y], color="0.15", lw=1.5)
                end = row.high
            axis.text(end + 0.01, y, f"{row.value:.3f}  {row.protocol}", va="center", fontsize=8)
            y += 1
        y += 0.5
    # Room for the labels next to the bars.
    right = 1.15 + 0.0165 * table.protocol.str.len().max()
    axis.set(xlabel=xlabel, xlim=(0, right), ylim=(y - 0.5, -1), xticks=np.arange(0, 1.01, 0.2))
    axis.set_yticks(list(ticks.values()), list(ticks), fontsize=9)
    axis.grid(False, axis="y")
    handles, labels = axis.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=len(unique), fontsize=9)
    mark_synthetic(axis, synthetic, corner="lower right")
    return figure


def three_rankings(table, *, measured, synthetic=False):
    """Plot the rank of each method by what was measured, by Table IV, and by its own paper, with the number beside it.

    The three are of different images, sizes and training, so each has an axis of its own. A line is the interval.

    Args:
        table: DataFrame of :func:`gaaplib.paper.photographs.beside_published`.
        measured: name and unit of what was measured.
        synthetic: whether it is of synthetic images.
    """
    figure, axes = plt.subplots(1, 3, figsize=(9.4, 1.2 + 0.3 * len(table)), sharey=True, layout="constrained")
    places = np.arange(len(table))
    axes[0].hlines(places, table.rank_low, table.rank_high, color=WAY_COLOURS[HERE], lw=2)
    names = {"value": measured, "table_4": "Table IV (CMC, Market-1501)", "own": "own papers (rank-1, Market-1501)"}
    kinds = zip(axes, names.items(), ("rank", "table_4_rank", "own_rank"), (HERE, PRINTED, OWN), strict=True)
    for axis, (column, name), rank, way in kinds:
        axis.plot(table[rank], places, "o", color=WAY_COLOURS[way])
        last = max(table[rank].max(), 2) if table[rank].notna().any() else 2
        # The numbers stand in a column behind the last rank.
        axis.set(xlim=(0.4, last + 0.35 * last + 0.6))
        axis.set_xticks([tick for tick in range(1, int(last) + 1) if last < 9 or tick % 3 == 1])
        for place, value in zip(places, table[column], strict=True):
            words = f"{value:.3f}" if value == value else "not run" if column == "value" else "none"
            axis.text(0.99, place, words, transform=axis.get_yaxis_transform(), ha="right", va="center", fontsize=8)
        axis.set_xlabel(f"rank by {name}", fontsize=9)
    axes[0].set_yticks(places, table.index, fontsize=9)
    axes[0].set_ylim(len(table) - 0.5, -0.5)
    mark_synthetic(axes[0], synthetic, corner="lower right")
    return figure


def one_against_other(points, *, synthetic=False):
    """Plot two numbers of each method against each other; on the diagonal they are equal.

    Args:
        points: DataFrame with an index of methods and two columns, whose names label the axes.
        synthetic: whether the numbers are from synthetic images.
    """
    figure, axis = plt.subplots(figsize=(6, 5.4), layout="constrained")
    low, high = points.min(axis=None) - 0.03, points.max(axis=None) + 0.03
    axis.plot([low, high], [low, high], "--", color=COLOURS["chance"], label="equal")
    axis.scatter(points.iloc[:, 0], points.iloc[:, 1], color=PALETTE[0])
    # Names are in a column next to the points, near their height but without overlap.
    margin, step, level = points.iloc[:, 0].max() + 0.03, (high - low) / 18, high
    for name, (x, y) in points.sort_values(points.columns[1], ascending=False).iterrows():
        level = min(y, level - step)
        axis.plot([x, margin], [y, level], color="0.7", lw=0.7, zorder=0)
        axis.text(margin + 0.005, level, name, va="center", fontsize=9)
    axis.set(xlabel=points.columns[0], ylabel=points.columns[1], xlim=(low, high), ylim=(low, high))
    axis.legend(loc="lower right")
    mark_synthetic(axis, synthetic, corner="upper left")
    return figure


def rank_changes(points, *, synthetic=False):
    """Plot each method's rank by two numbers, 1 is the highest, joined by a line.

    Args:
        points, synthetic: as for :func:`one_against_other`.
    """
    ranks = points.rank(ascending=False, method="first").astype(int)
    figure, axis = plt.subplots(figsize=(5.5, 0.6 + 0.3 * len(ranks)), layout="constrained")
    for index, (name, (left, right)) in enumerate(ranks.iterrows()):
        axis.plot([0, 1], [left, right], "o-", color=PALETTE[index % len(PALETTE)])
        for x, rank, value, side in (
            (0, left, points.iloc[index, 0], "right"),
            (1, right, points.iloc[index, 1], "left"),
        ):
            words = f"{name}  {value:.3f}" if x == 0 else f"{value:.3f}  {name}"
            axis.text(x + (0.04 if x else -0.04), rank, words, ha=side, va="center", fontsize=9)
    axis.set(xlim=(-0.6, 1.6), ylim=(len(ranks) + 0.6, 0.4), ylabel="rank", yticks=range(1, len(ranks) + 1))
    axis.set_xticks([0, 1], points.columns)
    axis.grid(False)
    mark_synthetic(axis, synthetic, corner="lower left")
    return figure


def critical_difference(ranks, pairs, *, alpha=0.05, synthetic=False):
    """Plot mean ranks of methods on a line; a bar joins neighbours of which no two differ (Demšar, JMLR 2006, Fig. 1).

    Args:
        ranks: Series of mean ranks by method, 1 the best, ascending.
        pairs: DataFrame of ``one``, ``two`` and ``p``.
        alpha: significance level; a pair with ``p`` below it differs.
        synthetic: whether the ranks are from synthetic images.
    """
    names = list(ranks.index)
    differ = {frozenset((row.one, row.two)) for row in pairs.itertuples() if row.p < alpha}
    figure, axis = plt.subplots(figsize=(7, 0.9 + 0.32 * len(names)), layout="constrained")
    for index, name in enumerate(names):
        axis.plot([ranks[name]] * 2, [0, -1 - index], color="0.6", lw=1)
        axis.plot(ranks[name], 0, "o", color=PALETTE[0])
        axis.text(ranks[name] + 0.05, -1 - index, f"{name} ({ranks[name]:.2f})", va="center", fontsize=9)
    for number, (start, end) in enumerate(_cliques(names, differ)):
        axis.plot([ranks.iloc[start], ranks.iloc[end]], [0.5 + 0.35 * number] * 2, color=PALETTE[3], lw=4)
    label = f"mean rank (bars join methods that do not differ at level {alpha:g})"
    axis.set(xlabel=label, yticks=[], xlim=(0.8, len(names) + 1.2))
    axis.grid(False, axis="y")
    mark_synthetic(axis, synthetic, corner="lower right")
    return figure


def _cliques(names, differ):
    """The longest groups (first index, last index) of at least two neighbours of which no two differ."""
    found = []
    for start in range(len(names)):
        end = start
        while end + 1 < len(names) and not any({names[end + 1], other} in differ for other in names[start : end + 1]):
            end += 1
        if end > start and (not found or end > found[-1][1]):
            found.append((start, end))
    return found
