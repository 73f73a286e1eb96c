"""Figures of our runs next to the paper's tables: they take DataFrames of :mod:`gaaplib.paper.tables`.

A cell without a score shows the reason; no value is filled in.
"""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from gaaplib.evaluation.statistics import GAIN, LOSS, TOO_FEW, UNCLEAR
from gaaplib.plots import COLOURS, RIGHT, WRONG, finish_grid, mark_synthetic

# Limits of an axis of fractions: room for marks at both ends.
SHARE = (-0.03, 1.03)


def cells(found, printed=None, *, ylabel, by="attention", synthetic=False):
    """Plot our scores with intervals next to the paper's cells (hollow diamonds): one panel per data set, x = backbone.

    Fold 0 and seed 0 have the interval; the other folds and seeds are small points.

    Args:
        found: DataFrame of :func:`gaaplib.paper.tables.scores`; if it is empty, the axes say so.
        printed: DataFrame of :func:`gaaplib.paper.tables.paper_cells`; None if the paper prints no such measure.
        ylabel: the measure, its unit and its protocol.
        by: the column whose values are compared, each in its own colour: "attention" or "pooling".
        synthetic: whether the images are synthetic.
    """
    names = list(dict.fromkeys(found.dataset)) or ["no runs are planned"]
    backbones, levels = list(dict.fromkeys(found.backbone)), list(dict.fromkeys(found[by]))
    size = (max(0.9 + 1.9 * len(names), 4.5), 3.5)
    figure, axes = plt.subplots(1, len(names), figsize=size, sharey=True, squeeze=False, layout="constrained")
    steps = 0.3 * (np.arange(len(levels)) - (len(levels) - 1) / 2)
    for axis, name in zip(axes.flat, names, strict=True):
        for step, level in zip(steps, levels, strict=True):
            ours = found[(found.dataset == name) & (found[by] == level)]
            _scores(axis, ours, ours.backbone.map(backbones.index) + step, COLOURS[level])
            if printed is not None:
                cited = printed[(printed.dataset == name) & (printed[by] == level) & printed.backbone.isin(backbones)]
                at = cited.backbone.map(backbones.index) + step
                axis.plot(at + 0.12, cited.value, "D", ms=5, mfc="none", color=COLOURS[level])
        axis.set(title=name, ylim=SHARE, yticks=np.arange(0, 1.1, 0.2), xlim=(-0.6, max(len(backbones), 1) - 0.4))
        axis.set_xticks(range(len(backbones)), backbones, rotation=90)
        axis.grid(False, axis="x")
    axes[0, 0].set_ylabel(ylabel)
    mark_synthetic(figure, synthetic)
    handles = [Line2D([], [], marker="o", lw=2, color=COLOURS[level], label=f"{by} {level}") for level in levels]
    handles.append(Line2D([], [], lw=2, color=COLOURS["chance"], label="chance"))
    _put_legend(figure, handles, printed is not None)
    return figure


def _scores(axis, ours, positions, colour):
    """Plot points with intervals and chance at their x positions, and the reason if a run has no score."""
    for row, x in zip(ours.itertuples(), positions, strict=True):
        first = row.fold == 0 and row.seed == 0
        if np.isfinite(row.value):
            axis.plot(x, row.value, "o", ms=6 if first else 3, color=colour, alpha=1 if first else 0.4)
        if np.isfinite(row.value) and first:
            axis.plot([x, x], [row.low, row.high], color=colour, lw=2)
            axis.plot([x - 0.15, x + 0.15], [row.chance] * 2, color=COLOURS["chance"], lw=2)
        elif first:
            why = row.status if row.status != "done" else "no score"
            axis.text(x, 0.02, why, rotation=90, ha="center", va="bottom", fontsize=8, color="0.4")


def _put_legend(figure, handles, has_paper):
    """Draw the legend of colours and marks above the panels."""
    if has_paper:
        handles = [*handles, Line2D([], [], marker="D", ls="", mfc="none", color="0.3", label="the paper")]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=9)


