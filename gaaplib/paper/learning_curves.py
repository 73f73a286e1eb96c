"""Learning curves of planned runs: accuracy and loss per epoch and second, and when an accuracy was reached."""

import pandas as pd

from gaaplib.paper import plan, wording

LOSSES = {"gaap": ("loss", "cross-entropy"), "triplet": ("pooled_loss", "batch-hard triplet loss")}
"""The loss that trains a method's network: its column in the history, and its name. A probe's own loss is not part.

A method that is not listed has several losses, and its curve is their weighted sum.
"""

LEVELS = (0.1, 0.25, 0.5, 0.75)
"""The validation accuracies whose first epoch is looked up."""

SETTING = (
    *("name", "dataset", "method", "attention", "run_id"),
    *("synthetic", "as_published", "status", "chance", "loss_name"),
)
CURVES = ("epoch", "seconds", "accuracy", "val_accuracy", "loss", "val_loss")


def curves(configs, outputs=None):
    """Return one row per epoch of each planned run; a run that is missing or has no epoch has one row of NaN.

    Args:
        configs: configurations of the runs, such as ``Plan().methods()``.
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.

    Returns:
        A DataFrame: ``name`` of the run as text, ``dataset``, ``method``, ``attention``, ``run_id``, ``synthetic`` and
        ``as_published`` as in :func:`gaaplib.paper.tables.scores`, ``status`` (as there), ``chance`` (the accuracy of
        guessing), ``loss_name``; ``epoch``, ``seconds`` since the start, ``accuracy`` and ``val_accuracy`` (share of
        images), ``loss`` and ``val_loss``: the loss that trains the network.
    """
    finished = plan.done(configs, outputs)
    rows = [row for config in configs for row in _rows(config, finished.get(config.run_id))]
    return pd.DataFrame(rows, columns=[*SETTING, *CURVES])


def name(config):
    """Return a run's name in figures and sentences: its method, and whether it has attention."""
    return f"{config.method} {'without' if config.attention == 'none' else 'with'} attention"


def _rows(config, run):
    loss, loss_name = LOSSES.get(config.method, ("loss", "weighted sum of its losses"))
    setting = {column: getattr(config, column) for column in ("dataset", "method", "attention", "run_id")}
    setting |= {
        "name": name(config),
        "loss_name": loss_name,
        "synthetic": config.is_synthetic,
        "status": wording.MISSING,
    }
    if run is None:
        return [setting]
    metrics, history = run.metrics, run.history
    identities = metrics["counts"].get("train", {}).get("identities")
    setting |= {"status": metrics["status"], "chance": identities and 1 / identities}
    setting["as_published"] = metrics["data"]["as_published"]
    # A model with several outputs has one accuracy and loss per output.
    prefix = "logits_" if "logits_accuracy" in history else ""
    columns = ["epoch", "seconds", f"{prefix}accuracy", f"val_{prefix}accuracy", loss, f"val_{loss}"]
    epochs = history.reindex(columns=columns).set_axis(list(CURVES), axis=1)
    return [setting | epoch for epoch in epochs.to_dict("records")] or [setting]


def reached(found, levels=LEVELS):
    """Return when each run first reached each of some validation accuracies.

    Args:
        found: DataFrame of :func:`curves`.
        levels: validation accuracies, as fractions.

    Returns:
        A DataFrame with one row per run and level: ``name``, ``level``, ``status``, ``epoch`` and ``seconds`` (NaN if
        not reached), and both as text in ``words``.

    Example:
        >>> curve = pd.DataFrame({"epoch": [1, 2], "seconds": [9.0, 15.0], "val_accuracy": [0.2, 0.5]})
        >>> reached(curve.assign(name="gaap", status="done"), levels=(0.5, 0.75)).words.to_list()
        ['epoch 2, 15 s', 'not reached']
    """
    rows = []
    for level in levels:
        for called, run in found.groupby("name", sort=False):
            above, status = run[run.val_accuracy >= level], run.status.iloc[0]
            first = above.iloc[0] if len(above) else None
            missed = "not reached" if status == "done" else status
            words = missed if first is None else f"epoch {first.epoch:.0f}, {first.seconds:.0f} s"
            when = (None, None) if first is None else (first.epoch, first.seconds)
            rows.append((called, level, status, *when, words))
    columns = ["name", "level", "status", "epoch", "seconds", "words"]
    return pd.DataFrame(rows, columns=columns).astype({"epoch": float, "seconds": float})


def in_order(soon):
    """Return one sentence per level: which runs reached it, in the fewest epochs first, and which did not.

    Seconds decide between equal epochs alone: they depend on the machine and on what ran beside.

    Args:
        soon: DataFrame of :func:`reached`.
    """
    sentences = []
    for level, runs in soon.groupby("level"):
        ordered = runs.dropna(subset="epoch").sort_values(["epoch", "seconds"], kind="stable")
        parts = [f"first {ordered.name.iloc[0]} ({ordered.words.iloc[0]})" if len(ordered) else "reached by no run"]
        parts[0] += f", then {', '.join(ordered.name[1:])}" if len(ordered) > 1 else ""
        for words, others in runs[runs.epoch.isna()].groupby("words", sort=False):
            parts.append(f"{words}: {', '.join(others.name)}")
        sentences.append(wording.filled(f"validation accuracy {level:g}: {'; '.join(parts)}"))
    return sentences


def summary(found):
    """Return a summary of each run's epochs, as text.

    Args:
        found: DataFrame of :func:`curves`.

    Returns:
        A DataFrame with one row per run: number of epochs, seconds in total and per epoch (median, range), the best
        validation accuracy with its epoch, and the last accuracy on training images; only ``status`` if it has none.
    """
    rows = {}
    for called, run in found.groupby("name", sort=False):
        row, run = {"status": run.status.iloc[0]}, run.dropna(subset="epoch")
        if len(run):
            each = run.seconds.diff().fillna(run.seconds)
            row |= {"epochs": f"{len(run)}", "seconds": f"{run.seconds.iloc[-1]:.0f}"}
            row["seconds per epoch"] = f"{each.median():.1f} ({each.min():.1f} to {each.max():.1f})"
            row["training accuracy, last"] = f"{run.accuracy.iloc[-1]:.3f}"
        if run.val_accuracy.notna().any():
            best = run.loc[run.val_accuracy.idxmax()]
            row["validation accuracy, best"] = f"{best.val_accuracy:.3f} (epoch {best.epoch:.0f})"
        rows[called] = row
    return pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis("run")


def machines(configs, outputs=None):
    """Return a sentence on the machines that the seconds were measured on.

    Args:
        configs, outputs: as for :func:`curves`.
    """
    origins = [run.metrics["provenance"] for run in plan.done(configs, outputs).values()]
    named = [f"{it['processor']}, {it['cores']} cores, {', '.join(it['devices'])}" for it in origins]
    counts = pd.Series(named, dtype=object).value_counts(sort=False)
    words = "; ".join(f"{count} of {len(configs)} runs on {machine}" for machine, count in counts.items())
    return f"seconds measured in {words}" if words else "no run is finished, so no seconds were measured"


def caption(found):
    """Return the caption of the curves: what accuracy means, and the kind of images.

    Args:
        found: DataFrame of :func:`curves`.
    """
    measure = "accuracy: share of images whose own identity scores highest among the training identities"
    return f"{measure}; on {wording.images(found)}"
