"""Figures of published results: patterns in the paper's tables, and Table IV next to the methods' own numbers."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from gaaplib.paper.sota import HERE, OWN, PRINTED
from gaaplib.plots import PALETTE, finish_grid, mark_synthetic

WAY_COLOURS = {PRINTED: PALETTE[7], OWN: PALETTE[0], HERE: PALETTE[2]}


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
    mark_synthetic(figure, synthetic)
    return figure


def three_sources(table, *, xlabel, synthetic=False):
    """Plot the numbers of each method on a line of its own, the highest in Table IV first, with their protocols beside.

    Of several variants in a method's own paper, only the first is shown.

    Args:
        table: DataFrame of :func:`gaaplib.paper.sota.three_ways`.
        xlabel: name and unit of the numbers.
        synthetic: whether the numbers are from synthetic images.
    """
    table = table[(table.way != OWN) | ~table.duplicated(["method", "way"])]
    highest = table.value.where(table.way == PRINTED).groupby(table.method).max()
    names = list(highest.sort_values(ascending=False, kind="stable").index)
    figure, axis = plt.subplots(figsize=(9.4, 1.0 + 0.27 * len(names)), layout="constrained")
    for place, name in enumerate(names):
        rows = table[table.method == name].sort_values("value", kind="stable")
        axis.plot(rows.value.iloc[[0, -1]], [place, place], color="0.8", lw=1.5, zorder=1)
        axis.hlines([place] * len(rows), rows.low, rows.high, color=WAY_COLOURS[HERE], lw=2)
        for row in rows.itertuples():
            axis.plot(row.value, place, "o", color=WAY_COLOURS[row.way], label=row.way)
        _number_beside(axis, place, rows.iloc[0], rows.low.min(), "right")
        if len(rows) > 1:
            _number_beside(axis, place, rows.iloc[-1], rows.high.max(), "left")
        said = "; ".join(rows.protocol[rows.way != PRINTED]) or "no other number found"
        axis.text(1.01, place, said, transform=axis.get_yaxis_transform(), va="center", fontsize=8)
    axis.set(xlabel=xlabel, ylim=(len(names) - 0.5, -0.5))
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.margins(x=0.2)
    axis.grid(False, axis="y")
    handles, labels = axis.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper left", ncols=len(unique), fontsize=9)
    mark_synthetic(figure, synthetic)
    return figure


def _number_beside(axis, place, row, end, side):
    """Write a row's number outside of its dot, or of the interval's end."""
    edge = row.value if np.isnan(end) else (max if side == "left" else min)(row.value, end)
    axis.annotate(
        f"{row.value:.3f}",
        (edge, place),
        xytext=(6 if side == "left" else -6, 0),
        textcoords="offset points",
        ha=side,
        va="center",
        fontsize=8,
    )


def three_rankings(table, *, measured, synthetic=False):
    """Plot the rank of each method by what was measured, by Table IV, and by its own paper, with the number beside it.

    The three are of different images, sizes and training, so each has an axis of its own. A line is the interval. A
    method without any of the three numbers is left out.

    Args:
        table: DataFrame of :func:`gaaplib.paper.photographs.beside_published`.
        measured: name and unit of what was measured.
        synthetic: whether it is of synthetic images.
    """
    table = table[table[["value", "table_4", "own"]].notna().any(axis=1)]
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
        for place, (value, why) in enumerate(zip(table[column], table.words, strict=True)):
            words = f"{value:.3f}" if value == value else why if column == "value" else "none"
            axis.text(0.99, place, words, transform=axis.get_yaxis_transform(), ha="right", va="center", fontsize=8)
        axis.grid(False, axis="y")
        axis.set_xlabel(f"rank by {name}", fontsize=9)
    axes[0].set_yticks(places, table.index, fontsize=9)
    axes[0].set_ylim(len(table) - 0.5, -0.5)
    mark_synthetic(figure, synthetic)
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
    mark_synthetic(figure, synthetic)
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