def _only_words(words, synthetic):
    """A figure of one line, in place of empty axes."""
    figure, axis = plt.subplots(figsize=(6, 0.7), layout="constrained")
    axis.axis("off")
    axis.text(0, 0.5, words, va="center", color="0.4")
    mark_synthetic(figure, synthetic)
    return figure


OTHER = "0.4"
"""The colour of what has none of its own, such as a backbone that is not the paper's."""

_VERDICTS = {GAIN: (">", RIGHT), LOSS: ("<", WRONG), UNCLEAR: ("o", COLOURS["chance"]), TOO_FEW: ("x", "0.5")}


def forest(panels, *, xlabel, printed=None, synthetic=False):
    """Plot paired differences with their intervals, one per row: gains point right, losses left, others are round.

    If there is nothing to draw, the figure is a line that says why.

    Args:
        panels: ``{title: DataFrame of gaaplib.paper.tables.gains}``, such as one per protocol; the index labels the
            rows and is the same in each. A row without a difference shows the reason.
        xlabel: the difference, its unit and its protocol.
        printed: Series of the paper's differences with the same index, as hollow diamonds in the first panel; or None.
        synthetic: whether the images are synthetic.
    """
    rows = list(dict.fromkeys(label for table in panels.values() for label in table.index))
    if not rows:
        return _only_words("no pairs are planned", synthetic)
    if printed is None and all(table.difference.isna().all() for table in panels.values()):
        reasons = dict.fromkeys(why for table in panels.values() for why in table.verdict)
        return _only_words(f"no differences of {xlabel}: {', '.join(reasons)}", synthetic)
    size = (2 + 3.3 * len(panels), 1.3 + 0.24 * max(len(rows), 4))
    figure, axes = plt.subplots(
        1, len(panels), figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (title, table) in zip(axes.flat, panels.items(), strict=True):
        axis.axvline(0, color="0.4", lw=1)
        for label, row in zip(table.index, table.itertuples(), strict=True):
            _difference(axis, rows.index(label), row)
        axis.set(title=title, xlabel=xlabel, ylim=(len(rows) - 0.4, -0.6))
        axis.grid(False, axis="y")
    if printed is not None:
        cited = printed[printed.index.isin(rows)]
        axes[0, 0].plot(cited, [rows.index(label) for label in cited.index], "D", ms=5, mfc="none", color="0.3")
    axes[0, 0].set_yticks(range(len(rows)), [_label(label) for label in rows], fontsize=9)
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    mark_synthetic(figure, synthetic)
    named = [name for name in _VERDICTS if name != TOO_FEW or any(TOO_FEW in set(t.verdict) for t in panels.values())]
    marks = [(name, *_VERDICTS[name]) for name in named]
    handles = [Line2D([], [], marker=mark, color=colour, label=name) for name, mark, colour in marks]
    _put_legend(figure, handles, printed is not None)
    return figure


def _difference(axis, y, row):
    if not np.isfinite(row.difference):
        axis.text(0.01, y, row.verdict, transform=axis.get_yaxis_transform(), va="center", fontsize=8, color="0.4")
        return
    mark, colour = _VERDICTS[row.verdict]
    axis.plot([row.low, row.high], [y, y], color=colour, lw=2)
    axis.plot(row.difference, y, mark, ms=7, color=colour)


def _label(label):
    return ", ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def against_cost(found, costs, *, ylabel, synthetic=False):
    """Plot scores over the cost of their models: one panel per cost, colour per backbone and line per data set.

    Args:
        found: DataFrame of :func:`gaaplib.paper.tables.scores`, one row per backbone and data set.
        costs: DataFrame with an index of backbones; the names of its columns, with units, label the axes.
        ylabel: the measure, its unit and its protocol.
        synthetic: whether the images are synthetic.
    """
    figure, axes = plt.subplots(1, len(costs.columns), figsize=(8.5, 3.7), sharey=True, layout="constrained")
    scored = found[found.value.notna()]
    failed = found[~found.backbone.isin(scored.backbone)]
    without = failed.groupby("backbone").status.agg(lambda status: ", ".join(sorted(set(status))))
    marks = dict(zip(dict.fromkeys(found.dataset), "osD^vP", strict=False))
    for axis, name in zip(axes, costs.columns, strict=True):
        for dataset, rows in scored.groupby("dataset", sort=False):
            ordered = rows.assign(cost=rows.backbone.map(costs[name])).sort_values("cost")
            axis.plot(ordered.cost, ordered.value, color="0.75", lw=1, zorder=1)
            for row in ordered.itertuples():
                axis.plot(row.cost, row.value, marks[dataset], ms=7, color=COLOURS.get(row.backbone, OTHER))
        axis.set(xlabel=name, ylim=SHARE, yticks=np.arange(0, 1.1, 0.2), xlim=(0, 1.1 * costs[name].max()))
    if found.empty:
        axes[0].text(0.5, 0.5, "no runs are planned", transform=axes[0].transAxes, ha="center", color="0.4")
    reasons = "\n".join(f"{backbone}: {why}" for backbone, why in without.items())
    axes[-1].text(0.97, 0.03, reasons, transform=axes[-1].transAxes, ha="right", va="bottom", fontsize=9, color="0.4")
    axes[0].set_ylabel(ylabel)
    mark_synthetic(figure, synthetic)
    handles = [Line2D([], [], lw=4, color=COLOURS.get(name, OTHER), label=name) for name in costs.index]
    handles += [Line2D([], [], marker=mark, ls="", color="0.3", label=name) for name, mark in marks.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=5, fontsize=9)
    return figure


def accuracies(found, *, synthetic=False):
    """Plot the accuracy on training and validation images over epochs and over seconds, one line per run.

    Args:
        found: DataFrame of :func:`gaaplib.paper.learning_curves.curves`; runs without epochs are named in the legend.
        synthetic: whether the images are synthetic.
    """
    figure, axes = plt.subplots(2, 2, figsize=(8.6, 5.4), sharex="col", sharey=True, layout="constrained")
    for row, (column, name) in zip(axes, (("accuracy", "training"), ("val_accuracy", "validation")), strict=True):
        _over_epochs_and_seconds(row, found, {column: "-"})
        row[0].set(ylabel=f"{name} accuracy\n(share of images)", ylim=(-0.02, 1))
        for axis in row:
            axis.axhline(found.chance.max(), ls=":", color=COLOURS["chance"], lw=2)
    _label_columns(axes)
    mark_synthetic(figure, synthetic)
    _name_runs(figure, found, [Line2D([], [], ls=":", lw=2, color=COLOURS["chance"], label="chance")])
    return figure


def training_accuracies(found, *, synthetic=False):
    """Plot the accuracy on training images over epochs, one line per method.

    Args:
        found: DataFrame of :func:`gaaplib.paper.learning_curves.curves`.
        synthetic: whether the images are synthetic.
    """
    drawn = found.dropna(subset=["epoch", "accuracy"])
    figure, axis = plt.subplots(figsize=(7.4, 4.4), layout="constrained")
    if len(drawn):
        sns.lineplot(drawn, x="epoch", y="accuracy", hue="name", style="name", errorbar=None, ax=axis)
        sns.move_legend(axis, "center left", bbox_to_anchor=(1.0, 0.5), title=None, frameon=False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    else:
        axis.text(0.5, 0.5, "not run", transform=axis.transAxes, ha="center", color="0.4")
    axis.set(xlabel="epoch", ylabel="accuracy on training images", ylim=(-0.02, 1.02), xlim=(0, None))
    mark_synthetic(figure, synthetic)
    return figure


def losses(found, *, synthetic=False):
    """Plot the loss that trains each method's network, over epochs and over seconds, one row of panels per loss.

    Losses of different kinds are not comparable, so each row has its own axis.

    Args:
        found: DataFrame of :func:`gaaplib.paper.learning_curves.curves`.
        synthetic: whether the images are synthetic.
    """
    names = list(dict.fromkeys(found.loss_name)) or ["loss"]
    size = (8.6, 0.8 + 2.3 * len(names))
    figure, axes = plt.subplots(len(names), 2, figsize=size, sharex="col", sharey="row", squeeze=False)
    figure.set_layout_engine("constrained")
    for row, name in zip(axes, names, strict=True):
        _over_epochs_and_seconds(row, found[found.loss_name == name], {"loss": ":", "val_loss": "-"})
        row[0].set(ylabel=name.replace(" triplet", "\ntriplet"), ylim=(0, None))
    _label_columns(axes)
    mark_synthetic(figure, synthetic)
    kinds = {"training": ":", "validation": "-"}
    _name_runs(figure, found, [Line2D([], [], ls=style, color="0.3", label=name) for name, style in kinds.items()])
    return figure


def _over_epochs_and_seconds(axes, found, styles):
    """Plot each run over both in its method's colour: filled points with attention, hollow points without."""
    for axis, x in zip(axes, ("epoch", "seconds"), strict=True):
        for _, run in found.dropna(subset="epoch").groupby("name", sort=False):
            for column, style in styles.items():
                axis.plot(run[x], run[column], style, **_look(run.iloc[0]))
        if found.epoch.isna().all():
            axis.text(0.5, 0.5, "not run", transform=axis.transAxes, ha="center", color="0.4")


def _look(run):
    colour = COLOURS[run.method]
    return {"color": colour, "marker": "o", "ms": 6, "mfc": "white" if run.attention == "none" else colour}


def _label_columns(axes):
    for axis, words in zip(axes[-1], ("epoch", "seconds since the start"), strict=True):
        axis.set(xlabel=words, xlim=(0, None))
    axes[-1, 0].xaxis.get_major_locator().set_params(integer=True)


def _name_runs(figure, found, others):
    """Draw the legend above the panels: the runs, with the status of those that are not done, and other lines."""
    handles = []
    for name, run in found.groupby("name", sort=False):
        status = run.status.iloc[0]
        label = name if status == "done" else f"{name}: {status}"
        handles.append(Line2D([], [], label=label, **_look(run.iloc[0])))
    figure.legend(handles=[*handles, *others], loc="outside upper center", ncols=3, fontsize=9)


def crossings(found, *, measure, synthetic=False):
    """Plot scores of models trained on one data set and tested on another: heat maps without and with attention.

    A frame marks a model tested on its own data set; chance is shown below each data set's name.

    Args:
        found: DataFrame of :func:`gaaplib.paper.tables.scores`.
        measure: name, unit and protocol of the measure, for the title.
        synthetic: whether the images are synthetic.
    """
    found = found.assign(trained=found.train_dataset.fillna(found.dataset))
    names = {column: list(dict.fromkeys(found[column])) for column in ("attention", "trained", "dataset")}
    parts, trained, tested = (each or ["no runs are planned"] for each in names.values())
    size = (1.3 + 3.9 * len(parts), 1.5 + 0.75 * len(trained))
    figure, axes = plt.subplots(1, len(parts), figsize=size, sharey=True, squeeze=False, layout="constrained")
    chance = found.groupby("dataset").chance.first().dropna()
    labels = [name + (f"\nchance {chance[name]:.3f}" if name in chance else "") for name in tested]
    for axis, part in zip(axes.flat, parts, strict=True):
        rows = found[found.attention == part]
        values = rows.pivot(index="trained", columns="dataset", values="value").reindex(trained, columns=tested)
        look = {"cmap": "cividis", "vmin": 0, "vmax": 1, "cbar": False, "linewidths": 0.5}
        sns.heatmap(values.astype(float), ax=axis, xticklabels=labels, **look)
        # The hatched background shows where there is no score.
        axis.patch.set(facecolor="0.95", edgecolor="0.8", hatch="///")
        axis.grid(False)
        for row in rows.itertuples():
            _crossing(axis, tested.index(row.dataset), trained.index(row.trained), row)
        axis.set(xlabel="tested on", ylabel="")
        axis.set_title(f"{'without' if part == 'none' else 'with'} attention" if len(found) else part, fontsize=10)
        axis.tick_params(rotation=0, labelsize=8)
    axes[0, 0].set_ylabel("trained on")
    finish_grid(figure, measure, synthetic)
    return figure


def _crossing(axis, x, y, row):
    """Write a score with the ends of its interval, or why there is none, and frame a model on its own data set."""
    words, ink = row.status if row.status != "done" else "no score", "0.2"
    if np.isfinite(row.value):
        mark = " \u2020" if row.at_chance else ""
        few = f"{row.identities:.0f} identities"
        words = f"{row.value:.3f}{mark}\n{f'{row.low:.2f} to {row.high:.2f}' if np.isfinite(row.low) else few}"
        ink = "black" if row.value > 0.5 else "white"
    axis.text(x + 0.5, y + 0.5, words, ha="center", va="center", fontsize=9, color=ink)
    if row.trained == row.dataset:
        axis.add_patch(Rectangle((x + 0.03, y + 0.04), 0.94, 0.92, fc="none", ec=COLOURS["val"], lw=3))


def over_setting(panels, x, *, xlabel, joined=False, synthetic=False):
    """Plot scores over the values of one setting: each run with its interval, and a bar at the mean of the runs.

    If no run has a score, the figure is a line that says so.

    Args:
        panels: rows of panels, ``{ylabel: {title: DataFrame of gaaplib.paper.tables.scores}}``, with the same titles in
            each.
        x: the column of the setting, such as ``"attention"``.
        xlabel: label of the setting.
        joined: whether a line joins the means; for values that have an order.
        synthetic: whether the images are synthetic.
    """
    titles = list(next(iter(panels.values())))
    tables = [table for by_title in panels.values() for table in by_title.values()]
    if all(table.value.isna().all() for table in tables):
        reasons = dict.fromkeys(why for table in tables for why in table.status)
        return _only_words(f"no scores over {xlabel}: {', '.join(reasons) or 'no runs are planned'}", synthetic)
    size = (1 + 3.9 * len(titles), 1.1 + 2.4 * len(panels))
    grid = {"squeeze": False, "sharex": "col", "sharey": "row"}
    figure, axes = plt.subplots(len(panels), len(titles), figsize=size, layout="constrained", **grid)
    for row, (ylabel, by_title) in zip(axes, panels.items(), strict=True):
        for axis, title in zip(row, titles, strict=True):
            _setting(axis, by_title[title], x, joined)
        row[0].set(ylabel=ylabel, ylim=(0, 1))
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for axis in axes[-1]:
        axis.set_xlabel(xlabel)
    mark_synthetic(figure, synthetic)
    handles = [
        Line2D([], [], marker="o", ms=4, lw=1, color="0.3", label="one run with its interval"),
        Line2D([], [], lw=3, color="0.3", label="mean of the runs"),
        Line2D([], [], lw=2, ls=":", color=COLOURS["chance"], label="chance"),
    ]
    _put_legend(figure, handles, has_paper=False)
    return figure


def _setting(axis, found, x, joined):
    levels, means = list(dict.fromkeys(found[x])), []
    for position, level in enumerate(levels):
        runs = found[found[x] == level]
        scored, colour = runs[runs.value.notna()], COLOURS[runs.attention.iloc[0]]
        means.append(scored.value.mean())
        near = position + 0.16 * (np.arange(len(scored)) - (len(scored) - 1) / 2)
        axis.vlines(near, scored.low, scored.high, color=colour, lw=1)
        axis.plot(near, scored.value, "o", ms=4, color=colour)
        axis.plot([position - 0.32, position + 0.32], means[-1:] * 2, color=colour, lw=3)
        if scored.empty:
            why = ", ".join(dict.fromkeys(runs.status))
            axis.text(position, 0.12, why, rotation=90, ha="center", va="bottom", fontsize=8, color="0.4")
    if joined:
        axis.plot(range(len(levels)), means, color="0.6", lw=1, zorder=1)
    chance = found.chance.dropna().astype(float).unique()
    axis.hlines(chance, -0.5, len(levels) - 0.5, color=COLOURS["chance"], lw=2, ls=":")
    axis.set(xlim=(-0.5, max(len(levels), 1) - 0.5))
    axis.set_xticks(range(len(levels)), levels, fontsize=10)
    axis.grid(False, axis="x")
    if not levels:
        axis.text(0.5, 0.5, "no runs are planned", transform=axis.transAxes, ha="center", color="0.4")
