"""Figures of what the published tables are made of: constant differences and repeated rows."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from gaaplib.plots import finish_grid, mark_synthetic


def offsets(tables, *, title=None, synthetic=False):
    """Differences of tables as heat maps, on one scale of colours: a constant difference is one colour.

    Args:
        tables: ``{name: DataFrame of differences}``, the same rows in each.
        title: of the figure.
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
    """The rows of a table as lines, a panel a shape: rows that are equal up to a constant are parallel.

    Args:
        rows: DataFrame, a row a line, a column a point.
        shapes: the shape of each row, in the same order.
    """
    names = list(dict.fromkeys(shapes))
    figure, axes = plt.subplots(1, len(names), figsize=(1.9 * len(names), 3.2), sharey=True, layout="constrained")
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        chosen = rows[np.asarray(shapes) == name]
        for place, (_, row) in enumerate(chosen.iterrows()):
            axis.plot(range(len(row)), row, "o-", ms=4, color=f"C{place}")
        axis.set(title=f"shape {name}: {len(chosen)}", xticks=range(rows.shape[1]), xlim=(-0.3, rows.shape[1] - 0.7))
        axis.set_xticklabels(rows.columns, rotation=90, fontsize=9)
    np.atleast_1d(axes)[0].set_ylabel("as printed")
    mark_synthetic(np.atleast_1d(axes)[0], synthetic, corner="lower left")
    return figure
